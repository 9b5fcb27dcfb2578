"""The shape that every notebook of the course keeps."""

import itertools
import re
from pathlib import Path

import pytest
from PIL import Image, ImageSequence

from lecture17.course import exercises
from lecture17.course.notebooks import is_question, read
from lecture17.course.progress import ZONES
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAP = read(ROOT / "notebooks" / "00_quickstart.ipynb").cells[-2].source
DOCS = sorted((ROOT / "docs").glob("*.md"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ALL = [*NOTEBOOKS, *sorted((ROOT / "exercises").glob("*.ipynb")), *sorted((ROOT / "solutions").glob("*.ipynb"))]
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
each = pytest.mark.parametrize("path", ALL, ids=lambda p: f"{p.parent.name}/{p.stem}")


@each_notebook
def test_it_opens_with_title_minutes_stars_and_three_promises(path: Path) -> None:
    first = read(path).cells[0].source.splitlines()
    assert re.match(r"# \d\d[a-e]? · ", first[0])
    assert re.search(r"\d+ (min|seconds).*[★☆]{3}", "\n".join(first[1:4]))
    assert "After this you can …" in first
    assert sum(line.startswith("- ") for line in first) == 3


def minutes(path: Path) -> int:
    """What a notebook's title promises, without the seconds that it takes to run."""
    return int(re.findall(r"(\d+) min", "\n".join(read(path).cells[0].source.splitlines()[1:4]))[-1])


def reading_time(path: Path) -> float:
    """Minutes by what there is to read: 200 words a minute, 20 lines of code, two formulas, and five cells to run."""
    cells = read(path).cells
    text = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    formulas = len(re.findall(r"\$\$.*?\$\$", text, re.DOTALL))
    words = len(re.sub(r"\$\$.*?\$\$|\]\([^)]*\)|```mermaid.*?```", "", text, flags=re.DOTALL).split())
    code = [c.source for c in cells if c.cell_type == "code"]
    return words / 200 + sum(len(s.splitlines()) for s in code) / 20 + formulas / 2 + len(code) / 5


@each_notebook
def test_its_minutes_are_honest_and_no_more_than_one_can_take_at_a_time(path: Path) -> None:
    assert 0.85 * reading_time(path) <= minutes(path) <= 45


def test_the_days_of_the_plan_take_the_hours_that_it_says() -> None:
    review = "\n".join(c.source for c in read(NOTEBOOKS[-1]).cells)
    days = re.findall(r"^\| (\d) \| (.*) \| .* \| (\d)(½?) \|$", review, re.MULTILINE)
    assert len(days) == 7
    planned: list[Path] = []
    for day, listed, whole, half in days:
        first, *rest = re.findall(r"\((\d\w+)\.ipynb\)", listed)
        read_then = [
            p
            for p in NOTEBOOKS
            if first <= p.stem <= (rest or [first])[-1] or (p.stem[:2] == "06" and ", 06" in listed)
        ]
        solved = [ROOT / "solutions" / p.name for p in read_then if (ROOT / "solutions" / p.name).exists()]
        cards = "\n".join(c.source for p in solved for c in read(p).cells if c.cell_type == "markdown")
        needed = sum(map(minutes, read_then)) + sum(map(int, re.findall(r"\| (\d+) min \|", cards)))
        assert abs(needed / 60 - (int(whole) + bool(half) / 2)) <= 0.4, f"day {day} takes {needed} minutes"
        planned += read_then
    assert planned == NOTEBOOKS


@each_notebook
def test_it_has_one_import_cell_of_at_most_five_lines(path: Path) -> None:
    code = [c.source for c in read(path).cells if c.cell_type == "code"]
    importing = [s for s in code if re.search(r"^(import|from) ", s, re.MULTILINE)]
    assert importing == code[:1]
    others = [line for line in code[0].splitlines() if line and not line.startswith("from lecture17.course import")]
    assert len(others) <= 5


@each_notebook
def test_cells_and_outputs_fit_on_a_screen(path: Path) -> None:
    cells = read(path).cells
    assert len([c for c in cells[:-1] if not is_question(c)]) < 45
    for cell in cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 25, cell.source
            assert max(map(len, cell.source.splitlines())) <= 100, cell.source
            for output in cell.outputs:
                text = output.get("text") or output.get("data", {}).get("text/plain", "")
                assert len(text.splitlines()) <= 25, cell.source
                assert output.output_type != "error"
                assert output.get("name") != "stderr", output


@each_notebook
def test_it_ends_with_a_recap_where_next_and_how_far_one_is(path: Path) -> None:
    *_, recap, last = read(path).cells
    assert "## Recap" in recap.source
    assert "Where next" in recap.source
    assert last.source == f'progress("{path.stem}")'
    assert last.metadata.tags == ["nbval-ignore-output"], "it differs from learner to learner"
    said = last.outputs[0].data["text/markdown"]
    assert re.search(r": (0 of \d+ points, )?0 of [1-9]\d* predictions made, 0 right;", said), (
        "stored is what somebody new is told"
    )
    assert sum(line.startswith("- ") for line in recap.source.split("Where next")[0].splitlines()) <= 5


@pytest.mark.parametrize(("path", "following"), list(itertools.pairwise(NOTEBOOKS)), ids=lambda path: path.stem)
def test_lecture_and_exercises_lead_to_the_same_next_part(path: Path, following: Path) -> None:
    assert f"({following.name}" in read(path).cells[-2].source.split("Where next")[1]
    exercise = ROOT / "exercises" / path.name
    if exercise.exists():
        assert f"(../notebooks/{following.name})" in read(exercise).cells[-1].source


@each_notebook
def test_every_picture_has_words_and_is_asked_about_before(path: Path) -> None:
    cells = read(path).cells
    for i, cell in enumerate(cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data or "image/png" in data:
                assert re.search(r'<img alt="[^"]{40,}"', data["text/html"])
                assert len(data["text/plain"]) >= 40
                before = "\n".join(c.source for c in cells[max(0, i - 6) : i])
                asked = re.search(r"\*\*Predict|^predict\(", before, re.MULTILINE)
                assert asked, f"no prediction is asked for before {cell.source}"


@each
def test_what_a_prediction_teaches_is_folded(path: Path) -> None:
    guessing = False
    for cell in read(path).cells:
        guessing |= cell.source.startswith("predict(")
        if guessing and "<summary><b>Learned</b>" in cell.source:
            guessing = False
        assert not (guessing and "**Learned" in cell.source), f"it tells the answer: {cell.source[:80]}"


@each
def test_headings_are_in_order_columns_are_named_and_links_say_where_they_lead(path: Path) -> None:
    text = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels
    assert re.findall(r"^\| *\|.*\n\| ---", text, re.MULTILINE) == []
    words = re.findall(r"\[([^\]]*)\]\([^)]+\)", text)
    assert [w for w in words if len(w.strip()) < 2 or w.lower() in ("here", "link", "this")] == []
    assert text.count("![") == text.count("<img") == 0, "pictures are outputs, which have words"


@each
def test_no_sentence_that_ends_in_a_number_becomes_a_list(path: Path) -> None:
    """A line that begins with "1. " ends the paragraph before it, wherever the line was wrapped."""
    text = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
    assert re.findall(r"^.*[^:\n]\n1[.)] .*$", text, re.MULTILINE) == []


@each_notebook
def test_a_diagram_has_a_title_and_says_what_it_shows(path: Path) -> None:
    text = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
    for diagram in re.findall(r"^```mermaid\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        assert re.search(r"^ *accTitle: \w.{10,}$", diagram, re.MULTILINE)
        assert re.search(r"^ *accDescr: \w.{40,}$", diagram, re.MULTILINE)


@each
def test_links_lead_to_files_and_anchors_that_exist(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type != "markdown":
            continue
        for target in re.findall(r"\]\(([^)#][^)]*)\)", cell.source):
            if "://" in target:
                continue
            name, _, anchor = target.partition("#")
            linked = (path.parent / name).resolve()
            assert linked.exists(), f"{path.name} links to {target}"
            if anchor:
                assert f'id="{anchor}"' in "\n".join(c.source for c in read(linked).cells), f"no anchor {target}"


@pytest.mark.parametrize("stem", exercises.stems())
def test_an_exercise_says_which_cell_comes_first_and_that_cell_brings_the_check(stem: str) -> None:
    text, imports, *_ = read(ROOT / "exercises" / f"{stem}.ipynb").cells
    said = " ".join(text.source.split())
    assert "Each time you open this notebook, run the code cell below this text first." in said
    assert re.search(r"^from lecture17.course import .*\bcheck\b", imports.source, re.MULTILINE)


@each_notebook
def test_it_links_to_the_table_of_notation_and_the_lecture_to_the_glossary(path: Path) -> None:
    text = "\n".join(c.source for c in read(path).cells)
    assert "(03a_semiseparable.ipynb#notation)" in text or '<a id="notation">' in text
    assert "(06_review.ipynb#glossary)" in text or path.stem > "04"


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem < "03c"], ids=lambda p: p.stem)
def test_zones_0_to_3b_do_not_import_torch(path: Path) -> None:
    assert not any("torch" in c.source for c in read(path).cells if c.cell_type == "code")


@each_notebook
def test_the_readmes_table_names_its_zone_stars_minutes_and_points(path: Path) -> None:
    row = re.search(
        rf"^\| (.+) ([★☆]+) \| \[[^]]+\]\(notebooks/{path.name}\) \| (\d+) \| .* \|(.*)\|$", README, re.MULTILINE
    )
    assert row is not None
    assert row[1] == list(ZONES)[int(path.name[1])]
    head = "\n".join(read(path).cells[0].source.splitlines()[1:4])
    assert row[2] in head
    assert re.search(rf"(?<!\d){row[3]} min", head)
    points = sum(e.points for e in exercises.of_notebook(path.stem)) if path.stem in exercises.stems() else 0
    assert row[4].strip() == (f"[{points} points](exercises/{path.name})" if points else "")


@pytest.mark.parametrize("number", range(len(ZONES)))
def test_a_zone_has_the_stars_of_its_hardest_notebook(number: int) -> None:
    heads = [read(path).cells[0].source for path in NOTEBOOKS if path.name.startswith(f"0{number}")]
    assert list(ZONES.values())[number] == max(
        (re.findall("[★☆]{3}", head)[0] for head in heads), key=lambda s: s.count("★")
    )
    assert f"{number} · {list(ZONES)[number]} {list(ZONES.values())[number]}<br/>" in MAP


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    assert len(README.split()) <= 1000
    first, second = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[0].splitlines()
    assert first.startswith("git clone ")
    assert second == "make lab"
    assert "第17回: Mamba発展 & 類似手法" in README


@pytest.mark.parametrize("path", [ROOT / "README.md", *DOCS], ids=lambda path: path.stem)
def test_links_of_the_pages_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve()
        assert linked.exists(), target
        if anchor:
            assert f'id="{anchor}"' in "\n".join(c.source for c in read(linked).cells), target


def test_the_moving_picture_moves_and_is_small() -> None:
    with Image.open(ROOT / "docs" / "explorer.gif") as picture:
        assert sum(1 for _ in ImageSequence.Iterator(picture)) > 5
    assert (ROOT / "docs" / "explorer.gif").stat().st_size < 2e6
