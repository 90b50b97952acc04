"""What each claim says in Chinese, and how certain it is: complete, and no stronger than the texts."""

import re
import tomllib
from pathlib import Path

import pytest

from minireg.course.claims import WRONG, load, measured

ALL = load()
PATH = Path(__file__).parents[2] / "lessons" / "claims" / "words.toml"
WORDS = tomllib.loads(PATH.read_text(encoding="utf-8"))
HAN = r"[\u4e00-\u9fff]"
# Where a text hedges, the words that keep it; a claim is no stronger than what was written.
HEDGES = {
    "C03": "可能", "C04": "可能.*可能", "C08": "往往", "C16": "约", "C17": "许多情况",
    "C18": "可以看作", "C20": "有助于", "C21": "间接", "C24": "近似", "C26": "通常",
    "C28": "几乎", "C30": "倾向", "C34": "有时.*可能", "C42": "通常", "C53": "难以",
    "C59": "倾向", "C65": "可能", "C72": "可以.*尤其", "C73": "可以", "C74": "通常.*倾向",
    "C77": "平均", "C78": "某种形式", "C80": "鼓励", "C90": "间接.*有助于",
    "C97": "倾向.*能够", "C98": "“软”", "C101": "可以视为", "C103": "可以看作.*“温度”",
    "C105": "几乎", "C107": "类似.*约", "C108": "可以看作", "C112": "可能", "C114": "“最近”",
    "C120": "鼓励", "C122": "通常", "C123": "倾向", "C125": "近乎", "C126": "基本",
    "C128": "直接", "C129": "通常", "C131": "通常", "C132": "鼓励", "C134": "允许",
}  # fmt: skip


def chinese(entry):
    """All Chinese texts of an entry by name."""
    plain = {k: v for k, v in entry.items() if k.endswith("_zh")}
    return plain | {k: entry[k]["zh"] for k in ("seems", "refutation") if k in entry}


def test_every_claim_has_its_words_and_nothing_else_has():
    assert sorted(WORDS) == sorted(ALL)


@pytest.mark.parametrize("name", ALL)
def test_an_entry_has_what_the_verdict_asks_for(name):
    c, entry = ALL[name], WORDS[name]
    wanted = {"certainty", "title_zh", "statement_zh"}
    wanted |= {"corrected_zh"} if c.corrected else set()
    wanted |= {"seems", "refutation"} if c.verdict in WRONG else set()
    assert set(entry) == wanted
    kinds = ("exact identity", "certificate", "statistical", "empirical")
    assert entry["certainty"] in (kinds[2:] if c.verdict == "EMPIRICAL" else kinds)
    for part in ("seems", "refutation"):
        assert set(entry.get(part, {"en", "zh"})) == {"en", "zh"}


@pytest.mark.parametrize("name", ALL)
def test_chinese_is_written_as_chinese(name):
    for part, text in chinese(WORDS[name]).items():
        assert len(re.findall(HAN, text)) >= 2, f"{part}: {text}"
        assert (text[-1] in "。）") == (part != "title_zh"), f"{part} ends in {text[-1]!r}"
        wrong = re.findall(
            rf"{HAN}[,.;:!?]|[,;:!?]{HAN}|[\"']|\s[，。；：、]|[，。；：、（]\s|[０-９]", text
        )
        assert not wrong, f"{part}: half-width or stray marks {wrong}"
        tight = re.findall(rf"{HAN}[A-Za-z0-9θληγβε‖∇]|[A-Za-z0-9θλη‖]{HAN}", text)
        assert not tight, f"{part}: no space between {tight}"
        assert text.count("（") == text.count("）")
        assert text.count("“") == text.count("”")
        assert text.count("《") == text.count("》")


@pytest.mark.parametrize("name", ALL)
def test_words_are_few(name):
    entry = WORDS[name]
    assert len(entry["title_zh"]) <= 24
    for part in ("seems", "refutation"):
        if part in entry:
            assert len(entry[part]["en"].split()) <= 60, part
            assert len(entry[part]["zh"]) <= 120, part
            assert not re.match(r"Why it seems|为什么看", entry[part]["en"] + entry[part]["zh"])


@pytest.mark.parametrize("name", [name for name in ALL if ALL[name].verdict in WRONG])
def test_both_languages_give_the_same_numbers(name):
    for part in ("seems", "refutation"):
        en, zh = (
            sorted(set(re.findall(r"\d+(?:\.\d+)?", WORDS[name][part][k]))) for k in ("en", "zh")
        )
        assert en == zh, part
    assert re.search(r"\d", WORDS[name]["refutation"]["en"]), "a refutation gives what was measured"


@pytest.mark.parametrize("name", HEDGES)
def test_the_reservations_of_the_texts_are_kept(name):
    assert re.search(HEDGES[name], WORDS[name]["statement_zh"]), WORDS[name]["statement_zh"]


# --- figures --------------------------------------------------------------------------------------

#: English that a formula may hold: names of functions, methods and models.
NAMES = (
    r"argmin|min|max|log|exp|cos|sign|soft|hard|softmax|Var|eff|ridge|OLS|lipschitz_bound|data|next"
)


def translated():
    path = PATH.with_name("figures_zh.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def test_figures_have_their_chinese():
    """All up to here; one that is not yet translated shows its English."""
    assert {f"C{n:02}" for n in range(1, 136)} <= {*translated()} <= {*ALL}


@pytest.mark.parametrize("name", translated())
def test_a_figure_is_the_same_in_chinese(name):
    figures, chinese = measured()[name].figures, ALL[name].figures_zh
    assert len(chinese) == len(figures)
    for figure, zh in zip(figures, chinese, strict=True):
        if not zh:  # a formula, or it would have to be said
            words = re.findall(r"(?<![\w_])[A-Za-z]{3,}(?![\w(])", figure.what)
            assert not [word for word in words if not re.fullmatch(NAMES, word)], figure.what
            continue
        assert re.search(rf"{HAN}|[，：、…]", zh), zh
        assert not re.search(rf"{HAN}[,;:!?]|[，。；：、（]\s", zh), zh
        assert not re.search(rf"{HAN}[A-Za-z0-9]|[A-Za-z0-9]{HAN}", zh), zh
        same = r"\d*\.?\d+|[⁰¹²³⁴-⁹]+|[₀-₉]+|[λθηκμρσγβεφαΣΠ∂∇]"
        en, both = sorted(re.findall(same, figure.what)), sorted(re.findall(same, zh))
        assert {*en} == {*both}, (figure.what, zh)
