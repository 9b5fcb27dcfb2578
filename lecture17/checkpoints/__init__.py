"""Published language models as a `LanguageModel`, in float32.

    model = load("state-spaces/mamba2-130m")            from the Hugging Face hub, through its local cache
    model = load("path/to/folder")                      with config.json and safetensors or .bin, whole or in shards
    model = load("path/to/RWKV-x070-….pth")             RWKV-7, whose sizes are those of its weights

TYPES lists the model types that config.json may name. Tokens are numbers here; the tokenizer of a model is not loaded.
"""

from collections.abc import Callable
from pathlib import Path

from ..models import LanguageModel
from . import hybrids, mamba
from ._files import locate, read_json, read_tensors
from ._published import Config, State, Weights
from .mamba import save_mamba2
from .rwkv7 import UNUSED, rwkv7

__all__ = ["REFUSED", "SMALL", "TYPES", "load", "save_mamba2"]

Reader = Callable[[Config, Weights], tuple[LanguageModel, State]]
TYPES: dict[str, Reader] = {
    "mamba": mamba.mamba,
    "mamba2": mamba.mamba2,
    "qwen3_5": hybrids.qwen3_5,
    "qwen3_5_text": hybrids.qwen3_5,
    "qwen3_next": hybrids.qwen3_next,
    "olmo_hybrid": hybrids.olmo_hybrid,
    "bamba": hybrids.bamba,
    "falcon_h1": hybrids.falcon_h1,
    "kimi_linear": hybrids.kimi_linear,
}
REFUSED = {
    "falcon_mamba": "it norms δ, B and C, which `Mamba` does not",
    "rwkv7": "this is its form for transformers; pass the authors' .pth file",
    "qwen3_5_moe": "it has experts",
    "zamba2": "its attention layers share weights",
}
SMALL = Path(__file__).parent / "small"  # a Mamba-2 on bytes that comes with the course; 04e_published looks into it
IGNORED = ("model.visual.", "mtp.", *UNUSED)  # what reads images; what guesses tokens ahead; what is never used


def load(name_or_folder: str | Path) -> LanguageModel:
    """The model of that name on the hub, or in that folder or .pth file.

    Its logits are those of the published code. Raises ImportError if the package for the hub or for safetensors is
    needed and missing, FileNotFoundError if the model cannot be fetched or a file is missing, and ValueError for a type
    that cannot be loaded, a file that cannot be read, and weights that are missing, left over or of another shape. Each
    message is one line; no model is returned unless all of it was read.
    """
    place = locate(name_or_folder)
    if place.is_file():
        weights = Weights(read_tensors(place))
        model, state = rwkv7(weights)
    else:
        config = Config(read_json(place / "config.json"))
        reader = _reader(config)
        weights = Weights(read_tensors(place))
        model, state = reader(config, weights)
    weights.finish(IGNORED)
    model.load_state_dict(state, assign=True)
    if state["lm_head.weight"] is state["embedding.weight"]:
        model.lm_head.weight = model.embedding.weight
    return model


def _reader(config: Config) -> Reader:
    kind = config.get("model_type", None)
    if kind is None and "d_model" in config.entries and "n_layer" in config.entries:
        return mamba.authors
    if kind not in TYPES:
        why = f": {REFUSED[kind]}" if kind in REFUSED else ""
        raise ValueError(f"config.json has model_type = {kind!r}{why}: expected one of {', '.join(TYPES)}")
    return TYPES[kind]
