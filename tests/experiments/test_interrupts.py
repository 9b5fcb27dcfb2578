"""A training that is interrupted anywhere, and resumed, ends with the same bits as one that was not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch import nn
from tqdm import tqdm

from lecture17 import experiments
from lecture17.experiments.processes import StopButton, in_processes
from lecture17.experiments.tasks import Batch
from lecture17.experiments.training import Schedule, train

TASK = experiments.ModCounter(3)
STEPS = 120
SCHEDULE = Schedule(steps=STEPS, lengths=(2, 6), batch=4)


def network(seed: int) -> nn.Module:
    """One with dropout, so that PyTorch's random numbers matter too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Embedding(3, 8), nn.Dropout(0.2), nn.Linear(8, 3))


def weights(model: nn.Module) -> list[np.ndarray]:
    return [p.detach().numpy().copy() for p in model.parameters()]


@pytest.fixture(scope="module")
def uninterrupted() -> tuple[list[np.ndarray], np.ndarray]:
    model = network(0)
    losses = train(model, TASK, SCHEDULE, seed=7)
    assert len(losses) == STEPS
    return weights(model), losses


def assert_resumes_to(uninterrupted: tuple[list[np.ndarray], np.ndarray], checkpoint: Path) -> None:
    """Resume into a network with other first values, after other random numbers."""
    torch.rand(5)
    model = network(1 if checkpoint.exists() else 0)
    losses = train(model, TASK, SCHEDULE, seed=7, checkpoint=checkpoint)
    expected, expected_losses = uninterrupted
    assert all((got == want).all() for got, want in zip(weights(model), expected, strict=True))
    assert (losses == expected_losses).all()
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


@pytest.mark.parametrize("at", [1, 2, 49, 50, 51, 99, 119, 120])
def test_stopped_after_any_step(at: int, tmp_path: Path, uninterrupted: Any) -> None:
    checkpoint, model = tmp_path / "c.pt", network(0)
    losses = train(model, TASK, SCHEDULE, 7, lambda step: step == at, checkpoint)
    assert (losses == uninterrupted[1][:at]).all()
    kept = torch.load(checkpoint, weights_only=True)["model"].values()
    assert all((a == b.numpy()).all() for a, b in zip(weights(model), kept, strict=True))
    assert_resumes_to(uninterrupted, checkpoint)


def test_stopped_again_and_again(tmp_path: Path, uninterrupted: Any) -> None:
    for at in (3, 30, 31, 80):
        train(network(at if at > 3 else 0), TASK, SCHEDULE, 7, at.__eq__, tmp_path / "c.pt")
    assert_resumes_to(uninterrupted, tmp_path / "c.pt")


class PowerCut(Exception):
    """Stands for whatever ends a process between two lines of code."""


