"""Answers to the exercises of 03c."""

import numpy as np

from lecture17.reference.semiseparable import segsum

from . import right, wrong

RETENTION = "03c_family-retention-chunkwise"
GLA = "03c_family-gla-chunkwise"
DELTA = "03c_family-delta-online-sgd"
RWKV = "03c_family-rwkv7-step"


def _decays(gamma, n):
    i = np.arange(n)
    gap = i[:, None] - i
    return np.where(gap >= 0, np.asarray(gamma)[:, None, None] ** np.maximum(gap, 0), 0.0)


@right(RETENTION)
def einsum_everywhere(Q, K, V, gamma, chunk_size, state):
    S, y = np.array(state), np.zeros_like(V)
    for s in range(0, Q.shape[1], chunk_size):
        q, k, v = (z[:, s : s + chunk_size] for z in (Q, K, V))
        c = q.shape[1]
        L = _decays(gamma, c + 1)
        y[:, s : s + c] = np.einsum("htj,hti,hji,hjv->htv", L[:, :c, :c], q, k, v)
        y[:, s : s + c] += L[:, 1:, 0, None] * (q @ S)
        S = L[:, c, 0, None, None] * S + np.einsum("ht,htk,htv->hkv", L[:, c - 1, :c], k, v)
    return y, S


@wrong(RETENTION, "the state starts from zero")
def given_state_ignored(Q, K, V, gamma, chunk_size, state):
    return einsum_everywhere(Q, K, V, gamma, chunk_size, 0 * state)


@wrong(RETENTION, "a short last chunk decays as if it were full")
def shrunk_by_whole_chunks(Q, K, V, gamma, chunk_size, state):
    S, y, g = state, np.zeros_like(V), gamma[:, None, None]
    for s in range(0, Q.shape[1], chunk_size):
        q, k, v = (z[:, s : s + chunk_size] for z in (Q, K, V))
        c = q.shape[1]
        t = np.arange(c)[:, None]
        y[:, s : s + c] = (_decays(gamma, c) * (q @ k.swapaxes(1, 2))) @ v + g ** (t + 1) * (q @ S)
        S = g**chunk_size * S + (k * g ** (c - 1 - t)).swapaxes(1, 2) @ v
    return y, S


@wrong(RETENTION, "a short last chunk decays as if it were full")
def written_as_if_the_chunk_were_whole(Q, K, V, gamma, chunk_size, state):
    S, y, g = state, np.zeros_like(V), gamma[:, None, None]
    for s in range(0, Q.shape[1], chunk_size):
        q, k, v = (z[:, s : s + chunk_size] for z in (Q, K, V))
        c = q.shape[1]
        t = np.arange(c)[:, None]
        y[:, s : s + c] = (_decays(gamma, c) * (q @ k.swapaxes(1, 2))) @ v + g ** (t + 1) * (q @ S)
        S = g**chunk_size * S + (k * g ** (chunk_size - 1 - t)).swapaxes(1, 2) @ v
    return y, S


@wrong(RETENTION, "the first token of a chunk reads the incoming state undecayed")
def read_one_decay_short(Q, K, V, gamma, chunk_size, state):
    S, y, g = state, np.zeros_like(V), gamma[:, None, None]
    for s in range(0, Q.shape[1], chunk_size):
        q, k, v = (z[:, s : s + chunk_size] for z in (Q, K, V))
        c = q.shape[1]
        t = np.arange(c)[:, None]
        y[:, s : s + c] = (_decays(gamma, c) * (q @ k.swapaxes(1, 2))) @ v + g**t * (q @ S)
        S = g**c * S + (k * g ** (c - 1 - t)).swapaxes(1, 2) @ v
    return y, S


@wrong(RETENTION, "tokens are added to the state with one γ too many")
def written_one_decay_too_many(Q, K, V, gamma, chunk_size, state):
    S, y, g = state, np.zeros_like(V), gamma[:, None, None]
    for s in range(0, Q.shape[1], chunk_size):
        q, k, v = (z[:, s : s + chunk_size] for z in (Q, K, V))
        c = q.shape[1]
        t = np.arange(c)[:, None]
        y[:, s : s + c] = (_decays(gamma, c) * (q @ k.swapaxes(1, 2))) @ v + g ** (t + 1) * (q @ S)
        S = g**c * S + (k * g ** (c - t)).swapaxes(1, 2) @ v
    return y, S


