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


def miscounted(most: Any) -> Any:
    """The right bytes, with another number of sequences: made of the memory, the bytes of one sequence, the batch."""

    def answer(*inputs: Any) -> tuple[int, Any]:
        total, _ = cache_bytes(*inputs)
        return total, most(inputs[-1], total // inputs[1], inputs[1])

    return answer


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
            miscounted(lambda memory, one, batch: memory // (one * batch)),
            of=("most",),
            also=(miscounted(lambda memory, one, batch: memory // (one * batch) * batch),),
        ),
        Misconception(
            "the sequences that fit are counted beside the batch",
            "nothing else lies in `memory`: divide all of it by the bytes of one sequence",
            miscounted(lambda memory, one, batch: memory // one - batch),
            of=("most",),
            also=(miscounted(lambda memory, one, batch: max(0, memory // one - batch)),),
        ),
        Misconception(
            "no more sequences fit than the batch has",
            "`most` is asked of the memory alone, whatever the batch is",
            miscounted(lambda memory, one, batch: min(memory // one, batch)),
            of=("most",),
        ),
        Misconception(
            "the sequences that fit are not rounded down",
            "half of a cache serves nobody: a whole number, memory // bytes of one sequence",
            miscounted(lambda memory, one, batch: memory / one),
            of=("most",),
            also=(
                miscounted(lambda memory, one, batch: -(-memory // one)),
                miscounted(lambda memory, one, batch: round(memory / one)),
            ),
        ),
        Misconception(
            "heads of queries and groups are multiplied",
            "`groups` heads of keys and values are cached, whatever number of queries share them",
            mistaken(each=lambda heads, groups, d_head: 2 * heads * groups * d_head),
        ),
        Misconception(
            "one head is cached",
            "`groups` heads of keys and values are cached, of d_head numbers each",
            mistaken(each=lambda heads, groups, d_head: 2 * d_head),
            also=(mistaken(each=lambda heads, groups, d_head: 2 * (d_head // groups)),),
        ),
        Misconception(
            "bits are counted instead of bytes",
            "`n_bytes` is in bytes already: no factor of 8",
            mistaken(each=lambda heads, groups, d_head: 16 * groups * d_head),
        ),
        Misconception(
            "numbers are counted instead of bytes",
            "multiply by the bytes of a number, n_bytes",
            lambda N, batch, windows, heads, groups, d_head, n_bytes, memory: cache_bytes(
                N, batch, windows, heads, groups, d_head, 1, memory
            ),
        ),
        Misconception(
            "the total is not in bytes",
            "no division by 1000 or 1024: return bytes",
            lambda *inputs: (cache_bytes(*inputs)[0] / 1024, cache_bytes(*inputs)[1]),
            of=("total",),
            also=tuple(
                lambda *inputs, unit=unit: (cache_bytes(*inputs)[0] / unit, cache_bytes(*inputs)[1])
                for unit in (1e3, 1e6, 1e9, 2**20, 2**30)
            ),
        ),
        Misconception(
            "only one layer is counted",
            "every layer has a cache of its own: add up over `windows`",
            lambda N, batch, windows, *others: cache_bytes(N, batch, windows[:1], *others),
        ),
        Misconception(
            "a window lacks its last token",
            "a window of w tokens keeps w of them",
            mistaken(seen=lambda N, window: min(N, window - 1) if window else N),
        ),
        Misconception(
            "a layer keeps the larger of N and its window",
            "it keeps no token that lies outside of its window, nor one that does not exist: the smaller of the two",
            mistaken(seen=max),
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
    unlucky = 0.4 * (rng.random((n, 3)) < 0.2)  # a seed that fails, as one in 05b does
    recall = np.clip(typical[:, None] + rng.normal(scale=0.04, size=(n, 3)) - unlucky, 0, 1)
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


def chosen(choose: Any) -> Any:
    """The right bytes, with another choice: made of which candidates recall enough, their bytes, `full`, `recall`."""

    def answer(*inputs: Any) -> tuple[int, np.ndarray]:
        (full, recall, needed), (_, costs) = inputs[:3], cheapest(*inputs)
        able = recall.min(axis=1) >= needed
        return int(choose(able, costs, full, recall)) if able.any() else -1, costs

    return answer


def costing(moved: Any) -> Any:
    """Another number of bytes: made of the weights, the batch, N, a cache, a state, and the layers of either kind."""
    return slipped(moved=moved)


def by_columns(*inputs: Any) -> tuple[int, np.ndarray]:
    (_, recall, needed), (_, costs) = inputs[:3], cheapest(*inputs)
    able = recall.min(axis=0) >= needed
    return int(np.argmin(np.where(able, costs, np.inf))) if able.any() else -1, costs


def more_than_needed(*inputs: Any) -> tuple[int, np.ndarray]:
    full, recall, needed, *others = inputs
    return cheapest(full, recall, float(np.nextafter(needed, 2)), *others)


def never_none(*inputs: Any) -> tuple[int, np.ndarray]:
    best, costs = cheapest(*inputs)
    return max(best, 0), costs


def able_alone(*inputs: Any) -> tuple[int, np.ndarray]:
    best, costs = cheapest(*inputs)
    return best, costs[inputs[1].min(axis=1) >= inputs[2]]


def unable_infinite(*inputs: Any) -> tuple[int, np.ndarray]:
    best, costs = cheapest(*inputs)
    return best, np.where(inputs[1].min(axis=1) >= inputs[2], costs, np.inf)


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
            "the median of the seeds decides",
            "a median hides a seed that fails: ask for the worst one",
            slipped(score=np.median),
        ),
        Misconception(
            "only the first seed is looked at",
            "`recall[i]` holds several seeds, and every one of them must recall enough",
            slipped(score=lambda scores: scores[0]),
            also=(slipped(score=lambda scores: scores[-1]),),
        ),
        Misconception(
            "the seeds are compared over the candidates",
            "candidates are rows of `recall`, seeds are columns: the worst seed of each is recall.min(axis=1)",
            by_columns,
        ),
        Misconception(
            "more recall is demanded than is needed",
            "exactly `needed` is enough: ≥, not >",
            more_than_needed,
        ),
        Misconception(
            "a candidate is returned although none recalls enough",
            "the argmin of nothing but infinities is 0: return -1 where no candidate recalls enough",
            never_none,
        ),
        Misconception(
            "the cheapest is chosen whatever it recalls",
            "leave out the candidates one of whose seeds recalls less than `needed`, then look for the fewest bytes",
            lambda *inputs: (int(np.argmin(cheapest(*inputs)[1])), cheapest(*inputs)[1]),
        ),
        Misconception(
            "the index counts only the candidates that recall enough",
            "count among all of them: put np.inf in the place of the others' bytes before np.argmin",
            chosen(lambda able, costs, full, recall: np.argmin(costs[able])),
        ),
        Misconception(
            "the first that recalls enough is taken",
            "compare the bytes of all that recall enough",
            chosen(lambda able, costs, full, recall: np.argmax(able)),
        ),
        Misconception(
            "the most bytes are looked for",
            "fewer bytes take less time: argmin",
            chosen(lambda able, costs, full, recall: np.argmax(np.where(able, costs, -1))),
        ),
        Misconception(
            "candidates that do not recall enough are left out of `moved`",
            "return the bytes of every candidate; only `best` asks who recalls enough",
            able_alone,
            of=("moved",),
        ),
        Misconception(
            "candidates that do not recall enough have infinite bytes",
            "return the bytes of every candidate; keep the infinities for the search of `best`",
            unable_infinite,
            of=("moved",),
        ),
        Misconception(
            "the candidate with the best recall is taken",
            "among those that recall enough the cheapest one is asked for",
            chosen(lambda able, costs, full, recall: np.argmax(recall.min(axis=1))),
            also=(chosen(lambda able, costs, full, recall: np.argmax(recall.mean(axis=1))),),
        ),
        Misconception(
            "the fewest softmax layers are taken to be the cheapest",
            "a short text has a cache smaller than a state: compare the bytes",
            chosen(lambda able, costs, full, recall: np.argmin(np.where(able, full, np.inf))),
        ),
        Misconception(
            "states are read but not written",
            "a state changes with every token: it is read and written, twice its bytes",
            costing(lambda weights, batch, N, cache, state, f, s: weights + batch * (f * N * cache + s * state)),
        ),
        Misconception(
            "the weights are read for every sequence",
            "one step reads the weights once for the whole batch",
            costing(lambda weights, batch, N, cache, state, f, s: batch * (weights + f * N * cache + 2 * s * state)),
        ),
        Misconception(
            "the batch is left out",
            "every sequence has caches and states of its own",
            costing(lambda weights, batch, N, cache, state, f, s: weights + f * N * cache + 2 * s * state),
        ),
        Misconception(
            "the batch is left out of the states",
            "every sequence has states of its own, as it has caches",
            costing(lambda weights, batch, N, cache, state, f, s: weights + batch * f * N * cache + 2 * s * state),
            of=("moved",),
            also=(
                costing(lambda weights, batch, N, cache, state, f, s: weights + f * N * cache + batch * 2 * s * state),
            ),
        ),
        Misconception(
            "caches are read and written back",
            "a step adds one token to a cache and reads the rest: count its bytes once",
            costing(lambda weights, batch, N, cache, state, f, s: weights + batch * 2 * (f * N * cache + s * state)),
            of=("moved",),
        ),
        Misconception(
            "the cache holds one token",
            "it keeps `per_token` bytes of each of N tokens, and a step reads them all",
            costing(lambda weights, batch, N, cache, state, f, s: weights + batch * (f * cache + 2 * s * state)),
            of=("moved",),
        ),
        Misconception(
            "a state is counted for every token",
            "a state does not grow with the text: no factor N",
            costing(lambda weights, batch, N, cache, state, f, s: weights + batch * N * (f * cache + 2 * s * state)),
            of=("moved",),
        ),
        Misconception(
            "softmax layers and the others are exchanged",
            "`full` counts softmax layers, which have caches; layers − full of them have states",
            costing(lambda weights, batch, N, cache, state, f, s: weights + batch * (s * N * cache + 2 * f * state)),
            of=("moved",),
        ),
        Misconception(
            "the weights are left out",
            "a step reads them once, however many sequences it serves",
            costing(lambda weights, batch, N, cache, state, f, s: batch * (f * N * cache + 2 * s * state)),
            of=("moved",),
        ),
        Misconception(
            "all layers carry a state",
            "a softmax layer has a cache in place of a state: layers − full of them carry one",
            costing(
                lambda weights, batch, N, cache, state, f, s: weights + batch * (f * N * cache + 2 * (f + s) * state)
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
