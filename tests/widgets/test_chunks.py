"""The chunk explorer: formulas against those of 03b, minima against the formula's own, and times that are measured."""

import json
import re
import subprocess
import sys
from html import unescape
from typing import Any

import numpy as np
import pytest

from lecture17.widgets.chunks import (
    ChunkExplorer,
    Params,
    Times,
    compute,
    describe,
    describe_times,
    headline,
    measure,
    settle,
)

from .twins import any_settings, in_browser

each_setting = pytest.mark.parametrize("params", list(map(settle, any_settings(ChunkExplorer, 30))), ids=str)
TIMES: Times = {"recurrent": 50.0, "parallel": None, "chunkwise": [(16, 2.0), (64, 1.25), (256, 3.0)]}


@each_setting
def test_costs_are_those_of_the_table_in_03b(params: Params) -> None:
    work, memory = compute(params).values()
    N, r, d, c = params.N, params.d_state, params.d_head, work.sizes
    np.testing.assert_allclose(work.chunkwise, c * (2 * r + 2 * d + 1) + 4 * r * d + 2 * r * d / c + 2 * r + d)
    np.testing.assert_allclose((work.recurrent, work.parallel), (5 * r * d, N * (2 * r + 2 * d + 1)))
    np.testing.assert_allclose(memory.chunkwise, N * memory.sizes + np.ceil(N / memory.sizes) * r * d)
    assert (memory.recurrent, memory.parallel) == (r * d, N * N)
    for cost in (work, memory):
        for at in np.flatnonzero(cost.sizes == params.chunk_size):
            assert cost.chosen == cost.chunkwise[at]


@each_setting
def test_minima_are_those_of_all_chunk_sizes_and_near_the_square_roots_of_step_7_of_03b(params: Params) -> None:
    work, memory = compute(params).values()
    N, r, d = params.N, params.d_state, params.d_head
    c = np.arange(1, N + 1)
    assert work.best == c[np.argmin(c * (2 * r + 2 * d + 1) + 2 * r * d / c)]
    assert memory.best == c[np.argmin(N * c + -(-N // c) * r * d)]
    assert abs(work.best - max(1, np.sqrt(2 * r * d / (2 * r + 2 * d + 1)))) <= 1
    if N % 256 == 0:
        assert abs(memory.best - np.sqrt(r * d)) <= 0.2 * np.sqrt(r * d) + 1


@each_setting
def test_words_give_all_costs(params: Params) -> None:
    for cost in compute(params).values():
        for number in (cost.chosen, cost.recurrent, cost.parallel):
            assert f"{number:,.0f}" in describe(params)
        assert f"chunks of {cost.best}" in describe(params)


def test_a_chunk_has_at_most_all_tokens() -> None:
    shown = ChunkExplorer(N=256, chunk_size=4096)
    assert shown.params.chunk_size == 256
    shown.N = 65536
    assert shown.params.chunk_size == 4096
    with pytest.raises(ValueError, match="N is 65537: expected a whole number from 32 to 65536"):
        shown.N = 65537


def test_moving_sliders_does_not_load_torch_and_the_button_does() -> None:
    code = (
        "import sys; from lecture17 import widgets; e = widgets.ChunkExplorer(N=256); "
        "e.d_head = 16; print('torch' in sys.modules); "
        "e._answer(None, {'press': True}, []); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_button_times_all_three_forms_and_shows_them_for_these_settings_alone() -> None:
    shown = ChunkExplorer(N=256, d_state=16, d_head=16, chunk_size=40)
    before = shown.still()["text/html"]
    busy: list[bool] = []
    shown.observe(lambda change: busy.append(change.new), "busy")
    shown._answer(None, {"press": True}, [])
    assert busy == [True, False]
    assert shown.still()["text/html"] != before
    [times] = shown.data["times"].values()
    assert [c for c, _ in times["chunkwise"]] == [16, 32, 40, 64, 128]
    every = [times["recurrent"], times["parallel"], *(time for _, time in times["chunkwise"])]
    assert all(0 < time < 1e6 for time in every)
    assert describe_times(times) in shown.words
    shown.d_state = 32
    assert "Measured" not in shown.words
    shown.d_state, shown.chunk_size = 16, 1
    assert "Measured" in shown.words


def test_times_stay_in_the_page_and_are_told_there_in_the_same_words() -> None:
    shown = ChunkExplorer()
    shown.data = {"times": {"4096 64 64": TIMES}}
    [spec] = re.findall('data-explorer="([^"]*)"', shown.still()["text/html"])
    data: dict[str, Any] = json.loads(unescape(spec))["data"]
    for N, parallel in ((4096, None), (4096, 7.5), (4096, 1234.5), (256, None)):
        data["times"]["4096 64 64"]["parallel"] = parallel
        params = Params(N=N)
        [told] = in_browser(ChunkExplorer, [params], data)
        assert told["words"] == describe(params, **data)
        assert told["headline"] == headline(params)
        assert ("Measured" in told["words"]) == (N == 4096)


def test_what_fails_after_the_button_was_pressed_is_said_and_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(params: Params) -> Times:
        raise RuntimeError("not enough memory")

    shown = ChunkExplorer()
    monkeypatch.setattr("lecture17.widgets.chunks.measure", fails)
    with pytest.raises(RuntimeError, match="not enough memory"):
        shown._answer(None, {"press": True}, [])
    assert shown.failure == "That failed: RuntimeError: not enough memory"
    assert not shown.busy
    monkeypatch.setattr("lecture17.widgets.chunks.measure", lambda params: TIMES)
    shown._answer(None, {"press": True}, [])
    assert not shown.failure
    assert "Measured" in shown.words


def test_the_words_name_the_fastest_chunk_size_and_what_was_not_tried() -> None:
    words = describe_times(TIMES)
    assert re.search(r"recurrent 50, chunkwise 1\.25 at best, with chunks of 64, parallel not tried", words)
    assert "parallel 7.5." in describe_times({**TIMES, "parallel": 7.5})
    assert "parallel 1,230." in describe_times({**TIMES, "parallel": 1234.5})


@pytest.mark.parametrize("N", [32, 250, 8192])
def test_long_sequences_are_timed_without_the_matrix_that_would_not_fit(N: int) -> None:
    times = measure(Params(N=N, d_state=16, d_head=1))
    assert (times["parallel"] is None) == (N > 4096)
    assert times["chunkwise"]
