// Exercises of a page: what exercises.py has written comes to life. Each keeps its answer in `store`
// and says why an answer is right or wrong; only those to write ask Python.

const WORDS = {
  python: ["Python is looking at it …", "Python 正在检查……"],
  tries: n => [`${n} ${n === 1 ? "try" : "tries"}`, `已试 ${n} 次`],
  hint: (n, all) => [`${n ? "One more hint" : "A hint"} (${n + 1} of ${all})`, `${n ? "再来一条提示" : "提示"}（${n + 1}/${all}）`],
  choose: ["Choose an answer first.", "请先选一个答案。"],
  empty: ["Put lines into the program first.", "请先把代码行放进程序。"],
  place: (n, all) => [`Line ${n} of ${all}.`, `第 ${n} 行，共 ${all} 行。`],
  early: (late, early) => [`\`${early}\` stands too early: in every right order \`${late}\` comes before it.`,
    `\`${early}\` 放得太早：凡是正确的顺序，\`${late}\` 都在它之前。`],
  lacks: n => n === 1 ? ["So far so good: one line is missing.", "到目前为止都对，还缺一行。"]
    : ["So far so good: lines are missing, here and there.", "到目前为止都对，还缺几行，不一定缺在末尾。"],
  ordered: ["Right: it runs, and comes to what it should. Beneath each line stands why.",
    "正确：程序能运行，结果也对。每一行下面写着理由。"],
  answer: ["This is the answer. Beneath each line stands why.", "这是答案。每一行的作用写在它下面。"],
  useless: line => [`\`${line}\` does not belong there.`, `\`${line}\` 不该在这里。`],
  here: ["The picture now shows it.", "图中已是这个状态。"],
};
const ENOUGH = 3; // wrong tries, after which the answer may be seen

/** What is said, in both languages; text in backticks is code, and nothing in it is HTML. */
function spoken([en, zh]) {
  return [["en", en], ["zh", zh]].map(([lang, text]) => {
    const span = document.createElement("span");
    span.lang = lang;
    text.split("`").forEach((piece, i) => {
      const node = document.createElement(i % 2 ? "code" : "span");
      node.textContent = piece;
      span.append(i % 2 ? node : piece);
    });
    return span;
  });
}

/** What all exercises have: an answer that is kept, tries, hints, a verdict, the answer to be seen. */
class Exercise {
  constructor(section, { ask, scene, store }) {
    Object.assign(this, { section, ask, scene, store });
    this.data = JSON.parse(this.$("script")?.textContent ?? "{}");
    this.id = section.id.replace(/^ex-/, "");
    this.kept = { tries: 0, hints: 0, ...store.get(this.id) };
    this.on("check", () => this.check());
    this.on("reset", () => this.begin());
    this.on("hint", () => this.keep({ hints: this.kept.hints + 1 }));
    this.on("answer", () => { this.reveal(); this.keep({}); });
  }

  $(selector) { return this.section.querySelector(selector); }
  all(selector) { return [...this.section.querySelectorAll(selector)]; }
  on(name, act) { this.$(`.do .${name}`)?.addEventListener("click", act); }

  keep(changes) {
    Object.assign(this.kept, changes);
    this.store.set(this.id, this.kept);
    this.refresh();
  }

  /** Hints, tries and the way to the answer, as far as the reader has come. */
  refresh() {
    const { tries, hints, right = false } = this.kept, all = this.all(".hints li"), more = this.$(".do .hint");
    all.forEach((hint, i) => { hint.hidden = right || i >= hints; });
    if (more) more.hidden = right || hints >= all.length;
    if (more) more.replaceChildren(...spoken(WORDS.hint(hints, all.length)));
    const answer = this.$(".do .answer"), count = this.$(".tries");
    if (answer) answer.hidden = right || tries < ENOUGH;
    this.section.classList.toggle("done", right);
    count?.replaceChildren(...(tries ? spoken(WORDS.tries(tries)) : []));
  }

