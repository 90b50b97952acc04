"""The site of the course: what it consists of, which Python is let in, and how it behaves on a web server."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import time
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.browser import served as serve_folder
from support.browser import visit
from support.few import slow_unless
from support.look import readable

from minireg.cli import main as cli
from minireg.course import site as rooms
from minireg.course.lessons import find, lessons
from minireg.course.pages import FONT, stored
from minireg.course.parts import Title
from minireg.course.site import KNOWN, LOCK, PAGES, SiteError, package, runtime, served, site
from minireg.pictures import Scene
from minireg.pictures.scene import decode

TWO = "02-weight-decay.html"
CARDS = len(lessons())


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


class Links(HTMLParser):
    """Where the links of a page lead, and how many ranges it has."""

    def __init__(self, html):
        super().__init__()
        self.found, self.ranges = set(), 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.found |= {attrs["href"].partition("#")[0]} if tag == "a" else set()
        self.ranges += attrs.get("type") == "range"


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_site_is_whole_and_no_link_leads_nowhere(course_site):
    found = names(course_site)
    assert found == sorted(
        ["index.html", FONT, "site.json", *(one.page for one in lessons()), *PAGES]
    )
    assert json.loads((course_site / "site.json").read_text())["minireg"].keys() == {*found} - {
        "site.json"
    }
    for name in found:
        if name.endswith(".html"):
            html = (course_site / name).read_text("utf-8")
            links = Links(html)
            assert {"index.html"} <= links.found <= {*found, ""}, name
            if name != "playground.html":  # which is all controls
                one = re.match(r"\d", name) is not None
                assert links.ranges == (CARDS if name == "index.html" else one)
            assert "default-src 'none'" in html
    assert Links((course_site / "index.html").read_text("utf-8")).found == {
        n for n in found if n.endswith(".html")
    }


@pytest.mark.slow
def test_a_card_a_lesson_in_order_and_the_index_is_small(course_site):
    html = (course_site / "index.html").read_text("utf-8")
    cards = re.findall(r'<li class="card" data-lesson="(\d+)" data-exercises="([\w ]+)">', html)
    assert [int(number) for number, _ in cards] == [one.number for one in lessons()]
    assert all(len(ids.split()) == 3 for _, ids in cards)
    for one in lessons():
        assert one.open().one(Title).question.html() in html
    packed = len(gzip.compress(html.encode()))
    print(f"index.html: {CARDS} lessons, {len(html.encode()):,} bytes, gzipped {packed:,}")
    assert packed <= 15_000 + 5_000 * CARDS  # 120 kB for 21


@pytest.mark.parametrize("one", lessons(), ids=lambda one: f"lesson {one.number}")
def test_a_small_picture_is_the_first_panel_of_the_large_one(one):
    scene, kept = one.open().one(Scene), stored(one)["scene"]
    html = scene.html(kept, small=True)
    assert html.count('type="range"') == 1
    assert "checkbox" not in html
    assert "radio" not in html
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.S)[1])
    shown = re.search(r'<div class="stage".*?>(<svg.*</svg>)</div><p class="caption', html, re.S)[1]
    looks = [{**look, "svg": look.get("svg", shown)} for look in data["looks"]]
    assert all(look["svg"].count("<svg viewBox=") == 1 for look in looks)
    large = decode(kept)[: len(scene.values)]
    for small, all_ in zip(decode({**data, "looks": looks}), large, strict=True):
        assert small == all_[: len(small)]


@pytest.mark.parametrize(
    "path", slow_unless({"", TWO}.__contains__, ["", "index.html", TWO, *PAGES])
)
def test_the_server_shows_the_index_and_every_page(path):
    kind, content = served(path)
    assert kind.startswith("text/html")
    assert b'"python":"server"' in content


# --- a folder -------------------------------------------------------------------------------------


@pytest.fixture
def brief(monkeypatch):
    """Pages are a line each: here it matters where they go."""
    whole = rooms.pages
    monkeypatch.setattr(
        rooms, "pages", lambda chosen: {n: lambda *_, n=n: f"<mr-scene>{n}" for n in whole(chosen)}
    )


@pytest.mark.usefixtures("brief")
def test_a_site_is_replaced_and_what_it_has_no_more_is_removed(tmp_path):
    site(tmp_path, [find(0), find(2)])
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    (tmp_path / ".nojekyll").write_text("")  # as hosts of pages want it
    site(tmp_path, [find(0), find(2)])
    assert {n: (tmp_path / n).read_bytes() for n in names(tmp_path) if n != ".nojekyll"} == before
    site(tmp_path, [find(2)])
    assert "00-million-slopes.html" not in names(tmp_path)
    assert ".nojekyll" in names(tmp_path)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("name", ["thesis.tex", "python/mine.py", "index.html"])
def test_a_folder_that_holds_other_things_is_refused(name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(SiteError, match=rf"holds what is not of a site of minireg: {name}; choose"):
        site(tmp_path, [find(2)])
    assert names(tmp_path) == [name]


def test_the_disk_itself_is_refused_at_once():
    with pytest.raises(SiteError, match=r"^/ holds what is not of a site of minireg: .+; choose"):
        site(Path("/"), [find(2)])


@pytest.mark.usefixtures("brief")
def test_what_a_writer_that_was_killed_has_left_is_no_other_thing(tmp_path):
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / ".pyodide.asm.js.1.2").write_text("half")
    site(tmp_path, [find(2)])
    assert (tmp_path / "index.html").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"minireg": 3}'])
def test_a_list_of_another_program_is_no_list(text, tmp_path):
    (tmp_path / "site.json").write_text(text)
    with pytest.raises(SiteError, match=r"site\.json is not of a site of minireg"):
        site(tmp_path, [find(2)])


@pytest.mark.usefixtures("brief")
def test_a_list_cannot_name_files_elsewhere(tmp_path):
    (tmp_path / "mine").write_text("mine")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "site.json").write_text('{"minireg": {"../mine": 4}}')
    site(folder, [find(2)])
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.usefixtures("brief")
def test_a_full_disk_is_said_and_the_next_run_mends_it(tmp_path, monkeypatch, capsys):
    write = Path.write_bytes

    def full(self, content):
        if b"<mr-scene" in content:
            write(self, content[:4])
            raise OSError(28, "No space left on device")
        return write(self, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert cli.main(["site", str(tmp_path)]) == 1
    said = f"minireg site: cannot write {tmp_path / 'index.html'}: No space left on device\n"
    assert capsys.readouterr().err == said
    assert names(tmp_path) == [FONT, "site.json"]
    assert cli.main(["site", str(tmp_path)]) == 0
    assert TWO in names(tmp_path)


@pytest.mark.usefixtures("brief")
def test_the_command_says_what_it_wrote_and_how_to_look_at_it(tmp_path, capsys):
    folder = tmp_path / "my site"
    assert cli.main(["site", str(folder)]) == 0
    out, err = capsys.readouterr()
    many = len(names(folder)) - 1
    assert out.startswith(f"{many} files, ")
    assert TWO in out
    assert f"python -m http.server --directory '{folder}'" in out
    assert "warning: without --python nothing can be run" in err
    assert "minireg lesson N" in err
    (folder / "notes").write_text("")
    assert cli.main(["site", str(folder)]) == 1
    assert "notes; choose another folder" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    for where in (tmp_path / "file", tmp_path / "file" / "site"):
        assert cli.main(["site", str(where)]) == 1
        assert "cannot write" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["site", "--help"])
    shown = capsys.readouterr().out
    assert KNOWN["version"] in shown
    assert KNOWN["from"] in shown


# --- which Python is let in -----------------------------------------------------------------------

OTHER = {  # a release that calls its files otherwise, as 314 does
    "pyodide.mjs": b'import(`${e}pyodide.asm.mjs`); e+"pyodide.asm.wasm"; "python_stdlib.zip"',
    "pyodide.asm.mjs": b"a", "pyodide.asm.wasm": b"b", "python_stdlib.zip": b"c",
    "numpy-9-wasm32.whl": b"n", "libn-1.zip": b"l",
}  # fmt: skip


def lay(folder, files=OTHER, **info):
    """A folder of Pyodide, whose NumPy needs a library."""
    info = {"abi_version": "2099_0", "python": "3.19.1", **info}
    of = lambda name, *needs: {
        "file_name": name, "sha256": hashlib.sha256(files.get(name, b"")).hexdigest(), "depends": needs
    }  # fmt: skip
    packages = {
        "numpy": of("numpy-9-wasm32.whl", "libn"), "libn": of("libn-1.zip", "numpy"),
        "other": of("other.whl"),
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / LOCK).write_text(json.dumps({"info": info, "packages": packages}))
    (folder / "README.md").write_text("")
    return folder


@pytest.mark.slow
def test_another_release_is_taken_with_what_its_lock_vouches_for(tmp_path, capsys):
    found = runtime(lay(tmp_path))
    assert found.files.keys() == {*OTHER, LOCK}
    assert found.release == "2099_0 with Python 3.19.1"
    assert found.unverified == sorted({*OTHER, LOCK} - {"numpy-9-wasm32.whl", "libn-1.zip"})
    assert cli.main(["site", str(tmp_path / "site"), "--python", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "Pyodide 2099_0 with Python 3.19.1" in out
    assert "warning: not verified, as this is not Pyodide 0.27.7: pyodide-lock.json, " in err
    inside = {p.name for p in (tmp_path / "site" / "python").iterdir()}
    assert inside == {*OTHER, LOCK, "minireg.zip"}


@pytest.mark.parametrize("name", ["numpy-9-wasm32.whl", "libn-1.zip"])
def test_a_package_that_is_not_the_locks_is_refused(name, tmp_path):
    lay(tmp_path)
    (tmp_path / name).write_bytes(b"altered")
    expected, got = (hashlib.sha256(c).hexdigest() for c in (OTHER[name], b"altered"))
    said = rf"{name} is not that of Pyodide .*: expected SHA-256 {expected}, got {got}"
    with pytest.raises(SiteError, match=said):
        runtime(tmp_path)


@pytest.mark.parametrize("by", ["its lock", "the file that starts it"])
def test_the_known_release_has_to_be_what_it_says(by, tmp_path):
    start = OTHER["pyodide.mjs"] + b';var C="0.27.7"' * (by != "its lock")
    version = {"version": "0.27.7"} if by == "its lock" else {}
    lay(tmp_path, {**OTHER, "pyodide.mjs": start}, **version)
    with pytest.raises(SiteError, match=r"is not that of Pyodide 0\.27\.7 with Python 3\.19\.1"):
        runtime(tmp_path)


@pytest.mark.parametrize("lacking", [[LOCK], [LOCK, "pyodide.mjs"], ["pyodide.asm.mjs"],
                                     ["pyodide.asm.wasm", "numpy-9-wasm32.whl"]])  # fmt: skip
def test_what_is_lacking_is_named_and_where_it_is_to_be_had(lacking, tmp_path):
    lay(tmp_path)
    for name in lacking:
        (tmp_path / name).unlink()
    with pytest.raises(
        SiteError, match=f"lacks {', '.join(lacking)}: .*{re.escape(KNOWN['from'])}"
    ):
        runtime(tmp_path)


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        ("{", "is no lock of Pyodide"),
        ("[]", "is no lock"),
        ('{"info": {}, "packages": {}}', "is no lock"),
    ],
)
def test_a_lock_that_is_none(lock, said, tmp_path):
    lay(tmp_path)
    (tmp_path / LOCK).write_text(lock)
    with pytest.raises(SiteError, match=said):
        runtime(tmp_path)


@pytest.mark.parametrize("name", ["../../numpy.whl", "https://files.example/numpy.whl"])
def test_a_lock_names_files_beside_it_only(name, tmp_path):
    text = (lay(tmp_path) / LOCK).read_text().replace("numpy-9-wasm32.whl", name)
    (tmp_path / LOCK).write_text(text)
    with pytest.raises(SiteError, match="names what is no file beside it"):
        runtime(tmp_path)


def test_the_release_that_the_course_is_tested_with(runtime):
    found = rooms.runtime(runtime)
    assert found.unverified == []
    assert found.release.startswith(KNOWN["version"])


def test_the_package_is_the_same_each_time_and_lacks_what_only_pages_keep():
    packed = package()
    assert packed == package()
    inside = zipfile.ZipFile(io.BytesIO(packed)).namelist()
    assert "minireg/lessons/02_weight_decay.py" in inside
    assert "minireg/course/answers.py" in inside
    assert not [name for name in inside if "pages/" in name or "__pycache__" in name]


# --- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deep(course_site, tmp_path_factory):
    """The address of a site below the root of its server."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(course_site, root / "a" / "b")
    with serve_folder(root) as found:
        yield f"{found}a/b/"


