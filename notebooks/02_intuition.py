# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · Intuition: one mountain, two sides
#
# *15 minutes · ★☆☆*
#
# After this you can …
# - turn a recurrence into its matrix and back, for Fibonacci's rabbits and for an SSM,
# - say what attention and an SSM each see in one and the same number of that matrix, and what each pays for it,
# - say what Mamba-2 gave up of Mamba-1 and what it got in return, and where S4, attention and hybrids stand.
#
# **The picture to keep.** A causal map $y = Mx$ is a mountain. On one side a footpath leads up: token by token, with
# a rucksack, the **state**. On the other side hangs a cable car: all pairs of tokens at once, no rucksack, the
# **matrix**. Whoever tells of the summit tells of the same summit. (The proofs are in
# [03a](03a_semiseparable.ipynb) and [03b](03b_duality.ipynb); the letters in the
# [notation table](03a_semiseparable.ipynb#notation), words in the [glossary](06_review.ipynb#glossary).)

# %%
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from lecture17 import compare, figures, widgets
from lecture17.course import predict
from lecture17.reference import attention, linear_attention, selective_scan, semiseparable

# %% [markdown]
# ## 1 · Rabbits on both sides
#
# The smallest recurrence that is not trivial: each month as many rabbits as in the two months before together, and
# $x_t$ that you set free:
#
# $$y_t = y_{t-1} + y_{t-2} + x_t .$$
#
# **The footpath.** Carry $h_t = (y_t, y_{t-1})$. Then $h_t = A h_{t-1} + B x_t$ and $y_t = C^\top h_t$ with
# $A = \begin{pmatrix} 1 & 1 \\ 1 & 0 \end{pmatrix}$ and $B = C = \begin{pmatrix} 1 \\ 0 \end{pmatrix}$: an SSM with
# a state of two.
#
# **The cable car.** **(1.1)** Rabbits set free in month $j$ have gone through $A$ for $i - j$ months:
# $y_i = \sum_{j \le i} C^\top A^{i-j} B\, x_j$. So $M_{ij} = C^\top A^{i-j} B$, and this is the Fibonacci number
# $F_{i-j+1}$ (with $F_1 = F_2 = 1$). **(1.2)** A power needs no walk: squaring goes from $A$ to
# $A^2, A^4, A^8$, so $A^n$ takes about $\log_2 n$ products (at most twice that).
#
# **(1.3) And back.** Read the recurrence as an equation, $y_t - y_{t-1} - y_{t-2} = x_t$, that is
# $(I - Z - Z^2)\, y = x$ with $Z$ the shift by one token. So $M^{-1} = I - Z - Z^2$: three diagonals.
#
# $M$ for 24 months has 300 numbers, up to 46368.

# %%
predict("02_intuition-rabbits")

# %%
N = 24
A, B, C = np.array([[1, 1], [1, 0]]), np.array([1, 0]), np.array([1, 0])
x = np.random.default_rng(17).integers(0, 3, size=N)  # rabbits set free

h, y_walked = np.zeros(2, dtype=int), []
for t in range(N):
    h = A @ h + B * x[t]
    y_walked.append(C @ h)

powers = [np.linalg.matrix_power(A, n) for n in range(N)]
M = np.array([[C @ powers[i - j] @ B if i >= j else 0 for j in range(N)] for i in range(N)])
fibonacci = [1, 1]
for _ in range(N - 2):
    fibonacci.append(fibonacci[-1] + fibonacci[-2])
assert M[:, 0].tolist() == fibonacci  # (1.1)
assert (M @ x).tolist() == y_walked  # both sides, exactly: these are integers

A16 = A
for _ in range(4):
    A16 = A16 @ A16
assert (powers[16] == A16).all()  # (1.2), four products instead of fifteen
assert (M @ (np.eye(N) - np.eye(N, k=-1) - np.eye(N, k=-2)) == np.eye(N)).all()  # (1.3)
print("rank of the block from year 1 to year 2:", np.linalg.matrix_rank(M[12:, :12]))
assert M.max() == 46368

# %%
assert np.linalg.matrix_rank(M[12:, :12]) == 2

