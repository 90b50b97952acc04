"""Plant faults in a copy of the package, one at a time: which claims and which tests find them?

    python tools/faults.py [M06 …]

A fault is a line of :data:`FAULTS`: in a file, a text that occurs once becomes another one. Each is
planted in a temporary copy of the tree, where the claims and the tests that it concerns run. The
table says which of them failed; the exit code is 1 if one fault was found by no claim or by no test,
or if the claims and tests do not pass without it. tests/course/test_claims.py plants them all, too, in
memory and for the claims alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Fault(NamedTuple):
    """What is wrong, where it is planted, the claims that find it, and tests: a file, words for -k."""

    what: str
    file: str
    old: str
    new: str
    claims: str
    tests: tuple[str, str]

    def planted(self, root: Path = ROOT) -> str:
        """The source of the file with the fault; LookupError where its text is not there once."""
        source = (root / "minireg" / self.file).read_text("utf-8")
        if (n := source.count(self.old)) != 1:
            raise LookupError(
                f"{self.what}: minireg/{self.file} says {self.old!r} {n} times, not once: "
                "plant it in what the file says now"
            )
        return source.replace(self.old, self.new)


L2_L1, GROUPS, SPECTRAL = "penalties/elementwise.py", "penalties/groups.py", "penalties/spectral.py"
SGD, ADAM, FUSED, LEDGER = "optim/sgd.py", "optim/adam.py", "ops/fused.py", "inspect/ledger.py"
DROPOUT, DESCENT = "analysis/implicit/dropout.py", "analysis/implicit/descent.py"
STOPPING = "optim/early_stopping.py"
PENALTIES, OPTIM, NN = (
    "tests/penalties/test_penalties.py",
    "tests/optim/test_optim.py",
    "tests/nn/test_nn.py",
)
FORMULA = OPTIM, "step_equals_formula"

FAULTS = {
    "M01": Fault(
        "L2.value without the ½", L2_L1,
        "return 0.5 * self.strength * square.sum()", "return self.strength * square.sum()",
        "C02 C22 C119", (PENALTIES, "gradient_equals_central_differences and L2")),
    "M02": Fault(
        "L2.prox without the step", L2_L1,
        "k = step * self._factor(v)", "k = self._factor(v)",
        "C07 C49", (PENALTIES, "prox_minimises_by_brute_force and L2")),
    "M03": Fault(
        "L2.prox adds the centre, not k times the centre", L2_L1,
        "v + k * fitting(self.center", "v + fitting(self.center",
        "C108", (PENALTIES, "prox_minimises_by_brute_force and center")),
    "M04": Fault(
        "L1.gradient with sign(0) = 1", L2_L1,
        "np.multiply(self.strength, np.sign(w, out=out), out=out)",
        "np.multiply(self.strength, np.where(w < 0, -1.0, 1.0), out=out)",
        "C43", (PENALTIES, "gradient_at_the_kink")),
    "M05": Fault(
        "ElasticNet.prox divides by 1 + 2·t·l2", L2_L1,
        "/ (1 + step * self.l2)", "/ (1 + 2 * step * self.l2)",
        "C60", (PENALTIES, "prox_minimises_by_brute_force and Elastic")),
    "M06": Fault(
        "GroupLasso(scale='sqrt') without √|g|", GROUPS,
        "return math.sqrt(rows.shape[1])", "return 1.0",
        "C61", (PENALTIES, "repr or prox_of_a_norm or subdiff_distance_by_hand or dead or group")),
    "M07": Fault(
        "NuclearNorm.prox without the step", SPECTRAL,
        "np.maximum(s - step * self.strength, 0)", "np.maximum(s - self.strength, 0)",
        "C95", (PENALTIES, "prox_of_a_norm_minimises and Nuclear")),
    "M08": Fault(
        "PathNorm.gradient without its 2", "penalties/path.py",
        "2 * self.strength * w * np.outer", "self.strength * w * np.outer",
        "C100", (PENALTIES, "gradient_of_the_path_norm")),
    "M09": Fault(
        "SGD: coupled decay beside the step, not through the momentum", SGD,
        '(coupled, shrink) = group["lr"], group["momentum"], self.decays(group)',
        '(coupled, shrink) = group["lr"], group["momentum"], (0.0, group["lr"] * group["weight_decay"])',
        "C32 C34 C35", FORMULA),
    "M10": Fault(
        "SGD(nesterov=True) is heavy ball", SGD,
        "if nesterov:  # lr·(g + μb)", "if not nesterov and nesterov:  # lr·(g + μb)",
        "C32", FORMULA),
    "M11": Fault(
        "SGD ignores dampening", SGD,
        'fresh = 1.0 if first else 1 - group["dampening"]\n        nesterov', "fresh = 1.0\n        nesterov",
        "C35", FORMULA),
    "M12": Fault(
        "Adam: ε inside the root", ADAM,
        "np.sqrt(v, out=t)\n            t *= root\n            t += eps",
        "np.multiply(v, root * root, out=t)\n            t += eps\n            np.sqrt(t, out=t)",
        "C36 C41", FORMULA),
    "M13": Fault(
        "Adam's v̂ is not corrected for its start", ADAM,
        "root = (1 - beta2**step) ** -0.5", "root = 1.0",
        "C25 C36 C38 C39 C133", FORMULA),
    "M14": Fault(
        "AdamW decays after the step", ADAM,
        "            if shrink:\n                p *= 1 - shrink\n            p -= t",
        "            p -= t\n            if shrink:\n                p *= 1 - shrink",
        "C41", FORMULA),
    "M15": Fault(
        "Adam's weight_decay is AdamW's", ADAM,
        "coupled, shrink = self.decays(group)\n\n        def update",
        'coupled, shrink = 0.0, group["lr"] * group["weight_decay"]\n\n        def update',
        "C36 C38 C39 C40 C133", FORMULA),
    "M16": Fault(
        "norms divide by the unbiased variance", FUSED,
        "np.sqrt(variance + eps)",
        "np.sqrt(variance * (x.size / (x.size - variance.size)) + eps)",
        "C09 C10 C12 C19", (NN, "batch_norm or group_norm")),
    "M17": Fault(
        "BatchNorm's running variance is biased", FUSED,
        "variance * (count / (count - 1))", "variance",
        "C12 C13", (NN, "running_variance")),
    "M18": Fault(
        "a norm's gradient lacks the term through the mean", FUSED,
        "            dx -= through_mean", "            dx -= 0 * through_mean",
        "C19", (NN, "gradient_of_batch_norm")),
    "M19": Fault(
        "norms: ε outside the root", FUSED,
        "inverse = 1 / np.sqrt(variance + eps)", "inverse = 1 / (np.sqrt(variance) + eps)",
        "C09 C12 C15 C19", ("tests/ops/test_ops.py", "normalize")),
    "M20": Fault(
        "label smoothing gives ε/(K − 1) to the other classes alone", "nn/losses.py",
        "kept * (label_smoothing / q.shape[-1])",
        "kept * (1 - q) * (label_smoothing / (q.shape[-1] - 1))",
        "C80 C81 C82 C83", ("tests/nn/test_losses.py", "smoothing")),
    "M21": Fault(
        "dropout_penalty takes p as the probability of keeping", DROPOUT,
        "(p / (1 - p))", "((1 - p) / p)",
        "C75 C78", ("tests/analysis/test_dropout.py", "penalty_of_dropout")),
    "M22": Fault(
        "dropout does not scale what it keeps", "random.py",
        "mask *= 65536 / (65536 - cut) if cut < 65536 else 0.0", "mask *= 1.0",
        "C75", (NN, "dropout_has_mean_one")),
    "M23": Fault(
        "clipping by the norm of the first gradient alone", "optim/clip.py",
        "for g in map(wide, gradients)", "for g in map(wide, gradients[:1])",
        "C110 C111", (OPTIM, "clipping_scales_all_gradients")),
    "M24": Fault(
        "clipping by the squared norm", "optim/clip.py",
        "** (1 / norm_type)", "* 1.0",
        "C110 C111", (OPTIM, "clipping_scales_all_gradients")),
    "M25": Fault(
        "the ledger carries Nesterov's momentum with μ, not μ²", SGD,
        "LinearStep(-lr, 1 + mu * gain, mu * mu, mu, gain)", "LinearStep(-lr, 1 + mu * gain, mu, mu, gain)",
        "C32 C33", ("tests/inspect/test_ledger.py", "would_have_done_alone")),
    "M26": Fault(
        "effective_decay has the other sign", LEDGER,
        "np.where(alive, -self.of(term) /", "np.where(alive, self.of(term) /",
        "C23 C28 C37 C38 C42", ("tests/inspect/test_ledger.py", "effective_decay")),
    "M27": Fault(
        "the ledger books coupled decay with the data", LEDGER,
        'fresh["weight_decay"] = coupled * p.data',
        "fresh |= {term: g + coupled * p.data for term, g in [*fresh.items()][:1]}",
        "C32 C38 C112", ("tests/inspect/test_ledger.py", "three_decays")),
    "M28": Fault(
        "step_penalty is (η/2)‖∇L‖²", DESCENT,
        "return sum(rest, first) * (lr / 4)", "return sum(rest, first) * (lr / 2)",
        "C101", ("tests/analysis/test_descent.py", "step_penalty_is")),
    "M29": Fault(
        "early_stopping_filter counts a step too few", DESCENT,
        'check_option("early_stopping_filter", 0, steps=steps)',
        'check_option("early_stopping_filter", 0, steps=steps)\n    steps = max(steps - 1, 0)',
        "C107 C109", ("tests/analysis/test_descent.py", "filter_is_what")),
    "M30": Fault(
        "certified_radius lacks its √2", "analysis/lipschitz.py",
        "head = np.eye(logits.shape[1])", "head = np.eye(logits.shape[1]) / 2**0.5",
        "C89", ("tests/analysis/test_lipschitz.py", "factor_that_margin")),
    "M31": Fault(
        "SGLD's noise is √(lr·T)", "optim/sgld.py",
        'if scale := (2 * group["lr"] * group["temperature"]) ** 0.5:',
        'if scale := (group["lr"] * group["temperature"]) ** 0.5:',
        "C103", (OPTIM, "langevin")),
    "M32": Fault(
        "EarlyStopping waits a look longer than its patience", STOPPING,
        "return self.looks - self.best_look >= self.patience",
        "return self.looks - self.best_look > self.patience",
        "C106", (OPTIM, "early_stopping_looks")),
    "M33": Fault(
        "EarlyStopping keeps the first weights, not the best", STOPPING,
        "self._weights = None if model is None else model.state_dict()",
        "self._weights = self._weights or (model and model.state_dict())",
        "C106", (OPTIM, "copy_of_the_best")),
    "M34": Fault(
        "BatchNorm in evaluation: ε outside the root", "nn/functional.py",
        "(_column(running_var, x.ndim) + eps) ** -0.5", "(_column(running_var, x.ndim) ** 0.5 + eps) ** -1",
        "C11 C19", (NN, "survives_a_later_batch or a_layer or evaluation")),
    "M35": Fault(
        "SpectralNorm.gradient adds up tied directions", SPECTRAL,
        "first / np.maximum(first.sum(), 1)", "first * 1",
        "C85 C86", (PENALTIES, "subgradient_also_at_ties and Spectral")),
    "M36": Fault(
        "under create_graph a fused op depends on the inputs asked for alone", "engine.py",
        "for i, p in node.parents:  # a shadow", "for i, p in asked:  # a shadow",
        "C130", ("tests/ops/test_second_order.py", "linear")),
    "M37": Fault(
        "SGD's step is 1 % too long", SGD,
        "np.multiply(g, lr, out=t)\n            p -= t",
        "np.multiply(g, 1.01 * lr, out=t)\n            p -= t",
        "C23 C24 C25 C27 C29 C101 C104 C111", FORMULA),
    "M38": Fault(
        "AdamW's decay joins the gradient", ADAM,
        'return 0.0, scale * group["weight_decay"]', 'return group["weight_decay"], 0.0',
        "C29 C39 C40 C41 C104 C112", (OPTIM, "coupled_decay_is")),
    "M39": Fault(
        "a norm's gradient lacks the term through the variance", FUSED,
        "dx = np.subtract(direct, through_variance, out=through_variance)",
        "dx = direct - 0 * through_variance",
        "C13 C19 C127", (NN, "gradient_of_batch_norm")),
    "M40": Fault(
        "L2.gradient is that of λ‖w‖²", L2_L1,
        "np.multiply(self._factor(w),", "np.multiply(2 * self._factor(w),",
        "C22 C24 C27 C28 C31", (PENALTIES, "gradient_equals_central_differences and L2")),
    "M41": Fault(
        "NuclearNorm.prox cuts singular values off", SPECTRAL,
        "np.maximum(s - step * self.strength, 0)", "np.where(s > step * self.strength, s, 0)",
        "C95", (PENALTIES, "prox_of_a_norm_minimises and Nuclear")),
    "M42": Fault(
        "clipping does not divide by the norm", "optim/clip.py",
        "max_norm / (total + 1e-6)", "max_norm",
        "C110 C111 C112", (OPTIM, "clipping_scales_all_gradients")),
    "M43": Fault(
        "the ledger's momenta do not fade", LEDGER,
        "linear.keep * unit", "unit",
        "C33 C37 C38", ("tests/inspect/test_ledger.py", "would_have_done_alone")),
    "M44": Fault(
        "L1.prox without the step", L2_L1,
        "return soft_threshold(v, step * self.strength)", "return soft_threshold(v, self.strength)",
        "C47 C56 C57 C61 C95", (PENALTIES, "prox_minimises_by_brute_force and L1")),
}  # fmt: skip


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A Python command in the tree; no bytecode is kept, as sources change within a second."""
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=tree, env=environment, capture_output=True, text=True
    )


