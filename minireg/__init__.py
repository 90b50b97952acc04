"""minireg: reverse-mode autograd whose subject is regularization.

>>> import minireg as mr
>>> w = mr.tensor([3.0, -4.0], requires_grad=True)
>>> (0.5 * (w * w).sum()).backward()
>>> w.grad
Tensor([ 3., -4.], dtype=float32)
"""

import sys
from functools import partial
from types import ModuleType
from typing import Any

from . import datasets, nn, ops, optim, penalties
from .analysis import constrained, curvature, implicit
from .analysis.calibration import calibration_error
from .analysis.lipschitz import (
    attack_radius,
    certified_radius,
    lipschitz_bound,
    lipschitz_lower,
    path_norm,
    pgd_attack,
    rescale,
)
from .analysis.solver import path, solve
from .backend import get_backend, set_backend, use_backend
from .check.gradients import gradcheck, gradgradcheck
from .check.ops import check_op
from .check.penalties import check_penalty
from .checkpoint import load, save
from .engine import grad, jacobian
from .inspect import Run, draw, report
from .inspect.history import History
from .inspect.ledger import Ledger
from .messages import missing as _missing
from .mode import detect_anomaly, enable_grad, is_grad_enabled, no_grad
from .objective import Objective, Term
from .ops import linalg, op
from .random import manual_seed
from .sweep import Halving, Sweep, sweep
from .tensor import Tensor, tensor
from .training import evaluate, fit, trajectory

__version__ = "0.1.0"
__all__ = [
    "Halving", "History", "Ledger", "Objective", "Run", "Sweep", "Tensor", "Term", "attack_radius",
    "calibration_error",
    "certified_radius", "check_op", "check_penalty", "constrained", "curvature", "datasets",
    "detect_anomaly", "draw", "enable_grad", "evaluate", "fit", "get_backend", "grad", "gradcheck",
    "gradgradcheck", "implicit", "is_grad_enabled", "jacobian", "linalg", "lipschitz_bound",
    "lipschitz_lower", "load", "manual_seed", "nn", "no_grad", "op", "ops", "optim", "path",
    "path_norm", "penalties", "pgd_attack", "report", "rescale", "save", "set_backend", "solve",
    "sweep", "tensor", "trajectory", "use_backend",
    *sorted(ops.PUBLIC),
]  # fmt: skip


globals().update(ops.PUBLIC)  # the NumPy-style functions, straight from the table of ops


def _offered(module: ModuleType) -> list[str]:
    """What ``dir`` shows of a module: what it offers, not what it imports."""
    own = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__]
    return sorted(getattr(module, "__all__", [n for n in own if not n.startswith("_")]))


for _name, _module in [*sys.modules.items()]:
    if _name.partition(".")[0] == __name__:
        setattr(_module, "__dir__", partial(_offered, _module))


def __getattr__(name: str) -> Any:
    raise _missing("mr", "module 'minireg'", name)
