"""Code of one's own inside a model: it is called for every head, with a state, and afterwards it is gone."""

import numpy as np
import pytest
import torch

from lecture17.experiments import own_code
from lecture17.models import LanguageModel
from lecture17.ops import delta_rule, rwkv7, ssd
from lecture17.reference import delta_rule as delta_rule_numpy
from lecture17.reference import rwkv7 as rwkv7_numpy
from lecture17.reference import ssd as ssd_numpy

from ..layers.blocks import difference, trained

CASES = {"M": (ssd, ssd_numpy), "R": (rwkv7, rwkv7_numpy), "E": (delta_rule, delta_rule_numpy)}
OPTIONS = {
    "M": {"head_dim": 8, "d_state": 4, "n_groups": 2},
    "R": {"head_dim": 8},
    "E": {"head_dim": 4, "n_v_heads": 8},
}


@pytest.mark.parametrize("letter", CASES)
def test_numpy_for_one_head_gives_the_logits_of_the_model(letter: str) -> None:
    torch.manual_seed(0)
    model = trained(LanguageModel(11, 16, 2 * letter, options={letter: OPTIONS[letter]}))
    tokens = torch.randint(11, (2, 19))
    op, numpy = CASES[letter]
    calls = []

    def mine(*arguments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        calls.append(len(arguments[0]))
        return numpy.recurrent(*arguments)

    with torch.no_grad():
        expected, text = model(tokens), model.generate(tokens, 5, temperature=0)
        with own_code.swapped(op, mine):
            assert difference(model(tokens), expected) < 1e-5
            assert torch.equal(model.generate(tokens, 5, temperature=0), text)
        assert {*calls} == {19, 1}
        n = len(calls)
        model(tokens)
    assert len(calls) == n


def test_a_mistake_in_it_shows() -> None:
    torch.manual_seed(0)
    model = trained(LanguageModel(11, 16, "MM", options={"M": OPTIONS["M"]}))
    tokens = torch.randint(11, (2, 19))
    with torch.no_grad(), own_code.swapped(ssd, lambda x, log_a, B, C, S: ssd_numpy.recurrent(x, 0 * log_a, B, C, S)):
        wrong = model(tokens)
    assert difference(wrong, model(tokens)) > 1e-3


def test_what_the_blocks_are_given_is_recorded_in_the_order_of_the_stack() -> None:
    torch.manual_seed(0)
    model = LanguageModel(11, 16, "MEM", options={letter: OPTIONS[letter] for letter in "ME"})
    seen = own_code.recorded(ssd, model, torch.randint(11, (1, 19)))
    assert [[a.shape[1] for a in arguments] for arguments in seen] == 2 * [4 * [19]]
    assert not torch.equal(seen[0][0], seen[1][0])


def test_a_model_that_never_calls_it_is_not_passed_off_as_run_by_it() -> None:
    model, tokens = LanguageModel(11, 16, "E", options={"E": OPTIONS["E"]}), torch.randint(11, (1, 5))
    message = r"nothing inside `swapped` called lecture17\.ops\.ssd: expected a model"
    with pytest.raises(RuntimeError, match=message), own_code.swapped(ssd, ssd_numpy.recurrent):
        model(tokens)
    assert model(tokens).isfinite().all()
