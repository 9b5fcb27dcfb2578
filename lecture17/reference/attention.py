"""Causal softmax attention, and what approximates it with finitely many features. Introduced in 03b_duality.

Softmax attention is not an SSM with finite state: the feature map of its exponential kernel has infinitely
many coordinates, and the ranks of its blocks grow with N.
"""

import numpy as np
from jaxtyping import Float

from .validation import check_at_least_one, checked


@checked
def softmax_matrix(Q: Float[np.ndarray, "N d_k"], K: Float[np.ndarray, "N d_k"]) -> Float[np.ndarray, "N N"]:
    """Causal attention weights: P[i, j] = e^{q_i·k_j} / Σ_{l ≤ i} e^{q_i·k_l} for j ≤ i, 0 above.

    No hidden scale: divide Q by sqrt(d_k) yourself if you want it. The largest score of each row is subtracted
    before the exponential, which only prevents overflow. Raises ValueError if Q or K is not finite.
    Source: Vaswani et al., arXiv 1706.03762, equation (1), with the causal mask of its Section 3.2.3.
    """
    scores = np.where(np.tri(len(Q), dtype=bool), Q @ K.T, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    return weights / weights.sum(axis=1, keepdims=True)


@checked
def softmax(
    Q: Float[np.ndarray, "N d_k"], K: Float[np.ndarray, "N d_k"], V: Float[np.ndarray, "N d_v"]
) -> Float[np.ndarray, "N d_v"]:
    """Causal softmax attention: y = P V with P = `softmax_matrix(Q, K)`. Source: arXiv 1706.03762, equation (1)."""
    return softmax_matrix(Q, K) @ V


@checked
def random_features(
    X: Float[np.ndarray, "N d"], n_features: int, rng: np.random.Generator
) -> Float[np.ndarray, "N n_features"]:
    """Positive random features φ of FAVOR+, whose products estimate the exponential kernel without bias.

        φ(x)_r = exp(w_r·x - |x|²/2) / sqrt(n_features),    E[φ(q)·φ(k)] = e^{q·k}

    The w_r are standard normal; within each group of d they are orthogonal to each other. Queries and keys must
    share them: pass generators with the same seed. The error of the estimate falls as 1/sqrt(n_features).

    Raises ValueError if X is not finite or n_features < 1.
    Source: Choromanski et al., arXiv 2009.14794, Lemma 1 and Section 2.4.
    """
    check_at_least_one(n_features=n_features)
    d = X.shape[1]
    n_groups = -(-n_features // d)
    orthogonal, R = np.linalg.qr(rng.normal(size=(n_groups, d, d)))
    orthogonal *= np.sign(np.diagonal(R, axis1=1, axis2=2))[:, None, :]  # uniform over all rotations
    lengths = np.linalg.norm(rng.normal(size=(n_features, d)), axis=1, keepdims=True)
    W = lengths * orthogonal.reshape(-1, d)[:n_features]  # (n_features, d)
    return np.exp(X @ W.T - (X**2).sum(1, keepdims=True) / 2) / np.sqrt(n_features)
