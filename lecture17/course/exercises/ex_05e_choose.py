"""Exercises of 05e_choose."""

from typing import Any

import numpy as np

from ..exercise import Exercise, Inputs, Misconception

# --- kv-cache -----------------------------------------------------------------------------------------------------


def draw_cache(rng: np.random.Generator) -> Inputs:
    """A model whose layers see everything (0) or a window, some of them longer than the text."""
    groups = int(rng.choice([1, 2, 4, 8]))
    N = int(rng.integers(500, 50_000))
    windows = rng.choice([0, 128, 1024, 4096, 2 * N], size=int(rng.integers(4, 40)))
    windows[0] = 0
    return {
        "N": N,
        "batch": int(rng.integers(2, 40)),
        "windows": windows,
        "heads": groups * int(rng.choice([2, 3, 4, 8])),
        "groups": groups,
        "d_head": int(rng.choice([64, 80, 128, 256])),
        "n_bytes": int(rng.choice([1, 2, 4])),
        "memory": int(rng.integers(1, 200)) * 10**9,
    }


def cache_bytes(
    N: int,
    batch: int,
    windows: np.ndarray,
    heads: int,
    groups: int,
    d_head: int,
    n_bytes: int,
    memory: int,
    *,
    seen: Any = lambda N, window: min(N, window) if window else N,
    each: Any = lambda heads, groups, d_head: 2 * groups * d_head,
    per_batch: bool = True,
) -> tuple[int, int]:
    """Layer by layer, in Python's integers; the keywords make the mistakes."""
    one = sum(seen(int(N), int(window)) for window in windows) * each(heads, groups, d_head) * n_bytes
    return one * (batch if per_batch else 1), memory // one


def mistaken(**slips: Any) -> Any:
    return lambda *inputs: cache_bytes(*inputs, **slips)


