// Pictures of the frames around the one in view, decoded and ready to be drawn; a bounded number of them.
const PICTURES_KEPT = 48;

class Pictures {
  constructor() {
    this.byPosition = new Map(); // position -> { bitmap, found }
    this.coming = new Set(); // being decoded
    this.generation = 0;
  }

  // Forget all: another analysis, or another overlay. What is still on its way will not be kept.
  clear() {
    for (const { bitmap } of this.byPosition.values()) bitmap.close();
    this.byPosition.clear();
    this.coming.clear();
    this.generation += 1;
  }

  has(position) {
    return this.byPosition.has(position);
  }

  hasOrAwaits(position) {
    return this.byPosition.has(position) || this.coming.has(position);
  }

  // The newest picture's position at or before one and after another; -1 where there is none.
  latest(position, after) {
    let best = -1;
    for (const candidate of this.byPosition.keys()) {
      if (candidate <= position && candidate > after) best = Math.max(best, candidate);
    }
    return best;
  }

  // Decode a JPEG; found: when the analysis had it, by the page's clock; null where nobody knows.
  async add(position, jpeg, found, generation) {
    if (generation !== this.generation) return;
    this.coming.add(position);
    const bitmap = await createImageBitmap(jpeg);
    if (generation !== this.generation) {
      bitmap.close();
      return;
    }
    this.coming.delete(position);
    this.byPosition.get(position)?.bitmap.close();
    this.byPosition.delete(position);
    this.byPosition.set(position, { bitmap, found });
    while (this.byPosition.size > PICTURES_KEPT) {
      const [oldest, old] = this.byPosition.entries().next().value;
      this.byPosition.delete(oldest);
      old.bitmap.close();
    }
  }
}

const clockText = (seconds) => {
  const hundredths = Math.round(seconds * 100);
  return `${Math.floor(hundredths / 6000)}:${((hundredths % 6000) / 100).toFixed(2).padStart(5, "0")}`;
};
