"""Looking inside a training: what each term did, and the report that shows it."""

from .charts import overview
from .draw import draw
from .report import report
from .run import Run

__all__ = ["Run", "draw", "overview", "report"]
