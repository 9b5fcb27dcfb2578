"""What a cell displays where somebody watches, as MIME bundles in order."""

from types import SimpleNamespace
from typing import Any

import pytest

from lecture17.widgets import _front


class Displayed(list[dict[str, Any]]):
    """The bundles; `updates` are those that replaced the first one later."""

    def __init__(self) -> None:
        super().__init__()
        self.updates: list[dict[str, Any]] = []

    def display(self, bundle: dict[str, Any], raw: bool, display_id: bool = False) -> SimpleNamespace | None:
        assert raw
        self.append(bundle)
        update = lambda bundle, raw: self.updates.append(bundle)  # noqa: E731
        return SimpleNamespace(update=update) if display_id else None

    def show(self, what: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The still and the widget that a cell ending with `what` displays."""
        what._ipython_display_()
        still, live = self[-2:]
        assert "lecture17-still" in (still.get("text/html") or still["text/markdown"])
        assert "model_id" in live["application/vnd.jupyter.widget-view+json"]
        assert live["text/html"] == live["text/plain"] == ""  # an export without widgets shows the still alone
        return still, live


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Displayed:
    displayed = Displayed()
    monkeypatch.setattr(_front, "somebody_watches", lambda: True)
    monkeypatch.setattr(_front, "display", displayed.display)
    return displayed
