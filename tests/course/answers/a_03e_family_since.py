"""Answers to the exercises of 03e."""

import numpy as np

from . import right, wrong

KDA = "03e_family_since-kda-step"
PRODUCT = "03e_family_since-delta-product"
MESA = "03e_family_since-mesa-ridge"
FENWICK = "03e_family_since-fenwick-step"


@right(KDA)
def as_a_transition_matrix(q, k, v, log_alpha, beta, S):
    A = (np.eye(len(k)) - beta * np.outer(k, k)) * np.exp(log_alpha)
    S = A @ S + beta * np.outer(k, v)
    return q @ S, S


@wrong(KDA, "the token's own write decays too")
def learns_before_it_decays(q, k, v, log_alpha, beta, S):
    S = S + beta * np.outer(k, v - k @ S)
    S = np.exp(log_alpha)[:, None] * S
    return q @ S, S


@wrong(KDA, "the old state decays only after the error has been measured")
def error_of_the_state_before_the_decay(q, k, v, log_alpha, beta, S):
    S = np.exp(log_alpha)[:, None] * S + beta * np.outer(k, v - k @ S)
    return q @ S, S


@wrong(KDA, "the log is used as the decay")
def decay_not_exponentiated(q, k, v, log_alpha, beta, S):
    S = log_alpha[:, None] * S
    S = S + beta * np.outer(k, v - k @ S)
    return q @ S, S


@wrong(KDA, "the output is read before the token is written")
def old_state_read(q, k, v, log_alpha, beta, S):
    y = q @ S
    S = np.exp(log_alpha)[:, None] * S
    return y, S + beta * np.outer(k, v - k @ S)


@wrong(KDA, "the output is read before the token is written")
def decayed_state_read(q, k, v, log_alpha, beta, S):
    S = np.exp(log_alpha)[:, None] * S
    return q @ S, S + beta * np.outer(k, v - k @ S)


@wrong(KDA, "what the key recalls is removed whole, whatever β is")
def beta_on_the_written_value_only(q, k, v, log_alpha, beta, S):
    S = np.exp(log_alpha)[:, None] * S
    S = S + np.outer(k, beta * v - k @ S)
    return q @ S, S


@wrong(KDA, "all rows of the state decay alike")
def one_decay_for_all_rows(q, k, v, log_alpha, beta, S):
    S = np.exp(log_alpha.mean()) * S
    S = S + beta * np.outer(k, v - k @ S)
    return q @ S, S


@wrong(KDA, "the value is added without looking at what the key recalls")
def linear_attention(q, k, v, log_alpha, beta, S):
    S = np.exp(log_alpha)[:, None] * S + beta * np.outer(k, v)
    return q @ S, S


@wrong(KDA, "changed its argument S in place")
def state_changed_in_place(q, k, v, log_alpha, beta, S):
    S *= np.exp(log_alpha)[:, None]
    S += beta * np.outer(k, v - k @ S)
    return q @ S, S


@right(PRODUCT)
def appended_step_by_step(Q, K, V, beta, a):
    N, n_h = beta.shape
    rows = [
        (Q[t] if h == n_h - 1 else 0 * Q[t], K[t, h], V[t, h], beta[t, h], a[t] if h == 0 else 1.0)
        for t in range(N)
        for h in range(n_h)
    ]
    return tuple(np.array(column) for column in zip(*rows, strict=True))


@wrong(PRODUCT, "the state decays at every step")
def decays_at_every_step(Q, K, V, beta, a):
    N, n_h, d_k = K.shape
    q = np.zeros((N, n_h, d_k))
    q[:, -1] = Q
    return q.reshape(-1, d_k), K.reshape(-1, d_k), V.reshape(N * n_h, -1), beta.ravel(), np.repeat(a, n_h)


@wrong(PRODUCT, "the state decays at the last step of a token")
def decays_at_the_last_step(Q, K, V, beta, a):
    N, n_h, d_k = K.shape
    q, decay = np.zeros((N, n_h, d_k)), np.ones((N, n_h))
    q[:, -1], decay[:, -1] = Q, a
    return q.reshape(-1, d_k), K.reshape(-1, d_k), V.reshape(N * n_h, -1), beta.ravel(), decay.ravel()


