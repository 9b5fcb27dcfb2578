"""The chooser: costs against the formulas, times against their rows, and each rule of the recommendation."""

import re

import numpy as np
import pytest
from hypothesis import given, settings

from lecture17 import bench, costs, mixers
from lecture17.mixers import MIXERS
from lecture17.widgets import chooser
from lecture17.widgets.chooser import HYBRID, LIMITS, RULES, Params, able, compute, describe, names

from .strategies import settings_of

any_settings = settings_of(chooser.ArchitectureChooser)
ROWS = tuple(
    bench.Row(mixer, form, N, seconds)
    for mixer in MIXERS
    for form, N, seconds in (
        (MIXERS[mixer].trained_form, 1024, 0.01),
        (MIXERS[mixer].trained_form, 4096, 0.08),
        ("step", 16, 1e-4),
        ("step", 4096, 1e-4),
    )
)


def test_the_layer_is_the_one_that_is_measured() -> None:
    assert (chooser.HEADS, chooser.D, chooser.CHUNK) == (bench.HEADS, bench.D, bench.CHUNK)
    assert set(names()) - {HYBRID} == {"softmax", *mixers.recurrences()} == set(MIXERS)
    for mixer in ("softmax", "ssd", "selective_scan"):
        row = bench.measure(mixer, MIXERS[mixer].trained_form, 128, None, budget=0.001)
        assert row.gflop == chooser.layer_flops(mixer, "training", 128) / 1e9


@settings(max_examples=50, deadline=None)
@given(any_settings)
def test_what_is_recommended_recalls_enough_and_fits_and_costs_least(params: Params) -> None:
    for rows in ((), ROWS):
        choice = compute(params, rows)
        enough, limit = able(params.recall), LIMITS[params.limit]
        for mixer, cost in choice.costs.items():
            assert cost.flops > 0
            assert (cost.fits, cost.recalls) == (cost.memory <= limit, mixer in enough)
            assert (cost.seconds is None) == (not rows)
        candidates = [cost for cost in choice.costs.values() if cost.fits and cost.recalls]
        best = choice.costs[choice.best]
        assert best.recalls
        if candidates:
            assert best in candidates
            assert (best.seconds or best.flops) == min(cost.seconds or cost.flops for cost in candidates)
        else:
            assert best.memory == min(choice.costs[mixer].memory for mixer in enough)


@settings(max_examples=50, deadline=None)
@given(any_settings)
def test_the_words_give_the_choice_the_rule_and_its_numbers(params: Params) -> None:
    for rows in ((), ROWS):
        choice, words = compute(params, rows), describe(params, rows)
        best = choice.costs[choice.best]
        fitting = sum(cost.fits for cost in choice.costs.values())
        assert f"{fitting} of {len(choice.costs)} fit into {params.limit}" in words
        assert chooser.size(choice.costs["softmax"].memory) in words
        assert RULES[params.recall] in words
        assert ("routes" in words) == (params.shape == "2-D" and params.phase == "training")
        if best.fits:
            assert words.startswith(f"Best here: {names()[choice.best]}. ")
            assert (chooser.duration(best.seconds) if best.seconds else chooser.count(best.flops)) in words
        else:
            assert words.startswith("Nothing here does what is asked. ")
            assert f"{names()[choice.best]} comes nearest, but nothing fits" in words


def test_decoding_costs_what_the_formulas_say_for_one_more_token() -> None:
    for mixer in ("softmax", "ssd", "rwkv7", "wkv4"):
        more = costs.flops(mixer, "step", 1001, 64, 64)
        if mixer != "softmax":
            assert more == costs.flops(mixer, "recurrent", 1001, 64, 64) - costs.flops(mixer, "recurrent", 1000, 64, 64)
        assert chooser.layer_flops(mixer, "decoding", 1000) == 8 * more
        assert chooser.layer_memory(mixer, "decoding", 1000) == 32 * costs.carried(mixer, 1000, 64, 64)


