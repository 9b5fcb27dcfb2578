"""Packed sequences: several in one row, one after the other, none of which sees another.

    tokens      a b c d | e f | g h i        three sequences in one row
    seq_start   1 0 0 0   1 0   1 0 0        true where a sequence begins; the first token of a row always is one

Two ways lead to the same numbers. Where a decay is an argument, a decay of 0 at the first token of a sequence forgets
all earlier ones (`reset`): one call, nothing computed twice, however many sequences there are. Every other mixer, and a
whole layer or model with its convolutions, token shifts and positions, is run on each sequence by itself (`by_pieces`).
"""

from collections.abc import Callable
from itertools import groupby

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from .validation import shapes_checked
from .value_validation import require

Starts = Bool[Tensor, "batch time"]


@shapes_checked
def starts(cu_seqlens: Int[Tensor, " n_plus_one"]) -> Bool[Tensor, "one time"]:
    """`seq_start`: (1, time) from the places where sequences begin and the last one ends, [0, 4, 6, 9] above.

    The same numbers as in flash-attention and flash-linear-attention. Raises ValueError unless they begin with 0 and
    never fall; a sequence of no tokens leaves no trace.
    """
    steps = cu_seqlens.diff()
    rises = (cu_seqlens[:1] == 0).all() & (steps >= 0).all()
    expected = "numbers that begin with 0 and never fall"
    require("cu_seqlens", rises, expected, lambda: f"cu_seqlens is {cu_seqlens.tolist()}")
    seq_start = torch.zeros(1, int(cu_seqlens[-1]) + 1, dtype=torch.bool, device=cu_seqlens.device)
    seq_start[0, cu_seqlens] = True
    return seq_start[:, :-1]


@shapes_checked
def reset(log_decay: Float[Tensor, "batch time *each"], seq_start: Starts) -> Float[Tensor, "batch time *each"]:
    """The log decays, -inf at the first token of each sequence: it forgets all that came before.

    For `ssd`, `gla`, `mamba3`, `kda`, `mlstm` (log_f), `mesa`, and the gated `delta_rule` and `delta_product` (the
    plain ones with log_a = 0). RWKV-7 removes before it decays, so its first tokens need a `kappa` of 0, too.
    `linear_attention`, `retention`, `selective_scan` and `wkv4` take no log decay for each token, and `log_linear`
    counts tokens from the start of the row: see `by_pieces`.
    """
    return log_decay.masked_fill(seq_start.view(*seq_start.shape, *(1,) * (log_decay.ndim - 2)), -torch.inf)


def by_pieces(run: Callable[..., Tensor], seq_start: Tensor | None, *sequences: Tensor | None) -> Tensor:
    """run(*sequences) -> (batch, time, …) of each packed sequence by itself, put back in the place of its tokens.

    The sequences, (batch, time, …) or None, may be anything causal: what follows a token must not change its result.
    Sequences of similar length are one batch, filled up at the end to the longest of them, which is less than twice the
    shortest. So there are at most 1 + log₂ time calls on fewer than twice the tokens. The lengths are read on the CPU,
    so a GPU is waited for once, and torch.compile breaks its graph here.
    """
    if seq_start is None or seq_start.numel() == 0:
        return run(*sequences)
    shape, total = seq_start.shape, seq_start.numel()
    first = pad(seq_start[:, 1:], (1, 0), value=True).flatten().nonzero()[:, 0]  # (pieces,): places in batch · time
    lengths = first.diff(append=first.new_tensor([total]))

    def bits(i: int) -> int:
        return (sizes[i] - 1).bit_length()

    sizes = lengths.tolist()
    found, places = [], []
    for _, alike in groupby(sorted(range(len(sizes)), key=bits), bits):
        of = torch.tensor(list(alike), device=first.device)
        step = torch.arange(int(lengths[of].max()), device=first.device)
        place = (first[of, None] + step).clamp(max=total - 1)  # (pieces, longest)
        inside = step < lengths[of, None]
        y = run(*(None if x is None else x.flatten(0, 1)[place] for x in sequences))
        found.append(y[inside])
        places.append(place[inside])
    return torch.cat(found)[torch.cat(places).argsort()].unflatten(0, shape)
