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
# *30 minutes · ★☆☆*
#
# After this you can …
# - turn a recurrence into its matrix and back, for Fibonacci's rabbits and for an SSM, and compute it by a parallel
#   scan,
# - say what attention and an SSM each see in the same entry of that matrix, and what each pays for it,
# - say what Mamba-2 gave up compared with Mamba-1 and what it got in return, and where S4, attention and hybrids stand.
#
# **The picture to keep.** A causal map $y = Mx$ is a mountain. Up one side leads a footpath: token by token, with a
# backpack, the **state**. Up the other side goes a cable car: all pairs of tokens at once, no backpack, the **matrix**.
# Both reach the same summit. (The proofs are in [03a](03a_semiseparable.ipynb) and [03b](03b_duality.ipynb). The
# letters are listed in the [notation table](03a_semiseparable.ipynb#notation), the terms in the
# [glossary](06_review.ipynb#glossary).)

# %%
import numpy as np

from lecture17 import compare, costs, figures, widgets
from lecture17.course import predict, progress
from lecture17.reference import attention, linear_attention, selective_scan, semiseparable

# %% [markdown]
# ## 1 · Rabbits on both sides
#
# Here is the smallest nontrivial recurrence. Each month there are as many rabbits as in the two months before together,
# plus $x_t$ that you set free:
#
# $$y_t = y_{t-1} + y_{t-2} + x_t .$$
#
# **The footpath.** Carry $h_t = (y_t, y_{t-1})$. Then $h_t = A h_{t-1} + B x_t$ and $y_t = C^\top h_t$ with
# $A = \begin{pmatrix} 1 & 1 \\ 1 & 0 \end{pmatrix}$ and $B = C = \begin{pmatrix} 1 \\ 0 \end{pmatrix}$. This is an SSM
# with a state of two numbers.
#
# **The cable car.** **(1.1)** Rabbits set free in month $j$ have gone through $A$ for $i - j$ months by month $i$, so
# $y_i = \sum_{j \le i} C^\top A^{i-j} B\, x_j$. The matrix is $M_{ij} = C^\top A^{i-j} B$, the Fibonacci number
# $F_{i-j+1}$ (with $F_1 = F_2 = 1$). **(1.2)** You reach a power without walking: squaring goes from $A$ to $A^2$,
# $A^4$, $A^8$, so $A^n$ takes about $\log_2 n$ products (at most twice that).
#
# **(1.3) And back.** Read the recurrence as an equation, $y_t - y_{t-1} - y_{t-2} = x_t$, that is,
# $(I - Z - Z^2)\, y = x$, where $Z$ shifts by one token. So $M^{-1} = I - Z - Z^2$: three diagonals.
#
# For 24 months, $M$ has 300 entries on and below its diagonal, the largest of them 46,368.

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
assert (M @ x).tolist() == y_walked  # both sides, exactly: these are integers
assert (np.count_nonzero(M), M.max()) == (300, 46368)
print("rank of the block from year 1 to year 2:", np.linalg.matrix_rank(M[12:, :12]))

# %%
assert np.linalg.matrix_rank(M[12:, :12]) == 2

fibonacci = [1, 1]
for _ in range(N - 2):
    fibonacci.append(fibonacci[-1] + fibonacci[-2])
assert M[:, 0].tolist() == fibonacci  # (1.1)

A16 = A
for _ in range(4):
    A16 = A16 @ A16
assert (powers[16] == A16).all()  # (1.2), four products instead of fifteen
assert (M @ (np.eye(N) - np.eye(N, k=-1) - np.eye(N, k=-2)) == np.eye(N)).all()  # (1.3)

