"""A stack of any blocks reads, decodes and learns."""

import pytest
import torch
import torch.nn.functional as F

from lecture17.models import LanguageModel, blocks

from ..layers.blocks import difference, trained

VOCAB = 11
LETTERS = tuple(blocks())
SMALL = {
    letter: {"head_dim": 8} | ({"d_state": 4} if letter in "MTL" else {}) if letter != "S" else {"d_state": 4}
    for letter in LETTERS
}
PATTERNS = [*LETTERS, "MMAM", "RGR", "".join(LETTERS)]


def model(pattern: str, **more: object) -> LanguageModel:
    torch.manual_seed(0)
    options = {letter: SMALL[letter] for letter in pattern}
    return LanguageModel(VOCAB, 16, pattern, options=options, **more)  # type: ignore[arg-type]


def text(time: int, batch: int = 2) -> torch.Tensor:
    return torch.randint(VOCAB, (batch, time), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_step_by_step_logits_are_those_of_the_whole_text(pattern: str) -> None:
    net, tokens = trained(model(pattern, mlp_ratio=2)), text(13)
    with torch.no_grad():
        logits, caches, steps = net(tokens), net.init_cache(2), []
        for t in range(13):
            step, caches = net.step(tokens[:, t], caches)
            steps.append(step)
        first, caches = net.read(tokens[:, :7], net.init_cache(2))
        rest, _ = net.read(tokens[:, 7:], caches)
    assert difference(torch.cat([first, rest], 1), logits) < 1e-5
    assert logits.shape == (2, 13, VOCAB)
    assert difference(torch.stack(steps, 1), logits) < 1e-5


def test_a_hybrid_with_attention_as_it_is_used_generates_what_forward_says() -> None:
    attention = {"head_dim": 8, "rope": True, "n_kv_heads": 1, "window": 4, "qk_norm": True, "output_gate": True}
    delta = {"head_dim": 8, "n_v_heads": 4, "expand_v": 2}
    torch.manual_seed(0)
    net = trained(LanguageModel(VOCAB, 16, "EEEA", 2, options={"A": attention, "E": delta}))
    prompt = text(9)
    longer = net.generate(prompt, 12, temperature=0)
    with torch.no_grad():
        assert torch.equal(net(longer)[:, 8:-1].argmax(-1), longer[:, 9:])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_greedy_text_is_the_argmax_of_repeated_forward(pattern: str) -> None:
    net, prompt = trained(model(pattern)), text(5)
    text_by_forward = prompt
    with torch.no_grad():
        for _ in range(12):
            likeliest = net(text_by_forward)[:, -1].argmax(-1, keepdim=True)
            text_by_forward = torch.cat([text_by_forward, likeliest], 1)
    assert torch.equal(net.generate(prompt, 12, temperature=0), text_by_forward)
    assert len(text_by_forward[:, 5:].unique()) > 1


def test_sampling_follows_the_softmax_at_its_temperature_and_the_generator() -> None:
    net, prompt = trained(model("M")), text(3, batch=1).expand(4000, 3)
    for temperature in (1.0, 0.5):
        drawn = net.generate(prompt, 1, temperature, torch.Generator().manual_seed(2))[:, -1]
        again = net.generate(prompt, 1, temperature, torch.Generator().manual_seed(2))[:, -1]
        assert torch.equal(drawn, again)
        with torch.no_grad():
            expected = (net(prompt[:1])[0, -1] / temperature).softmax(-1)
        frequency = torch.bincount(drawn, minlength=VOCAB) / 4000
        assert (frequency - expected).abs().max() < 0.03
        assert expected.max() > 0.15


def test_a_hybrid_of_all_blocks_learns_a_text_and_every_parameter_takes_part() -> None:
    net = model("".join(LETTERS) + "R", mlp_ratio=1)
    tokens = text(12, batch=4)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    moved = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    losses = []
    for _ in range(20):
        loss = F.cross_entropy(net(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert all(not torch.equal(parameter, moved[name]) for name, parameter in net.named_parameters())


def test_all_later_rwkv7_layers_get_the_values_of_the_first() -> None:
    net, tokens = trained(model("RMRR")), text(6)
    with torch.no_grad():
        x = net.embedding(tokens)
        first = net.layers[0].mixer
        _, cache = first.mix(net.layers[0].norm(x), first.init_cache(2))
        x = x + first(net.layers[0].norm(x))
        x = x + net.layers[1].mixer(net.layers[1].norm(x))
        for block in net.layers[2:]:
            x = x + block.mixer(block.norm(x), cache.v_first)
        assert difference(net(tokens), net.lm_head(net.norm_f(x))) < 1e-6


def test_embedding_and_output_share_weights_unless_told_otherwise() -> None:
    tied, free = model("M"), model("M", tie=False)
    assert tied.lm_head.weight is tied.embedding.weight
    assert free.lm_head.weight is not free.embedding.weight
    assert sum(p.numel() for p in free.parameters()) == sum(p.numel() for p in tied.parameters()) + VOCAB * 16


def test_first_values_keep_the_residual_sum_small_in_deep_stacks() -> None:
    shallow, deep = model("A"), model("A" * 16)
    ratio = shallow.layers[0].mixer.out_proj.weight.std() / deep.layers[0].mixer.out_proj.weight.std()
    assert abs(ratio - 4) < 0.4
    assert abs(shallow.embedding.weight.std() - 0.02) < 0.004


@pytest.mark.parametrize(
    ("pattern", "options", "message"),
    [
        ("MMQM", None, r'pattern\[2\] is "Q" in "MMQM": expected one of A \(Attention\), D \(DeltaNet\)'),
        ("m", None, r'pattern\[0\] is "m"'),
        ("", None, "pattern is empty"),
        ("M", {"A": {"head_dim": 8}}, r'options has "A": expected only letters of the pattern, "M"'),
    ],
)
def test_patterns_and_options_that_name_no_block_are_refused(
    pattern: str, options: dict[str, dict[str, int]] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LanguageModel(VOCAB, 64, pattern, options=options)


def test_tokens_outside_the_vocabulary_and_empty_prompts_are_refused() -> None:
    net = model("M")
    tokens = text(4)
    tokens[1, 2] = VOCAB
    with pytest.raises(ValueError, match=r"tokens\[1, 2\] is 11: expected tokens from 0 to 10"):
        net(tokens)
    with pytest.raises(ValueError, match=r"prompt\[1, 2\] is 11"):
        net.generate(tokens, 1)
    with pytest.raises(ValueError, match=r"token\[0\] is -1"):
        net.step(torch.tensor([-1, 2]), net.init_cache(2))
    with pytest.raises(ValueError, match=r"prompt has shape \(2, 0\): expected at least one token"):
        net.generate(text(0), 1)
    with pytest.raises(ValueError, match=r"tokens has shape \(2, 0\)"):
        net(text(0))
    with pytest.raises(ValueError, match="temperature -1"):
        net.generate(text(2), 1, temperature=-1.0)
    with pytest.raises(TypeError, match="parameter 'tokens'"):
        net(torch.zeros(2, 3))


def test_a_cache_of_another_batch_is_refused() -> None:
    net = model("MA")
    with pytest.raises(ValueError, match="cache is for a batch of 3 while token has 2"):
        net.step(text(1)[:, 0], net.init_cache(3))