# %% [markdown]
# Two: the rabbits of this month and of the last, which is the state. **The huge block is full of numbers and poor in
# information.** That is the property the whole course is about; part [03a](03a_semiseparable.ipynb) gives it its
# name, *semiseparable*.
#
# [Exercise](../exercises/02_intuition.ipynb) `02_intuition-unroll-ssm`: the matrix of any such SSM.
#
# ## 2 · One matrix, three factorizations
#
# Now with decays that differ from token to token, and with a write and a read of $r$ numbers each, as in Mamba-2:
# $M_{ij} = (a_i \cdots a_{j+1})\; C_i \cdot B_j$. How would you multiply by it?
#
# **(2.1) Fading alone is the inverse of a sparse matrix.** $h_t - a_t h_{t-1} = x_t$ says
# $(I - \mathrm{diag}(a) Z)\, h = x$. So the mask $L$, a full triangle, is the inverse of
# $I - \mathrm{diag}(a) Z$, which has two diagonals only. The loop *solves* with the sparse one; attention
# *multiplies* by the dense one.
#
# **(2.2) Write, fade, read.** To multiply entry by entry with a rank-one matrix $c\, b^\top$ is to scale rows by
# $c$ and columns by $b$. So
#
# $$M = L \circ (C B^\top) = \sum_{n=1}^{r} \mathrm{diag}(C_{:n})\; L\; \mathrm{diag}(B_{:n}) .$$
#
# Left, as one dense matrix: $N^2$ numbers, the attention side. Right, as $r$ loops: about $N r$ steps, the SSM side.
#
# **(2.3) In blocks.** The block from the past before $s$ to the future from $s$ on is a product of a tall and a wide
# matrix, (read) · (write), with $r$ between them: $h_{s-1}$ is what passes.
#
# For 24 tokens the sparse factor of (2.1) has at most 47 numbers that are not zero, its inverse at most 300. Let one
# decay be zero, here $a_{15}$.

# %%
predict("02_intuition-inverse")

# %%
rng = np.random.default_rng(17)
r = 4
a = rng.uniform(0.7, 1.0, size=N)
a[15] = 0.0
B, C, x = rng.normal(size=(N, r)), rng.normal(size=(N, r)), rng.normal(size=N)

sparse = np.eye(N) - np.diag(a[1:], k=-1)  # I - diag(a) Z
L = np.array([[a[j + 1 : i + 1].prod() if i >= j else 0.0 for j in range(N)] for i in range(N)])
compare.assert_same(mask=L, inverse=np.linalg.inv(sparse))  # (2.1)

M = L * (C @ B.T)
loops = sum(np.diag(C[:, n]) @ L @ np.diag(B[:, n]) for n in range(r))
compare.assert_same(masked_scores=M, write_fade_read=loops)  # (2.2)

s = 10
decay = np.array([a[s : i + 1].prod() for i in range(s, N)])  # from before s to token i
reads, writes = decay[:, None] * C[s:], L[s - 1, :s, None] * B[:s]
compare.assert_same(block=M[s:, :s], read_times_write=reads @ writes.T)  # (2.3)
assert np.count_nonzero(sparse) == 46
title = "The loop solves with the matrix on the left, attention multiplies by its inverse"
figures.sparse_and_dense(sparse, L, title=title)

# %%
assert np.count_nonzero(L) == 15 * 16 / 2 + 9 * 10 / 2  # two triangles

# %% [markdown]
# **Learned:** 46 numbers become 165 (of 300: the zero decay cuts the inverse in two), and both carry the same
# information; which one you hold decides whether you pay $N$ steps in a row or $N^2$ at once.
#
# [Exercise](../exercises/02_intuition.ipynb) `02_intuition-fast-matvec`: multiply in $N r$ steps, in both directions
# of time.
#
# ## 3 · Two readers of the same entry
#
# Look at one number, $M_{ij}\, x_j$: what output $i$ takes from input $j$.
#
# | part of it | attention says | an SSM says |
# | --- | --- | --- |
# | $C_i$ | the **query** of token $i$ | how the state is **read** at $i$ |
# | $B_j$ | the **key** of token $j$ | how $x_j$ is **written** |
# | $x_j$ | the **value** | the **input** |
# | $C_i \cdot B_j$ | the **score** | what is read of what was written |
# | $a_i \cdots a_{j+1}$ | a **mask** that fades | what **forgetting** has left in between |
# | $r$ | size of a key | entries of the **state** for each feature |
#
# Softmax attention has the same parts, and two more, an exponential and a **row normalizer** $Z$: **(3.1)**
# $P = \mathrm{diag}(1/Z)\,\big(\text{mask} \circ \exp(Q K^\top)\big)$.
#
# The normalizer is no obstacle. **(3.2)** Give the values one more column, of ones: what comes out in it is the row
# sum, and you divide by it. One more column of state is all it costs. **The exponential is the obstacle:** without
# it the score is a plain product, the query can be pulled out of the sum over $j$, and the rest is a state. With it,
# nothing can be pulled out, and **softmax attention is not an SSM with a finite state** (proved in 03b, step 6).