  /** Say what is to be said; `kind` is "right", "wrong" or "" for what is no verdict. */
  say(pair, kind = "") {
    this.$(".verdict").className = pair ? `verdict ${kind}` : "verdict";
    this.$(".verdict").replaceChildren(...(pair ? spoken(pair) : []));
  }

  judged(right, pair) {
    this.say(pair, right ? "right" : "wrong");
    this.keep({ right, tries: this.kept.tries + (this.kept.right && right ? 0 : 1) });
  }
}

// --- a function to write --------------------------------------------------------------------------

class Write extends Exercise {
  start() {
    this.editor = this.$(".editor");
    this.editor.value = this.kept.code ?? this.data.stub;
    editor(this.editor, () => this.check());
    this.editor.addEventListener("input", () => { this.grow(); this.keep({ code: this.editor.value, right: false }); });
    if (this.kept.right && this.kept.said) this.say(this.kept.said, "right");
    this.$(".do .check").disabled = !this.ask;
    if (!this.ask) this.$(".python").hidden = false;
    this.grow();
  }

  begin() {
    this.editor.value = this.data.stub;
    this.say(null);
    this.grow();
    this.keep({ code: undefined, right: false });
    this.editor.focus();
  }

  grow() { this.editor.rows = this.editor.value.split("\n").length + 1; }

  async check() {
    if (!this.ask) return;
    this.say(WORDS.python);
    const code = this.editor.value, button = this.$(".do .check");
    button.disabled = true;
    const reply = await this.ask({ do: "check", exercise: this.id, lesson: this.lesson, code });
    button.disabled = false;
    const { en, zh } = reply.said ?? { en: reply.error, zh: reply.error };
    this.kept.said = [en, zh]; // Python said it: it is not asked again after a reload
    if (reply.tried) this.judged(reply.right, [en, zh]);
    else this.say([en, zh]);
    if (reply.printed) this.show("printed", reply.printed);
  }

  show(kind, text) {
    const output = document.createElement("pre");
    output.className = kind;
    output.textContent = text;
    this.$(".verdict").append(output);
  }

  reveal() { this.say(null); this.show("printed", this.data.answer); }
}

/**
 * Keys of an editor: Tab indents, Enter keeps the indentation, Ctrl+Enter submits. Tab moves on before
 * the reader has clicked or typed, so that who only passes by changes nothing, and after Esc.
 */
function editor(area, submit) {
  let inside = false;
  area.addEventListener("pointerdown", () => { inside = true; });
  area.addEventListener("input", () => { inside = true; });
  area.addEventListener("blur", () => { inside = false; });
  area.addEventListener("keydown", event => {
    const { selectionStart: from, selectionEnd: to, value } = area;
    const line = value.lastIndexOf("\n", from - 1) + 1;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
    else if (event.key === "Escape") { inside = false; return; }
    else if (event.key === "Tab" && inside) indent(area, line, event.shiftKey);
    else if (event.key === "Enter" && !event.isComposing) {
      const before = value.slice(line, from);
      insert(area, from, to, "\n" + before.match(/^ */)[0] + (/:\s*$/.test(before) ? "    " : ""));
    } else return;
    event.preventDefault();
  });
}

/** Four spaces more or less before each chosen line; without a choice, spaces up to the next stop. */
function indent(editor, line, back) {
  const { selectionStart: from, selectionEnd: to, value } = editor;
  if (from === to && !back) return insert(editor, from, to, " ".repeat(4 - ((from - line) % 4)));
  const old = value.slice(line, to);
  if (back && !/^ /m.test(old)) return;
  const text = back ? old.replace(/^ {1,4}/gm, "") : old.replace(/^(?=.)/gm, "    ");
  const first = text.split("\n", 1)[0].length - old.split("\n", 1)[0].length;
  insert(editor, line, to, text);
  editor.setSelectionRange(Math.max(from + first, line), to + text.length - old.length);
}

