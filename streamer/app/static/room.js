// The reading room: follows one analysis, plays it at the clip's pace, and goes to any frame already analysed.
const find = (name) => element.querySelector(`[data-id="${name}"]`);
const room = element.querySelector(".room");
const LOOK_AHEAD = 6; // frames fetched before they are due
const A_PULL = 3; // of them in one request
const CATCH_UP = 6; // frames
const IDLE_MS = 250;
const EDGE = 2; // frames from the newest one that still count as following the analysis

// Ask the server; its complaint becomes an error.
const ask = async (question, ...values) => {
  const answer = await server[question](values);
  if (!answer) throw new Error("the server does not answer");
  if (answer.error) throw new Error(answer.error);
  return answer;
};

const seekTo = (position) => { pause(); goTo(position); };
const pictures = new Pictures();
const timeline = new Timeline(find("timeline"), seekTo);
const pace = new Pace();
const heat = new HeatView(find("heat"), ask);
const showHeat = async (button, track) => {
  if (!job) return;
  const at = shown < 0 ? position : shown;
  seekTo(at);
  await heat.toggle(button, job.token, track, at);
};
const panels = new Panels(find, ask, seekTo, showHeat);
let job = null; // the analysis followed: token, live, and what the last pull said of it
let playing = false, looping = false;
let position = -1, seconds = 0; // the frame to be shown, and the time in the study that playback has reached
let shown = -1, fetched = -1; // the frame on the screen, and the last one that came
let latency = null; // from the networks' answer to the screen in ms; null while the analysis is not being followed live
let wake = () => {};

const view = () => [
  find("boxes").checked, find("contours").checked, find("labels").checked,
  find("original").checked ? 0 : Number(find("opacity").value) / 100, find("heatmap").checked,
];
const busy = () => job !== null && (job.state === "waiting" || job.state === "running");

const say = (text, kind = "note") => {
  const banner = find("banner");
  if (banner.textContent !== text) banner.textContent = text;
  banner.dataset.kind = kind;
  banner.hidden = !text;
};

const mayLoseNotes = () => !panels.notesAtRisk ||
  confirm("Your notes on this study have not been downloaded, and are lost with it. Start another one?");
const recordingAtRisk = () => Boolean(job?.live && (job.recording || job.recorded));
const mayLose = () => mayLoseNotes() && (!recordingAtRisk() ||
  confirm("What the camera has recorded has not been analysed, and is lost. Start another one?"));
const input = new Input(find, ask, upload, (answer, live) => follow(answer.token, live), say, mayLose);
input.show("empty", false);

const follow = async (token, live) => {
  job = input.job = { token, live, state: "waiting", version: 0, clips: [], since: performance.now() };
  pictures.clear();
  timeline.reset();
  pace.reset();
  panels.reset(token);
  heat.hide();
  say("");
  playing = true;
  position = shown = fetched = -1;
  seconds = 0;
  latency = null;
  const current = job;
  input.show(job.state, live);
  while (job === current) {
    const wanted = wants();
    const { generation } = pictures;
    let answer;
    try {
      answer = await ask("pull", token, timeline.times.length, wanted, view(), job.version);
    } catch (error) {
      if (job === current) fail(error.message || "the server does not answer");
      return;
    }
    if (job !== current) return;
    take(answer, generation);
    if (answer.pictures.length || (wanted.length && job.state === "running")) continue;
    await new Promise((resolve) => {
      wake = resolve;
      if (busy() || !complete()) setTimeout(resolve, IDLE_MS);
    });
  }
};

// True once there is nothing more to come of the analysis.
const complete = () => timeline.times.length >= job.frames;

// The frames to ask for: the one in view first, then those that will be due, up to the one being analysed.
const wants = () => {
  if (job.live) return busy() ? [timeline.times.length] : [];
  const first = Math.max(position, 0);
  const last = playing ? Math.min(first + LOOK_AHEAD, timeline.times.length - (busy() ? 0 : 1)) : first;
  const missing = [];
  for (let candidate = first; candidate <= last && missing.length < A_PULL; candidate += 1) {
    if (!pictures.hasOrAwaits(candidate)) missing.push(candidate);
  }
  if (!busy() && timeline.times.length === 0) return [];
  return missing;
};

