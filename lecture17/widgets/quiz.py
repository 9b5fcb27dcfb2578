"""Quiz: ten questions on the whole course; every answer, right or wrong, is explained. Introduced in 06_review."""

from dataclasses import dataclass
from typing import Any

import traitlets

from .form import Form


@dataclass(frozen=True)
class Question:
    """A question, and for each answer what there is to say of it. The right answer is number `right`."""

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
                "Softmax is outside: its blocks below the diagonal have ranks that grow with N, so no state of fixed "
                "size carries it.",
            ),
            (
                "SSMs approximate attention, the better the larger the state.",
                "The theorem has no approximation in it: within its scope the two are equal, to rounding.",
            ),
            (
                "An SSM with one decay a token is masked attention without softmax, M = L ∘ (C Bᵀ), and the reverse.",
                "L is 1-semiseparable: the products of the decays between two tokens. Read M by rows and it is "
                "attention, token by token and it is the SSM.",
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
                "All that such a block carries from its columns to its rows passes through r numbers of state for each "
                "feature.",
            ),
            (
                "The rank of the whole matrix: at most r.",
                "With no zero on the diagonal the triangular matrix is invertible, so its rank is N.",
            ),
            (
                "The rank of every row and column.",
                "A row, unless it is zero, always has rank 1, in every matrix: that says nothing.",
            ),
        ),
        0,
    ),
    Question(
        "What are chunks for?",
        "03b, step 7",
        (
            (
                "They approximate: what lies more than a chunk back is dropped.",
                "Nothing is dropped. What lies farther back arrives through the state, and the result is exact.",
            ),
            (
                "They lower the number of FLOPs below that of the recurrence.",
                "At the sizes in use, 64 tokens and more, they raise it. What counts is that the FLOPs of the "
                "recurrence cannot be matrix products.",
            ),
            (
                "They make most of the work matrix products and leave N / c steps in a row, at a cost linear in N.",
                "Quadratic inside a chunk of c tokens, recurrent from chunk to chunk; the outputs are the same.",
            ),
        ),
        2,
    ),
    Question(
        "Decays are multiplied over 2,000 tokens. Why keep their logarithms and subtract nothing large?",
        "03a",
        (
            (
                "The generators u, v divide by products of decays, which underflow; a stable segment sum does not.",
                "At a decay of 0.5 a product of 2,000 is 0 in floating point, and its inverse is infinite. Sums of "
                "logarithms over each segment stay exact, and a decay of 0 is −inf, which works.",
            ),
            (
                "Because logarithms need less memory.",
                "They take as much. What matters is the range of numbers that can be held.",
            ),
            (
                "Because every semiseparable matrix has generators, but only in logarithms.",
                "A matrix with a zero decay has no generators u, v at all; the form with decays kept is general.",
            ),
        ),
        0,
    ),
    Question(
        "What did Mamba-2 change in Mamba-1, and what for?",
        "02 and 03c",
        (
            (
                "It lowered O(N·d_state²) to O(N·d_state).",
                "Mamba-1 is diagonal and costs O(N·d_state) a channel already.",
            ),
            (
                "One decay a head instead of one for each entry of the state, so that the work is matrix products.",
                "One mask then serves all channels of a head. In chunks there are more FLOPs, not fewer, but they run "
                "much faster, and larger states become affordable.",
            ),
            (
                "It dropped the decay, so that it became linear attention.",
                "It keeps a decay that each token sets. Without it, it would be linear attention indeed.",
            ),
        ),
        1,
    ),
    Question(
        "The delta rule writes a value under a key that was used before. What becomes of the old value?",
        "03c, step 6",
        (
            (
                "Old and new are added up, as in linear attention.",
                "That is what the delta rule was made to avoid: it first removes what the key recalls.",
            ),
            (
                "With β = 1 and a key of length 1 it is replaced; other keys at right angles keep theirs.",
                "A_t = I − β k kᵀ removes what lies under k and nothing else: one step of gradient descent on the "
                "error of recall.",
            ),
            (
                "It fades with age, under every key alike.",
                "That is a decay. The delta rule forgets by content; the gated one does both.",
            ),
        ),
        1,
    ),
    Question(
        "RWKV-7, as shipped, has decays w in (0.545, 1). Where are the eigenvalues of its transitions?",
        "03c, step 7",
        (
            (
                "In (0.545, 1): those of the decay.",
                "The transition is diag(w) − (a ∘ κ̂) κ̂ᵀ. The removal moves eigenvalues down, below zero even.",
            ),
            (
                "In (−1, 1), so that a flip can be kept forever.",
                "−1 is out of reach: the lower end is 0.545 − 1 = −0.455. A flip that keeps less than half fades.",
            ),
            (
                "Real, in (−0.455, 1): it can flip a sign, but what it flips fades.",
                "The decay gives at least 0.545 and the removal takes at most 1.",
            ),
        ),
        2,
    ),
    Question(
        "What does an SSM need to track parity, or to follow the permutations of three things?",
        "03d",
        (
            (
                "A larger state.",
                "One bit is enough for parity. With real eigenvalues that are not negative, no size of state helps at "
                "finite precision.",
            ),
            (
                "Parity: an eigenvalue like −1. Permutations of three: transitions that do not commute.",
                "−1 flips at every 1. A product of two reflections is a turn; in one layer two delta steps a token "
                "make them all.",
            ),
            (
                "Softmax, which does both perfectly.",
                "The softmax networks of part 03d do not learn parity, even at the lengths of training.",
            ),
        ),
        1,
    ),
    Question(
        "A model is to repeat any text of L letters from an alphabet of A. What must grow?",
        "03d, step 8",
        (
            (
                "What it carries: at least L log₂ A bits. A cache grows by itself, a fixed state fills up.",
                "If there are fewer states than texts, two texts end in the same state, and one of the copies is "
                "wrong.",
            ),
            (
                "Its depth: a state of any size copies if there are enough layers.",
                "Layers add up their states, and there are finitely many of them: for some L they are too small.",
            ),
            (
                "Nothing, if the decay is 1.",
                "Then nothing is forgotten, but values are added up over each other and cannot be told apart.",
            ),
        ),
        0,
    ),
    Question(
        "You decode at a million tokens in little memory, and now and then one exact token from far back matters.",
        "05e",
        (
            (
                "Softmax attention in all layers: nothing else recalls exactly.",
                "It does, but its cache grows with every token and in every layer, and memory is what you lack.",
            ),
            (
                "RetNet, since its memory does not grow.",
                "Its decay depends on age alone: it cannot choose what to keep.",
            ),
            (
                "A hybrid: most layers with a fixed state, a few with attention, if their cache fits.",
                "The few caches recall, the states carry the rest at a fixed cost. If even these do not fit, nothing "
                "recalls every token: that is counting, not engineering.",
            ),
        ),
        2,
    ),
)


