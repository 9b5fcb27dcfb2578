"""Reading and writing notebook files, and what nbgrader's metadata says about their cells."""

import hashlib
import json
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode, v4

from .paths import write_atomically

LANGUAGE = {  # what ipykernel says about itself, and so what JupyterLab writes, without the version of Python
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
SCRIPT = re.compile(r"(<script data-lecture17>).*?(</script>)", re.DOTALL)


class NotANotebook(ValueError):
    """The file is not a notebook that can be read; the message says why."""


def read(path: Path) -> NotebookNode:
    """Read a notebook and convert it to format 4. Raises NotANotebook, with the reason, for anything else."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise NotANotebook(f"not UTF-8 text: {error.reason} at byte {error.start}") from error


def parse(text: str) -> NotebookNode:
    """The notebook in a file's text, converted to format 4. Raises NotANotebook, with the reason.

    A byte order mark, Windows' line ends inside cells, and metadata and outputs that are not what the format says are
    left out.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", nbformat.warnings.DuplicateCellId)  # repaired while reading
            warnings.simplefilter("ignore", nbformat.warnings.MissingIDFieldWarning)
            nb = nbformat.reads(_completed(text.removeprefix("\ufeff")), as_version=4)
    except (nbformat.reader.NotJSONError, ValueError, RecursionError) as error:
        if re.search("^<<<<<<< ", text, re.MULTILINE):
            mend = "`git checkout --ours FILE` keeps yours after a merge, `--theirs` after a rebase or `git stash pop`"
            raise NotANotebook(f"git has left two versions in it, after a conflict: {mend}") from error
        raise NotANotebook(f"not JSON: {str(error).splitlines()[0][:100]}") from error
    except (KeyError, AttributeError, TypeError, AssertionError, nbformat.ValidationError) as error:
        raise NotANotebook("JSON, but without a notebook's cells and metadata") from error
    try:
        nb = _validated(nb)
    except nbformat.ValidationError:
        for cell in nb.cells:
            if "outputs" in cell:
                cell.outputs = []
        try:
            nb = _validated(nb)
        except nbformat.ValidationError as error:
            raise NotANotebook(f"JSON, but not a notebook: {str(error).splitlines()[0][:100]}") from error
    for cell in nb.cells:
        cell.source = cell.source.replace("\r\n", "\n")
    return nb


def _completed(text: str) -> str:
    """The notebook's JSON with what each cell must have and other programs leave out: metadata, outputs, and an id."""
    document = json.loads(text)
    cells = document.get("cells") or []
    for part in (document, *cells):
        if not isinstance(part.get("metadata"), dict):
            part["metadata"] = {}
    for cell in cells:
        if not isinstance(cell["cell_type"], str):
            raise TypeError("cell_type")
        if cell["cell_type"] == "code":
            cell["outputs"] = cell.get("outputs") or []
            cell.setdefault("execution_count", None)
        if not re.fullmatch("[a-zA-Z0-9_-]{1,64}", str(cell.get("id") or "")):
            cell.pop("id", None)  # nbformat gives it one
    return json.dumps(document)


def _validated(nb: NotebookNode) -> NotebookNode:
    """The notebook without metadata that break the format. Raises ValidationError if more than they do."""
    _, nb = nbformat.validator.normalize(nb, relax_add_props=True, strip_invalid_metadata=True)
    nbformat.validate(nb, relax_add_props=True)
    return nb


def write(nb: NotebookNode, path: Path) -> None:
    """Write a notebook. The same notebook gives the same bytes."""
    write_atomically(path, nbformat.writes(nb) + "\n")


def note(cell: NotebookNode, key: str) -> dict[str, Any]:
    """What the cell's metadata say under a key, where other programs may have left anything."""
    found = cell.metadata.get(key)
    return found if isinstance(found, dict) else {}


def grade_id(cell: NotebookNode) -> str | None:
    """The cell's nbgrader id, None if it has none."""
    found = note(cell, "nbgrader").get("grade_id")
    return found if isinstance(found, str) else None


def is_answer(cell: NotebookNode) -> bool:
    """Whether the cell is one that the learner fills in."""
    return bool(note(cell, "nbgrader").get("solution"))


def is_check(cell: NotebookNode) -> bool:
    """Whether the cell is one that checks an answer and carries its points."""
    return bool(note(cell, "nbgrader").get("grade"))


def is_question(cell: NotebookNode) -> bool:
    """Whether the cell is one that asks for a prediction, and nothing else."""
    return cell.cell_type == "code" and cell.source.startswith("predict(")


def hide_answers(nb: NotebookNode) -> None:
    """Fold the outputs that answer a prediction, as JupyterLab does, so that a notebook opens with its questions open.

    These are the outputs of all code cells between a `predict(…)` cell, or a text that says "**Predict", and the next
    text, except cells that only assert, which have none. Running a cell shows its output again.
    """
    asked = False
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            asked = "**Predict" in cell.source
        elif is_question(cell):
            asked = True
        elif asked and not all(line.startswith("assert ") for line in cell.source.splitlines()):
            cell.metadata.update(collapsed=True, jupyter={"outputs_hidden": True})  # JupyterLab keeps both alike


def cover_previews(nb: NotebookNode) -> None:
    """Put an empty output before folded ones, because JupyterLab shows the first line of the first output."""
    for cell in nb.cells:
        if cell.metadata.get("collapsed") and cell.outputs:
            cell.outputs.insert(0, v4.new_output("display_data"))


def drop_scripts(nb: NotebookNode) -> None:
    """Leave out what brings explorers to life: it is long, the same for all, and a page or a kernel brings it along."""
    for data in (output.get("data", {}) for cell in nb.cells for output in cell.get("outputs", ())):
        if "text/html" in data:
            data["text/html"] = SCRIPT.sub(r"\1\2", data["text/html"])


def made(source: str) -> str:
    """A hash of a cell's text, by which the course recognizes its own text."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def set_ids(nb: NotebookNode) -> None:
    """Give every cell an id that depends only on its grade_id, or on its content and how often that came before."""
    seen: Counter[str] = Counter()
    for cell in nb.cells:
        named = grade_id(cell)
        name = named or made(f"{cell.cell_type}\n{cell.source}")
        seen[name] += 1
        cell.id = name[:64] if seen[name] == 1 else f"{name[:60]}-{seen[name]}"
