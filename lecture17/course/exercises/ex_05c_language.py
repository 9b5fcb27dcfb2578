"""Exercise of 05c_language."""

import statistics
from typing import Any

import numpy as np

from ..exercise import Exercise, Inputs, Misconception

# --- paired-interval ----------------------------------------------------------------------------------------------


def draw_losses(rng: np.random.Generator) -> Inputs:
    """Losses of two models on the same texts, which differ much more from text to text than the models do."""
    n = int(rng.integers(4, 30))
    texts = rng.normal(2.5, 0.6, n)
    gap = rng.choice([-0.08, 0.0, 0.08])
    return {
        "first": texts + rng.normal(scale=0.05, size=n),
        "second": texts + gap + rng.normal(scale=0.05, size=n),
        "t": float(rng.uniform(2.0, 3.2)),
    }


def sign(mean: float, half: float) -> int:
    return (mean > half) - (mean < -half)


def paired(first: np.ndarray, second: np.ndarray, t: float) -> tuple[float, float, float, int]:
    """The difference, its interval, and its sign if 0 lies outside."""
    differences = [float(b) - float(a) for a, b in zip(first, second, strict=True)]
    mean, half = statistics.fmean(differences), t * statistics.stdev(differences) / len(differences) ** 0.5
    return mean, mean - half, mean + half, sign(mean, half)


def interval(half: Any) -> Any:
    """The answer whose interval reaches so far on either side of the mean difference."""

    def answer(first: np.ndarray, second: np.ndarray, t: float) -> tuple[float, float, float, int]:
        mean = float((second - first).mean())
        reach = float(half(first, second, t))
        return mean, mean - reach, mean + reach, sign(mean, reach)

    return answer


def spoilt(change: Any) -> Any:
    """The right answer, changed by a function of the differences, t, and the four results."""
    return lambda first, second, t: change(second - first, t, *paired(first, second, t))


def of_differences(differ: Any) -> Any:
    """The right answer to another difference of the two models."""
    return lambda first, second, t: paired(np.zeros(len(first)), differ(first, second), t)


