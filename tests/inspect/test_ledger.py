"""The ledger: its entries sum to the actual change, for every optimizer and penalty."""

import csv
import itertools
import random

import numpy as np
import pytest

import minireg as mr
from minireg import nn, optim, penalties
from minireg.inspect.ledger import Ledger

X = np.random.default_rng(1).normal(size=(24, 6))
Y = np.random.default_rng(2).integers(0, 3, 24)

OPTIMIZERS = {
    "sgd": lambda p, d: optim.SGD(p, 0.05, weight_decay=d),
    "momentum": lambda p, d: optim.SGD(p, 0.03, momentum=0.9, weight_decay=d),
    "dampened": lambda p, d: optim.SGD(p, 0.05, momentum=0.8, dampening=0.3, weight_decay=d),
    "nesterov": lambda p, d: optim.SGD(p, 0.03, momentum=0.9, nesterov=True, weight_decay=d),
    "decoupled": lambda p, d: optim.SGD(
        p, 0.03, momentum=0.9, nesterov=True, weight_decay=d, decoupled=True
    ),
    "maximize": lambda p, d: optim.SGD(p, 1e-3, momentum=0.5, weight_decay=d, maximize=True),
    "adam": lambda p, d: optim.Adam(p, 0.01, weight_decay=d),
    "amsgrad": lambda p, d: optim.Adam(p, 0.01, weight_decay=d, amsgrad=True),
    "adamw": lambda p, d: optim.AdamW(p, 0.01, weight_decay=d),
    "adamw, schedule": lambda p, d: optim.AdamW(p, 0.01, weight_decay=d, decay_scale="schedule"),
    "rmsprop": lambda p, d: optim.RMSprop(p, 1e-3, weight_decay=d),
    "rmsprop, all": lambda p, d: optim.RMSprop(
        p, 1e-3, momentum=0.9, centered=True, weight_decay=d
    ),
    "sgld": lambda p, d: optim.SGLD(p, 1e-3, temperature=0.01, weight_decay=d, seed=0),
    "proximal": lambda p, d: optim.ProximalGradient(p, 0.05),
    "fista": lambda p, d: optim.ProximalGradient(p, 0.05, accelerated=True),
}
CLIPS = {
    "unclipped": lambda p, optimizer: optimizer.step(),
    "norm": lambda p, optimizer: (optim.clip_grad_norm_(p, 0.2), optimizer.step()),
    "value": lambda p, optimizer: (optim.clip_grad_value_(p, 0.02), optimizer.step()),
    "max_norm": lambda p, optimizer: optimizer.step(max_norm=0.2),
    "edited": lambda p, optimizer: (edit(p), optimizer.step()),
}
PENALTIES = {
    "L2": penalties.L2(0.01), "L1": penalties.L1(0.003), "ElasticNet": penalties.ElasticNet(1e-3, 0.01),
    "GroupLasso": penalties.GroupLasso(0.002), "SparseGroupLasso": penalties.SparseGroupLasso(1e-3, 1e-3),
    "FrobeniusNorm": penalties.FrobeniusNorm(0.01), "SpectralNorm": penalties.SpectralNorm(0.01),
    "NuclearNorm": penalties.NuclearNorm(0.003), "PathNorm": penalties.PathNorm(1e-3),
    "L0": penalties.L0(1e-4), "L2Ball": penalties.L2Ball(1.5), "L1Ball": penalties.L1Ball(5.0),
    "MaxNorm": penalties.MaxNorm(0.6), "SpectralBall": penalties.SpectralBall(0.8),
    "Box": penalties.Box(-0.3, 0.3),
}  # fmt: skip


def network(dtype=np.float64):
    mr.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm(8), nn.ReLU(), nn.Linear(8, 3)).to(dtype)


def edit(parameters):
    for p in parameters:
        p.grad.data += 0.01 * np.cos(np.arange(p.size)).reshape(p.shape).astype(p.dtype)


def train(make, terms, clip="unclipped", steps=50, decay=0.0, dtype=np.float64):
    """Run with a ledger; yields it after each step."""
    model = network(dtype)
    x = mr.Tensor(X.astype(dtype))
    optimizer = make(list(model.parameters()), decay)
    objective = mr.Objective(nn.CrossEntropyLoss(label_smoothing=0.1), terms)
    objective.bind(model).attach(optimizer)
    ledger = Ledger(optimizer)
    for _ in range(steps):
        optimizer.zero_grad()
        objective(model, x, Y).backward()
        CLIPS[clip](list(model.parameters()), optimizer)
        yield ledger


