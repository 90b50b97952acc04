"""pictures: what a reader sees. Words in two languages, and pictures that need nothing to be drawn."""

from .words import Say

__all__ = ["Say"]
