"""Looking inside a training: what each term did, and the report that shows it."""

from .report import Run, overview, report

__all__ = ["Run", "overview", "report"]
