# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03a · Semiseparable matrices: low rank where it counts
#
# *40 minutes · ★★☆*
#
# After this you can …
# - define semiseparable matrices by their ranks, write them down in two forms, and say exactly how ranks and forms
#   are related,
# - predict the rank of a sum, a product, an entrywise product and an inverse, and say what each means for a state,
# - compute with decays in floating point, where textbook generators and cumulative sums break.
#
# **How to read.** The lines of a proof are numbered, and the cell below it checks the line with the same number.
# Before each picture you are asked to **predict** it: write down your guess first.
#
# <a id="notation"></a>
#
# ## Notation of the whole course
#
# (The words are explained in the [glossary](06_review.ipynb#glossary).)
#
# Tokens are rows, counted from 0. $M_{[s:,\,:s+1]}$ means what it means in Python: the rows from $s$ on, and the
# columns up to and including $s$.
#
# | letter | what it is | shape or range |
# | --- | --- | --- |
# | $N$, $d$ | number of tokens; features of a token | |
# | $r$ = `d_state` | numbers in the state for each feature; called $d_k$ where they belong to keys | |
# | $x$, $y$; $V$ | input and output; the input where it is called *values* ($d_v$ features) | $N \times d$ |
# | $M$ | the matrix of a mixer, $y = M x$: entry $ij$ says how output $i$ reads input $j$ | $N \times N$ |
# | $S_t$ ($h_t$) | state after token $t$, keys × values (a vector $h_t$ if there is only one feature) | $r \times d$ |
# | $A_t$; $a_t$ | transition; $a_t$ if it is one number, the *decay* | $r \times r$; $[0, 1]$; any real in 03b, 03d |
# | $B_t$, $C_t$ | how token $t$ writes to the state, and how it reads it | $r$ |
# | $K$, $Q$ | keys and queries: attention's names for $B$ and $C$, with rows $k_t$, $q_t$ | $N \times r$ |
# | $L$ | decay mask, $L_{ij} = a_i a_{i-1} \cdots a_{j+1}$ for $i \ge j$, and 0 above | $N \times N$ |
# | $u_i$, $v_j$ | generators: $M_{ij} = u_i \cdot v_j$ for $i \ge j$ (elsewhere $v_j$ may also be a value) | $r$ |
# | $z_t$, $Z_t$ | normalizer, the sum of the keys so far; the number that row $t$ is divided by | $r$; a number |
# | $\gamma$ | RetNet's decay, the same for every token | $(0, 1)$ |
# | $w_t$; $\hat\kappa_t$ | RWKV-7: decays, one per key dimension (RWKV-4: their logs); the unit key it removes | $r$ |
# | $\alpha_t$ | GLA's gate, one number for each key dimension (the lecture also writes $g$) | $r$ |
# | $\beta_t$ | how much of the value stored under a key the delta rule replaces | $[0, 1]$; up to 2 in 03c and 03d |
# | $\Delta_t$ | step size of a discretized SSM, in decays and inputs | $> 0$ |
# | $\phi$, $\psi$; $P$ | feature maps of queries and keys; normalized attention weights | |
# | $\circ$ | entrywise product | |
# | `log_a`, `log_w`, … | decays are passed as logarithms; step 7 says why | $[-\infty, 0]$ |

# %%
import numpy as np

from lecture17 import figures, widgets
from lecture17.compare import assert_same
from lecture17.course import predict, progress
from lecture17.reference import semiseparable

# %% [markdown]
# ## 1 · Which part has low rank?
#
# A causal mixer is a lower-triangular matrix. Mixers with a small state are special, and folklore says that their
# matrices have "low rank". But the rank of which part is low? Not that of the whole matrix: a triangular matrix without
# zeros on its diagonal has full rank.
#
# **Definition 1.** A lower-triangular $M$ is **$r$-semiseparable** when each block $M_{[s:,\,:s+1]}$ has rank at
# most $r$. This block holds everything that the tokens from $s$ on read from the tokens up to $s$.
#
# **(1.1) Then every block on or below the diagonal has rank at most $r$.** If its last column is $s$, its first row
# is at least $s$. So it is part of $M_{[s:,\,:s+1]}$, and the rank of a part is at most the rank of the whole.
#
# The largest rank of these blocks is called the **block rank** of $M$. (Dao and Gu, arXiv 2405.21060, Definition 3.1.
# Names differ between books: in a *quasiseparable* matrix only the blocks *strictly* below the diagonal need low
# rank. Step 3 explains the difference.)
#
# <a id="correction-5"></a>
#
# > **Correction 5 · the lecture says** that in a semiseparable matrix every row and every column has low rank.
# >
# > **In truth** a row is a single vector, so it has rank 1 (or 0) in *every* matrix, and so does a column. What is
# > special is the rank of the **blocks** on or below the diagonal.

# %%
rng = np.random.default_rng(17)
N = 24
arbitrary = np.tril(rng.normal(size=(N, N)))
special = semiseparable.from_generators(*rng.normal(size=(2, N, 3)))  # how: step 2

