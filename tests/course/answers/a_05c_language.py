"""Answers to the exercise of 05c."""

import math
import statistics

import numpy as np

from . import right, wrong

INTERVAL = "05c_language-paired-interval"


def _answer(mean, half, verdict=None):
    lower, upper = mean - half, mean + half
    return mean, lower, upper, (int(lower > 0) - int(upper < 0)) if verdict is None else verdict


@right(INTERVAL)
def by_statistics(first, second, t):
    delta = [b - a for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    mean = statistics.fmean(delta)
    half = t * statistics.stdev(delta) / math.sqrt(len(delta))
    if mean - half > 0:
        return mean, mean - half, mean + half, 1
    if mean + half < 0:
        return mean, mean - half, mean + half, -1
    return mean, mean - half, mean + half, 0


@right(INTERVAL)
def by_the_covariance(first, second, t):
    n = len(first)
    C = np.cov(first, second)
    half = t * np.sqrt((C[0, 0] + C[1, 1] - 2 * C[0, 1]) / n)
    mean = second.mean() - first.mean()
    return mean, mean - half, mean + half, float(np.sign(mean) * (np.abs(mean) > half))


@wrong(INTERVAL, "the two models are treated as if they had read different texts")
def unpaired(first, second, t):
    n = len(first)
    return _answer(second.mean() - first.mean(), t * np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / n))


@wrong(INTERVAL, "the squares are divided by n")
def divided_by_n(first, second, t):
    delta = second - first
    return _answer(delta.mean(), t * delta.std() / np.sqrt(len(delta)))


@wrong(INTERVAL, "the interval is that of single texts")
def root_of_n_forgotten(first, second, t):
    delta = second - first
    return _answer(delta.mean(), t * delta.std(ddof=1))


@wrong(INTERVAL, "the deviation is divided by n instead of √n")
def n_without_root(first, second, t):
    delta = second - first
    return _answer(delta.mean(), t * delta.std(ddof=1) / len(delta))


@wrong(INTERVAL, "the variance stands in for the standard deviation")
def variance_for_deviation(first, second, t):
    delta = second - first
    return _answer(delta.mean(), t * delta.var(ddof=1) / np.sqrt(len(delta)))


@wrong(INTERVAL, "t is left out")
def t_forgotten(first, second, t):
    delta = second - first
    return _answer(delta.mean(), delta.std(ddof=1) / np.sqrt(len(delta)))


@wrong(INTERVAL, "the factor 1.96 of the normal distribution is used")
def the_normal_factor(first, second, t):
    delta = second - first
    return _answer(delta.mean(), 1.96 * delta.std(ddof=1) / np.sqrt(len(delta)))


@wrong(INTERVAL, "the interval has half of its width")
def half_the_width(first, second, t):
    delta = second - first
    return _answer(delta.mean(), t / 2 * delta.std(ddof=1) / np.sqrt(len(delta)))


@wrong(INTERVAL, "the first model is subtracted from")
def first_minus_second(first, second, t):
    delta = first - second
    return _answer(delta.mean(), t * delta.std(ddof=1) / np.sqrt(len(delta)))


@wrong(INTERVAL, "the lower loss is called the worse one")
def verdict_turned_around(first, second, t):
    delta = second - first
    *numbers, verdict = _answer(delta.mean(), t * delta.std(ddof=1) / np.sqrt(len(delta)))
    return *numbers, -verdict


@wrong(INTERVAL, "a verdict is given whatever the interval")
def verdict_by_the_mean(first, second, t):
    delta = second - first
    half = t * delta.std(ddof=1) / np.sqrt(len(delta))
    return _answer(delta.mean(), half, int(np.sign(delta.mean())))


@wrong(INTERVAL, "the verdict does not say which model is worse")
def verdict_says_only_whether(first, second, t):
    delta = second - first
    half = t * delta.std(ddof=1) / np.sqrt(len(delta))
    return _answer(delta.mean(), half, int(abs(delta.mean()) > half))


@wrong(INTERVAL, "the verdict is never 0")
def verdict_of_the_worse_mean_only(first, second, t):
    delta = second - first
    half = t * delta.std(ddof=1) / np.sqrt(len(delta))
    return _answer(delta.mean(), half, 1 if delta.mean() > half else -1)


@wrong(INTERVAL, "the verdict is 0 although the interval does not hold 0")
def intervals_that_overlap(first, second, t):
    delta = second - first
    half = t * delta.std(ddof=1) / np.sqrt(len(delta))
    apart = t * (first.std(ddof=1) + second.std(ddof=1)) / np.sqrt(len(first))
    verdict = int(np.sign(delta.mean())) if abs(delta.mean()) > apart else 0
    return _answer(delta.mean(), half, verdict)


@wrong(INTERVAL, "the ends are exchanged")
def ends_swapped(first, second, t):
    delta = second - first
    mean, lower, upper, verdict = _answer(delta.mean(), t * delta.std(ddof=1) / np.sqrt(len(delta)))
    return mean, upper, lower, verdict


@wrong(INTERVAL, "the interval lies around 0")
def ends_without_the_mean(first, second, t):
    delta = second - first
    mean, lower, upper, verdict = _answer(delta.mean(), t * delta.std(ddof=1) / np.sqrt(len(delta)))
    return mean, lower - mean, upper - mean, verdict


@wrong(INTERVAL, "the differences lose their signs")
def absolute_differences(first, second, t):
    delta = np.abs(second - first)
    return _answer(delta.mean(), t * delta.std(ddof=1) / np.sqrt(len(delta)))


@wrong(INTERVAL, "the differences are divided by the losses")
def relative_differences(first, second, t):
    delta = (second - first) / first
    return _answer(delta.mean(), t * delta.std(ddof=1) / np.sqrt(len(delta)))


@wrong(INTERVAL, "the differences are added up instead of averaged")
def sums_not_means(first, second, t):
    delta = second - first
    return _answer(delta.sum(), t * delta.std(ddof=1) / np.sqrt(len(delta)))


@wrong(INTERVAL, "n − 1 is used twice")
def root_of_n_minus_1(first, second, t):
    delta = second - first
    return _answer(delta.mean(), t * delta.std(ddof=1) / np.sqrt(len(delta) - 1))


@wrong(INTERVAL, "the median stands in for the mean")
def median_difference(first, second, t):
    delta = second - first
    return _answer(np.median(delta), t * delta.std(ddof=1) / np.sqrt(len(delta)))


@wrong(INTERVAL, "verdict is a str: expected a number")
def verdict_as_a_word(first, second, t):
    delta = second - first
    half = t * delta.std(ddof=1) / np.sqrt(len(delta))
    return _answer(delta.mean(), half, "second" if delta.mean() > half else "first" if -delta.mean() > half else "none")
