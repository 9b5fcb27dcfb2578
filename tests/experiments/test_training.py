"""Training: the same bits for the same seed, alone or in turn; schedules; a short run learns; results, stored."""

import json
import re
import runpy
import types
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lecture17 import experiments
from lecture17.course.notebooks import read
from lecture17.experiments import runs, settings, study
from lecture17.experiments.processes import progress_bar
from lecture17.experiments.runs import LAST, Outcome, Results, at_lengths, interval, take_turns, tuned
from lecture17.experiments.tasks import IGNORE, Batch
from lecture17.experiments.training import PARTS, Reading, accuracy
from tests.conftest import ROOT

PARITY = experiments.ModCounter(2)


def training(steps: int = 12, name: str = "signed", negative: bool = True) -> experiments.Training:
    made = experiments.network(PARITY, experiments.ScalarDecay, n_heads=8, d_state=4, negative=negative)
    return experiments.Training(name, PARITY, made, experiments.Schedule(steps=steps, lengths=(4, 16)))


def once(t: experiments.Training, seed: int, lengths: list[int], sequences: int = runs.TEST_SEQUENCES) -> Outcome:
    """One training by itself."""
    return take_turns([replace(t, read=partial(at_lengths, lengths, t.task, sequences))], seed)[t.name]


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_a_training_gives_the_same_bits_for_the_same_seed_whatever_came_before() -> None:
    first = once(training(), 3, [16])
    torch.rand(7)
    again, other = once(training(), 3, [16]), once(training(), 4, [16])
    assert (first.losses == again.losses).all()
    assert (first.final[16] == again.final[16]).all()
    assert (first.losses != other.losses).any()


@pytest.mark.usefixtures("one_thread")
def test_training_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    once(training(2), 3, [4])
    assert (torch.rand(3) == expected).all()


@pytest.mark.usefixtures("one_thread")
def test_processes_give_what_one_process_gives_and_keep_names_and_seeds_apart(capfd: pytest.CaptureFixture) -> None:
    trainings = [training(), training(name="positive", negative=False)]
    results = experiments.run(trainings, seeds=[3, 4], lengths=[16, 24], sequences=50)
    for t in trainings:
        for i, seed in enumerate((3, 4)):
            alone = once(t, seed, [16, 24], sequences=50)
            assert (results.outcomes[t.name][i].losses == alone.losses).all()
            assert (results.by_place(t.name, 24)[i] == alone.final[24]).all()
            assert ((50 * alone.final[24]).round(6) % 1 == 0).all(), "tested on 50 sequences"
    assert capfd.readouterr() == ("", ""), "no notebook and no terminal: no bar"


@pytest.mark.usefixtures("one_thread")
def test_a_short_run_learns_parity_with_a_negative_decay_and_not_with_positive_ones() -> None:
    # Which seeds learn it in so few steps depends on how a processor rounds: one of five is enough.
    signed = next(o for o in (once(training(400), seed, [16, 64]) for seed in range(5)) if o.losses[-10:].mean() < 0.1)
    positive = once(training(400, negative=False), 0, [16, 64])
    assert positive.losses[-10:].mean() > 0.5
    assert signed.final[64][-LAST:].mean() > 0.9
    assert positive.final[64][-LAST:].mean() < 0.65


def test_a_schedule_warms_up_decays_and_lets_sequences_grow() -> None:
    schedule = experiments.Schedule(steps=100, lengths=(4, 40), warmup=10, grow=0.4, lr=1.0)
    rates = [schedule.rate(step) for step in range(100)]
    assert np.argmax(rates) == 9
    assert 0 < rates[-1] < 0.02
    lengths = [schedule.length(step) for step in range(100)]
    assert lengths[0] == 4
    assert lengths == sorted(lengths)
    assert lengths.index(40) == 40
    assert set(lengths[40:]) == {40}
    assert experiments.Schedule(steps=10, lengths=(4, 40), grow=0).length(0) == 40


def test_without_growth_the_lengths_are_drawn_evenly_for_every_step() -> None:
    schedule = experiments.Schedule(steps=3000, lengths=(4, 13), grow=None)
    lengths = [schedule.length(step) for step in range(3000)]
    assert lengths == [schedule.length(step) for step in range(3000)]
    halves = [np.bincount(half, minlength=14)[4:] / 1500 for half in (lengths[:1500], lengths[1500:])]
    assert np.abs(np.array(halves) - 0.1).max() < 0.03


