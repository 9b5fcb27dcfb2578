"""A folder of the learner's own that is empty."""

from pathlib import Path

import pytest

from lecture17.course import paths


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / paths.SOLUTIONS).mkdir()
    monkeypatch.setenv("LECTURE17_HOME", str(tmp_path))
    return tmp_path
