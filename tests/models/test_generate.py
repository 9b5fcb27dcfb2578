"""Texts that a model draws: padding, top-k, top-p and stop tokens; packed texts; a stack under autocast."""

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lecture17.models import LanguageModel
from lecture17.ops.packing import starts

from ..layers.blocks import difference, trained
from .test_language_model import LETTERS, VOCAB, model, text

every_letter = pytest.mark.parametrize("letter", LETTERS)


def likeliest_first(net: LanguageModel, prompt: Tensor) -> tuple[list[int], Tensor]:
    """The tokens in order of the shares that they have after the prompt, and these shares."""
    with torch.no_grad():
        shares, order = net(prompt[:1])[0, -1].softmax(-1).sort(descending=True)
    return order.tolist(), shares


def drawn(net: LanguageModel, prompt: Tensor, **options: Any) -> Tensor:
    """How often each token follows in 4,000 draws, as a share."""
    rows = prompt[:1].expand(4000, -1)
    return torch.bincount(net.generate(rows, 1, generator=torch.Generator().manual_seed(2), **options)[:, -1]) / 4000


@every_letter
def test_padding_on_the_left_changes_no_text(letter: str) -> None:
    net, prompt = trained(model(letter + "A")), text(9, batch=4)
    lengths = torch.tensor([4, 9, 4, 1])
    longer = net.generate(prompt, 6, temperature=0, lengths=lengths)
    assert torch.equal(longer[:, :9], prompt)
    for row, length in enumerate(lengths.tolist()):
        by_itself = net.generate(prompt[row : row + 1, -length:], 6, temperature=0)
        assert torch.equal(longer[row, 9:], by_itself[0, length:])


def test_top_k_draws_among_the_k_likeliest_in_their_shares() -> None:
    net, prompt = trained(model("M")), text(3)
    order, shares = likeliest_first(net, prompt)
    found = drawn(net, prompt, top_k=3)
    assert sorted(found.nonzero()[:, 0].tolist()) == sorted(order[:3])
    expected = shares[:3] / shares[:3].sum()
    assert (found[order[:3]] - expected).abs().max() < 0.03
    assert drawn(net, prompt, top_k=1)[order[0]] == 1
    assert (drawn(net, prompt, top_k=VOCAB + 5) > 0).sum() > 3


def test_top_p_draws_among_the_fewest_that_have_the_share_together() -> None:
    net, prompt = trained(model("M")), text(3)
    order, shares = likeliest_first(net, prompt)
    p = (shares[:2].sum() + shares[2] / 2).item()  # two are too few, three enough
    found = drawn(net, prompt, top_p=p)
    assert sorted(found.nonzero()[:, 0].tolist()) == sorted(order[:3])
    assert (found[order[:3]] - shares[:3] / shares[:3].sum()).abs().max() < 0.03
    assert drawn(net, prompt, top_p=1e-6)[order[0]] == 1
    two = drawn(net, prompt, top_k=3, top_p=(shares[:2].sum() / shares[:3].sum()).item() - 1e-4)
    assert sorted(two.nonzero()[:, 0].tolist()) == sorted(order[:2])


def test_a_text_ends_at_a_stop_token_and_all_together_when_the_last_has_ended() -> None:
    net, prompt = trained(model("M")), text(4, batch=3)
    free = net.generate(prompt, 12, temperature=0)
    stop = {int(free[0, 6]), int(free[1, 8])}
    stopped = net.generate(prompt, 12, temperature=0, stop=stop)
    ends = [next((i for i, token in enumerate(row) if token in stop), 11) for row in free[:, 4:].tolist()]
    assert len({*ends}) > 1
    assert stopped.shape[1] == 4 + max(ends) + 1
    for row, end in enumerate(ends):
        assert torch.equal(stopped[row, : 5 + end], free[row, : 5 + end])
        assert (stopped[row, 4 + end :] == free[row, 4 + end]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, r"top_k is 0 .*expected at least 1"),
        ({"top_p": 0.0}, r"top_p 0.0: expected .*a number in \(0, 1\]"),
        ({"top_p": 1.5}, r"top_p 1.5"),
        ({"lengths": torch.tensor([0, 3])}, r"lengths is \[0, 3\]: expected 2 whole numbers from 1 to 5"),
        ({"lengths": torch.tensor([6, 3])}, r"lengths is \[6, 3\]"),
        ({"lengths": torch.tensor([3])}, r"lengths is \[3\]"),
    ],
)
def test_options_out_of_their_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model("M").generate(text(5), 1, **options)


@every_letter
def test_packed_texts_are_each_read_by_itself(letter: str) -> None:
    net, packed = trained(model(letter + letter, mlp_ratio=1)).double(), text(17, batch=1)
    borders = [0, 6, 7, 17]
    with torch.no_grad():
        pieces = [net(packed[:, begin:end]) for begin, end in pairwise(borders)]
        assert difference(net(packed, seq_start=starts(torch.tensor(borders))), torch.cat(pieces, 1)) < 1e-12


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # of RMSNorm, once: not fused
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_hybrid_of_all_blocks_learns_and_writes_under_autocast(dtype: torch.dtype) -> None:
    net, tokens = model("".join(LETTERS) + "R", mlp_ratio=1), text(100)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(4):
        with torch.autocast("cpu", dtype):
            logits = net(tokens)
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        assert logits.dtype == dtype
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    with torch.autocast("cpu", dtype):
        assert net.generate(tokens[:, :9], 4).shape == (2, 13)


def test_caches_that_are_not_the_models_are_refused_by_place() -> None:
    net, token = model("MAD"), text(1)[:, 0]
    caches = net.init_cache(2)
    with pytest.raises(ValueError, match="caches has 2 entries: expected one for each of the 3 blocks"):
        net.step(token, caches[:2])
    for wrong in (None, caches[0]):
        with pytest.raises(ValueError, match=r"caches\[1\] is .*: expected what init_cache of this Attention makes"):
            net.step(token, [caches[0], wrong, caches[2]])
