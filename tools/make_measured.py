"""Make lessons/claims/measured.json: what each claim gives, for pages that measure nothing.

    python tools/make_measured.py

Needs NumPy only, and seconds. Figures are [role, what, value, at most, at least], null for no end.
tests/course/test_claims.py compares the file with fresh runs: the same figures in the same order and
ranges, and each value in its range; so it is made anew when a claim's program changes.
"""

import json
import math
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from minireg.course.claims import LESSONS, Result, load, measure_all  # noqa: E402

FILE = LESSONS / "claims" / "measured.json"


def entry(result: Result) -> dict[str, object]:
    """Seconds and figures of a result, which must have passed."""
    if not result:
        raise SystemExit(f"{result}\nno file written")
    ends = [[f.at_most, f.at_least] for f in result.figures]
    figures = [
        [f.role, f.what, f.value, *(end if math.isfinite(end) else None for end in pair)]
        for f, pair in zip(result.figures, ends, strict=True)
    ]
    return {"seconds": round(result.seconds, 3), "figures": figures}


def text(results: dict[str, Result]) -> str:
    """The file: a line for each figure, so that a change of one is a change of its line."""
    parts = []
    for name, result in results.items():
        found = entry(result)
        lines = ",\n".join(f"  {json.dumps(f, ensure_ascii=False)}" for f in found["figures"])
        parts.append(f'"{name}": {{"seconds": {found["seconds"]}, "figures": [\n{lines}]}}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    found = {r.claim.id: r for r in measure_all([*load().values()], os.cpu_count() or 1)}
    FILE.write_text(text(found), encoding="utf-8")
    seconds = sum(r.seconds for r in found.values())
    print(f"{FILE}: {len(found)} claims, {seconds:.0f} s, {FILE.stat().st_size / 1000:.0f} kB")
