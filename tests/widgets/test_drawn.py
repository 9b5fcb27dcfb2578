"""Explorers that the kernel draws: extremes, words, layout, speed, and what is left where nobody can move a control."""

import io
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from lecture17 import widgets
from lecture17.widgets import _front
from lecture17.widgets.drawn import DrawnExplorer

from .conftest import Displayed
from .strategies import extremes_of, settings_of

EXPLORERS = [e for e in (getattr(widgets, name) for name in widgets.__all__) if issubclass(e, DrawnExplorer)]
each_explorer = pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda e: e.__name__)


@each_explorer
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_settings_have_words_that_are_whole_sentences(explorer: Any, data: st.DataObject) -> None:
    params = data.draw(settings_of(explorer))
    words = explorer.describe(params)
    assert 60 < len(words) < 700
    assert words[0].isupper()
    assert words.rstrip(")")[-1] == "."
    assert "nan" not in words.lower().split()
    assert words == explorer.describe(params)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Text, Bbox]]:
    """The texts that are drawn from now on, and where."""
    texts: list[tuple[Text, Bbox]] = []
    draw = Text.draw

    def recording(self: Text, renderer: Any) -> None:
        draw(self, renderer)
        if self.get_visible() and self.get_text().strip():
            texts.append((self, self.get_window_extent(renderer)))

    monkeypatch.setattr(Text, "draw", recording)
    return texts


@each_explorer
def test_at_every_extreme_the_picture_is_complete_and_its_text_readable(explorer: Any, drawn: Any) -> None:
    scene = explorer.scene_type()
    scene.png()
    for params in extremes_of(explorer):
        scene.follow(params)
        moved = imread(io.BytesIO(scene.png()))
        drawn.clear()
        scene.agg.draw()
        everything = np.asarray(scene.agg.buffer_rgba()) / 255
        # What moves is drawn last, over spines and ticks that otherwise lie on top of it: a few pixels may differ.
        assert (np.abs(moved - everything).max(axis=2) > 0.2).mean() < 0.01, params
        assert_readable(drawn, scene.bbox)


def assert_readable(drawn: list[tuple[Text, Bbox]], canvas: Bbox) -> None:
    """Texts of at least nine points, inside the canvas, none over another."""
    assert len(drawn) > 5
    for i, (text, box) in enumerate(drawn):
        assert float(text.get_fontsize()) >= 9, text
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= canvas.width, text
        assert box.y1 <= canvas.height, text
        for other, other_box in drawn[:i]:
            shared = Bbox.intersection(box, other_box)
            assert shared is None or min(shared.width, shared.height) <= 1, (text, other)


@each_explorer
def test_every_control_changes_picture_and_words(explorer: Any) -> None:
    shown = explorer()
    for control in explorer.controls_for(shown.params):
        before = (shown.picture, shown.words)
        position = shown.positions[control.name]
        other = 0 if position == len(control.values) - 1 else len(control.values) - 1
        shown.positions = {**shown.positions, control.name: other}
        assert shown.params == replace(shown.params, **{control.name: control.values[other]})
        assert shown.picture != before[0], control.name
        assert shown.words != before[1], control.name
        assert shown.words == explorer.describe(shown.params)
        shown.positions = {**shown.positions, control.name: position}
        assert (shown.picture, shown.words) == before, control.name


@each_explorer
def test_a_move_updates_the_picture_instead_of_making_a_new_one(explorer: Any) -> None:
    """How long it takes depends on the machine: here it is compared with a new picture."""
    shown = explorer()
    moves: list[float] = []
    for control in explorer.controls_for(shown.params):
        for position in (1, 0):
            begin = time.process_time()
            shown.positions = {**shown.positions, control.name: position % len(control.values)}
            moves.append(time.process_time() - begin)
    anew = []
    for _ in range(3):
        begin = time.process_time()
        explorer.scene_type().png()
        anew.append(time.process_time() - begin)
    assert statistics.median(moves) < statistics.median(anew) / 2, (moves, anew)


@each_explorer
def test_where_nobody_can_move_it_a_picture_and_its_words_are_left(explorer: Any) -> None:
    shown = explorer()
    data, _ = shown._repr_mimebundle_()
    assert set(data) == {"text/html", "text/plain"}
    assert data["text/plain"] == shown.words
    assert data["text/html"].startswith(f'<img alt="{shown.words[:40]}')
    assert "Run this cell" in data["text/html"]


@each_explorer
def test_where_somebody_can_move_it_there_is_a_widget_and_a_still_that_follows_it(
    explorer: Any, watched: Displayed
) -> None:
    shown = explorer()
    still, _ = watched.show(shown)
    assert f'<img alt="{shown.words[:40]}' in still["text/html"]
    control = next(c for c in explorer.controls_for(explorer.start) if c.kind != "check" and len(c.values) > 1)
    shown.positions = {**shown.positions, control.name: 0 if shown.positions[control.name] else 1}
    assert not watched.updates  # while it moves
    shown._answer(shown, {"rest": True}, [])
    [after] = watched.updates
    assert after != still
    assert f'<img alt="{shown.words[:40]}' in after["text/html"]


@each_explorer
def test_settings_that_a_control_does_not_have_are_named(explorer: Any) -> None:
    name = explorer.controls_for(explorer.start)[0].name
    with pytest.raises(ValueError, match=f"{name} is 'nonsense': expected one of "):
        explorer(**{name: "nonsense"})
    with pytest.raises(ValueError, match="unknown setting colour: expected "):
        explorer(colour="red")


@each_explorer
def test_a_click_beside_everything_changes_nothing(explorer: Any) -> None:
    shown = explorer()
    before = shown.words
    shown._answer(None, {"click": [0.999, 0.999]}, [])
    assert shown.words == before


def test_nothing_loads_pyplot_or_torch() -> None:
    code = (
        "import sys; from lecture17 import widgets; widgets.SemiseparableExplorer(); "
        "print([m for m in ('matplotlib.pyplot', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nobody_watches_a_test() -> None:
    assert not _front.somebody_watches()
