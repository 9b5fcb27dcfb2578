"""Measured series: slopes, the crossover, and that what is measured is what was asked for."""

import numpy as np
import pytest
import torch

from lecture17.costs import flops
from lecture17.experiments import measure
from lecture17.experiments.measure import Series, crossover
from lecture17.mixers import recurrences


def power(p: float, factor: float = 1.0, start: int = 256) -> Series:
    N = start * 4.0 ** np.arange(5)
    return Series(N, factor * N**p, N)


@pytest.mark.parametrize("p", [0, 1, 1.5, 2])
def test_the_slope_of_a_power_is_its_exponent(p: float) -> None:
    assert power(p).slope() == pytest.approx(p)
    assert power(p).counted_slope() == pytest.approx(1)


def test_the_slope_is_that_of_the_longest_lengths() -> None:
    series = power(1)
    series.seconds[:2] += 1e6
    assert series.slope() == pytest.approx(1)
    assert series.slope(longest=5) < 0


def test_the_crossover_lies_where_the_lines_cross() -> None:
    assert crossover(power(1, 1000.0), power(2)) == pytest.approx(1000)
    assert crossover(power(1, 1.0), power(2)) == 256  # quicker from the first on
    assert np.isnan(crossover(power(1, 1e9), power(2)))


def test_a_line_that_dips_once_has_not_crossed() -> None:
    dips = power(1, 3000.0)
    dips.seconds[0] = 1e-3
    assert crossover(dips, power(2)) == pytest.approx(3000)


def test_only_lengths_that_both_have_are_compared() -> None:
    longer = Series(*(np.append(a, 4 * a[-1]) for a in (power(1).N, power(1, 1000.0).seconds, power(1).N)))
    assert crossover(longer, power(2)) == pytest.approx(1000)


def test_a_sweep_has_every_mixer_in_every_form_with_counted_flops() -> None:
    costs = measure.sweep({"parallel": [64], "recurrent": [64], "chunkwise": [64, 128]})
    expected = {(m, f) for m, row in recurrences().items() for f in row.forms}
    assert set(costs) == expected | {("softmax", "parallel")}
    assert costs["softmax", "parallel"].N.tolist() == [64, 128]
    assert costs["gla", "chunkwise"].counted.tolist() == [flops("gla", "chunkwise", n, 64, 64) for n in (64, 128)]
    assert all((s.seconds > 0).all() for s in costs.values())


def test_parallel_forms_that_do_not_fit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_SCORES", 4 * 64**2 * 64)
    some = {name: recurrences()[name] for name in ("ssd", "wkv4")}
    monkeypatch.setattr(measure, "recurrences", lambda: some)
    costs = measure.sweep({"parallel": [64, 256], "recurrent": [64], "chunkwise": [64]})
    assert costs["ssd", "parallel"].N.tolist() == [64, 256]
    assert costs["wkv4", "parallel"].N.tolist() == [64]


def test_a_sweep_is_kept_and_found_again() -> None:
    costs = measure.sweep({"parallel": [64], "recurrent": [64, 128], "chunkwise": [64]})
    again = measure.restored(measure.plain(costs))
    assert again.keys() == costs.keys()
    assert all((again[key].seconds == costs[key].seconds).all() for key in costs)


def test_decoding_keeps_a_growing_cache_or_a_state_of_every_sequence() -> None:
    steps = measure.decoding(["softmax", "softmax:2", "ssd", "selective_scan"], {1: [64, 128], 3: [64]})
    cache, state = 4 * 8 * 64 * 128, 4 * 8 * 64 * 64
    assert steps["softmax", "batch-1"].counted.tolist() == [cache, 2 * cache]
    assert steps["softmax", "batch-3"].counted.tolist() == [3 * cache]
    assert steps["softmax:2", "batch-1"].counted.tolist() == [cache / 4, cache / 2]
    assert steps["ssd", "batch-1"].counted.tolist() == [state, state]
    assert steps["ssd", "batch-3"].counted.tolist() == [3 * state]
    assert steps["selective_scan", "batch-1"].counted.tolist() == [4 * 8 * 16 * 64] * 2
    assert all((s.seconds > 0).all() for s in steps.values())


@pytest.mark.parametrize("kv_heads", [1, 2, 8])
def test_a_cached_step_is_the_last_row_of_attention_whose_heads_share_keys(kv_heads: int) -> None:
    N = 20
    y, (keys, values) = measure.cached_step(N, 2, kv_heads)()
    q, k, v = measure.inputs("softmax", N + 1, sequences=2)
    shared = torch.arange(8) // (8 // kv_heads)
    expected = measure.attention(q, k[:, :, shared], v[:, :, shared])[:, -1]
    torch.testing.assert_close(y.flatten(1, 2), expected)
    assert keys.shape == values.shape == (2, kv_heads, N + 1, 64)
    assert keys.is_contiguous()


def test_what_a_prompt_leaves_is_what_the_next_token_needs() -> None:
    y, (keys, values) = measure.read("softmax", "parallel", 20)()
    whole = measure.inputs("softmax", 20)
    torch.testing.assert_close(y.transpose(1, 2), measure.attention(*whole))
    torch.testing.assert_close((keys.transpose(1, 2), values.transpose(1, 2)), whole[1:])
    y, state = measure.read("ssd", "chunkwise", 20)()
    for got, expected in zip((y, state), measure.read("ssd", "recurrent", 20)(), strict=True):
        torch.testing.assert_close(got, expected)
    found = measure.reading([("softmax", "parallel"), ("ssd", "chunkwise")], [16, 32])
    assert found["softmax", "parallel"].counted.tolist() == [4 * 8 * 16 * 128, 4 * 8 * 32 * 128]
    assert found["ssd", "chunkwise"].counted.tolist() == [4 * 8 * 64 * 64] * 2


def test_one_thread_measures_and_the_callers_number_is_put_back() -> None:
    before, threads = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        with measure.one_thread():
            threads.append(torch.get_num_threads())
        assert (threads, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_passes_write_each_entry_once() -> None:
    found = measure.passes([8, 16])
    assert set(found) == {("product", "new"), ("product", "at-hand")}
    assert all(s.counted.tolist() == [64, 256] and (s.seconds > 0).all() for s in found.values())


def test_seconds_at_a_length_that_was_measured() -> None:
    assert power(1).at(1024) == 1024
    with pytest.raises(ValueError, match="size"):
        power(1).at(1000)
