// Fetches frames, each from an address of its own. Several at a time, and the next ones before they are analysed (the server
// answers as soon as they are), so that the network's delay is not added to each of them. What has come is kept in this page's
// memory, so that going back asks for nothing; the browser's own cache would leave it on the computer.
const AT_ONCE = 4; // of the six connections that a browser has to a server: Gradio keeps one, one is for all else
const ROUND_TRIPS = 8; // over which the shortest is sought
const KEPT_BYTES = 96 * 2 ** 20; // of JPEGs: some thousand frames

class Frames {
  constructor(pictures, onFrame) {
    Object.assign(this, { pictures, onFrame, stopping: new AbortController(), underWay: 0 });
    this.begin("", false);
  }

  // Another analysis, by its address, and whether its frames stay what they are. What is on its way will not be shown.
  begin(address, final) {
    Object.assign(this, { address, final, roundTrips: [], kept: new Map(), keptBytes: 0 });
    this.halt();
    this.resume();
  }

  // Ask for nothing, and wait for nothing.
  halt() {
    this.stopping.abort();
    this.stopping = new AbortController();
    this.halted = true;
    this.forget();
  }

  resume() {
    this.halted = this.waiting = this.failing = false;
  }

  // Another view of the same frames.
  forget() {
    this.asked = new Set();
  }

  // How many frames to ask for before they are there, where so many are analysed per second.
  ahead(rate) {
    const delay = this.roundTrips.length ? Math.min(...this.roundTrips) / 1000 : 0;
    return Math.min(1 + Math.ceil(rate * delay), AT_ONCE - 1);
  }

  // A round trip took so many milliseconds.
  took(milliseconds) {
    this.roundTrips.push(milliseconds);
    if (this.roundTrips.length > ROUND_TRIPS) this.roundTrips.shift();
  }

  isWanted(position) {
    return !this.asked.has(position) && !this.pictures.hasOrAwaits(position);
  }

  // Fetch what is wanted of these frames, the most urgent first; told that there is none, ask no more until `resume`.
  want(positions, view) {
    for (const position of positions) {
      if (this.halted || this.waiting || this.underWay >= AT_ONCE) return;
      if (this.isWanted(position)) this.fetch(position, view());
    }
  }

  // A frame in one view, from memory where it came before.
  async load(name, signal) {
    const { kept } = this, before = kept.get(name);
    if (before) return before;
    const answer = await request(`${this.address}/${name}`, { signal });
    const come = { headers: answer.headers, picture: answer.status === 200 ? await answer.blob() : null };
    if (come.picture && this.final && kept === this.kept) {
      kept.set(name, come);
      this.keptBytes += come.picture.size;
      for (const [oldest, { picture }] of kept) {
        if (this.keptBytes <= KEPT_BYTES) break;
        kept.delete(oldest);
        this.keptBytes -= picture.size;
      }
    }
    return come;
  }

  async fetch(position, view) {
    const { asked } = this, { generation } = this.pictures, { signal } = this.stopping;
    asked.add(position);
    this.underWay += 1;
    try {
      const { headers, picture } = await this.load(`frames/${position}?${view}`, signal);
      if (signal.aborted) return;
      this.waiting ||= !picture;
      if (picture) this.onFrame(position, headers, picture, generation);
    } catch {
      if (signal.aborted) return;
      this.waiting = this.failing = true; // whoever asks for the state of the analysis hears why
    } finally {
      this.underWay -= 1;
      asked.delete(position);
    }
    this.onFrame(position, null);
  }
}
