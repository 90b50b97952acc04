"""One training as the settings say: what ``minireg train`` does twice."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import numpy as np

from .. import backend, datasets, nn, optim
from ..inspect import Run
from ..inspect.ledger import Ledger
from ..objective import Objective
from ..optim.lr_scheduler import ClosedForm, LRScheduler
from ..random import manual_seed
from ..training import fit, passing_interrupts
from .common import MissingError, UsageError
from .settings import OPTIMIZERS, SEE, TrainSettings


def prepared(settings: TrainSettings) -> tuple[TrainSettings, datasets.Dataset]:
    """The data, and the settings with what these decide; what is spelled was tried on two rows.

    ``MissingError`` for data that cannot be read, ``UsageError`` for what does not fit them or the
    network.
    """
    try:
        data = read(settings)
    except (ImportError, OSError, TypeError, ValueError) as error:
        if settings.data and settings.target is None:
            raise UsageError(f"--data needs --target COLUMN: {error} {SEE}") from error
        raise MissingError(str(error)) from error
    return tried(settings.for_data(data), data), data


def tried(settings: TrainSettings, data: datasets.Dataset) -> TrainSettings:
    """The settings, if what is spelled in them passes a try on two rows; else ``UsageError``."""
    if settings.penalty or settings.schedule != "none":
        try:
            _try(settings, data)
        except (IndexError, NotImplementedError, TypeError, ValueError) as error:
            raise UsageError(f"{error} {SEE}") from error
    return settings


def read(settings: TrainSettings) -> datasets.Dataset:
    """The data; errors are those of :func:`minireg.datasets.read` and ``load``."""
    if settings.data is None:
        name = str(settings.dataset)
        return datasets.load(name, settings.noise, settings.validation, seed=settings.seed)
    return datasets.read(
        settings.data,
        settings.target or "",  # of which the error lists the columns
        task=settings.task,
        validation=settings.validation,
        noise=settings.noise,
        seed=settings.seed,
    )


def _try(settings: TrainSettings, data: datasets.Dataset) -> None:
    """One update, and the last rate of the schedule."""
    with backend.use_backend(settings.backend), np.errstate(all="ignore"), passing_interrupts():
        parts = model, objective, _, scheduler = _parts(settings, data, on=True)
        if isinstance(scheduler, ClosedForm):
            by_update = scheduler.interval == "step"
            scheduler.multiplier(_updates(settings, data) if by_update else settings.epochs, 0)
        for name, term in objective.bind(model).terms.items():
            if term.via == "prox":  # those without one say why
                term.penalty.prox(objective.chosen(name)[0].data, 0.0)
        rows = data.x_train[:2], data.y_train[:2]
        with contextlib.suppress(ArithmeticError, MemoryError):  # the training itself will say so
            fit(*parts[:3], rows, rows, epochs=1, scheduler=scheduler, progress=False)


def train_one(
    settings: TrainSettings,
    data: datasets.Dataset,
    label: str,
    progress: bool,
    checkpoint: Path | None = None,
    books: bool = True,
) -> Run:
    """One training; everything but the regularizers is the same for both labels.

    ``books``: the regularized one with a ledger, which takes about as long as the training itself.
    It goes on from ``checkpoint`` if that is a file, and keeps it in about 3 % of the time.
    """
    on = label == "regularized"
    model, objective, optimizer, scheduler = _parts(settings, data, on)
    ledger = Ledger(optimizer, accumulate=True) if on and books else None
    x, y = data.validation
    watch = {"test": (x[1::2], y[1::2])}  # the epoch is chosen on one half, judged on the other
    if (flipped := data.flipped).any():
        noisy = data.x_train[flipped]
        watch |= {"wrong": (noisy, data.y_train[flipped]), "true": (noisy, data.y_true[flipped])}
    history = fit(
        model,
        objective,
        optimizer,
        data.train,
        (x[::2], y[::2]),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        seed=settings.seed,
        clip_norm=settings.clip_norm,
        scheduler=scheduler,
        early_stopping=optim.EarlyStopping(settings.patience) if settings.patience else None,
        ledger=ledger,
        watch=watch,
        checkpoint=checkpoint,
        every=0.03 if checkpoint else None,
        resume=checkpoint if checkpoint and checkpoint.exists() else None,
        progress=None if progress else False,
        label=label,
    )
    return Run(history, model, objective.assignments(), ledger, int(flipped.sum()))


Parts = tuple[nn.Sequential, Objective, optim.Optimizer, LRScheduler | None]


def _parts(settings: TrainSettings, data: datasets.Dataset, on: bool) -> Parts:
    """New ones, with regularizers if ``on``; the same weights either way."""
    manual_seed(settings.seed)
    dropout, decay = (settings.dropout, settings.weight_decay) if on else (0.0, 0.0)
    model = _network(settings, data.x_train.shape[1:], data.classes or 1, dropout)
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
