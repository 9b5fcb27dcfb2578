# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04a · PyTorch: from one head to a network that trains and decodes
#
# *25 minutes · ★★☆*
#
# After this you can …
# - turn the formula of one head into batched code with groups, and keep its gradients finite at a decay of zero,
# - read a whole Mamba-2 block and a whole RWKV-7 block line by line, and stack them with attention,
# - train weights in parallel and decode with them one token at a time, with the same logits.
#
# **How to read.** Each formula stands next to the lines that compute it, and the cell fails if their result differs
# from the package's. Predict before you look. Everything runs on a CPU; kernels for GPUs are in part
# [04b](04b_triton.ipynb).
#
# **Letters.** As in the [table](03a_semiseparable.ipynb#notation): $S$ is keys × values, decays are passed as logs.
# New here: tensors have the axes *(batch, time, heads, dim)*, in this order.

# %%
import tempfile

import torch

from lecture17 import bench, checkpoints, compare, figures, layers, models
from lecture17.course import predict, progress
from lecture17.ops import rwkv7, ssd
from lecture17.reference import ssd as one_head

# %% [markdown]
# ## 1 · One more axis for sequences, one for heads
#
# The reference computes one head of one sequence. A network has many of both, and they do not interact: they are
# simply two more axes of every tensor. **Heads may share $B$ and $C$: with fewer *groups* than heads, head $h$ uses
# group $h \,//\, (\text{heads} \,//\, \text{groups})$**, so neighboring heads share a group.
#
# It is easy to use $h \bmod \text{groups}$ instead: that is what `repeat` gives in place of `repeat_interleave`, and
# its shapes are right too. So the second cell checks that the numbers differ.

# %%
torch.manual_seed(17)
torch.set_default_dtype(torch.float64)
batch, N, heads, groups, d_state, d = 2, 37, 4, 2, 5, 3
x, log_a = torch.randn(batch, N, heads, d), -torch.rand(batch, N, heads)
B, C = torch.randn(2, batch, N, groups, d_state)


def head_by_head(group_of) -> torch.Tensor:
    y = torch.empty_like(x)
    for b in range(batch):
        for h in range(heads):
            g = group_of(h)
            args = (x[b, :, h], log_a[b, :, h], B[b, :, g], C[b, :, g])
            y[b, :, h] = torch.tensor(one_head.recurrent(*(a.numpy() for a in args))[0])
    return y


