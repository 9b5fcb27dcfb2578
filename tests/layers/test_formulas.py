"""Each block equals the formula of its docstring, written out in NumPy with the recurrences of the reference."""

import numpy as np
import torch
from torch import nn

from lecture17 import layers
from lecture17.layers import Mixer
from lecture17.reference import (
    attention,
    delta_product,
    delta_rule,
    gla,
    kda,
    mamba3,
    retention,
    rwkv7,
    selective_scan,
    ssd,
)

from .blocks import D_MODEL, tokens, trained

HEADS, TIME = 4, 23  # heads of 8; heads of 16 numbers where a block is twice as wide inside
Weights = dict[str, np.ndarray]


def run(layer: Mixer, *more: torch.Tensor) -> tuple[np.ndarray, Weights, np.ndarray]:
    """One sequence x, the parameters by name, and what the block makes of x, all in float64."""
    trained(layer).double()
    x = tokens(TIME, batch=1).double()
    with torch.no_grad():
        y = layer(x, *more)[0].numpy()
    return x[0].numpy(), {name: p.detach().numpy() for name, p in layer.named_parameters()}, y


def same(got: np.ndarray, want: np.ndarray) -> bool:
    return np.allclose(got, want, rtol=0, atol=1e-10 * abs(want).max())


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def silu(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(x))


def conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | float = 0) -> np.ndarray:
    """SiLU of the causal convolution; the last weight belongs to the token itself."""
    width = weight.shape[-1]
    y = np.zeros_like(x) + bias
    for t in range(len(x)):
        for back in range(min(width, t + 1)):
            y[t] += weight[:, 0, width - 1 - back] * x[t - back]
    return silu(y)


