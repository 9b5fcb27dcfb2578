# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03b · Duality: the theorem, proved step by step
#
# *45 minutes · ★★★*
#
# After this you can …
# - prove, in both directions, that a state-space model with one decay per token **is** masked attention without
#   softmax, with a mask of block rank 1,
# - say exactly why softmax attention is **not** a finite-state SSM, and measure how far it is from one,
# - derive the chunkwise algorithm from the blocks of one matrix, and choose its chunk size from its costs.
#
# **How to read.** The lines of a proof are numbered, and the cell below the proof checks the line with the same number:
# if the line were false, the cell would fail. Before each picture you are asked to **predict** it. Write down your
# guess: it takes seconds, and the difference between guess and picture is what you will remember.
#
# **Letters.** The $N$ tokens are rows. The state $S_t$ is keys × values; $B_j \in \mathbb R^r$ writes to it and
# $C_i \in \mathbb R^r$ reads it, $r$ is `d_state`, and $a_t = e^{\texttt{log\_a}[t]}$ is the decay at token $t$. A
# product such as $a_i a_{i-1} \cdots a_{j+1}$ is 1 when it is empty ($i = j$). All letters: the
# [notation table](03a_semiseparable.ipynb#notation); all words: the [glossary](06_review.ipynb#glossary).

# %%
import numpy as np

from lecture17 import costs, figures, widgets
from lecture17.compare import assert_same
from lecture17.course import predict, progress
from lecture17.reference import attention, linear_attention, semiseparable, ssd

# %% [markdown]
# ## 1 · Causal linear attention is a recurrence
#
# Attention must keep every key, because each new query meets every old key. **If a score is a plain product
# $q_t \cdot k_j$ of (positive) features, the query can be pulled out of the sum, and the rest can be added up as the
# tokens arrive.**
#
# **Claim 1.** With $S_t = S_{t-1} + k_t v_t^\top$ and $z_t = z_{t-1} + k_t$, both zero before the first token,
#
# $$y_t = \frac{\sum_{j \le t} (q_t \cdot k_j)\, v_j}{\sum_{j \le t} q_t \cdot k_j} = \frac{q_t S_t}{q_t \cdot z_t}.$$
#
# *Proof.* **(1.1)** $q_t$ does not depend on $j$. Pull it out: the numerator is $q_t \sum_{j \le t} k_j v_j^\top$,
# the denominator $q_t \cdot \sum_{j \le t} k_j$. **(1.2)** Each of the two sums is the previous one plus one term,
# which is the recurrence. ∎ (Katharopoulos et al., arXiv 2006.16236, equations 16 to 20.)
#
# Write the loop yourself: [exercise](../exercises/03b_duality.ipynb) `03b_duality-running-normaliser`.
#
# <a id="correction-3"></a>
#
# > **Correction 3 · the lecture says** the normalized scores $P_{ij} = q_i \cdot k_j / Z_i$, with
# > $Z_i = \sum_{l \le i} q_i \cdot k_l$, have the generators $u_i = q_i / \sqrt{Z_i}$ and $v_j = k_j$.
# >
# > **In truth** these give $\sqrt{Z_i}\, P_{ij}$. $Z_i$ belongs to row $i$, so all of $1/Z_i$ goes into
# > $u_i = q_i / Z_i$. No part of it can go into $v_j$, which does not depend on $i$.

# %%
rng = np.random.default_rng(17)
N, r, d = 32, 4, 3  # tokens, d_state, features of a token
Q, K = np.exp(rng.normal(size=(2, N, r)))  # positive
V = rng.normal(size=(N, d))
scores = np.tril(Q @ K.T)
Z = scores.sum(axis=1, keepdims=True)
P = scores / Z

S = np.cumsum(K[:, :, None] * V[:, None, :], axis=0)  # every S_t: (N, r, d)
z = np.cumsum(K, axis=0)  # every z_t: (N, r)
pulled_out = (Q[:, None, :] @ S)[:, 0] / (Q * z).sum(axis=1, keepdims=True)
assert_same(definition=P @ V, query_pulled_out=pulled_out)  # (1.1)

y, (S_last, z_last) = linear_attention.recurrent(Q, K, V, normalize=True)  # token by token
assert_same(definition=P @ V, recurrence=y)  # (1.2)
assert_same(sum_of_all_writes=S[-1], last_state=S_last)
assert_same(sum_of_all_keys=z[-1], last_normalizer=z_last)

assert_same(P=P, all_of_Z_on_the_row=semiseparable.from_generators(Q / Z, K))  # correction 3
lecture = semiseparable.from_generators(Q / np.sqrt(Z), K)
assert_same(lecture=lecture, P_times_root_of_Z=np.sqrt(Z) * P)
print(f"rows of P sum to 1, the lecture's rows to √Z, up to {lecture.sum(axis=1).max():.1f}")

# %% [markdown]
# ## 2 · A diagonal SSM unrolls into a semiseparable matrix
#
# Now start from the other side, with one channel of an SSM: $h_t = A_t h_{t-1} + B_t x_t$ and $y_t = C_t^\top h_t$,
# with $h_{-1} = 0$ and $A_t = \mathrm{diag}(a_t)$, one decay for each number of the state. (*LTI*, linear
# time-invariant, means that $A, B, C$ do not depend on $t$.)
#
# **Claim 2.** $y = M x$ with $M_{ij} = C_i^\top A_i A_{i-1} \cdots A_{j+1} B_j$ for $i \ge j$, and 0 above.
#
# *Proof.* **(2.1)** $h_t = \sum_{j \le t} A_t \cdots A_{j+1} B_j x_j$. This is true for $t = 0$. If it is true for
# $t - 1$, then $A_t h_{t-1}$ puts an $A_t$ in front of each term, and $B_t x_t$ is the new term $j = t$, whose product
# is empty. **(2.2)** Read the state: $y_t = C_t^\top h_t = \sum_{j \le t} M_{tj} x_j$. ∎
#
# This is the *sequentially semiseparable* (SSS) form (Dao and Gu, arXiv 2405.21060, Definition 3.2). For an LTI
# system $M_{ij} = C^\top A^{i-j} B$ depends on $i - j$ alone: a convolution.

# %%
a = rng.uniform(0.5, 1.0, size=(N, r))  # the diagonal of A_t
B, C, x = rng.normal(size=(N, r)), rng.normal(size=(N, r)), rng.normal(size=N)