# %% [markdown]
# The rank is two: the rabbits of this month and of the last one, which is the state. **The huge block is full of
# numbers and poor in information.** That is the property the whole course is about. Part [03a](03a_semiseparable.ipynb)
# gives it its name, *semiseparable*.
#
# [Exercise](../exercises/02_intuition.ipynb) `02_intuition-unroll-ssm`: the matrix of any such SSM.
#
# ## 2 · One matrix, three factorizations
#
# Now let the decays differ from token to token, and let each token write and read with $r$ numbers, as in Mamba-2:
# $M_{ij} = (a_i \cdots a_{j+1})\; C_i \cdot B_j$. How would you multiply by this matrix?
#
# **(2.1) Decay alone is the inverse of a sparse matrix.** $h_t - a_t h_{t-1} = x_t$ says
# $(I - \mathrm{diag}(a) Z)\, h = x$. So the mask $L$, a full triangle, is the inverse of
# $I - \mathrm{diag}(a) Z$, which has only two diagonals. The loop *solves* with the sparse matrix; attention
# *multiplies* by the dense one.
#
# **(2.2) Write, decay, read.** To multiply entry by entry with a rank-one matrix $c\, b^\top$ is to scale rows by
# $c$ and columns by $b$. So
#
# $$M = L \circ (C B^\top) = \sum_{n=1}^{r} \mathrm{diag}(C_{:n})\; L\; \mathrm{diag}(B_{:n}) .$$
#
# On the left is one dense matrix of $N^2$ numbers, the attention side. On the right are $r$ loops of $N$ steps, the SSM
# side.
#
# **(2.3) In blocks.** The block that leads from the past, before $s$, to the future, from $s$ on, is a product of a
# tall and a wide matrix, (read) · (write), with $r$ between them: what passes through is $h_{s-1}$.
#
# For 24 tokens the sparse factor in (2.1) has at most 47 nonzero entries, and its inverse at most 300. Now let one
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
compare.assert_same(masked_scores=M, write_decay_read=loops)  # (2.2)

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
# **Learned:** 46 numbers became 165. (Without the zero decay it would be 300; the zero cuts the inverse in two.) Both
# matrices carry the same information. Which one you hold decides whether you pay $N$ steps in a row or $N^2$ at once.
#
# [Exercise](../exercises/02_intuition.ipynb) `02_intuition-fast-matvec`: multiply in $N r$ steps, in both directions
# of time.
#
# ## 3 · Two readings of the same entry
#
# Look at one term, $M_{ij}\, x_j$: what output $i$ takes from input $j$.
#
# | part of it | to attention it is | to an SSM it is |
# | --- | --- | --- |
# | $C_i$ | the **query** of token $i$ | how the state is **read** at $i$ |
# | $B_j$ | the **key** of token $j$ | how $x_j$ is **written** |
# | $x_j$ | the **value** | the **input** |
# | $C_i \cdot B_j$ | the **score** | how much of what was written is read |
# | $a_i \cdots a_{j+1}$ | a **mask** that decays | what is left after **forgetting** |
# | $r$ | the size of a key | the number of **state** entries per feature |
#
# Softmax attention has the same parts and two more, an exponential and a **row normalizer** $Z$: **(3.1)**
# $P = \mathrm{diag}(1/Z)\,\big(\text{mask} \circ \exp(Q K^\top)\big)$.
#
# The normalizer is no obstacle. **(3.2)** Give the values one more column, of ones: its output is the row sum, and you
# divide by it. That costs one more column of state. **The exponential is the obstacle.** Without it the score is a
# plain product, the query can be pulled out of the sum over $j$, and what remains is a state. With it, nothing can be
# pulled out, and **softmax attention is not an SSM with a finite state** (proved in 03b, step 6).

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
# **Play both readings**, token by token. On the left is the row of the matrix and the inputs it weighs; on the right
# the state, with what decays and what is written; below are both outputs (lines and circles) and what each view has
# cost so far.

# %%
predict("02_intuition-two-views")

# %%
widgets.TwoViews()

# %% [markdown]
# **Learned:** the outputs agree at every token. From token 7 on the matrix view has done more operations, and from
# token 1 on it holds more numbers.

# %%
tokens = np.arange(1, N + 1)  # so far
matrix_view = (2 * r + 1 + 2 * d) * tokens * (tokens + 1) / 2  # score, decay, sum: once per pair
state_view = 5 * r * d * tokens  # decay, outer product, sum; and two operations to read
assert np.argmax(matrix_view > state_view) == 7
assert np.argmax((r + d) * tokens > r * d) == 1  # keys and inputs held, against the state

