"""Many trainings at once, each with several seeds, and their results as a table."""

import os
import signal
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from .network import Recipe
from .progress import Progress
from .stopping import StopButton
from .tasks import Task
from .train import Schedule, accuracy, train

TEST_SEQUENCES = 128
LAST = 8  # how many places at the end of a sequence are reported by themselves

_Key = TypeVar("_Key", bound=Hashable)
_Result = TypeVar("_Result")
OnStep = Callable[[int], bool | None]

_steps_done: Any = None  # a counter and a flag that all processes share; set in each by _begin
_stop: Any = None


@dataclass(frozen=True)
class Training:
    """One line of an experiment: which network learns which task, and how."""

    name: str
    task: Task
    network: Recipe
    schedule: Schedule

    def new_network(self, seed: int) -> torch.nn.Module:
        """The network with the first values of this seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.network()


@dataclass(frozen=True)
class Outcome:
    """What came of one training with one seed: accuracy at each place, for each tested length."""

    accuracy: Mapping[int, np.ndarray]
    losses: np.ndarray
    parameters: int


def once(
    training: Training,
    seed: int,
    lengths: Sequence[int],
    on_step: OnStep = lambda step: None,
    checkpoint: Path | None = None,
    sequences: int = TEST_SEQUENCES,
) -> Outcome:
    """Make the network, train it and test it: the same bits for the same arguments on the same machine, one thread."""
    model = training.new_network(seed)
    losses = train(model, training.task, training.schedule, seed, on_step, checkpoint)
    tested = {length: accuracy(model, training.task, length, sequences) for length in lengths}
    return Outcome(tested, losses, sum(p.numel() for p in model.parameters()))


def run(
    trainings: Sequence[Training],
    seeds: Sequence[int],
    lengths: Sequence[int],
    processes: int = 2,
    checkpoints: Path | None = None,
    sequences: int = TEST_SEQUENCES,
) -> "Results":
    """Every training with every seed, in processes of one thread each, with a progress bar; tests have `sequences`.

    The stop button keeps what was learned so far; with a folder for `checkpoints`, calling again goes on from there.
    """
    tested = partial(once, lengths=tuple(lengths), sequences=sequences)
    jobs = {
        (t.name, s): partial(tested, t, s, checkpoint=checkpoints and checkpoints / f"{t.name}-{s}.pt")
        for t in trainings
        for s in seeds
    }
    total = len(seeds) * sum(t.schedule.steps for t in trainings)
    done = in_processes(jobs, total, f"{len(jobs)} trainings, {total:,} steps", processes)
    outcomes = {t.name: [done[t.name, s] for s in seeds if (t.name, s) in done] for t in trainings}
    return Results(
        {name: some for name, some in outcomes.items() if some}, {t.name: t.schedule.steps for t in trainings}
    )


def in_processes(
    jobs: Mapping[_Key, Callable[..., _Result]], total: int, what: str, processes: int = 2
) -> dict[_Key, _Result]:
    """Call every job as job(on_step=…) in processes of one thread each; `total` steps are what the bar counts to.

    A job passes `on_step` on to `train`. When the stop button is pressed, on_step tells every running job to end, and
    what has not begun is left out of the result.
    """
    context = get_context("spawn")
    counter, stop = context.Value("q", 0), context.Value("b", 0)
    workers = min(processes, os.cpu_count() or 1, len(jobs))
    pool = ProcessPoolExecutor(workers, context, _begin, (counter, stop))
    with Progress(total, what) as progress, StopButton() as button:
        try:
            started = {key: pool.submit(_counted, job) for key, job in jobs.items()}
            waiting: set[Future[_Result | None]] = set(started.values())
            while waiting:
                _, waiting = wait(waiting, timeout=0.2)
                progress.show(counter.value)
                if button.asked:
                    stop.value = 1
                    waiting = {future for future in waiting if not future.cancel()}
            results = {key: future.result() for key, future in started.items() if not future.cancelled()}
            return {key: result for key, result in results.items() if result is not None}
        finally:
            stop.value = 1
            pool.shutdown(cancel_futures=True)


def _begin(counter: Any, stop: Any) -> None:
    """What each process does first."""
    global _steps_done, _stop
    _steps_done, _stop = counter, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Jupyter's ■ reaches all processes; the first one tells the others
    torch.set_num_threads(1)


def _counted(job: Callable[..., _Result]) -> _Result | None:
    """The job's result, or None if it was to stop before it began."""
    if _stop.value:
        return None
    seen = 0

    def count(step: int) -> bool:
        nonlocal seen
        with _steps_done.get_lock():
            _steps_done.value += step - seen  # more than one after a checkpoint
        seen = step
        return bool(_stop.value)

    return job(on_step=count)


@dataclass(frozen=True)
class Results:
    """The outcomes of an experiment: one per seed, in order, for each training by name, and how many steps each has."""

    outcomes: Mapping[str, Sequence[Outcome]]
    steps: Mapping[str, int]

    def by_place(self, name: str, length: int) -> np.ndarray:
        """Accuracies (seeds, places) of one training at one tested length."""
        return np.array([o.accuracy[length] for o in self.outcomes[name]])

    def mean(self, name: str, length: int, last: int | None = None) -> np.ndarray:
        """Accuracy of each seed, over all places or over the `last` ones."""
        places = self.by_place(name, length)
        return (places if last is None else places[:, -last:]).mean(1)

    def table(self, last: int | None = None) -> str:
        """Mean over the seeds, lowest and highest in brackets: a line for each training, a column for each length."""
        lengths = list(next(iter(self.outcomes.values()))[0].accuracy)
        places = "all places" if last is None else f"last {last} places"
        width = max(map(len, [places, *self.outcomes]))
        rows = [f"{places:{width}}  parameters  " + "  ".join(f"{f'length {n}':17}" for n in lengths)]
        for name, outcomes in self.outcomes.items():
            cells = [_cell(self.mean(name, n, last)) for n in lengths]
            rows.append(f"{name:{width}}  {outcomes[0].parameters:10,}  " + "  ".join(f"{c:17}" for c in cells))
        return "\n".join([row.rstrip() for row in rows] + self._stopped())

    def _stopped(self) -> list[str]:
        """A line for each training that was stopped before its last step."""
        lines = []
        for name, steps in self.steps.items():
            done = [len(outcome.losses) for outcome in self.outcomes.get(name, [])]
            if min(done, default=0) < steps:
                lines.append(f"stopped by hand: {name}, after {', '.join(map(str, done)) or 'none'} of {steps} steps")
        return lines


def _cell(values: np.ndarray) -> str:
    return f"{values.mean():.2f} ({values.min():.2f}…{values.max():.2f})"
