"""`KDA` against Kimi Linear in Hugging Face's transformers: same random weights, same output, same decoding."""

from typing import Any

import pytest
import torch

from lecture17.layers import KDA

from ..layers.blocks import D_MODEL, difference, tokens, trained

transformers = pytest.importorskip(
    "transformers", reason="the comparison needs the extra `peers`: pip install -e .[peers]"
)

TIME, PROMPT = 77, 41  # more than a chunk, and no multiples of one
NAMES = {
    "conv1d.": "conv.",
    "forget_gate.f_a_proj.": "alpha_proj.0.",
    "forget_gate.f_b_proj.": "alpha_proj.1.",
    "forget_gate.": "",
    "b_proj.": "beta_proj.",
    "g_a_proj.": "g_proj.0.",
    "g_b_proj.": "g_proj.1.",
    "o_norm.": "norm.",
    "o_proj.": "out_proj.",
}


def pair() -> tuple[Any, Any, KDA]:
    """The peer's configuration, the peer, and ours with the same weights."""
    sizes = {"hidden_size": D_MODEL, "linear_num_heads": 4, "linear_head_dim": 8, "num_hidden_layers": 1}
    config = transformers.KimiLinearConfig(**sizes, layer_types=["linear_attention"])
    torch.manual_seed(0)
    peer = transformers.models.kimi_linear.modeling_kimi_linear.KimiLinearDeltaAttention(config, layer_idx=0)
    with torch.no_grad():
        peer.forget_gate.A_log.uniform_(0, 1)  # they come uninitialized from the layer alone
        peer.forget_gate.dt_bias.normal_()
    trained(peer)
    weights = dict(peer.state_dict())
    weights["in_proj.weight"] = torch.cat([weights.pop(f"{name}_proj.weight") for name in "qkv"])
    for theirs, mine in NAMES.items():
        weights = {
            mine + name.removeprefix(theirs) if name.startswith(theirs) else name: w for name, w in weights.items()
        }
    weights["A_log"] = weights["A_log"].flatten()
    ours = KDA(D_MODEL, head_dim=8)
    ours.load_state_dict(weights)
    return config, peer, ours


def test_it_takes_the_weights_of_the_peer_and_gives_its_output_and_decodes_alike() -> None:
    config, peer, ours = pair()
    x, theirs = tokens(TIME), transformers.DynamicCache(config=config)
    with torch.no_grad():
        assert difference(ours(x), peer(x)) < 1e-5
        y, cache = ours.mix(x[:, :PROMPT], ours.init_cache(2))
        assert difference(y, peer(x[:, :PROMPT], cache_params=theirs)) < 1e-5
        for t in range(PROMPT, TIME):
            y_t, cache = ours.step(x[:, t], cache)
            assert difference(y_t, peer(x[:, t : t + 1], cache_params=theirs)[:, 0]) < 1e-5
