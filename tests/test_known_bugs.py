"""Bugs that real frameworks shipped, planted here one at a time: a test of the suite catches each.

Every row of BUGS names the thread it comes from, how the library is spoilt, and the test that
must fail then (and passes without).
"""

import dataclasses
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import numpy as np
import pytest

import minireg as mr
from minireg import objective, optim
from minireg.ops.arrays import length
from minireg.optim import pipeline as optimizer
from minireg.optim.pipeline import Optimizer
from minireg.penalties import L1, L2, GroupLasso, NuclearNorm, SpectralNorm, groups, spectral
from minireg.penalties.base import Penalty


def contents(file):
    """The tests of another file, by name: they are what must fail here."""
    return SimpleNamespace(**run_path(str(Path(__file__).parent / file)))


test_objective = contents("test_objective.py")
test_optim = contents("optim/test_optim.py")
test_penalties = contents("penalties/test_penalties.py")
test_penalty_check = contents("check/test_penalty_check.py")
test_spectral_norm = contents("penalties/test_spectral_norm.py")

# --- how the library is spoilt --------------------------------------------------------------------


def option(kind, name, change):
    """Its update with another value of one option."""
    update = kind._update
    return kind, "_update", lambda self, step, first, group: update(
        self, step, first, group | {name: change(group[name])}
    )  # fmt: skip


def default(on):
    """Terms without ``on=`` apply to what ``on`` says."""
    select = objective.Term.select

    def chosen(self, label, parameters):
        other = dataclasses.replace(self, on=on) if self.on is None else self
        return select(other, label, parameters)

    return objective.Term, "select", chosen


def silent(self, label, parameters, select=objective.Term.select):
    try:
        return select(self, label, parameters)
    except ValueError:
        return {}


def unscaled(self):
    """The penalties joined the loss while it was multiplied by the loss scale."""
    parts = [v if n in self.loss else v * (1 / 1024) for n, v in self.items()]
    return sum(parts[1:], parts[0])


def due_if_frozen(self):
    for group in self.param_groups:
        for p in group["params"]:
            p.grad = mr.Tensor(np.zeros_like(p.data)) if p.grad is None else p.grad
            yield p, p.grad.data, group


def clips_the_data_only(parameters, max_norm):
    for p in parameters:
        penalty = sum(g for term, g in p.grad.shares.items() if term != "data")
        p.grad.data[...] -= penalty
        optim.clip_grad_norm_(p, max_norm)
        p.grad.data[...] += penalty
    return None, mr.tensor(1.0)


def clips_with_the_decay(parameters, max_norm):
    for p in parameters:
        p.grad.data[...] += 50.0 * p.data
        optim.clip_grad_norm_(p, max_norm)
        p.grad.data[...] -= 50.0 * p.data
    return None, mr.tensor(1.0)


def random_in_evaluation(self, w, follow=SpectralNorm._follow):
    if not mr.is_grad_enabled() and id(w) not in self.vectors:
        v = np.ones(w.shape[1]) / w.shape[1] ** 0.5
        u = w.data @ v
        return length(u), u / length(u), v
    return follow(self, w)


def overwrites_its_vectors(self, w, follow=SpectralNorm._follow):
    size, u, v = follow(self, w)
    buffer = vars(self).setdefault("buffer", np.empty_like(v))
    buffer[...] = v
    return size, u, buffer


def through_the_svd(penalty, w):
    """The general rule of the SVD, which divides by differences of squared singular values."""
    u, s, vt = np.linalg.svd(w)
    with np.errstate(all="ignore"):
        f = np.where(np.eye(len(s), dtype=bool), 0, 1 / (s[None] ** 2 - s[:, None] ** 2))
        return penalty.strength * (u @ vt + 0 * u @ f @ vt)


def times(factor, method):
    return lambda self, *args: factor * method(self, *args)


def checked(penalty):
    """check_penalty as a test."""

    def check():
        with np.errstate(all="ignore"):
            assert test_penalty_check.check_penalty(penalty, trials=5)

    return check


# --- the bugs -------------------------------------------------------------------------------------

shrinks = test_optim.test_weight_decay_shrinks_without_a_gradient_of_the_data
has_an_effect = test_optim.test_a_penalty_has_an_effect
ends_stationary = test_optim.test_prox_ends_where_the_objective_is_stationary
exact_zeros = test_objective.test_prox_makes_zeros_exact_and_the_gradient_does_not
balances = test_objective.test_total_is_mean_loss_plus_penalties
ordered = test_objective.test_clipping_comes_after_the_penalties_and_before_the_decay