# %%
y, state = ssd.chunkwise(x, log_a, B, C, chunk_size=16)
right, in_turn = head_by_head(lambda h: h // (heads // groups)), head_by_head(lambda h: h % groups)
compare.assert_same(reference=right, batched=y)
wrong = [h for h in range(heads) if not torch.allclose(y[:, :, h], in_turn[:, :, h])]
print(f"state {tuple(state.shape)}; with h % groups the heads {wrong} are wrong")
assert wrong == [1, 2]

# %% [markdown]
# Grouped-query attention shares keys and values, while each head keeps queries and scores of its own. Here $B$ *and*
# $C$ are shared, so the scores $C B^\top$ are the same for all heads of a group and need to be computed only once. Only
# the masks differ:

# %%
scores = (C[0, :, 0] @ B[0, :, 0].T).numpy()  # group 0: heads 0 and 1
for h in (0, 1):
    M = one_head.matrix(*(a.numpy() for a in (x[0, :, h], log_a[0, :, h], B[0, :, 0], C[0, :, 0])))
    mask = one_head.matrix(x[0, :, h].numpy(), log_a[0, :, h].numpy(), *torch.ones(2, N, 1).numpy())
    compare.assert_same(head=M, own_mask_times_shared_scores=mask * scores)

# %% [markdown]
# Exercise: [`04a_torch-batched-ssd`](../exercises/04a_torch.ipynb).
#
# ## 2 · Gradients: which comes first, mask or exp?
#
# With $c$ the cumulative sums of the log decays, $L_{ij} = e^{c_i - c_j}$ on and below the diagonal and 0 above it.
# Above the diagonal the differences are *positive*, and with strong decays their exponential overflows to infinity.
# There are two ways to get zeros there: set those entries to 0 after exp, or fill the differences with $-\infty$ before
# exp.
#
# Both masks below have the same entries. Do they have the same gradients?

# %%
predict("04a_torch-nan-gradients")

# %%
strong = torch.full((10,), -200.0)
low = torch.ones(10, 10, dtype=torch.bool).tril()


def mask_after_exp(log_a: torch.Tensor) -> torch.Tensor:
    c = log_a.cumsum(0)
    return (c[:, None] - c[None, :]).exp().tril()


def mask_before_exp(log_a: torch.Tensor) -> torch.Tensor:
    c = log_a.cumsum(0)
    return (c[:, None] - c[None, :]).masked_fill(~low, -torch.inf).exp()


compare.assert_same(after=mask_after_exp(strong), before=mask_before_exp(strong))
nans = {}
for mask in (mask_after_exp, mask_before_exp):
    gradient = torch.autograd.functional.jacobian(lambda a, f=mask: f(a).sum(), strong)
    nans[mask.__name__] = int(gradient.isnan().sum())
print("gradients that are NaN, of 10:", nans)

# %%
assert nans == {"mask_after_exp": 10, "mask_before_exp": 0}

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have guessed)</summary>
#
# Mask, then exp. Setting entries to 0 after exp fixes the forward pass only: the backward pass multiplies the gradient
# 0 that reaches them by the derivative of exp, which is infinite, and $0 \cdot \infty$ is NaN. With $-\infty$ filled
# in before exp, the derivative is $e^{-\infty} = 0$.
#
# </details>
#
# A decay of exactly 0, `log_a = -inf`, breaks the difference itself: $-\infty - (-\infty)$ is NaN. That is why part
# [03a](03a_semiseparable.ipynb) sums each segment by itself, and why the package never relies on a difference of logs
# that may be infinite. Its backward pass is written by hand, so the cell checks it against finite differences.

# %%
small = [a[:1, :6].clone().requires_grad_() for a in (x, log_a, B, C)]
assert torch.autograd.gradcheck(lambda *a: ssd.chunkwise(*a, chunk_size=4), small)
cut = log_a.clone()
cut[:, 20] = -torch.inf
leaves = [a.clone().requires_grad_() for a in (x, cut, B, C)]
ssd.chunkwise(*leaves)[0][:, 20:].sum().backward()
assert all(leaf.grad.isfinite().all() for leaf in leaves)
assert not leaves[0].grad[:, :20].any()  # what comes before the cut does not matter after it
print("gradients equal finite differences; none is NaN, and none crosses a decay of zero")

# %% [markdown]
# ## 3 · Why four einsums are slow
#
# The four steps of part [03b](03b_duality.ipynb) are four lines of `einsum`, each over all chunks of the sequence. The
# arithmetic is right, and it is all matrix products. Yet the code is slow, for two reasons that no FLOP count shows:
#
# - **Every intermediate is as long as the sequence.** It is written to memory and read back by the next line, although
#   a few chunks of it would have fit in the processor's caches.
# - **Autograd keeps all of them** for the backward pass.
#
# `ssd.chunkwise` takes a few chunks at a time through all four steps, with about one mebibyte for each intermediate.
# How much does each of the two keep for the backward pass?

# %%
predict("04a_torch-kept")

# %%
inputs = tuple(a.float() for a in bench.inputs("ssd", 2048))  # 8 heads, d_state and d 64
given = sum(a.nbytes for a in inputs)


