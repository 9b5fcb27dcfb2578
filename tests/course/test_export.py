"""Exports of a notebook that cannot show HTML, as PDF is made, have its pictures."""

import json

import pytest
from nbconvert.exporters import LatexExporter
from nbformat import v4
from traitlets.config import Config

from lecture17.course import lab
from lecture17.course.notebooks import read
from tests.conftest import ROOT

SETTINGS = Config(json.loads((lab.SETTINGS / "jupyter_server_config.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("stem", ["00_quickstart", "03a_semiseparable"])
def test_every_stored_picture_is_in_the_latex_that_pdf_is_made_from(stem: str) -> None:
    nb = v4.new_notebook()
    for cell in read(ROOT / "notebooks" / f"{stem}.ipynb").cells:  # all that does not need pandoc
        shown = [o for o in cell.get("outputs", ()) if "<img " in o.get("data", {}).get("text/html", "")]
        nb.cells.append(v4.new_code_cell("", outputs=shown))
    pictures = sum(len(cell.outputs) for cell in nb.cells)
    text, resources = LatexExporter(config=SETTINGS).from_notebook_node(nb)
    assert pictures > 0
    assert len(resources["outputs"]) == text.count(r"\adjustimage") == pictures