def decay(i: int, j: int) -> np.ndarray:
    """The diagonal of A_i … A_{j+1}."""
    return a[j + 1 : i + 1].prod(axis=0)


h = np.zeros((N, r))
for t in range(N):
    h[t] = (a[t] * h[t - 1] if t else 0) + B[t] * x[t]

unrolled = np.array([sum(decay(t, j) * B[j] * x[j] for j in range(t + 1)) for t in range(N)])
assert_same(recurrence=h, unrolled=unrolled)  # (2.1)

M = np.array([[C[i] @ (decay(i, j) * B[j]) if i >= j else 0.0 for j in range(N)] for i in range(N)])
assert_same(recurrence=(C * h).sum(axis=1), matrix=M @ x)  # (2.2)

# %% [markdown]
# **(2.3) Everything the future knows of the past passes through $r$ numbers.** Cut the sequence before token $s$. For
# $i \ge s > j$ the product splits at the cut,
#
# $$\begin{aligned}
#   M_{ij} &= \underbrace{\left(C_i^\top A_i \cdots A_s\right)}_{\text{row } i \text{ of } O_s:\ \text{read}}
#   \;\underbrace{\left(A_{s-1} \cdots A_{j+1} B_j\right)}_{\text{column } j \text{ of } W_s:\ \text{write}} , \\
#   M_{[s:,\,:s]} &= O_s W_s ,
# \end{aligned}$$
#
# where $O_s$ has $r$ columns and $W_s$ has $r$ rows. So the block has rank at most $r$, and $W_s x_{[:s]}$ is the state
# $h_{s-1}$ itself. **The rank of a block below the diagonal is the number of values per feature that must be passed on
# to compute it.** A cut one column farther to the right splits the blocks that touch the diagonal in the same way. If
# all of those have rank at most $r$, the matrix is called *$r$-semiseparable*. (Which blocks count what:
# [03a](03a_semiseparable.ipynb#which-rank).)

# %%
s = 20
O_s = np.array([C[i] * decay(i, s - 1) for i in range(s, N)])  # how the future reads
W_s = np.array([decay(s - 1, j) * B[j] for j in range(s)]).T  # what the past wrote

assert_same(block=M[s:, :s], read_times_write=O_s @ W_s)
assert_same(state=h[s - 1], written_by_the_past=W_s @ x[:s])
print(f"largest rank of a block on or below the diagonal: {semiseparable.rank(M)}, d_state: {r}")
assert semiseparable.rank(M) == r

# %% [markdown]
# <a id="correction-4"></a>
#
# > **Correction 4 · the lecture says** the generators of an LTI system with $A = V \Lambda V^{-1}$ are
# > $u_i = C V \Lambda^i$ and a $v_j$ that contains $x_j$, and it keeps a $\Lambda^{i-j}$ between the two as well.
# >
# > **In truth** that counts the distance $i - j$ twice and the input twice. The generators are
# > $u_i = C V \Lambda^i$ and $v_j = \Lambda^{-j} V^{-1} B$, with nothing in between; $x$ is what the matrix is
# > multiplied by, not part of the matrix. With $x_j$ inside $v_j$ the map is not even linear: doubling the input
# > quadruples the output.

# %%
T, steps = 12, np.arange(12)
lam, V_eig = np.array([0.9, 0.8, 0.7, 0.6]), rng.normal(size=(r, r))
A = V_eig @ np.diag(lam) @ np.linalg.inv(V_eig)
impulse = [C[0] @ np.linalg.matrix_power(A, k) @ B[0] for k in range(T)]
lti = np.array([[impulse[i - j] if i >= j else 0.0 for j in range(T)] for i in range(T)])

u = (C[0] @ V_eig) * lam ** steps[:, None]
v = np.linalg.solve(V_eig, B[0]) * lam ** -steps[:, None]
assert_same(definition=lti, generators=semiseparable.from_generators(u, v))


def lecture_map(x: np.ndarray) -> np.ndarray:
    between = lam ** (steps[:, None, None] - steps[None, :, None])  # Λ^{i-j}, (T, T, r)
    return np.tril(np.einsum("ir,ijr,jr->ij", u, between, v * x[:, None])) @ x


x_short = x[:T]
assert_same(true_map_of_2x=lti @ (2 * x_short), twice=2 * (lti @ x_short))
assert_same(lecture_map_of_2x=lecture_map(2 * x_short), four_times=4 * lecture_map(x_short))

# %% [markdown]
# ## 3 · One decay per token: the matrix is a mask over scores
#
# Mamba-2 takes $A_t = a_t I$, one number per token. **A number commutes with everything, so the decays can be moved out
# of the product $C_i^\top \cdots B_j$, where they become a mask.** **(3.1)**
#
# $$\begin{aligned}
#   M_{ij} &= C_i^\top (a_i \cdots a_{j+1} I)\, B_j
#   = \underbrace{(a_i \cdots a_{j+1})}_{L_{ij}}\,(C_i \cdot B_j) , \\
#   M &= L \circ (C B^\top) :
# \end{aligned}$$
#
# scores $C_i \cdot B_j$ (query times key), a causal mask $L$ that also fades, and no softmax.
#
# **(3.2)** With a separate decay for each of the $r$ numbers of the state, as in step 2, there is a mask for each:
# $M = \sum_n L^{(n)} \circ (C_{:n} B_{:n}^\top)$. Mamba-2 needs only one mask because all numbers of its state share
# one decay.
#
# In the next cell token 20 has decay zero, as one would mark the boundary between two documents that are packed into
# one sequence. A leak across it would be easy to miss.
#
# Then: [exercise](../exercises/03b_duality.ipynb) `03b_duality-ssd-parallel`.

# %%
predict("03b_duality-zero-decay")

# %%
log_a = np.log(rng.uniform(0.8, 1.0, size=N))
log_a[20] = -np.inf
L = np.exp(semiseparable.segsum(log_a))  # L[i, j] = a_i … a_{j+1}

impulses = np.eye(N)  # feed every unit vector through the recurrence: what comes out is its matrix
M_ssd, _ = ssd.recurrent(impulses, log_a, B, C)
assert_same(recurrence=M_ssd, masked_scores=L * (C @ B.T))  # (3.1)

masks = [np.exp(semiseparable.segsum(np.log(a[:, n]))) for n in range(r)]
r_masks = sum(masks[n] * np.outer(C[:, n], B[:, n]) for n in range(r))
assert_same(diagonal_ssm=M, sum_over_r_masks=r_masks)  # (3.2)

