"""Many trainings, which take turns step by step, each with several seeds, and their results as a table."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .networks import Recipe, seeded
from .processes import OnStep, in_processes
from .tasks import Task
from .training import Reading, Schedule, UnderWay, accuracy

TEST_SEQUENCES = 128
LAST = 8  # how many places at the end of a sequence are reported by themselves
CLOSE = 1.03  # networks whose numbers of parameters differ by more do not pass for equal

Read = Callable[[torch.nn.Module, str], Reading]  # of a network, on the "validation" or the "test" part


@dataclass(frozen=True)
class Training:
    """One line of an experiment: which network learns which task, and how.

    read     what is read of the network: on the test part at the end, once; None: what `run` gives for all
    tests    how often it is read on its way, at equal distances and at the end, on the validation part
    """

    name: str
    task: Task
    network: Recipe
    schedule: Schedule
    read: Read | None = None
    tests: int = 0

    def new_network(self, seed: int) -> torch.nn.Module:
        """The network with the initial values of this seed."""
        return seeded(self.network, seed)

    def checkpoint(self, folder: Path, seed: int) -> Path:
        """A file of its own for every network, task, schedule and seed."""
        told = f"{_told(self.network)}, {self.task}, {self.schedule}, {self.tests}"
        return folder / f"{self.name}-{seed}-{hashlib.sha256(told.encode()).hexdigest()[:8]}.pt"


def _told(recipe: Any) -> str:
    """A recipe in words that are the same in every process."""
    if isinstance(recipe, partial):
        return f"{_told(recipe.func)}({_told(recipe.args)}, {_told(recipe.keywords)})"
    if isinstance(recipe, Mapping):
        return str({name: _told(value) for name, value in recipe.items()})
    if isinstance(recipe, list | tuple):
        return str([_told(value) for value in recipe])
    if isinstance(recipe, np.ndarray):
        return str(recipe.tolist())
    return getattr(recipe, "__qualname__", None) or repr(recipe)


@dataclass(frozen=True)
class Outcome:
    """What came of one training with one seed.

    final       what was read at the end: of sequences, the accuracy at each place for each tested length
    seconds     of a core, for each step
    readings    what was read on the validation part, by the number of steps done before
    """

    final: Reading
    losses: np.ndarray
    parameters: int
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(0))
    readings: Mapping[int, Reading] = field(default_factory=dict)
    weights: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)


def at_lengths(lengths: Sequence[int], task: Task, sequences: int, model: torch.nn.Module, part: str) -> Reading:
    """The accuracy at each place, for each of some lengths."""
    return {length: accuracy(model, task, length, sequences, part) for length in lengths}


def take_turns(
    trainings: Sequence[Training],
    seed: int,
    on_step: OnStep = lambda step: None,
    checkpoints: Path | None = None,
    part: str = "test",
) -> dict[str, Outcome]:
    """Do the first step of each training, then the second of each, and so on; then read them on `part`.

    Where the machine is slow for a while, it is slow for all, so their seconds can be compared. Every seed gives the
    same bits on one machine, whichever trainings take turns. `on_step` gets the number of steps that all have done
    together, and returns True to stop; what was learned is read all the same, and kept in the checkpoints.
    """
    begun: dict[str, UnderWay] = {}
    for t in trainings:
        path = checkpoints and t.checkpoint(checkpoints, seed)
        under_way = UnderWay(t.new_network(seed), t.task, t.schedule, seed, path)
        if not under_way.ended:  # PyTorch's first steps take seconds, which are no mixer's
            UnderWay(t.new_network(seed), t.task, t.schedule, seed).step()
        begun[t.name] = under_way
    stop = on_step(sum(u.done for u in begun.values()))
    while not stop and any(not u.ended for u in begun.values()):
        for t in trainings:
            under_way = begun[t.name]
            if not under_way.ended:
                under_way.step()
                _read_on_the_way(t, under_way)
        stop = on_step(sum(u.done for u in begun.values()))
    if stop:
        for under_way in begun.values():
            under_way.save()
    return {t.name: _outcome(t, begun[t.name], part) for t in trainings}


def _read_on_the_way(training: Training, under_way: UnderWay) -> None:
    steps, tests = training.schedule.steps, training.tests
    if training.read and under_way.done in {round((i + 1) * steps / tests) for i in range(tests)}:
        under_way.readings[under_way.done] = training.read(under_way.model, "validation")
        if under_way.ended:
            under_way.save()


def _outcome(training: Training, under_way: UnderWay, part: str) -> Outcome:
    model = under_way.model
    return Outcome(
        final=training.read(model, part) if training.read else {},
        losses=np.array(under_way.losses),
        parameters=sum(p.numel() for p in model.parameters()),
        seconds=np.array(under_way.seconds),
        readings=under_way.readings,
        weights={name: value.numpy() for name, value in model.state_dict().items()},
    )


def run(
    trainings: Sequence[Training],
    seeds: Sequence[int],
    lengths: Sequence[int] = (),
    processes: int = 2,
    checkpoints: Path | None = None,
    sequences: int = TEST_SEQUENCES,
    part: str = "test",
) -> "Results":
    """Every training with every seed, with a progress bar: a one-thread process for each seed, where all take turns.

    lengths        of the sequences on which the trainings are tested that do not say what to read, `sequences` of each
    checkpoints    a folder; the stop button keeps what was learned so far, and calling again goes on from there
    """
    told = [t if t.read else replace(t, read=partial(at_lengths, tuple(lengths), t.task, sequences)) for t in trainings]
    job = partial(take_turns, told, checkpoints=checkpoints, part=part)
    of_seeds = in_processes(job, seeds, sum(t.schedule.steps for t in trainings), processes)
    return Results(
        {t.name: [outcomes[t.name] for outcomes in of_seeds] for t in trainings if of_seeds},
        {t.name: t.schedule.steps for t in trainings},
    )


def wrong(reading: Reading) -> float:
    """The share of wrong answers, all lengths alike."""
    return 1 - float(np.mean([np.mean(of_length) for of_length in reading.values()]))


def tuned(
    trainings: Sequence[Training],
    rates: Sequence[float],
    *,
    seeds: Sequence[int],
    steps: int,
    cost: Callable[[Reading], float] = wrong,
    **options: Any,
) -> list[Training]:
    """Each training with that learning rate, out of `rates`, that costs least on the validation part.

    They are compared after a shorter training of `steps` steps, with seeds other than those of the results; `options`
    are those of `run`.
    """
    tried = {
        (t.name, rate): replace(
            t, name=f"{t.name}, {rate:g}", schedule=replace(t.schedule, steps=steps, lr=rate), tests=0
        )
        for t in trainings
        for rate in rates
    }
    found = run(list(tried.values()), seeds, part="validation", **options)

    def costs(name: str, rate: float) -> float:
        return float(np.mean([cost(o.final) for o in found.outcomes[tried[name, rate].name]]))

    return [replace(t, schedule=replace(t.schedule, lr=min(rates, key=partial(costs, t.name)))) for t in trainings]


@dataclass(frozen=True)
class Results:
    """The outcomes of an experiment: one per seed, in order, for each training by name, and how many steps each has."""

    outcomes: Mapping[str, Sequence[Outcome]]
    steps: Mapping[str, int]

    def by_place(self, name: str, key: Any) -> np.ndarray:
        """What was read at the end of one training: for a tested length the accuracies (seeds, places)."""
        return np.array([o.final[key] for o in self.outcomes[name]])

    def mean(self, name: str, length: Any, last: int | None = None) -> np.ndarray:
        """Accuracy of each seed, over all places or over the `last` ones."""
        places = self.by_place(name, length)
        return (places if last is None else places[:, -last:]).mean(1)

    def on_the_way(self, name: str, key: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Steps (tests,), seconds of a core (seeds, tests) and the means (seeds, tests) of what was read on the way."""
        outcomes = self.outcomes[name]
        steps = np.array(sorted(set.intersection(*(set(o.readings) for o in outcomes))), int)
        seconds = np.array([o.seconds.cumsum()[steps - 1] for o in outcomes])
        return steps, seconds, np.array([[o.readings[step][key].mean() for step in steps] for o in outcomes])

    def parameters(self) -> dict[str, int]:
        """How many parameters each network has."""
        return {name: outcomes[0].parameters for name, outcomes in self.outcomes.items()}

    def table(self, last: int | None = None) -> str:
        """Mean over the seeds, lowest and highest in brackets: a line for each training, a column for each length.

        A line below says so where the networks' numbers of parameters differ by more than three percent.
        """
        lengths = list(next(iter(self.outcomes.values()))[0].final)
        places = "all places" if last is None else f"last {last} places"
        width = max(map(len, [places, *self.outcomes]))
        rows = [f"{places:{width}}  parameters  " + "  ".join(f"{f'length {n}':17}" for n in lengths)]
        for name, outcomes in self.outcomes.items():
            cells = [_cell(self.mean(name, n, last)) for n in lengths]
            rows.append(f"{name:{width}}  {outcomes[0].parameters:10,}  " + "  ".join(f"{c:17}" for c in cells))
        sizes = self.parameters().values()
        if max(sizes) > CLOSE * min(sizes):
            rows.append(f"parameters differ: {min(sizes):,} to {max(sizes):,}")
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


def interval(values: np.ndarray, draws: int = 4000) -> tuple[float, float]:
    """95% interval of the mean of values (seeds, items), when both seeds and items are drawn again with replacement.

    Given differences between two networks with the same seed on the same item, it is that of a paired comparison.
    Source: Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7 (1979).
    """
    rng = np.random.default_rng(17)
    seeds, items = (rng.integers(n, size=(draws, n)) for n in values.shape)
    weights = np.zeros((draws, values.shape[1]))
    np.add.at(weights, (np.arange(draws)[:, None], items), 1 / values.shape[1])
    of_seeds = weights @ values.T  # (draws, seeds)
    means = np.take_along_axis(of_seeds, seeds, 1).mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