@wrong(RETENTION, "all heads decay like the first")
def one_decay_for_all_heads(Q, K, V, gamma, chunk_size, state):
    return einsum_everywhere(Q, K, V, np.full(len(gamma), gamma[0]), chunk_size, state)


@wrong(RETENTION, "loop over chunks, not tokens")
def token_by_token(Q, K, V, gamma, chunk_size, state):
    S, y = state, np.zeros_like(V)
    for t in range(Q.shape[1]):
        S = gamma[:, None, None] * S + K[:, t, :, None] * V[:, t, None, :]
        y[:, t] = np.einsum("hk,hkv->hv", Q[:, t], S)
    return y, S


@wrong(RETENTION, "tokens are added to the state with the decay from the chunk's start")
def decays_read_backwards(Q, K, V, gamma, chunk_size, state):
    S, y, g = state, np.zeros_like(V), gamma[:, None, None]
    for s in range(0, Q.shape[1], chunk_size):
        q, k, v = (z[:, s : s + chunk_size] for z in (Q, K, V))
        c = q.shape[1]
        t = np.arange(c)[:, None]
        y[:, s : s + c] = (_decays(gamma, c) * (q @ k.swapaxes(1, 2))) @ v + g ** (t + 1) * (q @ S)
        S = g**c * S + (k * g**t).swapaxes(1, 2) @ v
    return y, S


@wrong(RETENTION, "the scores inside a chunk have no mask")
def mask_forgotten(Q, K, V, gamma, chunk_size, state):
    S, y, g = state, np.zeros_like(V), gamma[:, None, None]
    for s in range(0, Q.shape[1], chunk_size):
        q, k, v = (z[:, s : s + chunk_size] for z in (Q, K, V))
        c = q.shape[1]
        t = np.arange(c)[:, None]
        y[:, s : s + c] = (q @ k.swapaxes(1, 2)) @ v + g ** (t + 1) * (q @ S)
        S = g**c * S + (k * g ** (c - 1 - t)).swapaxes(1, 2) @ v
    return y, S


@right(GLA)
def four_dimensional_mask(Q, K, V, log_alpha, chunk_size):
    S, y = np.zeros((K.shape[1], V.shape[1])), []
    for s in range(0, len(Q), chunk_size):
        q, k, v, g = (z[s : s + chunk_size] for z in (Q, K, V, log_alpha))
        L = np.exp(np.stack([segsum(np.append(0, column)) for column in g.T], axis=-1))
        y.append(np.einsum("ic,jc,ijc,jv->iv", q, k, L[1:, 1:], v) + (q * L[1:, 0]) @ S)
        S = L[-1, 0][:, None] * S + (k * L[-1, 1:]).T @ v
    return np.concatenate(y), S


@wrong(GLA, "cumulative gates are divided by one another, or their logs subtracted")
def keys_divided_by_the_decay(Q, K, V, log_alpha, chunk_size):
    S, y = np.zeros((K.shape[1], V.shape[1])), []
    for s in range(0, len(Q), chunk_size):
        q, k, v, g = (z[s : s + chunk_size] for z in (Q, K, V, log_alpha))
        b = np.exp(np.cumsum(g, axis=0))
        y.append(np.tril((q * b) @ (k / b).T) @ v + (q * b) @ S)
        S = b[-1][:, None] * S + (k * (b[-1] / b)).T @ v
    return np.concatenate(y), S


@wrong(GLA, "cumulative gates are divided by one another, or their logs subtracted")
def sums_subtracted(Q, K, V, log_alpha, chunk_size):
    S, y = np.zeros((K.shape[1], V.shape[1])), []
    for s in range(0, len(Q), chunk_size):
        q, k, v, g = (z[s : s + chunk_size] for z in (Q, K, V, log_alpha))
        b = np.cumsum(g, axis=0)
        M = np.einsum("ic,jc,ijc->ij", q, k, np.exp(np.minimum(b[:, None] - b[None], 0)))
        y.append(np.tril(M) @ v + (q * np.exp(b)) @ S)
        S = np.exp(b[-1])[:, None] * S + (k * np.exp(b[-1] - b)).T @ v
    return np.concatenate(y), S


