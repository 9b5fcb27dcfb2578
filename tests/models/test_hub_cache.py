"""Models in the hub's cache, as its own package keeps them: a commit's folder of links into a folder of blobs."""

import json
from pathlib import Path

import pytest
import torch

from lecture17.checkpoints import load

from .test_checkpoints import CONFIG, published_names

constants = pytest.importorskip("huggingface_hub.constants", reason="huggingface_hub comes with the extra `peers`")
torch_format = pytest.importorskip("safetensors.torch", reason="safetensors comes with the extra `peers`")

NAME = "state-spaces/mamba2-130m"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
INDEX = "model.safetensors.index.json"
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, no network, and the folder of the model in it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "models--state-spaces--mamba2-130m"


def keep(model: Path, files: dict[str, bytes]) -> None:
    """What a finished download of these files leaves."""
    snapshot = model / "snapshots" / COMMIT
    for folder in (model / "blobs", model / "refs", snapshot):
        folder.mkdir(parents=True)
    (model / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    for i, (name, content) in enumerate(files.items()):
        (model / "blobs" / f"{i:040x}").write_bytes(content)
        (snapshot / name).symlink_to(Path("..", "..", "blobs", f"{i:040x}"))


def in_shards() -> dict[str, bytes]:
    weights = published_names()
    del weights["lm_head.weight"]
    places = {name: SHARDS[i % 2] for i, name in enumerate(weights)}
    parts = {shard: {n: w for n, w in weights.items() if places[n] == shard} for shard in SHARDS}
    return {
        "config.json": json.dumps(CONFIG).encode(),
        INDEX: json.dumps({"weight_map": places}).encode(),
        **{shard: torch_format.save(part) for shard, part in parts.items()},
    }


def refused(kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match) as caught:
        load(NAME)
    assert "\n" not in str(caught.value)


def test_a_model_that_was_fetched_once_is_read_without_a_network(cached: Path) -> None:
    keep(cached, in_shards())
    model = load(NAME)
    assert torch.equal(model.layers[1].mixer.D, published_names()["backbone.layers.1.mixer.D"])


def test_without_a_network_and_never_fetched_it_is_refused(cached: Path) -> None:
    assert not cached.exists()
    refused(FileNotFoundError, f'"{NAME}" is not a folder here and could not be fetched from the hub')


@pytest.mark.parametrize("blob_is_gone", [False, True])
def test_a_download_that_stopped_between_two_shards_names_the_one_it_lacks(cached: Path, blob_is_gone: bool) -> None:
    keep(cached, in_shards())
    place = cached / "snapshots" / COMMIT / SHARDS[1]
    if blob_is_gone:
        place.resolve().unlink()
    else:
        place.unlink()
    refused(FileNotFoundError, f"lacks {SHARDS[1]}, one of the 2 files that {INDEX} names: fetch it again")


def test_a_shard_that_is_cut_off_is_named(cached: Path) -> None:
    files = in_shards()
    keep(cached, files | {SHARDS[1]: files[SHARDS[1]][:-40]})
    refused(ValueError, rf"{SHARDS[1]} cannot be read \(.*\): is half of it missing\?")


def test_a_download_that_stopped_before_the_weights_is_refused(cached: Path) -> None:
    keep(cached, {"config.json": in_shards()["config.json"]})
    refused(FileNotFoundError, r"no weights in .*: expected model\.safetensors or pytorch_model\.bin")


def test_a_download_that_stopped_before_the_configuration_is_refused(cached: Path) -> None:
    files = in_shards()
    del files["config.json"]
    keep(cached, files)
    refused(FileNotFoundError, f'"{NAME}" has no config.json')