def rms(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def group_norm(x: np.ndarray, eps: float) -> np.ndarray:
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt((centered**2).mean(-1, keepdims=True) + eps)


def heads(x: np.ndarray, n: int = HEADS) -> np.ndarray:
    return x.reshape(len(x), n, -1).swapaxes(0, 1)  # (heads, time, dim)


def joined(heads_of: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(heads_of, axis=-1)


def turned(x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Pairs of the last axis as complex numbers, turned by position · theta."""
    pairs = (x[:, 0::2] + 1j * x[:, 1::2]) * np.exp(1j * np.arange(len(x))[:, None] * theta)
    return np.stack([pairs.real, pairs.imag], -1).reshape(x.shape)


def test_attention_is_softmax_attention_per_head() -> None:
    for rope in (False, True):
        x, w, y = run(layers.Attention(D_MODEL, head_dim=8, rope=rope))
        q, k, v = (heads(part) for part in np.split(x @ w["in_proj.weight"].T, 3, axis=1))
        if rope:
            theta = 10000.0 ** -(np.arange(0, 8, 2) / 8)
            q, k = (np.stack([turned(head, theta) for head in z]) for z in (q, k))
        want = joined([attention.softmax(q[h] / np.sqrt(8), k[h], v[h]) for h in range(HEADS)])
        assert same(y, want @ w["out_proj.weight"].T)


def test_mamba_is_a_selective_scan_behind_a_convolution_and_a_gate() -> None:
    x, w, y = run(layers.Mamba(D_MODEL, d_state=4))
    u, z = np.split(x @ w["in_proj.weight"].T, 2, axis=1)
    u = conv(u, w["conv1d.weight"], w["conv1d.bias"])
    delta, B, C = np.split(u @ w["x_proj.weight"].T, [2, 6], axis=1)
    delta = softplus(delta @ w["dt_proj.weight"].T + w["dt_proj.bias"])
    s, _ = selective_scan.recurrent(u, delta, -np.exp(w["A_log"]), B, C)
    assert same(y, ((s + w["D"] * u) * silu(z)) @ w["out_proj.weight"].T)


def test_mamba2_is_ssd_per_head_with_groups_behind_a_convolution_and_a_gated_norm() -> None:
    x, w, y = run(layers.Mamba2(D_MODEL, d_state=3, head_dim=8, n_groups=2))
    z, u, B, C, delta = np.split(x @ w["in_proj.weight"].T, [64, 128, 134, 140], axis=1)
    u, B, C = np.split(conv(np.hstack([u, B, C]), w["conv1d.weight"], w["conv1d.bias"]), [64, 70], axis=1)
    delta = softplus(delta + w["dt_bias"])
    s = []
    for h, u_h in enumerate(heads(u, 8)):
        d = delta[:, h]
        s_h, _ = ssd.recurrent(d[:, None] * u_h, -np.exp(w["A_log"][h]) * d, heads(B, 2)[h // 4], heads(C, 2)[h // 4])
        s.append(s_h + w["D"][h] * u_h)
    gated = w["norm.weight"] * joined(list(rms(heads(joined(s) * silu(z), 2))))
    assert same(y, gated @ w["out_proj.weight"].T)


def test_mamba3_is_the_trapezoidal_rule_on_rotating_states_behind_a_gate() -> None:
    layer = layers.Mamba3(D_MODEL, d_state=4, head_dim=16)
    nn.init.normal_(layer.in_proj.weight[140:144], std=2.0)  # rates on both sides of their floor
    x, w, y = run(layer)
    parts = np.split(x @ w["in_proj.weight"].T, [64, 128, 132, 136, 140, 144, 148], axis=1)
    z, u, B, C, delta, rate, lam, theta = parts
    delta = softplus(delta + w["dt_bias"])
    assert (softplus(rate) < 1e-4).any()
    log_a = -delta * np.maximum(softplus(rate), 1e-4)
    s = []
    for h, u_h in enumerate(heads(u)):
        d = delta[:, h]
        B_h = rms(B) * w["B_norm.weight"] + w["B_bias"][h]
        C_h = rms(C) * w["C_norm.weight"] + w["C_bias"][h]
        angle = d[:, None] * np.pi * np.tanh(theta)
        s_h, _ = mamba3.recurrent(u_h, d, sigmoid(lam[:, h]), log_a[:, h], angle, B_h, C_h)
        s.append(s_h + w["D"][h] * u_h)
    assert same(y, (joined(s) * silu(z)) @ w["out_proj.weight"].T)


def test_retention_rotates_keys_and_forgets_at_another_rate_in_each_head() -> None:
    x, w, y = run(layers.Retention(D_MODEL, head_dim=8))
    q, k, v = (heads(x @ w[f"{name}_proj.weight"].T) for name in "qkv")
    theta = 10000.0 ** -np.linspace(0, 1, 4)
    s = []
    for h in range(HEADS):
        gamma = 1 - 2.0 ** (-5 - h)
        s_h, _ = retention.recurrent(turned(q[h], theta), turned(k[h] / np.sqrt(8), theta), v[h], gamma)
        s.append(group_norm(s_h, 1e-5))
    normed = joined(s) * w["norm.weight"] + w["norm.bias"]
    assert same(y, (silu(x @ w["g_proj.weight"].T) * normed) @ w["out_proj.weight"].T)


def test_gla_gates_each_key_dimension_through_a_map_of_rank_16() -> None:
    x, w, y = run(layers.GLA(D_MODEL, head_dim=8))
    q, k, v = (heads(x @ w[f"{name}_proj.weight"].T) for name in "qkv")
    gate = x @ w["alpha_proj.0.weight"].T @ w["alpha_proj.1.weight"].T + w["alpha_proj.1.bias"]
    log_alpha = heads(np.log(sigmoid(gate) ** (1 / 16)))
    s = [rms(gla.recurrent(q[h], k[h], v[h], log_alpha[h])[0]) * w["norm.weight"] for h in range(HEADS)]
    assert w["alpha_proj.0.weight"].shape[0] == 16
    assert same(y, (silu(x @ w["g_proj.weight"].T) * joined(s)) @ w["out_proj.weight"].T)


def test_delta_nets_replace_what_a_unit_key_recalls() -> None:
    for build, beta_max in ((layers.DeltaNet, 2.0), (layers.GatedDeltaNet, 1.0)):
        x, w, y = run(build(D_MODEL, head_dim=8, beta_max=beta_max))
        q, k, v = (heads(part) for part in np.split(conv(x @ w["in_proj.weight"].T, w["conv.weight"]), 3, axis=1))
        beta = beta_max * sigmoid(x @ w["beta_proj.weight"].T)
        gated = build is layers.GatedDeltaNet
        log_a = -np.exp(w["A_log"]) * softplus(x @ w["a_proj.weight"].T + w["dt_bias"]) if gated else 0 * beta
        s = []
        for h in range(HEADS):
            s_h, _ = delta_rule.recurrent(unit(q[h]), unit(k[h]), v[h], beta[:, h], log_a[:, h])
            s.append(rms(s_h) * w["norm.weight"])
        gate = silu(x @ w["g_proj.weight"].T) if gated else 1
        assert same(y, (joined(s) * gate) @ w["out_proj.weight"].T)


def nearly_unit(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).sum(-1, keepdims=True) + 1e-6)


def test_kda_decays_each_key_through_a_map_of_the_rank_of_a_head() -> None:
    x, w, y = run(layers.KDA(D_MODEL, head_dim=8))
    q, k, v = (heads(part) for part in np.split(conv(x @ w["in_proj.weight"].T, w["conv.weight"]), 3, axis=1))
    gate = softplus(x @ w["alpha_proj.0.weight"].T @ w["alpha_proj.1.weight"].T + w["dt_bias"])
    beta = sigmoid(x @ w["beta_proj.weight"].T)
    s = []
    for h in range(HEADS):
        log_alpha = -np.exp(w["A_log"][h]) * heads(gate)[h]
        s_h, _ = kda.recurrent(nearly_unit(q[h]) / np.sqrt(8), nearly_unit(k[h]), v[h], log_alpha, beta[:, h])
        s.append(rms(s_h) * w["norm.weight"])
    assert w["alpha_proj.0.weight"].shape == w["g_proj.0.weight"].shape == (8, D_MODEL)
    gate = sigmoid(x @ w["g_proj.0.weight"].T @ w["g_proj.1.weight"].T)
    assert same(y, (joined(s) * gate) @ w["out_proj.weight"].T)


def test_delta_product_takes_some_steps_of_the_delta_rule_a_token_and_reads_after_the_last() -> None:
    for n_h in (1, 3):
        x, w, y = run(layers.DeltaProduct(D_MODEL, head_dim=8, n_h=n_h))
        parts = np.split(conv(x @ w["in_proj.weight"].T, w["conv.weight"]), 1 + 2 * n_h, axis=1)
        q, keys, values = heads(parts[0]), parts[1 : 1 + n_h], parts[1 + n_h :]
        k, v = (np.stack([heads(part) for part in z], axis=2) for z in (keys, values))  # (heads, time, n_h, 8)
        beta = 2 * sigmoid(x @ w["beta_proj.weight"].T).reshape(TIME, n_h, HEADS)
        log_a = -np.exp(w["A_log"]) * softplus(x @ w["a_proj.weight"].T + w["dt_bias"])
        s = []
        for h in range(HEADS):
            unit_q, unit_k = nearly_unit(q[h]) / np.sqrt(8), nearly_unit(k[h])
            s_h, _ = delta_product.recurrent(unit_q, unit_k, v[h], beta[:, :, h], log_a[:, h])
            s.append(rms(s_h) * w["norm.weight"])
        assert same(y, (joined(s) * silu(x @ w["g_proj.weight"].T)) @ w["out_proj.weight"].T)


def test_rwkv7_prepares_six_shifted_streams_and_a_value_residual_in_later_layers() -> None:
    v_first = torch.randn(1, TIME, D_MODEL, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    for layer, more in ((0, []), (1, [v_first])):
        x, w, y = run(layers.RWKV7(D_MODEL, head_dim=8, layer=layer, n_layers=2), *more)
        before = np.vstack([np.zeros(D_MODEL), x[:-1]])
        x_r, x_w, x_k, x_v, x_a, x_g = (x + (before - x) * w[f"x_{s}"][0] for s in "rwkvag")
        r, k, v = x_r @ w["receptance.weight"].T, x_k @ w["key.weight"].T, x_v @ w["value.weight"].T
        g = sigmoid(x_g @ w["g1"]) @ w["g2"]
        log_w = -np.exp(-0.5) * sigmoid(w["w0"][0] + np.tanh(x_w @ w["w1"]) @ w["w2"])
        a = sigmoid(w["a0"][0] + x_a @ w["a1"] @ w["a2"])
        if layer:
            v = v + (v_first[0].numpy() - v) * sigmoid(w["v0"][0] + x_v @ w["v1"] @ w["v2"])
        kappa = unit(heads(k * w["k_k"][0]))
        k = k * (1 + (a - 1) * w["k_a"][0])
        r, log_w, k, v, a = (heads(z) for z in (r, log_w, k, v, a))
        s, bonus = [], []
        for h in range(HEADS):
            s.append(group_norm(rwkv7.recurrent(r[h], log_w[h], k[h], v[h], kappa[h], a[h])[0], 64e-5))
            bonus.append((r[h] * k[h] * w["r_k"][h]).sum(1, keepdims=True) * v[h])
        mixed = joined(s) * w["ln_x.weight"] + w["ln_x.bias"] + joined(bonus)
        assert same(y, (mixed * g) @ w["output.weight"].T)
