// <mr-scene>: a picture for each value of a control, drawn ahead by scene.py. Frames of one look have
// the same marks, so that a move changes numbers in them and nothing is parsed again.
//
// For the page: scene.state {index, value, choice, broken}; scene.go({index | value, choice, broken});
// scene.numbers, those of the frame; the event "move" (detail: state) after each change.

const MOVES = { d: 10, x: 10, y: 10, cx: 10, cy: 10, width: 10, height: 10, "fill-opacity": 100 };
const SWAPS = new Set(["class", "href", "id", "mask", "viewBox", "stroke-width", "aria-label"]);
const NUMBER = /-?\d+(?:\.\d+)?/g;
const MORPH = 250; // milliseconds from one frame to the next
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** The marks of a look, and in them the slots whose numbers or words differ from frame to frame. */
class Look {
  constructor(stage, { still, live }) {
    this.nodes = [...stage.childNodes];
    this.slots = this.nodes.flatMap(slotsOf);
    this.numbers = [];
    this.words = this.slots.map((slot, i) => {
      if (!(slot.name in MOVES) || still.includes(i)) return slot.text;
      Object.assign(slot, { at: this.numbers.length, unit: MOVES[slot.name] });
      for (const n of slot.text.match(NUMBER) ?? []) this.numbers.push(Math.round(n * slot.unit));
      slot.count = this.numbers.length - slot.at;
      return slot.text.replace(NUMBER, "#");
    });
    for (const panel of stage.querySelectorAll("svg[aria-label]")) // the stage says it, in both languages
      for (const name of ["role", "aria-label"]) panel.removeAttribute(name);
    this.live = [];
    live.reduce((sum, gap) => (this.live.push(sum + gap), sum + gap), 0);
    this.shown = { numbers: this.numbers, words: this.words };
    this.last = this.shown;
  }

  /** The next frame: what it adds to the one before. */
  next(added, words) {
    const frame = { look: this, numbers: [...this.last.numbers], words: [...this.last.words] };
    this.live.forEach((k, i) => (frame.numbers[k] += added[i]));
    for (let i = 0; i < words.length; i += 2) frame.words[words[i]] = words[i + 1];
    return (this.last = frame);
  }

  /** Write into the marks what differs from what they show. */
  paint({ numbers, words }) {
    const old = this.shown;
    this.slots.forEach((slot, i) => {
      let same = old.words[i] === words[i];
      for (let k = slot.at; same && k < slot.at + slot.count; k++) same = old.numbers[k] === numbers[k];
      if (same) return;
      let k = slot.at;
      const text = slot.count === undefined ? words[i]
        : words[i].replace(/#/g, () => Math.round(numbers[k++]) / slot.unit);
      if (slot.name) slot.node.setAttribute(slot.name, text);
      else slot.node.data = text;
    });
    this.shown = { numbers, words };
  }
}

function slotsOf(root) {
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  for (let node = root; node; node = walker.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) found.push({ node, name: "", text: node.data });
    else for (const { name, value } of node.attributes)
      if (name in MOVES || SWAPS.has(name)) found.push({ node, name, text: value });
  }
  return found;
}

/** Of a text in both languages the one that is shown. */
function here([en, zh]) {
  return document.documentElement.lang.startsWith("zh") ? zh : en;
}

function between(a, b, share) {
  return {
    numbers: a.numbers.map((v, i) => v + (b.numbers[i] - v) * share),
    words: share < 0.5 ? a.words : b.words,
  };
}

