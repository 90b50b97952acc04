"""All claims hold in the browser's Python, which has NumPy and nothing else."""

from __future__ import annotations

import json

import pytest
from support.browser import ask, served, visit, write_python

pytestmark = pytest.mark.slow
RUN = """
import json
from minireg.course import claims
found = claims.load()
def run(name):
    r = found[name]()
    return json.dumps([r.claim.verdict, r.seconds, bool(r), str(r)])
json.dumps([*found])
"""


def test_all_claims_hold_in_the_browser(chromium, runtime, wheel, tmp_path):
    write_python(tmp_path, runtime, wheel)
    rows = {}
    with served(tmp_path) as url, visit(chromium, url) as page:
        for name in json.loads(ask(page, RUN)):
            rows[name] = json.loads(ask(page, f"run({name!r})"))
    for name, (verdict, seconds, passed, _) in rows.items():
        print(f"{name:5} {verdict:22} {seconds:7.2f} s  {'passed' if passed else 'FAILED'}")
    print(f"{len(rows)} claims in the browser's Python, {sum(r[1] for r in rows.values()):.0f} s")
    assert len(rows) > 100
    assert not [text for *_, passed, text in rows.values() if not passed]
