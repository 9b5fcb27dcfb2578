"""Answers to the exercises of 04e."""

import numpy as np

from . import right, wrong

MEMORY = "04e_published-half-life"
PAIRS = "04e_published-rope-pairs"


def _half(log_a):
    return -np.log(2) / log_a.mean(axis=0)


def _kept(log_a):
    return np.exp(log_a[1:].sum(axis=0))


@right(MEMORY)
def head_by_head(log_a):
    N, heads = log_a.shape
    half_life, kept = np.empty(heads), np.ones(heads)
    for h in range(heads):
        half_life[h] = np.log(0.5) * N / sum(log_a[:, h])
        for t in range(1, N):
            kept[h] *= np.exp(log_a[t, h])
    return half_life, kept


@right(MEMORY)
def to_the_base_two(log_a):
    halvings = -log_a / np.log(2)
    return 1 / np.mean(halvings, 0), 2 ** -np.sum(halvings[1:], 0)


@wrong(MEMORY, "the first token is decayed by its own decay")
def decay_of_token_0_counted(log_a):
    return _half(log_a), np.exp(log_a.sum(axis=0))


@wrong(MEMORY, "the last token's decay is left out")
def decay_of_the_last_token_left_out(log_a):
    return _half(log_a), np.exp(log_a[:-1].sum(axis=0))


@wrong(MEMORY, "the mean stands in for the decays after token 0")
def kept_by_the_mean_decay(log_a):
    return _half(log_a), np.exp(log_a.mean(axis=0) * (len(log_a) - 1))


@wrong(MEMORY, "the decays are averaged, not their logs")
def mean_of_the_decays(log_a):
    return np.log(0.5) / np.log(np.exp(log_a).mean(axis=0)), _kept(log_a)


@wrong(MEMORY, "the time constant is taken for the half-life")
def time_constant(log_a):
    return -1 / log_a.mean(axis=0), _kept(log_a)


@wrong(MEMORY, "the time constant is taken for the half-life")
def base_two_and_base_e_mixed(log_a):
    return np.log2(0.5) / log_a.mean(axis=0), _kept(log_a)


@wrong(MEMORY, "the half-life has the wrong sign")
def negative_half_life(log_a):
    return np.log(2) / log_a.mean(axis=0), _kept(log_a)


@wrong(MEMORY, "")
def half_of_the_mean_decay(log_a):
    return 0.5 / np.exp(log_a.mean(axis=0)), _kept(log_a)


@wrong(MEMORY, "the log of what is kept is returned")
def log_of_what_is_kept(log_a):
    return _half(log_a), log_a[1:].sum(axis=0)


@wrong(MEMORY, "the mean is over heads instead of tokens")
def mean_over_heads(log_a):
    return -np.log(2) / log_a.mean(axis=1), np.exp(log_a[1:].sum(axis=0))


@wrong(MEMORY, "all heads share one half-life")
def one_number_for_all_heads(log_a):
    return -np.log(2) / log_a.mean(), np.exp(log_a[1:].sum())


@wrong(MEMORY, "the first token is left out of the mean")
def mean_without_token_0(log_a):
    return _half(log_a[1:]), _kept(log_a)


@wrong(MEMORY, "the half-lives of the tokens are averaged")
def half_lives_averaged(log_a):
    return (-np.log(2) / log_a).mean(axis=0), _kept(log_a)


@wrong(MEMORY, "")
def median_decay(log_a):
    return -np.log(2) / np.median(log_a, axis=0), _kept(log_a)


@wrong(MEMORY, "the half-life is rounded to whole tokens")
def whole_tokens(log_a):
    return np.ceil(_half(log_a)), _kept(log_a)


@wrong(MEMORY, "the two results are exchanged")
def the_two_swapped(log_a):
    return _kept(log_a), _half(log_a)


@wrong(MEMORY, "")
def tokens_until_the_first_is_half(log_a):
    return (np.exp(np.cumsum(log_a, axis=0)) > 0.5).sum(axis=0).astype(float), _kept(log_a)


@wrong(MEMORY, "the decays are added")
def sum_of_decays(log_a):
    return _half(log_a), np.exp(log_a[1:]).sum(axis=0)


@wrong(MEMORY, "the share that is lost is returned")
def what_is_forgotten(log_a):
    return _half(log_a), 1 - _kept(log_a)


@wrong(MEMORY, "the log decays are added up instead of averaged")
def by_the_sum_of_logs(log_a):
    return -np.log(2) / log_a.sum(axis=0), _kept(log_a)


@wrong(MEMORY, "")
def in_half_precision(log_a):
    log_a = log_a.astype(np.float16)
    return _half(log_a), _kept(log_a)


