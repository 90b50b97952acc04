// Ten questions before the course and after it. Answers live in this tab; in a log on this device only
// where the reader asks for one.
const { found, read, write } = await connect();
const form = $("#questions"), items = all(".question"), log = $("#keep"), LOG = "questions/log", DRAFT = "questions/draft";
let rounds = found[LOG] ?? tab(LOG) ?? [], seconds = {}, last = performance.now();
log.checked = !!found[LOG];

// What this tab keeps under a name; with a value it keeps that.
function tab(name, value) {
  try {
    if (value === undefined) return JSON.parse(sessionStorage.getItem(name));
    sessionStorage.setItem(name, JSON.stringify(value));
  } catch { return null; /* a browser that keeps nothing, or nothing readable: begin anew */ }
}

function save() {
  tab(LOG, rounds);
  tab(DRAFT, null);
  if (log.checked) write(LOG, rounds);
}

// Take in what another tab has logged meanwhile; whether there is a log still.
async function join() {
  const there = (await read())[LOG];
  rounds = [...there ?? [], ...rounds.filter(({ when }) => !there?.some(one => one.when === when))];
  return !!there;
}

// How many are right of those that were answered as surely as this, and how many those are.
function right({ answers }, sure) {
  const some = items.map(({ dataset }) => ({ ...answers[dataset.id], right: dataset.right }))
    .filter(one => !sure || one.sure === sure);
  return [some.filter(one => one.answer === one.right).length, some.length];
}

// Empty questions, or what the last round leads to: thanks, or what all answers are worth.
function show(fresh = !rounds.length || !!tab(DRAFT)) {
  const round = rounds.at(-1);
  const seen = !fresh && round.round === "after", thanked = !fresh && !seen;
  form.hidden = thanked;
  $("#thanks").hidden = !thanked;
  $("#compared").hidden = !seen;
  $("#again").hidden = fresh;
  $("#export").disabled = $("#delete").disabled = !rounds.length;
  for (const input of all("input", form)) input.disabled = seen;
  for (const said of all(".reason, .told", form)) said.hidden = !seen;
  $("#questions .check").hidden = seen;
  $("#deleted").replaceChildren();
  if (seen) compare(rounds.find(one => one.round === "before"), round);
  else if (fresh) {
    const draft = tab(DRAFT) ?? { given: { round: rounds.length ? "after" : "before" }, seconds: {} };
    form.reset();
    for (const [name, value] of Object.entries(draft.given)) form.elements[name].value = value;
    [seconds, last] = [draft.seconds, performance.now()];
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
  const share = `(${now} − ${then}) / (${sum} − ${then}) = ${((now - then) / (sum - then)).toFixed(2)}`;
  const gain = now < then ? [`${then - now} fewer right than before. `, `比之前少答对 ${then - now} 题。`]
    : !before || then === sum ? ["", ""]
    : [`Of what was left to learn you have gained ${share}. `, `当初还不会的，你学会了 ${share}。`];
  say($("#gain"), `${gain[0]}Sure, but wrong: ${before ? `${wrong(before)} before, ` : ""}${wrong(after)} now.`,
    `${gain[1]}很有把握却答错：${before ? `之前 ${wrong(before)} 题，` : ""}现在 ${wrong(after)} 题。`);
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
  tab(DRAFT, { given: Object.fromEntries(new FormData(form)), seconds });
});
form.addEventListener("submit", async event => {
  event.preventDefault();
  const answers = Object.fromEntries(items.map(({ dataset: { id } }) => [id, { answer: form.elements[id].value,
    sure: form.elements[`${id}-sure`].value, seconds: Math.round(seconds[id]) }]));
  rounds.push({ round: form.elements.round.value, when: new Date().toISOString(), language: root.lang, answers });
  form.hidden = true; // once
  if (log.checked) log.checked = await join();
  save();
  show();
  $("#result").focus({ preventScroll: true });
  scrollTo(0, 0);
});
$("#again").onclick = () => { show(true); scrollTo(0, 0); };
log.onchange = async () => { if (log.checked) await join(); write(LOG, log.checked ? rounds : null); };
// A reader's file has one name however often it is exported, and no other reader's has it.
$("#export").onclick = () => download(`minireg-questions-${rounds[0].when.replace(/[:.]/g, "-")}.json`,
  `data:application/json,${encodeURIComponent(JSON.stringify({ schema: 1, minireg: page.version, rounds }, null, 1))}`);
$("#delete").onclick = () => {
  const asks = { en: "Delete all answers? They cannot be brought back.", zh: "删除全部答案？删除后无法恢复。" };
  if (!confirm(asks[root.lang.slice(0, 2)])) return;
  [rounds, log.checked] = [[], false];
  save();
  write(LOG, null);
  show();
  say($("#deleted"), "Deleted.", "已删除。");
};
show();
root.dataset.ready = "questions";
