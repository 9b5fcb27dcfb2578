"""Measured series: slopes, the crossover, and that what is measured is what was asked for."""

import numpy as np
import pytest

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
    assert costs["gla", "chunkwise"].flops.tolist() == [flops("gla", "chunkwise", n, 64, 64) for n in (64, 128)]
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


def test_decoding_keeps_a_growing_cache_or_a_state() -> None:
    steps = measure.decoding(["softmax", "ssd", "selective_scan"], [64, 128])
    assert steps["softmax", "step"].flops.tolist() == [4 * 8 * 64 * 128, 4 * 8 * 128 * 128]
    assert steps["ssd", "step"].flops.tolist() == 2 * [4 * 8 * 64 * 64]
    assert steps["selective_scan", "step"].flops.tolist() == 2 * [4 * 8 * 16 * 64]