/** Put text in place of a stretch, so that the browser can undo it. */
function insert(editor, from, to, text) {
  editor.setSelectionRange(from, to);
  const done = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
  if (!done) {
    editor.setRangeText(text, from, to, "end");
    editor.dispatchEvent(new Event("input"));
  }
}

// --- lines to put in order ------------------------------------------------------------------------

class Order extends Exercise {
  start() {
    this.pile = this.$(".pile");
    this.program = this.$(".program");
    this.items = new Map(this.all("li[data-line]").map(item => [+item.dataset.line, item]));
    this.mixed = [...this.items.values()];
    for (const item of this.mixed) {
      for (const move of ["up", "down", "in", "out"])
        item.querySelector(`.${move}`).onclick = event => this.move(item, move, event.currentTarget);
      item.addEventListener("pointerdown", event => this.drag(item, event));
    }
    this.program.append(...(this.kept.lines ?? []).map(i => this.items.get(i)).filter(Boolean));
    if (this.kept.right) this.explain(WORDS.ordered);
  }

  get lines() { return [...this.program.children].map(item => +item.dataset.line); }
  text(i) { return this.items.get(i).querySelector("code").textContent.trim(); }

  begin() {
    this.pile.append(...this.mixed);
    this.changed();
  }

  move(item, move, button) {
    if (move === "in") this.program.append(item);
    if (move === "out") this.pile.append(item);
    if (move === "up") item.previousElementSibling?.before(item);
    if (move === "down") item.nextElementSibling?.after(item);
    const there = button.offsetParent ? button : item.querySelector(move === "in" ? ".up" : ".in");
    there.focus(); // the button goes with its line, or its opposite is there
    this.changed();
    const at = this.lines.indexOf(+item.dataset.line);
    if (at >= 0) this.say(WORDS.place(at + 1, this.lines.length), "unseen"); // who sees it sees it
  }

  /** The program is another one: what was said of the last no longer holds. */
  changed() {
    this.say(null);
    for (const item of this.mixed) item.classList.remove("off");
    this.all(".why").forEach(why => why.remove());
    this.keep({ lines: this.lines, right: false });
  }

  /** Drag a line by its grip, with a mouse anywhere on it; a gap shows where it will be. */
  drag(item, event) {
    const held = event.target.matches(".grip") || (event.pointerType === "mouse" && !event.target.closest("button"));
    if (!held || !event.isPrimary || event.button) return;
    event.preventDefault();
    const gap = document.createElement("li");
    gap.className = "gap";
    item.classList.add("dragged");
    item.setPointerCapture(event.pointerId);
    const follow = ({ clientX, clientY }) => {
      const lists = document.elementsFromPoint(clientX, clientY).map(node => node.closest(".lists > div"));
      const list = lists.find(Boolean)?.querySelector(".pile, .program");
      if (!list || !this.section.contains(list)) return;
      const below = other => clientY < other.getBoundingClientRect().top + other.offsetHeight / 2;
      const next = [...list.children].find(other => other !== gap && below(other));
      list.insertBefore(gap, next ?? null);
    };
    const end = () => {
      item.removeEventListener("pointermove", follow);
      item.classList.remove("dragged");
      if (gap.isConnected) gap.replaceWith(item);
      this.changed();
    };
    item.addEventListener("pointermove", follow);
    item.addEventListener("lostpointercapture", end, { once: true });
  }

