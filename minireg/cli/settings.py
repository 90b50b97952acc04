"""TrainSettings: what both trainings of ``minireg train`` are made with, and their flags."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .. import datasets
from .common import UsageError, in_range

SEE = "(see minireg train --help)"
LATER: Any = None  # filled in by the other settings


@dataclass
class TrainSettings:
    """The settings of both trainings, one for each flag; None is replaced by what fits the others.

    ``UsageError`` for settings that contradict each other.

    >>> TrainSettings(optimizer="adam").lr, TrainSettings(dataset="diabetes").noise
    (0.001, 0.0)
    >>> print(TrainSettings(dataset="wine", hidden=[8]).command[:46])
    minireg train --dataset wine --noise 0.2 --hid
    """

    dataset: str = "digits"
    noise: float = LATER  # 0.2 of labels
    validation: float | None = None  # the data set's own, or 0.3
    hidden: list[int] = field(default_factory=lambda: [512, 512])
    norm: str = "none"
    l2: float = 1e-3
    l1: float = 2e-4
    l1_via: Literal["prox", "gradient"] = "prox"
    dropout: float = 0.5
    label_smoothing: float = LATER  # 0.2 of labels
    optimizer: str = "sgd"
    lr: float = LATER  # by optimizer
    momentum: float | None = None  # 0.9, of sgd only
    weight_decay: float = 0.0
    epochs: int = 60
    batch_size: int = 64
    clip_norm: float | None = None
    patience: int = 0
    seed: int = 0
    backend: str = "numpy"

    def __post_init__(self) -> None:
        labels = datasets.TABLE[self.dataset][0] == "classification"
        for name, flag in {"noise": "noise", "label_smoothing": "label-smoothing"}.items():
            if getattr(self, name) is None:
                setattr(self, name, 0.2 if labels else 0.0)
            elif getattr(self, name) and not labels:
                raise UsageError(
                    f"--{flag} is about labels, but {self.dataset} is a regression {SEE}"
                )
        if self.optimizer == "sgd":
            self.momentum = 0.9 if self.momentum is None else self.momentum
        elif self.momentum is not None:
            raise UsageError(f"--momentum is of sgd, and has no effect on {self.optimizer} {SEE}")
        if self.lr is None:
            self.lr = 0.02 if self.optimizer == "sgd" else 1e-3

    @classmethod
    def given(cls, args: argparse.Namespace) -> TrainSettings:
        """The settings of a command line."""
        return cls(**{k: v for k, v in vars(args).items() if k in cls.__dataclass_fields__})

    def to_dict(self) -> dict[str, Any]:
        """All settings by name."""
        return asdict(self)

    @property
    def texts(self) -> dict[str, list[str]]:
        """The words of each setting that there is."""
        lists = {k: v if isinstance(v, list) else [v] for k, v in asdict(self).items()}
        return {k: [str(v) for v in values] for k, values in lists.items() if values != [None]}

    @property
    def command(self) -> str:
        """The command line that makes the same runs."""
        words = ["minireg", "train"]
        for name, values in self.texts.items():
            words += [f"--{name.replace('_', '-')}", *values]
        return shlex.join(words)

    def __str__(self) -> str:
        shown = {k.replace("_", " "): " ".join(v) for k, v in self.texts.items() if k != "dataset"}
        return ", ".join(f"{name} {text}" for name, text in shown.items())


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting; without it the setting keeps its default."""
    share, strength, count = in_range(0, 1), in_range(0), in_range(1, whole=True)
    names = ", ".join(f"{n} ({line.split(',')[0]})" for n, (_, line) in datasets.TABLE.items())

    def group(title: str) -> Callable[..., Any]:
        return parser.add_argument_group(title, argument_default=argparse.SUPPRESS).add_argument

    add = group("data")
    add("--dataset", choices=datasets.TABLE, metavar="NAME", help=f"{names}; default digits")
    about = "share of the training labels to flip; default 0.2"
    add("--noise", type=share, metavar="RATE", help=about)
    about = (
        "held out; default 0.3, or the test part that the data set comes with; half of it chooses "
        "the best epoch, half is looked at only"
    )
    add("--validation", type=in_range(0.01, 1), metavar="SHARE", help=about)

    add = group("network")
    about = "widths of the hidden layers; default 512 512"
    add("--hidden", type=count, nargs="+", metavar="N", help=about)
    about = "normalisation after each hidden Linear; default none"
    add("--norm", choices=("none", "batch", "layer", "rms"), help=about)

    add = group("regularizers (0 switches one off)")
    add("--l2", type=strength, metavar="λ", help="½λ‖w‖² on the weights; default 0.001")
    add("--l1", type=strength, metavar="λ", help="λ‖w‖₁ on the weights; default 0.0002")
    about = "soft threshold after each step (exact zeros), or subgradient; default prox"
    add("--l1-via", choices=("prox", "gradient"), help=about)
    about = "probability of dropping a hidden unit; default 0.5"
    add("--dropout", type=share, metavar="P", help=about)
    about = "mix the target with the uniform distribution; default 0.2"
    add("--label-smoothing", type=share, metavar="ε", help=about)

    add = group("training")
    add("--optimizer", choices=("sgd", "adam", "adamw"), help="default sgd (Nesterov momentum)")
    add("--lr", type=strength, metavar="η", help="learning rate; default 0.02 (sgd) or 0.001")
    add("--momentum", type=share, metavar="μ", help="of sgd only; default 0.9")
    about = "the optimizer's own decay of weights, in the regularized run; default 0"
    add("--weight-decay", type=strength, metavar="WD", help=about)
    add("--epochs", type=count, metavar="N", help="default 60")
    add("--batch-size", type=count, metavar="N", help="default 64")
    about = "clip the gradient norm; default off"
    add("--clip-norm", type=in_range(1e-12), metavar="C", help=about)
    about = "early stopping after N epochs without a better validation loss; default 0 = off"
    add("--patience", type=in_range(0, whole=True), metavar="N", help=about)
    about = "of split, noise, weights; default 0"
    add("--seed", type=in_range(0, whole=True), metavar="N", help=about)
    add("--backend", choices=("numpy", "cupy"), help="default numpy")
