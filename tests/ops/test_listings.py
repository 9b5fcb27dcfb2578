"""On a CPU the classes of `ops.cpu` compute what the readable listings say, and a reader passes few functions."""

import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch

from lecture17 import bench
from lecture17.ops import _chunks, cpu, ssd
from tests.ops.inputs import BATCHED, gradients, in_type, parts, relative_error
from tests.strategies import DECAYS

WITH_LISTING = [name for name, mixer in BATCHED.items() if hasattr(mixer.module, "by_chunks")]


@pytest.fixture(params=WITH_LISTING)
def mixer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One of them; all compute as on a device that is not a CPU."""
    by_chunks = _chunks.by_chunks

    def by_listing(listing: Any, quick: Any, *arguments: Any, **options: Any) -> Any:
        return by_chunks(listing, None, *arguments, **options)

    for name in WITH_LISTING:
        monkeypatch.setattr(BATCHED[name].module, "by_chunks", by_listing)
    return BATCHED[request.param]


@pytest.mark.parametrize("decays", DECAYS)
def test_a_listing_is_the_recurrence_in_values_states_and_gradients(mixer: Any, decays: str) -> None:
    batch = mixer.draw(np.random.default_rng(0), 2, 4, 2, 23, 3, 4, decays)
    args = list(batch.args.values())
    recurrent = mixer.forms(5)["recurrent"]
    y, state = recurrent(*args)
    weights = [torch.randn_like(r) for r in parts((y, state))]
    want = gradients(recurrent, args, state, weights)
    for chunk_size in (1, 5, 23, 64):
        chunkwise = mixer.forms(chunk_size)["chunkwise"]
        assert relative_error(chunkwise(*args), (y, state)) < 1e-12
        assert relative_error(gradients(chunkwise, args, state, weights), want) < 1e-9


@pytest.mark.parametrize("decays", DECAYS)
def test_a_listing_takes_a_state_over_where_a_sequence_is_cut(mixer: Any, decays: str) -> None:
    batch = mixer.draw(np.random.default_rng(1), 2, 4, 2, 23, 3, 4, decays)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        args, chunkwise = in_type(batch.args, dtype), mixer.forms(4)["chunkwise"]
        for cut in (0, 9, 23):
            y_first, state = chunkwise(*mixer.cut(args, slice(cut)))
            y_second, state = chunkwise(*mixer.cut(args, slice(cut, None)), state=state)
            assert relative_error((torch.cat([y_first, y_second], 1), state), batch.wanted) < tolerance


def test_a_listing_names_what_is_not_finite_and_sums_16_bits_in_float32(mixer: Any) -> None:
    args = mixer.draw(np.random.default_rng(2), 1, 2, 1, 9, 3, 2, "mild").args
    chunkwise = mixer.forms(4)["chunkwise"]
    values = mixer.one_head.values
    bad = {**args, values: args[values].clone()}
    bad[values].view(-1)[-1] = torch.nan
    with pytest.raises(ValueError, match=rf"^{values}\[.* is nan: expected"):
        chunkwise(*bad.values())
    if "kappa" not in args:  # whose length is not 1 in 16 bits
        y, state = chunkwise(*in_type(args, torch.bfloat16).values())
        assert y.dtype == torch.bfloat16
        assert parts(state)[0].dtype == torch.float32


def functions_called(form: Any, *args: Any) -> set[tuple[str, str]]:
    """The functions of this package that one call passes, by file and name; those of comprehensions count too."""
    called = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(cpu.__path__[0].removesuffix("ops/cpu")):
            called.add((frame.f_code.co_filename, frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        form(*args)
    finally:
        sys.setprofile(None)
    return called


@pytest.mark.parametrize("N", [1024, 4096])
def test_a_call_of_ssd_on_a_cpu_passes_few_functions(N: int) -> None:
    args = bench.inputs("ssd", N)
    ssd.chunkwise(*args)
    names = [name for file, name in functions_called(ssd.chunkwise, *args) if not file.endswith("validation.py")]
    assert "chunkwise" in names
    assert len(names) <= 12, names
