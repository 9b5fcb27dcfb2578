"""Many trainings, each with several seeds, and their results as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from .networks import Recipe, seeded
from .tasks import Task
from .training import OnStep, Schedule, accuracy, train, train_all

TEST_SEQUENCES = 128
LAST = 8  # how many places at the end of a sequence are reported by themselves


@dataclass(frozen=True)
class Training:
    """One line of an experiment: which network learns which task, and how."""

    name: str
    task: Task
    network: Recipe
    schedule: Schedule

    def new_network(self, seed: int) -> torch.nn.Module:
        """The network with the initial values of this seed."""
        return seeded(self.network, seed)


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
    checkpoints: Path | None = None,
    sequences: int = TEST_SEQUENCES,
) -> Outcome:
    """Make the network, train it and test it: the same arguments give the same bits on one machine, one thread."""
    model = training.new_network(seed)
    checkpoint = checkpoints and checkpoints / f"{training.name}-{seed}.pt"
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
    """Every training with every seed, in one-thread processes, with a progress bar; a test has `sequences` sequences.

    The stop button keeps what was learned so far; with a folder for `checkpoints`, calling again goes on from there.
    """
    tested = partial(once, lengths=tuple(lengths), checkpoints=checkpoints, sequences=sequences)
    jobs = {t.name: partial(tested, t) for t in trainings}
    outcomes = train_all(jobs, seeds, sum(t.schedule.steps for t in trainings), processes)
    return Results(
        {name: some for name, some in outcomes.items() if some}, {t.name: t.schedule.steps for t in trainings}
    )


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