def kept(function) -> float:
    """Bytes that autograd keeps until the backward pass, in units of the arguments' bytes."""
    seen = {}

    def remember(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = tensor, storage.nbytes()  # each storage once
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        function(*(a.clone().requires_grad_() for a in inputs))
    return sum(nbytes for _, nbytes in seen.values()) / given


blocked, einsums = kept(ssd.chunkwise), kept(bench.four_einsums)
print(f"kept, in units of the arguments: {blocked:.1f} in blocks, {einsums:.1f} as einsums")
assert einsums > 2 * blocked

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# `ssd.chunkwise` keeps its arguments and the state before each chunk, and recomputes the rest in the
# backward pass. Now the time, for the forward pass only. It is measured as the cell runs, on a machine that may be
# busy, so the cell asserts only that the two results agree. ([Measured performance](../docs/performance.md) has longer
# sequences.)
#
# </details>

# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    y_blocked, y_einsums = ssd.chunkwise(*inputs)[0], bench.four_einsums(*inputs)[0]
    compare.assert_same(blocked=y_blocked, einsums=y_einsums, tol=1e-3)
    seconds = bench.in_turn([lambda: bench.four_einsums(*inputs), lambda: ssd.chunkwise(*inputs)])
slow, fast = torch.tensor(seconds).median(dim=1).values.tolist()
print(f"N = 2048: einsums {1e3 * slow:.0f} ms, in blocks {1e3 * fast:.0f} ms: {slow / fast:.1f} ×")

# %% [markdown]
# ## 4 · A Mamba-2 block, line by line
#
# SSD is the middle of the block. Before it, one projection makes all the inputs, and a short convolution lets each
# token see the three tokens before it. After it come a gate and a norm. (Dao and Gu, arXiv 2405.21060, Section 7.1;
# derived in part [03c](03c_family.ipynb).) The cell takes its weights from the package's block and writes out every
# line.

# %%
F = torch.nn.functional
block = layers.Mamba2(d_model=32, d_state=16, head_dim=8, n_groups=2)
u = torch.randn(2, 40, 32)
h, g, n, p = block.n_heads, block.n_groups, block.d_state, block.head_dim


def mamba2(u: torch.Tensor) -> torch.Tensor:
    z, xBC, delta = block.in_proj(u).split([h * p, h * p + 2 * g * n, h], dim=-1)
    xBC = F.pad(xBC.mT, (3, 0))  # three zeros before the first token: causal
    xBC = F.conv1d(xBC, block.conv1d.weight, block.conv1d.bias, groups=xBC.shape[1])
    x, B, C = F.silu(xBC.mT).split([h * p, g * n, g * n], dim=-1)
    x = x.unflatten(-1, (h, p))  # (b, t, h, p)
    B, C = B.unflatten(-1, (g, n)), C.unflatten(-1, (g, n))  # (b, t, g, n)
    delta = F.softplus(delta + block.dt_bias)  # (b, t, h): how much of the token to take
    log_a = -block.A_log.exp() * delta  # … and, from the same number, how much to forget
    y, _ = ssd.chunkwise(delta[..., None] * x, log_a, B, C)
    y = (y + block.D[:, None] * x).flatten(-2) * F.silu(z)  # skip, then gate: (b, t, h·p)
    y = F.rms_norm(y.unflatten(-1, (g, -1)), (h * p // g,), eps=1e-5).flatten(-2)
    return block.out_proj(block.norm.weight * y)


with torch.no_grad():
    compare.assert_same(package=block(u), line_by_line=mamba2(u))

# %% [markdown]
# ## 5 · An RWKV-7 block, line by line
#
# There is no convolution here: each of six streams mixes in the previous token with weights of its own (*token shift*).
# The state decays key by key; what the key $\hat\kappa$ recalled before that decay is removed, at the rates $a$; and
# $k v^\top$ is written. (Peng et al., arXiv 2503.14456, Section 4; derived in part [03c](03c_memory.ipynb).) This is
# the first layer of a stack; later layers also mix in the first layer's values.

# %%
time_mix = layers.RWKV7(d_model=32, head_dim=8)
torch.nn.init.normal_(time_mix.output.weight)  # it starts at zero, and so would every output


def rwkv7_block(u: torch.Tensor) -> torch.Tensor:
    m = time_mix
    shift = F.pad(u, (0, 0, 1, 0))[:, :-1] - u  # the previous token minus this one
    r, w, k, v, a, g = (u + shift * mu for mu in (m.x_r, m.x_w, m.x_k, m.x_v, m.x_a, m.x_g))
    r, k, v = m.receptance(r), m.key(k), m.value(v)
    log_w = -(-torch.tensor(0.5)).exp() * torch.sigmoid(m.w0 + torch.tanh(w @ m.w1) @ m.w2)
    a = torch.sigmoid(m.a0 + a @ m.a1 @ m.a2)  # how much is removed, key by key
    g = torch.sigmoid(g @ m.g1) @ m.g2  # the output gate
    removed = k * m.k_k
    k = k * (1 + (a - 1) * m.k_a)  # keys that remove little also write little
    r, log_w, k, v, a, removed = (s.unflatten(-1, (4, 8)) for s in (r, log_w, k, v, a, removed))
    kappa = F.normalize(removed, dim=-1)  # length 1 for each head
    y, _ = rwkv7.chunkwise(r, log_w, k, v, kappa, a)
    bonus = (r * k * m.r_k).sum(-1, keepdim=True) * v  # this token once more, past the norm
    y = F.group_norm(y.flatten(0, 1).flatten(1), 4, m.ln_x.weight, m.ln_x.bias, eps=64e-5)
    return m.output((y.view_as(u) + bonus.flatten(2)) * g)


with torch.no_grad():
    compare.assert_same(package=time_mix(u), line_by_line=rwkv7_block(u))

# %% [markdown]
# ## 6 · A hybrid stack, trained in parallel
#
# A network is a stack of such blocks, each of the form `x + mixer(norm(x))`. Published hybrids put one attention block
# among several state-space blocks: the states summarize cheaply, attention looks things up exactly. Here a string lists
# the blocks: `M` is Mamba-2, `A` attention, `R` RWKV-7; the documentation of `LanguageModel` has the other letters.

# %%
model = models.LanguageModel(
    vocab_size=256,
    d_model=64,
    pattern="MMAR",
    options={"M": {"d_state": 16, "head_dim": 32}, "A": {"head_dim": 32}, "R": {"head_dim": 32}},
)
for block in model.layers:
    print(type(block.mixer).__name__, sum(p.numel() for p in block.parameters()), "weights")

# %% [markdown]
# Train it for forty steps on the source text of one Python file, all tokens of a batch at once:

# %%
with open(bench.__file__, "rb") as file:
    text = torch.tensor(list(file.read()))
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
losses = []
for _ in range(40):
    starts = torch.randint(len(text) - 65, (8,))
    batch_of_bytes = torch.stack([text[i : i + 65] for i in starts])
    logits = model(batch_of_bytes[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), batch_of_bytes[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[0] > 5
assert sum(losses[-5:]) / 5 < 3.5
print("nats per byte: above 5 before training, below 3.5 after forty steps")

# %% [markdown]
# ## 7 · … and decoded one token at a time
#
# Now the same weights run as a recurrence. Each block has a **cache**: the convolution's last three inputs and the
# state (Mamba-2), the last token and the state (RWKV-7), or all keys and values so far (attention). `step` takes a
# token and the caches, and returns logits and new caches.

# %%
tokens = text[None, :48].repeat(2, 1)
with torch.no_grad():
    in_parallel = model(tokens)
    caches, one_by_one = model.init_cache(batch=2), []
    for t in range(48):
        if t == 40:
            after_40 = caches
        logits, caches = model.step(tokens[:, t], caches)
        one_by_one.append(logits)
compare.assert_same(trained_in_parallel=in_parallel, decoded=torch.stack(one_by_one, 1))

# %% [markdown]
# **The old caches are never written to**, so a prompt that was read once can be continued several times.

# %%
with torch.no_grad():
    again, _ = model.step(tokens[:, 40], after_40)  # from the kept cache, once more
compare.assert_same(first_time=one_by_one[40], from_the_kept_cache=again)
likeliest = model.generate(tokens[:1, :40], n_tokens=8, temperature=0)
assert (likeliest[0, 40] == in_parallel[0, 39].argmax()).item()

# %% [markdown]
# Exercise: [`04a_torch-decode-cache`](../exercises/04a_torch.ipynb), the step of one block.
#
# Now take three stacks of four blocks: `MMMM`, `MMAM` and `AAAA`. How does the cache of each grow with the number of
# tokens read? This matters, because in decoding it is the caches that fill a machine's memory. And from what length on
# does the attention block of the hybrid keep more than its three Mamba-2 blocks together?

# %%
predict("04a_torch-caches")


# %%
def numbers(cache) -> int:
    if isinstance(cache, torch.Tensor):
        return cache.numel()
    return sum(map(numbers, cache)) if isinstance(cache, tuple) else 0  # a position


def kept_after(letter: str, tokens: int) -> int:
    mixer = models.blocks()[letter](64, head_dim=32)
    with torch.no_grad():
        return numbers(mixer.mix(torch.randn(1, tokens, 64), mixer.init_cache(1))[1])


lengths = [16, 64, 256, 1024]
patterns = ("MMMM", "MMAM", "AAAA")
held = {p: [sum(kept_after(letter, n) for letter in p) for n in lengths] for p in patterns}
title = "What a stack of four blocks keeps for one sequence"
figures.growth(lengths, held, "numbers kept per sequence", title=title)

# %%
assert len(set(held["MMMM"])) == 1  # a state
assert held["AAAA"] == [4 * 2 * 64 * n for n in lengths]  # a key and a value for each token
assert held["MMMM"][0] == 137 * 4 * 2 * 64
assert 3 * kept_after("M", 1024) == kept_after("A", 411)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# A Mamba-2 block of this size (`d_state` 128) keeps as many numbers as attention does for 137 tokens, and
# never more. The attention block in a hybrid grows like any other: from 412 tokens on it holds more than the three
# Mamba-2 blocks together.
#
# </details>
#
# ## 8 · Loading a published model
#
# A checkpoint is a file of named tensors and a configuration. The blocks here use the names and shapes of the published
# Mamba-2 models. So to load one you only rename a prefix and check that the configuration asks for nothing else. The
# cell writes a small random model and reads it back.

# %%
small_model = models.LanguageModel(32, 16, "MM", options={"M": {"d_state": 8, "head_dim": 8}})
with tempfile.TemporaryDirectory() as folder:
    checkpoints.save_mamba2(small_model, folder)
    published = torch.load(f"{folder}/pytorch_model.bin", weights_only=True)
    loaded = checkpoints.load(folder)
for name in list(published)[:4]:
    print(f"{name:<38} {tuple(published[name].shape)}")
prompt = torch.arange(32)[None]
compare.assert_same(written=small_model(prompt).detach(), read=loaded(prompt).detach(), tol=1e-5)

# %% [markdown]
# If you are online you can load a real one: set `real = True`. This needs `pip install huggingface_hub` and downloads a
# few hundred megabytes, once. If that fails, the cell says why, and the notebook goes on.

# %% tags=["nbval-ignore-output"]
real = False
try:
    if real:
        mamba2_130m = checkpoints.load("state-spaces/mamba2-130m").float()
        weights = sum(p.numel() for p in mamba2_130m.parameters())
        print(f"{weights / 1e6:.0f} million weights, {len(mamba2_130m.layers)} blocks")
    else:
        print("not loaded: real is False")
except (ImportError, FileNotFoundError) as error:
    print(f"not loaded: {str(error)[:200]}")

# %% [markdown]
# ## Recap
#
# - Batch, heads and groups are axes; neighboring heads share a group. Mask, then exp.
# - Intermediates as long as the sequence do not stay in the processor's caches, and autograd keeps them: work through a
#   few chunks at a time.
# - A block is projections in, a mixer, a gate and a norm, a projection out; a hybrid is a string of letters.
# - The same weights train in parallel and decode as a recurrence, with the same logits. The cache is a state of fixed
#   size, except in attention.
#
# **Where next:** the [exercises](../exercises/04a_torch.ipynb) (8 points), then part [04b](04b_triton.ipynb), the same
# algorithm as kernels in Triton.

# %% tags=["nbval-ignore-output"]
progress("04a_torch")
