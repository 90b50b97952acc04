// The page of all lessons: a link leads to the picture as it stands, and what has been done is said.
const { found } = await connect();

for (const card of all(".card")) {
  const scene = card.querySelector("mr-scene"), link = card.querySelector("a");
  scene.addEventListener("move", ({ detail }) => { link.hash = `${scene.data.name}=${detail.value}`; });
}

function progress(answers) {
  for (const card of all(".card")) {
    const answer = id => answers[`${card.dataset.lesson}/${id}`];
    const ids = card.dataset.exercises.split(" "), done = ids.filter(id => answer(id)?.right).length;
    const predicted = answer("predict")?.choice >= 0, note = card.querySelector(".progress");
    note.hidden = !done && !predicted;
    say(note, [predicted && "predicted", `${done} of ${ids.length} exercises done`].filter(Boolean).join(", "),
      [predicted && "已预测", `练习完成 ${done} / ${ids.length}`].filter(Boolean).join("，"));
  }
}

progress(found);
if (page.python !== "server") addEventListener("pageshow", () => progress(kept())); // back from a lesson
root.dataset.ready = "index";