def ways(name):
    """How a penalty can act under an optimizer that has one step for each element, or not."""
    penalty = PENALTIES[name]
    if penalty.via == "gradient":
        yield "gradient"
    if name != "PathNorm":
        yield "prox"


def pairs(case):
    """Which choices meet in it, two at a time."""
    return set(itertools.combinations(enumerate(case), 2))


def pairwise(cases):
    """A few of the cases, in which all meet that do in any: those first that bring most."""
    cases, found, met = random.Random(0).sample(cases, len(cases)), [], set()
    for most in range(len(pairs(cases[0])), 0, -1):
        for case in cases:
            if len(pairs(case) - met) >= most:
                found.append(case)
                met |= pairs(case)
    return found


CASES = [
    (o, name, via, clip, decay, dtype)
    for o, name, clip, decay, dtype in itertools.product(
        OPTIMIZERS, PENALTIES, CLIPS, (0.0, 0.02), ("float64", "float32")
    )
    for via in ways(name)
    if not (decay and o in ("proximal", "fista"))  # they have no weight_decay
]
CHOSEN = pairwise(CASES)


def test_the_cases_chosen_have_every_pair_of_choices():
    assert set().union(*map(pairs, CASES)) == set().union(*map(pairs, CHOSEN))
    assert len(CHOSEN) < 0.05 * len(CASES)


@pytest.mark.slow
def test_books_balance_everywhere(capsys):
    """Optimizer × penalty × via × clipping × decay × dtype, every two choices, 6 steps each."""
    limits, worst = {"float64": 1e-12, "float32": 1e-5}, dict.fromkeys(("float64", "float32"), 0.0)
    refused = set()
    for o, name, via, clip, decay, dtype in CHOSEN:
        terms = {"p": mr.Term(PENALTIES[name], via=via), "l2": penalties.L2(1e-3)}
        try:
            for ledger in train(OPTIMIZERS[o], terms, clip, 6, decay, np.dtype(dtype).type):
                worst[dtype] = max(worst[dtype], ledger.last.residual)
        except NotImplementedError:  # no prox with a step for each element
            refused.add((o, name, via))
    with capsys.disabled():
        print(f"\nledger: {len(CHOSEN)} of {len(CASES)} configurations, largest residuals {worst}")
    elementwise = {o for o in OPTIMIZERS if "adam" in o or "rmsprop" in o or "amsgrad" in o}
    without = {(o, n, "prox") for o in elementwise for n in ("SpectralNorm", "NuclearNorm")}
    assert refused == without & {case[:3] for case in CHOSEN}
    assert all(worst[dtype] <= limit for dtype, limit in limits.items())


# --- the entries --------------------------------------------------------------------------------

TERMS = {"l2": penalties.L2(1e-2), "l1": mr.Term(penalties.L1(1e-3), via="prox")}


def last(make, clip="unclipped", decay=0.0, **kw):
    *_, ledger = train(make, TERMS, clip, decay=decay, **kw)
    return ledger


def test_books_that_were_handed_out_are_not_written_to():
    """The books of all steps add up in place, but never into those of one step or epoch."""
    model = network()
    optimizer = OPTIMIZERS["momentum"](list(model.parameters()), 0.0)
    objective = mr.Objective(nn.CrossEntropyLoss(), TERMS).bind(model).attach(optimizer)
    ledger, kept = Ledger(optimizer, accumulate=True), []
    for _ in range(4):
        optimizer.zero_grad()
        objective(model, mr.Tensor(X), Y).backward()
        optimizer.step()
        kept.append(ledger.last["0.weight"])
        kept.append(ledger.since["0.weight"])
        ledger.record()
    assert len({id(row) for row in kept}) == len(kept)
    assert max(row.residual for row in kept) <= 1e-14


def test_every_entry_of_the_design_is_there():
    row = last(OPTIMIZERS["adamw"], clip="norm", decay=0.1).last["0.weight"]
    assert list(row) == [
        ("data", "fresh"), ("data", "carried"), ("smoothing", "fresh"), ("smoothing", "carried"),
        ("l2", "fresh"), ("l2", "carried"), ("data", "clip"), ("smoothing", "clip"), ("l2", "clip"),
        ("decay",), ("l1", "prox"),
    ]  # fmt: skip
    np.testing.assert_allclose(row.total, row.actual, atol=1e-15)
    np.testing.assert_array_equal(row.actual, row.after - row.before)
    assert row[("decay",)] == pytest.approx(-0.01 * 0.1 * row.before)
    assert ("l2", "fresh") not in last(OPTIMIZERS["adamw"]).last["0.bias"]
    with pytest.raises(KeyError, match=r"no entry .'l3',., expected one of"):
        row[("l3",)]


