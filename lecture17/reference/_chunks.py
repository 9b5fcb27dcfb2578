"""What chunks share: decays to and from their ends, and the chunkwise form of any mixer.

The decays work along the first axis, so they take one log decay per token, (N,), or one per token and key, (N, d_k).
Each is a cumulative sum of terms of one sign and never a difference, so -inf stays -inf and nothing cancels.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .validation import check_at_least_one


def decay_from_start(log_a: np.ndarray) -> np.ndarray:
    """How much of the state before the first token is left after each token t: e^{log_a_0 + … + log_a_t}."""
    return np.exp(np.cumsum(log_a, axis=0))


def decay_to_end(log_a: np.ndarray) -> np.ndarray:
    """How much of what each token t writes is left after the last: e^{log_a_{t+1} + … + log_a_{N-1}}."""
    after = np.concatenate([log_a[1:], np.zeros_like(log_a[:1])])
    return np.exp(np.cumsum(after[::-1], axis=0)[::-1])


def over_chunks(
    parallel: Callable[..., tuple[np.ndarray, Any]],
    sequences: tuple[np.ndarray, ...],
    state: Any,
    chunk_size: int,
) -> tuple[np.ndarray, Any]:
    """Cut `sequences` along time, apply `parallel(*chunk, state=state)` to each piece, join the outputs.

    Quadratic inside a chunk, recurrent between chunks: O(N·chunk_size) instead of O(N²).
    """
    check_at_least_one(chunk_size=chunk_size)
    pieces = []
    for start in range(0, max(len(sequences[0]), 1), chunk_size):
        y, state = parallel(*(s[start : start + chunk_size] for s in sequences), state=state)
        pieces.append(y)
    return np.concatenate(pieces), state
