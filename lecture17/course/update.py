"""Bring a newer course from git into a clone that holds answers, after a backup; an update can be undone.

Git's own commits are the journal. Before a file is touched, one commit holds the files to come (its tree), the files
that were there (its first parent) and the commit that HEAD will move to (its second). The ref UPDATING points to it
while the working tree may be half of each: if an update is killed, the next one undoes it from there. UPDATED points
to it when all is done, for `undo`.
"""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import nbformat
from nbformat import NotebookNode, from_dict

from .clone import CannotUpdate, Clone
from .learner import carry_over, has_work, is_filled
from .notebooks import NotANotebook, grade_id, is_answer, is_check, note, parse
from .paths import EXERCISES, NOTEBOOKS, SOLUTIONS

UPDATING, UPDATED = "refs/lecture17/updating", "refs/lecture17/updated"
FOLDERS = (EXERCISES, NOTEBOOKS, SOLUTIONS)  # where a learner's changes are expected
INTERRUPTED = "An update was interrupted. It has been undone: everything is as it was before."
Notebooks = dict[str, NotebookNode]  # by path


def update(root: Path, source: str | None = None, branch: str | None = None) -> str:
    """Move the clone at `root` to the newest commit of its upstream; returns what changed, in words.

    source: a remote or an address; without it, the remote `upstream`, as forks have it, or what the branch tracks.
    branch: its branch; without it, the one that is tracked, or the remote's default.
    Raises CannotUpdate if nothing can be fetched, or if the learner's work would have to be merged by hand.
    """
    clone = Clone(root)
    notes = [INTERRUPTED] if _take_back_interrupted(clone) else []
    remote, branch = clone.upstream(source, branch)
    clone.git("fetch", "--quiet", remote, *([branch] if branch else []))
    before, after = clone.commit_at("HEAD"), clone.commit_at("FETCH_HEAD")
    base = clone.git("merge-base", before, after, fails="the course there shares no commit with this clone")
    if base == after:
        return "\n".join([*notes, "There is nothing newer than what you have."])
    _refuse_foreign(clone.differing(before), "undo that (`git restore FILE`), or merge with git yourself")
    rewritten = (
        f"merge with git yourself; or, if these commits are not yours, `git reset --keep {base[:10]}` drops them"
    )
    _refuse_foreign(clone.differing(base, before), rewritten)
    head = after
    if base != before:  # what was committed here stays committed
        merged = _merge(clone, base, before, after)
        head = clone.commit(merged, before, after, message=f"Course updated to {after[:10]}")
    mine, backup = clone.snapshot(before, before, head)
    done = clone.commit(_merge(clone, before, mine, head), mine, head, message="An update")
    lines = _report(clone, before, after, mine, done, backup)
    _switch(clone, done, mine, done, head, f"update {UPDATED} {done}\n")
    return "\n".join([*notes, *lines])


def undo(root: Path) -> str:
    """Undo the last update; returns what was done, in words.

    Files not touched since are restored to the byte; answers written since are carried into the others.
    Raises CannotUpdate if there is no update to undo, or if something was committed since.
    """
    clone = Clone(root)
    if _take_back_interrupted(clone):
        return INTERRUPTED
    done = clone.commit_at(UPDATED, fails="there is no update to undo")
    then, before, head = (clone.commit_at(f"{done}{parent}") for parent in ("^1", "^1^", "^2"))
    if clone.commit_at("HEAD") != head:
        raise CannotUpdate("something was committed since the update: `git log` shows it, `git revert` undoes it")
    mine, backup = clone.snapshot(head, done, then)
    undone = clone.commit(_merge(clone, done, mine, then), mine, before, message="An update undone")
    written = clone.differing(done, mine) & clone.differing(done, then) & clone.files(mine).keys()
    carried = written & _notebooks(clone, mine).keys() & _notebooks(clone, then).keys()
    lines = [f"The course is as it was before the update, at {clone.named(before)}."]
    if carried:
        lines.append(f"What you wrote since then is in {', '.join(sorted(carried))}.")
    there = clone.files(undone).keys()
    for words, names in (("As before the update", there), ("No longer here", written - there)):
        if found := (written - carried) & names:
            lines.append(f"{words}: {', '.join(sorted(found))}; your version is in {backup}")
    _switch(clone, undone, mine, undone, before, f"delete {UPDATED}\n")
    return "\n".join(lines)


def _refuse_foreign(changed: set[str], fix: str) -> None:
    """Changes to the package itself are left to git and to whoever made them."""
    foreign = sorted(name for name in changed if name.split("/")[0] not in FOLDERS)
    if foreign:
        some = f"{', '.join(foreign[:5])}{' and more' if len(foreign) > 5 else ''}"
        raise CannotUpdate(f"you changed {some}, part of the course itself: {fix}")


def _take_back_interrupted(clone: Clone) -> bool:
    """Restore what was there before an update that was killed; answers written since are carried over."""
    if not clone.git("for-each-ref", UPDATING):
        return False
    branch = clone.git("rev-parse", "--symbolic-full-name", "HEAD")
    for name in ("index", "HEAD", branch, "packed-refs", UPDATING, UPDATED):
        clone.path(f"{name}.lock").unlink(missing_ok=True)  # left by the git that was killed
    journal, then, before = (clone.commit_at(f"{UPDATING}{parent}") for parent in ("", "^1", "^1^"))
    mine, _ = clone.snapshot(clone.commit_at("HEAD"), journal, then)
    _switch(clone, journal, mine, _merge(clone, journal, mine, then), before)
    return True


