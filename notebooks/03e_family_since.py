# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03e · The family since: one loss, many learners
#
# *40 minutes · ★★★*
#
# After this you can …
# - derive linear attention, decays, delta rules, DeltaProduct, Mesa and softmax attention as learners of one loss,
# - say what Kimi Delta Attention forgets that the gated delta rule cannot, and what else was added since 2024,
# - read the layout of a hybrid: what its layers are, which of them keep a cache, and how fast that grows.
#
# **How to read.** You need [03c's second part](03c_memory.ipynb) and its delta rule. One question is asked of every
# mixer: *what does its state learn from the tokens, and how?* Predict before each picture. The
# [exercises](../exercises/03e_family_since.ipynb) follow the sections.
#
# **Letters.** $N$ tokens, the rows. The state $S_t$ is keys × values. $q_t, k_t \in \mathbb R^{r}$ read and write,
# $v_t \in \mathbb R^{d}$ is what is written; keys have length 1 here. All letters: the
# [notation table](03a_semiseparable.ipynb#notation); all words: the [glossary](06_review.ipynb#glossary).

# %%
import numpy as np
from IPython.display import Markdown

from lecture17 import costs, figures, hybrids, mixers, unification
from lecture17.compare import assert_same
from lecture17.course import predict, progress
from lecture17.reference import attention, delta_product, delta_rule, gla, kda, mesa, mlstm, ssd

# %% [markdown]
# ## 1 · One loss
#
# A state is asked with $k$ and answers $S^\top k$. Token $t$ shows it the pair $(k_t, v_t)$. So it makes an error,
#
# $$\ell_t(S) = \tfrac12\, |v_t - S^\top k_t|^2 ,$$
#
# and a recurrence is a way to learn from it *while the model runs*: at *test time* (Wang, Shi and Fox, arXiv
# 2501.12352). The trained weights do not learn here. They choose $k_t$, $v_t$ and how strongly to learn.
#
# Such a learner answers three questions. **What does it fit? What does it stay near? How far does it go?** The
# recurrences of this section minimize, at every token, a fit plus the squared distance from a *prior* $\bar S_t$, which
# is what is kept of $S_{t-1}$:
#
# **(1.1)** $S_t = \arg\min_S\; f_t(S) + \tfrac12 \|S - \bar S_t\|^2$.
#
# - **(1.2) More of $v_t$:** let $f_t(S) = -v_t \cdot S^\top k_t$. The gradient $-k_t v_t^\top + S - \bar S_t$ is zero
#   at $S_t = \bar S_t + k_t v_t^\top$. With $\bar S_t = S_{t-1}$ this is **linear attention**, a Hebbian learner: it
#   never looks at what is stored. ($f_t$ is $\ell_t$ without its part in $|S^\top k_t|^2$.) With
#   $\bar S_t = a_t S_{t-1}$ it is **RetNet and Mamba-2**, with $\bar S_t = \mathrm{diag}(\alpha_t)\, S_{t-1}$ **GLA**.
#   A decay is a *prior that forgets*: it says that what was true may no longer be, and pulls towards 0.
# - **(1.3) Exactly $v_t$:** let $f_t = \eta_t \ell_t$. Write $e = v_t - S^\top k_t$ for the error after the update and
#   $\bar e = v_t - \bar S_t^\top k_t$ for the one before. The gradient is zero where
#   $S = \bar S_t + \eta_t k_t e^\top$, so $e = \bar e - \eta_t e$, and $S_t = \bar S_t + \beta_t k_t \bar e^\top$ with
#   $\beta_t = \eta_t / (1 + \eta_t)$. With $\bar S_t = S_{t-1}$ this is the **delta rule**; with $a_t S_{t-1}$ the
#   **gated delta rule**; with $\mathrm{diag}(\alpha_t)\, S_{t-1}$ it is **Kimi Delta Attention** (KDA; Kimi Team, arXiv
#   2510.26692).
#
# So $\beta = 0$ ignores the pair, and $\beta \to 1$ fits it exactly ($\eta \to \infty$). (Longhorn, arXiv 2407.14207,
# derives its layer in this way.) The same line is *one gradient step* of size $\beta_t$ on $\ell_t$, taken at
# $\bar S_t$. Read like this, $\beta$ may pass 1, up to 2: the step then goes too far, and at 2 it reflects. With a
# prior that forgets, this is **SGD with weight decay** (the gradient is taken after the decay): one rate of decay for
# all keys in the gated delta rule, one for each key dimension in KDA.
#
# The cell below knows only (1.1). It finds each minimum by solving for a gradient of zero.

# %%
rng = np.random.default_rng(17)
N, r, d = 48, 6, 3
Q, K = rng.normal(size=(2, N, r))
V, keys = rng.normal(size=(N, d)), K / np.linalg.norm(K, axis=1, keepdims=True)
log_alpha = np.log(rng.uniform(0.7, 1, size=(N, r)))
log_a, eta = log_alpha[:, 0], rng.uniform(0, 4, size=N)
beta, still = eta / (1 + eta), np.zeros(N)


def outputs(kept: np.ndarray, eta: np.ndarray, fit: bool) -> np.ndarray:
    """What the learner of (1.1) answers: `kept` multiplies the rows of S, `fit` says which f."""
    S, y = np.zeros((r, d)), np.empty((N, d))
    for t in range(N):
        k, prior = keys[t], kept[t][:, None] * S
        curvature = eta[t] * np.outer(k, k) if fit else 0
        S = np.linalg.solve(np.eye(r) + curvature, prior + eta[t] * np.outer(k, V[t]))
        y[t] = Q[t] @ S
    return y