for name, M in {"arbitrary": arbitrary, "special": special}.items():
    rows = max(np.linalg.matrix_rank(M[[i]]) for i in range(N))
    columns = max(np.linalg.matrix_rank(M[:, [j]]) for j in range(N))
    blocks = semiseparable.rank(M)  # the largest rank of the blocks M[s:, :s+1]
    whole = np.linalg.matrix_rank(M)
    print(f"{name:9}  rows {rows}, columns {columns}, whole matrix {whole}, blocks {blocks}")
    assert rows == columns == 1
assert semiseparable.rank(special) == 3 < semiseparable.rank(arbitrary) == N // 2

# %% [markdown]
# The ranks of rows, of columns and of the whole matrix do not tell the two apart. The ranks of blocks do: 12 is the
# largest block rank that a $24 \times 24$ triangle can have.
#
# **Definition 2 (both triangles).** A square $M$ is **{p, q}-semiseparable** when $\mathrm{tril}(M)$ is
# $p$-semiseparable and $\mathrm{triu}(M)^\top$ is $q$-semiseparable. Such matrices read both ways in time, as vision
# models do (part [04c](04c_vision.ipynb)); causal mixers need Definition 1 only.
#
# The standard example is $M_{ij} = a^{\lvert i - j \rvert}$ with $a \ne 0$ and $a^2 \ne 1$; for
# $\lvert a \rvert < 1$ it fades on both sides. **(1.2)** It is {1, 1}-semiseparable, because
# $a^{i-j} = a^i \cdot a^{-j}$ in one triangle, and the other is its mirror image. Its inverse is **tridiagonal**: to
# undo the fading, a token needs only its two neighbors. *Proof.* Let $T$ have $1 + a^2$ on its diagonal (1 in both
# corners) and $-a$ beside it. Between the first row and the last, entry $ij$ of $TM$ is
# $a^{j-i}\,(-a^2 + 1 + a^2 - 1) = 0$ for $j > i$, likewise 0 for $j < i$, and
# $-a^2 + 1 + a^2 - a^2 = 1 - a^2$ for $j = i$. In the first row it is $a^j - a \cdot a^{j-1} = 0$ for $j > 0$ and
# $1 - a \cdot a$ on the diagonal; the last row is its mirror image. So $T / (1 - a^2)$ is the inverse. ∎

# %%
a = 0.8
i, j = np.indices((N, N))
fading = a ** np.abs(i - j)
T = np.diag(np.r_[1, np.full(N - 2, 1 + a**2), 1]) - a * (np.abs(i - j) == 1)

ranks = [semiseparable.rank(np.tril(half)) for half in (fading, fading.T)]
print(f"largest block rank: {ranks[0]} in the lower triangle, {ranks[1]} in the upper")
assert ranks == [1, 1]
assert_same(identity=np.eye(N), T_times_M=T @ fading / (1 - a**2))  # (1.2)

# %% [markdown]
# ## 2 · Two ways to write one down
#
# A definition by ranks does not say how to *store* such a matrix in few numbers. There are two forms.
#
# **Generators**: two vectors per token, $M_{ij} = u_i \cdot v_j$ for $i \ge j$, that is
# $M = \mathrm{tril}(U V^\top)$ with $U, V \in \mathbb R^{N \times r}$.
#
# **Sequentially semiseparable (SSS)**: two vectors and a transition per token,
#
# $$M_{ij} = C_i^\top A_i A_{i-1} \cdots A_{j+1} B_j \quad (i \ge j), \qquad A_t \in \mathbb R^{r \times r} .$$
#
# Read a column from the top: it is the response of an SSM to an impulse at token $j$. Token $j$ writes $B_j$; each
# later token transforms the state and reads it. (Dao and Gu, Definition 3.2; the form is due to Chandrasekaran et al.,
# SIAM J. Matrix Anal. Appl. 27, 2005.) `semiseparable.from_sss` builds Mamba-2's case, $A_t = a_t I$.
#
# **(2.1)** Generators are the SSS form with $A_t = I$: nothing fades. **(2.2)** If every $A_t$ is *invertible*, the
# SSS form has generators. With $P_t = A_t A_{t-1} \cdots A_1$, the product in the middle is $P_i P_j^{-1}$, so
#
# $$u_i = P_i^\top C_i, \qquad v_j = P_j^{-1} B_j .$$


# %%
def sss(A: np.ndarray, B: np.ndarray, C: np.ndarray) -> np.ndarray:
    M = np.zeros((len(B), len(B)))
    for j in range(len(B)):  # column j: what an impulse at token j leaves
        h = B[j]
        for i in range(j, len(B)):
            h = A[i] @ h if i > j else h
            M[i, j] = C[i] @ h
    return M


r = 3
A = np.linalg.qr(rng.normal(size=(N, r, r)))[0] * rng.uniform(0.7, 1, size=(N, r, 1))
B, C = rng.normal(size=(2, N, r))
M = sss(A, B, C)

