"""The causal blocks in a size for tests: d_model 32, and every option that changes their computation."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from lecture17 import layers
from lecture17.layers import Mixer

D_MODEL = 32

BLOCKS: dict[str, Callable[[], Mixer]] = {
    "Attention": lambda: layers.Attention(D_MODEL, head_dim=8),
    "Attention rope": lambda: layers.Attention(D_MODEL, head_dim=8, rope=True),
    "Attention grouped": lambda: layers.Attention(
        D_MODEL, head_dim=6, rope=True, n_heads=4, n_kv_heads=2, qk_norm=True, output_gate=True, rope_dim=4
    ),
    "Attention window": lambda: layers.Attention(
        D_MODEL, head_dim=8, rope=True, n_kv_heads=2, window=5, qk_norm="all", rope_theta=100.0
    ),
    "LatentAttention": lambda: layers.LatentAttention(D_MODEL, 8, latent_dim=12, shared_dim=4, v_dim=6),
    "LatentAttention heads": lambda: layers.LatentAttention(D_MODEL, 6, 20, 5, n_heads=3),
    "Mamba": lambda: layers.Mamba(D_MODEL, d_state=4),
    "Mamba2": lambda: layers.Mamba2(D_MODEL, d_state=6, head_dim=8, chunk_size=16),
    "Mamba2 groups": lambda: layers.Mamba2(D_MODEL, d_state=6, head_dim=8, n_groups=4, d_conv=2),
    "Mamba2 options": lambda: layers.Mamba2(
        D_MODEL, 6, 8, dt_limit=(0.02, 0.5), norm_before_gate=True, bias=True, conv_bias=False
    ),
    "Mamba2 without norm": lambda: layers.Mamba2(D_MODEL, 6, 8, n_heads=5, norm=False),
    "Mamba3": lambda: layers.Mamba3(D_MODEL, d_state=6, head_dim=8, chunk_size=16),
    "Retention": lambda: layers.Retention(D_MODEL, head_dim=8),
    "GLA": lambda: layers.GLA(D_MODEL, head_dim=8),
    "DeltaNet": lambda: layers.DeltaNet(D_MODEL, head_dim=8),
    "DeltaNet beta_max 2": lambda: layers.DeltaNet(D_MODEL, head_dim=8, beta_max=2.0),
    "GatedDeltaNet": lambda: layers.GatedDeltaNet(D_MODEL, head_dim=8),
    "GatedDeltaNet grouped": lambda: layers.GatedDeltaNet(D_MODEL, head_dim=6, n_heads=2, n_v_heads=4, expand_v=1.5),
    "RWKV7": lambda: layers.RWKV7(D_MODEL, head_dim=8),
    "RWKV7 ranks": lambda: layers.RWKV7(D_MODEL, head_dim=8, ranks={"w": 5, "a": 3, "g": 7}),
    "ChannelMix": lambda: layers.ChannelMix(D_MODEL, 40),
    "SideBySide": lambda: layers.SideBySide(layers.Attention(D_MODEL, 8, window=5), layers.Mamba2(D_MODEL, 6, 8)),
    "KDA": lambda: layers.KDA(D_MODEL, head_dim=8),
    "KDA heads": lambda: layers.KDA(D_MODEL, head_dim=6, n_heads=3),
    "DeltaProduct": lambda: layers.DeltaProduct(D_MODEL, head_dim=8),
    "DeltaProduct of 3 steps": lambda: layers.DeltaProduct(D_MODEL, head_dim=8, beta_max=1.0, n_h=3),
    "MLSTM": lambda: layers.MLSTM(D_MODEL, head_dim=8, chunk_size=16),
    "LogLinearMamba2": lambda: layers.LogLinearMamba2(D_MODEL, d_state=6, head_dim=8, chunk_size=16, n_levels=8),
}


Module = TypeVar("Module", bound=nn.Module)


def trained(block: Module, seed: int = 0) -> Module:
    """The block with parameters away from their first values, some of which are zero and would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return block


def block(name: str) -> Mixer:
    torch.manual_seed(0)
    return trained(BLOCKS[name]())


def tokens(time: int, batch: int = 2, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, time, D_MODEL, generator=torch.Generator().manual_seed(seed))


def difference(got: torch.Tensor, want: torch.Tensor) -> float:
    """Largest difference divided by the largest size of `want`."""
    assert got.shape == want.shape
    return ((got - want).abs().max() / want.abs().max()).item()
