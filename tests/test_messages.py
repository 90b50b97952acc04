"""Error messages: each names the function, the argument, what it got and what it expected.

One row an error that users meet. What a message must say is in the row; where an error is
raised its own test file looks closer.
"""

import numpy as np
import pytest

import minireg as mr
from minireg import messages as errors
from minireg import nn, optim, penalties
from minireg.nn import functional as F  # noqa: N812


def t(*shape, dtype=np.float64):
    return mr.Tensor(np.ones(shape, dtype), requires_grad=np.dtype(dtype).kind == "f")


def labels(*values):
    return np.array(values)


def leaf(*values):
    return mr.tensor(list(values))


def added(x, y):
    x += y


def net():
    return nn.Linear(3, 2).to(np.float64)


def spoiled():
    model = net()
    model.weight.data[0, 0] = np.nan
    return model


# error: (call, type, words that the message must have)
ERRORS = {
    # shapes
    "matmul of wrong shapes": (lambda: t(2, 3) @ t(2, 3), ValueError, "matmul (2, 3)"),
    "add of wrong shapes": (lambda: t(2, 3) + t(2), ValueError, "add (2, 3) (2,)"),
    "Linear": (lambda: net()(t(5, 4)), ValueError, "linear input (5, 4) expected (…, 3)"),
    "BatchNorm channels": (lambda: nn.BatchNorm(3)(t(5, 4)), ValueError, "BatchNorm input (5, 4) expected 3"),
    "LayerNorm": (lambda: nn.LayerNorm(3)(t(5, 4)), ValueError, "layer_norm input (5, 4) expected 3"),
    "GroupNorm": (lambda: nn.GroupNorm(2, 5), ValueError, "GroupNorm num_channels 5 2"),
    "Conv2d channels": (lambda: nn.Conv2d(3, 2, 3)(t(1, 4, 8, 8)), ValueError, "conv2d 3 (1, 4, 8, 8)"),
    "Conv2d kernel": (lambda: nn.Conv2d(1, 1, 9)(t(1, 1, 4, 4)), ValueError, "conv2d 9 4"),
    "MaxPool2d padding": (lambda: nn.MaxPool2d(2, padding=3)(t(1, 1, 8, 8)), ValueError, "padding 3 2"),
    "mse_loss": (
        lambda: F.mse_loss(t(3, 1), t(3)), ValueError, "mse_loss input target (3, 1) (3,) expected equal"),
    "cross_entropy targets": (
        lambda: F.cross_entropy(t(3, 4), labels(0, 1)), ValueError,
        "cross_entropy (2,) (3, 4) expected (3,)"),
    "class weights": (
        lambda: F.cross_entropy(t(3, 4), labels(0, 1, 2), weight=np.ones(3)), ValueError,
        "cross_entropy weight (3,) expected (4,)"),
    "backward of no scalar": (lambda: t(3).backward(), RuntimeError, "backward (3,) expected scalar"),
    "gradient of wrong shape": (lambda: t(3).backward(np.ones(2)), ValueError, "backward gradient (2,) (3,)"),
    "state of wrong shape": (
        lambda: net().load_state_dict({"weight": np.ones((3, 3)), "bias": np.ones(2)}), ValueError,
        "load_state_dict weight (2, 3) (3, 3)"),
    "concatenate": (lambda: mr.concatenate([t(2, 3), t(2, 4)]), ValueError, "concatenate 3 4"),
    "two arrays to concatenate": (
        lambda: mr.concatenate(t(2), t(2)), ValueError, "concatenate([a, b], axis) axis integer Tensor"),
    "a number to concatenate": (lambda: mr.concatenate(3), TypeError, "concatenate arrays 3 write [a, b]"),
    "a number to stack": (lambda: mr.stack(3), TypeError, "stack arrays 3 write [a, b]"),
    "a bound twice": (lambda: mr.clip(t(2), 1, 2, min=0), ValueError, "clip a_min min a_max max twice"),
    "half the statistics": (
        lambda: F.batch_norm(t(3, 2), np.zeros(2), None, training=True), ValueError,
        "batch_norm needs running_mean running_var neither"),
    "a kind that is none": (
        lambda: nn.Parameter([1.0], kind="weights"), ValueError, "Parameter kind weight bias norm weights"),
    "starting values of a number": (lambda: nn.init.uniform_(3), TypeError, "nn.init Tensor 3 overwritten"),
    "starting values of a list": (
        lambda: nn.init.xavier_normal_([[1.0]]), TypeError, "nn.init Tensor [[1.0]] overwritten"),
    "spectral norm of a number": (lambda: nn.utils.spectral_norm(3), TypeError, "module Module 3"),
    "a stream called 3": (lambda: mr.random.Stream(3), TypeError, "Stream name 3 Stream(name, seed)"),
    "resuming without a state": (
        lambda: optim.lr_scheduler.StepLR(optim.SGD([t(2)]), 3, last_epoch=9), ValueError,
        "StepLR last_epoch load optimizer state"),
    "einsum operands": (lambda: mr.einsum("ij,jk", t(2, 3)), ValueError, "einsum 2 operands 1"),
    "split": (lambda: mr.split(t(5), 2), ValueError, "split 5 2"),
    "penalty groups": (
        lambda: penalties.GroupLasso(1.0, groups=[[9]])(t(2, 3)), IndexError, "GroupLasso 9 (2, 3) 6"),
    "path norm": (
        lambda: penalties.PathNorm(1.0)(t(2, 3), t(2, 3)), ValueError, "PathNorm (2, 3) expected chain"),
    # dtypes
    "integers that require a gradient": (
        lambda: mr.tensor([1, 2], requires_grad=True), TypeError, "requires_grad int64 expected floating"),
    "float labels": (
        lambda: F.nll_loss(t(2, 3), np.ones(2)), ValueError,
        "nll_loss targets float64 expected integer labels"),
    "words": (lambda: mr.tensor(["a"]), TypeError, "tensor: data numbers ['a']"),
    # axes and indices
    "sum": (lambda: mr.sum(t(2, 3), axis=2), ValueError, "sum axis 2"),
    "softmax": (lambda: F.softmax(t(2, 3), dim=5), ValueError, "softmax 5"),
    "transpose": (lambda: mr.transpose(t(2, 3), (0, 2)), ValueError, "transpose 2"),
    "index": (lambda: t(2, 3)[5], IndexError, "getitem 5"),
    "take": (lambda: mr.take(t(2, 3), [7], axis=1), IndexError, "index 7 axis 1 size 3"),
    "embedding": (lambda: nn.Embedding(4, 2)(labels(4)), IndexError, "embedding 4"),
    "label": (
        lambda: F.cross_entropy(t(2, 3), labels(0, 3)), ValueError, "cross_entropy label 3 0 … 2 3 classes"),
    "singular matrix": (
        lambda: mr.linalg.inv(mr.Tensor(np.zeros((2, 2)))), np.linalg.LinAlgError, "inv Singular"),
    "norm": (lambda: mr.linalg.norm(t(2, 3), "max"), ValueError, "norm ord max expected fro nuc"),
    # ranges
    "Dropout": (lambda: nn.Dropout(1.5), ValueError, "Dropout p [0, 1] 1.5"),
    "dropout": (lambda: F.dropout(t(2), -0.1), ValueError, "dropout p [0, 1] -0.1"),
    "label smoothing": (
        lambda: nn.CrossEntropyLoss(label_smoothing=2), ValueError,
        "CrossEntropyLoss label_smoothing [0, 1] 2"),
    "reduction": (lambda: nn.MSELoss("average"), ValueError, "MSELoss reduction mean sum none average"),
    "one value per channel": (
        lambda: nn.BatchNorm(3)(t(1, 3)), ValueError,
        "batch_norm training more than one value per channel (1, 3)"),
    "strength": (lambda: penalties.L1(-1.0), ValueError, "L1 strength ≥ 0 -1.0"),
    "radius": (lambda: penalties.L2Ball(float("nan")), ValueError, "L2Ball radius ≥ 0 nan"),
    "coefficient": (
        lambda: penalties.L2(penalties.Coefficient(lambda k: -1.0)), ValueError,
        "L2 strength ≥ 0 Coefficient"),
    "scale": (lambda: penalties.GroupLasso(1.0, scale="root"), ValueError, "GroupLasso scale sqrt none root"),
    "axis of a group": (
        lambda: penalties.GroupLasso(1.0, axis=2)(t(2, 3)), ValueError, "GroupLasso axis 2 (2, 3)"),
    "method": (
        lambda: penalties.SpectralNorm(1.0, method="qr"), ValueError, "SpectralNorm method power svd qr"),
    "constraint as a gradient": (
        lambda: mr.Term(penalties.L2Ball(1.0), via="gradient"), ValueError, "Term L2Ball via='prox'"),
    "lr": (lambda: optim.SGD([t(2)], lr=-0.1), ValueError, "SGD lr ≥ 0 -0.1"),
    "beta": (lambda: optim.Adam([t(2)], betas=(0.9, 1.0)), ValueError, "Adam betas[1] [0, 1) 1.0"),
    "nesterov": (lambda: optim.SGD([t(2)], nesterov=True), ValueError, "SGD nesterov momentum"),
    "unknown option": (
        lambda: optim.SGD([{"params": [t(2)], "beta": 1}]), ValueError, "SGD beta expected lr"),
    "no parameters": (lambda: optim.SGD([]), ValueError, "SGD no parameters"),
    "clip": (
        lambda: optim.clip_grad_norm_([t(2)], -1.0), ValueError, "clip_grad_norm_ max_norm [0, inf] -1.0"),
    "schedule": (
        lambda: optim.lr_scheduler.StepLR(optim.SGD([t(2)]), 0), ValueError, "StepLR step_size 1 0"),
    "prox with a step for each element": (
        lambda: optim.Adam([w := t(2, 3)]).add_prox([w], penalties.NuclearNorm(1.0)), NotImplementedError,
        "Adam NuclearNorm step for each element SGD via='gradient'"),
    "no parameter matches": (
        lambda: mr.Objective(nn.MSELoss(), {"l2": (penalties.L2(1.0), "weigth")}).table(net()), ValueError,
        "l2 weigth matches no parameter near weight"),
    # graphs and backends
    "second backward": (lambda: twice((t(2) * 2).sum()), RuntimeError, "second backward sum retain_graph"),
    "numpy of a graph": (lambda: np.asarray(t(2)), TypeError, "numpy() gradient"),
    "numpy function without a rule": (lambda: np.fft.fft(t(2)), TypeError, "np.fft.fft graph"),
    "backend": (lambda: mr.tensor([1.0], backend="jax"), ValueError, "backend jax expected cupy numpy"),
    "not differentiable": (lambda: mr.grad(t(2).sum(), t(2)), RuntimeError, "grad input 0 (2,) allow_unused"),
    # --- mistakes by entry point: tensors and ops ------------------------------------------------
    "ragged list": (lambda: mr.tensor([[1, 2], [3]]), ValueError, "tensor: data lists equal lengths got"),
    "objects": (lambda: mr.tensor(np.array([1.0, None])), TypeError, "tensor: data numbers object"),
    "None": (lambda: mr.tensor(None), TypeError, "tensor: data numbers None"),
    "dates": (lambda: mr.tensor(np.array(["2020-01-01"], "datetime64[D]")), TypeError,
              "tensor: data numbers datetime64[D]"),
    "records": (lambda: mr.tensor(np.zeros(2, [("a", "f4")])), TypeError, "tensor: data numbers 'a'"),
    "masked array": (lambda: mr.tensor(np.ma.array([1.0, 2.0], mask=[0, 1])), TypeError,
                     "tensor: data masked .filled(0)"),
    "view": (lambda: t(2, 3).view(6), AttributeError, "Tensor view t.reshape(…)"),
    "no attribute": (lambda: t(2).foo, AttributeError, "Tensor attribute foo"),
    "cat": (lambda: mr.cat([t(2)]), AttributeError, "minireg cat mr.concatenate"),
    "zeros": (lambda: mr.zeros(3), AttributeError, "minireg zeros np.zeros(shape,"),
    "dtype of PyTorch": (lambda: mr.tensor([1.0], dtype="torch.float"), TypeError, "tensor: dtype got"),
    "astype": (lambda: t(2).astype("foo"), TypeError, "astype: dtype 'float32' 'foo'"),
    "item of many": (lambda: t(2).item(), ValueError, "item (2,) one .numpy()"),
    "a list as data": (lambda: mr.Tensor([1.0]), TypeError, "'list' mr.tensor"),
    "assign None": (lambda: leaf(1.0, 2.0).assign(None), TypeError, "assign: value numbers None"),
    "assign words": (lambda: leaf(1.0).assign("a"), TypeError, "assign: value numbers 'a'"),
    "assign complex": (lambda: leaf(1.0).assign(1j), TypeError, "assign: value float32 complex128 .astype"),
    "assign shape": (lambda: leaf(1.0, 2.0).assign(np.ones(3)), ValueError, "assign: (3,) expected (2,)"),
    "integers += 0.5": (lambda: added(leaf(1, 2), 0.5), TypeError, "in-place change: int64 float64"),
    "integers [0] = 0.7": (lambda: leaf(1, 2).__setitem__(0, 0.7), TypeError, "item assignment: int64"),
    "items of a number": (lambda: list(leaf(1.0).sum()), TypeError, "0-d Tensor length .item()"),
    "truth": (lambda: t(2) in [t(2)], ValueError, "Tensor (2,) .any() .all() in"),
    "to a dtype": (lambda: t(2).to(np.float64), ValueError, "to: float64 expected numpy .astype(dtype)"),
    "axis": (lambda: mr.mean(t(2, 3), axis=True), TypeError, "mean: axis=True"),
    "unknown option of an op": (lambda: mr.sum(t(2), axes=1), TypeError, "sum: got axes=1"),
    "unknown option of a function": (lambda: mr.sort(t(2), axes=1), TypeError, "sort axes"),
    "options of a ufunc": (
        lambda: mr.grad(mr.add(a := t(2), 1, where=labels(True, True), out=np.ones(2)).sum(), a), TypeError,
        "the gradient of add where="),
    "sum of words": (lambda: mr.sum("abc"), TypeError, "sum: got ('abc')"),
    "export of a graph": (lambda: np.from_dlpack(t(2)), BufferError, "DLPack gradient .detach()"),
    "gradient that is a word": (
        lambda: t(2).backward("x"), TypeError, "backward gradient must be (2,) got 'x'"),
    "gradient that is ragged": (
        lambda: mr.grad(t(2), t(2), [[1, [2]]]), TypeError, "grad gradient must be (2,) got [1, [2]]"),
    "complex gradient": (
        lambda: t(2).backward(np.array([1j, 2])), TypeError, "backward gradient complex128 float64 real"),
    "grad_outputs that is no list": (
        lambda: mr.grad([t(2), t(2)], t(2), 1.0), ValueError, "grad 1 grad_outputs 2 outputs"),
    "hook that is no function": (lambda: t(2).register_hook(3), TypeError, "register_hook function 3"),
    "hook that returns another shape": (
        lambda: hooked(np.ones(3)), ValueError, "backward hook (3,) (2,) None"),
    "hook that returns a word": (lambda: hooked("x"), TypeError, "backward hook numbers 'x'"),
    "grad of another shape": (
        lambda: accumulated(np.ones(3)), ValueError, "backward leaf (2,) .grad (3,) None"),
    "grad at an array": (
        lambda: mr.grad(t(2).sum(), np.ones(2)), TypeError, "grad inputs must be Tensors got ndarray"),
    "grad at arrays": (
        lambda: mr.grad(t(2).sum(), [t(2), np.ones(2)]), TypeError,
        "grad input 1 must be a Tensor got ndarray"),
    "grad at a dict": (
        lambda: mr.grad(t(2).sum(), {"w": t(2)}), TypeError, "grad inputs must be Tensors got dict values()"),
    "grad at a number": (
        lambda: mr.grad(t(2).sum(), 2.0), TypeError, "grad inputs must be Tensors got float"),
    # --- layers and losses -----------------------------------------------------------------------
    "labels as floats": (
        lambda: F.cross_entropy(t(2, 3), np.array([0.0, np.nan])), ValueError,
        "cross_entropy targets (2,) (2, 3) expected integers .astype(int) missing"),
    "a model to PyTorch's name of a GPU": (lambda: net().to("cuda"), ValueError, "backend cuda GPU 'cupy'"),
    "Linear of True": (lambda: nn.Linear(True, 2), ValueError, "Linear in_features integer True"),
    "Linear of words": (lambda: net()("abc"), TypeError, "linear: input numbers 'abc'"),
    "Linear of None": (lambda: net()(None), TypeError, "linear: input numbers None"),
    "two inputs of a chain": (
        lambda: nn.Sequential(net())(t(1, 3), t(1, 3)), TypeError, "Sequential 2 inputs one forward"),
    "generator that is a seed": (lambda: nn.Linear(3, 2, generator=5), TypeError, "init generator Stream 5"),
    "generator of dropout": (lambda: F.dropout(t(2), generator=5), TypeError, "dropout generator Stream 5"),
    "padding_idx": (lambda: nn.Embedding(3, 2, padding_idx=1.5), ValueError, "Embedding [-3, 2] 1.5"),
    "axis of Flatten": (lambda: nn.Flatten("a")(t(2)), IndexError, "Flatten start_dim=a (2,) axis"),
    "beta of Softplus": (lambda: nn.Softplus("a")(t(2)), ValueError, "softplus beta > 0 'a'"),
    "a module in place of a list": (
        lambda: nn.ModuleList(nn.ReLU()), TypeError, "ModuleList modules list ReLU"),
    "ignore_index": (
        lambda: nn.CrossEntropyLoss(ignore_index="a"), ValueError, "CrossEntropyLoss ignore_index integer"),
    "a list to initialise": (lambda: nn.init.zeros_([1, 2]), TypeError, "nn.init Tensor [1, 2]"),
    "BatchNorm momentum": (
        lambda: nn.BatchNorm(3, momentum="a"), ValueError, "BatchNorm momentum [0, 1] 'a'"),
    "BatchNorm momentum 2": (
        lambda: nn.BatchNorm1d(3, momentum=2), ValueError, "BatchNorm1d momentum [0, 1] 2"),
    "BatchNorm eps": (lambda: nn.BatchNorm(3, eps=-1e-5), ValueError, "BatchNorm eps ≥ 0 -1e-05"),
    "LayerNorm of a float": (lambda: nn.LayerNorm(3.0), ValueError, "LayerNorm normalized_shape integer 3.0"),
    "LayerNorm of -3": (lambda: nn.LayerNorm(-3), ValueError, "LayerNorm normalized_shape ≥ 1 -3"),
    "LayerNorm of 0": (lambda: nn.LayerNorm(0), ValueError, "LayerNorm normalized_shape ≥ 1 0"),
    "LayerNorm of nothing": (lambda: nn.LayerNorm(()), ValueError, "LayerNorm normalized_shape ()"),
    "LayerNorm eps": (lambda: nn.LayerNorm(3, eps=-1), ValueError, "LayerNorm eps ≥ 0 -1"),
    "RMSNorm eps": (lambda: nn.RMSNorm(3, eps=-1), ValueError, "RMSNorm eps ≥ 0 -1"),
    "RMSNorm of integers": (
        lambda: nn.RMSNorm(3)(labels(1, 2, 3)), ValueError,
        "rms_norm input int64 floating .astype('float32')"),
    "GroupNorm eps": (lambda: nn.GroupNorm(1, 3, eps=-1), ValueError, "GroupNorm eps ≥ 0 -1"),
    "Dropout of words": (lambda: nn.Dropout("a"), ValueError, "Dropout p [0, 1] 'a'"),
    "Dropout of None": (lambda: nn.Dropout(None), ValueError, "Dropout p [0, 1] None"),
    "Dropout of a Tensor": (lambda: nn.Dropout(mr.tensor(0.5)), ValueError, "Dropout p [0, 1] Tensor(0.5"),
    "Dropout of integers": (
        lambda: nn.Dropout(0.5)(labels(1, 2)), ValueError,
        "dropout input int64 floating .astype('float32')"),
    "Dropout seed": (lambda: nn.Dropout(0.5, seed=1.5), ValueError, "Stream seed integer 1.5"),
    "Dropout seed below 0": (lambda: nn.Dropout(0.5, seed=-1), ValueError, "Stream seed ≥ 0 -1"),
    "Embedding of floats": (lambda: nn.Embedding(4, 2)([0.5]), TypeError, "embedding float32 integers"),
    "labels of words": (
        lambda: F.cross_entropy(t(1, 3), ["a"]), TypeError, "cross_entropy: target numbers ['a']"),
    "no labels": (lambda: F.cross_entropy(t(1, 3), None), TypeError, "cross_entropy: target numbers None"),
    "integer logits": (
        lambda: F.cross_entropy(labels(1, 2), labels(0)), ValueError, "cross_entropy logits int64 floating"),
    "an option in place of weights": (
        lambda: F.cross_entropy(t(2, 3), labels(0, 1), 0.1), ValueError,
        "cross_entropy weight () expected (3,) one a class keyword"),
    "a reduction in place of weights": (
        lambda: nn.CrossEntropyLoss("mean"), TypeError, "CrossEntropyLoss: weight numbers 'mean'"),
    "negative weights": (
        lambda: nn.CrossEntropyLoss([1.0, -1.0]), ValueError, "CrossEntropyLoss: weight ≥ 0 -1"),
    "negative weights of a function": (
        lambda: F.nll_loss(t(1, 2), labels(0), np.array([1.0, -1.0])), ValueError, "nll_loss: weight ≥ 0 -1"),
    "negative pos_weight": (
        lambda: nn.BCEWithLogitsLoss(pos_weight=-1.0), ValueError, "BCEWithLogitsLoss: pos_weight ≥ 0 -1"),
    "pos_weight of wrong shape": (
        lambda: F.binary_cross_entropy_with_logits(t(2, 3), t(2, 3), pos_weight=[1.0, 2.0]), ValueError,
        "binary_cross_entropy_with_logits pos_weight (2,) (2, 3)"),
    "target of wrong shape": (
        lambda: F.l1_loss(t(3), [[1.0], [2.0], [3.0]]), ValueError, "l1_loss input (3,) target (3, 1)"),
    "complex leaf": (
        lambda: mr.tensor([1j], requires_grad=True), TypeError, "requires_grad complex128 two real tensors"),
    "gradient through complex numbers": (
        lambda: mr.abs(t(2) * np.array([1j, 2j])).sum().backward(), TypeError, "mul gradient complex"),
    "sigmoid of complex numbers": (lambda: mr.sigmoid(mr.tensor([1j])), TypeError, "sigmoid complex real"),
    "eigh of complex numbers": (
        lambda: mr.linalg.eigh(mr.tensor(np.eye(2) * 1j)), TypeError, "eigh complex real"),
    "cuda": (lambda: net().cuda(), AttributeError, 'Linear cuda model.to("cupy")'),
    # --- optimizers, schedules, ledger -----------------------------------------------------------
    "a module for its parameters": (
        lambda: optim.SGD(net()), TypeError, "SGD parameters module Linear model.parameters()"),
    "a method for its result": (
        lambda: optim.Adam(net().parameters), TypeError, "Adam parameters itself model.parameters()"),
    "a number for parameters": (lambda: optim.SGD([0.1]), TypeError, "SGD Tensors 0.1 model.parameters()"),
    "a rate for parameters": (lambda: optim.SGD(0.1), TypeError, "SGD Tensors 0.1 model.parameters()"),
    "one beta": (lambda: optim.Adam([t(2)], betas=0.9), ValueError, "Adam betas pair 0.9"),
    "three betas": (
        lambda: optim.Adam([t(2)], betas=(0.9, 0.9, 0.9)), ValueError, "Adam betas pair (0.9, 0.9, 0.9)"),
    "a group without params": (lambda: optim.SGD([{"lr": 0.1}]), TypeError, "SGD group dict 'params' ['lr']"),
    "groups and Tensors": (
        lambda: optim.SGD([{"params": [t(2)]}, t(2)]), TypeError, "SGD group dict 'params' Tensor"),
    "whole numbers as parameters": (
        lambda: optim.SGD([mr.tensor([1, 2])]), TypeError, "SGD leaf floats int64"),
    "lr True": (lambda: optim.SGD([t(2)], lr=True), ValueError, "SGD lr number True"),
    "nesterov in words": (
        lambda: optim.SGD([t(2)], nesterov="yes"), ValueError, "SGD nesterov True False yes"),
    "a number for a penalty": (
        lambda: optim.ProximalGradient([t(2)], penalty=0.1), TypeError,
        "ProximalGradient penalty Penalty 0.1 L1(0.1)"),
    "a closure": (lambda: optim.SGD([t(2)]).step(lambda: 0), TypeError, "SGD.step closure before"),
    "a gradient of another shape": (
        lambda: stepped(t(2, 3), t(3)), ValueError, "SGD.step gradient (2, 3) (3,)"),
    "clipping a module": (
        lambda: optim.clip_grad_norm_(net(), 1.0), TypeError, "clip_grad_norm_ module model.parameters()"),
    "clipping by words": (
        lambda: optim.clip_grad_norm_([t(2)], "big"), ValueError, "clip_grad_norm_ max_norm [0, inf] 'big'"),
    "one milestone": (
        lambda: optim.lr_scheduler.MultiStepLR(optim.SGD([t(2)]), 5), TypeError,
        "MultiStepLR milestones list 5"),
    "a number for a function": (
        lambda: optim.lr_scheduler.LambdaLR(optim.SGD([t(2)]), 0.5), TypeError,
        "LambdaLR lr_lambda function 0.5"),
    "a ledger of a model": (
        lambda: mr.Ledger(net()), TypeError, "Ledger Optimizer Linear Ledger(optimizer, model)"),
    "decay groups of a list": (
        lambda: optim.decay_groups([t(2)], 0.1), TypeError, "decay_groups model Module Tensor"),
    # --- penalties and solvers -------------------------------------------------------------------
    "prox with a negative step": (
        lambda: penalties.L1(0.1).prox(np.ones(2), -1.0), ValueError, "L1.prox step ≥ 0 -1.0"),
    "prox with a step that is NaN": (
        lambda: penalties.L2Ball(0.1).prox(np.ones(2), float("nan")), ValueError, "L2Ball.prox step ≥ 0 nan"),
    "prox without a step": (
        lambda: penalties.NuclearNorm(0.1).prox(np.ones((2, 2)), None), ValueError,
        "NuclearNorm.prox step ≥ 0 None"),
    "L2 with a negative weight": (
        lambda: penalties.L2(0.1, weight=np.array([1.0, -1.0])), ValueError, "L2 weight ≥ 0 -1"),
    "L2 with words": (
        lambda: penalties.L2(0.1, center=["a"]), TypeError, "L2: center numbers ['a']"),
    "L2 with a center of another shape": (
        lambda: penalties.L2(0.1, center=np.ones((4, 3))).value(np.ones(3)), ValueError,
        "L2: center (4, 3) (3,)"),
    "a box upside down": (lambda: penalties.Box(1.0, -1.0), ValueError, "Box: low ≤ high 1.0 -1.0"),
    "a box around NaN": (lambda: penalties.Box(np.nan, 1.0), ValueError, "Box: low numbers NaN"),
    "a box with a side of another shape": (
        lambda: penalties.Box(0.0, np.ones(4)).prox(np.ones(3), 1.0), ValueError, "Box: high (4,) (3,)"),
    "a quadratic of no square": (
        lambda: penalties.Quadratic(0.1, np.ones((2, 3))), ValueError, "Quadratic: matrix (2, 3) (n, n)"),
    "a quadratic that is not symmetric": (
        lambda: penalties.Quadratic(0.1, [[1.0, 1.0], [0.0, 1.0]]), ValueError,
        "Quadratic: matrix symmetric 1 away (R + R.T) / 2"),
    "a quadratic of NaN": (
        lambda: penalties.Quadratic(0.1, [[np.nan]]), ValueError, "Quadratic: matrix finite nan"),
    "a quadratic that bends down": (
        lambda: penalties.Quadratic(0.1, [[0.0, 2.0], [2.0, 0.0]]), ValueError,
        "Quadratic: matrix positive semidefinite -2"),
    "a quadratic of another size": (
        lambda: penalties.Quadratic(0.1, np.eye(3)).gradient(np.ones((2, 2))), ValueError,
        "Quadratic: matrix (3, 3) (4, 4) (2, 2)"),
    "an MCP of no width": (lambda: penalties.MCP(0.1, gamma=0.0), ValueError, "MCP: gamma > 0 0.0"),
    "a SCAD that falls at once": (lambda: penalties.SCAD(0.1, a=1), ValueError, "SCAD: a (1, inf) 1"),
    "a LogSum of no width": (lambda: penalties.LogSum(0.1, eps=-1), ValueError, "LogSum: eps > 0 -1"),
    "a total variation along no axis": (
        lambda: penalties.TotalVariation(0.1, axis=1).value(np.ones(3)), ValueError,
        "TotalVariation: axis=(1,) (3,)"),
    "weights that rise": (
        lambda: penalties.SLOPE(0.1, [1.0, 2.0]), ValueError, "SLOPE: weights rise [1.0, 2.0]"),
    "too few weights": (
        lambda: penalties.SLOPE(0.1, [2.0, 1.0]).value(np.ones(3)), ValueError, "SLOPE: 2 weights 3 (3,)"),
    "translated by another shape": (
        lambda: penalties.translated(penalties.L1(0.1), np.ones(4)).prox(np.ones(3), 1.0), ValueError,
        "translated: center (4,) (3,)"),
    "an axis and groups": (
        lambda: penalties.GroupLasso(0.1, axis=1, groups=[[0, 1]]), ValueError,
        "GroupLasso axis=1 groups= exclude"),
    "an axis that is none": (
        lambda: penalties.GroupLasso(0.1, axis="rows"), TypeError, "GroupLasso axis integer tuple None rows"),
    "an axis twice": (
        lambda: penalties.MaxNorm(0.1, axis=(0, 0)), TypeError, "MaxNorm axis different (0, 0)"),
    "an axis twice by two names": (
        lambda: penalties.GroupLasso(0.1, axis=(1, -1)).value(np.ones((2, 3))), ValueError,
        "GroupLasso axis=(1, -1) (2, 3) twice (1,)"),
    "groups that are no lists": (
        lambda: penalties.SparseGroupLasso(0.1, 0.1, groups=[0, 1]), ValueError,
        "SparseGroupLasso groups lists of positions [0, 1]"),
    "groups of fractions": (
        lambda: penalties.GroupLasso(0.1, groups=[[0.5]]), ValueError, "GroupLasso groups positions [[0.5]]"),
    "a group lasso of integers": (
        lambda: penalties.GroupLasso(0.1).gradient(np.ones((2, 2), int)), TypeError, "floating int64"),
    "spectral norm of NaN": (
        lambda: penalties.SpectralNorm(0.1).gradient(np.full((2, 2), np.nan)), np.linalg.LinAlgError,
        "singular values NaN detect_anomaly"),
    "nuclear norm of float16": (
        lambda: penalties.NuclearNorm(0.1).gradient(np.ones((2, 2), np.float16)), TypeError,
        "singular values float32 float16"),
    "path norm of a list": (
        lambda: penalties.PathNorm(0.1)([np.ones((2, 2))]), TypeError, "PathNorm Module one by one"),
    "scaling a number": (lambda: penalties.scaled(3, 2.0), TypeError, "scaled Penalty 3"),
    "scaling by a word": (
        lambda: penalties.scaled(penalties.L1(0.1), "a"), ValueError, "scaled factor='a' finite numbers"),
    "from scikit-learn without observations": (
        lambda: penalties.L2.from_sklearn(1.0, 0), ValueError, "L2.from_sklearn n ≥ 1 0"),
    "lipschitz of a number": (lambda: mr.lipschitz_bound(3), TypeError, "lipschitz model Module 3"),
    "lipschitz of NaN": (
        lambda: mr.certified_radius(spoiled(), np.ones((1, 3))), FloatingPointError,
        "lipschitz 'weight' NaN"),
    "curvature at a method": (
        lambda: mr.curvature.hessian(lambda: t(1).sum(), net().parameters), TypeError,
        "curvature parameters itself model.parameters()"),
    "half an eigenvalue": (
        lambda: mr.curvature.eigenvalues(lambda: (w * w).sum(), w := t(3), k=1.5), ValueError,
        "eigenvalues k=1.5 1 … 3"),
    "spectral density of NaN": (
        lambda: mr.curvature.spectral_density(lambda: (w * w * np.nan).sum(), w := t(3)), FloatingPointError,
        "curvature matrix NaN"),
    "spectral density without a width": (
        lambda: mr.curvature.spectral_density(lambda: (w * w).sum(), w := t(3), width=-1.0), ValueError,
        "spectral_density width > 0 -1.0"),
    "no trials": (
        lambda: mr.check_penalty(penalties.L1(0.1), trials=0), ValueError,
        "check_penalty trials an integer ≥ 1 0"),
    "nothing to check": (
        lambda: mr.check_penalty(penalties.L1(0.0)), ValueError,
        "check_penalty L1(0) 0 wherever it was tried strength > 0"),
    "solve without a model": (
        lambda: mr.solve(3, nn.MSELoss(), penalties.L1(0.1), t(2, 3), t(2, 2)), TypeError,
        "solve model Module 3"),
    "a number for a penalty to solve": (
        lambda: mr.solve(net(), nn.MSELoss(), 3, t(2, 3), t(2, 2)), TypeError, "solve Penalty 3 L1(…)"),
    "a plane along one direction": (
        lambda: mr.curvature.plane(lambda: (w * w).sum(), w := t(3), np.ones((1, 3)), [0], [0]), ValueError,
        "plane directions two 1 line"),
    "a number to sort": (lambda: mr.sort(1.0), ValueError, "sort axis -1 dimension 0"),
    "the trace of a vector": (lambda: mr.trace([1.0]), ValueError, "diagonal (1,) two axes"),
    "solve of words": (
        lambda: mr.solve(net(), nn.MSELoss(), penalties.L1(0.1), np.array(["a"]), t(2, 2)), TypeError,
        "solve: x numbers <U1"),
    "solve with dropout": (
        lambda: mr.solve(nn.Sequential(nn.Dropout(0.5, seed=0), net()), nn.MSELoss(), penalties.L1(0.1),
                         np.ones((40, 3)), np.ones((40, 2))),
        ValueError, "solve the loss is random dropout model.eval()"),
    "solve of NaN": (
        lambda: mr.solve(net(), nn.MSELoss(), penalties.L1(0.1), np.full((2, 3), np.nan), np.ones((2, 2))),
        FloatingPointError, "solve not finite NaN x, y parameters"),
    "path ratio": (
        lambda: mr.path(net(), nn.MSELoss(), penalties.L1(0.1), t(2, 3), t(2, 2), ratio=-1.0), ValueError,
        "path ratio (0, 1] -1.0"),
    "path strengths": (
        lambda: mr.path(net(), nn.MSELoss(), penalties.L1(0.1), np.ones((2, 3)), np.ones((2, 2)), ["a"]),
        TypeError, "path: strengths numbers <U1"),
    "a class instead of a penalty": (
        lambda: mr.check_penalty(penalties.L1), TypeError, "check_penalty Penalty instance L1"),
    # --- objective and fit -----------------------------------------------------------------------
    "seed of fit": (
        lambda: mr.fit(net(), nn.MSELoss(), optim.SGD(net().parameters()), ([0], [0]), seed=-1), ValueError,
        "fit seed integer ≥ 0 -1"),
    "labels that are words": (
        lambda: mr.fit(n := net(), nn.MSELoss(), optim.SGD(n.parameters()), (np.ones((1, 3)), ["a"])),
        ValueError, "fit y train classes 'a' MSELoss two numbers"),
    "a function to fit": (
        lambda: mr.fit(lambda x: x, nn.MSELoss(), optim.SGD([t(2)]), ([0], [0])), TypeError,
        "model Module function"),
    "a number as name": (
        lambda: mr.Objective(nn.MSELoss(), {3: penalties.L1(1.0)}), TypeError, "Objective names text 3"),
    "too much of a term": (
        lambda: mr.Objective(nn.MSELoss(), {"l1": (penalties.L1(1.0), None, "prox", 3)}), TypeError,
        "Objective 'l1' (penalty, on, via) L1"),
    "the name of a part": (
        lambda: mr.Objective(
            nn.MSELoss(), {"en": penalties.ElasticNet(1.0, 1.0), "en.l1": penalties.L1(1.0)}), ValueError,
        "Objective 'en.l1' part of 'en'"),
    "attach to a model": (
        lambda: mr.Objective(nn.MSELoss()).bind(net()).attach(net()), TypeError,
        "attach optimizer Optimizer Linear"),
    "a list to watch": (
        lambda: mr.fit(n := net(), nn.MSELoss(), optim.SGD(n.parameters()), ([[1.0] * 3], [[1.0] * 2]),
                       watch=[1]), TypeError, "fit watch mapping [1]"),
    "monitor": (lambda: optim.EarlyStopping(monitor=None), TypeError, "EarlyStopping monitor None"),
    "a list of penalties": (
        lambda: mr.Objective(nn.MSELoss(), [penalties.L1(0.1)]), TypeError,
        "Objective penalties mapping L1(0.1) {'l2': mr.penalties.L2(0.1)}"),
    "a single penalty": (
        lambda: mr.Objective(nn.MSELoss(), penalties.L1(0.1)), TypeError,
        "Objective penalties mapping L1(0.1)"),
    "a number as penalty": (
        lambda: mr.Objective(nn.MSELoss(), {"l1": 0.1}), TypeError, "Term expected Penalty 0.1"),
    "a class as penalty": (
        lambda: mr.Objective(nn.MSELoss(), {"l1": penalties.L1}), TypeError, "Term Penalty write L1(…)"),
    "a class as loss": (
        lambda: mr.Objective(nn.MSELoss), TypeError, "Objective loss MSELoss write MSELoss(…)"),
    "a loss that returns a number": (
        lambda: mr.Objective(lambda a, b: 0.5)(net(), t(1, 3), t(1, 2)), TypeError,
        "Objective loss must return a Tensor, got 0.5"),
    "a loss that returns nothing": (
        lambda: mr.Objective(lambda a, b: None)(net(), t(1, 3), t(1, 2)), TypeError, "loss Tensor None"),
    "a function as model": (
        lambda: mr.Objective(nn.MSELoss())(lambda x: x, t(1, 3), t(1, 3)), TypeError,
        "Objective model Module function"),
    "on= a number": (
        lambda: mr.Objective(nn.MSELoss(), {"l1": (penalties.L1(1.0), 3)}), TypeError,
        "Term on glob Parameter predicate got 3"),
    "on= a layer": (
        lambda: mr.Objective(nn.MSELoss(), {"l1": (penalties.L1(1.0), net())}), TypeError,
        "Term on glob Parameter Linear parameters()"),
    "on= numbers": (
        lambda: mr.Objective(nn.MSELoss(), {"l1": (penalties.L1(1.0), [3])}).table(net()), TypeError,
        "Term on glob Parameter got 3 among them"),
    "labels to flip that are none": (
        lambda: mr.datasets.flip_labels([0.5], 0.2, 3, mr.random.Stream("noise")), TypeError,
        "flip_labels y integer labels float64"),
    "a share of labels": (
        lambda: mr.datasets.flip_labels([0, 1], 2, 3, mr.random.Stream("noise")), ValueError,
        "flip_labels rate [0, 1] 2"),
    "one class to flip to": (
        lambda: mr.datasets.flip_labels([0], 0.2, 1, mr.random.Stream("noise")), ValueError,
        "flip_labels classes ≥ 2 1"),
    "a seed for a stream": (
        lambda: mr.datasets.flip_labels([0], 0.2, 2, 7), TypeError, "flip_labels stream Stream 7 seed"),
    # --- sweep, files and data sets --------------------------------------------------------------
    "held-out share as text": (
        lambda: mr.datasets.load("wine", validation="0.3"), ValueError,
        "datasets.load validation (0, 1) '0.3'"),
    "seed of a data set": (
        lambda: mr.datasets.load("wine", seed=-1), ValueError, "datasets.load seed integer ≥ 0 -1"),
    "a list as data set": (lambda: mr.datasets.load(["wine"]), ValueError, "datasets.load ['wine'] digits"),
    "workers of a sweep": (
        lambda: mr.sweep(len, {"l2": [0]}, n_jobs=0), ValueError, "sweep n_jobs integer other than 0"),
    "save a nest": (
        lambda: mr.save("a.npz", {"model": net()}), TypeError, "save 'model' Linear flat state_dict()"),
    "save to no folder": (
        lambda: mr.save("nowhere/a.npz", net()), FileNotFoundError, "no folder nowhere' 'a.npz'"),
    "save complex numbers as safetensors": (
        lambda: mr.save("a.safetensors", {"w": np.ones(1, complex)}), ValueError,
        "save .safetensors 'w' complex128 .npz"),
    "save metadata": (
        lambda: mr.save("a.safetensors", {"__metadata__": np.ones(1)}), ValueError,
        "save .safetensors '__metadata__' .npz"),
    "sweep over a number": (
        lambda: mr.sweep(len, {"l2": 0.1}), TypeError, "sweep grid['l2'] sequence 0.1 [0.1]"),
    "sweep over a word": (lambda: mr.sweep(len, {"opt": "adam"}), TypeError, "sweep grid['opt'] ['adam']"),
    "sweep over a list": (lambda: mr.sweep(len, [1, 2]), TypeError, "sweep grid mapping [1, 2]"),
    "seeds of a sweep": (lambda: mr.sweep(len, {"l2": [0]}, seeds=3), TypeError, "sweep seeds 3 range(3)"),
    "sweep of nothing callable": (lambda: mr.sweep(0.1, {"l2": [0]}), TypeError, "sweep function 0.1"),
    "sweep without a result": (
        lambda: mr.sweep(lambda l2, seed: None, {"l2": [0]}), TypeError, "sweep function return number None"),
    "a figure called like a parameter": (
        lambda: mr.sweep(lambda l2, seed: {"l2": 1}, {"l2": [0]}), ValueError,
        "sweep ['l2'] parameters figures"),
    "save an optimizer": (
        lambda: mr.save("a.npz", optim.Adam([t(2)])), TypeError,
        "save state Module mapping optimizer optimizer.state_dict()['state']"),
    "save its state": (
        lambda: mr.save("a.npz", optim.Adam([t(2)]).state_dict()), TypeError, "save state optimizer"),
    "save the other way round": (
        lambda: mr.save(net(), "a.npz"), TypeError, "save path file Linear the path comes first"),
    "save a number": (lambda: mr.save("a.npz", 1.0), TypeError, "save state Module mapping float"),
    "load a module": (lambda: mr.load(net()), TypeError, "load path file name Linear"),
    "save under a number": (lambda: mr.save("a.npz", {0: np.ones(1)}), TypeError, "save names text 0 '0'"),
    "save under NUL": (lambda: mr.save("a.npz", {"x\0b": np.ones(1)}), ValueError, "save name character"),
    "save a string": (lambda: mr.save("a.npz", {"w": "weights"}), TypeError, "save 'w' numbers"),
    "save dates": (
        lambda: mr.save("a.npz", {"w": np.array(["2020"], "M8[Y]")}), TypeError,
        "save 'w' datetime64[Y] numbers"),
    "save fields": (
        lambda: mr.save("a.npz", {"w": np.zeros(1, [("a", "f4")])}), TypeError, "save 'w' numbers"),
    "save None": (lambda: mr.save("a.npz", {"w": None}), TypeError, "save 'w' numbers None"),
    "load a list": (
        lambda: net().load_state_dict([1.0]), TypeError, "load_state_dict state mapping list"),
    "load None into a model": (
        lambda: net().load_state_dict(None), TypeError, "load_state_dict state mapping NoneType"),
    "load a model into a model": (
        lambda: net().load_state_dict(net()), TypeError, "load_state_dict state Linear state_dict()"),
    "load under numbers": (
        lambda: net().load_state_dict({0: np.ones(1)}), KeyError, "load_state_dict unexpected [0]"),
    "to integers": (lambda: net().to(int), TypeError, "Module.to floating dtype 'int' integers"),
    "to None": (lambda: net().to(None), TypeError, "Module.to floating dtype None"),
    "to a device": (lambda: net().to("cpu"), ValueError, "cpu expected numpy"),
    # --- looking inside --------------------------------------------------------------------------
    "a term that is none": (
        lambda: mr.Objective(nn.MSELoss())(net(), t(1, 3), t(1, 2))["l3"], KeyError,
        "Terms 'l3' expected ['data'] .total"),
    "a number as schedule": (
        lambda: penalties.Coefficient(0.1), TypeError, "Coefficient schedule function 0.1"),
    "a row that is none": (
        lambda: mr.Ledger(optim.SGD([leaf(1.0)], 0.1)).last["0.weight"], KeyError,
        "Books '0.weight' nothing yet"),
    "a loss without its target": (
        lambda: mr.implicit.norm_gradient(net(), "", np.ones((1, 3)), nn.MSELoss()), TypeError,
        "norm_gradient loss function MSELoss lambda y: criterion(y, target)"),
    "a loss as closure": (
        lambda: mr.curvature.eigenvalues((net().weight ** 2).sum(), net()), TypeError,
        "curvature closure function Tensor lambda"),
    "terms to draw": (
        lambda: mr.draw(mr.Objective(nn.MSELoss())(net(), t(1, 3), t(1, 2))), TypeError,
        "draw Tensor Terms .total"),
    "a history to report": (
        lambda: mr.report("report.html", mr.History()), TypeError,
        "report Run History mr.Run(history, model)"),
    "a word to report": (lambda: mr.report("report.html", "run"), TypeError, "report Run 'run'"),
}  # fmt: skip


