"""Answers to the exercise of 05a."""

import numpy as np

from . import right, wrong

SLOPE = "05a_cost-slope"


def _fits(N, quadratic, linear):
    p, a = np.polyfit(np.log(N), np.log(quadratic), 1)
    q, b = np.polyfit(np.log(N), np.log(linear), 1)
    return p, a, q, b


@right(SLOPE)
def by_normal_equations(N, quadratic, linear):
    u = np.log2(N)
    u0 = u - u.mean()
    lines = []
    for times in (quadratic, linear):
        w = np.log2(times)
        slope = sum(u0 * w) / sum(u0 * u0)
        lines.append((slope, w.mean() - slope * u.mean()))
    (p, a), (q, b) = lines
    return p, q, 2 ** ((a - b) / (q - p))


@right(SLOPE)
def by_lstsq_to_base_10(N, quadratic, linear):
    M = np.column_stack([np.log10(N), np.ones(len(N))])
    (slopes, starts), *_ = np.linalg.lstsq(M, np.log10(np.column_stack([quadratic, linear])), rcond=None)
    return slopes[0], slopes[1], 10 ** (-(starts[0] - starts[1]) / (slopes[0] - slopes[1]))


@right(SLOPE)
def as_an_array(N, quadratic, linear):
    p, a, q, b = _fits(N, quadratic, linear)
    return np.array([p, q, np.exp((b - a) / (p - q))])


@wrong(SLOPE, "the axes are not logarithmic")
def without_logarithms(N, quadratic, linear):
    p, a = np.polyfit(N, quadratic, 1)
    q, b = np.polyfit(N, linear, 1)
    return p, q, (b - a) / (p - q)


@wrong(SLOPE, "only one axis is logarithmic")
def only_times_logged(N, quadratic, linear):
    p, a = np.polyfit(N, np.log(quadratic), 1)
    q, b = np.polyfit(N, np.log(linear), 1)
    return p, q, (b - a) / (p - q)


@wrong(SLOPE, "the crossover is left as a logarithm")
def crossover_left_as_a_log(N, quadratic, linear):
    p, a, q, b = _fits(N, quadratic, linear)
    return p, q, (b - a) / (p - q)


@wrong(SLOPE, "the two intercepts are subtracted the wrong way round")
def sign_of_the_crossover(N, quadratic, linear):
    p, a, q, b = _fits(N, quadratic, linear)
    return p, q, np.exp((a - b) / (p - q))


@wrong(SLOPE, "the slope is that from the first to the last point")
def first_and_last_point_only(N, quadratic, linear):
    span = np.log(N[-1] / N[0])
    p, q = np.log(quadratic[-1] / quadratic[0]) / span, np.log(linear[-1] / linear[0]) / span
    return p, q, N[0] * (linear[0] / quadratic[0]) ** (1 / (p - q))


@wrong(SLOPE, "the intercepts are returned for the slopes")
def intercepts_for_slopes(N, quadratic, linear):
    a, p = np.polyfit(np.log(N), np.log(quadratic), 1)
    b, q = np.polyfit(np.log(N), np.log(linear), 1)
    return p, q, np.exp((b - a) / (p - q))


@wrong(SLOPE, "the two methods are exchanged")
def methods_swapped(N, quadratic, linear):
    p, a, q, b = _fits(N, quadratic, linear)
    return q, p, np.exp((b - a) / (p - q))


@wrong(SLOPE, "the axes are exchanged")
def axes_swapped(N, quadratic, linear):
    p, a = np.polyfit(np.log(quadratic), np.log(N), 1)
    q, b = np.polyfit(np.log(linear), np.log(N), 1)
    return p, q, np.exp((b - a) / (p - q))


@wrong(SLOPE, "the logarithm is undone in another base")
def bases_mixed(N, quadratic, linear):
    p, a = np.polyfit(np.log2(N), np.log2(quadratic), 1)
    q, b = np.polyfit(np.log2(N), np.log2(linear), 1)
    return p, q, np.exp((b - a) / (p - q))


@wrong(SLOPE, "logarithms of different bases are fitted")
def base_2_against_base_10(N, quadratic, linear):
    p, a = np.polyfit(np.log2(N), np.log10(quadratic), 1)
    q, b = np.polyfit(np.log2(N), np.log10(linear), 1)
    return p, q, 2 ** ((b - a) / (p - q))


@wrong(SLOPE, "the crossover is the first measured length at which one is slower")
def first_length_where_linear_is_faster(N, quadratic, linear):
    p, _a, q, _b = _fits(N, quadratic, linear)
    return p, q, float(N[np.argmax(quadratic > linear)])


@wrong(SLOPE, "the exponents are those of theory, or rounded")
def exponents_taken_as_2_and_1(N, quadratic, linear):
    C, D = np.exp(np.mean(np.log(quadratic) - 2 * np.log(N))), np.exp(np.mean(np.log(linear) - np.log(N)))
    return 2.0, 1.0, D / C


@wrong(SLOPE, "the slopes are left out of the crossover, or added")
def crossover_with_exponents_2_and_1(N, quadratic, linear):
    p, a, q, b = _fits(N, quadratic, linear)
    return p, q, np.exp(b - a)


@wrong(SLOPE, "the slope is that from the first to the last point")
def mean_of_steps(N, quadratic, linear):
    p = np.mean(np.diff(np.log(quadratic)) / np.diff(np.log(N)))
    q = np.mean(np.diff(np.log(linear)) / np.diff(np.log(N)))
    a, b = np.mean(np.log(quadratic)) - p * np.mean(np.log(N)), np.mean(np.log(linear)) - q * np.mean(np.log(N))
    return p, q, np.exp((b - a) / (p - q))


@wrong(SLOPE, "the line is forced through the origin")
def lines_through_the_origin(N, quadratic, linear):
    u = np.log(N)
    p, q = (u @ np.log(quadratic)) / (u @ u), (u @ np.log(linear)) / (u @ u)
    return p, q, 1.0


@wrong(SLOPE, "")
def log_of_one_plus(N, quadratic, linear):
    p, a = np.polyfit(np.log(N), np.log1p(quadratic), 1)
    q, b = np.polyfit(np.log(N), np.log1p(linear), 1)
    return p, q, np.exp((b - a) / (p - q))


@wrong(SLOPE, "the slopes are left out of the crossover, or added")
def crossover_of_slopes_divided(N, quadratic, linear):
    p, a, q, b = _fits(N, quadratic, linear)
    return p, q, np.exp((b - a) / (p + q))


@wrong(SLOPE, "the exponents are those of theory, or rounded")
def rounded_exponents(N, quadratic, linear):
    p, a, q, b = _fits(N, quadratic, linear)
    return round(p), round(q), np.exp((b - a) / (p - q))


@wrong(SLOPE, "the crossover is rounded")
def rounded_crossover(N, quadratic, linear):
    p, a, q, b = _fits(N, quadratic, linear)
    return p, q, round(np.exp((b - a) / (p - q)))
