// What is to be analysed: clips that are chosen or dropped, the demo clip, or a camera.
class Input {
  constructor(find, ask, uploadFile, follow, say, mayLose, addressOf) {
    Object.assign(this, { find, ask, uploadFile, follow, say, mayLose, addressOf, clips: [], job: null });
    this.camera = new Camera(find("camera-video"));
    this.connectTabs();
    this.connectClips();
    this.connectCamera();
  }

  // Show what can be pressed in the state that the job is in.
  show(state, live) {
    const busy = state === "waiting" || state === "running";
    this.find("analyse").disabled = (busy && !live) || !this.clips.length || this.clips.some((clip) => !clip.path);
    this.find("stop").disabled = !busy || live;
    this.find("demo").disabled = busy && !live;
    const filming = busy && live;
    this.find("camera-start").disabled = busy;
    this.find("camera-stop").disabled = this.find("camera-record").disabled = !filming;
    if (!filming) {
      this.camera.close();
      this.find("camera-record").setAttribute("aria-pressed", "false");
    }
    for (const name of ["back", "play", "forward", "loop"]) this.find(name).disabled = live || state === "empty" || state === "failed";
    this.find("camera-video").style.display = filming ? "block" : "none";
    this.state = state;
    this.live = live;
  }

  // Run an action of the user; what goes wrong becomes one line.
  async try(action) {
    try {
      await action();
    } catch (error) {
      this.say(error.message, "error");
    }
  }

  connectTabs() {
    const tabs = [...this.find("choose").closest(".room").querySelectorAll("[role=tab]")];
    const select = (chosen) => {
      for (const tab of tabs) {
        tab.setAttribute("aria-selected", String(tab === chosen));
        tab.tabIndex = tab === chosen ? 0 : -1;
        document.getElementById(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
      }
    };
    for (const tab of tabs) {
      tab.addEventListener("click", () => select(tab));
      tab.addEventListener("keydown", (event) => {
        if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
        const other = tabs[1 - tabs.indexOf(tab)];
        select(other);
        other.focus();
        event.stopPropagation();
      });
    }
  }

  connectClips() {
    const stage = this.find("stage");
    const room = stage.closest(".room");
    room.addEventListener("dragover", (event) => { event.preventDefault(); stage.classList.add("over"); });
    room.addEventListener("dragleave", (event) => { if (!room.contains(event.relatedTarget)) stage.classList.remove("over"); });
    room.addEventListener("drop", (event) => {
      event.preventDefault();
      stage.classList.remove("over");
      this.drop(event.dataTransfer);
    });
    this.find("choose").addEventListener("change", (event) => {
      this.choose([...event.target.files]);
      event.target.value = "";
    });
    this.find("choose-folder").addEventListener("change", (event) => {
      const inside = [...event.target.files].filter(({ webkitRelativePath }) => webkitRelativePath.split("/").length === 2);
      if (inside.length) this.chooseFolder(inside[0].webkitRelativePath.split("/")[0], inside);
      event.target.value = "";
    });
    this.find("demo").addEventListener("click", () => this.try(async () => {
      if (!this.mayLose()) return;
      this.say("Preparing the demo clip", "note");
      this.follow(await this.ask("demo"), false);
    }));
    this.find("analyse").addEventListener("click", () => this.try(async () => {
      if (!this.mayLose()) return;
      const paths = this.clips.map((clip) => clip.path);
      this.follow(await this.ask("start", paths, this.find("patient").value), false);
    }));
  }

  // Files are clips; of a folder the files directly inside count.
  drop({ items }) {
    const entries = [...items].map((item) => item.webkitGetAsEntry()).filter(Boolean); // gone once the event is over
    const file = (entry) => new Promise((done, failed) => entry.file(done, failed));
    for (const entry of entries) this.try(async () => {
      if (entry.isFile) this.choose([await file(entry)]);
      if (!entry.isDirectory) return;
      const reader = entry.createReader(), inside = [];
      for (let part = null; !part || part.length;) {
        part = await new Promise((done, failed) => reader.readEntries(done, failed)); // a hundred at a time
        inside.push(...part);
      }
      await this.chooseFolder(entry.name, await Promise.all(inside.filter(({ isFile }) => isFile).map(file)));
    });
  }

  // A folder of stills is one clip, in the order of their names; any other is as many clips as it has files.
  async chooseFolder(name, files) {
    const seen = files.filter((file) => !file.name.startsWith("."));
    if (!seen.length) return this.say(`${name} is empty`, "error");
    if (!seen.every(({ type }) => type.startsWith("image/"))) return this.choose(seen);
    const clip = { name, path: null, progress: "" };
    this.clips.push(clip);
    await this.try(async () => {
      const stills = [];
      try {
        for (const file of seen) {
          clip.progress = `${stills.length} of ${seen.length}`;
          this.listClips();
          const { path } = await this.uploadFile(file);
          await this.ask("claim", path);
          stills.push(path);
        }
        clip.path = { name, stills };
      } catch (error) {
        this.clips.splice(this.clips.indexOf(clip), 1);
        throw new Error(`${name} cannot be uploaded: ${error.message}`);
      } finally {
        this.listClips();
      }
    });
  }

  choose(files) {
    if (this.state !== "waiting" && this.state !== "running") this.say("");
    for (const file of files) {
      const clip = { name: file.name, path: null };
      this.clips.push(clip);
      this.try(async () => {
        try {
          const { path } = await this.uploadFile(file);
          await this.ask("claim", path);
          clip.path = path;
        } catch (error) {
          this.clips.splice(this.clips.indexOf(clip), 1);
          throw new Error(`${file.name} cannot be uploaded: ${error.message}`);
        } finally {
          this.listClips();
        }
      });
    }
    this.listClips();
  }

  listClips() {
    this.find("chosen").replaceChildren(...this.clips.map((clip) => {
      const item = document.createElement("li");
      const name = Object.assign(document.createElement("span"), { textContent: clip.name, title: clip.name });
      const state = Object.assign(document.createElement("small"), { textContent: clip.path ? "" : `uploading ${clip.progress ?? ""}` });
      const remove = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
      remove.setAttribute("aria-label", `Leave out ${clip.name}`);
      remove.addEventListener("click", () => {
        this.clips.splice(this.clips.indexOf(clip), 1);
        this.listClips();
      });
      item.append(name, state, remove);
      return item;
    }));
    this.show(this.state, this.live);
  }

  connectCamera() {
    const token = () => this.job.token;
    this.find("camera-start").addEventListener("click", () => this.try(async () => {
      if (!this.mayLose()) return;
      await this.camera.open(this.find("devices").value);
      const job = await this.ask("camera");
      this.follow(job, true);
      this.camera.send(this.addressOf(job.token), (error) => this.say(error.message, error.refused ? "error" : "note"));
      const devices = await this.camera.devices();
      this.find("devices").replaceChildren(...devices.map(({ deviceId, label }) => new Option(label || "camera", deviceId)));
    }));
    this.find("camera-record").addEventListener("click", () => this.try(async () => {
      const on = this.find("camera-record").getAttribute("aria-pressed") !== "true";
      await this.ask("record", token(), on, this.camera.now());
      this.find("camera-record").setAttribute("aria-pressed", String(on));
    }));
    this.find("camera-stop").addEventListener("click", () => this.try(async () => {
      this.camera.close();
      await this.takeRecording(this.job);
    }));
  }

  // Analyse what was recorded, however the camera came to its end.
  async takeRecording(job) {
    if (job.taken) return;
    job.taken = true;
    const recorded = await this.ask("recorded", job.token);
    if (recorded.token) this.follow(recorded, false);
  }
}