@pytest.mark.slow
def test_the_index_can_be_read(chromium, deep, expect):
    with visit(chromium, deep) as shown:
        expect(shown.locator("html[data-ready]")).to_be_attached()
        readable(shown, 10 * CARDS)


@pytest.mark.slow
def test_every_small_picture_moves_and_its_link_takes_the_value_along(chromium, deep, expect):
    with visit(chromium, deep, locale="en-US", reduced_motion="reduce") as shown:
        expect(shown.locator("html[data-ready]")).to_be_attached()
        for card in shown.locator(".card").all():
            stage, control = card.locator(".stage"), card.locator("input[type=range]")
            expect(stage.locator("> svg")).to_have_count(1)
            before, at = stage.inner_html(), control.input_value()
            control.focus()
            shown.keyboard.press("Home" if at != "0" else "End")
            assert stage.inner_html() != before
            assert control.input_value() != at
        card = shown.locator('.card[data-lesson="2"]')
        value = card.locator("output").inner_text()
        card.locator("a").click()
        shown.wait_for_url(f"**/a/b/{TWO}*")
        expect(shown.locator("html[data-ready]")).to_be_attached()
        expect(shown.locator("mr-scene output")).to_have_text(value)
        shown.locator("header a").click()
        shown.wait_for_url("**/a/b/index.html")