PAIRED_INTERVAL = Exercise(
    id="05c_language-paired-interval",
    points=4,
    unfilled="Return the mean of second − first, both ends of its interval, and the verdict: 1, -1 or 0.",
    draw=draw_losses,
    returns=("difference", "low", "high", "verdict"),
    verified="with few texts and many, and models that differ or do not",
    expected=paired,
    misconceptions=(
        Misconception(
            "the two models are treated as if they had read different texts",
            "both read the same texts: subtract text by text first, and take the deviation of the differences",
            interval(lambda a, b, t: t * np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))),
        ),
        Misconception(
            "the interval is that of single texts",
            "the mean of n differences deviates less than one of them: divide by √n",
            interval(lambda a, b, t: t * (b - a).std(ddof=1)),
        ),
        Misconception(
            "the deviation is divided by n instead of √n",
            "the variance of a mean falls like 1/n, its deviation like 1/√n",
            interval(lambda a, b, t: t * (b - a).std(ddof=1) / len(a)),
        ),
        Misconception(
            "the squares are divided by n",
            "np.std divides by n unless told otherwise; the mean is estimated too, so divide by n − 1: ddof=1",
            interval(lambda a, b, t: t * (b - a).std() / np.sqrt(len(a))),
        ),
        Misconception(
            "t is left out",
            "one standard error to each side covers about two cases of three: multiply by t",
            interval(lambda a, b, t: (b - a).std(ddof=1) / np.sqrt(len(a))),
        ),
        Misconception(
            "the first model is subtracted from",
            "the difference asked for is second − first",
            lambda first, second, t: paired(second, first, t),
        ),
        Misconception(
            "a verdict is given whatever the interval",
            "as long as 0 lies in the interval the difference may be noise: the verdict is 0",
            lambda first, second, t: (*paired(first, second, t)[:3], 1 if (second - first).mean() > 0 else -1),
            of=("verdict",),
        ),
        Misconception(
            "the lower loss is called the worse one",
            "these are losses: where both ends are above 0 the second model is worse, and the verdict is 1",
            lambda first, second, t: (*paired(first, second, t)[:3], -paired(first, second, t)[3]),
            of=("verdict",),
        ),
        Misconception(
            "the variance stands in for the standard deviation",
            "s is the root of the mean square: np.std, not np.var",
            interval(lambda a, b, t: t * (b - a).var(ddof=1) / np.sqrt(len(a))),
        ),
        Misconception(
            "the factor 1.96 of the normal distribution is used",
            "with few texts s is itself uncertain, and Student's factor is larger: use the argument t",
            interval(lambda a, b, t: 1.96 * (b - a).std(ddof=1) / np.sqrt(len(a))),
            also=(interval(lambda a, b, t: 2 * (b - a).std(ddof=1) / np.sqrt(len(a))),),
        ),
        Misconception(
            "the interval has half of its width",
            "t·s/√n is what the interval reaches to each side: do not divide it by 2",
            interval(lambda a, b, t: t / 2 * (b - a).std(ddof=1) / np.sqrt(len(a))),
        ),
        Misconception(
            "n − 1 is used twice",
            "n − 1 belongs under the sum of squares; the deviation of the mean is s/√n",
            interval(lambda a, b, t: t * (b - a).std(ddof=1) / np.sqrt(len(a) - 1)),
        ),
        Misconception(
            "the differences lose their signs",
            "where the second model is ahead the difference is negative: no absolute values",
            of_differences(lambda first, second: np.abs(second - first)),
        ),
        Misconception(
            "the differences are divided by the losses",
            "asked for are differences, in the units of the loss: second − first",
            of_differences(lambda first, second: (second - first) / first),
            also=(of_differences(lambda first, second: (second - first) / second),),
        ),
        Misconception(
            "the differences are added up instead of averaged",
            "δ̄ is their mean: divide the sum by n",
            spoilt(lambda delta, t, mean, low, high, verdict: (delta.sum(), low, high, verdict)),
            of=("difference",),
        ),
        Misconception(
            "the median stands in for the mean",
            "the interval belongs to the mean: np.mean",
            spoilt(lambda delta, t, mean, low, high, verdict: (np.median(delta), low, high, verdict)),
            of=("difference",),
        ),
        Misconception(
            "the ends are exchanged",
            "return the lower end first: δ̄ − t·s/√n",
            spoilt(lambda delta, t, mean, low, high, verdict: (mean, high, low, verdict)),
            of=("difference", "low", "high"),
        ),
        Misconception(
            "the interval lies around 0",
            "its middle is the mean difference: add δ̄ to both ends",
            spoilt(lambda delta, t, mean, low, high, verdict: (mean, low - mean, high - mean, verdict)),
            of=("difference", "low", "high"),
        ),
        Misconception(
            "the verdict does not say which model is worse",
            "it has a sign: -1 where both ends are below 0",
            spoilt(lambda delta, t, mean, low, high, verdict: (mean, low, high, abs(verdict))),
            of=("difference", "low", "high", "verdict"),
        ),
        Misconception(
            "the verdict is never 0",
            "0 in the interval says that the comparison shows nothing: ask for both ends",
            spoilt(lambda delta, t, mean, low, high, verdict: (mean, low, high, 1 if low > 0 else -1)),
            of=("verdict",),
            also=(spoilt(lambda delta, t, mean, low, high, verdict: (mean, low, high, -1 if high < 0 else 1)),),
        ),
        Misconception(
            "the verdict is 0 although the interval does not hold 0",
            "ask both ends of the interval of the differences; the intervals of the two losses overlap in any case",
            spoilt(lambda delta, t, mean, low, high, verdict: (mean, low, high, 0)),
            of=("verdict",),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "Make one number of each text, second − first. From here on there is only one sample.",
        ),
        ("My interval is too wide", "Take the deviation of the differences, not of the losses, and divide it by √n."),
        ("My interval is a little too narrow", "np.std has an argument ddof: what does it divide by without it?"),
    ),
)

EXERCISES = (PAIRED_INTERVAL,)
