"""pictures: what a reader sees. Words in two languages, and pictures that need nothing to be drawn."""

from .panel import Panel
from .scene import Frame, Scene
from .words import Say, Text

__all__ = ["Frame", "Panel", "Say", "Scene", "Text"]
