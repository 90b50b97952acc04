"""Objective: the books balance, selectors choose what they say, prox terms act after the step."""

import copy
import re
import warnings

import numpy as np
import pytest
from support.arrays import draw

import minireg as mr
from minireg import nn, optim
from minireg.penalties import (
    L0,
    L1,
    L2,
    Box,
    Coefficient,
    ElasticNet,
    FrobeniusNorm,
    GroupLasso,
    L1Ball,
    L2Ball,
    MaxNorm,
    NonNegative,
    NuclearNorm,
    PathNorm,
    Simplex,
    SparseGroupLasso,
    SpectralBall,
    SpectralNorm,
    scaled,
    translated,
)
from minireg.penalties.base import Penalty, Strength

C = 3
LOSS = nn.CrossEntropyLoss(label_smoothing=0.2)


class Tied(nn.Module):
    """A linear layer that is used twice, known under two names, and penalised once."""

    def __init__(self):
        self.inner = nn.Linear(5, 5, dtype=np.float64)
        self.norm = nn.BatchNorm(5, dtype=np.float64)
        self.again = self.inner
        self.head = nn.Linear(5, C, dtype=np.float64)

    def forward(self, x):
        return self.head(mr.tanh(self.again(self.norm(self.inner(x)))))


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(5, 6), nn.BatchNorm(6), nn.ReLU(), nn.Linear(6, C, bias=False)
    ).to(np.float64)  # fmt: skip


MODELS = {"mlp": mlp, "shared": Tied}
LOSSES = {
    "smoothed": LOSS,
    "plain": nn.CrossEntropyLoss(),
    "weighted": nn.CrossEntropyLoss(weight=np.array([1.0, 2.0, 0.5]), label_smoothing=0.1),
    "summed": nn.CrossEntropyLoss(reduction="sum", label_smoothing=0.1),
}
PENALTIES = {
    "l2": L2(0.1),
    "l1": (L1(0.01), "*weight"),
    "both": (ElasticNet(0.02, 0.3), lambda name, p: p.ndim == 1),
}


def batch(model: nn.Module) -> tuple[nn.Module, mr.Tensor, np.ndarray]:
    return model, mr.Tensor(draw(8, 5)), np.arange(8) % C


def gradients(model: nn.Module) -> dict[str, np.ndarray]:
    return {n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}


