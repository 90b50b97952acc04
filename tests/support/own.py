"""What a user writes: a penalty of one's own."""

import numpy as np

from minireg.penalties.base import Penalty, Strength


class OwnHuber(Penalty):
    """A penalty of one's own: value and prox, and the certificate that follows from them."""

    strength = Strength()

    def __init__(self, strength):
        self.strength = strength

    def value(self, w):
        size = np.abs(w)
        return self.strength * np.where(size <= 1, 0.5 * w * w, size - 0.5).sum()

    def prox(self, v, step):
        k = step * self.strength
        return np.where(np.abs(v) <= 1 + k, v / (1 + k), v - k * np.sign(v))
