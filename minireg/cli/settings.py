"""TrainSettings: what both trainings of ``minireg train`` are made with; each setting is a flag."""

from __future__ import annotations

import argparse
import itertools
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .. import datasets, nn, optim
from ..objective import Objective, Term
from ..penalties import L1, L2
from .common import UsageError, flag, flags, in_range, near
from .spelled import HELP, PENALTIES, SCHEDULES, Chosen, listing, read


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


# The settings with which groups of flags begin.
GROUPS = {"dataset": "data", "hidden": "network", "optimizer": "training"}
GROUPS["l2"] = "regularizers (0 switches one off)"
# Those that the plain training is without.
REGULARIZERS = ("l2", "l1", "l1_via", "penalty", "dropout", "label_smoothing", "weight_decay")

# --- what flags take ------------------------------------------------------------------------------


class _Value(argparse.Action):
    """A setting of one value, of which a sweep takes several, also one flag after the other."""

    def __init__(self, *args: Any, several: bool, **options: Any) -> None:
        super().__init__(*args, **{"nargs": "+", **options})
        self.several = several

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        before = getattr(namespace, self.dest, [])
        taken = [*(before if isinstance(before, list) else [before]), *values]
        if len(taken) > 1 and not self.several:
            name, got = self.option_strings[0], f"got {len(taken)}; minireg sweep compares several"
            parser.error(f"train takes one value of {name}, {got}")
        if twice := [value for value in taken if taken.count(value) > 1]:
            raise argparse.ArgumentError(self, f"{twice[0]} is given twice")
        setattr(namespace, self.dest, taken if len(taken) > 1 else taken[0])


class _Penalty(argparse.Action):
    """``--penalty`` begins one; ``--on`` and ``--via`` say more of the last."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        chosen = [*getattr(namespace, "penalty", [])]
        if self.dest == "penalty":
            chosen.append(values)
        elif not chosen:
            raise argparse.ArgumentError(self, "is about the --penalty before it: there is none")
        elif getattr(chosen[-1], self.dest) is not None:
            raise argparse.ArgumentError(self, f"given twice for {chosen[-1].penalty}")
        else:
            try:
                chosen[-1] = replace(chosen[-1], **{self.dest: values})
            except ValueError as error:
                raise argparse.ArgumentError(self, str(error)) from error
        namespace.penalty = chosen


def _spelled(take: Callable[[str], Any], listed: Callable[[], str], text: str) -> Any:
    """What ``take`` makes of a text, its errors those of the flag; for ``help`` a list ends the command."""
    if text == "help":
        print(listed())
        raise SystemExit(0)
    try:
        return take(text)
    except Exception as error:  # whatever the library says of it
        raise argparse.ArgumentTypeError(str(error)) from error


def _schedule(text: str) -> str:
    """A schedule's short name, or a spelled one, as it is."""
    text, names = text.strip(), ["none", *DERIVED]
    if text.isidentifier() and text not in {*names, *SCHEDULES}:
        raise ValueError(f"there is no {text!r:.40}{near(text, [*names, *SCHEDULES]) or HELP}")
    if text not in names:
        read(text, SCHEDULES)
    return text


def _schedules() -> str:
    derived = [f"{name}: {spell(60, 1200, 0.02)}" for name, spell in DERIVED.items()]
    return "\n".join(["of 60 epochs, 1200 updates, --lr 0.02", *derived, "", listing(SCHEDULES)])


SHARE, STRENGTH, COUNT = in_range(0, 1), in_range(0), in_range(1, whole=True)
WHOLE, WAYS = in_range(0, whole=True), ("prox", "gradient")
PENALTY = partial(_spelled, Chosen, partial(listing, PENALTIES))
SCHEDULE = partial(_spelled, _schedule, _schedules)


def _setting(
    default: Any, takes: Any, metavar: str | None = None, action: Any = _Value, **options: Any
) -> Any:
    """A setting, of which a sweep takes several values; what its flag ``takes`` is an argparse type, or
    choices.
    """
    known = {"action": action, "metavar": metavar, **options}
    known["type" if callable(takes) else "choices"] = takes
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata=known)
    return field(default=default, metadata=known)


_one = partial(_setting, action="store")


# --- the settings ---------------------------------------------------------------------------------


