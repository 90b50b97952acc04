"""TrainSettings: what both trainings of ``minireg train`` are made with, and their flags."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .. import datasets, nn, optim
from ..objective import Objective, Term
from ..penalties import L1, L2
from .common import UsageError, in_range
from .spelled import PENALTIES, SCHEDULES, Chosen, listing, near, read

SEE = "(see minireg train --help)"
LATER: Any = None  # filled in by the other settings, or by the data
LISTS = ("hidden", "penalty")  # settings whose one value is a list


class Kind(NamedTuple):
    """An optimizer: its rate and momentum if none is given, how it is made, whether it decays weights.

    ``make`` takes parameters or groups, lr, momentum and the number of training rows.
    """

    lr: float
    momentum: float | None  # None: it has none
    make: Callable[[Any, float, float, int], optim.Optimizer]
    decays: bool = True


OPTIMIZERS = {
    "sgd": Kind(0.02, 0.9, lambda p, lr, m, n: optim.SGD(p, lr, m, nesterov=m > 0)),
    "adam": Kind(1e-3, None, lambda p, lr, m, n: optim.Adam(p, lr)),
    "adamw": Kind(1e-3, None, lambda p, lr, m, n: optim.AdamW(p, lr)),
    "rmsprop": Kind(1e-3, 0.0, lambda p, lr, m, n: optim.RMSprop(p, lr, momentum=m)),
    "sgld": Kind(0.02, None, lambda p, lr, m, n: optim.SGLD(p, lr, 1 / n)),
    "proximal": Kind(0.2, None, lambda p, lr, m, n: optim.ProximalGradient(p, lr), decays=False),
    "accelerated": Kind(
        0.005, None, lambda p, lr, m, n: optim.ProximalGradient(p, lr, None, True), decays=False
    ),
}


def _part(n: int, of: int) -> int:
    return max(1, n // of)


# Of n epochs in u updates with the rate lr: a schedule that fits them, spelled.
DERIVED: dict[str, Callable[[int, int, float], str]] = {
    "cosine": lambda n, u, lr: f"CosineAnnealingLR({n})",
    # 1 + 2 + 4 cosines, the last of which is cut rather than begun again
    "restarts": lambda n, u, lr: f"CosineAnnealingWarmRestarts({-(-n // 7)}, 2)",
    "step": lambda n, u, lr: f"StepLR({_part(n, 3)})",
    "multistep": lambda n, u, lr: f"MultiStepLR([{_part(n, 2)}, {_part(3 * n, 4)}])",
    "exponential": lambda n, u, lr: f"ExponentialLR({0.01 ** (1 / n)})",
    "linear": lambda n, u, lr: f"LinearLR(1.0, 0.0, {n})",
    "polynomial": lambda n, u, lr: f"PolynomialLR({n}, 2.0)",
    "onecycle": lambda n, u, lr: f"OneCycleLR({lr}, {u}, cycle_momentum=False)",
    "plateau": lambda n, u, lr: f"ReduceLROnPlateau(patience={_part(n, 10)})",
}


@dataclass
class TrainSettings:
    """The settings of both trainings, one for each flag; None is replaced by what fits the others.

    ``UsageError`` for settings that contradict each other. They are what JSON holds:
    ``TrainSettings(**settings.to_dict())`` are the same.

    >>> TrainSettings(optimizer="adam").lr, TrainSettings(dataset="diabetes").noise
    (0.001, 0.0)
    >>> print(TrainSettings(dataset="wine", hidden=[8]).command[:46])
    minireg train --dataset wine --noise 0.2 --hid
    """

    dataset: str | None = LATER  # digits, or None with data
    data: str | None = None
    target: str | None = None
    task: str | None = None  # of data: said by the file
    noise: float = LATER  # 0.2 of labels, but none of one's own data
    validation: float | None = None  # the data set's own, or 0.3
    hidden: list[int] = field(default_factory=lambda: [512, 512])
    norm: str = "none"
    l2: float = LATER  # 1e-3, or 0 with penalties
    l1: float = LATER  # 2e-4, or 0 with penalties
    l1_via: Literal["prox", "gradient"] = "prox"
    penalty: list[Chosen] = field(default_factory=list)
    dropout: float = 0.5
    label_smoothing: float = LATER  # 0.2 of labels
    optimizer: str = "sgd"
    lr: float = LATER  # by optimizer
    momentum: float | None = None  # by optimizer
    weight_decay: float = 0.0
    schedule: str = "none"
    epochs: int = 60
    batch_size: int = 64
    clip_norm: float | None = None
    patience: int = 0
    seed: int = 0
    backend: str = "numpy"

    def __post_init__(self) -> None:
        self._settle_data()
        kind = OPTIMIZERS[self.optimizer]
        self.lr = kind.lr if self.lr is None else self.lr
        if self.momentum is None:
            self.momentum = kind.momentum
        elif kind.momentum is None:
            some = " and ".join(n for n, k in OPTIMIZERS.items() if k.momentum is not None)
            raise UsageError(
                f"--momentum is of {some}, and has no effect on {self.optimizer} {SEE}"
            )
        if self.weight_decay and not kind.decays:
            raise UsageError(
                f"--weight-decay: {self.optimizer} has none of its own; --l2 is a decay {SEE}"
            )
        # JSON has plain mappings
        self.penalty = [p if isinstance(p, Chosen) else Chosen(**p) for p in self.penalty]
        self.l2 = self.l2 if self.l2 is not None else 0.0 if self.penalty else 1e-3
        self.l1 = self.l1 if self.l1 is not None else 0.0 if self.penalty else 2e-4
        try:
            Objective(nn.MSELoss(), self.terms())
        except ValueError as error:  # names that are taken
            raise UsageError(f"--penalty: {error} {SEE}") from error

    def _settle_data(self) -> None:
        if self.data is None:
            self.dataset = self.dataset or "digits"
            task: str | None = datasets.TABLE[self.dataset][0]
            for name in ("target", "task"):
                if getattr(self, name) is not None:
                    raise UsageError(f"--{name} is about --data FILE, which is not given {SEE}")
        else:
            task = self.task
            if self.dataset is not None:
                raise UsageError(
                    f"--data {self.data} and --dataset {self.dataset} are two sets of data; give one {SEE}"
                )
            self.noise = 0.0 if self.noise is None else self.noise
            self.validation = 0.3 if self.validation is None else self.validation
        for name, flag in {"noise": "noise", "label_smoothing": "label-smoothing"}.items():
            value = getattr(self, name)
            if value is None and task is not None:
                setattr(self, name, 0.2 if task == "classification" else 0.0)
            elif value and task == "regression":
                raise UsageError(
                    f"--{flag} is about labels, but {self.dataset or self.data} is a regression {SEE}"
                )

    @classmethod
    def given(cls, args: argparse.Namespace, **point: Any) -> TrainSettings:
        """The settings of a command line; those with several values at a ``point`` of its grid."""
        named = {k: v for k, v in vars(args).items() if k in cls.__dataclass_fields__}
        return cls(**named | point)

    @classmethod
    def grid(cls, args: argparse.Namespace) -> dict[str, list[Any]]:
        """The settings with several values on a command line, in its order."""
        one = {name: value for name, value in vars(args).items() if name not in LISTS}
        return {name: value for name, value in one.items() if isinstance(value, list)}

    def for_data(self, data: datasets.Dataset) -> TrainSettings:
        """The settings with what one's own data decide: the task, and whether labels are smoothed."""
        return replace(self, task=data.task) if self.data else self

    def terms(self) -> dict[str, Term]:
        """The penalties by name; a second one of a class is numbered. ``UsageError`` for two of a name."""
        found: dict[str, Term] = {}
        if self.l2:
            found["l2"] = Term(L2(self.l2))
        if self.l1:
            found["l1"] = Term(L1(self.l1), via=self.l1_via)
        for chosen in self.penalty:
            name, number = chosen.name, 2
            while name in found:
                if chosen.named:
                    raise UsageError(f"--penalty: two penalties are named {name!r} {SEE}")
                name, number = f"{chosen.name}_{number}", number + 1
            found[name] = chosen.term()
        return found

    def scheduler(
        self, optimizer: optim.Optimizer, updates: int
    ) -> optim.lr_scheduler.LRScheduler | None:
        """The schedule for so many updates in all; its errors are the library's."""
        if self.schedule == "none":
            return None
        derived = DERIVED.get(self.schedule)
        text = derived(self.epochs, updates, self.lr) if derived else self.schedule
        return read(text, SCHEDULES)(optimizer=optimizer)

    def to_dict(self) -> dict[str, Any]:
        """All settings by name."""
        return asdict(self)

    @property
    def stem(self) -> str:
        """What the data are called: the file's name without its end, or the data set's."""
        return Path(self.data).stem if self.data else str(self.dataset)

    @property
    def texts(self) -> dict[str, list[str]]:
        """The words of each setting that there is."""
        lists = {k: v if isinstance(v, list) else [v] for k, v in vars(self).items()}
        lists["penalty"] = [w for p in self.penalty for w in ("--penalty", *p.words)][1:]
        return {
            k: [str(v) for v in values] for k, values in lists.items() if values not in ([], [None])
        }

    @property
    def command(self) -> str:
        """The command line that makes the same runs."""
        words = ["minireg", "train"]
        for name, values in self.texts.items():
            flag = f"--{name.replace('_', '-')}"
            # a value may look like a flag
            words += [f"{flag}={values[0]}"] if values[0].startswith("-") else [flag, *values]
        return shlex.join(words)

    def __str__(self) -> str:
        data = ("dataset", "data")
        shown = {k.replace("_", " "): " ".join(v) for k, v in self.texts.items() if k not in data}
        return ", ".join(f"{name} {text}" for name, text in shown.items())