no_fading = sss(np.tile(np.eye(r), (N, 1, 1)), B, C)
assert_same(generators=semiseparable.from_generators(C, B), sss_with_A_one=no_fading)  # (2.1)

P = [np.eye(r)]
for t in range(1, N):
    P.append(A[t] @ P[-1])
u = np.array([P[i].T @ C[i] for i in range(N)])
v = np.array([np.linalg.solve(P[j], B[j]) for j in range(N)])
assert_same(sss=M, generators=semiseparable.from_generators(u, v))  # (2.2)

# %% [markdown]
# ## 3 · State and rank
#
# **Claim 3a. The matrix of an SSS form with a state of $r$ numbers is $r$-semiseparable.**
#
# *Proof.* **(3.1)** For $i \ge s \ge j$ cut the product at token $s$, between what happens up to $s$ and what happens
# afterwards:
#
# $$\begin{aligned}
#   M_{ij} &= \underbrace{\left(C_i^\top A_i \cdots A_{s+1}\right)}_{\text{row } i \text{ of } O_s:\ \text{read}}
#   \;\underbrace{\left(A_s \cdots A_{j+1} B_j\right)}_{\text{column } j \text{ of } W_s:\ \text{write}} , \\
#   M_{[s:,\,:s+1]} &= O_s W_s .
# \end{aligned}$$
#
# $O_s$ has $r$ columns, so the product has rank at most $r$. ∎ Note that no $A_t$ was inverted.
#
# Now take every block of $M$ that reaches the lower left corner: its rows start at $i$, its columns end at $j$, and
# $(i, j)$ is its upper right corner.

# %%
predict("03a_semiseparable-corner-ranks")

# %%
W = np.zeros((r, 0))
for s in range(N):
    W = np.column_stack([A[s] @ W, B[s]])  # column j: what token j wrote, as it is after token s
    reads, transition = [], np.eye(r)
    for i in range(s, N):
        transition = A[i] @ transition if i > s else transition
        reads.append(C[i] @ transition)  # row i: how token i reads that
    np.testing.assert_allclose(M[s:, : s + 1], np.array(reads) @ W, atol=1e-12)  # (3.1)
print(f"(3.1) holds at each of the {N} cuts; largest block rank: {semiseparable.rank(M)}")


def corner_ranks(M: np.ndarray) -> np.ndarray:
    blocks = [[M[i:, : j + 1] for j in range(N)] for i in range(N)]
    return np.array([[np.linalg.matrix_rank(block, tol=1e-9) for block in row] for row in blocks])


ranks = {"SSS form, r = 3": corner_ranks(M), "arbitrary": corner_ranks(arbitrary)}
assert np.tril(ranks["SSS form, r = 3"]).max() == 3  # all blocks on or below the diagonal, (1.1)
title = "The rank of the block with upper right corner (i, j)"
figures.rank_map(ranks, title=title)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# As long as the corner lies on or below the diagonal, the rank is at most $r$, the number of state
# entries. Beyond the diagonal it grows. For an arbitrary triangular matrix there is no such bound.
#
# </details>
#
# **Claim 3b. Every $r$-semiseparable matrix has an SSS form with a state of at most $r$ numbers.** Together with
# Claim 3a: the block rank is the size of the smallest SSS form.
#
# First an example small enough to do by hand. All entries of its middle block are nonzero, yet its rank is 1:
#
# $$M = \begin{pmatrix} 5 & 0 & 0 \\ 1 & 3 & 0 \\ 2 & 6 & 4 \end{pmatrix}, \qquad
#   M_{[1:,\,:2]} = \begin{pmatrix} 1 & 3 \\ 2 & 6 \end{pmatrix} .$$
#
# **Predict.** How many numbers must a state keep after token 1? And if the 6 were a 7?

# %%
small = np.array([[5, 0, 0], [1, 3, 0], [2, 6, 4]])
reads = [np.array([[5], [1], [2]]), np.array([[1], [2]]), np.array([[1]])]  # O_0, O_1, O_2
writes = [np.array([[1]]), np.array([[1, 3]]), np.array([[2, 6, 4]])]  # W_0, W_1, W_2
A_small = [np.eye(1), np.array([[1]]), np.array([[2]])]  # A_0 acts on the empty state

for s in range(3):
    assert (small[s:, : s + 1] == reads[s] @ writes[s]).all()  # each block, factored
    assert s == 0 or (reads[s - 1][1:] == reads[s] @ A_small[s]).all()  # the frames in the picture

B_small, C_small = [write[:, -1] for write in writes], [read[0] for read in reads]
assert_same(M=small, sss=sss(A_small, B_small, C_small))
assert np.linalg.matrix_rank([[1, 3], [2, 7]]) == 2
figures.cuts(small, reads, writes, title="Each block is what is read times what was written")

