"""Grades as JSON, as JUnit XML and as a Markdown table."""

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from .grade import Grade


def total(grades: list[Grade]) -> tuple[int, int]:
    """Points earned, and points that could be earned."""
    return sum(g.earned for g in grades), sum(g.points for g in grades)


def names(grades: list[Grade]) -> list[str]:
    """A name for each grade: the exercise, with its file where there are several folders, as those of learners."""
    held = Counter(g.exercise for g in {(g.file, g.exercise): g for g in grades}.values())
    several = len({Path(g.file).parent for g in grades}) > 1
    return [_printable(f"{g.file}: {g.exercise}" if several or held[g.exercise] > 1 else g.exercise) for g in grades]


def to_json(grades: list[Grade], notes: Sequence[str] = ()) -> str:
    """The grades as JSON: the total, notes on the grading as a whole, and each grade with the whole reason."""
    earned, points = total(grades)
    found = {"earned": earned, "points": points, "notes": list(notes), "exercises": [asdict(g) for g in grades]}
    return json.dumps(found, indent=1) + "\n"


def to_junit(grades: list[Grade]) -> str:
    """The grades as JUnit XML: a test case per exercise, failed if points are missing; remarks are skipped."""
    failures, skipped = sum(g.missing for g in grades), sum(g.remark for g in grades)
    counts = {"tests": str(len(grades)), "failures": str(failures), "skipped": str(skipped)}
    suite = ET.Element("testsuite", {"name": "lecture17"} | counts)
    for g, name in zip(grades, names(grades), strict=True):
        case = ET.SubElement(suite, "testcase", classname=_printable(Path(g.file).stem), name=name)
        reason, message = _printable(g.reason), _printable(f"{g.verdict}: {g.headline}")
        if g.missing:
            ET.SubElement(case, "failure", message=message).text = reason
        elif g.remark:
            ET.SubElement(case, "skipped", message=message)
        elif reason:
            ET.SubElement(case, "system-out").text = reason
    return ET.tostring(suite, encoding="unicode") + "\n"


def to_markdown(grades: list[Grade]) -> str:
    """The grades as a Markdown table, for job summaries."""
    earned, points = total(grades)
    rows = [
        f"| {_cell(name)} | {g.earned} of {g.points} | {g.verdict} | {_cell(g.headline)} |"
        for g, name in zip(grades, names(grades), strict=True)
    ]
    head = ["| exercise | points | verdict | reason |", "| --- | --- | --- | --- |"]
    return "\n".join([f"**{earned} of {points} points**", "", *head, *rows]) + "\n"


def _cell(text: str) -> str:
    """Text, possibly printed by a learner's code, that neither ends a table's cell nor becomes markup."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&])", r"\\\1", _printable(text).replace("\n", " "))


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(c for c in text if c in "\n\t" or c.isprintable())
