"""Quiz: ten questions on the whole course, with an explanation of every answer. Introduced in 06_review."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import traitlets

from .form import Form


@dataclass(frozen=True)
class Question:
    """A question, and an explanation of each of its answers. `right` is the index of the right answer."""

    text: str
    part: str  # where the course treats it
    answers: list[tuple[str, str]]  # (answer, explanation)
    right: int


with Path(__file__).with_name("quiz.toml").open("rb") as file:
    QUESTIONS = [Question(**question) for question in tomllib.load(file)["questions"]]


def verdict(question: Question, number: int) -> str:
    """The explanation of an answer. Raises ValueError for an answer that the question does not have."""
    if not 0 <= number < len(question.answers):
        raise ValueError(f"number is {number}: expected 0 to {len(question.answers) - 1}")
    explanation = question.answers[number][1]
    if number == question.right:
        return f"Right. {explanation}"
    answer, why = question.answers[question.right]
    return f"Not quite. {explanation}\nThe answer is: {answer} {why} (Part {question.part}.)"


def score(marked: list[list[int]]) -> str:
    """How many questions are answered, and how many of them correctly."""
    given = [(q, m[0]) for q, m in zip(QUESTIONS, marked, strict=True) if m]
    right = sum(number == q.right for q, number in given)
    words = f"{right} right of {len(given)} answered; {len(QUESTIONS)} questions in all."
    again = sorted({q.part.split(",")[0] for q, number in given if number != q.right})
    return f"{words} Read again: part {', '.join(again)}." if again else words


class Quiz(Form):
    """Ten questions; run the cell again, or press the button, to start over."""

    button = traitlets.Unicode("Start over").tag(sync=True)

    def __init__(self) -> None:
        super().__init__(
            groups=[
                {
                    "legend": f"{i}. {question.text}",
                    "kind": "radio",
                    "options": [answer for answer, _ in question.answers],
                }
                for i, question in enumerate(QUESTIONS, 1)
            ],
            marked=[[] for _ in QUESTIONS],
        )

    @traitlets.observe("marked")
    def _explain(self, change: Any) -> None:
        with self.hold_sync():
            self.notes = [verdict(q, m[0]) if m else "" for q, m in zip(QUESTIONS, self.marked, strict=True)]
            self.words = score(self.marked)

    def static(self) -> str:
        """The questions, each with the explanations of its answers folded away."""
        parts = []
        for i, (question, chosen) in enumerate(zip(QUESTIONS, self.marked, strict=True), 1):
            answers = "\n".join(f"- {'☑ ' * (j in chosen)}{answer}" for j, (answer, _) in enumerate(question.answers))
            why = "\n".join(
                f"- **{answer}** {'Right' if j == question.right else 'Not quite'}: {explanation}"
                for j, (answer, explanation) in enumerate(question.answers)
            )
            folded = f"<details><summary>Answers, explained (part {question.part})</summary>\n\n{why}\n\n</details>"
            parts.append(f"**{i}. {question.text}**\n\n{answers}\n\n{folded}")
        given = [self.words] if any(self.marked) else []
        return "\n\n".join([*parts, *given, "Run this cell to answer."])