class Noted(experiments.ModCounter):
    """A task that notes who draws a batch for which step."""

    def draw(self, batch: int, length: int, seed: experiments.tasks.Seed) -> Batch:
        if isinstance(seed, tuple) and seed[0] == PARTS["training"]:
            DRAWN.append((self.k, seed[2]))
        return super().draw(batch, length, seed)


DRAWN: list[tuple[int, int]] = []


def test_trainings_take_turns_step_by_step_and_the_longer_one_goes_on_alone() -> None:
    made = {k: experiments.network(Noted(k), experiments.LinearAttention, n_heads=1, d_state=2) for k in (2, 3)}
    trainings = [
        experiments.Training(str(k), Noted(k), made[k], experiments.Schedule(steps, (4, 4)))
        for k, steps in ((2, 2), (3, 4))
    ]
    told: list[int] = []
    DRAWN.clear()
    outcomes = take_turns(trainings, 0, told.append)
    assert DRAWN == [(2, 0), (3, 0), (2, 0), (3, 0), (2, 1), (3, 1), (3, 2), (3, 3)], "first each to warm up"
    assert told == [0, 2, 4, 5, 6]
    assert [len(outcomes[name].seconds) for name in ("2", "3")] == [2, 4]


def fraction_right(model: torch.nn.Module, part: str) -> Reading:
    return {"right": accuracy(model, PARITY, 6, 40, part), part: np.ones(1)}


@pytest.mark.usefixtures("one_thread")
def test_on_its_way_a_training_is_read_on_the_validation_part_and_at_the_end_once_on_the_test() -> None:
    (outcome,) = take_turns([replace(training(9), read=fraction_right, tests=3)], 0).values()
    assert {step: "validation" in reading for step, reading in outcome.readings.items()} == {3: True, 6: True, 9: True}
    assert set(outcome.final) == {"right", "test"}
    assert (outcome.final["right"] != outcome.readings[9]["right"]).any(), "other sequences"
    results = Results({"signed": [outcome, outcome]}, {"signed": 9})
    steps, seconds, right = results.on_the_way("signed", "right")
    assert steps.tolist() == [3, 6, 9]
    np.testing.assert_allclose(seconds[1], [outcome.seconds[:n].sum() for n in (3, 6, 9)])
    assert right[0].tolist() == [outcome.readings[n]["right"].mean() for n in (3, 6, 9)]


@pytest.mark.usefixtures("one_thread")
def test_a_stopped_training_goes_on_from_its_checkpoint_with_its_seconds_and_readings(tmp_path: Path) -> None:
    t = replace(training(9), read=fraction_right, tests=3)
    whole = take_turns([t], 0)["signed"]
    stopped = take_turns([t], 0, lambda done: done == 4, tmp_path)["signed"]
    assert (len(stopped.losses), list(stopped.readings)) == (4, [3])
    resumed = take_turns([t], 0, checkpoints=tmp_path)["signed"]
    assert (resumed.losses == whole.losses).all()
    assert (resumed.seconds[:4] == stopped.seconds).all()
    assert all((resumed.readings[n]["right"] == whole.readings[n]["right"]).all() for n in (3, 6, 9))
    again = take_turns([t], 0, checkpoints=tmp_path)["signed"]
    assert (again.seconds == resumed.seconds).all(), "nothing is trained twice"
    others = [replace(t, tests=2), replace(t, schedule=replace(t.schedule, lr=1.0)), training(9, negative=False)]
    assert len({other.checkpoint(tmp_path, 0) for other in [t, *others]}) == 4


def test_the_rate_is_chosen_on_the_validation_part(monkeypatch: pytest.MonkeyPatch) -> None:
    here = lambda job, seeds, steps, processes: [job(seed=seed) for seed in seeds]  # noqa: E731
    monkeypatch.setattr(runs, "in_processes", here)
    t = replace(training(60), read=fraction_right)

    def cost(reading: Reading) -> float:
        return 1 - reading["right"].mean() * reading["validation"][0]

    (best,) = tuned([t], (1e-9, 1e-2), cost=cost, seeds=[5], steps=40)
    assert best == replace(t, schedule=replace(t.schedule, lr=1e-2))
    (worst,) = tuned([t], (1e-9, 1e-2), cost=lambda r: r["right"].mean(), seeds=[5], steps=40)
    assert worst.schedule.lr == 1e-9
    assert runs.wrong({4: np.array([1.0, 0.0]), 8: np.ones(4)}) == 0.25


