// The patient, a card a nodule with the reader's note, and the results.
const NOTE_PAUSE_MS = 500;
const TOLD_MS = 6000;

const counted = (count, thing) => `${count} ${thing}${count === 1 ? "" : "s"}`;

class Panels {
  constructor(find, ask, load, analysis, onSeek, onHeat) {
    this.find = find;
    this.ask = ask;
    this.load = load;
    this.analysis = analysis;
    this.onSeek = onSeek;
    this.onHeat = onHeat;
    this.categories = [];
    this.notesAtRisk = false; // since the last download with them
    this.reset(null);
  }

  reset(token) {
    this.token = token;
    this.notesAtRisk = false;
    this.cards = new Map();
    this.find("cards").replaceChildren();
    this.hideResults();
    this.find("patient-value").textContent = "–";
    this.find("patient-decision").textContent = "";
    this.find("patient-support").textContent = token ? "Analysis has begun." : "Nothing analysed yet.";
    this.find("nodules-count").textContent = "";
    this.find("brief").textContent = token ? "" : "Each nodule found gets a card.";
  }

  show({ patient, nodules, brief }, ended) {
    this.write("patient-value", patient.text);
    this.write("patient-decision", patient.nodules || ended ? patient.decision : "");
    this.find("patient-decision").dataset.decision = patient.decision;
    this.write("patient-support", patient.nodules
      ? `Nodule ${patient.top} reaches ${patient.top_text} in ${counted(patient.frames, "frame")}` +
        (patient.decision === "undecided" ? `, too few to be called malignant (from ${patient.threshold_text} on) or benign. ` : `: called malignant from ${patient.threshold_text} on. `) +
        `${patient.suspicious} of ${counted(patient.nodules, "nodule")} called malignant.`
      : patient.rejected
        ? `Nothing was looked for in ${patient.rejected}.`
        : `${brief || !ended ? "No nodule has lasted long enough to count" : "No nodule was found"}. Threshold ${patient.threshold_text}.`);
    this.write("nodules-count", nodules.length ? String(nodules.length) : "");
    this.write("brief", brief ? `${counted(brief, "brief finding")} not counted.` : "");
    const held = new Set(nodules.map((nodule) => nodule.track));
    for (const [track, card] of this.cards) {
      if (held.has(track)) continue;
      card.article.remove();
      this.cards.delete(track);
    }
    for (const nodule of nodules) this.showNodule(nodule);
  }

  // What was seen until an analysis failed is no result; what the reader has written stays to be copied.
  showFailure() {
    this.write("patient-value", "–");
    this.write("patient-decision", "");
    this.write("patient-support", "The analysis failed: there is no result.");
  }

  hideResults() {
    this.find("results").hidden = this.find("to-results").hidden = true;
  }

  write(name, text) {
    const place = this.find(name);
    if (place.textContent !== text) place.textContent = text; // screen readers repeat what is written again
  }

  showNodule(nodule) {
    if (!this.cards.has(nodule.track)) this.cards.set(nodule.track, this.makeCard(nodule));
    const card = this.cards.get(nodule.track);
    card.key = nodule.key;
    card.value.textContent = nodule.max_text;
    card.facts.textContent =
      `median ${nodule.median_text}, ${counted(nodule.frames, "frame")}, malignant from ${nodule.threshold_text}\n${nodule.size_text}\n${nodule.key_text}`;
    if (card.portraitOf !== nodule.key) {
      card.portraitOf = nodule.key;
      this.loadPortrait(card, nodule.track);
    }
  }

  async loadPortrait(card, track) {
    const token = this.token;
    const jpeg = await this.load(`nodules/${track}`).catch(() => null);
    if (token === this.token && jpeg) showJpeg(card.picture, jpeg);
  }