def hooked(gradient):
    x = t(2)
    x.register_hook(lambda g: gradient)
    (x * 2).sum().backward()
    return x.grad


def accumulated(gradient):
    x = t(2)
    x.grad = mr.tensor(gradient)
    (x * 2).sum().backward()


def stepped(p, gradient):
    p.grad = gradient
    optim.SGD([p]).step()


def twice(loss):
    loss.backward()
    loss.backward()


OWNERS = {"t": mr.tensor([1.0]), "model": nn.Linear(1, 1), "mr": mr}


@pytest.mark.parametrize("name", errors.HINTS)
def test_a_hint_is_for_what_is_missing(name):
    owner, attribute = name.split(".")
    assert not hasattr(OWNERS[owner], attribute)


@pytest.mark.parametrize("error", ERRORS)
def test_message_says_what_was_wrong(error):
    call, kind, words = ERRORS[error]
    with pytest.raises(kind) as raised:
        call()
    text = str(raised.value)
    # words are separated by blanks, but for what stands in brackets
    missing = [w for w in pieces(words) if w not in text]
    assert not missing, f"{missing} not in: {text}"


def pieces(words):
    found, depth = [""], 0
    for c in words:
        depth += (c in "([") - (c in ")]")
        if c == " " and depth == 0:
            found.append("")
        else:
            found[-1] += c
    return found
