// Rows that are searched: words in the box, a choice for each property; a row that unfolds. All of it
// is in the address: #C39 opens a claim, #q=ridge&verdict=TRUE looks for what fits.
const form = $("#find"), rows = all(".row"), choices = all("select", form);
const plain = text => text.normalize("NFKC").toLowerCase().replaceAll("\u00a0", " ");
const texts = new Map();

// What is looked for is what is shown, in the language that is.
function language() {
  const other = `[lang|="${root.lang === "en" ? "zh" : "en"}"]`;
  const same = ".figures, .small, summary, dt, button, .card dd:last-child"; // in all rows, or no words
  for (const row of rows) {
    const copy = row.cloneNode(true);
    for (const one of all(`${same}, ${other}`, copy)) one.remove();
    texts.set(row, plain(`${row.id} ${copy.textContent}`));
  }
  for (const option of all("option", form)) option.textContent = option.dataset[root.lang.slice(0, 2)];
}

// A number is looked for from its first digit: 0.19 is not in 10.19.
function fits(text, word) {
  const id = /^c0*(\d+)$/.exec(word); // c7 is claim C07, not C70
  if (id) return text.includes(`c${id[1].padStart(2, "0")} `);
  if (!/^\d[\d.]*$/.test(word)) return text.includes(word);
  return new RegExp(`(?<![\\d.])${word.replaceAll(".", "\\.")}`).test(text);
}

function filter() {
  const words = plain(form.q.value).replace(/(?<=[\u4e00-\u9fff])(?=\d)/g, " ").split(/\s+/).filter(Boolean);
  let left = 0;
  for (const row of rows) {
    row.hidden = !words.every(word => fits(texts.get(row), word))
      || choices.some(({ name, value }) => value && !row.dataset[name].split("|").includes(value));
    left += !row.hidden;
  }
  for (const part of all("main > section")) part.hidden = !part.querySelector(".row:not([hidden])");
  say($("#count"), left < rows.length ? `${left} of ${rows.length}` : `all ${rows.length}`,
    left < rows.length ? `共 ${rows.length} 条，符合的有 ${left} 条` : `共 ${rows.length} 条`);
}

let opened = "";
function write() {
  const asked = new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim()));
  const hash = [opened, asked.toString()].filter(Boolean).join("&");
  history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
}

function unfold(row, open) {
  const button = $(`#${row.id} [aria-expanded]`);
  button.setAttribute("aria-expanded", open);
  document.getElementById(button.getAttribute("aria-controls")).hidden = !open;
  row.classList.toggle("open", open);
  if (open) opened = row.id; else if (opened === row.id) opened = "";
}

function read() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const field of form.elements) field.value = asked.get(field.name) ?? "";
  filter();
  const row = rows.find(({ id }) => id && (asked.has(id) || asked.has(id.toLowerCase())));
  if (!row) return;
  row.hidden = false;
  unfold(row, true);
  row.scrollIntoView();
}

form.addEventListener("input", () => { opened = ""; filter(); write(); });
form.addEventListener("submit", event => event.preventDefault());
addEventListener("hashchange", read);
addEventListener("language", () => { language(); filter(); });
addEventListener("keydown", event => { // as on many pages, / leads to the box
  if (event.key !== "/" || event.target.matches("input, select")) return;
  event.preventDefault();
  form.q.focus();
});
addEventListener("click", ({ target }) => { // anywhere in a row; a text that is marked is to be copied
  const row = target.closest("tr:not(.card)")?.closest(".row[id]");
  if (!row || target.closest("a") || getSelection().toString()) return;
  unfold(row, !row.classList.contains("open"));
  write();
});
language();
read();
const { ask } = await connect();
if (ask) measures(ask);
root.dataset.ready = ask ? "python" : "alone";
