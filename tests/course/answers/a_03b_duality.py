"""Answers to the exercises of 03b."""

import numpy as np

from lecture17.reference.attention import softmax_matrix
from lecture17.reference.semiseparable import segsum

from . import right, wrong

EXP = "03b_duality-exp-counterexample"
NORMALIZER = "03b_duality-running-normaliser"
PARALLEL = "03b_duality-ssd-parallel"
CHUNKWISE = "03b_duality-ssd-chunkwise"
RANK = "03b_duality-softmax-rank"
FEATURES = "03b_duality-random-features"


@right(EXP)
def lists_and_a_fraction(q1):
    return [0.0, 0.0], [0.0, 0.0], q1 / (q1 - 1)


@right(EXP)
def three_entries(q1):
    return np.array([1.0, 2.0, 3.0]), np.ones(3), 1 + 1 / (q1 - 1)


@wrong(EXP, "k1 has the wrong sign")
def sign_slipped(q1):
    return np.ones(2), np.ones(2), q1 / (1 - q1)


@wrong(EXP, "k1 is q1 itself")
def equal_to_the_given(q1):
    return np.ones(2), np.ones(2), q1


@wrong(EXP, "k1 is 1/(q1 - 1)")
def reciprocal(q1):
    return np.ones(2), np.ones(2), 1 / (q1 - 1)


@wrong(EXP, "k1 is 2")
def two_only_right_for_two(q1):
    return np.ones(2), np.ones(2), 2.0


@wrong(EXP, "expected two vectors of one length, at least 2")
def no_counterexample_of_one_entry(q1):
    return np.array([1.0]), np.array([1.0]), q1 / (q1 - 1)


@wrong(EXP, "k1 solves q1·k1 = -(q1 + k1)")
def solved_for_the_minus_sign(q1):
    return np.ones(2), np.ones(2), -q1 / (q1 + 1)


@wrong(EXP, "expected two vectors of one length, at least 2")
def numbers_instead_of_vectors(q1):
    return 1.0, 3.0, q1 / (q1 - 1)


@right(NORMALIZER)
def state_with_a_column_of_ones(Q, K, V):
    VV = np.concatenate([V, np.ones((len(V), 1))], axis=1)
    S, y = np.zeros((K.shape[1], VV.shape[1])), []
    for q, k, v in zip(Q, K, VV, strict=True):
        S = S + k[:, None] * v
        r = q @ S
        y.append(r[:-1] / r[-1])
    return np.array(y), S[:, :-1], S[:, -1]


@wrong(NORMALIZER, "the normalizer is missing")
def not_normalized(Q, K, V):
    S, z, y = np.zeros((K.shape[1], V.shape[1])), np.zeros(K.shape[1]), []
    for q, k, v in zip(Q, K, V, strict=True):
        S, z = S + np.outer(k, v), z + k
        y.append(q @ S)
    return np.array(y), S, z


@wrong(NORMALIZER, "every token is divided by how many there are so far")
def divided_by_the_number_of_tokens(Q, K, V):
    S, z, y = np.zeros((K.shape[1], V.shape[1])), np.zeros(K.shape[1]), []
    for t in range(len(Q)):
        S, z = S + np.outer(K[t], V[t]), z + K[t]
        y.append(Q[t] @ S / (t + 1))
    return np.array(y), S, z


@wrong(NORMALIZER, "the query is missing in the normalizer")
def divided_by_the_sum_of_keys(Q, K, V):
    S, z, y = np.zeros((K.shape[1], V.shape[1])), np.zeros(K.shape[1]), []
    for t in range(len(Q)):
        S, z = S + np.outer(K[t], V[t]), z + K[t]
        y.append(Q[t] @ S / z.sum())
    return np.array(y), S, z


@wrong(NORMALIZER, "every token is divided by the sum over all keys, later ones too")
def normalized_by_all_tokens(Q, K, V):
    S, z, y = np.zeros((K.shape[1], V.shape[1])), K.sum(0), []
    for t in range(len(Q)):
        S = S + np.outer(K[t], V[t])
        y.append(Q[t] @ S / (Q[t] @ z))
    return np.array(y), S, z