  check() {
    const { count, before, why } = this.data, lines = this.lines;
    const off = (line, pair) => {
      this.items.get(line).classList.add("off");
      this.judged(false, pair);
    };
    if (!lines.length) return this.say(WORDS.empty);
    const useless = lines.find(line => line >= count);
    if (useless !== undefined) {
      const [en, zh] = WORDS.useless(this.text(useless));
      return off(useless, [`${en} ${why[useless][0]}`, zh + why[useless][1]]);
    }
    // Of the pairs that are broken one between which no other line of the program stands.
    const first = (i, j) => before.some(pair => pair[0] === i && pair[1] === j);
    const direct = (i, j) => first(i, j) && !lines.some(k => first(i, k) && first(k, j));
    for (const [at, line] of lines.entries()) {
      const late = lines.slice(at + 1).find(other => direct(other, line));
      if (late !== undefined) return off(line, WORDS.early(this.text(late), this.text(line)));
    }
    if (lines.length < count) return this.say(WORDS.lacks(count - lines.length));
    this.judged(true);
    this.explain(WORDS.ordered);
  }

  /** Beneath each line of a right program why it stands there. */
  explain(pair) {
    this.say(pair, "right");
    for (const line of this.lines) {
      const reason = document.createElement("p");
      reason.className = "why";
      reason.append(...spoken(this.data.why[line]));
      this.items.get(line).append(reason);
    }
  }

  reveal() {
    this.pile.append(...this.mixed);
    this.program.append(...[...Array(this.data.count).keys()].map(i => this.items.get(i)));
    this.changed();
    this.kept.right = true;
    this.explain(WORDS.answer);
  }
}

// --- a line that is wrong -------------------------------------------------------------------------

class Hunt extends Exercise {
  start() {
    this.lines = this.all("ol.code li");
    this.lines.forEach((item, i) => item.querySelector("button")?.addEventListener("click", () => this.accuse(i)));
    if (this.kept.line !== undefined) this.mark(this.kept.line);
  }

  begin() {
    this.mark(-1);
    this.say(null);
    this.keep({ line: undefined, right: false });
  }

  /** Which line is looked at; once the wrong one is found it keeps its mark, and others are explained. */
  mark(line) {
    const solved = this.kept.right;
    this.lines.forEach((item, i) => {
      item.querySelector("button")?.setAttribute("aria-pressed", i === line);
      item.classList.toggle("right", !!(solved && this.data.why[i]?.[0]));
      item.classList.toggle("wrong", i === line && !solved);
    });
    const [right, why] = this.data.why[line] ?? [];
    if (why) this.say(why, right ? "right" : solved ? "" : "wrong");
  }

  accuse(line) {
    const [right, why] = this.data.why[line];
    this.kept.line = line;
    if (right || !this.kept.right) this.judged(right, why);
    else this.keep({});
    this.mark(line);
  }

  reveal() { this.accuse(this.data.why.findIndex(said => said?.[0])); }
}

// --- a state of the picture to reach --------------------------------------------------------------

class Goal extends Exercise {
  start() {
    this.$(".back").onclick = () => this.scene.go({ index: this.scene.state.index - 1 });
    this.$(".on").onclick = () => this.scene.go({ index: this.scene.state.index + 1 });
    for (const control of this.scene.querySelectorAll(".choices, .break")) {
      const mine = control.cloneNode(true);
      for (const input of mine.querySelectorAll("input")) input.name += `-${this.id}`;
      mine.addEventListener("change", ({ target: { type, value, checked } }) =>
        this.scene.go(type === "radio" ? { choice: value } : { broken: checked }));
      this.$(".now").before(mine);
    }
    this.scene.addEventListener("move", () => {
      this.say(null); // it was said of another state
      this.follow();
    });
    this.follow();
    const [right, ...pair] = this.here;
    if (right && this.kept.right) this.say(pair, "right");
  }

  /** What is said at the state of the picture. */
  get here() { return this.data.states[this.scene.place(this.scene.state)]; }

  /** The name, value and caption of the picture, and its controls as they stand. */
  follow() {
    for (const [mine, its] of [[".at", ".name"], [".now", ".caption"]])
      this.$(mine).replaceChildren(...this.scene.querySelector(its).cloneNode(true).childNodes);
    const { index, choice, broken } = this.scene.state;
    for (const input of this.all(".steps input")) input.checked = input.type === "radio" ? input.value === choice : broken;
    this.$(".back").disabled = index === 0;
    this.$(".on").disabled = index === this.scene.data.values.length - 1;
  }

