// The page of a lesson: the address that holds the picture's state, keys, the presenter's mode, and code
// to run. It follows page.js and exercises.js.
const scene = document.querySelector("mr-scene");

// --- the picture's state is in the address --------------------------------------------------------

function written({ value, choice, broken }) {
  return "#" + [`${page.control}=${value}`, choice && `choice=${choice}`, broken && "broken"]
    .filter(Boolean).join("&");
}

// What is not named stays, but a fault that is not named is mended: sentences speak of the whole picture.
function read(hash) {
  const found = new URLSearchParams(hash.slice(1));
  if (!found.has(page.control) && !found.has("choice") && !found.has("broken")) return null;
  const state = { broken: found.has("broken") };
  if (found.has(page.control)) state.value = Number(found.get(page.control));
  if (found.has("choice")) state.choice = found.get("choice");
  return state;
}

// A link is lit while the picture is as it says.
function lit(state) {
  for (const link of all('a[href^="#"]')) {
    const asked = read(link.hash);
    link.classList.toggle("on", !!asked && Object.entries(asked).every(([k, v]) => state[k] === v));
  }
}

function address() {
  scene.addEventListener("move", ({ detail }) => {
    history.replaceState(null, "", written(detail));
    lit(detail);
    // a goal repeats the caption
    if (presenting() || [scene, ...all(".now")].some(inSight)) $("#peek").hidden = true;
    else peek();
  });
  addEventListener("hashchange", () => { const state = read(location.hash); if (state) scene.go(state); });
  addEventListener("click", event => {
    const link = event.target.closest?.('a[href^="#"]'), state = link && read(link.hash);
    if (!state) return;
    event.preventDefault(); // the page stays where it is: its reader is in the middle of a sentence
    scene.go(state);
    if (narrow.matches && !$("#peek").hidden) $("#peek").click(); // but a phone shows one thing
  });
  const state = read(location.hash);
  if (state) scene.go(state);
  lit(scene.state);
}

// While the picture stays at the top of a high window, neither the focus nor PageDown may put
// anything under it.
const held = $("#scene"), high = matchMedia("(min-width: 900px) and (min-height: 1000px)");
function clear() {
  const measure = () => { root.style.scrollPaddingTop = high.matches ? `${held.offsetHeight}px` : ""; };
  new ResizeObserver(measure).observe(held);
  high.onchange = measure;
}

function leaf(by) {
  const { top, bottom } = $("#picture").getBoundingClientRect();
  if (!high.matches || top > innerHeight || bottom < held.offsetHeight) return false;
  scrollBy({ top: by * 0.9 * (innerHeight - held.offsetHeight), behavior: "instant" });
  return true;
}

// A formula that is wider than its line is set smaller, down to what can be read; then it scrolls.
function fit() {
  for (const formula of all('math[display="block"]')) {
    formula.style.fontSize = "";
    const share = formula.clientWidth / formula.scrollWidth; // not a number where it is not shown
    if (share < 1) formula.style.fontSize = `${Math.max(share, 0.75) * 100}%`;
    formula.classList.toggle("wide", share < 0.75);
  }
}

const presenting = () => root.classList.contains("present");

function inSight(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > 120 && top < innerHeight - 120;
}

const narrow = matchMedia("(max-width: 700px)");

// The picture is out of sight: say at the edge what it says now.
let peeking;
function peek() {
  const caption = scene.querySelector(".caption"), box = $("#peek");
  const said = caption.cloneNode(true);
  said.prepend("↑ ");
  box.replaceChildren(said);
  box.hidden = false;
  box.onclick = () => { box.hidden = true; scene.scrollIntoView({ block: "center", behavior: "smooth" }); };
  clearTimeout(peeking);
  peeking = setTimeout(() => { box.hidden = true; }, 6000);
}

// --- keys and the presenter -----------------------------------------------------------------------