# %% [markdown]
# **Learned:** one number suffices, since each block is a column times a row. (With a 7 the block would have rank 2,
# and the state would have to keep both inputs.) The state after token $s$ is $W_s$ times the inputs so far:
# $h_0 = x_0$, then $h_1 = x_0 + 3 x_1$, then $h_2 = 2 x_0 + 6 x_1 + 4 x_2$. So $B_s$, what token $s$ writes, is the
# last column of $W_s$; and $C_s$, how token $s$ reads, is the first row of $O_s$.
#
# The transitions come from the dashed frames, which two successive blocks share. The first column of block 1 is
# block 0 without its first row: $\binom{1}{2} = O_1 \cdot 1$, so $A_1 = 1$. The first two columns of block 2 are block
# 1 without its first row. There $O_1$ reads with 2 and $O_2$ with 1, so $A_2 = 2$. Hence $h_1 = 1 \cdot h_0 + 3 x_1$
# and $h_2 = 2 h_1 + 4 x_2$, and for example $M_{20} = C_2 A_2 A_1 B_0 = 1 \cdot 2 \cdot 1 \cdot 1 = 2$.
#
# *Proof, and an algorithm.* It is the same for every $N$ and $r$. Factor each block by an SVD,
# $M_{[s:,\,:s+1]} = O_s W_s$, with as many columns in $O_s$ as the block has rank. Let $B_s$ be the last column of
# $W_s$, and $C_s$ the first row of $O_s$. **(3.2)** The block $M_{[s:,\,:s]}$ appears twice: it is the first columns
# of block $s$, and it is block $s - 1$ without its first row. Write $O'_{s-1}$ for $O_{s-1}$ without its first row.
# Then $O_s\,(W_s)_{[:,\,:s]} = O'_{s-1} W_{s-1}$. Because $W_{s-1}$ has full row rank, the columns of $O'_{s-1}$ lie in
# the span of the columns of $O_s$: there is an $A_s$ with $O'_{s-1} = O_s A_s$. **(3.3)** Row by row this says:
# reading with row $i$ of $O_{s-1}$ is the same as transforming by $A_s$ and then reading with row $i$ of $O_s$. Do so
# for $s = j + 1, \dots, i$, where the row has become $C_i$:
# $M_{ij} = (\text{row } i \text{ of } O_j)\, B_j = C_i^\top A_i \cdots A_{j+1} B_j$. ∎
# (*Realization theory*: Dewilde and van der Veen, *Time-Varying Systems and Computations*, 1998; Dao and Gu, Section
# 3.)
#
# Now try it on a matrix that does not come from a recurrence: a **causal convolution of width 4**, like the one at the
# entrance of a Mamba block.


# %%
def realize(M: np.ndarray) -> tuple[list, list, list]:
    """A, B, C of the smallest SSS form; the number of states may change from token to token."""
    A, B, C, reads = [], [], [], np.zeros((len(M) + 1, 0))
    for s in range(len(M)):
        left, size, right = np.linalg.svd(M[s:, : s + 1], full_matrices=False)
        keep = size > 1e-10 * np.linalg.norm(M, 2)
        before, reads = reads, left[:, keep] * size[keep]  # O_{s-1}, O_s
        A.append(np.linalg.pinv(reads) @ before[1:])  # (3.2)
        B.append(right[keep, -1])
        C.append(reads[0])
    return A, B, C


kernel = np.array([0.5, 0.3, -0.4, 0.2])
convolution = sum(weight * np.eye(N, k=-lag) for lag, weight in enumerate(kernel))
A_conv, B_conv, C_conv = realize(convolution)

assert_same(convolution=convolution, sss=sss(A_conv, B_conv, C_conv))  # (3.3)
print("numbers of state after each token:", *[len(b) for b in B_conv])
assert max(len(b) for b in B_conv) == semiseparable.rank(convolution) == len(kernel)

# %% [markdown]
# The algorithm has found what an engineer would build (in some basis): a buffer with the last four inputs, the current
# one included. Toward the end it keeps fewer, because fewer outputs remain.
#
# <a id="which-rank"></a>
#
# ### Which state, which rank
#
# Three conventions are easily mixed up. The whole course uses them as follows.
#
# **State after or before the input.** The state of an SSS form, $h_t$, is the one *after* token $t$ has written, so it
# contains $x_t$. What token $t$ receives from the past is the state *before*, $h_{t-1}$. How many numbers must be
# received is the rank of the block *strictly* below the diagonal, $M_{[t:,\,:t]}$; the largest of these ranks is the
# **strict rank** of $M$. If a token may also see its own input directly,
# $y_t = C_t^\top A_t h_{t-1} + D_t x_t$, the diagonal is free, and the smallest state has as many numbers as the
# strict rank. **(3.4)** The two ranks differ by at most one,
#
# $$\text{strict rank} \;\le\; \text{block rank} \;\le\; \text{strict rank} + 1 ,$$
#
# because $M_{[s:,\,:s+1]}$ is $M_{[s:,\,:s]}$ plus one column. The identity matrix is the extreme case: it passes
# nothing on (strict rank 0), but its SSS form needs one number to hold $x_t$ (block rank 1).
#
# **$r$ or $r d$.** All these ranks count numbers *for each feature* of $x$. With $d$ features the same matrix acts on
# each of them, and the state has $r d$ numbers in all.
#
# **Exact rank or ε-rank.** The *ε-rank* of a block is the number of its singular values above
# $\varepsilon \lVert M \rVert_2$: how many numbers suffice to pass this block on with an error of at most that size.
# Claims and proofs are about exact ranks; floating point can only measure ε-ranks. Unless we say otherwise,
# $\varepsilon = N \cdot 2.2 \cdot 10^{-16}$, the rounding of float64 times $N$. The two can be far apart: step 6 of
# [03b](03b_duality.ipynb) has a mask whose blocks have full exact rank and a small ε-rank. In step 4 the same happens
# to the number of generators.


