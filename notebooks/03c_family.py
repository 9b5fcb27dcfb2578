# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03c · The family: one recurrence, many decays
#
# *30 minutes · ★★★*
#
# After this you can …
# - derive Mamba-1, Mamba-2, RetNet and GLA from one line, each down to its published form,
# - write each of them as a matrix, and compute GLA's gates so that no gate overflows,
# - say what a single decay per head buys, and what a decay for every state entry costs.
#
# **How to read.** This part is about states that fade. The [second part](03c_memory.ipynb) is about states that correct
# what they have stored (the delta rule, RWKV-7) or turn as the token says (Mamba-3). Each section changes one thing in
# the line of section 1, and the cells below it fail if the section is wrong. Where the lecture is wrong about a single
# model (its corrections 8 to 12), [part 01](01_tour.ipynb#correction-8) says so; here you derive what is true instead.
#
# **Letters.** $N$ tokens, the rows. The state $S_t$ is keys × values. $q_t, k_t \in \mathbb R^{r}$ read and write,
# and $v_t \in \mathbb R^{d}$ is what is written. Mamba calls them $C_t, B_t, x_t$; RWKV calls $q$ the receptance. $L$
# is the decay mask of part [03b](03b_duality.ipynb), $\circ$ the entrywise product. All letters: the
# [notation table](03a_semiseparable.ipynb#notation); all words: the [glossary](06_review.ipynb#glossary).

# %%
import numpy as np

from lecture17 import costs
from lecture17.compare import assert_same
from lecture17.course import predict, progress
from lecture17.reference import gla, retention, selective_scan, ssd

# %% [markdown]
# ## 1 · The line
#
# $$\begin{aligned}
# S_t &= A_t\, S_{t-1} + k_t v_t^\top, & y_t &= q_t^\top S_t \\
# \Longleftrightarrow \quad y &= M V, & M_{ij} &= q_i^\top A_i A_{i-1} \cdots A_{j+1}\, k_j \quad (i \ge j).
# \end{aligned}$$
#
# The proof is that of part [03b](03b_duality.ipynb): unroll the recurrence. It used nothing except that $A_t$
# multiplies from the left. **So every member of the family but Mamba-1 is a choice of $A_t$, an $r \times r$ matrix,
# and its kernel $M$ has strict rank at most $r$:** no block strictly below the diagonal has a larger rank
# ([03a](03a_semiseparable.ipynb#which-rank)). Mamba-1 has its own $A_t$, and so its own kernel, for each feature. Some
# members treat the current token separately, so a block that includes diagonal entries can have rank $r + 1$: RWKV-4,
# 5 and 6 add a bonus for it (and RWKV-4 divides one such $y$ by another), Mamba-3 writes it in two parts, the second
# one token late.
#
# The structure of $A_t$ decides whether $M$ can be built from matrix products:
#
# | transition $A_t$ | member | what a token does to the state |
# | --- | --- | --- |
# | $I$ | linear attention | nothing fades |
# | $\gamma I$ | RetNet | everything fades, always at the same rate |
# | $a_t I$ | Mamba-2 | everything fades, at a rate the token sets |
# | $\mathrm{diag}(\alpha_t)$ | GLA, RWKV-6 | each row of $S$, a key dimension, fades at its own rate |
# | a decay for each entry of $S$ | Mamba-1 | each entry fades at its own rate |
# | $a_t (I - \beta_t k_t k_t^\top)$ | (gated) DeltaNet | everything fades, and what $k_t$ recalls is removed |
# | $\mathrm{diag}(w_t) - (a_t \circ \hat\kappa_t)\, \hat\kappa_t^\top$ | RWKV-7 | rows fade; $\hat\kappa_t$ removes |
# | $a_t \times$ rotations | Mamba-3 | everything fades and turns |
#
# **How the members are related:** each arrow relaxes or adds one thing, named by its label where it has one.
#
# ```mermaid
# flowchart TB
#   accTitle: Which transition comes from which
#   accDescr: From linear attention, decays lead to RetNet, Mamba and GLA, replacing to DeltaNet, both to RWKV-7.
#   LA["linear attention: I"] -- "one fixed decay" --> RN["RetNet: γ I"]
#   RN -- "set by the token" --> M2["Mamba-2: a I"]
#   M2 -- "one per key dimension" --> GLA["GLA: diag(α)"]
#   GLA -- "one per entry" --> M1["Mamba-1"]
#   M2 -- "and it turns" --> M3["Mamba-3: a · rotation"]
#   LA -- "replace, do not add" --> DN["DeltaNet: I − β k kᵀ"]
#   DN -- "and all fades" --> GD["gated DeltaNet: a (I − β k kᵀ)"]
#   M2 --> GD
#   DN --> R7["RWKV-7: diag(w) − (a ∘ κ) κᵀ"]
#   GLA -- "and remove along κ" --> R7
# ```
#
# (An arrow is a step in the mathematics, not in history: Mamba-1 was published before Mamba-2.)
#
# `kernel` is that formula as code, for any transitions. Everything below is checked against it.

