// Any page of the course: language and theme, what the reader's browser keeps, and Python: in a worker
// of this page, on this machine, or nowhere. The script that follows in the same module uses it.
const page = JSON.parse(document.getElementById("page").textContent);
const root = document.documentElement;
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
  try {
    if (value === null) localStorage.removeItem("minireg:" + name);
    else localStorage.setItem("minireg:" + name, value);
  } catch { /* a browser that keeps nothing */ }
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
    loading(0); // who asked sees at once that something happens
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
const gone = { en: "minireg has stopped. Start it again and open the address it prints.",
  zh: "minireg 已停止。请重新启动，并打开它给出的新地址。" };
function onServer(token) {
  const post = async (name, body) => {
    const options = { method: "POST", headers: { "X-Token": token }, body: JSON.stringify(body) };
    const reply = await fetch(name, options).catch(() => { throw Object.assign(Error(gone.en), { said: gone }); });
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
      if (request.do !== "play") works(); // of which there are many a second
      clock = setTimeout(works, 2000, () => { byHand = true; python.stop(); });
      const reply = await python.ask(request);
      const seconds = Math.min(Math.ceil((performance.now() - begun) / 1000), limit);
      return reply.stopped ? stopped(seconds, reply.printed ?? "", byHand) : reply;
    } catch (error) {
      return { error: error.message, right: false, tried: false, printed: "", said: error.said ??
        { en: `Python does not answer: ${error.message}`, zh: `Python 没有回应：${error.message}` } };
    } finally { clearTimeout(clock); tell(""); }
  }
  return request => (last = last.then(() => ask(request)));
}

// Which Python there is, with the answers that it keeps; or what to do to get one.
async function connect() {
  if (page.python === "worker" && location.protocol !== "file:")
    return { ask: inTurn(inWorker()), found: kept(), read: kept, write: local };
  if (page.python === "server") {
    const query = new URLSearchParams(location.search);
    if (query.has("token")) { // once: a bookmark or a picture of the screen shall not hold it
      sessionStorage.setItem("token", query.get("token"));
      query.delete("token");
      history.replaceState(null, "", `${location.pathname}${query.size ? "?" + query : ""}${location.hash}`);
    }
    const server = onServer(sessionStorage.getItem("token") ?? "");
    try {
      let last = server.keep({}); // one after the other: what was written last is kept
      const found = await last, send = change => (last = last.then(() => server.keep(change)).catch(() => ({})));
      return { ask: inTurn(server), found, read: () => send({}), write: (key, value) => send({ [key]: value }) };
    } catch (error) { noPython(error.message); }
  } else noPython();
  return { ask: null, found: kept(), read: kept, write: local };
}

function local(key, value) { keep("answer:" + key, value && JSON.stringify(value)); }

// A file for the reader, from an address that holds all of it.
function download(name, url) {
  const link = document.createElement("a");
  [link.href, link.download] = [url, name];
  link.click();
}

// A page may say by itself what there is on the reader's machine.
function noPython(why) {
  const here = `minireg lesson ${page.lesson}`, then = page.alone ?? {
    en: `On your machine, ${here} shows this page with one.`,
    zh: `在自己的电脑上运行 ${here}，本页就能运行代码。` };
  for (const note of all(":is(.run, .says, #running) .python")) {
    say(note, `${why ?? "There is no Python here"}. ${then.en}`, `${why ?? "这里没有 Python"}。${then.zh}`);
    note.hidden = false;
  }
  for (const useless of all("[data-claim], .run :is(button, .keys)")) useless.hidden = true;
}

// --- a claim is measured again ---------------------------------------------------------------------

// Figures that came out otherwise than they stand there; the last digits depend on the machine.
function differing(list, figures) {
  const both = figures.map(({ what, value }, i) => ({ what, zh: what, now: value, ...list.children[i]?.dataset }));
  const others = both.filter(({ value, now }) => !(Math.abs(now - value) <= Math.max(0.01 * Math.abs(value), 1e-9)));
  return [others.map(({ what, now }) => `${what}: ${short(now)}`).join("; "),
    others.map(({ zh, now }) => `${zh}：${short(now)}`).join("；")];
}

const short = value => String(Number(value.toPrecision(4)));

// Each figure beside the one on record.
function beside(list, figures) {
  for (const [i, line] of [...list.children].entries()) {
    const now = line.querySelector("b") ?? line.appendChild(document.createElement("b"));
    const value = figures[i] ? short(figures[i].value) : "–";
    say(now, ` here ${value}`, ` 此处 ${value}`);
  }
}

function measures(ask) {
  for (const button of all("[data-claim]")) button.onclick = async () => {
    const list = button.parentElement.querySelector(".figures"), note = button.nextElementSibling;
    button.disabled = true;
    say(note, "", "");
    const reply = await ask({ do: "measure", claim: button.dataset.claim });
    button.disabled = false;
    if (!reply.figures) return say(note, reply.said?.en ?? reply.error, reply.said?.zh ?? reply.error);
    beside(list, reply.figures);
    const tenths = reply.seconds.toFixed(1), soon = tenths === "0.0";
    const time = soon ? "less than 0.1" : tenths, long = soon ? "不到 0.1" : ` ${tenths}`;
    const [others, anders] = differing(list, reply.figures);
    if (reply.error) say(note, `It could not be measured here: ${reply.error}`, `这里未能完成测量：${reply.error}`);
    else if (!reply.passed) say(note, `Not as claimed: ${others}`, `与论断不符：${anders}`);
    else if (others) say(note, `Measured here in ${time} s. In its range, but not as on record: ${others}`,
      `在这里测得，用时${long} 秒。在规定范围内，但与记录不同：${anders}`);
    else say(note, `Measured here just now, in ${time} s: as on record.`, `刚刚在这里测得，用时${long} 秒：与记录一致。`);
  };
}

looks();
