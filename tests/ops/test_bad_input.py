"""Bad input is refused in the same words everywhere: the argument is named, with what came and what was expected."""

from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from lecture17.ops import linear_attention, mamba3, retention
from tests.ops.inputs import BATCHED, Form, parts, with_parts

every_mixer = pytest.mark.parametrize("name", BATCHED)


def arguments(name: str, heads: int = 2) -> dict[str, Any]:
    return BATCHED[name].draw(np.random.default_rng(1), 2, heads, 1, 7, 3, 2, "mild").args


def tensors(args: dict[str, Any]) -> dict[str, Tensor]:
    return {name: a for name, a in args.items() if isinstance(a, Tensor)}


def functions(name: str) -> list[Form]:
    """All forms but `step`."""
    return list(BATCHED[name].forms(chunk_size=4).values())[:-1]


@every_mixer
def test_a_wrong_shape_names_the_argument(name: str) -> None:
    args = arguments(name)
    for argument, tensor in tensors(args).items():
        for f in functions(name):
            with pytest.raises(TypeCheckError, match=f"parameter '{argument}'"):
                f(*{**args, argument: tensor[None]}.values())


@every_mixer
def test_a_length_that_differs_names_the_later_argument_and_both_sizes(name: str) -> None:
    args = arguments(name)
    sequences = [argument for argument in tensors(args) if argument not in BATCHED[name].one_head.fixed]
    for argument in sequences[1:]:
        for f in functions(name):
            with pytest.raises(TypeCheckError, match=rf"parameter '{argument}'(.|\n)*\[2,5.*\](.|\n)*time=7"):
                f(*{**args, argument: args[argument][:, :5]}.values())


@every_mixer
def test_a_number_that_is_not_finite_names_the_argument_and_the_place(name: str) -> None:
    mixer, args = BATCHED[name], arguments(name)
    for argument, tensor in tensors(args).items():
        for number in (torch.nan, torch.inf):
            bad = tensor.clone()
            bad.view(-1)[-1] = number
            where = r"\[" + ", ".join(str(n - 1) for n in bad.shape) + r"\]"
            for f in functions(name):
                with pytest.raises(ValueError, match=f"^{argument}{where} is {number}: expected"):
                    f(*{**args, argument: bad}.values())
            with pytest.raises(ValueError, match=rf"(?i)^{argument}(_t)?\b.* is {number}: expected"):
                mixer.module.step(*mixer.cut({**args, argument: bad}, 6))


@pytest.mark.parametrize("name", [name for name, mixer in BATCHED.items() if mixer.one_head.decay])
def test_a_positive_log_decay_names_the_argument(name: str) -> None:
    args, decay = arguments(name), str(BATCHED[name].one_head.decay)
    bad = args[decay].clone()
    bad.view(-1)[0] = 0.25
    for f in functions(name):
        with pytest.raises(ValueError, match=rf"^{decay}\[0.*\] is 0.25: expected log decays, at most 0"):
            f(*{**args, decay: bad}.values())


@every_mixer
def test_numbers_of_two_types_name_the_argument_and_the_mend(name: str) -> None:
    args, fixed = arguments(name), BATCHED[name].one_head.fixed
    sequences = {argument: a for argument, a in tensors(args).items() if argument not in fixed}
    for argument, tensor in list(sequences.items())[1:]:
        for f in functions(name):
            with pytest.raises(ValueError, match=rf"^{argument} is of type torch.float32 .*float64.*{argument}.to\("):
                f(*{**args, argument: tensor.float()}.values())


