"""docs/production.md: each call of another library gives what the mixer here gives, by its slow reference code.

Nothing of theirs is needed: a library that is not installed is skipped, with its name.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from lecture17.ops import (
    delta_product,
    delta_rule,
    gla,
    kda,
    linear_attention,
    log_linear,
    mesa,
    mlstm,
    retention,
    rwkv7,
    selective_scan,
    ssd,
)

from ..conftest import ROOT
from ..layers.blocks import difference

NAMES = {"fla": "flash-linear-attention", "transformers": "transformers"}
BATCH, TIME, HEADS, D_K, D_V = 2, 37, 3, 6, 5
Pair = tuple[tuple[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]  # (y, state) here and there
PAIRS: dict[tuple[str, str], Callable[[Callable[[str], Any]], Pair]] = {}


def same(mixer: str, call: str) -> Callable[[Any], Any]:
    """Register a pair under the mixer and the call that the page names for it."""
    return lambda pair: PAIRS.setdefault((mixer, call), pair)


def normal(*shape: int) -> Tensor:
    return torch.randn(BATCH, TIME, *shape)


def qkv() -> tuple[Tensor, Tensor, Tensor]:
    return normal(HEADS, D_K), normal(HEADS, D_K), normal(HEADS, D_V)


def unit_keys() -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = qkv()
    return q, torch.nn.functional.normalize(k, dim=-1), v


def decay(*shape: int) -> Tensor:
    return -torch.rand(BATCH, TIME, *shape)


def heads_first(*tensors: Tensor) -> list[Tensor]:
    return [a.transpose(1, 2) for a in tensors]


@same("ssd", "chunk_simple_gla")
def _(fla: Any) -> Pair:
    (q, k, v), g = qkv(), decay(HEADS)
    theirs = fla("simple_gla").naive_recurrent_simple_gla(q, k, v, g, scale=1.0)
    return ssd.chunkwise(v, g, k, q), theirs


@same("retention", "chunk_simple_gla")
def _(fla: Any) -> Pair:
    (q, k, v), gamma = qkv(), torch.rand(HEADS)
    g = gamma.log().expand(BATCH, TIME, HEADS)
    return retention.chunkwise(q, k, v, gamma), fla("simple_gla").naive_recurrent_simple_gla(q, k, v, g, scale=1.0)


@same("linear_attention", "chunk_linear_attn")
def _(fla: Any) -> Pair:
    q, k, v = (a.abs() for a in qkv())
    theirs = fla("linear_attn").naive_recurrent_linear_attn(q, k, v, scale=1.0, normalize=True, output_final_state=True)
    y, (S, z) = linear_attention.chunkwise(q, k, v, normalize=True)
    o, (kv, k_sum) = theirs
    assert difference(k_sum[:, 0], z) < 1e-5
    return (y, S), (o, kv)


@same("gla", "chunk_gla")
def _(fla: Any) -> Pair:
    (q, k, v), g = qkv(), decay(HEADS, D_K)
    theirs = fla("gla").naive_recurrent_gla(q * D_K**0.5, k, v, g, output_final_state=True)  # it has no scale argument
    return gla.chunkwise(q, k, v, g), theirs


@same("delta_rule", "chunk_delta_rule")
def _(fla: Any) -> Pair:
    (q, k, v), beta = unit_keys(), torch.rand(BATCH, TIME, HEADS)
    o, S = fla("delta_rule").delta_rule_recurrence(*heads_first(q * D_K**0.5, k, v, beta))
    return delta_rule.chunkwise(q, k, v, beta), (o.transpose(1, 2), S)


@same("delta_rule", "chunk_gated_delta_rule")
def _(fla: Any) -> Pair:
    (q, k, v), g, beta = unit_keys(), decay(HEADS), torch.rand(BATCH, TIME, HEADS)
    theirs = fla("gated_delta_rule").naive_recurrent_gated_delta_rule(
        q, k, v, beta=beta, g=g, scale=1.0, output_final_state=True
    )
    return delta_rule.chunkwise(q, k, v, beta, g), theirs


@same("rwkv7", "chunk_rwkv7")
def _(fla: Any) -> Pair:
    (r, kappa, v), k, log_w, a = unit_keys(), normal(HEADS, D_K), decay(HEADS, D_K), torch.rand(BATCH, TIME, HEADS, D_K)
    naive = fla("generalized_delta_rule.dplr").dplr_recurrence
    o, S = naive(*heads_first(r * D_K**0.5, k, v, -kappa, kappa * a, log_w))
    return rwkv7.chunkwise(r, log_w, k, v, kappa, a), (o.transpose(1, 2), S)


@same("kda", "chunk_kda")
def _(fla: Any) -> Pair:
    (q, k, v), g, beta = unit_keys(), decay(HEADS, D_K), torch.rand(BATCH, TIME, HEADS)
    theirs = fla("kda").naive_recurrent_kda(q, k, v, g, beta, scale=1.0, output_final_state=True)
    return kda.chunkwise(q, k, v, g, beta), theirs


@same("delta_product", "chunk_gated_delta_product")
def _(fla: Any) -> Pair:
    q, g = normal(HEADS, D_K), decay(HEADS)
    k, v = torch.nn.functional.normalize(normal(2, HEADS, D_K), dim=-1), normal(2, HEADS, D_V)
    beta = torch.rand(BATCH, TIME, 2, HEADS)
    naive = fla("gated_delta_product").naive_recurrent_gated_delta_product
    steps = (a.flatten(1, 2) for a in (k, v))
    theirs = naive(q, *steps, g, beta.flatten(1, 2), 1.0, None, output_final_state=True, num_householder=2)
    return delta_product.chunkwise(q, k, v, beta, g), theirs


@same("log_linear", "chunk_log_linear_attn")
def _(fla: Any) -> Pair:
    (q, k, v), g, lam = qkv(), decay(HEADS), torch.rand(BATCH, TIME, HEADS, 7)
    q, k = q[:, :, :1], k[:, :, :1]  # theirs shares them among the heads
    o = fla("log_linear_attn").naive_log_linear_attn(q, k, v, g, lam)
    q, k = (a.expand(-1, -1, HEADS, -1) for a in (q, k))
    return (log_linear.chunkwise(q, k, v, g, lam)[0], None), (o, None)


@same("mesa", "chunk_mesa_net")
def _(fla: Any) -> Pair:
    q, k, v = (*unit_keys()[:2], normal(HEADS, D_K))
    g, beta, lam = decay(HEADS), torch.rand(BATCH, TIME, HEADS), 0.3 + torch.rand(HEADS, D_K)
    o, kk, kv = fla("mesa_net").naive_mesa_net_exact(q, k, v, g, lam, beta)
    y, (H, G) = mesa.recurrent(q, k, v, g, beta, lam)
    assert difference(kk, H) < 1e-5
    return (y, G), (o, kv)


@same("ssd", "mamba_chunk_scan_combined")
def _(transformers: Any) -> Pair:
    x, dt, A, B, C = (
        normal(HEADS, D_V),
        torch.rand(BATCH, TIME, HEADS),
        -torch.rand(HEADS),
        normal(1, D_K),
        normal(1, D_K),
    )
    y, S = transformers("mamba2").mamba2_chunk_scan(x, dt, A, B, C, chunk_size=16, return_final_states=True)
    return ssd.chunkwise(x * dt[..., None], A * dt, B, C), (y, S.mT)


@same("selective_scan", "selective_scan_fn")
def _(transformers: Any) -> Pair:
    x, delta, B, C = normal(D_V), torch.rand(BATCH, TIME, D_V), normal(D_K), normal(D_K)
    A = -torch.rand(D_V, D_K)
    scan = transformers("mamba").mamba_selective_scan
    y, h = scan(*(a.mT for a in (x, delta)), A, B.mT, C.mT, return_last_state=True)
    return selective_scan.chunkwise(x, delta, A, B, C), (y.mT, h.mT)


@same("delta_rule", "torch_chunk_gated_delta_rule")
def _(transformers: Any) -> Pair:
    (q, k, v), g, beta = unit_keys(), decay(HEADS), torch.rand(BATCH, TIME, HEADS)
    rule = transformers("qwen3_next").torch_chunk_gated_delta_rule
    return delta_rule.chunkwise(q, k, v, beta, g), rule(q * D_K**0.5, k, v, g, beta, output_final_state=True)


@same("kda", "chunk_kimi_delta_attention")
def _(transformers: Any) -> Pair:
    (q, k, v), g, beta = unit_keys(), decay(HEADS, D_K), torch.rand(BATCH, TIME, HEADS)
    rule = transformers("kimi_linear").chunk_kimi_delta_attention
    return kda.chunkwise(q, k, v, g, beta), rule(q * D_K**0.5, k, v, g, beta, output_final_state=True)


@same("mlstm", "mlstm_chunkwise_native_autograd")
def _(transformers: Any) -> Pair:
    (q, k, v), i, f = qkv(), normal(HEADS), normal(HEADS)
    sequence = transformers("xlstm").mlstm_recurrent_sequence_native  # the other takes whole chunks only
    y = sequence(*heads_first(q * D_K**0.5, k, v, i, f), eps=0.0)
    y_ours, _ = mlstm.chunkwise(q, k, v, i, torch.nn.functional.logsigmoid(f))
    return (y_ours, None), (y.transpose(1, 2), None)


def library(pair: Callable[..., Any]) -> Callable[[str], Any]:
    """Reference code of a mixer, in the library that the pair's argument names.

    That of fla is read from its file alone: the rest of the package needs a GPU to be imported.
    """
    name = pair.__code__.co_varnames[0]
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        pytest.skip(f"{name} is not installed: pip install {NAMES[name]}")
    if name == "transformers":
        return lambda mixer: import_module(f"transformers.models.{mixer}.modeling_{mixer}")
    folder = Path(spec.origin).parent / "ops"
    return lambda mixer: SimpleNamespace(**run_path(str(folder / mixer.replace(".", "/") / "naive.py")))


@pytest.mark.parametrize(("mixer", "call"), PAIRS, ids=str)
def test_the_call_gives_what_the_mixer_gives(mixer: str, call: str) -> None:
    torch.manual_seed(0)
    pair = PAIRS[mixer, call]
    (y, S), (y_theirs, S_theirs) = pair(library(pair))
    assert difference(y_theirs, y) < 1e-4
    if S is not None and S_theirs is not None:
        assert difference(S_theirs, S) < 1e-4


def test_the_page_has_a_row_for_every_pair() -> None:
    rows = [line for line in (ROOT / "docs" / "production.md").read_text(encoding="utf-8").splitlines() if "|" in line]
    for mixer, call in PAIRS:
        assert any(f"`{mixer}`" in row.split("|")[1] and f"{call}(" in row for row in rows), (mixer, call)
