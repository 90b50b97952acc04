"""play: two small networks trained side by side, without and with what the reader has chosen.

A page asks for steps and gets pictures; what it may choose stands in :data:`CONTROLS`. Every step is
booked by a :class:`~minireg.Ledger`, of which the pictures show the entries.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

import minireg as mr

from ..batches import batches
from ..inspect.ledger import Key
from ..penalties import Penalty
from ..pictures import Panel, Say
from ..pictures.words import Text, say
from ..pictures.words import number as readable
from ..random import Stream

Config = Mapping[str, Any]
WIDTH, POINTS, GRID, MOST = 12, 150, 36, 120  # hidden units, points, cells of a map, looks kept
FAR = 1e5  # a weight that is larger has diverged: soon nothing is a number any more
STRENGTHS = (0, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1)


class Control(NamedTuple):
    """What the reader may choose: its values, the first of ``start``, and whether training begins anew."""

    label: Say
    values: tuple[Any, ...]
    start: Any
    anew: bool = False
    words: tuple[Say, ...] = ()  # of the values; none for numbers


def _named(**names: Say) -> dict[str, Any]:
    return {"values": tuple(names), "words": tuple(names.values())}


CONTROLS = {
    "data": Control(Say("data", "数据"), start="moons", anew=True, **_named(
        moons=Say("moons", "双月"), circles=Say("circles", "同心圆"), spiral=Say("spiral", "螺旋"),
        gaussians=Say("two Gaussians", "两个高斯"))),
    "flip": Control(Say("wrong labels", "错误标签"), (0, 0.05, 0.1, 0.2, 0.3), 0.2, True),
    "spread": Control(Say("noise", "噪声"), (0.1, 0.2, 0.3, 0.4), 0.2, True),
    "norm": Control(Say("normalization", "归一化"), start="none", anew=True, **_named(
        none=Say("none", "无"), batch=Say("BatchNorm", "BatchNorm"),
        layer=Say("LayerNorm", "LayerNorm"), rms=Say("RMSNorm", "RMSNorm"))),
    "optimizer": Control(Say("optimizer", "优化器"), start="momentum", anew=True, **_named(
        sgd=Say("SGD", "SGD"), momentum=Say("momentum 0.9", "动量 0.9"),
        adam=Say("Adam + L2", "Adam + L2"), adamw=Say("AdamW", "AdamW"))),
    "lr": Control(Say("rate η", "学习率 η"), (0.001, 0.003, 0.01, 0.03, 0.1, 0.3), 0.1),
    "batch": Control(Say("batch", "批大小"), (4, 8, 16, 32, 150), 32),
    "l2": Control(Say("λ of L2", "L2 的 λ"), STRENGTHS, 0.003),
    "l1": Control(Say("λ of L1", "L1 的 λ"), STRENGTHS, 0),
    "group": Control(Say("λ of group lasso", "组 Lasso 的 λ"), STRENGTHS, 0),
    "spectral": Control(Say("λ of the spectral norm", "谱范数的 λ"), STRENGTHS, 0),
    "dropout": Control(Say("dropout: share dropped", "Dropout：丢弃比例"), (0, 0.1, 0.2, 0.3, 0.5), 0),
    "smoothing": Control(Say("label smoothing ε", "标签平滑 ε"), (0, 0.05, 0.1, 0.2, 0.4), 0),
    "via": Control(Say("penalties act by", "惩罚的作用方式"), start="gradient", **_named(
        gradient=Say("gradient", "梯度"), prox=Say("prox", "近端步"))),
    "on": Control(Say("on", "作用于"), start="weights", **_named(
        weights=Say("weights", "权重"), all=Say("weights and biases", "权重与偏置"))),
    "break": Control(Say("break it", "故意弄错"), start="nothing", **_named(
        nothing=Say("nothing", "不弄错"), sign=Say("wrong sign", "符号反了"),
        step=Say("prox, step × 100", "近端步，步长 × 100"),
        scale=Say("decay the norm's γ", "衰减归一化的 γ"))),
    "seed": Control(Say("seed", "随机种子"), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), 0, True),
}  # fmt: skip
PENALTIES = {"l2": mr.penalties.L2, "l1": mr.penalties.L1, "group": mr.penalties.GroupLasso,
             "spectral": mr.penalties.SpectralNorm}  # fmt: skip
MATRICES = ("group", "spectral")  # biases have neither rows nor singular values
#: Terms in the order of a step, the colour of each, and what it is called.
ENTRIES = {
    "data": ("data", Say("data", "数据")), "smoothing": ("data", Say("smoothing", "平滑")),
    "l2": ("penalty", Say("L2", "L2")), "l1": ("penalty", Say("L1", "L1")),
    "group": ("penalty", Say("group lasso", "组 Lasso")), "spectral": ("penalty", Say("spectral", "谱范数")),
    "carried": ("reference", Say("momentum", "动量")), "decay": ("penalty", Say("decay", "衰减")),
    "prox": ("penalty", Say("prox", "近端步")),
}  # fmt: skip


def read(given: Mapping[str, Any]) -> dict[str, Any]:
    """The whole configuration of one in part; ``ValueError`` for what there is not to choose."""
    for name, value in given.items():
        if name not in CONTROLS or value not in CONTROLS[name].values:
            what = f"{name}={value!r}"
            expected = CONTROLS[name].values if name in CONTROLS else tuple(CONTROLS)
            raise ValueError(f"playground: {what} is none of {', '.join(map(str, expected))}")
    return {name: given.get(name, control.start) for name, control in CONTROLS.items()}


# --- what is trained -------------------------------------------------------------------------------


def wrong(penalty: Any, fault: str) -> Penalty:
    """A penalty with a planted fault: its sign is wrong, or its prox takes 100 times its step."""
    kind: Any = type(penalty)

    class Wrong(kind):  # type: ignore[misc]
        def __call__(self, w: Any) -> Any:
            return Penalty.__call__(self, w)  # by the gradient here, not by a kind's own way

        def gradient(self, w: Any) -> Any:
            return -super().gradient(w) if fault == "sign" else super().gradient(w)

        def add_gradient(self, w: Any, total: Any) -> Any:
            total += self.gradient(w)
            return total

        def prox(self, v: Any, step: Any) -> Any:
            if fault == "sign":
                return 2 * v - super().prox(v, step)
            return super().prox(v, 100 * step)

    found: Penalty = Wrong(penalty.strength)
    return found


def kinds(config: Config) -> set[str]:
    """The kinds of parameters that penalties reach."""
    biases = {"bias"} if config["on"] == "all" else set()
    return {"weight"} | biases | ({"norm"} if config["break"] == "scale" else set())


def terms(config: Config) -> dict[str, mr.Term]:
    """The penalties that are not 0, each on what it can act on and by what it can act by."""
    found, fault = {}, config["break"]
    for name, kind in PENALTIES.items():
        if not config[name] or (name == "l2" and config["optimizer"] == "adamw"):
            continue  # AdamW's decay is no penalty
        one = kind(config[name])
        reached = {"weight"} if name in MATRICES else kinds(config)
        on = None if reached == {"weight"} else lambda _, p, reached=reached: p.kind in reached
        adaptive = config["optimizer"].startswith("adam")
        via: Any = "gradient" if adaptive and not one.elementwise_step else config["via"]
        acts = fault == "sign" or (fault, via) == ("step", "prox")
        found[name] = mr.Term(wrong(one, fault) if acts else one, on, via)
    return found


def idle(config: Config) -> dict[str, Say]:
    """Choices that change nothing as the others are: what each would need."""
    some, prox = terms(config), any(term.via == "prox" for term in terms(config).values())
    decays = config["optimizer"] == "adamw" and config["l2"] > 0
    spread = decays or not some.keys() <= {*MATRICES}
    flat = Say("needs λ > 0 of L1 or L2: the others act on matrices only",
               "需要 L1 或 L2 的 λ > 0：其余惩罚只作用于权重矩阵")  # fmt: skip
    rules = (
        ("on", "all", spread, flat),
        ("via", "prox", prox, Say("AdamW decays directly; the others have no prox under Adam",
                                  "AdamW 直接衰减；其余的在 Adam 下没有近端步")),
        ("via", "prox", some or decays, strength := Say("needs λ > 0", "需要 λ > 0")),
        ("break", "sign", some or decays, strength),
        ("break", "step", prox, Say("needs λ > 0, acting by prox", "需要 λ > 0，且选“近端步”")),
        ("break", "scale", spread, flat),
        ("break", "scale", config["norm"] != "none", Say("needs a normalization", "需要先选归一化")),
    )  # fmt: skip
    return {name: need for name, value, acts, need in rules if config[name] == value and not acts}


def network(config: Config) -> mr.nn.Sequential:
    """Two hidden layers of :data:`WIDTH` units; from the seed, as a script would make it."""
    norm = {"batch": mr.nn.BatchNorm, "layer": mr.nn.LayerNorm, "rms": mr.nn.RMSNorm}
    layers: list[mr.nn.Module] = []
    for size in (2, WIDTH):
        layers.append(mr.nn.Linear(size, WIDTH))
        layers += [norm[config["norm"]](WIDTH)] if config["norm"] in norm else []
        layers += [mr.nn.ReLU(), mr.nn.Dropout(config["dropout"])]
    return mr.nn.Sequential(*layers, mr.nn.Linear(WIDTH, 2))


class Side:
    """A network, what trains it, and its books."""

    def __init__(self, config: Config) -> None:
        mr.manual_seed(config["seed"])
        self.model = network(config)
        groups = [{"params": [p for p in self.model.parameters() if p.kind == kind]}
                  for kind in ("weight", "bias", "norm")]  # fmt: skip
        adaptive = {"adam": mr.optim.Adam, "adamw": mr.optim.AdamW}
        kind: Any = adaptive.get(config["optimizer"], mr.optim.SGD)
        more = {"momentum": 0.9} if config["optimizer"] == "momentum" else {}
        some = [group for group in groups if group["params"]]
        self.optimizer = kind(some, lr=config["lr"], weight_decay=0.0, **more)
        self.ledger = mr.Ledger(self.optimizer)
        self.parts = {name: p for name, p in self.model.named_parameters() if p.kind == "weight"}
        self.moved: list[tuple[int, dict[str, float]]] = []  # step, and of each entry the length
        self.losses: list[tuple[int, float]] = []  # step, loss on fresh points
        self.choose(config)

    def choose(self, config: Config) -> None:
        """Take strengths, rate, dropout and smoothing as they are now; weights and momentum stay."""
        loss = mr.nn.CrossEntropyLoss(label_smoothing=config["smoothing"])
        self.objective = mr.Objective(loss, terms(config))
        self.objective.bind(self.model)
        self.objective.attach(self.optimizer)
        decay = config["l2"] * (config["optimizer"] == "adamw")
        for group in self.optimizer.param_groups:
            (kind,) = {p.kind for p in group["params"]}
            sign = -1 if config["break"] == "sign" else 1
            group["lr"], group["weight_decay"] = (
                config["lr"],
                sign * decay * (kind in kinds(config)),
            )
        for layer in self.model.modules():
            if isinstance(layer, mr.nn.Dropout):
                layer.p = config["dropout"]

    def step(self, x: Any, y: Any) -> None:
        """One update, booked."""
        self.model.train()
        self.optimizer.zero_grad()
        self.objective(self.model, x, y).backward()
        self.optimizer.step()

    # --- its books ---------------------------------------------------------------------------------

    def chosen(self, scope: str) -> Iterator[tuple[str, Any]]:
        """Parameters and the places in them of a scope: "" all, "1" a layer, "1:3" a unit's weights in
        it, "1:3:0" one weight.
        """
        books, (layer, *place) = self.ledger.last, scope.split(":")
        names = [*self.parts]
        if not layer:
            yield from ((name, ...) for name in books)
        elif place:
            yield names[int(layer)], tuple(map(int, place))
        else:
            one = names[int(layer)].rpartition(".")[0]
            yield from ((name, ...) for name in books if name.rpartition(".")[0] == one)

    def entries(self, scope: str) -> dict[str, Any]:
        """What each entry of the last step did to a scope, in the order of the step, flat."""
        found = []
        for name, place in self.chosen(scope):
            row, own = self.ledger.last[name], {"": np.zeros_like(self.ledger.last[name].before)}
            for key in row.booked():
                entry = named(key)
                own[entry] = own.get(entry, 0) + row[key]
            found.append({entry: np.ravel(change[place]) for entry, change in own.items()})
        return {
            entry: np.concatenate([own.get(entry, 0 * own[""]) for own in found])
            for entry in ENTRIES if any(entry in own for own in found)
        }  # fmt: skip


def named(key: Key) -> str:
    """The entry to which a key of the ledger belongs: its term, or how it came about."""
    return key[-1] if key[-1] in ("carried", "prox", "decay") else key[0]


DIVERGED = Say(
    "step {step}: diverged, a weight is beyond 100,000. Lower η or λ, or break nothing; then Reset.",
    "第 {step} 步：已发散，有权重超过 100 000。请调小 η 或 λ，或改为“不弄错”，再点“重来”。",
)


class Play:
    """Both sides, the points that they learn, and how far they are."""

    def __init__(self, config: Config) -> None:
        self.config: dict[str, Any] = {}
        self.change(config)

    def change(self, given: Mapping[str, Any]) -> bool:
        """Go on with other choices; whether training had to begin anew."""
        old, self.config = self.config, read(given)
        anew = not old or any(
            old[k] != self.config[k] for k, control in CONTROLS.items() if control.anew
        )
        if anew:
            self.restart()
        elif old != self.config:
            self.changed = self.done > 0
            self.plain.choose(bare(self.config))
            self.side.choose(self.config)
        return anew

    def restart(self) -> None:
        """Begin with new weights, the same for both."""
        c = self.config
        self.x, true = planar(c, POINTS, c["seed"])
        stream = Stream("flip", c["seed"])
        self.y, self.flipped = mr.datasets.flip_labels(true, c["flip"], 2, stream)
        self.fresh = planar(c, 4 * POINTS, c["seed"] + 1000)
        self.plain, self.side, self.done = Side(bare(c)), Side(c), 0
        self.changed = False  # whether choices were others at an earlier step
        self.shuffle = Stream("shuffle", c["seed"])
        self.epoch: Iterator[Any] = iter([])
        names = Say("plain", "未正则化"), Say("regularized", "正则化")
        self.boards = {side: board(self, n) for side, n in zip(self.sides, names, strict=True)}

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both."""
        return self.plain, self.side

    def steps(self, many: int) -> None:
        """So many updates of both, of the same batches as :func:`minireg.fit` takes; none more once
        they have diverged.
        """
        for _ in range(many):
            if self.diverged:
                break
            some = next(self.epoch, None)
            if some is None:
                self.epoch = batches(POINTS, self.config["batch"], self.shuffle, "numpy")
                some = next(self.epoch)
            for side in self.sides:
                side.step(self.x[some], self.y[some])
            self.done += 1

    @property
    def diverged(self) -> bool:
        """Whether a weight is so large, or no number, that there is nothing to show any more."""
        weights = [p.numpy() for side in self.sides for p in side.parts.values()]
        return not all(np.abs(w).max() < FAR for w in weights)


