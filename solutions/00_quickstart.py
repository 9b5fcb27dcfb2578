# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises for 00 · Quick start
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under the card, run
# it, then run the check below it. The check tries random inputs, half of them new each time. If your answer is wrong,
# it names the mistake when it knows it; if it is right, it says what was verified. Everything you need is explained in
# [00 · Quick start](../notebooks/00_quickstart.ipynb).

# %%
import numpy as np

from lecture17.course import check, hint, progress

# %% [markdown]
# ## One matrix, without loops
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `00_quickstart-matrix` | ★☆☆ | 5 min | 3 | you can write down the matrix this course is about |
#
# Token $i$ reads with a vector $u_i \in \mathbb{R}^r$, and token $j$ writes with a vector $v_j \in \mathbb{R}^r$. These
# vectors are the rows of $U$ and $V$, both $(N, r)$. Return the $(N, N)$ matrix
#
# $$A_{ij} = u_i^\top v_j \ \text{ for } i \ge j, \qquad A_{ij} = 0 \ \text{ for } i < j$$
#
# without a Python loop. Stuck? Type `hint("00_quickstart-matrix")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "00_quickstart-matrix", "locked": false, "schema_version": 3, "solution": true, "task": false}
def semiseparable_matrix(U, V):
    """A[i, j] = U[i]·V[j] for i >= j, and 0 above the diagonal."""
    ### BEGIN SOLUTION
    return np.tril(U @ V.T)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "00_quickstart-matrix-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("00_quickstart-matrix", semiseparable_matrix)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [01 · Tour](../notebooks/01_tour.ipynb): four relatives to play with.
