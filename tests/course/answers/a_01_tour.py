"""Answers to the exercises of 01."""

import numpy as np

from . import right, wrong

MAMBA = "01_tour-mamba2-micro"
GLA = "01_tour-gla-gate"
WKV = "01_tour-wkv"
RETENTION = "01_tour-retention-three-ways"


@right(MAMBA)
def state_kept_as_values_by_keys(x, dt, A, B, C, state):
    S = np.asarray(state).T
    y = np.empty_like(x)
    for t, (x_t, d, b, c) in enumerate(zip(x, dt, B, C, strict=True)):
        S = np.exp(d * A) * S + d * np.outer(x_t, b)
        y[t] = S @ c
    return y, S.T


@wrong(MAMBA, "the step does not scale what is written")
def step_missing_in_write(x, dt, A, B, C, state):
    S, ys = state, []
    for t in range(len(x)):
        S = np.exp(dt[t] * A) * S + np.outer(B[t], x[t])
        ys.append(C[t] @ S)
    return np.array(ys), S


@wrong(MAMBA, "the given state is ignored")
def starts_from_zero(x, dt, A, B, C, state):
    S, ys = np.zeros_like(state), []
    for t in range(len(x)):
        S = np.exp(dt[t] * A) * S + dt[t] * np.outer(B[t], x[t])
        ys.append(C[t] @ S)
    return np.array(ys), S


@wrong(MAMBA, "a token reads before it has written")
def reads_before_writing(x, dt, A, B, C, state):
    S, ys = state, []
    for t in range(len(x)):
        ys.append(C[t] @ S)
        S = np.exp(dt[t] * A) * S + dt[t] * np.outer(B[t], x[t])
    return np.array(ys), S


@wrong(MAMBA, "all tokens decay by exp(A)")
def no_step_in_decay(x, dt, A, B, C, state):
    S, ys = state, []
    for t in range(len(x)):
        S = np.exp(A) * S + dt[t] * np.outer(B[t], x[t])
        ys.append(C[t] @ S)
    return np.array(ys), S


@wrong(MAMBA, "the exponent has the wrong sign")
def decay_of_the_wrong_sign(x, dt, A, B, C, state):
    S, ys = state, []
    for t in range(len(x)):
        S = np.exp(-dt[t] * A) * S + dt[t] * np.outer(B[t], x[t])
        ys.append(C[t] @ S)
    return np.array(ys), S


@wrong(MAMBA, "the decay is 1 + dt·A")
def euler_step(x, dt, A, B, C, state):
    S, ys = state, []
    for t in range(len(x)):
        S = (1 + dt[t] * A) * S + dt[t] * np.outer(B[t], x[t])
        ys.append(C[t] @ S)
    return np.array(ys), S


@wrong(MAMBA, "the decay is applied after the update")
def write_decayed_too(x, dt, A, B, C, state):
    S, ys = state, []
    for t in range(len(x)):
        S = np.exp(dt[t] * A) * (S + dt[t] * np.outer(B[t], x[t]))
        ys.append(C[t] @ S)
    return np.array(ys), S


@wrong(MAMBA, "`*=` or `+=` overwrites the given state")
def state_of_the_caller_changed(x, dt, A, B, C, state):
    y = np.zeros_like(x)
    for t in range(len(x)):
        state *= np.exp(dt[t] * A)
        state += dt[t] * np.outer(B[t], x[t])
        y[t] = C[t] @ state
    return y, state


@wrong(MAMBA, "expected a tuple (y, state), got ndarray")
def outputs_alone(x, dt, A, B, C, state):
    y = np.zeros_like(x)
    for t in range(len(x)):
        state = np.exp(dt[t] * A) * state + dt[t] * np.outer(B[t], x[t])
        y[t] = C[t] @ state
    return y


@wrong(MAMBA, "the input is discretized exactly")
def exact_discretization(x, dt, A, B, C, state):
    S, ys = state, []
    for t in range(len(x)):
        decay = np.exp(dt[t] * A)
        S = decay * S + (decay - 1) / A * np.outer(B[t], x[t])
        ys.append(C[t] @ S)
    return np.array(ys), S


@right(GLA)
def gate_by_logs(Q, K, V, z):
    log_gate = -np.logaddexp(0, -z) / 16
    S = np.zeros((K.shape[1], V.shape[1]))
    out = []
    for q, k, v, g in zip(Q, K, V, log_gate, strict=True):
        S = np.diag(np.exp(g)) @ S + k.reshape(-1, 1) * v.reshape(1, -1)
        out += [q @ S]
    return np.stack(out), S


