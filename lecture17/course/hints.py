"""Hints, titled by what the learner sees go wrong."""

from .exercises import get


def hint_text(exercise_id: str, number: int | None = None) -> str:
    """The symptoms an exercise has hints for, or the hint of that number (from 1).

    Raises KeyError for an unknown exercise, ValueError for a number there is no hint of.
    """
    hints = get(exercise_id).hints
    if number is None:
        lines = [f"{i}  {symptom}" for i, (symptom, _) in enumerate(hints, 1)]
        return "\n".join([f"{exercise_id}: which of these is it?", *lines, f'hint("{exercise_id}", 1) opens the first'])
    if not 1 <= number <= len(hints):
        raise ValueError(f"number is {number}: {exercise_id} has hints 1 to {len(hints)}")
    symptom, help_ = hints[number - 1]
    return f"{symptom}?\n{help_}"
