# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises for 02 · Intuition
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under each card, run
# it, then run the check below it. Checks try random inputs, half of them new each time, and name your mistake when they
# know it. Neither exercise depends on the other. Everything you need is explained in
# [02 · Intuition](../notebooks/02_intuition.ipynb). Tokens are rows, counted from 0.

# %%
import numpy as np

from lecture17.course import check, hint, progress

# %% [markdown]
# ## The matrix of an SSM
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `02_intuition-unroll-ssm` | ★☆☆ | 10 min | 3 | you can unroll a recurrence into its matrix |
#
# The SSM $h_t = A h_{t-1} + B x_t$, $y_t = C^\top h_t$ starts with $h_{-1} = 0$. Its $A$, $B$ and $C$ are the same at
# every token (`A` is $(r, r)$, `B` and `C` are $(r,)$). Return the $(N, N)$ matrix $M$ with $y = M x$. The rabbits
# were one case of it. Stuck? Type `hint("02_intuition-unroll-ssm")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "02_intuition-unroll-ssm", "locked": false, "schema_version": 3, "solution": true, "task": false}
def unroll(A, B, C, N):
    """The matrix M (N, N) of the SSM with A (r, r), B (r,), C (r,)."""
    ### BEGIN SOLUTION
    response = [C @ np.linalg.matrix_power(A, k) @ B for k in range(N)]
    return np.array([[response[i - j] if i >= j else 0.0 for j in range(N)] for i in range(N)])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "02_intuition-unroll-ssm-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("02_intuition-unroll-ssm", unroll)

# %% [markdown]
# ## Both triangles in N·r steps
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `02_intuition-fast-matvec` | ★★☆ | 20 min | 5 | you can multiply by a matrix of N² numbers without ever building it |
#
# A model that reads in both directions has a matrix with two triangles, each with its own generators:
#
# $$M_{ij} = u_i \cdot v_j \;\text{ for } i \ge j, \qquad M_{ij} = u^{up}_i \cdot v^{up}_j \;\text{ for } i < j .$$
#
# Return $y = M x$, $(N,)$. `U` and `V` are $(N, r)$, `U_up` and `V_up` are $(N, r_{up})$. The arrays that the check gives
# you count the work done with them and stop you when it grows with $N^2$: you may neither build $M$ nor sum over all
# tokens for each token. Stuck? Type `hint("02_intuition-fast-matvec")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "02_intuition-fast-matvec", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fast_matvec(U, V, U_up, V_up, x):
    """y = M x (N,) for the matrix with generators U, V on and below the diagonal, and U_up, V_up above it."""
    ### BEGIN SOLUTION
    y, forward, backward = np.empty(len(x)), np.zeros(U.shape[1]), np.zeros(U_up.shape[1])
    for i in range(len(x)):
        forward = forward + V[i] * x[i]  # write, then read
        y[i] = U[i] @ forward
    for i in reversed(range(len(x))):
        y[i] += U_up[i] @ backward  # read, then write
        backward = backward + V_up[i] * x[i]
    return y
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "02_intuition-fast-matvec-check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
check("02_intuition-fast-matvec", fast_matvec)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [03a · Semiseparable](../notebooks/03a_semiseparable.ipynb): the matrices behind all this.
