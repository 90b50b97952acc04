"""One training as the settings say: what ``minireg train`` does twice."""

from __future__ import annotations

from .. import datasets, nn, optim, penalties
from ..inspect import Run
from ..inspect.ledger import Ledger
from ..objective import Objective, Term
from ..random import manual_seed
from ..training import fit
from .settings import TrainSettings


def train_one(settings: TrainSettings, data: datasets.Dataset, label: str, progress: bool) -> Run:
    """One training; everything but the regularizers is the same for both labels."""
    on = label == "regularized"
    manual_seed(settings.seed)  # both runs start from the same weights
    dropout = settings.dropout if on else 0.0
    model = _network(settings, data.x_train.shape[1], data.classes or 1, dropout)
    optimizer = _optimizer(settings, model, settings.weight_decay if on else 0.0)
    objective = _objective(settings, data, on)
    ledger = Ledger(optimizer, accumulate=True) if on else None
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
        early_stopping=optim.EarlyStopping(settings.patience) if settings.patience else None,
        ledger=ledger,
        watch=watch,
        progress=None if progress else False,
        label=label,
    )
    return Run(history, model, objective.assignments(), ledger, int(flipped.sum()))


def _network(settings: TrainSettings, features: int, outputs: int, dropout: float) -> nn.Sequential:
    norms = {"none": None, "batch": nn.BatchNorm, "layer": nn.LayerNorm, "rms": nn.RMSNorm}
    layers: list[nn.Module] = []
    width = features
    for hidden in settings.hidden:
        layers.append(nn.Linear(width, hidden))
        if (norm := norms[settings.norm]) is not None:
            layers.append(norm(hidden))
        layers += [nn.ReLU(), nn.Dropout(dropout)]  # p = 0 does nothing, but keeps the names
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def _optimizer(settings: TrainSettings, model: nn.Module, decay: float) -> optim.Optimizer:
    groups, lr = optim.decay_groups(model, decay), settings.lr
    if settings.optimizer == "sgd":
        momentum = settings.momentum or 0.0
        return optim.SGD(groups, lr, momentum, nesterov=momentum > 0)
    return {"adam": optim.Adam, "adamw": optim.AdamW}[settings.optimizer](groups, lr)


def _objective(settings: TrainSettings, data: datasets.Dataset, on: bool) -> Objective:
    terms = {}
    if on and settings.l2:
        terms["l2"] = Term(penalties.L2(settings.l2))
    if on and settings.l1:
        terms["l1"] = Term(penalties.L1(settings.l1), via=settings.l1_via)
    if data.task != "classification":
        return Objective(nn.MSELoss(), terms)
    smoothing = settings.label_smoothing if on else 0.0
    return Objective(nn.CrossEntropyLoss(label_smoothing=smoothing), terms)
