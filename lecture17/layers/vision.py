"""Blocks for images: scans along several routes, because a scan sees only what came before, and two without a scan.

Introduced in 04c_vision; `ImageAttention` and `GatedConv`, with which they are compared, in 05d_images.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..ops.validation import shapes_checked
from ..reference import scan2d
from .mamba import SelectiveSSM
from .mixer import check_features, count_heads
from .options import options_checked
from .parts import ShortConv


class Vim(nn.Module):
    """Vision Mamba's block: the sequence of patches is read forward and backward, with separate parameters.

        u, z = W_in x,      y_f = SSM_f(SiLU(conv_f(u))),      y_b = flip(SSM_b(SiLU(conv_b(flip(u)))))
        out = W_out ((y_f + y_b)/2 ∘ SiLU(z))

    x, out: (batch, time, d_model), or (batch, height, width, d_model) for an image, which is read row by row. Every
    output depends on every input, so there is nothing to cache. Source: Zhu et al., arXiv 2401.09417, Section 3; the
    average of the two directions as in the published code.
    """

    @options_checked
    def __init__(self, d_model: int, d_state: int = 16, expand: int = 2, d_conv: int = 4):
        super().__init__()
        self.d_model = d_model
        d_inner, dt_rank = expand * d_model, -(-d_model // 16)
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.ahead = _ConvSSM(d_inner, d_conv, d_state, dt_rank)
        self.back = _ConvSSM(d_inner, d_conv, d_state, dt_rank)
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)

    @shapes_checked
    def forward(self, x: Float[Tensor, "batch *place d_model"]) -> Float[Tensor, "batch *place d_model"]:
        check_features(self.d_model, x=x)
        u, z = self.in_proj(x.flatten(1, -2)).chunk(2, dim=-1)  # (b, t, d_inner) each
        y = (self.ahead(u) + self.back(u.flip(1)).flip(1)) / 2  # (b, t, d_inner)
        return self.out_proj(y * F.silu(z)).view_as(x)


class _ConvSSM(nn.Module):
    """One direction of Vim."""

    def __init__(self, d_inner: int, d_conv: int, d_state: int, dt_rank: int):
        super().__init__()
        self.conv = ShortConv(d_inner, d_conv)
        self.ssm = SelectiveSSM(d_inner, d_state, dt_rank)

    def forward(self, u: Tensor) -> Tensor:
        u, _ = self.conv(u, self.conv.init_window(len(u)))
        return self.ssm(u)


class SS2D(nn.Module):
    """VMamba's block: the image is read along four routes, each with its own selective scan, and put together again.

        u, z = W_in x,      u = SiLU(conv2d(u))                         depthwise, 3 × 3
        y = Σ_i (the scan along route i, put back in place)             row by row, column by column, both reversed
        out = W_out (LayerNorm(y) ∘ SiLU(z))

    x, out: (batch, height, width, d_model). Source: Liu et al., arXiv 2401.10166, Section 4; the gate z as in the
    first version of the published code.
    """

    @options_checked
    def __init__(self, d_model: int, d_state: int = 16, expand: int = 2):
        super().__init__()
        self.d_model = d_model
        d_inner, dt_rank = expand * d_model, -(-d_model // 16)
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.conv2d = nn.Conv2d(d_inner, d_inner, 3, padding=1, groups=d_inner)
        self.ssms = nn.ModuleList(SelectiveSSM(d_inner, d_state, dt_rank) for _ in range(4))
        self.norm = nn.LayerNorm(d_inner)
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)

    @shapes_checked
    def forward(self, x: Float[Tensor, "batch height width d_model"]) -> Float[Tensor, "batch height width d_model"]:
        check_features(self.d_model, x=x)
        u, z = self.in_proj(x).chunk(2, dim=-1)  # (b, H, W, d_inner) each
        u = F.silu(self.conv2d(u.permute(0, 3, 1, 2))).flatten(2).transpose(1, 2)  # (b, H W, d_inner)
        orders = torch.from_numpy(scan2d.routes(*x.shape[1:3])).to(x.device)  # (4, H W): position -> pixel
        y = sum(ssm(u[:, order])[:, order.argsort()] for ssm, order in zip(self.ssms, orders, strict=True))
        y = self.norm(y).view_as(z) * F.silu(z)  # (b, H, W, d_inner)
        return self.out_proj(y)


class ImageAttention(nn.Module):
    """Softmax attention of every patch over all patches, as in a Vision Transformer: nothing is masked.

        q, k, v = W x,      y_t = Σ_j softmax_j(q_t·k_j / √head_dim) v_j,      per head;      out = W_o y

    x, out: (batch, height, width, d_model). It does not know where a patch is unless positions were added to x.
    Source: Dosovitskiy et al., arXiv 2010.11929, Section 3.1 and Appendix A.
    """

    @options_checked
    def __init__(self, d_model: int, head_dim: int = 8):
        super().__init__()
        self.d_model, self.head_dim = d_model, head_dim
        count_heads(head_dim, d_model=d_model)
        self.in_proj = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out_proj = nn.Linear(d_model, d_model, bias=False)

    @shapes_checked
    def forward(self, x: Float[Tensor, "batch height width d_model"]) -> Float[Tensor, "batch height width d_model"]:
        check_features(self.d_model, x=x)
        qkv = self.in_proj(x).flatten(1, 2).unflatten(-1, (3, -1, self.head_dim))  # (b, H W, 3, h, p)
        y = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4))  # (b, h, H W, p)
        return self.out_proj(y.transpose(1, 2).flatten(2)).view_as(x)


class GatedConv(nn.Module):
    """A gated convolution: `SS2D` with the scan left out, so that a patch sees its neighbors and no others.

        u, z = W_in x,      out = W_out (conv2d(u) ∘ SiLU(z))                         depthwise, 3 × 3

    x, out: (batch, height, width, d_model). Source: Yu and Wang, arXiv 2405.07992, Section 4 (MambaOut), where the
    convolution is 7 × 7 and sees only a part of the features.
    """

    @options_checked
    def __init__(self, d_model: int, expand: int = 2):
        super().__init__()
        self.d_model = d_model
        d_inner = expand * d_model
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.conv2d = nn.Conv2d(d_inner, d_inner, 3, padding=1, groups=d_inner)
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)

    @shapes_checked
    def forward(self, x: Float[Tensor, "batch height width d_model"]) -> Float[Tensor, "batch height width d_model"]:
        check_features(self.d_model, x=x)
        u, z = self.in_proj(x).chunk(2, dim=-1)  # (b, H, W, d_inner) each
        u = self.conv2d(u.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.out_proj(u * F.silu(z))
