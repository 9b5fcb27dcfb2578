"""`Mamba2`, `Mamba` and whole models against Hugging Face's transformers on the same weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lecture17.checkpoints import load_mamba2
from lecture17.layers import Mamba, Mamba2

from ..layers.blocks import difference, trained
from .comparison import TIME, compare, recurrent

transformers = pytest.importorskip(
    "transformers", reason="the comparison needs the extra `peers`: pip install -e .[peers]"
)

MambaMixer = transformers.models.mamba.modeling_mamba.MambaMixer
Mamba2Mixer = transformers.models.mamba2.modeling_mamba2.Mamba2Mixer


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


def test_a_checkpoint_on_disk_gives_the_logits_and_the_text_of_the_peer(tmp_path: Path) -> None:
    config = mamba2_config(2, num_hidden_layers=3, vocab_size=24, tie_word_embeddings=True)
    peer = trained(transformers.Mamba2ForCausalLM(config).eval())
    published = {
        name.replace("backbone.embeddings.", "backbone.embedding."): value for name, value in peer.state_dict().items()
    }
    torch.save(published, tmp_path / "pytorch_model.bin")
    ssm_cfg = {"layer": "Mamba2", "d_state": 12, "headdim": 8, "ngroups": 2, "chunk_size": 16}
    sizes = {"d_model": 32, "n_layer": 3, "vocab_size": 24, "pad_vocab_size_multiple": 8}
    (tmp_path / "config.json").write_text(json.dumps({**sizes, "ssm_cfg": ssm_cfg}))
    ours = load_mamba2(tmp_path)
    tokens = torch.randint(24, (2, TIME), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert difference(ours(tokens), peer(tokens).logits) < 1e-4
    everything = torch.ones_like(tokens)  # else token 0 would be taken for padding, and masked
    greedy = {"max_new_tokens": 10, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    text = peer.generate(tokens, attention_mask=everything, **greedy)
    assert torch.equal(ours.generate(tokens, 10, temperature=0), text)