# %%
ones, one_rate = np.ones((N, r)), np.exp(log_a)[:, None] * np.ones(r)
y = outputs(ones, np.ones(N), fit=False)
assert_same(more_of_v=y, linear_attention=ssd.recurrent(V, still, keys, Q)[0])  # (1.2)
y = outputs(one_rate, np.ones(N), fit=False)
assert_same(forgetting_prior=y, mamba2=ssd.recurrent(V, log_a, keys, Q)[0])
y = outputs(np.exp(log_alpha), np.ones(N), fit=False)
assert_same(a_rate_for_each_key=y, gla=gla.recurrent(Q, keys, V, log_alpha)[0])

y = outputs(ones, eta, fit=True)
assert_same(exactly_v=y, delta_rule=delta_rule.recurrent(Q, keys, V, beta)[0])  # (1.3)
y = outputs(one_rate, eta, fit=True)
assert_same(forgetting_prior=y, gated=delta_rule.recurrent(Q, keys, V, beta, log_a)[0])
y = outputs(np.exp(log_alpha), eta, fit=True)
assert_same(a_rate_for_each_key=y, kda=kda.recurrent(Q, keys, V, log_alpha, beta)[0])
same_rate = np.repeat(log_a[:, None], r, axis=1)
gated = delta_rule.matrix(Q, keys, V, beta, log_a)
assert_same(gated_delta_rule=gated, kda_with_one_rate=kda.matrix(Q, keys, V, same_rate, beta))

# %% [markdown]
# ## 2 · What KDA forgets
#
# The gated delta rule and KDA both decay, and both replace what a key recalls. What can one token of KDA do that a
# token of the gated delta rule cannot?
#
# In the picture, each token writes under one of four labels (a one-hot key) and reads under one, as in 03c. Labels 0
# and 1 are topic A, labels 2 and 3 topic B. At token 12 topic A is over. DeltaNet has no gate. Gated DeltaNet closes
# its gate at token 12. GLA and KDA close theirs for labels 0 and 1 alone. Where there is a $\beta$, it is 1.

# %%
predict("03e_family_since-topic")

# %%
labels, asked = np.random.default_rng(28).integers(4, size=(2, 24))
one_hot, ask, values, whole = np.eye(4)[labels], np.eye(4)[asked], np.zeros((24, 1)), np.ones(24)
at_12, A_at_12 = np.zeros(24), np.zeros((24, 4))
at_12[12], A_at_12[12, :2] = -np.inf, -np.inf
portrait = {
    "DeltaNet": delta_rule.matrix(ask, one_hot, values, whole),
    "gated DeltaNet": delta_rule.matrix(ask, one_hot, values, whole, at_12),
    "GLA": gla.matrix(ask, one_hot, values, A_at_12),
    "KDA": kda.matrix(ask, one_hot, values, A_at_12, whole),
}
title = "At token 12 topic A is over: who forgets it, and who still knows the rest?"
figures.family_portrait(portrait, title=title)

# %%
over = (np.arange(24)[:, None] >= 12) & (np.arange(24) < 12)  # read after the end, written before
assert not portrait["gated DeltaNet"][over].any()
_, remembered = np.nonzero(portrait["KDA"] * over)
assert set(labels[remembered]) == {2, 3}
assert ((portrait["KDA"] != 0).sum(axis=1) <= 1).all()  # the last write, as in the delta rule
assert ((portrait["GLA"] != 0).sum(axis=1) > 1).any()
chunks = {name: costs.flops(name, "chunkwise", 4096, 64, 64) for name in ("kda", "rwkv7")}
print(f"FLOPs of KDA's chunks against RWKV-7's: {chunks['kda'] / chunks['rwkv7']:.2f}")

# %% [markdown]
# <details><summary><b>Learned</b>, and why (open it when you have seen the picture)</summary>
#
# KDA can **forget one topic and keep another.**
#
# **(2.1)** Let $A$ and $B$ be two topics: subspaces of keys, each with at least two dimensions. A token of the gated
# delta rule multiplies some unit key $x \in A$ and some unit key $y \in B$ by *the same* number $a_t$. *Proof.* Its
# transition is $a_t (I - \beta_t k_t k_t^\top)$. Within two dimensions there is always a direction at right angles to
# $k_t$, so there are such $x$ and $y$, and the transition multiplies both by $a_t$. ∎ **If it forgets all of $A$, then
# $a_t = 0$, and it forgets $B$ as well.** The delta part erases only along $k_t$: one key per token, and the token must
# hit it exactly.
#
# **(2.2)** KDA has no such limit where topics are made of key dimensions: set $\alpha_{tc} = 0$ for the dimensions of
# $A$ and 1 for those of $B$. It needs to know none of the keys that were stored. (The topics have to be made of
# dimensions. Training can arrange this, because keys are projections that it learns.)
#
# The order matters: $(I - \beta k k^\top)\, \mathrm{diag}(\alpha)$ decays first, and compares $v_t$ with what is left.
# RWKV-7 removes what the *undecayed* state recalls, and no rate of its decay is below 0.545 ([03c](03c_memory.ipynb)):
# it can fade a topic, but not drop it at once.
#
# The gated delta rule forgets everything or one key; GLA forgets a topic, but adds up what it keeps; KDA
# forgets a topic and keeps the last value of every other key. It costs less than RWKV-7, because it removes with the
# same vector with which it writes. In chunks it is the delta rule's triangular solve with GLA's matrices of scores: the
# decays are folded into keys and queries, with the care of [03c](03c_family.ipynb).
#
# </details>
#
# Then: [exercise](../exercises/03e_family_since.ipynb) `03e_family_since-kda-step`. The next cell checks (2.1) and
# (2.2).

