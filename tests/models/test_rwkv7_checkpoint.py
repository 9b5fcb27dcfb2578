"""A small random RWKV-7 in the authors' format, against its equations written out once more."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lecture17.checkpoints import load

from ..layers.blocks import difference

VOCAB, D, HEAD, LAYERS, HIDDEN = 23, 16, 8, 3, 40
RANKS = {"w": 5, "a": 6, "v": 3, "g": 7}  # none that the layer would choose
Published = dict[str, torch.Tensor]


def published() -> Published:
    """Random weights with the names and shapes of the World releases, which have a v0 in the first layer, too."""
    generator = torch.Generator().manual_seed(0)

    def weight(*shape: int) -> torch.Tensor:
        return 0.5 * torch.randn(*shape, generator=generator)

    def norm(name: str) -> Published:
        return {f"{name}.weight": 1 + weight(D), f"{name}.bias": weight(D)}

    weights = {"emb.weight": weight(VOCAB, D), "head.weight": weight(VOCAB, D)} | norm("blocks.0.ln0") | norm("ln_out")
    for i in range(LAYERS):
        att, ffn = f"blocks.{i}.att.", f"blocks.{i}.ffn."
        weights |= norm(f"blocks.{i}.ln1") | norm(f"blocks.{i}.ln2") | norm(f"{att}ln_x")
        weights |= {f"{att}x_{stream}": weight(1, 1, D) for stream in "rwkvag"}
        weights |= {f"{att}{z}0": weight(1, 1, D) for z in "wav"}
        weights |= {f"{att}{z}1": weight(D, rank) for z, rank in RANKS.items()}
        weights |= {f"{att}{z}2": weight(rank, D) for z, rank in RANKS.items()}
        weights |= {f"{att}{z}": weight(1, 1, D) for z in ("k_k", "k_a")} | {f"{att}r_k": weight(D // HEAD, HEAD)}
        weights |= {f"{att}{z}.weight": weight(D, D) for z in ("receptance", "key", "value", "output")}
        weights |= {f"{ffn}x_k": weight(1, 1, D), f"{ffn}key.weight": weight(HIDDEN, D)}
        weights |= {f"{ffn}value.weight": weight(D, HIDDEN)}
    return weights


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def logits_by_equations(weights: Published, tokens: list[int]) -> np.ndarray:
    """Section 4 of arXiv 2503.14456 in float64; a state is values × keys there, S = S (diag(w) - κ̂ (a κ̂)ᵀ) + v kᵀ."""
    p = {name: tensor.double().squeeze().numpy() for name, tensor in weights.items()}

    def normed(x: np.ndarray, name: str) -> np.ndarray:
        return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]

    heads = D // HEAD
    before = np.zeros((LAYERS, 2, D))  # the last token of time mixing and of channel mixing
    S = np.zeros((LAYERS, heads, HEAD, HEAD))
    logits = []
    for token in tokens:
        x, v_first = normed(p["emb.weight"][token], "blocks.0.ln0"), None
        for i in range(LAYERS):
            w = {name.removeprefix(f"blocks.{i}.att."): value for name, value in p.items()}
            u = normed(x, f"blocks.{i}.ln1")
            x_r, x_w, x_k, x_v, x_a, x_g = (u + (before[i, 0] - u) * w[f"x_{stream}"] for stream in "rwkvag")
            before[i, 0] = u
            r, k, v = w["receptance.weight"] @ x_r, w["key.weight"] @ x_k, w["value.weight"] @ x_v
            decay = np.exp(-math.exp(-0.5) * sigmoid(w["w0"] + np.tanh(x_w @ w["w1"]) @ w["w2"]))
            if v_first is None:
                v_first = v
            else:
                v = v + (v_first - v) * sigmoid(w["v0"] + x_v @ w["v1"] @ w["v2"])
            a = sigmoid(w["a0"] + x_a @ w["a1"] @ w["a2"])
            g = sigmoid(x_g @ w["g1"]) @ w["g2"]
            removal = (k * w["k_k"]).reshape(heads, HEAD)
            removal /= np.linalg.norm(removal, axis=1, keepdims=True)
            k = k * (1 + (a - 1) * w["k_a"])
            r, k, v, decay, a = (z.reshape(heads, HEAD) for z in (r, k, v, decay, a))
            y = np.zeros((heads, HEAD))
            for h in range(heads):
                kept = np.diag(decay[h]) - np.outer(removal[h], a[h] * removal[h])
                S[i, h] = S[i, h] @ kept + np.outer(v[h], k[h])
                y[h] = S[i, h] @ r[h]
            y = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 64e-5)
            y = y.ravel() * w["ln_x.weight"] + w["ln_x.bias"]
            y += ((r * w["r_k"] * k).sum(1, keepdims=True) * v).ravel()
            x = x + w["output.weight"] @ (y * g)
            u = normed(x, f"blocks.{i}.ln2")
            hidden = p[f"blocks.{i}.ffn.key.weight"] @ (u + (before[i, 1] - u) * p[f"blocks.{i}.ffn.x_k"])
            before[i, 1] = u
            x = x + p[f"blocks.{i}.ffn.value.weight"] @ np.maximum(hidden, 0) ** 2
        logits.append(p["head.weight"] @ normed(x, "ln_out"))
    return np.array(logits)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.save(published(), tmp_path / "RWKV-x070-small.pth")
    return tmp_path / "RWKV-x070-small.pth"


def test_a_file_gives_the_logits_and_the_text_of_the_equations(file: Path) -> None:
    tokens = torch.randint(VOCAB, (1, 71), generator=torch.Generator().manual_seed(1))  # more than a chunk
    expected = torch.tensor(logits_by_equations(published(), tokens[0].tolist()))
    model = load(file)
    with torch.no_grad():
        assert difference(model(tokens)[0].double(), expected) < 1e-4
        caches, logits = model.init_cache(1), []
        for token in tokens.T:
            logits_t, caches = model.step(token, caches)
            logits.append(logits_t[0].double())
    assert difference(torch.stack(logits), expected) < 1e-4
    text = tokens[0].tolist()
    for _ in range(10):
        text.append(int(logits_by_equations(published(), text)[-1].argmax()))
    assert model.generate(tokens, 10, temperature=0)[0].tolist() == text


def test_a_folder_with_the_file_alone_loads_too_and_half_precision_becomes_float32(file: Path) -> None:
    torch.save({name: weight.bfloat16() for name, weight in published().items()}, file)
    model = load(file.parent)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert len(model.layers) == 2 * LAYERS  # time mixing and channel mixing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks.1.att.k_a": None}, r"the weights lack blocks\.1\.att\.k_a"),
        ({"blocks.1.ffn.key.weight": torch.zeros(3, D)}, r"blocks\.1\.ffn\.key\.weight has shape \(3, 16\)"),
        ({"blocks.1.att.w2": torch.zeros(4, D)}, r"blocks\.1\.att\.w2 has shape \(4, 16\): expected \(5, 16\)"),
        ({"blocks.1.att.time_decay": torch.zeros(D)}, r"also have blocks\.1\.att\.time_decay: expected only"),
        ({"emb.weight": None}, r"no 'emb\.weight': expected those of RWKV-7"),
        ({"head.weight": torch.zeros(VOCAB, D, dtype=torch.int8)}, r"head\.weight is torch\.int8: expected floats"),
    ],
)
def test_weights_that_do_not_fit_are_named(change: dict[str, torch.Tensor | None], message: str, file: Path) -> None:
    weights = {name: weight for name, weight in {**published(), **change}.items() if weight is not None}
    torch.save(weights, file)
    with pytest.raises(ValueError, match=message) as caught:
        load(file)
    assert "\n" not in str(caught.value)