class Scene extends HTMLElement {
  connectedCallback() {
    if (this.data) return; // moved within the page
    this.data = JSON.parse(this.querySelector("script").textContent);
    this.form = this.querySelector("form");
    this.range = this.querySelector("input[type=range]");
    this.stage = this.querySelector(".stage");
    this.fields = this.querySelectorAll(".caption b");
    this.unfold();
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.show());
    this.stage.addEventListener("pointerdown", (event) => this.grab(event));
    this.querySelector(".stops").addEventListener("click", (event) => this.point(event));
    new MutationObserver(() => this.speak())
      .observe(document.documentElement, { attributeFilter: ["lang"] });
    this.speak();
    this.say();
  }

  /** All frames from what is kept of them. */
  unfold() {
    const looks = this.data.looks.map((look) => {
      if (look.svg === undefined) return new Look(this.stage, look); // it is there already
      const stage = document.createElement("div");
      stage.innerHTML = look.svg;
      return new Look(stage, look);
    });
    this.frames = this.data.frames.map(([look, added, words, said]) =>
      Object.assign(looks[look].next(added, words), { said }));
    this.look = looks[0];
  }

  get state() {
    const index = +this.range.value;
    const choice = this.form.elements.choice?.value ?? null;
    const broken = this.form.elements.broken?.checked ?? false;
    return { index, value: this.data.values[index], choice, broken };
  }

  get numbers() {
    return this.data.numbers[this.place(this.state)];
  }

  /** Where the frame of a state stands among all. */
  place({ index, choice, broken }) {
    const faults = this.form.elements.broken ? 2 : 1;
    const chosen = Math.max(this.data.choices.indexOf(choice), 0);
    return (chosen * faults + broken) * this.data.values.length + index;
  }

  /** Set the controls as a reader would; what is left out stays, what does not exist is ignored. */
  go({ index, value, choice, broken }) {
    const { elements } = this.form;
    const wanted = index ?? this.data.values.indexOf(Number(value));
    if (wanted >= 0 && wanted < this.data.values.length) this.range.value = wanted;
    if (this.data.choices.includes(choice)) elements.choice.value = choice;
    if (broken !== undefined && elements.broken) elements.broken.checked = broken;
    this.show();
  }

  /** The value whose number under the track is nearest to the pointer. */
  point({ clientX }) {
    const away = [...this.querySelectorAll(".stops span")]
      .map((stop) => Math.abs(stop.getBoundingClientRect().left - clientX)); // they have no width
    this.go({ index: away.indexOf(Math.min(...away)) });
  }

  show() {
    const frame = this.frames[this.place(this.state)];
    cancelAnimationFrame(this.waiting);
    if (frame.look !== this.look) {
      this.look = frame.look;
      this.look.paint(frame);
      this.stage.replaceChildren(...this.look.nodes);
    } else if (still.matches) this.look.paint(frame);
    else this.morph(frame);
    this.say();
    this.dispatchEvent(new CustomEvent("move", { bubbles: true, detail: this.state }));
  }

  morph(frame) {
    const from = this.look.shown, begun = performance.now();
    const step = (now) => {
      const rest = 1 - Math.min(Math.max(now - begun, 0) / MORPH, 1); // fast first: the hand leads
      this.look.paint(rest ? between(from, frame, 1 - rest ** 3) : frame);
      if (rest) this.waiting = requestAnimationFrame(step);
    };
    this.waiting = requestAnimationFrame(step);
  }

  /** The value beside its name, and the numbers in the caption. */
  say() {
    const { index } = this.state;
    const word = this.data.words[index];
    this.querySelector("output").textContent = word;
    this.range.setAttribute("aria-valuetext", word + here(this.data.unit));
    this.querySelectorAll(".stops span").forEach((s, i) => s.classList.toggle("here", i === index));
    this.frames[this.place(this.state)].said.forEach((text, i) => {
      if (this.fields[i].textContent !== text) this.fields[i].textContent = text;
    });
  }

  /** The picture in words, in the language of the page. */
  speak() {
    this.stage.setAttribute("aria-label", here(this.data.alt));
  }

  /** Drag the handle: the frame whose handle is nearest to the pointer is shown. */
  grab(event) {
    const svg = event.target.closest(".stage > svg");
    const slots = this.look.slots.filter(
      ({ node }) => node.nodeType === 1 && node.matches("circle.handle") && svg?.contains(node));
    if (!slots.length || !event.isPrimary) return;
    event.preventDefault(); // no text is selected
    this.stage.setPointerCapture(event.pointerId);
    const follow = ({ clientX, clientY }) => {
      const at = new DOMPoint(clientX, clientY).matrixTransform(svg.getScreenCTM().inverse());
      const away = this.data.values.map((_, index) => {
        const { look, numbers } = this.frames[this.place({ ...this.state, index })];
        const place = slots.filter((s) => s.count).map((s) => numbers[s.at] / s.unit);
        return look === this.look ? Math.hypot(place[0] - at.x, place[1] - at.y) : Infinity;
      });
      const index = away.indexOf(Math.min(...away));
      if (index !== this.state.index) this.go({ index });
    };
    follow(event);
    this.stage.addEventListener("pointermove", follow);
    const leave = () => this.stage.removeEventListener("pointermove", follow);
    this.stage.addEventListener("lostpointercapture", leave, { once: true });
  }
}

customElements.define("mr-scene", Scene);