@every_mixer
def test_a_state_of_another_type_size_or_value_is_refused(name: str) -> None:
    args = arguments(name)
    for f in functions(name):
        _, state = f(*args.values())

        def changed(change: Any, state: Any = state) -> Any:
            return with_parts(state, map(change, parts(state)))

        with pytest.raises(ValueError, match=r"^state is of type torch.float32 .*expected torch.float64"):
            f(*args.values(), state=changed(lambda s: s.float()))
        with pytest.raises(ValueError, match="nan: expected finite numbers"):
            f(*args.values(), state=changed(lambda s: s * torch.nan))
        for s in parts(state):
            assert s.shape[0] == 2
        with pytest.raises(TypeCheckError, match="parameter 'state'"):
            f(*args.values(), state=changed(lambda s: s[:1]))


@pytest.mark.parametrize("name", [name for name, mixer in BATCHED.items() if mixer.chunkwise])
def test_chunk_size_and_backend_are_checked(name: str) -> None:
    chunkwise, args = BATCHED[name].module.chunkwise, arguments(name)
    for chunk_size in (0, -3):
        with pytest.raises(ValueError, match=f"chunk_size is {chunk_size}: expected at least 1"):
            chunkwise(*args.values(), chunk_size=chunk_size)
    with pytest.raises(ValueError, match='backend is "cuda": expected "auto", "torch" or "triton"'):
        chunkwise(*args.values(), backend="cuda")
    with pytest.raises(ValueError, match=r'backend="triton" .* CUDA .* made for Linux; backend="torch" runs anywhere'):
        chunkwise(*args.values(), backend="triton")


@pytest.mark.parametrize("name", [name for name, mixer in BATCHED.items() if mixer.grouped])
def test_heads_that_the_groups_cannot_share_are_refused(name: str) -> None:
    args = arguments(name)
    two_groups = {argument: args[argument].repeat(1, 1, 2, 1) for argument in BATCHED[name].grouped}
    three_heads = {argument: a.repeat_interleave(3, 2) for argument, a in arguments(name, heads=1).items()}
    for f in functions(name):
        with pytest.raises(ValueError, match="B and C have 2 groups for the 3 heads of x"):
            f(*{**three_heads, **two_groups}.values())


def test_the_normalizer_must_not_be_zero() -> None:
    args = arguments("linear_attention_normalized")
    args["Q"][1, 4, 0] = 0
    for form in (linear_attention.parallel, linear_attention.recurrent, linear_attention.chunkwise):
        with pytest.raises(
            ValueError, match=r"q_t·z_t, which is 0 at .* \[1, 4, 0\]: expected Q and K from a positive"
        ):
            form(*args.values())


def test_the_state_of_linear_attention_is_a_pair_with_normalize_only() -> None:
    Q, K, V, _ = arguments("linear_attention_normalized").values()
    _, pair = linear_attention.recurrent(Q, K, V, True)
    with pytest.raises(ValueError, match="got a pair with normalize=False"):
        linear_attention.chunkwise(Q, K, V, False, state=pair)
    with pytest.raises(ValueError, match="got a tensor with normalize=True"):
        linear_attention.chunkwise(Q, K, V, True, state=pair[0])


@pytest.mark.parametrize("gamma", [-0.1, 1.5, torch.nan])
def test_gamma_must_be_a_decay(gamma: float) -> None:
    Q, K, V, _ = arguments("retention").values()
    with pytest.raises(ValueError, match=rf"^gamma\[1\] is {gamma}: expected numbers in \[0, 1\]"):
        retention.chunkwise(Q, K, V, torch.tensor([0.5, gamma]))
    with pytest.raises(ValueError, match=rf"^gamma is {gamma}: expected numbers in \[0, 1\]"):
        retention.chunkwise(Q, K, V, gamma)


@pytest.mark.parametrize(("argument", "value"), [("delta", -1.0), ("lam", 1.5), ("lam", -0.5)])
def test_step_sizes_and_fractions_of_mamba3_stay_in_their_range(argument: str, value: float) -> None:
    args = arguments("mamba3")
    args[argument][1, 3, 0] = value
    with pytest.raises(ValueError, match=rf"{argument}\[1, 3, 0\] is {value:g}: expected numbers in \[0, "):
        mamba3.chunkwise(*args.values())