@wrong(PRODUCT, "the query is asked at the first step of a token")
def reads_at_the_first_step(Q, K, V, beta, a):
    N, n_h, d_k = K.shape
    q, decay = np.zeros((N, n_h, d_k)), np.ones((N, n_h))
    q[:, 0], decay[:, 0] = Q, a
    return q.reshape(-1, d_k), K.reshape(-1, d_k), V.reshape(N * n_h, -1), beta.ravel(), decay.ravel()


@wrong(PRODUCT, "every step has the query")
def reads_at_every_step(Q, K, V, beta, a):
    N, n_h, d_k = K.shape
    decay = np.ones((N, n_h))
    decay[:, 0] = a
    return (
        np.repeat(Q, n_h, axis=0), K.reshape(-1, d_k), V.reshape(N * n_h, -1), beta.ravel(), decay.ravel(),
    )  # fmt: skip


@wrong(PRODUCT, "the first steps of all tokens come first")
def step_major_order(Q, K, V, beta, a):
    N, n_h, d_k = K.shape
    q, decay = np.zeros((N, n_h, d_k)), np.ones((N, n_h))
    q[:, -1], decay[:, 0] = Q, a
    order = lambda z: np.swapaxes(z, 0, 1).reshape(N * n_h, *z.shape[2:])  # noqa: E731
    return order(q), order(K), order(V), order(beta), order(decay)


@wrong(PRODUCT, "every step has the query")
def tiled_instead_of_repeated(Q, K, V, beta, a):
    N, n_h, d_k = K.shape
    return (
        np.tile(Q, (n_h, 1)), K.reshape(-1, d_k), V.reshape(N * n_h, -1), beta.ravel(), np.tile(a, n_h),
    )  # fmt: skip


@wrong(PRODUCT, "the decay is shared out among the steps")
def root_of_the_decay_at_every_step(Q, K, V, beta, a):
    N, n_h, d_k = K.shape
    q = np.zeros((N, n_h, d_k))
    q[:, -1] = Q
    decay = np.repeat(a ** (1 / n_h), n_h)
    return q.reshape(-1, d_k), K.reshape(-1, d_k), V.reshape(N * n_h, -1), beta.ravel(), decay


@wrong(PRODUCT, "the state is emptied before every later step")
def zeros_where_nothing_decays(Q, K, V, beta, a):
    N, n_h, d_k = K.shape
    q, decay = np.zeros((N, n_h, d_k)), np.zeros((N, n_h))
    q[:, -1], decay[:, 0] = Q, a
    return q.reshape(-1, d_k), K.reshape(-1, d_k), V.reshape(N * n_h, -1), beta.ravel(), decay.ravel()


@right(MESA)
def by_augmented_least_squares(Q, K, V, log_a, beta, lam):
    y = np.zeros((len(Q), V.shape[1]))
    for t in range(len(Q)):
        weight = np.array([beta[j] * np.exp(log_a[j + 1 : t + 1].sum()) for j in range(t + 1)])
        rows = np.concatenate([np.sqrt(weight)[:, None] * K[: t + 1], np.diag(np.sqrt(lam))])
        goal = np.concatenate([np.sqrt(weight)[:, None] * V[: t + 1], np.zeros((len(lam), V.shape[1]))])
        y[t] = Q[t] @ np.linalg.lstsq(rows, goal, rcond=None)[0]
    return y


def _mesa(Q, K, V, log_a, beta, lam, decay_lam=False, scale=1.0, write=None, power=1, ridge=None, read_last=False):
    d_k, d_v = K.shape[1], V.shape[1]
    G, H, y = np.zeros((d_k, d_k)), np.zeros((d_k, d_v)), np.zeros((len(Q), d_v))
    for t in range(len(Q)):
        a = np.exp(log_a[t])
        if read_last:
            y[t] = Q[t] @ np.linalg.solve(G + np.diag(lam), H)
        G = a * G + beta[t] ** power * np.outer(K[t], K[t])
        H = a * H + beta[t] ** (power if write is None else write) * np.outer(K[t], V[t])
        if not read_last:
            y[t] = Q[t] @ np.linalg.solve(scale * G + (np.diag(lam) if ridge is None else ridge), H)
    return y


@wrong(MESA, "from being singular")
def without_the_ridge(Q, K, V, log_a, beta, lam):
    return _mesa(Q, K, V, log_a, beta, lam, ridge=0 * np.diag(lam))