@wrong(GLA, "tokens are added to the state undecayed")
def chunk_not_decayed_to_its_end(Q, K, V, log_alpha, chunk_size):
    S, y = np.zeros((K.shape[1], V.shape[1])), []
    for s in range(0, len(Q), chunk_size):
        q, k, v, g = (z[s : s + chunk_size] for z in (Q, K, V, log_alpha))
        L = np.exp(np.stack([segsum(np.append(0, column)) for column in g.T], axis=-1))
        y.append(np.einsum("ic,jc,ijc,jv->iv", q, k, L[1:, 1:], v) + (q * L[1:, 0]) @ S)
        S = L[-1, 0][:, None] * S + k.T @ v
    return np.concatenate(y), S


@wrong(GLA, "the incoming state is read undecayed")
def state_read_undecayed(Q, K, V, log_alpha, chunk_size):
    S, y = np.zeros((K.shape[1], V.shape[1])), []
    for s in range(0, len(Q), chunk_size):
        q, k, v, g = (z[s : s + chunk_size] for z in (Q, K, V, log_alpha))
        L = np.exp(np.stack([segsum(np.append(0, column)) for column in g.T], axis=-1))
        y.append(np.einsum("ic,jc,ijc,jv->iv", q, k, L[1:, 1:], v) + q @ S)
        S = L[-1, 0][:, None] * S + (k * L[-1, 1:]).T @ v
    return np.concatenate(y), S


@wrong(GLA, "one gate is used for all key dimensions")
def one_gate_for_all_keys(Q, K, V, log_alpha, chunk_size):
    mean = np.repeat(log_alpha.mean(1, keepdims=True), K.shape[1], axis=1)
    return four_dimensional_mask(Q, K, V, mean, chunk_size)


@wrong(GLA, "the state is not carried into the next chunk")
def no_state_between_chunks(Q, K, V, log_alpha, chunk_size):
    y = []
    for s in range(0, len(Q), chunk_size):
        part, S = four_dimensional_mask(*(z[s : s + chunk_size] for z in (Q, K, V, log_alpha)), chunk_size)
        y.append(part)
    return np.concatenate(y), S


@wrong(GLA, "the first gate of a chunk does not act on the incoming state")
def first_gate_skipped(Q, K, V, log_alpha, chunk_size):
    S, y = np.zeros((K.shape[1], V.shape[1])), []
    for s in range(0, len(Q), chunk_size):
        q, k, v, g = (z[s : s + chunk_size] for z in (Q, K, V, log_alpha))
        L = np.exp(np.stack([segsum(column) for column in g.T], axis=-1))
        y.append(np.einsum("ic,jc,ijc,jv->iv", q, k, L, v) + (q * L[:, 0]) @ S)
        S = L[-1, 0][:, None] * S + (k * L[-1]).T @ v
    return np.concatenate(y), S


@wrong(GLA, "loop over chunks, not tokens")
def tokens_one_by_one(Q, K, V, log_alpha, chunk_size):
    S, y = np.zeros((K.shape[1], V.shape[1])), []
    for q, k, v, g in zip(Q, K, V, np.exp(log_alpha), strict=True):
        S = g[:, None] * S + np.outer(k, v)
        y.append(q @ S)
    return np.array(y), S


@wrong(GLA, "")
def logs_clipped(Q, K, V, log_alpha, chunk_size):
    return four_dimensional_mask(Q, K, V, np.maximum(log_alpha, -20), chunk_size)


@right(DELTA)
def as_the_delta_rule(K, V, beta):
    S, losses = np.zeros((K.shape[1], V.shape[1])), np.zeros(len(K))
    identity = np.eye(K.shape[1])
    for t in range(len(K)):
        losses[t] = 0.5 * np.linalg.norm(V[t] - K[t] @ S) ** 2
        S = (identity - beta[t] * np.outer(K[t], K[t])) @ S + beta[t] * np.outer(K[t], V[t])
    return losses, S


