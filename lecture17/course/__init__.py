"""What makes notebooks a course. In a notebook: `from lecture17.course import check, hint, predict, progress`."""

from typing import TYPE_CHECKING

from .checking import CheckFailed, check
from .progress import progress

if TYPE_CHECKING:
    from .predicting import Prediction

__all__ = ["CheckFailed", "check", "hint", "predict", "progress"]


def hint(exercise_id: str, number: int | None = None) -> None:
    """Print what hints there are for an exercise, or the hint of that number."""
    from .hints import hint_text

    print(hint_text(exercise_id, number))


def predict(question_id: str) -> "Prediction":
    """Ask for a prediction, as the last expression of a cell. Raises KeyError for an id that there is not."""
    from .predicting import Prediction
    from .predictions import get

    return Prediction(get(question_id))
