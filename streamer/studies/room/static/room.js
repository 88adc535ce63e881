'use strict';
// The reading room: keys first; nothing is kept here that the server does not have.

const byId = id => document.getElementById(id);
const SCREENS = ['login', 'elsewhere', 'ready', 'waiting', 'finished', 'progress', 'reading'];
let room = null;      // what the server last said
let here = null;      // name of this window, which alone may answer
let current = 0;      // number of the image in view
let overlaid = false; // whether its overlay is shown
let begun = 0;        // scenario whose instructions were read
let busy = false;     // an answer is on its way

class Refused extends Error {
  constructor(status, answer) { super(answer.error || 'the server did not answer'); this.status = status; this.answer = answer; }
}

async function ask(path, body) {
  const headers = {'X-Window': here || ''};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(path, {method: body === undefined ? 'GET' : 'POST', headers,
      body: body === undefined ? undefined : JSON.stringify(body)});
  } catch {
    throw new Refused(0, {error: 'The server cannot be reached. What was marked as answered is stored; try again.'});
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}

function show(screen) {
  for (const id of SCREENS) byId(id).hidden = id !== screen;
  byId('logout').hidden = screen === 'login';
  if (screen !== 'reading') byId('clip').pause();
}

function tell(text) {
  byId('message').hidden = !text;
  byId('message').textContent = text || '';
}

async function attempt(work) {
  try {
    tell('');
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) { here = null; show('login'); byId('name').focus(); }
    else if (error.answer.elsewhere) show('elsewhere');
    else if (error.answer.closed) accept(await ask('api/state'));
    else tell(error.message);
  }
}

async function welcome() {
  const answer = await ask('api/welcome');
  byId('who').textContent = answer.name;
  if (answer.administrator) { await progress(); return; }
  await enter();
}

async function enter() {
  const answer = await ask('api/enter', {});
  here = answer.window;
  accept(answer);
}

async function progress() {
  const answer = await ask('api/progress');
  byId('title').textContent = answer.title;
  byId('rows').replaceChildren(...answer.rows.map(row => {
    const line = document.createElement('tr');
    const day = text => text ? new Date(text).toLocaleString() : '';
    for (const value of [row.reader, row.group, row.scenario, `${row.closed} of ${row.cases}`, day(row.last), day(row.opens)]) {
      const cell = document.createElement('td');
      cell.textContent = value;
      line.append(cell);
    }
    return line;
  }));
  show('progress');
}

function accept(state) {
  room = state;
  current = Math.max(0, state.images.findIndex(image => !image.rating));
  overlaid = false;
  byId('title').textContent = state.title;
  byId('who').textContent = state.reader;
  byId('notice').textContent = state.notice;
  if (state.phase === 'waiting') {
    byId('opens').textContent = new Date(state.opens).toLocaleString();
    show('waiting');
  } else if (state.phase === 'finished') {
    show('finished');
  } else if (begun !== state.scenario) {
    const part = state.scenarios > 1 ? `Part ${state.scenario} of ${state.scenarios}: ` : '';
    byId('ready-title').textContent = `${part}${state.cases - state.closed} cases` +
      (state.ai ? ', with the AI’s classification in view' : ', without AI');
    byId('last-key').textContent = state.labels.length;
    byId('overlay-help').hidden = !state.images.some(image => image.overlay);
    show('ready');
    byId('begin').focus();
  } else {
    show('reading');
    draw();
  }
}

function draw() {
  const image = room.images[current];
  const several = room.images.length > 1;
  byId('place').textContent = `Case ${room.closed + 1} of ${room.cases}` +
    (several ? `, image ${current + 1} of ${room.images.length}` : '');
  byId('images').replaceChildren(...(several ? room.images : []).map((other, number) => {
    const button = document.createElement('button');
    button.textContent = number + 1;
    button.setAttribute('aria-current', number === current);
    button.dataset.answered = Boolean(other.rating);
    button.addEventListener('click', () => go(number));
    return button;
  }));
  byId('answers').replaceChildren(...room.labels.map((label, number) => {
    const button = document.createElement('button');
    const key = document.createElement('small');
    key.textContent = number + 1;
    button.append(key, label);
    button.dataset.rating = label;
    button.setAttribute('aria-pressed', image.rating === label);
    button.addEventListener('click', () => answer(label));
    return button;
  }));
  byId('next').disabled = !room.images.every(other => other.rating);
  byId('box').hidden = !image.call;
  byId('stage').classList.toggle('beside-box', Boolean(image.call)); // the box covers nothing of picture and overlay
  if (image.call) {
    const head = document.createElement('small');
    const call = document.createElement('strong');
    head.textContent = 'AI classification';
    call.textContent = image.call;
    byId('box').replaceChildren(head, call);
  }
  picture(image);
}