@wrong(DELTA, "the factor ½ of the loss is left out")
def half_forgotten(K, V, beta):
    S, losses = np.zeros((K.shape[1], V.shape[1])), []
    for k, v, b in zip(K, V, beta, strict=True):
        e = v - S.T @ k
        losses.append(e @ e)
        S = S + b * np.outer(k, e)
    return np.array(losses), S


@wrong(DELTA, "the loss is taken after the step")
def losses_after_the_step(K, V, beta):
    S, losses = np.zeros((K.shape[1], V.shape[1])), []
    for k, v, b in zip(K, V, beta, strict=True):
        S = S + b * np.outer(k, v - S.T @ k)
        losses.append(0.5 * ((v - S.T @ k) ** 2).sum())
    return np.array(losses), S


@wrong(DELTA, "the step goes uphill")
def ascent(K, V, beta):
    S, losses = np.zeros((K.shape[1], V.shape[1])), []
    for k, v, b in zip(K, V, beta, strict=True):
        e = v - S.T @ k
        losses.append(0.5 * (e**2).sum())
        S = S - b * np.outer(k, e)
    return np.array(losses), S


@wrong(DELTA, "the gradient is that of -v·(Sᵀk): linear attention")
def hebbian(K, V, beta):
    S, losses = np.zeros((K.shape[1], V.shape[1])), []
    for k, v, b in zip(K, V, beta, strict=True):
        losses.append(0.5 * ((v - S.T @ k) ** 2).sum())
        S = S + b * np.outer(k, v)
    return np.array(losses), S


@wrong(DELTA, "the factor ½ of the loss is left out")
def gradient_doubled(K, V, beta):
    S, losses = np.zeros((K.shape[1], V.shape[1])), []
    for k, v, b in zip(K, V, beta, strict=True):
        e = v - S.T @ k
        losses.append(0.5 * (e**2).sum())
        S = S + 2 * b * np.outer(k, e)
    return np.array(losses), S


@wrong(DELTA, "every step has the size 1")
def step_size_forgotten(K, V, beta):
    S, losses = np.zeros((K.shape[1], V.shape[1])), []
    for k, v in zip(K, V, strict=True):
        e = v - S.T @ k
        losses.append(0.5 * (e**2).sum())
        S = S + np.outer(k, e)
    return np.array(losses), S


@wrong(DELTA, "the loss is a mean over the entries")
def mean_of_squares(K, V, beta):
    S, losses = np.zeros((K.shape[1], V.shape[1])), []
    for k, v, b in zip(K, V, beta, strict=True):
        e = v - S.T @ k
        losses.append(0.5 * (e**2).mean())
        S = S + b * np.outer(k, e)
    return np.array(losses), S


@wrong(DELTA, "the right answer, transposed")
def state_of_values_by_keys(K, V, beta):
    S, losses = np.zeros((V.shape[1], K.shape[1])), []
    for k, v, b in zip(K, V, beta, strict=True):
        e = v - S @ k
        losses.append(0.5 * (e**2).sum())
        S = S + b * np.outer(e, k)
    return np.array(losses), S


@wrong(DELTA, "the length of the error is not squared")
def norm_not_squared(K, V, beta):
    S, losses = np.zeros((K.shape[1], V.shape[1])), []
    for k, v, b in zip(K, V, beta, strict=True):
        e = v - S.T @ k
        losses.append(0.5 * np.linalg.norm(e))
        S = S + b * np.outer(k, e)
    return np.array(losses), S


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


@right(RWKV)
def as_one_matrix(r, d, a, k, v, k_k, k_a, S):
    w = np.exp(-_sigmoid(d) / np.sqrt(np.e))
    kappa = k * k_k
    kappa = kappa / np.sqrt(kappa @ kappa)
    S = (np.diag(w) - np.outer(a * kappa, kappa)) @ S + np.outer(k + k * (a - 1) * k_a, v)
    return S.T @ r, S


@wrong(RWKV, "κ̂ is not scaled to length 1")
def not_normalized(r, d, a, k, v, k_k, k_a, S):
    w, kappa, k2 = np.exp(-np.exp(-0.5) * _sigmoid(d)), k * k_k, k * (1 + (a - 1) * k_a)
    S = w[:, None] * S - np.outer(a * kappa, kappa @ S) + np.outer(k2, v)
    return r @ S, S