# %%
a, b, k = 0.3, 0.8, keys[0]
A_t = a * (np.eye(r) - b * np.outer(k, k))
for topic in (slice(0, 3), slice(3, 6)):  # the key dimensions of A, and of B
    across = np.zeros(r)
    across[topic] = np.linalg.svd(k[None, topic])[2][-1]  # in the topic, at right angles to k
    assert_same(kept=A_t @ across, times_a=a * across)  # (2.1)

closed = np.where(np.arange(r) < 3, -np.inf, 0.0)
S = rng.normal(size=(r, d))
_, kept = kda.step(k, k, V[0], closed, 0.0, S)
assert_same(nothing_of_A_all_of_B=kept, rows_cut=np.r_[np.zeros((3, d)), S[3:]])  # (2.2)

# %% [markdown]
# ## 3 · Several steps: DeltaProduct
#
# One gradient step fits one pair. **DeltaProduct** (Siems et al., arXiv 2502.10297) lets a token make $n_h$ pairs and
# takes a step on each, after one decay:
#
# $$S_t = \prod_{i=n_h}^{1} (I - \beta_{ti}\, k_{ti} k_{ti}^\top)\; a_t S_{t-1} + \text{what the steps write} .$$
#
# **(3.1)** More steps on the *same* pair bring nothing new: $n$ steps of size $\beta$ are one step of size
# $1 - (1 - \beta)^n$. **(3.2)** Steps along *different* keys do: two reflections ($\beta = 2$) whose keys are $\phi$
# apart turn a plane by $2\phi$. So one layer counts modulo 3, with one token for each turn by 120°, and follows the
# permutations of three things, $S_3$; with one reflection per token, two layers are needed
# ([03d](03d_expressivity.ipynb) trains and builds them).
# **(3.3)** One token of KDA turns nothing either: with $D = \mathrm{diag}(\alpha)^{1/2}$ its transition is similar to
# $D (I - \beta k k^\top) D$, which is symmetric, so its eigenvalues are real, and repeating it never counts modulo 3.
# The price of more steps is a read and a write of the state for each.
#
# Then: [exercise](../exercises/03e_family_since.ipynb) `03e_family_since-delta-product`.

# %%
k, v, n, b = keys[:1], V[:1], 4, 0.3
many = delta_product.recurrent(
    Q[:1], k[None].repeat(n, 1), v[None].repeat(n, 1), np.full((1, n), b)
)
once = delta_rule.recurrent(Q[:1], k, v, np.array([1 - (1 - b) ** n]))
assert_same(four_steps=many[1], one_longer_step=once[1])  # (3.1)

angle, S = np.radians([0.0, 60.0]), rng.normal(size=(2, d))
mirrors = np.stack([np.cos(angle), np.sin(angle)], axis=1)
turn = np.tile(mirrors, (3, 1, 1)), np.zeros((3, 2, d)), np.full((3, 2), 2.0)
seen, after = delta_product.recurrent(np.tile([1.0, 0.0], (3, 1)), *turn, state=S)
assert_same(start=S, after_three_tokens=after)  # (3.2) counts modulo 3
assert np.abs(seen[:2] - S[0]).max() > 0.1
A_t = unification.transitions("gated DeltaProduct, β < 2")
assert np.abs(np.linalg.eigvals(A_t).imag).max() > 0.5  # complex: it turns
A_t = unification.transitions("KDA")
assert np.abs(np.linalg.eigvals(A_t).imag).max() < 1e-9  # (3.3)

# %% [markdown]
# ## 4 · Momentum, batches, and deeper memories: TTT and Titans
#
# The usual improvements of gradient descent apply here too. **Momentum** remembers the last step:
#
# **(4.1)** $M_t = \theta M_{t-1} - \beta_t \nabla \ell_t(S_{t-1})$, $S_t = a\, S_{t-1} + M_t$.
#
# This is what *Titans* does (Behrouz, Zhong and Mirrokni, arXiv 2501.00663; its $\theta$ and $a$ come from the token).
# The pair $(S, M)$ is again a linear recurrence, with twice the state. Along $k$ its transition is
# $\begin{pmatrix} a - \beta & \theta \\ -\beta & \theta \end{pmatrix}$: **(4.2)** with momentum, the eigenvalues can be
# complex. The memory swings past its goal, as a heavy ball does.
#
# **Batches.** *TTT* (Sun et al., arXiv 2407.04620) takes the gradients of $b$ tokens at the same state, the one before
# the batch, so they need no triangular solve. **(4.3)** $b = 1$ is the delta rule, and one batch of everything, from
# a state of zeros, ends in the state of linear attention (with values $\beta_t v_t$): the batch size leads from one
# to the other.
#
# **Deeper memories.** In both papers, $S^\top k$ may become a small network, whose weights are the state and are
# trained by gradient descent while reading. That is no longer linear in the state. There is no matrix $M$ to build and
# no exact parallel form; chunks work only because gradients are taken at the start of a batch. (TTT's linear memory
# also has a norm and a skip connection.)


