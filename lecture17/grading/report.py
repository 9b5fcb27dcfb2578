"""Grades as JSON, as JUnit XML and as a Markdown table."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lecture17.course.checking import PASSED

from .grade import Grade


def total(grades: list[Grade]) -> tuple[int, int]:
    """Points earned, and points that could be earned."""
    return sum(g.earned for g in grades), sum(g.points for g in grades)


def to_json(grades: list[Grade], notes: Sequence[str] = ()) -> str:
    """The grades as JSON: the total, notes on the grading as a whole, and each grade with the whole reason."""
    earned, points = total(grades)
    found = {"earned": earned, "points": points, "notes": list(notes), "exercises": [asdict(g) for g in grades]}
    return json.dumps(found, indent=1) + "\n"


def to_junit(grades: list[Grade]) -> str:
    """The grades as JUnit XML: one test case per exercise, failed if the verdict is not "passed"."""
    failed = [g for g in grades if g.verdict != PASSED]
    suite = ET.Element("testsuite", name="lecture17", tests=str(len(grades)), failures=str(len(failed)))
    for g in grades:
        case = ET.SubElement(suite, "testcase", classname=Path(g.file).stem, name=g.exercise)
        if g.verdict == PASSED and g.reason:
            ET.SubElement(case, "system-out").text = _printable(g.reason)
        if g.verdict != PASSED:
            ET.SubElement(case, "failure", message=f"{g.verdict}: {g.headline}").text = _printable(g.reason)
    return ET.tostring(suite, encoding="unicode") + "\n"


def to_markdown(grades: list[Grade]) -> str:
    """The grades as a Markdown table, for job summaries."""
    earned, points = total(grades)
    rows = [f"| {g.exercise} | {g.earned} of {g.points} | {g.verdict} | {_cell(g.headline)} |" for g in grades]
    head = ["| exercise | points | verdict | reason |", "| --- | --- | --- | --- |"]
    return "\n".join([f"**{earned} of {points} points**", "", *head, *rows]) + "\n"


def _cell(text: str) -> str:
    """Text, possibly printed by a learner's code, that neither ends a table's cell nor becomes markup."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&])", r"\\\1", _printable(text).replace("\n", " "))


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(c for c in text if c in "\n\t" or c.isprintable())
