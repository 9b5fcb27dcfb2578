"""What turns notebooks into a course. In a notebook: `from lecture17.course import check, hint, predict, progress`."""

from typing import TYPE_CHECKING

from .checking import CheckFailed, check
from .progress import progress

if TYPE_CHECKING:
    from .predicting import Prediction

__all__ = ["CheckFailed", "check", "hint", "predict", "progress"]


def hint(exercise_id: str | int | None = None, number: int | None = None) -> None:
    """Print the titles of an exercise's hints, or the hint with that number.

    `hint()` lists the hints for the check that failed last, and `hint(2)` prints the second of them. An id may be
    shortened to its end: `hint("matrix")` for `00_quickstart-matrix`. An unknown exercise or hint prints a message.
    """
    from .checking import last_failed
    from .hints import hint_text
    from .say import say

    if isinstance(exercise_id, int):
        exercise_id, number = None, exercise_id
    try:
        say(hint_text(exercise_id or next(iter(last_failed), None), number))
    except (KeyError, ValueError) as error:
        say(error.args[0])


def predict(question_id: str) -> "Prediction":
    """Ask for a prediction, as the last expression of a cell. Raises KeyError for an unknown id."""
    from .predicting import Prediction
    from .predictions import get

    return Prediction(get(question_id))