KV_CACHE = Exercise(
    id="05e_choose-kv-cache",
    points=5,
    unfilled="Return the bytes of the caches of the whole batch, and how many sequences fit into `memory` bytes.",
    draw=draw_cache,
    returns=("total", "most"),
    verified="with groups, windows longer and shorter than the text, and different precisions",
    expected=cache_bytes,
    tol=1e-15,
    misconceptions=(
        Misconception(
            "every query head has keys and values of its own",
            "with grouped queries only `groups` heads of keys and values are cached",
            mistaken(each=lambda heads, groups, d_head: 2 * heads * d_head),
        ),
        Misconception(
            "only the keys are cached",
            "the values are cached as well: a factor of 2",
            mistaken(each=lambda heads, groups, d_head: groups * d_head),
        ),
        Misconception(
            "`groups` is taken for the number of queries that share a head",
            "`groups` heads of keys and values are cached, not heads // groups",
            mistaken(each=lambda heads, groups, d_head: 2 * (heads // groups) * d_head),
        ),
        Misconception(
            "windows are ignored",
            "a layer with a window keeps the last `window` tokens only",
            mistaken(seen=lambda N, window: N),
        ),
        Misconception(
            "a window is filled even where the text is shorter",
            "a layer cannot keep more tokens than there are: the smaller of N and the window",
            mistaken(seen=lambda N, window: window or N),
        ),
        Misconception(
            "a window of 0 is taken to keep nothing",
            "0 stands for a layer that sees everything: it keeps all N tokens",
            mistaken(seen=lambda N, window: min(N, window)),
        ),
        Misconception(
            "one sequence is counted",
            "every sequence of the batch has a cache of its own",
            mistaken(per_batch=False),
            of=("total",),
        ),
        Misconception(
            "the sequences that fit are counted for the whole batch",
            "divide the memory by the bytes of one sequence",
            lambda *inputs: (cache_bytes(*inputs)[0], inputs[-1] // cache_bytes(*inputs)[0]),
            of=("most",),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "How many numbers does one layer keep for one token? For how many tokens does it keep them?",
        ),
        ("My total is too large by a whole factor", "heads // groups queries share one head of keys and values."),
        (
            "It is right without windows only",
            "np.where(windows == 0, N, np.minimum(windows, N)) gives the tokens that each layer keeps.",
        ),
    ),
)

# --- cheapest-hybrid ----------------------------------------------------------------------------------------------


def draw_candidates(rng: np.random.Generator) -> Inputs:
    """Hybrids with more and fewer softmax layers, each trained with a few seeds; some recall enough, some do not."""
    n = int(rng.integers(4, 8))
    full = np.sort(rng.choice(np.arange(1, 33), size=n, replace=False))[::-1].copy()
    typical = np.clip(0.55 + 0.5 * full / 32 + rng.normal(scale=0.06, size=n), 0, 1)
    recall = np.clip(typical[:, None] + rng.normal(scale=0.04, size=(n, 3)), 0, 1)
    return {
        "full": full,
        "recall": recall,
        "needed": float(rng.choice([0.6, 0.8, 1.0, *recall.min(axis=1)])),  # some have exactly what is needed
        "layers": 32,
        "weights": float(rng.uniform(1, 20)) * 1e9,
        "batch": int(rng.integers(1, 64)),
        "N": int(2 ** rng.choice([rng.uniform(7, 9.5), rng.uniform(13, 17)])),  # caches smaller, or larger, than states
        "per_token": int(rng.choice([1024, 2048, 4096])),
        "state": int(rng.choice([2, 4, 8])) * 10**6,
    }


def cheapest(
    full: np.ndarray,
    recall: np.ndarray,
    needed: float,
    layers: int,
    weights: float,
    batch: int,
    N: int,
    per_token: int,
    state: int,
    *,
    score: Any = min,
    moved: Any = lambda weights, batch, N, cache, state, f, s: weights + batch * (f * N * cache + 2 * s * state),
) -> tuple[int, np.ndarray]:
    """Candidate by candidate; the keywords make the mistakes."""
    costs = [moved(weights, batch, N, per_token, state, int(f), layers - int(f)) for f in full]
    able = [i for i, scores in enumerate(recall) if score(scores) >= needed]
    return min(able, key=lambda i: costs[i], default=-1), np.array(costs)


def slipped(**slips: Any) -> Any:
    return lambda *inputs: cheapest(*inputs, **slips)


CHEAPEST_HYBRID = Exercise(
    id="05e_choose-cheapest-hybrid",
    points=4,
    unfilled="Return the number of the cheapest candidate that recalls enough in every seed, and the bytes of each.",
    draw=draw_candidates,
    returns=("best", "moved"),
    verified="with short texts and long, and cases where no candidate recalls enough",
    expected=cheapest,
    misconceptions=(
        Misconception(
            "the mean over the seeds decides",
            "a mean hides a seed that fails: ask for the worst one",
            slipped(score=np.mean),
        ),
        Misconception(
            "the best seed decides",
            "one lucky seed is no evidence: ask for the worst one",
            slipped(score=max),
        ),
        Misconception(
            "the candidate with the best recall is taken",
            "among those that recall enough the cheapest one is asked for",
            lambda *inputs: (
                int(np.argmax(inputs[1].min(axis=1))) if (inputs[1].min(axis=1) >= inputs[2]).any() else -1,
                cheapest(*inputs)[1],
            ),
        ),
        Misconception(
            "the fewest softmax layers are taken to be the cheapest",
            "a short text has a cache smaller than a state: compare the bytes",
            lambda *inputs: (
                min(
                    (i for i in range(len(inputs[0])) if inputs[1][i].min() >= inputs[2]),
                    key=lambda i: inputs[0][i],
                    default=-1,
                ),
                cheapest(*inputs)[1],
            ),
        ),
        Misconception(
            "states are read but not written",
            "a state changes with every token: it is read and written, twice its bytes",
            slipped(moved=lambda weights, batch, N, cache, state, f, s: weights + batch * (f * N * cache + s * state)),
        ),
        Misconception(
            "the weights are read for every sequence",
            "one step reads the weights once for the whole batch",
            slipped(
                moved=lambda weights, batch, N, cache, state, f, s: batch * (weights + f * N * cache + 2 * s * state)
            ),
        ),
        Misconception(
            "the batch is left out",
            "every sequence has caches and states of its own",
            slipped(moved=lambda weights, batch, N, cache, state, f, s: weights + f * N * cache + 2 * s * state),
        ),
        Misconception(
            "all layers carry a state",
            "a softmax layer has a cache in place of a state: layers − full of them carry one",
            slipped(
                moved=lambda weights, batch, N, cache, state, f, s: (
                    weights + batch * (f * N * cache + 2 * (f + s) * state)
                )
            ),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "First the bytes of every candidate, as an array. Then which of them recall enough in every seed.",
        ),
        (
            "My bytes are a little too small",
            "Each layer without softmax reads its state and writes it back, for every sequence of the batch.",
        ),
        (
            "What if no candidate recalls enough?",
            "Return -1: say so, instead of recommending what does not do the task.",
        ),
    ),
)

EXERCISES = (KV_CACHE, CHEAPEST_HYBRID)
