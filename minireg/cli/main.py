"""The command line: ``minireg train``, ``check-penalty``, ``claims``, ``lesson``, ``ops``, ``info``.

Exit codes: 0 done, 1 something is missing, failed or found wrong, 2 a wrong flag or value,
130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib.util
import io
import itertools
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .. import __version__, backend, checkpoint, datasets, nn, optim, penalties
from ..check.penalties import PenaltyReport, check_penalty
from ..course import lessons as course
from ..course.claims import VERDICTS, Result, errata, select
from ..inspect.ledger import Ledger
from ..inspect.report import Run, comparison, headline, overview, report
from ..objective import Objective, Term
from ..ops.reference import reference
from ..random import manual_seed
from ..training import finite, fit

EPILOG = """\
what happens
  The same over-wide network is trained twice on the same data, of which --noise of the
  training labels are wrong: once plain, once with every regularizer whose strength is not
  0. Afterwards you see which parameter each penalty acts on, what each term of the
  objective contributes to the gradient, how far it moved the weights, and how many wrong
  labels each network learnt by heart. Plain also counts as it was at its best epoch: one
  half of the held-out part, "validation", chooses it; the figures of the other half, "test",
  are the ones to compare. The run folder gets report.html, overview.png, history.json,
  ledger.csv and the weights.

examples
  minireg train                                  the default: all four regularizers
  minireg train --l1 0 --dropout 0               only L2 and label smoothing
  minireg train --l1-via gradient                L1 by subgradient: watch the zeros vanish
  minireg train --dataset wine --hidden 64 --epochs 40
  minireg train --norm batch --l2 1e-2           with BatchNorm, L2 mostly sets the learning rate
"""

CHECK_EPILOG = """\
what is checked
  value, closed-form gradient, autograd and central differences agree; the subgradient
  inequality; the prox minimises (against search), is optimal, firmly non-expansive and
  the gradient of the Moreau envelope, scales with strength and step; certificates are 0
  where they should be; dtypes; and under every optimizer a step makes the penalty
  smaller. What a penalty does not define does not apply (n/a). Each check measures
  one figure; it is ok up to its limit.

a penalty of your own, in huber.py
  import minireg as mr

  class Huber(mr.penalties.Penalty):
      strength = mr.penalties.Strength()

      def __init__(self, strength):
          self.strength = strength

      def value(self, w):
          size = mr.abs(w)
          return self.strength * mr.where(size < 1, 0.5 * w * w, size - 0.5).sum()

examples
  minireg check-penalty huber.py:Huber --strength 0.3
  minireg check-penalty huber.py:Huber --shape 8 2 5
  minireg check-penalty minireg.penalties:GroupLasso

exit code
  0 nothing is wrong, 1 something is wrong or cannot be loaded, 2 a wrong flag
"""

CLAIMS_EPILOG = """\
what is shown
  What the source texts say about regularization, claim by claim, each measured by a
  program in lessons/claims: the statement, the verdict on it, a figure that supports it,
  and the time. A statement that is false or imprecise has a counterexample and a
  correction, both measured.

examples
  minireg claims                                 all of them
  minireg claims --topic decay
  minireg claims --id C39 --explain              why, conventions, figures, lines to try
  minireg claims --errata > errata.md            the corrections, as a page
  minireg claims --backend cupy                  the same measured on a GPU
  minireg claims --json | jq '.[] | select(.passed | not)'

exit code
  0 every figure lies in its range, 1 one does not, 2 no such claim, topic or flag
"""


LESSON_EPILOG = """\
what happens
  Without a number the lessons are listed. With one, the lesson is copied into this folder,
  where its exercises are yours to edit, and opened in the browser; a copy that is already
  there is opened as you left it (delete it for a fresh one). Ctrl-C ends it. With --run it
  runs here, without a browser and without copying, and prints what it claims and measured.

examples
  minireg lesson                                 which there are, and their claims
  minireg lesson 2
  minireg lesson 2 --run
  minireg lesson --run                           all of them

