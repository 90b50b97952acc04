"""Early stopping with the best weights kept."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from typing import Any

from ..messages import check_kind, check_mapping, check_option
from ..nn.module import Module


class EarlyStopping:
    """Stop when a monitored figure has not improved for ``patience`` evaluations.

    It keeps a copy of the best weights, and :meth:`restore` puts them back. For a quadratic loss the
    number of steps acts like 1/(ηλ) of a ridge penalty, mode by mode (claim C107; Prechelt 1998).

    Parameters
    ----------
    patience : evaluations in a row without improvement before it stops, ≥ 1.
    min_delta : an improvement by this or less does not count, ≥ 0.
    monitor : the column of :class:`minireg.History` to look at; one that ends in "accuracy" should
        grow, any other fall.
    restore_best : put the best weights back at the end of :func:`minireg.fit`.

    Raises ``ValueError`` for an option out of range, ``TypeError`` for a monitor that is no text.

    >>> import minireg as mr
    >>> stop = mr.optim.EarlyStopping(patience=2)
    >>> [stop.update(v) for v in (1.0, 0.5, 0.6, 0.7)]
    [False, False, False, True]
    """

    def __init__(
        self,
        patience: int = 10,
        min_delta: float = 0.0,
        monitor: str = "validation_loss",
        restore_best: bool = True,
    ) -> None:
        check_option("EarlyStopping", 1, patience=patience)
        check_option("EarlyStopping", "[0, inf)", min_delta=min_delta)
        check_kind("EarlyStopping", str, "name a column of the history", monitor=monitor)
        self.patience, self.min_delta = patience, min_delta
        self.monitor, self.restore_best = monitor, restore_best
        self.sign = -1.0 if monitor.endswith("accuracy") else 1.0
        self.reset()

    def __repr__(self) -> str:
        names = "patience", "min_delta", "monitor", "restore_best"
        options = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        best = f", best {self.sign * self.best:.4g} at look {at}" if (at := self.best_look) else ""
        return f"EarlyStopping({options}) after {self.looks} looks{best}"

    def reset(self) -> None:
        """Forget all figures and weights; :func:`minireg.fit` calls it when it begins."""
        self.best = math.inf
        self.best_look = self.looks = 0
        self._weights: dict[str, Any] | None = None
        self._warned = False  # of a NaN

    def update(self, value: float, model: Module | None = None) -> bool:
        """Take the next figure; returns whether to stop.

        If it is the best so far, a copy of ``model``'s weights is kept. Warns once of a NaN, which counts
        as no improvement.
        """
        value = float(value)
        self.looks += 1
        if math.isnan(value) and not self._warned:
            self._warned = True
            warnings.warn(
                f"EarlyStopping: {self.monitor} is nan at look {self.looks}, which counts as no "
                "improvement, as will every further one",
                stacklevel=2,
            )
        if self.sign * value < self.best - self.min_delta:
            self.best, self.best_look = self.sign * value, self.looks
            self._weights = None if model is None else model.state_dict()
        return self.looks - self.best_look >= self.patience

    def restore(self, model: Module) -> None:
        """Put the best weights back into ``model``; ``RuntimeError`` if none were kept."""
        if self._weights is None:
            raise RuntimeError(
                "EarlyStopping.restore: no weights were kept; pass the model, update(value, model)"
            )
        model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """What it has seen: figures and the best weights, as copies; its options are not in it.

        >>> import minireg as mr
        >>> stop = mr.optim.EarlyStopping(patience=2); stop.update(0.5)
        False
        >>> stop.state_dict()["best"]
        0.5
        """
        seen = {"best": self.best, "best_look": self.best_look, "looks": self.looks}
        return copy.deepcopy({**seen, "_weights": self._weights, "_warned": self._warned})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        ``TypeError`` or ``ValueError`` for anything else, before anything changes.
        """
        owner = "EarlyStopping.load_state_dict"
        check_mapping(owner, "state", state, "early_stopping.state_dict()")
        if state.keys() != (mine := self.state_dict()).keys():
            raise ValueError(f"{owner}: expected {[*mine]}, got {[*state]}")
        check_option(owner, "[-inf, inf]", best=state["best"])
        check_option(owner, 0, looks=state["looks"])
        check_option(owner, range(state["looks"] + 1), best_look=state["best_look"])
        if not isinstance(state["_weights"], dict | None) or not isinstance(state["_warned"], bool):
            raise ValueError(f"{owner}: no copy of weights: {state['_weights']!r:.60}")
        vars(self).update(copy.deepcopy(dict(state)))