# %% [markdown]
# ## 4 · A third way up: the associative scan
#
# The footpath takes $N$ steps, one after another. Must it? One token does $h \mapsto a h + b$ to an entry $h$ of the
# state. Two tokens in a row do $h \mapsto a_2 (a_1 h + b_1) + b_2$, which is again a factor and an offset. So **any
# stretch of tokens is a pair $(a, b)$**, and two stretches in a row combine into one:
#
# $$\textbf{(4.1)}\qquad (a_1, b_1) \bullet (a_2, b_2) = (a_2 a_1,\;\; a_2 b_1 + b_2) .$$
#
# Combining pairs means composing maps, so $\bullet$ is **associative**: the order of the tokens must stay, but you may
# set the brackets as you like. An algorithm that finds the combination of *all tokens up to $t$*, for every $t$, is
# called a *scan*. It finds the states: with $h_{-1} = 0$, the $b$ of that combination is $h_t$. Combinations that do
# not wait for each other can be done in the same round:
#
# - **The loop** sets all brackets to the left: each of its $N - 1$ rounds combines once.
# - **Doubling** (Hillis and Steele, 1986): in round $k = 0, 1, \ldots$ every token $t \ge 2^k$ puts the stretch that
#   ends at $t - 2^k$ in front of its own. So in every round the stretches get twice as long, until they reach token 0.
# - **The tree** (Blelloch, 1990; here in the form of Brent and Kung, 1982): first combine neighbors, then pairs of
#   neighbors, and so on up; then pass what is known down again to the tokens that were left out.


# %%
def combine(first, then):  # (4.1)
    (a1, b1), (a2, b2) = first, then
    return a2 * a1, a2 * b1 + b2


def scan(pairs, rounds):
    """All b after the last round; (i, t) in a round puts what i holds in front of what t holds."""
    for at_once in rounds:
        before, pairs = pairs, list(pairs)
        for i, t in at_once:
            pairs[t] = combine(before[i], before[t])
    return [b for _, b in pairs]


def schedules(N):
    widths = [2**k for k in range((N - 1).bit_length())]
    up = [[(t - w, t) for t in range(2 * w - 1, N, 2 * w)] for w in widths]
    down = [[(t - w, t) for t in range(3 * w - 1, N, 2 * w)] for w in reversed(widths)]
    return {
        "the loop": [[(t - 1, t)] for t in range(1, N)],
        "doubling": [[(t - w, t) for t in range(w, N)] for w in widths],
        "the tree": [at_once for at_once in up + down if at_once],
    }


# %%
a, b = rng.uniform(0.5, 1.0, size=(N, r)), rng.normal(size=(N, r))  # each state entry by itself
a[9] = 0.0
h, states = np.zeros(r), []
for t in range(N):
    h = a[t] * h + b[t]
    states.append(h)

pairs = list(zip(a, b, strict=True))
for name, rounds in schedules(N).items():
    compare.assert_same(recurrence=states, **{name.replace(" ", "_"): scan(pairs, rounds)})
early, late = combine(combine(*pairs[:2]), pairs[2]), combine(pairs[0], combine(*pairs[1:3]))
compare.assert_same(brackets_to_the_left=early, brackets_to_the_right=late)

# %% [markdown]
# Now count the rounds, which is the time on a machine with enough processors, and the combinations in all rounds, which
# is the work. Take 16 tokens.

# %%
predict("02_intuition-scan")

# %%
title = "Three ways to the state after each of 16 tokens: fewer rounds, more work"
figures.scan_rounds(schedules(16), 16, title=title)

# %%
counted = {}
for tokens in (16, 1024):
    for name, rounds in schedules(tokens).items():
        counted[name, tokens] = len(rounds), sum(map(len, rounds))
        depth, work = counted[name, tokens]
        print(f"{tokens:5} tokens, {name}: {depth:4} rounds, {work:5} combinations")
    log2 = tokens.bit_length() - 1
    assert counted["the loop", tokens] == (tokens - 1, tokens - 1)
    assert counted["doubling", tokens] == (log2, tokens * log2 - tokens + 1)
    assert counted["the tree", tokens] == (2 * log2 - 1, 2 * tokens - 2 - log2)