@wrong(GLA, "the gate multiplies the key and not the state")
def gate_on_the_input(Q, K, V, z):
    gate = (1 / (1 + np.exp(-z))) ** (1 / 16)
    S, ys = np.zeros((K.shape[1], V.shape[1])), []
    for t in range(len(Q)):
        S = S + np.outer(gate[t] * K[t], V[t])
        ys.append(Q[t] @ S)
    return np.array(ys), S


@wrong(GLA, "the sixteenth root is missing")
def root_forgotten(Q, K, V, z):
    gate = 1 / (1 + np.exp(-z))
    S, ys = np.zeros((K.shape[1], V.shape[1])), []
    for t in range(len(Q)):
        S = gate[t][:, None] * S + np.outer(K[t], V[t])
        ys.append(Q[t] @ S)
    return np.array(ys), S


@wrong(GLA, "the gate is divided by 16")
def divided_by_sixteen(Q, K, V, z):
    gate = 1 / (1 + np.exp(-z)) / 16
    S, ys = np.zeros((K.shape[1], V.shape[1])), []
    for t in range(len(Q)):
        S = gate[t][:, None] * S + np.outer(K[t], V[t])
        ys.append(Q[t] @ S)
    return np.array(ys), S


@wrong(GLA, "the sigmoid is missing")
def gate_without_sigmoid(Q, K, V, z):
    gate = np.exp(z / 16)
    S, ys = np.zeros((K.shape[1], V.shape[1])), []
    for t in range(len(Q)):
        S = gate[t][:, None] * S + np.outer(K[t], V[t])
        ys.append(Q[t] @ S)
    return np.array(ys), S


@wrong(GLA, "the gate runs along the values")
def gate_along_columns(Q, K, V, z):
    gate = (1 / (1 + np.exp(-z))) ** (1 / 16)
    S, ys = np.zeros((K.shape[1], V.shape[1])), []
    for t in range(len(Q)):
        S = S * gate[t] + np.outer(K[t], V[t])
        ys.append(Q[t] @ S)
    return np.array(ys), S


@wrong(GLA, "the gate also acts on what is being written")
def gate_on_both(Q, K, V, z):
    gate = (1 / (1 + np.exp(-z))) ** (1 / 16)
    S, ys = np.zeros((K.shape[1], V.shape[1])), []
    for t in range(len(Q)):
        S = gate[t][:, None] * (S + np.outer(K[t], V[t]))
        ys.append(Q[t] @ S)
    return np.array(ys), S


@wrong(GLA, "what is written is multiplied by 1 - α")
def update_gate_of_gru(Q, K, V, z):
    gate = (1 / (1 + np.exp(-z))) ** (1 / 16)
    S, ys = np.zeros((K.shape[1], V.shape[1])), []
    for t in range(len(Q)):
        S = gate[t][:, None] * S + np.outer((1 - gate[t]) * K[t], V[t])
        ys.append(Q[t] @ S)
    return np.array(ys), S


@wrong(GLA, "the sigmoid has the wrong sign")
def sigmoid_of_the_wrong_sign(Q, K, V, z):
    gate = (1 / (1 + np.exp(z))) ** (1 / 16)
    S, ys = np.zeros((K.shape[1], V.shape[1])), []
    for t in range(len(Q)):
        S = gate[t][:, None] * S + np.outer(K[t], V[t])
        ys.append(Q[t] @ S)
    return np.array(ys), S


@right(WKV)
def all_pairs_with_logsumexp(w, u, k, v):
    y = np.zeros_like(v)
    for t in range(len(k)):
        e = [u + k[t]] + [k[j] + ((t - 1 - j) * w if j < t - 1 else 0) for j in range(t)]
        e, values = np.array(e), np.array([v[t], *v[:t]])
        p = np.exp(e - e.max(0))
        y[t] = (p * values).sum(0) / p.sum(0)
    return y


@wrong(WKV, "the exponentials are computed as written")
def naive(w, u, k, v):
    y = np.zeros_like(v)
    num = den = np.zeros(v.shape[1])
    for t in range(len(k)):
        y[t] = (num + np.exp(u + k[t]) * v[t]) / (den + np.exp(u + k[t]))
        num = np.exp(w) * num + np.exp(k[t]) * v[t]
        den = np.exp(w) * den + np.exp(k[t])
    return y


