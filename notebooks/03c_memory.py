# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03c · The family, second part: memories that correct themselves
#
# *40 minutes · ★★★*
#
# After this you can …
# - derive the delta rule, RWKV-4, RWKV-7 and Mamba-3 from the same line, each down to its published form,
# - write their parallel forms, the WY form of the delta rule and the UT form of RWKV-7 included,
# - say what each member of the family stores and costs, and what one token can do to its state: fade, replace, flip,
#   turn.
#
# **How to read.** The [first part](03c_family.ipynb) has the line and the members that only fade. Here are those that
# look at what they have stored before they write, and Mamba-3, whose state turns. Section numbers continue those of the
# first part, and the [exercises](../exercises/03c_family.ipynb) are shared. Predict before each picture.
#
# **Letters.** $N$ tokens, the rows. The state $S_t$ is keys × values. $q_t, k_t \in \mathbb R^{r}$ read and write,
# $v_t \in \mathbb R^{d}$ is what is written, $L$ the decay mask, $\circ$ the entrywise product. All letters: the
# [notation table](03a_semiseparable.ipynb#notation); all words: the [glossary](06_review.ipynb#glossary).

# %%
import numpy as np
from IPython.display import Markdown

from lecture17 import costs, figures, unification
from lecture17.compare import assert_same
from lecture17.course import predict, progress
from lecture17.reference import delta_rule, gla, mamba3, retention, rwkv7, selective_scan, ssd, wkv4

# %% [markdown]
# ## From the first part
#
# The line is $S_t = A_t\, S_{t-1} + k_t v_t^\top$, $y_t = q_t^\top S_t$. Its kernel, as code, and two helpers:

# %%
rng = np.random.default_rng(17)
N, r, d = 32, 4, 3
eye, log_a = np.eye(r), np.log(rng.uniform(0.8, 1, size=N))
Q, K, V = *rng.normal(size=(2, N, r)), rng.normal(size=(N, d))


