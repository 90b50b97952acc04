"""Walk one training step on the CPU and count what is called in each part of it.

    python tools/walk.py

prints the table of docs/architecture.md: calls into minireg, how many functions and files they are
spread over, and the files in the order in which they are met. tests/test_documents.py holds the page
to it.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import minireg as mr

ROOT = Path(mr.__file__).parent


class Walk(NamedTuple):
    """A part of the step: its calls, as (file, function)."""

    part: str
    calls: list[tuple[str, str]]

    def __str__(self) -> str:
        files = dict.fromkeys(file.removesuffix(".py") for file, _ in self.calls)
        counts = f"{len(self.calls)} | {len(set(self.calls))} | {len(files)}"
        return f"| {self.part} | {counts} | {', '.join(files)} |"


def walked(part: str, run: Callable[[], object]) -> Walk:
    """What is called of the package while ``run`` runs."""
    calls = []

    def note(frame: object, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)  # type: ignore[attr-defined]
        if event == "call" and path.is_relative_to(ROOT):
            calls.append((path.relative_to(ROOT).as_posix(), frame.f_code.co_qualname))  # type: ignore[attr-defined]

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    return Walk(part, calls)


def walk() -> Iterator[Walk]:
    """The parts of a step: two Linear with BatchNorm, ReLU, Dropout; label smoothing, L2, L1; AdamW."""
    mr.manual_seed(0)
    nn, rng = mr.nn, np.random.default_rng(0)
    x = mr.tensor(rng.normal(size=(8, 20)).astype(np.float32))
    y = mr.tensor(rng.integers(0, 3, 8))
    model = nn.Sequential(
        nn.Linear(20, 16), nn.BatchNorm(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)
    )
    penalties = {"l2": mr.penalties.L2(1e-3), "l1": mr.penalties.L1(1e-3)}
    objective = mr.Objective(nn.CrossEntropyLoss(label_smoothing=0.1), penalties)
    optimizer = mr.optim.AdamW(model.parameters(), weight_decay=0.0)
    terms = objective(model, x, y)  # the first step also decides who is penalised, and makes states
    terms.backward()
    optimizer.step()

    def forward() -> mr.objective.Terms:
        return objective(model, x, y)

    optimizer.zero_grad()
    yield walked("forward: `objective(model, x, y)`", forward)
    terms = forward()
    yield walked("backward, a share for each term: `terms.backward()`", terms.backward)
    yield walked("step: `optimizer.step()`", optimizer.step)
    optimizer.zero_grad()
    terms = forward()
    yield walked(
        "backward in one pass: `terms.backward(attribute=False, defer=True)`",
        lambda: terms.backward(attribute=False, defer=True),
    )
    yield walked(
        "step that adds the penalties: `optimizer.step(terms)`", lambda: optimizer.step(terms)
    )
    optimizer.zero_grad()
    ledger = mr.Ledger(optimizer)
    forward().backward()
    yield walked("step that a ledger watches", optimizer.step)
    row = ledger.last["0.weight"]
    yield walked("reading an entry of its row", lambda: row["l2", "fresh"])


def main() -> None:
    """Print the table."""
    print("| part | calls | functions | files | which files |\n| --- | ---: | ---: | ---: | --- |")
    for part in walk():
        print(part)


if __name__ == "__main__":
    main()