@pytest.mark.parametrize("clip", ["unclipped", "norm", "value"])
@pytest.mark.parametrize(
    "name", ["momentum", "dampened", "nesterov", "decoupled", "adam", "rmsprop, all"]
)
def test_a_terms_entries_are_what_it_would_have_done_alone(name, clip):
    """Fresh and carried of a term are linear in its own gradients: the split is no bookkeeping trick.

    Each term's gradients, as clipping leaves them, are replayed through the same recursion by
    themselves; what clipping took has never entered the momentum.
    """
    model = network()
    optimizer = OPTIMIZERS[name](list(model.parameters()), 0.0)
    objective = mr.Objective(nn.CrossEntropyLoss(label_smoothing=0.1), {"l2": penalties.L2(1e-2)})
    ledger = Ledger(optimizer)
    p = model[0].weight
    buffers = {}
    for _ in range(6):
        optimizer.zero_grad()
        objective(model, mr.Tensor(X), Y).backward()
        whole = p.grad.numpy().copy()
        first = not buffers
        before = dict(p.grad.shares)
        CLIPS[clip](list(model.parameters()), optimizer)
        factor = p.grad.numpy() / whole
        assert (factor < 1).any() == (clip != "unclipped")
        shares = {term: share * factor for term, share in before.items()}
        row, group, state = ledger.last["0.weight"], optimizer.param_groups[0], optimizer.state[p]
        for term, g in shares.items():
            m = buffers.get(term, 0 * g)
            if name == "adam":
                m = 0.9 * m + 0.1 * g
                t = state["step"]
                root = np.sqrt(state["exp_avg_sq"] / (1 - 0.999**t)) + 1e-8
                want = -0.01 * m / (1 - 0.9**t) / root
            elif name.startswith("rmsprop"):
                v = np.maximum(state["square_avg"] - state["grad_avg"] ** 2, 0)
                m = 0.9 * m + g / (np.sqrt(v) + 1e-8)
                want = -1e-3 * m
            else:
                gain = 1.0 if first else 1 - group["dampening"]
                m = group["momentum"] * m + gain * g
                step = g + group["momentum"] * m if group["nesterov"] else m
                want = -group["lr"] * step
            buffers[term] = m
            np.testing.assert_allclose(row.of(term), want, rtol=1e-9, atol=1e-16)
            if clip != "unclipped":
                np.testing.assert_allclose(
                    row[term, "clip"], (factor - 1) * row[term, "fresh"], rtol=1e-9, atol=1e-16
                )


def scaled(factor):
    def scale(p):
        p.grad.data *= factor

    return scale


# what is done to p.grad after backward: the factor, of each element, by which it is multiplied
SCALINGS = {
    "halved": scaled(0.5), "doubled": scaled(2.0), "reversed": scaled(-1.0), "erased": scaled(0.0),
    "by norm": lambda p: optim.clip_grad_norm_(p, 1e-3),
    "by another norm": lambda p: optim.clip_grad_norm_(p, 1e-3, norm_type=1),
    "by value": lambda p: optim.clip_grad_value_(p, 1e-3),
    "some to 0": lambda p: scaled(np.arange(p.size).reshape(p.shape) % 2)(p),
}  # fmt: skip


@pytest.mark.parametrize("way", SCALINGS)
@pytest.mark.parametrize("maximize", [False, True])
def test_clipping_is_split_by_term_however_it_is_done(way, maximize):
    """What it took from a term is (c − 1) times what the term would have done."""
    model = network()
    optimizer = optim.SGD(model.parameters(), 0.1, weight_decay=0.2, maximize=maximize)
    ledger = Ledger(optimizer)
    objective = mr.Objective(nn.CrossEntropyLoss(label_smoothing=0.1), {"l2": penalties.L2(0.1)})
    objective(model, mr.Tensor(X), Y).backward()
    p = model[0].weight
    unclipped = p.grad.numpy().copy()
    SCALINGS[way](p)
    factor = p.grad.numpy() / unclipped
    optimizer.step()
    row = ledger.last["0.weight"]
    clips = [key for key in row if key[-1] == "clip"]
    assert clips == [("data", "clip"), ("smoothing", "clip"), ("l2", "clip")]
    for term in ("data", "smoothing", "l2"):
        np.testing.assert_allclose(
            row[term, "clip"], (factor - 1) * row[term, "fresh"], rtol=1e-9, atol=1e-18
        )
    np.testing.assert_allclose(row["weight_decay", "fresh"], -0.1 * 0.2 * row.before, rtol=1e-12)
    assert not any("clip" in key for key in ledger.last["3.weight"])
    assert ledger.last.residual < 1e-15


