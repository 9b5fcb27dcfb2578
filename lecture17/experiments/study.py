"""Results of full runs, which come with the course: a quick run is shown beside them and never in their place.

study = stored("05d_images", {"accuracy": {"control": a, …}}, full, provenance(full, seeds, steps))
study["accuracy"]["control"], study.provenance

What is measured is a number, a text, an array, or a dictionary of such by names; of numbers four digits are kept.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .settings import FULL

FOLDER = Path(__file__).parent / "results"


class Study(dict[str, Any]):
    """What a full run measured, by names, and under what conditions."""

    def __init__(self, measured: Mapping[str, Any], provenance: str):
        super().__init__(measured)
        self.provenance = provenance


def stored(name: str, measured: Mapping[str, Any], full: bool, provenance: str) -> Study:
    """What the notebook shows: of a quick run the stored results, of a full run its own.

    Only `python -m lecture17 build --full` stores what it measures: a learner's full run is shown, and theirs is kept
    in the checkpoints. Raises FileNotFoundError where nothing is stored yet.
    """
    path = FOLDER / f"{name}.json"
    text = json.dumps(
        {"provenance": provenance, "measured": _plain(measured)}, ensure_ascii=False, separators=(",", ":")
    )
    if full and FULL:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace('],"', '],\n"') + "\n", encoding="utf-8", newline="\n")
    elif not full:
        if not path.exists():
            raise FileNotFoundError(f"nothing is stored of {name}: expected {path}, which build --full writes")
        text = path.read_text(encoding="utf-8")
    kept = json.loads(text)
    return Study(_arrays(kept["measured"]), kept["provenance"])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, np.ndarray) and value.dtype == bool:
        return _plain(value.astype(int))
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.4g}")
    return int(value) if isinstance(value, np.integer) else value


def _arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _arrays(one) for name, one in value.items()}
    return np.array(value) if isinstance(value, list) else value
