"""Networks that are stacks of blocks, one letter per block: `LanguageModel` and `ImageClassifier`.

LanguageModel(vocab_size=256, d_model=128, pattern="MMAM")      three Mamba-2 blocks and one attention: a hybrid
"""

from collections.abc import Iterator, Mapping
from pkgutil import resolve_name
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from . import mixers as catalog
from .layers import RWKV7, SS2D, Mixer, Vim
from .layers.mixer import check_cache
from .ops.validation import shapes_checked

IMAGE_BLOCKS: dict[str, type[nn.Module]] = {"V": Vim, "S": SS2D}

Options = Mapping[str, Mapping[str, Any]]


def blocks() -> dict[str, type[Mixer]]:
    """The blocks of a `LanguageModel` by their letters, from the catalog of mixers."""
    rows = catalog.MIXERS.values()
    return {letter: resolve_name(name) for letter, name in sorted(pair for row in rows for pair in row.layers.items())}


class Block(nn.Module):
    """One layer of a stack: x + mixer(norm(x)), and with mlp_ratio > 0 then x + mlp(norm(x)).

    The norms are on the branches (pre-norm), so the sum itself runs unchanged from the first layer to the last.
    """

    def __init__(self, mixer: nn.Module, d_model: int, mlp_ratio: float):
        super().__init__()
        self.norm = nn.RMSNorm(d_model, eps=1e-5)
        self.mixer: Any = mixer
        self.mlp = _mlp(d_model, round(mlp_ratio * d_model)) if mlp_ratio else None

    def forward(self, x: Tensor) -> Tensor:
        return self._then_mlp(x + self.mixer(self.norm(x)))

    def mix(self, x: Tensor, cache: Any, *v_first: Tensor | None) -> tuple[Tensor, Any]:
        """The block on the tokens that follow those the cache has seen; `v_first` is only for RWKV-7."""
        y, cache = self.mixer.mix(self.norm(x), cache, *v_first)
        return self._then_mlp(x + y), cache

    def _then_mlp(self, x: Tensor) -> Tensor:
        return x if self.mlp is None else x + self.mlp(x)