@wrong(MESA, "λ is squared")
def ridge_squared(Q, K, V, log_a, beta, lam):
    return _mesa(Q, K, V, log_a, beta, lam, ridge=np.diag(lam**2))


@wrong(MESA, "the keys are summed without their weights β")
def weights_not_in_the_gram_matrix(Q, K, V, log_a, beta, lam):
    return _mesa(Q, K, V, log_a, beta, lam, power=0, write=1)


@wrong(MESA, "the values are summed without their weights")
def weights_only_in_the_gram_matrix(Q, K, V, log_a, beta, lam):
    return _mesa(Q, K, V, log_a, beta, lam, power=1, write=0)


@wrong(MESA, "the weights β are left out")
def no_weights(Q, K, V, log_a, beta, lam):
    return _mesa(Q, K, V, log_a, beta, lam, power=0)


@wrong(MESA, "old pairs keep their weight")
def no_decay(Q, K, V, log_a, beta, lam):
    return _mesa(Q, K, V, 0 * log_a, beta, lam)


@wrong(MESA, "the weights are squared")
def weights_squared(Q, K, V, log_a, beta, lam):
    return _mesa(Q, K, V, log_a, beta, lam, power=2)


@wrong(MESA, "the ridge decays with the pairs")
def ridge_decays_too(Q, K, V, log_a, beta, lam):
    G, H, y = np.diag(lam), np.zeros((K.shape[1], V.shape[1])), np.zeros((len(Q), V.shape[1]))
    for t in range(len(Q)):
        a = np.exp(log_a[t])
        G = a * G + beta[t] * np.outer(K[t], K[t])
        H = a * H + beta[t] * np.outer(K[t], V[t])
        y[t] = Q[t] @ np.linalg.solve(G, H)
    return y


@wrong(MESA, "a token reads before its own pair is added")
def reads_before_the_token(Q, K, V, log_a, beta, lam):
    return _mesa(Q, K, V, log_a, beta, lam, read_last=True)


@wrong(MESA, "every token sees the whole sequence")
def all_tokens_fitted(Q, K, V, log_a, beta, lam):
    total = np.concatenate([np.cumsum(log_a[::-1])[::-1][1:], [0]])
    weight = beta * np.exp(total)
    W = np.linalg.solve((K * weight[:, None]).T @ K + np.diag(lam), (K * weight[:, None]).T @ V)
    return Q @ W


@wrong(MESA, "one λ is used for all rows")
def mean_ridge_for_all_rows(Q, K, V, log_a, beta, lam):
    return _mesa(Q, K, V, log_a, beta, lam, ridge=lam.mean() * np.eye(len(lam)))


@wrong(MESA, "a pair decays by its own token's a")
def decay_counted_from_its_own_token(Q, K, V, log_a, beta, lam):
    G, H, y = np.zeros((K.shape[1],) * 2), np.zeros((K.shape[1], V.shape[1])), np.zeros((len(Q), V.shape[1]))
    for t in range(len(Q)):
        a = np.exp(log_a[t])
        G = a * (G + beta[t] * np.outer(K[t], K[t]))
        H = a * (H + beta[t] * np.outer(K[t], V[t]))
        y[t] = Q[t] @ np.linalg.solve(G + np.diag(lam), H)
    return y


@right(FENWICK)
def by_a_list_of_buckets(q, k, v, log_a, lam, S, t):
    own = np.outer(k, v)
    buckets = [(b, np.exp(log_a) * S[b]) for b in range(len(S)) if t >> b & 1]
    y = lam[0] * (own.T @ q)
    for b, bucket in buckets:
        y = y + lam[b + 1] * (bucket.T @ q)
    size = 0
    while buckets and buckets[0][0] == size:
        own = own + buckets.pop(0)[1]
        size += 1
    after = np.zeros_like(S)
    for b, bucket in [(size, own), *buckets]:
        after[b] = bucket
    return y, after


@right(FENWICK)
def by_string_of_bits(q, k, v, log_a, lam, S, t):
    levels = np.concatenate([np.outer(k, v)[None], np.exp(log_a) * S])
    y = np.tensordot(lam, q @ levels, 1)
    ones = len(bin(t)) - len(bin(t).rstrip("1"))
    after = levels[1:].copy()
    after[ones] = levels[: ones + 1].sum(axis=0)
    after[:ones] = 0
    return y, after


