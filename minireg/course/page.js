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

function read(hash) {
  const found = new URLSearchParams(hash.slice(1));
  if (!found.has(page.control) && !found.has("choice") && !found.has("broken")) return null;
  const state = { broken: found.has("broken") };
  if (found.has(page.control)) state.value = Number(found.get(page.control));
  if (found.has("choice")) state.choice = found.get("choice");
  return state;
}

// A link may set less than the whole state; it is lit while the picture is as it says.
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
    if (!inSight(scene)) peek();
  });
  addEventListener("hashchange", () => { const state = read(location.hash); if (state) scene.go(state); });
  addEventListener("click", event => {
    const link = event.target.closest?.('a[href^="#"]'), state = link && read(link.hash);
    if (!state) return;
    event.preventDefault(); // the page stays where it is: its reader is in the middle of a sentence
    scene.go(state);
  });
  const state = read(location.hash);
  if (state) scene.go(state);
  lit(scene.state);
}

// What is said of the prediction stands above the picture and makes it move down: scroll along, so
// that it stays under the reader's hand.
function steady() {
  let top;
  addEventListener("move", () => { top = scene.getBoundingClientRect().top; }, true);
  addEventListener("move", () => scrollBy(0, scene.getBoundingClientRect().top - top));
}

function inSight(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > 120 && top < innerHeight - 120;
}

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
  p: () => present(!root.classList.contains("present")),
  PageDown: () => turn(1), " ": () => turn(1), PageUp: () => turn(-1),
  Escape: () => present(false),
};
const FOR_PRESENTERS = ["PageDown", "PageUp", " ", "Escape"];

function keys() {
  addEventListener("keydown", event => {
    const at = event.target, arrow = event.key.startsWith("Arrow");
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (at.matches("textarea, input[type=text], [contenteditable]") || $("dialog[open]")) return;
    if (arrow && at.matches("input, [role=listbox] *")) return; // it moves by itself
    if (event.key === " " && at.matches("button, summary, input, a")) return;
    if (FOR_PRESENTERS.includes(event.key) && !root.classList.contains("present")) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  $("#help").onclick = () => $("#keys").showModal();
  $("#keys").onclick = () => $("#keys").close();
}

// Slides: the question, the picture, and each step beneath it; the rest is for reading alone.
let slide = 0;
function slides() {
  const picture = [$("#picture"), $("#scene")];
  return [[$("h1"), $("#predict")], picture,
    ...all("#why > ol > li").map(step => [...picture, $("#why"), step])];
}

function turn(by) {
  const found = slides();
  slide = Math.min(Math.max(slide + by, 0), found.length - 1);
  for (const shown of all(".shown")) shown.classList.remove("shown");
  for (const element of found[slide]) element?.classList.add("shown");
}

function present(on) {
  root.classList.toggle("present", on);
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

const stopped = seconds => ({ stopped: true, error: "", right: false, tried: true, printed: "",
  said: { en: `Stopped after ${seconds} s: is there a loop that never ends? Python starts anew.`,
          zh: `运行了 ${seconds} 秒，已停止：是否有不会结束的循环？Python 正在重新启动。` } });

// In a worker, which is ended and started anew if an answer takes too long.
function inWorker() {
  let worker, ready, hear, end;
  function start() {
    worker = new Worker("worker.js", { type: "module" });
    ready = new Promise((resolve, reject) => {
      worker.onerror = event => reject(Error(event.message || "worker.js does not start"));
      worker.onmessage = ({ data }) => {
        if (data.got) loading(data.got);
        else if (data.ready) { resolve(); if (!hear) tell(""); }
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
  async function ask(request) {
    if (!worker) start();
    try { await ready; } catch (error) { worker = null; throw error; }
    return new Promise(resolve => {
      const clock = setTimeout(() => end(), 1000 * page.limits[request.do]);
      hear = reply => { clearTimeout(clock); resolve(reply); };
      end = () => { clearTimeout(clock); worker.terminate(); start(); resolve({ stopped: true }); };
      worker.postMessage(request);
    });
  }
  return { ask, stop: () => end?.() };
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
  return { ask: request => post("ask", request), stop: () => post("stop", null),
           keep: change => post("keep", change) };
}

// One request after the other; what went wrong is a reply too, never an exception.
function inTurn(python) {
  let last = Promise.resolve();
  async function ask(request) {
    const limit = page.limits[request.do], begun = performance.now();
    const stop = limit > 10 ? python.stop : null;
    if (stop) tell("Python is measuring …", "Python 正在测量……", stop);
    else tell("Python is at work …", "Python 正在运行……");
    try {
      const reply = await python.ask(request);
      const seconds = Math.min(Math.ceil((performance.now() - begun) / 1000), limit);
      return reply.stopped ? stopped(seconds) : reply;
    } catch (error) {
      return { error: error.message, right: false, tried: false, printed: "",
        said: { en: `Python does not answer: ${error.message}`, zh: `Python 没有回应：${error.message}` } };
    } finally { tell(""); }
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
  for (const button of all("[data-claim], .run button")) button.hidden = true;
}

// --- what Python is asked by the page itself ------------------------------------------------------

function runs(ask) {
  for (const box of all(".run")) {
    const code = box.querySelector("textarea"), output = box.querySelector(".output");
    const note = box.querySelector(".said");
    const run = async () => {
      const reply = await ask({ do: "run", lesson: page.lesson, code: code.value });
      output.textContent = [reply.printed, reply.error].filter(Boolean).join("\n");
      say(note, reply.said?.en, reply.said?.zh);
    };
    box.querySelector("button").onclick = run;
    code.onkeydown = event => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(); };
  }
}

function measures(ask) {
  for (const button of all("[data-claim]")) button.onclick = async () => {
    const list = button.parentElement.querySelector(".figures"), note = button.nextElementSibling;
    button.disabled = true;
    const reply = await ask({ do: "measure", claim: button.dataset.claim });
    button.disabled = false;
    if (!reply.figures) return say(note, reply.said?.en ?? reply.error, reply.said?.zh ?? reply.error);
    list.replaceChildren(...reply.figures.map(figure => {
      const line = document.createElement("li");
      const range = figure.tolerance && ` (${figure.tolerance})`;
      line.textContent = `${figure.what}: ${Number(figure.value.toPrecision(4))}${range}`;
      return line;
    }));
    list.closest("details")?.setAttribute("open", "");
    const time = reply.seconds.toFixed(1);
    if (reply.passed) say(note, `Measured here just now, in ${time} s.`, `刚刚在这里测得，用时 ${time} 秒。`);
    else say(note, `Not as claimed: ${reply.error}`, `与论断不符：${reply.error}`);
  };
}

// --- all of it ------------------------------------------------------------------------------------

looks();
keys();
address();
steady();
if (root.classList.contains("present")) present(true);
addEventListener("beforeprint", () => all("details").forEach(fold => { fold.open = true; }));
const { ask, found, write } = await connect();
exercises(document, { ask, scene, store: answers(found, write), lesson: page.lesson });
if (ask) { runs(ask); measures(ask); }
root.dataset.ready = ask ? "python" : "alone";
