"""Ten questions: each key is what a measurement says, and the page that asks them."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support.browser import background, served, visit
from support.few import slow_unless
from support.look import readable

import minireg as mr
from minireg.course import site
from minireg.course.lessons import lessons
from minireg.course.questions import SURE, page, questions
from minireg.course.serve import Answers, Server

ALL = {q.id: q for q in questions()}
EXPORTS = Path(__file__).parent / "exports"
HAN = "[\u4e00-\u9fff]"


# --- what is right is measured --------------------------------------------------------------------


def fit(x, y, penalty):
    """The weights of least squares with a penalty, exactly."""
    model = mr.nn.Linear(x.shape[1], 1, bias=False, dtype=np.float64)
    assert mr.solve(model, mr.nn.MSELoss(), penalty, x, y).converged
    return model.weight.numpy()[0]


def only(**holds):
    """The one letter of which it holds."""
    (letter,) = (letter for letter, it in holds.items() if it)
    return letter


def decay():
    table = mr.nn.Embedding(2, 3, dtype=np.float64)
    begun = table.weight.numpy()[1].copy()
    optimizer = mr.optim.SGD(table.parameters(), lr=0.1, weight_decay=0.01)
    for _ in range(1000):
        table.zero_grad()
        (table(np.array([0, 0])) ** 2).mean().backward()  # the word of row 1 never occurs
        optimizer.step()
    (left,) = {*np.round(table.weight.numpy()[1] / begun, 4)}
    return only(A=left == 1, B=abs(left - 0.37) < 0.005, C=abs(left) < 1e-6, D=0 < left < 1e-4)


def zeros():
    found = set()
    for curvature in (0.1, 1.0, 10.0):  # mean((root·w − b)²) has slope −2·root·b at 0
        root = np.sqrt(curvature / 2)
        w = [
            float(
                fit(np.array([[root]]), np.array([[slope / (2 * root)]]), mr.penalties.L1(0.5))[0]
            )
            for slope in (0.3, 0.4, 0.6)
        ]
        assert w[0] == 0
        assert w[2] == pytest.approx(0.1 / curvature)  # a slope above λ does move it
        found.add(
            only(A=w[1] == pytest.approx(0.4 / curvature), B=w[1] == pytest.approx(0.1 / curvature),
                 C=w[1] == 0)
        )  # fmt: skip
    return only(**{letter: found == {letter} for letter in "ABC"}, D=len(found) > 1)


def scale():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 1))

    def path(factor, make, penalty):
        model = mr.nn.Linear(3, 1, bias=False, dtype=np.float64)
        model.weight.assign([[1.0, -2.0, 0.5]])
        objective = mr.Objective(lambda out, y: factor * ((out - y) ** 2).mean(), penalty)
        return mr.trajectory(model, objective, make(model.parameters()), x, y, 200)

    def same(make, penalty=None):
        return np.allclose(path(1, make, penalty), path(100, make, penalty), rtol=1e-4)

    l2 = {"l2": mr.penalties.L2(0.1)}
    holds = {
        "A": same(lambda p: mr.optim.AdamW(p, lr=0.01, weight_decay=0.1), {}),
        "B": same(lambda p: mr.optim.Adam(p, lr=0.01), l2),
        "C": same(lambda p: mr.optim.SGD(p, lr=1e-4), l2),
    }
    return only(**holds, D=not any(holds.values()))


def turn():
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(64, 5)), rng.normal(size=(64, 1))
    start = rng.normal(size=5)

    def angle(w):
        model = mr.nn.Sequential(
            mr.nn.Linear(5, 1, bias=False, dtype=np.float64),
            mr.nn.BatchNorm(1, eps=0.0, dtype=np.float64),
        )
        model[0].weight.assign([w])
        optimizer = mr.optim.SGD(model.parameters(), lr=1e-5)
        mr.trajectory(model, mr.nn.MSELoss(), optimizer, x, target, 1)
        return mr.implicit.angle(w, model[0].weight.numpy()[0])

    ratio = angle(start / 10) / angle(start)
    sizes = {"A": 1, "B": 0.1, "C": 10, "D": 100}
    return only(**{letter: abs(ratio / size - 1) < 0.01 for letter, size in sizes.items()})


def units():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)) * [1.0, 2.0, 0.5], rng.normal(size=(40, 1))
    masks = np.array(np.meshgrid(*[[0, 1]] * 3)).reshape(3, -1).T

    def dropped(x, keep):  # the least mean loss over all masks, each as often as it is drawn
        chance = np.sqrt((keep**masks * (1 - keep) ** (1 - masks)).prod(1) * len(masks))
        rows = np.concatenate([c * x * m / keep for c, m in zip(chance, masks, strict=True)])
        return x @ fit(rows, np.concatenate([c * y for c in chance]), mr.penalties.L2(0.0))

    mm = x * [10.0, 1.0, 1.0]
    shifts = [abs(dropped(mm, keep) - dropped(x, keep)).max() for keep in (0.5, 0.8)]
    ridge = mr.penalties.L2(0.5)
    assert abs(mm @ fit(mm, y, ridge) - x @ fit(x, y, ridge)).max() > 0.01  # as A says
    assert abs(dropped(x, 0.5) - dropped(x, 0.8)).max() > 0.01
    return only(B=max(shifts) < 1e-6, D=min(shifts) < 1e-6 < max(shifts))


def sure():
    labels = np.arange(100) % 10
    logits = mr.tensor(np.zeros((100, 10)), requires_grad=True)
    loss = mr.nn.CrossEntropyLoss(label_smoothing=0.1)
    for _ in range(3000):
        logits.grad = None
        loss(logits, labels).backward()
        assert logits.grad is not None
        logits = mr.tensor(logits.numpy() - 50 * logits.grad.numpy(), requires_grad=True)
    top = mr.nn.functional.softmax(logits, axis=1).numpy().max(axis=1)
    assert top == pytest.approx(0.91, abs=1e-4)
    share = (top < 0.95).mean()
    return only(A=share < 0.02, B=abs(share - 0.1) < 0.02, D=share == 1)


def axes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)) @ [[1.0, 0.6], [0.0, 0.8]]
    y = x @ [[1.0], [0.2]] + 0.3 * rng.normal(size=(60, 1))
    turned = x @ np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)

    def same(penalty):
        return bool(
            np.allclose(x @ fit(x, y, penalty), turned @ fit(turned, y, penalty), atol=1e-6)
        )

    ridge, lasso = same(mr.penalties.L2(0.5)), same(mr.penalties.L1(0.5))
    return only(A=ridge and lasso, B=lasso and not ridge, C=ridge and not lasso,
                D=not (ridge or lasso))  # fmt: skip


def certain():
    def network(asleep, far):
        """Two logits (3, 0) at x = 0; a ReLU that is off up to there; norms that multiply to 6."""
        model = mr.nn.Sequential(
            mr.nn.Linear(1, 1, dtype=np.float64), mr.nn.ReLU(), mr.nn.Linear(1, 2, dtype=np.float64)
        )
        model[0].weight.assign([[1.0]]), model[0].bias.assign([-asleep])
        slope = 6 / np.sqrt(2)
        (
            model[2].weight.assign([[slope if far else -slope], [slope]]),
            model[2].bias.assign([3.0, 0.0]),
        )
        return model

    x, label = np.array([[0.0]]), np.array([0])
    near = np.linspace(-0.5, 0.5, 2001)[:, None]
    flips = []
    for model in (network(0.1, False), network(0.1, True)):
        assert mr.lipschitz_bound(model) == pytest.approx(6)
        assert np.ptp(model(mr.tensor(x)).numpy()) == 3
        moved = mr.pgd_attack(model, mr.nn.CrossEntropyLoss(), x, label, radius=0.5)
        assert model(moved).numpy().argmax() == 0  # the attack finds nothing
        wrong = near[model(mr.tensor(near)).numpy().argmax(axis=1) != 0]
        flips.append(float(abs(wrong).min()) if len(wrong) else np.inf)
    (radius,) = mr.certified_radius(model, x)
    assert radius == pytest.approx(0.35, abs=0.005)
    holds = min(flips) > radius  # for both networks, of which all that is said is true
    return only(
        A=holds and min(flips) < 0.5 < max(flips), B=min(flips) > 0.5,
        C=holds and max(flips) < radius + 0.05, D=not holds,
    )  # fmt: skip


def start():
    rng, apart = np.random.default_rng(0), Counter()
    lr, steps = 0.05, 100
    strength = 1 / (lr * steps)
    for _ in range(10):
        x = rng.normal(size=(80, 6)) * np.geomspace(1.0, 0.05, 6)
        y, before = x @ rng.normal(size=(6, 1)), rng.normal(size=6)
        model = mr.nn.Linear(6, 1, bias=False, dtype=np.float64)
        model.weight.assign([before])
        optimizer = mr.optim.SGD(model.parameters(), lr=lr)
        stopped = mr.trajectory(model, mr.nn.MSELoss(), optimizer, x, y, steps)[-1]
        ends = {
            "A": mr.penalties.L2(strength), "B": mr.penalties.L2(0.0),
            "C": mr.penalties.L2(strength, center=[before]), "D": mr.penalties.L2(strength / 10),
        }  # fmt: skip
        for letter, penalty in ends.items():
            apart[letter] += np.linalg.norm(fit(x, y, penalty) - stopped)
    near, second = sorted(apart, key=lambda letter: apart[letter])[:2]
    print({letter: round(far / 10, 2) for letter, far in apart.items()})
    assert apart[near] < apart[second] / 2
    return near


def samples():
    """The mean error of ridge over many problems, at the strengths that the answers name."""
    rng = np.random.default_rng(0)
    strengths = {"A": 0.01, "B": 0.1, "C": 1.0, "D": 0.03}

    def best(n):  # with ½ mean(…²) it is σ²/(nτ²): 0.1 for 100 samples, σ² = 10 and τ = 1
        sigma, errors = np.sqrt(10.0), Counter()
        for _ in range(400):
            true, mu = rng.normal(size=10), rng.uniform(0.02, 1.0, size=10)
            noisy = true + sigma * rng.normal(size=10) / np.sqrt(n * mu)
            for letter, strength in strengths.items():
                errors[letter] += (
                    mu * (mr.implicit.ridge_filter(mu, strength) * noisy - true) ** 2
                ).sum()
        return min(errors, key=lambda letter: errors[letter])

    assert strengths[best(100)] == 0.1
    return best(1000)


PROOFS = {
    f.__name__: f for f in (decay, zeros, scale, turn, units, sure, axes, certain, start, samples)
}


@pytest.mark.parametrize("id", slow_unless(lambda id: id not in ("start", "sure"), ALL))
def test_what_is_right_is_measured(id):
    assert PROOFS[id]() == ALL[id].right


# --- what stands there ----------------------------------------------------------------------------


def test_ten_questions_with_four_answers_in_both_languages():
    assert [*ALL] == [*PROOFS]
    assert {q.lesson for q in ALL.values()} <= {one.number for one in lessons()}
    assert len({q.lesson for q in ALL.values()}) == 10
    rights = Counter(q.right for q in ALL.values())
    assert rights.keys() == {*"ABCD"}
    assert max(rights.values()) <= 3
    for q in ALL.values():
        assert [*q.answers] == [*"ABCD"]
        said = [q.text, *(text for both in q.answers.values() for text in both)]
        assert len({text.en for text in said}) == 9
        for en, zh in said:
            assert not re.search(HAN, en)
            assert not re.search(rf"{HAN}[,;:?!]", zh)
        assert all(re.search(HAN, why.zh) for _, why in q.answers.values())
        lengths = {letter: len(answer.en) for letter, (answer, _) in q.answers.items()}
        others = [n for letter, n in lengths.items() if letter != q.right]
        assert lengths[q.right] <= 1.5 * max(others), q.id  # the longest is not the right one


def test_they_are_not_those_of_the_lessons():
    for one in lessons():
        for q in ALL.values():
            assert q.text.en[:40] not in one.text
            assert q.text.zh[:15] not in one.text


@pytest.mark.slow
def test_the_last_lesson_leads_to_them_and_no_other():
    last = [one.page for one in lessons() if b"questions.html" in site.served(one.page)[1]]
    assert last == [lessons()[-1].page]


def test_what_is_told_in_the_end_is_hidden_at_first():
    html = page()
    assert len(re.findall(r'<p class="reason (?:right|wrong)" hidden>', html)) == 40
    assert html.count('<p class="reason right"') == 10
    assert len(re.findall(r'type="radio"[^>]*required', html)) == 2 + 10 * (4 + len(SURE))


# --- in a browser ---------------------------------------------------------------------------------

URL = "questions.html"
READY = "html[data-ready]"


@pytest.fixture(scope="module")
def url(course_site):
    with served(course_site) as found:
        yield found


def answer(shown, letters, how):
    """Choose an answer for each question and how sure, and hand it in."""
    for q, letter, sure in zip(ALL, letters, how, strict=True):
        shown.locator(f"input[name='{q}'][value='{letter}']").check()
        shown.locator(f"input[name='{q}-sure'][value='{sure}']").check(force=True)
    shown.get_by_role("button", name="Done").click()


RIGHT = "".join(q.right for q in ALL.values())
FIRST = "A" * 10, ["guess", "sure"] * 5
SECOND = f"{RIGHT[:8]}{'D' if RIGHT[8] != 'D' else 'A'}{RIGHT[9]}", ["sure"] * 10


def good(letters):
    return sum(a == b for a, b in zip(letters, RIGHT, strict=True))


@pytest.mark.slow
def test_before_says_nothing_and_after_compares(chromium, url):
    with visit(chromium, url + URL, locale="en-US") as shown:
        shown.wait_for_selector(READY, state="attached")
        assert shown.locator("input[name=round]:checked").get_attribute("value") == "before"
        assert shown.get_by_role("button", name="Export").is_disabled()
        shown.get_by_role("button", name="Done").click()  # nothing is handed in half
        assert shown.locator("#thanks").is_hidden()
        answer(shown, *FIRST)
        assert shown.locator("#thanks").is_visible()
        assert shown.locator("form:visible, .reason:visible").count() == 0
        assert shown.locator("#thanks li:visible").count() == 10  # whatever was answered
        shown.reload()  # this tab remembers, and nothing else does
        shown.wait_for_selector(READY, state="attached")
        assert shown.locator("#thanks").is_visible()
        assert shown.evaluate("Object.keys(localStorage)") == []
        shown.get_by_role("button", name="once more").click()
        assert shown.locator("input[name=round]:checked").get_attribute("value") == "after"
        assert shown.locator(".question input:checked").count() == 0
        answer(shown, *SECOND)
        rows = [row.inner_text().split("\t") for row in shown.locator("#compared tbody tr").all()]
        was, now = good(FIRST[0]), good(SECOND[0])
        assert rows[0] == ["right", f"{was} / 10", f"{now} / 10"]
        assert rows[1][2] == "–"
        text = shown.locator("#gain").inner_text()
        assert f"({now} − {was}) / (10 − {was}) = {(now - was) / (10 - was):.2f}" in text
        sure = sum(q.right != "A" for q in [*ALL.values()][1::2])
        assert f"Sure, but wrong: {sure} before, {10 - now} now." in text
        assert shown.locator(".reason:visible").count() == 40
        assert shown.locator("[data-id=zeros] .told").inner_text().startswith("Before: A, sure")
        shown.reload()
        shown.wait_for_selector(READY, state="attached")
        assert shown.locator("input[name=decay]:checked").get_attribute("value") == RIGHT[0]
        assert shown.locator("form input:enabled").count() == 0


@pytest.mark.slow
def test_after_alone_has_its_verdicts_too(chromium, url):
    with visit(chromium, url + URL, locale="en-US") as shown:
        shown.wait_for_selector(READY, state="attached")
        shown.locator("input[name=round][value=after]").check(force=True)
        answer(shown, RIGHT, ["sure"] * 10)
        assert shown.locator("#gain").inner_text() == "Sure, but wrong: 0 now."
        assert shown.locator("#compared td").all_inner_texts()[1:3] == ["–", "10 / 10"]


@pytest.mark.slow
def test_who_has_fewer_right_is_told_how_many(chromium, url):
    with visit(chromium, url + URL, locale="en-US") as shown:
        shown.wait_for_selector(READY, state="attached")
        answer(shown, RIGHT, ["sure"] * 10)
        shown.get_by_role("button", name="once more").click()
        answer(shown, *SECOND)
        fewer = 10 - good(SECOND[0])
        text = shown.locator("#gain").inner_text()
        assert text.startswith(
            f"{fewer} fewer right than before. Sure, but wrong: 0 before, {fewer}"
        )


@pytest.mark.slow
def test_a_round_that_was_begun_outlasts_a_reload(chromium, url):
    with visit(chromium, url + URL, locale="en-US") as shown:
        shown.wait_for_selector(READY, state="attached")
        shown.locator("input[name=round][value=after]").check(force=True)
        for q in [*ALL][:9]:
            shown.locator(f"input[name='{q}'][value='B']").check()
            shown.locator(f"input[name='{q}-sure'][value='fairly']").check(force=True)
        shown.reload()
        shown.wait_for_selector(READY, state="attached")
        assert shown.locator(".question input:checked").count() == 18
        assert shown.locator("input[name=round]:checked").get_attribute("value") == "after"
        last = [*ALL][9]
        shown.locator(f"input[name='{last}'][value='B']").check()
        shown.locator(f"input[name='{last}-sure'][value='sure']").check(force=True)
        shown.get_by_role("button", name="Done").click()
        shown.wait_for_selector("#compared:visible")
        shown.get_by_role("button", name="once more").click()  # and no longer than it is needed
        assert shown.locator(".question input:checked").count() == 0


@pytest.mark.slow
def test_what_another_tab_has_logged_is_not_lost(chromium, url):
    key = "minireg:answer:questions/log"
    with visit(chromium, url + URL, locale="en-US") as shown:
        shown.wait_for_selector(READY, state="attached")
        shown.get_by_label("Keep it").check()
        answer(shown, *FIRST)
        shown.wait_for_selector("#thanks:visible")
        (before,) = json.loads(shown.evaluate(f"localStorage['{key}']"))
        other = before | {"when": "2026-01-01T00:00:00.000Z"}
        shown.evaluate("rounds => localStorage.setItem(...rounds)", [key, json.dumps([other])])
        shown.get_by_role("button", name="once more").click()
        answer(shown, *SECOND)
        shown.wait_for_selector("#compared:visible")
        found = json.loads(shown.evaluate(f"localStorage['{key}']"))
        assert found[:2] == [other, before]
        assert [done["round"] for done in found] == ["before", "before", "after"]
        shown.evaluate("localStorage.clear()")  # as another tab where all was deleted
        shown.get_by_role("button", name="once more").click()
        answer(shown, *SECOND)
        shown.wait_for_selector("#compared:visible")
        assert not shown.get_by_label("Keep it").is_checked()
        assert shown.evaluate("Object.keys(localStorage)") == []


@pytest.mark.slow
def test_the_log_is_kept_exported_and_deleted(chromium, url, tmp_path):
    def stored():
        return shown.evaluate("({...localStorage})")

    def export():
        with shown.expect_download() as download:
            shown.get_by_role("button", name="Export").click()
        found = json.loads(Path(download.value.path()).read_text("utf-8"))
        when = re.sub("[:.]", "-", found["rounds"][0]["when"])
        assert download.value.suggested_filename == f"minireg-questions-{when}.json"
        return found

    with visit(chromium, url + URL, locale="en-US") as shown:
        shown.wait_for_selector(READY, state="attached")
        answer(shown, *FIRST)
        alone = export()
        shown.get_by_label("Keep it").check()
        assert json.loads(stored()["minireg:answer:questions/log"]) == alone["rounds"]
        shown.evaluate("sessionStorage.clear()")  # as another tab
        shown.reload()
        shown.wait_for_selector(READY, state="attached")
        assert shown.get_by_label("Keep it").is_checked()
        shown.get_by_role("button", name="once more").click()
        answer(shown, *SECOND)
        found = export()
        (kept,) = stored().values()
        assert json.loads(kept) == found["rounds"]
        assert found["rounds"][:1] == alone["rounds"]
        assert shape(found) == shape(json.loads((EXPORTS / "1.json").read_text("utf-8")))
        assert (found["schema"], found["minireg"]) == (1, mr.__version__)
        for done, (letters, how) in zip(found["rounds"], (FIRST, SECOND), strict=True):
            assert [a["answer"] for a in done["answers"].values()] == [*letters]
            assert [a["sure"] for a in done["answers"].values()] == how
            assert all(0 <= a["seconds"] < 100 for a in done["answers"].values())
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", done["when"])
        shown.once("dialog", lambda asked: asked.dismiss())
        shown.get_by_role("button", name="Delete").click()
        assert json.loads(*stored().values()) == found["rounds"]
        shown.once("dialog", lambda asked: asked.accept())
        shown.get_by_role("button", name="Delete").click()
        assert shown.locator("#deleted").inner_text() == "Deleted."
        assert stored() == {}
        assert shown.evaluate("sessionStorage.getItem('questions/log')") == "[]"
        assert not shown.get_by_label("Keep it").is_checked()
        assert shown.locator("#questions").is_visible()


def shape(value):
    """Names and types of plain data, so that an example can be held to what a page exports."""
    match value:
        case dict():
            return {key: shape(inner) for key, inner in value.items()}
        case list():
            return [shape(inner) for inner in value]
    return type(value)


@pytest.mark.slow
def test_on_the_local_server_the_log_is_in_its_file(chromium, tmp_path):
    keep = Answers(tmp_path / "answers.json")
    server = Server(site.served, {"keep": keep})
    with background(server), visit(chromium, server.url(URL), locale="en-US") as shown:
        shown.wait_for_selector(READY, state="attached")
        answer(shown, *FIRST)
        assert keep() == {}
        written = "questions/log"  # a request without it only reads
        with shown.expect_response(lambda reply: written in (reply.request.post_data or "")):
            shown.get_by_label("Keep it").check()
        assert [done["round"] for done in keep()["questions/log"]] == ["before"]
        shown.once("dialog", lambda asked: asked.accept())
        with shown.expect_response("**/keep"):
            shown.get_by_role("button", name="Delete").click()
        assert keep() == {"questions/log": None}


@pytest.mark.slow
def test_keys_are_enough(chromium, url):
    with visit(chromium, url + URL, locale="en-US") as shown:
        shown.wait_for_selector(READY, state="attached")
        shown.locator("input[name=decay]").first.focus()
        shown.keyboard.press("ArrowDown")
        assert shown.locator("input[name=decay]:checked").get_attribute("value") == "B"
        shown.keyboard.press("Tab")
        shown.keyboard.press("Space")
        assert shown.locator("input[name=decay-sure]:checked").get_attribute("value") == "guess"
        ring = "getComputedStyle(document.activeElement.closest('label')).outlineStyle"
        assert shown.evaluate(ring) == "solid"  # the focus is seen though the circle is not
        assert shown.get_by_role("group", name="One row of an embedding").count() == 1
        assert shown.get_by_role("group", name="How sure are you?").count() == 10


@pytest.mark.slow
@pytest.mark.parametrize("rounds", range(3))
def test_all_can_be_read(chromium, url, rounds):
    with visit(chromium, url + URL, locale="en-US") as shown:
        shown.wait_for_selector(READY, state="attached")
        for done in (FIRST, SECOND)[:rounds]:
            if done is SECOND:
                shown.get_by_role("button", name="once more").click()
            answer(shown, *done)
        readable(shown, (60, 10, 100)[rounds])
