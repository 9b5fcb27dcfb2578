"""Bad input is refused in the same words everywhere: the argument is named, with what came and what was expected."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from lecture17.reference import delta_rule, linear_attention, mamba3, retention, rwkv7, scan2d, selective_scan
from tests.strategies import VARIANTS, Args

every_mixer = pytest.mark.parametrize("name", VARIANTS)


def module_and_args(name: str) -> tuple[Any, Args]:
    mixer = VARIANTS[name]
    args = mixer.draw(np.random.default_rng(1), 7, 3, 2, "mild")
    return mixer.reference, args


def functions(name: str) -> list[Callable[..., Any]]:
    module, _ = module_and_args(name)
    return [module.matrix, module.parallel, module.recurrent, *([module.chunkwise] if VARIANTS[name].chunkwise else [])]


def arrays(args: Args) -> dict[str, np.ndarray]:
    return {name: a for name, a in args.items() if isinstance(a, np.ndarray)}


@every_mixer
def test_a_wrong_shape_names_the_argument(name: str) -> None:
    _, args = module_and_args(name)
    for argument, array in arrays(args).items():
        for f in functions(name):
            with pytest.raises(TypeCheckError, match=f"parameter '{argument}'"):
                f(*{**args, argument: array[None]}.values())


@every_mixer
def test_a_length_that_differs_names_the_later_argument_and_both_sizes(name: str) -> None:
    _, args = module_and_args(name)
    sequences = [argument for argument in arrays(args) if argument not in VARIANTS[name].fixed]
    for argument in sequences[1:]:
        for f in functions(name):
            with pytest.raises(TypeCheckError, match=rf"parameter '{argument}'(.|\n)*\[5.*\](.|\n)*N=7"):
                f(*{**args, argument: args[argument][:5]}.values())


@every_mixer
def test_integers_are_refused_as_a_shape_is(name: str) -> None:
    _, args = module_and_args(name)
    for argument, array in arrays(args).items():
        for f in functions(name):
            with pytest.raises(TypeCheckError, match=f"parameter '{argument}'"):
                f(*{**args, argument: np.zeros(array.shape, int)}.values())


@every_mixer
def test_nan_names_the_argument_and_the_place(name: str) -> None:
    module, args = module_and_args(name)
    for argument, array in arrays(args).items():
        bad = array.copy()
        bad.flat[-1] = np.nan
        where = r"\[" + ", ".join(str(n - 1) for n in array.shape) + r"\]"
        for f in functions(name):
            with pytest.raises(ValueError, match=f"^{argument}{where} is nan"):
                f(*{**args, argument: bad}.values())
        with pytest.raises(ValueError, match=f"^{argument}.* is nan"):
            module.step(*VARIANTS[name].token({**args, argument: bad}, 6))


@pytest.mark.parametrize("name", [name for name, mixer in VARIANTS.items() if mixer.decay])
def test_a_positive_log_decay_names_the_argument(name: str) -> None:
    _, args = module_and_args(name)
    decay = str(VARIANTS[name].decay)
    bad = args[decay].copy()
    bad.flat[1] = 0.1
    for f in functions(name):
        with pytest.raises(ValueError, match=rf"^{decay}\[(1|0, 1)\] is 0.1: expected log decays, at most 0"):
            f(*{**args, decay: bad}.values())


@pytest.mark.parametrize("name", [name for name, mixer in VARIANTS.items() if mixer.chunkwise])
def test_chunk_size_below_one_is_refused(name: str) -> None:
    module, args = module_and_args(name)
    for chunk_size in (0, -3):
        with pytest.raises(ValueError, match=f"^chunk_size is {chunk_size}: expected at least 1"):
            module.chunkwise(*args.values(), chunk_size=chunk_size)


@every_mixer
def test_a_state_of_the_wrong_size_or_with_nan_is_refused(name: str) -> None:
    module, args = module_and_args(name)
    _, state = module.recurrent(*args.values())
    parts = state if isinstance(state, tuple) else (state,)
    for i, part in enumerate(parts):
        if not isinstance(part, np.ndarray):
            continue
        for wrong, error, message in (
            (np.zeros((*part.shape[:-1], 9)), TypeCheckError, "parameter 'state'"),
            (np.full_like(part, np.nan), ValueError, r"^(state|z)(\[.*)? is nan"),
        ):
            changed = (*parts[:i], wrong, *parts[i + 1 :])
            for f in functions(name)[1:]:
                with pytest.raises(error, match=message):
                    f(*args.values(), state=changed if isinstance(state, tuple) else wrong)


@pytest.mark.parametrize("gamma", [-0.1, 1.5, float("nan"), float("inf")])
def test_gamma_outside_zero_to_one_is_refused(gamma: float) -> None:
    Q, K, V, _ = module_and_args("retention")[1].values()
    for f in (retention.matrix, retention.parallel, retention.recurrent, retention.chunkwise):
        with pytest.raises(ValueError, match=r"^gamma is .*: expected numbers in \[0, 1\]"):
            f(Q, K, V, gamma)


def test_kappa_must_have_length_one_or_zero() -> None:
    _, args = module_and_args("rwkv7")
    for f in (rwkv7.matrix, rwkv7.parallel, rwkv7.recurrent, rwkv7.chunkwise):
        with pytest.raises(ValueError, match=r"^kappa\[0\] has length 2: expected length 1"):
            f(*{**args, "kappa": 2 * args["kappa"]}.values())
    rwkv7.parallel(*{**args, "kappa": 0 * args["kappa"]}.values())


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("selective_scan", "delta", -1.0),
        ("selective_scan", "A", 0.5),
        ("mamba3", "delta", -1.0),
        ("mamba3", "lam", 1.5),
    ],
)
def test_numbers_out_of_range_are_refused(name: str, argument: str, value: float) -> None:
    _, args = module_and_args(name)
    bad = args[argument].copy()
    bad.flat[2] = value
    for f in functions(name):
        with pytest.raises(ValueError, match=rf"^{argument}\[.*\] is {value:g}: expected numbers in"):
            f(*{**args, argument: bad}.values())


def test_a_zero_normalizer_is_refused() -> None:
    Q, K, V = np.ones((3, 2)), np.array([[1.0, -1.0]] * 3), np.ones((3, 1))
    with pytest.raises(ValueError, match=r"^normalize=True divides by q_t·z_t, which is 0 at t = 0"):
        linear_attention.parallel(Q, K, V, normalize=True)


def test_a_normalized_state_must_be_a_pair() -> None:
    Q, K, V = np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 1))
    with pytest.raises(ValueError, match=r"^state is the pair"):
        linear_attention.parallel(Q, K, V, normalize=True, state=np.zeros((2, 1)))


def test_numbers_of_numpy_and_whole_numbers_are_numbers() -> None:
    Q, K, V, gamma = module_and_args("retention")[1].values()
    four: Any = np.int64(4)
    y, _ = retention.chunkwise(Q, K, V, np.float64(gamma), chunk_size=four)
    np.testing.assert_array_equal(y, retention.chunkwise(Q, K, V, gamma, chunk_size=4)[0])
    retention.step(Q[0], K[0], V[0], 1)
    minus_half: Any = np.float32(-0.5)
    delta_rule.step(Q[0], K[0], V[0], 1, minus_half)


def test_an_odd_d_state_and_channels_that_differ_are_refused() -> None:
    _, args = module_and_args("mamba3")
    with pytest.raises(TypeCheckError, match="parameter 'B'"):
        mamba3.parallel(*{**args, "B": args["B"][:, :-1]}.values())
    _, args = module_and_args("selective_scan")
    with pytest.raises(TypeCheckError, match="parameter 'A'"):
        selective_scan.parallel(*{**args, "A": args["A"][:1]}.values())


@pytest.mark.parametrize("f", [scan2d.routes, scan2d.hilbert, scan2d.z_order])
def test_images_without_pixels_are_refused(f: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"^H is 0: expected at least 1"):
        f(0, 3)
    with pytest.raises(ValueError, match=r"^W is 0: expected at least 1"):
        f(3, 0)
