"""Predictions: a question before a picture, the learner's guess, and then what is true.

The questions are data, a file `<stem>.toml` for each notebook, in the order in which they are asked. A question has
`truth`, a sentence or two that are shown with the answer, and either one `ask` or several `parts`. Each asks for one of
its `options`, of which `right` is one, or for a number, `right` give or take `tolerance`, with the name of its `unit`.
Guesses are kept in `.lecture17/predictions.json`.
"""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..paths import add_kept, read_kept

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Part:
    """One thing to guess: one of the `options`, or, where there are none, a number give or take `tolerance`."""

    ask: str
    right: str | float
    options: tuple[str, ...] = ()
    tolerance: float = 0
    unit: str = ""

    def group(self) -> dict[str, Any]:
        """What the form shows of it."""
        kind, options = ("radio", self.options) if self.options else ("number", (self.unit,))
        return {"legend": self.ask, "kind": kind, "options": list(options)}

    def is_right(self, guess: object) -> bool:
        """Whether a guess, as it is kept, is the answer."""
        if self.options:
            return guess == self.right
        return isinstance(guess, int | float) and abs(guess - float(self.right)) <= self.tolerance

    def guessed(self, marked: Sequence[float]) -> object:
        """What is marked in the form, as it is kept: the text of an option, a number, or None for no guess."""
        if not marked or not math.isfinite(marked[0]):
            return None
        return self.options[int(marked[0])] if self.options else marked[0]

    def marked(self, guess: object) -> list[float]:
        """What the form has to mark for a guess; nothing for an option that there is no more."""
        if self.options:
            return [self.options.index(guess)] if guess in self.options else []
        return [guess] if isinstance(guess, int | float) else []

    def answer(self) -> str:
        """The right answer in words."""
        return str(self.right) if self.options else f"{self.right:,} {self.unit}".rstrip()


@dataclass(frozen=True)
class Question:
    """What `predict(id)` asks, in one or more parts, and in a sentence or two what is true."""

    id: str
    parts: tuple[Part, ...]
    truth: str

    def is_right(self, guesses: Sequence[object]) -> bool:
        """Whether every part is guessed right."""
        return all(part.is_right(guess) for part, guess in zip(self.parts, guesses, strict=True))


def stems() -> list[str]:
    """The notebooks that ask for predictions, in the order of the course."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def of_notebook(stem: str) -> dict[str, Question]:
    """The questions of one notebook by their ids, in order."""
    with open(FOLDER / f"{stem}.toml", "rb") as file:
        named = tomllib.load(file)
    questions = {}
    for name, data in named.items():
        truth, parts = data.pop("truth"), data.pop("parts", None) or [data]
        made = (Part(**{**part, "options": tuple(part.get("options", ()))}) for part in parts)
        questions[f"{stem}-{name}"] = Question(f"{stem}-{name}", tuple(made), truth)
    return questions


def get(question_id: str) -> Question:
    """The question of that id. Raises KeyError, naming the ids there are, for an unknown one."""
    stem = question_id.split("-", 1)[0]
    known = [q for s in ([stem] if stem in stems() else stems()) for q in of_notebook(s).values()]
    for question in known:
        if question.id == question_id:
            return question
    raise KeyError(f"no prediction is called {question_id!r}: expected one of {', '.join(q.id for q in known)}")


def load() -> dict[str, dict[str, Any]]:
    """Question id → {"guesses": one for each part, None where there is none; "revealed": whether the answer is}."""
    return read_kept("predictions.json", "predictions", dict)


def keep(question: Question, guesses: list[object], revealed: bool) -> None:
    """Keep what is guessed. Raises OSError where nothing can be written."""
    add_kept("predictions.json", "predictions", {question.id: {"guesses": guesses, "revealed": revealed}})


def counted(stem: str) -> tuple[int, int]:
    """How many predictions of a notebook are made, and how many of them were right. Raises KeyError, as `get` does."""
    kept = load()
    guessed = [(q, _guesses(q, kept)) for q in of_notebook(stem).values()]
    whole = [(q, guesses) for q, guesses in guessed if len(guesses) == len(q.parts)]
    return len(whole), sum(q.is_right(guesses) for q, guesses in whole)


def outcome() -> str:
    """How many predictions are made and how many of them were right, in all and for each notebook with any."""
    results = {stem: counted(stem) for stem in stems()}
    made, right = (sum(column) for column in zip(*results.values(), strict=True))
    lines = [
        f"  {stem:<18} {some} of {len(of_notebook(stem))} made, {hits} right"
        for stem, (some, hits) in results.items()
        if some
    ]
    return "\n".join([f"Predictions: {made} made, {right} right", *lines])


def _guesses(question: Question, kept: dict[str, dict[str, Any]]) -> list[object]:
    """The guesses kept for a question that still fit it."""
    guesses = kept.get(question.id, {}).get("guesses", [])
    return [g for part, g in zip(question.parts, guesses, strict=False) if part.marked(g)]