# %%
d = 3
Q, K, V = np.exp(rng.normal(size=(N, r))), np.exp(rng.normal(size=(N, r))), rng.normal(size=(N, d))

numerator = np.tril(np.ones((N, N))) * np.exp(Q @ K.T)
Z = numerator.sum(axis=1, keepdims=True)
softmax = attention.softmax_matrix(Q, K)
compare.assert_same(softmax_attention=softmax, parts=numerator / Z)  # (3.1)

with_ones = np.concatenate([V, np.ones((N, 1))], axis=1)
out, _ = linear_attention.recurrent(Q, K, with_ones)
normalized, _ = linear_attention.recurrent(Q, K, V, normalize=True)
compare.assert_same(normalized=normalized, one_column_more=out[:, :d] / out[:, d:])  # (3.2)

# %% [markdown]
# **Play both readers**, token by token: on the left the row of the matrix and the inputs that it weighs, on the right
# the state, what fades and what is written; below, both outputs (a line and circles) and what each view has cost.

# %%
predict("02_intuition-two-views")

# %%
widgets.TwoViews()

# %% [markdown]
# **Learned:** the outputs agree at every token; the matrix view has done more operations from token 7 on, and holds
# more numbers from token 1 on.

# %% [markdown]
# ## 4 · What Mamba-2 gave up, and what it got
#
# **Mamba-1** gives every channel $c$ of the input and every number $n$ of its state a decay of their own, chosen by
# the token: $a_{tcn} = e^{\Delta_{tc} A_{cn}}$. On the footpath that is easy, a product entry by entry. For the cable
# car it is a disaster: **(4.1)** there is a mask for each pair, $d \cdot r$ of them, and a matrix for each channel,
#
# $$M^{(c)} = \sum_{n=1}^{r} L^{(c,n)} \circ \big(C_{:n}\, (\Delta_{:c} \circ B_{:n})^\top\big) .$$
#
# **Mamba-2** takes one decay for all. **(4.2)** Then all masks of a head are one, all $M^{(c)}$ are one, and
# $Y = M X$ is a **matrix multiplication** for all channels of the head at once. GPUs have special units for that,
# which a scan cannot use (Dao and Gu, arXiv 2405.21060, Section 6).
#
# **Given up:** several time scales inside one head. **(4.3)** With fixed $B$ and $C$, a diagonal $A$ fades as a sum
# of $r$ exponentials, a scalar one as a single exponential, block rank 1. Mamba-2 makes up for it with many heads,
# each with a decay of its own, and with a larger state. ($B_t$ and $C_t$ that follow the text are no difference:
# Mamba-1 has them too.)
#
# Count the masks of one layer of Mamba-1 with $d = 3$ and $r = 4$:

# %%
delta, rates = rng.uniform(0.1, 1, size=(N, d)), -rng.uniform(0.1, 2, size=(d, r))  # Δ, A
X = rng.normal(size=(N, d))
masks, by_masks = [], np.zeros((d, N, N))
for c in range(d):
    for n in range(r):
        mask = np.exp(semiseparable.segsum(delta[:, c] * rates[c, n]))
        by_masks[c] += mask * np.outer(C[:, n], delta[:, c] * B[:, n])
        masks.append(mask.ravel())
mamba_1 = selective_scan.matrix(X, delta, rates, B, C)
compare.assert_same(mamba_1=mamba_1, by_masks=by_masks)  # (4.1)
print("different masks in Mamba-1:", len(np.unique(masks, axis=0)))
assert len(np.unique(masks, axis=0)) == d * r

same_delta, same_rate = np.repeat(delta[:, :1], d, axis=1), np.full((d, r), -1.0)
per_channel = selective_scan.matrix(X, same_delta, same_rate, B, C)
M = semiseparable.from_sss(-delta[:, 0], delta[:, :1] * B, C)
compare.assert_same(channel_0=per_channel[0], channel_1=per_channel[1], mamba_2=M)  # (4.2)
y_scan, _ = selective_scan.recurrent(X, same_delta, same_rate, B, C)
compare.assert_same(scan=y_scan, one_matrix_multiplication=M @ X)

# %%
lag = np.subtract.outer(np.arange(N), np.arange(N))
diagonal = np.tril(sum(rate ** np.abs(lag) for rate in (0.5, 0.7, 0.9, 0.99)))
scalar = np.tril(4 * 0.9 ** np.abs(lag))
print("block rank with fixed B and C: diagonal", semiseparable.rank(diagonal), end=", ")
print("scalar", semiseparable.rank(scalar))
assert (semiseparable.rank(diagonal), semiseparable.rank(scalar)) == (r, 1)  # (4.3)

