// Sends the newest frame of a camera; what comes while two are on their way is dropped and counted.
const SENT_SIDE_PX = 1280;
const ON_THEIR_WAY = 2;

class Camera {
  constructor(video) {
    this.video = video;
    this.canvas = document.createElement("canvas");
    this.stream = null;
  }

  // Seconds since the first frame, on the clock by which frames are stamped.
  now() {
    return (performance.now() - this.began) / 1000;
  }

  // Ask for the device; the browser asks the user.
  async open(deviceId) {
    if (!navigator.mediaDevices) throw new Error("the browser gives no camera to this page: open it by https or on localhost");
    const wish = { width: { ideal: SENT_SIDE_PX }, ...(deviceId ? { deviceId: { exact: deviceId } } : {}) };
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: wish, audio: false });
    } catch (error) {
      throw new Error(`the camera cannot be used: ${error.message}`);
    }
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  async devices() {
    const all = await navigator.mediaDevices.enumerateDevices();
    return all.filter(({ kind }) => kind === "videoinput");
  }

  // Send frames to the address of an analysis until closed; onError is told why it ends early.
  send(address, onError) {
    Object.assign(this, { began: performance.now(), onTheirWay: 0, skipped: 0, presented: null, closing: new AbortController() });
    const stream = this.stream;
    const next = (_, { presentedFrames }) => {
      if (this.stream !== stream) return;
      if (this.presented !== null) this.skipped += presentedFrames - this.presented - 1;
      this.presented = presentedFrames;
      if (this.onTheirWay < ON_THEIR_WAY) this.sendOne(address, stream, onError);
      else this.skipped += 1;
      this.video.requestVideoFrameCallback(next);
    };
    this.video.requestVideoFrameCallback(next);
  }

  async sendOne(address, stream, onError) {
    this.onTheirWay += 1;
    try {
      const taken = this.now();
      const { videoWidth, videoHeight } = this.video;
      const scale = Math.min(1, SENT_SIDE_PX / Math.max(videoWidth, videoHeight));
      this.canvas.width = Math.round(videoWidth * scale);
      this.canvas.height = Math.round(videoHeight * scale);
      this.canvas.getContext("2d").drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
      const body = await new Promise((resolve) => { this.canvas.toBlob(resolve, "image/jpeg", 0.92); });
      const { signal } = this.closing;
      await request(`${address}/film?time_s=${taken}`, { method: "POST", body, signal });
    } catch (error) {
      if (this.stream === stream) onError(error);
    } finally {
      this.onTheirWay -= 1;
    }
  }

  close() {
    for (const track of this.stream?.getTracks() || []) track.stop();
    this.stream = null;
    this.closing?.abort();
    this.video.srcObject = null;
  }
}