@dataclass
class TrainSettings:
    """The settings of both trainings, one for each flag, of which this is the help.

    Attributes
    ----------
    dataset : {datasets}; default digits
    data : your own instead: a table in .csv, .tsv, .npz or .parquet
    target : of --data: what to predict, a column's name or place (-1 is the last)
    task : of --data; default: texts and bools are labels, floats are not, integers are if there are at most
        20 different ones, of which each comes twice on average
    noise : share of the training labels to flip; default 0.2, of --data 0
    validation : held out; default 0.3, or the test part that the data set comes with; half of it chooses
        the best epoch, half is looked at only
    hidden : widths of the hidden layers; default 512 512
    norm : normalisation after each hidden Linear; default none
    l2 : ½λ‖w‖² on the weights; default 0.001, or 0 with --penalty
    l1 : λ‖w‖₁ on the weights; default 0.0002, or 0 with --penalty
    l1_via : soft threshold after each step (exact zeros), or subgradient; default prox
    penalty : any other, in quotes: 'GroupLasso(1e-3, axis=0)'; repeat it for more; "help" lists all;
        NAME=… gives it a name in the tables{braces}
    dropout : probability of dropping a hidden unit; default 0.5
    label_smoothing : mix the target with the uniform distribution; default 0.2
    optimizer : sgd (Nesterov momentum), adam, adamw, rmsprop, sgld (temperature 1/n, n rows), proximal
        (ISTA) or accelerated (FISTA); default sgd
    lr : learning rate, at its highest if scheduled; default {rates} or 0.001
    momentum : default 0.9 (sgd) or 0 (rmsprop)
    weight_decay : the optimizer's own decay of weights, in the regularized run; default 0
    schedule : of the learning rate: {schedules}, made for --epochs; or in quotes 'StepLR(20, gamma=0.5)';
        "help" lists all; default none
    epochs : default 60
    batch_size : default 64
    clip_norm : clip the gradient norm; default off
    patience : early stopping after N epochs without a better validation loss; default 0 = off
    seed : of split, noise, weights; default 0
    backend : default numpy

    None is replaced by what fits the others, ``UsageError`` for settings that contradict each other. They
    are what JSON holds: ``TrainSettings(**asdict(settings))`` are the same.

    >>> TrainSettings(optimizer="adam").lr, TrainSettings(dataset="diabetes").noise
    (0.001, 0.0)
    >>> print(TrainSettings(dataset="wine", hidden=[8]).command[:46])
    minireg train --dataset wine --noise 0.2 --hid
    """

    dataset: str | None = _one(None, datasets.TABLE, "NAME")
    data: str | None = _one(None, str, "FILE")
    target: str | None = _one(None, str, "COLUMN")
    task: str | None = _one(None, ("classification", "regression"))
    noise: float = _setting(None, SHARE, "RATE")
    validation: float | None = _setting(None, in_range(0.01, 1), "SHARE")
    hidden: list[int] = _one([512, 512], COUNT, "N", nargs="+")  # noqa: RUF009
    norm: str = _setting("none", ("none", "batch", "layer", "rms"))
    l2: float = _setting(None, STRENGTH, "λ")
    l1: float = _setting(None, STRENGTH, "λ")
    l1_via: Literal["prox", "gradient"] = _setting("prox", WAYS)
    penalty: list[Chosen] = _setting([], PENALTY, "[NAME=]P", _Penalty)  # noqa: RUF009
    dropout: float = _setting(0.5, SHARE, "P")
    label_smoothing: float = _setting(None, SHARE, "ε")
    optimizer: str = _setting("sgd", OPTIMIZERS, "NAME")
    lr: float = _setting(None, STRENGTH, "η")
    momentum: float | None = _setting(None, SHARE, "μ")
    weight_decay: float = _setting(0.0, STRENGTH, "WD")
    schedule: str = _setting("none", SCHEDULE, "S")
    epochs: int = _setting(60, COUNT, "N")
    batch_size: int = _setting(64, COUNT, "N")
    clip_norm: float | None = _setting(None, in_range(1e-12), "C")
    patience: int = _setting(0, WHOLE, "N")
    seed: int = _one(0, WHOLE, "N")
    backend: str = _one("numpy", ("numpy", "cupy"))

    def __post_init__(self) -> None:
        self._settle_data()
        kind = OPTIMIZERS[self.optimizer]
        self.lr = kind.lr if self.lr is None else self.lr
        if self.momentum is None:
            self.momentum = kind.momentum
        elif kind.momentum is None:
            some = " and ".join(n for n, k in OPTIMIZERS.items() if k.momentum is not None)
            raise UsageError(f"--momentum is of {some}, and has no effect on {self.optimizer}")
        if self.weight_decay and not kind.decays:
            raise UsageError(f"--weight-decay: {self.optimizer} has none of its own; --l2 is one")
        if self.norm == "batch" and self.batch_size == 1:
            raise UsageError("--norm batch needs 2 rows or more in a batch, got --batch-size 1")
        # JSON has plain mappings
        self.penalty = [p if isinstance(p, Chosen) else Chosen(**p) for p in self.penalty]
        if several := [chosen.penalty for chosen in self.penalty if chosen.axes]:
            raise UsageError(f"--penalty: braces are for minireg sweep, got {several[0]}")
        self.l2 = self.l2 if self.l2 is not None else 0.0 if self.penalty else 1e-3
        self.l1 = self.l1 if self.l1 is not None else 0.0 if self.penalty else 2e-4
        try:
            Objective(nn.MSELoss(), self.terms())
        except ValueError as error:  # names that are taken
            raise UsageError(f"--penalty: {error}") from error

    def _settle_data(self) -> None:
        if self.data is None:
            self.dataset = self.dataset or "digits"
            task: str | None = datasets.TABLE[self.dataset][0]
            if lost := [name for name in ("target", "task") if getattr(self, name) is not None]:
                raise UsageError(f"--{lost[0]} is about --data FILE, which is not given")
        else:
            task = self.task
            if self.dataset is not None:
                both = f"--data {self.data} and --dataset {self.dataset}"
                raise UsageError(f"{both} are two sets of data; give one")
            self.noise = 0.0 if self.noise is None else self.noise
            self.validation = 0.3 if self.validation is None else self.validation
        for name in ("noise", "label_smoothing"):
            value = getattr(self, name)
            if value is None and task is not None:
                setattr(self, name, 0.2 if task == "classification" else 0.0)
            elif value and task == "regression":
                data = self.dataset or self.data
                raise UsageError(f"{flag(name)} is about labels, but {data} is a regression")

    @classmethod
    def of(cls, given: Mapping[str, Any], point: Mapping[str, Any] = {}) -> TrainSettings:
        """The settings that are given, others aside, at a point of their :meth:`grid`."""
        known = cls.__dataclass_fields__
        made: dict[str, Any] = {n: v for n, v in {**given, **point}.items() if n in known}
        chosen = [p if isinstance(p, Chosen) else Chosen(**p) for p in made.get("penalty", [])]
        made["penalty"] = [p.at(point) for p in chosen]
        return cls(**made)

    @classmethod
    def grid(cls, given: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The settings with several values, in the order of the command line, then those in braces."""
        one = {f.name for f in fields(cls) if f.metadata["action"] is _Value}
        found = {n: v for n, v in given.items() if n in one and isinstance(v, list)}
        for chosen in given.get("penalty", []):
            if twice := found.keys() & chosen.axes.keys():
                raise UsageError(f"--penalty: {min(twice)} is there twice; name them, as a=L1(…)")
            found |= chosen.axes
        return found

    def for_data(self, data: datasets.Dataset) -> TrainSettings:
        """The settings with what one's own data decide: the task, and whether labels are smoothed."""
        return replace(self, task=data.task) if self.data else self

    @property
    def chosen(self) -> dict[str, Chosen]:
        """Each --penalty by the name of its term; a second one of a class is numbered. ``UsageError`` for two
        of a name.
        """
        found: dict[str, Chosen] = {}
        taken = [name for name in ("l2", "l1") if getattr(self, name)]
        for chosen in self.penalty:
            numbered = (f"{chosen.name}{f'_{n}' * (n > 1)}" for n in itertools.count(1))
            name = next(name for name in numbered if name not in (*taken, *found))
            if chosen.named and name != chosen.name:
                raise UsageError(f"--penalty: two penalties are named {chosen.name!r}")
            found[name] = chosen
        return found

    def terms(self) -> dict[str, Term]:
        """The penalties by name."""
        found = {"l2": Term(L2(self.l2))} if self.l2 else {}
        if self.l1:
            found["l1"] = Term(L1(self.l1), via=self.l1_via)
        return found | {name: chosen.term() for name, chosen in self.chosen.items()}

    def scheduler(
        self, optimizer: optim.Optimizer, updates: int
    ) -> optim.lr_scheduler.LRScheduler | None:
        """The schedule for so many updates in all; its errors are the library's."""
        if self.schedule == "none":
            return None
        derived = DERIVED.get(self.schedule)
        text = derived(self.epochs, updates, self.lr) if derived else self.schedule
        return read(text, SCHEDULES)(optimizer=optimizer)

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
            # a value may look like a flag
            joined = values[0].startswith("-")
            words += [f"{flag(name)}={values[0]}"] if joined else [flag(name), *values]
        return shlex.join(words)

    def __str__(self) -> str:
        data = ("dataset", "data")
        shown = {k.replace("_", " "): " ".join(v) for k, v in self.texts.items() if k not in data}
        return ", ".join(f"{name} {text}" for name, text in shown.items())


# --- flags ---------------------------------------------------------------------------------------


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
    parser.formatter_class, parser.usage = _Help, "%(prog)s [FLAG VALUE ...]"
    sets = [f"{name} ({line.split(',')[0]})" for name, (_, line) in datasets.TABLE.items()]
    rates = [f"{k.lr:g} ({name})" for name, k in OPTIMIZERS.items() if k.lr != 1e-3]
    braces = ["; of values in braces each is a point: 'L1({1e-4, 1e-3})'"] * several
    lists = {"datasets": sets, "rates": rates, "schedules": DERIVED, "braces": braces}
    words = {name: ", ".join(texts) for name, texts in lists.items()}
    group: Any = parser
    for setting in fields(TrainSettings):
        if title := GROUPS.get(setting.name):
            group = parser.add_argument_group(title, argument_default=argparse.SUPPRESS)
        taken = {"several": several} if setting.metadata["action"] is _Value else {}
        flags(group, TrainSettings)(flag(setting.name), words, **setting.metadata, **taken)
        if setting.name == "penalty":
            add = flags(group, Chosen)
            add("--on", action=_Penalty, nargs="+", metavar="PATTERN")
            add("--via", action=_Penalty, choices=WAYS)
