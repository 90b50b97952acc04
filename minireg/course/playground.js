// The playground: asks Python for steps, shows what comes back, and keeps the choices in the address.
const { ask } = await connect();
const stage = document.createElement("mr-scene"); // for its style only: nothing is drawn ahead here
$("#stage").append(stage);
stage.innerHTML = '<div class="stage"></div>';
const places = {}, form = $("#choices").elements;
let running = false, busy = false, weight = "1:0:0", held = null, shown = {}, about = 0, waiting = 0;
let slow = null, due = 0, drawn = 0, pace = 0; // slow motion: lines told; when what changes slowly is due; ms
const frame = () => new Promise(requestAnimationFrame);

// --- choices, and the address ---------------------------------------------------------------------

function config() {
  const found = {};
  for (const [name, values] of Object.entries(page.values)) {
    const { type, value } = form[name];
    found[name] = type === "range" ? values[value] : value;
  }
  return found;
}

function follow() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [name, values] of Object.entries(page.values)) {
    const at = values.findIndex(v => String(v) === (given.get(name) ?? String(page.start[name])));
    if (at >= 0) form[name].value = form[name].type === "range" ? at : values[at];
  }
  said();
}

function said() {
  for (const name of Object.keys(page.values)) {
    const output = form[name].closest("label").querySelector("output");
    if (output) output.textContent = page.values[name][form[name].value];
  }
  const lang = root.lang.slice(0, 2);
  for (const option of all("option[data-en]")) option.textContent = option.dataset[lang];
}

function remember() {
  const chosen = Object.entries(config()).filter(([name, value]) => value !== page.start[name]);
  history.replaceState(null, "", "#" + new URLSearchParams(chosen));
}

// --- one picture ----------------------------------------------------------------------------------

function scope() {
  if (held) return held;
  const chosen = $("#scope").value;
  return { unit: weight.split(":").slice(0, 2).join(":"), weight }[chosen] ?? chosen;
}

function asked({ many = 1, ...more } = {}) {
  const all = !running || performance.now() > due;
  if (all) due = performance.now() + Math.max(500, 6 * pace);
  return ask({ do: "play", config: config(), steps: many, scope: scope(), stage: slow, all, ...more });
}

async function picture(wanted) {
  while (busy) await frame();
  busy = true;
  draw(await asked(wanted));
  busy = false;
}

function draw(reply) {
  root.dataset.ready = "play";
  if (!reply.panels) {
    running = false;
    return say($("#count"), reply.said?.en ?? reply.error, reply.said?.zh ?? reply.error);
  }
  for (const [name, svg] of Object.entries(reply.panels)) {
    places[name] ??= $("#stage .stage").appendChild(document.createElement("div"));
    places[name].innerHTML = svg;
  }
  pace += (Math.min(performance.now() - drawn, 1000) - pace) / 8;
  drawn = performance.now();
  const rate = running ? ` · ${Math.round(1000 / pace)}/s` : "";
  say($("#count"), `step ${reply.step}${rate}`, `第 ${reply.step} 步${rate}`);
  const off = reply.residual.toExponential(0);
  say($("#residual"), `The arrows close on the real step: |sum − step| is ${off} of the largest number.`,
    `箭头首尾相接，恰好到达实际的一步：|各项之和 − 实际一步| 是其中最大数的 ${off}。`);
  if (reply.numbers) tell_all(shown = reply);
}

function tell_all({ numbers, overpowered, stages, weight: one }) {
  if (!held && $("#scope").value !== "weight" && $("#scope").value !== "unit") weight = one;
  say($("#whose"), `weight ${named(weight)} (layer.unit.input)`, `权重 ${named(weight)}（层.单元.输入）`);
  for (const [k, [what, values]] of numbers.entries()) {
    const row = $("#running tbody").rows[k] ?? $("#running tbody").insertRow();
    if (!row.cells.length) for (let i = 0; i < 3; i++) row.insertCell();
    row.tabIndex = 0;
    say(row.cells[0], what.en, what.zh);
    for (const i of [0, 1]) row.cells[i + 1].textContent = values[i];
    row.onpointerenter = row.onfocus = () => { about = k; explain(); };
  }
  explain();
  const box = $("#overpowered");
  box.hidden = !overpowered.length;
  const units = overpowered.slice(0, 5).map(named).join(", ") + (overpowered.length > 5 ? ", …" : "");
  say(box, `dead: penalty > signal, in ${overpowered.length} units (${units}). The data pull, the penalty takes it back.`,
    `已归零：惩罚大于信号，共 ${overpowered.length} 个单元（${units}）。数据在拉，惩罚又把它们拉回 0。`);
  $("#slowly ol").replaceChildren(...stages.slice(0, slow ?? 0).map(line => {
    const item = document.createElement("li");
    say(item, line.en, line.zh);
    return item;
  }));
}

