# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercise for 04d · Many machines
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under the card, run
# it, then run the check below it. The check tries random inputs, half of them new each time, and names the mistake when
# it recognizes it. Everything you need is in [04d · Many machines](../notebooks/04d_many_machines.ipynb).

# %%
import numpy as np

from lecture17.course import check, hint, progress

# %% [markdown]
# ## What travels
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `04d_many_machines-what-travels` | ★★☆ | 15 min | 4 | you can say what a machine must pass on, for SSD and for the delta rule |
#
# A machine has a segment of $N$ tokens, one head. Whatever state $S$ arrives from the left, the segment makes an affine
# map of it. Compute that map, for two mixers:
#
# - SSD, $S_t = e^{\log a_t} S_{t-1} + B_t x_t^\top$, with `log_a` $(N,)$, `B` $(N, r)$, `x` $(N, d)$:
#   $S \mapsto a\,S + U$;
# - the delta rule, $S_t = (I - \beta_t k_t k_t^\top) S_{t-1} + \beta_t k_t v_t^\top$, with `K` $(N, r)$, `V` $(N, d)$,
#   `beta` $(N,)$: $S \mapsto A\,S + W$.
#
# Return the number `a`, `U` $(r, d)$, `A` $(r, r)$, and `W` $(r, d)$. Stuck? Type
# `hint("04d_many_machines-what-travels")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "04d_many_machines-what-travels", "locked": false, "schema_version": 3, "solution": true, "task": false}
def what_travels(log_a, B, x, K, V, beta):
    """The maps S → a S + U of SSD and S → A S + W of the delta rule, for one segment."""
    ### BEGIN SOLUTION
    U, W, A = np.zeros((B.shape[1], x.shape[1])), np.zeros((K.shape[1], V.shape[1])), np.eye(K.shape[1])
    for t in range(len(log_a)):
        U = np.exp(log_a[t]) * U + np.outer(B[t], x[t])
        T = np.eye(K.shape[1]) - beta[t] * np.outer(K[t], K[t])
        W = T @ W + beta[t] * np.outer(K[t], V[t])
        A = T @ A
    return np.exp(log_a.sum()), U, A, W
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "04d_many_machines-what-travels-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("04d_many_machines-what-travels", what_travels)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [04e · A published model](../notebooks/04e_published.ipynb), which runs your own code.