title = "The mask, the scores, and their entrywise product"
figures.mask_times_gram(L, C @ B.T, title=title)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# $L$ knows when, $C B^\top$ knows what, and $M$ is their entrywise product. The zero decay at token 20
# empties the block in which tokens from 20 on would read tokens before 20, and nothing else.
#
# </details>
#
# ## 4 · The theorem, in both directions
#
# Call $L$ *1-semiseparable* when every block $L_{[s:,\,:s+1]}$ has rank at most 1.
#
# **Theorem** (Dao and Gu, arXiv 2405.21060, Section 5). Let $B, C$ be $N \times r$ matrices.
#
# **(⇒)** The SSM $S_t = a_t S_{t-1} + B_t x_t^\top,\; y_t = C_t S_t$ is the masked attention
# $y = (L \circ C B^\top)\, x$ with $L_{ij} = a_i \cdots a_{j+1}$, and this mask is 1-semiseparable.
#
# **(⇐)** If $L$ is lower triangular and 1-semiseparable, then $y = (L \circ C B^\top)\, x$ is an SSM with one real
# number $a_t$ per token, of either sign and any size. If $L$ has no zero on its diagonal, the SSM has
# $a_t = L_{t,t-1} / L_{tt}$, writes with $B_t$ and reads with $L_{tt} C_t$.
#
# *Proof of (⇒).* The formula is (3.1). **(4.1)** For $i \ge s \ge j$ the product $a_i \cdots a_{j+1}$ splits at
# $s$: $L_{ij} = L_{is} L_{sj}$. So the block is a column times a row,
# $L_{[s:,\,:s+1]} = L_{[s:,\,s]}\, L_{[s,\,:s+1]}$, and its rank is at most 1. ∎
#
# *Proof of (⇐).* Forget the decays: all that we know of $L$ is its ranks. First suppose that no diagonal entry is zero.
#
# **(4.2) Rank 1 means that every 2 × 2 minor vanishes.** In the block $L_{[s:,\,:s+1]}$ take the rows $s, i$ and the
# columns $j, s$, for $i \ge s \ge j$:
#
# $$\begin{vmatrix} L_{sj} & L_{ss} \\ L_{ij} & L_{is} \end{vmatrix} = 0
#   \quad\Longrightarrow\quad L_{ss} L_{ij} = L_{is} L_{sj} .$$
#
# **(4.3) The minors rebuild the decays.** Divide each row by its diagonal entry: $L'_{ij} = L_{ij} / L_{ii}$, so that
# $L'_{ss} = 1$ and (4.2) reads $L'_{ij} = L'_{is} L'_{sj}$. Define $a_t = L'_{t,t-1}$ and take $s = i - 1$:
#
# $$\begin{aligned}
#   L'_{ij} &= a_i\, L'_{i-1,j} = a_i a_{i-1}\, L'_{i-2,j} \\
#   &= \dots = a_i a_{i-1} \cdots a_{j+1} .
# \end{aligned}$$
#
# We divided by nothing but the diagonal, so a decay may well be zero.
#
# The next cell checks (4.1) on the mask of step 3. For (4.2) and (4.3) it takes a mask that was not made from decays:
# an outer product of numbers of both signs, cut in two by a block of zeros.

# %%
for s in range(N):
    np.testing.assert_allclose(L[s:, : s + 1], np.outer(L[s:, s], L[s, : s + 1]), rtol=1e-12)
print(f"(4.1) holds at each of the {N} cuts; block rank of L: {semiseparable.rank(L)}")

signs = rng.choice([-1.0, 1.0], size=(2, N))
L_given = np.tril(np.outer(*(signs * rng.uniform(0.5, 1.5, size=(2, N)))))
L_given[20:, :20] = 0
assert semiseparable.rank(L_given) == semiseparable.rank(L) == 1

i, s, j = np.array([(i, s, j) for i in range(N) for s in range(i + 1) for j in range(s + 1)]).T
left, right = L_given[s, s] * L_given[i, j], L_given[i, s] * L_given[s, j]
assert_same(L_ss_L_ij=left, L_is_L_sj=right)  # (4.2)

diagonal = np.diag(L_given)
a_found = np.append(0.0, np.diag(L_given, -1) / diagonal[1:])  # a_0 acts on the empty state
rebuilt = [[a_found[j + 1 : i + 1].prod() if i >= j else 0 for j in range(N)] for i in range(N)]
assert_same(L_unit=L_given / diagonal[:, None], products_of_decays=rebuilt)  # (4.3)
print(f"decays found: from {a_found.min():.2f} to {a_found.max():.2f}, and 0 at the cut")
assert a_found[20] == 0

# %% [markdown]
# **(4.4) What was divided out goes to the reader.** By (4.3) and (3.1),
#
# $$\begin{aligned}
#   L_{ij}\,(C_i \cdot B_j) &= L'_{ij}\,(L_{ii} C_i) \cdot B_j \\
#   &= a_i \cdots a_{j+1}\,(L_{ii} C_i) \cdot B_j
# \end{aligned}$$
#
# is the matrix of the SSM that has the decays $a_t$, writes $B_t$ and reads $L_{tt} C_t$.
#
# **(4.5) If there is a zero on the diagonal**, the minors say less. But Claim 3b of [03a](03a_semiseparable.ipynb)
# gives an SSS form of $L$ with a state of one number, $L_{ij} = c_i\, a_i \cdots a_{j+1}\, b_j$. So
# $L_{ij}\,(C_i \cdot B_j) = a_i \cdots a_{j+1}\,(c_i C_i) \cdot (b_j B_j)$: the SSM writes $b_t B_t$ and reads
# $c_t C_t$. ∎
#
# **One matrix, two ways to multiply by it: that is the duality.** The theorem says nothing about softmax, and nothing
# about a separate decay for each number of the state, which needs $r$ masks (3.2).
#
# The explorer below builds the matrix of any mixer of the course, cuts it into chunks, and gives the rank of each
# block. (The colors are the four steps of the algorithm in step 7.) Move the controls, click on blocks, and compare
# with softmax. Where do ranks fall below $r$, and why?

# %%
predict("03b_duality-explorer")

# %%
X = rng.normal(size=(N, d))
S = np.zeros((r, d))
y_ssm = np.empty((N, d))
for t in range(N):
    S = a_found[t] * S + np.outer(B[t], X[t])
    y_ssm[t] = (diagonal[t] * C[t]) @ S

assert_same(masked_attention=(L_given * (C @ B.T)) @ X, ssm=y_ssm)