def planar(config: Config, n: int, seed: int) -> tuple[Any, Any]:
    """Points in the network's dtype, and their labels."""
    x, y = mr.datasets.planar(config["data"], n, config["spread"], seed)
    return x.astype(np.float32), y


def bare(config: Config) -> dict[str, Any]:
    """The same without anything that regularizes, but for the normalization."""
    none = dict.fromkeys([*PENALTIES, "dropout", "smoothing"], 0)
    return {**config, **none, "break": "nothing"}


# --- what is shown ---------------------------------------------------------------------------------


def probabilities(side: Side, x: Any) -> Any:
    """Of class 1 at each point, as the network answers when it is not trained."""
    side.model.eval()
    with mr.no_grad():
        return mr.nn.functional.softmax(side.model(x), 1).numpy()[:, 1]


REACH = 2.2  # of the map, to each side
AXIS = np.linspace(-REACH, REACH, GRID, dtype=np.float32)
PLACES = np.stack(np.meshgrid(AXIS, AXIS), -1).reshape(-1, 2)


def board(play: Play, title: Say) -> Panel:
    """The points that are learnt, with room for the rest: drawn once, as they stay."""
    reach = -REACH, REACH
    panel = Panel(title, reach, reach, xticks={}, yticks={}, height=None, ylabel=LEGEND[title.en],
                  xlabel=CERTIFIED[play.config["norm"] not in UNBOUNDED])  # fmt: skip
    x, y = play.x.T
    panel.dots(x[play.flipped], y[play.flipped], "broken", size=7)
    for label, hollow in ((1, False), (0, True)):
        of = play.y == label
        panel.dots(x[of], y[of], "data", size=4, hollow=hollow)
    return panel


