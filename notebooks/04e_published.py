# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04e · A published model, by your own code
#
# *25 minutes · ★★☆*
#
# After this you can …
# - load a published model into the blocks of this course, and say what its files hold,
# - put your own function in the place of its mixer, and see the same text,
# - read off what a trained model remembers: how long each head, in how many numbers, and what it loses without them.
#
# **How to read.** Everything here runs offline, on a small Mamba-2 that comes with the course. It has the format of the
# published ones, so with a network you can run the same cells on one of those. Predict before you look.
#
# **Letters.** As in the [table](03a_semiseparable.ipynb#notation). The *half-life* of a head is the number of tokens
# after which half of what it stored is left.

# %%
import time

import numpy as np
import torch

from lecture17 import checkpoints, compare, figures, models, ops
from lecture17.course import own_answer, predict, progress
from lecture17.experiments import data, own_code

# %% [markdown]
# ## 1 · What is in the files
#
# A published model is a folder. `config.json` names the model type and its sizes; the weights are tensors with names.
# `checkpoints.load` reads the type, builds blocks of the right sizes, and gives each tensor its place. A tensor that is
# missing, left over or of another shape is an error, because a model with one wrong weight still writes *some* text.

# %%
folder = checkpoints.SMALL
print((folder / "config.json").read_text()[:330], "…")
model = checkpoints.load(folder)
size = sum(p.numel() for p in model.parameters())
kinds = [type(block.mixer).__name__ for block in model.layers]
print(f"{size:,} weights in {len(kinds)} blocks: {', '.join(kinds)}")

# %% [markdown]
# This model reads and writes bytes, and has learned from the source files of Python's standard library.
#
# **With a network** you may load a larger one in its place. The package `huggingface_hub` fetches it once; `tokenizers`
# translates between text and numbers, which are no longer bytes.
#
# | `name` | what it is | download | float32 in memory |
# | --- | --- | --- | --- |
# | `"state-spaces/mamba2-130m"` | Mamba-2, 24 blocks | about 0.5 GB | 0.5 GB |
# | `"Qwen/Qwen3.5-0.8B"` | three gated delta nets to one attention | about 1.8 GB | 3 GB |
# | a `.pth` of `"BlinkDL/rwkv-7-world"` | RWKV-7 0.1B, 12 layers | about 0.4 GB | 0.8 GB |
#
# At 100 megabits per second, a gigabyte takes a minute and a half. For RWKV-7, `name` is the repository, a slash and
# the file; `tokenizers` does not read its vocabulary, so its text would be nonsense: look at the numbers. For another
# model change `vocabulary` too. Section 2 puts your code into any of the three; sections 3 to 5 need a Mamba-2, and
# section 5 one that reads bytes.

# %% tags=["nbval-ignore-output"]
name, vocabulary = None, "EleutherAI/gpt-neox-20b"  # mamba2-130m has the vocabulary of GPT-NeoX
encode = lambda text: list(text.encode())  # noqa: E731
decode = lambda ids: bytes(ids).decode(errors="replace")  # noqa: E731
try:
    if name is not None:
        from tokenizers import Tokenizer

        model, tokenizer = checkpoints.load(name), Tokenizer.from_pretrained(vocabulary)
        encode, decode = lambda text: tokenizer.encode(text).ids, tokenizer.decode
except (ImportError, OSError) as error:
    print(f"not loaded, so the small one stays: {str(error)[:200]}")


def tokens_of(text: str) -> torch.Tensor:
    return torch.tensor([encode(text)])


# %% [markdown]
# ## 2 · Your code inside
#
# A block calls one function for its mixing: `ops.ssd.chunkwise` for a whole text, `ops.ssd.step` for a token. All the
# rest are projections, a convolution, a gate and a norm. Your answer to `03b_duality-ssd-chunkwise` computes the same
# function for one head, from a state of zeros. Outputs are linear in the state, so a state $S$ that was there before
# adds $e^{\log a_1 + \dots + \log a_t}\, C_t S$ to output $t$.
#
# `own_answer` takes the function from your exercise once its check has passed, and the course's until then.

# %% tags=["nbval-ignore-output"]
ssd_chunkwise = own_answer("03b_duality-ssd-chunkwise")
rwkv7_step = own_answer("03c_family-rwkv7-step")
kda_step = own_answer("03e_family_since-kda-step")


# %%
def mine(x, log_a, B, C, S):
    y, written = ssd_chunkwise(x, log_a, B, C, 16)
    decays = np.exp(np.cumsum(log_a))[:, None]
    return y + decays * (C @ S), decays[-1] * S + written


# %% [markdown]
# The other two families of published models work in the same way, token by token. RWKV-7's step prepares its own inputs
# from `k`; the block has prepared them already, so the call below undoes that. KDA's step with equal decays in all keys
# is the gated delta rule of Qwen3.5.


# %%
def by_steps(step):
    def scan(*arguments):
        *sequences, S = arguments
        y = []
        for token in zip(*sequences, strict=True):
            y_t, S = step(*token, S)
            y.append(y_t)
        return np.array(y), S

    return scan