def claims(tree: Path, ids: Iterable[str]) -> list[str]:
    """The claims of these that fail; RuntimeError where minireg does not even run."""
    chosen = sorted(set(ids))
    found = run(tree, "-m", "minireg", "claims", "--json", "--no-progress", "--id", *chosen)
    try:
        return [c["id"] for c in json.loads(found.stdout) if not c["passed"]]
    except json.JSONDecodeError:
        raise RuntimeError(f"minireg claims does not run: {found.stderr[-400:]}") from None


def tests(tree: Path, file: str, words: str) -> str:
    """The first test that fails, or ""; RuntimeError if none ran."""
    found = run(tree, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", file, "-k", words)
    if found.returncode not in (0, 1):
        raise RuntimeError(f"{file} -k {words!r}: {found.stdout[-400:]}{found.stderr[-400:]}")
    failed = re.search(r"^(?:FAILED|ERROR) \S*?::(.+?)(?: - .*)?$", found.stdout, re.MULTILINE)
    return failed[1] if failed else "?" * found.returncode


def main(ids: list[str]) -> int:
    """Plant the faults with these ids, or all, and print who finds them."""
    if {"-h", "--help"} & set(ids):
        print(__doc__)
        return 0
    if unknown := set(ids) - set(FAULTS):
        print(
            f"no fault {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}", file=sys.stderr
        )
        return 2
    chosen = {i: FAULTS[i] for i in ids or FAULTS}
    with tempfile.TemporaryDirectory() as folder:
        tree, missed = Path(folder) / "tree", []
        skip = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
        shutil.copytree(ROOT, tree, ignore=skip)
        wrong = claims(tree, " ".join(f.claims for f in chosen.values()).split())
        for file in sorted({f.tests[0] for f in chosen.values()}):
            words = " or ".join(
                sorted({f"({f.tests[1]})" for f in chosen.values() if f.tests[0] == file})
            )
            wrong += [failed] if (failed := tests(tree, file, words)) else []
        if wrong:
            print(f"without any fault these fail: {', '.join(wrong)}")
            return 1
        for i, fault in chosen.items():
            path = tree / "minireg" / fault.file
            sound = path.read_text("utf-8")
            path.write_text(fault.planted(tree), "utf-8")
            by_claims, by_test = claims(tree, fault.claims.split()), tests(tree, *fault.tests)
            path.write_text(sound, "utf-8")
            missed += [i] if not (by_claims and by_test) else []
            where = f"{Path(fault.tests[0]).name}: {by_test}" if by_test else "NO TEST"
            print(
                f"{i}  {fault.what}\n     {' '.join(by_claims) or 'NO CLAIM'}; {where}", flush=True
            )
    print(f"{len(chosen)} faults, {len(chosen) - len(missed)} found by a claim and by a test"
          + f"; not {', '.join(missed)}" * bool(missed))  # fmt: skip
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