def map_of(play: Play, side: Side) -> Panel:
    """What the network answers everywhere, what it was told, and where its answer is certain to stay."""
    p = probabilities(side, PLACES).reshape(GRID, GRID)
    panel = deepcopy(play.boards[side])
    panel.heat(p, 2, negative="data").contours(AXIS, AXIS, p, [0.5], "result", width=2.5)
    if play.config["norm"] not in UNBOUNDED:
        panel.circles(*(found := surest(play.x, mr.certified_radius(side.model, play.x))))
        panel.xlabel = panel.xlabel if found[-1].size else BEYOND
    return panel


#: Normalizations that only ε keeps from being infinitely steep, where their input is constant.
UNBOUNDED = {"layer": "LayerNorm", "rms": "RMSNorm"}
CERTIFIED = (Say("this norm has no useful bound: no circle", "这种归一化没有可用的上界：不画圈"),
             Say("dashed: certified, no boundary inside", "虚线圈：已认证，圈内没有决策边界"))  # fmt: skip
BEYOND = Say("certified circles: larger than the map", "认证圈比图还大，未画出")
LEGEND = {"plain": Say("green: boundary · red ring: wrong label", "绿线：决策边界 · 红圈：标签被改错"),
          "regularized": Say("shade: probability of class 1 (filled dots)",
                             "底色：属于第 1 类（实心点）的概率")}  # fmt: skip