def rwkv7_mine(r, log_w, k, v, kappa, a, S):
    share = -log_w * np.exp(0.5)  # σ(d)
    return rwkv7_step(r, np.log(share / (1 - share)), a, k, v, kappa / k, 0 * k, S)


def delta_mine(q, k, v, beta, log_a, S):
    return kda_step(q, k, v, np.full(len(k), log_a), beta, S)


# %%
YOURS = {
    "Mamba2": (ops.ssd, mine),
    "RWKV7": (ops.rwkv7, by_steps(rwkv7_mine)),
    "GatedDeltaNet": (ops.delta_rule, by_steps(delta_mine)),
}

# %% [markdown]
# Inside `swapped`, every head of every block runs your function; where no block calls it, `swapped` raises an error.
# (Attention layers of a hybrid keep their own code.) The same text alone would prove little: a small error in the
# logits seldom changes which token is the likeliest. So the logits are compared, too, which the model computes in
# float32 and you in float64.


# %%
def compare_texts(model, prompt, n_tokens):
    kinds = YOURS.keys() & {type(part).__name__ for part in model.modules()}
    if not kinds:
        print("No block of this model is one of your three: nothing is swapped, nothing compared.")
        return prompt, None
    op, yours = YOURS[min(kinds)]
    text = model.generate(prompt, n_tokens, temperature=0)
    with torch.no_grad(), own_code.swapped(op, yours):
        by_you = model.generate(prompt, n_tokens, temperature=0)
        logits_by_you = model(text)
    with torch.no_grad():
        logits = model(text)
    compare.assert_same(text_of_the_model=text, text_by_your_code=by_you)
    compare.assert_same(logits_of_the_model=logits, logits_by_your_code=logits_by_you, tol=1e-4)
    return by_you, (logits - logits_by_you).abs().max() / logits.abs().max()


prompt = tokens_of("class Reader:\n    def ")
by_you, difference = compare_texts(model, prompt, 60)

# %% tags=["nbval-ignore-output"]
print(decode(by_you[0].tolist()))
if difference is not None:
    print(f"\nlargest difference of the logits: {difference:.0e} of the largest logit")

# %% [markdown]
# **The same text, to the last token.** The prompt went through your chunks, and each new token through a chunk of one.
#
# The small models of the other two families are random here, so they write nonsense. But your code must write the
# *same* nonsense.

# %%
torch.manual_seed(17)
for letter in "RE":
    random = models.LanguageModel(256, 32, 3 * letter, options={letter: {"head_dim": 8}})
    for parameter in random.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    compare_texts(random, prompt % 256, 20)

# %% [markdown]
# ## 3 · How long does a head remember?
#
# A head of Mamba-2 multiplies its state by $a_t = e^{\log a_t}$ at each token, and $\log a_t$ depends on the token.
# Over a text, what was stored shrinks by $e^{\sum_t \log a_t}$. So the mean of $\log a_t$ gives the half-life:
#
# $$n_{1/2} = \frac{\log 2}{-\,\mathrm{mean}_t \log a_t} .$$
#
# `recorded` reads a text and keeps what each block gives to its mixer.
#
# **Predict** before you look.

# %%
predict("04e_published-half-lives")

# %%
text = bytes(data.standard_library().test.data[:2000]).decode(errors="replace")
inside = own_code.recorded(ops.ssd, model, tokens_of(text)[:, :512])
log_a = [given[1][0].double().numpy() for given in inside]  # (N, heads) for each layer
memory = [np.log(2) / -layer.mean(0) for layer in log_a]
figures.half_lives(memory, title="Heads of one layer forget at very different rates")

# %%
flat = np.concatenate(memory)
assert flat.max() > 100 * flat.min()

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# The half-lives span two orders of magnitude: some heads hold one token, like one more convolution, others a few lines
# of code. (They begin so: initial rates lie between 1 and 16 per unit of step size, and step sizes between 0.001 and
# 0.1. Training goes on from there.) A single number such as "the memory of Mamba-2" hides that.
#
# </details>
#
# ## 4 · The matrix of a real head
#
# With $\log a$, $B$ and $C$ at hand, a head of the trained model is a matrix like those of part 03a: $M = L \circ C
# B^\top$. Everything that tokens from 64 on know about those before passes through the block `M[64:, :64]`.
#
# The state has `d_state` = 32 numbers for each feature, so by part 03a the block has at most rank 32. But in how many
# directions does it pass anything much? **Predict** how many of its 64 singular values hold 99% of its energy, that is,
# of the sum of their squares.

# %%
predict("04e_published-rank")

# %%
layer, head = 1, int(np.argmax(memory[1]))
_, _, B, C = (a[0, :128].double().numpy() for a in inside[layer])
until, B, C = log_a[layer][:128, head].cumsum(), B[:, 0], C[:, 0]
L = np.tril(np.exp(np.minimum(until[:, None] - until, 0)))
figures.mask_times_gram(L, C @ B.T, title="A trained head: a smooth mask, structured scores")