exit code
  0 done, 1 a lesson claims what is not so, or marimo is missing, 2 no such lesson
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and exit code 2, of the command they are about."""

    def error(self, message: str) -> NoReturn:
        """Print one line and leave."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but nothing is left for the parser of all commands to complain of."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            flag = next((word for word in unknown if word.startswith("-")), "").partition("=")[0]
            near = difflib.get_close_matches(flag, self._option_string_actions, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return found, unknown

    def _print_message(self, message: str, file: Any = None) -> None:
        """As argparse does, but a stdout that cannot be written is heard of."""
        if file is sys.stdout:
            file.write(message)
        else:
            super()._print_message(message, file)


def _number(low: float, high: float = float("inf"), whole: bool = False) -> Callable[[str], Any]:
    """An argparse type: a number in [low, high)."""

    def convert(text: str) -> float:
        kind = "a whole number" if whole else "a number"
        bound = f"≥ {low:g}" if high == float("inf") else f"in [{low:g}, {high:g})"
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected {kind} {bound}, got {text!r}") from None
        if value == float("inf"):
            raise argparse.ArgumentTypeError(f"must be finite, got {text}")
        if not low <= value < high:
            raise argparse.ArgumentTypeError(f"must be {bound}, got {text}")
        return value

    return convert


def _folder(text: str) -> Path:
    """An argparse type: a path that names something."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"expected a folder, got {text!r}")
    return Path(text)


def _parser() -> Parser:
    parser = Parser(prog="minireg", description="See what each regularizer does to a gradient.")
    parser.add_argument("--version", action="version", version=f"minireg {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    train = commands.add_parser(
        "train", help="train a network without and with regularizers and compare the two",
        description="Train a network on real data twice, without and with regularizers.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = train.add_argument_group("data").add_argument
    names = ", ".join(f"{n} ({line.split(',')[0]})" for n, (_, _, line) in datasets.TABLE.items())
    add(
        "--dataset",
        choices=datasets.TABLE,
        default="digits",
        metavar="NAME",
        help=f"{names}; default digits",
    )
    add(
        "--noise",
        type=_number(0, 1),
        metavar="RATE",
        help="share of the training labels to flip; default 0.2",
    )
    add(
        "--validation",
        type=_number(0.01, 1),
        metavar="SHARE",
        help="held out; default 0.3, or the test part that the data set comes with; half of it "
        "chooses the best epoch, half is looked at only",
    )
    add = train.add_argument_group("network").add_argument
    add("--hidden", type=_number(1, whole=True), nargs="+", default=[512, 512], metavar="N",
        help="widths of the hidden layers; default 512 512")  # fmt: skip
    add("--norm", choices=("none", "batch", "layer", "rms"), default="none",
        help="normalisation after each hidden Linear; default none")  # fmt: skip
    add = train.add_argument_group("regularizers (0 switches one off)").add_argument
    add(
        "--l2",
        type=_number(0),
        default=1e-3,
        metavar="λ",
        help="½λ‖w‖² on the weights; default 0.001",
    )
    add(
        "--l1",
        type=_number(0),
        default=2e-4,
        metavar="λ",
        help="λ‖w‖₁ on the weights; default 0.0002",
    )
    add("--l1-via", choices=("prox", "gradient"), default="prox",
        help="soft threshold after each step (exact zeros), or subgradient; default prox")  # fmt: skip
    add("--dropout", type=_number(0, 1), default=0.5, metavar="P",
        help="probability of dropping a hidden unit; default 0.5")  # fmt: skip
    add("--label-smoothing", type=_number(0, 1), metavar="ε",
        help="mix the target with the uniform distribution; default 0.2")  # fmt: skip
    add = train.add_argument_group("training").add_argument
    add(
        "--optimizer",
        choices=("sgd", "adam", "adamw"),
        default="sgd",
        help="default sgd (Nesterov momentum)",
    )
    add("--lr", type=_number(0), metavar="η", help="learning rate; default 0.02 (sgd) or 0.001")
    add("--momentum", type=_number(0, 1), metavar="μ", help="of sgd only; default 0.9")
    add("--weight-decay", type=_number(0), default=0.0, metavar="WD",
        help="the optimizer's own decay of weights, in the regularized run; default 0")  # fmt: skip
    add("--epochs", type=_number(1, whole=True), default=60, metavar="N", help="default 60")
    add("--batch-size", type=_number(1, whole=True), default=64, metavar="N", help="default 64")
    add("--clip-norm", type=_number(1e-12), metavar="C", help="clip the gradient norm; default off")
    add("--patience", type=_number(0, whole=True), default=0, metavar="N",
        help="early stopping after N epochs without a better validation loss; default 0 = off")  # fmt: skip
    add(
        "--seed",
        type=_number(0, whole=True),
        default=0,
        metavar="N",
        help="of split, noise, weights; default 0",
    )
    add("--backend", choices=("numpy", "cupy"), default="numpy", help="default numpy")
    add = train.add_argument_group("output").add_argument
    add("--out", type=_folder, metavar="DIR",
        help="run folder, new or empty; default runs/DATASET-DATE-TIME")  # fmt: skip
    add("--force", action="store_true", help="write into --out even if it is not empty")
    add("--json", action="store_true", help="print one JSON object instead of tables")
    add("--no-report", action="store_true", help="skip report.html and overview.png")
    add("--no-progress", action="store_true", help="no progress bar")
    check = commands.add_parser(
        "check-penalty", help="do value, gradient, prox and certificates of a penalty fit together?",
        description="Run the battery of checks on a penalty of yours.",
        epilog=CHECK_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    check.add_argument("penalty", metavar="WHERE:NAME", help="a module or a file, and a penalty in it: "
                       "an instance, or a class that takes its strength")  # fmt: skip
    check.add_argument("--strength", type=_number(1e-12), default=0.5, metavar="λ",
                       help="what a class is made with; default 0.5")  # fmt: skip
    check.add_argument("--shape", type=_number(1, whole=True), nargs="+", metavar="N",
                       help="of the weight to ask it at; default: the penalty's own, mostly 4 3")  # fmt: skip
    check.add_argument("--trials", type=_number(1, whole=True), default=20, metavar="N",
                       help="random points a check, beside those at kinks; default 20")  # fmt: skip
    claims = commands.add_parser(
        "claims", help="what the source texts claim, each claim measured by a program",
        description="Measure the claims of the source texts.",
        epilog=CLAIMS_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    claims.add_argument(
        "--topic", metavar="NAME", help="only the claims of one file of lessons/claims"
    )
    claims.add_argument("--id", nargs="+", default=[], metavar="C1", help="only these claims")
    form = claims.add_mutually_exclusive_group()
    form.add_argument("--explain", action="store_true",
                      help="also the statement in full, its derivation and where the program is")  # fmt: skip
    form.add_argument("--json", action="store_true", help="print a list of JSON objects")
    form.add_argument("--errata", action="store_true",
                      help="print the corrections to the texts as Markdown")  # fmt: skip
    claims.add_argument("--backend", choices=("numpy", "cupy"), default="numpy",
                        help="where the models live that are measured; default numpy")  # fmt: skip
    claims.add_argument("--no-progress", action="store_true", help="no progress bar")
    lesson = commands.add_parser(
        "lesson", help="the lessons: list them, open one in the browser, run them",
        description="List, open or run the lessons.",
        epilog=LESSON_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    lesson.add_argument("number", type=_number(0, whole=True), nargs="?", metavar="N",
                        help="which lesson")  # fmt: skip
    lesson.add_argument("--run", action="store_true", help="run it here, without a browser")
    commands.add_parser("ops", help="the table of derivatives as Markdown")
    commands.add_parser("info", help="versions, backends, and why there is no GPU")
    return parser


LABELS = ("plain", "regularized")  # the two runs of ``minireg train``
FILES = {"report.html", "overview.png", "ledger.csv", *(f"weights-{n}.npz" for n in LABELS)}


class MissingError(Exception):
    """Something the command needs is not installed or not usable, or failed."""


def _need(**packages: str) -> None:
    for package, extra in packages.items():
        if importlib.util.find_spec(package) is None:
            raise MissingError(
                f"needs {package}: pip install 'minireg[{extra}]' (or 'minireg[all]')"
            )


def _network(
    args: argparse.Namespace, features: int, outputs: int, dropout: float
) -> nn.Sequential:
    norms = {"none": None, "batch": nn.BatchNorm, "layer": nn.LayerNorm, "rms": nn.RMSNorm}
    layers: list[nn.Module] = []
    width = features
    for hidden in args.hidden:
        layers.append(nn.Linear(width, hidden))
        if (norm := norms[args.norm]) is not None:
            layers.append(norm(hidden))
        layers += [nn.ReLU(), nn.Dropout(dropout)]  # p = 0 does nothing, but keeps the names
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def _train_one(args: argparse.Namespace, data: datasets.Dataset, label: str) -> Run:
    """One training; everything but the regularizers is the same for both labels."""
    on = label == "regularized"
    manual_seed(args.seed)  # both runs start from the same weights
    classification = data.task == "classification"
    model = _network(args, data.x_train.shape[1], data.classes or 1, args.dropout if on else 0.0)
    smoothing = args.label_smoothing if on else 0.0
    loss = nn.CrossEntropyLoss(label_smoothing=smoothing) if classification else nn.MSELoss()
    terms = {}
    if on and args.l2:
        terms["l2"] = Term(penalties.L2(args.l2))
    if on and args.l1:
        terms["l1"] = Term(penalties.L1(args.l1), via=args.l1_via)
    groups = optim.decay_groups(model, args.weight_decay if on else 0.0)
    optimizer: optim.Optimizer
    if args.optimizer == "sgd":
        optimizer = optim.SGD(groups, args.lr, args.momentum, nesterov=args.momentum > 0)
    else:
        kind = optim.Adam if args.optimizer == "adam" else optim.AdamW
        optimizer = kind(groups, args.lr)
    objective = Objective(loss, terms)
    ledger = Ledger(optimizer, accumulate=True) if on else None
    x, y = data.validation
    watch = {"test": (x[1::2], y[1::2])}  # the epoch is chosen on one half, judged on the other
    if (flipped := data.flipped).any():
        noisy = data.x_train[flipped]
        watch |= {"wrong": (noisy, data.y_train[flipped]), "true": (noisy, data.y_true[flipped])}
    history = fit(
        model, objective, optimizer, data.train, (x[::2], y[::2]),
        epochs=args.epochs, batch_size=args.batch_size, seed=args.seed, clip_norm=args.clip_norm,
        early_stopping=optim.EarlyStopping(args.patience) if args.patience else None,
        ledger=ledger, watch=watch, progress=False if args.no_progress else None, label=label,
    )  # fmt: skip
    return Run(history, model, objective.assignments(), ledger, int(flipped.sum()))


def train(args: argparse.Namespace) -> int:
    """``minireg train``."""
    _need(rich="cli")
    if not args.no_report:
        _need(matplotlib="viz")
    _resolve(args)
    try:
        data = datasets.load(args.dataset, args.noise, args.validation, seed=args.seed)
    except (ImportError, FileNotFoundError, ValueError) as error:
        raise MissingError(str(error)) from error
    folder, runs = _run_folder(args), dict[str, Run]()
    written = _write(folder, _record(args, runs))  # better to fail now than after the training
    if problems := _unwritten(written):
        raise MissingError("; ".join(problems))
    interrupted = False
    try:
        if not args.json:
            _console().print(f"{data}\n{_settings_line(args)}\n", highlight=False, markup=False)
        # what overflows ends in one message, not in a warning for each op
        with backend.use_backend(args.backend), np.errstate(all="ignore"):
            for label in LABELS:
                runs[label] = _train_one(args, data, label)
                written |= _write(folder, _record(args, runs))  # whatever becomes of the next
                if interrupted := runs[label].history.stopped == "interrupted":
                    break
    except KeyboardInterrupt:  # outside fit, which ends by itself
        interrupted = True
        written |= _write(folder, _record(args, runs))
    except (ArithmeticError, MemoryError, RuntimeError, ValueError) as error:
        problems.append(f"the {label} run failed: {str(error) or type(error).__name__}")
    try:
        for picture in _pictures(args, runs).items() if runs and not args.no_report else ():
            written |= _write(folder, dict([picture]))
    except KeyboardInterrupt:  # all else is kept, and is shown
        print("minireg train: interrupted before the report was drawn", file=sys.stderr)
        interrupted = True
    files = [name for name, wrong in written.items() if not wrong]
    for name in FILES - {*files} if args.force else ():  # of an earlier run
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    if args.json:
        record = {"settings": _settings(args), "folder": str(folder), "rule": BEST,
                  "runs": _figures(runs)}  # fmt: skip
        print(json.dumps(finite(record), allow_nan=False))
    else:
        _show(runs, folder, files, args)
    if problems := problems + _unwritten(written):
        kept = [f"{', '.join(files)} of {' and '.join(runs)} are in {folder}"] * bool(
            runs and files
        )
        raise MissingError("; ".join(problems + kept))
    return 130 if interrupted else 0


def _run_folder(args: argparse.Namespace) -> Path:
    """The folder of this run and of no other: claimed by making its history.json."""
    stem = args.out or Path("runs") / f"{args.dataset}-{datetime.now():%Y%m%d-%H%M%S}"
    folder: Path = stem
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(2):
            try:
                folder.mkdir(exist_ok=args.out is not None)
                break
            except FileExistsError:  # another run began in the same second
                if not folder.is_dir():
                    raise
                folder = stem.with_name(f"{stem.name}-{number}")
        if any(folder.iterdir()) and not args.force:
            raise MissingError(f"{folder} is not empty; choose another --out, or add --force to "
                               "replace what a run has left there")  # fmt: skip
        (folder / "history.json").touch(exist_ok=args.force)
    except OSError as error:
        raise MissingError(f"cannot make the run folder {folder}: {error.strerror}") from error
    return folder


def _resolve(args: argparse.Namespace) -> None:
    """Fill in defaults that depend on other flags; refuse flags that make no sense together."""
    classification = datasets.TABLE[args.dataset][1] == "classification"
    for name, default in {"noise": 0.2, "label_smoothing": 0.2}.items():
        if getattr(args, name) is None:
            setattr(args, name, default if classification else 0.0)
        elif getattr(args, name) and not classification:
            flag = name.replace("_", "-")
            _parser().exit(2, f"minireg train: --{flag} is about labels, but {args.dataset} is a "
                              "regression (see minireg train --help)\n")  # fmt: skip
    if args.optimizer == "sgd":
        args.momentum = 0.9 if args.momentum is None else args.momentum
    elif args.momentum is not None:
        _parser().exit(2, f"minireg train: --momentum is of sgd, and has no effect on "
                          f"{args.optimizer} (see minireg train --help)\n")  # fmt: skip
    if args.lr is None:
        args.lr = 0.02 if args.optimizer == "sgd" else 1e-3
    _usable(args.backend)


def _usable(*names: str) -> None:
    """Whether a backend can be used; also the one that MINIREG_BACKEND names."""
    try:
        for name in (backend.get_backend(), *names):
            backend.get(name)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise MissingError(str(error)) from error


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    hidden = {"command", "out", "force", "json", "no_report", "no_progress"}
    return {k: v for k, v in vars(args).items() if k not in hidden}


def _settings_line(args: argparse.Namespace) -> str:
    shown = {k: v for k, v in _settings(args).items() if v is not None and k != "dataset"}
    texts = {k: " ".join(map(str, v)) if isinstance(v, list) else v for k, v in shown.items()}
    return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in texts.items())


def _command(args: argparse.Namespace) -> str:
    words = ["minireg", "train"]
    for key, value in _settings(args).items():
        if value is not None:
            values = value if isinstance(value, list) else [value]
            words += [f"--{key.replace('_', '-')}", *map(str, values)]
    return shlex.join(words)


def _figures(runs: dict[str, Run]) -> dict[str, Any]:
    return {
        label: {"stopped": run.history.stopped, "epochs": len(run.history),
                **(run.figures(run.last) if len(run.history) else {}), **_best(run),
                **_ledger_figures(run)}
        for label, run in runs.items()
    }  # fmt: skip


def _best(run: Run) -> dict[str, Any]:
    """The best epoch with the figures to compare, and how many labels those of labels are of."""
    epoch = run.best_epoch
    best = run.figures(run.history.rows[epoch - 1]) if epoch else None
    return {"best_epoch": epoch, "wrong_labels": run.wrong, "best": best}


BEST = (
    "best: the epoch whose weights early stopping put back, else the first of the highest validation "
    "accuracy or, without labels, of the lowest validation loss; the test data choose nothing"
)
TUNED = "One draw, and the defaults were tuned on seeds 0–4: see the README's means over others, or --seed 5."


def _caution(args: argparse.Namespace) -> str:
    """What to know where the defaults are judged by a seed they were tuned on."""
    default = _parser().parse_args(["train", "--seed", str(args.seed), "--backend", args.backend])
    _resolve(default)
    return TUNED * (args.seed < 5 and _settings(default) == _settings(args))


def _ledger_figures(run: Run) -> dict[str, Any]:
    """Who moved the weights, once an epoch was finished."""
    if run.ledger is None or not run.ledger.history:
        return {}
    books = run.ledger.whole
    return {"ledger": {"residual": books.residual, "entries": books.summary()}}


Writer = Callable[[Path], object]


def _record(args: argparse.Namespace, runs: dict[str, Run]) -> dict[str, Writer]:
    """The figures and weights of the run folder: name of the file → what writes it."""
    histories = {label: run.history.to_dict() | _best(run) for label, run in runs.items()}
    record = {"settings": _settings(args), "command": _command(args), "rule": BEST,
              "runs": histories}  # fmt: skip
    text = json.dumps(finite(record), indent=1, allow_nan=False) + "\n"
    writers = {"history.json": _whole(lambda path: path.write_text(text, "utf-8"))}
    for label, run in runs.items():
        if run.model is not None:
            writers[f"weights-{label}.npz"] = partial(checkpoint.save, state=run.model)
        if run.ledger is not None and run.ledger.history:
            writers["ledger.csv"] = _whole(run.ledger.to_csv)
    return writers


def _pictures(args: argparse.Namespace, runs: dict[str, Run]) -> dict[str, Writer]:
    """The report, and the overview where there is something to see."""
    page = partial(report, runs=runs, title=f"minireg train: {args.dataset}",
                   settings=_settings(args), command=_command(args), note=_caution(args))  # fmt: skip
    writers = {"report.html": _whole(page)}
    if all(len(run.history) for run in runs.values()):
        writers["overview.png"] = _whole(
            lambda path: overview(runs).savefig(path, format="png", dpi=110)
        )
    return writers


def _write(folder: Path, writers: dict[str, Writer]) -> dict[str, str]:
    """Write files; returns why each could not be written, mostly "". One that could not is no reason
    to lose the next.
    """
    wrong = {}
    for name, write in writers.items():
        try:
            write(folder / name)
            wrong[name] = ""
        except OSError as error:
            wrong[name] = error.strerror or str(error)
    return wrong


def _unwritten(written: dict[str, str]) -> list[str]:
    """A sentence for each reason why files could not be written."""
    reasons = dict.fromkeys(filter(None, written.values()))
    names = {r: ", ".join(n for n, reason in written.items() if reason == r) for r in reasons}
    return [f"cannot write {names[reason]}: {reason}" for reason in reasons]


def _whole(write: Writer) -> Writer:
    """``write``, but a file is there as a whole or not at all."""

    def to(path: Path) -> None:
        with checkpoint.replacing(path) as beside:
            write(beside)

    return to


# --- the terminal ----------------------------------------------------------------------------


ASCII = str.maketrans({"−": "-", "\xa0": " ", "“": '"', "”": '"'})  # a minus is never lost


def _console() -> Any:
    from rich.console import Console

    class Terminal(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Terminal()


def _show(runs: dict[str, Run], folder: Path, files: list[str], args: argparse.Namespace) -> None:
    from rich.text import Text

    console = _console()
    console.print()
    for label, run in runs.items():
        if run.history.stopped == "interrupted":
            console.print(f"[yellow]interrupted[/]: {label} has {len(run.history)} finished epochs")
    done = {label: run for label, run in runs.items() if len(run.history)}
    if "regularized" in done:
        console.print(_assignment_table(done["regularized"]))
        console.print(_term_table(done["regularized"]))
        if figures := _ledger_figures(done["regularized"]):
            console.print(_ledger_table(**figures["ledger"]))
    if done:
        console.print(_comparison_table(done, args.noise))
        console.print(Text(headline(done).translate(ASCII), style="bold"), end="\n\n")
        if len(done) > 1 and (caution := _caution(args)):
            console.print(Text(caution, style="dim"), end="\n\n")
    where = Text.assemble("written to ", (f"{folder}/", "bold"), f": {', '.join(files)}")
    console.print(where, highlight=False)


def _table(
    title: str, head: Sequence[str], rows: Iterable[Sequence[Any]], note: str = "",
    figures: Sequence[str] = (), spare: Sequence[str] = (), whole: Sequence[str] = (),
) -> Any:  # fmt: skip
    """A table with small print below. Text wraps, but not columns of ``figures`` and ``whole`` ones:
    where the terminal is too narrow for them the ``spare`` columns are left out, one by one, and
    the small print says so.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    cells = [[c if isinstance(c, Text) else Text(c) for c in row] for row in rows]
    rigid, least = {*figures, *whole}, {}  # how narrow each column may become
    for i, name in enumerate(head):
        found = [row[i].plain for row in cells]
        widths = map(
            cell_len, (*(found if name in rigid else " ".join(found).split()), *name.split())
        )
        least[name] = max(widths, default=1) if name in rigid else min(12, max(widths, default=1))
    width, shown = _console().width, [*head]
    for name in spare:
        if sum(least[n] + 2 for n in shown) + 1 > width:
            shown.remove(name)
    table = Table(
        title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    tight = sum(max(least[n], cell_len(n)) + 2 for n in shown) + 1 > width
    for name in shown:
        rigidly: Any = {"no_wrap": True, "min_width": least[name]} if name in rigid else {}
        title = name.replace(" ", "\n") if rigidly and tight else name
        justify: Any = "right" if name in figures else "left"
        table.add_column(Text(title), justify=justify, overflow="fold", **rigidly)
    for row in cells:
        table.add_row(*(row[head.index(name)] for name in shown))
    gone = ", ".join(name for name in head if name not in shown)
    small = [note] * bool(note) + [f"too narrow for: {gone}"] * bool(gone)
    return Group(table, Text("\n".join(small) + "\n", style="dim")) if small else table


def _assignment_table(run: Run) -> Any:
    head = ("parameter", "shape", "kind", "penalties", "why")
    rows = [(a.parameter, "×".join(map(str, a.shape)), a.kind, a.penalties, a.why)
            for a in run.assignments]  # fmt: skip
    return _table(
        "which penalty acts on which parameter", head, rows, spare=("kind", "shape", "why")
    )


def _term_table(run: Run) -> Any:
    last, rows = run.last, []
    for term in run.history.terms:
        value, norm, share, cosine = (
            last[f"{k}/{term}"] for k in ("value", "norm", "share", "cosine")
        )
        rows.append(
            (term, run.via(term), f"{value:.4f}", f"{norm:.4f}", f"{share:.1%}", f"{cosine:+.3f}")
        )
    head = ("term", "via", "value", "‖gradient‖", "share", "cosine to data")
    return _table(
        f"the terms of the objective, first batch of epoch {int(last['epoch'])}", head, rows,
        "cosine -1: the term pulls straight against the data", head[2:], ("value", "via"),
    )  # fmt: skip


def _ledger_table(residual: float, entries: list[dict[str, Any]]) -> Any:
    head = ("entry", "‖Δ‖", "share", "growth")
    rows = [(e["entry"], f"{e['length']:.3f}", f"{e['share']:+.1%}", f"{e['growth']:+.1%}")
            for e in entries]  # fmt: skip
    note = (
        "all updates together, momentum counted with the term that it came from\n"
        "share: of the movement from first to last weights, sums to 100%, below 0: against it\n"
        "growth: of the first weights, below 0: shrunk\n"
        f"residual {residual:.0e}: so far are the books from the change of the weights"
    )
    return _table("who moved the weights", head, rows, note, head[1:])


def _comparison_table(runs: dict[str, Run], noise: float) -> Any:
    head, *rows = [[cell.translate(ASCII) for cell in row] for row in comparison(runs)]
    note = (
        "end: the weights that the run holds; best: its epoch of the highest validation accuracy (or "
        "lowest loss), which early stopping would choose. Nothing is chosen by the test data"
    )
    note += f"\n{noise:.0%} of the training labels are wrong, no other label is" * bool(noise)
    spare = [name for name in head[::-1] if name.endswith("best")]
    return _table("without and with regularizers", head, rows, note, head[1:], spare)


def check(args: argparse.Namespace) -> int:
    """``minireg check-penalty``."""
    where, _, name = args.penalty.rpartition(":")
    if not where or not name:
        _parser().exit(2, f"minireg check-penalty: expected WHERE:NAME, such as "
                          f"minireg.penalties:L2 or my.py:Huber, got {args.penalty!r}\n")  # fmt: skip
    _usable()
    found = getattr(_module(where), name, None)
    if found is None:
        raise MissingError(f"{where} has no {name!r}")
    if callable(found) and not isinstance(found, penalties.Penalty):
        try:
            found = found(args.strength)
        except Exception as error:  # the class is the user's
            raise MissingError(f"{name}({args.strength:g}) cannot be made: {error}; make an instance "
                               "in a file of yours and give its name") from error  # fmt: skip
    if not isinstance(found, penalties.Penalty):
        raise MissingError(f"{args.penalty} is no penalty but {found!r:.60}")
    shape = tuple(args.shape) if args.shape else None
    try:
        report = check_penalty(found, shape, trials=args.trials)
    except ValueError as error:  # it is 0 everywhere
        raise MissingError(str(error)) from error
    if importlib.util.find_spec("rich") is not None and (console := _console()).is_terminal:
        console.print(_check_table(report, narrow=console.width < 100))
    else:
        print(report)
    return 0 if report else 1


def _module(where: str) -> Any:
    """A module by name, or the file of one."""
    path = Path(where)
    try:
        if path.suffix == ".py":
            sys.path.insert(0, str(path.resolve().parent))  # as python FILE does
            spec = importlib.util.spec_from_file_location(path.stem, where)
            module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
            sys.modules.setdefault(path.stem, module)  # where dataclasses look
            spec.loader.exec_module(module)  # type: ignore[union-attr]
            return module
        sys.path.insert(0, "")  # as python -m does
        return importlib.import_module(where)
    except Exception as error:  # the code is the user's
        raise MissingError(f"cannot load {where!r}: {type(error).__name__}: {error}") from error


def _check_table(report: PenaltyReport, narrow: bool) -> Any:
    """A line a check, cut at the right margin; what is wrong is never cut."""
    from rich.text import Text

    colours = {"ok": "green", "wrong": "bold red", "n/a": "dim"}
    rows = []
    for f in report.findings:
        wrong = f.verdict == "wrong"
        figures = ("", "") if f.figure is None else (f"{f.figure:.1e}", f"{f.limit:.0e}")
        name = Text(f"{f.check}\n  {f.note}" if wrong and narrow else f.check)
        note = Text(f.note, no_wrap=not wrong, overflow="fold" if wrong else "ellipsis")
        rows.append((name, *figures, Text(f.verdict, colours[f.verdict]), note))
    head = ("check", "measured", "limit", "verdict", "what was compared")[: 4 if narrow else 5]
    verdicts = [f.verdict for f in report.findings]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in colours)
    summary = counts if report or "wrong" in verdicts else "nothing applied"
    return _table(report.penalty, head, rows, summary, ("measured", "limit"), ("limit",),
                  () if narrow else ("check",))  # fmt: skip


def claims(args: argparse.Namespace) -> int:
    """``minireg claims``."""
    _need(sklearn="lessons", rich="cli")
    _usable(args.backend)
    from rich.console import Console
    from rich.progress import track

    try:
        chosen = select(args.topic, args.id)
    except LookupError as error:
        _parser().exit(2, f"minireg claims: {error.args[0]}\n")
    stderr, results = Console(stderr=True), []
    silent = args.no_progress or not stderr.is_terminal
    with backend.use_backend(args.backend):
        for result in track((c() for c in chosen), "measuring", len(chosen), console=stderr,
                            transient=True, disable=silent):  # fmt: skip
            results.append(result)
            if args.explain:
                print(result.explain(), end="\n\n")
    if args.json:
        print(json.dumps([r.to_dict() for r in results], indent=1))  # ASCII: fits every stdout
    elif args.errata:
        print(errata(results), end="")
    elif not args.explain:
        _console().print(_claims_table(results))
    return 0 if all(results) else 1


def _claims_table(results: Sequence[Result]) -> Any:
    """A line a claim with its first figure; of one that failed, all that is wrong."""
    from rich.text import Text

    colours = dict(zip(VERDICTS, ("green", "cyan", "yellow", "red", "magenta"), strict=True))
    rows = []
    for r in results:
        wrong = [f"{f!r}" for f in r.figures if not f.passed] + [r.error] * bool(r.error)
        measured = Text("\n".join(wrong), "bold red") if wrong else Text(f"{r.figures[0]!r}")
        verdict = Text(r.claim.verdict.lower(), colours[r.claim.verdict])
        rows.append((r.claim.id, r.claim.statement, verdict, measured, f"{r.seconds:.2f}"))
    counts = {v: sum(r.claim.verdict == v for r in results) for v in VERDICTS}
    passed = sum(map(bool, results))
    return _table(
        "claims of the source texts, measured",
        ("", "the texts say", "verdict", "measured", "seconds"), rows,
        f"{len(results)} claims: {', '.join(f'{n} {v.lower()}' for v, n in counts.items() if n)}\n"
        f"{passed} as the verdict says, {len(results) - passed} not; "
        f"{sum(r.seconds for r in results):.1f} s",
        ("seconds",), ("seconds", "the texts say"),
    )  # fmt: skip


def lesson(args: argparse.Namespace) -> int:
    """``minireg lesson``."""
    try:
        chosen = course.lessons() if args.number is None else [course.find(args.number)]
    except LookupError as error:
        _parser().exit(2, f"minireg lesson: {error.args[0]}\n{course.table(course.lessons())}\n")
    if args.number is None and not args.run:
        print(course.table(chosen))
        return 0
    _need(marimo="lessons", sklearn="lessons", matplotlib="lessons")
    if not args.run:
        try:
            path, new = course.own_copy(chosen[0], Path.cwd())
        except OSError as error:
            raise MissingError(f"cannot copy the lesson into {Path.cwd()}: {error}") from error
        print(f"{'copied to' if new else 'opening your copy'} {path}; Ctrl-C ends it", flush=True)
        return course.edit(path)
    wrong = []
    for one in chosen:
        print(f"{one}\n")
        try:
            course.run(one)
        except Exception as error:  # what is wrong with one lesson is no reason to skip the others
            wrong.append(one.number)
            print(f"FAILED: {type(error).__name__}: {error}", file=sys.stderr)
        print()
    return 1 if wrong else 0


def ops(args: argparse.Namespace) -> int:
    """``minireg ops``."""
    print(reference(), end="")
    return 0


def info(args: argparse.Namespace) -> int:
    """``minireg info``."""
    print(f"minireg {__version__}, Python {platform.python_version()}, NumPy {np.__version__}")
    print("backend numpy: ready")
    try:
        print(f"backend cupy: ready, CuPy {backend.get('cupy').xp.__version__}")
    except (ImportError, OSError, RuntimeError) as error:  # CuPy wants a home to write to
        reason = str(error).removeprefix("backend 'cupy': ")
        print(f"backend cupy: not usable: {reason}")
    try:
        print(f"default backend: {backend.get(backend.get_backend()).name}")
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        print(f"default backend: MINIREG_BACKEND is not usable: {error}")
    packages = {"rich": "cli", "matplotlib": "viz", "graphviz": "viz", "sklearn": "lessons",
                "marimo": "lessons", "safetensors": "io", "joblib": "sweep"}  # fmt: skip
    for package, extra in packages.items():
        there = importlib.util.find_spec(package) is not None
        print(f"{package}: {'installed' if there else f'pip install minireg[{extra}]'}")
    for pool in _blas_pools():
        print(f"BLAS: {pool['internal_api']} {pool['version']}, {pool.get('architecture')} kernels, "
              f"{pool['num_threads']} threads")  # fmt: skip
        if _slow_kernels(pool):
            print("  this CPU has AVX-512 but OpenBLAS chose AVX2 kernels; OPENBLAS_CORETYPE=SkylakeX, "
                  "set before Python starts, can make matrix products faster")  # fmt: skip
    return 0


def _blas_pools() -> list[dict[str, Any]]:
    if importlib.util.find_spec("threadpoolctl") is None:
        return []
    pools: list[dict[str, Any]] = importlib.import_module("threadpoolctl").threadpool_info()
    return [p for p in pools if p["user_api"] == "blas"]


def _slow_kernels(pool: dict[str, Any]) -> bool:
    features: dict[str, bool] = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    return bool(features.get("AVX512F")) and pool.get("architecture") in ("Haswell", "Zen")


COMMANDS = {"train": train, "check-penalty": check, "claims": claims, "lesson": lesson, "ops": ops,
            "info": info}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``minireg`` command; returns the exit code."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # started without one
            setattr(sys, name, io.StringIO())
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a λ that the encoding lacks is no traceback
    command = "minireg"
    try:
        try:
            parser = _parser()
            args = parser.parse_args(argv)
            if args.command is None:
                parser.print_help()
                return 0
            command = f"minireg {args.command}"
            return COMMANDS[args.command](args)
        finally:
            _flush()
    except BrokenPipeError:  # the reader went away: nothing more to say
        return 0
    except KeyboardInterrupt:
        problem, code = "interrupted", 130
    except OSError as error:
        problem, code = f"{error.filename or 'output'}: {error.strerror or error}", 1
    except MissingError as error:
        problem, code = " ".join(str(error).splitlines()), 1
    with contextlib.suppress(OSError):
        print(f"{command}: {problem}", file=sys.stderr)
    return code


def _flush() -> None:
    """Write out what stdout holds; what it cannot write would fail once more when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


if __name__ == "__main__":
    sys.exit(main())