def test_in_decoding_only_caches_grow_and_in_training_everything_does() -> None:
    for mixer in names():
        for phase in ("training", "decoding"):
            short, long = (compute(Params(N=N, phase=phase)).costs[mixer] for N in (2**10, 2**20))
            grows = phase == "training" or mixer in ("softmax", HYBRID)
            assert (long.memory > short.memory) == grows, (mixer, phase)
            assert (long.flops > short.flops) == grows, (mixer, phase)


def test_a_hybrid_costs_what_its_layers_cost_on_average() -> None:
    costs = compute(Params(), ROWS).costs
    for of in ("flops", "memory", "seconds"):
        softmax, ssd, hybrid = (getattr(costs[mixer], of) for mixer in ("softmax", "ssd", HYBRID))
        assert hybrid == pytest.approx((softmax + 7 * ssd) / 8)


def test_an_image_is_scanned_four_times_and_attended_to_in_both_directions() -> None:
    line, image = (compute(Params(phase="training", shape=shape), ROWS).costs for shape in ("1-D", "2-D"))
    for of in ("flops", "memory", "seconds"):
        assert getattr(image["gla"], of) == 4 * getattr(line["gla"], of)
        pairs = 1 if of == "flops" else 2  # a masked square counts whole
        assert getattr(image["softmax"], of) == pairs * getattr(line["softmax"], of)
    assert compute(Params(shape="2-D")).costs == compute(Params(shape="1-D")).costs


def test_times_are_those_of_the_rows_between_them_straight_and_beyond_them_by_flops() -> None:
    def time(N: int, phase: str = "training", mixer: str = "ssd") -> float | None:
        return chooser.seconds(mixer, phase, N, ROWS)

    assert time(1024) == pytest.approx(0.01)
    assert time(2048) == pytest.approx(np.sqrt(0.01 * 0.08))
    assert time(4096 * 8) == pytest.approx(0.08 * 8)
    assert time(256) == pytest.approx(0.01 / 4)
    assert time(1024 * 64, mixer="softmax") == pytest.approx(0.08 * 16**2, rel=1e-3)
    assert time(2**20, "decoding") == time(2, "decoding") == pytest.approx(1e-4)
    assert time(4096 * 16, "decoding", "softmax") == pytest.approx(16e-4, rel=1e-3)
    assert chooser.seconds("ssd", "training", 1024, ROWS[:4]) is None


def test_where_a_candidate_is_not_measured_flops_decide_and_the_words_say_so() -> None:
    some = tuple(row for row in ROWS if row.mixer != "rwkv7")
    assert "fewest FLOPs" in describe(Params(), some)
    assert "by this machine's times" in describe(Params(), ROWS)


def test_measurements_are_drawn_and_decide() -> None:
    slow = tuple(row if row.mixer != "delta_rule" else bench.Row("delta_rule", row.form, row.N, 1.0) for row in ROWS)
    shown, without = chooser.ArchitectureChooser(slow), chooser.ArchitectureChooser()
    assert without.words.startswith("Best here: gated delta rule")
    assert re.match(r"Best here: RWKV-7\. .*fastest by this machine's times, 100 µs; next is ", shown.words)
    assert without.scene.untimed.get_visible()
    assert not shown.scene.untimed.get_visible()
    assert shown.picture != without.picture
    assert shown.scene.dots[1][3].get_xdata() == pytest.approx([1e-4])
    assert shown.scene.numbers[1][3].get_text() == "100 µs"


def test_units() -> None:
    assert [chooser.size(n) for n in (512, 999.9, 33554432.0)] == ["512 B", "1 kB", "33.6 MB"]
    assert [chooser.duration(t) for t in (9000, 2.5, 0.0042, 3e-6)] == ["2.5 h", "2.5 s", "4.2 ms", "3 µs"]
    assert chooser.count(3.2e12) == "3.2 TFLOP"