def _fenwick(q, k, v, log_a, lam, S, t, carries=99, clear=True, own_decay=1.0):
    S = np.exp(log_a) * S
    new = own_decay * np.outer(k, v)
    y = lam[0] * q @ np.outer(k, v) + sum(lam[b + 1] * q @ S[b] for b in range(len(S)))
    b = 0
    while t >> b & 1 and b < carries:
        new = new + S[b]
        if clear:
            S[b] = 0
        b += 1
    S[b] = new
    return y, S


@wrong(FENWICK, "the new token decays, too")
def writes_before_the_decay(q, k, v, log_a, lam, S, t):
    return _fenwick(q, k, v, log_a, lam, S, t, own_decay=np.exp(log_a))


@wrong(FENWICK, "merged buckets stay in their old places, too")
def old_buckets_not_emptied(q, k, v, log_a, lam, S, t):
    return _fenwick(q, k, v, log_a, lam, S, t, clear=False)


@wrong(FENWICK, "only one pair of buckets merges")
def if_in_place_of_while(q, k, v, log_a, lam, S, t):
    S = np.exp(log_a) * S
    new = np.outer(k, v)
    y = lam[0] * q @ new + sum(lam[b + 1] * q @ S[b] for b in range(len(S)))
    if t % 2 == 1:
        S[1] = S[1] + S[0] + new
        S[0] = 0
    else:
        S[0] = new
    return y, S


@wrong(FENWICK, "no buckets merge")
def everything_in_the_smallest(q, k, v, log_a, lam, S, t):
    S = np.exp(log_a) * S
    y = lam[0] * q @ np.outer(k, v) + sum(lam[b + 1] * q @ S[b] for b in range(len(S)))
    S[0] += np.outer(k, v)
    return y, S


@wrong(FENWICK, "the buckets are read after they have merged")
def merged_buckets_read(q, k, v, log_a, lam, S, t):
    _, S = _fenwick(q, k, v, log_a, lam, S, t)
    return sum(lam[b + 1] * q @ S[b] for b in range(len(S))), S


@wrong(FENWICK, "the buckets are read before they decay")
def read_undecayed(q, k, v, log_a, lam, S, t):
    y, _ = _fenwick(q, k, v, 0.0, lam, S, t)
    return y, _fenwick(q, k, v, log_a, lam, S, t)[1]


@wrong(FENWICK, "each bucket has the weight of the next smaller one")
def weights_one_off(q, k, v, log_a, lam, S, t):
    y, after = _fenwick(q, k, v, log_a, np.concatenate([lam[:1], lam[:-1]]), S, t)
    return y, after


@wrong(FENWICK, "the token does not read itself")
def own_pair_not_read(q, k, v, log_a, lam, S, t):
    y, after = _fenwick(q, k, v, log_a, lam, S, t)
    return y - lam[0] * q @ np.outer(k, v), after


@wrong(FENWICK, "the weights are left out")
def plain_sum_of_buckets(q, k, v, log_a, lam, S, t):
    return _fenwick(q, k, v, log_a, np.ones(len(lam)), S, t)


@wrong(FENWICK, "nothing decays")
def no_decay_of_buckets(q, k, v, log_a, lam, S, t):
    return _fenwick(q, k, v, 0.0, lam, S, t)


@wrong(FENWICK, "the bits are those of t + 1")
def counted_from_one(q, k, v, log_a, lam, S, t):
    S = np.exp(log_a) * S
    new = np.outer(k, v)
    y = lam[0] * q @ new + sum(lam[b + 1] * q @ S[b] for b in range(len(S)))
    b = 0
    while (t + 1) >> b & 1 and b < len(S) - 1:
        new = new + S[b]
        S[b] = 0
        b += 1
    S[b] = new
    return y, S


@wrong(FENWICK, "changed its argument S in place")
def buckets_changed_in_place(q, k, v, log_a, lam, S, t):
    S *= np.exp(log_a)
    return _fenwick(q, k, v, 0.0, lam, S, t)


@wrong(FENWICK, "this is the right answer, transposed")
def values_by_keys(q, k, v, log_a, lam, S, t):
    y, after = _fenwick(q, k, v, log_a, lam, S, t)
    return y, after.transpose(0, 2, 1)