# --- the books balance ----------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", MODELS)
def test_shares_sum_to_the_gradient(model, loss):
    args = batch(MODELS[model]())
    objective = mr.Objective(LOSSES[loss], PENALTIES)
    terms = objective(*args)
    expected = ["data", *(["smoothing"] if LOSSES[loss].label_smoothing else []), *PENALTIES]
    assert list(terms) == expected
    assert len(terms) == len(expected)
    terms.backward()
    assert list(terms.gradients) == expected
    together = gradients(args[0])
    assert together.keys() == dict(args[0].named_parameters()).keys()
    for name, total in together.items():
        shares = [g[name].numpy() for g in terms.gradients.values() if name in g]
        np.testing.assert_allclose(sum(shares), total, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", MODELS)
def test_one_pass_gives_the_same_gradient(model, loss):
    args = batch(MODELS[model]())
    objective = mr.Objective(LOSSES[loss], PENALTIES)
    terms = objective(*args)
    terms.backward()
    by_term = gradients(args[0])
    args[0].zero_grad()
    terms = objective(*args)
    terms.backward(attribute=False)
    assert terms.gradients == {}
    for name, g in gradients(args[0]).items():
        np.testing.assert_allclose(g, by_term[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("attribute", [True, False])
def test_backward_accumulates(attribute):
    args = batch(mlp())
    objective = mr.Objective(LOSS, PENALTIES)
    objective(*args).backward(attribute)
    once = gradients(args[0])
    objective(*args).backward(attribute)
    for name, g in gradients(args[0]).items():
        np.testing.assert_allclose(g, 2 * once[name], rtol=1e-12, atol=1e-14)


def test_each_share_is_the_gradient_of_its_term():
    args = batch(mlp())
    objective = mr.Objective(LOSS, PENALTIES)
    terms = objective(*args)
    terms.backward()
    parameters = dict(args[0].named_parameters())
    for term in terms:
        wanted = mr.grad(objective(*args)[term], [*parameters.values()], allow_unused=True)
        for name, g in zip(parameters, wanted, strict=True):
            assert (name in terms.gradients[term]) == (g is not None)
            if g is not None:
                np.testing.assert_array_equal(terms.gradients[term][name].numpy(), g.numpy())


def test_a_penaltys_share_is_its_closed_form():
    args = batch(mlp())
    terms = mr.Objective(LOSS, PENALTIES)(*args)
    terms.backward()
    for name, p in args[0].named_parameters():
        if name.endswith("weight"):
            share = terms.gradients["l1"][name].numpy()
            np.testing.assert_array_equal(share, L1(0.01).gradient(p.data))


@pytest.mark.parametrize("attribute", [True, False])
def test_what_another_loss_adds_is_a_share_and_takes_no_debt_away(attribute):
    """A plain backward after terms.backward() threw the shares away, and what the prox still owed."""
    model, x, y = batch(mlp())
    objective = mr.Objective(LOSS, {"l2": L2(0.1), "l1": (L1(0.01), None, "prox")}).bind(model)
    objective.attach(optim.SGD(model.parameters(), 0.1))
    other = lambda: (model(x) ** 2).sum()
    objective(model, x, y).backward(attribute)
    before = gradients(model)
    other().backward()
    added = mr.grad(other(), [*model.parameters()])
    for (name, p), g in zip(model.named_parameters(), added, strict=True):
        np.testing.assert_allclose(p.grad.data, before[name] + g.data, rtol=1e-12)
        if attribute:
            assert [*p.grad.shares][-1] == "gradient"
            np.testing.assert_allclose(p.grad.shares["gradient"], g.data, rtol=1e-12)
    other().backward()
    if attribute:
        np.testing.assert_allclose(p.grad.shares["gradient"], 2 * g.data, rtol=1e-12)
    with pytest.raises(RuntimeError, match="'l1' acts via its prox, which this optimizer does not"):
        optim.SGD(model.parameters(), 0.1).step()


class ByValue(Penalty):
    """L2, of which nothing but the value is written down, as in a user's first penalty."""

    strength = Strength()

    def __init__(self, strength):
        self.strength = strength

    def value(self, w):
        return 0.5 * self.strength * (w * w).sum()


def test_a_penalty_known_by_its_value_trains_like_its_closed_form():
    args, found = batch(mlp()), []
    for penalty in (L2(0.3), ByValue(0.3)):
        objective = mr.Objective(LOSS, {"own": penalty})
        for backward in (
            lambda terms: terms.backward(),
            lambda terms: terms.backward(attribute=False),
            lambda terms: terms.total.backward(),
        ):
            args[0].zero_grad()
            backward(objective(*args))
            found.append(gradients(args[0]))
    for other in found[1:]:
        for name, g in other.items():
            np.testing.assert_allclose(g, found[0][name], rtol=1e-12, atol=1e-14)
    with mr.no_grad():
        np.testing.assert_array_equal(ByValue(0.5).gradient(draw(3)), 0.5 * draw(3))


def test_total_is_mean_loss_plus_penalties():
    model, x, y = batch(mlp())
    terms = mr.Objective(LOSS, {"l2": L2(0.1)})(model, x, y)
    weights = [p for p in model.parameters() if p.kind == "weight"]
    expected = LOSS(model(x), y).item() + sum(0.05 * (w.data**2).sum() for w in weights)
    assert terms.total.item() == pytest.approx(expected, rel=1e-14)
    assert sum(t.item() for t in terms.values()) == pytest.approx(expected, rel=1e-14)


def test_batch_norm_counts_a_batch_once_for_all_terms():
    args = batch(mlp())
    mr.Objective(LOSS, PENALTIES)(*args).backward()
    assert args[0][1].num_batches_tracked.item() == 1


def test_no_share_aliases_another_or_the_gradient():
    args = batch(nn.Linear(5, C, dtype=np.float64))
    terms = mr.Objective(nn.CrossEntropyLoss())(*args)
    terms.backward()
    arrays = [g.data for share in terms.gradients.values() for g in share.values()]
    arrays += [p.grad.data for p in args[0].parameters()]
    for i, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[:i])


def test_logit_gradient_of_the_smoothing_term():
    """Claim C80, through the objective: ε(q − 1/C)/N, whatever the logits."""
    logits = nn.Linear(C, C, bias=False, dtype=np.float64)
    x, y = mr.Tensor(np.eye(C)), np.array([2, 0, 1])  # so logits = Wᵀ
    terms = mr.Objective(LOSS)(logits, x, y)
    terms.backward()
    got = terms.gradients["smoothing"]["weight"].numpy().T
    np.testing.assert_allclose(got, 0.2 * (np.eye(C)[y] - 1 / C) / C, atol=1e-16)


def test_statistics_add_up():
    args = batch(mlp())
    terms = mr.Objective(LOSS, PENALTIES)(*args)
    with pytest.raises(RuntimeError, match="call backward"):
        terms.statistics()
    terms.backward()
    rows = {row["term"]: row for row in terms.statistics()}
    assert list(rows) == list(terms)
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    assert rows["data"]["cosine"] == pytest.approx(1)
    for name, row in rows.items():
        flat = {k: g.numpy().ravel() for k, g in terms.gradients[name].items()}
        data = {k: g.numpy().ravel() for k, g in terms.gradients["data"].items()}
        norm = np.linalg.norm(np.concatenate([*flat.values()]))
        scale = norm * np.linalg.norm(np.concatenate([*data.values()]))
        assert row["value"] == terms[name].item()
        assert row["norm"] == pytest.approx(norm)
        assert row["cosine"] == pytest.approx(sum(flat[k] @ data[k] for k in flat) / scale)


def test_terms_of_strength_zero_have_no_direction():
    terms = mr.Objective(nn.MSELoss(), {"l1": L1(0.0)})(nn.Linear(2, 1), draw(4, 2), draw(4, 1))
    terms.backward()
    row = terms.statistics()[1]
    assert (row["norm"], row["share"], row["cosine"]) == (0, 0, 0)


# --- selectors ------------------------------------------------------------------------------------

NAMES = ["0.weight", "0.bias", "1.weight", "1.bias", "3.weight"]

# label: (on=, what it chooses in the mlp)
SELECTORS = {
    "default": (None, ["0.weight", "3.weight"]),
    "one name": ("1.bias", ["1.bias"]),
    "glob": ("*.weight", ["0.weight", "1.weight", "3.weight"]),
    "question mark": ("?.bias", ["0.bias", "1.bias"]),
    "everything": ("*", NAMES),
    "list": (["0.*", "3.weight"], ["0.weight", "0.bias", "3.weight"]),
    "overlapping list": (["0.*", "*.bias"], ["0.weight", "0.bias", "1.bias"]),
    "tuple": (("1.*",), ["1.weight", "1.bias"]),
    "predicate on the parameter": (lambda name, p: p.kind == "norm", ["1.weight", "1.bias"]),
    "predicate on the name": (lambda name, p: name < "1", ["0.weight", "0.bias"]),
}  # fmt: skip


@pytest.mark.parametrize("label", SELECTORS)
def test_selector_chooses(label):
    on, chosen = SELECTORS[label]
    args = batch(mlp())
    terms = mr.Objective(LOSS, {"l2": (L2(0.1), on)})(*args)
    terms.backward()
    assert sorted(terms.gradients["l2"]) == sorted(chosen)
    values = [0.05 * (p.data**2).sum() for n, p in args[0].named_parameters() if n in chosen]
    assert terms["l2"].item() == pytest.approx(sum(values))


# label: (on=, message)
MISSES = {
    "misspelt": ("0.wieght", "term 'l2': on='0.wieght' matches no parameter; near: 0.weight"),
    "one of a list": (["0.weight", "7.*"], r"on='7.\*' matches no parameter; near: "),
    "nothing near": ("zzz", "on='zzz' matches no parameter; near: " + ", ".join(NAMES)),
    "case": ("*.Weight", r"on='\*.Weight' matches no parameter; near: .*weight"),
    "predicate": (lambda name, p: False, "'l2': the selector matches none of 0.weight, 0.bias"),
    "empty list": ([], "objective term 'l2': the selector matches none of"),
}  # fmt: skip


@pytest.mark.parametrize("label", MISSES)
def test_a_selector_without_a_match_lists_near_misses(label):
    on, message = MISSES[label]
    with pytest.raises(ValueError, match=message):
        mr.Objective(LOSS, {"l2": (L2(0.1), on)}).bind(mlp())


def test_a_shared_parameter_is_penalised_once():
    model = Tied()
    terms = mr.Objective(nn.CrossEntropyLoss(), {"l2": (L2(2.0), "inner.weight")})(*batch(model))
    assert terms["l2"].item() == pytest.approx((model.inner.weight.data**2).sum())


@pytest.mark.parametrize("via", ["gradient", "prox"])
def test_frozen_parameters_are_never_touched(via):
    model, x, y = batch(mlp())
    model[0].requires_grad_(False)
    frozen = model[0].weight.data.copy()
    optimizer = optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    objective = mr.Objective(LOSS, {"l1": (L1(0.1), None, via)}).bind(model).attach(optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        terms = objective(model, x, y)
        terms.backward()
        optimizer.step()
    np.testing.assert_array_equal(model[0].weight.data, frozen)
    assert model[0].weight.grad is None
    assert not any("0.weight" in share for share in terms.gradients.values())
    assert objective.assignments()[0].why == "frozen: never touched"


def test_a_term_whose_parameters_are_all_frozen_is_zero():
    model, x, y = batch(mlp())
    model[0].requires_grad_(False)
    terms = mr.Objective(LOSS, {"l2": (L2(1.0), "0.weight")})(model, x, y)
    terms.backward()
    assert terms["l2"].item() == 0
    assert terms.gradients["l2"] == {}


def test_a_new_model_is_bound_by_itself():
    objective = mr.Objective(LOSS, {"l2": L2(1.0)})
    for model in (mlp(), Tied(), mlp()):
        terms = objective(*batch(model))
        weights = [p.data for p in model.parameters() if p.kind == "weight"]
        assert terms["l2"].item() == pytest.approx(sum(0.5 * (w**2).sum() for w in weights))


def test_the_choice_follows_what_is_unfrozen_or_replaced():
    model, x, y = batch(mlp())
    model[0].requires_grad_(False)
    objective = mr.Objective(LOSS, {"l2": L2(1.0)})
    for change in (
        lambda: None,
        lambda: model[0].requires_grad_(True),
        lambda: setattr(model[3], "weight", nn.Parameter(draw(C, 6))),
        lambda: setattr(model[3], "weight", nn.Parameter(draw(C, 6, seed=1))),
    ):
        change()
        weights = [p.data for p in model.parameters() if p.kind == "weight" and p.requires_grad]
        expected = sum(0.5 * (w**2).sum() for w in weights)
        assert objective(model, x, y)["l2"].item() == pytest.approx(expected)


def test_a_parameter_unfrozen_after_attach_is_owed_its_prox():
    model, x, y = batch(mlp())
    model[0].requires_grad_(False)
    optimizer = optim.SGD(model.parameters(), 0.1)
    objective = mr.Objective(LOSS, {"l1": (L1(1.0), None, "prox")}).bind(model).attach(optimizer)
    model[0].requires_grad_(True)
    objective(model, x, y).backward()
    with pytest.raises(RuntimeError, match=r"'l1' acts via its prox.*objective\.attach"):
        optimizer.step()
    objective.attach(optimizer)
    optimizer.step()


# --- the assignment table -------------------------------------------------------------------------

TABLE = """\
parameter  shape   kind    penalties                 why
0.weight   (6, 5)  weight  l2 (gradient), l1 (prox)  chosen by on=
0.bias     (6,)    bias    –                         frozen: never touched
1.weight   (6,)    norm    norms (gradient)          chosen by on=
1.bias     (6,)    norm    –                         default: no norms
3.weight   (3, 6)  weight  l2 (gradient)             default: weights"""


def test_table_says_what_acts_on_what_and_why():
    model = mlp()
    model[0].bias.requires_grad_(False)
    objective = mr.Objective(
        LOSS, {"l2": L2(0.1), "l1": (L1(0.1), "0.weight", "prox"), "norms": (L2(1), ["1.weight"])}
    )
    assert objective.table(model) == TABLE
    assert objective.table() == TABLE


def test_the_table_shows_which_biases_and_norms_weight_decay_reaches():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm(2))
    objective = mr.Objective(nn.MSELoss(), {"l2": L2(0.1)})
    some, rest = list(model[0].parameters()), list(model[1].parameters())
    groups = [{"params": some, "weight_decay": 0.01}, {"params": rest[:1]}]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which says the same
        optimizer = optim.AdamW(groups, weight_decay=0)
    *rows, last = objective.table(model, optimizer).splitlines()
    assert rows[0].split() == ["parameter", "shape", "kind", "penalties", "decay", "why"]
    assert last == (
        "weight decay reaches biases and norms (0.bias): mr.optim.decay_groups spares them"
    )
    assert [r.decay for r in objective.assignments(model, optimizer)] == [0.01, 0.01, 0, 0]
    weights = {"params": some[:1], "weight_decay": 0.01}, {"params": rest}
    assert "reaches" not in objective.table(model, optim.AdamW(weights, weight_decay=0))


def test_a_weight_that_no_term_chooses_is_told():
    rows = mr.Objective(LOSS, {"l2": (L2(0.1), "0.weight")}).assignments(mlp())
    assert {r.parameter: r.why for r in rows}["3.weight"] == "no term chooses it"


def test_terms_print_as_their_values():
    terms = mr.Objective(nn.MSELoss(), {"l2": L2(0.5)})(*batch(mlp())[:2], np.ones((8, C)))
    expected = ", ".join(f"{name}={value.item():.4g}" for name, value in terms.items())
    assert repr(terms) == f"Terms({expected})"


def test_repr_of_an_objective():
    objective = mr.Objective(nn.MSELoss(), {"l2": L2(0.1), "l1": (L1(0.5), "*")})
    assert repr(objective) == (
        "Objective: mean loss + penalties\n  data: MSELoss()  (x − y)²\n"
        "  l2: L2(0.1): ½λ‖w‖²\n  l1: L1(0.5): λ‖w‖₁"
    )


# --- prox terms -----------------------------------------------------------------------------------


def sparse(model: nn.Module, strength: float = 0.1) -> mr.Objective:
    return mr.Objective(nn.MSELoss(), {"l1": (L1(strength), None, "prox")}).bind(model)


def regression() -> tuple[mr.Tensor, mr.Tensor]:
    x = draw(32, 5)
    return mr.Tensor(x), mr.Tensor(x[:, :1] - 2 * x[:, 1:2])


def train(model: nn.Module, objective: mr.Objective, optimizer: optim.Optimizer) -> None:
    x, y = regression()
    for _ in range(300):
        optimizer.zero_grad()
        objective(model, x, y).backward()
        optimizer.step()


@pytest.mark.parametrize("grad", [True, False])
def test_prox_needs_an_optimizer_that_applies_it(grad):
    model = nn.Linear(5, 1, dtype=np.float64)
    objective, data = sparse(model), regression()
    if grad:
        with pytest.raises(RuntimeError, match=r"'l1' acts via its prox.*\.attach\(optimizer\)"):
            objective(model, *data)
    else:
        with mr.no_grad():  # to look at values needs none
            assert objective(model, *data)["l1"].item() > 0


def test_attach_needs_a_model():
    optimizer = optim.SGD([mr.Tensor(np.ones(1), requires_grad=True)])
    with pytest.raises(RuntimeError, match=r"call objective.bind\(model\) first"):
        mr.Objective(nn.MSELoss()).attach(optimizer)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "ProximalGradient"])