def test_an_interval_covers_the_mean_as_often_as_it_says_and_is_wide_where_seeds_differ() -> None:
    rng = np.random.default_rng(0)
    covered = [low < 0 < high for low, high in (interval(rng.normal(size=(1, 200)), 400) for _ in range(200))]
    assert 0.9 < np.mean(covered) < 0.99
    low, high = interval(np.array([[0.0], [1.0], [2.0]]) + np.zeros((3, 50)))
    assert (low, high) == pytest.approx((0, 2))
    assert interval(np.full((3, 5), 0.25)) == pytest.approx((0.25, 0.25))


def test_an_anytime_schedule_does_not_depend_on_how_long_it_will_be() -> None:
    short, long = (experiments.Schedule(n, lengths=(4, 4), warmup=10, lr=1.0, anytime=True) for n in (40, 4000))
    rates = [short.rate(step) for step in range(40)]
    assert rates == [long.rate(step) for step in range(40)]
    assert rates[9] == max(rates) == 1.0
    assert rates[39] == pytest.approx(0.5)  # √(10 / 40)


class Constant(torch.nn.Module):
    """Says the same class everywhere."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.full_like(tokens, 1), 3).float()


def test_accuracy_counts_only_where_something_is_asked_and_tests_are_not_training_batches() -> None:
    task = experiments.Copying(3)
    tokens, labels = task.draw(50, 5, (1, 5))
    assert (accuracy(Constant(), task, 5, 50) == (labels[:, 5:] == 1).mean(0)).all()
    assert (labels[:, :5] == IGNORE).all()
    assert (tokens != task.draw(50, 5, (0, 1, 5)).tokens).any()


def test_a_network_adds_a_vector_for_each_place_where_it_is_asked_to() -> None:
    torch.manual_seed(0)
    made = experiments.network(PARITY, experiments.Attention, d_model=8, head_dim=8, positions=6, layers=2)
    model = made()
    repeated = torch.ones(1, 6, dtype=torch.long)
    assert (model(repeated)[0, 1:] - model(repeated)[0, :-1]).abs().amax(-1).min() > 1e-4
    without = experiments.network(PARITY, experiments.Attention, d_model=8, head_dim=8)()
    torch.testing.assert_close(without(repeated)[0, 0], without(repeated)[0, 5])


def results() -> Results:
    def outcome(value: float) -> Outcome:
        return Outcome({20: np.append(np.ones(12), np.full(8, value)), 40: np.full(40, value)}, np.zeros(1), 1234)

    outcomes = {"good": [outcome(0.9), outcome(1.0)], "a bad one": [outcome(0.5), outcome(0.25)]}
    return Results(outcomes, {"good": 1, "a bad one": 1})


def test_the_table_gives_mean_lowest_and_highest_over_the_seeds() -> None:
    assert results().table().splitlines() == [
        "all places  parameters  length 20          length 40",
        "good             1,234  0.98 (0.96…1.00)   0.95 (0.90…1.00)",
        "a bad one        1,234  0.75 (0.70…0.80)   0.38 (0.25…0.50)",
    ]
    assert results().table(last=8).splitlines()[1] == "good                1,234  0.95 (0.90…1.00)   0.95 (0.90…1.00)"
    assert results().mean("a bad one", 20, last=8).tolist() == [0.5, 0.25]


def test_the_table_says_where_sizes_differ_by_more_than_three_percent() -> None:
    unlike = {
        name: [replace(o, parameters=n) for o in results().outcomes[name]]
        for name, n in (("good", 1030), ("a bad one", 1000))
    }
    assert "differ" not in Results(unlike, results().steps).table()
    unlike["good"][0] = replace(unlike["good"][0], parameters=1031)
    assert Results(unlike, results().steps).table().endswith("\nparameters differ: 1,000 to 1,031")


def test_a_bar_says_how_far_it_is_and_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    notebook = types.SimpleNamespace(update=lambda data, raw: lines.append(data["text/plain"]))
    monkeypatch.setattr("IPython.get_ipython", lambda: types.SimpleNamespace(kernel=None))
    monkeypatch.setattr("IPython.display.display", lambda *args, **options: notebook)
    now = [100.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    with progress_bar(200, "200 steps") as bar:
        now[0] += 60
        bar.update(50)
        bar.update(10)  # too soon
    assert len(lines) == 3
    assert re.fullmatch(r"200 steps:   0%\|\s+\| 0/200 .*", lines[0])
    assert re.fullmatch(r"200 steps:  25%\|█+.?\s+\| 50/200 \[01:00<03:00,.*", lines[1])
    assert re.fullmatch(r"200 steps:  30%\|█+.?\s+\| 60/200 \[01:00<.*", lines[2]), "what it leaves: how far it came"


@pytest.mark.parametrize(("value", "full"), [("1", True), ("0", False), (None, False)])
def test_one_variable_chooses_the_full_run(monkeypatch: pytest.MonkeyPatch, value: str | None, full: bool) -> None:
    if value is None:
        monkeypatch.delenv(settings.VARIABLE, raising=False)
    else:
        monkeypatch.setenv(settings.VARIABLE, value)
    assert runpy.run_path(settings.__file__)["FULL"] is full


def test_provenance_names_run_seeds_steps_versions_and_machine_in_generic_words() -> None:
    text = experiments.provenance(True, [0, 1, 2], 1200)
    assert text.startswith("full run, seeds 0, 1, 2; 1,200 steps, one thread a seed\n")
    assert "PyTorch 2." in text
    assert " cores, " in text
    assert experiments.provenance(False, [0]).startswith("QUICK run")
    assert "seed" not in experiments.provenance(True, [], threads="two threads")


def test_a_quick_run_shows_the_stored_results_and_only_a_build_stores_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "FOLDER", tmp_path / "results")
    measured = {
        "right": {16: np.array([True, False])},
        "bits": np.array([[0.123456, 2.0]]),
        "best": "SSD",
        "n": np.int64(3),
    }
    with pytest.raises(FileNotFoundError, match="nothing is stored of some"):
        study.stored("some", measured, False, "quick")
    monkeypatch.setattr(study, "FULL", True)
    written = study.stored("some", measured, True, "full")
    before = (tmp_path / "results" / "some.json").read_bytes()
    assert json.loads(before)["measured"]["bits"] == [[0.1235, 2.0]]
    monkeypatch.setattr(study, "FULL", False)
    other = {**measured, "n": 4}
    quick, own = study.stored("some", other, False, "quick"), study.stored("some", other, True, "my own")
    for shown, provenance, n in ((written, "full", 3), (quick, "full", 3), (own, "my own", 4)):
        assert (shown.provenance, shown["n"], shown["best"]) == (provenance, n, "SSD")
        assert shown["right"]["16"].tolist() == [1, 0]
    assert (tmp_path / "results" / "some.json").read_bytes() == before


TIMES = set(study.FOLDER.glob("05a_*.json"))  # which have no seeds
TRAINED = set(study.FOLDER.glob("*.json")) - TIMES


LONGEST = {"05a_cost_decoding": 16384, "05a_cost_forms": 65536, "05a_cost_passes": 4096, "05a_cost_reading": 16384}


@pytest.mark.parametrize("path", sorted(TIMES), ids=lambda p: p.stem)
def test_stored_times_are_those_of_a_full_run(path: Path) -> None:
    kept = study.stored(path.stem, {}, False, "")
    assert kept.provenance.startswith("full run; one thread")
    assert max(series["N"].max() for series in kept.values()) == LONGEST[path.stem]


@pytest.mark.parametrize("path", sorted(TRAINED), ids=lambda p: p.stem)
def test_stored_results_are_those_of_a_full_run_with_three_seeds(path: Path) -> None:
    kept = study.stored(path.stem, {}, False, "")
    assert kept.provenance.startswith("full run, seeds 0, 1, 2; ")
    (measured,) = (kept[name] for name in ("right", "bits") if name in kept)
    assert {len(values) for values in measured.values()} == {3}


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("03d*.ipynb")), ids=lambda p: p.stem)
def test_the_stored_outputs_are_those_of_a_full_run(path: Path) -> None:
    text = "".join(o.get("text", "") for c in read(path).cells for o in c.get("outputs", []))
    assert text.count("full run, seeds 0, 1, 2; ") == 3
    assert "QUICK" not in text
