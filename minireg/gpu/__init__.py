"""All that only a GPU needs: passes traced into kernels, kernels by hand, launches."""

from . import fused  # enters its kernels

__all__ = ["fused"]