const take = (answer, generation) => {
  const before = job.state;
  Object.assign(job, answer, { clips: answer.clips || [{ name: "camera", begins_s: 0 }] });
  for (const row of answer.rows) timeline.add(row);
  timeline.clips = job.clips;
  if (answer.panels) {
    job.version = answer.panels.version;
    timeline.nodules = answer.panels.nodules;
    timeline.threshold = answer.panels.patient.threshold;
    timeline.thresholdText = answer.panels.patient.threshold_text;
    timeline.dirty = true;
    job.panels = answer.panels;
  }
  if (job.panels && (answer.panels || job.state !== before)) panels.show(job.panels, !busy());
  const now = performance.now();
  for (const [at, jpeg, age] of answer.pictures) {
    const found = age === null ? null : now - age;
    pace.add(at, timeline.times[at], found);
    pictures.add(at, jpeg, found, generation).catch(() => say("a picture cannot be shown", "error"));
  }
  if (answer.pictures.length) fetched = answer.pictures[0][0];
  room.dataset.state = timeline.times.length ? job.state : "empty";
  find("empty").hidden = timeline.times.length > 0 || busy();
  if (job.state === "waiting" && performance.now() - job.since > 400) say(`Waiting: place ${job.place} in the queue`);
  else if (job.state === "running" && !timeline.times.length) say("Opening the clip");
  else if (job.state === "running" && job.reporting) say("Writing the report");
  else if (job.state === "failed") say(job.failure, "error");
  else if (find("banner").dataset.kind === "note") say("");
  input.show(job.state, job.live);
  if (job.state !== before && !busy()) finish();
};

const finish = () => {
  const patient = job.panels?.patient;
  const found = patient?.nodules ? `maximum ${patient.text}, ${patient.decision}` : "no nodule";
  const line = `${job.frames} frames; ${found}` + (job.state === "stopped" ? "; stopped early: a partial report" : "") +
    job.clips.flatMap(({ warnings = [] }) => warnings).map((warning) => `; ${warning}`).join("");
  if (job.files) panels.showResults(job.files, line);
  if (job.live || job.state === "failed") playing = false;
  if (job.live && job.state !== "failed") input.try(() => input.takeRecording(job));
};
find("to-results").addEventListener("click", (event) => {
  event.preventDefault(); // the address stays as it is
  find("results").scrollIntoView({ behavior: "smooth" });
});

const fail = (text) => {
  job = input.job = null;
  input.show("empty", false);
  say(text, "error");
};

const goTo = (wanted) => {
  if (!job || job.live || !timeline.times.length) return;
  pace.following = false;
  position = Math.min(Math.max(wanted, 0), timeline.times.length - 1);
  seconds = timeline.times[position];
  shown = -1;
  wake();
};
const pause = () => { playing = pace.following = false; };
const play = () => {
  if (!job || job.live) return;
  if (position >= timeline.times.length - 1 && !busy()) goTo(0);
  playing = true;
  shown = -1;
  wake();
};

// Playback follows the clock of the clip, waits where the analysis has not come further, and makes up for lost time (Pace).
const advance = (elapsed_s) => {
  const last = timeline.times.length - 1;
  if (last < 0) return;
  if (job.live) {
    position = last;
    return;
  }
  if (!playing) return;
  seconds += elapsed_s;
  if (busy()) seconds += pace.makeUp(seconds, elapsed_s, performance.now());
  if (seconds >= timeline.span() && !busy() && complete() && shown >= last) {
    if (looping) goTo(0);
    else pause();
    return;
  }
  if (busy() && seconds > timeline.times[last]) seconds = timeline.times[last];
  const due = timeline.positionAt(seconds);
  if (due > position + CATCH_UP || due < position) {
    position = due;
    wake();
  } else if (due > position && shown >= position) {
    position += 1; // every frame in turn, however late its picture, unless the screen has fallen far behind
    wake();
  }
};

