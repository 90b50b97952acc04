// Rows that are searched: words in the box, a choice for each property; a row that unfolds. All of it
// is in the address: #C39 opens a claim, #q=ridge&verdict=TRUE looks for what fits.
const form = $("#find"), rows = all(".row"), choices = all("select", form);
const greek = new Map(page.greek), unit = page.rows;
const plain = text => text.normalize("NFKC").toLowerCase().replaceAll("iz", "is"); // -ize or -ise

// What is looked for is what is shown in either language: of the words, not what is in all rows.
const texts = new Map(rows.map(row => [row, row.cloneNode(true)]));
for (const [row, copy] of texts) {
  for (const one of all(".figures, .small, summary, dt, button, .card dd:last-child", copy)) one.remove();
  texts.set(row, plain(`${row.id} ${copy.textContent}`));
}

// A word is all Chinese or has none: L2正则化 is two, with a space or without.
const word = /\p{sc=Han}+|[^\s,\p{sc=Han}-]+/gu;

// A number is looked for from its first digit: 0.19 is not in 10.19.
function fits(text, word) {
  const id = /^c0*(\d+)$/.exec(word); // c7 is claim C07, not C70
  if (id) return text.includes(`c${id[1].padStart(2, "0")} `);
  const number = /^\d[\d.]*$/.test(word) && new RegExp(`(?<![\\d.])${word.replaceAll(".", "\\.")}`);
  return number ? number.test(text) : text.includes(word);
}

function filter() {
  const asked = plain(form.q.value).match(word)?.map(one => greek.get(one) ?? one) ?? [], many = rows.length;
  const left = rows.filter(row => !row.toggleAttribute("hidden", // which says whether it is
    !asked.every(one => fits(texts.get(row), one))
    || choices.some(({ name, value }) => value && !row.dataset[name].split("|").includes(value)))).length;
  for (const part of all("main > section")) part.hidden = !part.querySelector(".row:not([hidden])");
  if (!left) say($("#count"), "None. Try another word, or clear the filters.", "没有。换一个词，或清除筛选。");
  else say($("#count"), `${left < many ? `${left} of` : "all"} ${many}${unit.en}`,
    `共 ${many} ${unit.zh}` + (left < many ? `，符合的有 ${left} ${unit.zh}` : ""));
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

function language() {
  for (const option of all("option", form)) option.textContent = option.dataset[root.lang.slice(0, 2)];
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
addEventListener("language", language);
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
