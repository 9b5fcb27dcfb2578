"""Prediction: the form in which `predict(id)` asks one question of `predictions/`."""

from typing import Any

from lecture17.widgets.form import Form
from lecture17.widgets.front import somebody_watches

from .predictions import Question, get, keep, load


class Prediction(Form):
    """One question. A guess may change until the answer is shown; it is saved at once and shown again next time."""

    def __init__(self, question: Question) -> None:
        self._question = question
        try:
            kept, trouble = load().get(question.id, {}), ""
        except OSError as error:  # the learner's private folder cannot be made
            kept, trouble = {}, f"Guesses are not saved: {error}"
        before = kept.get("guesses") or [None] * len(question.parts)
        marked = [part.marked(guess) for part, guess in zip(question.parts, before, strict=False)]
        whole = len(marked) == len(question.parts) and all(marked)
        super().__init__(
            groups=[part.group() for part in question.parts],
            notes=[""] * len(question.parts),
            marked=marked if len(marked) == len(question.parts) else [[] for _ in question.parts],
            words=trouble,
            button="Show the answer",
        )
        if whole and kept.get("revealed"):
            self._reveal()
        self.observe(self._keep, names="marked")

    def _guesses(self) -> list[object]:
        return [part.guessed(marked) for part, marked in zip(self._question.parts, self.marked, strict=True)]

    def _save(self, words: str) -> None:
        """Save the guesses and say `words`; if they cannot be saved, say that too."""
        try:
            keep(self._question, self._guesses(), self.locked)
            self.words = words
        except OSError as error:
            self.words = f"{words}\nNot saved: {error}"

    def _keep(self, change: Any) -> None:
        if not self.locked:
            self._save("Saved. You can change it until you ask for the answer.")

    def _reveal(self) -> str:
        """Say for each part whether it is right, and then what is true."""
        with self.hold_sync():
            self.locked, self.button = True, ""
            self.notes = [
                "Right." if part.is_right(guess) else f"Not quite. The answer: {part.answer()}."
                for part, guess in zip(self._question.parts, self._guesses(), strict=True)
            ]
            self.words = f"{self._question.truth} The next cell shows it."
        return self.words

    def press(self) -> None:
        """Show the answer, once every part has a guess."""
        if all(guess is not None for guess in self._guesses()):
            self._save(self._reveal())
        else:
            self.words = "Guess first; a wrong guess teaches as much as a right one."

    def plain(self) -> str:
        """The question alone, which is the same for everybody."""
        return "Predict: " + " ".join(part.ask for part in self._question.parts)

    def static(self) -> str:
        """The question, its options, and the answer folded away; where the learner answers, also what they guessed."""
        guesses = self._guesses() if self.handle is not None else [None] * len(self._question.parts)
        parts = []
        for part, guess, note in zip(self._question.parts, guesses, self.notes, strict=True):
            options = "\n".join(f"- {option}" for option in part.options)
            parts.append(part.ask + (f"\n\n{options}" if options else " (A number.)"))
            if guess is not None:
                parts.append(f"You guessed: {guess if part.options else f'{guess:g}'}. {note}")
        answers = "; ".join(part.answer() for part in self._question.parts)
        folded = f"<details><summary>Answer</summary>\n\n{answers}. {self._question.truth}\n\n</details>"
        aim = "answer" if guesses == [None] * len(guesses) else "bring the question back"
        wake = f"*To {aim}, run the cells from the top to this one.*"
        return "**Predict.** " + "\n\n".join([*parts, folded, wake])


_shown: dict[str, Prediction] = {}


def ask(question_id: str) -> Prediction:
    """The question's form. A cell that runs again shows the same one: a guess may still be on its way to the kernel."""
    if not somebody_watches():
        return Prediction(get(question_id))
    if question_id not in _shown or _shown[question_id].comm is None:  # closed
        _shown[question_id] = Prediction(get(question_id))
    return _shown[question_id]
