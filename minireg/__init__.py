"""minireg: reverse-mode autograd whose subject is regularization.

>>> import minireg as mr
>>> w = mr.tensor([3.0, -4.0], requires_grad=True)
>>> (0.5 * (w * w).sum()).backward()
>>> w.grad
Tensor([ 3., -4.], dtype=float32)
"""

from typing import Any

from . import datasets, nn, ops, optim, penalties
from .backend import get_backend, manual_seed, set_backend, use_backend
from .check import gradcheck, gradgradcheck
from .checkpoint import load, save
from .engine import detect_anomaly, enable_grad, grad, is_grad_enabled, no_grad
from .errors import missing as _missing
from .inspect import Run, constrained, curvature, draw, implicit, report
from .inspect.ledger import Ledger
from .inspect.lipschitz import (
    attack_radius,
    certified_radius,
    lipschitz_bound,
    lipschitz_lower,
    path_norm,
    pgd_attack,
    rescale,
)
from .objective import Objective, Term
from .op_check import check_op
from .ops import linalg, op
from .penalty_check import check_penalty
from .solver import path, solve
from .sweep import sweep
from .tensor import Tensor, tensor
from .training import History, fit

__version__ = "0.1.0"
__all__ = [
    "History",
    "Ledger",
    "Objective",
    "Run",
    "Tensor",
    "Term",
    "attack_radius",
    "certified_radius",
    "check_op",
    "check_penalty",
    "constrained",
    "curvature",
    "datasets",
    "detect_anomaly",
    "draw",
    "enable_grad",
    "fit",
    "get_backend",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "implicit",
    "is_grad_enabled",
    "linalg",
    "lipschitz_bound",
    "lipschitz_lower",
    "load",
    "manual_seed",
    "nn",
    "no_grad",
    "op",
    "ops",
    "optim",
    "path",
    "path_norm",
    "penalties",
    "pgd_attack",
    "report",
    "rescale",
    "save",
    "set_backend",
    "solve",
    "sweep",
    "tensor",
    "use_backend",
    *sorted(ops.PUBLIC),
]


globals().update(ops.PUBLIC)  # the NumPy-style functions, straight from the table of ops


def __getattr__(name: str) -> Any:
    raise _missing("mr", "module 'minireg'", name)
