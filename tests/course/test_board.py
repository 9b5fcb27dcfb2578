"""The board: what is passed and ticked is shown, kept at once, and found again."""

import json
from pathlib import Path

import pytest

from lecture17.course import assessment, paths
from lecture17.course.assessment import ITEMS
from lecture17.course.board import ProgressBoard
from lecture17.course.exercises import all_exercises, of_notebook
from lecture17.course.progress import so_far, summary


def test_ticks_are_kept_at_once_and_found_by_a_new_board(home: Path) -> None:
    board = ProgressBoard()
    assert board.marked == [[]]
    assert board.words == "Self-assessment: 0 of 8."
    board.marked = [[1, 7]]
    assert board.words == "Self-assessment: 2 of 8. Saved."
    assert "Self-assessment: 2 of 8." in board.above
    assert ProgressBoard().marked == [[1, 7]]
    board.marked = [[7]]
    assert ProgressBoard().marked == [[7]]
    assert [path.name for path in (home / ".lecture17").iterdir()] == ["self-assessment.json"]


def test_ticks_stay_with_their_items_when_the_list_changes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assessment.keep([0, 2])
    _, second, third, *_ = ITEMS
    monkeypatch.setattr(assessment, "ITEMS", {third: "moved to the front", second: "stays"})
    assert assessment.ticked() == [0]


def test_what_is_passed_and_what_is_next_are_shown(home: Path) -> None:
    (home / ".lecture17").mkdir()
    first = of_notebook("00_quickstart")
    kept = json.dumps({"passed": {e.id: "2026-01-01T00:00:00" for e in first}})
    (home / ".lecture17" / "progress.json").write_text(kept)
    board = ProgressBoard()
    assert board.above == summary()
    points = sum(e.points for e in first)
    assert f"{points} of {points} points" in board.above
    assert "next: 01_tour-" in board.above
    board.marked = [[0]]
    assert (home / ".lecture17" / "progress.json").read_text() == kept


@pytest.mark.parametrize("broken", ['{"can": [', "[]", '{"can": 3}', '{"cannot": []}'])
def test_a_broken_file_is_set_aside(home: Path, broken: str, capsys: pytest.CaptureFixture) -> None:
    (home / ".lecture17").mkdir()
    (home / ".lecture17" / "self-assessment.json").write_text(broken)
    assert ProgressBoard().marked == [[]]
    assert "is now called self-assessment.broken-" in capsys.readouterr().out
    [aside] = (home / ".lecture17").glob("self-assessment.broken-*.json")
    assert aside.read_text() == broken


def test_where_nothing_can_be_written_the_board_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("disk full")

    board = ProgressBoard()
    monkeypatch.setattr(paths, "write_atomically", refuse)
    board.marked = [[3]]
    assert board.words == "Self-assessment: 1 of 8. Not saved: disk full"


def test_where_nobody_can_tick_the_items_are_a_list(home: Path) -> None:
    assessment.keep([2])
    data, _ = ProgressBoard()._repr_mimebundle_()
    assert data["text/markdown"].count("☐") == 7
    assert f"- ☑ {ITEMS['chunks']}" in data["text/markdown"]
    assert summary() in data["text/markdown"]
    assert data["text/plain"] == "Self-assessment: 1 of 8."


def test_what_is_next_goes_on_from_the_notebook_one_is_in(home: Path) -> None:
    assert f"Next: `{of_notebook('00_quickstart')[0].id}`" in so_far("00_quickstart")
    paths.write_kept("progress.json", "passed", {e.id: "" for e in of_notebook("03b_duality")})
    following = next(e.id for e in all_exercises() if e.stem > "03b_duality")
    assert f"Next: `{following}`" in so_far("03b_duality")  # not back to the first notebook
    paths.write_kept("progress.json", "passed", {e.id: "" for e in all_exercises() if e.stem > "01"})
    assert f"Next: `{of_notebook('00_quickstart')[0].id}`" in so_far("06_review")
    assert "0 of 4 predictions made, 0 right" in so_far("00_quickstart")


def test_a_notebook_that_there_is_not_is_named_with_those_there_are(home: Path) -> None:
    with pytest.raises(KeyError, match=r"no notebook is called '03b': .*03b_duality, .*06_review"):
        so_far("03b")