const KEYS = {
  ArrowLeft: () => scene.go({ index: Math.max(scene.state.index - 1, 0) }),
  ArrowRight: () => scene.go({ index: Math.min(scene.state.index + 1, page.values - 1) }),
  b: () => scene.go({ broken: !scene.state.broken }),
  "?": () => $("#keys").showModal(),
  p: () => present(!presenting()),
  Escape: () => present(false),
};
const TURNS = { PageDown: 1, " ": 1, PageUp: -1 };

function keys() {
  addEventListener("keydown", event => {
    const at = event.target, arrow = event.key.startsWith("Arrow");
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (at.matches("textarea, input[type=text], [contenteditable]") || $("dialog[open]")) return;
    if (arrow && at.matches("input, [role=listbox] *")) return; // it moves by itself
    if (event.key === " " && at.matches("button, summary, input:not([type=range])")) return;
    const by = TURNS[event.key];
    if (by && (presenting() ? turn(by) : leaf(by))) return event.preventDefault();
    if (event.key === "Escape" && !presenting()) return;
    if (arrow && presenting() && !$("#picture.shown")) return; // it would move what nobody sees
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  $("#help").onclick = () => $("#keys").showModal();
  $("#keys").onclick = event => { if (event.target === $("#keys")) $("#keys").close(); }; // beside it
}

// Slides: the question, the picture, each step beneath it, what to keep; the rest is for reading alone.
let slide = 0;
function slides() {
  const picture = [$("#picture"), $("#scene")];
  return [[$("h1"), $("#lead"), $("#predict")], picture,
    ...all("#why > ol > li").map(step => [...picture, $("#why"), step]), [$("#keep")]];
}

function turn(by) {
  const found = slides();
  slide = Math.min(Math.max(slide + by, 0), found.length - 1);
  for (const shown of all(".shown")) shown.classList.remove("shown");
  for (const element of found[slide]) element?.classList.add("shown");
  const last = slide === found.length - 1, at = `${slide + 1} / ${found.length}`;
  say($("#slide"), `${at}${last ? ", the last" : ""} · PgDn PgUp · Esc`,
    `${at}${last ? "，最后一页" : ""} · PgDn PgUp · Esc`);
  return true;
}

function present(on) {
  const query = new URLSearchParams(location.search);
  if (!on && query.has("present")) { // a link to the page shall be one
    query.delete("present");
    history.replaceState(null, "", `${location.pathname}${query.size ? "?" + query : ""}${location.hash}`);
  }
  root.classList.toggle("present", on);
  $("#peek").hidden = true;
  slide = 0;
  turn(0);
}

// --- what Python is asked by the page itself ------------------------------------------------------

function runs(ask, store) {
  for (const box of all(".run")) {
    const code = box.querySelector("textarea"), output = box.querySelector(".output");
    const note = box.querySelector(".said"), given = code.value;
    const show = text => { code.value = text; code.rows = text.split("\n").length; };
    const run = async () => {
      output.textContent = "";
      say(note, "", "");
      const reply = await ask({ do: "run", lesson: page.lesson, code: code.value });
      output.textContent = [reply.printed, reply.error].filter(Boolean).join("\n");
      say(note, reply.said?.en, reply.said?.zh);
    };
    show(store.get("code") ?? given);
    code.addEventListener("input", () => { show(code.value); store.set("code", code.value); });
    box.querySelector(".go").onclick = run;
    box.querySelector(".reset").onclick = () => { show(given); store.set("code", given); };
    exercises.editor(code, run);
  }
}

// --- all of it ------------------------------------------------------------------------------------

keys();
address();
clear();
addEventListener("language", fit);
addEventListener("resize", fit);
document.fonts.ready.then(fit);
if (presenting()) present(true);
addEventListener("beforeprint", () => all("details").forEach(fold => { fold.open = true; }));
const { ask, found, write } = await connect();
const store = answers(found, write);
exercises(document, { ask, scene, store, lesson: page.lesson });
if (ask) { runs(ask, store); measures(ask); }
root.dataset.ready = ask ? "python" : "alone";
