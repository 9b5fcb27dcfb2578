# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · Quick start: one matrix, two readings
#
# *30 seconds to run, 12 minutes to read · ★☆☆*
#
# After this you can …
# - build the matrix this course is about, and read it both as attention and as a state-space model,
# - multiply a sequence by it in two ways, and compare what comes out,
# - say in one sentence what the duality claims and what it does not: **softmax attention is *not* a state-space model
#   with a finite state.**

# %%
import numpy as np

from lecture17 import figures, widgets
from lecture17.compare import assert_same
from lecture17.course import predict, progress

# %% [markdown]
# Go cell by cell with Shift+Enter, from the top: questions come before the cells that answer them.
#
# ## The matrix
#
# Give every token $i$ a vector $u_i$ to **read** with, and every token $j$ a vector $v_j$ to **write** with. (The
# letters are listed in the [notation table](03a_semiseparable.ipynb#notation), the terms in the
# [glossary](06_review.ipynb#glossary).) Define
#
# $$A_{ij} = u_i^\top v_j \quad\text{for } i \ge j, \qquad A_{ij} = 0 \quad\text{for } i < j .$$
#
# Row $i$ says how much output $i$ takes from each input. It takes nothing from later inputs.

# %%
rng = np.random.default_rng(17)
N, r, d = 24, 2, 3  # tokens, state entries per feature, features per token
U, V, x = rng.normal(size=(N, r)), rng.normal(size=(N, r)), rng.normal(size=(N, d))

A = np.zeros((N, N))
for i in range(N):
    for j in range(i + 1):
        A[i, j] = U[i] @ V[j]

# %% [markdown]
# ## First reading: causal linear attention
#
# Call $u_i$ a query and $v_j$ a key. Then $QK^\top$ holds all scores at once, and the causal mask keeps its lower
# triangle. The inputs $x_j$ are the values. There is no softmax: that is what *linear* means here.

# %%
Q, K = U, V
scores = np.tril(Q @ K.T)
y_attention = scores @ x

assert_same(matrix=A, masked_scores=scores)

# %% [markdown]
# ## Second reading: a state-space model
#
# Now go through the tokens one by one and carry a state $S$ of $r \times d$ numbers. Token $t$ adds the outer product
# $v_t x_t^\top$ to the state, then reads the state with $u_t$:
#
# $$S_t = S_{t-1} + v_t\, x_t^\top, \qquad y_t = u_t^\top S_t .$$

# %%
predict("00_quickstart-same-output")

# %%
S = np.zeros((r, d))
states, y_state = [], []
for t in range(N):
    S = S + np.outer(V[t], x[t])
    states.append(S)
    y_state.append(U[t] @ S)

figures.matrix_state_output(
    A,
    np.array(states),
    y_attention,
    np.array(y_state),
    title="The matrix has N² entries, the state r·d = 6 numbers; on the right, their outputs",
    name="A",
)

# %%
assert_same(attention=y_attention, state=np.array(y_state))

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# They are the same numbers. Unroll the recurrence to see why: $y_t = u_t^\top \sum_{j \le t} v_j x_j^\top
# = \sum_{j \le t} (u_t^\top v_j)\, x_j^\top$, which is row $t$ of $A$ times $x$.
#
# </details>
#
# ## Now let it forget
#
# Give each token a decay $a_t \in [0, 1]$ that shrinks the state before the token writes:
#
# $$S_t = a_t\, S_{t-1} + v_t\, x_t^\top, \qquad y_t = u_t^\top S_t .$$
#
# Token 12 gets a decay of exactly 0; the others lie between 0.6 and 1.

# %%
a = rng.uniform(0.6, 1.0, size=N)
a[12] = 0.0

S = np.zeros((r, d))
states, y_state = [], []
for t in range(N):
    S = a[t] * S + np.outer(V[t], x[t])
    states.append(S)
    y_state.append(U[t] @ S)

# %% [markdown]
# In the attention reading the decays become a **mask**: by the time token $i$ reads it, what token $j$ wrote has
# shrunk by the factor $L_{ij} = a_{j+1} a_{j+2} \cdots a_i$. So the matrix is $M = L \circ (U V^\top)$, where $\circ$
# multiplies entry by entry.

# %%
L = np.array([[np.prod(a[j + 1 : i + 1]) if i >= j else 0.0 for j in range(N)] for i in range(N)])
M = L * (U @ V.T)

assert_same(attention=M @ x, state=np.array(y_state))

# %%
predict("00_quickstart-zero-decay")

# %%
figures.matrix_state_output(
    M,
    np.array(states),
    M @ x,
    np.array(y_state),
    title="With decays, one of them zero, attention and recurrence still agree",
)

