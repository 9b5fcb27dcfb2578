"""Retention with the mistakes that learners make: each form with those that are asked for by name."""

from typing import Any

import numpy as np


def parallel(Q: Any, K: Any, V: Any, gamma: float, chunk_size: int, **slips: bool) -> np.ndarray:
    t = np.arange(len(V))
    D = np.tril(gamma ** np.abs(t[:, None] - t))
    if slips.get("uncausal"):
        D = gamma ** np.abs(t[:, None] - t)
    if slips.get("decays_new"):
        D = gamma * D
    if slips.get("masked_by_product"):
        D = np.tri(len(V)) * gamma ** (t[:, None] - t).astype(float)
    if slips.get("divided"):
        D = np.tril(gamma ** t[:, None].astype(float) / gamma**t)
    scores = D * (Q @ K.T)
    return (scores / scores.sum(1, keepdims=True) if slips.get("normalized") else scores) @ V


def recurrent(Q: Any, K: Any, V: Any, gamma: float, chunk_size: int, **slips: bool) -> np.ndarray:
    if slips.get("vector"):
        V = np.broadcast_to(V, K.shape)  # fails where values are not as wide as keys
    S, y = np.zeros((K.shape[1], V.shape[1])), np.empty_like(V)
    for t in range(len(V)):
        old, new = S, np.diag(K[t] * V[t]) if slips.get("vector") else np.outer(K[t], V[t])
        S = gamma * (S + new) if slips.get("decays_new") else gamma * S + new
        y[t] = Q[t] @ (old if slips.get("reads_first") else S)
    return y


def chunkwise(Q: Any, K: Any, V: Any, gamma: float, chunk_size: int, **slips: bool) -> np.ndarray:
    S, y = np.zeros((K.shape[1], V.shape[1])), np.empty_like(V)
    for start in range(0, len(V), chunk_size):
        c = slice(start, start + chunk_size)
        q, k, v = Q[c], K[c], V[c]
        if slips.get("lost_in_ragged") and len(v) < chunk_size:
            y[c] = 0.0
            break
        n = np.arange(len(v))
        inside = np.tril(gamma ** np.abs(n[:, None] - n)) * (q @ k.T)
        if slips.get("half_normalized"):
            inside = inside / inside.sum(1, keepdims=True)
        from_start = np.ones(len(v)) if slips.get("undecayed_read") else gamma ** (n + 1.0)
        if slips.get("one_short"):
            from_start = gamma ** n.astype(float)
        y[c] = inside @ v + from_start[:, None] * (q @ (np.zeros_like(S) if slips.get("not_carried") else S))
        to_end = np.ones(len(v)) if slips.get("undecayed_write") else gamma ** n[::-1].astype(float)
        S = (1.0 if slips.get("undecayed_state") else gamma ** len(v)) * S + (to_end[:, None] * k).T @ v
    return y
