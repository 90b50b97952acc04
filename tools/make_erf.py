"""Prints the Chebyshev coefficients of minireg/ops/elementwise.py (needs mpmath).

Interpolation at Chebyshev nodes in 60-digit arithmetic of erf(x)/x as a function of
t = 2x² − 1 on [0, 1], and of exp(x²)·erfc(x) as a function of t = (x − 4)/(x + 4).
"""

from collections.abc import Callable

from mpmath import cos, erf, erfc, exp, mp, mpf, pi, sqrt

mp.dps = 60


def chebyshev(f: Callable[[mpf], mpf], nodes: int, keep: float) -> list[float]:
    """Coefficients cₖ of Σ cₖ Tₖ, up to the last one of size ``keep``."""
    angle = [pi * (k + mpf(1) / 2) / nodes for k in range(nodes)]
    values = [f(cos(a)) for a in angle]
    c = [
        sum(v * cos(j * a) for v, a in zip(values, angle, strict=True)) * 2 / nodes
        for j in range(nodes)
    ]
    c[0] /= 2
    last = max(k for k, v in enumerate(c) if abs(v) > keep)
    return [float(v) for v in c[: last + 1]]


def small(t: mpf) -> mpf:
    """erf(x)/x at x² = (t + 1)/2."""
    x = sqrt((t + 1) / 2)
    return erf(x) / x


def scaled(t: mpf) -> mpf:
    """exp(x²)·erfc(x) at x = 4(1 + t)/(1 − t)."""
    x = 4 * (1 + t) / (1 - t)
    return exp(x * x) * erfc(x)


if __name__ == "__main__":
    print("_ERF_SMALL =", tuple(chebyshev(small, 40, 2e-17)))
    print("_ERFC_SCALED =", tuple(chebyshev(scaled, 100, 2e-17)))
