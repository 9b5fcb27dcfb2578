"""What the parameters are before training."""

import math

import torch
import torch.nn.functional as F

from lecture17.layers import KDA, RWKV7, DeltaProduct, GatedDeltaNet, Mamba, Mamba2, Mamba3


def test_rates_and_steps_of_mamba2_start_in_the_published_ranges() -> None:
    torch.manual_seed(0)
    for layer in (Mamba2(64, head_dim=1), GatedDeltaNet(128, head_dim=1), DeltaProduct(128, head_dim=1), KDA(128, 1)):
        A, step = layer.A_log.exp(), F.softplus(layer.dt_bias)
        assert ((A >= 1) & (A <= 16)).all()
        assert A.std() > 3
        assert ((step >= 0.999e-3) & (step <= 1.001e-1)).all()
        log_step = step.log10()  # log-uniform: the middle of its range is 1e-2, half of it is below
        assert abs((log_step < -2).float().mean() - 0.5) < 0.15


def test_mamba_starts_with_rates_one_to_d_state_in_every_channel() -> None:
    layer = Mamba(16, d_state=5)
    assert torch.allclose(layer.A_log.exp(), torch.arange(1.0, 6).expand(32, 5))
    assert (layer.D == 1).all()
    assert layer.dt_proj.weight.abs().max() <= 1


def test_mamba3_starts_with_biases_of_one_and_published_steps() -> None:
    layer = Mamba3(32, d_state=4, head_dim=8)
    assert (layer.B_bias == 1).all()
    assert (layer.C_bias == 1).all()
    step = F.softplus(layer.dt_bias)
    assert ((step >= 0.999e-3) & (step <= 1.001e-1)).all()


def test_rwkv7_starts_as_the_identity_of_a_residual_stack() -> None:
    x = torch.randn(2, 5, 32)
    assert (RWKV7(32, head_dim=8)(x) == 0).all()


def test_rwkv7_decays_start_within_the_range_of_its_parametrization() -> None:
    layer = RWKV7(64, head_dim=16)
    w = torch.exp(-math.exp(-0.5) * torch.sigmoid(layer.w0))
    assert w.min() > 0.545
    assert w.max() < 1


def test_a_deeper_rwkv7_layer_starts_with_less_token_shift_and_has_a_value_residual() -> None:
    first, last = RWKV7(32, head_dim=8, layer=0, n_layers=4), RWKV7(32, head_dim=8, layer=3, n_layers=4)
    assert (first.x_k[..., 1:] > last.x_k[..., 1:]).all()
    assert not hasattr(first, "v0")
    assert last.v0.shape == (1, 1, 32)