# %% [markdown]
# <a id="correction-7"></a>
#
# > **Correction 7 · the lecture says** that Mamba costs $O(N\, d_{state}^2)$ and Mamba-2 only $O(N\, d_{state})$,
# > because its $\bar A$ is an outer product $u v^\top$.
# >
# > **In truth** Mamba-1's $A_t$ is already *diagonal*, $O(N\, d_{state})$ for each channel; $d_{state}^2$ would be a
# > dense one. Mamba-2's is a number times the identity, $A_t = a_t I$, which is not an outer product. Operations are
# > not where it wins: at the chunk sizes in use (64 to 256) it does *more* of them than either recurrence, as matrix
# > multiplications, and these are so fast that larger states become affordable.
#
# **(4.4)** An outer product would be a poor transition. After $A_t = u_t v_t^\top$ the state points along $u_t$, and
# one number is all that is left of the past: however large the state, the blocks below the diagonal have rank 1.
# **(4.5)** Operations per token of one head, as [03b](03b_duality.ipynb) counts them (step 7): Mamba-1's recurrence
# takes $6\, r d + d$, Mamba-2's $5\, r d$, and the chunkwise form with chunks of $c$ tokens
# $c\,(2r + 2d + 1) + 4rd + 2rd/c + 2r + d$. For $r = d = 64$ the chunkwise form has fewest at chunks of six tokens;
# only from 3 to 12 tokens has it fewer than the recurrence.

# %%
T, wide = 40, 16  # tokens, d_state