# %%
def titans(momentum: float, keep: float = 1.0) -> np.ndarray:
    """The state after all tokens, by (4.1)."""
    S, M = np.zeros((2, r, d))
    for k, v, b in zip(keys, V, beta, strict=True):
        M = momentum * M + b * np.outer(k, v - k @ S)
        S = keep * S + M
    return S


def ttt(batch: int) -> np.ndarray:
    """The state after all tokens, with the gradients of a batch at the state before it."""
    S = np.zeros((r, d))
    for c in (slice(start, start + batch) for start in range(0, N, batch)):
        S = S + (beta[c, None] * keys[c]).T @ (V[c] - keys[c] @ S)
    return S


last = delta_rule.recurrent(Q, keys, V, beta)[1]
assert_same(delta_rule=last, no_momentum=titans(0.0), batches_of_one=ttt(1))
assert_same(linear_attention=(beta[:, None] * keys).T @ V, one_batch=ttt(N))  # (4.3)
along = np.linalg.eigvals(np.array([[1 - 0.5, 0.6], [-0.5, 0.6]]))
print("eigenvalues along k with β = 0.5 and θ = 0.6:", along.round(2))
assert np.abs(along.imag).min() > 0.4  # (4.2)

# %% [markdown]
# ## 5 · The exact minimizer: Mesa
#
# Why learn step by step, if the best state is known? **Mesa** (von Oswald et al., arXiv 2506.05233) answers every query
# from the least-squares fit of *all* pairs so far, each with a weight $\omega_{tj} = \beta_j\, a_{j+1} \cdots a_t$ that
# decays, and with a ridge $\lambda$:
#
# **(5.1)** $W_t = \arg\min_W \sum_{j \le t} \omega_{tj}\, |v_j - W^\top k_j|^2 + \sum_c \lambda_c |W_c|^2$.
#
# A gradient of zero says $(H_t + \mathrm{diag}(\lambda))\, W_t = G_t$ with $H_t = \sum_j \omega_{tj} k_j k_j^\top$ and
# $G_t = \sum_j \omega_{tj} k_j v_j^\top$. Both are states of linear attention with decay; $y_t = W_t^\top q_t$ needs
# one linear system per token. (MesaNet solves it by conjugate gradients.)
#
# **(5.2) It is a delta rule with the right step.** Without decay, $P_t = (H_t + \mathrm{diag}(\lambda))^{-1}$
# changes by one rank per token, and the Sherman–Morrison formula gives
#
# $$W_t = W_{t-1} + g_t\, (v_t - W_{t-1}^\top k_t)^\top, \qquad
# g_t = \frac{P_{t-1} k_t}{1 / \beta_t + k_t^\top P_{t-1} k_t} ,$$
#
# which is *recursive least squares*, a Kalman filter. (This $\beta$ is the $\eta$ of section 1: with $P = I$ and
# $|k| = 1$ the gain is $\frac{\beta}{1 + \beta} k$.) The delta rule has $g_t = \beta_t k_t$: it knows the
# direction of the newest key, and nothing of the older ones. $P$ shrinks along keys that came often. So a new pair
# moves the state mostly in directions that no older pair uses, and disturbs little.
#
# Then: [exercise](../exercises/03e_family_since.ipynb) `03e_family_since-mesa-ridge`.

# %%
lam = np.full(r, 0.2)
P, W, y = np.diag(1 / lam), np.zeros((r, d)), np.empty((N, d))
for t in range(N):
    k = keys[t]
    gain = P @ k / (1 / beta[t] + k @ P @ k)
    W = W + np.outer(gain, V[t] - k @ W)
    P = P - np.outer(gain, k @ P)
    y[t] = Q[t] @ W
solved, (H, G) = mesa.recurrent(Q, keys, V, still, beta, lam)
assert_same(recursive_least_squares=y, mesa=solved)  # (5.2)
gradient = keys.T @ (beta[:, None] * (keys @ W - V)) + lam[:, None] * W
assert np.abs(gradient).max() < 1e-10  # (5.1): no state fits better

# %% [markdown]
# ## 6 · Softmax attention learns nothing, and keeps everything
#
# There is one more way to answer a query $q$: look for the stored keys near it. Fit a *constant* $y$, and let near
# pairs count more:
#
# $$y(q) = \arg\min_y \sum_j e^{q \cdot k_j}\, \tfrac12 |v_j - y|^2
#   = \frac{\sum_j e^{q \cdot k_j} v_j}{\sum_j e^{q \cdot k_j}} . \quad \textbf{(6.1)}$$
#
# In statistics this is the *Nadaraya–Watson* estimate; here it is **softmax attention**. For keys of length 1 and
# $q = s\,u$ with $|u| = 1$, the weight is $e^{s}\, e^{-s |u - k_j|^2 / 2}$: a Gaussian bump, sharper for larger $s$. It
# is *nonparametric*: nothing is learned before the query comes, so all pairs have to be kept, and a fit is made for
# each query. The other mixers so far learn a map from keys to values before it comes.

# %%
softmax = attention.softmax_matrix
y = np.empty((N, d))
for i in range(N):
    root = np.exp(keys[: i + 1] @ Q[i] / 2)[:, None]  # of the weights
    y[i] = np.linalg.lstsq(root, root * V[: i + 1], rcond=None)[0][0]
assert_same(fit_of_a_constant=y, softmax_attention=softmax(Q, keys) @ V)  # (6.1)

