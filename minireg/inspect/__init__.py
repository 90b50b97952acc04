"""Looking inside a training: what each term did, and the report that shows it."""

from .draw import draw
from .report import Run, overview, report

__all__ = ["Run", "draw", "overview", "report"]
