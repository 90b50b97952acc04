"""Formulas of the course and plausible wrong answers to them, as readers would type them.

They were invented before the judge's rules were written, and no sentence was written for any of
them: what the judge says, it finds by asking both functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Formula(NamedTuple):
    """A function with its arguments, cases to compare at, and bodies that are wrong."""

    signature: str
    right: Callable[..., Any]
    cases: list[tuple[Any, ...]]
    wrong: list[str]


def _array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).round(2)


def _soft(v, lam):
    return np.sign(v) * np.maximum(np.abs(v) - lam, 0)


def _ridge(x, y, lam):
    n, d = x.shape
    return np.linalg.solve(x.T @ x / n + lam * np.eye(d), x.T @ y / n)


def _smooth(k, n, eps):
    return eps / n + (1 - eps) * (np.arange(n) == k)


def _batchnorm(g, xhat, gamma, sigma):
    return gamma / sigma * (g - g.mean() - xhat * (g * xhat).mean())


def _adam(m, v, t, b1, b2, eps):
    return m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)


FORMULAS = [
    Formula(
        "left_over(lr, strength, steps)",
        lambda lr, strength, steps: (1 - lr * strength) ** steps,
        [(0.1, 0.5, 20), (0.2, 0.3, 7), (0.5, 3.0, 3)],
        [
            "return 1 - lr * strength ** steps",
            "return (1 - strength) ** steps",
            "return (1 - lr * strength) * steps",
            "return np.exp(-lr * strength * steps)",
            "return (1 - lr * strength) ** (steps - 1)",
            "return (1 - lr / strength) ** steps",
            "return 1 - (1 - lr * strength) ** steps",
            "return (1 - 2 * lr * strength) ** steps",
        ],
    ),
    Formula(
        "half_life(lr, strength)",
        lambda lr, strength: np.log(0.5) / np.log(1 - lr * strength),
        [(0.1, 0.01), (0.5, 1.0), (0.2, 0.3)],
        [
            "return np.log(2) / np.log(1 - lr * strength)",
            "return np.log(1 - lr * strength) / np.log(0.5)",
            "return np.log(0.5) / np.log(1 - lr)",
            "return np.log2(1 - lr * strength)",
            "return int(np.log(0.5) / np.log(1 - lr * strength))",
            "return 0.693 / (lr * strength)",
        ],
    ),
    Formula(
        "penalty_gradient(w, lam)",
        lambda w, lam: lam * w,
        [(np.array([1.0, -2.0, 0.5]), 0.3), (np.array([0.2, 3.0]), 2.0)],
        [
            "return 2 * lam * w",
            "return lam * np.abs(w)",
            "return lam * np.sign(w)",
            "return 0.5 * lam * w ** 2",
            "return lam * np.sum(w)",
            "return lam * np.linalg.norm(w)",
        ],
    ),
    Formula(
        "rest(h, a, lam)",
        lambda h, a, lam: h * a / (h + lam),
        [(2.0, 3.0, 0.5), (0.5, -1.0, 4.0)],
        [
            "return a / (1 + lam)",
            "return a - lam",
            "return h * a / (h - lam)",
            "return a * (1 - lam)",
            "return (h * a + lam) / (h + lam)",
            "return h * a / lam",
        ],
    ),
    Formula(
        "soft(v, lam)",
        _soft,
        [(np.array([2.0, -0.3, 0.1, -1.5]), 0.5), (np.array([0.9, -0.2]), 0.25)],
        [
            "return np.sign(v) * (np.abs(v) - lam)",
            "return np.maximum(v - lam, 0)",
            "return np.where(np.abs(v) > lam, v, 0)",
            "return np.sign(v) * np.maximum(np.abs(v) - 2 * lam, 0)",
            "return np.maximum(np.abs(v) - lam, 0)",
            "return max(abs(v) - lam, 0)",
        ],
    ),
    Formula(
        "ridge_filter(mu, lam)",
        lambda mu, lam: mu / (mu + lam),
        [(2.0, 0.5), (0.1, 0.3)],
        [
            "return lam / (mu + lam)",
            "return 1 / (1 + lam)",
            "return (mu / (mu + lam)) ** 2",
            "return 1 - lam / mu",
            "return mu / mu + lam",
        ],
    ),
    Formula(
        "axis_ratio(mu1, mu2, lam)",
        lambda mu1, mu2, lam: np.sqrt((mu1 + lam) / (mu2 + lam)),
        [(4.0, 1.0, 0.5), (10.0, 0.1, 1.0)],
        [
            "return (mu1 + lam) / (mu2 + lam)",
            "return np.sqrt(mu1 / mu2)",
            "return np.sqrt((mu2 + lam) / (mu1 + lam))",
            "return np.sqrt(mu1 + lam) / (mu2 + lam)",
            "return np.sqrt(mu1 / mu2) + lam",
        ],
    ),
    Formula(
        "ridge(x, y, lam)",
        _ridge,
        [(_array(6, 3), _array(6, seed=1), 0.5), (_array(5, 2, seed=2), _array(5, seed=3), 2.0)],
        [
            "return np.linalg.solve(x.T @ x + lam * np.eye(x.shape[1]), x.T @ y)",
            "n = len(x)\n    return np.linalg.solve(x.T @ x / n + lam * np.eye(x.shape[1]), x.T @ y)",
            "n = len(x)\n    return np.linalg.solve(x.T @ x / n, x.T @ y / n) / (1 + lam)",
            "return np.linalg.inv(x.T @ x) @ x.T @ y",
            "n = len(x)\n    return np.linalg.solve(x.T @ x / n + lam, x.T @ y / n)",
            "return np.linalg.solve(x @ x.T + lam * np.eye(len(x)), y)",
        ],
    ),
    Formula(
        "group_soft(row, k)",
        lambda row, k: row * max(0, 1 - k / np.linalg.norm(row)),
        [
            (np.array([3.0, 4.0]), 1.0),
            (np.array([0.3, -0.4, 0.1]), 1.0),
            (np.array([2.0, -1.0]), 0.5),
        ],
        [
            "return np.sign(row) * np.maximum(np.abs(row) - k, 0)",
            "return row * (1 - k / np.linalg.norm(row))",
            "return row * max(0, 1 - k * np.linalg.norm(row))",
            "return row * max(0, 1 - k / np.linalg.norm(row) ** 2)",
            "return row if np.linalg.norm(row) > k else 0 * row",
        ],
    ),
    Formula(
        "project(theta, c)",
        lambda theta, c: theta * min(1, np.sqrt(c) / np.linalg.norm(theta)),
        [
            (np.array([3.0, 4.0]), 4.0),
            (np.array([0.3, -0.4]), 2.0),
            (np.array([2.0, 1.0, 2.0]), 0.5),
        ],
        [
            "return theta * np.sqrt(c) / np.linalg.norm(theta)",
            "return theta * min(1, c / np.linalg.norm(theta))",
            "return np.clip(theta, -np.sqrt(c), np.sqrt(c))",
            "return theta * min(1, np.sqrt(c) / np.linalg.norm(theta) ** 2)",
            "return theta",
        ],
    ),
    Formula(
        "largest(x, y)",
        lambda x, y: 2 * np.abs(x.T @ y).max() / len(x),
        [(_array(6, 3), _array(6, seed=1)), (_array(5, 2, seed=2), _array(5, seed=3))],
        [
            "return np.abs(x.T @ y).max() / len(x)",
            "return np.linalg.norm(2 * x.T @ y) / len(x)",
            "return 2 * np.abs(x.T @ y).max()",
            "return 2 * (x.T @ y).max() / len(x)",
        ],
    ),
    Formula(
        "freedom(mu, lam)",
        lambda mu, lam: np.sum(mu / (mu + lam)),
        [(np.array([4.0, 1.0, 0.1]), 0.5), (np.array([2.0, 0.3]), 1.0)],
        [
            "return np.sum(1 / (mu + lam))",
            "return len(mu)",
            "return np.sum(lam / (mu + lam))",
            "return np.mean(mu / (mu + lam))",
            "return np.sum(mu) / (np.sum(mu) + lam)",
            "return mu / (mu + lam)",
        ],
    ),
    Formula(
        "smooth(k, n, eps)",
        _smooth,
        [(1, 4, 0.1), (0, 3, 0.3)],
        [
            "q = np.full(n, eps / n)\n    q[k] = 1 - eps\n    return q",
            "q = np.full(n, eps / (n - 1))\n    q[k] = 1 - eps\n    return q",
            "q = np.full(n, eps / n)\n    q[k] = 1 - eps / n\n    return q",
            "q = np.full(n, eps)\n    q[k] = 1 - eps\n    return q",
        ],
    ),
    Formula(
        "gap(n, eps)",
        lambda n, eps: np.log(1 + n * (1 - eps) / eps),
        [(10, 0.1), (3, 0.3)],
        [
            "return np.log((1 - eps) / eps)",
            "return np.log(n * (1 - eps) / eps)",
            "return np.log10(1 + n * (1 - eps) / eps)",
            "return 1 + n * (1 - eps) / eps",
        ],
    ),
    Formula(
        "input_gradient(g, xhat, gamma, sigma)",
        _batchnorm,
        [
            (np.array([1.0, -2.0, 0.5, 1.5]), np.array([1.0, -1.0, 1.4, -1.4]), 2.0, 0.5),
            (np.array([0.3, 1.0]), np.array([1.0, -1.0]), 0.7, 3.0),
            (np.array([0.3, 1.0, -0.4]), np.array([1.2, -1.2, 0.1]), 0.7, 3.0),
        ],
        [
            "return gamma / sigma * g",
            "return gamma / sigma * (g - g.mean())",
            "return gamma / sigma * (g - g.mean() - xhat * g.mean())",
            "return gamma * (g - g.mean() - xhat * (g * xhat).mean())",
            "return gamma / sigma * (g - g.mean() - xhat * (g * xhat).sum())",
        ],
    ),
    Formula(
        "descended(mu, lr, steps)",
        lambda mu, lr, steps: 1 - (1 - lr * mu) ** steps,
        [(2.0, 0.1, 5), (0.3, 0.5, 10)],
        [
            "return (1 - lr * mu) ** steps",
            "return 1 - np.exp(-mu * steps)",
            "return 1 - 1 / (1 + lr * mu * steps)",
            "return 1 - (1 - mu) ** steps",
            "return 1 - (1 - lr * mu * steps)",
        ],
    ),
    Formula(
        "prior_strength(sigma, tau)",
        lambda sigma, tau: sigma**2 / tau**2,
        [(2.0, 0.5), (0.3, 3.0)],
        [
            "return sigma / tau",
            "return tau ** 2 / sigma ** 2",
            "return 1 / tau ** 2",
            "return sigma ** 2 * tau ** 2",
        ],
    ),
    Formula(
        "adamw_end(a, lam)",
        lambda a, lam: np.clip(a, -1 / lam, 1 / lam),
        [(3.0, 0.5), (0.7, 1.0), (-4.0, 1.0), (-0.2, 3.0)],
        [
            "return np.clip(a, -lam, lam)",
            "return a / (1 + lam)",
            "return min(a, 1 / lam)",
        ],
    ),
    Formula(
        "dropout_strength(x, p)",
        lambda x, p: (1 - p) / p * (x**2).mean(axis=0),
        [(_array(6, 3), 0.8), (_array(5, 2, seed=2), 0.5)],
        [
            "return (1 - p) / p",
            "return p / (1 - p) * (x**2).mean(axis=0)",
            "return (1 - p) / p * x.mean(axis=0) ** 2",
            "return (1 - p) / p * (x**2).mean()",
            "return (1 - p) / p * (x**2).mean(axis=1)",
            "return (1 - p) / p * (x**2).sum(axis=0)",
        ],
    ),
    Formula(
        "adam_step(m, v, t, b1, b2, eps)",
        _adam,
        [(0.3, 0.04, 2, 0.9, 0.99, 1e-3), (-1.0, 0.5, 10, 0.8, 0.9, 1e-2)],
        [
            "return m / (np.sqrt(v) + eps)",
            "return m / (1 - b1**t) / np.sqrt(v / (1 - b2**t) + eps)",
            "return m / (1 - b1**t) / (v / (1 - b2**t) + eps)",
            "return m / (1 - b1*t) / (np.sqrt(v / (1 - b2*t)) + eps)",
        ],
    ),
]

# What does not run, or is not an answer: the signature is left_over's unless it is given.
CODE = [
    "def left_over(lr, strength, steps)\n    return (1 - lr * strength) ** steps",
    "def left_over(lr, strength, steps):\n    return (1 - lr * strength ** steps",
    "def left_over(lr, strength, steps):\n    return (1 - lr * strength) ^ steps",
    "def left_over(lr, strength, steps):\n    (1 - lr * strength) ** steps",
    "def left_over(lr, strength, steps):\n    print((1 - lr * strength) ** steps)",
    "def left_over(lr, strength, steps):\n    return (1 - lr * strenght) ** steps",
    "def left_over(lr, strength, steps):\n    return math.pow(1 - lr * strength, steps)",
    "def left_over(lr, strength, steps):\n    return (1 - lr strength) ** steps",
    "def left_over(lr, strength, steps):\n    return exp(-lr * strength * steps)",
    "def left_over(lr, strength, steps):\nreturn (1 - lr * strength) ** steps",
    "def left_over(lr, strength, steps):\n    return (1 - lr(strength)) ** steps",
    "def left_over(lr, strength):\n    return (1 - lr * strength) ** 20",
    "def leftover(lr, strength, steps):\n    return (1 - lr * strength) ** steps",
    "def left_over(lr, strength, steps):\n    return (1 − lr * strength) ** steps",
    "def left_over(lr, strength, steps):\n    return 1 - 2lr * strength",
    "def left_over(lr, lambda, steps):\n    return (1 - lr * lambda) ** steps",
    "def left_over(lr, strength, steps):\n"
    "    for t in range(steps):\n    left = 1 - lr * strength\n    return left",
    "def left_over(lr, strength, steps):\n"
    "    for t in range(steps):\n        left = left * (1 - lr * strength)\n    return left",
    "def left_over(lr, strength, steps):\n    return np.power(1 - lr * strength, step)",
    "def left_over(lr, strength, steps):\n    return np.exponential(-lr * strength * steps)",
    "def left_over(lr, strength, steps):\n    return f'{(1 - lr * strength) ** steps}'",
]
