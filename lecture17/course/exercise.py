"""What an exercise is: what to compute, on which inputs, and the mistakes that its check knows by name."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Function = Callable[..., Any]
Inputs = dict[str, Any]


class WrongForm(Exception):
    """What an answer returned, or how it works, does not have the form that was asked for; the message says why."""


@dataclass(frozen=True)
class Misconception:
    """A mistake that learners make, as code: an answer that computes exactly what `wrong` computes has made it.

    `name` completes the sentence "this is what you get when …"; `advice` says in one sentence what to do instead.
    `of` names the outputs that are compared, where the others may be anything; all of them if empty. `also` holds other
    ways in which the same mistake is written, where they give other numbers.
    """

    name: str
    advice: str
    wrong: Function
    of: tuple[str, ...] = ()
    also: tuple[Function, ...] = ()

    def __str__(self) -> str:
        """Two sentences: advice that begins with a word, and not with a symbol as z or np.tril, gets a capital."""
        word = re.match(r"(a |[a-z]+['’]?)[a-z]+(?=[ ,:])", self.advice)
        return f"{self.name}. {self.advice[0].upper() if word else self.advice[0]}{self.advice[1:]}"


@dataclass(frozen=True)
class Exercise:
    """One exercise, as `check` needs it.

    Attributes
    ----------
    id, points: as in the notebook's card and nbgrader metadata; ids are `<stem>-<name>`
    unfilled: what a learner who has not started is told to do
    draw: makes random inputs (name → value, in the order of the arguments) from a generator
    returns: names of what the answer returns, in order
    verified: what a pass has shown, after "… on 24 random cases, "
    misconceptions, hints: at least three each; a hint is (symptom, help)
    expected: the right answer, computed in float64 in an independent way …
    verify: … or, where many answers are right, what is wrong with (inputs, outputs), None if nothing is
    where: describes the place of a wrong entry, given the inputs and its index
    tol: largest error relative to the largest entry of the right answer
    run: calls an answer, or a misconception, with the inputs if that is not answer(*inputs); may raise WrongForm
    at_last: looks at an answer that is right in every case, and raises WrongForm if something else is wrong with it
    """

    id: str
    points: int
    unfilled: str
    draw: Callable[[np.random.Generator], Inputs]
    returns: tuple[str, ...]
    verified: str
    misconceptions: tuple[Misconception, ...]
    hints: tuple[tuple[str, str], ...]
    expected: Function | None = None
    verify: Callable[[Inputs, dict[str, Any]], str | None] | None = None
    where: Callable[[Inputs, tuple[int, ...]], str] | None = None
    tol: float = 1e-10
    run: Callable[[Function, Inputs], Any] | None = None
    at_last: Callable[[Function], None] | None = None

    @property
    def stem(self) -> str:
        """The name, without its ending, of the notebook that holds this exercise."""
        return self.id.split("-", 1)[0]
