"""Predictions: asked, kept, changed until they are answered, found again, and true."""

import itertools
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lecture17.course import paths, predict, predictions
from lecture17.course.build import from_source
from lecture17.course.notebooks import cover_previews, hide_answers, is_question
from lecture17.course.progress import summary
from tests.conftest import ROOT, Displayed

SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
ALL = [q for stem in predictions.stems() for q in predictions.of_notebook(stem).values()]
CHOICE, NUMBER, PARTS = "00_quickstart-same-output", "02_intuition-inverse", "03b_duality-chunk-size"


def kept(home: Path) -> dict:
    return json.loads((home / ".lecture17" / "predictions.json").read_text(encoding="utf-8"))["predictions"]


def test_a_guess_is_kept_at_once_and_can_change_until_the_answer_is_shown(home: Path) -> None:
    form = predict(CHOICE)
    assert (form.marked, form.words, form.locked) == ([[]], "", False)
    form.marked = [[0]]
    assert form.words == "Saved. You can change it until you ask for the answer."
    assert form.notes == [""]
    assert kept(home)[CHOICE] == {"guesses": ["No, it can only approximate it"], "revealed": False}
    again = predict(CHOICE)
    assert (again.marked, again.locked) == ([[0]], False)
    again.marked = [[1]]
    again.press()
    assert again.notes == ["Right."]
    assert again.words.endswith("The next cell shows it.")
    assert (again.locked, again.button) == (True, "")
    last = predict(CHOICE)
    assert (last.marked, last.locked, last.notes, last.words) == ([[1]], True, again.notes, again.words)


def test_on_the_next_day_the_notebook_still_shows_what_was_guessed(home: Path, watched: Displayed) -> None:
    still, _ = watched.show(form := predict(PARTS))
    assert "You guessed" not in still["text/markdown"]
    form.marked = [[6], [1]]
    form.press()
    form.refresh()
    for later in (watched.updates[-1], watched.show(predict(PARTS))[0]):
        text = later["text/markdown"]
        assert "fewest? (A number.)\n\nYou guessed: 6. Right." in text
        assert "You guessed: 1. Not quite. The answer: 64 tokens." in text
        assert text.endswith("To bring the question back, run the cells from the top to this one.*")
    assert watched.updates[-1]["text/plain"] == still["text/plain"]


def test_a_cell_that_runs_again_shows_the_same_form_unless_it_was_closed(
    home: Path, watched: Displayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lecture17.course.predicting.somebody_watches", lambda: True)
    watched.show(form := predict(CHOICE))
    assert predict(CHOICE) is form
    form.close()
    again = predict(CHOICE)
    assert again is not form
    watched.show(again)


def test_two_notebooks_that_keep_at_once_lose_nothing(home: Path) -> None:
    names = [str(i) for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: paths.add_kept("some.json", "some", {name: 1}), names))
    assert paths.read_kept("some.json", "some", dict) == dict.fromkeys(names, 1)


def test_numbers_are_right_within_their_tolerance(home: Path) -> None:
    for guess, note in ((164, "Right."), (165.0, "Right."), (300, "Not quite. The answer: 165 entries.")):
        (home / ".lecture17" / "predictions.json").unlink(missing_ok=True)
        form = predict(NUMBER)
        form.marked = [[guess]]
        form.press()
        assert form.notes == [note]


def test_every_part_is_guessed_before_the_answer_is_shown(home: Path) -> None:
    form = predict(PARTS)
    form.press()
    assert form.words.startswith("Guess first")
    form.marked = [[6], []]
    form.press()
    assert (form.locked, form.notes) == (False, ["", ""])
    assert predictions.outcome() == "Predictions: 0 made, 0 right"
    form.marked = [[6], [1]]
    form.press()
    assert form.notes == ["Right.", "Not quite. The answer: 64 tokens."]


def test_the_summary_says_how_the_guesses_went(home: Path) -> None:
    for question, marked in ((CHOICE, [[1]]), (NUMBER, [[3]]), (PARTS, [[6], [64]])):
        predict(question).marked = marked
    lines = predictions.outcome().splitlines()
    assert lines[0] == "Predictions: 3 made, 2 right"
    assert lines[1] == f"  {'00_quickstart':<18} 1 of 4 made, 1 right"
    assert len(lines) == 4
    assert predictions.outcome() in summary()