@wrong(RWKV, "the decay is that of RWKV-6")
def decay_of_rwkv6(r, d, a, k, v, k_k, k_a, S):
    w, kappa, k2 = np.exp(-np.exp(d)), k * k_k, k * (1 + (a - 1) * k_a)
    kappa = kappa / np.linalg.norm(kappa)
    S = w[:, None] * S - np.outer(a * kappa, kappa @ S) + np.outer(k2, v)
    return r @ S, S


@wrong(RWKV, "the removal reads the state after its decay")
def removed_after_the_decay(r, d, a, k, v, k_k, k_a, S):
    w, kappa, k2 = np.exp(-np.exp(-0.5) * _sigmoid(d)), k * k_k, k * (1 + (a - 1) * k_a)
    kappa = kappa / np.linalg.norm(kappa)
    S = w[:, None] * S
    S = S - np.outer(a * kappa, kappa @ S) + np.outer(k2, v)
    return r @ S, S


@wrong(RWKV, "the raw key k is written")
def plain_key_written(r, d, a, k, v, k_k, k_a, S):
    w, kappa = np.exp(-np.exp(-0.5) * _sigmoid(d)), k * k_k
    kappa = kappa / np.linalg.norm(kappa)
    S = w[:, None] * S - np.outer(a * kappa, kappa @ S) + np.outer(k, v)
    return r @ S, S


@wrong(RWKV, "the old state is read")
def old_state_read(r, d, a, k, v, k_k, k_a, S):
    w, kappa, k2 = np.exp(-np.exp(-0.5) * _sigmoid(d)), k * k_k, k * (1 + (a - 1) * k_a)
    kappa = kappa / np.linalg.norm(kappa)
    y = r @ S
    S = w[:, None] * S - np.outer(a * kappa, kappa @ S) + np.outer(k2, v)
    return y, S


@wrong(RWKV, "what is looked up is the key itself")
def removed_key_is_the_written_one(r, d, a, k, v, k_k, k_a, S):
    w, k2 = np.exp(-np.exp(-0.5) * _sigmoid(d)), k * (1 + (a - 1) * k_a)
    kappa = k / np.linalg.norm(k)
    S = w[:, None] * S - np.outer(a * kappa, kappa @ S) + np.outer(k2, v)
    return r @ S, S


@wrong(RWKV, "NumPy lines up last axes")
def decay_along_the_values(r, d, a, k, v, k_k, k_a, S):
    w, kappa, k2 = np.exp(-np.exp(-0.5) * _sigmoid(d)), k * k_k, k * (1 + (a - 1) * k_a)
    kappa = kappa / np.linalg.norm(kappa)
    S = S * w - np.outer(a * kappa, kappa @ S) + np.outer(k2, v)
    return r @ S, S


@wrong(RWKV, "the rates a scale the lookup instead of the removal")
def rate_on_the_other_side(r, d, a, k, v, k_k, k_a, S):
    w, kappa, k2 = np.exp(-np.exp(-0.5) * _sigmoid(d)), k * k_k, k * (1 + (a - 1) * k_a)
    kappa = kappa / np.linalg.norm(kappa)
    S = w[:, None] * S - np.outer(kappa, (a * kappa) @ S) + np.outer(k2, v)
    return r @ S, S


@wrong(RWKV, "the rates a do not act on the removal")
def rate_forgotten(r, d, a, k, v, k_k, k_a, S):
    w, kappa, k2 = np.exp(-np.exp(-0.5) * _sigmoid(d)), k * k_k, k * (1 + (a - 1) * k_a)
    kappa = kappa / np.linalg.norm(kappa)
    S = w[:, None] * S - np.outer(kappa, kappa @ S) + np.outer(k2, v)
    return r @ S, S


@wrong(RWKV, "e^(-1/2) is taken to be 1/2")
def constant_misread(r, d, a, k, v, k_k, k_a, S):
    w, kappa, k2 = np.exp(-0.5 * _sigmoid(d)), k * k_k, k * (1 + (a - 1) * k_a)
    kappa = kappa / np.linalg.norm(kappa)
    S = w[:, None] * S - np.outer(a * kappa, kappa @ S) + np.outer(k2, v)
    return r @ S, S
