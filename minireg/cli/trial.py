"""One training as the settings say: what ``minireg train`` does twice."""

from __future__ import annotations

import contextlib
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend, datasets, nn, optim
from ..inspect import Run
from ..inspect.ledger import Ledger
from ..objective import Objective
from ..optim.lr_scheduler import ClosedForm, LRScheduler
from ..random import manual_seed
from ..training import fit, passing_interrupts
from .common import MissingError, UsageError, flag
from .settings import OPTIMIZERS, TrainSettings


def prepared(settings: TrainSettings) -> tuple[TrainSettings, datasets.Dataset]:
    """The data, and the settings with what these decide; what is spelled was tried on two rows.

    Errors are those of :func:`loaded` and :func:`tried`.
    """
    data = loaded(settings)
    return tried(settings.for_data(data), data), data


def loaded(settings: TrainSettings) -> datasets.Dataset:
    """The data; ``MissingError`` for what cannot be read or split, ``UsageError`` without a target."""
    try:
        data = read(settings)
    except (ImportError, OSError, TypeError, ValueError) as error:
        if settings.data and settings.target is None:
            said = _in_flags(error).replace(" has no column ''; it", "")
            raise UsageError(f"--data needs --target COLUMN: {said}") from error
        raise MissingError(_in_flags(error)) from error
    if (held := len(data.x_validation)) < 2:
        raise MissingError(
            f"at least 2 rows must be held out, one to choose the best epoch and one to look at, got {held} "
            f"of {held + len(data.x_train)}: give more rows or a larger --validation"
        )
    return data


def _in_flags(error: Exception) -> str:
    """An error of the library in the words of the command line.

    >>> _in_flags(ValueError('datasets.read: no number; take task="regression", or another seed='))
    'no number; take --task regression, or another --seed'
    """
    text = re.sub(r"^datasets\.\w+: ", "", str(error))
    pattern = r'\b(task|validation|noise|seed)=(?:"(\w+)"|([\d.]+)|)'
    return re.sub(pattern, lambda m: " ".join(filter(None, (f"--{m[1]}", m[2], m[3]))), text)


def read(settings: TrainSettings) -> datasets.Dataset:
    """The data; errors are those of :func:`minireg.datasets.read` and ``load``."""
    options: dict[str, Any] = {"noise": settings.noise, "validation": settings.validation}
    options["seed"] = settings.seed
    if settings.data is None:
        return datasets.load(str(settings.dataset), **options)
    # without a target the error lists the columns
    return datasets.read(settings.data, settings.target or "", task=settings.task, **options)


def tried(settings: TrainSettings, data: datasets.Dataset) -> TrainSettings:
    """The settings, if what is spelled in them passes a try on two rows; else ``UsageError``."""
    try:
        if settings.penalty or settings.schedule != "none":
            with backend.use_backend(settings.backend), np.errstate(all="ignore"):
                _try(settings, data)
    except (IndexError, NotImplementedError, TypeError, ValueError) as error:
        raise UsageError(str(error)) from error
    return settings


def _try(settings: TrainSettings, data: datasets.Dataset) -> None:
    """One update, and the last rate of the schedule."""
    model, objective, optimizer, scheduler = _parts(settings, data, on=True)
    if isinstance(scheduler, ClosedForm):
        by_update = scheduler.interval == "step"
        last = _updates(settings, data) if by_update else settings.epochs
        try:
            scheduler.multiplier(last, 0)
        except OverflowError as error:
            what = f"the rate of {'update' if by_update else 'epoch'} {last} is beyond float64"
            raise ValueError(f"--schedule {settings.schedule}: {what}") from error
    for name, term in objective.bind(model).terms.items():
        if term.via == "prox":  # those without one say why
            term.penalty.prox(objective.chosen(name)[0].data, 0.0)
    rows = data.x_train[:2], data.y_train[:2]
    options: dict[str, Any] = {"epochs": 1, "scheduler": scheduler, "progress": False}
    with passing_interrupts(), contextlib.suppress(ArithmeticError, MemoryError):
        fit(model, objective, optimizer, rows, rows, **options)  # the training itself will say so