def _switch(clone: Clone, journal: str, mine: str, files: str, head: str, last: str = "") -> None:
    """Move the working tree from `mine` to `files`, then HEAD to `head`; meanwhile UPDATING points to the journal."""
    with clone.index(mine) as index:
        clone.git("update-index", "-q", "--refresh", index=index)
        clone.git("read-tree", "-m", "-u", "--dry-run", mine, files, index=index)  # refuses if any has changed since
        clone.git("update-ref", UPDATING, journal)
        try:
            clone.git("read-tree", "-m", "-u", mine, files, index=index)
            clone.git("read-tree", head)
            clone.git("update-index", "-q", "--refresh")
            clone.git("update-ref", "--stdin", stdin=f"update HEAD {head}\n{last}delete {UPDATING}\n")
        except CannotUpdate as error:
            raise CannotUpdate(f"{error}; `python -m lecture17 update --undo` restores what was there") from None


def _merge(clone: Clone, base: str, mine: str, theirs: str) -> str:
    """The tree of `mine` with what `theirs` changed since `base`, and my work carried over in exercise notebooks."""
    old = _notebooks(clone, mine, clone.differing(base, mine))
    answers = _answers(old)
    moved, new = clone.differing(base, theirs), clone.files(theirs)
    lines = [f"0 {'0' * 40}\t{name}" for name in moved - new.keys()]
    lines += [f"{new[name]}\t{name}" for name in moved & new.keys()]
    for name, nb in _notebooks(clone, theirs, moved).items():
        merged = carry_over(old[name], nb) if name in old and has_work(old[name]) else from_dict(nb)
        for cell in merged.cells:
            if is_answer(cell) and not is_filled(cell):  # the answer may have been in another file
                cell.source = answers.get(grade_id(cell), cell.source)
        if merged != nb:
            blob = clone.git("hash-object", "-w", "--stdin", stdin=nbformat.writes(merged) + "\n")
            lines.append(f"100644 {blob}\t{name}")
    with clone.index(mine) as index:
        clone.git("update-index", "-z", "--index-info", stdin="\0".join(lines), index=index)
        return clone.git("write-tree", index=index)


def _notebooks(clone: Clone, tree: str, among: set[str] | None = None) -> Notebooks:
    """The readable exercise notebooks of a tree."""
    found = {}
    for name in sorted(clone.files(tree)):
        if name.startswith(f"{EXERCISES}/") and name.endswith(".ipynb") and (among is None or name in among):
            with suppress(NotANotebook):
                found[name] = parse(clone.git("show", f"{tree}:{name}"))
    return found


def _answers(notebooks: Notebooks) -> dict[str | None, str]:
    return {grade_id(c): c.source for nb in notebooks.values() for c in nb.cells if is_answer(c) and is_filled(c)}


def _tasks(notebooks: Notebooks) -> dict[str, str]:
    """The stub and the check of each exercise, as one text."""
    texts: dict[str, str] = {}
    for cell in (c for nb in notebooks.values() for c in nb.cells if is_answer(c) or is_check(c)):
        exercise = str(grade_id(cell)).removesuffix("-check")
        texts[exercise] = texts.get(exercise, "") + str(note(cell, "lecture17").get("stub", cell.source))
    return texts


def _some(things: Collection[object], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _report(clone: Clone, before: str, after: str, mine: str, done: str, backup: Path) -> list[str]:
    old, new, yours, now = (_notebooks(clone, tree) for tree in (before, after, mine, done))
    was, asked, answers, stays = _tasks(old), _tasks(new), _answers(yours), _answers(now)
    lost = {name for name in answers if answers[name] != stays.get(name)}
    moved = clone.differing(before, f"{done}^2")
    changed = clone.differing(before, mine) & clone.files(mine).keys()
    replaced = changed & moved - yours.keys()
    damaged = {name for name in replaced if name.startswith(f"{EXERCISES}/")}
    removed = {name for name, nb in yours.items() if name not in now and has_work(nb)}
    newer = clone.git("rev-list", f"{before}..{after}").split()
    kept = [f"{len(answers) - len(lost)} of your {_some(answers, 'answer')}"]
    lines = [
        ("new", (asked.keys() - was.keys()) & _tasks(now).keys(), ""),
        ("revised", {name for name in asked.keys() & was.keys() if asked[name] != was[name]}, ""),
        ("gone", was.keys() - asked.keys(), ""),
        ("kept", kept if answers else [], ", each in its exercise"),
        ("not kept", lost, ": no exercise asks for them now; each is a cell of your own, in the backup, or in git"),
        ("replaced", replaced - damaged, ": your version is in the backup"),
        ("damaged", damaged, ": not a notebook that can be read; it is in the backup"),
        ("removed", removed & changed, ", with your work in it; the file is in the backup"),
        ("removed", removed - changed, f", with your work in it; `git show {before[:10]}:FILE` gives the file"),
        ("backup", [backup] if changed else [], ""),
    ]
    install = "The packages changed too: `make lab` or `pip install -c constraints.txt -e .` installs them."
    return [
        f"The course is now at {clone.named(after)}, {_some(newer, 'commit')} newer.",
        *(f"{word + ':':<10}{', '.join(sorted(map(str, names)))}{note}" for word, names, note in lines if names),
        *([install] if "constraints.txt" in moved else []),
        "`python -m lecture17 update --undo` undoes all of this.",
    ]