# %% [markdown]
# **Learned:** doubling needs $\log_2 N$ rounds and fewer than $N \log_2 N$ combinations; the tree needs almost twice as
# many rounds, but fewer than $2N$ combinations. So a recurrence, too, can be computed in parallel, without any
# $N \times N$ matrix. This is how Mamba-1 is trained: its kernel scans the pairs of (4.1), for each channel and each
# state entry (Gu and Dao, arXiv 2312.00752, Section 3.3).
#
# **Why did matrix products win all the same?** For two reasons.
#
# *A scan contains no matrix product.* It multiplies and adds entry by entry. The *tensor cores* of a GPU only multiply
# matrices, and most of its speed is in them: by NVIDIA's data sheet an A100 does 312 TFLOP/s in 16-bit matrix products
# and 19.5 TFLOP/s in ordinary float32 arithmetic, a sixteenth.
#
# *A scan makes every state.* Its rounds hold the states of all their tokens at once, $r$ numbers per feature for each
# token, although only $y_t = C_t h_t$ is wanted. Mamba-1's kernel keeps them in the small, fast memory on the chip, and
# its $r$ is small, too. **(4.2)** The *chunkwise* form of [03b](03b_duality.ipynb) never makes the states inside a
# chunk of $c$ tokens. There it goes through $c \times c$ scores instead, by matrix products, and it makes one state per
# chunk.
#
# The scan is not gone; only its leaves have grown. A chunk is a stretch of tokens, so it is again a pair, a decay and a
# state, and the chunkwise form scans $N/c$ such pairs (with the loop, since they are few). Part
# [04d](04d_many_machines.ipynb) passes the same pairs from machine to machine.

# %%
tokens, d_state, d_head, c = 4096, 128, 64, 256  # one head of Mamba-2
by_scan = tokens * d_state * d_head
by_chunks = costs.held("chunkwise", tokens, d_state, d_head, c)  # scores, and a state per chunk
print(f"a scan makes {by_scan:,} numbers, the chunkwise form {by_chunks:,}")
assert by_chunks == tokens * c + tokens // c * d_state * d_head < by_scan / 28  # (4.2)

# %% [markdown]
# ## 5 · What Mamba-2 gave up, and what it got
#
# **Mamba-1** gives every channel $c$ of the input and every entry $n$ of its state a decay of its own, chosen by the
# token: $a_{tcn} = e^{\Delta_{tc} A_{cn}}$. On the footpath that is easy, a product entry by entry. For the cable car
# it is a disaster: **(5.1)** each pair has its own mask, $d \cdot r$ of them, and each channel its own matrix,
#
# $$M^{(c)} = \sum_{n=1}^{r} L^{(c,n)} \circ \big(C_{:n}\, (\Delta_{:c} \circ B_{:n})^\top\big) .$$
#
# **Mamba-2** takes one decay per token for a whole head. **(5.2)** Then all masks of the head are one, all $M^{(c)}$
# are one, and $Y = M X$ is a **matrix multiplication** for all channels of the head at once, just what tensor cores do
# (Dao and Gu, arXiv 2405.21060, Section 6).
#
# **Given up:** several time scales inside one head. **(5.3)** With fixed $B$ and $C$, a diagonal $A$ fades as a sum of
# $r$ exponentials; a scalar one fades as a single exponential, of block rank 1. Mamba-2 makes up for it with many
# heads, each with its own decay, and with a larger state. ($B_t$ and $C_t$ that follow the text make no difference
# here: Mamba-1 has them too.)
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
compare.assert_same(mamba_1=mamba_1, by_masks=by_masks)  # (5.1)
print("different masks in Mamba-1:", len(np.unique(masks, axis=0)))
assert len(np.unique(masks, axis=0)) == d * r

