# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises for 03d · Expressivity
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under each card, run
# it, then run the check below it. Checks try random inputs, half of them new each time, and name the mistake when they
# know it. No exercise needs an earlier one. All of it is explained in
# [03d · Expressivity](../notebooks/03d_expressivity.ipynb). Nothing is trained here: you build the states yourself.

# %%
import numpy as np

from lecture17.course import check, hint, progress

# %% [markdown]
# ## Parity from one sign
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03d_expressivity-parity-by-hand` | ★☆☆ | 5 min | 2 | you can say what a decay in (0, 1) lacks |
#
# Carry **one number**, $h_t = a(x_t)\, h_{t-1}$ with $h = 1$ before the first token. Choose $a(0)$ and $a(1)$ so that the
# state is 1 whenever the number of ones so far is even, and never decays. `bits` is an integer array $(N,)$ of zeros and
# ones. Return `h`, the states after each token, and `parity`, an integer array: 1 where the number of ones so far is odd.
# Stuck? Type `hint("03d_expressivity-parity-by-hand")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03d_expressivity-parity-by-hand", "locked": false, "schema_version": 3, "solution": true, "task": false}
def parity_by_hand(bits):
    """States h (N,), floats, with h_t = a(x_t) h_{t-1}, and the parity (N,), integers, read from them."""
    ### BEGIN SOLUTION
    h, state = np.empty(len(bits)), 1.0
    for t, bit in enumerate(bits):
        state = (-1.0 if bit else 1.0) * state
        h[t] = state
    return h, ((1 - h) / 2).astype(int)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03d_expressivity-parity-by-hand-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check("03d_expressivity-parity-by-hand", parity_by_hand)

# %% [markdown]
# ## A counter that turns
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03d_expressivity-mod-counter` | ★★☆ | 10 min | 3 | you can build the rotation that Mamba-3 adds to Mamba-2 |
#
# Count modulo $k$ with **two numbers**: a unit vector, $(1, 0)$ before the first token, which token $t$ turns
# counterclockwise by $2\pi\, x_t / k$. Return `h`, the states after each token, $(N, 2)$, and `count`, an integer array with
# $(x_0 + \dots + x_t) \bmod k$, which you read **from the direction of the state** (`np.arctan2(y, x)` gives the angle
# of $(x, y)$, between $-\pi$ and $\pi$). `increments` is an integer array $(N,)$ with numbers from 0 to $k - 1$.
# Stuck? Type `hint("03d_expressivity-mod-counter")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03d_expressivity-mod-counter", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mod_counter(increments, k):
    """States h (N, 2), unit vectors, and the counts (N,), integers from 0 to k - 1, read from them."""
    ### BEGIN SOLUTION
    h, state = np.empty((len(increments), 2)), np.array([1.0, 0.0])
    for t, increment in enumerate(increments):
        angle = 2 * np.pi * increment / k
        c, s = np.cos(angle), np.sin(angle)
        state = np.array([[c, -s], [s, c]]) @ state
        h[t] = state
    angles = np.arctan2(h[:, 1], h[:, 0])
    return h, np.rint(angles * k / (2 * np.pi)).astype(int) % k
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03d_expressivity-mod-counter-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("03d_expressivity-mod-counter", mod_counter)

# %% [markdown]
# ## Permutations from reflections
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03d_expressivity-permutation-householder` | ★★☆ | 15 min | 3 | you know what the delta rule can do with β up to 2 |
#
# One step of the delta rule that writes nothing multiplies the state by $H = I - \beta\, k k^\top$. Make **any permutation
# of three things out of two such steps**. `p` is a permutation as an integer array $(3,)$: the thing in place $j$ goes to
# place `p[j]`, so column $j$ of the matrix to be made has its 1 in row `p[j]`. Return
#
# - `K`, $(2, 3)$: the keys of the first and of the second step, each of length 1,
# - `beta`, $(2,)$: their $\beta$, from 0 to 2; 0 where a step does nothing,
# - `T`, $(3, 3)$: the product of your two matrices, that is, what the two steps do together.
#
# Many answers are right. Stuck? Type `hint("03d_expressivity-permutation-householder")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03d_expressivity-permutation-householder", "locked": false, "schema_version": 3, "solution": true, "task": false}
def permutation_householder(p):
    """Keys K (2, 3) and beta (2,) of two steps that permute as p does, and T (3, 3), what they make."""
    ### BEGIN SOLUTION
    K, beta = np.tile([1.0, 0.0, 0.0], (2, 1)), np.zeros(2)
    T = np.eye(3)
    for step in range(2):  # thing 0 to its place, then thing 1; thing 2 has no choice left
        here = int(T[:, step].argmax())
        if here != p[step]:
            K[step] = (np.eye(3)[here] - np.eye(3)[p[step]]) / np.sqrt(2)
            beta[step] = 2.0
        T = (np.eye(3) - beta[step] * np.outer(K[step], K[step])) @ T
    return K, beta, T
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03d_expressivity-permutation-householder-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("03d_expressivity-permutation-householder", permutation_householder)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [03e · The family since](../notebooks/03e_family_since.ipynb): one loss, many learners.
