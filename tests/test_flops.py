"""The formulas of flops.py against operations that are counted while they are done."""

import numpy as np
import pytest

from lecture17 import flops
from lecture17.counting import count

N, D_K, D_V, C = 24, 4, 6, 8
rng = np.random.default_rng(0)
Q, K, V = rng.normal(size=(N, D_K)), rng.normal(size=(N, D_K)), rng.normal(size=(N, D_V))
L, a, alpha = np.tril(rng.uniform(size=(N, N))), rng.uniform(size=N), rng.uniform(size=(N, D_K))


def outer(k, v):
    return k[:, None] * v


def loop(Q, K, V, forget):
    """S = forget(t, S) + k vᵀ, read by q, at every token."""
    S = 0 * outer(K[0], V[0])
    for t in range(N):
        S = forget(t, S, K[t], V[t])
        Q[t] @ S


def chunks(Q, K, V):
    """The four steps of SSD on whole chunks; the decays are numbers that are there already."""
    Q, K, V = (x.reshape(-1, C, x.shape[1]) for x in (Q, K, V))
    mask, decay = np.ones((len(Q), C, C)), np.ones((len(Q), C, 1))
    y = ((Q @ K.mT) * mask) @ V
    U = (K * decay).mT @ V
    S = U[0]
    for u in U:
        S = S * 1.0 + u
    return y + ((Q * decay) @ np.stack([S] * len(U)))


def forget_nothing(t, S, k, v):
    return S + outer(k, v)


def one_decay(t, S, k, v):
    return a[t] * S + outer(k, v)


def decay_a_key(t, S, k, v):
    return alpha[t][:, None] * S + outer(k, v)


def delta(t, S, k, v):
    return a[t] * S + outer(k, (v - k @ S) * 0.5)


def rwkv7(t, S, k, v):
    return alpha[t][:, None] * S - outer(alpha[t] * k, k @ S) + outer(k, v)


@pytest.mark.parametrize(
    ("mixer", "forget"),
    [
        ("linear_attention", forget_nothing),
        ("ssd", one_decay),
        ("retention", one_decay),
        ("gla", decay_a_key),
        ("delta_rule", delta),
        ("rwkv7", rwkv7),
    ],
)
def test_a_recurrence_does_what_its_formula_says(mixer: str, forget: object) -> None:
    first = D_K * D_V  # the product that makes the state of zeros
    done = count(loop, Q, K, V, forget).flops - 2 * first
    allowed = N * (D_K + D_V)  # work on vectors, which the formulas for states leave out
    assert abs(done - flops.flops(mixer, "recurrent", N, D_K, D_V)) <= allowed


def test_the_parallel_form_does_what_its_formula_says() -> None:
    done = count(lambda Q, K, V, L: (L * (Q @ K.T)) @ V, Q, K, V, L).flops
    assert done == flops.flops("ssd", "parallel", N, D_K, D_V)
    done = count(lambda Q, K, V: np.tril(Q @ K.T) @ V, Q, K, V).flops
    assert done == flops.flops("linear_attention", "parallel", N, D_K, D_V)


def test_the_chunkwise_form_does_what_its_formula_says() -> None:
    assert count(chunks, Q, K, V).flops == flops.flops("ssd", "chunkwise", N, D_K, D_V, C)


@pytest.mark.parametrize("mixer", [m for m in flops.FLOPS if "chunkwise" in flops.FLOPS[m]])
def test_chunkwise_is_linear_in_length_and_parallel_quadratic(mixer: str) -> None:
    at = {N: flops.flops(mixer, "chunkwise", N, 64, 64) for N in (4096, 8192)}
    assert at[8192] == pytest.approx(2 * at[4096], rel=1e-6)
    at = {N: flops.flops(mixer, "parallel", N, 64, 64) for N in (4096, 8192)}
    assert 3.9 < at[8192] / at[4096] <= 4 + 1e-6


@pytest.mark.parametrize("N", [1, 5, 64])
def test_one_chunk_of_the_whole_sequence_costs_what_parallel_does_and_the_state(N: int) -> None:
    more = flops.flops("ssd", "chunkwise", N, 8, 8, c=64) - flops.flops("ssd", "parallel", N, 8, 8)
    assert more == pytest.approx(N * (4 * 64 + 2 * 64 / N + 16 + 8))


def test_what_is_carried_grows_with_length_for_attention_alone() -> None:
    grows = [m for m in flops.FLOPS if flops.carried(m, 2000, 64, 64) != flops.carried(m, 1000, 64, 64)]
    assert grows == ["softmax"]
    assert flops.carried("softmax", 1000, 64, 32) == 1000 * 96


def test_memory_held_is_least_at_the_root_of_the_states_size() -> None:
    held = {c: flops.held("chunkwise", 2**16, 64, 64, c) for c in (16, 32, 64, 128, 256)}
    assert min(held, key=lambda c: held[c]) == 64


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"mixer is 'mamba': expected one of linear_attention, "):
        flops.flops("mamba", "parallel", 8, 8, 8)
    with pytest.raises(ValueError, match=r"form is 'chunkwise': wkv4 has parallel, recurrent"):
        flops.flops("wkv4", "chunkwise", 8, 8, 8)
    with pytest.raises(ValueError, match=r"c is 0: expected at least 1"):
        flops.flops("ssd", "chunkwise", 8, 8, 8, c=0)
    with pytest.raises(ValueError, match=r"form is 'all': expected one of parallel"):
        flops.held("all", 8, 8, 8)