same_delta, same_rate = np.repeat(delta[:, :1], d, axis=1), np.full((d, r), -1.0)
per_channel = selective_scan.matrix(X, same_delta, same_rate, B, C)
M = semiseparable.from_sss(-delta[:, 0], delta[:, :1] * B, C)
compare.assert_same(channel_0=per_channel[0], channel_1=per_channel[1], mamba_2=M)  # (5.2)
y_scan, _ = selective_scan.recurrent(X, same_delta, same_rate, B, C)
compare.assert_same(scan=y_scan, one_matrix_multiplication=M @ X)

# %%
lag = np.subtract.outer(np.arange(N), np.arange(N))
diagonal = np.tril(sum(rate ** np.abs(lag) for rate in (0.5, 0.7, 0.9, 0.99)))
scalar = np.tril(4 * 0.9 ** np.abs(lag))
print("block rank with fixed B and C: diagonal", semiseparable.rank(diagonal), end=", ")
print("scalar", semiseparable.rank(scalar))
assert (semiseparable.rank(diagonal), semiseparable.rank(scalar)) == (r, 1)  # (5.3)

# %% [markdown]
# <a id="correction-7"></a>
#
# > **Correction 7 · the lecture says** that Mamba costs $O(N\, d_{state}^2)$ and Mamba-2 only $O(N\, d_{state})$,
# > because the $\bar A$ of Mamba-2 is an outer product $u v^\top$.
# >
# > **In truth,** Mamba-1's $A_t$ is already *diagonal*, so it costs $O(N\, d_{state})$ per channel; $d_{state}^2$
# > would be the cost of a dense one. Mamba-2's is a number times the identity, $A_t = a_t I$, which is not an outer
# > product. And it does not win by operations: at the chunk sizes in use (64 to 256) it does *more* of them than either
# > recurrence. But they are matrix multiplications, and these are so fast that larger states become affordable.
#
# **(5.4)** An outer product would make a poor transition. After $A_t = u_t v_t^\top$ the old state is reduced to one
# number times $u_t$: however large the state, the blocks below the diagonal have rank 1.
#
# **(5.5)** These are the operations per token of one head, as [03b](03b_duality.ipynb) counts them (step 7). Mamba-1's
# recurrence takes $6\, r d + d$, Mamba-2's $5\, r d$, and the chunkwise form with chunks of $c$ tokens
# $c\,(2r + 2d + 1) + 4rd + 2rd/c + 2r + d$. For $r = d = 64$ the chunkwise form is cheapest with chunks of six tokens,
# and only from 3 to 12 tokens is it cheaper than Mamba-2's recurrence.

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
assert list(ranks.values()) == [wide, wide, 1]  # (5.4)

# %%
r = d = 64
mamba_1, recurrent = 6 * r * d + d, 5 * r * d
chunkwise = {
    c: c * (2 * r + 2 * d + 1) + 4 * r * d + 2 * r * d / c + 2 * r + d for c in range(1, 257)
}
print(f"operations per token: Mamba-1 {mamba_1:,}, Mamba-2 recurrent {recurrent:,}, ", end="")
print(", ".join(f"chunks of {c}: {chunkwise[c]:,.0f}" for c in (6, 64, 256)))
assert [c for c, cost in chunkwise.items() if cost < recurrent] == list(range(3, 13))  # (5.5)
assert min(chunkwise[c] for c in range(64, 257)) > mamba_1
assert min(chunkwise, key=chunkwise.get) == 6

# %% [markdown]
# More operations and still faster: Dao and Gu report a core layer 2 to 8 times as fast as Mamba's own fused scan (arXiv
# 2405.21060, abstract; part [05a](05a_cost.ipynb) lets you measure on your machine). The state grew as well: by default
# the published code has 16 numbers per channel in Mamba-1 and 128 in Mamba-2.
#
# ## 6 · Four matrices side by side
#
# Where do they all stand? Ask each architecture the same question: *what is your matrix?* (The course's code is built
# this way: one module per mixer, the same function names in each.)
#
# - **S4** (Gu, Goel and Ré, arXiv 2111.00396) has the same $A, B, C$ at every token, so $M_{ij}$ depends on $i - j$
#   alone: a convolution. It is fast, but it cannot choose by content. The code below has the simplest member of that
#   family, *S4D-Real* (Gu et al., arXiv 2206.11893): a real diagonal $A$, here with Euler's rule for $B$ as in Mamba.
#   The paper's own S4 starts from a HiPPO matrix and keeps it as diagonal plus low rank, in complex numbers.
# - **Mamba-1** (Gu and Dao, arXiv 2312.00752) is *selective*: $\Delta_t, B_t, C_t$ follow the input.
# - **Mamba-2** (Dao and Gu, arXiv 2405.21060) is selective too, with one decay per token and head.
# - **Softmax attention** has no recurrence with a state of fixed size.
#
# By which feature of the picture will you tell S4 from the others, and attention from the others?