c, b = rng.normal(size=(2, N, 1))
c[5] = b[9] = 0.0  # two zeros on the diagonal
a_cut = np.where(np.arange(N) == 20, -np.inf, 0.0)  # logs: a is 1, and 0 at token 20
L_zero = semiseparable.from_sss(a_cut, b, c)
assert semiseparable.rank(L_zero) == 1
by_ssm, _ = ssd.recurrent(X, a_cut, b * B, c * C)
assert_same(masked_attention=(L_zero * (C @ B.T)) @ X, ssm=by_ssm)  # (4.5)

widgets.SemiseparableExplorer()

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# Every mixer with one state keeps to $r$ numbers for each feature, even those that one mask does not describe. Softmax
# attention has no such state. Log-linear attention keeps several, and a block that reads from more than one of them has
# a higher rank: choose chunks of 12. A rank falls below $r$ for one of three reasons: decays have faded the block into
# rounding, a chunk has fewer than $r$ tokens, or *removals* have emptied the state. The delta rule with $\beta = 1$
# removes everything that a key recalls, so one direction of the old state does not survive the token: with $r = 2$ and
# no decay, its blocks between chunks have rank 1. (The explorer draws each $\beta$ below 1, where this does not
# happen.)
#
# </details>
#
# ## 5 · The converse: a bounded state forces low ranks
#
# Could a mask of high block rank be computed with a small *state*? **No.**
#
# **Claim 5.** If a causal $y = M x$ can be computed by carrying $p$ numbers from token to token, linear in the
# inputs so far, then the [strict rank](03a_semiseparable.ipynb#which-rank) of $M$ is at most $p$: every block
# $M_{[s:,\,:s]}$ has rank at most $p$.
#
# *Proof.* **(5.1)** Before token $s$ the state is $W x_{[:s]}$, where $W$ has $p$ rows, and from there on the past acts
# only through the state. Feed zeros from $s$ on. Inputs with $W x_{[:s]} = 0$ leave the state at zero, as if there had
# been no input, so the output is 0. Hence $M_{[s:,\,:s]}$ vanishes wherever $W$ does, which means
# $M_{[s:,\,:s]} = O W$ for some $O$: its rank is at most $p$. ∎ Definition 1 counts one column more, so $M$ is
# $(p + 1)$-semiseparable. (Linearity matters: one real number of unlimited precision could hide all inputs in its
# digits.)
#
# **(5.2)** In particular, an *autoregressive* mask of order $p$,
# $y_t = \mu_t x_t + \sum_{k=1}^{p} \ell_{tk}\, y_{t-k}$, has the last $p$ outputs as its state, so its strict rank is
# at most $p$ (Dao and Gu, Section 5.2). **(5.3)** Masked attention with such a mask has strict rank at most $p\,r$,
# because the rank of an entrywise product is at most the product of the ranks. Conversely, if $L \circ C B^\top$ is to
# have a bounded state for *every* $B$ and $C$, take $C B^\top$ to be all ones: $L$ itself must have one.


