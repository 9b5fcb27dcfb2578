"""The mixers of published hybrids: how each keeps its weights, and the block of this course with the same numbers.

Each function returns the block, without numbers, and its weights.
"""

from typing import Literal

import torch
from torch import Tensor

from ..layers import KDA, Attention, GatedDeltaNet, LatentAttention, Mamba2
from ._published import Config, State, Weights


def attention(
    config: Config,
    weights: Weights,
    *,
    qk_norm: bool | Literal["all"] = False,
    norm_from: float = 0.0,
    output_gate: bool = False,
    rotary: float = 1.0,
    may_have_no_rope: bool = False,
    scales: tuple[float, float, float, float] = (1, 1, 1, 1),
) -> tuple[Attention, State]:
    """Attention with q_proj, k_proj, v_proj and o_proj, which `scales` multiplies.

    The gate lies in q_proj, behind the query of each head. Published code rotates pairs (i, i + rope_dim / 2), a block
    here (0, 1), (2, 3), …: rows of q and k change places, and so do the weights of their norms.
    """
    d, n, n_kv = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
    p = config.get("head_dim", d // n)
    theta, rope_dim = _rope(config, p, rotary, may_have_no_rope)
    with torch.device("meta"):
        block = Attention(
            d,
            p,
            rope=rope_dim > 0,
            n_heads=n,
            n_kv_heads=n_kv,
            qk_norm=qk_norm,
            output_gate=output_gate,
            rope_theta=theta,
            rope_dim=rope_dim or None,
        )
    q_scale, k_scale, v_scale, out_scale = scales
    q = weights.take("q_proj.weight", n * p * (1 + output_gate), d).unflatten(0, (n, -1))
    q, gate = q[:, :p].flatten(0, 1), q[:, p:].flatten(0, 1)
    k = weights.take("k_proj.weight", n_kv * p, d)
    v = weights.take("v_proj.weight", n_kv * p, d)
    q, k = in_pairs(q, n, rope_dim), in_pairs(k, n_kv, rope_dim)
    state = {
        "in_proj.weight": torch.cat([q_scale * q, k_scale * k, v_scale * v, gate]),
        "out_proj.weight": out_scale * weights.take("o_proj.weight", d, n * p),
    }
    for z, heads, norm in (("q", n, block.q_norm), ("k", n_kv, block.k_norm)) if qk_norm else ():
        norm.eps = config["rms_norm_eps"]
        normed = heads if qk_norm == "all" else 1  # together
        weight = in_pairs(norm_from + weights.take(f"{z}_norm.weight", normed * p), normed, rope_dim)
        state[f"{z}_norm.weight"] = weight.view(normed, p) if qk_norm == "all" else weight
    return block, state


def in_pairs(rows: Tensor, heads: int, rope_dim: int) -> Tensor:
    """Rows of some heads in the order in which those rotated together are neighbors."""
    order = torch.arange(rope_dim).unflatten(0, (2, -1)).T.flatten()
    by_head = rows.unflatten(0, (heads, -1))
    return by_head[:, torch.cat([order, torch.arange(rope_dim, by_head.shape[1])])].flatten(0, 1)


def _rope(config: Config, head_dim: int, rotary: float, may_have_none: bool) -> tuple[float, int]:
    """(base, how many numbers of a head are rotated), by today's rope_parameters or yesterday's single entries."""
    config.need("positions as they were trained", rope_scaling=None)
    entries = config.get("rope_parameters", config.entries)
    if may_have_none and entries.get("rope_theta") is None:
        return 1.0, 0
    kind = entries.get("rope_type", "default")
    if kind != "default":
        raise ValueError(f"config.json has rope_type = {kind!r}: expected 'default', no scaled positions")
    share = entries.get("partial_rotary_factor", config.get("partial_rotary_factor", rotary))
    return float(entries.get("rope_theta", 10000.0)), int(head_dim * share)


def delta_net(
    config: Config,
    weights: Weights,
    projections: list[Tensor],
    convolutions: tuple[str, ...] = ("conv1d",),
    norm: str = "norm",
    output: str = "out_proj",
    beta_max: float = 1.0,
    norm_eps: float | None = None,
) -> tuple[GatedDeltaNet, State]:
    """A gated delta net with these projections: of q, k and v, together or one by one, then of gate, β and a."""
    d, n, n_v = config["hidden_size"], config["linear_num_key_heads"], config["linear_num_value_heads"]
    p, p_v, width = config["linear_key_head_dim"], config["linear_value_head_dim"], config["linear_conv_kernel_dim"]
    with torch.device("meta"):
        block = GatedDeltaNet(d, p, width, beta_max, n_heads=n, n_v_heads=n_v, expand_v=p_v / p)
    block.norm.eps = config["rms_norm_eps"] if norm_eps is None else norm_eps
    *qkv, gate, beta, a = projections
    return block, {
        "in_proj.weight": torch.cat(qkv),
        "conv.weight": weights.take_joined([f"{z}.weight" for z in convolutions], sum(block.widths), 1, width),
        "norm.weight": weights.take(f"{norm}.weight", p_v),
        "out_proj.weight": weights.take(f"{output}.weight", d, n_v * p_v),
        "beta_proj.weight": beta,
        "a_proj.weight": a,
        "dt_bias": weights.take("dt_bias", n_v),
        "A_log": weights.take("A_log", n_v),
        "g_proj.weight": gate,
    }


def kda(config: Config, weights: Weights) -> tuple[KDA, State]:
    """Kimi Delta Attention, whose rates are kept as (1, 1, heads, 1)."""
    d, n, p = config["hidden_size"], config["linear_num_heads"], config["linear_head_dim"]
    width, d_conv = n * p, config["linear_conv_kernel_dim"]
    with torch.device("meta"):
        block = KDA(d, p, d_conv, n_heads=n)
    block.norm.eps = config["rms_norm_eps"]
    return block, {
        "in_proj.weight": torch.cat([weights.take(f"{z}_proj.weight", width, d) for z in "qkv"]),
        "conv.weight": weights.take_joined([f"{z}_conv1d.weight" for z in "qkv"], 3 * width, 1, d_conv),
        "alpha_proj.0.weight": weights.take("f_a_proj.weight", p, d),
        "alpha_proj.1.weight": weights.take("f_b_proj.weight", width, p),
        "g_proj.0.weight": weights.take("g_a_proj.weight", p, d),
        "g_proj.1.weight": weights.take("g_b_proj.weight", width, p),
        "beta_proj.weight": weights.take("b_proj.weight", n, d),
        "dt_bias": weights.take("dt_bias", width),
        "A_log": weights.take("A_log", 1, 1, n, 1).flatten(),
        "norm.weight": weights.take("o_norm.weight", p),
        "out_proj.weight": weights.take("o_proj.weight", d, width),
    }


def latent_attention(config: Config, weights: Weights) -> tuple[LatentAttention, State]:
    """Kimi's attention over latents; its queries have none, and nothing is rotated."""
    config.need("no latent of queries", q_lora_rank=None)
    config.need("no rotation", mla_use_nope=True)
    d, n, latent = config["hidden_size"], config["num_attention_heads"], config["kv_lora_rank"]
    p, shared, p_v = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["v_head_dim"]
    with torch.device("meta"):
        block = LatentAttention(d, p, latent, shared, n, p_v)
    return block, {
        "q_proj.weight": weights.take("q_proj.weight", n * (p + shared), d),
        "latent_proj.weight": weights.take("kv_a_proj_with_mqa.weight", latent + shared, d),
        "norm.weight": weights.take("kv_a_layernorm.weight", latent),
        "kv_proj.weight": weights.take("kv_b_proj.weight", n * (p + p_v), latent),
        "out_proj.weight": weights.take("o_proj.weight", d, n * p_v),
    }


def apart(config: Config, weights: Weights, *names: str) -> list[Tensor]:
    """The projections of a delta net from weights of their own: qkv, z, b, a in Qwen3.5, q, k, v, g, b, a in OLMo."""
    d, n, n_v = config["hidden_size"], config["linear_num_key_heads"], config["linear_num_value_heads"]
    keys, values = n * config["linear_key_head_dim"], n_v * config["linear_value_head_dim"]
    first = [2 * keys + values] if len(names) == 4 else [keys, keys, values]
    rows = [*first, values, n_v, n_v]
    return [weights.take(f"{name}.weight", size, d) for name, size in zip(names, rows, strict=True)]


def by_key_head(config: Config, weights: Weights) -> list[Tensor]:
    """The projections of Qwen3-Next's delta net: q, k, v, z of one head of keys after the other, and so β and a."""
    d, n, n_v = config["hidden_size"], config["linear_num_key_heads"], config["linear_num_value_heads"]
    p, of_values = config["linear_key_head_dim"], config["linear_value_head_dim"] * n_v // n
    taken = []
    for name, sizes in (("qkvz", [p, p, of_values, of_values]), ("ba", [n_v // n, n_v // n])):
        rows = weights.take(f"in_proj_{name}.weight", n * sum(sizes), d).unflatten(0, (n, -1))
        taken += [part.flatten(0, 1) for part in rows.split(sizes, dim=1)]
    return taken


def mamba2(
    config: Config,
    weights: Weights,
    inputs: list[float] | None = None,
    output: float = 1.0,
    norm: bool = True,
    norm_before_gate: bool = False,
) -> tuple[Mamba2, State]:
    """Mamba-2 with the names of transformers; `inputs` multiply the rows of z, x, B, C and δ, `output` the result."""
    d, n, n_state, groups = (
        config[name] for name in ("hidden_size", "mamba_n_heads", "mamba_d_state", "mamba_n_groups")
    )
    d_inner = config.get("mamba_d_ssm", config.get("mamba_expand", 2) * d)
    head_dim = config.get("mamba_d_head", "auto")
    with torch.device("meta"):
        block = Mamba2(
            d,
            n_state,
            d_inner // n if head_dim == "auto" else head_dim,
            groups,
            d_conv=config["mamba_d_conv"],
            chunk_size=config["mamba_chunk_size"],
            dt_limit=tuple(config.get("time_step_limit", (0.0, float("inf")))),
            norm_before_gate=norm_before_gate,
            bias=config.get("mamba_proj_bias", False),
            conv_bias=config.get("mamba_conv_bias", True),
            n_heads=n,
            norm=norm,
        )
    if block.norm is not None:
        block.norm.eps = config["rms_norm_eps"]
    state = weights.take_all({name: tuple(parameter.shape) for name, parameter in block.named_parameters()})
    if inputs is not None:
        widths = [d_inner, d_inner, groups * n_state, groups * n_state, n]
        state["in_proj.weight"] *= torch.tensor(inputs).repeat_interleave(torch.tensor(widths))[:, None]
    state["out_proj.weight"] *= output
    return block, state
