// Malignancy over time: a line a nodule, the threshold, the frame that set each maximum, and the frame in view.
const TIMELINE_PAD = { left: 46, right: 14, top: 14, bottom: 22 };

class Timeline {
  constructor(canvas, onSeek) {
    this.canvas = canvas;
    this.onSeek = onSeek;
    this.still = document.createElement("canvas");
    this.reset();
    new ResizeObserver(() => { this.dirty = true; }).observe(canvas);
    const seek = (event) => {
      const { left, width } = canvas.getBoundingClientRect();
      const share = (event.clientX - left - TIMELINE_PAD.left) / (width - TIMELINE_PAD.left - TIMELINE_PAD.right);
      this.onSeek(this.positionAt(Math.min(1, Math.max(0, share)) * this.span()));
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
      seek(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) seek(event);
    });
  }

  reset() {
    this.times = []; // of each frame in the study, in seconds
    this.places = []; // of each frame: number of its clip, its number in that, and its time there in seconds
    this.tracks = new Map(); // track -> [[position, malignancy], ...]
    this.clips = [];
    this.nodules = [];
    this.threshold = null;
    this.dirty = true;
  }

  add(row) {
    const position = this.times.length;
    this.times.push(row[3]);
    this.places.push(row.slice(0, 3));
    for (const [track, malignancy] of row[4]) {
      if (!this.tracks.has(track)) this.tracks.set(track, []);
      this.tracks.get(track).push([position, malignancy]);
    }
    this.dirty = true;
  }

  // Seconds that the width stands for: what is known of all clips, or more if they turn out longer.
  span() {
    const last = this.clips.at(-1);
    const announced = last && last.expected_s ? last.begins_s + last.expected_s : 0;
    return Math.max(announced, this.times.at(-1) || 0, 0.1);
  }

  // The last frame that has begun at a time.
  positionAt(seconds) {
    let low = 0, high = this.times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.times[middle] <= seconds) low = middle; else high = middle - 1;
    }
    return low;
  }

  draw(position) {
    const drawn = performance.now();
    let renew = this.dirty && drawn - (this.stillDrawn || 0) > 80; // a chart is read, not watched frame by frame
    if (!renew && position === this.marked) return;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    const width = Math.round(clientWidth * ratio), height = Math.round(clientHeight * ratio);
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = this.still.width = width;
      this.canvas.height = this.still.height = height;
      renew = true;
    }
    if (renew) {
      this.drawStill(ratio, clientWidth, clientHeight);
      this.dirty = false;
      this.stillDrawn = drawn;
    }
    this.marked = position;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.drawImage(this.still, 0, 0);
    if (position < 0 || position >= this.times.length) return;
    pen.scale(ratio, ratio);
    const x = Math.round(this.x(this.times[position], clientWidth)) + 0.5;
    pen.strokeStyle = "#ffffff";
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x, TIMELINE_PAD.top - 6);
    pen.lineTo(x, clientHeight - TIMELINE_PAD.bottom);
    pen.stroke();
    pen.fillStyle = "#ffffff";
    pen.beginPath();
    pen.moveTo(x - 5, TIMELINE_PAD.top - 10);
    pen.lineTo(x + 5, TIMELINE_PAD.top - 10);
    pen.lineTo(x, TIMELINE_PAD.top - 3);
    pen.fill();
  }

  x(seconds, width) {
    return TIMELINE_PAD.left + (seconds / this.span()) * (width - TIMELINE_PAD.left - TIMELINE_PAD.right);
  }

  drawStill(ratio, width, height) {
    const pen = this.still.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "11px system-ui, sans-serif";
    const right = width - TIMELINE_PAD.right, bottom = height - TIMELINE_PAD.bottom;
    const y = (malignancy) => bottom - malignancy * (bottom - TIMELINE_PAD.top);
    if (this.times.length) {
      pen.fillStyle = "#182029";
      const end = this.x(this.times.at(-1), width);
      pen.fillRect(TIMELINE_PAD.left, TIMELINE_PAD.top, end - TIMELINE_PAD.left, bottom - TIMELINE_PAD.top);
    }
    pen.textBaseline = "middle";
    pen.lineWidth = 1;
    for (const share of [0, 0.5, 1]) {
      pen.strokeStyle = "#28323e";
      this.line(pen, TIMELINE_PAD.left, Math.round(y(share)) + 0.5, right, Math.round(y(share)) + 0.5);
      pen.fillStyle = "#9fb0bf";
      pen.textAlign = "right";
      pen.fillText(`${100 * share} %`, TIMELINE_PAD.left - 6, y(share));
    }
    this.drawTimes(pen, width, height);
    for (const nodule of this.nodules) this.drawTrack(pen, nodule, width, y);
    this.drawThreshold(pen, right, y);
    for (const nodule of this.nodules) this.drawKey(pen, nodule, width, y);
  }

  drawTimes(pen, width, height) {
    const span = this.span();
    const step = [0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600].find((seconds) => span / seconds <= 9) || 1800;
    pen.textBaseline = "alphabetic";
    pen.textAlign = "center";
    for (let seconds = 0; seconds <= span; seconds += step) {
      const text = `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(step < 1 ? 1 : 0).padStart(step < 1 ? 4 : 2, "0")}`;
      pen.fillText(text, this.x(seconds, width), height - 7);
    }
    pen.strokeStyle = "#536373";
    for (const clip of this.clips.slice(1)) {
      const x = Math.round(this.x(clip.begins_s, width)) + 0.5;
      this.line(pen, x, TIMELINE_PAD.top, x, height - TIMELINE_PAD.bottom);
    }
  }

  drawThreshold(pen, right, y) {
    if (this.threshold === null) return;
    const height = Math.round(y(this.threshold)) + 0.5;
    pen.strokeStyle = "#c9d3dc";
    pen.lineWidth = 1;
    pen.setLineDash([5, 4]);
    this.line(pen, TIMELINE_PAD.left, height, right, height);
    pen.setLineDash([]);
    pen.fillStyle = "#c9d3dc";
    pen.textAlign = "right";
    pen.textBaseline = "bottom";
    this.write(pen, `threshold ${this.thresholdText}`, right - 2, height - 2);
  }

  // One line for all frames that the tracker gave one number, whatever lies between them; thinned to the lowest and highest value of each pixel column, so that no maximum is lost.
  drawTrack(pen, nodule, width, y) {
    const points = this.tracks.get(nodule.track) || [];
    pen.strokeStyle = nodule.colour;
    pen.lineWidth = 1.75;
    pen.lineJoin = "round";
    pen.beginPath();
    let last = null, column = null, low = 0, high = 0;
    for (const [position, malignancy] of points) {
      const x = this.x(this.times[position], width);
      if (last === null) {
        pen.moveTo(x, y(malignancy));
        pen.lineTo(x + 0.5, y(malignancy));
      } else if (Math.floor(x) !== column) {
        pen.lineTo(x, y(malignancy));
        [column, low, high] = [Math.floor(x), malignancy, malignancy];
      } else if (malignancy < low || malignancy > high) {
        pen.lineTo(x, y(malignancy));
        [low, high] = [Math.min(low, malignancy), Math.max(high, malignancy)];
      }
      last = position;
    }
    pen.stroke();
  }

  drawKey(pen, nodule, width, y) {
    if (nodule.key >= this.times.length) return;
    const x = this.x(this.times[nodule.key], width);
    pen.fillStyle = "#0b0e12";
    pen.strokeStyle = nodule.colour;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y(nodule.max), 4.5, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
    pen.font = "600 11px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillStyle = nodule.colour;
    const beside = y(nodule.max) < TIMELINE_PAD.top + 14 ? 14 : -13;
    this.write(pen, `#${nodule.track}`, x, y(nodule.max) + beside);
    pen.font = "11px system-ui, sans-serif";
  }

  // Text that a dark rim keeps apart from lines behind it.
  write(pen, text, x, y) {
    pen.lineWidth = 3;
    pen.strokeStyle = "#12171e";
    pen.strokeText(text, x, y);
    pen.fillText(text, x, y);
  }

  line(pen, x0, y0, x1, y1) {
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
    pen.stroke();
  }
}
