"""docs/sources.md has every cited arXiv paper, with its title, and sends a reader only to places that cite it."""

import re

import pytest

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "sources.md"
GLOBS = ("notebooks/*.py", "solutions/*.py", "lecture17/**/*.py", "lecture17/**/*.toml", "*.toml", "docs/*.md", "*.md")
PATHS = {path for glob in GLOBS for path in ROOT.glob(glob)} - {PAGE}
CITED = {path: set(re.findall(r"\b\d{4}\.\d{4,5}\b", path.read_text(encoding="utf-8"))) for path in PATHS}
ROWS = re.findall(
    r"^\| \[(\d{4}\.\d{4,5})\]\(https://arxiv\.org/abs/\1\) \| (.+), (\d{4}) \| (\w.{5,}) \| (.+) \|$",
    PAGE.read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_every_cited_paper_has_a_row_and_every_row_is_cited() -> None:
    identifiers = [row[0] for row in ROWS]
    assert identifiers == sorted(set(identifiers))
    assert set(identifiers) == set().union(*CITED.values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_year_is_that_of_the_identifier_and_every_place_named_cites_the_paper(row: tuple[str, ...]) -> None:
    identifier, _, year, _, where = row
    assert year == f"20{identifier[:2]}"
    pages = [(PAGE.parent / name).resolve() for name in re.findall(r"\]\(([^)]+)\)", where)]
    places = [*pages, *(ROOT / "lecture17" / name for name in re.findall(r"`([^`]+)`", where))]
    assert places, "where it is used is not said"
    for place in places:
        assert identifier in CITED[place.with_suffix(".py") if place.suffix == ".ipynb" else place], place
