"""Each mixer against its recurrence written out once more, plainly, so that forms wrong together are caught."""

from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest

from tests.strategies import DECAYS, VARIANTS, Args, relative_error

Array = np.ndarray
Written = tuple[Array, Array]  # (S_0, y): a state to start from and the outputs that the formula gives


def scan(rng: np.random.Generator, transitions: list[Array], writes: list[Array], reads: Array) -> Written:
    """S_t = transitions[t] @ S_{t-1} + writes[t], y_t = reads[t] @ S_t, from a random S_0."""
    S_0 = S = rng.normal(size=writes[0].shape)
    y = []
    for transition, write, read in zip(transitions, writes, reads, strict=True):
        S = transition @ S + write
        y.append(read @ S)
    return S_0, np.array(y)


def outers(K: Array, V: Array) -> list[Array]:
    return [np.outer(k, v) for k, v in zip(K, V, strict=True)]


def linear_attention(rng: np.random.Generator, Q: Array, K: Array, V: Array) -> Written:
    return scan(rng, [np.eye(K.shape[1]) for _ in K], outers(K, V), Q)


def ssd(rng: np.random.Generator, x: Array, log_a: Array, B: Array, C: Array) -> Written:
    return scan(rng, [np.exp(a) * np.eye(B.shape[1]) for a in log_a], outers(B, x), C)


def retention(rng: np.random.Generator, Q: Array, K: Array, V: Array, gamma: float) -> Written:
    return scan(rng, [gamma * np.eye(K.shape[1]) for _ in K], outers(K, V), Q)


def gla(rng: np.random.Generator, Q: Array, K: Array, V: Array, log_alpha: Array) -> Written:
    return scan(rng, [np.diag(np.exp(a)) for a in log_alpha], outers(K, V), Q)


def delta_rule(
    rng: np.random.Generator, Q: Array, K: Array, V: Array, beta: Array, log_a: Array | None = None
) -> Written:
    decay = np.ones_like(beta) if log_a is None else np.exp(log_a)
    transitions = [a * (np.eye(len(k)) - b * np.outer(k, k)) for k, b, a in zip(K, beta, decay, strict=True)]
    return scan(rng, transitions, outers(beta[:, None] * K, V), Q)


def kda(rng: np.random.Generator, Q: Array, K: Array, V: Array, log_alpha: Array, beta: Array) -> Written:
    steps = zip(K, beta, np.exp(log_alpha), strict=True)
    transitions = [(np.eye(len(k)) - b * np.outer(k, k)) @ np.diag(alpha) for k, b, alpha in steps]
    return scan(rng, transitions, outers(beta[:, None] * K, V), Q)


def delta_product(
    rng: np.random.Generator, Q: Array, K: Array, V: Array, beta: Array, log_a: Array | None = None
) -> Written:
    transitions, writes = [], []
    for t in range(len(Q)):
        A, B = np.eye(K.shape[2]), np.zeros((K.shape[2], V.shape[2]))
        for k, v, b in zip(K[t], V[t], beta[t], strict=True):
            step = np.eye(len(k)) - b * np.outer(k, k)
            A, B = step @ A, step @ B + b * np.outer(k, v)
        transitions.append(A if log_a is None else A * np.exp(log_a[t]))
        writes.append(B)
    return scan(rng, transitions, writes, Q)


def rwkv7(rng: np.random.Generator, r: Array, log_w: Array, k: Array, v: Array, kappa: Array, a: Array) -> Written:
    transitions = [np.diag(np.exp(w)) - np.outer(a_t * n, n) for w, n, a_t in zip(log_w, kappa, a, strict=True)]
    return scan(rng, transitions, outers(k, v), r)