# bug: (thread, [(where, name, what instead)], the test that catches it)
BUGS = {
    # wrong or silent
    "decay adds instead of shrinking": (
        "chainer/chainer#261", [option(optim.SGD, "weight_decay", lambda wd: -wd)], lambda: shrinks("SGD")),
    "penalty adds instead of shrinking": (
        "chainer/chainer#261", [(L2, "gradient", times(-1, L2.gradient))], checked(L2(0.7))),
    "decay has no effect": (
        "tinygrad/tinygrad#17708", [option(optim.Adam, "weight_decay", lambda wd: 0.0)],
        lambda: shrinks("AdamW")),
    "decay has no effect under Adam": (
        "tinygrad/tinygrad#17708", [option(optim.Adam, "weight_decay", lambda wd: 0.0)],
        lambda: shrinks("Adam")),
    "any strength gives the same weights": (
        "aigamedev/scikit-neuralnetwork#197",
        [(objective.Term, "select", lambda self, label, parameters: {})],
        lambda: has_an_effect("SGD", "L2", "gradient")),
    "penalty inside the loss scale": (
        "chainer/chainer#7335", [(objective.Terms, "total", property(unscaled))], balances),
    "clip before the penalty": (
        "apache/mxnet#9881", [(optimizer, "clip_factor", clips_the_data_only)],
        lambda: ordered(50.0, 0.0)),
    "clip after the decay": (
        "apache/mxnet#9881", [(optimizer, "clip_factor", clips_with_the_decay)],
        lambda: ordered(0.0, 50.0)),
    "prox without its step": (
        "glm-tools/pyglmnet#383",
        [(L1, "prox", lambda self, v, step: test_penalties.soft_threshold(v, self.strength))],
        checked(L1(0.7))),
    "prox without the learning rate": (
        "glm-tools/pyglmnet#383", [(optim.SGD, "_prox_step", lambda self, state, group: 1.0)],
        lambda: ends_stationary("SGD")),
    "prox without what momentum adds": (
        "glm-tools/pyglmnet#383", [(optim.SGD, "_prox_step", lambda self, state, group: group["lr"])],
        lambda: ends_stationary("momentum")),
    "group lasso that is not sparse": (
        "glm-tools/pyglmnet#296",
        [(GroupLasso, "prox", lambda self, v, step: v - step * self.gradient(v))],
        checked(GroupLasso(0.5))),
    "weights oscillate around 0": (
        "torch/optim#41",
        [(L1, "prox", lambda self, v, step: v - step * self.gradient(v))], lambda: exact_zeros("SGD")),
    "no exact zeros under Adam": (
        "cossio/RestrictedBoltzmannMachines.jl#168",
        [(optim.Adam, "_after_step", lambda self, u: iter(()))], lambda: exact_zeros("Adam")),
    "group norm without the root": (
        "wenwei202/caffe#36",
        [(groups, "norms", lambda rows: np.square(rows).sum(axis=1, keepdims=True))],
        checked(GroupLasso(0.5))),
    "group lasso that is plain L2 throughout": (
        "wenwei202/caffe#36, openopt/chop#26",
        [(GroupLasso, "value", lambda self, w: L2(self.strength).value(w)),
         (GroupLasso, "gradient", lambda self, w: L2(self.strength).gradient(w)),
         (GroupLasso, "prox", lambda self, v, step: L2(self.strength).prox(v, step))],
        lambda: test_penalty_check.test_identity("groups of one = L1")),
    "frozen parameters decay": (
        "iamwangyabin/S-Prompts#2", [(Optimizer, "_due", due_if_frozen)],
        lambda: test_objective.test_frozen_parameters_are_never_touched("gradient")),
    # which parameters
    "biases and norms regularized by default": (
        "ServiceNow/Fast-LLM#545", [default("*")], lambda: test_objective.test_selector_chooses("default")),
    "weights told by their number of axes": (
        "google-deepmind/optax#25", [default(lambda name, p: p.ndim > 1)],
        test_objective.test_a_weight_of_one_dimension_is_a_weight),
    "a pattern that matches nothing is silent": (
        "huggingface/transformers#4360", [(objective.Term, "select", silent)],
        lambda: test_objective.test_a_selector_without_a_match_lists_near_misses("misspelt")),
    # Adam + L2 or AdamW
    "AdamW is Adam": (
        "pytorch/pytorch#38767", [(optim.AdamW, "decays", optim.Adam.decays)],
        test_optim.test_coupled_decay_is_an_l2_gradient_and_decoupled_decay_is_not),
    # conventions of strength
    "penalty divided by the batch size": (
        "scikit-learn/scikit-learn#6780",
        [(Penalty, "over", times(1 / 8, Penalty.over))], balances),
    "a factor of 2 in the L2 part": (
        "mathurinm/celer#230",
        [(L2, "value", times(2, L2.value)), (L2, "gradient", times(2, L2.gradient)),
         (L2, "prox", lambda self, v, step, prox=L2.prox: prox(self, v, 2 * step))],
        lambda: test_penalties.test_prox_minimises_by_brute_force("L2")),
    # kinks, norms, spectra
    "NaN at the kink": (
        "HIPS/autograd#151", [(groups, "ratio", lambda a, b: a / b)], checked(GroupLasso(0.5))),
    "nuclear norm through the derivative of the SVD": (
        "pytorch/pytorch#194705",
        [(NuclearNorm, "gradient", through_the_svd)],
        test_spectral_norm.test_repeated_singular_values_make_no_nan),
    "power iteration advances in evaluation": (
        "pytorch/pytorch#8208", [(spectral, "is_grad_enabled", lambda: True)],
        test_spectral_norm.test_evaluation_never_advances),
    "silently random if evaluated first": (
        "pytorch/pytorch#51800", [(SpectralNorm, "_follow", random_in_evaluation)],
        test_spectral_norm.test_evaluation_may_come_first),
    "singular vectors overwritten in place": (
        "pytorch/pytorch#62293", [(SpectralNorm, "_follow", overwrites_its_vectors)],
        test_spectral_norm.test_an_earlier_graph_keeps_its_vectors),
    "no gradient where nothing is trained": (
        "pytorch/pytorch#12737", [(SpectralNorm, "__call__", lambda self, w: mr.Tensor(self.value(w.data)))],
        test_spectral_norm.test_an_evaluated_model_has_a_gradient),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_the_bug_is_caught(bug, monkeypatch):
    thread, plants, test = BUGS[bug]
    assert "#" in thread
    test()
    for where, name, instead in plants:
        monkeypatch.setattr(where, name, instead)
    with pytest.raises((AssertionError, pytest.fail.Exception, RuntimeError)):
        test()