@right(PAIRS)
def row_by_row(W, heads, rope_dim):
    out = W.copy()
    head_dim = len(W) // heads
    for h in range(heads):
        for i in range(rope_dim // 2):
            out[h * head_dim + 2 * i] = W[h * head_dim + i]
            out[h * head_dim + 2 * i + 1] = W[h * head_dim + i + rope_dim // 2]
    return out


@right(PAIRS)
def by_an_index(W, heads, rope_dim):
    head_dim = W.shape[0] // heads
    order = np.arange(head_dim)
    order[:rope_dim] = np.arange(rope_dim).reshape(2, -1).T.ravel()
    return W[(np.arange(heads)[:, None] * head_dim + order).ravel()]


@right(PAIRS)
def by_axes(W, heads, rope_dim):
    per_head = np.split(W, heads)
    halves = [np.stack([w[: rope_dim // 2], w[rope_dim // 2 : rope_dim]], axis=1) for w in per_head]
    return np.vstack(
        [np.vstack([h.reshape(rope_dim, -1), w[rope_dim:]]) for h, w in zip(halves, per_head, strict=True)]
    )


def _ordered(W, heads, order):
    return W.reshape(heads, -1, W.shape[1])[:, order].reshape(W.shape)


def _order(W, heads, rope_dim):
    half = np.arange(rope_dim // 2)
    return np.concatenate(
        [np.stack([half, half + rope_dim // 2], axis=1).ravel(), np.arange(rope_dim, len(W) // heads)]
    )


@wrong(PAIRS, "the inverse order is applied")
def the_other_way_round(W, heads, rope_dim):
    return _ordered(W, heads, np.argsort(_order(W, heads, rope_dim)))


@wrong(PAIRS, "the whole head is reordered")
def whole_heads_rotated(W, heads, rope_dim):
    return _ordered(W, heads, _order(W, heads, len(W) // heads))


@wrong(PAIRS, "the partner is sought half a head away")
def half_of_the_head(W, heads, rope_dim):
    head_dim = len(W) // heads
    order = np.arange(head_dim)
    for i in range(rope_dim // 2):
        order[2 * i], order[2 * i + 1] = i, i + head_dim // 2
    return _ordered(W, heads, order)


@wrong(PAIRS, "only the first head is reordered")
def first_head_only(W, heads, rope_dim):
    out = W.copy()
    order = _order(W, heads, rope_dim)
    out[: len(order)] = W[order]
    return out


@wrong(PAIRS, "only the first head is reordered")
def as_if_there_were_one_head(W, heads, rope_dim):
    return _ordered(W, 1, _order(W, 1, rope_dim))


@wrong(PAIRS, "the rows of a head are taken to be every heads-th row")
def heads_and_places_swapped(W, heads, rope_dim):
    order = _order(W, heads, rope_dim)
    return W.reshape(-1, heads, W.shape[1])[order].reshape(W.shape)


@wrong(PAIRS, "the second half comes first in each pair")
def second_half_first(W, heads, rope_dim):
    order = _order(W, heads, rope_dim)
    order[0:rope_dim:2], order[1:rope_dim:2] = order[1:rope_dim:2].copy(), order[0:rope_dim:2].copy()
    return _ordered(W, heads, order)


@wrong(PAIRS, "the rows that are not rotated are left out")
def rest_left_out(W, heads, rope_dim):
    order = _order(W, heads, rope_dim)[:rope_dim]
    return W.reshape(heads, -1, W.shape[1])[:, order].reshape(heads * rope_dim, -1)


@wrong(PAIRS, "the rows that are not rotated are zero")
def rest_is_zero(W, heads, rope_dim):
    out = np.zeros_like(W).reshape(heads, -1, W.shape[1])
    per_head = W.reshape(heads, -1, W.shape[1])
    out[:, 0:rope_dim:2] = per_head[:, : rope_dim // 2]
    out[:, 1:rope_dim:2] = per_head[:, rope_dim // 2 : rope_dim]
    return out.reshape(W.shape)


@wrong(PAIRS, "columns are reordered instead of rows")
def columns_instead_of_rows(W, heads, rope_dim):
    return W[:, _order(W, heads, rope_dim)]


@wrong(PAIRS, "heads keep an axis of their own")
def three_axes_left(W, heads, rope_dim):
    return W.reshape(heads, -1, W.shape[1])[:, _order(W, heads, rope_dim)]


@wrong(PAIRS, "pairs are formed from both ends")
def paired_from_both_ends(W, heads, rope_dim):
    order = _order(W, heads, rope_dim)
    order[1:rope_dim:2] = rope_dim - 1 - order[0:rope_dim:2]
    return _ordered(W, heads, order)


@wrong(PAIRS, "rows are overwritten before they are read")
def overwritten_while_moving(W, heads, rope_dim):
    out = W.copy()
    head_dim = len(W) // heads
    for h in range(heads):
        for i in range(rope_dim // 2):
            out[h * head_dim + 2 * i] = out[h * head_dim + i]
            out[h * head_dim + 2 * i + 1] = out[h * head_dim + i + rope_dim // 2]
    return out


@wrong(PAIRS, "changed its argument W in place")
def changed_in_place(W, heads, rope_dim):
    W[:] = _ordered(W.copy(), heads, _order(W, heads, rope_dim))
    return W


@wrong(PAIRS, "W is returned as it was")
def unchanged(W, heads, rope_dim):
    return W.copy()


@wrong(PAIRS, "the last rope_dim rows of a head are reordered")
def rest_of_the_rows_paired(W, heads, rope_dim):
    per_head = W.reshape(heads, -1, W.shape[1])
    rest = per_head.shape[1] - rope_dim
    order = np.concatenate([np.arange(rest), rest + _order(W, heads, rope_dim)[:rope_dim]])
    return _ordered(W, heads, order)
