"""Whether a classifier is as sure as it is right."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..messages import check_option
from ..ops.table import ratio
from ..tensor import tensor
from .inputs import check_labels, on_host


def calibration_error(
    probabilities: ArrayLike,
    labels: ArrayLike,
    bins: int = 15,
    norm: Literal["l1", "l2", "max"] = "l1",
) -> float:
    """Expected calibration error Σ_b (n_b/N)·|accuracy_b − confidence_b| of the predicted labels.

    Samples are sorted by confidence, their largest probability, into ``bins`` intervals (k/bins,
    (k + 1)/bins]; in each, the share of right predictions is compared with the mean confidence (Guo et
    al. 2017, ECE and MCE). 0 for a classifier whose predictions of confidence c are right in a share c
    of cases. A finite sample of such a one has a little more, the more so the more bins there are.

    Parameters
    ----------
    probabilities : (N, C), N ≥ 1, C ≥ 2, each row ≥ 0 with sum 1, as ``softmax`` gives them.
    labels : the true classes, integers (N,) in 0 … C − 1.
    bins : number of intervals, ≥ 1.
    norm : "l1", the mean gap; "l2", the root of the mean squared gap; "max", the largest (MCE).

    Names and defaults are those of ``torchmetrics``, which guesses whether it got logits; here they are
    a ``ValueError``, as are other shapes and options. (A confidence of exactly 1 has a bin of its own
    there, and belongs to the last one here, as in the paper.)

    >>> from minireg import calibration_error
    >>> sure = [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]
    >>> round(calibration_error(sure, [0, 1, 1, 1]), 3)  # ½·|½ − .9| + ¼·|1 − .8| + ¼·|1 − .6|
    0.35
    """
    owner = "calibration_error"
    check_option(owner, 1, bins=bins)
    check_option(owner, ("l1", "l2", "max"), norm=norm)
    p, y = on_host(probabilities, f"{owner}: probabilities"), tensor(labels).numpy()
    check_labels(owner, p, y, "probabilities")
    if not (len(p) and (p >= 0).all() and (abs(p.sum(axis=1) - 1) < 1e-3).all()):
        raise ValueError(
            f"{owner}: every row of probabilities must be ≥ 0 with sum 1, and there must be one; of "
            "logits z take mr.nn.functional.softmax(z)"
        )
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    inner = np.arange(1, bins) / bins
    place = np.searchsorted(inner, confidence)
    count = np.bincount(place, minlength=bins)
    gap = ratio(np.abs(np.bincount(place, right - confidence, bins)), count)
    share = count / len(p)
    found = {"l1": (share * gap).sum(), "l2": np.sqrt((share * gap**2).sum()), "max": gap.max()}
    return float(found[norm])