# %% [markdown]
# **The same memory, read by each.** Write $n$ random pairs, once each, with keys of 32 numbers. Then ask every key for
# its value. The learners: linear attention; the delta rule with $\beta = 1$, after one pass over the pairs and after
# eight; Mesa with $\lambda = 10^{-6}$; softmax attention with $s = 16$.

# %%
predict("03e_family_since-memory")

# %%
d_key, n_keys = 32, [1, 2, 4, 8, 16, 24, 32, 48, 64, 128]


def error(recall, seeds: int = 10) -> np.ndarray:
    found = np.empty((seeds, len(n_keys)))
    for seed, column in np.ndindex(found.shape):
        rng, n = np.random.default_rng(seed), n_keys[column]
        k, v = rng.normal(size=(n, d_key)), rng.normal(size=(n, 8))
        k /= np.linalg.norm(k, axis=1, keepdims=True)
        found[seed, column] = np.linalg.norm(recall(k, v) - v) / np.linalg.norm(v)
    return found.mean(axis=0)


def by_delta_rule(k, v, passes: int) -> np.ndarray:
    k_again, v_again = np.tile(k, (passes, 1)), np.tile(v, (passes, 1))
    return k @ delta_rule.parallel(k_again, k_again, v_again, np.ones(len(v_again)))[1]


def by_mesa(k, v) -> np.ndarray:
    return k @ np.linalg.solve(k.T @ k + 1e-6 * np.eye(d_key), k.T @ v)


def by_softmax(k, v) -> np.ndarray:
    weights = np.exp(16 * k @ k.T)
    return weights @ v / weights.sum(axis=1, keepdims=True)


# %%
errors = {
    "linear attention": error(lambda k, v: k @ (k.T @ v)),
    "delta rule": error(lambda k, v: by_delta_rule(k, v, 1)),
    "delta rule, eight passes": error(lambda k, v: by_delta_rule(k, v, 8)),
    "Mesa": error(by_mesa),
    "softmax attention": error(by_softmax),
}
title = "One memory, five learners: how wrong is the recalled value?"
figures.recall_error(n_keys, d_key, errors, written="once", title=title)

# %%
up_to_32, beyond = n_keys.index(32), n_keys.index(48)
assert errors["Mesa"][up_to_32] < 0.05 < 0.4 < errors["Mesa"][beyond]
assert errors["delta rule"][up_to_32] > errors["delta rule, eight passes"][up_to_32] > 0.1
assert errors["softmax attention"].max() < 0.01

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# The better the learner, the more pairs fit into the same map of 32 × 8 numbers. (Mesa pays with a second state, and
# eight passes need all pairs.) Linear attention errs from the second pair on, and the delta rule less. Up to 32
# pairs, more passes move the delta rule towards the exact fit, which Mesa has after one. **But 32 rows hold at most
# 32 random keys.** Beyond that no linear map fits them all, whoever learns it; softmax attention goes on, because its
# memory grows. (Where pairs are rewritten or go stale, the exact fit of *all* of them is the wrong goal. That is what
# decays are for.)
#
# </details>
#
# ## 7 · Many time scales: log-linear attention
#
# A decay forgets exponentially. What if the past should fade as a power, $1 / (1 + i - j)$? In
# [03b](03b_duality.ipynb), step 6, the blocks of that mask had ranks that grow slowly with $N$. No state of fixed size
# produces it, but one that grows with $\log N$ comes near.
#
# **Log-linear attention** (Guo et al., arXiv 2506.04761) keeps $O(\log N)$ states, each the sum over a *bucket* of
# consecutive tokens: small buckets for the recent past, large ones for the remote past, as in a Fenwick tree. Token $i$
# (from 0) reads itself at level 0. For every bit $\ell - 1$ of $i$ that is 1, it reads at level $\ell$ the bucket of
# $2^{\ell-1}$ tokens that ends just before $i - (i \bmod 2^{\ell-1})$. Each level has a weight $\lambda_i^{\ell}$ that
# the token sets:
#
# $$y_i = \sum_\ell \lambda_i^{\ell}\; q_i^\top S_i^{(\ell)}, \qquad
#   M = \Lambda \circ L \circ (Q K^\top), \quad \Lambda_{ij} = \lambda_i^{\ell(i, j)} .$$
#
# **(7.1)** Token $i$ reads token $j$ at the level $\ell(i, j)$ that is the number of binary digits of
# $i \mathbin{\mathrm{xor}} j$. **(7.2)** With $\lambda = 1$ it is Mamba-2. **(7.3)** After $t$ tokens there is one
# state for each bit of $t$ that is 1: when two buckets of one size meet, they merge, as digits carry.
#
# Then: [exercise](../exercises/03e_family_since.ipynb) `03e_family_since-fenwick-step`.

# %%
predict("03e_family_since-buckets")

# %%
log_linear = mixers.get("log_linear").module("reference")
T = 64
i = np.arange(T)
level = np.array([[(row ^ token).bit_length() for token in range(T)] for row in range(T)])  # (7.1)
n_levels = level.max() + 1
one = np.ones((T, 1))
for row in range(T):
    for bit in (b for b in range(n_levels) if row >> b & 1):
        end = row >> bit << bit
        assert (level[row, end - 2**bit : end] == bit + 1).all()
