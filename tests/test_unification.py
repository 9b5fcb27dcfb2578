"""The table's numbers: transitions are read off the steps, and what follows from them is what is proved."""

import numpy as np
import pytest

from lecture17 import unification
from lecture17.unification import members, numbers, transitions

FORGETFUL = [
    *("RetNet", "RWKV-4", "Mamba-1", "Mamba-2", "GLA", "DeltaNet, β < 1", "DeltaNet, β < 2", "gated DeltaNet, β < 2"),
    *("RWKV-7", "Mamba-3", "KDA", "gated DeltaProduct, β < 2", "mLSTM", "log-linear attention", "Mesa"),
]
SMALL = ["linear attention", "RetNet", "RWKV-4", "Mamba-1", "Mamba-2", "GLA", "DeltaNet, β < 1"]


@pytest.mark.parametrize("member", [name for name, (_, read) in members().items() if read])
def test_transitions_are_matrices_that_never_grow(member: str) -> None:
    A = transitions(member)
    assert A.shape == (60, 4, 4)
    assert np.abs(np.linalg.eigvals(A)).max() <= 1 + 1e-9


def test_linear_attention_forgets_nothing() -> None:
    np.testing.assert_allclose(transitions("linear attention"), np.broadcast_to(np.eye(4), (60, 4, 4)))


@pytest.mark.parametrize("member", FORGETFUL)
def test_the_others_forget(member: str) -> None:
    assert not np.allclose(transitions(member), np.eye(4))


def test_a_delta_step_is_the_identity_minus_a_projection() -> None:
    A = transitions("DeltaNet, β < 2")
    np.testing.assert_allclose(A, A.mT, atol=1e-12)
    eigenvalues = np.linalg.eigvalsh(A)
    np.testing.assert_allclose(eigenvalues[:, 1:], 1)
    assert eigenvalues[:, 0].min() == pytest.approx(-1, abs=1e-3)


@pytest.mark.parametrize("member", SMALL)
def test_who_has_no_negative_eigenvalue_cannot_flip(member: str) -> None:
    assert numbers(member).flip == 0
    assert numbers(member).cells()[2] == "no: 0.00"
    assert numbers(member).order == (member == "DeltaNet, β < 1")


def test_flips_are_kept_by_a_reflection_and_a_turn_and_fade_in_rwkv7() -> None:
    for member, order in {"DeltaNet, β < 2": True, "gated DeltaNet, β < 2": True, "Mamba-3": False}.items():
        assert numbers(member).flip == pytest.approx(1, abs=2e-3)
        assert numbers(member).order is order
    assert numbers("RWKV-7").flip == pytest.approx(1 - np.exp(-np.exp(-0.5)), abs=2e-3)
    assert numbers("RWKV-7").cells()[2:] == ["fades: 0.45", "yes"]


def test_costs_are_those_of_one_token_and_one_head() -> None:
    assert numbers("RetNet").flops == 5 * 64**2
    assert numbers("DeltaNet, β < 1").flops == numbers("gated DeltaNet, β < 2").flops - 64**2
    assert numbers("softmax attention").cells() == ["131,072", "265,216", "parts 03b, 03d", ""]


@pytest.mark.parametrize("ask", [numbers, transitions])
def test_who_is_no_member_is_named(ask) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="member is 'LSTM': expected one of"):
        ask("LSTM")
    with pytest.raises(ValueError, match="softmax attention"):
        transitions("softmax attention")
    assert unification.numbers("softmax attention").flip is None