@wrong(NORMALIZER, "token t reads before it has written")
def read_before_written(Q, K, V):
    S, z, y = np.zeros((K.shape[1], V.shape[1])), np.zeros(K.shape[1]), []
    for t in range(len(Q)):
        y.append(Q[t] @ S / (Q[t] @ z) if t else np.zeros(V.shape[1]))
        S, z = S + np.outer(K[t], V[t]), z + K[t]
    return np.array(y), S, z


@wrong(NORMALIZER, "the normalizer sums the values")
def normalizer_of_values(Q, K, V):
    S, z, y = np.zeros((K.shape[1], V.shape[1])), np.zeros(V.shape[1]), []
    for t in range(len(Q)):
        S, z = S + np.outer(K[t], V[t]), z + V[t]
        y.append(Q[t] @ S / z)
    return np.array(y), S, z


@wrong(NORMALIZER, "the state itself is divided")
def state_divided_as_it_goes(Q, K, V):
    S, z, y = np.zeros((K.shape[1], V.shape[1])), np.zeros(K.shape[1]), []
    for t in range(len(Q)):
        z = z + K[t]
        S = (S + np.outer(K[t], V[t])) / (Q[t] @ z)
        y.append(Q[t] @ S)
    return np.array(y), S, z


@wrong(NORMALIZER, "every token sees the whole sequence")
def whole_matrix_without_mask(Q, K, V):
    A = Q @ K.T
    return A @ V / A.sum(1, keepdims=True), K.T @ V, K.sum(0)


@right(PARALLEL)
def with_einsum(x, log_a, B, C):
    return np.einsum("ij,in,jn,jd->id", np.exp(segsum(log_a)), C, B, x, optimize=True)


@right(PARALLEL)
def by_the_recurrence(x, log_a, B, C):
    S, y = np.zeros((B.shape[1], x.shape[1])), []
    for t in range(len(x)):
        S = np.exp(log_a[t]) * S + np.outer(B[t], x[t])
        y.append(C[t] @ S)
    return np.vstack(y)


@wrong(PARALLEL, "the mask is not exponentiated")
def mask_not_exponentiated(x, log_a, B, C):
    return (segsum(log_a) * (C @ B.T)) @ x


@wrong(PARALLEL, "B and C have changed places")
def roles_swapped(x, log_a, B, C):
    return (np.exp(segsum(log_a)) * (B @ C.T)) @ x


@wrong(PARALLEL, "the scores are in the exponent")
def exponential_of_everything(x, log_a, B, C):
    return np.exp(segsum(log_a) + C @ B.T) @ x


@wrong(PARALLEL, "the decay is missing")
def decay_forgotten(x, log_a, B, C):
    return np.tril(C @ B.T) @ x


@wrong(PARALLEL, "L is computed from differences of one cumulative sum")
def cumulative_logs(x, log_a, B, C):
    c = np.cumsum(log_a)
    return (np.tril(np.exp(c[:, None] - c)) * (C @ B.T)) @ x


@wrong(PARALLEL, "L multiplies as a matrix")
def matrix_product_of_mask(x, log_a, B, C):
    return np.exp(segsum(log_a)) @ (C @ B.T) @ x


@wrong(PARALLEL, "the rows are divided by their sums")
def softmax_habit(x, log_a, B, C):
    M = np.exp(segsum(log_a)) * (C @ B.T)
    return M / M.sum(1, keepdims=True) @ x


@wrong(PARALLEL, "the scores are divided by the root of d_state")
def scaled_by_the_root(x, log_a, B, C):
    return (np.exp(segsum(log_a)) * (C @ B.T) / np.sqrt(B.shape[1])) @ x


@wrong(PARALLEL, "the diagonal is left out")
def strictly_causal(x, log_a, B, C):
    return (np.tril(np.exp(segsum(log_a)), -1) * (C @ B.T)) @ x


def _block(x, log_a, B, C):
    return (np.exp(segsum(log_a)) * (C @ B.T)) @ x


