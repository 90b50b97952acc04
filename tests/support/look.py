"""What a page looks like to who cannot read small or pale letters: JavaScript for a test's browser."""

LOOK = """() => {  // text that is too small, or too pale for its ground
  const rgb = text => { const c = document.createElement("canvas").getContext("2d");
    c.fillStyle = text; c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data]; };
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