# %%
def strict_rank(M: np.ndarray) -> int:
    """The largest rank of the blocks M[s:, :s]."""
    return semiseparable.rank(np.tril(M, -1)[1:, :-1])


for name, M_any in {"SSS form": M, "convolution": convolution, "identity": np.eye(N)}.items():
    strict, block = strict_rank(M_any), semiseparable.rank(M_any)
    print(f"{name:12} strict rank {strict}, block rank {block}")
    assert strict <= block <= strict + 1  # (3.4)
assert (strict_rank(np.eye(N)), semiseparable.rank(np.eye(N))) == (0, 1)

# %% [markdown]
# [Exercise](../exercises/03a_semiseparable.ipynb) `03a_semiseparable-block-rank`: measure the ranks yourself.
#
# The explorer below starts with a mixer whose $A_t$ is a full matrix: the gated delta rule, with $r = 2$.

# %%
predict("03a_semiseparable-delta-blocks")

# %%
widgets.SemiseparableExplorer(mixer="gated delta rule", d_state=2)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# Below the diagonal Claim 3a holds for every transition. A block that crosses the diagonal is not part of
# any $M_{[s:,\,:s+1]}$, and its rank can be as large as the chunk.
#
# </details>
#
# ## 4 · Generators are the special case
#
# Put together:
#
# $$\begin{aligned}
#   r \text{ generators} &\;\Longrightarrow\; \text{SSS with decays } a_t \\
#   &\;\Longrightarrow\; \text{SSS} \;\Longleftrightarrow\; r\text{-semiseparable} .
# \end{aligned}$$
#
# The first arrow is (2.1), the second is a special case, the third is Claims 3a and 3b. **The first two cannot be
# reversed.**
#
# <a id="correction-6"></a>
#
# > **Correction 6 · the lecture says** that every semiseparable matrix has generators, $M_{ij} = u_i \cdot v_j$.
# >
# > **In truth** this can fail where a decay is zero: the identity matrix is 1-semiseparable, but needs $N$ generators.
# > (Where decays are merely small, generators exist but leave the range of floating point: step 6.) The general form
# > is SSS.
#
# *Proof.* Generators of $M$ give a **completion**: a full matrix $U V^\top$ of rank at most $r$ that agrees with $M$
# on and below the diagonal. **(4.1)** For $M = I$ it is upper triangular with ones on its diagonal, so its
# determinant is 1 and its rank is $N$. As an SSS form, $I$ needs one number: $B_t = C_t = 1$ and $a_t = 0$. ∎
#
# Now the second arrow. **(4.2)** A convolution of width 4, none of whose weights is zero, is 4-semiseparable, but with
# *scalar* decays it needs $r \ge N - 3$. Since every $M_{t,t-1} \ne 0$, no $a_t$ is zero, and by (2.2) there would be
# $r$ generators. Their completion, without its first 3 rows and its last 3 columns, is upper triangular with the last
# weight of the kernel on its diagonal: rank $N - 3$. ∎
#
# **That is an exact statement. Up to an error of $\varepsilon = 10^{-8}$, $r = 4$ is enough.** **(4.3)** Let all decays
# be the same small $a$. Let token $t$ write to address $t \bmod 4$, and let it read with
# $C_t[(t - l) \bmod 4] = w_l\, a^{-l}$ for the four weights $w_l$. For the last four tokens the decay cancels; for
# older ones a factor of $a^4$ or less remains, which is $10^{-8}$ for $a = 0.01$. As $a \to 0$ these matrices converge
# to the convolution, which is not one of them: in a limit the rank of a block cannot jump up, but the number of
# generators can. The price is large numbers: the queries contain $a^{-3} w_3$, a million times the weight. The short
# convolution in a Mamba-2 block does the same exactly, with a small buffer of its own.

# %%
zeros = np.full(N, -np.inf)  # log of the decay 0
identity = semiseparable.from_sss(zeros, np.ones((N, 1)), np.ones((N, 1)))
assert_same(identity=np.eye(N), sss_with_zero_decays=identity)
assert semiseparable.rank(identity) == 1

for _ in range(100):  # whatever stands above the diagonal
    above = np.triu(rng.normal(size=(N, N)), 1)
    assert np.isclose(np.linalg.det(np.eye(N) + above), 1)  # (4.1)
    corner = (convolution + above)[3:, : N - 3]
    assert not np.tril(corner, -1).any()
    assert np.allclose(np.diag(corner), kernel[-1])  # (4.2)