def surest(x: Any, radii: Any, most: int = 6) -> tuple[Any, Any, Any]:
    """Circles (x, y, radius) of a few points with the largest certified radii, none over another."""
    left = np.where(radii < 4 * REACH, radii, 0)  # a larger circle would not be seen
    found: list[int] = []
    while len(found) < most and left.max() > 0:
        found.append(int(left.argmax()))
        apart = np.hypot(*(x - x[found[-1]]).T)
        left = np.where(apart > radii[found[-1]] + radii, left, 0)
    return *x[found].T, radii[found]


def chain_of(side: Side, scope: str, shown: int = 99) -> Panel:
    """What each entry of the last step did, one arrow after the other, closing on the step.

    Of many weights it is seen in the plane of their vector θ: upwards they grow, to the right they
    turn. Of one weight the arrows stand upright side by side, each where the one before ends.
    """
    entries = side.entries(scope)
    before = np.concatenate(
        [np.ravel(side.ledger.last[n].before[at]) for n, at in side.chosen(scope)]
    )
    changes = np.array([*entries.values()]).reshape(len(entries), -1)
    beside: Any = np.zeros(len(changes) + 1)  # how far right each arrow stands, the step's last
    title = Say("the last step, cause by cause", "最近一步，逐个原因")
    if before.size == 1:
        points, beside = np.c_[0 * changes, changes], np.arange(len(changes) + 1) + 0.5
        across = Say("one entry after the other", "各项依次相加")
        place = ".".join(str(int(k) + 1) for k in scope.split(":"))
        title = Say(f"the last step of weight {place}", f"权重 {place} 的最近一步")
    else:
        up = before / max(float(np.linalg.norm(before)), 1e-12)
        turn = changes.sum(0) - (changes.sum(0) @ up) * up
        turn /= max(float(np.linalg.norm(turn)), 1e-12)
        points = changes @ np.array([turn, up]).T
        across = Say("turns θ", "使 θ 转向")
    corners = np.vstack([np.zeros(2), np.cumsum(points, 0)])
    (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
    room = rounded(max(x1 - x0, y1 - y0, 1e-9)) if before.size > 1 else rounded(max(y1 - y0, 1e-9))
    wide = (x0 + x1 - 1.3 * room) / 2, (x0 + x1 + 1.3 * room) / 2
    panel = Panel(
        title, wide if before.size > 1 else (0, len(changes) + 1),
        ((y0 + y1 - 1.1 * room) / 2, (y0 + y1 + 1.1 * room) / 2),
        xlabel=across, ylabel=Say("lengthens θ", "使 θ 变长") if before.size > 1 else Say("Δw", "Δw"),
        xticks={} if before.size == 1 else None, height=280,
    )  # fmt: skip
    for k, entry in enumerate(entries):
        (x, y), (dx, dy) = corners[k] * (np.nan if k >= shown else 1.0), points[k]
        role, words = ENTRIES[entry]
        panel.arrow(x + beside[k], y, dx, dy, role, label=words)
        if before.size == 1:  # at the level that it reached the next one begins
            panel.line(beside[k : k + 2] + 0 * x, [y + dy] * 2, "reference", width=1)
    dx, dy = corners[-1] * (np.nan if shown <= len(entries) else 1.0)
    return panel.arrow(beside[-1], 0, dx, dy, "result", width=4, label=Say("the step", "这一步"))


def rounded(size: float) -> float:
    """1, 2 or 5 times a power of ten, at least the size: an axis shall not tremble."""
    unit = 10.0 ** np.floor(np.log10(size))
    return float(next(m * unit for m in (1, 2, 5, 10) if m * unit >= size * 0.999))


def movers_of(side: Side) -> Panel:
    """Whose entries made up the way so far: shares of their lengths, over the steps that were shown."""
    steps, rows = zip(*side.moved, strict=True)
    names = [entry for entry in ENTRIES if any(entry in row for row in rows)]
    sizes = np.array([[row.get(entry, 0) for entry in names] for row in rows]) + 1e-30
    heights = np.cumsum(sizes / sizes.sum(1, keepdims=True), 1)
    panel = Panel(
        Say("who moved the weights, step by step", "每一步由谁推动"), (0, max(*steps, 1)), (0, 1),
        xlabel=Say("step", "步数"), yticks={0: "0", 0.5: "50 %", 1: "100 %"}, height=200,
    )  # fmt: skip
    for k, entry in enumerate(names):
        role, words = ENTRIES[entry]
        low = heights[:, k - 1] if k else np.zeros(len(rows))
        panel.band(steps, low, heights[:, k], role, label=words if len(rows) > 1 else "")
        panel.line(steps, heights[:, k], role, width=1)  # between two of one colour
    return panel


def weights_of(side: Side) -> Panel:
    """The sizes of all weights: a row a unit, but of the last layer a row an input."""
    first, second, last = (np.abs(p.numpy()) for p in side.parts.values())
    panel = Panel(
        Say("weights: point for the books, click to keep", "权重的大小：指向一格看账本，点击固定"),
        (0, 22), (WIDTH, 0), xticks={1: "1", 11: "2", 21: "3"}, yticks={}, height=200,
        xlabel=Say("layer: a row a unit, in 3 an input", "层：一行一个单元，第 3 层一行一个输入"),
    )  # fmt: skip
    most = rounded(max(1e-3, *(float(w.max()) for w in (first, second, last))))
    for w, left in ((first, 0), (second, 5), (last.T, 20)):
        panel.heat(w, most, "result", box=(left, left + w.shape[1], 0, WIDTH))
    return panel


#: What the cells of :func:`weights_of` are, in order.
CELLS = [
    f"{k}:{i}:{j}"
    for k, shape in enumerate(((WIDTH, 2), (WIDTH, WIDTH)))
    for i in range(shape[0])
    for j in range(shape[1])
]
CELLS += [f"2:{j}:{i}" for i in range(WIDTH) for j in range(2)]  # fmt: skip


def losses_of(play: Play) -> Panel:
    """The loss on points that nobody has learnt, of both."""
    runs = {"reference": play.plain.losses, "result": play.side.losses}
    most = rounded(max(loss for run in runs.values() for _, loss in run))
    panel = Panel(
        Say("loss on fresh points", "新数据点上的损失"), (0, max(play.done, 1)), (0, most), height=200,
        xlabel=Say("step", "步数"),
    )  # fmt: skip
    labels = Say("plain", "未正则化"), Say("regularized", "正则化")
    for (role, run), label in zip(runs.items(), labels, strict=True):
        steps, losses = zip(*run, strict=True)
        panel.line(steps, losses, role, label=label)
    return panel


class Number(NamedTuple):
    """A line of the table: what, for both sides, how it comes about, and its operands for both."""

    what: Say
    values: tuple[str, str]
    formula: Say
    operands: tuple[str, str]


def numbers(play: Play) -> list[Number]:
    """What the two networks are like now."""
    sides, fresh, many = play.sides, play.fresh, int(play.flipped.sum())
    known = [probabilities(side, play.x) > 0.5 for side in sides]
    right = [int(((probabilities(side, fresh[0]) > 0.5) == fresh[1]).sum()) for side in sides]
    learnt = [int((k[play.flipped] == play.y[play.flipped]).sum()) for k in known]
    flat = [np.concatenate([p.numpy().ravel() for p in side.parts.values()]) for side in sides]
    zeros, dead = [int((w == 0).sum()) for w in flat], [unused(side, play.x) for side in sides]
    residual = [float(side.ledger.last.residual) if side.ledger.last else 0.0 for side in sides]
    size, n = flat[0].size, len(fresh[1])
    return [
        number("right on fresh points", "新数据点上的正确率", [r / n for r in right], ".1%", "#{ŷ = y} / n",
               [f"{r} / {n}" for r in right]),
        number("wrong labels learnt by heart", "记住的错误标签", learnt, "d",
               Say("#{flipped: ŷ = the wrong label}", "#{被改错的点：ŷ = 错误标签}"),
               [f"{k} / {many}" for k in learnt]),
        number("exact zeros", "恰好为 0 的权重", zeros, "d", "#{w = 0}", [f"{k} / {size}" for k in zeros]),
        number("units silent at all training points", "在所有训练点上输出为 0 的单元", dead, "d",
               Say("#{units with ReLU = 0 at every point}", "#{在每个点上 ReLU 都等于 0 的单元}"),
               [f"{k} / {2 * WIDTH}" for k in dead]),
        number("length of θ", "θ 的长度", [np.linalg.norm(w) for w in flat], ".3g", "‖θ‖ = √Σw²",
               [f"√{(w * w).sum():.4g}" for w in flat]),
        *bounds(play),
        number("books: |sum − step|", "账本：|各项之和 − 实际一步|", [*map(tenth, residual)], "",
               Say("max |Σ entries − Δθ| / the largest number", "max |Σ各项 − Δθ| / 其中最大的数"),
               [readable(r) for r in residual]),
    ]  # fmt: skip


def number(en: str, zh: str, values: Any, form: str, formula: Text, operands: Any) -> Number:
    """A line with its values as text; what is no number (NaN) is a dash."""
    shown = ["–" if v != v else f"{v:{form}}".replace("inf", "∞") for v in values]
    return Number(Say(en, zh), (shown[0], shown[1]), say(formula), tuple(operands))


def tenth(value: float) -> str:
    """A small number by its first digit."""
    return readable(float(f"{value:.0e}"))


def bounds(play: Play) -> list[Number]:
    """How steep the networks are at most, and how far a point may move; or why nobody can say."""
    norm, ks, radii = play.config["norm"], [math.nan] * 2, [math.nan] * 2
    factors, margins = ["1/√ε"] * 2, ["–"] * 2
    steep = say("K = Π σ₁(W)" + " · max|γ|/√(σ² + ε)" * (norm == "batch"))
    reach = Say("|z₁ − z₀| / (√2 K), z: logits", "|z₁ − z₀| / (√2 K)，z 为 logit")
    if name := UNBOUNDED.get(norm):
        steep = Say(f"none: only ε keeps {name} from being infinitely steep, where its input is constant",
                    f"没有：输入为常数时 {name} 可以无限陡，只有 ε 限制它")  # fmt: skip
    else:
        each = [[mr.lipschitz_bound(part) for part in side.model if [*part.parameters()]]
                for side in play.sides]  # fmt: skip
        factors = [" · ".join(f"{k:.3g}" for k in some) for some in each]
        ks = [*map(math.prod, each)]
        radii = [float(mr.certified_radius(side.model, play.x).max()) for side in play.sides]
        margins = [f"{math.sqrt(2) * k * r if k else 0:.3g} / (√2 · {k:.3g})"
                   for k, r in zip(ks, radii, strict=True)]  # fmt: skip
    return [
        number("Lipschitz bound K", "Lipschitz 上界 K", ks, ".3g", steep, factors),
        number("largest certified radius", "最大的认证半径", radii, ".2g", reach, margins),
    ]


def unused(side: Side, x: Any) -> int:
    """Hidden units that answer 0 at every point."""
    side.model.eval()
    with mr.no_grad():
        out, count = x, 0
        for layer in side.model:
            out = layer(out)
            if isinstance(layer, mr.nn.ReLU):
                count += int((out.numpy() == 0).all(0).sum())
    return count


def stages(side: Side, scope: str) -> list[Say]:
    """The last step of one weight, an entry after the other, each with its formula and its numbers."""
    ((name, at),) = side.chosen(scope)
    row, group = side.ledger.last[name], side.optimizer.param_groups[0]
    before, after = float(row.before[at]), float(row.after[at])
    each, earlier = (
        float(np.broadcast_to(row._scale * factor, row.before.shape)[at])
        for factor in (row.linear.fresh, row.linear.carried)
    )
    adaptive, p = "eps" in group, side.parts[name]
    why = "−η(1−β₁)/((1−β₁ᵗ)(√v̂+ε))" if adaptive else "−η"
    tiny = adaptive and abs(each) * group["eps"] > 0.05 * group["lr"]  # of the root only ε is left
    rate = f"η = {group['lr']:g}" + ", v̂ = 0" * tiny
    lines = [Say(f"{rate}: a gradient counts × {why} = {signed(each)}",
                 f"{rate}：梯度乘以 {why} = {signed(each)}")]  # fmt: skip
    for entry, change in side.entries(scope).items():
        en, zh = ENTRIES[entry][1]
        if entry in row.fresh:
            how = f"{signed(each)} × ∂{{}}/∂w = {signed(each)} × {signed(row.fresh[entry][at])}"
        elif entry == "carried":
            en, zh = "m, momentum before this step", "m，这一步之前的动量"
            momentum = sum(float(part[at]) for part in row.carried.values())
            how = f"{signed(earlier)} × m = {signed(earlier)} × {signed(momentum)}"
        elif entry == "decay":
            how = f"−ηλw = −{row.decay:.3g} × {signed(before)}"
        else:
            step = side.optimizer._prox_step(side.optimizer.state[p], group)
            long = "η/(√v̂+ε)" if adaptive else "η/(1−μ)" if group.get("momentum") else "η"
            long += f" = {float(np.broadcast_to(step, p.shape)[at]):.3g}"
            en, zh = f"prox with step {long}", f"近端步（步长 {long}）"
            how = f"v = {signed(after - float(change[0]))} → {signed(after)}, Δ"
        became = signed(change[0])
        lines.append(
            Say(f"{en}: {how.format(en)} = {became}", f"{zh}：{how.format(zh)} = {became}")
        )
    end = f"{signed(before)} → {signed(after)}"
    return [*lines, Say(f"the step: w = {end}", f"这一步：w = {end}")]


def signed(value: Any) -> str:
    """A number with its sign, as formulas have it."""
    return "+" * bool(value > 0) + readable(float(f"{value:.3g}") + 0.0)


def largest(side: Side, scope: str) -> str:
    """The weight of a scope that the last step moved most."""
    moves = [(abs(float(by)), f"{k}:{i}:{j}") for k, name in enumerate(side.parts) for i, row in
             enumerate(side.ledger.last[name].actual) for j, by in enumerate(row)]  # fmt: skip
    return max(m for m in moves if not scope or f"{m[1]}:".startswith(f"{scope}:"))[1]


def overpowered(side: Side) -> list[str]:
    """Units whose weights stay 0 though the data pull at them: the penalty is stronger than the signal."""
    found = []
    for layer, (name, p) in enumerate(side.parts.items()):
        row = side.ledger.last[name]
        still = (row.before == 0).all(1) & (p.numpy() == 0).all(1)
        pulled = (row.of("data") != 0).any(1)
        found += [f"{layer}:{i}" for i in np.flatnonzero(still & pulled)]
    return found


def show(
    play: Play, scope: str = "", stage: int | None = None, all_of_it: bool = True
) -> dict[str, Any]:
    """What a page shows, as plain data; training has made a step at least.

    Parameters
    ----------
    scope : whose books, see :meth:`Side.chosen`.
    stage : so many of the lines of :func:`stages`, the rest not yet.
    all_of_it : also what changes slowly: the numbers and the curves.
    """
    side, panels = play.side, {}
    weight = largest(side, scope)
    panels["plain"], panels["side"] = (map_of(play, one) for one in play.sides)
    # in slow motion the first line is about the rate, and the last about the whole step
    panels["chain"] = chain_of(side, scope) if stage is None else chain_of(side, weight, stage - 1)
    shown: dict[str, Any] = {"step": play.done, "residual": tenth(side.ledger.last.residual)}
    shown["idle"] = {name: need._asdict() for name, need in idle(play.config).items()}
    if all_of_it:
        look(play)
        panels |= {
            "weights": weights_of(side),
            "movers": movers_of(side),
            "losses": losses_of(play),
        }
        shown["numbers"] = [
            [w._asdict(), values, how._asdict(), of] for w, values, how, of in numbers(play)
        ]
        shown |= {"overpowered": overpowered(side), "weight": weight}
        shown["stages"] = [line._asdict() for line in stages(side, weight)]
    return {**shown, "panels": {name: panel.svg() for name, panel in panels.items()}}


def look(play: Play) -> None:
    """Remember the losses on fresh points, and whose entries made up the last step."""
    x, y = play.fresh
    if play.side.losses and play.side.losses[-1][0] == play.done:
        return  # this step is seen again, of another scope, say
    for one in play.sides:
        one.model.eval()
        with mr.no_grad():
            loss = mr.nn.functional.cross_entropy(one.model(x), y)
        one.losses.append((play.done, float(loss.data)))
    moved = {k: float(np.linalg.norm(v)) for k, v in play.side.entries("").items()}
    play.side.moved.append((play.done, moved))
    for kept in (play.plain.losses, play.side.losses, play.side.moved):
        if len(kept) > MOST:  # of a long run every other look
            del kept[1::2]


def script(config: Config, steps: int, changed: bool = False) -> Say:
    """The same training as a program, with about as many whole epochs as there have been; its first
    line says how far it is the same, if the choices were ``changed`` on the way, too.
    """
    c = read(config)
    norm = {"batch": "BatchNorm", "layer": "LayerNorm", "rms": "RMSNorm"}.get(c["norm"])
    hidden = [*([f"{norm}({WIDTH})"] if norm else []), "ReLU()", f"Dropout({c['dropout']})"]
    layers = [
        f"Linear(2, {WIDTH})", *hidden, f"Linear({WIDTH}, {WIDTH})", *hidden, f"Linear({WIDTH}, 2)",
    ]  # fmt: skip
    reached, wrongs, penalties = sorted(kinds(c)), [], []
    for name, term in terms(c).items():
        made = f"mr.penalties.{PENALTIES[name].__name__}({c[name]})"
        if type(term.penalty) is not PENALTIES[name]:
            made = f"wrong({made}, {c['break']!r})"
            wrongs = ["from minireg.course.play import wrong"]
        on = f"lambda _, p: p.kind in {reached}" if term.on is not None else None
        penalties.append(f'    "{name}": mr.Term({made}, {on}, "{term.via}"),')
    kind = {"adam": "Adam", "adamw": "AdamW"}.get(c["optimizer"], "SGD")
    more = ", momentum=0.9" if c["optimizer"] == "momentum" else ""
    optimizer = [f"optimizer = mr.optim.{kind}(model.parameters(), lr={c['lr']}{more})"]
    if kind == "AdamW":  # whose decay is given by group, and may be wrong here
        sign = -1 if c["break"] == "sign" else 1
        optimizer = [
            f"groups = [[p for p in model.parameters() if (p.kind in {reached}) == decays]",
            "          for decays in (True, False)]",
            f"optimizer = mr.optim.AdamW(groups[0], lr={c['lr']}, weight_decay=0.0)",
            'optimizer.add_param_group({"params": groups[1]})',
            f'optimizer.param_groups[0]["weight_decay"] = {sign * c["l2"]}',
        ]
    epoch = len([*batches(POINTS, c["batch"], Stream("shuffle", 0), "numpy")])
    whole = (epochs := max(1, round(steps / epoch))) * epoch
    way = Say(", its choices changed on the way", "，途中改过设置") if changed else Say("", "")
    first = Say(f"# {whole} steps ({epochs} × {epoch}, whole epochs) with the choices of now; "
                f"the page is at step {steps}{way.en}.",
                f"# 共 {whole} 步（{epochs} 轮，每轮 {epoch} 步），全程用现在的设置；"
                f"页面在第 {steps} 步{way.zh}。")  # fmt: skip
    data = f"mr.datasets.planar({c['data']!r}, {{}}, {c['spread']}, seed={{}})"
    lines = "\n".join([
        "import minireg as mr", *wrongs, "",
        f"x, y = {data.format(POINTS, c['seed'])}",
        f"stream = mr.random.Stream('flip', {c['seed']})",
        f"y, flipped = mr.datasets.flip_labels(y, {c['flip']}, 2, stream)",
        f"fresh = {data.format(4 * POINTS, c['seed'] + 1000)}",
        f"mr.manual_seed({c['seed']})",
        "model = mr.nn.Sequential(", *(f"    mr.nn.{layer}," for layer in layers), ")",
        f"loss = mr.nn.CrossEntropyLoss(label_smoothing={c['smoothing']})",
        "objective = mr.Objective(loss, {", *penalties, "})", *optimizer,
        "ledger = mr.Ledger(optimizer)",
        "history = mr.fit(",
        f"    model, objective, optimizer, (x, y), fresh, epochs={epochs},",
        f"    batch_size={c['batch']}, seed={c['seed']}, ledger=ledger,",
        ")",
        "print(f\"right on fresh points: {history.last['validation_accuracy']:.1%}\")",
        "print(ledger.last)", "",
    ])  # fmt: skip
    return Say(*(f"{line}\n{lines}" for line in first))