@right(CHUNKWISE)
def chunks_by_array_split(x, log_a, B, C, chunk_size):
    cuts = list(range(chunk_size, len(x), chunk_size))
    S, y = np.zeros((B.shape[1], x.shape[1])), []
    for x_c, a_c, B_c, C_c in zip(*(np.split(z, cuts) for z in (x, log_a, B, C)), strict=True):
        sums = segsum(np.append(0, a_c))
        y.append(_block(x_c, a_c, B_c, C_c) + np.exp(sums[1:, 0])[:, None] * (C_c @ S))
        S = np.exp(sums[-1, 0]) * S + (np.exp(sums[-1, 1:])[:, None] * B_c).T @ x_c
    return np.concatenate(y), S


@right(CHUNKWISE)
def padded_to_whole_chunks(x, log_a, B, C, chunk_size):
    N, pad = len(x), -len(x) % chunk_size
    x, B, C = (np.pad(z, ((0, pad), (0, 0))) for z in (x, B, C))
    log_a = np.pad(log_a, (0, pad))
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for s in range(0, len(x), chunk_size):
        r = slice(s, s + chunk_size)
        y[r] = _block(x[r], log_a[r], B[r], C[r]) + np.exp(np.cumsum(log_a[r]))[:, None] * (C[r] @ S)
        to_end = np.exp(segsum(log_a[r]))[-1]
        S = np.exp(log_a[r].sum()) * S + B[r].T @ (to_end[:, None] * x[r])
    return y[:N], S


@wrong(CHUNKWISE, "loop over chunks, not tokens")
def token_loop(x, log_a, B, C, chunk_size):
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for t in range(len(x)):
        S = np.exp(log_a[t]) * S + np.outer(B[t], x[t])
        y[t] = C[t] @ S
    return y, S


@wrong(CHUNKWISE, "the state is not carried into the next chunk")
def state_never_read(x, log_a, B, C, chunk_size):
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for s in range(0, len(x), chunk_size):
        r = slice(s, s + chunk_size)
        y[r] = _block(x[r], log_a[r], B[r], C[r])
        S = np.exp(log_a[r].sum()) * S + B[r].T @ (np.exp(segsum(log_a[r]))[-1][:, None] * x[r])
    return y, S


@wrong(CHUNKWISE, "the state is replaced by the chunk's own part")
def state_not_carried(x, log_a, B, C, chunk_size):
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for s in range(0, len(x), chunk_size):
        r = slice(s, s + chunk_size)
        y[r] = _block(x[r], log_a[r], B[r], C[r]) + np.exp(np.cumsum(log_a[r]))[:, None] * (C[r] @ S)
        S = B[r].T @ (np.exp(segsum(log_a[r]))[-1][:, None] * x[r])
    return y, S


@wrong(CHUNKWISE, "the state is passed on without the decay of the chunk")
def old_state_not_shrunk(x, log_a, B, C, chunk_size):
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for s in range(0, len(x), chunk_size):
        r = slice(s, s + chunk_size)
        y[r] = _block(x[r], log_a[r], B[r], C[r]) + np.exp(np.cumsum(log_a[r]))[:, None] * (C[r] @ S)
        S = S + B[r].T @ (np.exp(segsum(log_a[r]))[-1][:, None] * x[r])
    return y, S


@wrong(CHUNKWISE, "the incoming state is read undecayed")
def incoming_state_not_decayed(x, log_a, B, C, chunk_size):
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for s in range(0, len(x), chunk_size):
        r = slice(s, s + chunk_size)
        y[r] = _block(x[r], log_a[r], B[r], C[r]) + C[r] @ S
        S = np.exp(log_a[r].sum()) * S + B[r].T @ (np.exp(segsum(log_a[r]))[-1][:, None] * x[r])
    return y, S


@wrong(CHUNKWISE, "the first token of a chunk reads the incoming state undecayed")
def one_decay_short_at_the_start(x, log_a, B, C, chunk_size):
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for s in range(0, len(x), chunk_size):
        r = slice(s, s + chunk_size)
        y[r] = _block(x[r], log_a[r], B[r], C[r]) + np.exp(segsum(log_a[r])[:, 0])[:, None] * (C[r] @ S)
        S = np.exp(log_a[r].sum()) * S + B[r].T @ (np.exp(segsum(log_a[r]))[-1][:, None] * x[r])
    return y, S


