"""fit: the training loop, with a history of all terms; trajectory: where each step of descent leads."""

from __future__ import annotations

import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .analysis.implicit import dropout_effect
from .backend import Array
from .batches import OF_LABELS, Data, Intake, Pair, Part, figures
from .checkpoint import check_path
from .inspect.history import History, Name, as_classes
from .inspect.ledger import Ledger
from .messages import check_option, needed
from .nn import Module
from .nn.losses import Loss
from .objective import AnyLoss, Objective, Terms
from .operators import Space
from .optim import EarlyStopping, Optimizer
from .optim.lr_scheduler import LRScheduler
from .progress import Progress
from .random import Stream
from .tensor import Tensor

_OF_TERMS = ("value", "norm", "share", "cosine")  # the columns of each term

_keeps_interrupt: ContextVar[bool] = ContextVar("_keeps_interrupt", default=True)


@contextmanager
def passing_interrupts() -> Iterator[None]:
    """Inside, ``fit`` raises ``KeyboardInterrupt`` instead of returning half a training."""
    token = _keeps_interrupt.set(False)
    try:
        yield
    finally:
        _keeps_interrupt.reset(token)


@contextmanager
def _interruptible(at: Progress, checkpoint: str | Path | None, waits: bool) -> Iterator[None]:
    """Ctrl-C inside ends the training, and is kept where one can go on from there.

    With ``waits`` the first one in an update or a hook waits for its end.
    """
    kept = signal.getsignal(signal.SIGINT)
    waits = waits and kept is signal.default_int_handler
    waits = waits and threading.current_thread() is threading.main_thread()

    def wait(*given: object) -> None:
        if at.whole or at.asked:
            raise KeyboardInterrupt
        at.asked = True

    try:
        if waits:
            signal.signal(signal.SIGINT, wait)
        yield
        if at.asked:  # since the last look
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        if at.history.stopped == "epochs":
            at.history.stopped = "interrupted"
        if checkpoint and at.whole:
            at.save(checkpoint)
        if not _keeps_interrupt.get():
            raise
    finally:
        if waits:
            signal.signal(signal.SIGINT, kept)


def evaluate(
    model: Module,
    objective: Objective | AnyLoss,
    data: Data,
    *,
    classes: Sequence[Name] = (),
    batch_size: int = 32,
) -> dict[str, float]:
    """The data loss, and for labels the accuracy, in evaluation mode, without a graph.

    Parameters
    ----------
    model, objective : as for :func:`fit`; the modes of all modules are restored. Of an objective the loss
        alone counts, without its penalties; of a loss its data term, as ``train_loss`` in the history:
        of cross entropy without the label smoothing, which is a regularizer, so that figures of models
        with different ones compare. The whole is ``loss(model(x), y)``.
    data : a pair (x, y) of inputs (N, …) and targets (N, …), or an iterable of such batches, of which
        one pass is made (a generator will do); as :func:`fit` takes them. A frame's columns must be in
        the order of training, which a model does not know.
    classes : the names of the labels 0, 1, … for targets that are words: ``history.classes``.
    batch_size : ≥ 1, samples of a pair that the model sees at once; more where they make little work, up
        to some megabytes. The value is that of all samples together, to rounding: means are weighted by
        what the loss divides by (labels that count, class weights, elements), sums add up, and any loss
        but those of :mod:`minireg.nn` sees the outputs of all samples at once.

    Returns ``{"loss": …}``, for labels and outputs that are one array (N, C) also ``"accuracy"``, which
    like the loss leaves out the labels ``loss.ignore_index`` (-100 for a loss without one); NaN if all
    are left out. ``TypeError`` and ``ValueError`` for data as :func:`fit`, ``ValueError`` for a loss that
    is no number.

    >>> from minireg import nn
    >>> evaluate(nn.Sequential(), nn.MSELoss(), (np.ones((2, 1)), np.zeros((2, 1))))
    {'loss': 1.0}
    """
    check_option("evaluate", 1, batch_size=batch_size)
    loss = objective.loss if isinstance(objective, Objective) else objective
    intake = Intake("evaluate", model, loss, as_classes("evaluate", classes), once=True)
    return figures(model, loss, intake.part("data", data).pieces(model, batch_size))


