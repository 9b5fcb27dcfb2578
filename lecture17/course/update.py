"""Bring a newer course into a clone with answers, from git; kept by grade_id, backed up first, and undone on request.

Before anything is touched, whatever differs from the last commit is copied to `.lecture17/backups/<time>-update/` and a
journal says what is being done. An update that was killed is taken back by the next one, from that journal.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import nbformat
from nbformat import NotebookNode, from_dict

from .clone import CannotUpdate, commit_at, differing, git, named, require_clone, untracked, upstream
from .learner import carry_over, has_work, is_filled
from .notebooks import NotANotebook, grade_id, is_answer, read, write
from .paths import EXERCISES, NOTEBOOKS, SOLUTIONS, write_atomically

JOURNAL = Path(".lecture17") / "update.json"
FOLDERS = (EXERCISES, NOTEBOOKS, SOLUTIONS)  # where a learner's changes are expected


@dataclass
class Journal:
    """What an update does, written before it begins: enough to take it back."""

    before: str  # commits
    after: str
    backup: str
    copied: list[str]  # files that differed from the commit `before`, and lie in the backup
    deleted: list[str]  # files of that commit that were not there
    done: bool = False
    left: dict[str, str] = field(default_factory=dict)  # notebooks of exercises/ → hash of what the update left there


def update(root: Path, source: str | None = None, branch: str | None = None) -> str:
    """Move the clone at `root` to the newest commit of its upstream; returns what changed, in words.

    source: a remote or an address; without it the remote `upstream`, as forks have it, or what the branch follows.
    branch: its branch; without it the one that is followed, or the remote's own choice.
    Raises CannotUpdate where nothing can be fetched, or work of the learner's would have to be merged by hand.
    """
    require_clone(root)
    notes = _take_back_interrupted(root)
    remote, branch = upstream(root, source, branch)
    git(root, "fetch", "--quiet", remote, *([branch] if branch else []))
    before, after = commit_at(root, "HEAD"), commit_at(root, "FETCH_HEAD")
    base = git(root, "merge-base", before, after, fails="the course there has no commit in common with this clone")
    if base == after:
        return "\n".join([*notes, "There is nothing newer than what you have."])
    _refuse_foreign_changes(root, base, before)
    answers = _answers(_files_now(root))
    old = _files_at(root, before)
    committed = old if base != before else {}  # what was committed here stays committed

    journal = _begin(root, before, after)
    git(root, "reset", "--quiet", "--hard", after)
    new = _files_at(root, after)
    if committed:
        _put(root, committed, new)
        git(root, "add", "--", *(f"{EXERCISES}/{name}" for name in new))
        tree = git(root, "write-tree")
        merge = git(root, "commit-tree", tree, "-p", before, "-p", after, "-m", f"Course updated to {after[:10]}")
        git(root, "reset", "--quiet", "--soft", merge)
    _put(root, old | _notebooks_in(Path(journal.backup) / EXERCISES), new)
    _finish(root, journal)
    return "\n".join([*notes, *_report(root, journal, old, new, answers)])


def undo(root: Path) -> str:
    """Take the last update back; returns what was done, in words.

    A notebook that was not touched since is as it was, to the byte; answers written since are carried into the others.
    Raises CannotUpdate where there is no update to take back, or something was committed since.
    """
    require_clone(root)
    journal = _read_journal(root)
    if journal is None:
        raise CannotUpdate("there is no update to take back")
    changed = {}
    if journal.done:
        here = commit_at(root, "HEAD")
        if here != journal.after and journal.after not in git(root, "rev-list", "--parents", "-n1", here).split():
            raise CannotUpdate(
                "something was committed since the update: `git log` shows it, `git revert` takes it back"
            )
        changed = {n: nb for n, nb in _files_now(root).items() if _hash(root / EXERCISES / n) != journal.left.get(n)}
        backup = _begin(root, here, journal.before).backup
    _restore(root, journal)
    then = {name: nb for name, nb in _files_now(root).items() if name in changed}
    for name, nb in then.items():
        there = [c.source for c in nb.cells]
        changed[name].cells = [c for c in changed[name].cells if grade_id(c) or c.source not in there]
    _put(root, changed, then)
    (root / JOURNAL).unlink()
    lines = [f"The course is as it was before the update, at {named(root, journal.before)}."]
    if then:
        lines.append(f"What you wrote since was carried into {', '.join(then)}.")
    if len(changed) > len(then):
        lines.append(f"Not here any more: {', '.join(sorted(changed.keys() - then.keys()))}; yours is in {backup}")
    return "\n".join(lines)


def _refuse_foreign_changes(root: Path, base: str, before: str) -> None:
    """Only what a learner works on can be carried over; a change to the package itself is for git and its owner."""
    changed = {*differing(root, before), *differing(root, base, before)}
    foreign = sorted(name for name in changed if name.split("/")[0] not in FOLDERS)
    if foreign:
        raise CannotUpdate(
            f"you changed {', '.join(foreign[:5])}{' and more' if len(foreign) > 5 else ''}, which is the course's: "
            "take that back (`git restore FILE`), or merge with git yourself"
        )


# The exercises' notebooks, by file name.


def _notebooks_in(folder: Path) -> dict[str, NotebookNode]:
    found = {}
    for path in sorted(folder.glob("*.ipynb")):
        try:
            found[path.name] = read(path)
        except NotANotebook:
            continue  # it is in the backup; there is nothing to carry over
    return found


def _files_now(root: Path) -> dict[str, NotebookNode]:
    return _notebooks_in(root / EXERCISES)


def _files_at(root: Path, commit: str) -> dict[str, NotebookNode]:
    names = git(root, "ls-tree", "--name-only", "-z", commit, f"{EXERCISES}/").split("\0")
    return {
        Path(name).name: nbformat.reads(git(root, "show", f"{commit}:{name}"), as_version=4)
        for name in names
        if name.endswith(".ipynb")
    }


def _ids(notebooks: Iterable[NotebookNode]) -> set[str]:
    return {str(grade_id(c)) for nb in notebooks for c in nb.cells if is_answer(c)}


def _answers(notebooks: dict[str, NotebookNode]) -> set[str]:
    """The ids of the exercises that hold an answer."""
    return {str(grade_id(c)) for nb in notebooks.values() for c in nb.cells if is_answer(c) and is_filled(c)}


def _put(root: Path, mine: dict[str, NotebookNode], new: dict[str, NotebookNode]) -> None:
    """Write the new notebooks with the work of mine in them; an answer finds its exercise in another file too."""
    mine = {name: nb for name, nb in mine.items() if has_work(nb)}
    for name, nb in new.items():
        merged = carry_over(mine[name], nb) if name in mine else from_dict(nb)
        elsewhere = {
            grade_id(c): c.source
            for other, old in mine.items()
            if other != name
            for c in old.cells
            if is_answer(c) and is_filled(c)
        }
        for cell in merged.cells:
            if is_answer(cell) and not is_filled(cell) and grade_id(cell) in elsewhere:
                cell.source = elsewhere[grade_id(cell)]
        if merged != nb:
            write(merged, root / EXERCISES / name)


# The journal, the backup, and the way back.


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_journal(root: Path) -> Journal | None:
    try:
        return Journal(**json.loads((root / JOURNAL).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise CannotUpdate(f"{JOURNAL} cannot be read ({error}): the backups are in .lecture17/backups/") from error


def _write_journal(root: Path, journal: Journal) -> None:
    write_atomically(root / JOURNAL, json.dumps(asdict(journal), indent=1) + "\n")


def _begin(root: Path, before: str, after: str) -> Journal:
    """Copy all that could be lost, then write the journal."""
    folder = root / ".lecture17" / "backups" / f"{datetime.now():%Y%m%d-%H%M%S-%f}-update"
    changed = [*differing(root, before), *untracked(root)]
    copied = [name for name in changed if (root / name).is_file()]
    for name in copied:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, folder / name)
    journal = Journal(before, after, str(folder), copied, [n for n in changed if n not in copied])
    _write_journal(root, journal)
    return journal


def _finish(root: Path, journal: Journal) -> None:
    journal.left = {p.name: _hash(p) for p in (root / EXERCISES).glob("*.ipynb")}
    journal.done = True
    _write_journal(root, journal)


def _restore(root: Path, journal: Journal) -> None:
    """The files as they were when the journal was begun; running it twice does no harm."""
    lock = root / git(root, "rev-parse", "--git-path", "index.lock")
    lock.unlink(missing_ok=True)  # of the git that was killed with the update
    git(root, "reset", "--quiet", "--hard", journal.before)
    for name in git(
        root, "diff", "--name-only", "--no-renames", "-z", "--diff-filter=A", journal.before, journal.after
    ).split("\0"):
        if name and name not in journal.copied:
            (root / name).unlink(missing_ok=True)  # half of the newer course
    for name in journal.deleted:
        (root / name).unlink(missing_ok=True)
    for name in journal.copied:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(Path(journal.backup) / name, root / name)


def _take_back_interrupted(root: Path) -> list[str]:
    journal = _read_journal(root)
    if journal is None or journal.done:
        return []
    _restore(root, journal)
    (root / JOURNAL).unlink()
    return ["An update was interrupted. It was taken back first: all is as it was before it."]


def _report(
    root: Path, journal: Journal, old: dict[str, NotebookNode], new: dict[str, NotebookNode], answers: set[str]
) -> list[str]:
    moved = set(differing(root, journal.before, journal.after))
    backup = Path(journal.backup)
    before, after = _ids(old.values()), _ids(new.values())
    revised = {name for name in before & after if _texts(old, name) != _texts(new, name)}
    dropped = {name: nb for name, nb in _notebooks_in(backup / EXERCISES).items() if name not in new}
    newer = git(root, "rev-list", "--count", f"{journal.before}..{journal.after}")
    lines = {
        "new": after - before,
        "revised": revised,
        "gone": before - after,
        "kept": [f"{len(answers & after)} of your {len(answers)} answers, each in its exercise"],
        "not kept": answers - after,  # as a cell of the learner's own, or in the backup
        "replaced": [name for name in journal.copied if name in moved and not name.startswith(f"{EXERCISES}/")],
        "removed": [name for name, nb in dropped.items() if has_work(nb)],
        "backup": [backup] if journal.copied else [],
    }
    notes = {
        "not kept": ": no exercise asks for them any more; each is a cell of your own now, or in the backup",
        "replaced": ": yours is in the backup",
        "removed": ", with your work in it: it is in the backup",
    }
    return [
        f"The course is at {named(root, journal.after)} now, {newer} commits newer.",
        *(f"{w + ':':<10}{', '.join(sorted(map(str, x)))}{notes.get(w, '')}" for w, x in lines.items() if x),
        *(["The packages changed too: `make lab` installs them."] if "constraints.txt" in moved else []),
        "`python -m lecture17 update --undo` takes all of this back.",
    ]


def _texts(notebooks: dict[str, NotebookNode], exercise: str) -> list[str]:
    """The stub and the check of an exercise."""
    cells = [c for nb in notebooks.values() for c in nb.cells if grade_id(c) in (exercise, f"{exercise}-check")]
    return [c.metadata["lecture17"]["stub"] if is_answer(c) else c.source for c in cells]
