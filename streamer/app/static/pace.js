// What a viewer without any delay would show while the analysis runs: each frame as soon as it is analysed, but no faster
// than the clip's own pace. By it playback sees how far it has fallen behind, and makes up for it.
const HURRY = 2; // times the clip's pace at most

class Pace {
  constructor() {
    this.reset();
  }

  reset() {
    this.position = -1; // the newest frame seen here
    this.time = 0; // its time in the study in seconds
    this.due = -Infinity; // when it was due, by the page's clock
    this.following = true; // until the reader goes elsewhere
  }

  // A frame has come, its time undefined while its row has not; `found`: when the analysis had it, by the page's clock, null
  // where that was long ago.
  add(position, time, found) {
    if (position <= this.position || time === undefined) return;
    const due = this.due + 1000 * (time - this.time);
    Object.assign(this, { position, time, due: Math.max(found ?? -Infinity, due) });
  }

  // How far playback is to go beyond the `elapsed` seconds that brought it to `seconds`: never further than it is late.
  makeUp(seconds, elapsed, now) {
    if (!this.following || !Number.isFinite(this.due)) return 0;
    const late = this.time + (now - this.due) / 1000 - seconds;
    return Math.min(Math.max(late, 0), (HURRY - 1) * elapsed);
  }
}
