"""300 notebooks that were mutated at random: each gets a verdict, and the file stays as it is to the byte."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from lecture17.course.checking import PASSED, Record
from lecture17.course.notebooks import parse
from lecture17.grading import grade as grading
from lecture17.grading.grade import grade
from lecture17.grading.runner import Cell, CellRun, Room
from tests.conftest import ROOT

STEM = "03b_duality"
Json = dict[str, Any]
Mutation = Callable[[Json, random.Random], object]


def cells(nb: Json) -> list[Json]:
    return nb["cells"] or [{}]


def some(nb: Json, rng: random.Random) -> Json:
    return rng.choice(cells(nb))


def moved(nb: Json, rng: random.Random) -> None:
    nb["cells"].insert(rng.randrange(len(cells(nb))), nb["cells"].pop(rng.randrange(len(nb["cells"]))))


def split(nb: Json, rng: random.Random) -> None:
    cell = some(nb, rng)
    text = "".join(cell["source"])
    at = rng.randrange(len(text) + 1)
    cell["source"] = text[:at]
    nb["cells"].insert(nb["cells"].index(cell) + 1, {**cell, "source": text[at:]})


def of_another_kind(nb: Json, rng: random.Random) -> None:
    cell = some(nb, rng)
    cell["cell_type"] = rng.choice(["code", "markdown", "raw", "heading", "", None, 7])


def without_a_key(nb: Json, rng: random.Random) -> None:
    some(nb, rng).pop(rng.choice(["id", "source", "metadata", "cell_type", "outputs", "execution_count"]), None)


def of_vs_code(nb: Json, rng: random.Random) -> None:
    some(nb, rng).setdefault("metadata", {})["vscode"] = {"languageId": "python"}
    nb["metadata"]["vscode"] = {"interpreter": {"hash": "0" * 64}}


def of_colab(nb: Json, rng: random.Random) -> None:
    nb["metadata"]["colab"] = {"provenance": [], "toc_visible": True}
    some(nb, rng).setdefault("metadata", {}).update(id="aBcD_1", colab={"base_uri": "https://localhost:8080/"})


def of_nbclassic(nb: Json, rng: random.Random) -> None:
    nb["nbformat_minor"] = rng.randrange(6)
    for cell in cells(nb):
        cell.pop("id", None)
    some(nb, rng).setdefault("metadata", {}).update(collapsed=True, scrolled=False, trusted=True)


def strange_metadata(nb: Json, rng: random.Random) -> None:
    odd: Any = rng.choice(
        [None, [], "text", 7, {}, {"grade_id": None}, {"grade_id": 7}, {"grade_id": "x", "solution": "yes"}]
    )
    some(nb, rng).setdefault("metadata", {})[rng.choice(["nbgrader", "lecture17", "tags", "kernelspec"])] = odd


def another_id(nb: Json, rng: random.Random) -> None:
    names = [c["metadata"]["nbgrader"] for c in cells(nb) if isinstance(c.get("metadata"), dict)
             and isinstance(c["metadata"].get("nbgrader"), dict)]  # fmt: skip
    if names:
        rng.choice(names)["grade_id"] = rng.choice([*(str(n.get("grade_id")) for n in names), "", "a-b", "ä\u0000", 7])


def odd_source(nb: Json, rng: random.Random) -> None:
    some(nb, rng)["source"] = rng.choice(
        ["", [], ["x = 1\n", "y"], "\x00", "\ufeffx = 1", "é" * 9999, "\ud800", 7, None, "%%js\n1"]
    )


def odd_outputs(nb: Json, rng: random.Random) -> None:
    some(nb, rng)["outputs"] = rng.choice([[], None, [{}], [{"output_type": "stream", "text": 7}], "text"])


def odd_notebook(nb: Json, rng: random.Random) -> None:
    key = rng.choice(["nbformat", "nbformat_minor", "metadata", "cells", "worksheets"])
    nb[key] = rng.choice([None, 3, 4, 5, 99, -1, "4", [], {}, [None], [[]]])


MUTATIONS: list[tuple[Mutation, int]] = [
    (moved, 4),
    (lambda nb, rng: nb["cells"].insert(rng.randrange(len(cells(nb))), json.loads(json.dumps(some(nb, rng)))), 4),
    (lambda nb, rng: nb["cells"].remove(some(nb, rng)), 3),
    (split, 4),
    (of_another_kind, 2),
    (without_a_key, 2),
    (of_vs_code, 2),
    (of_colab, 2),
    (of_nbclassic, 2),
    (strange_metadata, 3),
    (another_id, 2),
    (odd_source, 3),
    (odd_outputs, 1),
    (odd_notebook, 1),
]


def as_format_3(text: str) -> str:
    try:
        return nbformat.writes(nbformat.convert(parse(text), 3), version=3)
    except Exception:  # no notebook any more
        return text


def mutated(text: str, rng: random.Random) -> bytes:
    """The notebook after one to four mutations, written in one of the ways in which editors write."""
    nb = json.loads(text)
    for mutation in rng.choices([m for m, _ in MUTATIONS], [weight for _, weight in MUTATIONS], k=rng.randint(1, 4)):
        try:
            mutation(nb, rng)
        except (TypeError, AttributeError, KeyError, ValueError, IndexError):
            break  # nothing left to mutate
    text = json.dumps(nb, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1, 2]))
    if rng.random() < 0.1:
        text = as_format_3(text)
    content = text.encode("utf-8", "surrogatepass")
    match rng.randrange(12):
        case 0:
            return b"\xef\xbb\xbf" + content
        case 1:
            return content.replace(b"\n", b"\r\n")
        case 2:
            at = rng.randrange(len(content))
            return content[:at] + rng.choice([b"\x00", b"\xff", b"<<<<<<< HEAD\n", b""]) + content[at + 1 :]
        case 3:
            return content[: rng.randrange(len(content))]
        case 4:
            return text.encode("utf-16", "surrogatepass")
        case _:
            return content


def stands_in(cells: list[Cell], stem: str, room: Room) -> tuple[dict[int, CellRun], set[int]]:
    """A run in which every check whose answer cell is there passes; what a kernel would be sent is text."""
    there = {cell.owner for cell in cells if cell.role == "answer"}
    runs = {}
    for i, cell in enumerate(cells):
        cell.source.encode()
        passed = Record(cell.owner, 1, PASSED, "") if cell.role == "check" and cell.owner in there else None
        runs[i] = CellRun("ran", record=passed)
    return runs, set()


@pytest.fixture(scope="module")
def filled_in() -> str:
    return (ROOT / "solutions" / f"{STEM}.ipynb").read_text(encoding="utf-8")


def verdicts(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    grades = grade([path])
    assert path.read_bytes() == content
    assert grades
    assert all(g.verdict and "Traceback" not in g.reason and 0 <= g.earned <= max(g.points, 0) for g in grades)
    return [g.verdict for g in grades]


def test_300_of_them_get_verdicts_and_stay_as_they_are(
    filled_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grading, "run_all", stands_in)
    found = [verdicts(tmp_path / f"{STEM}.ipynb", mutated(filled_in, random.Random(seed))) for seed in range(300)]
    assert sum(PASSED in these for these in found) > 100
    assert len({verdict for these in found for verdict in these}) >= 5


def test_some_of_them_are_run(tmp_path: Path) -> None:
    text = (ROOT / "solutions" / "00_quickstart.ipynb").read_text(encoding="utf-8")
    for seed in range(4):
        assert verdicts(tmp_path / "00_quickstart.ipynb", mutated(text, random.Random(seed)))


@pytest.mark.parametrize(
    "oddity",
    [
        lambda nb: nb.update(metadata=None),
        lambda nb: nb["metadata"].update(kernelspec={}, language_info=None, title=3),
        lambda nb: [cell.update(metadata=None) for cell in nb["cells"] if cell["cell_type"] == "markdown"],
        lambda nb: [cell["metadata"].update(tags="x", jupyter=None, name=3) for cell in nb["cells"]],
        lambda nb: [cell.pop(key, None) for cell in nb["cells"] for key in ("outputs", "execution_count")],
        lambda nb: [cell.update(outputs=[{"output_type": "stream", "text": "x"}]) for cell in nb["cells"]],
        lambda nb: [
            cell.update(id=id) for cell, id in zip(nb["cells"], ("with space", None, "é", "x" * 99), strict=False)
        ],
    ],
    ids=["no metadata", "notebook", "no text's metadata", "cells", "no outputs", "outputs", "ids"],
)
def test_what_no_answer_depends_on_may_be_odd(
    oddity: Callable[[Json], object], filled_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs leave metadata, outputs and ids that the format forbids; JupyterLab opens them all the same."""
    monkeypatch.setattr(grading, "run_all", stands_in)
    nb = json.loads(filled_in)
    oddity(nb)
    assert set(verdicts(tmp_path / f"{STEM}.ipynb", json.dumps(nb).encode())) == {PASSED}
