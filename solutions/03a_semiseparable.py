# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises for 03a · Semiseparable matrices
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under each card, run
# it, then run the check below it. Checks try random inputs, half of them new each time, and name the mistake when they
# know it. No exercise needs an earlier one. All of it is explained in
# [03a · Semiseparable matrices](../notebooks/03a_semiseparable.ipynb). Tokens are rows, counted from 0.

# %%
import numpy as np

from lecture17.course import check, hint, progress

# %% [markdown]
# ## Which blocks have low rank
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03a_semiseparable-block-rank` | ★☆☆ | 10 min | 3 | you can measure how much state a causal mixer needs |
#
# For a lower-triangular `M`, $(N, N)$, return an integer array `ranks` of length $N$: `ranks[s]` is the numerical rank
# of the block `M[s:, :s+1]`, the number of its singular values larger than $10^{-8}$ times the largest singular value
# of $M$ (which is `np.linalg.norm(M, 2)`). This is the block's ε-rank for $\varepsilon = 10^{-8}$. The maximum of
# `ranks` is the block rank, the $r$ of "$r$-semiseparable", up to that threshold. Stuck? Type `hint("03a_semiseparable-block-rank")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03a_semiseparable-block-rank", "locked": false, "schema_version": 3, "solution": true, "task": false}
def block_ranks(M):
    """The numerical ranks of the blocks M[s:, :s+1], one for each s, as an integer array (N,)."""
    ### BEGIN SOLUTION
    threshold = 1e-8 * np.linalg.norm(M, 2)
    blocks = [M[s:, : s + 1] for s in range(len(M))]
    return np.array([(np.linalg.svd(b, compute_uv=False) > threshold).sum() for b in blocks])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03a_semiseparable-block-rank-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("03a_semiseparable-block-rank", block_ranks)

# %% [markdown]
# ## Sums that forget nothing and never turn into NaN
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03a_semiseparable-segsum` | ★★☆ | 15 min | 4 | you can build every decay mask of this course, safely |
#
# Return the $(N, N)$ array with $\log a_{j+1} + \dots + \log a_i$ in entry $ij$ for $i \ge j$ (so 0 on the diagonal)
# and $-\infty$ above. Its exponential is the decay mask $L$. Some `log_a` contain a $-\infty$ (a decay of zero) or a
# $-10^9$. Even then every entry must be right to its own last digits: a token affects only the segments that contain
# it. Stuck? Type `hint("03a_semiseparable-segsum")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03a_semiseparable-segsum", "locked": false, "schema_version": 3, "solution": true, "task": false}
def segment_sums(log_a):
    """sums[i, j] = log_a[j+1] + … + log_a[i] for i ≥ j, -inf above the diagonal; log_a is (N,)."""
    ### BEGIN SOLUTION
    N = len(log_a)
    terms = np.tril(np.repeat(log_a[:, None], N, axis=1), -1)  # column j: log_a from j + 1 on, zeros before
    return np.where(np.tri(N, dtype=bool), np.cumsum(terms, axis=0), -np.inf)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03a_semiseparable-segsum-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("03a_semiseparable-segsum", segment_sums)

# %% [markdown]
# ## Find the overflow, and mend it
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03a_semiseparable-generators-overflow` | ★★☆ | 20 min | 5 | you can tell when a clever formula will break, and replace it |
#
# A colleague computes $y = M x$ with $M_{ij} = (a_{j+1} \cdots a_i)\, C_i \cdot B_j$ for $i \ge j$ like this:
#
# ```python
# f = np.exp(np.cumsum(log_a) - log_a[0])   # f_j = a_1 a_2 ⋯ a_j
# u, v = C * f[:, None], B / f[:, None]     # M[i, j] = u_i · v_j
# y = (u * np.cumsum(v * x[:, None], axis=0)).sum(axis=1)
# ```
#
# On short inputs it is right. On most of your inputs it gives NaN. Return two things:
#
# - **find**: `first`, the first token $j$ at which $1/f_j$ is larger than the largest float64, as an integer, or $N$ if
#   there is none. Work with the logs, which do not overflow; `np.finfo(np.float64).max` is that largest number;
# - **mend**: `y`, $(N,)$, right for every input. Some decays are exactly zero (`log_a = -inf`).
#
# Stuck? Type `hint("03a_semiseparable-generators-overflow")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03a_semiseparable-generators-overflow", "locked": false, "schema_version": 3, "solution": true, "task": false}
def find_and_mend(log_a, B, C, x):
    """The first token whose 1/f overflows (N if none), and y (N,); log_a and x are (N,), B and C (N, d_state)."""
    ### BEGIN SOLUTION
    overflows = np.append(-np.cumsum(log_a[1:]) > np.log(np.finfo(np.float64).max), True)
    first = int(np.argmax(overflows)) + 1  # entry 0 belongs to token 1

    h, y = np.zeros(B.shape[1]), np.empty(len(x))
    for t in range(len(x)):
        h = np.exp(log_a[t]) * h + B[t] * x[t]
        y[t] = C[t] @ h
    return first, y
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03a_semiseparable-generators-overflow-check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
check("03a_semiseparable-generators-overflow", find_and_mend)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [03b · Duality](../notebooks/03b_duality.ipynb): the theorem and its proof.
