// A page of the course: language and theme, the address that holds the picture's state, keys, the
// presenter's mode, and Python: in a worker of this page, on this machine, or nowhere.
const page = JSON.parse(document.getElementById("page").textContent);
const root = document.documentElement, scene = document.querySelector("mr-scene");
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const $ = selector => document.querySelector(selector);

// One text in both languages; CSS shows one of them.
function say(element, en, zh) {
  element.replaceChildren(...[["en", en], ["zh", zh]].map(([lang, text]) => {
    const span = document.createElement("span");
    span.lang = lang;
    span.textContent = text?.replaceAll("`", "") ?? "";
    return span;
  }));
}

// --- what is kept in this browser -----------------------------------------------------------------

function keep(name, value) {
  try { localStorage.setItem("minireg:" + name, value); } catch { /* a browser that keeps nothing */ }
}

function kept() {
  const found = {};
  try {
    for (const [name, value] of Object.entries(localStorage))
      if (name.startsWith("minireg:answer:")) found[name.slice(15)] = JSON.parse(value);
  } catch { /* nothing readable: begin anew */ }
  return found;
}

// Answers under "lesson/exercise"; an exercise of this lesson is known by its own name.
function answers(found, write) {
  const key = id => id.includes("/") ? id : `${page.lesson}/${id}`;
  return {
    get: id => found[key(id)],
    set(id, value) { found[key(id)] = value; write(key(id), value); },
  };
}

// --- language and theme ---------------------------------------------------------------------------

function speak(lang) {
  root.lang = lang;
  document.title = page.title[lang.slice(0, 2)];
  dispatchEvent(new Event("language"));
}

function looks() {
  for (const [id, lang] of [["language", "en"], ["sprache", "zh-CN"]])
    document.getElementById(id).onclick = () => { speak(lang); keep("language", lang); };
  $("#theme").onclick = () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    keep("theme", root.dataset.theme);
  };
  speak(root.lang);
}

// --- the picture's state is in the address --------------------------------------------------------

function written({ value, choice, broken }) {
  return "#" + [`${page.control}=${value}`, choice && `choice=${choice}`, broken && "broken"]
    .filter(Boolean).join("&");
}