def selective_scan(rng: np.random.Generator, x: Array, delta: Array, A: Array, B: Array, C: Array) -> Written:
    S_0, y = np.empty((B.shape[1], x.shape[1])), np.empty_like(x)
    for c in range(x.shape[1]):
        transitions = [np.diag(np.exp(delta[t, c] * A[c])) for t in range(len(x))]
        writes = [delta[t, c] * B[t, :, None] * x[t, c] for t in range(len(x))]
        S_0[:, [c]], y[:, [c]] = scan(rng, transitions, writes, C)
    return S_0, y


PLAIN: dict[str, Callable[..., Written]] = {
    "linear_attention": linear_attention,
    "ssd": ssd,
    "retention": retention,
    "gla": gla,
    "delta_rule": delta_rule,
    "delta_rule_gated": delta_rule,
    "rwkv7": rwkv7,
    "kda": kda,
    "delta_product": delta_product,
    "delta_product_gated": delta_product,
    "selective_scan": selective_scan,
}


def drawn(name: str, decays: str) -> tuple[np.random.Generator, Args]:
    rng = np.random.default_rng(3)
    return rng, VARIANTS[name].draw(rng, 23, 4, 3, decays)


@pytest.mark.parametrize("decays", DECAYS)
@pytest.mark.parametrize("name", PLAIN)
def test_recurrence_from_a_given_state(name: str, decays: str) -> None:
    rng, args = drawn(name, decays)
    S_0, y = PLAIN[name](rng, *args.values())
    module = VARIANTS[name].reference
    for form in (module.recurrent, module.parallel, module.chunkwise):
        assert relative_error(form(*args.values(), state=S_0)[0], y) < 1e-12


def test_normalized_linear_attention_is_a_weighted_mean() -> None:
    _, args = drawn("linear_attention_normalized", "keep")
    Q, K, V = args["Q"], args["K"], args["V"]
    y = [np.average(V[: t + 1], axis=0, weights=K[: t + 1] @ Q[t]) for t in range(len(V))]
    module = import_module("lecture17.reference.linear_attention")
    assert relative_error(module.recurrent(Q, K, V, normalize=True)[0], np.array(y)) < 1e-12


@pytest.mark.parametrize("decays", DECAYS)
def test_mamba3_is_an_ssm_with_complex_decay(decays: str) -> None:
    """Rotating what is written and read is the same as multiplying the state by e^{-iθ}: Mamba-3, Section 3."""
    _, args = drawn("mamba3", decays)
    x, delta, lam, log_a, theta = (args[name] for name in ("x", "delta", "lam", "log_a", "theta"))
    B = args["B"][:, 0::2] + 1j * args["B"][:, 1::2]
    C = args["C"][:, 0::2] + 1j * args["C"][:, 1::2]
    h = np.zeros((B.shape[1], x.shape[1]), complex)
    y = np.empty_like(x)
    for t in range(len(x)):
        beta, gamma = (1 - lam[t]) * delta[t] * np.exp(log_a[t]), lam[t] * delta[t]
        before = beta * np.outer(B[t - 1], x[t - 1]) if t > 0 else 0
        h = np.exp(-1j * theta[t])[:, None] * (np.exp(log_a[t]) * h + before) + gamma * np.outer(B[t], x[t])
        y[t] = (C[t].conj() @ h).real
    module = import_module("lecture17.reference.mamba3")
    assert relative_error(module.recurrent(*args.values())[0], y) < 1e-12


@pytest.mark.parametrize("decays", DECAYS)
def test_wkv4_is_a_decayed_weighted_mean_with_bonus(decays: str) -> None:
    _, args = drawn("wkv4", decays)
    w, u, k, v = args.values()
    y = np.empty_like(v)
    for t in range(len(v)):
        past = [np.exp(k[j]) * np.exp(w) ** (t - 1 - j) for j in range(t)]  # 0 ** 0 is 1: the token before
        y[t] = [np.average(v[: t + 1, c], weights=w_c) for c, w_c in enumerate(np.transpose([*past, np.exp(u + k[t])]))]
    module = import_module("lecture17.reference.wkv4")
    assert relative_error(module.recurrent(*args.values())[0], y) < 1e-12