# %% [markdown]
# ## How much passes from past to future
#
# Go back to $A$, the matrix without decays. Take its block that leads from the past (columns before 12) to the future
# (rows from 12 on). The rank of this block is the number of values per feature that must pass from past to future.
# Compare it with the same block of softmax attention, made from the same queries and keys.

# %%
predict("00_quickstart-softmax-rank")

# %%
P = np.tril(np.exp(Q @ K.T))
P = P / P.sum(axis=1, keepdims=True)
for name, matrix in {"linear attention": A, "softmax attention": P}.items():
    rank = np.linalg.matrix_rank(matrix[12:, :12])
    print(f"{name:18} rank of the block from past to future: {rank}")

# %% [markdown]
# ## What this says, and what it does not
#
# **Causal linear attention with decays and a state-space model with one decay per token are the same map: one matrix,
# whose blocks below the diagonal have rank at most $r$, the number of state entries per feature.** This is Mamba-2's
# state-space duality (Dao and Gu, arXiv 2405.21060).
#
# Why did that paper surprise people? Attention and state-space models had come from different fields and looked like
# rivals. That linear attention is a recurrence was known (Katharopoulos et al., arXiv 2006.16236). The paper showed
# that selective state-space models with one decay per token are masked attention too, just without softmax. Computed
# with attention's matrix products, the core layer became 2 to 8 times as fast as Mamba's.
#
# The duality is *not* a statement about softmax attention, although the paper's title, "Transformers are SSMs", sounds
# like it. The ranks just printed are a hint: compare softmax attention's with the number of tokens in the past.
# [03b · Duality](03b_duality.ipynb) proves that no finite linear state gives the softmax weights $e^{q_i \cdot k_j}$.

# %%
assert np.linalg.matrix_rank(A[12:, :12]) == r
assert np.linalg.matrix_rank(P[12:, :12]) == N - 12

# %% [markdown]
# ## Play
#
# A *mixer* is a layer that mixes tokens. The explorer below shows a decay mask, the scores, and the matrix that a
# mixer makes of them, cut into chunks of tokens. (For Mamba-2 it writes $C$ and $B$ for our $U$ and $V$.) Its lower
# half gives the rank of each block, and the singular values of the framed block. The course introduces the mixers you
# do not know yet.
#
# Answer the question, run the next cell, then move the controls and click on blocks.

# %%
predict("00_quickstart-explorer")

# %%
widgets.SemiseparableExplorer()

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# Whatever the decay, a mixer with one state passes at most $r$ numbers per feature from chunk to chunk. Two in the menu
# pass more: softmax attention, which has no such state, and log-linear attention, which keeps several (choose chunks of
# 12 to see a block that reads from two of them). You can see that where a chunk has more than $r$ tokens; a block of
# $c$ tokens has rank at most $c$ anyway.
#
# </details>
#
# ## Recap
#
# - Built whole, the matrix $M = L \circ (UV^\top)$ is masked attention without softmax: parallel, $O(N^2)$.
# - Token by token, it is a recurrence with a state of $r \times d$ numbers: $O(N)$.
# - Softmax attention is not included: the rank of its blocks grows with $N$, so no linear state of fixed size produces
#   it.
#
# **The course from here.** It has seven zones; the dotted arrows are shortcuts.
#
# ```mermaid
# flowchart TB
#   accTitle: The zones of the course
#   accDescr: Zones 0 to 6 in order; shortcuts lead from 0 to 3, only the proof, and from 1 to 4, only the code.
#   Z0["0 · Quick start ★☆☆<br/>one matrix, two readings"] --> Z1["1 · Tour ★☆☆<br/>four relatives to play with"]
#   Z1 --> Z2["2 · Intuition ★☆☆<br/>one mountain, two sides"]
#   Z2 --> Z3["3 · Theory ★★★<br/>a ranks · b the theorem<br/>c, e the family · d what states compute"]
#   Z3 --> Z4["4 · Machines ★★★<br/>PyTorch, Triton, images, many workers"]
#   Z4 --> Z5["5 · Measured ★★☆<br/>cost, recall, language, choosing"]
#   Z5 --> Z6["6 · Review ★☆☆<br/>map, glossary, quiz"]
#   Z0 -. "only the proof" .-> Z3
#   Z1 -. "only the code" .-> Z4
# ```
#
# **Where next:** the [exercise](../exercises/00_quickstart.ipynb) (3 points), then the [tour](01_tour.ipynb) of four
# relatives. Or go straight to the theorem and its proof in [03b · Duality](03b_duality.ipynb).

# %% tags=["nbval-ignore-output"]
progress("00_quickstart")
