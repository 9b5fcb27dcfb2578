"""What holds for every explorer in Python: settings as attributes, words, and what is left where no script runs."""

import gzip
import html
import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lecture17 import widgets
from lecture17.widgets.explorer import BUNDLE_FILE, Control, Explorer
from tests.conftest import ROOT, Displayed
from tests.npm import bundle, installed

from .twins import any_settings

EXPLORERS = [e for e in (getattr(widgets, name) for name in widgets.__all__) if issubclass(e, Explorer)]
each_explorer = pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: e.__name__)


@each_explorer
def test_any_settings_have_words_that_are_whole_sentences(explorer: type[Explorer]) -> None:
    for asked in any_settings(explorer, 100, seed=2):
        params = explorer.settle(asked)
        words = explorer.describe(params)
        assert 60 < len(words) < 700, params
        assert words[0].isupper()
        assert words.rstrip(")")[-1] == "."
        assert "nan" not in words.lower().split()


@each_explorer
def test_the_picture_of_any_settings_can_be_drawn(explorer: type[Explorer]) -> None:
    for asked in any_settings(explorer, 6, seed=3):
        made = explorer.picture(explorer.settle(asked))
        assert made.png().startswith(b"\x89PNG")
        assert made.description == explorer.describe(explorer.settle(asked))


@each_explorer
def test_settings_are_attributes(explorer: type[Explorer]) -> None:
    shown = explorer()
    assert asdict(shown.params) == asdict(explorer.settle(explorer.start))
    for control in explorer.controls:
        start = getattr(explorer.start, control.name)
        other = next(
            v for v in (*control.options, control.low, control.high, not start) if _has(control, v) and v != start
        )
        setattr(shown, control.name, other)
        assert getattr(shown, control.name) == other
        assert shown.params == explorer.settle(replace(explorer.start, **{control.name: other}))
        assert shown.words == explorer.describe(shown.params)
        setattr(shown, control.name, start)


def _has(control: Control, value: Any) -> bool:
    try:
        return bool(control.checked(value) == value)
    except ValueError:
        return False


@each_explorer
def test_settings_that_a_control_does_not_have_are_named(explorer: type[Explorer]) -> None:
    for control in explorer.controls:
        for wrong in ("nonsense", None, control.high + 2, np.nan):
            with pytest.raises(ValueError, match=f"^{control.name} is .*: expected (one of|a number|a whole number)"):
                explorer(**{control.name: wrong})
            with pytest.raises(ValueError, match=f"^{control.name} is "):
                setattr(explorer(), control.name, wrong)
    with pytest.raises(ValueError, match="unknown setting colour: expected "):
        explorer(colour="red")


@pytest.mark.parametrize("value", [7, np.int64(7), np.float32(7), 7.0])
def test_numbers_of_numpy_are_numbers(value: Any) -> None:
    shown = widgets.SemiseparableExplorer(d_state=value)
    assert type(shown.d_state) is int
    assert shown.d_state == 7


@each_explorer
def test_the_still_is_a_picture_with_its_words_and_all_that_wakes_it(explorer: type[Explorer]) -> None:
    shown = explorer()
    data, _ = shown._repr_mimebundle_()
    assert set(data) == {"text/html", "text/plain"}
    assert data["text/plain"] == shown.words
    assert html.escape(shown.words) in data["text/html"]
    assert "Run this cell to explore." in data["text/html"]
    assert len(re.findall("<script", data["text/html"])) == 1
    match = re.search(r'data-explorer="([^"]*)"', data["text/html"])
    assert match is not None
    spec = json.loads(html.unescape(match[1]))
    assert spec["state"] == asdict(shown.params)
    assert [control["name"] for control in spec["controls"]] == [control.name for control in explorer.controls]


@each_explorer
def test_where_somebody_can_move_it_there_is_a_widget_and_a_still_that_follows_it(
    explorer: type[Explorer], watched: Displayed
) -> None:
    shown = explorer()
    still, _ = watched.show(shown)
    before = shown.words
    control = next(c for c in explorer.controls if c.kind in ("range", "play"))
    setattr(shown, control.name, control.low if getattr(shown, control.name) != control.low else control.high)
    assert not watched.updates  # while it moves
    shown._answer(shown, {"rest": True}, [])
    [after] = watched.updates
    assert html.escape(before) in still["text/html"]
    assert html.escape(shown.words) in after["text/html"]


def test_a_setting_without_meaning_is_kept_for_later() -> None:
    shown = widgets.SemiseparableExplorer(mixer="Mamba-2", decay=0.5)
    shown.mixer = "linear attention"
    assert shown.params.decay == 1
    shown.mixer = "Mamba-2"
    assert shown.params.decay == 0.5


def test_the_bundle_is_built_from_its_sources_and_small(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    bundle(installed(request, ROOT / "lecture17/widgets/js"), tmp_path / "b.js")
    built = (tmp_path / "b.js").read_bytes()
    assert built == BUNDLE_FILE.read_bytes(), "run `npm run build` in lecture17/widgets/js"
    assert len(gzip.compress(built)) < 250_000
    assert b"</script" not in built.lower()