def cut_at(call: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which fails at its call of that number, counted from 1."""
    calls = 0

    def called(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise PowerCut
        return function(*args, **kwargs)

    return called


def half_written(state: Any, file: Any) -> None:
    file.write(b"PK\x03\x04 half a checkpoint")
    raise PowerCut


PLACES: dict[str, tuple[Any, str]] = {
    "the draw": (type(TASK), "draw"),
    "the loss": (nn.functional, "cross_entropy"),
    "the backward pass": (torch.Tensor, "backward"),
    "the optimizer": (torch.optim.AdamW, "step"),
}
WRITING: dict[str, tuple[Any, str]] = {"save": (torch, "save"), "fsync": (os, "fsync"), "replace": (os, "replace")}


def cut(monkeypatch: pytest.MonkeyPatch, place: tuple[Any, str], call: int) -> None:
    monkeypatch.setattr(*place, cut_at(call, getattr(*place)))


@pytest.mark.parametrize("step", [1, 50, 51, 117])
@pytest.mark.parametrize("place", PLACES)
def test_cut_in_the_middle_of_a_step(
    place: str, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: Any
) -> None:
    with monkeypatch.context() as patched:
        cut(patched, PLACES[place], step)
        with pytest.raises(PowerCut):
            train(network(0), TASK, SCHEDULE, 7, checkpoint=tmp_path / "c.pt")
    assert_resumes_to(uninterrupted, tmp_path / "c.pt")


@pytest.mark.parametrize("write", [1, 2, 3])
@pytest.mark.parametrize("place", WRITING)
def test_cut_while_a_checkpoint_is_written(
    place: str, write: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: Any
) -> None:
    with monkeypatch.context() as patched:
        cut(patched, WRITING[place], write)
        with pytest.raises(PowerCut):
            train(network(0), TASK, SCHEDULE, 7, checkpoint=tmp_path / "c.pt")
    assert not list(tmp_path.glob(".*")), "a scratch file is left"
    assert_resumes_to(uninterrupted, tmp_path / "c.pt")


def test_half_a_checkpoint_never_takes_the_place_of_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: Any
) -> None:
    train(network(0), TASK, SCHEDULE, 7, lambda step: step == 60, tmp_path / "c.pt")
    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", half_written)
        with pytest.raises(PowerCut):
            train(network(1), TASK, SCHEDULE, 7, checkpoint=tmp_path / "c.pt")
    assert_resumes_to(uninterrupted, tmp_path / "c.pt")


def test_killed_at_a_moment_of_the_systems_choosing(tmp_path: Path, uninterrupted: Any) -> None:
    checkpoint = tmp_path / "c.pt"
    code = (
        "from pathlib import Path; import time; from tests.experiments.test_interrupts import *; "
        "train(network(0), TASK, SCHEDULE, 7, lambda step: time.sleep(0.01), Path(r'" + str(checkpoint) + "'))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 300  # a busy machine takes long to import PyTorch
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)  # some twenty steps further
    process.kill()
    assert process.wait() != 0, "it ended before it could be killed"
    assert len(torch.load(checkpoint, weights_only=True)["losses"]) < STEPS
    for scratch in tmp_path.glob(".*.tmp"):  # a process that was killed cannot tidy up
        scratch.unlink()
    assert_resumes_to(uninterrupted, checkpoint)


def test_the_stop_button_keeps_what_was_learned(tmp_path: Path, uninterrupted: Any) -> None:
    def press(step: int) -> None:
        if step == 33:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    losses = train(network(0), TASK, SCHEDULE, 7, press, tmp_path / "c.pt")
    assert signal.getsignal(signal.SIGINT) is before
    assert (losses == uninterrupted[1][:33]).all()
    assert_resumes_to(uninterrupted, tmp_path / "c.pt")


def test_the_button_is_heard_after_the_step_and_pressed_twice_it_interrupts_at_once() -> None:
    with StopButton() as button:
        os.kill(os.getpid(), signal.SIGINT)
        assert button.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_somebody_elses_handler_is_left_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopButton() as button:
            os.kill(os.getpid(), signal.SIGINT)
            assert not button.asked
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.pt"
    train(network(0), TASK, SCHEDULE, 7, lambda step: step == 2, checkpoint)
    with pytest.raises(ValueError, match=r"another training: expected .*seed 8, got .*seed 7"):
        train(network(0), TASK, SCHEDULE, 8, checkpoint=checkpoint)


def test_dropout_depends_on_the_seed_and_not_on_what_came_before(uninterrupted: Any) -> None:
    torch.rand(3)
    state = torch.get_rng_state()
    assert (train(network(0), TASK, SCHEDULE, 7) == uninterrupted[1]).all()
    assert (torch.get_rng_state() == state).all()


@dataclass(frozen=True)
class SlowParity(experiments.ModCounter):
    """A task that leaves the time to press a button, and notes in a folder which processes draw from it."""

    seen: Path = Path()

    def draw(self, batch: int, length: int, seed: experiments.tasks.Seed) -> Batch:
        (self.seen / str(os.getpid())).touch()
        time.sleep(0.01)
        return super().draw(batch, length, seed)


def test_the_stop_button_ends_all_trainings_and_they_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = SlowParity(2, tmp_path / "seen")
    task.seen.mkdir()
    made = experiments.network(task, experiments.ScalarDecay, n_heads=2, d_state=2, negative=True)
    schedule = Schedule(steps=150, lengths=(4, 8), batch=4)
    trainings = [experiments.Training(name, task, made, schedule) for name in ("a", "b")]

    def press(bar: tqdm, done: int) -> None:
        if done > 20 and len([*task.seen.iterdir()]) > n_before + 1:  # both trainings have begun
            for process in set(psutil.Process().children()) - others:  # Jupyter's button reaches them all
                process.send_signal(signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            monkeypatch.undo()

    others = set(psutil.Process().children())  # a browser of other tests
    whole = experiments.run(trainings, [0, 1, 2], [8])
    assert "stopped" not in whole.table()
    n_before = len([*task.seen.iterdir()])
    monkeypatch.setattr(tqdm, "update", press)
    stopped = experiments.run(trainings, [0, 1, 2], [8], checkpoints=tmp_path)
    done = [len(o.losses) for o in stopped.outcomes["a"]]
    assert len(done) == 2, "the third seed had not begun"
    assert all(0 < n < 150 for n in done)
    assert [len(o.losses) for o in stopped.outcomes["b"]] == done, "they take turns"
    assert stopped.table().splitlines()[-2:] == [
        f"stopped by hand: a, after {done[0]}, {done[1]} of 150 steps",
        f"stopped by hand: b, after {done[0]}, {done[1]} of 150 steps",
    ]
    resumed = experiments.run(trainings, [0, 1, 2], [8], checkpoints=tmp_path)
    for name in ("a", "b"):
        for once, again in zip(whole.outcomes[name], resumed.outcomes[name], strict=True):
            assert (once.losses == again.losses).all()
            assert (once.final[8] == again.final[8]).all()


def interrupted_outside_a_training(seed: int, on_step: Any) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return 17


def test_interrupts_do_not_reach_what_a_process_does_besides_training() -> None:
    assert in_processes(interrupted_outside_a_training, [0], 1) == [17]
