"""What makes notebooks a course. In a notebook: `from lecture17.course import check, hint, progress`."""

from .checking import CheckFailed, check
from .progress import progress

__all__ = ["CheckFailed", "check", "hint", "progress"]


def hint(exercise_id: str, number: int | None = None) -> None:
    """Print what hints there are for an exercise, or the hint of that number."""
    from .hints import hint_text

    print(hint_text(exercise_id, number))
