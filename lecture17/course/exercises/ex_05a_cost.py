"""Exercise of 05a_cost."""

import itertools
import math
from typing import Any

import numpy as np

from ..exercise import Exercise, Inputs, Misconception

# --- slope --------------------------------------------------------------------------------------------------------


def draw_times(rng: np.random.Generator) -> Inputs:
    """Times of a method with a fixed cost, then a power law; and of a second one that is slower at first."""
    N = 2 ** np.arange(6, int(rng.integers(12, 16)))
    steep, flat = rng.uniform(1.6, 2.1), rng.uniform(0.8, 1.2)
    crossing = 2 ** rng.uniform(8, 10)
    noise = np.exp(rng.normal(scale=0.02, size=(2, len(N))))
    quadratic, linear = 1e-7 * N**steep * noise[0], 1e-7 * crossing ** (steep - flat) * N**flat * noise[1]
    return {"N": N.astype(float), "quadratic": quadratic, "linear": linear}


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the least-squares line."""
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    return float(slope), float(y.mean() - slope * x.mean())


def fitted(N: np.ndarray, quadratic: np.ndarray, linear: np.ndarray) -> tuple[float, float, float]:
    """Both slopes on logarithmic axes, and where the two lines meet."""
    (p, b), (q, c) = (line(np.log(N), np.log(seconds)) for seconds in (quadratic, linear))
    return p, q, float(np.exp((c - b) / (p - q)))


def with_slopes(slope: Any) -> Any:
    return lambda N, *times: (*(slope(N, t) for t in times), fitted(N, *times)[2])


def with_crossover(crossover: Any) -> Any:
    return lambda N, *times: (*fitted(N, *times)[:2], crossover(N, *times))


def first_slower(N: np.ndarray, quadratic: np.ndarray, linear: np.ndarray) -> float:
    return float(N[np.argmax(quadratic > linear)])


def log_of_crossover(N: np.ndarray, quadratic: np.ndarray, linear: np.ndarray) -> float:
    return float(np.log(fitted(N, quadratic, linear)[2]))


def inverse_crossover(N: np.ndarray, quadratic: np.ndarray, linear: np.ndarray) -> float:
    return 1 / fitted(N, quadratic, linear)[2]


def met(of_slopes: Any) -> Any:
    """The crossover, with the difference of the intercepts divided by another number than p − q."""

    def crossover(N: np.ndarray, *times: np.ndarray) -> float:
        (p, b), (q, c) = (line(np.log(N), np.log(seconds)) for seconds in times)
        return float(np.exp((c - b) / of_slopes(p, q)))

    return crossover


SLOPES, CROSSOVER = ("slope_quadratic", "slope_linear"), ("crossover",)

SLOPE = Exercise(
    id="05a_cost-slope",
    points=4,
    unfilled="Fit a straight line to log seconds over log N for each method; return both slopes and where they meet.",
    draw=draw_times,
    returns=("slope_quadratic", "slope_linear", "crossover"),
    verified="with noisy times and different slopes",
    expected=fitted,
    tol=1e-8,
    misconceptions=(
        Misconception(
            "the axes are not logarithmic",
            "a power law is straight on log-log axes only: fit log(seconds) over log(N)",
            with_slopes(lambda N, t: line(N, t)[0]),
            of=SLOPES,
        ),
        Misconception(
            "only one axis is logarithmic",
            "take the log of both: log(seconds) over log(N)",
            with_slopes(lambda N, t: line(N, np.log(t))[0]),
            of=SLOPES,
        ),
        Misconception(
            "the slope is that of the last two points",
            "two points carry all of their noise into the slope: fit a line to all of them",
            with_slopes(lambda N, t: float(np.log(t[-1] / t[-2]) / np.log(N[-1] / N[-2]))),
            of=SLOPES,
        ),
        Misconception(
            "the slope is that from the first to the last point",
            "that leaves out every point between, and so does the mean of all steps: fit a line to all of them",
            with_slopes(lambda N, t: float(np.log(t[-1] / t[0]) / np.log(N[-1] / N[0]))),
            of=SLOPES,
        ),
        Misconception(
            "the intercepts are returned for the slopes",
            "np.polyfit(x, y, 1) returns the highest power first: slope, then intercept",
            with_slopes(lambda N, t: line(np.log(N), np.log(t))[1]),
            of=SLOPES,
            also=tuple(with_slopes(lambda N, t, log=log: line(log(N), log(t))[1]) for log in (np.log2, np.log10)),
        ),
        Misconception(
            "the axes are exchanged",
            "seconds = C·N^p: fit log(seconds) over log(N), np.polyfit(log N, log seconds, 1)",
            with_slopes(lambda N, t: line(np.log(t), np.log(N))[0]),
            of=SLOPES,
        ),
        Misconception(
            "logarithms of different bases are fitted",
            "use one base for the lengths and the seconds: the slope is the exponent in any one base",
            with_slopes(lambda N, t: line(np.log2(N), np.log(t))[0]),
            of=SLOPES,
            also=tuple(
                with_slopes(lambda N, t, x=x, y=y: line(x(N), y(t))[0])
                for x, y in itertools.permutations((np.log, np.log2, np.log10), 2)
            ),
        ),
        Misconception(
            "the line is forced through the origin",
            "C is not 1: give the line an intercept, np.polyfit(log N, log seconds, 1)",
            with_slopes(lambda N, t: float(np.log(N) @ np.log(t) / (np.log(N) @ np.log(N)))),
            of=SLOPES,
        ),
        Misconception(
            "the exponents are those of theory, or rounded",
            "measured times need not follow theory: return the slopes of the fitted lines as they are",
            with_slopes(lambda N, t: float(round(line(np.log(N), np.log(t))[0]))),
            of=SLOPES,
            also=(lambda N, *times: (2.0, 1.0, fitted(N, *times)[2]),),
        ),
        Misconception(
            "the two methods are exchanged",
            "return the exponent of `quadratic` first, then that of `linear`",
            lambda N, quadratic, linear: fitted(N, linear, quadratic),
            of=SLOPES,
        ),
        Misconception(
            "the crossover is the first measured length at which one is slower",
            "the lines meet between two measured lengths: set p·log N + b equal to q·log N + c and solve",
            with_crossover(first_slower),
            of=CROSSOVER,
        ),
        Misconception(
            "the crossover is left as a logarithm",
            "the lines meet at a log N: take exp of it (2 to that power, if your logs have base 2)",
            with_crossover(log_of_crossover),
            of=CROSSOVER,
        ),
        Misconception(
            "the two intercepts are subtracted the wrong way round",
            "from p·log N + b = q·log N + c follows log N = (c − b)/(p − q)",
            with_crossover(inverse_crossover),
            of=CROSSOVER,
        ),
        Misconception(
            "the logarithm is undone in another base",
            "np.log2 is undone by 2**, np.log10 by 10**, and np.log by np.exp",
            with_crossover(lambda *inputs: float(np.exp(np.log2(fitted(*inputs)[2])))),
            of=CROSSOVER,
            also=tuple(
                with_crossover(lambda *inputs, base=base, log=log: float(base ** log(fitted(*inputs)[2])))
                for base, log in itertools.product((2, np.e, 10), (np.log, np.log2, np.log10))
                if not np.isclose(log(base), 1)
            ),
        ),
        Misconception(
            "the slopes are left out of the crossover, or added",
            "from p·log N + b = q·log N + c follows log N = (c − b)/(p − q)",
            with_crossover(met(lambda p, q: 1)),
            of=CROSSOVER,
            also=(with_crossover(met(lambda p, q: p + q)),),
        ),
        Misconception(
            "the crossover is rounded",
            "two lines meet at any real N: return it as it is",
            with_crossover(lambda *inputs: float(round(fitted(*inputs)[2]))),
            of=CROSSOVER,
            also=tuple(
                with_crossover(lambda *inputs, rounded=rounded: rounded(fitted(*inputs)[2]))
                for rounded in (math.floor, math.ceil)
            ),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "If seconds = C·N^p, what is log(seconds)? np.polyfit(x, y, 1) returns a slope and an intercept.",
        ),
        ("My slopes are tiny or huge", "Take logarithms of both the lengths and the seconds before you fit."),
        (
            "My crossover is not between the lengths",
            "Solve p·log N + b = q·log N + c for log N, and undo the logarithm.",
        ),
    ),
)

EXERCISES = (SLOPE,)
