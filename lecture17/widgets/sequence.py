"""One random sequence, read by each mixer of the family: decay mask, scores, and the matrix made of them.

Queries, keys and seeds are the same for all mixers, so two pictures differ only by the mixer. `js/sequence.js` draws
the same numbers: RandomState's stream is frozen, and is that of any Mersenne Twister.
"""

from typing import Any

import numpy as np

from lecture17.inputs import Argument
from lecture17.mixers import MIXERS, Mixer
from lecture17.reference import semiseparable

PER_TOKEN = ("query", "key", "unit key", "value", "log decay", "strength", "share", "step", "angle", "log gate")
# The kinds of arguments that a sequence has, and whether there is a value for every token.
KNOWN = dict.fromkeys((*PER_TOKEN, "level weight", "weight"), True) | {"decay": False, "ridge": False}


class Sequence:
    """N random tokens for mixers with d_state state entries per feature; `decay` is what they keep on average."""

    def __init__(self, N: int, d_state: int, decay: float, seed: int, d: int = 1) -> None:
        rng = np.random.RandomState(seed)
        self.Q, self.K = rng.standard_normal((2, N, d_state)) / np.sqrt(d_state)
        self.unit_K = self.K / np.linalg.norm(self.K, axis=1, keepdims=True)
        self.gamma = decay
        with np.errstate(divide="ignore"):
            log_decay = np.log(decay)  # -inf for 0
        self.log_a = rng.uniform(0.5, 1.5, size=N) * log_decay  # (N,)
        self.log_alpha = rng.uniform(0.5, 1.5, size=(N, d_state)) * log_decay  # (N, d_state)
        self.beta = rng.uniform(0, 1, size=N)
        self.rate = rng.uniform(0, 1, size=(N, d_state))  # RWKV-7's in-context learning rate
        self.theta = rng.uniform(0, 1, size=(N, d_state // 2))  # Mamba-3's angles
        self.V = rng.standard_normal((N, d))  # the inputs x; matrices depend on their length only
        self.log_i = rng.standard_normal(N)  # mLSTM's input gates
        self.lam = rng.uniform(0.5, 1.5, size=(N, N.bit_length() + 1))  # weights of log-linear attention's levels

    def argument(self, argument: Argument) -> Any:
        """The values a mixer gets for this argument."""
        per_key = argument.axes == "N d_k"
        values = {
            "query": self.Q,
            "key": self.K,
            "unit key": self.unit_K,
            "value": self.V,
            "log decay": self.log_alpha if per_key else self.log_a,
            "decay": self.gamma,
            "strength": self.beta,
            "share": self.rate if per_key else np.full(len(self.V), 0.5),
            "step": np.ones(len(self.V)),
            "angle": self.theta,
            "log gate": self.log_i,
            "level weight": self.lam,
            "weight": self.beta,
            "ridge": np.ones(self.K.shape[1]),
        }[argument.kind]
        # The first step of DeltaProduct takes keys from the end of the sequence, the second those that others take.
        return np.stack([values[::-1], values], axis=1) if "n_h" in argument.axes else values

    def arguments(self, mixer: Mixer) -> tuple[Any, ...]:
        """All arguments of the mixer's functions."""
        return tuple(map(self.argument, mixer.arguments.values()))

    def matrix(self, mixer: Mixer) -> np.ndarray:
        """The (N, N) matrix; all steps of a token of DeltaProduct write the same value."""
        M: np.ndarray = mixer.function("reference", "matrix")(*self.arguments(mixer))
        return M.reshape(len(M), len(M), -1).sum(axis=2)

    def mask(self, mixer: Mixer, key: int = 0) -> np.ndarray:
        """The decay mask; that of one key dimension if each has its own."""
        if mixer.decay is None:
            return np.tri(len(self.V))
        log_a = self.argument(mixer.arguments[mixer.decay])
        if np.ndim(log_a) == 0:
            age = np.subtract.outer(*2 * [np.arange(len(self.V))])
            return np.tril(self.gamma ** np.maximum(age, 0))
        L: np.ndarray = np.exp(semiseparable.segsum(log_a[:, key] if log_a.ndim == 2 else log_a))
        return L

    def queries_keys(self, mixer: Mixer) -> tuple[np.ndarray, np.ndarray]:
        """The queries and keys that the scores are made of."""
        K = self.K if "key" in mixer.kinds else self.unit_K
        return (self._rotated(self.Q), self._rotated(K)) if "angle" in mixer.kinds else (self.Q, K)

    def _rotated(self, X: np.ndarray) -> np.ndarray:
        """B̃ or C̃ of Mamba-3: pairs (0, 1), (2, 3), … as complex numbers, rotated by the sum of the angles so far."""
        turned = (X[:, 0::2] + 1j * X[:, 1::2]) * np.exp(1j * np.cumsum(self.theta, axis=0))
        return np.concatenate([turned.real, turned.imag], axis=1)


def menu() -> dict[str, Mixer]:
    """The mixers that have one matrix for all features, and only arguments that are known here, by title."""
    return {
        row.title: row
        for row in MIXERS.values()
        if not row.per_channel and all(KNOWN.get(a.kind) == a.per_token for a in row.arguments.values())
    }


def mask_name(mixer: Mixer, key: int, r: int) -> str:
    """What to call the mask that `Sequence.mask` returns."""
    axes = decay_axes(mixer)
    return {"none": "causal mask L", "key": f"mask L of key {key}, one of {r}"}.get(axes, "decay mask L")


def decay_axes(mixer: Mixer) -> str:
    """Which decays it has: "none", "one", one for each "token", or for each "key" of each token."""
    if mixer.decay is None:
        return "none"
    return {"": "one", "N": "token", "N d_k": "key"}[mixer.arguments[mixer.decay].axes]


def for_browser() -> dict[str, dict[str, Any]]:
    """What `js/sequence.js` needs to know of the mixers in the menu."""
    return {
        title: {
            "name": m.name,
            "decay": decay_axes(m),
            "grows": m.grows,
            "unit_key": "key" not in m.kinds,
            "turns": "angle" in m.kinds,
            "levels": "level weight" in m.kinds,
            "formula": m.formula,
            "scores": m.scores,
        }
        for title, m in menu().items()
    }