class LanguageModel(nn.Module):
    """Tokens in, logits of the next token out: embedding, stack of blocks, norm, linear map.

        model = LanguageModel(vocab_size=256, d_model=128, pattern="MMAM", options={"M": {"d_state": 64}})
        logits = model(tokens)                                  (batch, time) -> (batch, time, vocab_size)
        text = model.generate(prompt, n_tokens=100)             (batch, time) -> (batch, time + 100)

    pattern     one letter per block, from the first to the last:
                A Attention   M Mamba2   S Mamba (selective scan)   T Mamba3 (trapezoidal)   N Retention (RetNet)
                G GLA         D DeltaNet                            E GatedDeltaNet          R RWKV7
                K KDA         P DeltaProduct
    mlp_ratio   hidden width of an MLP after each mixer, in units of d_model; 0 for none
    tie         whether the output map is the embedding
    options     arguments besides d_model for the blocks of a letter, as in {"A": {"head_dim": 32}}
    mixers      other blocks by their letters, in place of `blocks()`

    Parameters have the names of the published Mamba-2 models (`lecture17.checkpoints` loads them). Initial values are
    GPT-2's: embeddings with standard deviation 0.02, and each of the n terms of the residual sum scaled by 1/√n.

    Raises ValueError for an empty pattern, an unknown letter, options for a letter that is not in the pattern, and a
    token outside 0 … vocab_size - 1.
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        pattern: str,
        mlp_ratio: float = 0,
        tie: bool = True,
        options: Options | None = None,
        mixers: Mapping[str, type[Mixer]] | None = None,
    ):
        super().__init__()
        self.vocab_size = vocab_size
        mixers = blocks() if mixers is None else mixers
        _check_pattern(pattern, mixers, options)
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.layers: Any = nn.ModuleList()
        for i, letter in enumerate(pattern):
            built_with = dict((options or {}).get(letter, {}))
            if mixers[letter] is RWKV7:
                built_with |= {"layer": pattern[:i].count("R"), "n_layers": pattern.count("R")}
            self.layers.append(Block(mixers[letter](d_model, **built_with), d_model, mlp_ratio))
        self.norm_f = nn.RMSNorm(d_model, eps=1e-5)
        self.lm_head = nn.Linear(d_model, vocab_size, bias=False)
        self._init_weights()
        if tie:
            self.lm_head.weight = self.embedding.weight

    @torch.no_grad()
    def _init_weights(self) -> None:
        """As in GPT-2. Source: Radford et al., "Language Models are Unsupervised Multitask Learners", Section 2.3."""
        for weight in (self.embedding.weight, self.lm_head.weight):
            nn.init.normal_(weight, std=0.02)
        added = [w for name, w in self.layers.named_parameters() if name.endswith(("out_proj.weight", "mlp.3.weight"))]
        for weight in added:
            weight.div_(len(added) ** 0.5)

    @shapes_checked
    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time vocab_size"]:
        """Logits of the token after each token."""
        self._check_tokens(tokens=tokens)
        x, _ = self._stack(tokens, self.init_cache(len(tokens)))
        return self.lm_head(x)

    def init_cache(self, batch: int) -> list[Any]:
        """What the blocks remember before the first token: one cache per block."""
        return [block.mixer.init_cache(batch) for block in self.layers]

    @shapes_checked
    def step(
        self, token: Int[Tensor, " batch"], caches: list[Any]
    ) -> tuple[Float[Tensor, "batch vocab_size"], list[Any]]:
        """Read one token; returns (logits of the token after it, caches)."""
        self._check_tokens(token=token)
        check_cache(caches, token=token)
        x, caches = self._stack(token[:, None], caches)
        return self.lm_head(x[:, 0]), caches

    @shapes_checked
    def generate(
        self,
        prompt: Int[Tensor, "batch time"],
        n_tokens: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Int[Tensor, "batch longer"]:
        """The prompt and `n_tokens` more, each drawn from softmax(logits / temperature), or the likeliest at 0.

        The prompt is read in one go. Each new token costs one `step`, however many came before (except in Attention).
        Raises ValueError if the prompt is empty or n_tokens or temperature is negative.
        """
        return torch.cat([prompt, *(t[:, None] for t in self.stream(prompt, n_tokens, temperature, generator))], dim=1)

    @torch.no_grad()
    def stream(
        self, prompt: Tensor, n_tokens: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Tensor]:
        """The tokens (batch,) that `generate` draws, one after the other, each as soon as it is drawn."""
        self._check_tokens(prompt=prompt)
        if n_tokens < 0 or temperature < 0:
            raise ValueError(f"n_tokens is {n_tokens} and temperature {temperature}: expected both to be at least 0")
        x, caches = self._stack(prompt, self.init_cache(len(prompt)))
        for _ in range(n_tokens):
            logits = self.lm_head(x[:, -1])  # (b, vocab_size)
            if temperature == 0:
                token = logits.argmax(-1)  # (b,)
            else:
                token = torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0]
            yield token
            x, caches = self._stack(token[:, None], caches)

    def _stack(self, tokens: Tensor, caches: list[Any]) -> tuple[Tensor, list[Any]]:
        """Run the blocks on tokens: (b, t) that follow those the caches have seen; returns (x, caches)."""
        x, after = self.embedding(tokens), []  # (b, t, d)
        v_first = None  # RWKV-7's value residual: the values of the first R, for those after it
        for block, cache in zip(self.layers, caches, strict=True):
            if isinstance(block.mixer, RWKV7):
                x, cache = block.mix(x, cache, v_first)
                v_first = cache.v_first
            else:
                x, cache = block.mix(x, cache)
            after.append(cache)
        return self.norm_f(x), after

    def _check_tokens(self, **tensors: Tensor) -> None:
        ((name, tokens),) = tensors.items()
        if tokens.numel() == 0:
            raise ValueError(f"{name} has shape {tuple(tokens.shape)}: expected at least one token")
        bad = (tokens < 0) | (tokens >= self.vocab_size)
        if bad.any():
            where = bad.nonzero()[0].tolist()
            raise ValueError(
                f"{name}{where} is {tokens[bad][0].item()}: expected tokens from 0 to {self.vocab_size - 1}, "
                f"because vocab_size is {self.vocab_size}"
            )


class ImageClassifier(nn.Module):
    """Images in, logits of their classes out: patches with learned positions, stack of blocks, mean over patches.

        model = ImageClassifier(n_classes=10, d_model=32, pattern="SS")       for digits of 8 × 8 in patches of 2 × 2
        logits = model(images)                         (batch, channels, height, width) -> (batch, n_classes)

    pattern: one letter per block, V for Vim and S for SS2D; mlp_ratio and options as in `LanguageModel`.

    Raises ValueError for a wrong pattern or wrong options and if image_size is not a multiple of patch_size, TypeError
    for images of another size.
    """

    def __init__(
        self,
        n_classes: int,
        d_model: int,
        pattern: str,
        image_size: int = 8,
        patch_size: int = 2,
        channels: int = 1,
        mlp_ratio: int = 0,
        options: Options | None = None,
    ):
        super().__init__()
        _check_pattern(pattern, IMAGE_BLOCKS, options)
        if image_size % patch_size:
            raise ValueError(
                f"image_size is {image_size} and patch_size {patch_size}: expected image_size to be a multiple of "
                "patch_size"
            )
        self.image_shape = (channels, image_size, image_size)
        self.patches = nn.Conv2d(channels, d_model, patch_size, stride=patch_size)
        self.position = nn.Parameter(torch.randn(*2 * [image_size // patch_size], d_model) * 0.02)
        mixers = [IMAGE_BLOCKS[letter](d_model, **(options or {}).get(letter, {})) for letter in pattern]
        self.layers = nn.Sequential(*(Block(mixer, d_model, mlp_ratio) for mixer in mixers))
        self.norm_f = nn.RMSNorm(d_model, eps=1e-5)
        self.head = nn.Linear(d_model, n_classes)

    @shapes_checked
    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch n_classes"]:
        """Logits of the classes."""
        if images.shape[1:] != self.image_shape:
            expected = ", ".join(map(str, self.image_shape))
            raise TypeError(f"images has shape {tuple(images.shape)}: expected (batch, {expected})")
        x = self.patches(images).permute(0, 2, 3, 1) + self.position  # (b, H, W, d)
        x = self.norm_f(self.layers(x))
        return self.head(x.mean((1, 2)))


def _mlp(d_model: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.RMSNorm(d_model, eps=1e-5), nn.Linear(d_model, hidden), nn.GELU(), nn.Linear(hidden, d_model)
    )


def _check_pattern(pattern: str, known: Mapping[str, type[nn.Module]], options: Options | None) -> None:
    letters = ", ".join(f"{letter} ({mixer.__name__})" for letter, mixer in known.items())
    if not pattern:
        raise ValueError(f"pattern is empty: expected a letter for each block, one of {letters}")
    for i, letter in enumerate(pattern):
        if letter not in known:
            raise ValueError(f'pattern[{i}] is "{letter}" in "{pattern}": expected one of {letters}')
    for letter in options or {}:
        if letter not in pattern:
            raise ValueError(f'options has "{letter}": expected only letters of the pattern, "{pattern}"')
