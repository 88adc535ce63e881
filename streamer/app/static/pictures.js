// Pictures of the frames around the one in view, decoded and ready to be drawn; a bounded number of them.
const PICTURES_KEPT = 48;

class Pictures {
  constructor() {
    this.byPosition = new Map();
    this.generation = 0;
  }

  // Forget all: another analysis, or another overlay. What is still on its way will not be kept.
  clear() {
    for (const bitmap of this.byPosition.values()) bitmap.close();
    this.byPosition.clear();
    this.generation += 1;
  }

  has(position) {
    return this.byPosition.has(position);
  }

  // The newest picture at or before a position and after another, as [position, bitmap].
  latest(position, after) {
    let best = null;
    for (const [candidate, bitmap] of this.byPosition) {
      if (candidate <= position && candidate > after && (best === null || candidate > best[0])) best = [candidate, bitmap];
    }
    return best;
  }

  async add(position, base64, generation) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
    if (generation !== this.generation) {
      bitmap.close();
      return;
    }
    this.byPosition.get(position)?.close();
    this.byPosition.delete(position);
    this.byPosition.set(position, bitmap);
    while (this.byPosition.size > PICTURES_KEPT) {
      const [oldest, old] = this.byPosition.entries().next().value;
      this.byPosition.delete(oldest);
      old.close();
    }
  }
}

const clockText = (seconds) => {
  const hundredths = Math.round(seconds * 100);
  return `${Math.floor(hundredths / 6000)}:${((hundredths % 6000) / 100).toFixed(2).padStart(5, "0")}`;
};
