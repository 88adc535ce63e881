// The reading room: follows one analysis, plays it at the clip's pace, and goes to any frame already analysed.
const find = (name) => element.querySelector(`[data-id="${name}"]`);
const room = element.querySelector(".room");
const LOOK_AHEAD = 6; // frames fetched before they are due
const CATCH_UP = 6; // frames
const STATUS_MS = 250; // between two questions for the state of the analysis
const RETRY_MS = 1000; // after which a server that did not answer is asked again
const ROWS_A_STATUS = 600;
const REPLACING = ["start", "demo", "camera", "recorded"]; // questions after which the last analysis is gone
const EDGE = 2; // frames from the newest one that still count as following the analysis

// Ask the server; its complaint becomes an error.
const ask = async (question, ...values) => {
  const replacing = REPLACING.includes(question);
  if (replacing) halt();
  const answer = await server[question](values).catch((error) => ({ error: error.message || "the server does not answer" }));
  if (replacing && !answer?.token) resume();
  if (!answer) throw new Error("the server does not answer");
  if (answer.error) throw new Error(answer.error);
  return answer;
};

// Of the analysis followed: its state as JSON, or a picture; the server's complaint becomes an error.
const get = (path) => request(`${frames.address}/${path}`, { signal: frames.stopping.signal });
const load = async (path) => {
  const answer = await get(path);
  return answer.status === 200 ? answer.blob() : null;
};

const seekTo = (position) => { pause(); goTo(position); };
const pictures = new Pictures();
const frames = new Frames(pictures, (...come) => receive(...come));
const timeline = new Timeline(find("timeline"), seekTo);
const pace = new Pace();
const heat = new HeatView(find("heat"), load);
const showHeat = async (button, track) => {
  if (!job) return;
  const at = shown < 0 ? position : shown;
  seekTo(at);
  await heat.toggle(button, track, at);
};
const panels = new Panels(find, ask, load, (token) => addressOf(session, token), seekTo, showHeat);
let session = ""; // this page's name
let job = null; // the analysis followed: token, live, and what was last heard of it
let early = new Map(); // rows that came before those ahead of them, by position
let found = new Map(); // when the analysis had a frame, by the page's clock, as it was told with its first picture
let playing = false, looping = false;
let position = -1, seconds = 0; // the frame to be shown, and the time in the study that playback has reached
let shown = -1, fetched = -1; // the frame on the screen, and the last one that came
let latency = null; // from the networks' answer to the screen in ms; null while the analysis is not being followed live
let halted = false, wake = () => {};

const view = () => {
  const drawn = ["boxes", "contours", "labels", "heatmap"].map((name) => `${name}=${Number(find(name).checked)}`);
  return [...drawn, `opacity=${find("original").checked ? 0 : Number(find("opacity").value) / 100}`].join("&");
};
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
const input = new Input(find, ask, upload, (answer, live) => follow(answer.token, live), say, mayLose,
  (token) => addressOf(session, token));
input.show("empty", false);

const follow = async (token, live) => {
  job = input.job = { token, live, state: "waiting", version: 0, clips: [], since: performance.now() };
  frames.begin(addressOf(session, token), !live);
  halted = false;
  pictures.clear();
  early = new Map();
  found = new Map();
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
    const seen = timeline.times.length, asked = performance.now();
    let answer = null, lost = false;
    try {
      if (!halted) answer = await (await get(`status?seen=${seen}&version=${job.version}`)).json();
    } catch (error) {
      lost = job === current && !halted && error.name !== "AbortError";
      if (lost && error.refused) fail(error.message);
    }
    if (job !== current) return;
    if (lost) say("The server does not answer; trying again");
    if (answer) {
      frames.took(performance.now() - asked);
      frames.resume();
      take(answer, seen);
      fetchMore();
    }
    if (answer?.rows.length === ROWS_A_STATUS) continue;
    await new Promise((resolve) => {
      wake = resolve;
      if (lost) setTimeout(resolve, RETRY_MS);
      else if (halted || busy() || !complete()) setTimeout(resolve, STATUS_MS);
    });
  }
};

// While the server replaces the analysis by another one, nothing is asked of it; the one that follows begins anew.
const halt = () => {
  halted = true;
  frames.halt();
};
const resume = () => {
  halted = false;
  frames.resume();
  wake();
};

// True once there is nothing more to come of the analysis.
const complete = () => timeline.times.length >= job.frames;

// The frames to ask for: the one in view first, then those that will be due, up to those about to be analysed.
const wants = () => {
  const known = timeline.times.length;
  const coming = busy() ? frames.ahead(job.rate || 0) : 0;
  const first = job.live ? known : Math.max(position, 0);
  const last = Math.min(playing || job.live ? first + LOOK_AHEAD : first, known + coming - 1);
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, number) => first + number);
};
const fetchMore = () => {
  if (job && !halted) frames.want(wants(), view);
};

// Rows of the frames from `start` on: they come with pictures as well as with the state of the analysis, in any order.
const learn = (rows, start) => {
  rows.forEach((row, number) => early.set(start + number, row));
  for (let next = timeline.times.length; early.has(next); next += 1) timeline.add(early.get(next));
  for (const known of early.keys()) if (known < timeline.times.length) early.delete(known);
};

