// The tab "Scintigraphy": images are uploaded and read one after the other; the server keeps nothing of them.
const find = (name) => element.querySelector(`[data-id="scint-${name}"]`);
const ask = async (question, ...values) => {
  const answer = await server[question](values);
  if (!answer) throw new Error("the server does not answer");
  if (answer.error) throw new Error(answer.error);
  return answer;
};
const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

// Both pages carry the same two buttons; which page is shown is said once, by the body.
const show = (view) => {
  document.body.dataset.view = view;
  for (const button of document.querySelectorAll(".views button")) {
    if (button.dataset.view === view) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
};
document.addEventListener("click", (event) => {
  const button = event.target.closest?.(".views button");
  if (!button) return;
  show(button.dataset.view);
  document.querySelector(`#${button.dataset.view} .views button[aria-current]`)?.focus();
});

const say = (text, error = false) => {
  find("line").textContent = text;
  find("line").classList.toggle("error", error);
};

const row = (heading, cells, answer = false) => make("tr", { className: answer ? "answer" : "" },
  make("th", { scope: "row", textContent: heading }), ...cells.map((cell) => {
    const data = make("td");
    data.append(cell);
    return data;
  }));

const probabilities = (report) => {
  const body = make("tbody");
  for (const [title, value] of report.probabilities) {
    const bar = make("meter", { min: 0, max: 1, value });
    bar.setAttribute("aria-hidden", "true");
    body.append(row(title, [value.toFixed(3), bar], title === report.answer));
  }
  return make("table", {}, make("caption", { textContent: "Probabilities" }), body);
};

const regions = (found) => {
  const counts = found.unit === "counts";
  const caption = counts ? "Counts by region" : "Grey levels by region (relative: a windowed export, no counts)";
  const head = make("tr", {}, ...["Region", "Total", "Mean", "Area"].map((text) => make("th", { scope: "col", textContent: text })));
  const body = make("tbody");
  for (const [name, region] of [["Right lobe", found.right], ["Left lobe", found.left], ["Background", found.background]]) {
    const area = region && (region.area_cm2 === null ? `${region.pixels} px` : `${region.area_cm2.toFixed(1)} cm²`);
    body.append(row(name, region ? [region.total.toFixed(0), region.mean.toFixed(2), area] : ["no gland stands out", "", ""]));
  }
  const ratio = found.uptake_ratio === null ? "not given" : found.uptake_ratio.toFixed(2);
  const share = found.right_share === null ? "not given" : `${(100 * found.right_share).toFixed(0)} %`;
  body.append(row("Gland to background", [ratio, "", ""]), row("Right lobe's share", [share, "", ""]));
  return make("table", {}, make("caption", { textContent: caption }), make("thead", {}, head), body);
};

const picture = (source, alt, caption) =>
  make("figure", {}, make("img", { src: source, alt }), make("figcaption", { textContent: caption }));

const download = (label, name, type, content) => {
  const button = make("button", { type: "button", textContent: label });
  button.addEventListener("click", () => {
    const address = URL.createObjectURL(new Blob([content], { type }));
    make("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  });
  return button;
};

const card = (report) => {
  const stem = report.name.replace(/\.[^.]*$/, "");
  const columns = make("div", { className: "scint-columns" },
    picture(report.picture, "Picture with the outlines of the right lobe, the left lobe and the background",
      `Right lobe red, left lobe green, background blue.${report.simulated ? " A simulated image." : ""}`));
  if (report.heat) {
    columns.append(picture(report.heat, `Heat map over the picture: what spoke for ${report.answer}`, report.heatCaption));
  }
  const numbers = make("div");
  if (report.probabilities.length) numbers.append(probabilities(report));
  numbers.append(regions(report.json.images[0].regions));
  columns.append(numbers);
  return make("li", { className: "scint-image" }, make("h2", { textContent: report.name }),
    ...(report.refused ? [make("p", { className: "error", textContent: report.refused })] : []),
    ...report.marks.map((mark) => make("p", { className: "mark", textContent: mark })), columns,
    make("div", { className: "row" },
      download("Report (HTML)", `${stem}.html`, "text/html", report.html),
      download("Report (JSON)", `${stem}.json`, "application/json", JSON.stringify(report.json, null, 2))));
};

let reading = Promise.resolve();
const read = async (files) => {
  let failed = 0;
  for (const [number, file] of files.entries()) {
    say(`Reading ${number + 1} of ${files.length}: ${file.name}`);
    try {
      const { path } = await upload(file);
      find("images").prepend(card(await ask("read", path, file.name, find("allowed").checked)));
    } catch (error) {
      failed += 1;
      find("images").prepend(make("li", { className: "scint-image" }, make("h2", { textContent: file.name }),
        make("p", { className: "error", textContent: error.message })));
    }
  }
  const done = files.length - failed;
  say(`${done} of ${files.length} ${files.length === 1 ? "image" : "images"} read`, failed > 0);
};
const take = (files) => { if (files.length) reading = reading.then(() => read([...files])); };

find("choose").addEventListener("change", ({ target }) => { take([...target.files]); target.value = ""; });
const drop = find("drop");
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take([...event.dataTransfer.files]);
});

ask("network").then(({ network, notice, simulated, mark }) => {
  find("network").textContent = network || "no network (streamer app --scintigraphy RUN): counts by region alone";
  find("notice").title = notice;
  find("allowed-row").hidden = !simulated;
  find("mark").textContent = mark;
}).catch((error) => say(error.message, true));
