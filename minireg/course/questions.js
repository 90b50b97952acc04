// Ten questions before the course and after it. Answers live in this tab; in a log on this device only
// where the reader asks for one.
const { found, write } = await connect();
const form = $("#questions"), items = all(".question"), log = $("#keep"), LOG = "questions/log";
let rounds = found[LOG] ?? tab() ?? [], seconds = {}, last = performance.now();
log.checked = !!found[LOG];

function tab() {
  try { return JSON.parse(sessionStorage.getItem(LOG)); } catch { return null; /* begin anew */ }
}

function save() {
  try { sessionStorage.setItem(LOG, JSON.stringify(rounds)); } catch { /* a browser that keeps nothing */ }
  if (log.checked) write(LOG, rounds);
}

// How many are right of those that were answered as surely as this, and how many those are.
function right({ answers }, sure) {
  const some = items.map(({ dataset }) => ({ ...answers[dataset.id], right: dataset.right }))
    .filter(one => !sure || one.sure === sure);
  return [some.filter(one => one.answer === one.right).length, some.length];
}

// Empty questions, or what the last round leads to: thanks, or what all answers are worth.
function show(fresh = !rounds.length) {
  const round = rounds.at(-1), before = rounds.findLast(one => one.round === "before");
  const seen = !fresh && round.round === "after", thanked = !fresh && !seen;
  form.hidden = thanked;
  $("#thanks").hidden = !thanked;
  $("#compared").hidden = !seen;
  $("#again").hidden = fresh;
  $("#export").disabled = $("#delete").disabled = !rounds.length;
  for (const input of all("input", form)) input.disabled = seen;
  for (const said of all(".reason, .told", form)) said.hidden = !seen;
  $("#questions .check").hidden = seen;
  if (seen) compare(before, round);
  else if (thanked) for (const line of all("#thanks li")) line.hidden = items.every(({ dataset }) => {
    const { answer, sure } = round.answers[dataset.id];
    return dataset.lesson !== line.dataset.lesson || (answer === dataset.right && sure !== "guess");
  });
  else {
    form.reset();
    form.elements.round.value = before ? "after" : "before";
    [seconds, last] = [{}, performance.now()];
  }
}

function compare(before, after) {
  for (const { cells, dataset } of all("#compared tbody tr"))
    for (const [i, round] of [before, after].entries()) {
      const [good, all] = round ? right(round, dataset.sure) : [0, 0];
      cells[i + 1].textContent = all ? `${good} / ${all}` : "–";
    }
  const sum = items.length, [now, then] = [after, before].map(round => round && right(round)[0]);
  const wrong = round => { const [good, all] = right(round, "sure"); return all - good; };
  const gain = `(${now} − ${then}) / (${sum} − ${then}) = ${((now - then) / (sum - then)).toFixed(2)}`.replace("-", "−");
  const some = before && then < sum;
  say($("#gain"), `${some ? `Of what was left to learn you have gained ${gain}. ` : ""}Sure, but wrong: ${
    before ? `${wrong(before)} before, ` : ""}${wrong(after)} now.`, `${some ? `当初还不会的，你学会了 ${gain}。` : ""
  }很有把握却答错：${before ? `之前 ${wrong(before)} 题，` : ""}现在 ${wrong(after)} 题。`);
  for (const item of items) {
    const { id } = item.dataset, { answer, sure } = after.answers[id], old = before?.answers[id];
    [form.elements[id].value, form.elements[`${id}-sure`].value] = [answer, sure];
    say(item.querySelector(".was"), old && `Before: ${old.answer}, ${page.sure[old.sure].en}`,
      old && `之前：${old.answer}，${page.sure[old.sure].zh}`);
  }
}

form.addEventListener("change", ({ target }) => { // a question has the time since the answer before
  const id = target.closest(".question")?.dataset.id, now = performance.now();
  if (id) seconds[id] = (seconds[id] ?? 0) + (now - last) / 1000;
  last = now;
});
form.addEventListener("submit", event => {
  event.preventDefault();
  const answers = Object.fromEntries(items.map(({ dataset: { id } }) => [id, { answer: form.elements[id].value,
    sure: form.elements[`${id}-sure`].value, seconds: Math.round(seconds[id]) }]));
  rounds.push({ round: form.elements.round.value, when: new Date().toISOString(), language: root.lang, answers });
  save();
  show();
  $("#result").focus({ preventScroll: true });
  scrollTo(0, 0);
});
$("#again").onclick = () => { show(true); scrollTo(0, 0); };
log.onchange = () => write(LOG, log.checked ? rounds : null);
$("#export").onclick = () => download("minireg-questions.json", `data:application/json,${
  encodeURIComponent(JSON.stringify({ schema: 1, minireg: page.version, rounds }, null, 1))}`);
$("#delete").onclick = () => { [rounds, log.checked] = [[], false]; save(); write(LOG, null); show(); };
show();
root.dataset.ready = "questions";