  makeCard(nodule) {
    const make = (tag, properties, ...children) => {
      const made = Object.assign(document.createElement(tag), properties);
      made.append(...children);
      return made;
    };
    const name = `Nodule ${nodule.track}`;
    const picture = make("img", { alt: "", width: 76, height: 76 });
    const value = make("b", { title: "highest malignancy probability" });
    const facts = make("div", { className: "facts" });
    facts.style.whiteSpace = "pre-line";
    const portrait = make("button", { type: "button", className: "portrait", title: "Go to its key frame" }, picture);
    portrait.setAttribute("aria-label", `${name}: go to its key frame`);
    const heat = make("button", { type: "button", textContent: "Heat map",
      title: "What in the frame in view raised this nodule's malignancy" });
    heat.setAttribute("aria-label", `${name}: heat map of the frame in view`);
    heat.setAttribute("aria-pressed", "false");
    const told = make("span", {});
    told.setAttribute("role", "status");
    const tell = (text, kind) => {
      told.dataset.kind = kind;
      told.textContent = text;
      setTimeout(() => { if (told.textContent === text) told.textContent = ""; }, TOLD_MS);
    };
    const category = make("select", {}, make("option", { value: "", textContent: "C-TIRADS" }),
      ...this.categories.map((value) => make("option", { value, textContent: `C-TIRADS ${value}` })));
    category.setAttribute("aria-label", `C-TIRADS of nodule ${nodule.track}`);
    const note = make("textarea", { rows: 1, maxLength: 4000, placeholder: "Reader's note" });
    note.setAttribute("aria-label", `Reader's note on nodule ${nodule.track}`);
    const article = make("article", { className: "card" },
      portrait, make("div", { className: "head" }, make("span", { textContent: name }), value), facts,
      make("div", { className: "ask" }, heat, told), make("div", { className: "reader" }, category, note));
    article.style.setProperty("--colour", nodule.colour);
    article.dataset.track = nodule.track;
    const card = { article, picture, value, facts, key: nodule.key, portraitOf: null };
    portrait.addEventListener("click", () => this.onSeek(card.key));
    heat.addEventListener("click", async () => {
      heat.disabled = true;
      try {
        await this.onHeat(heat, nodule.track);
      } catch (error) {
        tell(error.message, "error");
      }
      heat.disabled = false;
    });
    const token = this.token;
    const save = async () => {
      clearTimeout(card.timer);
      try {
        this.saving = this.ask("note", token, nodule.track, category.value, note.value);
        this.notesAtRisk = true;
        await this.saving;
        article.dataset.saved = note.value;
        tell("Saved in the report", "note");
      } catch (error) {
        note.setCustomValidity(error.message);
        note.reportValidity();
      }
    };
    category.addEventListener("change", save);
    note.addEventListener("change", save);
    note.addEventListener("input", () => {
      note.setCustomValidity("");
      clearTimeout(card.timer);
      card.timer = setTimeout(save, NOTE_PAUSE_MS);
    });
    const before = [...this.find("cards").children].find((other) => Number(other.dataset.track) > nodule.track);
    this.find("cards").insertBefore(article, before || null);
    return card;
  }

  // Links to all files, the archive, and the overlay videos to be played here.
  showResults(files, line) {
    const token = this.token;
    const address = (name) => `${this.analysis(token)}/files/${encodeURIComponent(name)}`;
    const links = files.map(({ name, bytes }) => {
      const link = document.createElement("a");
      link.className = "button";
      link.href = address(name);
      link.download = name;
      link.textContent = name;
      if (name.startsWith("report.")) link.addEventListener("click", () => { this.notesAtRisk = false; });
      link.title = bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
      return link;
    }).filter((link) => !link.download.endsWith(".png")); // the page and the archive hold the pictures
    const all = document.createElement("button");
    all.type = "button";
    all.textContent = "All as ZIP";
    all.addEventListener("click", async () => {
      all.disabled = true;
      await this.saving?.catch(() => {}); // a note that was being written when the button was pressed
      const answer = await this.ask("archive", token).catch((error) => ({ error }));
      all.disabled = false;
      if (answer.error) this.find("results-line").textContent = answer.error.message;
      if (!answer.name) return;
      const link = document.createElement("a");
      link.href = address(answer.name);
      link.download = answer.name;
      link.click();
      this.notesAtRisk = false;
    });
    this.find("files").replaceChildren(...links, all);
    this.find("videos").replaceChildren(...files.filter(({ name }) => name.endsWith(".mp4")).map(({ name }) => {
      const video = document.createElement("video");
      video.controls = true;
      video.preload = "metadata";
      video.src = `${address(name)}?watched=1`;
      video.setAttribute("aria-label", `Overlay video ${name}`);
      return video;
    }));
    this.find("results-line").textContent = line;
    this.find("results").hidden = this.find("to-results").hidden = files.length === 0;
  }
}