def _check(
    owner: str,
    model: Module,
    optimizer: Any,
    scheduler: Any,
    ledger: Any,
    early_stopping: Any = None,
) -> None:
    """Raise unless these belong together and there is something to train."""
    for name, value, kind in (
        ("optimizer", optimizer, Optimizer), ("early_stopping", early_stopping, EarlyStopping),
        ("scheduler", scheduler, LRScheduler), ("ledger", ledger, Ledger),
    ):  # fmt: skip
        if not isinstance(value, kind) and (value is not None or kind is Optimizer):
            raise TypeError(f"{owner}: {name} must be of type {kind.__name__}, got {value!r:.60}")
    parameters = list(model.parameters())
    trainable = {p: n for n, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        why = "has no parameters" if not parameters else "is frozen; call model.requires_grad_()"
        raise ValueError(f"{owner}: there is nothing to train, the model {why}")
    held = {p for group in optimizer.param_groups for p in group["params"]}
    missing = [n for p, n in trainable.items() if p not in held]
    if len(missing) == len(trainable):
        raise ValueError(
            f"{owner}: the optimizer holds none of the model's trainable parameters (was the model made "
            "anew?); make it from model.parameters()"
        )
    if missing and held - {*parameters}:
        warnings.warn(
            f"{owner}: the optimizer holds other parameters than the model's and lacks {missing}, which "
            "will not be trained; was a layer replaced after the optimizer was made?",
            stacklevel=3,
        )
    if scheduler is not None and scheduler.optimizer is not optimizer:
        raise ValueError(
            f"{owner}: the scheduler belongs to another optimizer; make it from the one given"
        )
    if ledger is not None and (
        ledger.optimizer is not optimizer or optimizer.observer is not ledger
    ):
        raise ValueError(
            f"{owner}: the ledger does not watch this optimizer (it is another's, or closed); make it "
            "with mr.Ledger(optimizer)"
        )
    if ledger is not None and ledger._names and trainable.keys().isdisjoint(ledger._names):
        raise ValueError(
            f"{owner}: the ledger was made for another model; make it with mr.Ledger(optimizer, model)"
        )


def _check_monitor(
    owner: str, column: str | None, goal: Objective, draws: int, parts: Mapping[str, Part]
) -> None:
    """``ValueError`` if the history of a training on these parts will have no such column.

    (A loss of one's own may have labels, which no one knows before the outputs, and terms.)
    """
    loss, terms = goal.loss, ["data", *goal.terms, *(["dropout"] if draws else [])]
    terms += ["smoothing"] if getattr(loss, "label_smoothing", 0) else []
    kind, _, term = (column or "").partition("/")
    others = isinstance(loss, Loss) and type(loss).__module__ != Loss.__module__
    if column is None or (kind in _OF_TERMS and (term in terms or others)):
        return
    if "validation" in column and "validation" not in parts:
        raise ValueError(f"fit: {owner} on {column!r} needs validation data")
    known = ["epoch", "lr", "seconds", "zeros", "weights", *(f"{part}_loss" for part in parts)]
    known += ["gap"] if "validation" in parts else []
    ours = isinstance(loss, Loss) and not isinstance(loss, OF_LABELS)
    labels = [name for name, part in parts.items() if part.labelled and not ours]
    known += [f"{part}_accuracy" for part in labels]
    known += ["accuracy_gap"] if "validation" in labels else []
    if column not in known:
        raise ValueError(
            f"fit: {owner} on {column!r}, expected one of {known} or, as in 'value/data', one of "
            f"{[*_OF_TERMS]} of {terms}"
        )


def _parts(intake: Intake, train: Data, validation: Data | None, watch: Any) -> dict[str, Part]:
    """What is given, by name, as the model takes it."""
    data = {"train": intake.part("train", train)}
    if validation is not None:
        data["validation"] = intake.part("validation", validation)
    if not isinstance(watch, Mapping | None):
        raise TypeError(f"fit: watch must be a mapping of names to pairs (x, y), got {watch!r:.60}")
    for name, given in (watch or {}).items():
        if not isinstance(name, str) or "/" in name or name in ("train", "validation"):
            raise ValueError(
                "fit: names in watch must be text without '/', other than 'train' and 'validation', got "
                f"{name!r:.60}"
            )
        data[name] = intake.part(f"watch[{name!r}]", given)
    return data


def fit(
    model: Module,
    objective: Objective | AnyLoss,
    optimizer: Optimizer,
    train: Data,
    validation: Data | None = None,
    *,
    epochs: int = 100,
    batch_size: int | None = None,
    seed: int | None = None,
    classes: Sequence[Name] = (),
    early_stopping: EarlyStopping | None = None,
    clip_norm: float | None = None,
    scheduler: LRScheduler | None = None,
    ledger: Ledger | None = None,
    watch: Mapping[str, Data] | None = None,
    dropout_draws: int = 0,
    checkpoint: str | Path | None = None,
    every: float | None = None,
    resume: str | Path | None = None,
    on_step: Callable[[int, Terms, Module], object] | None = None,
    on_epoch: Callable[[dict[str, float], Module], object] | None = None,
    progress: bool | None = None,
    label: str = "training",
) -> History:
    """Train ``model`` on (x, y) or on batches, and return the :class:`History` of every term.

    Parameters
    ----------
    model, objective, optimizer : a loss is an objective without penalties; terms that act via
        their prox are attached to the optimizer here, and replace earlier ones.
    train, validation : a pair (x, y) of inputs (N, …) and targets (N, …), or an iterable of such
        batches that begins anew each time (a list, a ``DataLoader``; no generator, which ends after
        one pass; an epoch takes two of ``train``, the second to evaluate, and one of the others).
        Arrays and what is like them, data frames and PyTorch's tensors too, are moved to the model's
        backend and float dtype; integer labels, and integer inputs of a model with an Embedding, stay
        integers. Rows and columns go by their places: frames whose columns, or x and y whose indices
        have other names are refused. Targets (N,) of a regression also stand for outputs (N, 1). NaN and
        infinity are refused, before the first epoch or at their batch (but in the targets of a loss that
        is not :mod:`minireg.nn`'s, which may want them).
    epochs : ≥ 1.
    batch_size, seed : of a pair: samples a batch, ≥ 1 (None is 32; a single one left over joins the
        batch before it), reshuffled every epoch, and the seed of that (None is 0); weights and dropout
        follow :func:`minireg.manual_seed`. An iterable has batches and an order of its own. Pairs are
        evaluated in pieces of the size of a batch, or larger ones of some megabytes; the figures are
        those of all samples (:func:`evaluate`).
    classes : the names of the labels 0, 1, …, for targets that are words or other numbers; by default
        the sorted labels of the training pair, and (False, True) of bools. A loss of two classes
        that is no cross entropy gets 0.0 and 1.0. ``history.classes`` says which they were. The labels
        that a loss ignores (``ignore_index``) need no name.
    early_stopping : looks at one column after each epoch; puts the best weights back.
    clip_norm : > 0, clip the joint gradient norm to this before each update.
    scheduler : one of ``mr.optim.lr_scheduler``; it steps after each epoch, or after each update
        if its ``interval`` is "step". One with a ``monitor`` sees that column of the history.
    ledger : a :class:`~minireg.Ledger` of the optimizer: every update is split by term, and
        each epoch ends with ``ledger.record(epoch=…)``.
    watch : {name: (x, y) or an iterable}, more data to evaluate after each epoch, which decide nothing;
        each adds the columns ``name_loss`` and, for labels, ``name_accuracy`` to the history.
    dropout_draws : if > 0, each epoch also measures the penalty that the model's dropout implies
        (:func:`minireg.implicit.dropout_effect` with this many masks, or all if they are few), as
        columns of a term "dropout"; it costs a forward and backward pass per mask.
    checkpoint : a file that ends in ``.safetensors`` (with the ``io`` extra) to keep the training in, so
        that :func:`fit` can go on from there: written at the start, after every ``every`` updates, and
        at the end. The one before it is kept beside it, ``a.previous.safetensors`` of
        ``a.safetensors``; one of both can be read whenever the process is killed. A file that is there
        when a training starts from the beginning is replaced, with a warning. Written, too, when a hook
        or Ctrl-C ends the training (see there).
    every : updates between two checkpoints, an integer ≥ 1; or a share in (0, 1): after an epoch, as
        often as writing takes no more than this share of the time. None is once per epoch. Within an
        epoch one can go on only with a pair: with an iterable they are written at the end of the epoch
        (and a warning says so).
    resume : a checkpoint to go on from. The rest is given as it was: model, objective, optimizer,
        scheduler, early stopping, ledger, data, seed and batch size, or else there is a ``ValueError``
        that names what differs (a function, as a loss of one's own or a schedule, is known by its name
        alone); their state comes from the file, and with it rates and momenta.
        The end is then the same, bit for bit, as if nothing had come between, on the same machine
        (``seconds`` apart, and a GPU's own random numbers, which cannot be kept). Of a model and a loss
        the file has parameters, buffers and streams (in lists and dicts, too); what else changes in
        them, such as a number that ``forward`` counts up, is not kept. ``epochs`` is the number in all:
        at least what was done, and more than it was if you like; a training that a hook ended goes on,
        one that stopped early has ended. ``checkpoint`` may be the same file. An iterable's order is not
        kept: the end is the same only if the next pass over it gives what pass 2·k + 1 would have given
        after k epochs. A list does, which is compared as a pair is; a loader that shuffles does not,
        unless you put its generator where it was, so there is a warning unless it is a sequence.
    on_step : ``on_step(step, terms, model)`` is called after each update, the ``step``-th of all, with
        the :class:`~minireg.objective.Terms` it was made of; after the scheduler's step, if it has
        one, and before a checkpoint.
    on_epoch : ``on_epoch(row, model)`` is called when all of an epoch is done, with its row of the
        history: after ledger, scheduler and early stopping, before the checkpoint. A hook that returns
        True ends the training with ``stopped == "hook"``; an epoch under way has no row then. What
        it changes counts from the next update, and a checkpoint keeps it: rates (unless a scheduler sets
        them anew), strengths, weights, a Dropout's p, ``requires_grad``. Of anything else, such as
        an option of the loss, it says what it was: to resume, give it as it was then, not as at the
        start. A training that is resumed calls a hook for what was not yet done.
    progress : show a progress bar (rich); by default if stderr is a terminal and rich is installed.
    label : the text before the bar.

    Ctrl-C ends the training: the history so far is returned with ``stopped == "interrupted"``
    (inside :func:`minireg.sweep`, a claim or a lesson it ends these instead). With a checkpoint of a
    training on a pair an update or a hook under way is done to its end, and the checkpoint is
    written; a second Ctrl-C ends it at once, and then, as with an iterable or in a thread, half an update
    is not written and the file before it stays. A training loss that
    is not finite raises ``FloatingPointError``; for a validation or watched loss there is a
    warning. After an error, too, the best weights are put back, and the exception has the finished
    epochs as its ``history``. Before the first epoch raises ``TypeError`` or ``ValueError`` for
    data that are no numbers or labels or are not finite, for a model, optimizer, scheduler and ledger
    that do not belong together, and for a checkpoint that is damaged or of another training, which
    then has changed nothing.

    To log each epoch elsewhere, see ``docs/recipes.md``; with Weights & Biases it is
    ``on_epoch=lambda row, model: wandb.log(row)``.

    >>> import minireg as mr
    >>> mr.manual_seed(0); model = mr.nn.Linear(2, 1)
    >>> x = np.eye(2); y = x.sum(axis=1, keepdims=True)
    >>> sgd = mr.optim.SGD(model.parameters(), lr=0.3)
    >>> history = mr.fit(model, mr.nn.MSELoss(), sgd, (x, y), epochs=50)
    >>> history["train_loss"][-1] < 1e-3
    True
    """
    check_option("fit", 1, epochs=epochs, batch_size=32 if batch_size is None else batch_size)
    check_option("fit", 0, seed=0 if seed is None else seed, dropout_draws=dropout_draws)
    if clip_norm is not None:
        check_option("fit", "(0, inf]", clip_norm=clip_norm)
    if checkpoint is not None:
        check_path("fit: checkpoint", checkpoint)
    if every is not None:
        check_option("fit", "(0, 1)" if isinstance(every, float) else 1, every=every)
        if checkpoint is None:
            raise ValueError("fit: every= is between two checkpoints; say where, checkpoint=PATH")
    for name, hook in (("on_step", on_step), ("on_epoch", on_epoch)):
        if hook is not None and not callable(hook):
            raise TypeError(f"fit: {name} must be a function, got {hook!r:.60}")
    if checkpoint is not None and resume is None and Path(checkpoint).is_file():
        warnings.warn(
            f"fit: checkpoint: {str(checkpoint)!r} holds an earlier training, which this one replaces; to "
            "go on with it pass resume=, to keep it another name",
            stacklevel=2,
        )
    goal = objective if isinstance(objective, Objective) else Objective(objective)
    goal.bind(model)
    _check("fit", model, optimizer, scheduler, ledger, early_stopping)
    intake = Intake("fit", model, goal.loss, as_classes("fit", classes))
    data = _parts(intake, train, validation, watch)
    if early_stopping is not None:
        _check_monitor("early stopping", early_stopping.monitor, goal, dropout_draws, data)
    if scheduler is not None:
        either = {"validation": data["train"], **data}
        _check_monitor("the scheduler", scheduler.monitor, goal, dropout_draws, either)
    fed = seen = data["train"]
    whole = isinstance(fed, Pair)
    if whole:
        batch_size, seed = batch_size or 32, seed or 0
    else:
        if batch_size is not None or seed is not None:
            raise ValueError(
                "fit: batch_size= and seed= are of a pair (x, y); train is an iterable, which has "
                "batches and an order of its own: leave them out"
            )
        if every is not None and every >= 1:
            warnings.warn(
                "fit: a training on an iterable goes on from the end of an epoch only: checkpoints are "
                f"written there, after the epochs in which {every} more updates are full",
                stacklevel=2,
            )

    def ends(hook: Callable[..., object] | None, *given: object) -> bool:
        """Call a hook, and look at what it has frozen or thawed; True ends the training, nothing else."""
        answer = hook and hook(*given)
        if hook:
            goal.bind(model).attach(optimizer)
        return isinstance(answer, bool | np.bool_) and bool(answer)

    history, shuffle = History(), Stream("shuffle", seed or 0)
    updates, parts = fed.updates(batch_size or 1), (scheduler, early_stopping, ledger)
    at = Progress(model, goal, optimizer, *parts, history, shuffle, updates, intake.classes)
    if checkpoint is not None or resume is not None:
        described = {name: part.description() for name, part in data.items()}
        options = {"clip_norm": clip_norm, "dropout_draws": dropout_draws}
        sizes = {"batch_size": batch_size, "seed": seed, "classes": intake.classes}
        at.describe(described, **sizes, **options)
    if resume is not None:
        at.resume(resume, epochs)
        if not whole and not isinstance(train, Sequence):
            passes = (
                f"{2 * len(history)} passes, to train and to evaluate, in {len(history)} epochs"
            )
            warnings.warn(
                f"fit: resume: train is an iterable, of which there were {passes}: the end is the same only "
                "if it goes on from there, which one that shuffles does not by itself",
                stacklevel=2,
            )
    elif early_stopping is not None:
        early_stopping.reset()
    goal.bind(model).attach(optimizer)  # once more: a checkpoint may have thawed a layer
    history.classes = at.classes
    if checkpoint is not None and resume is None:
        at.save(checkpoint)  # better to fail now than after an epoch
    try:
        with (
            _interruptible(at, checkpoint, bool(checkpoint) and whole),
            _bar(progress, label, epochs) as advance,
        ):
            for row in history.rows:
                advance(row)
            for epoch in range(len(history) + 1, epochs + 1):
                if history.stopped != "epochs":  # before it was resumed
                    break
                start, at.order = time.perf_counter() - at.seconds, shuffle.state
                before, size = at.steps, batch_size or 1
                for x, y in fed.epoch(batch_size or 1, shuffle, at.done):
                    seen, size = fed if whole else Pair(x, y), batch_size or max(size, len(x))
                    at.whole = False
                    terms, columns = _update(
                        model, goal, optimizer, x, y, clip_norm, at.done == 0, ledger is not None,
                        dropout_draws, on_step is not None,
                    )  # fmt: skip
                    at.statistics |= columns
                    goal.step(optimizer)
                    at.statistics["lr"] = float(optimizer.param_groups[0]["lr"])
                    if scheduler is not None and scheduler.interval == "step":
                        scheduler.step()
                    at.done, at.steps = at.done + 1, at.steps + 1
                    at.seconds = time.perf_counter() - start
                    ended = ends(on_step, at.steps, terms, model)
                    del terms  # and the gradient of each
                    at.whole = whole
                    if ended:
                        history.stopped = "hook"
                        if checkpoint and whole:
                            at.save(checkpoint)
                        break
                    if at.asked:
                        raise KeyboardInterrupt
                    if checkpoint and every and at.done < updates and at.due(every):
                        at.save(checkpoint)
                if history.stopped != "epochs":
                    break
                row = {
                    "epoch": epoch,
                    "lr": at.statistics["lr"],
                    **_figures(model, goal.loss, data, size, at.statistics),
                }
                _check_losses(row, history, seen)
                row["seconds"] = time.perf_counter() - start
                at.whole = False
                history.add(row)
                history.classes = at.classes = intake.classes
                at.done, at.seconds, at.statistics = 0, 0.0, {}
                if ledger is not None:
                    ledger.record(epoch=epoch)
                advance(row)
                if scheduler is not None and scheduler.interval == "epoch":
                    scheduler.step(*_monitored(scheduler, history))
                if early_stopping and early_stopping.update(
                    history[early_stopping.monitor][-1], model
                ):
                    history.stopped = "early stopping"
                ended = ends(on_epoch, {**row}, model)
                if ended and history.stopped == "epochs":
                    history.stopped = "hook"
                at.order, at.whole = shuffle.state, True
                due = every is None or at.due(every)
                if every and every >= 1 and not whole:
                    due = at.steps // every > before // every
                if checkpoint and (due or epoch == epochs or history.stopped != "epochs"):
                    at.save(checkpoint)
                if at.asked:
                    raise KeyboardInterrupt
    except Exception as error:
        history.stopped = "error"
        error.history = history  # type: ignore[attr-defined]
        about = f"fit: in epoch {len(history) + 1}"
        if isinstance(seen, Pair):
            x, y = seen.x, seen.y
            about += f", trained on x {x.shape} {x.dtype}, y {y.shape} {y.dtype}"
            about += "; a Linear takes rows, put nn.Flatten() before it" if x.ndim > 2 else ""
        error.add_note(about)
        raise
    finally:
        if early_stopping is not None and early_stopping.restore_best and early_stopping.best_look:
            early_stopping.restore(model)
            history.best_epoch = early_stopping.best_look
    return history


def trajectory(
    model: Module,
    objective: Objective | AnyLoss,
    optimizer: Optimizer,
    x: ArrayLike,
    y: ArrayLike,
    steps: int,
    *,
    clip_norm: float | None = None,
    scheduler: LRScheduler | None = None,
) -> Array:
    """Where full-batch training leads, step by step: an array (steps + 1, size), row 0 the start.

    A row holds all parameters that are not frozen, each flattened, in the order of
    ``model.parameters()``: a vector as :mod:`minireg.curvature` takes it, on the model's backend and in
    the widest of their dtypes.

    Parameters
    ----------
    model, objective, optimizer, clip_norm : as for :func:`fit`. The model is trained in place, from
        where it is; a :class:`~minireg.Ledger` of the optimizer books every step.
    x, y : all inputs (N, …) and targets (N, …), which every step sees.
    steps : number of updates, ≥ 0.
    scheduler : steps after each update; one with a ``monitor`` (ReduceLROnPlateau) is refused.

    What diverges is returned, inf and NaN too. Of an accelerated ProximalGradient the rows are the
    extrapolated points, which its parameters hold between steps. ``TypeError`` and ``ValueError`` as
    :func:`fit`.

    >>> import minireg as mr
    >>> model = mr.nn.Linear(1, 1, bias=False); _ = model.weight.assign(0.0)
    >>> sgd = mr.optim.SGD(model.parameters(), lr=0.25)
    >>> mr.trajectory(model, mr.nn.MSELoss(), sgd, [[1.0]], [[8.0]], steps=3)[:, 0]
    array([0., 4., 6., 7.], dtype=float32)
    """
    check_option("trajectory", 0, steps=steps)
    if clip_norm is not None:
        check_option("trajectory", "(0, inf]", clip_norm=clip_norm)
    goal = objective if isinstance(objective, Objective) else Objective(objective)
    goal.bind(model)
    ledger = getattr(optimizer, "observer", None)
    _check("trajectory", model, optimizer, scheduler, ledger)
    if scheduler is not None and scheduler.monitor:
        raise ValueError(
            f"trajectory: the scheduler watches {scheduler.monitor!r}, which is not computed here; "
            "take a schedule that is a formula, or fit"
        )
    data = Intake("trajectory", model, goal.loss).arrays("data", x, y, whole=True)
    space = Space(model)
    goal.attach(optimizer)
    rows = [space.join([p.data for p in space.params])]
    for _ in range(steps):
        _update(model, goal, optimizer, *data, clip_norm, False, ledger is not None)
        goal.step(optimizer)
        if scheduler is not None:
            scheduler.step()
        rows.append(space.join([p.data for p in space.params]))
    return np.stack(rows)


def _check_losses(row: Mapping[str, float], history: History, seen: Part) -> None:
    """``FloatingPointError`` for a training loss that is not finite, a warning for others."""
    epoch = int(row["epoch"])
    if not math.isfinite(row["train_loss"]):
        advice = (
            "lower the learning rate or the strengths of penalties and weight decay, or find the first "
            "bad op with mr.detect_anomaly()"
        )
        if isinstance(seen, Pair) and not np.isfinite(seen.y).all():
            advice = "the targets of the training data hold NaN or infinity"
        raise FloatingPointError(
            f"fit: the training loss is {row['train_loss']} after epoch {epoch}; {advice}"
        )
    for column in (c for c in row if c.endswith("_loss")):
        value, first = row[column], not history.rows or math.isfinite(history.rows[-1][column])
        if not math.isfinite(value) and first:
            warnings.warn(
                f"fit: {column} is {value} after epoch {epoch}, though the training loss is finite; "
                "look at that part's data",
                stacklevel=3,
            )


def _update(
    model: Module, objective: Objective, optimizer: Optimizer, x: Array, y: Array,
    clip_norm: float | None, measure: bool, book: bool, draws: int = 0, read: bool = False,
) -> tuple[Terms, dict[str, float]]:  # fmt: skip
    """One step: forward, backward, clip, update; ``measure`` gives the columns of the terms.

    With ``read``, the values of the penalties are those before the step.
    """
    model.train()
    optimizer.zero_grad()
    terms = objective(model, Tensor(x), y)
    terms.backward(attribute=measure or book, defer=not (measure or book))
    implied = {}
    if measure and draws:
        bare = Objective(objective.loss)
        closure = lambda: bare(model, Tensor(x), y).total
        implied["dropout"] = dropout_effect(closure, model, draws)
    statistics = terms.statistics(implied) if measure else []
    if read:
        dict(terms)
    optimizer.step(terms, max_norm=clip_norm)
    return terms, {f"{c}/{s['term']}": s[c] for s in statistics for c in _OF_TERMS}


def _monitored(scheduler: LRScheduler, history: History) -> list[float]:
    """The arguments of the scheduler's step: none, or its monitored figure of the last epoch."""
    column = scheduler.monitor
    if column == "validation_loss" and column not in history.rows[-1]:
        column = "train_loss"
    return [] if column is None else [history[column][-1]]


def _figures(
    model: Module, loss: AnyLoss, data: Mapping[str, Part], size: int,
    statistics: dict[str, float],
) -> dict[str, float]:  # fmt: skip
    """The row of an epoch: losses and accuracies, gaps, zeros, and every term."""
    row = {
        f"{part}_{name}": value
        for part, given in data.items()
        for name, value in figures(model, loss, given.pieces(model, size)).items()
    }
    return row | _gaps(row) | _zeros(model) | statistics


def _zeros(model: Module) -> dict[str, float]:
    weights = [p for p in model.parameters() if p.kind == "weight"]
    zeros = sum(int((p.data == 0).sum()) for p in weights)
    return {"zeros": zeros, "weights": sum(p.size for p in weights)}


def _gaps(row: dict[str, float]) -> dict[str, float]:
    gaps = {}
    if "validation_loss" in row:
        gaps["gap"] = row["validation_loss"] - row["train_loss"]
    if "validation_accuracy" in row:
        gaps["accuracy_gap"] = row["train_accuracy"] - row["validation_accuracy"]
    return gaps


@contextmanager
def _rich_bar(label: str, epochs: int) -> Iterator[Callable[[dict[str, float]], None]]:
    bars = _rich("progress")
    columns = (
        "{task.description:<12}", bars.BarColumn(), bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(), "{task.fields[figures]}",
    )  # fmt: skip
    names = {"train": "train_loss", "val": "validation_loss", "val acc": "validation_accuracy"}
    with bars.Progress(*columns, console=_rich("console").Console(stderr=True)) as bar:
        task = bar.add_task(label, total=epochs, figures="")

        def advance(row: dict[str, float]) -> None:
            figures = "  ".join(f"{n} {row[k]:.3f}" for n, k in names.items() if k in row)
            bar.update(task, advance=1, figures=figures)

        yield advance


def _bar(progress: bool | None, label: str, epochs: int) -> Any:
    """A context that yields a function to call after each epoch."""
    if progress is None:
        with suppress(ImportError):
            progress = _rich("console").Console(stderr=True).is_terminal
    return _rich_bar(label, epochs) if progress else nullcontext(lambda row: None)


def _rich(part: str) -> Any:
    return needed("fit: progress=True needs rich", f"rich.{part}", "'minireg[cli]'")