def verdict(question: Question, number: int) -> str:
    """What there is to say of an answer. Raises ValueError for an answer that the question does not have."""
    if not 0 <= number < len(question.answers):
        raise ValueError(f"number is {number}: expected 0 to {len(question.answers) - 1}")
    explanation = question.answers[number][1]
    if number == question.right:
        return f"Right. {explanation}"
    answer, why = question.answers[question.right]
    return f"Not so. {explanation}\nRight is: {answer} {why} (Part {question.part}.)"


def score(marked: list[list[int]]) -> str:
    """How many answers are given, and how many of them are right."""
    given = [(q, m[0]) for q, m in zip(QUESTIONS, marked, strict=True) if m]
    right = sum(number == q.right for q, number in given)
    words = f"{right} right of {len(given)} answered; {len(QUESTIONS)} questions in all."
    again = sorted({q.part.split(",")[0] for q, number in given if number != q.right})
    return f"{words} Read again: part {', '.join(again)}." if again else words


class Quiz(Form):
    """Ten questions. Nothing is kept: run the cell again, or press the button, and begin anew."""

    button = traitlets.Unicode("Begin anew").tag(sync=True)

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
        """The questions, each with its explained answers folded away."""
        parts = []
        for i, (question, chosen) in enumerate(zip(QUESTIONS, self.marked, strict=True), 1):
            answers = "\n".join(f"- {'☑ ' * (j in chosen)}{answer}" for j, (answer, _) in enumerate(question.answers))
            why = "\n".join(
                f"- **{answer}** {'Right' if j == question.right else 'Not so'}: {explanation}"
                for j, (answer, explanation) in enumerate(question.answers)
            )
            folded = f"<details><summary>Answers, explained (part {question.part})</summary>\n\n{why}\n\n</details>"
            parts.append(f"**{i}. {question.text}**\n\n{answers}\n\n{folded}")
        given = [self.words] if any(self.marked) else []
        return "\n\n".join([*parts, *given, "Run this cell to answer."])
