"""Progress: all that a training is made of on its way, which a checkpoint keeps and gives back.

What is in the file (:func:`minireg.checkpoint.read_tree`): ``model`` and ``loss`` (parameters and
buffers), ``optimizer``, ``scheduler`` (and others that it has), ``early_stopping``, ``ledger``,
``history``, ``classes``, ``strengths`` (those that are numbers, and the updates of each Coefficient),
``vectors`` (that each SpectralNorm follows, of each parameter), ``layers`` (which parameters are trained,
and each Dropout's p), ``format``, ``streams`` (of the model, a loss and the optimizer), ``shuffle``,
``seeds`` (of new streams), ``epoch`` (where in it), and ``configuration``: what must be the same for the
numbers to be. Of what a hook may change it says how what the file keeps was at the start, and the rest how
it is now.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from inspect import getattr_static, signature
from itertools import zip_longest
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from .backend import is_array, move, of, raw
from .checkpoint import check_format, checksum, read_tree, write_tree
from .inspect.history import History, Name, as_classes, rows_of
from .inspect.ledger import Ledger
from .messages import check_option
from .nn import Dropout, Module
from .nn.losses import Loss
from .objective import Objective, coefficients
from .optim import EarlyStopping, Optimizer
from .optim.lr_scheduler import LRScheduler
from .penalties import SpectralNorm
from .penalties.base import Coefficient, Penalty, Strength
from .random import Stream, load_seeds, seeds_state
from .tensor import Tensor

FORMAT = 1  # of a checkpoint
_STOPPED = "epochs", "early stopping", "hook", "interrupted"


@dataclass
class Progress:
    """The parts of a training, and how far it is.

    Attributes
    ----------
    done, steps : updates of the epoch under way, and of all.
    order : the state of ``shuffle`` before it drew the order of that epoch.
    statistics, seconds : of that epoch so far: columns of its row, and time.
    saved, cost : when it was last saved, and the seconds that took.
    whole : whether one can go on from here: no update and no hook is under way.
    asked : whether Ctrl-C waits for that.
    """

    model: Module
    objective: Objective
    optimizer: Optimizer
    scheduler: LRScheduler | None
    early_stopping: EarlyStopping | None
    ledger: Ledger | None
    history: History
    shuffle: Stream
    updates: int  # of an epoch, within which one can go on
    classes: tuple[Name, ...] = ()
    configuration: dict[str, Any] = field(default_factory=dict)
    done: int = 0
    steps: int = 0
    seconds: float = 0.0
    statistics: dict[str, float] = field(default_factory=dict)
    order: dict[str, Any] = field(default_factory=dict)
    saved: float = 0.0
    cost: float = 0.0
    whole: bool = True
    asked: bool = False

    def __post_init__(self) -> None:
        self.order = self.shuffle.state

    # --- to and from a file ------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write a checkpoint; the one at ``path`` becomes the previous one. Errors as :func:`write_tree`."""
        start = time.perf_counter()
        write_tree("fit: checkpoint", path, self.state())
        self.saved = time.perf_counter()
        self.cost = self.saved - start

    def due(self, every: float) -> bool:
        """Whether it is time to save: every so many updates or, below 1, when an epoch has ended and
        saving as it last did takes no more than this share of the time.
        """
        if every >= 1:
            return self.steps % every == 0
        return self.done == 0 and self.cost <= every * (time.perf_counter() - self.saved)

    def resume(self, path: str | Path, epochs: int) -> None:
        """Go on where a checkpoint was written: all of it is checked on a copy first.

        ``FileNotFoundError`` if there is no file; ``ValueError`` that says what is wrong, before anything
        changes, for one that is damaged, of another training, or further than ``epochs``.
        """
        tree = read_tree("fit: resume", path)
        try:
            check_format(tree.get("format"), FORMAT)
            self._compare(tree["configuration"])
            done = len(next(iter(tree["history"].values()), ()))
            if done + (tree["epoch"]["done"] > 0) > epochs:
                part = " and part of the next" if tree["epoch"]["done"] else ""
                raise ValueError(f"it has done {done} epochs{part}, epochs={epochs} is all of them")
            # together, as schedules and their optimizer lead to each other
            copied, _ = copy.deepcopy((self, self.optimizer.schedules))
            copied.load(tree)
        except Exception as error:  # whatever a forged tree leads to
            reason = str(error) if isinstance(error, ValueError) else repr(error)
            raise ValueError(
                f"fit: resume: {str(path)!r} is no checkpoint of this training: {reason}"
            ) from error
        self.load(tree)

    def state(self) -> dict[str, Any]:
        """All of it as a tree. ``NotImplementedError`` where a stream has drawn on a GPU."""
        for name, stream in self._streams().items():
            if stream._rng.keys() - {"numpy"}:
                raise NotImplementedError(
                    f"fit: checkpoint: the stream {name!r} has drawn on a GPU, which does not show its "
                    "state; train without checkpoint="
                )
        return {
            "format": FORMAT,
            "configuration": self._present() | self.configuration,
            "model": self.model.state_dict(),
            **{n: None if p is None else p.state_dict() for n, p in self._parts().items()},
            "strengths": {
                "numbers": [getattr(penalty, name) for penalty, name in self._strengths()],
                "updates": [c.updates for c in coefficients(self._penalties())],
            },
            "vectors": [
                [norm.vectors.get(id(p), ())[1:] for p in self.model.parameters()]
                for norm in self._norms()
            ],
            "layers": {
                "trained": [p.requires_grad for p in self.model.parameters()],
                "dropout": [m.p for m in self._dropouts().values()],
            },
            "classes": [*self.classes],
            "history": self.history.to_dict()["columns"],
            "epoch": {
                "done": self.done, "steps": self.steps, "seconds": self.seconds,
                "stopped": self.history.stopped, "statistics": self.statistics,
            },
            "streams": {name: stream.state for name, stream in self._streams().items()},
            "shuffle": self.order,
            "seeds": seeds_state(),
        }  # fmt: skip

    def load(self, tree: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` gave; an error may come when some of it has changed."""
        epoch, mine = tree["epoch"], self._streams()
        check_option("epoch", range(self.updates + 1), done=epoch["done"])
        check_option("epoch", 0, steps=epoch["steps"])
        check_option("epoch", "[0, inf)", seconds=epoch["seconds"])
        check_option("epoch", _STOPPED, stopped=epoch["stopped"])
        rows_of({column: [value] for column, value in epoch["statistics"].items()})
        if tree["streams"].keys() != mine.keys():
            raise ValueError(f"streams of random numbers: {[*tree['streams']]}, not {[*mine]}")
        strengths = tree["strengths"]
        for (penalty, name), number in zip(self._strengths(), strengths["numbers"], strict=True):
            check_option(type(penalty).__name__, "[0, inf)", **{name: number})
            setattr(penalty, name, number)
        changing = coefficients(self._penalties())
        for coefficient, updates in zip(changing, strengths["updates"], strict=True):
            check_option("Coefficient", 0, updates=updates)
            coefficient.updates = updates
        for norm, kept in zip(self._norms(), tree["vectors"], strict=True):
            for p, vectors in zip(self.model.parameters(), kept, strict=True):
                if vectors:
                    norm.keep(p, *(move(a, p.backend) for a in vectors))
        layers = tree["layers"]
        for layer, p in zip(self._dropouts().values(), layers["dropout"], strict=True):
            check_option("Dropout", "[0, 1]", p=p)
            layer.p = p
        for parameter, trained in zip(self.model.parameters(), layers["trained"], strict=True):
            check_option("parameter", (False, True), requires_grad=trained)
            parameter.requires_grad_(trained)
        self.classes = as_classes("fit", tree["classes"])
        for name, part in self._parts().items():
            if part is not None:
                part.load_state_dict(tree[name])
        if self.early_stopping is not None and self.early_stopping.best_look:
            self.early_stopping.restore(self.model)  # do they fit? the next line takes them out
        self.model.load_state_dict(tree["model"])
        for name, stream in mine.items():
            stream.state = tree["streams"][name]
        self.shuffle.state = self.order = tree["shuffle"]
        self.history.rows[:] = rows_of(tree["history"])
        if epoch["stopped"] == "early stopping":  # else it goes on: a hook decides anew
            self.history.stopped = epoch["stopped"]
        self.done, self.steps, self.seconds = epoch["done"], epoch["steps"], epoch["seconds"]
        self.statistics = epoch["statistics"]
        load_seeds(tree["seeds"])

    # --- the parts ---------------------------------------------------------------------------------

    def _parts(self) -> dict[str, Any]:
        """What has a ``state_dict``; the ledger after the optimizer, whose state restarts it."""
        names = "optimizer", "scheduler", "early_stopping", "ledger"
        others = {f"schedule {i}": s for i, s in enumerate(self._schedules()[1:])}
        loss = self.objective.loss if _keeps_state(self.objective.loss) else None
        return {name: getattr(self, name) for name in names} | others | {"loss": loss}

    def _schedules(self) -> list[LRScheduler | None]:
        """The scheduler, and what else sets the rate by its formula, as one that a hook steps."""
        return [self.scheduler, *(s for s in self.optimizer.schedules if s is not self.scheduler)]

    def _dropouts(self) -> dict[str, Dropout]:
        return {n: m for n, m in self.model.named_modules() if isinstance(m, Dropout)}

    def _penalties(self) -> list[Penalty]:
        return self.objective.penalties(self.optimizer)

    def _norms(self) -> list[SpectralNorm]:
        return [penalty for penalty in self._penalties() if isinstance(penalty, SpectralNorm)]

    def _strengths(self) -> list[tuple[Penalty, str]]:
        """Every strength that is a number: whose it is, and its name."""
        return [
            (penalty, name)
            for penalty in self._penalties()
            for name, value in vars(penalty).items()
            if isinstance(getattr_static(type(penalty), name, None), Strength)
            and not isinstance(value, Coefficient)
        ]

    def _streams(self) -> dict[str, Stream]:
        """Every stream of the model, a loss and the optimizer, each once."""
        places: list[tuple[str, Any]] = [*self.model.named_modules(), ("optimizer", self.optimizer)]
        if isinstance(self.objective.loss, Module):
            places += self.objective.loss.named_modules("loss")
        found: dict[Stream, str] = {}
        for path, place in places:
            for keys, stream in _within(vars(place)):
                found.setdefault(stream, ".".join([path, *map(str, keys)]).removeprefix("."))
        return {name: stream for stream, name in found.items()}

    # --- what must be the same -----------------------------------------------------------------

    def describe(self, data: Mapping[str, Mapping[str, str]], **options: Any) -> None:
        """Note what holds at the start in words: what the file keeps, the options, the data."""
        named = self.model.named_parameters()
        parameters = [f"{n}: {p.dtype} on {p.backend}" for n, p in named if p.requires_grad]
        strengths = [f"{type(p).__name__}.{n} = {getattr(p, n)}" for p, n in self._strengths()]
        self.configuration = {
            "the trained parameters": "\n".join(parameters),
            "the dropout": "\n".join(f"{n}: p={m.p}" for n, m in self._dropouts().items()),
            "where they act": "\n".join(map(str, self.objective.assignments())),
            "the strengths": "\n".join(strengths),
            **{name: repr(value) for name, value in options.items()},
        } | {
            f"{which} of {part}": text for part, texts in data.items() for which, text in texts.items()
        }  # fmt: skip

    def _present(self) -> dict[str, str]:
        """What no other part of the file keeps, in words, as it is now."""
        stop, optimizer, terms = self.early_stopping, self.optimizer, self.objective.terms
        own: list[Any] = optimizer.penalties()
        layers = [
            f"{n} {type(m).__name__}({'' if isinstance(m, Dropout) else m.extra_repr()})"
            for n, m in self.model.named_modules()
        ]
        return {
            "the model": "\n".join(layers),
            "the loss": _held(self.objective.loss),
            "the penalties": "\n".join(f"{n}: {_held(t.penalty)} via {t.via}" for n, t in terms.items()),
            "the optimizer": f"{type(optimizer).__name__} {', '.join(map(_held, own or [None]))}",
            "the scheduler": ", ".join(type(s).__name__ for s in self._schedules()),
            "early stopping": repr(stop and (stop.patience, stop.min_delta, stop.monitor)),
            "the ledger": repr(self.ledger and f"accumulate={self.ledger.accumulate}"),
        }  # fmt: skip

    def _compare(self, saved: Mapping[str, str]) -> None:
        """``ValueError`` that names the first thing that is not as it was."""
        mine = self._present() | self.configuration
        for name in dict.fromkeys(["the model", *self.configuration, *mine, *saved]):
            there, here = saved.get(name, "nothing"), mine.get(name, "nothing")
            for one, other in zip_longest(there.split("\n"), here.split("\n"), fillvalue="nothing"):
                if one != other:
                    raise ValueError(f"{name}: {one:.160} there, {other:.160} here")


def _within(value: Any) -> Iterator[tuple[tuple[Any, ...], Stream]]:
    """The streams in dicts and lists, each with the keys that lead to it."""
    if isinstance(value, Stream):
        yield (), value
    elif isinstance(value, dict | list | tuple):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from (((key, *keys), stream) for keys, stream in _within(inner))


# --- in words ------------------------------------------------------------------------------------


def _keeps_state(loss: Any) -> bool:
    """Whether a loss may have parameters and buffers: one of :mod:`minireg.nn` has options alone."""
    return isinstance(loss, Module) and not isinstance(loss, Loss)


def _held(value: Any) -> str:
    """A loss or a penalty in words that are the same for equals: its class, and what it was made with.

    Of a penalty without its strengths; of a class that does not keep its arguments, all it has.
    """
    if isinstance(value, FunctionType | BuiltinFunctionType | partial | None):
        return _words(value)
    if isinstance(value, MethodType):
        return f"{_held(value.__self__)}.{value.__name__}"
    held = getattr(value, "__dict__", {})
    if isinstance(value, Penalty):
        with suppress(AttributeError):  # an argument that is not kept
            arguments = value.get_params(deep=False)
            held = arguments if arguments or not signature(type(value)).parameters else held
    texts = [
        f"{name}={_words(v)}"
        for name, v in held.items()
        if name != "training" and not isinstance(v, Stream)
        if not (isinstance(v, Tensor) and _keeps_state(value))
        if isinstance(v, Coefficient) or not isinstance(getattr_static(value, name), Strength)
    ]
    return f"{type(value).__qualname__}({', '.join(texts)})"


def _words(value: Any) -> str:
    """A value in words that are the same for equals: arrays by checksum, functions by their names.

    Of a function of this package also what it encloses, as the rule of a composed penalty.
    """
    array = raw(value)
    if is_array(array):
        return f"{array.shape} {array.dtype} {checksum(of(array).to_numpy(array)):.16}"
    if isinstance(value, str | int | float | None):
        return repr(value)
    if isinstance(value, Mapping):
        return _words([*value.items()])
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_words, value))}]"
    if isinstance(value, Penalty):
        return _held(value)
    if isinstance(value, Coefficient):
        return f"Coefficient({_words(value.schedule)})"
    if isinstance(value, partial):
        return _words([value.func, value.args, value.keywords])
    if isinstance(value, Module):
        return repr(value)
    name = getattr(value, "__qualname__", type(value).__qualname__)
    ours = isinstance(value, FunctionType) and value.__module__.startswith(f"{__package__}.")
    if ours and value.__closure__:
        name += _words([cell.cell_contents for cell in value.__closure__])
    return str(name)
