"""Grading under attack: a clear verdict each, the others graded, no process left, and no file but as it was."""

import hashlib
import os
import re
import uuid
from pathlib import Path

import psutil
import pytest
from nbformat import NotebookNode

from lecture17.course.checking import PASSED
from lecture17.course.notebooks import is_answer, read, write
from lecture17.grading import runner
from lecture17.grading.grade import Grade, grade
from lecture17.grading.sandbox import OPEN
from tests.conftest import ROOT, copied

from .attacks import ALL, ALWAYS, DEADLY, HARMLESS, LEFT_BEHIND, Attack

STEM = "03b_duality"
TRACE, TOKEN = "LECTURE17_TESTED_BY", uuid.uuid4().hex  # in the environment of all that these tests start
os.environ[TRACE] = TOKEN
ANSWERS = 6  # in that notebook; the last is left as it is
Verdicts = dict[str, tuple[Grade, list[Grade]]]  # attack → what its exercise got, and what the last of its notebook got


def attacked(cell: NotebookNode, attack: Attack) -> None:
    """Put an attack into a solved answer."""
    begin = "    ### BEGIN SOLUTION\n"
    assert begin in cell.source
    body = "".join(f"    {line}\n" for line in attack.function.splitlines())
    cell.source = f"{attack.cell}\n{cell.source.replace(begin, begin + body)}"


def files(folder: Path) -> dict[str, str]:
    """Every file below a folder, and a hash of what it holds."""
    found = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def left_behind() -> list[str]:
    """The processes that grading has started and not ended."""
    found = []
    for process in psutil.process_iter():
        try:
            words, environment = process.cmdline(), process.environ()
            graded_here = runner.MARK in environment and environment.get(TRACE) == TOKEN
            if graded_here or any(LEFT_BEHIND in word for word in words):
                found.append(" ".join(words))
        except psutil.Error:
            continue
    return found


def verdicts(clone: Path, *attacks: tuple[Attack, ...]) -> Verdicts:
    """Grade solved notebooks with an attack in each answer but the last, all in one run."""
    made: list[tuple[Path, tuple[Attack, ...]]] = []
    for kind in attacks:
        for group in (kind[i : i + ANSWERS - 1] for i in range(0, len(kind), ANSWERS - 1)):
            nb = read(clone / "solutions" / f"{STEM}.ipynb")
            for cell, attack in zip([c for c in nb.cells if is_answer(c)], group, strict=False):
                attacked(cell, attack)
            made.append((clone / "exercises" / f"group-{len(made)}.ipynb", group))
            write(nb, made[-1][0])
    before = files(clone)
    grades = grade([path for path, _ in made], timeout=20)
    assert files(clone) == before
    assert left_behind() == []
    found: Verdicts = {}
    for path, group in made:
        mine = [g for g in grades if g.file == str(path)]
        assert len(mine) == ANSWERS, mine
        found |= {attack.name: (mine[i], mine[len(group) :]) for i, attack in enumerate(group)}
    return found


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """What each attack got."""
    with pytest.MonkeyPatch.context() as patch:
        clone = copied(tmp_path_factory.mktemp("clone"), patch)
        patch.setattr(runner, "MEMORY", 3 * 2**29)
        return verdicts(clone, DEADLY, HARMLESS)


def judge(attack: Attack, graded: Verdicts) -> None:
    mine, others = graded[attack.name]
    assert (mine.verdict, mine.earned > 0) == (attack.verdict, attack.earns), mine
    assert attack.reason in mine.reason
    assert {g.verdict for g in others} == {PASSED}, others


@pytest.mark.parametrize("attack", ALL, ids=lambda a: a.name)
def test_an_attack_gets_its_verdict_and_costs_only_its_own_exercise(attack: Attack, graded: Verdicts) -> None:
    judge(attack, graded)


def test_where_namespaces_are_not_allowed_attacks_end_the_same(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPEN, "1")
    itself = f"import os; os.remove({str(clone / 'exercises' / 'group-0.ipynb')!r})"
    attacks = (*ALWAYS, Attack("its own notebook deleted", PASSED, cell=itself, earns=True))
    graded = verdicts(clone, attacks)
    for attack in attacks:
        judge(attack, graded)


def test_the_table_in_docs_names_every_attack_with_its_verdict() -> None:
    text = (ROOT / "docs" / "grading.md").read_text(encoding="utf-8")
    section = text.split("## What grading withstands\n")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", section, re.MULTILINE)[2:])
    assert rows == {a.name: f"*{a.verdict}*{'; points kept' if a.earns and a.verdict != PASSED else ''}" for a in ALL}