# %%
def block_rank(M: np.ndarray) -> int:
    """Rank, up to rounding, of the block from the first half of the tokens to the second."""
    singular_values = semiseparable.block_singular_values(M, len(M) // 2)
    return int((singular_values > len(M) * np.finfo(float).eps * np.linalg.norm(M, 2)).sum())


p = 2
mu, ell = rng.uniform(0.5, 1, size=N), rng.uniform(-0.6, 0.6, size=(N, p + 1))
L_ar = np.zeros((N, N))
for t in range(N):  # row t of the mask is the answer of y_t to every unit vector
    L_ar[t] = mu[t] * np.eye(N)[t] + sum(ell[t, k] * L_ar[t - k] for k in range(1, min(p, t) + 1))

print(f"rank from half to half, autoregressive mask of order {p}: {block_rank(L_ar)}")
print(f"  its entrywise product with scores of rank {r}: {block_rank(L_ar * (C @ B.T))}")
assert block_rank(L_ar) == p  # (5.2)
assert block_rank(L_ar * (C @ B.T)) <= p * r  # (5.3)

# %% [markdown]
# **A fast algorithm does not require a small state.** Masked attention, with any mask $L$, is one sum:
#
# $$y_{id} = \sum_{j,\,n} C_{in}\, B_{jn}\, L_{ij}\, x_{jd} ,$$
#
# or `einsum("in,jn,ij,jd->id", C, B, L, x)`. **(5.4)** It may be summed in either order. Over $n$ first: that is
# attention, with an $N \times N$ matrix of scores. Or over $j$ first:
#
# $$\begin{aligned}
#   U_{jnd} &= B_{jn}\, x_{jd} && \text{write,} \\
#   H_{ind} &= \textstyle\sum_j L_{ij}\, U_{jnd} && \text{fade,} \\
#   y_{id} &= \textstyle\sum_n C_{in}\, H_{ind} && \text{read.}
# \end{aligned}$$
#
# Only the middle line mixes tokens: it multiplies $L$ by $r d$ columns. **So every mask with a fast product gives
# masked attention with a fast form.** (You met *write, fade, read* in part [02](02_intuition.ipynb). Dao and Gu,
# Section 4.3, call masked attention with such a mask *structured masked attention*.)
#
# - If $L$ is a decay mask, the product is a recurrence, and $H_i$ is the state $S_i$: the theorem of step 4 once more.
# - **(5.5)** If $L_{ij}$ depends on $i - j$ alone (a *Toeplitz* matrix), the product is $r d$ convolutions, each
#   $O(N \log N)$ by FFT. A mask that fades as a power, $L_{ij} = 1 / (1 + i - j)$, is of this kind. It is fast, but the
#   FFT needs the whole sequence at hand: there is no bounded state, and the ranks say so.

# %%
distance = np.abs(np.subtract.outer(np.arange(N), np.arange(N)))
L_power = np.tril(1 / (1 + distance))

U = np.einsum("jn,jd->jnd", B, X)  # write
H = np.einsum("ij,jnd->ind", L_power, U)  # fade
assert_same(
    one_sum=np.einsum("in,jn,ij,jd->id", C, B, L_power, X),
    scores_first=(L_power * (C @ B.T)) @ X,
    mask_first=np.einsum("in,ind->id", C, H),  # read
)  # (5.4)
S_last = ssd.recurrent(X, log_a, B, C)[1]
assert_same(decay_mask_applied=np.einsum("ij,jnd->ind", L, U)[-1], last_state=S_last)

mask_spectrum = np.fft.rfft(L_power[:, 0], n=2 * N)[:, None, None]  # padded: no wrap-around
H_fft = np.fft.irfft(mask_spectrum * np.fft.rfft(U, n=2 * N, axis=0), axis=0)[:N]
assert_same(matrix=H, fft=H_fft)  # (5.5)

print(f"power-law mask, rank from half to half: {block_rank(L_power)}, of {N // 2} possible")
assert block_rank(L_power) > p * r

# %% [markdown]
# ## 6 · Softmax attention is outside
#
# The scores of softmax attention are $e^{q \cdot k}$. Can they be written as $\phi(q) \cdot \psi(k)$ with finite
# $\phi$ and $\psi$? Then step 1 would turn softmax attention into a recurrence.
#
# <a id="correction-1"></a>
#
# > **Correction 1 · the lecture says** $\exp(q^\top k) = \exp(q)^\top \exp(k)$, entry by entry.
# >
# > **In truth** the two sides differ for nearly all $q$ and $k$, and no other finite feature map works either
# > (Claim 6). For $q = k = 0$ in four dimensions the left side is 1 and the right side is 4.
#
# Are the two sides ever equal? [Exercise](../exercises/03b_duality.ipynb) `03b_duality-exp-counterexample`.

# %%
q, k = np.zeros(4), np.zeros(4)
print(f"q = k = 0:  exp(q·k) = {np.exp(q @ k):.0f},  exp(q)·exp(k) = {np.exp(q) @ np.exp(k):.0f}")
assert np.exp(q @ k) != np.exp(q) @ np.exp(k)

q, k = rng.normal(size=(2, 1000, 4))
left, right = np.exp((q * k).sum(axis=1)), (np.exp(q) * np.exp(k)).sum(axis=1)
print(f"equal to 1% in {(np.abs(left / right - 1) < 0.01).sum()} of 1000 random pairs")
assert (np.abs(left / right - 1) > 1e-9).all()

# %% [markdown]
# **Claim 6. No finite feature map gives $e^{q \cdot k}$: for any $n$ distinct points $x_1, \dots, x_n$ the matrix
# $G_{ij} = e^{x_i \cdot x_j}$ has rank $n$.** With $r$ features it would have rank at most $r$.
#
# *Proof.* **(6.1)** $e^{x_i \cdot x_j} = \sum_{m \ge 0} (x_i \cdot x_j)^m / m!$. **(6.2)** A power of an inner product
# is an inner product of tensor powers, $(x_i \cdot x_j)^m = x_i^{\otimes m} \cdot x_j^{\otimes m}$. So for any
# $c \in \mathbb R^n$
#
# $$c^\top G\, c = \sum_{m \ge 0} \frac{1}{m!} \Big\| \sum_i c_i\, x_i^{\otimes m} \Big\|^2 \ge 0 .$$
#
# **(6.3)** If this is 0, then $\sum_i c_i x_i^{\otimes m} = 0$ for every $m$. Choose a direction $w$ in which the
# $t_i = w \cdot x_i$ are distinct, and take the inner product with $w^{\otimes m}$: $\sum_i c_i t_i^m = 0$ for
# $m = 0, \dots, n - 1$. This is a Vandermonde system with determinant $\prod_{i<j} (t_j - t_i) \ne 0$, so $c = 0$,
# and $G$ is positive definite. ∎
#
# **(6.4)** Give attention $n$ tokens with the keys $x_1, \dots, x_n$, then $n$ tokens with the same vectors as queries.
# The block between them is $G$ with row $i$ divided by $Z_i$, so its rank is $n$. By Claim 5 a linear state needs $n$
# numbers for each feature, and $n$ can be as large as you like. **Softmax attention is not a finite-state SSM.**

# %%
n = 6
points = rng.normal(size=(n, 3))
gram = points @ points.T
G = np.exp(gram)

terms = np.cumprod([np.ones((n, n)), *(gram / m for m in range(1, 60))], axis=0)
assert_same(G=G, power_series=terms.sum(axis=0))  # (6.1)

c = rng.normal(size=n)
tensor = np.einsum("i,ia,ib,ic->abc", c, points, points, points)  # Σ c_i x_i⊗x_i⊗x_i
assert_same(quadratic_form_of_cubes=c @ gram**3 @ c, squared_norm=(tensor**2).sum())  # (6.2)

t = points @ rng.normal(size=3)
i, j = np.tril_indices(n, -1)
vandermonde = np.linalg.det(np.vander(t, increasing=True))
assert_same(determinant=vandermonde, product=np.prod(t[i] - t[j]))  # (6.3)
assert np.linalg.matrix_rank(G) == n

# %%
twice = np.concatenate([points, points])  # n keys, then the same n vectors as queries
P = attention.softmax_matrix(twice, twice)
Z = G.sum(axis=1, keepdims=True) + np.tril(G).sum(axis=1, keepdims=True)
assert_same(attention_block=P[n:, :n], scaled_rows_of_G=G / Z)  # (6.4)
assert np.linalg.matrix_rank(P[n:, :n]) == n

# %% [markdown]
# <a id="correction-2"></a>
#
# > **Correction 2 · the lecture says** softmax attention and a linear SSM are the same map.
# >
# > **In truth** the theorem is about masked attention *without* softmax, $M = L \circ C B^\top$ with
# > 1-semiseparable $L$. The block ranks of softmax attention can grow with $N$; those of SSD stay at most `d_state`.
#
# Take random queries and keys with 8 numbers each, an SSD with `d_state` = 8, and the power-law mask of step 5, and
# keep doubling $N$. The rank of the block from the first half to the second is how many numbers per feature a
# decoder has to keep: the KV cache against a fixed state.
#
# Then: [exercise](../exercises/03b_duality.ipynb) `03b_duality-softmax-rank`.

# %%
predict("03b_duality-softmax-rank")

# %%
lengths = [16, 32, 64, 128, 256]
softmax_ranks, power_ranks, ssd_ranks = [], [], []
for length in lengths:
    q, k = rng.normal(size=(2, length, 8))
    distance = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    softmax_ranks.append(block_rank(attention.softmax_matrix(q, k)))
    power_ranks.append(block_rank(np.tril(1 / (1 + distance))))
    log_decays = np.log(rng.uniform(0.9, 1, length))
    ssd_ranks.append(block_rank(semiseparable.from_sss(log_decays, B=k, C=q)))

title = "The rank of the block from the first half to the second"
figures.block_ranks(lengths, softmax_ranks, power_ranks, ssd_ranks, title=title)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# For softmax attention the rank is as large as the block, for SSD it is `d_state`. The power-law mask lies
# in between: it needs a few more numbers each time $N$ doubles. (These are ε-ranks, with ε at rounding. The exact rank
# of the power law is full, because its blocks are Cauchy matrices.)
#
# </details>
#
# <a id="mask-before-exp"></a>
#
# > **The lecture also** sets the scores above the diagonal to zero with `tril` and then takes the softmax; and it takes
# > a softmax of SSM scores.
# >
# > **In truth** the first leaks the future: $e^0 = 1$, so every later token keeps a weight. The mask belongs in the
# > exponent, as $-\infty$. And the scores of an SSM are used as they are; a softmax over them would turn the SSM back
# > into attention, without a finite state.

# %%
assert softmax_ranks == [length // 2 for length in lengths]  # the picture above
assert ssd_ranks == [8] * len(lengths)

q, k, v = rng.normal(size=(3, 8, 4))
changed = v.copy()
changed[-1] += 1.0  # only the last token


def row_softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores)
    return weights / weights.sum(axis=1, keepdims=True)


leaky = row_softmax(np.tril(q @ k.T))
causal = row_softmax(np.where(np.tri(8, dtype=bool), q @ k.T, -np.inf))
assert_same(masked_in_the_exponent=causal, attention=attention.softmax_matrix(q, k))
print(f"token 0 gives {1 - leaky[0, 0]:.0%} of its weight to later tokens")
assert np.abs(leaky @ changed - leaky @ v)[0].max() > 0.05  # token 0 has seen token 7
assert_same(causal_before=(causal @ v)[:-1], causal_after=(causal @ changed)[:-1])

# %% [markdown]
# **A finite state can still approximate.** Take $w \sim \mathcal N(0, I)$ and $\phi_w(x) = e^{w \cdot x - |x|^2/2}$.
# Then **(6.5)**
#
# $$\mathbb E\, \phi_w(q)\, \phi_w(k) = e^{|q+k|^2/2 - |q|^2/2 - |k|^2/2} = e^{q \cdot k} ,$$
#
# because $\mathbb E\, e^{w \cdot u} = e^{|u|^2/2}$ with $u = q + k$ (FAVOR+, Choromanski et al., arXiv 2009.14794,
# Lemma 1). **(6.6)** The mean over $m$ independent draws is an inner product of $m$ features, and its error falls as
# $1/\sqrt m$. By the same formula the variance of one draw is $e^{2 q \cdot k}\,(e^{|q+k|^2} - 1)$. (FAVOR+ draws
# orthogonal $w$, which lowers the variance of the mean.)
#
# $m$ is the size of the state that replaces softmax. How large must it be? Look at the variance, too: what happens if
# the norms of queries and keys are three times as large?
#
# Then: [exercise](../exercises/03b_duality.ipynb) `03b_duality-random-features`.

# %%
directions = rng.normal(size=(2 * N, 8))
directions /= np.linalg.norm(directions, axis=1, keepdims=True)

q, k = 0.5 * directions[:2]
draws = np.exp(rng.normal(size=(100_000, 8)) @ (q + k) - (q @ q + k @ k) / 2)
sigma = np.exp(q @ k) * np.sqrt(np.exp((q + k) @ (q + k)) - 1)
print(f"exp(q·k) = {np.exp(q @ k):.3f}, mean of the draws {draws.mean():.3f}")
assert abs(draws.mean() - np.exp(q @ k)) < 4 * sigma / np.sqrt(len(draws))  # (6.5)
assert abs(draws.std() / sigma - 1) < 0.05  # (6.6)

# %%
predict("03b_duality-random-features")

# %%
def weight_error(length: float, m: int, seed: int) -> float:
    points = length * directions
    P = attention.softmax_matrix(points[:N], points[N:])
    phi = attention.random_features(points, int(m), np.random.default_rng(seed))
    weights = linear_attention.matrix(phi[:N], phi[N:], points[N:], normalize=True)
    return float(np.linalg.norm(weights - P) / np.linalg.norm(P))


n_features, errors = 2 ** np.arange(4, 12), {}
for length in (0.5, 1.5):
    squares = [[weight_error(length, m, seed) ** 2 for m in n_features] for seed in range(16)]
    errors[f"|q| = |k| = {length}"] = np.sqrt(np.mean(squares, axis=0))
assert -0.6 < np.polyfit(np.log(n_features), np.log(errors["|q| = |k| = 0.5"]), 1)[0] < -0.4
title = "Error of the normalized weights against the number of random features"
figures.random_feature_error(n_features, errors, title=title)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# At the small norm the rate is $m^{-1/2}$ (proved for each score, measured here for the normalized weights). But
# queries and keys of large norm need exponentially many features before the error is small: the sharper the attention,
# the more features it takes to imitate it.
#
# </details>
#
# ## 7 · The chunkwise algorithm: cut the matrix into blocks
#
# The cost of the parallel form grows as $N^2$; the recurrent form cannot use matrix multiplications. **Cut the sequence
# into chunks of $c$ tokens and use each form where it is good.** (Dao and Gu, Section 6.) Write $M^{(IJ)}$ for the
# block in which chunk $I$ reads chunk $J$.
#
# **(7.1)** A diagonal block is masked attention on one chunk alone: $M^{(II)} = L^{(I)} \circ (C^{(I)} B^{(I)\top})$.
#
# **(7.2)** Below the diagonal, for $I > J$, the product $a_i \cdots a_{j+1}$ splits at two borders: after chunk $J$
# and before chunk $I$:
#
# $$\begin{aligned}
#   M^{(IJ)} = {} & \underbrace{\mathrm{diag}(f^{(I)})\, C^{(I)}}_{c \times r}\;
#   \underbrace{\textstyle\prod_{J < H < I} g^{(H)}}_{\text{a number}} \\
#   & \cdot \underbrace{\big(\mathrm{diag}(e^{(J)})\, B^{(J)}\big)^{\!\top}}_{r \times c}
# \end{aligned}$$
#
# with $f$ the decay from the chunk's start to each token, $e$ from each token to the chunk's end, and $g$ over the
# whole chunk.
#
# What work can a whole row or column of blocks share? The answer is the algorithm.

# %%
predict("03b_duality-chunk-blocks")

# %%
c = 8
in_chunks = [slice(start, start + c) for start in range(0, N, c)]
log_a = np.log(rng.uniform(0.8, 1.0, size=N))
M = ssd.matrix(X, log_a, B, C)

first, last = in_chunks[1], in_chunks[3]  # chunk 3 reads chunk 1, over chunk 2
L_first = np.exp(semiseparable.segsum(log_a[first]))
within_chunk = L_first * (C[first] @ B[first].T)
assert_same(diagonal_block=M[first, first], attention_in_the_chunk=within_chunk)  # (7.1)

f = np.exp(np.cumsum(log_a[last]))[:, None]  # from the start of chunk 3
g = np.exp(log_a[in_chunks[2]].sum())  # over the whole of chunk 2
e = L_first[-1][:, None]  # to the end of chunk 1: the last row of its mask
factors = (f * C[last]) @ (g * (e * B[first]).T)
assert_same(block_below=M[last, first], three_factors=factors)  # (7.2)

title = "The blocks of M, and the steps that they come from"
figures.chunk_grid(4, title=title)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# Only the diagonal blocks are built, at a cost that grows as $c^2$. All others factor through the state,
# and share their factors along rows (read) and columns (write).
#
# </details>
#
# **The algorithm is (7.1) and (7.2) read as code, one line per step.** Steps 1, 2 and 4 are matrix multiplications,
# for all chunks at once. Step 3 is the recurrence, over $N/c$ chunks instead of $N$ tokens.
#
# | step | formula | block of $M$ |
# | --- | --- | --- |
# | 1 inside | $Y = (L \circ C B^\top)\, X$ in each chunk | diagonal |
# | 2 write | $U = (e \circ B)^\top X$ | right factor |
# | 3 pass on | $S \leftarrow g\, S + U$ | the number between |
# | 4 read | $Y \leftarrow Y + (f \circ C)\, S$ with the state before the chunk | left factor |
#
# Then write it for lengths that are not a multiple of $c$: [exercise](../exercises/03b_duality.ipynb)
# `03b_duality-ssd-chunkwise`.


# %%
def four_steps(x, log_a, B, C, c: int) -> tuple[np.ndarray, np.ndarray]:
    x_c, B_c, C_c = (array.reshape(-1, c, array.shape[1]) for array in (x, B, C))  # (chunks, c, …)
    log_a_c = log_a.reshape(-1, c)
    L = np.exp([semiseparable.segsum(log_a) for log_a in log_a_c])  # (chunks, c, c)
    f, e = np.exp(np.cumsum(log_a_c, axis=1))[..., None], L[:, -1, :, None]

    y = (L * (C_c @ B_c.mT)) @ x_c  # 1 inside
    U = (e * B_c).mT @ x_c  # 2 write, (chunks, r, d)
    S = np.zeros((len(U) + 1, *U.shape[1:]))  # the state before each chunk, and after the last
    for i in range(len(U)):
        S[i + 1] = f[i, -1] * S[i] + U[i]  # 3 pass on: f at the last token is g
    y += (f * C_c) @ S[:-1]  # 4 read
    return y.reshape(x.shape), S[-1]


y_loop, S_loop = ssd.recurrent(X, log_a, B, C)
for chunk_size in (1, 4, 8, 32):
    y_chunks, S_chunks = four_steps(X, log_a, B, C, chunk_size)
    assert_same(recurrent=y_loop, chunkwise=y_chunks)
    assert_same(last_state=S_loop, passed_on=S_chunks)

# %% [markdown]
# **What the three forms cost** for one head, counting each multiplication and each addition as one FLOP. *Numbers
# held* is what exists at one time besides inputs and outputs, if all chunks are worked on together.
#
# | form | FLOPs per token | numbers held | steps in sequence |
# | --- | --- | --- | --- |
# | parallel | $N\,(2r + 2d + 1)$ | $N^2$ | 1 |
# | recurrent | $5\,rd$ | $rd$ | $N$ |
# | chunkwise | $c\,(2r + 2d + 1) + 4rd$ <br> $+\, 2rd/c + 2r + d$ | $Nc + (N/c)\, rd$ | $N/c$ |
#
# (A masked square counts in full. Computing the decays themselves, about $c$ exponentials per token, is left out.) The
# next cell counts what NumPy really does, and compares.
#
# **(7.3)** $\alpha c + \beta / c$ is smallest at $c = \sqrt{\beta/\alpha}$. So FLOPs are fewest at
# $c = \sqrt{2rd / (2r + 2d + 1)}$, and numbers held at $c = \sqrt{rd}$.
#
# Mamba-2 is usually run with chunks of 64 to 256 tokens, and `chunk_size` is a number that you will have to set
# yourself. Which would these formulas choose?

# %%
for c in (1, 2, 8, 16, 32):
    done = costs.count(four_steps, X, log_a, B, C, c)
    assert done.flops == costs.flops("ssd", "chunkwise", N, r, d, c)
    assert N * c in done.sizes  # the diagonal blocks
    assert N // c * r * d in done.sizes  # what the chunks write


def parallel(x: np.ndarray, B: np.ndarray, C: np.ndarray) -> np.ndarray:
    return (np.exp(semiseparable.segsum(log_a)) * (C @ B.T)) @ x


def recurrent(x: np.ndarray, B: np.ndarray, C: np.ndarray) -> None:
    S = np.zeros_like(B, shape=(r, d))
    for t in range(N):
        S = np.exp(log_a[t]) * S + B[t][:, None] * x[t]
        C[t] @ S


assert costs.count(parallel, X, B, C).flops == costs.flops("ssd", "parallel", N, r, d)
assert costs.count(recurrent, X, B, C).flops == costs.flops("ssd", "recurrent", N, r, d)

# %%
predict("03b_duality-chunk-size")

# %%
long, wide = 2**20, 64  # tokens; numbers in a key and in a value of a real head
sizes = np.arange(1, 1025)
done = np.array([costs.flops("ssd", "chunkwise", long, wide, wide, c) for c in sizes])
held = np.array([costs.held("chunkwise", long, wide, wide, c) for c in sizes])
per_token = {"FLOPs per token": done / long, "numbers held per token": held / long}
fewest = [sizes[np.argmin(cost)] for cost in per_token.values()]
assert fewest == [round(np.sqrt(2 * wide**2 / (4 * wide + 1))), wide]  # (7.3)
assert held[0] / long == wide**2 + 1  # the recurrence needs wide², whatever the length
title = "What a token costs, against the size of the chunk"
figures.chunk_cost(sizes, per_token, title=title)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# By FLOPs alone the best chunk is about six tokens. At 64 tokens there are fewer than twice as many FLOPs.
# That buys matrix multiplications in place of a chain of $N$ steps, and the least memory that the chunkwise form can
# have. (The recurrence needs the least of all: $rd$ numbers in total. The curve at $c = 1$ is not the recurrence; it is
# the chunkwise form with chunks of one token, which keeps all their states.) The gain on a real machine cannot be
# counted, only measured: see part [05a](05a_cost.ipynb).
#
# </details>
#
# ## 8 · Geometry: one space of functions, two coordinate systems
#
# **The matrix is the map. $(a, B, C)$ and $(L, Q, K)$ are coordinates for it.**
#
# **(8.1)** For an invertible $r \times r$ matrix $T$ let $\tilde S_t = T S_t$. A number commutes with $T$, so
# $\tilde S_t = a_t \tilde S_{t-1} + (T B_t)\, x_t^\top$, read by $\tilde C_t = T^{-\top} C_t$. The scores do not
# change: $\tilde C \tilde B^\top = C T^{-1} T B^\top = C B^\top$. In attention: $Q \to Q T^{-1}$, $K \to K T^\top$.
#
# **(8.2)** $T$ may even change with time by a factor. Dividing $S_t$ by $f_t = a_0 a_1 \cdots a_t$ removes the
# decays altogether: $M = \mathrm{tril}\big((f \circ C)\,(B / f)^\top\big)$. **SSD without a zero decay is linear
# attention, in coordinates that shrink with the decays.** In floating point $B / f$ overflows, which is why one keeps
# the decays (part [03a](03a_semiseparable.ipynb)).
#
# In the next cell $T$ mixes the four numbers of the state at random. Remember the result before you read meaning into a
# single state entry.

# %%
predict("03b_duality-basis")

# %%
mix = rng.normal(size=(r, r))  # T
B_mixed, C_mixed = B @ mix.T, np.linalg.solve(mix.T, C.T).T
assert_same(M=M, in_another_basis=ssd.matrix(X, log_a, B_mixed, C_mixed))  # (8.1)

f = np.exp(np.cumsum(log_a))[:, None]
assert_same(M=M, without_decays=semiseparable.from_generators(f * C, B / f))  # (8.2)


def states(B: np.ndarray) -> np.ndarray:  # after each token; they do not depend on the reads
    prefixes = [ssd.recurrent(X[:t], log_a[:t], B[:t], B[:t])[1] for t in range(1, N + 1)]
    return np.array(prefixes)  # (N, r, d)


S, S_mixed = states(B), states(B_mixed)
assert_same(T_times_state=mix @ S, state_in_the_new_basis=S_mixed)
y, y_mixed = (C[:, None] @ S)[:, 0], (C_mixed[:, None] @ S_mixed)[:, 0]
title = "The state and the output, in two bases"
figures.state_in_two_bases(S, S_mixed, y, y_mixed, title=title)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# No state entry means anything by itself. What has a meaning is $M$, and both views compute it.
#
# </details>
#
# <a id="correction-17"></a>
#
# > **Correction 17 · the lecture says** $C(I - \bar A)^{-1} \bar B$ is a *continuous limit* of the SSM.
# >
# > **In truth** it is the *DC gain* of an LTI system:
# > $\sum_{k \ge 0} C \bar A^k \bar B = C (I - \bar A)^{-1} \bar B$ (eigenvalues inside the unit circle) is the sum
# > of the impulse response, and the output that a constant input of 1 leads to in the long run. It is not a limit of
# > small steps: with $\bar A = e^{\Delta A}$ and $\bar B = A^{-1}(e^{\Delta A} - I) B$ it equals $-C A^{-1} B$ for
# > *every* step size $\Delta$. With time-varying $A_t$ there is no such number.

# %%
rates = np.array([0.3, 0.7, 1.5, 3.0])  # A = -diag(rates), continuous time
gain = -C[0] @ (B[0] / -rates)  # -C A⁻¹ B
for step in (1.0, 0.1, 0.01):
    A_bar = np.exp(-step * rates)
    B_bar = (1 - A_bar) / rates * B[0]
    assert_same(minus_C_Ainv_B=gain, C_I_minus_Abar_inv_Bbar=C[0] @ (B_bar / (1 - A_bar)))

A_bar, B_bar = np.exp(-rates), (1 - np.exp(-rates)) / rates * B[0]
impulse_response = [C[0] @ (A_bar**k * B_bar) for k in range(200)]
h = np.zeros(r)
for _ in range(200):
    h = A_bar * h + B_bar * 1.0  # a constant input
assert_same(gain=gain, sum_of_impulse_response=sum(impulse_response), in_the_long_run=C[0] @ h)

# %% [markdown]
# ## What is proved, and what is only measured
#
# | statement | status |
# | --- | --- |
# | linear attention is a recurrence (1) | proved here; 2006.16236 |
# | SSM with one number $a_t$ per token ⇔ attention with a 1-semiseparable mask (4) | proved here; 2405.21060 |
# | a bounded linear state forces a bounded strict rank (5) | proved here; for autoregressive masks 2405.21060 |
# | a mask with a fast product gives a fast form (5) | proved here; 2405.21060, Section 4.3 |
# | no finite feature map for $e^{q \cdot k}$; softmax attention has no finite linear state (6) | proved here |
# | ε-rank $N/2$ for *random* queries and keys; slow growth for the power law | measured, with ε at rounding |
# | random features are unbiased, with an error of a score $\propto m^{-1/2}$ (6) | proved here; 2009.14794 |
# | the same rate for the normalized attention weights | measured |
# | FLOPs, numbers held, best chunk sizes (7) | derived, and counted; seconds are another matter |
#
# ## Recap
#
# - $M = L \circ (C B^\top)$: all at once it is masked attention, token by token an SSM, block by block the
#   chunkwise algorithm.
# - The duality holds for masks of block rank 1. Any mask that can be computed with a state of $p$ numbers is
#   $(p + 1)$-semiseparable; a fast product alone needs no small state.
# - **Softmax attention is not a finite-state SSM.** Random features approximate it, at a price that is exponential in
#   the scale of the scores.
# - The state depends on the choice of a basis; the matrix is the map.
#
# **Where next:** the [exercises](../exercises/03b_duality.ipynb) (19 points), then part [03c](03c_family.ipynb), the
# family: RetNet, GLA, the delta rule, RWKV-7 and Mamba-3 in the same notation.

# %% tags=["nbval-ignore-output"]
progress("03b_duality")
