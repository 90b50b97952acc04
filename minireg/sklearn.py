"""Estimators for scikit-learn: networks by :func:`minireg.fit`, linear models down to a certificate.

They pass scikit-learn's own ``check_estimator`` and go into its pipelines and searches. The strength
of a penalty is a parameter like any other, ``penalty__strength`` or ``penalties__NAME__strength``.
Imported by name, ``import minireg.sklearn``; ``ImportError`` without scikit-learn ≥ 1.6.
"""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false
# (it guesses types from scikit-learn's source, which has none; mypy does not)

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from . import nn, optim
from .analysis.solver import COARSE, Composite
from .backend import Array, move
from .engine import grad
from .inspect.ledger import Ledger
from .messages import check_kind, check_option, check_shape
from .mode import no_grad
from .nn.functional import cross_entropy, log_softmax, softmax, softplus
from .objective import AnyLoss, Objective, Specification
from .penalties import L2, Penalty, scaled
from .random import Stream
from .tensor import Tensor
from .training import fit, passing_interrupts

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_array, check_random_state, compute_class_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    needs = "minireg.sklearn needs scikit-learn ≥ 1.6: pip install 'minireg[sklearn]'"
    raise ImportError(needs) from error

__all__ = ["MLPClassifier", "MLPRegressor", "PenalizedClassifier", "PenalizedRegression"]

ACTIVATIONS: dict[str, Any] = {
    "identity": nn.Identity, "logistic": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU,
    "gelu": nn.GELU, "silu": nn.SiLU,
}  # fmt: skip
NORMS: dict[str, Any] = {"batch": nn.BatchNorm, "layer": nn.LayerNorm, "rms": nn.RMSNorm}
TINY = 1e-145  # of a target: what tol leaves of it would be 0 when squared
APART = 8  # columns so many times as large as others are brought to one size
OPTIMIZERS: dict[str, Any] = {
    "sgd": optim.SGD, "adam": optim.Adam, "adamw": optim.AdamW, "rmsprop": optim.RMSprop
}  # fmt: skip


# --- what estimators share ---------------------------------------------------


