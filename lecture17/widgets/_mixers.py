"""One random sequence, read by each mixer of the family: decay mask, scores, and the matrix made of them.

Queries, keys and seeds are the same for all, so that what differs between two pictures is the mixer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from lecture17.reference import (
    attention,
    delta_rule,
    gla,
    linear_attention,
    mamba3,
    retention,
    rwkv7,
    semiseparable,
    ssd,
)


class Sequence:
    """N random tokens for mixers with d_state numbers of state per feature, whose mean decay is `decay`."""

    def __init__(self, N: int, d_state: int, decay: float, seed: int, d: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.Q, self.K = rng.normal(size=(2, N, d_state)) / np.sqrt(d_state)
        self.unit_K = self.K / np.linalg.norm(self.K, axis=1, keepdims=True)
        self.gamma = decay
        with np.errstate(divide="ignore"):
            log_decay = np.log(decay)  # -inf for 0
        self.log_a = rng.uniform(0.5, 1.5, size=N) * log_decay  # (N,)
        self.log_alpha = rng.uniform(0.5, 1.5, size=(N, d_state)) * log_decay  # (N, d_state)
        self.beta = rng.uniform(0, 1, size=N)
        self.rate = rng.uniform(0, 1, size=(N, d_state))  # RWKV-7's in-context learning rate
        self.theta = rng.uniform(0, 1, size=(N, d_state // 2))  # Mamba-3's angles
        self.V = rng.normal(size=(N, d))  # the inputs x; matrices depend on their number alone

    @property
    def causal(self) -> np.ndarray:
        return np.tri(len(self.V))

    @property
    def masks(self) -> np.ndarray:
        """One decay mask for each number of the state, averaged."""
        return np.mean([np.exp(semiseparable.segsum(log_a)) for log_a in self.log_alpha.T], axis=0)

    @property
    def mask(self) -> np.ndarray:
        return np.exp(semiseparable.segsum(self.log_a))

    def rotated(self, X: np.ndarray) -> np.ndarray:
        """B̃ or C̃ of Mamba-3: pairs (0, 1), (2, 3), … as complex numbers, turned by the sum of the angles so far."""
        turned = (X[:, 0::2] + 1j * X[:, 1::2]) * np.exp(1j * np.cumsum(self.theta, axis=0))
        return np.concatenate([turned.real, turned.imag], axis=1)


@dataclass(frozen=True)
class Mixer:
    """How a mixer reads a `Sequence`."""

    module: ModuleType | SimpleNamespace
    arguments: Callable[[Sequence], tuple[Any, ...]]  # of the module's functions
    formula: str  # of the matrix, in terms of the mask L and the scores
    mask: Callable[[Sequence], np.ndarray]
    queries_keys: Callable[[Sequence], tuple[np.ndarray, np.ndarray]] = lambda s: (s.Q, s.K)
    letters: str = "Q Kᵀ"  # how its paper writes the scores
    mask_name: str = "decay mask L"
    decays: bool = True
    finite_state: bool = True

    def matrix(self, s: Sequence) -> np.ndarray:
        """The (N, N) matrix."""
        M: np.ndarray = self.module.matrix(*self.arguments(s))
        return M


MEAN_MASK = "mean of r masks L"  # of a mixer with a decay for each key dimension
MIXERS = {
    "softmax attention": Mixer(
        SimpleNamespace(matrix=attention.softmax_matrix),
        lambda s: (s.Q, s.K),
        "M = softmax(Q Kᵀ)",
        lambda s: s.causal,
        decays=False,
        finite_state=False,
    ),
    "linear attention": Mixer(
        linear_attention,
        lambda s: (s.Q, s.K, s.V),
        "M = L ∘ Q Kᵀ",
        lambda s: s.causal,
        decays=False,
    ),
    "RetNet": Mixer(
        retention,
        lambda s: (s.Q, s.K, s.V, s.gamma),
        "M = L ∘ Q Kᵀ",
        lambda s: retention.matrix(np.ones_like(s.Q[:, :1]), np.ones_like(s.K[:, :1]), s.V, s.gamma),
    ),
    "Mamba-2": Mixer(
        ssd,
        lambda s: (s.V, s.log_a, s.K, s.Q),
        "M = L ∘ C Bᵀ",
        lambda s: s.mask,
        letters="C Bᵀ",
    ),
    "GLA": Mixer(
        gla,
        lambda s: (s.Q, s.K, s.V, s.log_alpha),
        "M = sum of L ∘ q kᵀ",
        lambda s: s.masks,
        mask_name=MEAN_MASK,
    ),
    "delta rule": Mixer(
        delta_rule,
        lambda s: (s.Q, s.unit_K, s.V, s.beta, s.log_a),
        "M = (L ∘ Q Kᵀ) T",
        lambda s: s.mask,
        lambda s: (s.Q, s.unit_K),
    ),
    "RWKV-7": Mixer(
        rwkv7,
        lambda s: (s.Q, s.log_alpha, s.K, s.V, s.unit_K, s.rate),
        "M = writes − removals",
        lambda s: s.masks,
        letters="R Kᵀ",
        mask_name=MEAN_MASK,
    ),
    "Mamba-3": Mixer(
        mamba3,
        lambda s: (s.V, np.ones(len(s.V)), np.full(len(s.V), 0.5), s.log_a, s.theta, s.K, s.Q),
        "M = two terms L ∘ C Bᵀ",
        lambda s: s.mask,
        lambda s: (s.rotated(s.Q), s.rotated(s.K)),
        letters="rotated C Bᵀ",
    ),
}