def test_prox_makes_zeros_exact_and_the_gradient_does_not(name):
    counts = {}
    for via in ("prox", "gradient"):
        mr.manual_seed(0)
        model = nn.Linear(5, 1, dtype=np.float64)
        optimizer = getattr(optim, name)(model.parameters(), lr=0.02)
        objective = mr.Objective(nn.MSELoss(), {"l1": (L1(1.0), None, via)})
        train(model, objective.bind(model).attach(optimizer), optimizer)
        counts[via] = int((model.weight.data == 0).sum())
    assert counts["prox"] >= 3
    assert counts["gradient"] == 0


@pytest.mark.parametrize("attribute", [True, False])
def test_a_prox_term_has_a_value_but_no_gradient(attribute):
    model = nn.Linear(5, 1, dtype=np.float64)
    x, y = regression()
    objective = sparse(model).attach(optim.SGD(model.parameters(), lr=0.1))
    terms = objective(model, x, y)
    terms.backward(attribute)
    got = model.weight.grad.numpy()
    assert terms["l1"].item() == pytest.approx(0.1 * np.abs(model.weight.data).sum())
    assert terms.total.item() == pytest.approx(terms["data"].item() + terms["l1"].item())
    assert terms.gradients.get("l1", {}) == {}
    (bare,) = mr.grad(nn.MSELoss()(model(x), y), model.weight)
    np.testing.assert_allclose(got, bare.numpy(), rtol=1e-14)


def test_prox_acts_on_the_chosen_parameters_only():
    model = nn.Linear(5, 1, dtype=np.float64)
    model.bias.assign(0.05)
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    sparse(model).attach(optimizer)
    for p in model.parameters():
        p.grad = mr.Tensor(0 * p.data)
    before = model.weight.data.copy()
    optimizer.step()
    np.testing.assert_allclose(model.weight.data, before - np.clip(before, -0.05, 0.05))
    assert model.bias.item() == 0.05