def test_where_the_shares_cancel_clipping_by_norm_still_took_its_part_of_each():
    from minireg.objective import settled

    shares = {"data": np.array([3.0, 1.0]), "l2": np.array([1.0, -1.0])}
    kept, rest = settled(shares, 0.25 * (shares["data"] + shares["l2"]))
    np.testing.assert_array_equal(kept["data"], [0.75, 0.25])
    np.testing.assert_array_equal(kept["l2"], [0.25, -0.25])
    assert not rest.any()
    kept, rest = settled(shares, np.array([4.0, 0.5]))  # 0.5 out of nothing is no scaling
    np.testing.assert_array_equal(kept["data"], shares["data"])
    np.testing.assert_array_equal(rest, [0.0, 0.5])


def test_what_is_no_scaling_of_the_gradient_is_a_term_of_its_own():
    model = network()
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.5)
    ledger = Ledger(optimizer)
    objective = mr.Objective(nn.CrossEntropyLoss(), {"l2": penalties.L2(0.1)})
    noise = np.random.default_rng(0).normal(size=model[0].weight.shape)
    for added in (noise, 0.0):
        optimizer.zero_grad()
        objective(model, mr.Tensor(X), Y).backward()
        model[0].weight.grad.data += added
        optimizer.step()
        row = ledger.last["0.weight"]
        assert not any("clip" in key for key in row)
        assert ledger.last.residual < 1e-15
        if added is noise:
            np.testing.assert_allclose(row["edited", "fresh"], -0.1 * noise, atol=1e-15)
    assert ("edited", "fresh") not in row
    np.testing.assert_allclose(row["edited", "carried"], -0.05 * noise, atol=1e-15)


def test_each_prox_is_booked_by_its_term_and_part_in_their_order():
    model = network()
    optimizer = optim.ProximalGradient(model.parameters(), 0.1, penalty=penalties.L2Ball(1.0))
    en = penalties.ElasticNet(0.02, 0.3)
    terms = {
        "en": mr.Term(en, via="prox"), "group": mr.Term(penalties.GroupLasso(0.05), via="prox"),
        "sparse": mr.Term(penalties.SparseGroupLasso(0.01, 0.02), via="prox"),
    }  # fmt: skip
    objective = mr.Objective(nn.CrossEntropyLoss(), terms).bind(model).attach(optimizer)
    ledger = Ledger(optimizer)
    objective(model, mr.Tensor(X), Y).backward()
    optimizer.step()
    row = ledger.last["0.weight"]
    want = ["en.l1", "en.l2", "group", "sparse.l1", "sparse.group"]
    assert list(row)[1:] == [("prox",), *((name, "prox") for name in want)]
    at = row.before + row["data", "fresh"]
    at += row["prox",]
    np.testing.assert_allclose(row["en.l1", "prox"], penalties.L1(0.02).prox(at, 0.1) - at)
    at += row["en.l1", "prox"]
    np.testing.assert_allclose(row["en.l2", "prox"], at / 1.03 - at, atol=1e-16)
    at += row["en.l2", "prox"]
    np.testing.assert_allclose(row["group", "prox"], penalties.GroupLasso(0.05).prox(at, 0.1) - at,
                               atol=1e-16)  # fmt: skip
    assert list(ledger.last["0.bias"]) == [("data", "fresh"), ("prox",)]
    assert ledger.last.residual < 1e-15


def test_a_hook_is_seen():
    model = network()
    model[0].weight.register_hook(lambda g: g * 0.25)
    optimizer = optim.SGD(model.parameters(), 0.1)
    ledger = Ledger(optimizer)
    mr.Objective(nn.CrossEntropyLoss(), {"l2": penalties.L2(0.1)})(
        model, mr.Tensor(X), Y
    ).backward()
    optimizer.step()
    assert ledger.last.residual < 1e-15


def test_accumulated_gradients_add_up_by_term():
    model = network()
    optimizer = optim.SGD(model.parameters(), 0.1)
    ledger = Ledger(optimizer)
    objective = mr.Objective(nn.CrossEntropyLoss(), {"l2": penalties.L2(0.1)})
    for part in (slice(0, 12), slice(12, 24)):
        objective(model, mr.Tensor(X[part]), Y[part]).backward()
    before = model[0].weight.numpy().copy()
    optimizer.step()
    row = ledger.last["0.weight"]
    assert list(row) == [("data", "fresh"), ("l2", "fresh")]
    np.testing.assert_allclose(row[("l2", "fresh")], -0.1 * 2 * 0.1 * before, rtol=1e-12)