def train_one(
    settings: TrainSettings,
    data: datasets.Dataset,
    label: str,
    progress: bool,
    checkpoint: Path | None = None,
    keep: bool = True,
    books: bool = True,
) -> Run:
    """One training; everything but the regularizers is the same for both labels.

    ``books``: the regularized one with a ledger, which takes about as long as the training itself.
    ``FloatingPointError`` names the settings at which it diverges.
    It goes on from ``checkpoint`` if that is a file, and unless ``keep`` is False keeps it in about 3 % of
    the time.
    """
    on = label == "regularized"
    model, objective, optimizer, scheduler = _parts(settings, data, on)
    ledger = Ledger(optimizer, accumulate=True) if on and books else None
    x, y = data.validation
    watch = {"test": (x[1::2], y[1::2])}  # the epoch is chosen on one half, judged on the other
    if (flipped := data.flipped).any():
        noisy = data.x_train[flipped]
        watch |= {"wrong": (noisy, data.y_train[flipped]), "true": (noisy, data.y_true[flipped])}
    options: dict[str, Any] = {"progress": None if progress else False, "label": label}
    if settings.patience:
        options["early_stopping"] = optim.EarlyStopping(settings.patience)
    if checkpoint and keep:
        options |= {"checkpoint": checkpoint, "every": 0.03}
    if checkpoint and checkpoint.exists():
        options["resume"] = checkpoint
    try:
        history = fit(
            model, objective, optimizer, data.train, (x[::2], y[::2]), epochs=settings.epochs,
            batch_size=settings.batch_size, seed=settings.seed, clip_norm=settings.clip_norm,
            scheduler=scheduler, ledger=ledger, watch=watch, **options,
        )  # fmt: skip
    except (FloatingPointError, np.linalg.LinAlgError) as error:
        what = str(error).removeprefix("fit: ").partition("; ")[0]
        switched = [n for n in ("lr", "l2", "l1", "weight_decay") if n == "lr" or on]
        at = [f"{flag(n)} {v:g}" for n in switched if (v := getattr(settings, n))]
        at += [f"--penalty {' '.join(chosen.words)}" for chosen in settings.penalty if on]
        raise FloatingPointError(f"{what}: it diverges; lower {' or '.join(at)}") from error
    wrong, names = int(flipped.sum()), data.feature_names
    return Run(history, model, objective.assignments(), ledger, wrong, names)


Parts = tuple[nn.Sequential, Objective, optim.Optimizer, LRScheduler | None]


def _parts(settings: TrainSettings, data: datasets.Dataset, on: bool) -> Parts:
    """New ones, with regularizers if ``on``; the same weights either way."""
    manual_seed(settings.seed)
    dropout, decay = (settings.dropout, settings.weight_decay) if on else (0.0, 0.0)
    outputs = data.classes or data.y_train.shape[1]
    model = _network(settings, data.x_train.shape[1:], outputs, dropout)
    kind, rows = OPTIMIZERS[settings.optimizer], len(data.x_train)
    groups = optim.decay_groups(model, decay) if kind.decays else model.parameters()
    optimizer = kind.make(groups, settings.lr, settings.momentum or 0.0, rows)
    loss: nn.Module = nn.MSELoss()
    if data.task == "classification":
        loss = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing if on else 0.0)
    objective = Objective(loss, settings.terms() if on else {})
    return model, objective, optimizer, settings.scheduler(optimizer, _updates(settings, data))


def _updates(settings: TrainSettings, data: datasets.Dataset) -> int:
    """How many the training takes, if nothing stops it."""
    return settings.epochs * math.ceil(len(data.x_train) / settings.batch_size)


def _network(
    settings: TrainSettings, shape: tuple[int, ...], outputs: int, dropout: float
) -> nn.Sequential:
    norms = {"none": None, "batch": nn.BatchNorm, "layer": nn.LayerNorm, "rms": nn.RMSNorm}
    layers: list[nn.Module] = [nn.Flatten()] if len(shape) > 1 else []
    width = math.prod(shape)
    for hidden in settings.hidden:
        layers.append(nn.Linear(width, hidden))
        if (norm := norms[settings.norm]) is not None:
            layers.append(norm(hidden))
        layers += [nn.ReLU(), nn.Dropout(dropout)]  # p = 0 does nothing, but keeps the names
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, outputs))