def test_attaching_twice_applies_the_prox_once():
    model = nn.Linear(5, 1, dtype=np.float64)
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    sparse(model).attach(optimizer).attach(optimizer)
    model.weight.assign(1.0)
    model.weight.grad = mr.Tensor(0 * model.weight.data)
    optimizer.step()
    np.testing.assert_allclose(model.weight.data, 0.95)


def test_each_optimizer_it_is_attached_to_applies_the_prox():
    model = nn.Linear(5, 1, dtype=np.float64)
    model.weight.assign(1.0)
    objective = sparse(model)
    for expected in (0.95, 0.90):
        optimizer = optim.SGD(model.parameters(), lr=0.5)
        objective.attach(optimizer)
        model.weight.grad = mr.Tensor(0 * model.weight.data)
        optimizer.step()
        np.testing.assert_allclose(model.weight.data, expected)


PROXES = {
    "l1": lambda: {"l1": (L1(0.2), None, "prox")}, "ball": lambda: {"ball": L2Ball(0.3)},
    "wide": lambda: {"ball": L2Ball(2.0)}, "two": lambda: {"l1": (L1(0.1), "*", "prox"), "l0": L0(0.1)},
    "none": dict,
}  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_an_optimizer_applies_what_was_attached_last(seed):
    """As if no other objective had been there, run after run; what was added by hand stays."""
    draws = np.random.default_rng(seed)
    model, hand = nn.Linear(5, 1, dtype=np.float64), L1(0.01)
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    optimizer.add_prox([model.bias], hand, "mine")
    for name in draws.choice([*PROXES], 6):
        objective = mr.Objective(nn.MSELoss(), PROXES[name]()).bind(model)
        start = draws.normal(size=5)
        got = []
        for made in (optimizer, optim.SGD(model.parameters(), lr=0.5)):
            if made is not optimizer:
                made.add_prox([model.bias], hand)
            model.weight.assign(start)
            model.bias.assign(0.7)
            objective.attach(made).attach(made)
            for p in model.parameters():
                p.grad = mr.Tensor(0 * p.data)
            made.step()
            got.append(np.append(model.weight.data, model.bias.data))
        np.testing.assert_array_equal(*got)


def test_what_another_objective_has_replaced_does_not_go_on_in_silence():
    model = nn.Linear(5, 1, dtype=np.float64)
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    first, second = sparse(model).attach(optimizer), sparse(model).attach(optimizer)
    for objective in (second, first):
        if objective is first:
            first(model, *regression()).backward()
            with pytest.raises(RuntimeError, match=r"'l1'.*call objective\.attach\(optimizer\)"):
                optimizer.step()
            first.attach(optimizer)
        optimizer.zero_grad()
        objective(model, *regression()).backward()
        optimizer.step()


def test_objectives_of_two_models_share_an_optimizer():
    models = [nn.Linear(5, 1, dtype=np.float64) for _ in range(2)]
    optimizer = optim.SGD([p for m in models for p in m.parameters()], lr=0.5)
    for objective in [sparse(m).attach(optimizer) for m in models]:
        objective(objective._model, *regression()).backward()
    for m in models:
        m.weight.assign(1.0)
        m.weight.grad.assign(0.0)
    optimizer.step()
    for m in models:
        np.testing.assert_allclose(m.weight.data, 0.95)


def test_a_new_model_needs_its_own_optimizer():
    """Otherwise the prox of the first model's optimizer would count for the second."""
    first, second = nn.Linear(5, 1, dtype=np.float64), nn.Linear(5, 1, dtype=np.float64)
    objective = sparse(first).attach(optim.SGD(first.parameters(), lr=0.5))
    with pytest.raises(RuntimeError, match="acts via its prox"):
        objective(second, *regression())
    optimizer = optim.SGD(second.parameters(), lr=0.5)
    objective.bind(second).attach(optimizer)
    second.weight.assign(1.0)
    second.weight.grad = mr.Tensor(0 * second.weight.data)
    optimizer.step()
    np.testing.assert_allclose(second.weight.data, 0.95)


# --- refusals -------------------------------------------------------------------------------------


def test_a_term_is_a_penalty():
    with pytest.raises(TypeError, match=r"Term: expected a Penalty, got 0.1"):
        mr.Objective(LOSS, {"l2": (0.1, "*")})


def test_a_term_acts_via_gradient_or_prox():
    with pytest.raises(ValueError, match=r"Term: via must be 'gradient' or 'prox', got 'both'"):
        mr.Term(L2(0.1), via="both")


