"""Training: the same bits for the same seed, in any process; schedules; a short run learns; results and their table."""

import re
import runpy
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from lecture17 import experiments
from lecture17.course.notebooks import read
from lecture17.experiments import settings
from lecture17.experiments.runs import LAST, Outcome, Results, once
from lecture17.experiments.tasks import IGNORE
from lecture17.experiments.training import accuracy, progress_bar
from tests.conftest import ROOT

PARITY = experiments.ModCounter(2)


def training(steps: int = 12, name: str = "signed", negative: bool = True) -> experiments.Training:
    made = experiments.network(PARITY, experiments.ScalarDecay, n_heads=8, d_state=4, negative=negative)
    return experiments.Training(name, PARITY, made, experiments.Schedule(steps=steps, lengths=(4, 16)))


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
    assert (first.accuracy[16] == again.accuracy[16]).all()
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
            assert (results.by_place(t.name, 24)[i] == alone.accuracy[24]).all()
            assert ((50 * alone.accuracy[24]).round(6) % 1 == 0).all(), "tested on 50 sequences"
    assert capfd.readouterr() == ("", ""), "no notebook and no terminal: no bar"


@pytest.mark.usefixtures("one_thread")
def test_a_short_run_learns_parity_with_a_negative_decay_and_not_with_positive_ones() -> None:
    # Which seeds learn it in so few steps depends on how a processor rounds: one of five is enough.
    signed = next(o for o in (once(training(400), seed, [16, 64]) for seed in range(5)) if o.losses[-10:].mean() < 0.1)
    positive = once(training(400, negative=False), 0, [16, 64])
    assert positive.losses[-10:].mean() > 0.5
    assert signed.accuracy[64][-LAST:].mean() > 0.9
    assert positive.accuracy[64][-LAST:].mean() < 0.65


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


def test_provenance_names_run_seeds_versions_and_machine_in_generic_words() -> None:
    text = experiments.provenance(True, [0, 1, 2])
    assert text.startswith("full run, seeds 0, 1, 2; 20")
    assert "PyTorch 2." in text
    assert " cores, " in text
    assert experiments.provenance(False, [0]).startswith("QUICK run")


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("03d*.ipynb")), ids=lambda p: p.stem)
def test_the_stored_outputs_are_those_of_a_full_run(path: Path) -> None:
    text = "".join(o.get("text", "") for c in read(path).cells for o in c.get("outputs", []))
    assert text.count("full run, seeds 0, 1, 2; ") == 3
    assert "QUICK" not in text