fade = np.log(rng.uniform(0.8, 1, size=T))
flat = log_linear.matrix(one, one, one, fade, np.ones((T, n_levels)))
assert_same(mamba2=ssd.matrix(one, fade, one, one), log_linear_with_weights_1=flat)  # (7.2)
counts = [len(log_linear.buckets(t)) for t in range(1025)]
assert counts == [t.bit_count() for t in range(1025)]  # (7.3)
print("states after 1,000, 1,023 and 1,024 tokens:", [counts[t] for t in (1000, 1023, 1024)])

# %% [markdown]
# How near does it come to the power law? Give each bucket the mean of the mask over it, and one head of Mamba-2 the
# best fixed decay. The picture shows the levels, and then what either keeps as a share of what the power law keeps: 1
# is exact.

# %%
distance, seen = np.abs(i[:, None] - i), np.tri(T, dtype=bool)
power = np.tril(1 / (1 + distance))
members = (level[..., None] == np.arange(n_levels)) & seen[..., None]  # row, column, level
lam_i = (power[..., None] * members).sum(axis=1) / np.maximum(members.sum(axis=1), 1)
by_buckets = log_linear.matrix(one, one, one, np.zeros(T), lam_i)

decays = [np.tril(rate**distance) for rate in np.linspace(0.5, 1, 101)]
scaled = [mask * (mask * power).sum() / (mask**2).sum() for mask in decays]
by_one_decay = min(scaled, key=lambda mask: np.linalg.norm(mask - power))

share = {
    name: np.where(seen, mask, 0) / np.where(seen, power, 1)
    for name, mask in {
        "one decay / power law": by_one_decay,
        "buckets / power law": by_buckets,
    }.items()
}
levels = {f"level, as a share of {level.max()}": np.where(seen, level, 0) / level.max()}
title = "A decay loses what is far; buckets keep it, the coarser the farther"
figures.family_portrait(levels | share, what="share", title=title)

# %%
assert share["one decay / power law"][-1, 0] < 1e-6
assert 1 / 6 < share["buckets / power law"][seen].min() < share["buckets / power law"].max() < 6


def rank_below(M: np.ndarray) -> int:
    return int(max(np.linalg.matrix_rank(M[s:, :s]) for s in range(1, len(M))))


half = T // 2
assert np.linalg.matrix_rank(by_buckets[half:, :half]) == 1 < rank_below(by_buckets) <= level.max()
assert rank_below(by_one_decay) == 1
assert rank_below(power) > level.max()
print("rank below the diagonal, by buckets:", rank_below(by_buckets))

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# One decay fits the recent past and has lost the rest: at distance 63 it keeps less than a millionth of
# what the power law keeps. Buckets stay within a factor of six everywhere, for up to $\log_2 N$ times the state and of
# the work. The block from the first half to the second has rank 1, because all of it passes through one bucket; at
# other cuts the rank is up to 5.
#
# </details>
#
# ## 8 · Gates that open without limit: mLSTM
#
# **mLSTM**, the matrix memory of xLSTM (Beck et al., arXiv 2405.04517), is linear attention with a forget gate $f_t$,
# an *exponential* input gate $i_t = e^{\tilde\imath_t}$, and the normalizer that [03b](03b_duality.ipynb) carried
# along:
#
# $$C_t = f_t C_{t-1} + i_t k_t v_t^\top, \quad n_t = f_t n_{t-1} + i_t k_t, \quad
#   y_t = \frac{C_t^\top q_t}{\max(|n_t^\top q_t|, 1)} .$$
#
# The pairs are weighted, as in (6.1), with weights that a token sets freely: a pair that matters much can outweigh all
# before it, and so *revise* what was stored, without a delta rule. But $e^{\tilde\imath}$ overflows. **(8.1) The
# stabilizer** keeps $e^{-m_t} C_t$ and $e^{-m_t} n_t$ instead, with
# $m_t = \max(\log f_t + m_{t-1},\; \tilde\imath_t,\; 0)$, and divides by $\max(|\cdot|, e^{-m_t})$. The factor cancels,
# so *any* $m_t$ gives the same result; this one keeps every exponent at or below 0 (the paper's leaves out the 0). It
# is the maximum that is subtracted in a softmax, carried along.


# %%
def by_the_formula(log_i: np.ndarray) -> np.ndarray:
    C, n, y = np.zeros((r, d)), np.zeros(r), np.empty((N, d))
    for t, (f, i) in enumerate(zip(np.exp(log_a), np.exp(log_i), strict=True)):
        C, n = f * C + i * np.outer(keys[t], V[t]), f * n + i * keys[t]
        y[t] = Q[t] @ C / max(abs(Q[t] @ n), 1)
    return y


log_i = rng.normal(scale=3, size=N)
stable = mlstm.recurrent(Q, keys, V, log_i, log_a)[0]
assert_same(formula=by_the_formula(log_i), stabilized=stable)  # (8.1)
with np.errstate(all="ignore"):
    assert not np.isfinite(by_the_formula(log_i + 800)).all()
larger = [mlstm.recurrent(Q, keys, V, log_i + shift, log_a)[0] for shift in (800, 900)]
assert_same(gates_of_e800=larger[0], gates_of_e900=larger[1])  # the mean does not mind the scale

# %% [markdown]
# ## 9 · The softmax side: windows, FoX, PaTH
#
# Decays and products of $I - \beta w w^\top$ (Householder products) work for softmax too. What a recurrence does to
# its state can be done to the *scores* $s_{ij}$ of softmax attention.
#
# **A window** is the simplest way to forget: token $i$ sees the last $w$ tokens, $j > i - w$, and the cache stops
# growing. **(9.1)** What is older than that has no influence in this layer. Two layers reach twice as far,
# $2 (w - 1)$ tokens back.