def test_a_guess_that_no_longer_fits_its_question_is_no_guess(home: Path) -> None:
    (home / ".lecture17").mkdir()
    old = {CHOICE: {"guesses": ["an option of last year"], "revealed": True}, PARTS: {"guesses": [6], "revealed": True}}
    (home / ".lecture17" / "predictions.json").write_text(json.dumps({"predictions": old}))
    assert (predict(CHOICE).marked, predict(CHOICE).locked) == ([[]], False)
    assert (predict(PARTS).marked, predict(PARTS).locked) == ([[], []], False)
    assert predictions.outcome() == "Predictions: 0 made, 0 right"


def test_where_nothing_can_be_written_it_says_so_and_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(paths, "write_atomically", refuse)
    form = predict(CHOICE)
    form.marked = [[1]]
    assert form.words.splitlines()[-1] == "Not saved: read-only"
    form.press()
    assert form.notes == ["Right."]
    assert form.words.splitlines()[-1] == "Not saved: read-only"
    monkeypatch.setattr(paths, "private", refuse)
    assert predict(CHOICE).words == "Guesses are not saved: read-only"


@pytest.mark.parametrize("unknown", ["03b_duality-nothing", "nowhere-softmax-rank", ""])
def test_an_unknown_id_is_refused_with_those_there_are(unknown: str) -> None:
    with pytest.raises(KeyError, match=r"expected one of .*03b_duality-softmax-rank"):
        predict(unknown)


@pytest.mark.parametrize("question", ALL, ids=lambda q: q.id)
def test_where_nobody_can_answer_the_answer_is_folded_and_the_same_for_everybody(
    question: predictions.Question, home: Path
) -> None:
    data, _ = predict(question.id)._repr_mimebundle_()
    open_part, folded = data["text/markdown"].split("<details>")
    for part in question.parts:
        assert part.ask in open_part
        assert part.ask in data["text/plain"]
        for option in part.options:
            assert f"\n- {option}" in open_part
    assert question.truth in folded.split("</details>")[0]
    assert question.truth not in open_part + data["text/plain"]
    form = predict(question.id)
    form.marked = [[0] for _ in question.parts]
    form.press()
    assert predict(question.id)._repr_mimebundle_()[0] == data


@pytest.mark.parametrize("question", ALL, ids=lambda q: q.id)
def test_a_question_is_complete(question: predictions.Question) -> None:
    assert question.truth.endswith(".")
    assert len(re.findall(r"[.?!](?= [A-Z]|$)", question.truth)) <= 2, "one or two sentences"
    for part in question.parts:
        assert part.ask.endswith("?")
        assert part.is_right(part.right)
        if part.options:
            assert part.right in part.options
            assert len(set(part.options)) == len(part.options) > 1
            assert not part.tolerance


def test_each_question_is_asked_once_in_its_own_notebook() -> None:
    asked = {path.stem: re.findall(r'^predict\("(.+)"\)$', path.read_text(encoding="utf-8"), re.M) for path in SOURCES}
    assert asked == {path.stem: list(predictions.of_notebook(path.stem)) for path in SOURCES}
    assert sum(map(len, asked.values())) >= 45


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_what_answers_a_question_is_folded_when_a_notebook_opens(source: Path) -> None:
    cells = from_source(source).cells
    for cell, follower in itertools.pairwise(cells):
        asks = is_question(cell)
        if asks or (cell.cell_type == "markdown" and "**Predict" in cell.source):
            assert follower.cell_type == "code"
            assert is_question(follower) or follower.metadata.jupyter.outputs_hidden
        if asks:
            assert "jupyter" not in cell.metadata


def test_outputs_are_shown_again_after_the_next_text() -> None:
    sources = ["**Predict.** What?", "a", "text", "b", 'predict("x")', "c", "assert d\nassert d", "d", "text", "e"]
    makers = [new_markdown_cell if s[0] in "*t" else new_code_cell for s in sources]
    nb = new_notebook(cells=[make(s) for make, s in zip(makers, sources, strict=True)])
    hide_answers(nb)
    assert "".join(c.source for c in nb.cells if c.metadata.get("collapsed")) == "acd"


def test_no_line_of_what_is_folded_is_shown_beside_the_fold() -> None:
    makers = {"folded": {"collapsed": True}, "open": {}}
    said = [
        new_code_cell(name, metadata=how, outputs=[new_output("stream", text="rank 12")])
        for name, how in makers.items()
    ]
    nb = new_notebook(cells=[*said, new_code_cell("silent", metadata={"collapsed": True})])
    cover_previews(nb)
    assert [len(cell.outputs) for cell in nb.cells] == [2, 1, 0]
    assert nb.cells[0].outputs[0] == new_output("display_data", data={})
