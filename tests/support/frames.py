"""What scene.js does with the frames that are kept, in Python: to compare them with others."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from minireg.pictures.scene import MOVES, NUMBER, Slot, slots


def decode(kept: dict[str, Any]) -> list[list[Slot]]:
    """The slots of every frame."""
    films = [Film(look) for look in kept["looks"]]
    return [films[look].next(added, words) for look, added, words, _ in kept["frames"]]


class Film:
    """The frames of one look, one after the other."""

    def __init__(self, look: dict[str, Any]) -> None:
        self.slots = slots(look["svg"])[1]
        self.moving = [
            name in MOVES and i not in look["still"] for i, (name, _) in enumerate(self.slots)
        ]
        self.units = [100 if name == "fill-opacity" else 10 for name, _ in self.slots]
        self.live = [*accumulate(look["live"])]
        self.numbers = [
            round(float(n) * unit)
            for (_, value), moves, unit in zip(self.slots, self.moving, self.units, strict=True)
            if moves
            for n in NUMBER.findall(value)
        ]
        self.words = [
            NUMBER.sub("#", value) if moves else value
            for (_, value), moves in zip(self.slots, self.moving, strict=True)
        ]

    def next(self, added: list[int], words: list[Any]) -> list[Slot]:
        """The next frame."""
        for k, more in zip(self.live, added, strict=True):
            self.numbers[k] += more
        for i, word in zip(words[::2], words[1::2], strict=True):
            self.words[i] = word
        rest = iter(self.numbers)
        found = []
        for (name, _), word, moves, unit in zip(
            self.slots, self.words, self.moving, self.units, strict=True
        ):
            parts = word.split("#") if moves else [word]
            text = "".join(part + f"{next(rest) / unit:g}" for part in parts[:-1]) + parts[-1]
            found.append((name, text))
        return found