# %%
w = 8
windowed = attention.softmax(Q, keys, V, window=w)
assert_same(last_token=windowed[-1], of_the_window=(softmax(Q[-w:], keys[-w:]) @ V[-w:])[-1])
P = attention.softmax_matrix(Q, keys, window=w)
rows, columns = np.nonzero(P @ P)  # two layers
assert (rows - columns).max() == 2 * (w - 1)  # (9.1)

# %% [markdown]
# **FoX**, the forgetting Transformer (Lin et al., arXiv 2503.02130), adds the logs of a decay to the scores:
#
# $$s_{ij} = q_i \cdot k_j + \log a_{j+1} + \dots + \log a_i .$$
#
# **(9.2)** So the weights before they are normalized are $L \circ e^{Q K^\top}$, with the mask $L$ of Mamba-2. A token
# with $a_t = 0$ ends everything before it. But where Mamba-2's output fades as its state does, these weights still sum
# to 1: what counts is how much a pair has decayed compared with the others.

# %%
L = ssd.matrix(np.zeros((N, 1)), log_a, np.ones((N, 1)), np.ones((N, 1)))
kernel = L * np.exp(Q @ keys.T)
fox = attention.softmax_matrix(Q, keys, log_a=log_a)
assert_same(decays_under_softmax=kernel / kernel.sum(axis=1, keepdims=True), fox=fox)  # (9.2)
ended = still.copy()
ended[24] = -np.inf
after = attention.softmax_matrix(Q, keys, log_a=ended)[24:]
assert not after[:, :24].any()
assert_same(sums=after.sum(axis=1), one=np.ones(24))

# %% [markdown]
# **PaTH** (Yang et al., arXiv 2505.16381) puts the transitions of the delta rule between query and key:
#
# $$s_{ij} = q_i^\top H_i H_{i-1} \cdots H_{j+1}\, k_j , \qquad H_t = I - \beta_t\, w_t w_t^\top .$$
#
# **(9.3)** With $w_t = k_t$ the number $s_{ij} \beta_j$ is the entry of the delta rule's own matrix. So a later token
# with the same key and $\beta = 1$ sets the *score* of a pair to 0. That is the score of any unrelated pair, whose
# weight is $e^0$: less than that of the newest pair, but not nothing. **(9.4)** With $\beta = 2$ a score can flip its
# sign: one score follows a parity, which softmax alone learned so badly in [03d](03d_expressivity.ipynb).
#
# The picture has the tokens, labels and questions of section 2; queries have length 6. One attention has a window of 8
# tokens. FoX's gate is closed at token 12. PaTH has $w_t = k_t$ and $\beta_t = 1$.

# %%
scores = attention.path_scores(Q, keys, keys, beta)
assert_same(delta_rule=delta_rule.matrix(Q, keys, V, beta), times_beta=scores * beta)  # (9.3)
bits, one = rng.integers(2, size=N), np.ones((N, 1))
flips = attention.path_scores(one, one, one, 2.0 * bits)[:, 0]  # of the pair of token 0
assert_same(parity=(-1.0) ** (bits.cumsum() - bits[0]), score=flips)  # (9.4)

# %%
predict("03e_family_since-softmax")

# %%
asking = 6 * ask
weights = {
    "softmax": attention.softmax_matrix(asking, one_hot),
    "window": attention.softmax_matrix(asking, one_hot, window=8),
    "FoX": attention.softmax_matrix(asking, one_hot, log_a=at_12),
    "PaTH": attention.path(asking, one_hot, np.eye(24), one_hot, whole),
}
title = "Softmax attention that forgets: weights under a window, a gate and a delta rule"
figures.family_portrait(weights, what="weight", title=title)

# %%
assert not weights["FoX"][over].any()
last_write = portrait["DeltaNet"] != 0
read = last_write.any(axis=1)  # where the label has been written at all
share = {name: (M * last_write).sum(axis=1)[read] for name, M in weights.items()}
assert share["PaTH"].min() > 0.9
assert share["softmax"].min() < 0.3

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# Decays and Householder products stand beside softmax as well. FoX forgets like Mamba-2 and PaTH reads the
# last value of a key like the delta rule, almost: what is replaced keeps the weight of an unrelated pair. (Rows of
# one even color ask for a label that no token seen has: softmax must read something, and reads all alike.) What they
# do not change is the cache: all pairs are kept. Only the window bounds the cache, and what leaves it is gone.
#
# </details>
#
# ## 10 · What each buys, and what it costs
#
# The words sum up the sections above; the numbers are computed by the package, for one head with keys and values of
# 64 numbers after 1,024 tokens: how many numbers it carries (log-linear attention: room for all levels), the FLOPs of
# one token (Mesa: with a direct solve), how much of something stored is left when one token has flipped its sign, and
# whether the order of two tokens matters to their transitions ([03d](03d_expressivity.ipynb) says what these two
# allow).