@pytest.mark.slow
def test_what_a_reader_has_done_is_said(chromium, deep, expect):
    with visit(chromium, f"{deep}{TWO}", locale="en-US") as shown:
        expect(shown.locator("html[data-ready]")).to_be_attached()
        shown.locator("#predict input").first.check()
        shown.evaluate("""localStorage.setItem("minireg:answer:2/left_over",
            JSON.stringify({ right: true, code: "…" }))""")
        shown.locator("header a").click()
        note = shown.locator('.card[data-lesson="2"] .progress')
        expect(note).to_have_text("predicted, 1 of 3 exercises done", use_inner_text=True)
        expect(shown.locator('.card[data-lesson="0"] .progress')).to_be_hidden()
        shown.get_by_role("button", name="中文").click()
        expect(note).to_have_text("已预测，练习完成 1 / 3", use_inner_text=True)
        assert shown.title().startswith("minireg：")


@pytest.mark.slow
def test_the_index_works_from_a_file(chromium, course_site, expect):
    with visit(chromium, f"file://{course_site}/index.html", locale="en-US") as shown:
        expect(shown.locator("html[data-ready]")).to_be_attached()
        shown.locator('.card[data-lesson="2"] a').click()
        expect(shown.locator("html[data-ready=alone]")).to_be_attached()


