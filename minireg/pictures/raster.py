"""raster: what is made of a grid of numbers: lines of equal height, and pictures of points."""

from __future__ import annotations

import base64
import struct
import zlib
from collections import defaultdict

import numpy as np

from ..backend import Array

# The edges that a line of equal height joins in a cell, by which of its corners lie above: the
# corners count 1, 2, 4, 8 around the cell, and so do the edges 0 (top), 1, 2, 3.
Joins = tuple[tuple[int, int], ...]
_JOINS: dict[int, Joins] = {
    1: ((3, 0),), 2: ((0, 1),), 3: ((3, 1),), 4: ((1, 2),), 6: ((0, 2),), 7: ((3, 2),), 8: ((2, 3),),
    9: ((0, 2),), 11: ((1, 2),), 12: ((1, 3),), 13: ((0, 1),), 14: ((3, 0),),
}  # fmt: skip
_SADDLES: dict[bool, Joins] = {
    True: ((3, 2), (0, 1)),
    False: ((3, 0), (1, 2)),
}  # for 5: is the middle above?
Edge = tuple[int, int, int]  # row and column of its first corner; 0 along a row, 1 down a column


def joined(z: Array, level: float) -> list[tuple[Array, Array]]:
    """Lines along which ``z`` has this height, as fractional (rows, columns): marching squares.

    Cells with a corner that is not finite are left out.

    >>> (i, j), = joined(np.array([[0.0, 1], [0, 1]]), 0.5)
    >>> i.tolist(), j.tolist()
    ([0.0, 1.0], [0.5, 0.5])
    """
    above = z > level
    corners = above[:-1, :-1] + 2 * above[:-1, 1:] + 4 * above[1:, 1:] + 8 * above[1:, :-1]
    finite = np.isfinite(z[:-1, :-1] + z[:-1, 1:] + z[1:, 1:] + z[1:, :-1])
    links: defaultdict[Edge, list[Edge]] = defaultdict(list)
    for i, j in np.argwhere((corners > 0) & (corners < 15) & finite).tolist():
        edges = (i, j, 0), (i, j + 1, 1), (i + 1, j, 0), (i, j, 1)
        joins = _JOINS.get(case := int(corners[i, j]))
        if joins is None:
            joins = _SADDLES[(z[i : i + 2, j : j + 2].mean() > level) == (case == 5)]
        for a, b in joins:
            links[edges[a]].append(edges[b])
            links[edges[b]].append(edges[a])
    found = []
    for first in sorted(links, key=lambda edge: len(links[edge])):  # open ends come first
        walk, edge = [first], first
        while links[edge]:
            following = links[edge].pop()
            links[following].remove(edge)
            walk.append(edge := following)
        if len(walk) > 1:
            found.append(_crossings(z, level, walk))
    return found


def _crossings(z: Array, level: float, walk: list[Edge]) -> tuple[Array, Array]:
    i, j, down = np.array(walk).T
    a, b = z[i, j], z[i + down, j + 1 - down]
    part = (level - a) / (b - a)
    return i + part * down, j + part * (1 - down)


def png(a: Array) -> tuple[str, str]:
    """A PNG of bytes, (height, width) grey or (height, width, 3), as a data URL; and its checksum.

    >>> png(np.zeros((2, 3), np.uint8))[0][:30]
    'data:image/png;base64,iVBORw0K'
    """
    height, width = a.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if a.ndim == 2 else 2, 0, 0, 0)
    rows = np.insert(
        a.reshape(height, -1), 0, 0, axis=1
    ).tobytes()  # each row begins with its filter
    parts = {b"IHDR": head, b"IDAT": zlib.compress(rows, 9), b"IEND": b""}
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts.items()
    )
    whole = b"\x89PNG\r\n\x1a\n" + body
    return f"data:image/png;base64,{base64.b64encode(whole).decode()}", f"{zlib.crc32(rows):x}"