# --- flags ---------------------------------------------------------------------------------------


class _Value(argparse.Action):
    """A setting of one value, which a sweep takes several of. ``take`` converts a word."""

    def __init__(
        self, *args: Any, take: Callable[[str], Any], several: bool, **options: Any
    ) -> None:
        super().__init__(*args, **options | {"nargs": "+"})
        self.take, self.several = take, several

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        words, flag = values, self.option_strings[0]
        taken = _taken(self, lambda: [self.take(word) for word in words])
        if len(words) > 1 and not self.several:
            parser.error(
                f"train takes one value of {flag}, got {len(words)}; minireg sweep {flag} "
                f"{shlex.join(words)} compares them"
            )
        if len(set(taken)) < len(taken):
            raise argparse.ArgumentError(self, f"a value is given twice in {shlex.join(words)}")
        setattr(namespace, self.dest, taken if len(taken) > 1 else taken[0])


class _Penalty(argparse.Action):
    """``--penalty`` begins one; ``--on`` and ``--via`` say more of the last."""

    def __init__(self, *args: Any, take: Callable[[str], Any] = str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.take = take

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        chosen = list(getattr(namespace, "penalty", []))
        if self.dest == "penalty":
            chosen.append(_taken(self, lambda: self.take(values)))
        elif not chosen:
            raise argparse.ArgumentError(
                self, "is about the --penalty before it, and there is none"
            )
        elif getattr(chosen[-1], self.dest) is not None:
            raise argparse.ArgumentError(self, f"given twice for {chosen[-1].penalty}")
        else:
            chosen[-1] = _taken(self, lambda: replace(chosen[-1], **{self.dest: values}))
        namespace.penalty = chosen


def _taken(action: argparse.Action, make: Callable[[], Any]) -> Any:
    """What ``make`` gives; its error becomes the flag's."""
    try:
        return make()
    except Exception as error:  # whatever the library says of it
        raise argparse.ArgumentError(action, str(error)) from error


def _schedule(text: str) -> str:
    """A schedule's short name, or a spelled one, as it is."""
    text = text.strip()
    if text not in (names := ["none", *DERIVED]):
        if text.isidentifier() and text not in SCHEDULES:
            raise ValueError(f"there is no {text!r:.40}{near(text, [*names, *SCHEDULES])}")
        read(text, SCHEDULES)
    return text


def _or_list(text: str, take: Callable[[str], Any], lines: Callable[[], str]) -> Any:
    """What a word becomes; for ``help`` a list of what there is ends the command."""
    if text == "help":
        print(lines())
        raise SystemExit(0)
    return take(text)


def _schedules() -> str:
    derived = [f"{name}: {spell(60, 1200, 0.02)}" for name, spell in DERIVED.items()]
    return "\n".join(["of 60 epochs, 1200 updates, --lr 0.02", *derived, "", listing(SCHEDULES)])


class _Help(argparse.RawDescriptionHelpFormatter):
    """Where one value is taken, the help shows one."""

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        shown = super()._format_args(action, default_metavar)
        one = isinstance(action, _Value) and not action.several
        return shown.partition(" ")[0] if one else shown


def add_flags(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Add a flag for each setting; without it the setting keeps its default.

    ``several``: each flag of one number or choice takes several values; :meth:`TrainSettings.grid` are
    those that do.
    """
    share, strength, count = in_range(0, 1), in_range(0), in_range(1, whole=True)
    names = ", ".join(f"{n} ({line.split(',')[0]})" for n, (_, line) in datasets.TABLE.items())
    parser.formatter_class, parser.usage = _Help, "%(prog)s [FLAG VALUE ...]"

    def group(title: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
        add = parser.add_argument_group(title, argument_default=argparse.SUPPRESS).add_argument
        return add, partial(add, action=_Value, several=several)

    add, one = group("data")
    add("--dataset", choices=datasets.TABLE, metavar="NAME", help=f"{names}; default digits")
    about = "your own instead: a table in .csv, .parquet or .npz"
    add("--data", metavar="FILE", help=about)
    add("--target", metavar="COLUMN", help="of --data: what to predict")
    about = "of --data; default: what the target looks like"
    add("--task", choices=("classification", "regression"), help=about)
    about = "share of the training labels to flip; default 0.2, of --data 0"
    one("--noise", take=share, metavar="RATE", help=about)
    about = (
        "held out; default 0.3, or the test part that the data set comes with; half of it chooses "
        "the best epoch, half is looked at only"
    )
    one("--validation", take=in_range(0.01, 1), metavar="SHARE", help=about)

    add, one = group("network")
    about = "widths of the hidden layers; default 512 512"
    add("--hidden", type=count, nargs="+", metavar="N", help=about)
    about = "normalisation after each hidden Linear; default none"
    one("--norm", take=str, choices=("none", "batch", "layer", "rms"), help=about)

    add, one = group("regularizers (0 switches one off)")
    about = "½λ‖w‖² on the weights; default 0.001, or 0 with --penalty"
    one("--l2", take=strength, metavar="λ", help=about)
    about = "λ‖w‖₁ on the weights; default 0.0002, or 0 with --penalty"
    one("--l1", take=strength, metavar="λ", help=about)
    about = "soft threshold after each step (exact zeros), or subgradient; default prox"
    one("--l1-via", take=str, choices=("prox", "gradient"), help=about)
    about = (
        "any other, in quotes: 'GroupLasso(1e-3, axis=0)'; repeat it for more; \"help\" lists all; "
        "NAME=… gives it a name in the tables"
    )
    take: Callable[[str], Any] = partial(_or_list, take=Chosen, lines=lambda: listing(PENALTIES))
    add("--penalty", take=take, action=_Penalty, metavar="[NAME=]P", help=about)
    about = "parameters of the --penalty before, as in 0.weight or '*.bias'; default: the weights"
    add("--on", action=_Penalty, nargs="+", metavar="PATTERN", help=about)
    about = (
        "how the --penalty before acts; default gradient, where there is one. prox follows each step, "
        "with t = lr, of momentum μ lr/(1 − μ), of adam, adamw and rmsprop one t for each weight"
    )
    add("--via", action=_Penalty, choices=("prox", "gradient"), help=about)
    about = "probability of dropping a hidden unit; default 0.5"
    one("--dropout", take=share, metavar="P", help=about)
    about = "mix the target with the uniform distribution; default 0.2"
    one("--label-smoothing", take=share, metavar="ε", help=about)

    add, one = group("training")
    about = (
        "sgd (Nesterov momentum), adam, adamw, rmsprop, sgld (temperature 1/n, n rows), proximal "
        "(ISTA) or accelerated (FISTA); default sgd"
    )
    one("--optimizer", take=str, choices=OPTIMIZERS, metavar="NAME", help=about)
    rates = ", ".join(
        f"{kind.lr:g} ({name})" for name, kind in OPTIMIZERS.items() if kind.lr != 1e-3
    )
    about = f"learning rate, at its highest if scheduled; default {rates} or 0.001"
    one("--lr", take=strength, metavar="η", help=about)
    one("--momentum", take=share, metavar="μ", help="default 0.9 (sgd) or 0 (rmsprop)")
    about = "the optimizer's own decay of weights, in the regularized run; default 0"
    one("--weight-decay", take=strength, metavar="WD", help=about)
    about = (
        f"of the learning rate: {', '.join(DERIVED)}, made for --epochs; or in quotes 'StepLR(20, "
        'gamma=0.5)\'; "help" lists all; default none'
    )
    take = partial(_or_list, take=_schedule, lines=_schedules)
    one("--schedule", take=take, metavar="S", help=about)
    one("--epochs", take=count, metavar="N", help="default 60")
    one("--batch-size", take=count, metavar="N", help="default 64")
    about = "clip the gradient norm; default off"
    one("--clip-norm", take=in_range(1e-12), metavar="C", help=about)
    about = "early stopping after N epochs without a better validation loss; default 0 = off"
    one("--patience", take=in_range(0, whole=True), metavar="N", help=about)
    about = "of split, noise, weights; default 0"
    add("--seed", type=in_range(0, whole=True), metavar="N", help=about)
    add("--backend", choices=("numpy", "cupy"), help="default numpy")
