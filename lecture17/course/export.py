"""Exports without HTML, as PDF is made: each picture that is stored inside HTML is put beside it as an image.

JupyterLab as `make lab` starts it does so for every export. Notebooks do not hold each picture twice.
"""

import re
from typing import Any

from nbconvert.preprocessors import ExtractOutputPreprocessor, Preprocessor
from nbformat import NotebookNode

PICTURE = re.compile(r'<img alt="[^"]*"[^>]* src="data:image/png;base64,([^"]+)"')


class KeepPictures(Preprocessor):
    """Gives outputs that hold a picture in HTML the same as image/png."""

    def preprocess_cell(self, cell: NotebookNode, resources: Any, index: int) -> tuple[NotebookNode, Any]:
        """The cell with its pictures as images too; other cells as they are."""
        for data in (output.get("data", {}) for output in cell.get("outputs", ())):
            if picture := PICTURE.search(data.get("text/html", "")):
                data.setdefault("image/png", picture[1])
        if isinstance(resources.get("outputs"), dict):  # this export keeps pictures in files, and has just made them
            cell, resources = ExtractOutputPreprocessor().preprocess_cell(cell, resources, index)
        return cell, resources
