# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercise for 05a · Cost
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under the card, run
# it, then run the check below it. The check tries random inputs, half of them new each time, and names the mistake when
# it recognizes it. Everything you need is in [05a · Cost](../notebooks/05a_cost.ipynb).

# %%
import numpy as np

from lecture17.course import check, hint, progress

# %% [markdown]
# ## A slope and its crossover
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `05a_cost-slope` | ★☆☆ | 10 min | 4 | you can read an exponent and a crossover off measured times |
#
# Two methods were timed at the lengths `N`: seconds `quadratic` and `linear`, with a little noise. Assume
# seconds $= C N^p$ for each. Fit a straight line to the logarithms of each method's times, by least squares over all
# points, and return the two exponents and the length $N$ at which the two lines meet, none of them rounded. Stuck? Type
# `hint("05a_cost-slope")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "05a_cost-slope", "locked": false, "schema_version": 3, "solution": true, "task": false}
def slopes_and_crossover(N, quadratic, linear):
    """The exponents of both methods, and the length at which the fitted lines meet."""
    ### BEGIN SOLUTION
    p, b = np.polyfit(np.log(N), np.log(quadratic), 1)
    q, c = np.polyfit(np.log(N), np.log(linear), 1)
    return p, q, np.exp((c - b) / (p - q))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "05a_cost-slope-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("05a_cost-slope", slopes_and_crossover)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [05b · Long range](../notebooks/05b_long_range.ipynb): how much a state recalls.
