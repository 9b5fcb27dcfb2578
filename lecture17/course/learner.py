"""The learner's work is never lost: backups first, then answers and own cells are carried into the new notebook."""

import ast
import shutil
import uuid
from datetime import datetime
from pathlib import Path

from nbformat import NotebookNode, from_dict, v4

from .notebooks import NotANotebook, grade_id, is_answer, is_check, made, note, read, write
from .say import say


def backup(path: Path, root: Path) -> Path:
    """Copy a learner's file, byte for byte, to `.lecture17/backups/<time>/` below `root`; returns the copy."""
    folder = root / ".lecture17" / "backups"
    stamp = f"{datetime.now():%Y%m%d-%H%M%S}"
    n = 1
    while (target := folder / (stamp if n == 1 else f"{stamp}-{n}") / path.name).exists():
        n += 1
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target)
    return target


def is_filled(cell: NotebookNode) -> bool:
    """Whether an answer cell holds something other than the stub it was built with."""
    stub = note(cell, "lecture17").get("stub")
    if stub is None:  # a program has dropped the note
        return not _only_raises(cell.source)
    return cell.source.strip() != str(stub).strip()


def _only_raises(source: str) -> bool:
    """Whether a cell is one function that does nothing but raise NotImplementedError, as stubs do."""
    try:
        [function] = ast.parse(source).body
    except (SyntaxError, ValueError):
        return False
    *docs, last = getattr(function, "body", [None])
    return all(isinstance(line, ast.Expr) for line in docs) and (
        isinstance(last, ast.Raise) and ast.unparse(last) == "raise NotImplementedError()"
    )


def install(new: NotebookNode, path: Path, root: Path) -> bool:
    """Put a newly built exercise notebook at `path`, keeping what the learner wrote there; True if the file changed.

    A file that holds any of the learner's work is backed up before it is replaced. One that cannot be read is, too, and
    that is said.
    """
    try:
        old = read(path)
    except FileNotFoundError:
        write(new, path)
        return True
    except NotANotebook as error:
        copy = backup(path, root)
        write(new, path)
        say(f"{path.name} could not be read ({error}): it is empty now; the file as it was before is in {copy}")
        return True
    merged = carry_over(old, new)
    if merged == old:
        return False
    if has_work(old):
        backup(path, root)
    write(merged, path)
    return True


def has_work(nb: NotebookNode) -> bool:
    """Whether a notebook of exercises/ holds any of the learner's work: an answer, an own cell or a changed one."""
    return any(map(_is_work, nb.cells))


def carry_over(old: NotebookNode, new: NotebookNode) -> NotebookNode:
    """`new` with the learner's answers from `old`, matched by grade_id, and the learner's own cells in their places.

    An answer whose exercise is gone, or a second answer to the same exercise, stays as an ungraded cell.
    A text of the course that the learner changed stays beside the new one. Outputs stay with unchanged cells.
    A cell of the learner's that `new` already has is not added again.
    """
    merged = from_dict(new)
    by_id = {c.id: i for i, c in enumerate(merged.cells)}
    by_text: dict[object, list[int]] = {}  # for files of a format without ids
    for i, cell in enumerate(merged.cells):
        by_text.setdefault(note(cell, "lecture17").get("made"), []).append(i)
    answers: dict[str | None, NotebookNode] = {}  # grade_id → the first answer that is filled, or else the first
    for cell in filter(is_answer, old.cells):
        if not is_filled(answers.setdefault(grade_id(cell), cell)) and is_filled(cell):
            answers[grade_id(cell)] = cell
    there = {c.source for c in new.cells if _is_work(c)}
    known = {by_id.get(grade_id(c) or c.get("id")) for c in old.cells if not _is_own(c)}
    kept: list[tuple[int, NotebookNode]] = []  # (index of the new cell that it follows, cell)
    taken: set[int] = set()
    anchor = -1
    for cell in old.cells:
        place = None if _is_own(cell) else by_id.get(grade_id(cell) or cell.get("id"))
        if place is None:  # a text of the course is known by its hash, where a program has dropped its note, too
            free = by_text.get(note(cell, "lecture17").get("made", made(cell.source)), ())
            place = next((i for i in free if i not in taken and not (_is_own(cell) and i in known)), None)
        another = is_answer(cell) and answers[grade_id(cell)] is not cell
        if place is None or place in taken or another:
            if _is_work(cell) and cell.source not in there:
                kept.append((anchor, _as_own(cell)))
            continue
        anchor = place
        taken.add(place)
        target = merged.cells[place]
        if is_answer(target) and is_filled(cell):
            target.source = cell.source
        elif _is_edited(cell) and not is_check(cell) and cell.source not in there:
            kept.append((anchor, _as_own(cell)))
        if target.source == cell.source and cell.cell_type == "code":
            target.outputs, target.execution_count = cell.outputs, cell.execution_count
    ids = {c.id for c in merged.cells}
    for anchor, cell in reversed(kept):
        if cell.get("id") is None or cell.id in ids:
            cell.id = uuid.uuid4().hex[:12]
        merged.cells.insert(anchor + 1, cell)
    merged.metadata = from_dict({**old.metadata, **new.metadata})
    if "kernelspec" in old.metadata:  # the learner may have chosen another
        merged.metadata.kernelspec = old.metadata.kernelspec
    return merged


def reset(exercise_id: str, path: Path, root: Path) -> Path:
    """Put the stub back into the answer cell of one exercise, after a backup; returns the backup.

    Raises KeyError if there is no answer cell with that id.
    """
    nb = read(path) if path.exists() else v4.new_notebook()
    cells = [c for c in nb.cells if is_answer(c) and grade_id(c) == exercise_id and note(c, "lecture17").get("stub")]
    if not cells:
        lacks = f"has no answer cell for {exercise_id}" if path.exists() else "is not there"
        raise KeyError(f"{path.name} {lacks}: `python -m lecture17 build --no-run {path.stem}` puts it back")
    copy = backup(path, root)
    for cell in cells:
        cell.pop("attachments", None)  # of a cell that was turned into text
        cell.cell_type, cell.source = "code", cell.metadata["lecture17"]["stub"]
        cell.outputs, cell.execution_count = [], None
    write(nb, path)
    return copy


def _is_work(cell: NotebookNode) -> bool:
    """A cell that holds some of the learner's work."""
    return _is_own(cell) or _is_edited(cell) or (is_answer(cell) and is_filled(cell))


def _is_own(cell: NotebookNode) -> bool:
    """A cell that the course did not make."""
    return "lecture17" not in cell.metadata and grade_id(cell) is None


def _is_edited(cell: NotebookNode) -> bool:
    """A cell of the course's text that the learner has changed."""
    return made(cell.source) != note(cell, "lecture17").get("made", made(cell.source))


def _as_own(cell: NotebookNode) -> NotebookNode:
    cell = from_dict(cell)
    for key in ("nbgrader", "lecture17", "deletable", "editable"):
        cell.metadata.pop(key, None)
    return cell
