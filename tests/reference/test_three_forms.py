"""Parallel, recurrent, chunkwise, step and matrix are one function, for every mixer, wherever a sequence is cut."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import DECAYS, VARIANTS, Args, Variant, cases, relative_error

every_mixer = pytest.mark.parametrize("name", VARIANTS)
some_cases = settings(max_examples=40, deadline=None)


def forms(mixer: Variant, chunk_size: int) -> dict[str, Callable[..., Any]]:
    """The functions (*args, state=None) -> (y, state) of a mixer."""
    module = mixer.reference
    named = {"parallel": module.parallel, "recurrent": module.recurrent}
    if mixer.chunkwise:
        named["chunkwise"] = lambda *args, state=None: module.chunkwise(*args, state=state, chunk_size=chunk_size)
    return named


def times(M: np.ndarray, mixer: Variant, args: Args) -> np.ndarray:
    """The matrix times the values, channel by channel where each has its own matrix."""
    values = args[mixer.values]
    if mixer.row.per_channel:
        return np.einsum("cij,jc->ic", M, values)
    return M @ values.reshape(M.shape[1], values.shape[-1])  # DeltaProduct has some values a token


@every_mixer
@some_cases
@given(data=st.data())
def test_all_forms_give_the_same_outputs_and_state(name: str, data: st.DataObject) -> None:
    mixer = VARIANTS[name]
    case = data.draw(cases(mixer))
    functions = forms(mixer, case.chunk_size)
    y, state = functions.pop("recurrent")(*case.args.values())
    values = case.args[mixer.values]
    assert y.shape == (len(values), values.shape[-1])
    for form in functions.values():
        assert relative_error(form(*case.args.values()), (y, state)) < 1e-10
    module = mixer.reference
    assert relative_error(times(module.matrix(*case.args.values()), mixer, case.args), y) < 1e-10


@every_mixer
@some_cases
@given(data=st.data())
def test_a_sequence_cut_anywhere_and_continued_in_another_form_gives_the_same(name: str, data: st.DataObject) -> None:
    mixer = VARIANTS[name]
    case = data.draw(cases(mixer))
    functions = forms(mixer, case.chunk_size)
    whole = functions["recurrent"](*case.args.values())
    first, second = (functions[data.draw(st.sampled_from(sorted(functions)))] for _ in range(2))
    y_first, state = first(*mixer.cut(case.args, 0, case.split))
    y_second, state = second(*mixer.cut(case.args, case.split, case.N), state=state)
    assert relative_error((np.concatenate([y_first, y_second]), state), whole) < 1e-10


@every_mixer
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_step_by_step_is_recurrent(name: str, data: st.DataObject) -> None:
    mixer = VARIANTS[name]
    module = mixer.reference
    case = data.draw(cases(mixer))
    y, state = module.recurrent(*mixer.cut(case.args, 0, case.split))
    outputs = [*y]
    for t in range(case.split, case.N):
        token = {name: a.copy() if isinstance(a, np.ndarray) else a for name, a in case.args.items()}
        y_t, state = module.step(*mixer.token(token, t), state=state)
        for name in token.keys() - set(mixer.fixed):
            token[name].fill(np.nan)  # the caller may use the same memory for the next token
        outputs.append(y_t)
    want, want_state = module.recurrent(*case.args.values())
    assert relative_error((np.array(outputs).reshape(want.shape), state), (want, want_state)) < 1e-10


@pytest.mark.parametrize("decays", DECAYS)
@every_mixer
def test_arguments_and_state_are_left_as_they_were(name: str, decays: str) -> None:
    mixer = VARIANTS[name]
    args = mixer.draw(np.random.default_rng(0), 9, 3, 2, decays)
    functions = forms(mixer, chunk_size=4)
    _, state = functions["recurrent"](*args.values())
    for array in [*args.values(), *(state if isinstance(state, tuple) else [state])]:
        if isinstance(array, np.ndarray):
            array.flags.writeable = False  # writing to it raises
    module = mixer.reference
    module.matrix(*args.values())
    module.step(*mixer.token(args, 0), state=state)
    for form in functions.values():
        form(*args.values(), state=state)


def test_ssd_forms_agree_to_1e_12_on_200_cases() -> None:
    mixer = VARIANTS["ssd"]
    for seed in range(200):
        rng = np.random.default_rng(seed)
        N = 1 if seed % 10 == 0 else int(rng.integers(1, 71))
        args = mixer.draw(rng, N, int(rng.integers(1, 6)), int(rng.integers(1, 6)), DECAYS[seed % 4])
        functions = forms(mixer, chunk_size=int(rng.integers(1, 90)))
        y, state = functions["recurrent"](*args.values())
        assert relative_error(functions["parallel"](*args.values()), (y, state)) < 1e-12, f"seed {seed}"
        cut = int(rng.integers(0, N + 1))
        y_first, middle = functions["chunkwise"](*mixer.cut(args, 0, cut))
        y_second, end = functions["chunkwise"](*mixer.cut(args, cut, N), state=middle)
        assert relative_error((np.concatenate([y_first, y_second]), end), (y, state)) < 1e-12, f"seed {seed}"