// The address of the page names the whole state; a link leaves as it is what it does not name.
function read(hash, whole) {
  const found = new URLSearchParams(hash.slice(1));
  if (!found.has(page.control) && !found.has("choice") && !found.has("broken")) return null;
  const state = whole || found.has("broken") ? { broken: found.has("broken") } : {};
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
  addEventListener("hashchange", () => { const state = read(location.hash, true); if (state) scene.go(state); });
  addEventListener("click", event => {
    const link = event.target.closest?.('a[href^="#"]'), state = link && read(link.hash);
    if (!state) return;
    event.preventDefault(); // the page stays where it is: its reader is in the middle of a sentence
    scene.go(state);
    if (narrow.matches && !$("#peek").hidden) $("#peek").click(); // but a phone shows one thing
  });
  const state = read(location.hash, true);
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

// --- Python ---------------------------------------------------------------------------------------

// Something Python does that takes a while, and how to stop it.
function tell(en, zh, stop) {
  const box = $("#python"), button = box.querySelector("button");
  box.hidden = !en;
  say(box.querySelector("span"), en, zh);
  button.hidden = !stop;
  button.onclick = stop;
}

const stopped = (seconds, printed, byHand) => ({ error: "", right: false, tried: true, printed,
  said: byHand ? { en: `Stopped after ${seconds} s.`, zh: `运行了 ${seconds} 秒，已停止。` }
    : { en: `Stopped after ${seconds} s: a loop that never ends, or more work than that.`,
        zh: `运行了 ${seconds} 秒，已停止：也许是不会结束的循环，也许只是要算得更久。` } });

// In a worker, which is ended and started anew if an answer takes too long.
function inWorker() {
  let worker, ready, hear, end, printed;
  function start() {
    worker = new Worker("worker.js", { type: "module" });
    ready = new Promise((resolve, reject) => {
      worker.onerror = event => reject(Error(event.message || "worker.js does not start"));
      worker.onmessage = ({ data }) => {
        if (data.got) loading(data.got);
        else if (data.ready) { tell(""); resolve(); } // then who waits says what Python does now
        else if (data.printed) printed += data.printed;
        else if (data.reply) hear(data.reply);
        else reject(Error(data.error));
      };
    });
  }
  function loading(got) {
    const mega = n => (n / 1e6).toFixed(1);
    tell(`Python is starting in your browser: ${mega(got)} of ${mega(page.bytes)} MB`,
      `Python 正在你的浏览器中启动：${mega(got)} / ${mega(page.bytes)} MB`);
  }
  // Who goes into an editor will ask soon.
  addEventListener("focusin", ({ target }) => { if (!worker && target.matches("textarea")) start(); });
  async function begin() {
    if (!worker) start();
    try { await ready; } catch (error) { worker = null; throw error; }
  }
  function ask(request) {
    return new Promise(resolve => {
      printed = "";
      const clock = setTimeout(() => end(), 1000 * page.limits[request.do]);
      hear = reply => { clearTimeout(clock); resolve(reply); };
      end = () => { clearTimeout(clock); worker.terminate(); start(); resolve({ stopped: true, printed }); };
      worker.postMessage(request);
    });
  }
  return { begin, ask, stop: () => end() };
}

// On this machine, by the server that showed this page.
function onServer(token) {
  const post = async (name, body) => {
    const options = { method: "POST", headers: { "X-Token": token }, body: JSON.stringify(body) };
    const reply = await fetch(name, options);
    const found = await reply.json();
    if (!reply.ok) throw Error(found.error);
    return found;
  };
  return { begin() {}, ask: request => post("ask", request), stop: () => post("stop", null),
           keep: change => post("keep", change) };
}

// One request after the other; what went wrong is a reply too, never an exception.
function inTurn(python) {
  let last = Promise.resolve();
  async function ask(request) {
    const limit = page.limits[request.do];
    const works = stop => tell("Python is at work …", "Python 正在运行……", stop);
    let byHand = false, clock;
    try {
      await python.begin();
      const begun = performance.now();
      works();
      clock = setTimeout(works, 2000, () => { byHand = true; python.stop(); });
      const reply = await python.ask(request);
      const seconds = Math.min(Math.ceil((performance.now() - begun) / 1000), limit);
      return reply.stopped ? stopped(seconds, reply.printed ?? "", byHand) : reply;
    } catch (error) {
      return { error: error.message, right: false, tried: false, printed: "",
        said: { en: `Python does not answer: ${error.message}`, zh: `Python 没有回应：${error.message}` } };
    } finally { clearTimeout(clock); tell(""); }
  }
  return request => (last = last.then(() => ask(request)));
}

// Which Python there is, with the answers that it keeps; or what to do to get one.
async function connect() {
  if (page.python === "worker" && location.protocol !== "file:")
    return { ask: inTurn(inWorker()), found: kept(), write: local };
  if (page.python === "server") {
    const query = new URLSearchParams(location.search);
    if (query.has("token")) { // once: a bookmark or a picture of the screen shall not hold it
      sessionStorage.setItem("token", query.get("token"));
      query.delete("token");
      history.replaceState(null, "", `${location.pathname}${query.size ? "?" + query : ""}${location.hash}`);
    }
    const server = onServer(sessionStorage.getItem("token") ?? "");
    try {
      const found = await server.keep({});
      return { ask: inTurn(server), found, write: (key, value) => server.keep({ [key]: value }).catch(() => {}) };
    } catch (error) { noPython(error.message); }
  } else noPython();
  return { ask: null, found: kept(), write: local };
}

function local(key, value) { keep("answer:" + key, JSON.stringify(value)); }

function noPython(why) {
  const here = `minireg lesson ${page.lesson}`;
  for (const note of all(".run .python")) {
    say(note, `${why ?? "There is no Python here"}. On your machine, ${here} shows this page with one.`,
      `${why ?? "这里没有 Python"}。在自己的电脑上运行 ${here}，本页就能运行代码。`);
    note.hidden = false;
  }
  for (const useless of all("[data-claim], .run :is(button, .keys)")) useless.hidden = true;
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

// Figures that came out otherwise than they stand there; the last digits depend on the machine.
function differing(list, figures) {
  return figures.filter(({ value }, i) => {
    const old = Number(list.children[i]?.dataset.value ?? NaN);
    return !(Math.abs(value - old) <= Math.max(0.01 * Math.abs(old), 1e-9));
  }).map(({ what, value }) => `${what}: ${Number(value.toPrecision(4))}`);
}

function measures(ask) {
  for (const button of all("[data-claim]")) button.onclick = async () => {
    const list = button.parentElement.querySelector(".figures"), note = button.nextElementSibling;
    button.disabled = true;
    const reply = await ask({ do: "measure", claim: button.dataset.claim });
    button.disabled = false;
    if (!reply.figures) return say(note, reply.said?.en ?? reply.error, reply.said?.zh ?? reply.error);
    const tenths = reply.seconds.toFixed(1), short = tenths === "0.0";
    const time = short ? "less than 0.1" : tenths, long = short ? "不到 0.1" : ` ${tenths}`;
    const others = differing(list, reply.figures).join("; ");
    if (!reply.passed) say(note, `Not as claimed: ${reply.error || others}`, `与论断不符：${reply.error || others}`);
    else if (others) say(note, `Measured here in ${time} s. In its range, but not as on record: ${others}`,
      `在这里测得，用时${long} 秒。在应在的范围内，但与记录不同：${others}`);
    else say(note, `Measured here just now, in ${time} s: as on record.`, `刚刚在这里测得，用时${long} 秒：与记录一致。`);
  };
}

// --- all of it ------------------------------------------------------------------------------------

looks();
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