def block_rank(transitions: np.ndarray) -> int:
    """Rank of the lower left quarter of the SSM's matrix, found by feeding it every unit vector."""
    H, rows = np.zeros((wide, T)), []
    for t in range(T):
        H = transitions[t] @ H + np.outer(B_wide[t], np.eye(T)[t])
        rows.append(C_wide[t] @ H)
    return int(np.linalg.matrix_rank(np.array(rows)[T // 2 :, : T // 2]))


B_wide, C_wide, u, v = rng.normal(size=(4, T, wide))
a = rng.uniform(0.8, 1, size=(T, wide))
h = rng.normal(size=wide)
compare.assert_same(dense=np.diag(a[0]) @ h, entry_by_entry=a[0] * h)  # 256 or 16 multiplications
kinds = {
    "diagonal (Mamba-1)": a[:, :, None] * np.eye(wide),
    "a number times I (Mamba-2)": a[:, :1, None] * np.eye(wide),
    "outer product": u[:, :, None] * v[:, None, :] / wide,
}
ranks = {kind: block_rank(transitions) for kind, transitions in kinds.items()}
print(f"numbers that pass from past to future, of {wide}:", ranks)
assert list(ranks.values()) == [wide, wide, 1]  # (4.4)

# %%
r = d = 64
mamba_1, recurrent = 6 * r * d + d, 5 * r * d
chunkwise = {
    c: c * (2 * r + 2 * d + 1) + 4 * r * d + 2 * r * d / c + 2 * r + d for c in range(1, 257)
}
print(f"operations per token: Mamba-1 {mamba_1:,}, Mamba-2 recurrent {recurrent:,}, ", end="")
print(", ".join(f"chunks of {c}: {chunkwise[c]:,.0f}" for c in (6, 64, 256)))
assert [c for c, cost in chunkwise.items() if cost < recurrent] == list(range(3, 13))  # (4.5)
assert min(chunkwise[c] for c in range(64, 257)) > mamba_1

# %% [markdown]
# More operations and still faster: Dao and Gu report a core layer 2 to 8 times as fast as Mamba's own fused scan (arXiv
# 2405.21060, abstract; part [05a](05a_cost.ipynb) lets you measure on your machine). The state grew with it: the
# published code's default is 16 numbers per channel for Mamba-1 and 128 for Mamba-2.
#
# ## 5 · One function name, many architectures
#
# Where do they all stand? In code, an architecture is a type, and *what is your matrix?* is a question that each type
# answers for itself: `functools.singledispatch` picks the answer by the type of the argument. The rest of the course
# is built in this way: one module per mixer, the same names in each.
#
# - **S4** (Gu, Goel and Ré, arXiv 2111.00396): the same $A, B, C$ at every token, so $M_{ij}$ depends on $i - j$ alone,
#   a convolution. Fast, but it cannot choose by content. The code has the simplest member of that family, *S4D-Real*
#   (Gu et al., arXiv 2206.11893): a real diagonal $A$, here with Euler's rule for $B$ as in Mamba. The paper's own S4
#   starts from a HiPPO matrix and keeps it as diagonal plus low rank, with complex numbers.
# - **Mamba-1** (Gu and Dao, arXiv 2312.00752): *selective*, $\Delta_t, B_t, C_t$ follow the input.
# - **Mamba-2** (Dao and Gu, arXiv 2405.21060): selective, with one decay per head.
# - **Attention**: no recurrence at all.


# %%
@dataclass
class Mamba1:  # one channel
    delta: np.ndarray
    rates: np.ndarray
    B: np.ndarray
    C: np.ndarray


class S4D(Mamba1):
    """S4D-Real: Mamba-1 with the same delta, B and C at every token."""


@dataclass
class Mamba2:
    log_a: np.ndarray
    B: np.ndarray
    C: np.ndarray


@dataclass
class Attention:
    Q: np.ndarray
    K: np.ndarray


# %%
@singledispatch
def matrix(mixer: object) -> np.ndarray:
    raise TypeError(f"no matrix is known for {type(mixer).__name__}")


@matrix.register
def _(mixer: Mamba1) -> np.ndarray:  # and S4D, which is one
    x = np.zeros((len(mixer.delta), 1))
    return selective_scan.matrix(x, mixer.delta[:, None], mixer.rates[None], mixer.B, mixer.C)[0]


@matrix.register
def _(mixer: Mamba2) -> np.ndarray:
    return semiseparable.from_sss(mixer.log_a, mixer.B, mixer.C)


@matrix.register
def _(mixer: Attention) -> np.ndarray:
    return attention.softmax_matrix(mixer.Q, mixer.K)


# %% [markdown]
# Then the picture: by what will you tell S4 from the rest, and attention from the rest?

# %%
predict("02_intuition-four-matrices")


# %%
def architectures(N: int) -> dict[str, object]:
    B, C = rng.normal(size=(2, N, 4))
    rates, delta = -np.array([0.1, 0.3, 1.0, 2.0]), rng.uniform(0.1, 1, size=N)
    always = np.ones((N, 1))
    return {
        "S4D": S4D(np.full(N, 0.5), rates, always * B[0], always * C[0]),
        "Mamba-1, a channel": Mamba1(delta, rates, B, C),
        "Mamba-2": Mamba2(-0.3 * delta, B, C),
        "softmax attention": Attention(C, B),
    }


found = {}
for name in architectures(16):
    matrices = [matrix(architectures(N)[name]) for N in (16, 32, 64)]
    M = matrices[0]
    convolution = np.allclose(M[1:, 1:], M[:-1, :-1])
    ranks = [semiseparable.rank(M) for M in matrices]
    print(f"{name:18} same along diagonals: {convolution!s:5}  block ranks {ranks}")
    found[name] = convolution, ranks

# %%
kernels = {name: matrix(mixer) for name, mixer in architectures(24).items()}
kernels = {name: M / np.abs(M).max() for name, M in kernels.items()}  # the largest entry is 1
for name, (convolution, ranks) in found.items():
    assert convolution == (name == "S4D")
    assert ranks == ([8, 16, 32] if name == "softmax attention" else [4, 4, 4])
title = "Four architectures on the same tokens"
figures.family_portrait(kernels, title=title)

# %% [markdown]
# **Learned:** three of the four pass 4 numbers from past to future however long the text, and must choose what to keep;
# attention keeps everything, and pays with a memory that grows.
#
# The explorer cuts the matrix of a mixer into chunks and gives the rank of each block.

# %%
predict("02_intuition-removing")

# %%
widgets.SemiseparableExplorer()

# %% [markdown]
# **Learned:** no. Whatever a mixer does to its state, below the diagonal the rank is at most $r$, the number of state
# entries for each feature.
#
# **Hybrids** take both: many SSM layers that carry the gist at a fixed cost, and a few attention layers that can look
# up any token exactly. Jamba, for one, has one attention layer in eight (Lieber et al., arXiv 2403.19887). They
# combine without further ado, because either layer maps a sequence to a sequence of the same shape. This course stands
# between the selective SSMs and the hybrids: the duality says exactly what the two kinds of layer share, and the
# exponential what they do not.
#
# ## Recap
#
# - One map, two sides: a footpath with a state, a cable car with a matrix. Unroll to go one way, invert to go the
#   other.
# - The dense matrix is poor in information: only $r$ numbers pass from past to future.
# - Query and read, key and write, mask and forgetting are two names for one thing. **The exponential of softmax is
#   not in that dictionary.**
# - Mamba-2 gave up one decay per state entry, and got matrix multiplications, hence larger states.
#
# **Where next:** the [exercises](../exercises/02_intuition.ipynb) (8 points), then
# [03a · Semiseparable matrices](03a_semiseparable.ipynb), which makes "poor in information" exact.