def test_clipping_between_two_backwards_stays_in_the_gradient():
    model = network()
    objective = mr.Objective(nn.CrossEntropyLoss(), {"l2": penalties.L2(0.1)})
    p = model[0].weight
    objective(model, mr.Tensor(X), Y).backward()
    once = p.grad.numpy().copy()
    p.grad.data *= 0.5
    objective(model, mr.Tensor(X), Y).backward()
    np.testing.assert_allclose(p.grad.numpy(), 1.5 * once, rtol=1e-12)
    assert set(p.grad.shares) == {"data", "l2"}
    p.grad.data += 1.0
    objective(model, mr.Tensor(X), Y).backward()
    np.testing.assert_allclose(p.grad.shares["edited"], 1.0)
    np.testing.assert_allclose(p.grad.numpy(), 2.5 * once + 1.0, rtol=1e-12)


def test_a_plain_backward_is_one_term_with_the_models_names():
    model = network()
    optimizer = optim.Adam(model.parameters(), 0.01)
    ledger = Ledger(optimizer, model)
    for _ in range(2):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(model(mr.Tensor(X)), Y).backward()
        optimizer.step()
    assert list(ledger.last) == [n for n, _ in model.named_parameters()]
    assert list(ledger.last["0.weight"]) == [("gradient", "fresh"), ("gradient", "carried")]
    assert ledger.steps == 2
    unnamed = Ledger(optimizer)
    optimizer.step()
    assert "parameter 0" in unnamed.last


def test_parameters_of_two_models_that_share_a_name_have_a_row_each():
    """Two objectives, one optimizer: the second "weight" took the row of the first."""
    models = [nn.Linear(6, 3), nn.Linear(6, 3), network()]
    optimizer = optim.SGD([p for model in models for p in model.parameters()], 0.1)
    objective = mr.Objective(nn.CrossEntropyLoss(), {"l2": penalties.L2(0.1)})
    ledger = Ledger(optimizer, accumulate=True)
    before = [p.numpy().copy() for p in optimizer.param_groups[0]["params"]]
    for _ in range(3):
        optimizer.zero_grad()
        for model in models:
            objective(model, mr.Tensor(X.astype(next(model.parameters()).dtype)), Y).backward()
        optimizer.step()
    names = ["weight", "bias", "weight (2)", "bias (2)", *dict(models[2].named_parameters())]
    parameters = optimizer.param_groups[0]["params"]
    assert list(ledger.last) == list(ledger.whole) == names
    for row, p, start in zip(ledger.whole.values(), parameters, before, strict=True):
        np.testing.assert_array_equal(row.before, start)
        np.testing.assert_array_equal(row.after, p.numpy())
    layers = ledger.last.layers()
    assert list(layers["model"]) == names[:2]
    assert list(layers["model (2)"]) == names[2:4]


def test_momentum_from_before_the_ledger_is_a_term_of_its_own():
    model = network()
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)
    objective = mr.Objective(nn.CrossEntropyLoss())
    for opened in (False, True):
        ledger = Ledger(optimizer) if opened else None
        optimizer.zero_grad()
        objective(model, mr.Tensor(X), Y).backward()
        optimizer.step()
    assert ("earlier", "carried") in ledger.last["0.weight"]
    assert ledger.last.residual < 1e-15


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_books_balance_after_another_state_was_loaded(name):
    """And after another one was loaded into the weights; what both did is not the steps' doing."""
    model, x = network(), mr.Tensor(X)
    optimizer = OPTIMIZERS[name](list(model.parameters()), 0.0 if "prox" in name else 0.01)
    objective = mr.Objective(nn.CrossEntropyLoss(), {"l2": penalties.L2(0.1)})
    ledger = Ledger(optimizer, accumulate=True)
    kept = optimizer.state_dict(), model.state_dict()
    start, jump = model[0].weight.data.copy(), 0.0
    for step in range(9):
        if step == 3:
            kept = optimizer.state_dict(), model.state_dict()
        if step in (5, 8):
            before = model[0].weight.data.copy()
            optimizer.load_state_dict(kept[0])
            model.load_state_dict(kept[1])
            jump += model[0].weight.data - before
        optimizer.zero_grad()
        objective(model, x, Y).backward()
        optimizer.step()
        assert ledger.last.residual < 1e-14
        if step == 4:
            assert ("outside",) not in ledger.whole["0.weight"]
        if step == 6:
            ledger.record()
    row = ledger.whole["0.weight"]
    assert ledger.whole.residual < 1e-13
    np.testing.assert_allclose(row["outside",], jump, atol=1e-15)
    np.testing.assert_allclose(row.actual, model[0].weight.data - start, atol=1e-15)


