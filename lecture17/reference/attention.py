"""Causal softmax attention, what may stand beside its softmax, and what approximates it. Introduced in 03b_duality.

Softmax attention is not an SSM with finite state: the feature map of its exponential kernel has infinitely
many coordinates, and the ranks of its blocks grow with N. Still, what a recurrence does to its state can be done to the
scores: they can decay (FoX), and the transitions of the delta rule can stand between query and key (PaTH).

No hidden scale: divide Q by sqrt(d_k) yourself if you want it. Errors: a wrong shape raises jaxtyping's TypeCheckError
(a TypeError); a number that is not finite, a positive or NaN log_a, or window < 1 raises ValueError naming it.
"""

import numpy as np
from jaxtyping import Float

from .semiseparable import segsum
from .validation import check_at_least_one, checked

Keys = Float[np.ndarray, "N d_k"]
Values = Float[np.ndarray, "N d_v"]
PerToken = Float[np.ndarray, " N"]
Square = Float[np.ndarray, "N N"]


def _weights(scores: np.ndarray, window: int | None, log_a: np.ndarray | None) -> np.ndarray:
    """The softmax of each row, after the decay, over the tokens that its token sees."""
    seen = np.tri(len(scores), dtype=bool)
    if window is not None:
        check_at_least_one(window=window)
        seen = np.triu(seen, 1 - window)
    if log_a is not None:
        scores = scores + segsum(log_a)
    scores = np.where(seen, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))  # the largest cannot overflow
    return weights / weights.sum(axis=1, keepdims=True)


@checked
def softmax_matrix(Q: Keys, K: Keys, window: int | None = None, log_a: PerToken | None = None) -> Square:
    """Causal attention weights: P[i, j] = e^{s_ij} / Σ_{l ≤ i} e^{s_il} for j ≤ i, 0 above, with s_ij = q_i·k_j.

    window    token i sees the last `window` tokens, itself included: j > i - window
    log_a     log of each token's decay, at most 0, -inf allowed: e^{s_ij} is multiplied by the decay mask L of `ssd`,

        s_ij = q_i·k_j + log L_ij,    log L_ij = log_a[j+1] + … + log_a[i]

    Sources: Vaswani et al., arXiv 1706.03762, equation (1), with the causal mask of its Section 3.2.3; window: Beltagy
    et al., arXiv 2004.05150; log_a: the forget gate of FoX, Lin et al., arXiv 2503.02130.
    """
    return _weights(Q @ K.T, window, log_a)


@checked
def softmax(Q: Keys, K: Keys, V: Values, window: int | None = None, log_a: PerToken | None = None) -> Values:
    """Causal softmax attention: y = P V with P = `softmax_matrix(Q, K, window, log_a)`. Source: see there."""
    return softmax_matrix(Q, K, window, log_a) @ V


@checked
def path_scores(Q: Keys, K: Keys, W: Keys, beta: PerToken) -> Square:
    """q_i·k_j with the transitions of the delta rule between the two, for j ≤ i; 0 above.

        s_ij = q_i H_i H_{i-1} … H_{j+1} k_j,      H_t = I - β_t w_t w_tᵀ      (rows w_t of length 1, β_t in [0, 2])

    With W = K the delta rule's own matrix is s_ij β_j. Source: Yang et al., arXiv 2505.16381 (PaTH).
    """
    scores, R = np.zeros((len(Q), len(Q))), Q.copy()  # R[i] is q_i H_i … H_{j+1}
    for j in reversed(range(len(Q))):
        scores[j:, j] = R[j:] @ K[j]
        R[j:] -= beta[j] * np.outer(R[j:] @ W[j], W[j])
    return scores


@checked
def path(
    Q: Keys,
    K: Keys,
    V: Values,
    W: Keys,
    beta: PerToken,
    window: int | None = None,
    log_a: PerToken | None = None,
) -> Values:
    """PaTH: softmax attention of `path_scores`; with log_a PaTH-FoX. Source: Yang et al., arXiv 2505.16381."""
    return _weights(path_scores(Q, K, W, beta), window, log_a) @ V


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