# %%
predict("02_intuition-four-matrices")


# %%
def architectures(N: int) -> dict[str, np.ndarray]:
    """The matrix of each on N random tokens, with a state of four numbers where there is one."""
    B, C = rng.normal(size=(2, N, 4))
    rates, delta = -np.array([[0.1, 0.3, 1.0, 2.0]]), rng.uniform(0.1, 1, size=(N, 1))
    always, x = np.ones((N, 1)), np.zeros((N, 1))  # one channel
    s4d = selective_scan.matrix(x, 0.5 * always, rates, always * B[0], always * C[0])
    return {
        "S4D": s4d[0],
        "Mamba-1, a channel": selective_scan.matrix(x, delta, rates, B, C)[0],
        "Mamba-2": semiseparable.from_sss(-0.3 * delta[:, 0], B, C),
        "softmax attention": attention.softmax_matrix(C, B),
    }


sizes = {N: architectures(N) for N in (16, 32, 64)}
found = {}
for name, M in sizes[16].items():
    convolution = np.allclose(M[1:, 1:], M[:-1, :-1])
    ranks = [semiseparable.rank(matrices[name]) for matrices in sizes.values()]
    print(f"{name:18} same along diagonals: {convolution!s:5}  block ranks {ranks}")
    found[name] = convolution, ranks

# %%
kernels = {name: M / np.abs(M).max() for name, M in architectures(24).items()}  # largest entry 1
for name, (convolution, ranks) in found.items():
    assert convolution == (name == "S4D")
    assert ranks == ([8, 16, 32] if name == "softmax attention" else [4, 4, 4])
title = "S4D repeats along its diagonals; the others depend on the tokens"
figures.family_portrait(kernels, title=title)

# %% [markdown]
# **Learned:** three of the four pass 4 numbers per feature from past to future however long the text, and cannot keep
# everything. Attention keeps everything, and pays with a memory that grows.
#
# The explorer cuts the matrix of a mixer into chunks and gives the rank of each block.

# %%
predict("02_intuition-removing")

# %%
widgets.SemiseparableExplorer()

# %% [markdown]
# **Learned:** nothing extra has to pass. Whatever a mixer does to its state, the blocks below the diagonal have rank at
# most $r$, the number of state entries per feature.
#
# **Hybrids** take both: many SSM layers, which carry the gist at a fixed cost, and a few attention layers, which can
# look up any token exactly. Jamba, for one, has one attention layer in eight (Lieber et al., arXiv 2403.19887). The two
# kinds stack easily, because either layer maps a sequence to a sequence of the same shape. This course covers the
# ground between selective SSMs and hybrids: the duality says exactly what the two kinds of layer share, and the
# exponential what they do not.
#
# ## Recap
#
# - One map, two sides: a footpath with a state, a cable car with a matrix. Unroll to go one way, invert to go back.
# - The dense matrix is poor in information: only $r$ numbers per feature pass from past to future.
# - Query and read, key and write, mask and forgetting are two names for one thing. **The exponential of softmax is
#   not in that dictionary.**
# - A scan computes a recurrence in $\log_2 N$ rounds, or twice that with less work. But it has no matrix products, and
#   it makes every state.
# - Mamba-2 gave up one decay per state entry; it got matrix multiplications, and with them larger states.
#
# **Where next:** the [exercises](../exercises/02_intuition.ipynb) (8 points), then
# [03a · Semiseparable matrices](03a_semiseparable.ipynb), which makes "poor in information" exact.

# %% tags=["nbval-ignore-output"]
progress("02_intuition")
