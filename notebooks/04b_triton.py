# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04b · Triton: kernels, from the first load to the chunk scan
#
# *30 minutes · ★★★*
#
# After this you can …
# - write a kernel: a program, its block of addresses, and a mask for places that do not exist,
# - read the chunk-state and the chunk-scan kernel of SSD line by line, and check their numbers,
# - compile a kernel for a GPU that you do not have, and say what that shows and what it does not.
#
# **How to read.** Predict before you look. Triton is made for Linux; the first cell says what to do elsewhere.
#
# **What runs where.** Here kernels run in Triton's *interpreter*, on the CPU, with NumPy. This shows that the numbers
# are right. They are also *compiled* for A100 and H100, which needs no GPU. This shows that a GPU would accept them,
# and how many registers and how much memory they would take. Neither shows how fast they are: section 12 has times
# **from one H100**, which no cell here repeats.
#
# **Letters.** As in the [table](03a_semiseparable.ipynb#notation) and the [glossary](06_review.ipynb#glossary). Batch
# and heads are one axis here, called *head*: a kernel treats them all alike.

# %%
import torch

from lecture17 import compare, figures, triton_lab
from lecture17.course import predict, progress
from lecture17.ops import ssd
from lecture17.triton_lab.interpreter import tl, triton

# %% [markdown]
# ## 1 · A program and its block
#
# A GPU does the same work on many pieces of data at once. A *kernel* is the code for one piece; a *program* is one run
# of it; the *grid* says how many programs there are. A program knows its number and computes from it which addresses
# are its own. Tensors arrive as pointers; `tl.arange` makes a block of integers; pointer plus block is a block of
# addresses, and `tl.load` fetches all of them at once.