FIRST = """() => new Promise(found => {  // seconds from the request to a picture that follows its control
  const look = () => {
    const scene = document.querySelector("mr-scene");
    scene?.frames && document.documentElement.dataset.ready ? found(performance.now() / 1000)
      : requestAnimationFrame(look);
  };
  look();
})"""
RIGHT = "def left_over(lr, strength, steps):\n    return (1 - lr * strength) ** steps\n"


@pytest.mark.slow
def test_the_whole_site_in_figures(chromium, expect, runtime, tmp_path):
    written = site(tmp_path, lessons(), runtime)
    print(f"{len(written.files)} files, {sum(written.files.values()):,} bytes")
    for name in sorted(written.files):
        content = (tmp_path / name).read_bytes()
        print(f"  {len(content):>12,} {len(gzip.compress(content)):>12,} gzipped  {name}")
    with serve_folder(tmp_path) as at:
        with visit(chromium, at, locale="en-US") as shown:
            asked = shown.evaluate("performance.getEntriesByType('resource').length")
            seconds = shown.evaluate(FIRST)
            print(f"index: {asked + 1} requests, first living picture after {seconds:.2f} s")
            assert asked <= 1  # the font
            assert seconds < 10  # on a machine with other work; below 1 on a quiet one
        with visit(chromium, f"{at}{TWO}", locale="en-US") as shown:
            asked = []
            shown.on("request", lambda request: asked.append(request.url))
            seconds = shown.evaluate(FIRST)
            box = shown.locator("#ex-left_over")
            box.locator("summary").first.click() if not box.locator(
                "textarea"
            ).is_visible() else None
            begun = time.perf_counter()
            box.locator("textarea").fill(RIGHT)
            box.locator("button.check").click()
            expect(box).to_have_class(re.compile("done"), timeout=240_000)
            judged = time.perf_counter() - begun
            print(f"lesson 2: living picture after {seconds:.2f} s, first judged answer after "
                  f"{judged:.1f} s and {len(asked)} more requests")  # fmt: skip