@wrong(CHUNKWISE, "tokens read the state after the chunk")
def state_after_the_chunk_read(x, log_a, B, C, chunk_size):
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for s in range(0, len(x), chunk_size):
        r = slice(s, s + chunk_size)
        S = np.exp(log_a[r].sum()) * S + B[r].T @ (np.exp(segsum(log_a[r]))[-1][:, None] * x[r])
        y[r] = _block(x[r], log_a[r], B[r], C[r]) + np.exp(np.cumsum(log_a[r]))[:, None] * (C[r] @ S)
    return y, S


@wrong(CHUNKWISE, "the decay to the chunk's end is a difference of cumulative sums")
def last_less_cumsum(x, log_a, B, C, chunk_size):
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for s in range(0, len(x), chunk_size):
        r = slice(s, s + chunk_size)
        c = np.cumsum(log_a[r])
        y[r] = _block(x[r], log_a[r], B[r], C[r]) + np.exp(c)[:, None] * (C[r] @ S)
        S = np.exp(c[-1]) * S + B[r].T @ (np.exp(c[-1] - c)[:, None] * x[r])
    return y, S


@wrong(CHUNKWISE, "tokens are added to the state undecayed")
def chunk_written_undecayed(x, log_a, B, C, chunk_size):
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for s in range(0, len(x), chunk_size):
        r = slice(s, s + chunk_size)
        y[r] = _block(x[r], log_a[r], B[r], C[r]) + np.exp(np.cumsum(log_a[r]))[:, None] * (C[r] @ S)
        S = np.exp(log_a[r].sum()) * S + B[r].T @ x[r]
    return y, S


@wrong(CHUNKWISE, "a last chunk that is not full is dropped")
def last_chunk_lost(x, log_a, B, C, chunk_size):
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for n in range(len(x) // chunk_size):
        r = slice(n * chunk_size, (n + 1) * chunk_size)
        y[r] = _block(x[r], log_a[r], B[r], C[r]) + np.exp(np.cumsum(log_a[r]))[:, None] * (C[r] @ S)
        S = np.exp(log_a[r].sum()) * S + B[r].T @ (np.exp(segsum(log_a[r]))[-1][:, None] * x[r])
    return y, S


@wrong(CHUNKWISE, "N need not be a multiple of chunk_size")
def reshaped(x, log_a, B, C, chunk_size):
    n = len(x) // chunk_size
    x, B, C = (z.reshape(n, chunk_size, -1) for z in (x, B, C))
    log_a = log_a.reshape(n, chunk_size)
    S, y = np.zeros((B.shape[-1], x.shape[-1])), []
    for x_c, a_c, B_c, C_c in zip(x, log_a, B, C, strict=True):
        y.append(_block(x_c, a_c, B_c, C_c) + np.exp(np.cumsum(a_c))[:, None] * (C_c @ S))
        S = np.exp(a_c.sum()) * S + B_c.T @ (np.exp(segsum(a_c))[-1][:, None] * x_c)
    return np.concatenate(y), S


@wrong(CHUNKWISE, "tokens are added to the state with the decay from the chunk's start")
def decay_to_the_end_reversed(x, log_a, B, C, chunk_size):
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for s in range(0, len(x), chunk_size):
        r = slice(s, s + chunk_size)
        y[r] = _block(x[r], log_a[r], B[r], C[r]) + np.exp(np.cumsum(log_a[r]))[:, None] * (C[r] @ S)
        S = np.exp(log_a[r].sum()) * S + B[r].T @ (np.exp(np.cumsum(log_a[r]))[:, None] * x[r])
    return y, S


@wrong(CHUNKWISE, "NumPy lines up last axes")
def broadcast_forgotten(x, log_a, B, C, chunk_size):
    S, y = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x)
    for s in range(0, len(x), chunk_size):
        r = slice(s, s + chunk_size)
        y[r] = _block(x[r], log_a[r], B[r], C[r]) + np.exp(np.cumsum(log_a[r])) * (C[r] @ S)
        S = np.exp(log_a[r].sum()) * S + B[r].T @ (np.exp(segsum(log_a[r]))[-1][:, None] * x[r])
    return y, S