@wrong(WKV, "the largest key of the whole sequence is factored out")
def one_maximum_for_all(w, u, k, v):
    m = k.max()
    y = np.zeros_like(v)
    num = den = np.zeros(v.shape[1])
    for t in range(len(k)):
        e = np.exp(u + k[t] - m)
        y[t] = (num + e * v[t]) / (den + e)
        num = np.exp(w) * num + np.exp(k[t] - m) * v[t]
        den = np.exp(w) * den + np.exp(k[t] - m)
    return y


@wrong(WKV, "no token gets the bonus, or every token keeps it forever")
def bonus_forgotten(w, u, k, v):
    y = np.zeros_like(v)
    p, q, o = np.zeros(v.shape[1]), np.zeros(v.shape[1]), np.full(v.shape[1], -np.inf)
    for t in range(len(k)):
        m = np.maximum(o, k[t])
        a, b = np.exp(o - m), np.exp(k[t] - m)
        y[t] = (a * p + b * v[t]) / (a * q + b)
        m = np.maximum(o + w, k[t])
        a, b = np.exp(o + w - m), np.exp(k[t] - m)
        p, q, o = a * p + b * v[t], a * q + b, m
    return y


@wrong(WKV, "no token gets the bonus, or every token keeps it forever")
def bonus_written_into_the_state(w, u, k, v):
    y = np.zeros_like(v)
    p, q, o = np.zeros(v.shape[1]), np.zeros(v.shape[1]), np.full(v.shape[1], -np.inf)
    for t in range(len(k)):
        m = np.maximum(o, u + k[t])
        a, b = np.exp(o - m), np.exp(u + k[t] - m)
        y[t] = (a * p + b * v[t]) / (a * q + b)
        m = np.maximum(o + w, u + k[t])
        a, b = np.exp(o + w - m), np.exp(u + k[t] - m)
        p, q, o = a * p + b * v[t], a * q + b, m
    return y


@wrong(WKV, "the past decays before it is read")
def decayed_before_reading(w, u, k, v):
    y = np.zeros_like(v)
    p, q, o = np.zeros(v.shape[1]), np.zeros(v.shape[1]), np.full(v.shape[1], -1e38)
    for t in range(len(k)):
        m = np.maximum(o + w, u + k[t])
        a, b = np.exp(o + w - m), np.exp(u + k[t] - m)
        y[t] = (a * p + b * v[t]) / (a * q + b)
        m = np.maximum(o + w, k[t])
        a, b = np.exp(o + w - m), np.exp(k[t] - m)
        p, q, o = a * p + b * v[t], a * q + b, m
    return y


@wrong(WKV, "reading and updating share one maximum")
def exponent_not_updated(w, u, k, v):
    y = np.zeros_like(v)
    d = v.shape[1]
    p, q, o = np.zeros(d), np.zeros(d), np.full(d, -np.inf)
    for t in range(len(k)):
        m = np.maximum(o, u + k[t])
        a, b = np.exp(o - m), np.exp(u + k[t] - m)
        y[t] = (a * p + b * v[t]) / (a * q + b)
        a, b = np.exp(o + w - m), np.exp(k[t] - m)
        p, q = a * p + b * v[t], a * q + b
        o = np.maximum(o + w, k[t])
    return y


@wrong(WKV, "nothing is divided")
def denominator_forgotten(w, u, k, v):
    y = np.zeros_like(v)
    d = v.shape[1]
    p, o = np.zeros(d), np.full(d, -np.inf)
    for t in range(len(k)):
        m = np.maximum(o, u + k[t])
        y[t] = np.exp(o - m) * p + np.exp(u + k[t] - m) * v[t]
        m = np.maximum(o + w, k[t])
        p, o = np.exp(o + w - m) * p + np.exp(k[t] - m) * v[t], m
    return y


@wrong(WKV, "the exponent starts at 0")
def starts_at_exponent_zero(w, u, k, v):
    y = np.zeros_like(v)
    d = v.shape[1]
    p, q, o = np.zeros(d), np.zeros(d), np.zeros(d)
    for t in range(len(k)):
        m = np.maximum(o, u + k[t])
        a, b = np.exp(o - m), np.exp(u + k[t] - m)
        y[t] = (a * p + b * v[t]) / (a * q + b)
        m = np.maximum(o + w, k[t])
        a, b = np.exp(o + w - m), np.exp(k[t] - m)
        p, q, o = a * p + b * v[t], a * q + b, m
    return y