print(f"identity: a state of 1, or {N} generators; convolution: a state of 4, or at least {N - 3}")

# %%
a_small, t, address = 0.01, np.arange(N), np.eye(4)
reads = sum(w * a_small**-lag * address[(t - lag) % 4] for lag, w in enumerate(kernel))
nearly = semiseparable.from_sss(np.full(N, np.log(a_small)), address[t % 4], reads)
error = np.abs(nearly - convolution).max()
print(f"SSD with a state of four: off by {error:.0e}; largest number in a query {reads.max():.0e}")
assert error < 1e-8  # (4.3)

# %% [markdown]
# ## 5 · Arithmetic: what happens to the ranks
#
# What is the matrix of two mixers side by side, of two mixers in a row, of a mask over a mixer, of undoing a mixer?
# Let $M_1$ and $M_2$ have block ranks $r_1$ and $r_2$, and write $M^{[s]}$ for $M_{[s:,\,:s+1]}$.
#
# | matrix | block rank at most | because |
# | --- | --- | --- |
# | **(5.1)** sum $M_1 + M_2$ | $r_1 + r_2$ | $(M_1 + M_2)^{[s]} = M_1^{[s]} + M_2^{[s]}$ |
# | **(5.2)** product $M_1 M_2$ | $r_1 + r_2$ | two terms: see below |
# | **(5.3)** entrywise $M_1 \circ M_2$ | $r_1 r_2$ | each pair of terms gives one: see below |
# | **(5.4)** inverse $M_1^{-1}$ | $r_1 + 1$ | the strict rank stays, and one column is added: see below |
#
# **(5.2)** Cut the sum over the middle index at $s$, which can be done for any two matrices:
#
# $$(M_1 M_2)^{[s]} = (M_1)_{[s:,\,:s]}\,(M_2)_{[:s,\,:s+1]} + (M_1)_{[s:,\,s:]}\, M_2^{[s]} .$$
#
# The first term has rank at most $r_1$, the second at most $r_2$. **Ranks add; they do not multiply.** Two mixers in a
# row carry both states, just as two mixers side by side do.
#
# **(5.3)** Write both blocks as sums of rank-one terms. The entrywise product of two such terms,
# $p\, q^\top \circ\, p' q'^\top = (p \circ p')(q \circ q')^\top$, has rank one again, and there are $r_1 r_2$ pairs.
#
# **(5.4)** Let no diagonal entry be zero. Invert by blocks:
#
# $$(M^{-1})_{[s:,\,:s]} = -\,(M_{[s:,\,s:]})^{-1}\, M_{[s:,\,:s]}\, (M_{[:s,\,:s]})^{-1} .$$
#
# The outer factors are invertible, so the strict rank **stays the same**. Column $s$ can add one more (3.4).
#
# Try it with $r_1 = 2$ and $r_2 = 3$.

# %%
predict("03a_semiseparable-arithmetic")


