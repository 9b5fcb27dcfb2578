"""Errors: what floating point does to a decay, random features to softmax, and an overfull memory to recall."""

from collections.abc import Mapping, Sequence

import numpy as np

from .picture import (
    ATTENTION,
    DIAGONAL,
    NEUTRAL,
    OFF_DIAGONAL,
    STATE,
    Picture,
    each,
    ends,
    lines_over_sizes,
    log2_axis,
    styled,
)


@styled
def generator_range(
    log10_u: np.ndarray, log10_v: np.ndarray, state: np.ndarray, dtype: type[np.floating], *, title: str
) -> Picture:
    """Sizes of generators (as logs, since no `dtype` number holds them) and of the `state`, in the range of `dtype`."""
    limits = np.finfo(dtype)
    top, bottom = np.log10(float(limits.max)), np.log10(float(limits.smallest_subnormal))
    over, under = int(np.argmax(log10_v > top)), int(np.argmax(log10_u < bottom))
    picture = Picture(
        title,
        f"Sizes against the token, on a logarithmic axis: the generator v grows beyond the largest {limits.dtype} "
        f"number at token {over}, the generator u falls below the smallest at token {under}, the state stays between "
        f"{np.abs(state).min():.0e} and {np.abs(state).max():.0e} over all {len(state)} tokens.",
        size=(8.5, 3.8),
    )
    ax = picture.subplots()
    ax.axhspan(bottom, top, color="0.93", label=f"what {limits.dtype} can hold")
    ax.plot(log10_v, color=NEUTRAL, label="generator v")
    ax.plot(log10_u, color=NEUTRAL, linestyle="--", label="generator u")
    ax.plot(np.log10(np.abs(state)), color=STATE, linewidth=0.8, label="state")
    ax.plot([over, under], [top, bottom], "o", color="black", fillstyle="none", markersize=9)
    ax.annotate(f"token {over}", (over, top), (12, 2), textcoords="offset points")
    ax.annotate(f"token {under}", (under, bottom), (12, -6), textcoords="offset points")
    ax.set(xlabel="token", ylabel="size, as a power of ten", xlim=(0, len(state)), ylim=(2.2 * bottom, 2.2 * top))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return picture


@styled
def error_growth(lengths: Sequence[int], errors: Mapping[str, Sequence[float]], *, title: str) -> Picture:
    """Largest errors against the number of tokens, a line for each of two ways to compute the same thing."""
    picture = Picture(
        title,
        f"Largest error of the decay mask against the number of tokens {ends(lengths)}, both axes logarithmic: "
        f"{each(errors, lambda e: ends(e, '.0e'))}.",
        size=(7.5, 3.8),
    )
    ax = picture.subplots()
    lines_over_sizes(ax, lengths, errors, (NEUTRAL, DIAGONAL))
    ax.axhline(float(np.finfo(np.float32).eps), linestyle=":", color="black", label="spacing of float32 numbers at 1")
    ax.set(xlabel="tokens N", ylabel="largest error of L", yscale="log")
    ax.legend()
    return picture


@styled
def random_feature_error(n_features: np.ndarray, errors: Mapping[str, np.ndarray], *, title: str) -> Picture:
    """Relative errors against the number of features, a line and its fitted slope for each of two names."""
    slopes = {name: np.polyfit(np.log(n_features), np.log(error), 1)[0] for name, error in errors.items()}
    picture = Picture(
        title,
        f"Relative error against the number of random features {ends(n_features)}, both axes logarithmic: "
        + "; ".join(f"{name}, {ends(e, '.2f')}, slope {slopes[name]:.2f}" for name, e in errors.items())
        + ".",
        size=(7.5, 3.8),
    )
    ax = picture.subplots()
    for (name, error), marker in zip(errors.items(), "os", strict=True):
        ax.plot(n_features, error, marker + "-", color=STATE, label=f"{name}: slope {slopes[name]:.2f}")
        ax.plot(n_features, error[0] * np.sqrt(n_features[0] / n_features), ":", color=NEUTRAL)
    ax.plot([], ":", color=NEUTRAL, label="slope −1/2")
    log2_axis(ax, n_features.tolist())
    ax.set(xlabel="random features", ylabel="relative error of the weights", yscale="log")
    ax.legend()
    return picture


@styled
def recall_error(
    n_keys: Sequence[int], d_k: int, errors: Mapping[str, np.ndarray], *, written: str = "twice", title: str
) -> Picture:
    """Relative errors of recall against the number of keys in use, a line for each of up to five names.

    `written` says how often each key is; softmax attention, which keeps them all, comes last.
    """
    picture = Picture(
        title,
        f"Relative error of the recalled values against the number of keys in use, {ends(n_keys)}, "
        f"with keys of {d_k} numbers: "
        + "; ".join(f"{name} goes {ends(error, '.2f')}" for name, error in errors.items())
        + ". An error of 1 is as bad as recalling nothing.",
        size=(7.5, 3.8),
    )
    ax = picture.subplots()
    colors = NEUTRAL, OFF_DIAGONAL, STATE, DIAGONAL, ATTENTION
    for (name, error), color, marker in zip(errors.items(), colors, "^soDv", strict=False):
        ax.plot(n_keys, error, marker + "-", color=color, label=name)
    ax.axhline(1, linestyle=":", color="black", linewidth=1)
    ax.axvline(d_k, linestyle=":", color="black", linewidth=1)
    ax.text(d_k, ax.get_ylim()[1], " numbers in a key", va="top")
    ax.set(xlabel=f"keys in use (each written {written})", ylabel="error / size of the values", ylim=(0, None))
    ax.legend(loc="upper left")
    return picture