function picture(image) {
  const token = overlaid && image.overlay ? image.overlay : image.token;
  const kind = overlaid && image.overlay ? image.overlay_kind : image.kind;
  const still = byId('still'), clip = byId('clip'), address = `media/${token}`;
  const target = kind === 'clip' ? clip : still;
  byId('stage').dataset.token = token;
  if (target.getAttribute('src') !== address) {
    byId('loading').hidden = false;
    target.hidden = true;
    target.setAttribute('src', address);
  } else target.hidden = false;
  if (target === still) { clip.pause(); clip.hidden = true; clip.removeAttribute('src'); }
  else { still.hidden = true; still.removeAttribute('src'); clip.play().catch(() => {}); }
}

function go(number) {
  if (number < 0 || number >= room.images.length) return;
  current = number;
  overlaid = false;
  draw();
}

async function answer(label) {
  if (busy || !byId('loading').hidden) return; // nobody rates what is not in view yet
  busy = true;
  const image = room.images[current];
  await attempt(async () => {
    await ask('api/answer', {image: image.token, rating: label});
    image.rating = label;
    draw();
  });
  busy = false;
}

async function next() {
  if (busy || !room.images.every(image => image.rating)) return;
  busy = true;
  await attempt(async () => accept(await ask('api/close', {image: room.images[0].token})));
  busy = false;
}

function begin() {
  begun = room.scenario;
  show('reading');
  draw();
}

function step(frames) {
  const clip = byId('clip');
  if (clip.hidden) return;
  clip.pause();
  clip.currentTime = Math.min(Math.max(0, clip.currentTime + frames / (room.images[current].fps || 25)), clip.duration || 0);
}

const KEYS = {
  ArrowLeft: () => go(current - 1),
  ArrowRight: () => go(current + 1),
  Enter: () => next(),
  ' ': () => { const clip = byId('clip'); if (!clip.hidden) { if (clip.paused) clip.play(); else clip.pause(); } },
  ',': () => step(-1),
  '.': () => step(1),
  o: () => { if (room.images[current].overlay) { overlaid = !overlaid; picture(room.images[current]); } },
};

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat && event.key !== ',' && event.key !== '.') return;
  if (!byId('ready').hidden && event.key === 'Enter') { event.preventDefault(); begin(); return; }
  if (byId('reading').hidden) return;
  const label = /^[1-9]$/.test(event.key) ? room.labels[Number(event.key) - 1] : undefined;
  const work = label === undefined ? KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key] : () => answer(label);
  if (work) { event.preventDefault(); work(); }
});

for (const [id, ready] of [['still', 'load'], ['clip', 'loadeddata']])
  byId(id).addEventListener(ready, () => { byId('loading').hidden = true; byId(id).hidden = !byId(id).getAttribute('src'); });
for (const id of ['still', 'clip'])
  byId(id).addEventListener('error', () => { if (byId(id).getAttribute('src')) tell('This image cannot be shown: tell the study’s administrator.'); });

byId('login').addEventListener('submit', event => {
  event.preventDefault();
  attempt(async () => {
    await ask('api/login', {name: byId('name').value.trim(), code: byId('code').value.trim()});
    byId('code').value = '';
    await welcome();
  });
});
byId('logout').addEventListener('click', () => attempt(async () => {
  await ask('api/logout', {});
  here = room = null; begun = 0;
  byId('who').textContent = '';
  show('login');
}));
byId('begin').addEventListener('click', begin);
byId('next').addEventListener('click', next);
byId('take').addEventListener('click', () => attempt(enter));
attempt(welcome);
