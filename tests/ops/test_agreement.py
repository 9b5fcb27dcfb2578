"""Every form of every mixer in PyTorch is the reference head by head, and all forms have the same gradients."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.ops.inputs import BATCHED, Form, cases, gradients, in_type, parts, relative_error, with_parts
from tests.strategies import DECAYS

every_mixer = pytest.mark.parametrize("name", BATCHED)


@every_mixer
def test_names_and_order_of_arguments_are_the_references(name: str) -> None:
    mixer = BATCHED[name]
    for form in ("step", *mixer.one_head.row.forms):
        ours = list(inspect.signature(getattr(mixer.module, form)).parameters.values())
        theirs = list(inspect.signature(getattr(mixer.reference, form)).parameters.values())
        if form == "chunkwise":
            backend = ours.pop()
            assert (backend.name, backend.default) == ("backend", "auto")
        assert [(p.name, p.default, p.kind) for p in ours] == [(p.name, p.default, p.kind) for p in theirs]


@every_mixer
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_form_is_the_reference_wherever_a_sequence_is_cut(name: str, data: st.DataObject) -> None:
    mixer = BATCHED[name]
    case = data.draw(cases(mixer))
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        args = in_type(case.batch.args, dtype)
        for form in mixer.forms(case.chunk_size).values():
            y_first, state = form(*mixer.cut(args, slice(case.split)))
            y_second, state = form(*mixer.cut(args, slice(case.split, None)), state=state)
            y = torch.cat([y_first, y_second], 1)
            assert y.dtype == dtype
            assert relative_error((y, state), case.batch.wanted) < tolerance


@pytest.mark.parametrize("decays", DECAYS)
@every_mixer
def test_every_form_has_the_gradients_of_the_recurrence(name: str, decays: str) -> None:
    mixer = BATCHED[name]
    batch = mixer.draw(np.random.default_rng(0), 2, 4, 2, 23, 3, 4, decays)
    args = list(batch.args.values())
    forms = mixer.forms(chunk_size=5)
    y, state = forms["recurrent"](*args)
    weights = [torch.randn_like(r) for r in parts((y, state))]
    want = gradients(forms.pop("recurrent"), args, state, weights)
    assert all(g.isfinite().all() for g in want)
    for form in forms.values():
        assert relative_error(gradients(form, args, state, weights), want) < 1e-9


@every_mixer
def test_gradcheck(name: str) -> None:
    mixer = BATCHED[name]
    batch = mixer.draw(np.random.default_rng(1), 1, 2, 1, 4, 2, 1, "mild")
    tensors = {k: a.requires_grad_() for k, a in batch.args.items() if isinstance(a, Tensor)}
    constants = {k: a for k, a in batch.args.items() if k not in tensors}
    _, state = mixer.module.recurrent(*batch.args.values())
    first = [s.detach().requires_grad_() for s in parts(state)]

    for form in mixer.forms(chunk_size=2).values():

        def function(*leaves: Tensor, form: Form = form) -> tuple[Tensor, ...]:
            named = dict(zip(tensors, leaves, strict=False)) | constants
            start = leaves[len(tensors) :]
            results = form(*(named[k] for k in batch.args), state=with_parts(state, start))
            return tuple(parts(results))

        assert torch.autograd.gradcheck(function, [*tensors.values(), *first])
