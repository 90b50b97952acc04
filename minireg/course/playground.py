"""playground: the page on which the reader trains what :mod:`minireg.course.play` knows."""

from __future__ import annotations

from ..pictures import Say
from .pages import asset, shell
from .play import CELLS, CONTROLS, read

GROUPS = {
    Say("data", "数据"): ("data", "flip", "spread", "seed"),
    Say("network", "网络"): ("norm", "optimizer", "lr", "batch"),
    Say("regularization", "正则化"): ("l2", "l1", "group", "spectral", "dropout", "smoothing", "via", "on"),
    Say("break it", "故意弄错"): ("break",),
}  # fmt: skip
BUTTONS = {
    "play": Say("Play", "运行"), "step": Say("One step", "一步"), "slow": Say("In slow motion", "慢动作"),
    "next": Say("Next", "下一项"),
    "restart": Say("Reset", "重来"), "script": Say("As Python", "转成 Python"),
    "svg": Say("Save SVG", "保存 SVG"), "png": Say("Save PNG", "保存 PNG"),
}  # fmt: skip
SCOPES = {
    "": Say("the whole model", "整个模型"), "0": Say("layer 1", "第 1 层"), "1": Say("layer 2", "第 2 层"),
    "2": Say("layer 3", "第 3 层"), "unit": Say("its unit", "它所在的单元"),
    "weight": Say("the chosen weight", "选中的权重"),
}  # fmt: skip


def control(name: str) -> str:
    """The label and the widget of something to choose."""
    c, label = CONTROLS[name], CONTROLS[name].label.html()
    if c.words:
        options = "".join(
            f'<option value="{value}" data-en="{words.en}" data-zh="{words.zh}"'
            f"{' selected' * (value == c.start)}>{words.en}</option>"
            for value, words in zip(c.values, c.words, strict=True)
        )
        select = f'<select name="{name}">{options}</select>'
        idle = f'<small class="idle" data-of="{name}"></small>'  # why it changes nothing now
        return f'<label><span class="name">{label}</span>{select}{idle}</label>'
    return (
        f'<label><span class="name">{label} <output>{c.start:g}</output></span><input type="range" '
        f'name="{name}" min="0" max="{len(c.values) - 1}" value="{c.values.index(c.start)}"></label>'
    )


def page(python: str = "", size: int = 0) -> str:
    """The page of the playground as HTML."""
    title = Say(
        "Playground: every step's causes add up", "实验场：每一步的原因相加，恰好等于这一步"
    )
    lead = Say(
        "Two networks, the same data, start and batches: one plain, one regularized. The ledger says what "
        "moved it. Let it run for some 600 steps before you compare.",
        "两个网络，数据、初值、批次都相同：一个未正则化，一个正则化。账本记下每一步由哪些原因推动。"
        "请运行约 600 步再比较。",
    )
    groups = "".join(
        f"<details open><summary>{words.html()}</summary>{''.join(map(control, names))}</details>"
        for words, names in GROUPS.items()
    )
    buttons = "".join(f'<button id="{k}">{words.html()}</button>' for k, words in BUTTONS.items())
    scopes = "".join(
        f'<option value="{k}" data-en="{w.en}" data-zh="{w.zh}">{w.en}</option>'
        for k, w in SCOPES.items()
    )
    speeds = "".join(f'<option value="{n}">× {n}</option>' for n in (1, 4, 16))
    whose, now = Say("the books of", "查看谁的账本"), Say("now", "现在")
    head = "".join(
        f"<th>{w.html()}</th>"
        for w in (now, Say("plain", "未正则化"), Say("regularized", "正则化"))
    )
    body = (
        f'<h1>{title.html()}</h1><p id="lead">{lead.html()}</p>'
        f'<div id="play-ground"><form id="choices" autocomplete="off">{groups}</form><div id="running">'
        f'<p class="buttons">{buttons}<select id="speed" aria-label="steps a picture">{speeds}</select> '
        f'<span id="count"></span></p><p><label>{whose.html()} <select id="scope">{scopes}</select></label> '
        f'<span id="whose" hidden></span></p><div id="slowly" hidden><ol></ol></div><div id="stage"></div>'
        f'<p id="residual"></p><p id="overpowered" hidden></p>'
        f'<table><thead><tr>{head}</tr></thead><tbody></tbody></table><p id="formula" class="small"></p>'
        f'<pre id="code" hidden></pre><p class="python small" hidden></p></div></div>'
    )
    values = {name: c.values for name, c in CONTROLS.items()}
    data = {"values": values, "start": read({}), "cells": CELLS, "alone": ALONE._asdict()}
    return shell(
        title, body, data, python, size, place=Say("the playground", "实验场"),
        style=asset("course/playground.css"), script=asset("course/playground.js"),
    )  # fmt: skip


ALONE = Say(
    "On your machine, `minireg play` shows it with one.",
    "在自己的电脑上运行 `minireg play`，本页就能训练。",
)
