// The playground: asks Python for steps, shows what comes back, and keeps the choices in the address.
const { ask } = await connect();
const stage = document.createElement("mr-scene"); // for its style only: nothing is drawn ahead here
$("#stage").append(stage);
stage.innerHTML = '<div class="stage"></div>';
$("#stage .stage").append($("#slowly")); // beside the arrows of which it tells
const me = String(Math.random()), places = {}, form = $("#choices").elements;
let running = false, busy = false, weight = "1:0:0", held = null, shown = {}, about = 0, waiting = 0;
let slow = null, due = 0, drawn = 0, pace = 0; // slow motion: lines told; when what changes slowly is due; ms
let told = false; // slow motion tells of one weight, and keeps to it
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
  if (held || told) return held ?? weight;
  const chosen = $("#scope").value;
  return { unit: weight.split(":").slice(0, 2).join(":"), weight }[chosen] ?? chosen;
}

function asked({ many = 1, ...more } = {}) {
  const all = !running || performance.now() > due;
  if (all) due = performance.now() + Math.max(500, 6 * pace);
  return ask({ do: "play", page: me, config: config(), steps: many, scope: scope(), stage: slow, all, ...more });
}

async function picture(wanted) {
  while (busy) await frame();
  busy = true;
  draw(await asked(wanted));
  busy = false;
}

function draw(reply) {
  root.dataset.ready = "play";
  if (reply.error || !reply.panels) {
    running = false; // diverged, of which the last picture still comes
    say($("#count"), reply.said?.en ?? reply.error, reply.said?.zh ?? reply.error);
  }
  if (!reply.panels) return;
  for (const [name, svg] of Object.entries(reply.panels)) {
    places[name] ??= $("#stage .stage").appendChild(Object.assign(document.createElement("div"), { id: name }));
    places[name].innerHTML = svg;
  }
  places.weights.tabIndex = 0;
  pace += (Math.min(performance.now() - drawn, 1000) - pace) / 8;
  drawn = performance.now();
  const rate = running ? ` · ${Math.round(1000 / pace)}/s` : "";
  if (!reply.error) say($("#count"), `step ${reply.step}${rate}`, `第 ${reply.step} 步${rate}`);
  say($("#residual"), `The arrows close on the real step: |sum − step| is ${reply.residual} of the largest number.`,
    `箭头首尾相接，恰好到达实际的一步：|各项之和 − 实际一步| 是其中最大数的 ${reply.residual}。`);
  for (const note of all("#choices .idle")) say(note, reply.idle[note.dataset.of]?.en, reply.idle[note.dataset.of]?.zh);
  if (reply.numbers) tell_all(shown = reply);
}

function tell_all({ numbers, overpowered, stages, weight: one }) {
  if (!held && $("#scope").value !== "weight" && $("#scope").value !== "unit") weight = one;
  told = slow !== null;
  const one_of = held || told || /weight|unit/.test($("#scope").value);
  $("#whose").hidden = !one_of;
  say($("#whose"), `weight ${named(weight)} (layer.unit.input)`, `权重 ${named(weight)}（层.单元.输入）`);
  if (one_of) all("#weights .cell")[page.cells.indexOf(weight)].classList.add("chosen");
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
  say(box, `${overpowered.length} units have only zero weights (${units}): each pull of the data is taken back by the penalty.`,
    `${overpowered.length} 个单元的输入权重全为 0（${units}）：数据每次拉动，惩罚都拉回 0。`);
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
  $("#slowly").hidden = $("#next").disabled = slow === null;
  told &&= slow !== null;
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
  draw(await asked({ many: 0 })); // all of it, as it stands now
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
    const reply = await ask({ do: "play", page: me, config: config(), script: true }), code = $("#code");
    code.hidden = false; // until something else is chosen
    say(code, reply.script?.en ?? reply.error, reply.script?.zh ?? reply.error);
    code.scrollIntoView({ block: "nearest" });
  },
  svg() { download(`minireg-step-${shown.step}.svg`, `data:image/svg+xml,${encodeURIComponent(whole())}`); },
  png() {
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [2 * image.width, 2 * image.height];
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      download(`minireg-step-${shown.step}.png`, canvas.toDataURL());
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
  const panels = all("#stage svg[role]"), { backgroundColor, color } = getComputedStyle(root);
  const tall = panels.map(svg => svg.viewBox.baseVal.height), row = k => Math.max(...tall.slice(3 * k, 3 * k + 3));
  const inner = panels.map((svg, k) => {
    const copy = svg.cloneNode(true), marks = all("*", svg);
    for (const [i, mark] of all("*", copy).entries()) {
      const style = getComputedStyle(marks[i]);
      if (style.display === "none") mark.setAttribute("display", "none");
      else mark.setAttribute("style", TONES.map(tone => `${tone}:${style.getPropertyValue(tone)}`).join(";"));
    }
    const at = { x: 20 + 430 * (k % 3), y: 10 + (k < 3 ? 0 : row(0) + 20), width: 400, height: tall[k], overflow: "visible" };
    for (const [name, value] of Object.entries(at)) copy.setAttribute(name, value);
    return new XMLSerializer().serializeToString(copy);
  });
  const high = row(0) + row(1) + 80, chosen = decodeURIComponent(location.hash.slice(1)).replaceAll("&", ", ");
  return `<svg xmlns="http://www.w3.org/2000/svg" width="1300" height="${high}"><rect width="100%" height="100%"
    fill="${backgroundColor}"/>${inner.join("")}<text x="20" y="${high - 16}" fill="${color}"
    font-family="sans-serif" font-size="15">minireg play, step ${shown.step}: ${chosen || "as it begins"}</text></svg>`;
}

// --- begin ------------------------------------------------------------------------------------------

follow();
buttons();
addEventListener("language", said);
for (const [id, act] of Object.entries(actions)) $("#" + id).onclick = act;
remember(); // a value that there is not is not kept
function chosen() { said(); remember(); $("#code").hidden = true; again(); }
$("#choices").addEventListener("input", chosen);
$("#scope").onchange = () => { told = false; again(); };
addEventListener("hashchange", () => { follow(); chosen(); });
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
// Arrow keys go from weight to weight, the space bar plays.
addEventListener("keydown", event => {
  const at = page.cells.indexOf(weight), wide = weight.startsWith("1") ? 12 : 2;
  const to = page.cells[at + { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -wide, ArrowDown: wide }[event.key]];
  if (to && slow === null && event.target === places.weights) [weight, $("#scope").value] = [to, "weight"];
  else if (event.key !== " " || event.target.matches("input, select, button, summary")) return;
  event.preventDefault();
  if (event.key === " ") actions.play(); else again();
});
const narrow = matchMedia("(max-width: 900px)");
(narrow.onchange = () => { for (const fold of all("#choices details")) fold.open = !narrow.matches; })();
if (ask) picture({ restart: true });
else { for (const button of all("#running button")) button.disabled = true; root.dataset.ready = "play"; }
