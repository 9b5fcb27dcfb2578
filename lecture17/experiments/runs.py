"""Many trainings at once, each with several seeds, and their results as a table."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch

from .network import Recipe
from .progress import Progress
from .tasks import Task
from .train import Schedule, accuracy, train

TEST_SEQUENCES = 128
LAST = 8  # how many places at the end of a sequence are reported by themselves
_COUNT_EVERY = 10  # steps

_steps_done: Any = None  # a counter that all processes share; set in each by _begin


@dataclass(frozen=True)
class Training:
    """One line of an experiment: which network learns which task, and how."""

    name: str
    task: Task
    network: Recipe
    schedule: Schedule


@dataclass(frozen=True)
class Outcome:
    """What came of one training with one seed: accuracy at each place, for each tested length."""

    accuracy: Mapping[int, np.ndarray]
    losses: np.ndarray
    parameters: int


def once(training: Training, seed: int, lengths: Sequence[int], on_step: Callable[[], None] = lambda: None) -> Outcome:
    """Make the network, train it and test it: the same bits for the same arguments on the same machine, one thread."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = training.network()
    losses = train(model, training.task, training.schedule, seed, on_step)
    tested = {length: accuracy(model, training.task, length, TEST_SEQUENCES) for length in lengths}
    return Outcome(tested, losses, sum(p.numel() for p in model.parameters()))


def run(trainings: Sequence[Training], seeds: Sequence[int], lengths: Sequence[int], processes: int = 2) -> "Results":
    """Every training with every seed, in processes of one thread each, with a progress bar."""
    total = len(seeds) * sum(t.schedule.steps for t in trainings)
    what = f"{len(trainings) * len(seeds)} trainings, {total:,} steps"
    context = get_context("spawn")
    counter = context.Value("q", 0)
    workers = min(processes, os.cpu_count() or 1, len(trainings) * len(seeds))
    pool = ProcessPoolExecutor(workers, context, _begin, (counter,))
    with Progress(total, what) as progress:
        try:
            jobs = {(t.name, s): pool.submit(_once_counted, t, s, tuple(lengths)) for t in trainings for s in seeds}
            waiting = set(jobs.values())
            while waiting:
                _, waiting = wait(waiting, timeout=0.5)
                progress.show(counter.value)
            return Results({t.name: [jobs[t.name, s].result() for s in seeds] for t in trainings})
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(counter: Any) -> None:
    """What each process does first."""
    global _steps_done
    _steps_done = counter
    torch.set_num_threads(1)


def _once_counted(training: Training, seed: int, lengths: Sequence[int]) -> Outcome:
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1
        if steps % _COUNT_EVERY == 0:
            with _steps_done.get_lock():
                _steps_done.value += _COUNT_EVERY

    return once(training, seed, lengths, count)


@dataclass(frozen=True)
class Results:
    """The outcomes of an experiment: one per seed, in order, for each training by name."""

    outcomes: Mapping[str, Sequence[Outcome]]

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
        return "\n".join(row.rstrip() for row in rows)


def _cell(values: np.ndarray) -> str:
    return f"{values.mean():.2f} ({values.min():.2f}…{values.max():.2f})"
