// The heat map of a nodule, over the frame it was made of, until another frame is shown.
class HeatView {
  constructor(picture, load) {
    this.picture = picture;
    this.load = load; // from an address below the analysis
    this.hide();
  }

  // Make it; a second press of the same button takes it away.
  async toggle(button, track, position) {
    const again = this.button === button && this.at === position;
    this.hide();
    if (again) return;
    this.button = button;
    this.at = position;
    const jpeg = await this.load(`nodules/${track}/heat/${position}`).catch((error) => {
      this.hide();
      if (error.name !== "AbortError") throw error; // another analysis has begun
    });
    if (this.button !== button || this.at !== position) return; // another frame is shown by now
    showJpeg(this.picture, jpeg);
    this.picture.alt = `Heat map of nodule ${track}: what in this frame raised its malignancy`;
    this.picture.dataset.position = position;
    this.picture.hidden = false;
    button.setAttribute("aria-pressed", "true");
  }

  // Told which frame is on the screen; -1 while it is being fetched.
  follow(shown, playing) {
    if (this.at !== null && (playing || (shown >= 0 && shown !== this.at))) this.hide();
  }

  hide() {
    this.button?.setAttribute("aria-pressed", "false");
    this.button = this.at = null;
    this.picture.hidden = true;
    this.picture.removeAttribute("src");
  }
}
