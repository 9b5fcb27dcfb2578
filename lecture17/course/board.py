"""ProgressBoard: what is passed, what is next, and what the learner can do. Introduced in 06_review."""

from typing import Any

from lecture17.widgets.form import Form

from .assessment import ITEMS, keep, ticked, words
from .progress import summary


class ProgressBoard(Form):
    """Exercises passed, what is next, and eight things the learner can do; ticks are saved at once."""

    def __init__(self) -> None:
        numbers = ticked()
        super().__init__(
            above=summary(),
            groups=[{"legend": "What I can do", "kind": "checkbox", "options": list(ITEMS.values())}],
            notes=[""],
            marked=[numbers],
            words=words(numbers),
        )
        self.observe(self._keep, names="marked")

    def _keep(self, change: Any) -> None:
        [numbers] = self.marked
        try:
            keep(numbers)
            self.above, self.words = summary(), f"{words(numbers)} Saved."
        except OSError as error:
            self.words = f"{words(numbers)} Not saved: {error}"

    def static(self) -> str:
        """The summary as text, and the items as a list."""
        [numbers] = self.marked
        items = "\n".join(f"- {'☑' if i in numbers else '☐'} {item}" for i, item in enumerate(ITEMS.values()))
        return f"```text\n{self.above}\n```\n\n**What I can do**\n\n{items}\n\nRun this cell to tick them."
