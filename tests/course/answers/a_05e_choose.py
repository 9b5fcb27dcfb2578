"""Answers to the exercises of 05e."""

import math

import numpy as np

from . import right, wrong

CACHE = "05e_choose-kv-cache"
HYBRID = "05e_choose-cheapest-hybrid"


@right(CACHE)
def layer_by_layer(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    one = 0
    for window in windows:
        seen = N if window == 0 or window > N else int(window)
        one += seen * groups * d_head * 2 * n_bytes
    return one * batch, memory // one


@right(CACHE)
def in_floats(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    windows = np.asarray(windows)
    seen = np.where(windows > 0, np.minimum(windows, N), N).sum()
    total = 2.0 * batch * seen * groups * d_head * n_bytes
    return total, math.floor(memory / (total / batch))


@right(CACHE)
def window_as_infinity(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    limits = np.array([w or np.inf for w in windows])
    one = 2 * n_bytes * d_head * groups * np.minimum(limits, N).sum()
    return batch * one, np.floor(memory / one)


def _caches(N, batch, windows, groups, d_head, n_bytes, memory, factor=2):
    one = factor * int(np.where(windows == 0, N, np.minimum(windows, N)).sum()) * groups * d_head * n_bytes
    return batch * one, memory // one


@wrong(CACHE, "only the keys are cached")
def keys_only(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    return _caches(N, batch, windows, groups, d_head, n_bytes, memory, factor=1)


@wrong(CACHE, "every query head has keys and values of its own")
def heads_of_queries(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    return _caches(N, batch, windows, heads, d_head, n_bytes, memory)


@wrong(CACHE, "`groups` is taken for the number of queries that share a head")
def heads_in_each_group(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    return _caches(N, batch, windows, heads // groups, d_head, n_bytes, memory)


@wrong(CACHE, "heads of queries and groups are multiplied")
def heads_times_groups(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    return _caches(N, batch, windows, heads * groups, d_head, n_bytes, memory)


@wrong(CACHE, "one head is cached")
def one_head(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    return _caches(N, batch, windows, 1, d_head, n_bytes, memory)


@wrong(CACHE, "windows are ignored")
def windows_ignored(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    return _caches(N, batch, 0 * windows, groups, d_head, n_bytes, memory)


@wrong(CACHE, "a window of 0 is taken to keep nothing")
def window_0_caches_nothing(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    one = 2 * int(np.minimum(windows, N).sum()) * groups * d_head * n_bytes
    return batch * one, memory // one if one else 0


@wrong(CACHE, "a window is filled even where the text is shorter")
def window_longer_than_the_text(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    one = 2 * int(np.where(windows == 0, N, windows).sum()) * groups * d_head * n_bytes
    return batch * one, memory // one


@wrong(CACHE, "one sequence is counted")
def batch_forgotten(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    return _caches(N, 1, windows, groups, d_head, n_bytes, memory)


@wrong(CACHE, "the sequences that fit are counted for the whole batch")
def batches_that_fit(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    total, _ = _caches(N, batch, windows, groups, d_head, n_bytes, memory)
    return total, memory // total


@wrong(CACHE, "the sequences that fit are counted for the whole batch")
def sequences_of_whole_batches(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    total, _ = _caches(N, batch, windows, groups, d_head, n_bytes, memory)
    return total, memory // total * batch


@wrong(CACHE, "the sequences that fit are counted beside the batch")
def sequences_beside_the_batch(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    total, most = _caches(N, batch, windows, groups, d_head, n_bytes, memory)
    return total, max(0, most - batch)


@wrong(CACHE, "no more sequences fit than the batch has")
def at_most_the_batch(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    total, most = _caches(N, batch, windows, groups, d_head, n_bytes, memory)
    return total, min(most, batch)


@wrong(CACHE, "the sequences that fit are not rounded down")
def sequences_not_rounded(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    total, _ = _caches(N, batch, windows, groups, d_head, n_bytes, memory)
    return total, memory / (total / batch)


@wrong(CACHE, "the sequences that fit are not rounded down")
def sequences_rounded_up(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    total, _most = _caches(N, batch, windows, groups, d_head, n_bytes, memory)
    return total, -(-memory // (total // batch))


@wrong(CACHE, "the sequences that fit are not rounded down")
def sequences_rounded(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    total, _most = _caches(N, batch, windows, groups, d_head, n_bytes, memory)
    return total, round(memory / (total / batch))


@wrong(CACHE, "bits are counted instead of bytes")
def in_bits(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    return _caches(N, batch, windows, groups, d_head, 8 * n_bytes, memory)


@wrong(CACHE, "numbers are counted instead of bytes")
def numbers_not_bytes(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    return _caches(N, batch, windows, groups, d_head, 1, memory)


@wrong(CACHE, "only one layer is counted")
def one_layer(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    return _caches(N, batch, windows[:1], groups, d_head, n_bytes, memory)


@wrong(CACHE, "one head is cached")
def d_head_shared_by_groups(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    return _caches(N, batch, windows, 1, d_head // groups, n_bytes, memory)


@wrong(CACHE, "the total is not in bytes")
def memory_in_kibibytes(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    total, most = _caches(N, batch, windows, groups, d_head, n_bytes, memory)
    return total / 1024, most


@wrong(CACHE, "a window lacks its last token")
def window_without_its_last_token(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    return _caches(N, batch, np.where(windows > 0, np.maximum(windows - 1, 0), 0), groups, d_head, n_bytes, memory)


@wrong(CACHE, "a layer keeps the larger of N and its window")
def window_0_for_texts_in_windows(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    one = 2 * int(np.where(windows == 0, N, np.maximum(windows, N)).sum()) * groups * d_head * n_bytes
    return batch * one, memory // one


def _moved(full, layers, weights, batch, N, per_token, state):
    return weights + batch * (full * N * per_token + 2 * (layers - full) * state)


@right(HYBRID)
def candidate_by_candidate(full, recall, needed, layers, weights, batch, N, per_token, state):
    best, moved = -1, []
    for i, softmax in enumerate(full):
        caches = softmax * per_token * N
        states = (layers - softmax) * (state + state)
        moved.append(weights + batch * caches + batch * states)
        if all(share >= needed for share in recall[i]) and (best < 0 or moved[i] < moved[best]):
            best = i
    return best, np.array(moved)


@right(HYBRID)
def by_sorting(full, recall, needed, layers, weights, batch, N, per_token, state):
    full = np.asarray(full, dtype=float)
    moved = weights + batch * (full * (N * per_token - 2 * state) + 2 * layers * state)
    able = [i for i in np.argsort(moved) if np.min(recall[i]) >= needed]
    return (able or [-1])[0], moved


def _best(moved, able):
    return int(np.argmin(np.where(able, moved, np.inf))) if np.any(able) else -1


@wrong(HYBRID, "the mean over the seeds decides")
def mean_of_the_seeds(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    return _best(moved, recall.mean(axis=1) >= needed), moved


@wrong(HYBRID, "the best seed decides")
def best_seed(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    return _best(moved, (recall >= needed).any(axis=1)), moved


@wrong(HYBRID, "the median of the seeds decides")
def median_of_the_seeds(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    return _best(moved, np.median(recall, axis=1) >= needed), moved


@wrong(HYBRID, "only the first seed is looked at")
def first_seed(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    return _best(moved, recall[:, 0] >= needed), moved


@wrong(HYBRID, "more recall is demanded than is needed")
def more_than_needed(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    return _best(moved, (recall > needed).all(axis=1)), moved


@wrong(HYBRID, "the seeds are compared over the candidates")
def minimum_over_candidates(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    return _best(moved, recall.min(axis=0) >= needed), moved


@wrong(HYBRID, "the weights are read for every sequence")
def weights_for_each_sequence(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = batch * _moved(full, layers, weights, 1, N, per_token, state)
    return _best(moved, (recall >= needed).all(axis=1)), moved


@wrong(HYBRID, "states are read but not written")
def state_only_read(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state / 2)
    return _best(moved, (recall >= needed).all(axis=1)), moved


@wrong(HYBRID, "caches are read and written back")
def cache_written_back_too(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, 2 * per_token, state)
    return _best(moved, (recall >= needed).all(axis=1)), moved


@wrong(HYBRID, "the batch is left out")
def batch_forgotten_in_the_hybrid(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, 1, N, per_token, state)
    return _best(moved, (recall >= needed).all(axis=1)), moved


@wrong(HYBRID, "the batch is left out of the states")
def batch_for_caches_only(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = weights + batch * full * N * per_token + 2 * (layers - full) * state
    return _best(moved, (recall >= needed).all(axis=1)), moved


@wrong(HYBRID, "the cache holds one token")
def cache_of_one_token(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, 1, per_token, state)
    return _best(moved, (recall >= needed).all(axis=1)), moved


@wrong(HYBRID, "all layers carry a state")
def state_in_every_layer(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = weights + batch * (full * N * per_token + 2 * layers * state)
    return _best(moved, (recall >= needed).all(axis=1)), moved


@wrong(HYBRID, "softmax layers and the others are exchanged")
def layers_mixed_up(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(layers - full, layers, weights, batch, N, per_token, state)
    return _best(moved, (recall >= needed).all(axis=1)), moved


@wrong(HYBRID, "the index counts only the candidates that recall enough")
def index_among_the_able(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    able = (recall >= needed).all(axis=1)
    return int(np.argmin(moved[able])) if able.any() else -1, moved


@wrong(HYBRID, "a candidate is returned although none recalls enough")
def first_when_none_is_able(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    return int(np.argmin(np.where((recall >= needed).all(axis=1), moved, np.inf))), moved


@wrong(HYBRID, "the cheapest is chosen whatever it recalls")
def cheapest_of_all(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    return int(np.argmin(moved)), moved


@wrong(HYBRID, "the fewest softmax layers are taken to be the cheapest")
def fewest_softmax_layers(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    return _best(full, (recall >= needed).all(axis=1)), moved


@wrong(HYBRID, "the candidate with the best recall is taken")
def best_recall(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    able = (recall >= needed).all(axis=1)
    return int(np.argmax(recall.min(axis=1))) if able.any() else -1, moved


@wrong(HYBRID, "candidates that do not recall enough are left out of `moved`")
def unable_ones_left_out(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    able = (recall >= needed).all(axis=1)
    return _best(moved, able), moved[able]


@wrong(HYBRID, "candidates that do not recall enough have infinite bytes")
def unable_ones_infinite(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = np.where((recall >= needed).all(axis=1), _moved(full, layers, weights, batch, N, per_token, state), np.inf)
    return int(np.argmin(moved)) if np.isfinite(moved).any() else -1, moved


@wrong(HYBRID, "the first that recalls enough is taken")
def first_able_one(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    able = (recall >= needed).all(axis=1)
    return int(np.argmax(able)) if able.any() else -1, moved


@wrong(HYBRID, "the weights are left out")
def weights_left_out(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, 0, batch, N, per_token, state)
    return _best(moved, (recall >= needed).all(axis=1)), moved


@wrong(HYBRID, "a state is counted for every token")
def state_for_every_token(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, N * state)
    return _best(moved, (recall >= needed).all(axis=1)), moved


@wrong(HYBRID, "the most bytes are looked for")
def dearest_able_one(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    able = (recall >= needed).all(axis=1)
    return int(np.argmax(np.where(able, moved, -np.inf))) if able.any() else -1, moved


@wrong(HYBRID, "moved is a list: expected a NumPy array")
def bytes_in_a_list(full, recall, needed, layers, weights, batch, N, per_token, state):
    moved = _moved(full, layers, weights, batch, N, per_token, state)
    return _best(moved, (recall >= needed).all(axis=1)), moved.tolist()