def test_the_books_of_two_trainings_hold_what_early_stopping_put_back():
    model = network()
    optimizer = optim.SGD(model.parameters(), 2.0, momentum=0.9)
    ledger = Ledger(optimizer, accumulate=True)
    data = (X[:16], Y[:16]), (X[16:], Y[16:])
    for _ in range(2):
        stop = mr.optim.EarlyStopping(patience=3)
        mr.fit(
            model,
            nn.CrossEntropyLoss(),
            optimizer,
            *data,
            epochs=9,
            early_stopping=stop,
            ledger=ledger,
        )
    assert ledger.whole.residual < 1e-13
    assert np.abs(ledger.whole["0.weight"]["outside",]).max() > 0.1


def test_frozen_parameters_are_in_no_books():
    model = network()
    model[0].weight.requires_grad_(False)
    optimizer = optim.SGD(model.parameters(), 0.1, weight_decay=0.1)
    ledger = Ledger(optimizer)
    mr.Objective(nn.CrossEntropyLoss(), {"l2": penalties.L2(0.1)})(
        model, mr.Tensor(X), Y
    ).backward()
    before = model[0].weight.numpy().copy()
    optimizer.step()
    assert "0.weight" not in ledger.last
    np.testing.assert_array_equal(model[0].weight.numpy(), before)


def test_the_ledger_changes_nothing_and_can_be_closed():
    ends = []
    for watched in (False, True):
        model = network()
        optimizer = optim.AdamW(model.parameters(), 0.01)
        objective = mr.Objective(nn.CrossEntropyLoss(), TERMS).bind(model).attach(optimizer)
        ledger = Ledger(optimizer) if watched else None
        for step in range(6):
            if step == 4 and watched:
                ledger.close()
            optimizer.zero_grad()
            objective(model, mr.Tensor(X), Y).backward()
            optimizer.step()
        ends.append(model[0].weight.numpy())
    np.testing.assert_array_equal(*ends)
    assert ledger.steps == 4


def test_three_decays_are_three_different_rows():
    """L2 passes through Adam's moments, weight_decay= does so as a term, AdamW's is a row."""
    rows = {}
    for name, make, terms in (
        ("penalty", lambda p: optim.Adam(p, 0.01), {"l2": penalties.L2(0.1)}),
        ("coupled", lambda p: optim.Adam(p, 0.01, weight_decay=0.1), {}),
        ("decoupled", lambda p: optim.AdamW(p, 0.01, weight_decay=0.1), {}),
        ("scheduled", lambda p: optim.AdamW(p, 0.01, weight_decay=0.1, decay_scale="schedule"), {}),
    ):
        model = network()
        optimizer = make(model.parameters())
        ledger = Ledger(optimizer)
        mr.Objective(nn.CrossEntropyLoss(), terms)(model, mr.Tensor(X), Y).backward()
        optimizer.step()
        rows[name] = ledger.last["0.weight"]
    assert ("l2", "fresh") in rows["penalty"]
    assert ("weight_decay", "fresh") in rows["coupled"]
    assert ("decay",) in rows["decoupled"]
    np.testing.assert_allclose(
        rows["penalty"].of("l2"), rows["coupled"].of("weight_decay"), rtol=1e-12
    )
    np.testing.assert_allclose(rows["scheduled"][("decay",)], 100 * rows["decoupled"][("decay",)])


def test_effective_decay_is_even_under_sgd_and_uneven_under_adam():
    for make, spread in (
        (lambda p: optim.SGD(p, 0.1), 1 + 1e-9),
        (lambda p: optim.Adam(p, 0.1), 10),
    ):
        model = network()
        optimizer = make(model.parameters())
        ledger = Ledger(optimizer)
        objective = mr.Objective(nn.CrossEntropyLoss(), {"l2": penalties.L2(0.1)})
        objective(model, mr.Tensor(X), Y).backward()
        optimizer.step()
        decay = ledger.last["3.weight"].effective_decay("l2")
        assert (decay > 0).all()
        assert (decay.max() / decay.min() > spread) == (spread == 10)
    assert ledger.last["3.bias"].effective_decay("l2").max() == 0


def test_a_scale_invariant_weight_is_moved_across_by_data_and_along_by_l2():
    model = network()
    optimizer = optim.SGD(model.parameters(), 0.1)
    ledger = Ledger(optimizer)
    mr.Objective(nn.CrossEntropyLoss(), {"l2": penalties.L2(0.1)})(
        model, mr.Tensor(X), Y
    ).backward()
    optimizer.step()
    row = ledger.last["0.weight"]  # before a BatchNorm
    along, across = row.radial(("data", "fresh"))
    assert abs(along) < 1e-4 * across  # ε of the norm keeps it from 0
    along, across = row.radial(("l2", "fresh"))
    assert along == pytest.approx(-0.01 * np.linalg.norm(row.before))
    assert across < 1e-7