# %%
s = np.linalg.svd((L * (C @ B.T))[64:, :64], compute_uv=False)
rank, most = int((s > 1e-9 * s[0]).sum()), int((np.cumsum(s**2) < 0.99 * (s**2).sum()).sum()) + 1
assert rank <= B.shape[1]
assert 3 <= most <= 16
print(f"the block has rank {'at most d_state' if rank <= B.shape[1] else 'above d_state'}")

# %% tags=["nbval-ignore-output"]
print(f"rank {rank}; 99% of its energy is in {most} of its {len(s)} singular values")

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# The bound of part 03a holds for trained weights as for random ones. Most of the energy of the block is in even fewer
# directions: the state has room for more than this head uses on this text.
#
# </details>
#
# ## 5 · Carry the state, cut it, set it to zero
#
# After a prompt of $n$ tokens, a model of this kind keeps a state for each head and the last three inputs of each
# convolution (its *window*), however long the prompt was. What are they worth? Read 128 bytes, then go on with the next
# 128 in four ways: with everything, with the states set to zero, with the windows set to zero, and with neither, as if
# the text began here.
#
# **Predict** before you look.

# %%
predict("04e_published-cut")


# %%
@torch.no_grad()
def bits_after(texts, cut, change):
    _, caches = model.read(texts[:, :cut], model.init_cache(len(texts)))
    logits, _ = model.read(texts[:, cut:-1], [change(cache) for cache in caches])
    nats = torch.nn.functional.cross_entropy(logits.mT, texts[:, cut + 1 :], reduction="none")
    return nats.mean(0).numpy() / np.log(2)


ways = {
    "all carried": lambda cache: cache,
    "states zero": lambda cache: cache._replace(state=0 * cache.state),
    "windows zero": lambda cache: cache._replace(window=0 * cache.window),
    "both zero": lambda cache: cache._replace(state=0 * cache.state, window=0 * cache.window),
}

# %%
unseen = data.standard_library().test.data
starts = np.linspace(0, len(unseen) - 300, 64).astype(int)
texts = torch.tensor(np.array([unseen[start : start + 257] for start in starts]), dtype=torch.int64)
losses = {way: bits_after(texts, 128, change) for way, change in ways.items()}
figures.after_a_cut(losses, title="The window counts at once, the states count for longer")

# %%
early = {way: bits[:3].mean() for way, bits in losses.items()}
later = {way: bits[3:32].mean() for way, bits in losses.items()}
late = [bits[64:].mean() for bits in losses.values()]
assert early["windows zero"] > early["states zero"] + 0.5 > early["all carried"] + 0.5
assert later["states zero"] > later["all carried"]
assert max(late) - min(late) < 0.05

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# Without its windows the model loses about two bits on each of the first two bytes, and next to nothing after the
# fourth. (Part of that is a mismatch: zeros beside a full state are something that it never saw.) The states are worth
# less at once and for longer; after some thirty bytes the text itself has filled them again. That is a small model of
# bytes, whose typical half-life is a few tokens (section 3). If a model must recall a name from the previous page, the
# text that follows cannot restore it. Whoever serves such a model must pass on *both* parts of the cache, and only to
# texts that begin with the same tokens.
#
# </details>
#
# The state can also be kept. It is 56 kilobytes here, whatever the length of the prompt, so a program can read a
# long prompt once, save its caches, and go on from them many times.

# %%
_, caches = model.read(prompt, model.init_cache(1))
kept = sum(part.numel() for cache in caches for part in cache)
print(f"{kept:,} numbers after {prompt.shape[1]} tokens, and after a million")

# %% [markdown]
# ## 6 · Streaming
#
# `model.stream` yields each token as soon as it is drawn. Each costs the same: all weights
# are read, and a cache of fixed size.

# %% tags=["nbval-ignore-output"]
generator, began, n = torch.Generator().manual_seed(17), time.perf_counter(), 120
for token in model.stream(prompt, n, temperature=0.6, generator=generator):
    print(decode(token.tolist()), end="")
print(f"\n\n{n / (time.perf_counter() - began):.0f} tokens a second")

# %% [markdown]
# **Try it:** load a larger model in section 1 and run the notebook again; how far apart are its half-lives? Then break
# your own function on purpose, for example by forgetting to carry the state, and see after how many tokens the text
# differs. Which call in other libraries does the same as each mixer here is on the page
# [production](../docs/production.md).
#
# ## Recap
#
# - A published model is a configuration and named tensors. With the right blocks, loading is renaming, and constant
#   factors go into the weights.
# - One function per block is the mixer. Yours, in NumPy and a head at a time, writes the same text.
# - Half-lives span two orders of magnitude in a model of twelve heads.
# - The blocks of a trained head keep to the rank that 03a proves, and most of their energy to fewer directions still.
# - The cache is states *and* windows, of fixed size: the windows matter at once, the states for longer.
#
# **Where next:** the [exercises](../exercises/04e_published.ipynb) (8 points), then zone 5, which measures: time and
# memory in [05a](05a_cost.ipynb).

# %% tags=["nbval-ignore-output"]
progress("04e_published")