def _parallel(Q, K, V, gamma):
    i = np.arange(len(Q))
    gap = i[:, None] - i
    D = np.where(gap >= 0, float(gamma) ** np.maximum(gap, 0), 0)
    return (D * (Q @ K.T)) @ V


def _recurrent(Q, K, V, gamma):
    S, y = np.zeros((K.shape[1], V.shape[1])), np.zeros_like(V)
    for t in range(len(Q)):
        S = gamma * S + np.outer(K[t], V[t])
        y[t] = Q[t] @ S
    return y


def _chunkwise(Q, K, V, gamma, c):
    S, y = np.zeros((K.shape[1], V.shape[1])), []
    for s in range(0, len(Q), c):
        q, k, v = Q[s : s + c], K[s : s + c], V[s : s + c]
        n = len(q)
        y.append(_parallel(q, k, v, gamma) + gamma ** np.arange(1, n + 1)[:, None] * (q @ S))
        S = gamma**n * S + (k * gamma ** np.arange(n - 1, -1, -1)[:, None]).T @ v
    return np.concatenate(y)


@right(RETENTION)
def with_helpers(Q, K, V, gamma, chunk_size):
    return [_parallel(Q, K, V, gamma), _recurrent(Q, K, V, gamma), _chunkwise(Q, K, V, gamma, chunk_size)]


@wrong(RETENTION, "parallel and recurrent are the same to the last bit")
def one_form_thrice(Q, K, V, gamma, chunk_size):
    y = _recurrent(Q, K, V, gamma)
    return y, y, y


@wrong(RETENTION, "parallel and recurrent are the same to the last bit")
def same_form_copied(Q, K, V, gamma, chunk_size):
    y = _parallel(Q, K, V, gamma)
    return y, y.copy(), y.copy()


@wrong(RETENTION, "the state is not carried into the next chunk")
def chunks_forget_the_state(Q, K, V, gamma, chunk_size):
    y = [_parallel(Q[s : s + chunk_size], K[s : s + chunk_size], V[s : s + chunk_size], gamma)
         for s in range(0, len(Q), chunk_size)]  # fmt: skip
    return _parallel(Q, K, V, gamma), _recurrent(Q, K, V, gamma), np.concatenate(y)


@wrong(RETENTION, "a chunk reads the incoming state with one γ too few")
def state_decayed_by_full_chunks(Q, K, V, gamma, chunk_size):
    S, y = np.zeros((K.shape[1], V.shape[1])), []
    for s in range(0, len(Q), chunk_size):
        q, k, v = Q[s : s + chunk_size], K[s : s + chunk_size], V[s : s + chunk_size]
        n = len(q)
        y.append(_parallel(q, k, v, gamma) + gamma ** np.arange(n)[:, None] * (q @ S))
        S = gamma**n * S + (k * gamma ** np.arange(n - 1, -1, -1)[:, None]).T @ v
    return _parallel(Q, K, V, gamma), _recurrent(Q, K, V, gamma), np.concatenate(y)


@wrong(RETENTION, "a chunk writes its tokens undecayed")
def chunk_written_without_decay(Q, K, V, gamma, chunk_size):
    S, y = np.zeros((K.shape[1], V.shape[1])), []
    for s in range(0, len(Q), chunk_size):
        q, k, v = Q[s : s + chunk_size], K[s : s + chunk_size], V[s : s + chunk_size]
        n = len(q)
        y.append(_parallel(q, k, v, gamma) + gamma ** np.arange(1, n + 1)[:, None] * (q @ S))
        S = gamma**n * S + k.T @ v
    return _parallel(Q, K, V, gamma), _recurrent(Q, K, V, gamma), np.concatenate(y)


@wrong(RETENTION, "γ^i is divided by γ^j")
def decays_divided(Q, K, V, gamma, chunk_size):
    i = np.arange(len(Q), dtype=float)
    D = np.tril(gamma ** i[:, None] / gamma**i)
    return (D * (Q @ K.T)) @ V, _recurrent(Q, K, V, gamma), _chunkwise(Q, K, V, gamma, chunk_size)


@wrong(RETENTION, "a last chunk that is not full is dropped")
def last_chunk_dropped(Q, K, V, gamma, chunk_size):
    y = np.zeros_like(V)
    whole = len(Q) // chunk_size * chunk_size
    if whole:
        y[:whole] = _chunkwise(Q[:whole], K[:whole], V[:whole], gamma, chunk_size)
    return _parallel(Q, K, V, gamma), _recurrent(Q, K, V, gamma), y
