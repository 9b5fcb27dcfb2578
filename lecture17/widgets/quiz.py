"""Quiz: ten questions on the whole course, with an explanation of every answer. Introduced in 06_review."""

from dataclasses import dataclass
from typing import Any

import traitlets

from .form import Form


@dataclass(frozen=True)
class Question:
    """A question, and an explanation of each of its answers. `right` is the index of the right answer."""

    text: str
    part: str  # where the course treats it
    answers: tuple[tuple[str, str], ...]  # (answer, explanation)
    right: int


QUESTIONS = (
    Question(
        "What does the duality theorem say?",
        "03b, step 4",
        (
            (
                "Every attention layer, softmax included, is an SSM with a small state.",
                "Softmax is outside: the ranks of its blocks below the diagonal grow with N, so no state of fixed size "
                "can carry it.",
            ),
            (
                "SSMs approximate attention, and the larger the state, the better.",
                "The theorem contains no approximation: within its scope the two are equal, up to rounding.",
            ),
            (
                "An SSM with one decay per token is masked attention without softmax, M = L ∘ (C Bᵀ) with a "
                "1-semiseparable L, and vice versa.",
                "L holds the products of the decays between two tokens. Read by rows, M is attention; computed token "
                "by token, it is the SSM.",
            ),
        ),
        2,
    ),
    Question(
        "A mixer has a state of r numbers for each feature. What is low about its matrix?",
        "03a",
        (
            (
                "The rank of every block below the diagonal: at most r.",
                "Everything that such a block carries from its columns to its rows passes through r state entries for "
                "each feature.",
            ),
            (
                "The rank of the whole matrix: at most r.",
                "With no zero on its diagonal, the triangular matrix is invertible, so its rank is N.",
            ),
            (
                "The rank of every row and column.",
                "A nonzero row has rank 1 in every matrix, so that says nothing.",
            ),
        ),
        0,
    ),
    Question(
        "What are chunks for?",
        "03b, step 7",
        (
            (
                "They approximate: tokens more than one chunk back are dropped.",
                "Nothing is dropped. Tokens farther back arrive through the state, and the result is exact.",
            ),
            (
                "They take fewer FLOPs than the recurrence.",
                "At the chunk sizes in use, 64 tokens and more, they take more. What matters is that the recurrence "
                "cannot use matrix products.",
            ),
            (
                "They turn most of the work into matrix products, with N / c sequential steps and a cost linear in N.",
                "The work is quadratic inside a chunk of c tokens and recurrent from chunk to chunk; the outputs are "
                "the same.",
            ),
        ),
        2,
    ),
    Question(
        "Decays are multiplied over 2,000 tokens. Why work with their logarithms, and sum each segment by itself?",
        "03a",
        (
            (
                "The generators u, v divide by products of decays, which underflow; a segment sum divides by nothing.",
                "A product of 2,000 decays of 0.5 is 0 in floating point, and its inverse is infinite. The sum of the "
                "logarithms over each segment stays accurate, and a decay of 0 is −inf, which works.",
            ),
            (
                "Because logarithms need less memory.",
                "They need just as much. What matters is the range of numbers that floating point can hold.",
            ),
            (
                "Because every semiseparable matrix has generators, but only in logarithms.",
                "A zero decay can leave a matrix without generators of r numbers; the form that keeps the decays (SSS) "
                "is general.",
            ),
        ),
        0,
    ),
    Question(
        "What did Mamba-2 change in Mamba-1, and why?",
        "02 and 03c",
        (
            (
                "It lowered the cost from O(N·d_state²) to O(N·d_state).",
                "Mamba-1 is diagonal and already costs O(N·d_state) per channel.",
            ),
            (
                "It has one decay per head instead of one per state entry, so that the work becomes matrix products.",
                "One mask then serves all channels of a head. At the chunk sizes in use there are more FLOPs, not "
                "fewer, but they run much faster, and larger states become affordable.",
            ),
            (
                "It dropped the decay and so became linear attention.",
                "It keeps a decay that each token sets. Without the decay it would indeed be linear attention.",
            ),
        ),
        1,
    ),
    Question(
        "The delta rule writes a value under a key that was used before. What happens to the old value?",
        "03c, step 6",
        (
            (
                "The old and the new value are added, as in linear attention.",
                "That is what the delta rule was designed to avoid: it first removes what the key recalls.",
            ),
            (
                "With β = 1 and a key of length 1 it is replaced; keys orthogonal to it keep their values.",
                "A_t = I − β k kᵀ removes what is stored under k and nothing else: one step of gradient descent on the "
                "recall error.",
            ),
            (
                "It fades with age, as do the values of all other keys.",
                "That is a decay. The delta rule forgets by content; the gated delta rule does both.",
            ),
        ),
        1,
    ),
    Question(
        "RWKV-7, as shipped, has decays w in (0.545, 1). Where are the eigenvalues of its transitions?",
        "03c, step 7",
        (
            (
                "In (0.545, 1), like the decays.",
                "The transition is diag(w) − (a ∘ κ̂) κ̂ᵀ. The removal moves eigenvalues down, even below zero.",
            ),
            (
                "In (−1, 1), so a flip can be kept forever.",
                "−1 is out of reach: the lower end is 0.545 − 1 = −0.455. A flip that keeps less than half fades.",
            ),
            (
                "Real, in (−0.455, 1): it can flip a sign, but what it flips fades.",
                "The decay contributes more than 0.545, and the removal takes away less than 1.",
            ),
        ),
        2,
    ),
    Question(
        "What does an SSM need to track parity, or permutations of three things?",
        "03d",
        (
            (
                "A larger state.",
                "One bit is enough for parity. With real eigenvalues none of which is negative, no size of state helps "
                "at finite precision.",
            ),
            (
                "For parity an eigenvalue such as −1, for permutations transitions that do not commute.",
                "−1 flips the state at every 1. Two reflections make a rotation, so in one layer two delta steps per "
                "token make all six permutations.",
            ),
            (
                "Softmax, which does both perfectly.",
                "The softmax networks of part 03d do not learn parity, not even at their training lengths.",
            ),
        ),
        1,
    ),
    Question(
        "A model must repeat any text of L letters from an alphabet of A letters. What must grow with L?",
        "03d, step 8",
        (
            (
                "What it carries: at least L log₂ A bits. A cache grows on its own, a fixed state fills up.",
                "If there are fewer states than texts, two texts end in the same state, and one of the two copies is "
                "wrong.",
            ),
            (
                "Its depth: with enough layers, a state of any size can copy.",
                "The states of all layers together still hold a fixed number of bits, which is too few for some L.",
            ),
            (
                "Nothing, if the decay is 1.",
                "Then nothing fades, but the values pile up in the same numbers and can no longer be told apart.",
            ),
        ),
        0,
    ),
    Question(
        "You decode at a million tokens with little memory, and now and then one exact token from far back matters. "
        "Which model do you choose?",
        "05e",
        (
            (
                "Softmax attention in all layers, because nothing else recalls exactly.",
                "It does recall, but its cache grows with every token in every layer, and memory is what you lack.",
            ),
            (
                "RetNet, because its memory does not grow.",
                "Its decay depends on age alone, so it cannot choose what to keep.",
            ),
            (
                "A hybrid: most layers with a fixed state, a few with attention, if their caches fit.",
                "The few caches recall; the states carry the rest at a fixed cost. If even these do not fit, nothing "
                "that fits can recall every token: a counting argument says so, and no engineering changes it.",
            ),
        ),
        2,
    ),
)


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
    """Ten questions. Nothing is kept: run the cell again, or press the button, to start over."""

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