# name: what has it; a term of the same name would be booked together with that
TAKEN = {
    "data": "a loss term", "smoothing": "a loss term", "total": "a loss term",
    "weight_decay": "the optimizer's own decay", "earlier": "momentum from before",
    "gradient": "what was in .grad", "edited": "what was done to .grad", "outside": "what changes",
    "decay": "the optimizer's decoupled", "noise": "the optimizer's own", "prox": "the prox of",
    "extrapolation": "the optimizer's own",
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_names_of_the_books_are_taken(name):
    with pytest.raises(ValueError, match=f"'{name}' is the name of {TAKEN[name]}"):
        mr.Objective(LOSS, {name: L2(0.1)})


def test_the_table_needs_a_model_once():
    with pytest.raises(RuntimeError, match=r"objective.table\(model\)"):
        mr.Objective(LOSS).table()


# --- how a term acts unless it says so ------------------------------------------------------------

BY_PROX = {
    "L0": L0(0.1), "L2Ball": L2Ball(1.0), "L1Ball": L1Ball(1.0), "MaxNorm": MaxNorm(1.0),
    "SpectralBall": SpectralBall(1.0), "Box": Box(-1.0, 1.0), "NonNegative": NonNegative(),
    "Simplex": Simplex(), "composed": scaled(L0(0.1), 2.0),
}  # fmt: skip


@pytest.mark.parametrize("label", BY_PROX)
def test_what_has_no_gradient_acts_via_its_prox(label):
    penalty = BY_PROX[label]
    assert mr.Term(penalty).via == "prox"
    with pytest.raises(ValueError, match=r"has no gradient that a step could use.*take via='prox'"):
        mr.Term(penalty, via="gradient")
    with pytest.raises(ValueError, match="has no gradient that a step could use"):
        mr.Objective(LOSS, {"p": (penalty, "*", "gradient")})
    model = nn.Linear(5, C, dtype=np.float64)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    objective = mr.Objective(LOSS, {"p": penalty}).bind(model).attach(optimizer)
    assert "p (prox)" in objective.table()
    terms = objective(*batch(model))
    terms.backward()
    assert not terms["p"].requires_grad
    assert terms.gradients["p"] == {}


def test_the_others_act_via_their_gradient():
    for penalty in (L1(0.1), L2(0.1), GroupLasso(0.1), NuclearNorm(0.1), PathNorm(0.1)):
        assert mr.Term(penalty).via == "gradient"
        if not penalty.joint:
            assert mr.Term(penalty, "*", "prox").via == "prox"


def test_a_weight_of_one_dimension_is_a_weight():
    """google-deepmind/optax#25: not ``ndim > 1`` decides, but what the parameter is for."""

    class Scale(nn.Module):
        def __init__(self):
            self.factor = nn.Parameter(np.array([2.0, -1.0]))
            self.shift = nn.Parameter(np.zeros((2, 2)), kind="bias")

    rows = mr.Objective(LOSS, {"l2": L2(0.1)}).assignments(Scale())
    assert {r.parameter: r.penalties for r in rows} == {"factor": "l2 (gradient)", "shift": "–"}


# --- strengths that change ------------------------------------------------------------------------


def test_fit_counts_the_updates_of_a_coefficient():
    rise, times = Coefficient(lambda t: 0.1 * t), []
    model = nn.Linear(5, 1, dtype=np.float64)
    objective = mr.Objective(nn.MSELoss(), {"l2": L2(rise), "l1": (L1(rise), None, "prox")})
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    history = mr.fit(
        model, objective, optimizer, (draw(12, 5), draw(12, 1)), epochs=3, batch_size=4
    )
    norm = (model.weight.data**2).sum()
    for epoch in range(3):  # 3 updates an epoch; the history looks at its first
        times.append(3 * epoch)
        assert history["value/l2"][epoch] == pytest.approx(0.05 * times[-1] * norm, rel=1e-12)
    assert rise.updates == 9  # shared by two terms, counted once an update


class Twice(Penalty):
    """A penalty of one's own, of another one."""

    def __init__(self, inner):
        self.inner = inner

    def value(self, w):
        return 2 * self.inner.value(w)

    def prox(self, v, step):
        return self.inner.prox(v, 2 * step)


def added(make):
    """An optimizer that gets the penalty by add_prox."""

    def made(parameters, penalty):
        optimizer = make(parameters)
        optimizer.add_prox(parameters, penalty)
        return optimizer

    return made


HOLDERS = {
    "ISTA": lambda p, penalty: optim.ProximalGradient(p, 0.01, penalty),
    "FISTA": lambda p, penalty: optim.ProximalGradient(p, 0.01, penalty, accelerated=True),
    "SGD": added(lambda p: optim.SGD(p, lr=0.01)), "Adam": added(lambda p: optim.Adam(p, lr=0.01)),
    "RMSprop": added(lambda p: optim.RMSprop(p, lr=0.01)),
}  # fmt: skip
WITHIN = {"itself": lambda p: p, "scaled": lambda p: scaled(p, 2.0), "one's own": Twice}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("within", WITHIN)
@pytest.mark.parametrize("holder", HOLDERS)
def test_every_coefficient_moves_once_an_update_whoever_holds_it(holder, within, shared):
    """One in the optimizer's own penalty stayed at its beginning: a training without the penalty."""
    if within == "one's own" and holder in ("Adam", "RMSprop"):
        pytest.skip("no prox with a step for each element")
    rise = Coefficient(lambda t: 10.0 * min(1, t))
    data = draw(12, 5), draw(12, 1)

    def trained(strength, other):
        mr.manual_seed(0)
        model = nn.Linear(5, 1, dtype=np.float64)
        optimizer = HOLDERS[holder]([*model.parameters()], WITHIN[within](L1(strength)))
        objective = mr.Objective(nn.MSELoss(), {"term": (WITHIN[within](L2(other)), "bias")})
        mr.fit(model, objective, optimizer, data, epochs=2, batch_size=4, progress=False)
        mr.trajectory(model, objective, optimizer, *data, steps=3)
        return model.weight.numpy()

    other = rise if shared else Coefficient(lambda t: 0.1)
    assert not trained(rise, other).any()
    assert rise.updates == other.updates == 9
    assert trained(0.0, 0.0).any()


def test_step_counts_what_an_optimizer_has_of_its_own_when_it_is_given():
    rise, w = Coefficient(lambda t: 0.1 * t), mr.tensor([1.0], requires_grad=True)
    objective = mr.Objective(nn.MSELoss(), {})
    optimizer = optim.ProximalGradient([w], 0.1, L1(rise))
    objective.step()
    assert rise.updates == 0
    objective.step(optimizer)
    assert rise.updates == 1


def test_what_is_attached_is_a_term_and_not_the_optimizer_s_own():
    model, penalty, own = nn.Linear(5, 1), L1(0.1), L2(0.1)
    optimizer = optim.ProximalGradient(model.parameters(), 0.1, own)
    first = mr.Objective(nn.MSELoss(), {"l1": (penalty, None, "prox")}).bind(model)
    first.attach(optimizer)
    assert optimizer.penalties() == [own]
    assert first.penalties(optimizer) == [penalty, own]
    assert first.penalties() == [penalty]
    assert mr.Objective(nn.MSELoss()).penalties(optimizer) == [own]


def test_an_objective_is_no_loss():
    with pytest.raises(TypeError, match=r"loss is an Objective itself; pass objective\.loss"):
        mr.Objective(mr.Objective(nn.MSELoss()))


@pytest.mark.parametrize("shared", [True, False])
def test_step_counts_each_coefficient_once(shared):
    first = Coefficient(lambda t: 1.0)
    second = first if shared else Coefficient(lambda t: 2.0)
    terms = {"net": ElasticNet(first, second), "l2": (L2(first), "*"), "ball": MaxNorm(second)}
    terms["moved"] = translated(L1(second), np.zeros(5))
    objective = mr.Objective(nn.MSELoss(), terms)
    for _ in range(4):
        objective.step()
    assert (first.updates, second.updates) == (4, 4)
    mr.Objective(nn.MSELoss(), {"l2": L2(0.1)}).step()  # nothing changes, nothing to count


def test_a_schedule_that_turns_negative_stops_the_training():
    falling = Coefficient(lambda t: 1.0 - 0.25 * t)
    model, data = nn.Linear(5, 1, dtype=np.float64), (draw(8, 5), draw(8, 1))
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    objective = mr.Objective(nn.MSELoss(), {"l2": L2(falling)})
    message = r"L2: strength must be a finite number ≥ 0, got Coefficient\(-0.25 after 5 updates\)"
    with pytest.raises(ValueError, match=message):
        mr.fit(model, objective, optimizer, data, epochs=9)
    assert falling.updates == 5


def test_a_warm_up_of_a_prox_term_starts_as_the_identity():
    rise = Coefficient(lambda t: 0.0 if t < 2 else 1e3)
    model = nn.Linear(5, 1, dtype=np.float64)
    objective = mr.Objective(nn.MSELoss(), {"l1": (L1(rise), None, "prox")}).bind(model)
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    objective.attach(optimizer)
    alive = []
    for _ in range(4):
        optimizer.zero_grad()
        objective(model, *regression()).backward()
        optimizer.step()
        objective.step()
        alive.append(bool(model.weight.data.any()))
    assert alive == [True, True, False, False]


# --- constraints and frozen parameters, under every optimizer -------------------------------------

OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.01),
    "Nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: optim.Adam(p, lr=0.1),
    "AdamW": lambda p: optim.AdamW(p, lr=0.1),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.1, momentum=0.5),
    "SGLD": lambda p: optim.SGLD(p, lr=0.1, temperature=0.1, seed=0),
    "ProximalGradient": lambda p: optim.ProximalGradient(p, lr=0.1),
    "FISTA": lambda p: optim.ProximalGradient(p, lr=0.1, accelerated=True),
}
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS)
BALLS = {
    "L2Ball": (L2Ball(0.5), lambda w: np.linalg.norm(w)),
    "L1Ball": (L1Ball(0.5), lambda w: np.abs(w).sum()),
    "MaxNorm": (MaxNorm(0.5), lambda w: np.linalg.norm(w, axis=1).max()),
    "SpectralBall": (SpectralBall(0.5), lambda w: np.linalg.norm(w, 2)),
    "Box": (Box(-0.5, 0.5), lambda w: np.abs(w).max()),
}