# %%
rng = np.random.default_rng(17)
N, r, d = 32, 4, 3
eye = np.eye(r)
Q, K = rng.normal(size=(2, N, r))
V = rng.normal(size=(N, d))


def kernel(A: np.ndarray, K: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """M[i, j] = q_i A_i … A_{j+1} k_j: written by token j, carried, read by token i."""
    M = np.zeros((len(A), len(A)))
    for j, carried in enumerate(K):
        for i in range(j, len(A)):
            carried = A[i] @ carried if i > j else carried
            M[i, j] = Q[i] @ carried
    return M


A = rng.normal(size=(N, r, r)) / 3  # any matrices at all
S, y = np.zeros((r, d)), np.empty((N, d))
for t in range(N):
    S = A[t] @ S + np.outer(K[t], V[t])
    y[t] = Q[t] @ S
assert_same(recurrence=y, kernel=kernel(A, K, Q) @ V)

# %% [markdown]
# ## 2 · Mamba-1: a decay for every entry
#
# Start from a differential equation for one channel, $h' = A h + B x$, with $A$ diagonal and negative. Hold $A, B, x$
# constant during a step $\Delta$. For each state entry the solution is
#
# $$\begin{aligned}
# h(t + \Delta) &= e^{\Delta A}\, h(t) + \frac{e^{\Delta A} - 1}{A}\, B x \\
# &\approx e^{\Delta A}\, h(t) + \Delta\, B x .
# \end{aligned}$$
#
# The first form is *zero-order hold*. Mamba ships the second for $B$ (Euler's rule); the two input terms differ by the
# factor $1 + \Delta A / 2 + \dots$ **"Selective" means that $\Delta_t, B_t, C_t$ are computed from the token.** Every
# channel $c$ has its own $\Delta_{tc}$ and its own row of $A$:
#
# $$h_{t} = e^{\Delta_{tc} A_c} \circ h_{t-1} + \Delta_{tc} B_t\, x_{tc}, \qquad y_{tc} = C_t \cdot h_t .$$
#
# (Gu and Dao, arXiv 2312.00752, Section 3.) In our line: $A_t = \mathrm{diag}(e^{\Delta_{tc} A_c})$, *a different one
# for every channel*, so there are $d$ kernels instead of one.

# %%
step, rate = 0.3, -0.7
h, n_small = 1.0, 20_000
for _ in range(n_small):
    h += step / n_small * (rate * h + 1.0)  # h' = A h + B x with B x = 1, in many small steps
zero_order_hold = np.exp(step * rate) * 1.0 + (np.exp(step * rate) - 1) / rate
assert_same(small_steps=h, zero_order_hold=zero_order_hold, tol=1e-5)
ratio = (np.exp(step * rate) - 1) / rate / step
print(f"zero-order hold / Euler: {ratio:.3f}, 1 + ΔA/2: {1 + step * rate / 2:.3f}")

delta, A_rate = rng.uniform(0.01, 1, size=(N, d)), -rng.uniform(0.5, 4, size=(d, r))
kernels = [
    kernel(np.exp(delta[:, [c]] * A_rate[c])[..., None] * eye, delta[:, [c]] * K, Q)
    for c in range(d)
]
published = selective_scan.matrix(V, delta, A_rate, B=K, C=Q)
assert_same(published=published, one_kernel_per_channel=np.array(kernels))

# %% [markdown]
# **Mamba-1 is linear in `d_state`, and Mamba-2 does not win by doing fewer FLOPs**
# ([correction 7](02_intuition.ipynb#correction-7) in part 02). It wins because one kernel serves all channels of a
# head, so the work becomes matrix products. It also needs one exponential per token and head instead of one per state
# entry.
#
# Count both, for one token and 64 channels.

# %%
channels = 64
for n in (16, 64, 256):  # d_state
    h, x, B, C, steps = (rng.normal(size=s) for s in ((n, channels), channels, n, n, channels))
    mamba1 = costs.count(
        lambda h, x, delta, A, B, C: C @ (np.exp(delta * A) * h + B[:, None] * (delta * x)),
        *(h, x, steps, -np.ones((n, channels)), B, C),
    )
    mamba2 = costs.count(
        lambda h, x, delta, a, B, C: C @ (np.exp(delta * a) * h + B[:, None] * (delta * x)),
        *(h, x, np.array([0.1]), -1.0, B, C),
    )
    per_entry = (round(m.flops / (n * channels)) for m in (mamba1, mamba2))
    print(f"d_state {n:3}: FLOPs per state entry {tuple(per_entry)}, ", end="")
    print(f"exponentials {(mamba1.exponentials, mamba2.exponentials)}")
    assert mamba1.flops < 6.2 * n * channels
    assert mamba2.flops < 5.2 * n * channels

log_a = np.log(rng.uniform(0.8, 1, size=N))
chunked = costs.count(ssd.chunkwise, rng.normal(size=(N, 64)), log_a, Q, K)
print(f"N × N matrices: {len(published)} for {d} channels of Mamba-1, 1 per head for Mamba-2;")
print(f"matrix multiplications do {chunked.in_matmul / chunked.flops:.0%} of SSD's chunkwise FLOPs")
assert chunked.in_matmul > 0.9 * chunked.flops

# %% [markdown]
# ## 3 · Mamba-2: the whole block
#
# The mixer is part 03b's SSD, $A_t = a_t I$ (the lecture's code for it has no decay:
# [correction 8](01_tour.ipynb#correction-8)). The block around it (Dao and Gu, arXiv 2405.21060, Section 7.1, and the
# published code) has one projection that makes $z, x, B, C, \delta$, and a causal convolution of width 4 with SiLU that
# lets $x, B, C$ see the three tokens before. The step is $\Delta = \mathrm{softplus}(\delta + b)$, and each head has
#
# $$\begin{aligned}
# \log a_t &= -e^{\texttt{A\_log}}\, \Delta_t, \\
# S_t &= a_t S_{t-1} + B_t\, (\Delta_t x_t)^\top, \\
# y_t &= C_t S_t + D\, x_t .
# \end{aligned}$$
#
# Then come $\mathrm{RMSNorm}(y \circ \mathrm{SiLU}(z))$ and a projection out.
#
# **(3.1) This decay is a sigmoid gate.** $\mathrm{softplus}(z) = \log(1 + e^z)$, so with $A = e^{\texttt{A\_log}}$
#
# $$a_t = e^{-A\, \mathrm{softplus}(z_t)} = (1 + e^{z_t})^{-A} = \sigma(-z_t)^{A} .$$
#
# **(3.2)** $\Delta$ ties forgetting to writing: $\Delta \to 0$ skips the token ($a \to 1$, nothing is written), and a
# large $\Delta$ forgets and writes.
#
# **(3.3)** As a kernel, head by head: $M = L \circ (C B^\top)\, \mathrm{diag}(\Delta) + D I$.
#
# The first cell is the block. The next two check it: the whole sequence at once must give what the tokens give one by
# one, with the window and the states passed along. They also show what the published initial values mean
# ($A \sim U(1, 16)$, $\Delta$ log-uniform in $[0.001, 0.1]$).


# %%
def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def mamba2(u: np.ndarray, W: dict, window: np.ndarray, states: list) -> tuple:
    """The block on the tokens u, after `window` (what the convolution last saw) and `states`."""
    d_in, heads = len(W["out"]), len(states)
    z, xBC, dt = np.split(u @ W["in"], [d_in, W["in"].shape[1] - heads], axis=1)
    seen = np.concatenate([window, xBC])
    xBC = sum(seen[i : i + len(u)] * W["conv"][i] for i in range(4)) + W["conv_bias"]
    x, B, C = np.split(xBC * sigmoid(xBC), [d_in, (d_in + xBC.shape[1]) // 2], axis=1)
    dt = np.log1p(np.exp(dt + W["dt_bias"]))  # softplus, (N, heads)
    log_a = -np.exp(W["A_log"]) * dt
    y, after = [], []
    for h, x_h in enumerate(np.split(x, heads, axis=1)):
        y_h, S = ssd.chunkwise(dt[:, [h]] * x_h, log_a[:, h], B, C, states[h])
        y.append(y_h + W["D"][h] * x_h)
        after.append(S)
    gated = np.concatenate(y, axis=1) * z * sigmoid(z)
    normed = gated / np.sqrt((gated**2).mean(axis=1, keepdims=True) + 1e-5) * W["norm"]
    return normed @ W["out"], seen[len(u) :], after


# %%
def weights(d_model: int, d_in: int, r: int, heads: int) -> dict:
    shapes = {"in": (d_model, 2 * d_in + 2 * r + heads), "out": (d_in, d_model)}
    W = {name: rng.normal(size=s) / np.sqrt(s[0]) for name, s in shapes.items()}
    W["A_log"], W["D"] = np.log(rng.uniform(1, 16, size=heads)), np.ones(heads)
    step = np.exp(rng.uniform(np.log(1e-3), np.log(1e-1), size=heads))
    W["dt_bias"] = np.log(np.expm1(step))  # so that softplus(dt_bias) = step
    W["conv"], W["conv_bias"] = rng.uniform(-0.5, 0.5, size=(4, d_in + 2 * r)), 0.0
    return W | {"norm": np.ones(d_in)}


W, u = weights(8, 16, r, heads=2), rng.normal(size=(N, 8))
window, states = np.zeros((3, 16 + 2 * r)), [np.zeros((r, 8))] * 2
at_once, *_ = mamba2(u, W, window, states)
by_token = np.empty_like(at_once)
for t in range(N):
    by_token[[t]], window, states = mamba2(u[[t]], W, window, states)
assert_same(at_once=at_once, token_by_token=by_token)

# %%
z, dt, A_head, skip = rng.normal(size=N), rng.uniform(size=N), 5.0, 2.0
decay = np.exp(-A_head * np.log1p(np.exp(z)))
assert_same(decay=decay, sigmoid_gate=sigmoid(-z) ** A_head)  # (3.1)
by_state = ssd.recurrent(dt[:, None] * V, log_a, K, Q)[0] + skip * V
M = ssd.matrix(V, log_a, K, Q) * dt + skip * np.eye(N)
assert_same(by_state=by_state, kernel=M @ V)  # (3.3)
shortest, longest = np.log(2) / (16 * 0.1), np.log(2) / (1 * 0.001)
print(f"at initialization, half of the state is left after {shortest:.1f} to {longest:.0f} tokens")

# %% [markdown]
# How much does such a block save compared with attention? The lecture gives a number.
#
# <a id="correction-23"></a>
#
# > **Correction 23 · the lecture says** that on Path-X ($N = 128 \cdot 128$) an SSM needs "250 times fewer operations"
# > than attention: $N^2$ against $N \cdot d_{state}$.
# >
# > **In truth** neither is a count of operations. $N^2$ counts
# > scores, each of which costs $4d$ FLOPs ($2d$ to make, $2d$ to use). $N \cdot d_{state}$ counts the entries of *one*
# > channel's state; there are $d$ channels, at 5 FLOPs per entry. Drop $d$ on one side only and the ratio is off by a
# > factor of $d$; keep it on both, and the mixing alone is about 205 times cheaper (half that if attention skips the
# > masked half). A *layer* also has projections, and pays for them whatever $N$ is: what is left is a factor of about
# > 15.

# %%
N_x, d_x, r_x = 128 * 128, 256, 64  # Path-X; d and d_state of a small model
print(f"scores / entries of one channel's state: {N_x**2 / (N_x * r_x):.0f}")
mixing = 4 * N_x**2 * d_x / (5 * N_x * r_x * d_x)
print(f"FLOPs of the mixing alone: {mixing:.0f} times fewer")
print(f"with d on one side only: {mixing / d_x:.1f} or {mixing * d_x:,.0f} times fewer")


def attention(u, W_q, W_k, W_v, W_o):
    P = np.exp((u @ W_q) @ (u @ W_k).T)
    return P / P.sum(axis=1, keepdims=True) @ (u @ W_v) @ W_o


def attention_flops(N: int, d: int) -> int:
    return 8 * N * d * d + 4 * N * N * d + N * N


u = rng.normal(size=(64, d_x)) / 16
counted = costs.count(attention, u, *rng.normal(size=(4, d_x, d_x)) / 16)
assert counted.flops == attention_flops(64, d_x)
W, states = weights(d_x, 2 * d_x, r_x, heads=8), [np.zeros((r_x, 64))] * 8
block = costs.count(mamba2, u, W, np.zeros((3, 2 * d_x + 2 * r_x)), states)  # one chunk of 64
layers = attention_flops(N_x, d_x) / (block.flops * N_x / 64)
print(f"FLOPs of a whole layer, attention / Mamba-2: {layers:.0f}")
assert (round(mixing), round(layers)) == (205, 15)

# %% [markdown]
# ## 4 · RetNet: one decay, and a rotation
#
# RetNet (Sun et al., arXiv 2307.08621, Section 2.1) starts from *one* $A$ for all tokens and diagonalizes it. Its
# eigenvalues $\gamma e^{i\theta}$ then appear between query $t$ and key $j$ as $\gamma^{t-j} e^{i(t-j)\theta}$, and the
# rotation splits: $e^{it\theta}$ goes to the query, $e^{-ij\theta}$ to the key. **So rotating $q$ and $k$ by their
# position *is* a complex state, written in real numbers.** (The rotation alone is RoPE; rotation and decay together
# are xPos, arXiv 2212.10554.) What remains is $S_t = \gamma S_{t-1} + k_t v_t^\top$, in three forms:
#
# - parallel: $(D \circ Q K^\top)\, V$ with $D_{ij} = \gamma^{i-j}$ for $i \ge j$;
# - recurrent: the line itself;
# - chunkwise: for chunks of $c$ tokens, counted from 0 inside a chunk,
#   $y_t = (\text{parallel inside})_t + \gamma^{t+1} q_t S$ and
#   $S \leftarrow \gamma^{c} S + \sum_t \gamma^{c-1-t} k_t v_t^\top$. If the last chunk is shorter, its own length is
#   its $c$.
#
# The published block scales $k$ by $r^{-1/2}$ and uses $\theta = 10000^{-\mathrm{linspace}(0, 1, r/2)}$ and
# $\gamma_h = 1 - 2^{-5-h}$ for head $h$. Write the chunks: [exercise](../exercises/03c_family.ipynb)
# `03c_family-retention-chunkwise`.

# %%
theta, gamma = 10000.0 ** -np.linspace(0, 1, r // 2), 1 - 2.0**-5


def pairs(X: np.ndarray) -> np.ndarray:
    return X[:, 0::2] + 1j * X[:, 1::2]


def turned(X: np.ndarray, angle: np.ndarray) -> np.ndarray:
    z = pairs(X) * np.exp(1j * angle)
    return np.stack([z.real, z.imag], axis=-1).reshape(X.shape)


position = np.arange(N)[:, None]
Q_rot, K_rot = turned(Q, position * theta), turned(K, position * theta)
s, complex_ssm = np.zeros((r // 2, d), complex), np.empty((N, d))
for t in range(N):  # the same eigenvalues for every token
    s = (gamma * np.exp(1j * theta))[:, None] * s + np.outer(pairs(K)[t].conj(), V[t])
    complex_ssm[t] = (pairs(Q)[t] @ s).real
parallel, _ = retention.parallel(Q_rot, K_rot, V, gamma)
recurrent, _ = retention.recurrent(Q_rot, K_rot, V, gamma)
chunkwise, _ = retention.chunkwise(Q_rot, K_rot, V, gamma, chunk_size=5)
assert_same(complex_ssm=complex_ssm, parallel=parallel, recurrent=recurrent, chunkwise=chunkwise)
half = np.log(0.5) / np.log(1 - 2.0 ** (-5 - np.arange(8)))
print("tokens until half is left, head by head:", *half.round().astype(int))

# %% [markdown]
# **GroupNorm, and why the score normalizations cancel.** RetNet divides its scores three times (Section 2.2): by
# $\sqrt r$; row $i$ of $D$ by $\sqrt{\sum_j D_{ij}}$; row $i$ of $R = D \circ QK^\top$ by
# $\max(|\sum_j R_{ij}|, 1)$. **(4.1)** Each of these multiplies *row* $i$ by a positive number, so together they
# multiply $y_i$ by some $s_i > 0$. **(4.2)** Then every head of every token is normalized on its own, with
# $\mathrm{norm}_\epsilon(y) = (y - \bar y) / \sqrt{\mathrm{var}(y) + \epsilon}$, and
#
# $$\mathrm{norm}_\epsilon(s\, y) = \mathrm{norm}_{\epsilon / s^2}(y) .$$
#
# **So they cancel exactly at $\epsilon = 0$, and only there.** For $\epsilon > 0$ they act like a different $\epsilon$
# for every token, $\epsilon / s_i^2$: it hardly matters for heads with large outputs, and matters a lot for heads with
# small ones. *Without* the norm the normalized parallel form is a different map from the recurrence
# ([correction 11](01_tour.ipynb#correction-11)).
#
# Take $\epsilon = 10^{-6}$. How much do the score normalizations change the normalized outputs, at most?

# %%
predict("03c_family-groupnorm")


# %%
def norm(y: np.ndarray, eps: float | np.ndarray) -> np.ndarray:
    return (y - y.mean(axis=1, keepdims=True)) / np.sqrt(y.var(axis=1, keepdims=True) + eps)


D = retention.matrix(np.ones((N, r)), np.ones((N, r)) / r, V, gamma)
plain = D * (Q_rot @ K_rot.T)
scores = plain / np.sqrt(r) / np.sqrt(D.sum(axis=1, keepdims=True))
scores = scores / np.maximum(np.abs(scores.sum(axis=1, keepdims=True)), 1)
s = (scores @ V / (plain @ V)).mean(axis=1, keepdims=True)
assert (s > 0).all()
assert_same(normalized=scores @ V, one_number_per_row=s * (plain @ V))  # (4.1)
assert_same(norm_of_sy=norm(scores @ V, 1e-6), other_eps=norm(plain @ V, 1e-6 / s**2))  # (4.2)

assert_same(cancels_at_0=norm(plain @ V, 0.0), normalized=norm(scores @ V, 0.0))
for size in (1, 0.001):
    with_eps = norm(scores @ (size * V), 1e-6), norm(plain @ (size * V), 1e-6)
    difference = np.abs(np.subtract(*with_eps)).max()
    print(f"eps = 1e-6, values of size {size:5}: largest difference {difference:.0e}")

# %% [markdown]
# ## 5 · GLA: a gate for each key dimension
#
# $S_t = \mathrm{diag}(\alpha_t)\, S_{t-1} + k_t v_t^\top$, where the token sets $\alpha_t \in (0, 1)^r$ (Yang et al.,
# arXiv 2312.06635, Section 4). **The gate decays the state; it does not scale the input**
# ([correction 12](01_tour.ipynb#correction-12)).
#
# **(5.1)** With $\alpha$ on the *key* side the gates stay inside the scores,
# $M_{ij} = \sum_c q_{ic}\, k_{jc}\, b_{ic} / b_{jc}$ with $b_t = \alpha_1 \circ \cdots \circ \alpha_t$: there is still
# one $M$ for all values. **(5.2)** On the *value* side every value channel would need its own $M$, which is Mamba-1's
# problem.
#
# The layer has $\alpha = \sigma(x W_1 W_2 + b)^{1/16}$ with $W_1 W_2$ of rank 16. By (3.1) that is a Mamba-2 decay with
# $A = 1/16$ for each key dimension. With the gate half open ($\sigma = \tfrac12$), half is left after 16 tokens, not
# after one.
#
# **(5.3) Work in log space.** $(Q \circ b)(K / b)^\top$ is a single matrix product, but as $b$ underflows, $K / b$
# overflows, and a gate of exactly 0 divides by 0. So sum the logs over each segment instead:
#
# $$M_{ij} = \sum_c q_{ic}\, k_{jc}\, e^{\log \alpha_{j+1,c} + \dots + \log \alpha_{ic}} .$$
#
# All exponents are $\le 0$. The price is that this is no matrix product: every triple $(i, j, c)$ takes its own
# exponential. So GLA does it only inside chunks and passes a state between them.
#
# **(5.4) Sub-chunks.** Even inside a chunk, most of it can be a matrix product again. Take a token $s$ between $j$ and
# $i$, $j < s \le i$. The exponent splits there, and both factors are at most 1:
#
# $$\begin{aligned}
# & e^{\log \alpha_{j+1} + \dots + \log \alpha_i} \\
# & \quad = e^{\log \alpha_{j+1} + \dots + \log \alpha_{s-1}} \circ e^{\log \alpha_s + \dots + \log \alpha_i} .
# \end{aligned}$$
#
# The first factor goes to $k_j$, the second to $q_i$. So cut the chunk into sub-chunks. A query and a key from
# different ones have a boundary $s$ between them, so the scores of all such pairs come from matrix products without
# overflow. Only pairs within one sub-chunk need (5.3), entry by entry. (Section 4.3 of the paper: *secondary-level
# chunking*. It takes differences of cumulative sums there, which is safe over few tokens as long as no gate is exactly
# 0.)
#
# Write the chunks yourself: [exercise](../exercises/03c_family.ipynb) `03c_family-gla-chunkwise`.
#
# The next cells compare division, log space and sub-chunks in float32.

# %%
predict("03c_family-division")


# %%
def by_sub_chunks(q, k, logs, size: int = 16) -> np.ndarray:
    """M of one chunk (5.4): matrix products between sub-chunks, (5.3) inside them."""
    M = np.zeros((len(q), len(q)), q.dtype)
    for s in range(0, len(q), size):
        rows = slice(s, s + size)
        M[rows, rows] = gla.matrix(q[rows], k[rows], k[rows], logs[rows])
        if s:
            backwards = np.concatenate([np.zeros_like(logs[:1]), logs[s - 1 : 0 : -1]])
            from_j = np.exp(np.cumsum(backwards, axis=0)[::-1])  # from token j to s - 1
            to_i = np.exp(np.cumsum(logs[rows], axis=0))  # from s to token i
            M[rows, :s] = (q[rows] * to_i) @ (k[:s] * from_j).T
    return M


Q32, K32, V32 = rng.normal(size=(3, 256, r)).astype(np.float32)
for gate in (0.9, 0.5, 0.1, 0.0):
    with np.errstate(all="ignore"):
        b, logs = np.cumprod(np.full((256, r), gate, np.float32), axis=0), np.full((256, r), gate)
        logs = np.log(logs).astype(np.float32)
        divided = np.tril((Q32 * b) @ (K32 / b).T)
        ways = divided, gla.matrix(Q32, K32, V32, logs), by_sub_chunks(Q32, K32, logs)
    right = retention.matrix(*np.stack([Q32, K32, V32]).astype(float), gate)
    ok = [np.allclose(M, right, atol=1e-4) for M in ways]
    print(f"gate {gate}: right by division: {ok[0]}, in log space: {ok[1]}, by sub-chunks: {ok[2]}")
    assert all(ok[1:])

# %%
alpha = rng.uniform(0.3, 1, size=(N, r))
log_alpha, b = np.log(alpha), np.cumprod(alpha, axis=0)
by_kernel, published = kernel(alpha[..., None] * eye, K, Q), gla.matrix(Q, K, V, log_alpha)
assert_same(kernel=by_kernel, published=published, divided=np.tril((Q * b) @ (K / b).T))  # (5.1)
assert_same(published=published, by_sub_chunks=by_sub_chunks(Q, K, log_alpha, size=5))  # (5.4)

S, y = np.zeros((r, d)), np.empty((N, d))
for t in range(N):
    S = S * alpha[t, :d] + np.outer(K[t], V[t])  # d of the gates, on the values
    y[t] = Q[t] @ S
one_each = [ssd.matrix(V, log_alpha[:, c], K, Q) @ V[:, c] for c in range(d)]
assert_same(gate_on_values=y, a_matrix_for_each_value=np.array(one_each).T)  # (5.2)

within = 4 * 16 * 17 // 2, 64 * 65 // 2  # pairs (i, j) with i ≥ j: inside sub-chunks, in the chunk
print(f"a chunk of 64 in sub-chunks of 16: {within[0] / within[1]:.0%} of the pairs entry by entry")

# %% [markdown]
# ## Recap
#
# - One line, $S_t = A_t S_{t-1} + k_t v_t^\top$, $y_t = q_t^\top S_t$. Each member is a choice of $A_t$ (Mamba-1: one
#   for each feature), and each kernel has strict rank at most $r$.
# - Entries that decay together share one matrix: one decay per head is fast, one per entry is not.
# - Mamba-2's decay is a sigmoid gate, and its step $\Delta$ ties forgetting to writing.
# - Rotating queries and keys by their position is a complex state.
# - A product of gates must stay a sum of logs; splitting it at a boundary makes it a matrix product again.
#
# **Where next:** the first two [exercises](../exercises/03c_family.ipynb) (8 of their 16 points), then the
# [second part](03c_memory.ipynb): memories that correct themselves.

# %% tags=["nbval-ignore-output"]
progress("03c_family")