# %%
@triton.jit
def add(x, y, out, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # this program's places
    tl.store(out + i, tl.load(x + i) + tl.load(y + i))


x, y = torch.arange(48.0), torch.ones(48)
out = torch.empty(48)
add[(3,)](x, y, out, BLOCK=16)  # three programs, one after the other here, all at once on a GPU
compare.assert_same(kernel=out, torch=x + y)

# %% [markdown]
# `BLOCK` is a `tl.constexpr`, a number known when the kernel is compiled. As the length of `tl.arange` it must be a
# power of two. Each value gives a compiled kernel of its own.
#
# ## 2 · A mask for places that do not exist
#
# 37 numbers need three blocks of 16, and 11 places of the last block have no number. **A load beyond the end fetches
# whatever lies there**, often another tensor; a GPU stops with an error only if the address is far outside. The
# interpreter, which reads this machine's own memory, is no safer. A mask says which places exist.
#
# Three heads of 37 tokens lie in memory one after the other, and a program handles 16 tokens of one head.

# %%
predict("04b_triton-masks")

# %%
title = "Three heads of 37 tokens, and the programs that handle them"
figures.program_grid(heads=3, N=37, block=16, title=title)

# %% [markdown]
# Without a mask, head 0's last program reads 11 numbers of head 1: **wrong numbers, no message.** Head 2's last program
# reads memory that belongs to no tensor here. To see this safely, `triton_lab.interpret` runs a kernel in a process of
# its own that knows where each tensor begins and ends.

# %%
@triton.jit
def double(x, out, N, BLOCK: tl.constexpr, MASKED: tl.constexpr):
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    at = tl.program_id(0) * N + i
    if MASKED:
        tl.store(out + at, 2 * tl.load(x + at, mask=i < N, other=0.0), mask=i < N)
    else:
        tl.store(out + at, 2 * tl.load(x + at), mask=i < N)


x = torch.randn(3, 37)
out = torch.empty_like(x)
triton_lab.interpret(double, (3, 3), x, out, 37, BLOCK=16, MASKED=True)
compare.assert_same(kernel=out, torch=2 * x)

# %%
try:
    triton_lab.interpret(double, (3, 3), x, out, 37, BLOCK=16, MASKED=False)
except triton_lab.Refused as refused:
    message = str(refused)
print(message)
assert "program (2, 2) reads 11 places outside of x" in message

# %% [markdown]
# And what does a load return at the places that its mask leaves out? The value of `other`; **without `other` the result
# is undefined** (Triton's documentation of `tl.load`; triton-lang/triton, pull request 10119). The interpreter returns
# 0 and so hides the mistake; `triton_lab.interpret` returns NaN.

# %%
@triton.jit
def no_other(x, out):
    i = tl.arange(0, 4)
    tl.store(out + i, tl.load(x + i, mask=i < 3))


plain, watched = torch.empty(4), torch.empty(4)
no_other[(1,)](x, plain)
triton_lab.interpret(no_other, (1,), x, watched)
assert plain[3] == 0
assert watched[3].isnan()

# %% [markdown]
# Exercise: [`04b_triton-kernel-masked-load`](../exercises/04b_triton.ipynb).
#
# ## 3 · The first kernel of SSD: sums of decays
#
# From here on we write SSD's chunkwise algorithm (part [03b](03b_duality.ipynb), step by step; Dao and Gu, arXiv
# 2405.21060, Section 6). One program handles one chunk of one head. First come the sums
# $c_i = \log a_1 + \dots + \log a_i$ within each chunk: the log of every decay that we need later is one of them, or a
# difference of two. Beyond the end, `other=0.0` leaves the sum unchanged, so the last place always holds the sum of the
# whole chunk.

# %%
@triton.jit
def chunk_sums(log_a, c, N, chunks, L: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    i = tl.arange(0, L)
    t = chunk * L + i
    logs = tl.load(log_a + head * N + t, mask=t < N, other=0.0)
    tl.store(c + (head * chunks + chunk) * L + i, tl.cumsum(logs, 0))


torch.manual_seed(17)
heads, N, L, K, V = 4, 100, 32, 16, 64  # K is d_state, V the head's dim
x, B, C = torch.randn(heads, N, V), torch.randn(heads, N, K) / 4, torch.randn(heads, N, K)
log_a = -torch.rand(heads, N)
chunks = triton.cdiv(N, L)
grid = (heads, chunks)
c = torch.empty(heads, chunks, L)
chunk_sums[grid](log_a, c, N, chunks, L=L)
padded = torch.nn.functional.pad(log_a, (0, chunks * L - N)).view(heads, chunks, L)
compare.assert_same(kernel=c, torch=padded.cumsum(-1), tol=1e-5)

# %% [markdown]
# ## 4 · A tile has two axes
#
# Memory has only one. Row $t$ of a head of `x` begins $(head \cdot N + t) \cdot V$ numbers after the pointer; the
# distance from one row to the next, here $V$, is the *stride*. A tile of addresses is a column of row starts plus a row
# of column numbers, `rows[:, None] * V + columns[None, :]`, broadcast as in NumPy.

# %%
rows, columns = 1 * N + torch.arange(32, 36), torch.arange(4)
addresses = rows[:, None] * V + columns[None, :]
print(addresses)
compare.assert_same(by_address=x.flatten()[addresses], by_index=x[1, 32:36, :4])

# %% [markdown]
# ## 5 · `tl.dot`, and how many digits are right
#
# A GPU has *tensor cores* for products of tiles. They take 16-bit factors as they are. Float32 factors are rounded to
# TF32, which keeps 10 bits after the binary point, **unless you say otherwise**. `input_precision` chooses: `"tf32"`
# (the default on NVIDIA), `"tf32x3"` (three products that together keep nearly all digits), or `"ieee"` (float32
# throughout).
#
# And how far is a TF32 product from the exact one: 1e-3, 1e-5 or 1e-7?

# %%
predict("04b_triton-tensor-cores")


# %%
@triton.jit
def product(a, b, out, M: tl.constexpr, D: tl.constexpr, PRECISION: tl.constexpr):
    m, d = tl.arange(0, M), tl.arange(0, D)
    left = tl.load(a + m[:, None] * D + d[None, :])
    right = tl.load(b + d[:, None] * M + m[None, :])
    tl.store(out + m[:, None] * M + m[None, :], tl.dot(left, right, input_precision=PRECISION))


a, b, out = torch.randn(32, 64), torch.randn(64, 32), torch.empty(32, 32)
exact = a.double() @ b.double()
tensor_core = {}
for precision in ("ieee", "tf32", "tf32x3"):
    row, _ = triton_lab.compiled(product, a, b, out, M=32, D=64, PRECISION=precision, num_warps=1)
    tensor_core[precision] = row.mma
    product[(1,)](a, b, out, M=32, D=64, PRECISION=precision)
    assert torch.allclose(out, exact.float(), atol=1e-4)  # the interpreter ignores PRECISION
print("tensor-core instructions on H100:", tensor_core)

# %%
assert tensor_core["ieee"] == 0 < tensor_core["tf32"]
assert tensor_core["tf32x3"] == 3 * tensor_core["tf32"]

# %% [markdown]
# (`num_warps=1` makes the counts comparable: with several warps, some may compute the same part of a small tile.)
#
# The interpreter multiplies in float32 whatever you ask for: **it does not show that a GPU would round.** So round by
# hand: TF32 is float32 without its last 13 bits.

# %%
def tf32(x: torch.Tensor) -> torch.Tensor:
    """The nearest number with 10 bits after the binary point."""
    return ((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def error(product: torch.Tensor) -> float:
    return ((product - exact).abs().max() / exact.abs().max()).item()


rounded, full = error(tf32(a).double() @ tf32(b).double()), error((a @ b).double())
print(f"largest error: rounded to TF32 {rounded:.0e}, float32 {full:.0e}")
assert 1e-4 < rounded < 1e-3
assert full < 1e-6

# %% [markdown]
# **Three more traps.** First, in bfloat16 the interpreter's `tl.dot` is wrong altogether: it multiplies the bit
# patterns as integers.

# %%
half = [t.bfloat16() for t in (a, b)]
product[(1,)](*half, out, M=32, D=64, PRECISION="ieee")
print(f"bfloat16 in the interpreter: {out[0, 0]:.3g}; expected {(half[0] @ half[1])[0, 0]:.3g}")
assert (out - exact).abs().min() > 1e3

# %% [markdown]
# Second, the interpreter accepts sums over fewer than 16 numbers, which a GPU's compiler refuses. So test in float32
# (or convert the factors first), and compile what you have tested.

# %%
product[(1,)](a[:, :8].contiguous(), b[:8], out, M=32, D=8, PRECISION="ieee")
compare.assert_same(eight_in_the_interpreter=out, torch=a[:, :8] @ b[:8], tol=1e-5)
try:
    triton_lab.compiled(product, a, b, out, M=32, D=8, PRECISION="ieee")
except triton_lab.Refused as refused:
    message = str(refused)
print(message)
assert "K >= 16" in message

# %% [markdown]
# The last trap: `triton.autotune` tries several sizes and keeps the fastest. To measure them it needs a GPU's driver,
# so you cannot test it here. Compile each size by itself instead.

# %% tags=["nbval-ignore-output"]
tuned = triton.autotune([triton.Config({"BLOCK": size}) for size in (16, 32)], key=[])(add)
message = "it was tuned: there is a GPU here"
try:
    tuned[(3,)](torch.ones(48), torch.ones(48), torch.empty(48))
except RuntimeError as refused:
    message = str(refused)
print(message)
assert ("active drivers" in message) == (not torch.cuda.is_available())

# %% [markdown]
# ## 6 · What a chunk adds to the state
#
# Each token $t$ writes $B_t x_t^\top$, of which $e^{c_L - c_t}$ is left at the end of the chunk. Summed over the tokens
# this is one product of tiles, (keys × tokens) times (tokens × values):
#
# $$\text{added} = (e^{c_L - c} \circ B)^\top x$$
#
# Masked-out tokens are rows of zeros and add nothing. The line before the product converts the keys back to the type of
# the values: bfloat16 tensors are multiplied as bfloat16, and the sum is always float32.

# %%
@triton.jit
def chunk_state(x, B, c, added, N, chunks,
                K: tl.constexpr, V: tl.constexpr, L: tl.constexpr, PRECISION: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, K), tl.arange(0, V)
    here, t = head * chunks + chunk, chunk * L + i
    row, real = (head * N + t)[:, None], (t < N)[:, None]
    keys = tl.load(B + row * K + k[None, :], mask=real, other=0.0)  # (L, K)
    values = tl.load(x + row * V + v[None, :], mask=real, other=0.0)  # (L, V)
    to_end = tl.exp(tl.load(c + here * L + L - 1) - tl.load(c + here * L + i))  # (L,)
    keys = (keys * to_end[:, None]).to(values.dtype)
    S = tl.dot(tl.trans(keys), values, input_precision=PRECISION)  # (K, V)
    tl.store(added + (here * K + k[:, None]) * V + v[None, :], S)


sizes = {"K": K, "V": V, "L": L, "PRECISION": "tf32x3"}
added = torch.empty(heads, chunks, K, V)
chunk_state[grid](x, B, c, added, N, chunks, **sizes)
last = [a[None, 2, 96:, None] for a in (x, log_a, B, C)]  # the last chunk of head 2
_, alone = ssd.recurrent(*last)  # from a state of zero
compare.assert_same(kernel=added[2, 3], token_by_token=alone[0, 0], tol=1e-5)

# %% [markdown]
# The weak spot is the difference $c_L - c_t$: two infinite sums give NaN, and two large ones have lost the digits of
# what lies between them. The package keeps each sum as a whole number and a fraction. In the exercise you do without
# any difference: [`04b_triton-kernel-chunk-state`](../exercises/04b_triton.ipynb).
#
# ## 7 · Passing states on
#
# This is the only step that goes from chunk to chunk: $S \leftarrow e^{c_L} S + \text{added}$. It is little work, so
# one program for each head goes through all chunks and stores the state *before* each.

# %%
@triton.jit
def pass_states(added, c, states, final, chunks, K: tl.constexpr, V: tl.constexpr, L: tl.constexpr):
    head = tl.program_id(0)
    at = tl.arange(0, K)[:, None] * V + tl.arange(0, V)[None, :]
    S = tl.zeros((K, V), tl.float32)
    for chunk in range(chunks):
        here = head * chunks + chunk
        tl.store(states + here * K * V + at, S)
        S = tl.exp(tl.load(c + here * L + L - 1)) * S + tl.load(added + here * K * V + at)
    tl.store(final + head * K * V + at, S)


states, final = torch.empty_like(added), torch.empty(heads, K, V)
pass_states[(heads,)](added, c, states, final, chunks, K=K, V=V, L=L)
batched = [a.mT[None] if a is log_a else a.transpose(0, 1)[None] for a in (x, log_a, B, C)]
y_right, state_right = ssd.recurrent(*batched)
compare.assert_same(kernels=final, token_by_token=state_right[0], tol=1e-5)

# %% [markdown]
# ## 8 · The chunk scan
#
# Each token reads the tokens of its own chunk by masked attention, and everything earlier from the state that entered
# the chunk, decayed since the chunk's start.
#
# $$y = (L \circ C B^\top)\, x + e^{c} \circ (C S), \qquad L_{ij} = e^{c_i - c_j}\ (i \ge j)$$
#
# Mask, then exp (part [04a](04a_torch.ipynb)). The mask for ragged lengths is needed only at the loads and at the
# store; in between, rows of zeros do no harm. All of this stays in registers and shared memory: **the $L \times L$
# matrix is never written out.**

# %%
@triton.jit
def chunk_scan(x, B, C, c, states, y, N, chunks,
               K: tl.constexpr, V: tl.constexpr, L: tl.constexpr, PRECISION: tl.constexpr):
    head, chunk = tl.program_id(0), tl.program_id(1)
    i, k, v = tl.arange(0, L), tl.arange(0, K), tl.arange(0, V)
    here, t = head * chunks + chunk, chunk * L + i
    row, real = (head * N + t)[:, None], (t < N)[:, None]
    queries = tl.load(C + row * K + k[None, :], mask=real, other=0.0)  # (L, K)
    keys = tl.load(B + row * K + k[None, :], mask=real, other=0.0)  # (L, K)
    values = tl.load(x + row * V + v[None, :], mask=real, other=0.0)  # (L, V)
    S = tl.load(states + (here * K + k[:, None]) * V + v[None, :]).to(values.dtype)  # (K, V)
    sums = tl.load(c + here * L + i)  # (L,)
    between = tl.where(i[:, None] >= i[None, :], sums[:, None] - sums[None, :], float("-inf"))
    scores = tl.dot(queries, tl.trans(keys), input_precision=PRECISION) * tl.exp(between)  # (L, L)
    out = tl.dot(queries, S, input_precision=PRECISION) * tl.exp(sums)[:, None]
    out += tl.dot(scores.to(values.dtype), values, input_precision=PRECISION)
    tl.store(y + row * V + v[None, :], out, mask=real)


y = torch.empty_like(x)
chunk_scan[grid](x, B, C, c, states, y, N, chunks, **sizes)
compare.assert_same(kernels=y, token_by_token=y_right[0].transpose(0, 1), tol=1e-5)

# %% [markdown]
# These are four kernels, and no program ever waits for another program of the same kernel. That is why the algorithm
# suits a GPU.
#
# ## 9 · Compiled for a GPU that is not there
#
# Triton needs no GPU to compile. In a process that does not use the interpreter, this is all it takes:
#
# ```python
# source = ASTSource(chunk_scan, {"x": "*fp32", …, "K": "constexpr", …}, {"K": 16, …})
# made = triton.compile(source, target=GPUTarget("cuda", 90, 32))  # 90 is H100, 80 is A100; 32 threads in a warp
# made.asm["ttir"], made.asm["ptx"], made.asm["cubin"]  # Triton's own code, NVIDIA's assembly, machine code
# ```
#
# `triton_lab.compiled` does this for the arguments of a launch, and reads the machine code with tools that come with
# Triton. It reports the *registers* of each thread (at most 255; what does not fit is *spilled* to slow memory), the
# *shared memory* of a program in bytes (at most 163 KiB on A100, 227 KiB on H100), and the number of *tensor-core
# instructions*.

# %%
predict("04b_triton-registers")

# %% tags=["nbval-ignore-output"]
lines = ["kernel       sm  type   registers  spills  shared  tensor-core instructions"]
made = {}
for sm in (80, 90):
    for dtype in (torch.float32, torch.bfloat16):
        tokens = [a.to(dtype) for a in (x, B, C, y)]
        launches = {
            chunk_state: (*tokens[:2], c, added, N, chunks),
            chunk_scan: (*tokens[:3], c, states, tokens[3], N, chunks),
        }
        for kernel, args in launches.items():
            row, text = triton_lab.compiled(kernel, *args, sm=sm, **sizes)
            made[kernel.__name__, sm, dtype] = row, text["ptx"]
            numbers = f"{row.registers:<10} {row.spills:<7} {row.shared:<7} {row.mma}"
            lines.append(f"{kernel.__name__:<11}  {sm}  {row.dtype:<5}  {numbers}")
print("\n".join(lines))

# %%
for (name, sm, _), (row, _) in made.items():
    assert row.spills == 0, name
    assert row.registers <= 255
    assert row.shared <= {80: 163, 90: 227}[sm] * 1024
    assert row.mma > 0
for name in ("chunk_state", "chunk_scan"):
    for sm in (80, 90):
        full, half = made[name, sm, torch.float32][0], made[name, sm, torch.bfloat16][0]
        assert full.mma == 3 * 2 * half.mma  # three products, each with half the depth
        assert full.registers > half.registers
lines = made["chunk_scan", 80, torch.bfloat16][1].splitlines()
print("one of them:", next(line for line in lines if "mma.sync" in line).split()[0])

# %% [markdown]
# **Learned:** float32 costs six times the tensor-core instructions, and more registers; tensor cores are made for
# 16-bit factors. It is six times because each of the three products of `tf32x3` takes twice the instructions of one in
# bfloat16: a TF32 instruction sums over 8 numbers, a bfloat16 instruction over 16. The name above says what the
# instruction does: it multiplies 16 × 16 numbers by 16 × 8, both in bfloat16, and sums in float32.
#
# ## 10 · The package's kernels
#
# `ssd.chunkwise(…, backend="triton")` runs kernels like these, with more care: wide keys and values go through in
# several tiles, heads share $B$ and $C$ in groups, and decays keep their digits. (`gla` and `rwkv7` have kernels too.)
# `backend="auto"` uses them for float32 and bfloat16 tensors on a GPU. In a process that uses the interpreter, they
# also run on the CPU:

# %%
y_package, state_package = ssd.chunkwise(*batched, chunk_size=L, backend="triton")
compare.assert_same(ours=y, package=y_package[0].transpose(0, 1), tol=1e-5)
compare.assert_same(ours=final, package=state_package[0], tol=1e-5)

# %% [markdown]
# Here are all of them, forward and backward, compiled for H100 in bfloat16 (keys and values of 128 numbers, chunks of
# 64). Outside a notebook, `print(table(report(d_k=128, d_v=128)))` from `lecture17.triton_lab.compiler_report` prints
# the same for float32 and A100 as well. The tests assert what this cell asserts for every kernel, both chips and both
# types, with one exception: SSD in float32 on A100 spills up to 96 bytes per thread.

# %% tags=["nbval-ignore-output"]
rows = triton_lab.report(architectures=[90], dtypes=[torch.bfloat16], d_k=128, d_v=128)
print("kernel                       registers  spills  shared  products  instructions")
for r in rows:
    print(f"{r.kernel:<29}{r.registers:<11}{r.spills:<8}{r.shared:<8}{r.dots:<10}{r.mma}")
for r in rows:
    assert r.spills == 0
    assert r.shared <= 227 * 1024
    assert r.mma > 0 or r.dots == 0 or r.dtype != "bf16"

# %% [markdown]
# ## 11 · What backward needs
#
# Autograd cannot look into a kernel, so the gradients are kernels too. Two decisions shape them.
#
# - **Recompute instead of keeping.** The forward kernels never store the $L \times L$ matrices, so backward computes
#   them once more from the arguments, and only the arguments are kept. A second pass over the chunks runs from the end
#   to the start and passes on the gradient of the state.
# - **Do not subtract large sums.** Once $dB$ and $dC$ are known, there is a cheap formula for the gradient of
#   $\log a_t$: $\sum_{s \ge t} (C_s \cdot dC_s - B_s \cdot dB_s)$, plus a term for the last state if the loss depends
#   on it. In real numbers it is exact. In float32 the sums cancel.
#
# Try it: one decay in the middle is 1e-30, so almost nothing passes it, and its gradient is about as small.

# %%
predict("04b_triton-strong-decay")

# %%
strong = log_a.clone()
strong[:, 50] = torch.log(torch.tensor(1e-30))
leaves = [a.clone().requires_grad_() for a in (batched[0], strong.mT[None], *batched[2:])]
weight = torch.randn(1, N, heads, V)


def gradients(backend: str) -> tuple[torch.Tensor, ...]:
    y, _ = ssd.chunkwise(*leaves, chunk_size=L, backend=backend)
    return torch.autograd.grad((y * weight).sum(), leaves)


_, by_log_a, dB, dC = gradients("triton")
for kernel, right in zip(gradients("triton"), gradients("torch"), strict=True):
    compare.assert_same(kernels=kernel, torch=right, tol=1e-4)
cheap = (batched[3] * dC - batched[2] * dB).sum(-1).flip(1).cumsum(1).flip(1)
compare.assert_same(kernels=by_log_a, cheap=cheap, tol=1e-4)  # relative to the largest they agree
kernels, noise = by_log_a[0, 50].abs().max(), cheap[0, 50].abs().max()
print(f"at the strong decay: kernels {kernels:.0e}, cheap formula {noise:.0e}")
assert kernels < 1e-28
assert noise > 1e-7

# %% [markdown]
# The cheap formula's answer is rounding noise. The package's kernel adds up only what really passes the token: pairs
# of a later reader and an earlier writer (`_backward_decays` in `lecture17/ops/kernels/ssd.py`). With a decay for each
# key, as in GLA, no single matrix holds the pairs. That kernel does subtract, within a chunk, and its documentation
# says so.
#
# ## 12 · Times on one H100
#
# RWKV-7's kernel goes token by token: it loads six short rows, updates the state in registers, and stores one row.
# Nothing in it is large. Its first version held 32 columns of the state in a program of 4 warps, and took 1.2 µs per
# token.
#
# **Guess first.** An H100 moves 3 TB per second, and this kernel moves 2 KB per token and head. What does it wait for?
#
# <details><summary>The times, and why</summary>
#
# | columns per program | warps | tokens loaded ahead | ms for 8,192 tokens, 8 heads |
# | --- | --- | --- | --- |
# | 32 | 4 | none | 10.2 |
# | 32 | 1 | none | 7.8 |
# | 8 | 1 | none | 6.5 |
# | 8 | 1 | 2 (`num_stages=3`) | 3.2 |
# | 8 | 1 | 4 (`num_stages=5`) | 2.8 |
#
# It waits for *latency*, not for bandwidth. A sum over keys that is spread over four warps needs shared memory and a
# barrier, twice per token; within one warp it needs neither. And a load takes about half a microsecond to return,
# however small it is: with `tl.range(…, num_stages=5)` the rows of later tokens are on their way while one token is
# computed. With the same option and smaller tiles, the kernel that passes on SSD's states went from 0.5 ms to 0.2 ms.
# (Measured with PyTorch 2.11 and Triton 3.6 on an H100 with 80 GB, float32, 64 keys and values, by editing the kernel
# between runs: no script in the repository repeats this table. [Measured performance](../docs/performance.md) compares
# the whole mixers with PyTorch's.)
#
# </details>

# %% [markdown]
# ## Recap
#
# - A program computes from its number which addresses are its own. A mask says which of them exist; `other` fills in
#   the rest.
# - SSD is four kernels: sums of decays, what a chunk adds, passing states on, and the scan. The L × L matrix is never
#   written out.
# - The interpreter checks the numbers, in float32; the compiler shows that a GPU would accept the kernel. Neither shows
#   how fast it is.
# - A small kernel waits for latency, not for bandwidth: use fewer barriers, and load ahead.
# - Backward recomputes what forward did not keep; where it can, it adds up pairs instead of subtracting sums.
#
# **Where next:** the [exercises](../exercises/04b_triton.ipynb) (6 points), then [04c](04c_vision.ipynb), where the
# sequence is an image.

# %% tags=["nbval-ignore-output"]
progress("04b_triton")
