"""Byte language models: equal sizes, blocks that step as they read, tests and levels in bits, curves, sampling."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lecture17.course.notebooks import read
from lecture17.experiments import Schedule, language
from lecture17.experiments.data import Bytes, Text
from lecture17.experiments.language import BLOCKS, KINDS, Curve, RWKV7Block
from lecture17.layers.mixer import Mixer
from lecture17.ops import rwkv7
from tests.conftest import ROOT

TEXT = Text(*(Bytes("lines", np.frombuffer(b"for i in range(%d):\n" % n * 200, np.uint8)) for n in (12, 34, 56)))
SCHEDULE = Schedule(steps=20, lengths=(16, 16), batch=4, lr=8e-3, warmup=5, grow=0, anytime=True)
each_kind = pytest.mark.parametrize("kind", KINDS)
each_block = pytest.mark.parametrize("letter", BLOCKS)


def block(letter: str) -> Mixer:
    torch.manual_seed(0)
    return BLOCKS[letter](16, head_dim=8).double()


def test_all_kinds_have_the_same_size_and_a_budget_that_is_too_small_is_named() -> None:
    sizes = [language.count(language.network(kind)) for kind in KINDS]
    assert max(sizes) / min(sizes) < 1.005
    with pytest.raises(ValueError, match="parameters is 9,000: expected more"):
        language.network("SSD", parameters=9_000)


@each_block
def test_a_block_steps_as_it_reads_and_may_be_cut_anywhere(letter: str) -> None:
    mixer, x = block(letter), torch.randn(2, 9, 16, dtype=torch.float64)
    whole, cache, parts = mixer(x), mixer.init_cache(2), []
    for x_t in x[:, :3].unbind(1):
        y_t, cache = mixer.step(x_t, cache)
        parts.append(y_t[:, None])
    for piece in (x[:, 3:5], x[:, 5:]):
        y, cache = mixer.mix(piece, cache)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), whole)


@each_block
def test_every_parameter_of_a_block_has_a_gradient(letter: str) -> None:
    mixer = block(letter)
    mixer(torch.randn(2, 9, 16, dtype=torch.float64)).square().sum().backward()
    for name, parameter in mixer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_rwkv7_decays_within_the_published_range_and_removes_by_unit_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    whole = rwkv7.chunkwise

    def recorded(*args: Any, **rest: Any) -> Any:
        seen.extend(args)
        return whole(*args, **rest)

    monkeypatch.setattr(rwkv7, "chunkwise", recorded)
    RWKV7Block(16, head_dim=8)(20 * torch.randn(2, 50, 16))
    _, log_w, k, _, kappa, a = seen
    assert 0.545 < log_w.exp().min() < 0.56
    assert log_w.max() <= 0
    torch.testing.assert_close(kappa.norm(dim=-1), torch.ones(2, 50, 2))
    assert (k.sign() == kappa.sign())[a > 1e-6].all()


class Uniform(torch.nn.Module):
    def forward(self, tokens: Tensor) -> Tensor:
        return torch.zeros(*tokens.shape, 256)


def test_a_model_that_knows_nothing_needs_eight_bits_a_byte() -> None:
    windows = TEXT.test.spread(60, 7)  # more than are tested at once
    np.testing.assert_allclose(language.bits(Uniform(), windows), np.full(60, 8.0), rtol=1e-6)


def test_counts_are_those_of_the_bytes_before() -> None:
    text = Text(*(Bytes(t, np.frombuffer(t.encode(), np.uint8)) for t in ("aab", "", "ab")))
    one = (np.array([2, 1]) + 8 / 256) / 11  # a, b
    assert language.counted_bits(text, 0) == pytest.approx(-np.log2(one).mean(), rel=1e-5)
    b_after_a = (1 + 8 * one[1]) / (2 + 8)
    assert language.counted_bits(text, 1) == pytest.approx(-np.log2(b_after_a), rel=1e-5)
    assert language.counted_bits(TEXT, 2) < language.counted_bits(TEXT, 1) < language.counted_bits(TEXT, 0) < 8
    with pytest.raises(ValueError, match="order is 3: expected 0, 1 or 2"):
        language.counted_bits(text, 3)


@pytest.fixture(scope="module")
def curve() -> Curve:
    return language.once("hybrid", TEXT, SCHEDULE, seed=3)


def test_a_training_learns_is_tested_on_its_way_and_brings_its_weights_along(curve: Curve) -> None:
    assert curve.steps.tolist() == list(range(2, 21, 2))
    assert (np.diff(curve.seconds) > 0).all()
    assert curve.bits.shape == (10, language.TEST_WINDOWS)
    assert curve.bits[-1].mean() < curve.bits[0].mean() - 1
    again = language.bits(curve.model(), TEXT.test.spread(language.TEST_WINDOWS, 16))
    np.testing.assert_array_equal(again, curve.bits[-1])


def test_the_seed_decides_whatever_came_before(curve: Curve) -> None:
    torch.rand(3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    same, other = (language.once("hybrid", TEXT, SCHEDULE, seed) for seed in (3, 4))
    torch.set_num_threads(threads)
    np.testing.assert_allclose(same.bits, curve.bits, atol=1e-3)
    assert abs(other.bits - curve.bits).max() > 1e-2


def test_a_training_that_is_stopped_is_tested_where_it_stopped() -> None:
    curve = language.once("SSD", TEXT, SCHEDULE, 0, on_step=lambda step: step == 3)
    assert curve.steps.tolist() == [2, 3]


def test_a_curve_is_read_between_its_tests_and_not_beyond(curve: Curve) -> None:
    mean = curve.bits.mean(1)
    assert curve.bits_at(steps=3) == pytest.approx((mean[0] + mean[1]) / 2)
    assert curve.bits_at(seconds=curve.seconds[4]) == pytest.approx(mean[4])
    with pytest.raises(ValueError, match="asked for 21: expected 2 to 20"):
        curve.bits_at(steps=21)
    with pytest.raises(ValueError, match="expected one of them"):
        curve.bits_at()


def test_two_processes_train_every_kind_with_every_seed() -> None:
    short = Schedule(steps=2, lengths=(16, 16), batch=2, grow=0)
    curves = language.compare(TEXT, short, seeds=[0, 3])
    assert list(curves) == list(KINDS)
    for kind, some in curves.items():
        assert [c.kind for c in some] == [kind, kind]
        assert abs(some[0].bits - some[1].bits).max() > 0


def test_text_is_written_piece_by_piece_the_same_for_a_seed(curve: Curve) -> None:
    pieces = list(language.write(curve.model(), "for", 50, seed=1))
    assert len(pieces) == 51
    assert "".join(pieces) == "".join(language.write(curve.model(), "for", 50, seed=1))
    assert "".join(pieces) != "".join(language.write(curve.model(), "for", 50, seed=2))
    likeliest = "".join(language.write(curve.model(), "", 20, temperature=0))
    assert likeliest == "".join(language.write(curve.model(), "\n", 20, temperature=0))


def test_bytes_of_one_letter_are_put_together_and_those_of_none_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    model = language.network("SSD")
    drawn = [torch.tensor([byte]) for byte in "é".encode() + b"\xff"]
    monkeypatch.setattr(model, "stream", lambda *args: iter(drawn))
    assert list(language.write(model, "x", 3)) == ["", "é", "\ufffd", ""]


@each_kind
def test_decoding_is_timed_after_any_context(kind: str) -> None:
    assert language.decoding_rate(language.network(kind), TEXT.test, context=20, n_bytes=5) > 0


def test_the_stored_outputs_are_those_of_a_full_run() -> None:
    cells = read(ROOT / "notebooks" / "05c_language.ipynb").cells
    text = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    assert text.count("full run, seeds 0, 1; ") == 1
    assert "QUICK" not in text
