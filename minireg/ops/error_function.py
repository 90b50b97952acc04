"""The error function on arrays, which NumPy lacks."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

# Chebyshev coefficients by interpolation in 60-digit arithmetic (tools/make_erf.py):
# erf(x)/x in the variable 2x² − 1 on [0, 1]; exp(x²)·erfc(x) in (x − 4)/(x + 4) on [0, ∞).
# fmt: off
_ERF_SMALL = (
    0.9754769393826541, -0.14226120510371365, 0.010035582187599796, -0.0005768764699767485,
    2.741993125219606e-05, -1.1043175507344507e-06, 3.8488755420345036e-08,
    -1.1808582533875466e-09, 3.2334215826050907e-11, -7.991015947004549e-13,
    1.7990725113961456e-14, -3.718635487818693e-16,
)
_ERFC_SCALED = (
    0.2981017936936576, -0.42908644125580536, 0.18027256568771055, -0.06523752449734899,
    0.020367256576744864, -0.005449087066459008, 0.0012278515372606755, -0.0002246979421877305,
    3.068543113098951e-05, -2.3178234999468535e-06, -1.4628356484727578e-07,
    6.927830518748949e-08, -6.8831107633628464e-09, -6.858489149445451e-10,
    2.4593734989496684e-10, -7.814909174028096e-12, -5.889394733817263e-12, 6.869230438567993e-13,
    1.255049258010826e-13, -2.8232509502798152e-14, -2.6031646343175433e-15,
    1.0249960195009234e-15, 5.72841468125685e-17, -3.692875129327215e-17,
)
# fmt: on


@cache
def _powers(series: tuple[float, ...], dtype: Any) -> list[float]:
    """A Chebyshev series up to the dtype's precision, in powers of t (t in [−1, 1], so this is stable)."""
    kept = [c for c in series if abs(c) > np.finfo(dtype).eps / 8]
    powers: list[float] = np.polynomial.chebyshev.cheb2poly(kept).tolist()
    return powers


def _horner(powers: list[float], t: Any) -> Any:
    p = t * powers[-1]
    for c in powers[-2:0:-1]:
        p += c
        p *= t
    p += powers[0]
    return p


def erfc(a: Any, bell: Any) -> Any:
    """erfc(a) for a ≥ 0, given bell = exp(−a²); accurate relatively, far into the tail."""
    return bell * _horner(_powers(_ERFC_SCALED, a.dtype), (a - 4) / (a + 4))


def erf(x: Any) -> Any:
    """The error function of an array, to its precision."""
    a = np.minimum(np.abs(x), 27.0)  # erfc underflows there
    small = np.minimum(a, 1.0)
    near = small * _horner(_powers(_ERF_SMALL, a.dtype), 2 * small * small - 1)
    return np.copysign(np.where(a < 1, near, 1 - erfc(a, np.exp(-a * a))), x)
