"""What a page looks like to who cannot read small or pale letters."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

LOOK = """() => {  // text that is too small, or too pale for its ground
  const paper = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = {}, rgb = text => known[text] ??= (paper.clearRect(0, 0, 1, 1), paper.fillStyle = text,
    paper.fillRect(0, 0, 1, 1), [...paper.getImageData(0, 0, 1, 1).data]);
  const f = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => { return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
  const ground = e => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; }
    return rgb(getComputedStyle(document.documentElement).backgroundColor); };
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  for (let node; (node = walker.nextNode());) {
    const e = node.parentElement;
    if (!node.data.trim() || e.closest("script, style, option")) continue;
    if (!e.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    if (e.closest(":disabled, .unseen")) continue;
    seen++;
    const style = getComputedStyle(e), svg = e.closest("svg");
    const scale = svg ? svg.getScreenCTM().a : 1, size = parseFloat(style.fontSize) * scale;
    const tone = light(rgb(svg ? style.fill : style.color)), back = light(ground(e));
    const ratio = (Math.max(tone, back) + .05) / (Math.min(tone, back) + .05);
    const said = node.data.trim().slice(0, 30);
    if (size < 11 && !e.closest("math")) found.push(`${size.toFixed(1)} px: ${said}`);
    if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)}: ${said}`);
  }
  return { seen, found, wide: document.documentElement.scrollWidth - innerWidth };
}"""


def readable(shown: Any, least: int, widths: Sequence[int] = (390, 1280, 1920)) -> None:
    """Assert that all text of a page can be read at these widths, in both languages and schemes.

    ``least`` is how many texts there are, so that an empty page does not pass.
    """
    for width, button, scheme in itertools.product(
        widths, ("language", "sprache"), ("light", "dark")
    ):
        shown.set_viewport_size({"width": width, "height": 800})
        shown.emulate_media(color_scheme=scheme)
        shown.evaluate(f"document.getElementById('{button}').click()")
        shown.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        look, where = shown.evaluate(LOOK), f"{width} px, {button}, {scheme}"
        assert look["seen"] > least, where
        assert not look["found"], where
        assert look["wide"] <= 0, where