# %%
words = """
linear attention | more of v | S | one step | adds; keeps the gist
Mamba-2 | more of v | a S | one step | the recent gist
GLA | more of v | diag(α) S | one step | a gist with topics that end
DeltaNet, β < 2 | v | S | one step | the last value of a key
gated DeltaNet, β < 2 | v | a S | one step | and forgets all at once
KDA | v | diag(α) S | one step | and forgets one topic
gated DeltaProduct, β < 2 | v | a S | n = 2 steps | turns, S₃ in one layer
Mesa | all v so far | 0, ridge λ | exact | the best linear map
log-linear attention | more of v | a S, each bucket | one step | the remote past, coarsely
mLSTM | more of v, weighted | f S | one step | outweighs what was stored
softmax attention | all v near q | nothing | at the query | any token
"""  # name, what it fits, what it stays near, how far it goes, what that buys
head = "learner", "fits", "stays near", "how far", "buys", "state", "FLOPs", "a flip keeps", "order"
lines = [f"| {' | '.join(head)} |", "|" + " --- |" * 5 + " ---: |" * 2 + " --- |" * 2]
for row in words.strip().splitlines():
    name, *cells = row.split(" | ")
    if name in unification.members():
        cells += unification.numbers(name).cells()
        lines.append(f"| **{name}** | {' | '.join(cells)} |")
Markdown("\n".join(lines))

# %% [markdown]
# Read the table by rows that differ in one word. From *more of v* to *v*: about half as many FLOPs again, and keys are
# replaced. From $a$ to $\mathrm{diag}(\alpha)$: nothing more to store, and topics can end. From one step to two: 1.6
# times the work, and the state can turn. Softmax carries more with every token, and log-linear attention needs room
# for one state more whenever the text doubles. (KDA stands here with $\beta < 1$, as published; with $\beta$ up to 2
# it keeps a flip, too.)
#
# <a id="hybrids"></a>
#
# ## 11 · Hybrids of today
#
# RWKV-7 and xLSTM are published without attention. The models below keep some layers of softmax attention. Which
# layers, and how many? The table is read from `lecture17/hybrids.py`. Layers are those that mix tokens, and the
# first is layer 0. *Grows* is what the caches grow by with each token, as a share of a model with attention in every
# layer and a key and a value for every query. (RG-LRU is a gated recurrence with one number of state per channel;
# lightning attention is linear attention with a fixed decay per head.) The last column says what the default
# configuration in Hugging Face's transformers shares with the release: a default is often a placeholder, so
# read a model's own `config.json`.

# %%
head = "model", "other layers", "attention", "which", "window", "heads q / kv", "grows", "source"
lines = [f"| {' | '.join(head)} | default shares |", "|" + " --- |" * (len(head) + 1)]
for x in hybrids.LAYOUTS:
    link = f"[{x.source}](https://arxiv.org/abs/{x.source})"
    cells = [
        f"{x.mixer}{', beside' * x.beside}",
        f"{len(x.attention)} of {x.layers}",
        x.where,
        f"{x.window:,}" if x.window else "",
        f"{x.heads[0]} / " + (str(x.heads[1]) if x.latent is None else "latent"),
        f"{x.growth:.1%}",
        link if x.source[0].isdigit() else x.source,
        (" and ".join(x.shared) or "neither") if x.peer else "has none",
    ]
    lines.append(f"| **{x.name}** | {' | '.join(cells)} |")
Markdown("\n".join(lines))

# %% [markdown]
# - **The ratio.** Where full attention takes the place of Mamba, it is one layer in five to eleven; with delta rules
#   it is one in four. In Samba, whose attention has a window, it is every second layer. (The comparison of 72 models
#   that [06](06_review.ipynb) cites recommends one in four to one in seven.)
# - **Where.** Evenly through the stack, for the most part, and not first: only Falcon-H1 has attention in layer 0; it
#   has it in all its layers, side by side with Mamba-2. In Zamba2 the attention layers share weights, and stand
#   beside Mamba-2 too.
# - **Grouped queries**, which most of them have, shrink what is left of the cache: several queries share a key and a
#   value. Kimi Linear stores a *latent* vector from which keys and values are computed.
# - **Windows** bound it: RecurrentGemma and Samba have no cache that grows, and so no exact recall beyond what their
#   windows reach, except by their states.
# - **Positions.** With a recurrence in the stack, attention may need none: Kimi Linear, Granite 4 and Jamba use no
#   position encoding there.

# %%
with_delta_rules = [x for x in hybrids.LAYOUTS if x.mixer in ("gated DeltaNet", "KDA")]
assert all(round(x.layers / len(x.attention)) == 4 for x in with_delta_rules)
assert [x.name for x in hybrids.LAYOUTS if 0 in x.attention] == ["Falcon-H1 7B"]
assert sum(x.growth < 0.07 for x in hybrids.LAYOUTS) == 11

# %% [markdown]
# Why such a stack beats either kind of layer alone: the end of [06](06_review.ipynb).
#
# ## Recap
#
# - One loss, three questions: what does a state fit, what does it stay near, how far does it go?
# - Gated delta rule and KDA are SGD with weight decay: one rate for all keys, or one for each key dimension. Of the
#   two, only KDA ends one topic and keeps another.
# - DeltaProduct takes several steps, Mesa the exact minimum, and softmax attention fits anew at every query; decays and
#   Householder products stand beside it too (FoX, PaTH).
# - Log-linear attention keeps $\log N$ states for as many time scales; mLSTM weighs without limit and stays in range.
# - Most hybrids keep softmax in one layer of four to eleven, and their caches grow a few percent as fast.
#
# **Where next:** the [exercises](../exercises/03e_family_since.ipynb) (14 points), then part [04a](04a_torch.ipynb),
# where all these mixers become fast, batched PyTorch.

# %% tags=["nbval-ignore-output"]
progress("03e_family_since")
