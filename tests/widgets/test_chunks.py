"""The chunk explorer: formulas against those of 03b, minima against the formula's own, and times that are measured."""

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings

from lecture17.widgets.chunks import ChunkExplorer, Params, compute, describe, describe_times, measure

from .strategies import settings_of

any_settings = settings_of(ChunkExplorer)


@settings(max_examples=30, deadline=None)
@given(any_settings)
def test_costs_are_those_of_the_table_in_03b(params: Params) -> None:
    work, memory = compute(params).values()
    N, r, d, c = params.N, params.d_state, params.d_head, work.sizes
    np.testing.assert_allclose(
        work.chunkwise, c * (2 * r + 2 * d + 1) + 4 * r * d + 2 * r * d / c + 2 * r + d, atol=0.01
    )
    assert (work.recurrent, work.parallel) == (5 * r * d, N * (2 * r + 2 * d + 1))
    np.testing.assert_allclose(memory.chunkwise, N * memory.sizes + N / memory.sizes * r * d)
    assert (memory.recurrent, memory.parallel) == (r * d, N * N)
    for cost in (work, memory):
        assert cost.chosen == cost.chunkwise[list(cost.sizes).index(params.chunk_size)]


@settings(max_examples=30, deadline=None)
@given(any_settings)
def test_minima_are_at_the_square_roots_of_step_7_of_03b(params: Params) -> None:
    work, memory = compute(params).values()
    r, d = params.d_state, params.d_head
    assert abs(work.best - np.sqrt(2 * r * d / (2 * r + 2 * d + 1))) <= 1
    assert 1 / np.sqrt(2) <= memory.best / np.sqrt(r * d) <= np.sqrt(2)  # the nearest power of two


@settings(max_examples=30, deadline=None)
@given(any_settings)
def test_words_give_all_costs(params: Params) -> None:
    for cost in compute(params).values():
        for number in (cost.chosen, cost.recurrent, cost.parallel):
            assert f"{number:,.0f}" in describe(params)
        assert f"chunks of {cost.best}" in describe(params)


def test_moving_sliders_does_not_load_torch_and_the_button_does() -> None:
    code = (
        "import sys; from lecture17 import widgets; e = widgets.ChunkExplorer(N=256); "
        "e.positions = {**e.positions, 'd_head': 0}; print('torch' in sys.modules); "
        "e._answer(None, {'press': True}, []); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_button_times_all_three_forms_and_draws_them_for_these_settings_alone() -> None:
    shown = ChunkExplorer(N=256, d_state=16, d_head=16, chunk_size=32)
    before = shown.picture
    assert shown.scene.not_timed.get_visible()
    shown._answer(None, {"press": True}, [])
    assert not shown.busy
    assert shown.picture != before
    [times] = shown.scene.times.values()
    assert {form for form, _ in times} == {"recurrent", "chunkwise", "parallel"}
    assert all(0 < time < 1e6 for time in times.values())
    assert describe_times(shown.params, times) in shown.words
    shown.positions = {**shown.positions, "d_state": 1}
    assert shown.scene.not_timed.get_visible()
    assert "Measured" not in shown.words
    shown.positions = {**shown.positions, "d_state": 0, "chunk_size": 0}
    assert "Measured" in shown.words


def test_the_words_name_the_fastest_chunk_size_and_what_was_not_tried() -> None:
    times = {("recurrent", 1): 50.0, ("chunkwise", 16): 2.0, ("chunkwise", 64): 1.25, ("chunkwise", 256): 3.0}
    words = describe_times(Params(N=65536), times)
    assert re.search(r"recurrent 50, chunkwise 1\.25 at best, with chunks of 64, parallel not tried", words)
    assert "parallel 7.5." in describe_times(Params(N=4096), {**times, ("parallel", 4096): 7.5})


@pytest.mark.parametrize("N", [256, 8192])
def test_long_sequences_are_timed_without_the_matrix_that_would_not_fit(N: int) -> None:
    assert (("parallel", N) in measure(Params(N=N, d_state=16, d_head=16))) == (N <= 4096)