@every_optimizer
@pytest.mark.parametrize("ball", BALLS)
def test_a_constraint_holds_after_every_step(ball, optimizer):
    """FISTA's parameters hold the extrapolated point, its iterate is in the state."""
    penalty, norm = BALLS[ball]
    model = mlp()
    made = OPTIMIZERS[optimizer](model.parameters())
    objective = mr.Objective(LOSS, {"ball": penalty}).bind(model).attach(made)
    weights = [p for p in model.parameters() if p.kind == "weight"]
    for p in weights:
        p.data *= 20
    assert objective(*batch(model))["ball"].item() == np.inf
    for _ in range(25):
        made.zero_grad()
        objective(*batch(model)).backward()
        made.step()
        held = [made.state[p]["x"] if optimizer == "FISTA" else p.data for p in weights]
        assert max(norm(w) for w in held) <= 0.5 * (1 + 1e-12)
    assert max(norm(w) for w in held) > 0.5 * (1 - 1e-9)  # the data push outwards


def test_a_start_outside_the_ball_does_not_break_the_training():
    model = nn.Linear(5, 1, dtype=np.float64)
    model.weight.assign(100.0)
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    objective = mr.Objective(nn.MSELoss(), {"ball": L2Ball(1.0), "l2": L2(0.01)})
    x, y = (a.numpy() for a in regression())
    history = mr.fit(model, objective, optimizer, (x, y), epochs=20, batch_size=8)
    assert history["value/ball"] == [np.inf] + [0.0] * 19
    assert np.isfinite(history["train_loss"]).all()
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert np.linalg.norm(model.weight.data) == pytest.approx(1.0)


EVERY = {
    "L2": L2(0.1), "L1": L1(0.1), "ElasticNet": ElasticNet(0.1, 0.1), "L0": L0(0.1),
    "GroupLasso": GroupLasso(0.1), "SparseGroupLasso": SparseGroupLasso(0.1, 0.1),
    "FrobeniusNorm": FrobeniusNorm(0.1), "SpectralNorm": SpectralNorm(0.1), "NuclearNorm": NuclearNorm(0.1),
    **{name: penalty for name, (penalty, _) in BALLS.items()},
}  # fmt: skip


@every_optimizer
@pytest.mark.parametrize("label", EVERY)
def test_no_penalty_touches_a_frozen_parameter(label, optimizer):
    penalty = EVERY[label]
    for via in {penalty.via, "prox"}:
        if via == "prox" and label in ("SpectralNorm", "NuclearNorm"):
            continue  # not in an adaptive metric; under SGD in test_penalties
        model = mlp()
        model[0].weight.requires_grad_(False)
        frozen, free = model[0].weight.data.copy(), model[3].weight.data.copy()
        made = OPTIMIZERS[optimizer](model.parameters())
        objective = mr.Objective(LOSS, {"p": mr.Term(penalty, via=via)}).bind(model).attach(made)
        for _ in range(3):
            made.zero_grad()
            terms = objective(*batch(model))
            terms.backward()
            made.step()
        np.testing.assert_array_equal(model[0].weight.data, frozen)
        assert model[0].weight.grad is None
        assert "0.weight" not in terms.gradients["p"]
        assert (model[3].weight.data != free).any()


# --- a gradient that knows its terms --------------------------------------------------------------


def test_a_gradient_knows_its_name_and_its_shares():
    args = batch(mlp())
    mr.Objective(LOSS, PENALTIES)(*args).backward()
    for name, p in args[0].named_parameters():
        assert p.grad.name == name
        assert set(p.grad.shares) <= {"data", "smoothing", "l2", "l1", "both.l1", "both.l2"}
        np.testing.assert_allclose(sum(p.grad.shares.values()), p.grad.data, rtol=1e-12, atol=1e-15)
    grads = [p.grad for p in args[0].parameters()]
    twins = copy.deepcopy(args[0])
    for a, b in zip(grads, (p.grad for p in twins.parameters()), strict=True):
        assert b is None or (b.numpy() == a.numpy()).all()


# --- the order: penalties, clip, decay ------------------------------------------------------------


@pytest.mark.parametrize(("strength", "decay"), [(50.0, 0.0), (0.0, 50.0)])
def test_clipping_comes_after_the_penalties_and_before_the_decay(strength, decay):
    """apache/mxnet#9881: what is clipped differed from optimizer to optimizer."""
    data = draw(8, 5), draw(8, 1)
    model = nn.Linear(5, 1, bias=False, dtype=np.float64)
    before = model.weight.data.copy()
    optimizer = optim.SGD(model.parameters(), lr=1e-3, weight_decay=decay)
    objective = mr.Objective(nn.MSELoss(), {"l2": L2(strength)})
    mr.fit(model, objective, optimizer, data, epochs=1, clip_norm=0.1)
    pull = (before - model.weight.data) / 1e-3
    assert np.linalg.norm(pull - decay * before) == pytest.approx(0.1, rel=1e-4)


def test_any_function_of_output_and_target_is_a_loss():
    model = nn.Linear(2, 1)
    objective = mr.Objective(lambda z, y: ((z - y) ** 2).mean(), {"l2": mr.penalties.L2(0.1)})
    x, y = mr.tensor([[1.0, 2.0]]), mr.tensor([[3.0]])
    terms = objective(model, x, y)
    assert list(terms) == ["data", "l2"]
    assert terms["data"].item() == mr.Objective(nn.MSELoss())(model, x, y)["data"].item()
    with pytest.raises(TypeError, match=r"Objective: loss must be a loss or a function .* got 0.1"):
        mr.Objective(0.1)


# --- sums of penalties ------------------------------------------------------------------------------

SUMS = {
    "en": (ElasticNet(0.02, 0.3), ["en.l1", "en.l2"], "0.weight"),
    "sgl": (SparseGroupLasso(0.1, 0.2), ["sgl.l1", "sgl.group"], "3.weight"),
}


@pytest.mark.parametrize("term", SUMS)
def test_a_sum_of_penalties_is_one_term_and_a_share_for_each_part(term):
    penalty, names, parameter = SUMS[term]
    args = batch(mlp())
    terms = mr.Objective(LOSS, {term: penalty})(*args)
    assert list(terms) == ["data", "smoothing", term]
    for _ in range(2):  # shares of a second backward are added
        terms.backward()
        terms = mr.Objective(LOSS, {term: penalty})(*args)
    p = dict(args[0].named_parameters())[parameter]
    assert list(p.grad.shares) == ["data", "smoothing", *names]
    for name, part in zip(names, penalty.parts().values(), strict=True):
        np.testing.assert_array_equal(p.grad.shares[name], 2 * part.gradient(p.data))
    np.testing.assert_allclose(sum(p.grad.shares.values()), p.grad.numpy(), atol=1e-15)


# --- mistakes that were silent ----------------------------------------------------------------------


