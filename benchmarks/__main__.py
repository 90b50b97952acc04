"""``python -m benchmarks WHAT``: speed against PyTorch in one run, and what a GPU would launch."""

from __future__ import annotations

import argparse
import importlib
import json
import sys

WHAT = {
    "ops": "one op on 4×4 tensors, forward + backward",
    "step": "one training step of an MLP",
    "regularization": "the ledger, penalties, and a convolutional step",
    "launches": "kernels that a training step launches on a GPU, counted on the CPU",
    "gpu": "steps, normalisations and updates on a GPU; writes a dated record beside this file",
}


def main(argv: list[str] | None = None) -> int:
    """Run one benchmark; ``--json`` adds the record as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    described = "; ".join(f"{name}: {line}" for name, line in WHAT.items())
    parser.add_argument("what", choices=WHAT, help=described)
    parser.add_argument("--json", action="store_true", help="print the record as JSON at the end")
    args = parser.parse_args(argv)
    try:
        record = importlib.import_module(f"{__package__}.{args.what}").run()
    except ImportError as error:
        hint = f": pip install {error.name}" if isinstance(error, ModuleNotFoundError) else ""
        print(f"benchmarks {args.what}: {error}{hint}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        if args.what != "gpu":
            raise
        print(f"benchmarks gpu: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
