"""`Mamba2`, `Mamba` and `MLSTM` against Hugging Face's transformers on the same weights."""

from typing import Any

import pytest
import torch

from lecture17.layers import MLSTM, Mamba, Mamba2

from ..layers.blocks import difference, trained
from .comparison import PROMPT, TIME, compare, recurrent, x

transformers = pytest.importorskip(
    "transformers", reason="the comparison needs the extra `peers`: pip install -e .[peers]"
)

MambaMixer = transformers.models.mamba.modeling_mamba.MambaMixer
Mamba2Mixer = transformers.models.mamba2.modeling_mamba2.Mamba2Mixer
modeling_xlstm = transformers.models.xlstm.modeling_xlstm


def mamba2_config(n_groups: int, **more: int) -> Any:
    sizes = {"hidden_size": 32, "num_heads": 8, "head_dim": 8, "state_size": 12, "num_hidden_layers": 1}
    return transformers.Mamba2Config(**{**sizes, **more}, n_groups=n_groups, chunk_size=16)


@pytest.mark.parametrize("n_groups", [1, 2, 8])
def test_mamba2_takes_the_weights_of_the_peer_and_gives_its_output(n_groups: int) -> None:
    config = mamba2_config(n_groups)
    peer = trained(Mamba2Mixer(config, layer_idx=0))
    ours = Mamba2(32, d_state=12, head_dim=8, n_groups=n_groups, chunk_size=16)
    ours.load_state_dict(peer.state_dict())
    compare(ours, recurrent(peer), transformers.DynamicCache(config=config))


def test_mamba_takes_the_weights_of_the_peer_and_gives_its_output() -> None:
    config = transformers.MambaConfig(hidden_size=32, state_size=5, num_hidden_layers=1, use_mambapy=False)
    peer, ours = trained(MambaMixer(config, layer_idx=0)), Mamba(32, d_state=5)
    ours.load_state_dict(peer.state_dict())
    compare(ours, recurrent(peer), transformers.DynamicCache(config=config))


def mlstm_peer() -> tuple[Any, MLSTM]:
    sizes = {"hidden_size": 32, "num_heads": 4, "num_hidden_layers": 1, "num_blocks": 1}
    config = transformers.xLSTMConfig(**sizes, chunk_size=16)
    peer, ours = trained(modeling_xlstm.xLSTMLayer(config)), MLSTM(32, head_dim=8, chunk_size=16)
    ours.load_state_dict(peer.state_dict())
    return peer, ours


@pytest.mark.parametrize("gate", [-10.0, 0.0, 30.0])  # as at first, and so that m is much above 0
def test_mlstm_takes_the_weights_of_the_peer_and_gives_its_output(gate: float) -> None:
    peer, ours = mlstm_peer()
    with torch.no_grad():
        for layer in (peer, ours):
            layer.igate_preact.bias.fill_(gate)
        assert difference(ours(x()), peer(x())[0]) < 1e-5


def test_mlstm_decodes_after_a_prompt_like_the_peer() -> None:
    peer, ours = mlstm_peer()
    with torch.no_grad():
        y, cache = ours.mix(x()[:, :PROMPT], ours.init_cache(2))
        wanted, theirs = peer(x()[:, :PROMPT])
        assert difference(y, wanted) < 1e-5
        for t in range(PROMPT, TIME):
            y_t, cache = ours.step(x()[:, t], cache)
            wanted, theirs = peer(x()[:, t : t + 1], theirs)
            assert difference(y_t, wanted[:, 0]) < 1e-5


def test_mlstm_starts_as_the_peer() -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "num_heads": 4, "num_hidden_layers": 1, "num_blocks": 1, "vocab_size": 8}
    peer = modeling_xlstm.xLSTMModel(transformers.xLSTMConfig(**sizes)).blocks[0].mlstm_layer.state_dict()
    ours = MLSTM(128, head_dim=32).state_dict()
    assert {name: value.shape for name, value in peer.items()} == {name: value.shape for name, value in ours.items()}
    for name in peer:
        if "gate" in name or "norm" in name:
            assert torch.equal(peer[name], ours[name]), name
        elif "out_proj" not in name:  # which depends on the number of layers
            assert abs(peer[name].std() / ours[name].std() - 1) < 0.05, name