@pytest.mark.parametrize("attribute", [True, False])
def test_defect_7_a_loss_without_a_reduction_is_refused(attribute):
    """It gave the gradient of the sum, N times too large, if terms were attributed."""
    model, x, y = batch(mlp())
    terms = mr.Objective(nn.CrossEntropyLoss(reduction="none"), PENALTIES)(model, x, y)
    with pytest.raises(RuntimeError, match=r"'data' has shape \(8,\), expected a scalar.*'mean'"):
        terms.backward(attribute)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("attribute", [True, False])
@pytest.mark.parametrize("dead", ["no_grad", "frozen"])
def test_defect_7_terms_without_a_graph_have_no_backward(dead, attribute):
    model, x, y = batch(mlp())
    model.requires_grad_(dead != "frozen")
    with mr.no_grad() if dead == "no_grad" else mr.enable_grad():
        terms = mr.Objective(LOSS, PENALTIES)(model, x, y)
    with pytest.raises(RuntimeError, match="no term depends on anything that requires a gradient"):
        terms.backward(attribute)


@pytest.mark.parametrize("attribute", [True, False])
def test_terms_have_one_backward(attribute):
    terms = mr.Objective(LOSS, PENALTIES)(*batch(mlp()))
    terms.backward(attribute)
    with pytest.raises(RuntimeError, match="second backward"):
        terms.backward(attribute)


@pytest.mark.parametrize("kind", ["list", "pandas", "torch"])
def test_a_batch_may_be_lists_tables_or_tensors_of_another_library(kind):
    model, x, y = batch(mlp())
    expected = mr.Objective(LOSS, PENALTIES)(model, x, y).total.item()
    if kind == "list":
        data = x.numpy().tolist(), y.tolist()
    elif kind == "pandas":
        pandas = pytest.importorskip("pandas")
        data = pandas.DataFrame(x.numpy()), pandas.Series(y)
    else:
        torch = pytest.importorskip("torch")
        data = torch.from_numpy(x.numpy()), torch.from_numpy(y)
    assert mr.Objective(LOSS, PENALTIES)(model, *data).total.item() == pytest.approx(
        expected, rel=1e-6
    )


# --- hooks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["shares", "sum", "total"])
def test_a_hook_sees_the_sum_of_the_terms(how):
    """Each term apart would be clipped to 1, and the gradient be 2."""
    model, seen = nn.Linear(1, 1, bias=False, dtype=np.float64), []
    model.weight.assign([[1.0]])
    model.weight.register_hook(lambda g: seen.append(g.item()) or np.clip(g.numpy(), -1, 1))
    terms = mr.Objective(nn.MSELoss(), {"l2": L2(5.0)})(model, np.ones((1, 1)), np.full((1, 1), -3))
    terms.total.backward() if how == "total" else terms.backward(attribute=how == "shares")
    assert (seen, model.weight.grad.item()) == ([13.0], 1.0)
    shares = {t: g["weight"].item() for t, g in terms.gradients.items()}
    assert shares == (pytest.approx({"data": 8 / 13, "l2": 5 / 13}) if how == "shares" else {})


HOOKS = {
    "scaled": lambda g: g * 0.25, "clipped": lambda g: g.clip(-0.05, 0.05),
    "masked": lambda g: g * (np.arange(g.shape[-1]) % 2), "shifted": lambda g: g + 0.01,
    "normed": lambda g: g / (1 + (g * g).sum()), "flipped": lambda g: g * -1.0,
}  # fmt: skip


class Hooked(nn.Module):
    """An MLP with hooks on some parameters, on results on its way, and on its input."""

    def __init__(self, seed: int):
        self.draws = np.random.default_rng(seed)
        self.first, self.last = nn.Linear(5, 6, dtype=np.float64), nn.Linear(6, C, dtype=np.float64)
        self.seen, self.at = {}, [self.draw() for _ in range(3)]
        for name, p in self.named_parameters():
            self.hook(p, self.draw(), name)

    def draw(self):
        return self.draws.choice([None, "seen", *HOOKS])

    def hook(self, t, name, label):
        if name == "seen":
            seen = self.seen.setdefault(label, [])
            t.register_hook(lambda g: seen.append(g.numpy().copy()))
        elif name is not None:
            t.register_hook(lambda g: HOOKS[name](g.numpy()))
        return t

    def forward(self, x):
        hidden = mr.tanh(self.first(self.hook(x, self.at[0], "input")))
        return self.hook(self.last(self.hook(hidden, self.at[1], "hidden")), self.at[2], "output")


@pytest.mark.parametrize("seed", range(12))
def test_hooks_do_the_same_whether_shares_are_kept_or_not(seed):
    terms = {"l2": L2(0.3), "en": ElasticNet(0.1, 0.2), "norm": FrobeniusNorm(0.1)}
    y, ends = np.arange(7) % C, []
    for attribute, watch in ((False, False), (True, False), (True, True)):
        mr.manual_seed(seed)
        model, inputs = Hooked(seed), []
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        ledger = mr.Ledger(optimizer, accumulate=True) if watch else None
        for step in range(3):
            x = mr.tensor(draw(7, 5, seed=step), requires_grad=True)
            optimizer.zero_grad()
            mr.Objective(LOSS, terms)(model, x, y).backward(attribute)
            inputs.append(x.grad.numpy())
            for name, p in model.named_parameters() if attribute else ():
                shares = p.grad.shares
                np.testing.assert_allclose(sum(shares.values()), p.grad.data, atol=1e-14)
                assert {"data", "smoothing"} <= shares.keys()
                assert name.endswith("bias") or {"l2", "en.l1", "en.l2", "norm"} <= shares.keys()
            optimizer.step()
        if ledger is not None:
            assert ledger.whole.residual < 1e-13
        ends.append({**model.seen, "x": inputs, **model.state_dict()})
    for other in ends[1:]:
        assert list(other) == list(ends[0])
        for label, expected in ends[0].items():
            np.testing.assert_allclose(other[label], expected, rtol=1e-9, atol=1e-13)


def test_leaves_that_are_none_of_the_models_get_their_gradients():
    """The input, and what a loss learns itself."""
    model, found = nn.Linear(5, C, dtype=np.float64), []
    warmth, x = (mr.tensor(a, requires_grad=True) for a in (np.ones(1), draw(7, 5)))
    objective = mr.Objective(lambda out, y: LOSS(out * warmth, y), {"l2": L2(0.1)})
    for attribute in (True, False):
        x.grad = warmth.grad = None
        for _ in range(2):
            objective(model, x, np.arange(7) % C).backward(attribute)
        found.append((x.grad.numpy(), warmth.grad.numpy()))
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)
        assert np.abs(ours).max() > 0.01


# --- what a gradient owes ---------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(True, True), (False, False), (True, False), (False, True)])
def test_a_gradient_knows_which_prox_it_owes(order):
    model, x, y = batch(mlp())
    l1, ball = L1(0.1), L2Ball(1.0)
    objective = mr.Objective(LOSS, {"l1": (l1, "0.weight", "prox"), "l2": L2(0.1), "ball": ball})
    objective.bind(model).attach(optim.SGD(model.parameters()))
    for attribute in order:  # also of gradients that are added up
        objective(model, x, y).backward(attribute)
        proxes = {n: getattr(p.grad, "_proxes", ()) for n, p in model.named_parameters()}
        assert proxes.pop("0.weight") == (("l1", l1), ("ball", ball))
        assert proxes.pop("3.weight") == (("ball", ball),)
        assert set(proxes.values()) == {()}
    mr.Objective(LOSS)(model, x, y).backward(attribute=False)
    assert model[0].weight.grad._proxes == (("l1", l1), ("ball", ball))