  check() {
    const [right, ...pair] = this.here;
    this.judged(right, pair);
  }

  begin() { this.say(null); this.keep({ right: false }); }

  reveal() {
    const at = this.data.states.findIndex(([right]) => right), { values, choices } = this.scene.data;
    const faults = this.data.states.length / values.length / Math.max(choices.length, 1);
    this.scene.go({
      index: at % values.length, broken: Math.floor(at / values.length) % faults === 1,
      choice: choices[Math.floor(at / values.length / faults)],
    });
    const [, en, zh] = this.data.states[at];
    this.say([`${WORDS.here[0]} ${en}`, WORDS.here[1] + zh]);
  }
}

// --- answers to choose from -----------------------------------------------------------------------

class Recall extends Exercise {
  start() {
    this.said = this.all(".reason");
    this.inputs = this.all("input");
    this.inputs.forEach((input, i) => {
      input.checked = this.kept.choice === i;
      input.addEventListener("change", () => this.chose(i));
    });
    if (this.kept.right) this.reasons(this.kept.choice);
  }

  get choice() { return this.inputs.findIndex(input => input.checked); }

  chose(i) {
    this.reasons(-1);
    this.say(null);
    this.keep({ choice: i, right: false });
  }

  /** Show what is said of an answer, of no other. */
  reasons(which) {
    this.said.forEach((reason, i) => { reason.hidden = i !== which; });
  }

  check() {
    if (this.choice < 0) return this.say(WORDS.choose);
    this.reasons(this.choice);
    this.judged("right" in this.inputs[this.choice].dataset, null);
    this.announce();
  }

  /** The reason stands beside its answer; for who hears the page it is said as a verdict too. */
  announce() {
    const reason = this.said[this.choice].cloneNode(true);
    reason.hidden = false;
    reason.className = "unseen";
    this.$(".verdict").replaceChildren(reason);
  }

  begin() {
    this.inputs.forEach(input => { input.checked = false; });
    this.chose(-1);
  }

  reveal() {
    this.inputs.find(input => "right" in input.dataset).checked = true;
    this.check();
  }
}

/**
 * Before the picture. Once it has been moved, the reader is asked beneath it what there was to see, and
 * may then compare that with what was predicted: above the picture nothing appears that would move it.
 */
class Predict extends Recall {
  start() {
    this.seen = this.$(".seen");
    super.start();
    (this.scene.closest("#scene") ?? this.scene).after(this.seen);
    const note = this.seen.querySelector("textarea");
    note.value = this.kept.note ?? "";
    note.addEventListener("input", () => this.keep({ note: note.value }));
    this.seen.querySelector(".compare").onclick = () => { this.keep({ compared: true }); this.show(); };
    this.scene.addEventListener("move", () => {
      if (!this.kept.moved) this.keep({ moved: true });
      this.show();
    });
    this.show();
  }

  chose(i) {
    this.keep({ choice: i });
    this.show();
  }

  /** As far as the reader has come. */
  show() {
    this.seen.hidden = this.choice < 0 || !this.kept.moved;
    this.reasons(this.kept.compared ? this.choice : -1);
  }
}

const KINDS = { write: Write, order: Order, hunt: Hunt, goal: Goal, recall: Recall, predict: Predict };

/**
 * Bring the exercises in `root` to life.
 *
 * ask: sends a request to Python and promises its reply; null if there is none.
 * scene: the <mr-scene> that goals and the prediction look at.
 * store: get(id), set(id, value): the reader's answers.
 */
export function exercises(root, { ask, scene, store, lesson }) {
  for (const section of root.querySelectorAll(".exercise[data-kind]")) {
    const exercise = new KINDS[section.dataset.kind](section, { ask, scene, store });
    exercise.lesson = lesson;
    exercise.start();
    exercise.refresh();
  }
}
exercises.editor = editor;
