"""Answers to the exercise of 04d."""

import numpy as np

from . import right, wrong

TRAVELS = "04d_many_machines-what-travels"


def _ssd(log_a, B, x):
    later = np.concatenate([np.cumsum(log_a[::-1])[::-1][1:], [0.0]])
    return np.exp(log_a.sum()), (np.exp(later)[:, None] * B).T @ x


def _delta(K, V, beta):
    A, W = np.eye(K.shape[1]), np.zeros((K.shape[1], V.shape[1]))
    for k, v, b in zip(K, V, beta, strict=True):
        T = np.eye(len(k)) - b * np.outer(k, k)
        A, W = T @ A, T @ W + b * np.outer(k, v)
    return A, W


@right(TRAVELS)
def by_running_with_zero_and_unit_states(log_a, B, x, K, V, beta):
    def ssd(S):
        for t in range(len(log_a)):
            S = np.exp(log_a[t]) * S + np.outer(B[t], x[t])
        return S

    def delta(S):
        for t in range(len(beta)):
            S = S + beta[t] * np.outer(K[t], V[t] - S.T @ K[t])
        return S

    r, d = B.shape[1], x.shape[1]
    U = ssd(np.zeros((r, d)))
    W = delta(np.zeros((r, d)))
    A = np.zeros((r, r))
    for c in range(r):
        S = np.zeros((r, d))
        S[c, 0] = 1
        A[:, c] = (delta(S) - W)[:, 0]
    return np.prod(np.exp(log_a)), U, A, W


@right(TRAVELS)
def by_the_triangular_system(log_a, B, x, K, V, beta):
    N = len(beta)
    T = np.linalg.solve(np.eye(N) + np.tril(beta[:, None] * (K @ K.T), -1), np.diag(beta))
    after = np.array([np.exp(np.sum(log_a[t + 1 :])) for t in range(N)])
    U = np.einsum("t,tr,td->rd", after, B, x)
    return float(np.exp(np.sum(log_a))), U, np.eye(K.shape[1]) - K.T @ T @ K, K.T @ T @ V


@right(TRAVELS)
def halves_combined(log_a, B, x, K, V, beta):
    N = len(beta)
    if N == 1:
        k = K[0]
        A = np.eye(len(k)) - beta[0] * np.outer(k, k)
        return np.exp(log_a[0]), np.outer(B[0], x[0]), A, beta[0] * np.outer(k, V[0])
    h = N // 2
    a1, U1, A1, W1 = halves_combined(*(z[:h] for z in (log_a, B, x, K, V, beta)))
    a2, U2, A2, W2 = halves_combined(*(z[h:] for z in (log_a, B, x, K, V, beta)))
    return a2 * a1, a2 * U1 + U2, A2 @ A1, A2 @ W1 + W2


@wrong(TRAVELS, "a token decays what it writes itself")
def own_token_decays_what_it_writes(log_a, B, x, K, V, beta):
    a, _ = _ssd(log_a, B, x)
    U = (np.exp(np.cumsum(log_a[::-1])[::-1])[:, None] * B).T @ x
    return a, U, *_delta(K, V, beta)


@wrong(TRAVELS, "what the segment writes is decayed from the start of the segment, not to its end")
def decays_since_the_start(log_a, B, x, K, V, beta):
    a, _ = _ssd(log_a, B, x)
    U = (np.exp(np.cumsum(log_a))[:, None] * B).T @ x
    return a, U, *_delta(K, V, beta)


@wrong(TRAVELS, "what the segment writes does not decay")
def writes_do_not_decay(log_a, B, x, K, V, beta):
    return np.exp(log_a.sum()), B.T @ x, *_delta(K, V, beta)


@wrong(TRAVELS, "the log of the decay is passed on")
def log_of_the_decay(log_a, B, x, K, V, beta):
    _, U = _ssd(log_a, B, x)
    return log_a.sum(), U, *_delta(K, V, beta)


@wrong(TRAVELS, "the decays are added")
def decays_summed(log_a, B, x, K, V, beta):
    _, U = _ssd(log_a, B, x)
    return np.exp(log_a).sum(), U, *_delta(K, V, beta)


@wrong(TRAVELS, "a is the decay of the last token")
def last_decay_only(log_a, B, x, K, V, beta):
    _, U = _ssd(log_a, B, x)
    return np.exp(log_a[-1]), U, *_delta(K, V, beta)


@wrong(TRAVELS, "the first decay is left out")
def first_decay_left_out(log_a, B, x, K, V, beta):
    _, U = _ssd(log_a, B, x)
    return np.exp(log_a[1:].sum()), U, *_delta(K, V, beta)


@wrong(TRAVELS, "the transitions of the delta rule are multiplied in the wrong order")
def transitions_in_reverse(log_a, B, x, K, V, beta):
    A, W = _delta(K, V, beta)
    A = np.eye(K.shape[1])
    for k, b in zip(K, beta, strict=True):
        A = A @ (np.eye(len(k)) - b * np.outer(k, k))
    return *_ssd(log_a, B, x), A, W