class _Estimator(BaseEstimator):
    """Parameters that are all set, or none."""

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, those of penalties too; ``ValueError`` for an unknown one, and then
        nothing has changed.
        """
        if params:
            clone(self)._set(**params)  # (what is wrong is raised here)
        return self._set(**params)

    def _set(self, **params: Any) -> Self:
        return super().set_params(**params)


class _Classifier(ClassifierMixin):
    """Classes from ``_columns``: a logit for each class, or one alone for the second of two."""

    _columns: Callable[[ArrayLike], Array]
    class_weight: Any = None

    def _class_weights(self, codes: Array, weight: Any = None) -> Any:
        """The weight of each class, None for 1; "balanced" counts rows by their ``weight``."""
        if self.class_weight is None:
            return None
        found = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)
        if isinstance(self.class_weight, str):
            counts = np.bincount(codes, weight, len(found))
            found = counts.sum() / (len(found) * np.where(counts > 0, counts, 1))
        if not ((found >= 0) & (found < np.inf)).all():
            raise ValueError(f"fit: class_weight must be ≥ 0, got {self.class_weight!r:.60}")
        return found

    def _codes(self, y: Array) -> Array:
        """The number of each row's class; keeps ``classes_``."""
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"fit: y has 1 class, {self.classes_}, expected at least 2 classes")
        return codes

    def _logits(self, X: ArrayLike) -> Array:
        found = self._columns(X)
        return np.pad(found, ((0, 0), (1, 0))) if found.shape[1] == 1 else found

    def predict(self, X: ArrayLike) -> Array:
        """The most probable class of each row of X (n, features): (n,), as in ``classes_``."""
        best = self._logits(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: ArrayLike) -> Array:
        """The probability of each class, (n, classes), in the order of ``classes_``."""
        return softmax(self._logits(X))

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Its logarithm, which stays finite where the probability is 0 to rounding, but not where it is 0."""
        return log_softmax(self._logits(X))


class _Regressor(RegressorMixin):
    """Targets (n,) or (n, outputs) from ``_columns``."""

    _columns: Callable[[ArrayLike], Array]

    def _data(self, X: ArrayLike, y: ArrayLike, dtype: Any) -> tuple[Array, Array]:
        """X, and y in columns; keeps the shape that predictions have."""
        x, target = validate_data(self, X, y, dtype=dtype, multi_output=True, y_numeric=True)
        self._target_shape = target.shape[1:]
        return x, target.astype(x.dtype).reshape(len(x), -1)

    def predict(self, X: ArrayLike) -> Array:
        """The targets of X (n, features), in the shape of those it was fitted to."""
        return self._columns(X).reshape(-1, *self._target_shape)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


# --- networks -------------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class _MLP(_Estimator):
    """Layers, penalties and training, the same for labels and numbers."""

    hidden_layer_sizes: int | tuple[int, ...] = (100,)
    activation: str = "relu"
    _: KW_ONLY
    penalties: Mapping[str, Specification] | None = None
    dropout: float = 0.0
    norm: str | None = None
    optimizer: str | Callable[..., optim.Optimizer] = "adam"
    lr: float = 1e-3
    batch_size: int = 32
    max_iter: int = 200
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    ledger: bool = False
    random_state: Any = None

    def _named_penalties(self) -> dict[str, Penalty]:
        given = self.penalties if isinstance(self.penalties, Mapping) else {}  # or fit says what
        if odd := [n for n in given if "__" in str(n)]:
            raise ValueError(
                f"{type(self).__name__}: '__' divides the names of parameters, got penalties named {odd}"
            )
        return {n: t.penalty for n, t in Objective(nn.MSELoss(), given).terms.items()}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with ``deep`` also those of penalties, as ``penalties__NAME__strength``."""
        found = super().get_params(deep)
        for name, penalty in self._named_penalties().items() if deep else ():
            found |= {f"penalties__{name}__{key}": v for key, v in penalty.get_params().items()}
        return found

    def _set(self, **params: Any) -> Self:
        inner = {key: params.pop(key) for key in [*params] if key.startswith("penalties__")}
        super()._set(**params)
        if unknown := inner.keys() - (known := self.get_params()).keys():
            raise ValueError(f"set_params: got {sorted(unknown)}, expected some of {sorted(known)}")
        for name, penalty in self._named_penalties().items():
            mine = f"penalties__{name}__"
            own = {k.removeprefix(mine): v for k, v in inner.items() if k.startswith(mine)}
            penalty.set_params(**own)
        return self

    def _network(self, features: int, outputs: int, dtype: Any, seeds: list[int]) -> nn.Sequential:
        owner, hidden = type(self).__name__, self.hidden_layer_sizes
        check_option(owner, tuple(ACTIVATIONS), activation=self.activation)
        check_option(owner, (None, *NORMS), norm=self.norm)
        sizes = [*hidden] if isinstance(hidden, Iterable) else [hidden]
        check_option(owner, 1, **{f"hidden_layer_sizes[{i}]": n for i, n in enumerate(sizes)})
        init, drop = Stream("init", seeds[0]), Stream("dropout", seeds[1])
        layers: list[nn.Module] = []
        for before, size in pairwise([features, *sizes]):
            layers.append(nn.Linear(before, size, dtype=dtype, generator=init))
            layers += [NORMS[self.norm](size, dtype=dtype)] if self.norm else []
            layers += [ACTIVATIONS[self.activation]()]
            layers += [nn.Dropout(self.dropout, generator=drop)] if self.dropout else []
        last = nn.Linear([features, *sizes][-1], outputs, dtype=dtype, generator=init)
        return nn.Sequential(*layers, last)

    def _train(self, x: Array, y: Array, outputs: int, loss: AnyLoss) -> Self:
        owner, make, validation, stop = type(self).__name__, self.optimizer, None, None
        if not callable(make):
            check_option(owner, tuple(OPTIMIZERS), optimizer=make)
            make = OPTIMIZERS[make]
        self._named_penalties()  # (what is wrong with a name is raised here)
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=4).tolist()
        if self.early_stopping:
            check_option(owner, "(0, 1)", validation_fraction=self.validation_fraction)
            x, held, y, kept = train_test_split(
                x, y, test_size=self.validation_fraction, random_state=seeds[2],
                stratify=y if y.dtype.kind in "iu" else None,
            )  # fmt: skip
            validation, stop = (held, kept), optim.EarlyStopping(self.n_iter_no_change)
        model = self._network(x.shape[1], outputs, x.dtype, seeds)
        # (a copy: a scheduled strength moves on while it is trained)
        objective = Objective(loss, copy.deepcopy(self.penalties))
        optimizer = make(model.parameters(), lr=self.lr)
        self.ledger_ = Ledger(optimizer, model, accumulate=True) if self.ledger else None
        with passing_interrupts():
            self.history_ = fit(
                model, objective, optimizer, (x, y), validation, epochs=self.max_iter,
                batch_size=self.batch_size, seed=seeds[3], early_stopping=stop,
                ledger=self.ledger_, progress=False,
            )  # fmt: skip
        self.model_, self.n_iter_ = model.eval(), len(self.history_)
        return self

    def _columns(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        like = next(self.model_.parameters())
        x = validate_data(self, X, reset=False, dtype=like.dtype)
        with no_grad():
            return self.model_(Tensor(move(x, like.backend))).numpy()


@dataclass(eq=False, repr=False, kw_only=True)
class MLPClassifier(_Classifier, _MLP):
    """A network for labels: Linear layers with normalisation, activation and dropout between them.

    Parameters
    ----------
    hidden_layer_sizes : units of each hidden layer, a tuple of integers ≥ 1, or one; () is a linear model.
    activation : "identity", "logistic", "tanh", "relu", "gelu" or "silu".
    penalties : what :class:`minireg.Objective` takes, by name a penalty or a :class:`minireg.Term`. The
        first layer's weight (units, features) is "0.weight", so ``mr.Term(mr.penalties.GroupLasso(1e-2,
        axis=0), on="0.weight", via="prox")`` switches inputs off. A grid goes over
        ``penalties__NAME__strength``.
    dropout : probability of dropping a hidden unit, in [0, 1].
    norm : None, "batch", "layer" or "rms", before each activation.
    label_smoothing : in [0, 1], of the cross entropy.
    class_weight : None, or the ``weight`` of :class:`minireg.nn.CrossEntropyLoss`, as
        {class: weight} (1 for a class that is not in it), or "balanced": rows / (classes · rows of the
        class).
    optimizer : "sgd", "adam", "adamw" or "rmsprop", or a function of (parameters, lr=…), for example
        ``partial(mr.optim.SGD, momentum=0.9)``.
    lr : learning rate.
    batch_size, max_iter : rows of a batch and number of epochs, ≥ 1.
    early_stopping : keep ``validation_fraction`` of the rows back, stop when their loss has not fallen for
        ``n_iter_no_change`` epochs, and return to the best.
    ledger : keep a :class:`minireg.Ledger` of all steps, an epoch together, in ``ledger_``, else None.
    random_state : decides weights, masks, order and what is kept back; neither NumPy's nor minireg's own
        seed changes for an integer. None draws from NumPy's, as everywhere in scikit-learn.

    Attributes
    ----------
    model_ : the trained network, a :class:`minireg.nn.Sequential` in the dtype of X (float32 or float64).
    history_ : the :class:`minireg.History`; ``n_iter_`` epochs.
    classes_, n_features_in_, feature_names_in_ : as everywhere in scikit-learn.

    ``fit`` raises ``ValueError`` and ``TypeError`` for options out of range, NaN, sparse X and fewer than 2
    classes, ``FloatingPointError`` if training diverges. Ctrl-C ends the whole search, not one training.

    >>> import minireg as mr, minireg.sklearn
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]]); y = ["low", "low", "high", "high"]
    >>> net = MLPClassifier((8,), penalties={"l1": mr.penalties.L1(1e-4)}, lr=0.05, random_state=0)
    >>> net.fit(x, y).predict([[-1.0], [4.0]]).tolist()
    ['low', 'high']
    >>> net.set_params(penalties__l1__strength=1e-3).penalties
    {'l1': L1(0.001): λ‖w‖₁}
    """

    label_smoothing: float = 0.0
    class_weight: Mapping[Any, float] | str | None = None

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on X (n, features) and labels y (n,) of any type; returns itself."""
        x, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        codes = self._codes(labels)
        if (weights := self._class_weights(codes)) is not None:  # (a batch may not weigh 0)
            x, codes = x[weights[codes] > 0], codes[weights[codes] > 0]
        loss = nn.CrossEntropyLoss(weights, label_smoothing=self.label_smoothing)
        if self.early_stopping and (alone := np.bincount(codes) == 1).any():
            raise ValueError(
                f"fit: early_stopping keeps rows of every class back, got one row of "
                f"{self.classes_[alone].tolist()}, expected at least 2"
            )
        return self._train(x, codes, len(self.classes_), loss)


@dataclass(eq=False, repr=False, kw_only=True)
class MLPRegressor(_Regressor, _MLP):
    """A network for numbers, under the mean squared error; all else as :class:`MLPClassifier`.

    Parameters, attributes and errors are those of :class:`MLPClassifier`, without ``label_smoothing`` and
    ``classes_``. Bring X and y to a size of about 1 first, as with ``TransformedTargetRegressor``.

    >>> import minireg.sklearn
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = MLPRegressor((16,), "tanh", lr=0.02, random_state=0).fit(x, x[:, 0] ** 2)
    >>> net.score(x, x[:, 0] ** 2) > 0.9
    True
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on X (n, features) and y (n,) or (n, outputs); returns itself."""
        x, target = self._data(X, y, [np.float64, np.float32])
        return self._train(x, target, target.shape[1], nn.MSELoss())


# --- linear models --------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class _Penalized(_Estimator):
    """Linear models by :func:`minireg.solve`."""

    penalty: Penalty | None = None
    _: KW_ONLY
    fit_intercept: bool = True
    tol: float = 1e-12
    max_iter: int = 10_000

    def _set(self, **params: Any) -> Self:
        inner = [key for key in params if key.startswith("penalty__")]
        if inner and params.get("penalty", self.penalty) is None:
            raise ValueError(f"set_params: got {inner} and no penalty; write penalty=L2(0.1) first")
        return super()._set(**params)

    def _rows(self, sample_weight: ArrayLike | None, *data: Array) -> tuple[list[Array], Any]:
        """The rows of ``data`` whose weight is not 0, and their weights; all and None without weights."""
        if sample_weight is None:
            return [*data], None
        weight = check_array(sample_weight, ensure_2d=False, dtype=float, input_name="weight")
        check_shape("fit", data[0].shape[:1], sample_weight=weight)
        if weight.min() < 0 or not weight.any():
            raise ValueError(f"fit: weights must be ≥ 0 and not all zero, got {weight!r:.60}")
        return [a[weight > 0] for a in data], weight[weight > 0]

    def _solve(
        self, x: Array, y: Array, outputs: int, loss: AnyLoss, weight: Any, ridge: float,
        start: Any = 0.0,
    ) -> Self:  # fmt: skip
        """From coefficients 0 and the intercept ``start``; ``ridge`` is for None, of all rows together."""
        owner, rows = type(self).__name__, len(x) if weight is None else weight.sum()
        penalty = L2(ridge / rows) if self.penalty is None else self.penalty
        check_kind(owner, Penalty, "write L1(0.1)", penalty=penalty)
        check_option(owner, (True, False), fit_intercept=self.fit_intercept)
        check_option(owner, "[0, inf)", tol=self.tol)
        check_option(owner, 1, max_iter=self.max_iter)
        if not callable(loss) or getattr(loss, "reduction", "mean") == "none":
            raise TypeError(
                f"{owner}: loss must give one number for output and target, got {loss!r}; write "
                "nn.MSELoss()"
            )
        loss = loss if weight is None else _weighted(owner, loss, weight)
        init = Stream("init", 0)  # (the caller's seed stays)
        model = nn.Linear(x.shape[1], outputs, self.fit_intercept, np.float64, init).to("numpy")
        model.weight.assign(0.0)
        if model.bias is not None:
            model.bias.assign(start)
        # the same problem around the mean and in another unit, where it is better conditioned: a power
        # of 2, which rounds nothing (bounds and zeros stay exact)
        mean = np.average(x, axis=0, weights=weight) * bool(self.fit_intercept)
        off = np.where(bool(self.fit_intercept) & (np.ptp(x, axis=0) == 0), 0.0, x - mean)
        top = float(np.abs(off).max()) or 1.0  # (squares of 1e200 are inf)
        size = np.log2(top * np.square(off / top).mean() ** 0.5 or 1.0)
        unit: Any = 2.0 ** round(float(np.clip(size, -500, 1023)))  # (and of its inverse)
        x, penalty = off / unit, scaled(penalty, argument=1 / unit)
        # (not convex, another point may be stationary)
        if penalty.convex and penalty.elementwise_step and not penalty.euclidean:
            root = np.square(x).mean(axis=0) ** 0.5
            sizes = 2.0 ** np.round(np.log2(np.where(root > 0, root, 1.0)))
            if sizes.max() > APART * sizes.min():
                x, unit, penalty = x / sizes, unit * sizes, _Columns(penalty, sizes)
        tol = self.tol * _size(loss, x, y, outputs, start) + 1e-15 * _size(loss, x, y, outputs, 0)
        found = Composite(model, loss, penalty, x, y, "weight").solve(tol, self.max_iter - 1)
        self.certificate_ = found.certificate
        self.converged_ = found.converged and found.relative <= COARSE
        self.n_iter_, self.coef_ = found.steps + 1, model.weight.numpy() / unit
        bias = np.zeros(outputs) if model.bias is None else model.bias.numpy()
        self.intercept_: Any = bias - self.coef_ @ mean
        if not self.converged_:
            said = f"expected {tol:.1e}; standardise X, or pass a larger max_iter or tol"
            if found.converged:
                said = (
                    f"but a coefficient by {found.relative:.1g} of what it may be at 0; its column is too "
                    "small beside the others: standardise X"
                )
            warnings.warn(
                f"{owner}: {found.certificate:.1e} from stationary after {self.n_iter_} iterations, {said}",
                ConvergenceWarning, stacklevel=3,
            )  # fmt: skip
        return self

    def _columns(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        x: Any = validate_data(self, X, reset=False, dtype=np.float64)
        return x @ np.atleast_2d(self.coef_).T + self.intercept_


class _Columns(Penalty):
    """f(w / sizes), a size for each column: exact, as f's prox takes a step for each element."""

    elementwise_step = True

    def __init__(self, inner: Penalty, sizes: Array) -> None:
        self.inner, self.sizes = inner, sizes

    def value(self, w: Any) -> Any:
        return self.inner.value(w / self.sizes)

    def prox(self, v: Array, step: Any) -> Array:
        steps = step / np.square(self.sizes) * np.ones_like(v)
        return self.inner.prox(v / self.sizes, steps) * self.sizes


@dataclass(frozen=True)
class _Logistic:
    """BCEWithLogitsLoss of targets 0 and 1, whose logits may be small: it suspects no probabilities."""

    reduction: str = "mean"

    def __call__(self, output: Any, target: Any) -> Any:
        each = softplus((1 - 2 * target) * output)
        return each if self.reduction == "none" else each.mean()


@dataclass(frozen=True)
class _Softmax:
    """CrossEntropyLoss of some columns, a class in each."""

    columns: Array
    reduction: nn.losses.Reduction = "mean"

    def __call__(self, output: Any, target: Any) -> Any:
        return cross_entropy(output[:, self.columns], target, reduction=self.reduction)


def _weighted(owner: str, loss: AnyLoss, weight: Array) -> AnyLoss:
    """The mean of a loss with a weight for each row."""
    if getattr(loss, "reduction", "") != "mean":
        raise ValueError(f"{owner}: sample_weight needs a loss with reduction='mean', got {loss!r}")
    each = replace(loss, reduction="none")  # type: ignore[type-var]

    def mean(output: Any, target: Any) -> Tensor:
        rows = each(output, target).reshape(len(weight), -1)
        return (rows * weight[:, None]).sum() / (weight.sum() * rows.shape[1])

    return mean


def _size(loss: AnyLoss, x: Array, y: Array, outputs: int, start: Any) -> float:
    """What the gradient of the loss at coefficients 0 is at most, by Cauchy and Schwarz."""
    output = Tensor(np.zeros((len(x), outputs)) + start, requires_grad=True)
    (g,) = grad(loss(output, y), output)
    return float(np.linalg.norm(g.numpy()) * (len(x) + np.square(x).sum()) ** 0.5)


@dataclass(eq=False, repr=False, kw_only=True)
class PenalizedRegression(_Regressor, _Penalized):
    """A linear model y ≈ Xw + b under any penalty with a prox, solved until a certificate says so.

    Minimises mean(loss(Xwᵀ + b, y)) + penalty(w): the **mean** over rows and outputs, the intercept b
    free. With the squared error (which has no ½) a model of scikit-learn on n rows is

    * ``Lasso(alpha)`` : ``L1.from_sklearn(alpha)``, which is λ = 2·alpha;
    * ``ElasticNet(alpha, l1_ratio)`` : ``ElasticNet.from_sklearn(alpha, l1_ratio)``;
    * ``Ridge(alpha)`` : ``L2.from_sklearn(alpha, n)``, which is λ = 2·alpha/n.

    With k outputs, over which it sums, alpha/k stands for alpha.

    Parameters
    ----------
    penalty : any penalty with a prox on the coefficients w (outputs, features), also a constraint;
        ``L2(0.0)`` for none. None is that of ``Ridge()``, L2(2/n). With one output the positions of
        ``GroupLasso(λ, groups=[[0, 1], [2]])`` are features; with several, ``axis=0`` makes a group of each
        feature. Along ``axis=0`` one output has no neighbours: a TotalVariation there does nothing.
    loss : a smooth one of :mod:`minireg.nn`, or a function of output and target (n, outputs) that returns
        a scalar Tensor; None is ``MSELoss()``. ``SmoothL1Loss()`` is Huber's.
    fit_intercept : whether there is a b.
    tol : ≥ 0; it ends where the certificate is at most tol times the largest that the gradient of the loss
        may be at w = 0, all columns together, so that one unit for all of X or y does not matter. Nor do
        units that differ from column to column, if the penalty is convex, no ball or simplex, and its prox
        takes a step for each element (``elementwise_step``); else standardise X. tol=0 asks for what
        rounding allows, 1e-15.
    max_iter : steps at most, ≥ 1.

    If loss and penalty are convex the solution is a global minimum. MCP, SCAD and other penalties that are
    not convex end in a stationary point, which the certificate proves, and which depends on the start,
    w = 0; another one may be lower, and it may be a saddle (equal columns get equal coefficients). Of L0
    w = 0 is stationary already, so it stays there: take MCP, or SelectFromModel.

    Attributes
    ----------
    coef_, intercept_ : (features,) and a number for y (n,), (outputs, features) and (outputs,) for
        y (n, outputs), in float64.
    certificate_ : the distance of −∇loss to the penalty's subdifferential (and of ∂loss/∂b to 0), for X
        divided by a power of 2, so that its mean square is about 1 (by one for each column, where some are
        8 times as large as others and the penalty allows it), and with an intercept taken from its means.
    converged_, n_iter_ : whether the certificate is small enough, also that of each coefficient beside what
        the size of its own column allows (a hundredth, so that none is left out beside a column 1e13 times
        as large), and after how many iterations; else there is a ``ConvergenceWarning``.
    n_features_in_, feature_names_in_ : as everywhere in scikit-learn.

    ``fit`` raises ``ValueError`` and ``TypeError`` for options out of range, a scheduled strength, NaN and
    sparse X, ``NotImplementedError`` for a penalty without a prox. With ``sample_weight`` the mean is
    weighted.

    >>> import minireg as mr, minireg.sklearn
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    >>> lasso = PenalizedRegression(mr.penalties.L1(0.5)).fit(x, x[:, 0] + 2)
    >>> lasso.coef_.round(6), round(lasso.intercept_, 6), lasso.converged_
    (array([0.625, 0.   ]), 2.0, True)
    """

    loss: AnyLoss | None = None

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Solve for X (n, features) and y (n,) or (n, outputs); returns itself."""
        x, target = self._data(X, y, np.float64)
        (x, target), weight = self._rows(sample_weight, x, target)
        start = np.average(target, axis=0, weights=weight) if self.fit_intercept else 0.0
        loss = nn.MSELoss() if self.loss is None else self.loss
        # where y is far from 0, it rounds less
        shift = start if isinstance(loss, nn.MSELoss) else 0.0
        if 0 < np.abs(target - shift).max() < TINY:
            raise ValueError(
                f"fit: y is {target.ravel()!r:.60}, whose squares are 0; give it another unit"
            )
        outputs = target.shape[1]
        self._solve(x, target - shift, outputs, loss, weight, 2 / outputs, start - shift)
        self.intercept_ = self.intercept_ + shift
        if not self._target_shape:
            self.coef_, self.intercept_ = self.coef_[0], float(self.intercept_[0])
        return self


@dataclass(eq=False, repr=False, kw_only=True)
class PenalizedClassifier(_Classifier, _Penalized):
    """Logistic regression under any penalty with a prox, solved until a certificate says so.

    Minimises the **mean** cross entropy + penalty(w), the intercept free. For 2 classes w is (1, features),
    the logit of ``classes_[1]``; for K classes it is (K, features), multinomial. A model of scikit-learn on
    n rows, ``LogisticRegression(C)``, is λ = 1/(nC): ``L2(1 / (n * C))``, or L1 with the same λ.

    Parameters
    ----------
    penalty, fit_intercept, tol, max_iter : as of :class:`PenalizedRegression`, with all that is said there
        of convexity and errors. None is the penalty of ``LogisticRegression()``, L2(1/n). For K classes
        ``GroupLasso(λ, axis=0)`` makes a group of each feature.
    class_weight : None; a weight for all rows of a class, as {class: weight} (1 for a class that is not in
        it); or "balanced", the same for every class in all: rows / (classes · rows of the class), rows
        counted by ``sample_weight``. A row has its ``sample_weight`` times that of its class.

    Attributes
    ----------
    coef_, intercept_ : (1, features) and (1,) for 2 classes, else (K, features) and (K,), in float64.
    certificate_, converged_, n_iter_ : as of :class:`PenalizedRegression`.
    classes_, n_features_in_, feature_names_in_ : as everywhere in scikit-learn.

    Without a penalty, data that a plane separates have no minimum: then it does not converge. Of three or
    more classes one whose rows all have weight 0 stays a class; with an intercept the optimum is −inf there,
    and the probability 0.

    >>> import minireg as mr, minireg.sklearn
    >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]])
    >>> model = PenalizedClassifier(mr.penalties.L1(0.1)).fit(x, ["a", "b", "a", "b"])
    >>> model.predict(x).tolist(), model.coef_.round(3).tolist(), model.converged_
    (['a', 'b', 'a', 'b'], [[0.0, -2.773]], True)
    """

    class_weight: Mapping[Any, float] | str | None = None

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Solve for X (n, features) and labels y (n,) of any type; returns itself."""
        x, labels = validate_data(self, X, y, dtype=np.float64)
        (x, codes), weight = self._rows(sample_weight, x, self._codes(labels))
        if (factors := self._class_weights(codes, weight)) is not None:
            each = factors[codes] * (1.0 if weight is None else weight)
            (x, codes), weight = self._rows(each, x, codes)
        present, classes = np.unique(codes), len(self.classes_)
        if len(present) < 2:
            raise ValueError("fit: all rows but those of 1 class have weight 0, expected 2 classes")
        if classes == 2:
            return self._solve(x, codes[:, None] * 1.0, 1, _Logistic(), weight, 1.0)
        # the loss falls until the intercept of a class without rows is −inf
        columns = present if self.fit_intercept else np.arange(classes)
        self._solve(x, np.searchsorted(columns, codes), classes, _Softmax(columns), weight, 1.0)
        self.intercept_[np.setdiff1d(range(classes), columns)] = -np.inf
        return self

    def decision_function(self, X: ArrayLike) -> Array:
        """The logits: (n,) of ``classes_[1]`` for 2 classes, else (n, classes)."""
        found = self._columns(X)
        return found[:, 0] if found.shape[1] == 1 else found
