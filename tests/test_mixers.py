"""The catalogue: its rows are true, and a mixer added as one file and one row is found wherever mixers are listed."""

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lecture17 import bench, costs, mixers, unification
from lecture17.experiments import measure
from lecture17.formulas import chunkwise, parallel, recurrent
from lecture17.inputs import Argument
from lecture17.mixers import MIXERS, Member, Mixer
from lecture17.models import LanguageModel, blocks
from lecture17.widgets import semiseparable, sequence, two_views
from tests import strategies
from tests.conftest import ROOT
from tests.ops import inputs, test_agreement
from tests.reference import test_three_forms

TOY = '''
"""S_t = S_{t-1} / 2 + k_t v_tᵀ, y_t = q_t S_t: what is stored fades by half with every token."""

from types import SimpleNamespace

import lecture17.ops.retention
import lecture17.reference.retention
from lecture17.layers import Retention


def halving(module):
    def matrix(Q, K, V):
        return module.matrix(Q, K, V, 0.5)

    def parallel(Q, K, V, state=None):
        return module.parallel(Q, K, V, 0.5, state)

    def recurrent(Q, K, V, state=None):
        return module.recurrent(Q, K, V, 0.5, state)

    def chunkwise(Q, K, V, state=None, chunk_size=64):
        return module.chunkwise(Q, K, V, 0.5, state, chunk_size)

    def step(q_t, k_t, v_t, state=None):
        return module.step(q_t, k_t, v_t, 0.5, state)

    return SimpleNamespace(**locals())


reference, ops = halving(lecture17.reference.retention), halving(lecture17.ops.retention)


class Halving(Retention):
    pass
'''
ROW = Mixer(
    "toy",
    "halving",
    "03c_family",
    {"Q": Argument("query", "N d_k"), "K": Argument("key", "N d_k"), "V": Argument("value", "N d_v")},
    {"parallel": parallel, "recurrent": recurrent, "chunkwise": chunkwise},
    {"H": "toy:Halving"},
    formula="M = L ∘ Q Kᵀ",
    members={"halving": Member(lambda step, t, q: step(q, t.key, t.zero, t.eye))},
    modules="toy:{house}",
)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "toy.py").write_text(TOY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    rows = dict(MIXERS)
    MIXERS["toy"] = ROW
    caches = semiseparable.compute, two_views._compute
    for cache in caches:
        cache.cache_clear()
    yield
    MIXERS.clear()
    MIXERS.update(rows)
    for cache in caches:
        cache.cache_clear()
    sys.modules.pop("toy", None)


@pytest.mark.usefixtures("toy")
def test_it_is_measured() -> None:
    for name in set(MIXERS) - {"softmax", "ssd", "toy"}:  # the toy puts them back
        del MIXERS[name]
    found = {(row.mixer, row.form) for row in bench.run(quick=True)}
    forms = {("toy", form) for form in ("parallel", "recurrent", "chunkwise")}
    assert forms | {("toy", "step")} <= found
    assert forms <= set(measure.sweep({"parallel": [16], "recurrent": [16], "chunkwise": [16]}))
    assert set(measure.decoding(["toy"], {1: [16]})) == {("toy", "batch-1")}


@pytest.mark.usefixtures("toy")
def test_it_has_costs() -> None:
    assert costs.flops("toy", "chunkwise", 1024, 64, 64) == costs.flops("ssd", "chunkwise", 1024, 64, 64)
    assert costs.carried("toy", 1024, 64, 64) == 64 * 64


@pytest.mark.usefixtures("toy")
def test_it_is_in_the_table_that_unifies_the_family() -> None:
    assert unification.numbers("halving") == unification.Numbers(4096, 5 * 64**2, 0.0, False)


@pytest.mark.usefixtures("toy")
def test_explorers_offer_it() -> None:
    """In Python; in the browser it needs its recurrence in `js/sequence.js` too."""
    assert "halving" in sequence.menu()
    assert "halving" in two_views.decays_only()
    assert sequence.for_browser()["halving"]["decay"] == "none"
    for explorer in (semiseparable, two_views):
        assert "halving" in explorer.describe(explorer.settle(explorer.Params(mixer="halving")))
    assert (semiseparable.compute(semiseparable.Params(mixer="halving")).ranks.T[0, 1:] == 4).all()


@pytest.mark.usefixtures("toy")
def test_its_letter_stands_in_a_pattern() -> None:
    net = LanguageModel(11, 16, "HA", options={"H": {"head_dim": 8}, "A": {"head_dim": 8}})
    assert type(net.layers[0].mixer).__name__ == "Halving"
    assert net(torch.zeros(1, 5, dtype=torch.int64)).shape == (1, 5, 11)


@pytest.mark.usefixtures("toy")
def test_the_tests_of_all_mixers_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    variants = strategies.variants()
    monkeypatch.setattr(test_three_forms, "VARIANTS", variants)
    monkeypatch.setattr(test_agreement, "BATCHED", {"toy": inputs.Batched(variants["toy"])})
    test_three_forms.test_all_forms_give_the_same_outputs_and_state("toy")
    test_three_forms.test_a_sequence_cut_anywhere_and_continued_in_another_form_gives_the_same("toy")
    test_three_forms.test_step_by_step_is_recurrent("toy")
    test_agreement.test_every_form_is_the_reference_wherever_a_sequence_is_cut("toy")


@pytest.mark.parametrize("name", MIXERS)
def test_a_row_names_what_there_is(name: str) -> None:
    row = MIXERS[name]
    notebook = (ROOT / "notebooks" / f"{row.taught}.py").read_text(encoding="utf-8")
    assert row.title.removeprefix("gated ").lower() in notebook.lower()
    if name != "softmax":
        for form in ("matrix", *row.forms):
            arguments = inspect.signature(row.function("reference", form)).parameters
            assert list(arguments)[: len(row.arguments)] == list(row.arguments)
        assert {form for form in mixers.FORMS if hasattr(row.module("ops"), form)} == set(row.forms)


def test_every_letter_is_one_block() -> None:
    letters = [letter for row in MIXERS.values() for letter in row.layers]
    assert sorted(letters) == list(blocks())


def test_the_catalogue_and_costs_load_neither_torch_nor_matplotlib() -> None:
    code = "import sys, lecture17.costs, lecture17.unification; assert not {'torch', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_is_not_in_it_is_refused() -> None:
    with pytest.raises(ValueError, match="mixer is 'LSTM': expected one of softmax, linear_attention, "):
        mixers.get("LSTM")
