"""Checks of gradients, ops and penalties: several ways to the same numbers, and a verdict."""

from .gradients import gradcheck, gradgradcheck
from .ops import check_op
from .penalties import check_penalty

__all__ = ["check_op", "check_penalty", "gradcheck", "gradgradcheck"]