def kernel(A: np.ndarray, K: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """M[i, j] = q_i A_i … A_{j+1} k_j: written by token j, carried, read by token i."""
    M = np.zeros((len(A), len(A)))
    for j, carried in enumerate(K):
        for i in range(j, len(A)):
            carried = A[i] @ carried if i > j else carried
            M[i, j] = Q[i] @ carried
    return M


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def rank_strict_and_with_diagonal(M: np.ndarray) -> tuple[int, int]:
    strict = max(np.linalg.matrix_rank(M[s:, :s]) for s in range(1, len(M)))
    return int(strict), int(max(np.linalg.matrix_rank(M[s:, : s + 1]) for s in range(len(M))))


# %% [markdown]
# ## 6 · The delta rule: learn instead of add
#
# Ask more of the state: **$S^\top k_t$ should *be* $v_t$.** Measure the failure by
# $\ell_t(S) = \tfrac12 |v_t - S^\top k_t|^2$, and take one step of gradient descent, of size $\beta_t$, at each token:
#
# **(6.1)** $\nabla \ell_t(S) = -k_t (v_t - S^\top k_t)^\top$, hence
#
# $$\begin{aligned}
# S_t &= S_{t-1} - \beta_t \nabla \ell_t(S_{t-1}) \\
# &= S_{t-1} + \beta_t k_t (v_t - S_{t-1}^\top k_t)^\top \\
# &= (I - \beta_t k_t k_t^\top)\, S_{t-1} + \beta_t k_t v_t^\top .
# \end{aligned}$$
#
# That is DeltaNet (Schlag et al., arXiv 2102.11174; Yang et al., arXiv 2406.06484, Section 2), with keys of length 1.
# **(6.2)** $A_t$ has the eigenvalue $1 - \beta_t$ along $k_t$ and 1 across it: $\beta = 0$ does nothing, $\beta = 1$
# replaces, $\beta = 2$ reflects. Linear attention takes a step of size 1 on $-v_t \cdot S^\top k_t$ instead: it asks
# for *more* of $v_t$, and never checks whether $v_t$ is already there.
#
# **(6.3) Gated** (Yang et al., arXiv 2412.06464): decay first, then take the step,
# $S_t = a_t (I - \beta_t k_t k_t^\top) S_{t-1} + \beta_t k_t v_t^\top$.
#
# Do it yourself: [exercise](../exercises/03c_family.ipynb) `03c_family-delta-online-sgd`.

# %%
keys = K / np.linalg.norm(K, axis=1, keepdims=True)
beta = rng.uniform(0, 2, size=N)
k, v, S = keys[0], V[0], rng.normal(size=(r, d))


def loss(S: np.ndarray) -> float:
    return 0.5 * float(((v - k @ S) ** 2).sum())


gradient, E, bump = -np.outer(k, v - k @ S), rng.normal(size=(r, d)), 1e-4
slope = (loss(S + bump * E) - loss(S - bump * E)) / (2 * bump)  # along any direction E
assert_same(measured_slope=slope, gradient=(gradient * E).sum(), tol=1e-7)  # (6.1)

transition = eye - beta[:, None, None] * keys[:, :, None] * keys[:, None, :]
by_matrix = transition[0] @ S + beta[0] * np.outer(k, v)
assert_same(gradient_step=S - beta[0] * gradient, by_matrix=by_matrix)
along_and_across = np.column_stack([1 - beta, np.ones((N, r - 1))])
assert_same(along_and_across=along_and_across, found=np.linalg.eigvalsh(transition))  # (6.2)

for decays in (np.ones(N), np.exp(log_a)):  # (6.3)
    M = kernel(decays[:, None, None] * transition, beta[:, None] * keys, Q)
    assert_same(kernel=M, published=delta_rule.matrix(Q, keys, V, beta, np.log(decays)))

# %% [markdown]
# **One loss, many members.** What should a memory hold after token $t$? One answer is the least-squares fit of all
# pairs so far, each with a weight $\omega_{tj}$. Where the inverse exists, the fit is
#
# $$\Big(\sum_{j \le t} \omega_{tj}\, k_j k_j^\top\Big)^{-1} \sum_{j \le t} \omega_{tj}\, k_j v_j^\top .$$
#
# Seen in this way, the members differ in how they solve one regression (*test-time regression*: Wang, Shi and Fox,
# arXiv 2501.12352). Linear attention keeps the second sum and replaces the inverse by $I$. **(6.4)** That is exact for
# orthonormal keys; in general, keys that overlap disturb each other. RetNet and Mamba-2 do the same, with decays as
# weights. The delta rule takes one gradient step on the newest pair. **(6.5)** If the same pairs come round again and
# again, with a fixed $\beta$ strictly between 0 and 2, and an exact fit exists, it converges to one. MesaNet solves the
# weighted system at every token, with a ridge term (arXiv 2506.05233).

# %%
orthonormal = np.linalg.qr(rng.normal(size=(r, r)))[0]
fit = np.linalg.lstsq(orthonormal, V[:r], rcond=None)[0]
assert_same(least_squares=fit, linear_attention=orthonormal.T @ V[:r])  # (6.4)

some, values = keys[:3], V[:3]  # three keys of four numbers: they can be fitted exactly
again = np.zeros((r, d))
for _ in range(1000):
    _, again = delta_rule.recurrent(some, some, values, np.ones(3), state=again)
fit = np.linalg.lstsq(some, values, rcond=None)[0]
assert_same(least_squares=fit, delta_rule_again_and_again=again, tol=1e-6)  # (6.5)
assert np.abs(some.T @ values - fit).max() > 0.1  # linear attention, on keys that overlap

# %% [markdown]
# **What it buys.** Take $n$ random keys of 32 numbers and write each of them *twice*, with different values. Then ask
# every key for its **last** value.
#
# Three curves over $n$: linear attention, RetNet with $\gamma = 1 - 2^{-5}$, and the delta rule with $\beta = 1$. Where
# does each start, and what happens near $n = 32$?

# %%
predict("03c_memory-last-value")

# %%
d_key, n_keys = 32, [1, 2, 4, 8, 16, 24, 32, 48, 64]


def error(final_state) -> np.ndarray:
    errors = np.empty((20, len(n_keys)))
    for seed, column in np.ndindex(errors.shape):
        rng, n = np.random.default_rng(seed), n_keys[column]
        once = rng.normal(size=(n, d_key))
        once /= np.linalg.norm(once, axis=1, keepdims=True)
        keys, values = np.concatenate([once, once]), rng.normal(size=(2 * n, 8))
        wrong = once @ final_state(keys, values) - values[n:]
        errors[seed, column] = np.linalg.norm(wrong) / np.linalg.norm(values[n:])
    return errors.mean(axis=0)


γ = 1 - 2**-5
errors = {
    "linear attention": error(lambda k, v: retention.parallel(k, k, v, 1.0)[1]),
    "RetNet, γ = 0.97": error(lambda k, v: retention.parallel(k, k, v, γ)[1]),
    "delta rule, β = 1": error(lambda k, v: delta_rule.parallel(k, k, v, np.ones(len(v)))[1]),
}
title = "Asked for the last value of each key: how wrong is the answer?"
figures.recall_error(n_keys, d_key, errors, title=title)

# %%
assert errors["delta rule, β = 1"][0] < 1e-12  # one key
assert errors["linear attention"].min() > 0.9
assert errors["RetNet, γ = 0.97"][-1] < errors["delta rule, β = 1"][-1]  # 64 keys

# %% [markdown]
# **Learned:** a sum cannot forget a single item; it is wrong from the first rewrite on. The delta rule is limited by
# room: its error grows as the keys fill their 32 dimensions, because keys that are not orthogonal disturb each other.
# Beyond 32 keys none of the three recalls, and RetNet, whose old writes fade, is then less wrong than the delta rule,
# whose old writes do not. (Gated DeltaNet has both.)
#
# **(6.6) The WY form: chunks without a token loop.** Let $d_t = \beta_t (v_t - S_{t-1}^\top k_t)$ be what token $t$
# really adds. With $S_0$ the state before the chunk, and the tokens of the chunk counted from 1 here, $S_t = S_0 +
# \sum_{j \le t} k_j d_j^\top$. Substitute this into $d_t$, and write it for all tokens of a chunk at once, with $D$ the
# matrix with rows $d_t$:
#
# $$\begin{aligned}
# d_t &= \beta_t \Big(v_t - S_0^\top k_t - \sum_{j<t} (k_j \cdot k_t)\, d_j\Big), \\
# \big(I + \mathrm{tril}(\mathrm{diag}(\beta) K K^\top, -1)\big)\, D &= \mathrm{diag}(\beta)\,(V - K S_0) .
# \end{aligned}$$
#
# This is a unit lower triangular system. Let
# $T = (I + \mathrm{tril}(\mathrm{diag}(\beta) K K^\top, -1))^{-1}\, \mathrm{diag}(\beta)$ (the *UT transform*),
# $W = TK$ and $U = TV$. Then
#
# $$\begin{aligned}
# D &= U - W S_0, \\
# Y &= Q S_0 + \mathrm{tril}(Q K^\top)\, D, \\
# S_N &= S_0 + K^\top D .
# \end{aligned}$$
#
# The product of all transitions is $I - K^\top W$, the *WY* form of a product of reflections (Yang et al., arXiv
# 2406.06484, Section 3). **(6.7)** Decays only add masks: $L \circ$ before both products, and what comes from $S_0$ has
# decayed since the start.

# %%
S0 = rng.normal(size=(r, d))
T = np.linalg.solve(np.eye(N) + np.tril(beta[:, None] * (keys @ keys.T), -1), np.diag(beta))
W, U = T @ keys, T @ V
D = U - W @ S0
y, S_last = delta_rule.recurrent(Q, keys, V, beta, state=S0)
assert_same(recurrence=y, wy_form=Q @ S0 + np.tril(Q @ keys.T) @ D)  # (6.6)
assert_same(last_state=S_last, wy_form=S0 + keys.T @ D)
product = np.linalg.multi_dot(transition[::-1])  # A_{N-1} … A_0
assert_same(product=product, wy_form=eye - keys.T @ W)

ones = np.ones((N, 1))
L = ssd.matrix(V, log_a, ones, ones)
since = np.exp(np.cumsum(log_a))[:, None]
T = np.linalg.solve(np.eye(N) + np.tril(beta[:, None] * (L * (keys @ keys.T)), -1), np.diag(beta))
D = T @ (V - since * (keys @ S0))
y, S_last = delta_rule.recurrent(Q, keys, V, beta, log_a, state=S0)
assert_same(recurrence=y, gated_wy=since * (Q @ S0) + (L * (Q @ keys.T)) @ D)  # (6.7)
assert_same(last_state=S_last, gated_wy=since[-1] * S0 + (L[-1][:, None] * keys).T @ D)

# %% [markdown]
# ## 7 · RWKV: from a weighted mean to a generalized delta rule
#
# **RWKV-4** (Peng et al., arXiv 2305.13048) has no query. Channel by channel it takes a weighted mean, with a bonus
# $u$ for the current token and the log decay $w < 0$:
#
# $$y_t = \frac{\sum_{j<t} e^{(t-1-j) w + k_j} v_j + e^{u + k_t} v_t}{\sum_{j<t} e^{(t-1-j) w + k_j} + e^{u + k_t}} .$$
#
# **(7.1)** In our line: $r = 1$, the key is $e^{k_t}$, the query 1, the decay $e^w$. Run it twice, on $v$ and on ones;
# the sums before token $t$ are read one token late, and the bonus is a diagonal. The weights are positive, so the
# denominator never vanishes; with $k_j$ in place of $e^{k_j}$ it can ([correction 9](01_tour.ipynb#correction-9)). The
# state is a vector.
#
# **RWKV-5 and 6** give each head a *matrix* state and a query, and in RWKV-6 the token sets $w_t$. That is GLA with a
# bonus for the current token and an earlier read: $y_t$ reads $S_{t-1}$, before the token's own decay (arXiv
# 2404.05892).

# %%
w, bonus = -rng.uniform(0.1, 1, size=d), rng.normal(size=d)
k = rng.normal(size=(N, d))
means = []
for c in range(d):
    scores = kernel(np.full((N, 1, 1), np.exp(w[c])), np.exp(k[:, [c]]), np.ones((N, 1)))
    weights = np.tril(scores, -1) / np.exp(w[c]) + np.diag(np.exp(bonus[c] + k[:, c]))
    means.append(weights / weights.sum(axis=1, keepdims=True))
assert_same(published=wkv4.matrix(w, bonus, k, V), normalized_kernel=np.array(means))  # (7.1)
assert rank_strict_and_with_diagonal(means[0]) == (1, 2)  # the bonus is on the diagonal

# %% [markdown]
# **RWKV-7** (Peng et al., arXiv 2503.14456) takes the delta rule and frees its three parts. It decays by a vector
# $w_t$, removes along $\hat\kappa_t$ (of length 1) at the rates $a_t$, and writes with another key $\tilde k_t$:
#
# $$S_t = \big(\mathrm{diag}(w_t) - (a_t \circ \hat\kappa_t)\, \hat\kappa_t^\top\big) S_{t-1} + \tilde k_t v_t^\top .$$
#
# With $\sigma$ of projections of the token, the layer computes $w = \exp(-e^{-1/2} \sigma(\cdot))$,
# $a = \sigma(\cdot)$, $\hat\kappa = k \circ k_k$ scaled to length 1, and $\tilde k = k \circ (1 + (a - 1) \circ k_a)$.
# **(7.2)** With $w = 1$, $\hat\kappa = k$, $a = \beta$ and $\tilde k = \beta k$ it is DeltaNet. **(7.3)** The state is
# a matrix per head, not a few numbers per channel ([correction 10](01_tour.ipynb#correction-10)). What is removed is
# what $\hat\kappa_t$ recalls of the state *before* it decays. (Decay first and then remove, and you have another model,
# Kimi Delta Attention: $(I - \beta_t k_t k_t^\top)\,\mathrm{diag}(\alpha_t)$, arXiv 2510.26692.)
#
# **(7.4) Its eigenvalues are real and lie in $(-0.455, 1)$.** *Proof.* Let $P = \mathrm{diag}(\sqrt{a_t})$ and
# $p = \sqrt{a_t} \circ \hat\kappa_t$. Diagonal matrices commute, so $P^{-1} A_t P = \mathrm{diag}(w_t) - p\, p^\top$.
# It is symmetric and has the same eigenvalues: they are real, and (take $x^\top (\cdot)\, x$ for unit vectors $x$) lie
# between $\min w - |p|^2$ and $\max w$. Now $e^{-e^{-1/2}} = 0.545\ldots < w < 1$ and
# $|p|^2 = \sum a \hat\kappa^2 < 1$, so they exceed $0.545 - 1 = -0.455$. Both ends are approached, neither is reached.
# ∎ **So one token can flip the sign of something stored, but then keeps less than half of it**; DeltaNet with
# $\beta \to 2$ flips and keeps all of it.
#
# Then: [exercise](../exercises/03c_family.ipynb) `03c_family-rwkv7-step`.


# %%
def rwkv7_transitions(decay_logit, rate_logit, kappa) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    log_w, rate = -np.exp(-0.5) * sigmoid(decay_logit), sigmoid(rate_logit)
    removal = (rate * kappa)[:, :, None] * kappa[:, None, :]
    return np.exp(log_w)[..., None] * np.eye(kappa.shape[1]) - removal, log_w, rate


A, log_w, rate = rwkv7_transitions(*rng.normal(size=(2, N, r)), keys)
assert_same(kernel=kernel(A, K, Q), published=rwkv7.matrix(Q, log_w, K, V, keys, rate))
decay_first = (eye - (rate * keys)[:, :, None] * keys[:, None, :]) * np.exp(log_w)[:, None, :]
assert not np.allclose(A, decay_first, atol=0.01)
still, rates = np.zeros((N, r)), np.repeat(beta[:, None], r, axis=1)
as_delta = rwkv7.matrix(Q, still, beta[:, None] * keys, V, keys, rates)
assert_same(delta_rule=delta_rule.matrix(Q, keys, V, beta), rwkv7=as_delta)  # (7.2)

# %%
n, bound = 5000, np.exp(-np.exp(-0.5)) - 1
unit = rng.normal(size=(n, r))
unit /= np.linalg.norm(unit, axis=1, keepdims=True)
found = np.linalg.eigvals(rwkv7_transitions(*rng.normal(scale=8, size=(2, n, r)), unit)[0])
assert np.abs(found.imag).max() < 1e-6  # (7.4), up to rounding
assert bound < found.real.min() < found.real.max() < 1 + 1e-12
extreme, *_ = rwkv7_transitions(*np.full((2, n, r), 30.0), unit)
print(f"bound {bound:.4f}, reached to 4 digits: {np.linalg.eigvals(extreme).real.min():.4f}")

# %% [markdown]
# **Do products of these transitions stay bounded?** Eigenvalues in $(-1, 1)$ do not settle it, because $A_t$ is not
# symmetric: some vectors grow in one step. **(7.5) If $a$ is the same vector at every token, they do.** Then one $P$
# serves all tokens, each $P^{-1} A_t P$ is symmetric with norm below 1, and a product of any length has norm at most
# $\sqrt{\max a / \min a}$. **(7.6) If $a$ differs, they need not.** Take two tokens with $w \to 1$, one with
# $a \to (1, 0)$ and $\hat\kappa = (1, \sqrt 5) / \sqrt 6$, the other with the entries of both swapped. Their product
# has an eigenvalue near $\tfrac54$: applied alternately, they enlarge something stored by a quarter every round,
# without bound. **(7.7)** Nor is $-0.455$ a bound for *several* tokens together. The six below, found by a search, flip
# something and return it larger than it was.

# %%
decay_logits, rate_logits = rng.normal(scale=8, size=(2, 200, r))
A, *_ = rwkv7_transitions(decay_logits, rate_logits, unit[:200])
assert np.linalg.norm(A, 2, axis=(1, 2)).max() > 1.05  # some vectors grow in one step
A, _, rate = rwkv7_transitions(decay_logits, rng.normal(size=(1, r)), unit[:200])
product = np.eye(r)
for A_t in A:
    product = A_t @ product
    assert np.linalg.norm(product, 2) <= np.sqrt(rate.max() / rate.min())  # (7.5)

kappa = np.array([[1, 5**0.5], [5**0.5, 1]]) / 6**0.5
(first, second), *_ = rwkv7_transitions(-20.0, np.array([[20, -20], [-20, 20]]), kappa)
twice = second @ first
print("eigenvalues of two tokens in a row:", np.linalg.eigvals(twice).round(4))
print(f"size after 100 tokens: {np.linalg.norm(np.linalg.matrix_power(twice, 50), 2):.0f}")
assert np.isclose(np.linalg.eigvals(twice).max(), 5 / 4)  # (7.6)

angle = np.radians([150, 21, 63, 67, 70, 117])
high_rates = 20.0 * np.array([[-1, 1], [1, -1], [1, -1], [1, -1], [1, -1], [-1, 1]])
strong_decays = 20.0 * np.array([[-1, -1], [1, -1], [-1, -1], [-1, -1], [-1, -1], [-1, 1]])
kappa = np.stack([np.cos(angle), np.sin(angle)], axis=1)
six, *_ = rwkv7_transitions(strong_decays, high_rates, kappa)
print("of six tokens in a row:", np.linalg.eigvals(np.linalg.multi_dot(six[::-1])).round(2))
assert np.linalg.eigvals(np.linalg.multi_dot(six[::-1])).min() < -1  # (7.7)

# %% [markdown]
# **(7.8) In parallel: the UT form.** Name what token $t$ finds: $u_t = S_{t-1}^\top \hat\kappa_t$, and let
# $b_t = a_t \circ \hat\kappa_t$. Then the line is
# $S_t = \mathrm{diag}(w_t)\, S_{t-1} + \tilde k_t v_t^\top - b_t u_t^\top$: GLA with two writes, the second not known
# yet. Unroll it to token $t - 1$, from a state of zeros, and read it with $\hat\kappa_t$. Let
# $F^{x}_{tj} = \hat\kappa_t^\top\, \mathrm{diag}(w_{t-1} \circ \cdots \circ w_{j+1})\, x_j$ for $j < t$, else 0, with
# $x = \tilde k$ or $x = b$: how much of token $j$'s write token $t$ finds. Both are GLA's matrices, read one token
# late. Then $U = F^{\tilde k} V - F^{b} U$, that is,
#
# $$(I + F^{b})\, U = F^{\tilde k} V, \qquad Y = M^{\tilde k} V - M^{b} U ,$$
#
# with $M^x$ GLA's matrix for reading with the receptance and writing with $x$. **One unit triangular solve and two GLA
# passes replace the loop.** With the choices of (7.2) it is (6.6), where $d_t = \beta_t (v_t - u_t)$.


# %%
def found_of(x: np.ndarray) -> np.ndarray:
    """F[t, j]: what token t finds, with κ̂, of what token j wrote with the key x."""
    F = np.zeros((N, N))
    F[1:, :-1] = gla.matrix(keys[1:], x[:-1], V[:-1], log_w[:-1])
    return F


_, _, rate = rwkv7_transitions(*rng.normal(size=(2, N, r)), keys)
b = rate * keys
U = np.linalg.solve(np.eye(N) + found_of(b), found_of(K) @ V)
ut_form = gla.matrix(Q, K, V, log_w) @ V - gla.matrix(Q, b, V, log_w) @ U
assert_same(recurrence=rwkv7.recurrent(Q, log_w, K, V, keys, rate)[0], ut_form=ut_form)  # (7.8)

# %% [markdown]
# ## 8 · Mamba-3: a better rule, and a state that turns
#
# Lahoti et al., arXiv 2603.15569, Section 3, change three things in Mamba-2's recurrence. (The block around it changes
# too: the short convolution goes, $B$ and $C$ get a norm and a learned bias, and the rate $A$ is computed from the
# token.)
#
# **(8.1) Trapezoid.** The input's part of $h' = Ah + Bx$ over one step is an integral. Euler's rule takes its value at
# one end of the step; a weight $\lambda$ mixes both ends, the earlier one decayed:
#
# $$S_t = a_t S_{t-1} + (1 - \lambda_t)\, \Delta_t\, a_t\, B_{t-1} x_{t-1}^\top + \lambda_t \Delta_t\, B_t x_t^\top .$$
#
# $\lambda = 1$ is Mamba-2, with a final error of order $\Delta$; $\lambda = \tfrac12$ has order $\Delta^2$. The layer
# computes $\lambda_t = \sigma(\cdot)$ from the token, so it may use the better rule but need not: any fixed $\lambda$
# other than $\tfrac12$ has order $\Delta$ again.
#
# **(8.2)** Both writes decay in the same way, so below the diagonal $M$ is SSD's with the weight
# $\lambda_j \Delta_j + (1 - \lambda_{j+1}) \Delta_{j+1}$ in place of $\Delta_j$: the *next* token has a say in how
# strongly token $j$ is written. On the diagonal only $\lambda_j \Delta_j$ has arrived so far.
#
# **(8.3) Complex.** Let the eigenvalue be $a_t e^{i \theta_t}$ with $\theta_t$ *from the token*. As in section 4 the
# rotation splits, now by the running sum $\phi_t = \theta_0 + \dots + \theta_t$: rotate $B_t$ and $C_t$ by $\phi_t$,
# and SSD does the rest: rotary embeddings whose angles depend on the data. RetNet's rotation is the special case
# $\theta_t = \theta$.
#
# **MIMO, in words.** Decoding does few FLOPs for each byte of state that it moves. Let each token write $m$ pairs,
# $B_t X_t^\top$ with $B_t: r \times m$ and $X_t: d \times m$, and read with $m$ queries: $m$ times the FLOPs, as matrix
# products, on the same state. Memory traffic, which sets the latency, hardly changes.


# %%
def end_state(n: int, lam: float) -> float:
    """h(2) of h' = -h + cos 3t, h(0) = 0, in n steps; token 0 only provides the input at t = 0."""
    delta = np.r_[0.0, np.full(n, 2 / n)]
    x, east = np.cos(3 * np.cumsum(delta))[:, None], np.tile([1.0, 0.0], (n + 1, 1))
    args = np.full(n + 1, lam), -delta, np.zeros((n + 1, 1)), east, east
    return mamba3.recurrent(x, delta, *args)[0][-1, 0]


exact = (np.cos(6) + 3 * np.sin(6)) / 10 - np.exp(-2) / 10
for lam in (1.0, 0.75, 0.5):
    coarse, fine = (abs(end_state(n, lam) - exact) for n in (64, 128))
    print(f"λ = {lam}: half the step divides the error by {coarse / fine:.1f}")
    assert round(coarse / fine) == (4 if lam == 0.5 else 2)  # (8.1)


# %%
def pairs(X: np.ndarray) -> np.ndarray:
    return X[:, 0::2] + 1j * X[:, 1::2]


def turned(X: np.ndarray, angle: np.ndarray) -> np.ndarray:
    z = pairs(X) * np.exp(1j * angle)
    return np.stack([z.real, z.imag], axis=-1).reshape(X.shape)


delta, lam = rng.uniform(0.1, 1, size=N), rng.uniform(size=N)
turns, a = rng.uniform(-np.pi, np.pi, size=(N, r // 2)), np.exp(log_a)
phi = np.cumsum(turns, axis=0)
published = mamba3.matrix(V, delta, lam, log_a, turns, B=K, C=Q)
weight = lam * delta + np.r_[(1 - lam[1:]) * delta[1:], 0]
M = ssd.matrix(V, log_a, turned(K, phi), turned(Q, phi)) * weight
np.fill_diagonal(M, lam * delta * (Q * K).sum(axis=1))
assert_same(published=published, ssd_with_other_weights=M)  # (8.2)
assert rank_strict_and_with_diagonal(published) == (r, r + 1)

# %%
S, y = np.zeros((r // 2, d), complex), np.empty((N, d))
for t in range(N):  # (8.3) a complex state, nothing rotated
    if t:
        S = S + (1 - lam[t]) * delta[t] * np.outer(pairs(K)[t - 1].conj(), V[t - 1])
    S = (a[t] * np.exp(1j * turns[t]))[:, None] * S
    S = S + lam[t] * delta[t] * np.outer(pairs(K)[t].conj(), V[t])
    y[t] = (pairs(Q)[t] @ S).real
assert_same(complex_ssm=y, rotated_B_and_C=published @ V)

# %% [markdown]
# ## 9 · A family portrait
#
# All members read the same tokens. There are four labels. Each token writes under one label (a one-hot key) and reads
# under one, both drawn at random. So $M_{ij}$ says how much of token $j$'s value token $i$ gets.
#
# - *RetNet* has $\gamma = 0.9$. *Mamba-2* and *GLA* keep everything until token 12: there Mamba-2's gate closes, and
#   GLA's closes for label 0 alone.
# - *DeltaNet* has $\beta = 1$, and the gated one also decays by $a = 0.9$. *RWKV-7* removes half ($a = \tfrac12$) and
#   writes all.
# - *Mamba-3* makes a half turn at each token that writes under label 3.

# %%
predict("03c_memory-portrait")

# %%
labels, asked = np.random.default_rng(17).integers(4, size=(2, 24))
one_hot, ask, values, ones = np.eye(4)[labels], np.eye(4)[asked], np.zeros((24, 1)), np.ones(24)
closed, closed_0, half_turns = np.zeros(24), np.zeros((24, 4)), np.zeros((24, 2))
closed[12], closed_0[12, 0], half_turns[labels == 3] = -np.inf, -np.inf, np.pi
halves, fading = np.full((24, 4), 0.5), np.full(24, np.log(0.9))

# %%
portrait = {
    "linear attention": retention.matrix(ask, one_hot, values, 1.0),
    "RetNet": retention.matrix(ask, one_hot, values, 0.9),
    "Mamba-2": ssd.matrix(values, closed, one_hot, ask),
    "GLA": gla.matrix(ask, one_hot, values, closed_0),
    "DeltaNet": delta_rule.matrix(ask, one_hot, values, ones),
    "gated DeltaNet": delta_rule.matrix(ask, one_hot, values, ones, fading),
    "RWKV-7": rwkv7.matrix(ask, 0 * halves, one_hot, values, one_hot, halves),
    "Mamba-3": mamba3.matrix(values, ones, ones, 0 * ones, half_turns, one_hot, ask),
}
title = "Same tokens, eight memories: what row i still has of column j"
figures.family_portrait(portrait, title=title)

# %%
since = np.cumsum(labels == 3)
sign = (-1.0) ** (since[:, None] - since)
assert_same(mamba3=portrait["Mamba-3"], parity_of_3s_between=sign * portrait["linear attention"])
assert ((portrait["DeltaNet"] != 0).sum(axis=1) <= 1).all()  # the last write under that label
_, written = np.nonzero(portrait["GLA"] != portrait["linear attention"])
assert set(labels[written]) == {0}  # what GLA's gate has cut

# %% [markdown]
# **Learned:** decays fade or cut by *age*; the delta rule keeps the last write under each label, by *content*;
# Mamba-3's sign is the parity of the 3s in between.
#
# **What can one token do?** The eigenvalues of $A_t$ say: in $(0, 1)$ it fades, at 0 it erases, below 0 it flips, off
# the real line it turns. They are drawn below for random tokens, over the range that each parametrization allows. The
# density of the points is not that of the actual layers: the picture leaves out GLA's sixteenth root, Mamba-3's step
# $\Delta_t$ (which scales decay and angle) and its default of turning only half of the pairs.
#
# For each of them, do the eigenvalues form a segment (from where to where?), single points, or a disk? For RetNet,
# include its rotation.

# %%
predict("03c_memory-eigenvalues")


# %%
def rotations(angle: np.ndarray) -> np.ndarray:
    """Block-diagonal matrices that turn the pairs (0, 1), (2, 3), … by `angle`."""
    return np.stack([turned(np.tile(e, (len(angle), 1)), angle) for e in eye], axis=-1)


n, wide = 400, 8
eye, unit = np.eye(wide), rng.normal(size=(n, wide))
unit /= np.linalg.norm(unit, axis=1, keepdims=True)
outer = unit[:, :, None] * unit[:, None, :]
gate = sigmoid(rng.normal(scale=3, size=(n, wide)))
logits = rng.normal(scale=6, size=(2, n, 1)) + rng.normal(size=(2, n, wide))
xpos = rotations(np.tile(10000.0 ** -np.linspace(0, 1, wide // 2), (8, 1)))
half_turn = np.pi * np.tanh(rng.normal(size=(n, wide // 2)))

# %%
transitions = {
    "RetNet": (1 - 2.0 ** (-5 - np.arange(8)))[:, None, None] * xpos,
    "Mamba-1, Mamba-2, GLA": gate[..., None] * eye,
    "DeltaNet, β < 1": eye - gate[:, :1, None] * outer,
    "DeltaNet, β < 2": eye - 2 * gate[:, :1, None] * outer,
    "RWKV-7": rwkv7_transitions(*logits, unit)[0],
    "Mamba-3": gate[:, :1, None] * rotations(half_turn),
}
title = "Eigenvalues of the transitions of random tokens, with the unit circle"
figures.eigenvalues(transitions, title=title)

# %%
below_0 = {name for name, A in transitions.items() if np.linalg.eigvals(A).real.min() < -0.1}
off_the_line = {n for n, A in transitions.items() if np.abs(np.linalg.eigvals(A).imag).max() > 0.1}
assert off_the_line == {"RetNet", "Mamba-3"}
assert below_0 - off_the_line == {"DeltaNet, β < 2", "RWKV-7"}
assert np.allclose(np.linalg.eigvalsh(transitions["DeltaNet, β < 1"])[:, 1:], 1)

# %% [markdown]
# **Learned:** all pure decays fill $(0, 1)$. DeltaNet has the eigenvalue 1 as well, across its key. Only Mamba-3 and
# RetNet leave the real line, RetNet by fixed angles, whatever the token says. Of the others, only DeltaNet with $\beta$
# up to 2 and RWKV-7 (down to $-0.455$) go below zero.
#
# ## 10 · The family on one screen, and what it costs
#
# Every recurrence as one line of code, checked against the package. The readout is $q^\top S$ for all of them.

# %%
family = {
    "linear attention": lambda S, k, v, **_: S + k[:, None] * v,
    "RetNet": lambda S, k, v, γ, **_: γ * S + k[:, None] * v,
    "Mamba-2": lambda S, k, v, a, Δ, **_: a * S + k[:, None] * (Δ * v),
    "Mamba-1": lambda S, k, v, A, Δs, **_: np.exp(Δs * A) * S + k[:, None] * (Δs * v),
    "GLA": lambda S, k, v, α, **_: α[:, None] * S + k[:, None] * v,
    "DeltaNet": lambda S, k, v, β, **_: S + k[:, None] * (β * (v - k @ S)),
    "gated DeltaNet": lambda S, k, v, β, a, **_: (S := a * S) + k[:, None] * (β * (v - k @ S)),
    "RWKV-7": lambda S, k, v, α, κ, rates, **_: (
        α[:, None] * S - (rates * κ)[:, None] * (κ @ S) + k[:, None] * v
    ),
    "Mamba-3": lambda S, k, v, a, Δ, λ, k_before, v_before, **_: (
        a * (S + k_before[:, None] * ((1 - λ) * Δ * v_before)) + k[:, None] * (λ * Δ * v)
    ),
}


# %%
def a_token(r: int, d: int) -> dict:
    """All that a step may ask for: the state before it, and one token's keys, values and gates."""
    t = {name: rng.normal(size=r) for name in ("q", "k", "k_before", "κ")}
    t |= {"S": rng.normal(size=(r, d)), "v": rng.normal(size=d), "v_before": rng.normal(size=d)}
    t |= {"κ": t["κ"] / np.linalg.norm(t["κ"]), "A": -rng.uniform(1, 16, size=(r, d))}
    t |= {"Δs": rng.uniform(size=d), "α": rng.uniform(size=r), "rates": rng.uniform(size=r)}
    return t | {"γ": 0.97, "a": 0.9, "Δ": 0.1, "β": 0.7, "λ": 0.4}


# %%
t = a_token(r, d)
S, q, k, v = t["S"], t["q"], t["k"], t["v"]
log_a_t, log_alpha_t = np.log(t["a"]), np.log(t["α"])
last = S, np.zeros(r // 2), t["k_before"], t["v_before"]
published = {
    "linear attention": retention.step(q, k, v, 1.0, S),
    "RetNet": retention.step(q, k, v, t["γ"], S),
    "Mamba-2": ssd.step(t["Δ"] * v, log_a_t, k, q, S),
    "Mamba-1": selective_scan.step(v, t["Δs"], t["A"].T.copy(), k, q, S),
    "GLA": gla.step(q, k, v, log_alpha_t, S),
    "DeltaNet": delta_rule.step(q, k, v, t["β"], None, S),
    "gated DeltaNet": delta_rule.step(q, k, v, t["β"], log_a_t, S),
    "RWKV-7": rwkv7.step(q, log_alpha_t, k, v, t["κ"], t["rates"], S),
    "Mamba-3": mamba3.step(v, t["Δ"], t["λ"], log_a_t, np.zeros(r // 2), k, q, last),
}
for name, update in family.items():
    y, *_ = published[name]
    assert_same(**{name.replace(" ", "_").replace("-", "_"): y, "one_line": q @ update(**t)})

# %% [markdown]
# <a id="correction-18"></a>
#
# > **Correction 18 · the lecture says** RWKV-7 costs $O(Nd)$; RetNet can be trained only in $O(N^2 d)$; attention needs
# > $O(N^2)$ memory at inference.
# >
# > **In truth** RWKV-7 updates a square matrix in each of $d / \text{head size}$ heads:
# > $O(N \cdot d \cdot \text{head size})$. RetNet's chunkwise form is $O(N)$ in the length. A decoder computes one *row*
# > of scores per token; what it keeps is the KV cache, $2Nd$ numbers: $O(N)$.
#
# The next cell counts these three.


# %%
def flops_per_token(update, token: dict) -> int:
    return costs.count(lambda **t: t["q"] @ update(**t), **token).flops


for size in (16, 32, 64):
    all_heads = 64 // size * flops_per_token(family["RWKV-7"], a_token(size, size))
    print(f"RWKV-7, d = 64, heads of {size}: {all_heads:6,} FLOPs per token")
    assert abs(all_heads / (9 * 64 * size) - 1) < 0.01  # 9 · d · head size

sizes = {}
for length in (512, 1024):
    q, k, v = rng.normal(size=(3, length, 64))
    in_parallel = costs.count(retention.parallel, q, k, v, 0.97)
    in_chunks = costs.count(retention.chunkwise, q, k, v, 0.97, None, 64)
    sizes[length] = (in_parallel.flops, in_chunks.flops, k.size + v.size)  # a KV cache holds k, v
parallel, chunkwise, cache = np.divide(sizes[1024], sizes[512])
print("twice the tokens: RetNet parallel ", end="")
print(f"× {parallel:.1f}, chunkwise × {chunkwise:.1f}; KV cache × {cache:.1f}")
assert parallel > 3.8
assert chunkwise < 2.1

# %% [markdown]
# **The table.** One head with keys and values of 64 numbers; softmax has 1024 tokens in its cache. *State* counts
# numbers. *FLOPs* are per token, by the package's formulas; counting the one-line recurrences above agrees to 1%. The
# last two columns say what can be tracked. They are read off the package's own steps (`lecture17.unification`, which
# part [06](06_review.ipynb) uses too), and agree with the transitions drawn in section 9:
#
# - *parity: a flip keeps*: how much of something stored is left after one token has flipped its sign, 0 if none can;
# - *order matters*: whether the transitions of two tokens fail to commute.

# %%
words = """
softmax attention | keeps every k, v | k, v | weighted mean | softmax(QKᵀ) V | never
linear attention | I | k vᵀ | q S | tril(QKᵀ) V | never
RetNet | γ · fixed turn | k vᵀ | q S | (D ∘ Q̃K̃ᵀ) V | by age
RWKV-4 | e^w, fixed | e^k v and e^k | ratio | positive rows of sum 1 | by age
Mamba-1 | e^(ΔA), entrywise | k (Δ∘v)ᵀ | q S | one per channel | entries, by token
Mamba-2 | a | k (Δv)ᵀ | q S | (L ∘ QKᵀ) V | all, by token
GLA | diag(α) | k vᵀ | q S | Σ_c L_c ∘ (q_c k_cᵀ) V | key dimensions, by token
DeltaNet, β < 1 | I − βkkᵀ | β k vᵀ | q S | tril(QKᵀ) T V | under k
DeltaNet, β < 2 | I − βkkᵀ | β k vᵀ | q S | tril(QKᵀ) T V | under k
gated DeltaNet, β < 2 | a(I − βkkᵀ) | β k vᵀ | q S | (L ∘ QKᵀ) T V | all; under k
RWKV-7 | diag(w) − (a∘κ)κᵀ | k vᵀ | q S | one solve, two GLA passes | dimensions; under κ
Mamba-3 | a · turn | k vᵀ, two weights | q S | (L ∘ Q̃K̃ᵀ) V | all, by token
"""  # name, transition, input, readout, parallel form, what it forgets and when

# %%
t = a_token(64, 64)
lines = ["| mixer | transition | input | readout | parallel form | forgets | state | FLOPs |"]
lines[0] += (
    " parity: a flip keeps | order matters |\n|" + " --- |" * 6 + " ---: |" * 2 + " --- |" * 2
)
for row in words.strip().splitlines():
    name, *cells = row.split(" | ")
    numbers, member = unification.numbers(name), name.split(",")[0]
    if member in family:
        assert abs(flops_per_token(family[member], t) / numbers.flops - 1) < 0.01
    if name in transitions:
        A = transitions[name]
        assert abs(max(0, -np.linalg.eigvals(A).real.min()) - numbers.flip) < 0.02
        assert numbers.order == (not np.allclose(A[0] @ A[1], A[1] @ A[0]))
    lines.append(f"| **{name}** | {' | '.join(cells + numbers.cells())} |")
Markdown("\n".join(lines))

# %% [markdown]
# **How to read the last columns** (the proofs are elsewhere; see part [03d](03d_expressivity.ipynb)).
#
# *Parity:* with real eigenvalues that are never negative, no stack of such layers computes it for all lengths at finite
# precision (arXiv 2411.12537, Theorem 1). RetNet's eigenvalues are complex, but the same for every token; rotation by
# position alone was measured at chance (arXiv 2603.15569). If a flip keeps everything, a single state entry does it. A
# flip that keeps less than half, as in RWKV-7, fades with every 1. (What RWKV-7's paper claims, and under which
# assumptions, is in part [03d](03d_expressivity.ipynb#rwkv-7).)
#
# *Order:* if all transitions are diagonal in one basis, even a complex one, the model stays in $\mathsf{TC}^0$ (at
# logarithmic precision). Then it cannot follow the composition of permutations of five things ($S_5$), unless
# $\mathsf{TC}^0 = \mathsf{NC}^1$ (arXiv 2404.08819). Where order matters, that obstacle is gone; part
# [03d](03d_expressivity.ipynb) says what is reached then.
#
# *State:* a state of fixed size cannot copy a text with more information than it has room for; softmax's cache grows
# with the text (arXiv 2402.01032).
#
# (For several of these papers the lecture gives the wrong reference:
# [correction 22](03d_expressivity.ipynb#correction-22).)
#
# ## Recap
#
# - The delta rule is one gradient step on $\tfrac12 |v_t - S^\top k_t|^2$; the members differ in how they solve one
#   regression.
# - A triangular solve makes it parallel (WY), and RWKV-7 too (UT).
# - Rotating by angles that the token chooses is a complex state that can count turns.
# - Eigenvalues say what one token can do: fade, erase, flip, turn. RWKV-7's, as shipped, lie in $(-0.455, 1)$, but
#   products of different transitions can still grow.
# - One table holds every member: its transition, its state, its cost, and what it can track.
#
# **Where next:** the [exercises](../exercises/03c_family.ipynb) (16 points with those of the first part), then part
# [03d](03d_expressivity.ipynb): what these transitions can and cannot compute.

# %% tags=["nbval-ignore-output"]
progress("03c_memory")