# --- views ----------------------------------------------------------------------------------------


def test_shares_add_up_to_one_in_every_view():
    ledger = last(OPTIMIZERS["adamw"], clip="norm", decay=0.1)
    books = ledger.last
    for view in (books, *books.layers().values()):
        assert sum(row["share"] for row in view.summary()) == pytest.approx(1, abs=1e-9)
    assert list(books.layers()) == ["0", "1", "3"]
    moved = sum(np.square(r.actual).sum() for r in books.values()) ** 0.5
    assert [r["entry"] for r in books.summary()] == [
        "data fresh", "data carried", "smoothing fresh", "smoothing carried", "l2 fresh", "l2 carried",
        "data clip", "smoothing clip", "l2 clip", "decay", "l1 prox",
    ]  # fmt: skip
    assert all(r["length"] < 100 * moved for r in books.summary())


def test_alignment_is_a_matrix_of_cosines():
    labels, cosines = last(OPTIMIZERS["momentum"]).last.alignment()
    np.testing.assert_allclose(np.diag(cosines), 1)
    np.testing.assert_allclose(cosines, cosines.T)
    assert np.abs(cosines).max() < 1 + 1e-12
    l2, data = labels.index("l2 carried"), labels.index("l2 fresh")
    assert cosines[l2, data] > 0.9


def test_tables_read():
    ledger = last(OPTIMIZERS["adamw"], clip="norm", decay=0.1)
    for by in ("model", "layer", "parameter"):
        text = ledger.last.table(by)
        assert text.splitlines()[0].split() == [by, "entry", "‖Δ‖", "share", "growth"]
        assert "decay" in text
        assert "do not explain" in text.splitlines()[-1]
    assert "0.weight" in text
    assert "after 50 steps" in repr(ledger)
    with pytest.raises(ValueError, match="by must be one of"):
        ledger.last.table("neuron")
    row = repr(ledger.last["0.weight"])
    assert row.startswith("Row(data fresh, ")
    assert len(row) < 200
    assert "nothing booked" in repr(Ledger(optim.SGD([mr.Tensor(np.ones(2), True)], 0.1)))


def test_the_books_of_the_last_step_are_of_nothing_else():
    """They kept the rows of parameters that a later step did not touch, or knew by another name."""
    mr.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)).double()
    optimizer = optim.SGD(model.parameters(), 0.1)
    ledger, objective = Ledger(optimizer), mr.Objective(nn.MSELoss())
    batch = model, mr.Tensor(np.ones((2, 3))), np.ones((2, 2))
    names = [n for n, _ in model.named_parameters()]
    for backward in ("total", "terms", "total", "frozen"):
        if backward == "frozen":
            model[0].requires_grad_(False)
        optimizer.zero_grad()
        terms = objective(*batch)
        (terms.total if backward == "total" else terms).backward()
        optimizer.step()
        if ledger.steps == 1:  # nothing has told the names yet
            assert [*ledger.last] == [f"parameter {i}" for i in range(4)]
        else:
            assert [*ledger.last] == (names[2:] if backward == "frozen" else names)
    assert ledger.steps == 4


def test_the_whole_holds_what_is_not_yet_recorded():
    p = mr.Tensor(np.ones(3), requires_grad=True)
    optimizer = optim.SGD([p], 0.1)
    ledger = Ledger(optimizer, accumulate=True)
    for step in range(1, 5):
        optimizer.zero_grad()
        (p * p).sum().backward()
        optimizer.step()
        for _ in range(2):  # looking changes nothing
            np.testing.assert_allclose(ledger.whole["parameter 0"].actual, p.data - 1, rtol=1e-14)
            assert ledger.whole.residual < 1e-14
        if step == 2:
            ledger.record()


