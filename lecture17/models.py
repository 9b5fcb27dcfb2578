"""Networks that are stacks of blocks, one letter per block: `LanguageModel` and `ImageClassifier`.

LanguageModel(vocab_size=256, d_model=128, pattern="MMAM")      three Mamba-2 blocks and one attention: a hybrid
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from pkgutil import resolve_name
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from . import mixers as catalog
from .layers import RWKV7, SS2D, Block, GatedConv, ImageAttention, Mixer, Vim, block_of
from .layers.mixer import check_cache, check_layout
from .layers.options import options_checked
from .ops.packing import Starts, by_pieces
from .ops.validation import shapes_checked
from .ops.value_validation import require

IMAGE_BLOCKS: dict[str, type[nn.Module]] = {"V": Vim, "S": SS2D, "A": ImageAttention, "C": GatedConv}

Options = Mapping[str, Mapping[str, Any]]


def blocks() -> dict[str, type[Mixer]]:
    """The blocks of a `LanguageModel` by their letters, from the catalog of mixers."""
    rows = catalog.MIXERS.values()
    return {letter: resolve_name(name) for letter, name in sorted(pair for row in rows for pair in row.layers.items())}


class LanguageModel(nn.Module):
    """Tokens in, logits of the next token out: embedding, stack of blocks, norm, linear map.

        model = LanguageModel(vocab_size=256, d_model=128, pattern="MMAM", options={"M": {"d_state": 64}})
        logits = model(tokens)                                  (batch, time) -> (batch, time, vocab_size)
        logits = model(packed, seq_start=seq_start)             texts one after the other, each read by itself
        text = model.generate(prompt, n_tokens=100)             (batch, time) -> (batch, time + 100)
        logits, caches = model.read(tokens, caches)             what follows the text that the caches have seen

    pattern     one letter per block, from the first to the last:
                A Attention   M Mamba2   S Mamba (selective scan)   T Mamba3 (trapezoidal)   N Retention (RetNet)
                G GLA         D DeltaNet                            E GatedDeltaNet          R RWKV7
                K KDA         P DeltaProduct   X MLSTM (xLSTM)      L LogLinearMamba2
    mlp_ratio   hidden width of an MLP after each mixer, in units of d_model; 0 for none
    tie         whether the output map is the embedding
    options     arguments besides d_model for the blocks of a letter, as in {"A": {"head_dim": 32}}
    mixers      other blocks by their letters, in place of `blocks()`

    Parameters have the names of the published Mamba-2 models (`lecture17.checkpoints` loads them). Initial values are
    GPT-2's: embeddings with standard deviation 0.02, and each of the n terms of the residual sum scaled by 1/√n.

    Raises ValueError for an empty pattern, an unknown letter, options for a letter that is not in the pattern, and a
    token outside 0 … vocab_size - 1.
    """

    @options_checked
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
        mixers = blocks() if mixers is None else mixers
        _check_pattern(pattern, mixers, options)

        def layers() -> Iterator[Block]:
            for i, letter in enumerate(pattern):
                built_with = dict((options or {}).get(letter, {}))
                if mixers[letter] is RWKV7:
                    built_with |= {"layer": pattern[:i].count("R"), "n_layers": pattern.count("R")}
                yield block_of(mixers[letter](d_model, **built_with), d_model, mlp_ratio)

        self._stack_up(vocab_size, d_model, layers(), nn.RMSNorm(d_model, eps=1e-5))
        self._init_weights()
        if tie:
            self.lm_head.weight = self.embedding.weight

    @classmethod
    def of_blocks(cls, vocab_size: int, d_model: int, layers: Iterable[Block], norm_f: nn.Module) -> "LanguageModel":
        """A model of these blocks and this last norm, whatever they are; its output map is not tied."""
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        model._stack_up(vocab_size, d_model, layers, norm_f)
        return model

    def _stack_up(self, vocab_size: int, d_model: int, layers: Iterable[Block], norm_f: nn.Module) -> None:
        self.vocab_size = vocab_size
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.layers: Any = nn.ModuleList(layers)
        self.norm_f = norm_f
        self.lm_head = nn.Linear(d_model, vocab_size, bias=False)

    @torch.no_grad()
    def _init_weights(self) -> None:
        """As in GPT-2. Source: Radford et al., "Language Models are Unsupervised Multitask Learners", Section 2.3."""
        for weight in (self.embedding.weight, self.lm_head.weight):
            nn.init.normal_(weight, std=0.02)
        added = [w for name, w in self.layers.named_parameters() if name.endswith(("out_proj.weight", "mlp.3.weight"))]
        for weight in added:
            weight.div_(len(added) ** 0.5)

    @shapes_checked
    def forward(
        self, tokens: Int[Tensor, "batch time"], *, seq_start: Starts | None = None
    ) -> Float[Tensor, "batch time vocab_size"]:
        """Logits of the token after each token; a text begins wherever `seq_start` is true (`ops.packing`)."""
        self._check_tokens(tokens=tokens)
        return self.lm_head(by_pieces(lambda t: self._stack(t, self.init_cache(len(t)))[0], seq_start, tokens))

    def init_cache(self, batch: int) -> list[Any]:
        """What the blocks remember before the first token: one cache per block."""
        return [block.mixer.init_cache(batch) for block in self.layers]

    @shapes_checked
    def step(
        self, token: Int[Tensor, " batch"], caches: list[Any]
    ) -> tuple[Float[Tensor, "batch vocab_size"], list[Any]]:
        """Read one token; returns (logits of the token after it, caches)."""
        self._check_tokens(token=token)
        self._check_caches(caches, token=token)
        x, caches = self._stack(token[:, None], caches)
        return self.lm_head(x[:, 0]), caches

    @shapes_checked
    def read(
        self, tokens: Int[Tensor, "batch time"], caches: list[Any]
    ) -> tuple[Float[Tensor, "batch time vocab_size"], list[Any]]:
        """Read several tokens, which follow those in the caches; returns (logits after each of them, caches)."""
        self._check_tokens(tokens=tokens)
        self._check_caches(caches, tokens=tokens)
        x, caches = self._stack(tokens, caches)
        return self.lm_head(x), caches

    def _check_caches(self, caches: list[Any], **tensor: Tensor) -> None:
        if len(caches) != len(self.layers):
            raise ValueError(
                f"caches has {len(caches)} entries: expected one for each of the {len(self.layers)} blocks"
            )
        for i, block in enumerate(self.layers):
            check_layout(block.mixer, caches[i], f"caches[{i}]")
        check_cache(caches, **tensor)

    @shapes_checked
    def generate(
        self,
        prompt: Int[Tensor, "batch time"],
        n_tokens: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> Int[Tensor, "batch longer"]:
        """The prompt and `n_tokens` more, each drawn from softmax(logits / temperature), or the likeliest at 0.

        Options:

        top_k, top_p    draw among the k likeliest tokens, and of those among the fewest that have a share of p together
        stop            tokens that end a text: it repeats the one it ended with until all texts of the batch have ended
        lengths         (batch,): how many tokens at the end of each row are the prompt; those before are padding

        The prompt is read in one go. Each new token costs one `step`, however many came before (except in Attention).
        No block has a mask for padding: rows of different lengths are read and continued apart, so a batch of as many
        lengths as rows takes as long as one row after the other.
        Raises ValueError if the prompt is empty or an option is out of its range.
        """
        drawn = self.stream(prompt, n_tokens, temperature, generator, **options)
        return torch.cat([prompt, *(token[:, None] for token in drawn)], dim=1)

    @torch.no_grad()
    def stream(
        self,
        prompt: Tensor,
        n_tokens: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        stop: Collection[int] = (),
        lengths: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """The tokens (batch,) that `generate` draws, one after the other, each as soon as it is drawn."""
        self._check_tokens(prompt=prompt)
        if n_tokens < 0 or temperature < 0:
            raise ValueError(f"n_tokens is {n_tokens} and temperature {temperature}: expected both to be at least 0")
        if (top_k is not None and top_k < 1) or (top_p is not None and not 0 < top_p <= 1):
            raise ValueError(f"top_k is {top_k} and top_p {top_p}: expected at least 1, and a number in (0, 1]")
        of_length = _rows_of_each_length(prompt, lengths)
        readers = [
            self._read_on(prompt[rows, -length:], temperature, generator, top_k, top_p) for length, rows in of_length
        ]
        token, stops = prompt[:, -1], torch.tensor(list(stop), dtype=prompt.dtype, device=prompt.device)
        ended = torch.zeros_like(token, dtype=torch.bool)
        for drawn in islice(zip(*readers, strict=True), n_tokens):
            following = torch.empty_like(token)
            for (_, rows), of_rows in zip(of_length, drawn, strict=True):
                following[rows] = of_rows
            token = torch.where(ended, token, following)
            yield token
            if stop:
                ended |= torch.isin(token, stops)
                if ended.all():
                    return

    def _read_on(self, prompt: Tensor, temperature: float, *how: Any) -> Iterator[Tensor]:
        """The tokens after the prompts, all of one length, without end."""
        x, caches = self._stack(prompt, self.init_cache(len(prompt)))
        while True:
            logits = self.lm_head(x[:, -1])  # (b, vocab_size)
            token = logits.argmax(-1) if temperature == 0 else _draw((logits / temperature).softmax(-1), *how)
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
        if 0 in tokens.shape[1:]:
            raise ValueError(f"{name} has shape {tuple(tokens.shape)}: expected at least one token")
        right = (tokens >= 0) & (tokens < self.vocab_size)
        require(
            name,
            right.all(),
            f"tokens from 0 to {self.vocab_size - 1}, because vocab_size is {self.vocab_size}",
            lambda: f"{name}{(~right).nonzero()[0].tolist()} is {tokens[~right][0].item()}",
        )


class ImageClassifier(nn.Module):
    """Images in, logits of their classes out: patches with learned positions, stack of blocks, mean over patches.

        model = ImageClassifier(n_classes=10, d_model=32, pattern="SS")       for digits of 8 × 8 in patches of 2 × 2
        logits = model(images)                         (batch, channels, height, width) -> (batch, n_classes)

    pattern: one letter per block, V for Vim, S for SS2D, A for ImageAttention, C for GatedConv, which scans nothing;
    mlp_ratio and options as in `LanguageModel`.

    Raises ValueError for a wrong pattern or wrong options and if image_size is not a multiple of patch_size, TypeError
    for images of another size.
    """

    @options_checked
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
        self.layers = nn.Sequential(*(block_of(mixer, d_model, mlp_ratio) for mixer in mixers))
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


def _rows_of_each_length(prompt: Tensor, lengths: Tensor | None) -> list[tuple[int, Any]]:
    """(length, the rows that have it), for every length of a prompt. Raises ValueError for one that is not possible."""
    batch, time = prompt.shape
    if lengths is None:
        return [(time, slice(None))]
    found = lengths.tolist()
    if lengths.shape != (batch,) or not all(1 <= length <= time for length in found):
        raise ValueError(f"lengths is {found}: expected {batch} whole numbers from 1 to {time}, the size of prompt")
    return [(length, (lengths == length).nonzero()[:, 0]) for length in sorted(set(found))]


def _draw(probabilities: Tensor, generator: torch.Generator | None, top_k: int | None, top_p: float | None) -> Tensor:
    """A token of each row of (batch, vocab_size), among the likeliest if top_k or top_p says so."""
    if top_k is None and top_p is None:
        return torch.multinomial(probabilities, 1, generator=generator)[:, 0]
    likely, tokens = probabilities.sort(descending=True, stable=True)
    likely = likely[:, :top_k]
    if top_p is not None:
        before = likely.cumsum(-1) - likely  # the share of those that are likelier, none for the first
        likely = likely * (before < top_p * likely.sum(-1, keepdim=True))
    return tokens.gather(-1, torch.multinomial(likely, 1, generator=generator))[:, 0]


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
