"""``python -m benchmarks ops|step|regularization``: speed against PyTorch, ratios of one run."""

from __future__ import annotations

import argparse
import json
import sys


def main() -> int:
    """Run one benchmark; ``--json`` adds the record as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what", choices=("ops", "step", "regularization"),
        help="ops: one op on 4×4 tensors, forward + backward; step: one training step of an MLP; "
        "regularization: the ledger, penalties, and a convolutional step",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the record as JSON at the end")
    args = parser.parse_args()
    try:
        from . import ops, regularization, step
    except ImportError as error:
        print(f"benchmarks: {error}; the peer is PyTorch: pip install torch", file=sys.stderr)
        return 1
    record = {"ops": ops, "step": step, "regularization": regularization}[args.what].run()
    if args.json:
        print(json.dumps(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
