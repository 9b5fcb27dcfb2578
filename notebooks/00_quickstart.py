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
# *30 seconds to run, 5 minutes to read · ★☆☆*
#
# After this you can …
# - build the matrix that this course is about, and read it both as attention and as a state-space model,
# - compute its product with a sequence in two ways that give the same numbers,
# - say in one honest sentence what the duality states, and what it does not: **softmax attention is *not* a state-space
#   model with a finite state.**

# %%
import numpy as np

from lecture17 import figures, widgets
from lecture17.compare import assert_same
from lecture17.course import predict

# %% [markdown]
# ## The matrix
#
# Every token $i$ gets a vector $u_i$ to **read** with, and every token $j$ a vector $v_j$ to **write** with (all
# letters stand in the [notation table](03a_semiseparable.ipynb#notation), all
# words in the [glossary](06_review.ipynb#glossary)). Put
#
# $$A_{ij} = u_i^\top v_j \quad\text{for } i \ge j, \qquad A_{ij} = 0 \quad\text{for } i < j .$$
#
# Row $i$ says how much output $i$ takes from each input; nothing is taken from later inputs.

# %%
rng = np.random.default_rng(17)
N, r, d = 24, 2, 3  # tokens, numbers of state, features of a token
U, V, x = rng.normal(size=(N, r)), rng.normal(size=(N, r)), rng.normal(size=(N, d))

A = np.zeros((N, N))
for i in range(N):
    for j in range(i + 1):
        A[i, j] = U[i] @ V[j]

# %% [markdown]
# ## First reading: causal linear attention
#
# Call $u_i$ a query and $v_j$ a key. All scores at once are $QK^\top$, and the causal mask keeps the lower triangle.
# The inputs $x_j$ are the values. There is no softmax: that is what *linear* means here.

# %%
Q, K = U, V
scores = np.tril(Q @ K.T)
y_attention = scores @ x

assert_same(matrix=A, masked_scores=scores)

# %% [markdown]
# ## Second reading: a state-space model
#
# Walk through the tokens with a state $S$ of $r \times d$ numbers. Token $t$ writes the product $v_t x_t^\top$ into it,
# then reads it with $u_t$:
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

assert_same(attention=y_attention, state=np.array(y_state))

# %% [markdown]
# **The same numbers.** Unroll the recurrence and you see why: $y_t = u_t^\top \sum_{j \le t} v_j x_j^\top
# = \sum_{j \le t} (u_t^\top v_j)\, x_j^\top$, which is row $t$ of $A$ times $x$.

# %%
figures.matrix_state_output(
    A,
    np.array(states),
    y_attention,
    np.array(y_state),
    title="A matrix of N² numbers acts through a state of r d = 6: attention and recurrence agree",
)

# %% [markdown]
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
# In the attention reading the decays become a **mask**: what token $j$ wrote has been shrunk by
# $L_{ij} = a_{j+1} a_{j+2} \cdots a_i$ when token $i$ reads it. So $M = L \circ (U V^\top)$.

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
    title="With decays, and one of them zero: again attention and recurrence agree",
)

# %% [markdown]
# ## What this says, and what it does not
#
# **A causal linear attention with decays and a state-space model with one decay per token are the same map: one
# matrix, whose blocks below the diagonal have rank at most $r$, the number of state entries for each feature.** This
# is Mamba-2's state-space duality (Dao and Gu, arXiv 2405.21060).
#
# It is *not* a statement about softmax attention. Softmax weights $e^{q_i \cdot k_j}$ come from no finite state: that
# is proved, and measured, in [03b · Duality](03b_duality.ipynb). Here is a glimpse.
#
# Cut each matrix into past (columns before 12) and future (rows from 12 on). The rank of that block is how many numbers
# must pass from past to future.

# %%
predict("00_quickstart-softmax-rank")

# %%
P = np.tril(np.exp(Q @ K.T))
P = P / P.sum(axis=1, keepdims=True)
for name, matrix in {"linear attention": A, "softmax attention": P}.items():
    rank = np.linalg.matrix_rank(matrix[12:, :12])
    print(f"{name:18} rank of the block from past to future: {rank}")

# %%
assert np.linalg.matrix_rank(A[12:, :12]) == r
assert np.linalg.matrix_rank(P[12:, :12]) > r

# %% [markdown]
# ## Play
#
# Below are a decay mask, scores, and the matrix that a mixer makes of them, cut into chunks of tokens; the lower half
# gives the rank of each block and the singular values of the one in the black frame. Mixers you do not know yet are
# the course's subject.
#
# Answer the question, then run the next cell, move the controls, and click on blocks.

# %%
predict("00_quickstart-explorer")

# %%
widgets.SemiseparableExplorer()

# %% [markdown]
# **Learned:** whatever the mixer and its decay, at most $r$ numbers for each feature pass from block to block. Softmax
# attention alone needs more, as you see wherever a chunk has more than $r$ tokens: a block of $c$ tokens has rank at
# most $c$ anyway.
#
# ## Recap
#
# - One matrix $M = L \circ (UV^\top)$, read by rows: attention, $O(N^2)$, parallel.
# - Read token by token: a state of $r \times d$ numbers, $O(N)$, recurrent.
# - Softmax attention is outside: the rank of its blocks grows with $N$, and no fixed state provides it.
#
# **The course from here.** Seven zones; dotted arrows are short cuts.
#
# ```mermaid
# flowchart LR
#   accTitle: The zones of the course
#   accDescr: Zones 0 to 6 in order; short cuts lead from 0 to 3, only the proof, and from 1 to 4, only the code.
#   Z0["0 · Quick start<br/>one matrix, two readings"] --> Z1["1 · Tour<br/>four relatives by playing"]
#   Z1 --> Z2["2 · Intuition<br/>one mountain, two sides"]
#   Z2 --> Z3["3 · Theory<br/>a ranks · b the theorem<br/>c the family · d what states compute"]
#   Z3 --> Z4["4 · Machines<br/>PyTorch, Triton, images, many workers"]
#   Z4 --> Z5["5 · Measured<br/>cost, recall, language, choosing"]
#   Z5 --> Z6["6 · Review"]
#   Z0 -. "only the proof" .-> Z3
#   Z1 -. "only the code" .-> Z4
# ```
#
# **Where next:** the [exercise](../exercises/00_quickstart.ipynb) (3 points), then the [tour](01_tour.ipynb) of four
# relatives; or go straight to the theorem and its proof in [03b · Duality](03b_duality.ipynb).