const draw = () => {
  if (position < 0) return;
  let at = playing || job.live ? pictures.latest(position, shown) : -1;
  if (!playing && !job.live && shown !== position) {
    if (pictures.has(position)) at = position;
    else if (fetched !== shown && pictures.has(fetched)) at = fetched;
  }
  if (at < 0) return;
  const canvas = find("frame");
  const { bitmap, found } = pictures.byPosition.get(at);
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  shown = at;
  canvas.dataset.position = at;
  const following = busy() && found !== null && timeline.times.length - 1 - at <= EDGE;
  latency = following ? (latency ?? performance.now() - found) * 0.8 + (performance.now() - found) * 0.2 : null;
};

let described = "";
const describe = () => {
  const at = timeline.times[shown];
  if (at === undefined) {
    if (described) find("line").textContent = described = "";
    return;
  }
  const clip = job.clips.findLast(({ begins_s }) => begins_s <= at) || job.clips[0];
  const frame = job.live ? shown : shown - timeline.positionAt(clip.begins_s);
  const rate = `analysed ${job.rate.toFixed(1)} fps` + (clip.fps ? ` (clip ${clip.fps})` : "");
  const last = job.live
    ? `latency ${Math.max(0, Math.round(1000 * (input.camera.now() - at)))} ms · dropped ${job.dropped + (input.camera.skipped || 0)}`
    : latency === null || !busy() ? "" : `latency ${Math.round(latency)} ms`;
  const parts = [`frame <b>${frame}</b>`, `<b>${clockText(at - clip.begins_s)}</b>`, rate, last].filter(Boolean);
  const text = parts.join(" · ");
  if (text === described) return;
  described = text;
  find("line").innerHTML = text; // numbers only
  find("frame").setAttribute("aria-label", `Frame ${frame} of ${clip.name}`);
  const slider = find("timeline");
  slider.setAttribute("aria-valuemax", timeline.times.length - 1);
  slider.setAttribute("aria-valuenow", shown);
  slider.setAttribute("aria-valuetext", `frame ${frame}, ${clockText(at - clip.begins_s)}`);
};

const showPlaying = () => {
  const button = find("play");
  button.dataset.playing = playing;
  button.textContent = playing ? "❚❚" : "▶︎";
  button.setAttribute("aria-label", playing ? "Pause" : "Play");
};

let before = performance.now();
const tick = (now) => {
  if (!element.isConnected) return;
  if (job) {
    advance(Math.max(0, now - before) / 1000);
    draw();
    heat.follow(shown, playing);
    describe();
  }
  timeline.draw(shown);
  if (find("play").dataset.playing !== String(playing)) showPlaying();
  before = now;
  requestAnimationFrame(tick);
};
requestAnimationFrame(tick);

const step = (by) => { pause(); goTo((shown < 0 ? position : shown) + by); };
const toggle = () => (playing ? pause() : play());
const toggleLoop = () => {
  looping = !looping;
  find("loop").setAttribute("aria-pressed", String(looping));
};
find("back").addEventListener("click", () => step(-1));
find("forward").addEventListener("click", () => step(1));
find("play").addEventListener("click", toggle);
find("loop").addEventListener("click", toggleLoop);
find("stop").addEventListener("click", () => input.try(() => ask("stop", job.token)));
for (const name of ["boxes", "contours", "labels", "heatmap", "original", "opacity"]) {
  find(name).addEventListener("input", () => {
    pictures.clear();
    shown = fetched = -1;
    wake();
  });
}

const keys = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), " ": toggle, l: toggleLoop,
  Home: () => seekTo(0), End: () => seekTo(timeline.times.length - 1),
};
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea, video, [role=tab]");
  const pressing = event.key === " " && event.target.closest?.("button, a");
  if (!keys[event.key] || typing || pressing || !job || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  keys[event.key]();
});

ask("welcome").then(({ session, device, c_tirads, notice }) => {
  sayGoodbyeAs(session, () => panels.notesAtRisk || recordingAtRisk());
  find("device").textContent = device;
  find("notice").title = notice;
  panels.categories = c_tirads;
}).catch((error) => say(error.message, "error"));