@wrong(TRAVELS, "the transitions of the delta rule are multiplied in the wrong order")
def both_in_reverse(log_a, B, x, K, V, beta):
    A, W = np.eye(K.shape[1]), np.zeros((K.shape[1], V.shape[1]))
    for k, v, b in zip(K, V, beta, strict=True):
        T = np.eye(len(k)) - b * np.outer(k, k)
        A, W = A @ T, W + A @ (b * np.outer(k, v))
    return *_ssd(log_a, B, x), A, W


@wrong(TRAVELS, "A is I minus the sum of all β k kᵀ")
def keys_taken_as_orthogonal(log_a, B, x, K, V, beta):
    _, W = _delta(K, V, beta)
    return *_ssd(log_a, B, x), np.eye(K.shape[1]) - K.T @ (beta[:, None] * K), W


@wrong(TRAVELS, "the delta rule's W only adds")
def writes_added_as_in_linear_attention(log_a, B, x, K, V, beta):
    A, _ = _delta(K, V, beta)
    return *_ssd(log_a, B, x), A, K.T @ (beta[:, None] * V)


@wrong(TRAVELS, "β is left out of what the delta rule writes")
def written_without_beta(log_a, B, x, K, V, beta):
    A, _ = _delta(K, V, beta)
    W = np.zeros((K.shape[1], V.shape[1]))
    for k, v, b in zip(K, V, beta, strict=True):
        W = W - b * np.outer(k, k @ W) + np.outer(k, v)
    return *_ssd(log_a, B, x), A, W


@wrong(TRAVELS, "β is left out of the transitions")
def beta_forgotten(log_a, B, x, K, V, beta):
    return *_ssd(log_a, B, x), *_delta(K, V, np.ones_like(beta))


@wrong(TRAVELS, "a token of the delta rule removes from what it has just written")
def own_transition_erases_what_it_writes(log_a, B, x, K, V, beta):
    A, _ = _delta(K, V, beta)
    W = np.zeros((K.shape[1], V.shape[1]))
    for k, v, b in zip(K, V, beta, strict=True):
        W = (np.eye(len(k)) - b * np.outer(k, k)) @ (W + b * np.outer(k, v))
    return *_ssd(log_a, B, x), A, W


@wrong(TRAVELS, "the decays of SSD act on the delta rule, too")
def delta_rule_decays_too(log_a, B, x, K, V, beta):
    A, W = np.eye(K.shape[1]), np.zeros((K.shape[1], V.shape[1]))
    for k, v, b, g in zip(K, V, beta, log_a, strict=True):
        T = np.exp(g) * (np.eye(len(k)) - b * np.outer(k, k))
        A, W = T @ A, T @ W + b * np.outer(k, v)
    return *_ssd(log_a, B, x), A, W


@wrong(TRAVELS, "the transitions of the delta rule are multiplied entry by entry")
def transitions_multiplied_entry_by_entry(log_a, B, x, K, V, beta):
    _, W = _delta(K, V, beta)
    A = np.prod([np.eye(K.shape[1]) - b * np.outer(k, k) for k, b in zip(K, beta, strict=True)], axis=0)
    return *_ssd(log_a, B, x), A, W


@wrong(TRAVELS, "this is the right answer, transposed")
def values_times_keys(log_a, B, x, K, V, beta):
    a, U = _ssd(log_a, B, x)
    A, W = _delta(K, V, beta)
    return a, U.T, A, W.T


@wrong(TRAVELS, "A is the transition of the last token")
def last_token_only(log_a, B, x, K, V, beta):
    k, b = K[-1], beta[-1]
    _, W = _delta(K, V, beta)
    return *_ssd(log_a, B, x), np.eye(len(k)) - b * np.outer(k, k), W


@wrong(TRAVELS, "the transitions of the delta rule add instead of removing")
def plus_in_the_transition(log_a, B, x, K, V, beta):
    A, W = np.eye(K.shape[1]), np.zeros((K.shape[1], V.shape[1]))
    for k, v, b in zip(K, V, beta, strict=True):
        T = np.eye(len(k)) + b * np.outer(k, k)
        A, W = T @ A, T @ W + b * np.outer(k, v)
    return *_ssd(log_a, B, x), A, W


@wrong(TRAVELS, "keys are divided by their lengths")
def keys_made_unit_vectors(log_a, B, x, K, V, beta):
    K = K / np.linalg.norm(K, axis=1, keepdims=True)
    return *_ssd(log_a, B, x), *_delta(K, V, beta)


@wrong(TRAVELS, "this was computed in float32")
def in_float32(log_a, B, x, K, V, beta):
    log_a, B, x, K, V, beta = (z.astype(np.float32) for z in (log_a, B, x, K, V, beta))
    return *_ssd(log_a, B, x), *_delta(K, V, beta)


@wrong(TRAVELS, "a is given for every token")
def a_for_each_token(log_a, B, x, K, V, beta):
    _, U = _ssd(log_a, B, x)
    return np.exp(np.cumsum(log_a)), U, *_delta(K, V, beta)