@pytest.mark.parametrize("attribute", [True, False])
def test_defect_6_a_new_optimizer_without_the_prox_does_not_step(attribute):
    model, x, y = batch(mlp())
    first, second = (optim.SGD(model.parameters(), 0.1) for _ in range(2))
    objective = mr.Objective(LOSS, {"l1": (L1(1.0), None, "prox")}).bind(model).attach(first)
    before = model.state_dict()
    objective(model, x, y).backward(attribute)
    with pytest.raises(
        RuntimeError, match=r"'l1' acts via its prox.*objective\.attach\(optimizer\)"
    ):
        second.step()
    assert all((p.data == before[n]).all() for n, p in model.named_parameters())
    objective.attach(second)
    second.step()
    assert any((p.data == 0).any() for p in model.parameters())


@pytest.mark.parametrize("defer", [None, False, True])
def test_values_that_nobody_reads_are_not_computed(defer, monkeypatch):
    value, counted = L2.value, []
    monkeypatch.setattr(L2, "value", lambda self, w: counted.append(w) or value(self, w))
    model, x, y = batch(mlp())
    optimizer = optim.SGD(model.parameters(), 0.1)
    terms = mr.Objective(LOSS, {"l2": (L2(0.1), "0.weight")})(model, x, y)
    terms.backward(attribute=defer is None, defer=bool(defer))
    assert not counted
    first = terms["l2"]
    assert len(counted) == 1
    optimizer.step(terms)
    assert terms["l2"] is first
    assert len(counted) == 1
    assert first.item() != 0.05 * np.square(model[0].weight.data).sum()


LATER = {
    "a step": lambda p, c: optim.SGD([p], 0.1).step(),
    "in place": lambda p, c: p.assign(1.0),
    "replaced": lambda p, c: setattr(p, "data", p.data.copy()),
    "the strength": lambda p, c: c.step(),
}


@pytest.mark.parametrize("how", LATER)
def test_a_value_is_never_that_of_other_weights(how):
    model, x, y = batch(mlp())
    strength, p = mr.penalties.Coefficient(lambda t: 0.1 * (1 + t)), model[0].weight
    penalties = {"l2": (L2(strength), "0.weight"), "l1": (L1(0.1), "0.weight")}
    terms = mr.Objective(LOSS, penalties)(model, x, y)
    terms.backward()
    kept, read = terms["l1"].item(), 0.05 * np.square(p.data).sum()
    LATER[how](p, strength)
    message = (
        r"'l2' was not read before .* changed; read it before optimizer\.step\(\), or evaluate"
    )
    for late in (lambda: terms["l2"], lambda: terms.total, lambda: [*terms.values()]):
        with pytest.raises(RuntimeError, match=message):
            late()
    assert terms["l1"].item() == kept
    assert re.fullmatch(r"Terms\(data=[\d.]+, smoothing=[-\d.]+, l2=\?, l1=[\d.]+\)", repr(terms))
    again = mr.Objective(LOSS, penalties)(model, x, y)
    assert (again["l2"].item() == pytest.approx(read)) == (how == "replaced")


@pytest.mark.parametrize(
    "how", ["another strength", "a strength within", "a coefficient", "replaced thrice"]
)
def test_a_value_is_never_that_of_another_strength_nor_of_an_array_in_the_same_place(how):
    model, x, y = batch(mlp())
    inner = L2(0.1)
    penalty = mr.penalties.translated(inner, 1.0) if how == "a strength within" else inner
    terms = mr.Objective(LOSS, {"l2": (penalty, "0.weight")})(model, x, y)
    if how == "replaced thrice":  # a freed array's id comes again
        for _ in range(3):
            model[0].weight.data = model[0].weight.data * 0.5
    elif how != "a coefficient":
        inner.strength = 0.2
    else:
        inner.strength = mr.penalties.Coefficient(lambda t: 0.2)
    with pytest.raises(RuntimeError, match="'l2' was not read before"):
        terms["l2"]


@pytest.mark.parametrize(("evaluated", "read"), [(True, False), (False, True)])
def test_a_value_is_recorded_as_at_the_evaluation(evaluated, read):
    model, x, y = batch(mlp())
    mode = {True: mr.enable_grad, False: mr.no_grad}
    with mode[evaluated]():
        terms = mr.Objective(LOSS, PENALTIES)(model, x, y)
    with mode[read]():
        values = [*terms.values()]
    assert [v.requires_grad for v in values] == [evaluated] * len(values)
    if evaluated:
        (g,) = mr.grad(sum(values[1:], values[0]), [model[0].weight], create_graph=True)
        g.sum().backward()
        assert model[0].weight.grad is not None


def test_a_copied_gradient_keeps_its_shares():
    model, x, y = batch(mlp())
    mr.Objective(LOSS, PENALTIES)(model, x, y).backward()
    grad = model[0].weight.grad
    again = copy.deepcopy(grad)
    assert again.name == "0.weight"
    assert list(again.shares) == list(grad.shares)
    assert not np.shares_memory(again.shares["data"], grad.shares["data"])
    assert again._proxes == ()


# --- on= --------------------------------------------------------------------------------------------


def test_on_takes_parameters_themselves():
    model = mlp()
    for on in (
        model[0].weight,
        [model[0].weight],
        model[0].parameters(),
        ["0.bias", model[0].weight],
    ):
        rows = mr.Objective(LOSS, {"l2": (L2(0.1), on)}).assignments(model)
        chosen = {r.parameter for r in rows if r.penalties != "–"}
        assert "0.weight" in chosen <= {"0.weight", "0.bias"}
    with pytest.raises(ValueError, match=r"'l2': on=Parameter\(.* matches no parameter"):
        mr.Objective(LOSS, {"l2": (L2(0.1), nn.Parameter([1.0]))}).table(model)


class Physics(nn.MSELoss):
    def parts(self, output, target):
        return super().parts(output, target) | {"physics": (output**2).mean()}


def test_a_penalty_is_not_called_like_a_part_of_the_loss():
    args = nn.Linear(2, 1), mr.tensor([[1.0, 2.0]]), mr.tensor([[3.0]])
    assert list(mr.Objective(Physics())(*args)) == ["data", "physics"]
    with pytest.raises(
        ValueError, match="'physics' is a term of the loss and a penalty; rename it"
    ):
        mr.Objective(Physics(), {"physics": L2(0.1)})(*args)


@pytest.mark.parametrize("attribute", [True, False])
def test_a_loss_that_left_the_graph_is_told(attribute):
    def loss(output, target):
        return mr.tensor(float(np.mean((output.numpy() - target) ** 2)))

    model = nn.Linear(2, 1)
    terms = mr.Objective(loss, {"l2": L2(0.1)})(model, mr.tensor([[1.0, 2.0]]), np.ones((1, 1)))
    with pytest.warns(UserWarning, match="so the penalties alone train"):
        terms.backward(attribute)
    np.testing.assert_allclose(model.weight.grad.numpy(), 0.1 * model.weight.data)


def test_a_penalty_of_all_weights_together_has_no_prox_and_says_so_at_once():
    with pytest.raises(ValueError, match=r"PathNorm.*closed-form prox; take via='gradient'"):
        mr.Term(mr.penalties.PathNorm(1e-2), via="prox")
