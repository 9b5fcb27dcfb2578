"""One source, one direction: from the .py files to executed notebooks and to the learner's exercises.

    notebooks/<stem>.py  → notebooks/<stem>.ipynb                     executed
    solutions/<stem>.py  → solutions/<stem>.ipynb                     executed
                         → exercises/<stem>.ipynb                     answers cleared, checks locked

Building twice gives the same bytes in exercises/, and executed notebooks that differ at most in outputs such as
pictures. What a learner wrote in exercises/ is kept (see `learner`).
"""

import os
import re
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbformat import NotebookNode, from_dict

from . import learner
from .notebooks import (
    LANGUAGE,
    NotANotebook,
    cover_previews,
    drop_scripts,
    hide_answers,
    is_answer,
    is_check,
    made,
    read,
    set_ids,
    write,
)
from .paths import EXERCISES, NOTEBOOKS, SOLUTIONS

CELL_TIMEOUT = 600  # seconds; only training comes close
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION$.*?### END SOLUTION$", re.MULTILINE | re.DOTALL)
STUB = r"\1# YOUR CODE HERE\n\1raise NotImplementedError()"


def from_source(path: Path) -> NotebookNode:
    """The notebook that a py:percent file describes, unexecuted, with ids and metadata that never vary."""
    nb = jupytext.read(path, fmt="py:percent")
    nb.metadata = from_dict(
        {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": LANGUAGE,
        }
    )
    nb.nbformat, nb.nbformat_minor = 4, 5
    set_ids(nb)
    hide_answers(nb)
    return nb


def execute(nb: NotebookNode, folder: Path, full: bool = False) -> NotebookNode:
    """Run all cells of a copy in `folder`; raises nbclient's CellExecutionError if one fails.

    With full=True networks train as long as the text's conclusions need, instead of briefly as in the tests.
    """
    nb = from_dict(nb)
    environment = dict(os.environ)
    if full:
        from ..experiments.settings import VARIABLE  # loads PyTorch

        environment[VARIABLE] = "1"
    NotebookClient(
        nb,
        timeout=None if full else CELL_TIMEOUT,  # a full run may have to share the machine
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,  # stored notebooks show the static pictures that widgets leave
        resources={"metadata": {"path": str(folder)}},
    ).execute(env=environment)
    nb.metadata.language_info = from_dict(LANGUAGE)
    cover_previews(nb)
    drop_scripts(nb)
    return nb


def exercise_from(solution: NotebookNode) -> NotebookNode:
    """The learner's notebook: the solution's with answers and outputs cleared and checks locked, as nbgrader does it.

    Each cell's metadata says what the cell was built as: for an answer cell its stub, so that it can be reset; for any
    other cell a hash, so that a later build can tell the course's text from the learner's.
    """
    nb = from_dict(solution)
    for cell in nb.cells:
        cell.metadata.pop("lines_to_next_cell", None)  # jupytext's note for writing the .py, which exercises lack
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if is_answer(cell):
            cell.source = SOLUTION.sub(STUB, cell.source)
            cell.metadata["deletable"] = False
        elif is_check(cell):
            cell.metadata["deletable"] = cell.metadata["editable"] = False
    set_ids(nb)
    for cell in nb.cells:
        cell.metadata["lecture17"] = {"stub": cell.source} if is_answer(cell) else {"made": made(cell.source)}
    return nb


def stale(root: Path) -> list[Path]:
    """The .py sources below `root` whose notebook differs, apart from outputs, from what they would build."""

    def compared(nb: NotebookNode) -> list:
        return [nb.metadata, *((c.cell_type, c.id, c.source, c.metadata) for c in nb.cells)]

    def is_stale(source: Path) -> bool:
        try:
            return compared(read(source.with_suffix(".ipynb"))) != compared(from_source(source))
        except (NotANotebook, FileNotFoundError):
            return True

    return [source for source in sources(root) if is_stale(source)]


def sources(root: Path) -> list[Path]:
    """The .py sources of all notebooks below `root`."""
    return sorted([*(root / NOTEBOOKS).glob("*.py"), *(root / SOLUTIONS).glob("*.py")])


def build(root: Path, stems: list[str] | None = None, run: bool = True, full: bool = False) -> list[Path]:
    """Build everything, or the notebooks of these stems, below `root`; returns the files that changed.

    With run=False nothing is executed, and only exercises/ is built. `full` is as in `execute`.
    """
    changed = []
    for source in sources(root):
        if stems and source.stem not in stems:
            continue
        nb = from_source(source)
        if run:
            target = source.with_suffix(".ipynb")
            write(execute(nb, source.parent, full), target)
            changed.append(target)
        if source.parent.name == SOLUTIONS:
            target = root / EXERCISES / f"{source.stem}.ipynb"
            if learner.install(exercise_from(nb), target, root):
                changed.append(target)
    return changed