def test_the_books_of_a_whole_training_balance(tmp_path):
    mr.manual_seed(0)
    data = mr.datasets.load("wine")
    model = nn.Sequential(nn.Linear(13, 16), nn.ReLU(), nn.Linear(16, 3)).to(np.float64)
    optimizer = optim.SGD(model.parameters(), 0.05, momentum=0.9)
    start = {n: p.numpy().copy() for n, p in model.named_parameters()}
    objective = mr.Objective(nn.CrossEntropyLoss(label_smoothing=0.1), TERMS)
    ledger = Ledger(optimizer, accumulate=True)
    mr.fit(
        model,
        objective,
        optimizer,
        data.train,
        data.validation,
        epochs=4,
        ledger=ledger,
        clip_norm=0.5,
    )
    assert ledger.whole.residual < 1e-13
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(ledger.whole[name].actual, p.numpy() - start[name])
    assert [" ".join(k) for k in ledger.whole.entries()] == [
        "data", "smoothing", "l2", "data clip", "smoothing clip", "l2 clip", "l1 prox",
    ]  # fmt: skip
    assert sum(r["share"] for r in ledger.whole.summary()) == pytest.approx(1)

    columns = ledger.columns()
    assert columns["epoch"] == [1, 2, 3, 4]
    assert {
        "share/data", "length/l2 clip", "growth/l1 prox", "0/share/data", "zeros", "residual"
    } <= {*columns}  # fmt: skip
    shares = [v for k, v in columns.items() if k.startswith("share/")]
    np.testing.assert_allclose(np.nansum(shares, axis=0), 1)  # NaN: nothing was clipped
    assert columns["zeros"][-1] == sum(int((p.numpy() == 0).sum()) for p in model.parameters())
    ledger.to_csv(tmp_path / "ledger.csv")
    with (tmp_path / "ledger.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(r["share/data"]) for r in rows] == columns["share/data"]


def test_the_running_product_of_decay_is_a_column():
    """η_tλ and Π(1 − η_tλ): what decay alone would leave, and does leave where no gradient is."""
    for make in (
        lambda p: optim.AdamW(p, 0.5, weight_decay=0.1),
        lambda p: optim.SGD(p, 0.5, weight_decay=0.1),
        lambda p: optim.SGD(p, 0.5, weight_decay=0.1, decoupled=True),
        lambda p: optim.AdamW(p, 0.5, weight_decay=0.05, decay_scale="schedule"),
    ):
        w = mr.Tensor(np.array([2.0, -1.0]), requires_grad=True)
        optimizer = make([w])
        schedule, ledger = optim.lr_scheduler.ExponentialLR(optimizer, 0.5), Ledger(optimizer)
        for _ in range(3):
            w.grad = mr.Tensor(np.zeros(2))
            optimizer.step()
            schedule.step()
            ledger.record()
        columns = ledger.columns()
        np.testing.assert_allclose(columns["decay"], [0.05, 0.025, 0.0125])
        np.testing.assert_allclose(columns["shrink"], np.cumprod([0.95, 0.975, 0.9875]))
        np.testing.assert_allclose(w.data, columns["shrink"][-1] * np.array([2.0, -1.0]))


def test_the_running_product_is_there_for_each_group_that_decays_and_for_no_other():
    def record(kind, *decays):
        groups = [
            {"params": mr.Tensor(np.ones(2), requires_grad=True), "weight_decay": d} for d in decays
        ]
        optimizer = kind(groups, lr=0.1)
        ledger = Ledger(optimizer)
        for group in groups:
            group["params"].grad = mr.Tensor(np.ones(2))
        optimizer.step()
        return {k: v for k, v in ledger.record().items() if k.split("/")[0] in ("decay", "shrink")}

    assert record(optim.SGD, 0.0) == record(optim.Adam, 0.5) == {}
    assert record(optim.AdamW, 0.0, 0.5) == {"decay": 0.05, "shrink": 0.95}
    both = record(optim.SGD, 0.5, 0.0, 1.0)
    assert both == {"decay/0": 0.05, "shrink/0": 0.95, "decay/2": 0.1, "shrink/2": 0.9}


def test_parquet_needs_pyarrow_and_says_so(tmp_path, monkeypatch):
    ledger = last(OPTIMIZERS["sgd"], steps=2)
    ledger.record()
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        ledger.to_parquet(tmp_path / "ledger.parquet")


def test_parquet_holds_the_columns(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    ledger = last(OPTIMIZERS["sgd"], steps=2)
    ledger.record()
    ledger.to_parquet(tmp_path / "ledger.parquet")
    assert parquet.read_table(tmp_path / "ledger.parquet").to_pydict() == ledger.columns()


def test_a_coefficient_changes_while_training_and_the_books_follow():
    ramp = penalties.Coefficient(lambda t: 0.01 * t)
    model = network()
    optimizer = optim.SGD(model.parameters(), 0.1)
    objective = mr.Objective(nn.CrossEntropyLoss(), {"l2": penalties.L2(ramp)})
    ledger = Ledger(optimizer)
    for step in range(3):
        optimizer.zero_grad()
        objective(model, mr.Tensor(X), Y).backward()
        optimizer.step()
        objective.step()
        row = ledger.last["0.weight"]
        np.testing.assert_allclose(
            row[("l2", "fresh")], -0.1 * 0.01 * step * row.before, atol=1e-17
        )
        assert ledger.last.residual < 1e-15