# %%
def random_sss(r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    B, C = rng.uniform(0.2, 1, size=(2, N, r))
    C /= (C * B).sum(axis=1, keepdims=True)  # so that C·B, the diagonal, is 1
    return 0.5 * np.linalg.qr(rng.normal(size=(N, r, r)))[0], B, C


M1, M2 = sss(*random_sss(2)), sss(*random_sss(3))
inverse = np.linalg.inv(M1)
results = {"sum": M1 + M2, "product": M1 @ M2, "entrywise": M1 * M2, "inverse": inverse}
ranks = {name: semiseparable.rank(result) for name, result in results.items()}
print(ranks, "strict rank of the inverse:", strict_rank(inverse))

# %%
assert ranks == {"sum": 2 + 3, "product": 2 + 3, "entrywise": 2 * 3, "inverse": 2 + 1}
assert strict_rank(inverse) == strict_rank(M1) == 2

# %% [markdown]
# All four bounds are reached. What do they mean for a machine? A **product** is one SSM that feeds the next (5.5).
# With primes for $M_2$, put $z_t = C'^\top h'_t$ into $h_t = A h_{t-1} + B z_t$:
#
# $$\begin{aligned}
#   \begin{pmatrix} h \\ h' \end{pmatrix}_{\!t} &=
#   \begin{pmatrix} A & B\, C'^\top\! A' \\ 0 & A' \end{pmatrix}
#   \begin{pmatrix} h \\ h' \end{pmatrix}_{\!t-1} +
#   \begin{pmatrix} B\, C'^\top\! B' \\ B' \end{pmatrix} x_t , \\
#   y_t &= C^\top h_t .
# \end{aligned}$$
#
# An **inverse** is the same SSM solved for its input, with the same state passed on (5.6):
#
# $$x_t = \frac{y_t - C_t^\top A_t h_{t-1}}{C_t^\top B_t}, \qquad h_t = A_t h_{t-1} + B_t x_t .$$
#
# A machine that undoes a mixer passes on no more than the mixer does: all that it needs from the past is $h_{t-1}$,
# which is why the strict rank does not grow. The block rank can be $r + 1$, because $x_t$ also depends on $y_t$
# directly, not only through the state. (The **entrywise** product returns in 03b: a mask of rank 1 over scores of rank
# $r$ has rank at most $1 \cdot r$.)

# %%
(A1, B1, C1), (A2, B2, C2) = random_sss(2), random_sss(3)
M1, M2 = sss(A1, B1, C1), sss(A2, B2, C2)

mix = B1[:, :, None] * C2[:, None, :]  # B C'ᵀ for each token
A_both = np.block([[A1, mix @ A2], [np.zeros((N, 3, 2)), A2]])
B_both = np.concatenate([(mix @ B2[..., None])[..., 0], B2], axis=1)
C_both = np.concatenate([C1, np.zeros((N, 3))], axis=1)
assert_same(product=M1 @ M2, one_ssm_after_the_other=sss(A_both, B_both, C_both))  # (5.5)

x = rng.normal(size=N)
y, x_back, h = M1 @ x, np.empty(N), np.zeros(2)
for t in range(N):
    decayed = A1[t] @ h
    x_back[t] = (y[t] - C1[t] @ decayed) / (C1[t] @ B1[t])
    h = decayed + B1[t] * x_back[t]
assert_same(x=x, recovered_from_y=x_back)  # (5.6)

# %% [markdown]
# ## 6 · In floating point, generators break
#
# By (2.2) a constant decay $\lambda = 0.5$ has the generators $u_i = \lambda^i$ and $v_j = \lambda^{-j}$. Then
# $y_i = u_i \sum_{j \le i} v_j x_j$ is a single cumulative sum, without a loop. That is tempting. Try it for
# $N = 2000$ tokens in float32.
#
# The largest float32 is just below $2^{128}$, and the smallest one above zero is $2^{-149}$.

# %%
predict("03a_semiseparable-overflow")

# %%
N_long, lam = 2000, np.float32(0.5)
x = rng.normal(size=N_long).astype(np.float32)

with np.errstate(all="ignore"):
    u = lam ** np.arange(N_long, dtype=np.float32)
    v = 1 / u
    y_generators = u * np.cumsum(v * x)

h = np.zeros(N_long, dtype=np.float32)
for t in range(N_long):
    h[t] = lam * h[t - 1] + x[t] if t else x[t]

exact = np.convolve(x.astype(float), 0.5 ** np.arange(100))[:N_long]
assert_same(exact=exact, sss_recurrence_in_float32=h, tol=1e-6)
first = np.argmax(~np.isfinite(y_generators))
assert_same(exact=exact[:first], generators_before_that_token=y_generators[:first], tol=1e-6)
print(f"generators: infinite from token {first} on, ", end="")
print(f"NaN from {np.argmax(np.isnan(y_generators))}; recurrence: {np.isfinite(h).sum()} finite")
assert not np.isfinite(y_generators[first:]).any()

title = "Sizes of the generators u and v, and of the state"
log10_u = np.arange(N_long) * np.log10(0.5)
figures.generator_range(log10_u, -log10_u, h, np.float32, title=title)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# $v_{128}$ is infinite, and so is every sum that contains it. (NaN appears where infinities of both signs
# meet, or where one is multiplied by $u = 0$.) **A generator holds the product of *all* decays since token 0, and if
# they stay below some bound less than 1, this leaves the range of every floating-point type sooner or later. The SSS
# form multiplies only the decays between $j$ and $i$.** Each is at most 1, and the product underflows only where the
# true entry is too small to matter.
#
# </details>
#
# Float64 only moves the cliff, to token 1024. After a decay of exactly zero there is no $v_j$ at all, in any precision.
# The package refuses infinite generators and says where they are; `from_sss` and `matvec` cope with zero decays.

# %%
with np.errstate(all="ignore"):
    u = 0.5 ** np.arange(N_long, dtype=np.float64)
    v = 1 / u
assert np.argmax(np.isinf(v)) == 1024  # float64
try:
    semiseparable.from_generators(u[:, None], v[:, None])
except ValueError as error:
    print("ValueError:", error)

log_a = np.full(N_long, np.log(0.5))
log_a[1000] = -np.inf  # forget everything here
ones = np.ones((N_long, 1))
y = semiseparable.matvec(log_a, ones, ones, x.astype(float))
later = semiseparable.matvec(log_a[1000:], ones[1000:], ones[1000:], x[1000:].astype(float))
assert_same(from_token_1000=y[1000:], as_if_the_sequence_began_there=later)

# %% [markdown]
# **In practice** one either keeps the recurrence, or uses generators over short stretches: they start over at every
# chunk boundary, so that they span the decays of one chunk only. That is the chunkwise algorithm of
# [03b](03b_duality.ipynb). With a separate, strong decay for each *key dimension* even a chunk is too long, and GLA's
# kernels cut it once more (Yang et al., arXiv 2312.06635, Section 4).
#
# [Exercise](../exercises/03a_semiseparable.ipynb) `03a_semiseparable-generators-overflow`: find the token at which a
# formula with generators fails, and mend it.
#
# ## 7 · Sum each segment by itself
#
# The decay mask $L$ needs the sum $\log a_{j+1} + \dots + \log a_i$ of every segment. Again there is a tempting
# shortcut: one cumulative sum $c$, and then differences $c_i - c_j$.
#
# **(7.1)** $\lvert c_i \rvert$ grows with $i$, and float32 keeps 24 binary digits of it: each rounding errs by up to
# $2^{-24}\,\lvert c_i \rvert$. The difference inherits that error however short the segment is, and
# $L_{ij} = e^{c_i - c_j}$ inherits it as a *relative* error. So the error grows with the **position in the sequence**.
# `segsum` adds up each segment from zero, so its error depends on the segment alone; and where the sum of a segment is
# large, $L_{ij}$ is small.
#
# **(7.2)** Hence `segsum` does not depend on where the sequence began: for the end of a long sequence it gives, bit for
# bit, what it gives for that end alone. (The authors of Mamba publish both versions, as `segsum_unstable` and `segsum`,
# in `mamba_ssm/modules/ssd_minimal.py` of their repository. Theirs adds up in the type of its input, ours in float64.)
#
# Compare the two on the last 64 of 4096 tokens, in float32. Then replace one decay in the middle: first by
# $\log a = -10^9$, the "as good as zero" that people write into attention masks, then by a true zero,
# $\log a = -\infty$.


# %%
def errors(log_a: np.ndarray, last: int = 64) -> list[float]:
    """Largest error of the mask between the last tokens, by differences and by segments."""
    c, tail = np.cumsum(log_a)[-last:].astype(float), log_a[-last:]  # c: added up in float32
    exact = np.exp(semiseparable.segsum(tail.astype(float)))
    terms = np.tril(np.repeat(tail[:, None], last, axis=1), -1)
    segments = np.cumsum(terms, axis=0)  # as segsum does it, but in float32 throughout
    with np.errstate(all="ignore"):
        masks = [np.exp(c[:, None] - c), np.exp(segments.astype(float))]
    return [float(np.abs(np.where(np.tri(last), mask, 0) - exact).max()) for mask in masks]


# %%
predict("03a_semiseparable-segsum")


# %%
def log_decays(N: int) -> np.ndarray:
    return -np.log1p(np.exp(rng.normal(size=N))).astype(np.float32)  # Mamba-2's, with A = -1


def order(error: float) -> str:
    return f"1e{round(np.log10(error)):+03d}" if np.isfinite(error) else "NaN"


for middle in (None, -1e9, -np.inf):
    log_a = log_decays(4096)
    if middle is not None:
        log_a[2048] = middle
    differences, segments = map(order, errors(log_a))
    print(f"log_a[2048] = {log_a[2048]:6.2g}: differences {differences:5} segments {segments}")

whole = semiseparable.segsum(log_a[2000:])  # the zero decay is in it
assert np.array_equal(whole[-64:, -64:], semiseparable.segsum(log_a[-64:]))  # (7.2)

# %%
lengths = [64, 256, 1024, 4096]
by_length = np.array([np.max([errors(log_decays(N)) for _ in range(8)], axis=0) for N in lengths])
by_differences, by_segments = by_length.T
assert by_differences[-1] > 1000 * by_segments[-1]  # at 4096 tokens
assert by_differences[-1] > 10 * by_differences[0]  # it grows with the length
assert by_segments.max() < 1e-6
figures.error_growth(
    lengths,
    {"differences of one cumulative sum": by_differences, "segment sums in float32": by_segments},
    title="Differences lose digits with every token before them; segment sums do not",
)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# At 4096 tokens, differences lose three to four digits. After a decay written as $-10^9$ they lose all of
# them (float32 cannot tell $10^9$ from $10^9 + 10$, so nothing seems to decay any more), and after a true zero
# $\infty - \infty$ gives NaN. Segment sums, also in float32, stay accurate to a few roundings.
#
# </details>
#
# [Exercise](../exercises/03a_semiseparable.ipynb) `03a_semiseparable-segsum`: write it, safe for $-\infty$.
#
# ## Recap
#
# - **Semiseparable** means that the *blocks* on or below the diagonal have low rank; rows and columns say nothing.
# - The block rank **is** the size of the smallest SSS form, which an SVD of each block finds. What must be passed on
#   from token to token is the strict rank: the same, or one less.
# - SSS is the general form. Generators exist where no decay is zero, but overflow. Low block rank survives limits; a
#   small number of generators does not: with $r = 4$, SSD comes as close to a convolution as you like, but not to it.
# - Bounds on ranks add in sums *and* products and multiply in entrywise products. An inverse keeps the strict rank.
# - Pass decays as logs, and sum each segment by itself.
#
# **Where next:** the [exercises](../exercises/03a_semiseparable.ipynb) (12 points), then
# [03b · Duality](03b_duality.ipynb): a theorem about masks of block rank 1.

# %% tags=["nbval-ignore-output"]
progress("03a_semiseparable")