// A picture has come, asked for as that of `wanted`; or none has, and another may be asked for.
const receive = (wanted, headers, jpeg, generation) => {
  if (!headers) {
    if (frames.failing) setTimeout(() => wake(), RETRY_MS);
    else if (frames.waiting) wake();
    else fetchMore();
    return;
  }
  const at = Number(headers.get("X-Streamer-Position")), age = headers.get("X-Streamer-Age-Ms");
  const rows = JSON.parse(headers.get("X-Streamer-Rows") || "[]");
  learn(rows, wanted);
  if (rows.some(([clip]) => clip >= job.clips.length)) wake(); // of a clip that has just begun
  if (!found.has(at)) found.set(at, age === null ? null : performance.now() - Number(age)); // one that came before tells an old age
  pace.add(at, timeline.times[at], found.get(at));
  pictures.add(at, jpeg, found.get(at), generation).catch(() => say("a picture cannot be shown", "error"));
  if (!playing) fetched = at;
};

const take = (answer, seen) => {
  const before = job.state;
  Object.assign(job, answer, { clips: answer.clips || [{ name: "camera", begins_s: 0 }] });
  learn(answer.rows, seen);
  timeline.clips = job.clips;
  if (answer.panels) {
    job.version = answer.panels.version;
    timeline.nodules = answer.panels.nodules;
    timeline.threshold = answer.panels.patient.threshold;
    const { nodules, top, threshold_text } = answer.panels.patient;
    timeline.thresholdText = nodules > 1 ? `${threshold_text} (nodule ${top})` : threshold_text;
    timeline.dirty = true;
    job.panels = answer.panels;
  }
  if (job.state === "failed") panels.showFailure();
  else if (job.panels && (answer.panels || job.state !== before)) panels.show(job.panels, !busy());
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
  const line = `${counted(job.frames, "frame")}; ${found}` + (job.state === "stopped" ? "; stopped early: a partial report" : "") +
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
  panels.hideResults(); // its files are gone as well
  input.show("empty", false);
  say(text, "error");
};

const goTo = (wanted) => {
  if (!job || job.live || !timeline.times.length) return;
  pace.following = false;
  position = Math.min(Math.max(wanted, 0), timeline.times.length - 1);
  seconds = timeline.times[position];
  shown = -1;
  fetchMore();
};
const pause = () => { playing = pace.following = false; };
const play = () => {
  if (!job || job.live) return;
  if (position >= timeline.times.length - 1 && !busy()) goTo(0);
  playing = true;
  shown = -1;
  fetchMore();
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
  } else if (due > position && shown >= position) {
    position += 1; // every frame in turn, however late its picture, unless the screen has fallen far behind
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
  const { bitmap, found: since } = pictures.byPosition.get(at);
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  shown = at;
  canvas.dataset.position = at;
  const following = busy() && since !== null && timeline.times.length - 1 - at <= EDGE;
  latency = following ? (latency ?? performance.now() - since) * 0.8 + (performance.now() - since) * 0.2 : null;
};

let described = "";
const describe = () => {
  const at = timeline.times[shown];
  if (at === undefined || !job.clips.length) {
    if (described) find("line").textContent = described = "";
    return;
  }
  const [number, frame, time] = timeline.places[shown];
  const clip = job.clips[number] || job.clips.at(-1);
  const rate = job.rate ? `analysed ${job.rate.toFixed(1)} fps` + (clip.fps ? ` (clip ${clip.fps})` : "") : "";
  const last = job.live
    ? `latency ${Math.max(0, Math.round(1000 * (input.camera.now() - at)))} ms · dropped ${job.dropped + (input.camera.skipped || 0)}`
    : latency === null || !busy() ? "" : `latency ${Math.round(latency)} ms`;
  const parts = [`frame <b>${frame}</b>`, `<b>${clockText(time)}</b>`, rate, last].filter(Boolean);
  const text = parts.join(" · ");
  if (text === described) return;
  described = text;
  find("line").innerHTML = text; // numbers only
  find("frame").setAttribute("aria-label", `Frame ${frame} of ${clip.name}`);
  const slider = find("timeline");
  slider.setAttribute("aria-valuemax", timeline.times.length - 1);
  slider.setAttribute("aria-valuenow", shown);
  slider.setAttribute("aria-valuetext", `frame ${frame}, ${clockText(time)}`);
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
    fetchMore();
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
    frames.forget();
    shown = fetched = -1;
    fetchMore();
  });
}

const keys = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), " ": toggle, l: toggleLoop,
  Home: () => seekTo(0), End: () => seekTo(timeline.times.length - 1),
};
const hidden = () => !room.getClientRects().length; // the other modality is shown
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=checkbox]), select, textarea, video, [role=tab]");
  const pressing = event.key === " " && event.target.closest?.("button, a, input");
  if (!keys[event.key] || typing || pressing || !job || hidden() || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  keys[event.key]();
});

ask("welcome").then(({ session: name, device, c_tirads, notice }) => {
  session = name;
  bePresentAs(name, () => panels.notesAtRisk || recordingAtRisk(), halt, () => wake());
  find("device").textContent = device;
  find("notice").title = notice;
  panels.categories = c_tirads;
}).catch((error) => say(error.message, "error"));