// How the number under the pointer comes about, with its operands of now.
function explain() {
  const [what, , formula, [plain, side]] = shown.numbers[about];
  say($("#formula"), `${what.en}: ${formula.en}; plain ${plain}; regularized ${side}`,
    `${what.zh}：${formula.zh}；未正则化 ${plain}；正则化 ${side}`);
}

// Counted from 1, as readers do: layer, unit, input.
const named = place => place.split(":").map(n => Number(n) + 1).join(".");

// --- what buttons do ------------------------------------------------------------------------------

function buttons() {
  say($("#play"), running ? "Pause" : "Play", running ? "暂停" : "运行");
  $("#slowly").hidden = slow === null;
  stage.classList.toggle("slow", slow !== null);
}

async function run() {
  running = true;
  slow = null;
  buttons();
  while (busy) await frame();
  busy = true;
  const next = () => asked({ many: Number($("#speed").value) });
  for (let coming = next(); coming;) {
    const reply = await coming;
    coming = running ? next() : null; // Python is at work on it while this one is drawn
    draw(reply);
    await frame();
  }
  busy = false;
  buttons();
}

const actions = {
  play() { if (running) running = false; else run(); },
  async step() { await still(); picture(); },
  async restart() { await still(); picture({ restart: true }); },
  async slow() { await still(1); picture(); },
  async next() { const more = slow < shown.stages.length; await still(more ? slow + 1 : 1); picture({ many: more ? 0 : 1 }); },
  async script() {
    const reply = await ask({ do: "play", config: config(), script: true }), code = $("#code");
    code.hidden = !(code.textContent = reply.script ?? reply.error);
    code.scrollIntoView({ block: "nearest" });
  },
  svg() { download("minireg-step.svg", `data:image/svg+xml,${encodeURIComponent(whole())}`); },
  png() {
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [2 * image.width, 2 * image.height];
      const paper = canvas.getContext("2d");
      paper.fillStyle = getComputedStyle(root).backgroundColor;
      paper.fillRect(0, 0, canvas.width, canvas.height);
      paper.drawImage(image, 0, 0, canvas.width, canvas.height);
      download("minireg-step.png", canvas.toDataURL());
    };
    image.src = `data:image/svg+xml,${encodeURIComponent(whole())}`;
  },
};

async function still(lines = null) {
  running = false;
  slow = lines;
  buttons();
  while (busy) await frame();
}

// The same step again, of other choices or seen otherwise.
async function again() {
  if (running || waiting++) return;
  while (busy) await frame();
  waiting = 0;
  picture({ many: 0 });
}

// All panels in one SVG that needs no style sheet: each mark with the tones that it has now.
const TONES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin",
  "fill-opacity", "font-size", "font-weight", "font-family", "text-anchor", "visibility", "paint-order"];
function whole() {
  const panels = all("#stage svg[role]"), wide = 420, rows = Math.ceil(panels.length / 3);
  const inner = panels.map((svg, k) => {
    const copy = svg.cloneNode(true), marks = all("*", svg);
    for (const [i, mark] of all("*", copy).entries()) {
      const style = getComputedStyle(marks[i]);
      if (style.display === "none") mark.setAttribute("display", "none");
      else mark.setAttribute("style", TONES.map(tone => `${tone}:${style.getPropertyValue(tone)}`).join(";"));
    }
    copy.setAttribute("preserveAspectRatio", "xMinYMin");
    const drawn = new XMLSerializer().serializeToString(copy), [x, y] = [k % 3, Math.floor(k / 3)];
    return `<svg x="${wide * x}" y="${wide * y}" width="400" height="400">${drawn}</svg>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${3 * wide}" height="${rows * wide}">${inner.join("")}</svg>`;
}

// --- begin ------------------------------------------------------------------------------------------

follow();
addEventListener("language", said);
for (const [id, act] of Object.entries(actions)) $("#" + id).onclick = act;
$("#choices").addEventListener("input", () => { said(); remember(); again(); });
$("#scope").onchange = again;
addEventListener("hashchange", () => { follow(); again(); });
// A weight under the pointer shows its own books; a click keeps it.
for (const moved of ["pointerover", "pointerleave"]) $("#stage").addEventListener(moved, ({ target }) => {
  const cell = moved === "pointerover" && target.closest(".cell:not([mask])");
  const next = cell ? page.cells[all(".cell", cell.closest("svg[role]")).indexOf(cell)] : null;
  if (next === held || slow !== null) return;
  held = next;
  if (next) weight = next;
  again();
});
$("#stage").addEventListener("click", ({ target }) => {
  if (target.closest(".cell:not([mask])")) $("#scope").value = "weight";
});
addEventListener("keydown", event => {
  if (event.key !== " " || event.target.matches("input, select, button, summary")) return;
  event.preventDefault();
  actions.play();
});
for (const fold of all("#choices details")) fold.open = innerWidth > 900;
if (ask) picture({ restart: true });
else { for (const button of all("#running button")) button.disabled = true; root.dataset.ready = "play"; }