@wrong(CHUNKWISE, "the state is transposed")
def state_transposed(x, log_a, B, C, chunk_size):
    S, y = np.zeros((x.shape[1], B.shape[1])), np.zeros_like(x)
    for s in range(0, len(x), chunk_size):
        r = slice(s, s + chunk_size)
        y[r] = _block(x[r], log_a[r], B[r], C[r]) + np.exp(np.cumsum(log_a[r]))[:, None] * (C[r] @ S.T)
        S = np.exp(log_a[r].sum()) * S + x[r].T @ (np.exp(segsum(log_a[r]))[-1][:, None] * B[r])
    return y, S


@right(RANK)
def rank_by_rtol(Q, K, split):
    return np.linalg.matrix_rank(softmax_matrix(Q, K)[split:, :split], rtol=1e-8)


@wrong(RANK, "the rank of the whole matrix is taken")
def whole_matrix(Q, K, split):
    return int(np.linalg.matrix_rank(softmax_matrix(Q, K), rtol=1e-8))


@wrong(RANK, "the threshold is relative to the whole matrix")
def relative_to_the_whole(Q, K, split):
    P = softmax_matrix(Q, K)
    return int((np.linalg.svd(P[split:, :split], compute_uv=False) > 1e-8 * np.linalg.norm(P, 2)).sum())


@wrong(RANK, "the threshold is 1e-8 itself")
def absolute(Q, K, split):
    return int((np.linalg.svd(softmax_matrix(Q, K)[split:, :split], compute_uv=False) > 1e-8).sum())


@wrong(RANK, "the threshold is that of NumPy")
def default_threshold(Q, K, split):
    return int(np.linalg.matrix_rank(softmax_matrix(Q, K)[split:, :split]))


@wrong(RANK, "the scores are not exponentiated")
def width_of_the_keys(Q, K, split):
    return K.shape[1]


@wrong(RANK, "the scores are not exponentiated")
def rank_of_the_scores(Q, K, split):
    return int(np.linalg.matrix_rank((Q @ K.T)[split:, :split], rtol=1e-8))


@wrong(RANK, "the block above the diagonal is taken")
def the_future_block(Q, K, split):
    return int(np.linalg.matrix_rank(softmax_matrix(Q, K)[:split, split:], rtol=1e-8))


@wrong(RANK, "the block's smaller side is returned")
def size_of_the_block(Q, K, split):
    return min(split, len(Q) - split)


@right(FEATURES)
def shifted_inside_the_exponential(X, W):
    half = np.einsum("nd,nd->n", X, X) / 2
    return np.exp(X @ W.T - half[:, None] - 0.5 * np.log(len(W)))


@wrong(FEATURES, "|x| is not squared")
def norm_not_squared(X, W):
    return np.exp(X @ W.T - np.linalg.norm(X, axis=1, keepdims=True) / 2) / np.sqrt(len(W))


@wrong(FEATURES, "the factor 1/√m is missing")
def not_scaled(X, W):
    return np.exp(X @ W.T - (X**2).sum(1, keepdims=True) / 2)


@wrong(FEATURES, "each side is divided by m")
def divided_by_m(X, W):
    return np.exp(X @ W.T - (X**2).sum(1, keepdims=True) / 2) / len(W)


@wrong(FEATURES, "the root is that of the wrong size")
def root_of_the_wrong_size(X, W):
    return np.exp(X @ W.T - (X**2).sum(1, keepdims=True) / 2) / np.sqrt(X.shape[1])


@wrong(FEATURES, "the term -|x|²/2 is missing")
def norm_left_out(X, W):
    return np.exp(X @ W.T) / np.sqrt(len(W))


@wrong(FEATURES, "|x|² is not halved")
def half_forgotten(X, W):
    return np.exp(X @ W.T - (X**2).sum(1, keepdims=True)) / np.sqrt(len(W))


@wrong(FEATURES, "the norm is that of all rows together")
def norm_of_the_whole_matrix(X, W):
    return np.exp(X @ W.T - (X**2).sum() / 2) / np.sqrt(len(W))


@wrong(FEATURES, "the norm is that of the directions")
def norm_of_the_directions(X, W):
    return np.exp(X @ W.T - (W**2).sum(1) / 2) / np.sqrt(len(W))


@wrong(FEATURES, "|x|²/2 is added")
def plus_instead_of_minus(X, W):
    return np.exp(X @ W.T + (X**2).sum(1, keepdims=True) / 2) / np.sqrt(len(W))
