"""Reading and writing notebook files, and what nbgrader's metadata says of their cells."""

import hashlib
import warnings
from collections import Counter
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from .paths import write_atomically


class NotANotebook(ValueError):
    """The file is not a notebook that can be read; the message says why."""


def read(path: Path) -> NotebookNode:
    """Read a notebook, brought to format 4. Raises NotANotebook, with the reason, for anything else."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise NotANotebook(f"not UTF-8 text: {error.reason} at byte {error.start}") from error


def parse(text: str) -> NotebookNode:
    """The notebook that a file of this text holds, brought to format 4. Raises NotANotebook, with the reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", nbformat.warnings.DuplicateCellId)  # mended while reading
            warnings.simplefilter("ignore", nbformat.warnings.MissingIDFieldWarning)
            nb = nbformat.reads(text, as_version=4)
    except (nbformat.reader.NotJSONError, ValueError, RecursionError) as error:
        raise NotANotebook(f"not JSON: {str(error).splitlines()[0][:100]}") from error
    except (KeyError, AttributeError, TypeError) as error:
        raise NotANotebook("JSON, but without a notebook's cells and metadata") from error
    try:
        nbformat.validate(nb, relax_add_props=True)
    except nbformat.ValidationError as error:
        raise NotANotebook(f"JSON, but not a notebook: {str(error).splitlines()[0][:100]}") from error
    return nb


def write(nb: NotebookNode, path: Path) -> None:
    """Write a notebook: the same notebook gives the same bytes."""
    write_atomically(path, nbformat.writes(nb) + "\n")


def grade_id(cell: NotebookNode) -> str | None:
    """The cell's nbgrader id, None for a cell that nbgrader does not know."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def is_answer(cell: NotebookNode) -> bool:
    """Whether the cell is one that the learner fills in."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def is_check(cell: NotebookNode) -> bool:
    """Whether the cell is one that checks an answer and carries its points."""
    return bool(cell.metadata.get("nbgrader", {}).get("grade"))


def made(source: str) -> str:
    """A hash of a cell's text, by which the course knows its own text again."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def set_ids(nb: NotebookNode) -> None:
    """Give every cell an id that depends on nothing but its grade_id or its content and which copy of it it is."""
    seen: Counter[str] = Counter()
    for cell in nb.cells:
        named = grade_id(cell)
        name = named or made(f"{cell.cell_type}\n{cell.source}")
        seen[name] += 1
        cell.id = name[:64] if seen[name] == 1 else f"{name[:60]}-{seen[name]}"
