# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03c · The family: one recurrence, ten architectures
#
# *30 minutes · ★★★*
#
# After this you can …
# - derive Mamba-1, 2 and 3, RetNet, GLA, DeltaNet, RWKV-4 and RWKV-7 from one line, each down to its published form,
# - write the parallel or chunkwise form of each, the WY form of the delta rule included,
# - say what each stores and costs, and what one token can do to its state: fade, replace, flip, turn.
#
# **How to read.** Each section changes one thing in the line of section 1; the cell below it fails if the section is
# wrong. Predict before each picture. What the lecture gets wrong about single models (its corrections 8 to 12) is
# called out in [part 01](01_tour.ipynb#correction-8); here you find what is true instead, derived.
#
# **Letters.** $N$ tokens, the rows. The state $S_t$ is keys × values. $q_t, k_t \in \mathbb R^{r}$ read and write,
# $v_t \in \mathbb R^{d}$ is what is written; Mamba calls them $C_t, B_t, x_t$ and RWKV calls $q$ the receptance. $L$
# is the decay mask of part [03b](03b_duality.ipynb), $\circ$ the product entry by entry. All letters: the
# [notation table](03a_semiseparable.ipynb#notation); all words: the [glossary](06_review.ipynb#glossary).

# %%
import numpy as np
from IPython.display import Markdown

from lecture17 import costs, figures, unification
from lecture17.compare import assert_same
from lecture17.course import predict
from lecture17.reference import delta_rule, gla, mamba3, retention, rwkv7, selective_scan, ssd, wkv4

# %% [markdown]
# ## 1 · The line
#
# $$S_t = A_t\, S_{t-1} + k_t v_t^\top, \qquad y_t = q_t^\top S_t \qquad\Longleftrightarrow\qquad
#   y = M V, \quad M_{ij} = q_i^\top A_i A_{i-1} \cdots A_{j+1}\, k_j \;\; (i \ge j).$$
#
# The proof is that of part [03b](03b_duality.ipynb): unroll, and nothing was used but that $A_t$ multiplies from the
# left. **So every member
# of the family but Mamba-1 is a choice of $A_t$, an $r \times r$ matrix, and its kernel $M$ has strict rank at most
# $r$:** no block strictly below the diagonal has more ([03a](03a_semiseparable.ipynb#which-rank)). Mamba-1 has
# another $A_t$, and another kernel, for each feature. Two members treat the present token apart, so that a block with
# diagonal entries can have rank $r + 1$: RWKV-4 gives it a bonus (and divides one such $y$ by another), Mamba-3 writes
# it in two parts, the second one token late. The structure of $A_t$ decides whether $M$ can be built with matrix
# multiplications:
#
# | transition $A_t$ | member | what a token does to the state |
# | --- | --- | --- |
# | $I$ | linear attention | nothing fades |
# | $\gamma I$ | RetNet | everything fades, always alike |
# | $a_t I$ | Mamba-2 | everything fades, as the token says |
# | $\mathrm{diag}(\alpha_t)$ | GLA, RWKV-6 | each row of $S$, a key dimension, fades by itself |
# | a decay for each entry of $S$ | Mamba-1 | each entry fades by itself |
# | $a_t (I - \beta_t k_t k_t^\top)$ | (gated) DeltaNet | everything fades, and what $k_t$ recalls is removed |
# | $\mathrm{diag}(w_t) - (a_t \circ \hat\kappa_t)\, \hat\kappa_t^\top$ | RWKV-7 | rows fade; $\hat\kappa_t$ removes |
# | $a_t \times$ rotations | Mamba-3 | everything fades and turns |
#
# **Who comes from whom:** each arrow frees one thing, and names it.
#
# ```mermaid
# flowchart LR
#   accTitle: Which transition comes from which
#   accDescr: From linear attention, decays lead to RetNet, Mamba and GLA, replacing to DeltaNet, both to RWKV-7.
#   LA["linear attention: I"] -- "one fixed decay" --> RN["RetNet: γ I"]
#   RN -- "chosen by the token" --> M2["Mamba-2: a I"]
#   M2 -- "one for each key" --> GLA["GLA: diag(α)"]
#   GLA -- "one for each entry" --> M1["Mamba-1"]
#   M2 -- "and it turns" --> M3["Mamba-3: a · rotation"]
#   LA -- "replace, not add" --> DN["DeltaNet: I − β k kᵀ"]
#   DN -- "and all decays" --> GD["gated DeltaNet: a (I − β k kᵀ)"]
#   M2 --> GD
#   DN --> R7["RWKV-7: diag(w) − (a ∘ κ) κᵀ"]
#   GLA -- "and remove along κ" --> R7
# ```
#
# (An arrow is a step of the mathematics; Mamba-1 was published before Mamba-2.)
#
# `kernel` is that formula as code, for any matrices. All below is checked against it.

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
# during a step $\Delta$: for each number of the state the solution is
#
# $$h(t + \Delta) = e^{\Delta A}\, h(t) + \frac{e^{\Delta A} - 1}{A}\, B x
#   \;\approx\; e^{\Delta A}\, h(t) + \Delta\, B x .$$
#
# The left form is *zero-order hold*; Mamba ships the right one for $B$ (Euler's rule), which differs by the factor
# $1 + \Delta A / 2 + \dots$ **"Selective" means that $\Delta_t, B_t, C_t$ are computed from the token.** Every channel
# $c$ has its own $\Delta_{tc}$ and its own row of $A$:
#
# $$h_{t} = e^{\Delta_{tc} A_c} \circ h_{t-1} + \Delta_{tc} B_t\, x_{tc}, \qquad y_{tc} = C_t \cdot h_t .$$
#
# (Gu and Dao, arXiv 2312.00752, Section 3.) In our line: $A_t = \mathrm{diag}(e^{\Delta_{tc} A_c})$, *another one for
# every channel*, so there are $d$ kernels instead of one.

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
# **Mamba-1 is linear in `d_state`, and Mamba-2 does not win by fewer FLOPs**
# ([correction 7](02_intuition.ipynb#correction-7), part [02](02_intuition.ipynb)): it wins because one kernel serves
# all channels of a head,
# so the work becomes matrix multiplications. It also needs one exponential per token and head instead of one per number
# of the state.
#
# Count both: one token, 64 channels.

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
    per_number = (round(m.flops / (n * channels)) for m in (mamba1, mamba2))
    print(f"d_state {n:3}: FLOPs per number of state {tuple(per_number)}, ", end="")
    print(f"exponentials {(mamba1.exponentials, mamba2.exponentials)}")
    assert mamba1.flops < 6.2 * n * channels
    assert mamba2.flops < 5.2 * n * channels

log_a = np.log(rng.uniform(0.8, 1, size=N))
chunked = costs.count(ssd.chunkwise, rng.normal(size=(N, 64)), log_a, Q, K)
print(f"N × N matrices: {len(published)} for {d} channels of Mamba-1, 1 a head for Mamba-2;")
print(f"matrix multiplications do {chunked.in_matmul / chunked.flops:.0%} of SSD's chunkwise FLOPs")
assert chunked.in_matmul > 0.9 * chunked.flops

# %% [markdown]
# ## 3 · Mamba-2: the whole block
#
# The mixer is part 03b's SSD, $A_t = a_t I$ (the lecture's code for it has no decay:
# [correction 8](01_tour.ipynb#correction-8)). Around it
# (Dao and Gu, arXiv 2405.21060, Section 7.1, and the published code): one projection makes $z, x, B, C, \delta$; a
# causal convolution of width 4 with SiLU lets $x, B, C$ see their three predecessors; the step is
# $\Delta = \mathrm{softplus}(\delta + b)$ and each head has
#
# $$\log a_t = -e^{\texttt{A\_log}}\, \Delta_t, \qquad S_t = a_t S_{t-1} + B_t\, (\Delta_t x_t)^\top, \qquad
#   y_t = C_t S_t + D\, x_t ,$$
#
# then $\mathrm{RMSNorm}(y \circ \mathrm{SiLU}(z))$ and a projection out.
#
# **(3.1) This decay is a sigmoid gate.** $\mathrm{softplus}(z) = \log(1 + e^z)$, so with $A = e^{\texttt{A\_log}}$
#
# $$a_t = e^{-A\, \mathrm{softplus}(z_t)} = (1 + e^{z_t})^{-A} = \sigma(-z_t)^{A} .$$
#
# **(3.2)** $\Delta$ ties forgetting to writing: $\Delta \to 0$ skips the token ($a \to 1$, nothing written), a large
# $\Delta$ forgets and writes.
#
# **(3.3)** As a kernel, head by head: $M = L \circ (C B^\top)\, \mathrm{diag}(\Delta) + D I$.
#
# First the block. Then the check: a sequence at once, and token by token with what the block hands on, must be the
# same; and what the published first values mean ($A \sim U(1, 16)$, $\Delta$ log-uniform in $[0.001, 0.1]$).


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

z, dt, A_head, skip = rng.normal(size=N), rng.uniform(size=N), 5.0, 2.0
decay = np.exp(-A_head * np.log1p(np.exp(z)))
assert_same(decay=decay, sigmoid_gate=sigmoid(-z) ** A_head)  # (3.1)
by_state = ssd.recurrent(dt[:, None] * V, log_a, K, Q)[0] + skip * V
assert_same(by_state=by_state, kernel=(ssd.matrix(V, log_a, K, Q) * dt + skip * np.eye(N)) @ V)
shortest, longest = np.log(2) / (16 * 0.1), np.log(2) / (1 * 0.001)
print(f"at first, half of the state is left after {shortest:.1f} to {longest:.0f} tokens")

# %% [markdown]
# ## 4 · RetNet: one decay, and a rotation
#
# RetNet (Sun et al., arXiv 2307.08621, Section 2.1) starts from *one* $A$ for all tokens and diagonalizes it. Its
# eigenvalues $\gamma e^{i\theta}$ then stand between query $t$ and key $j$ as $\gamma^{t-j} e^{i(t-j)\theta}$, and the
# turn splits: $e^{it\theta}$ goes to the query, $e^{-ij\theta}$ to the key. **So rotating $q$ and $k$ by their position
# *is* a complex state, kept in real numbers.** (The rotation alone is RoPE; rotation and decay together are xPos, arXiv
# 2212.10554.) What is left is $S_t = \gamma S_{t-1} + k_t v_t^\top$, with three
# faces:
#
# - parallel $\;(D \circ Q K^\top)\, V$ with $D_{ij} = \gamma^{i-j}$ for $i \ge j$;
# - recurrent, the line itself;
# - chunkwise: for chunks of $c$ tokens, counted from 0 inside a chunk,
#   $y_t = (\text{parallel inside})_t + \gamma^{t+1} q_t S$ and
#   $S \leftarrow \gamma^{c} S + \sum_t \gamma^{c-1-t} k_t v_t^\top$. A shorter last chunk has its own $c$.
#
# The published block scales $k$ by $r^{-1/2}$, takes $\theta = 10000^{-\mathrm{linspace}(0, 1, r/2)}$, and
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
# $\max(|\sum_j R_{ij}|, 1)$. **(4.1)** Each multiplies *row* $i$ by a positive number, so all together multiply
# $y_i$ by some $s_i > 0$. **(4.2)** Then each head of each token is normalized by itself, with
# $\mathrm{norm}_\epsilon(y) = (y - \bar y) / \sqrt{\mathrm{var}(y) + \epsilon}$, and
#
# $$\mathrm{norm}_\epsilon(s\, y) = \mathrm{norm}_{\epsilon / s^2}(y) .$$
#
# **So they cancel exactly at $\epsilon = 0$, and only there.** For $\epsilon > 0$ they act like another $\epsilon$ for
# every token, $\epsilon / s_i^2$: hardly anything for loud heads, a lot for quiet ones. *Without* the norm the
# normalized parallel form is a different map from the recurrence ([correction 11](01_tour.ipynb#correction-11)).
#
# Take $\epsilon = 10^{-6}$, and the largest difference that the score normalizations make to the normalized outputs.

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
assert_same(normalized=scores @ V, one_number_a_row=s * (plain @ V))  # (4.1)
assert_same(norm_of_sy=norm(scores @ V, 1e-6), other_eps=norm(plain @ V, 1e-6 / s**2))  # (4.2)

assert_same(cancels_at_0=norm(plain @ V, 0.0), normalized=norm(scores @ V, 0.0))
for size in (1, 0.001):
    with_eps = norm(scores @ (size * V), 1e-6), norm(plain @ (size * V), 1e-6)
    difference = np.abs(np.subtract(*with_eps)).max()
    print(f"eps = 1e-6, values of size {size:5}: largest difference {difference:.0e}")

# %% [markdown]
# ## 5 · GLA: a gate for each key dimension
#
# $S_t = \mathrm{diag}(\alpha_t)\, S_{t-1} + k_t v_t^\top$ with $\alpha_t \in (0, 1)^r$ from the token (Yang et al.,
# arXiv 2312.06635, Section 4). **The gate decays the state; it does not scale the input**
# ([correction 12](01_tour.ipynb#correction-12)).
#
# **(5.1)** $\alpha$ on the *key* side stays inside the scores, $M_{ij} = \sum_c q_{ic}\, k_{jc}\, b_{ic} / b_{jc}$ with
# $b_t = \alpha_1 \circ \cdots \circ \alpha_t$: still one $M$ for all values. **(5.2)** On the *value* side every value
# channel would need an $M$ of its own: Mamba-1's trouble.
#
# The layer has $\alpha = \sigma(x W_1 W_2 + b)^{1/16}$, $W_1$ of rank 16: by (3.1) a Mamba-2 decay with $A = 1/16$, for
# each key dimension. With the gate half open ($\sigma = \tfrac12$) half is left after 16 tokens, not after one.
#
# **(5.3) In log space.** $(Q \circ b)(K / b)^\top$ is one matrix product, but $b$ underflows: $K / b$ overflows, and a
# gate of exactly 0 divides by 0. Sum logs over each segment instead,
# $M_{ij} = \sum_c q_{ic}\, k_{jc}\, e^{\log \alpha_{j+1,c} + \dots + \log \alpha_{ic}}$: all exponents are $\le 0$. It
# cannot be one matrix product over the whole sequence, so GLA does it inside small chunks, where it is cheap, and
# passes the state between them.
#
# Write it: [exercise](../exercises/03c_family.ipynb) `03c_family-gla-chunkwise`.

# %%
predict("03c_family-division")

# %%
alpha = rng.uniform(0.3, 1, size=(N, r))
log_alpha, b = np.log(alpha), np.cumprod(alpha, axis=0)
by_kernel, published = kernel(alpha[..., None] * eye, K, Q), gla.matrix(Q, K, V, log_alpha)
assert_same(kernel=by_kernel, published=published, divided=np.tril((Q * b) @ (K / b).T))  # (5.1)

S, y = np.zeros((r, d)), np.empty((N, d))
for t in range(N):
    S = S * alpha[t, :d] + np.outer(K[t], V[t])  # d of the gates, on the values
    y[t] = Q[t] @ S
one_each = [ssd.matrix(V, log_alpha[:, c], K, Q) @ V[:, c] for c in range(d)]
assert_same(gate_on_values=y, a_matrix_for_each_value=np.array(one_each).T)  # (5.2)

Q32, K32, V32 = rng.normal(size=(3, 256, r)).astype(np.float32)
for gate in (0.9, 0.5, 0.1, 0.0):
    with np.errstate(all="ignore"):
        b = np.cumprod(np.full((256, r), gate, np.float32), axis=0)
        divided = np.tril((Q32 * b) @ (K32 / b).T)
        log_space = gla.matrix(Q32, K32, V32, np.log(np.full((256, r), gate, np.float32)))
    right = retention.matrix(*np.stack([Q32, K32, V32]).astype(float), gate)
    ok = [np.allclose(M, right, atol=1e-4) for M in (divided, log_space)]
    print(f"gate {gate}: right if divided: {ok[0]}, in log space: {ok[1]}")
    assert ok[1]

# %% [markdown]
# ## 6 · The delta rule: learn instead of add
#
# Ask more of the state: **$S^\top k_t$ should *be* $v_t$.** Measure the failure by
# $\ell_t(S) = \tfrac12 |v_t - S^\top k_t|^2$ and take one step of gradient descent, at each token, of size $\beta_t$:
#
# **(6.1)** $\nabla \ell_t(S) = -k_t (v_t - S^\top k_t)^\top$, hence
#
# $$S_t = S_{t-1} - \beta_t \nabla \ell_t(S_{t-1}) = S_{t-1} + \beta_t k_t (v_t - S_{t-1}^\top k_t)^\top
#   = (I - \beta_t k_t k_t^\top)\, S_{t-1} + \beta_t k_t v_t^\top .$$
#
# That is DeltaNet (Schlag et al., arXiv 2102.11174; Yang et al., arXiv 2406.06484, Section 2), with keys of length 1.
# **(6.2)** $A_t$ has the eigenvalue $1 - \beta_t$ along $k_t$ and 1 across it: $\beta = 0$ does nothing, $\beta = 1$
# replaces, $\beta = 2$ reflects. Linear attention is the step of size 1 on $-v_t \cdot S^\top k_t$ instead: it asks for
# *more* of $v_t$, never whether it is there already.
#
# **(6.3) Gated** (Yang et al., arXiv 2412.06464): decay first, then step,
# $S_t = a_t (I - \beta_t k_t k_t^\top) S_{t-1} + \beta_t k_t v_t^\top$.
#
# Do it yourself: [exercise](../exercises/03c_family.ipynb) `03c_family-delta-online-sgd`.
#
# **What it buys.** Use $n$ random keys of 32 numbers, each written *twice*, with different values; then ask every key
# for its **last** value.
#
# Three curves over $n$: linear attention, RetNet with $\gamma = 1 - 2^{-5}$, the delta rule with $\beta = 1$. Which
# starts where, and what happens near $n = 32$?

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

# %%
predict("03c_family-last-value")

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

# %% [markdown]
# **Learned:** a sum cannot forget one thing; it is wrong from the first rewrite on. The delta rule is limited by room:
# its error grows as the keys fill their 32 dimensions, because keys that are not orthogonal disturb each other. Beyond
# 32 keys none of the three recalls, and RetNet, which lets old writes fade, is then less wrong than the delta rule,
# which does not. (Gated DeltaNet does both.)
#
# **(6.4) The WY form: chunks without a loop.** Write $d_t = \beta_t (v_t - S_{t-1}^\top k_t)$ for what token $t$ really
# adds. Then $S_t = S_0 + \sum_{j \le t} k_j d_j^\top$, and put into itself
#
# $$d_t = \beta_t \Big(v_t - S_0^\top k_t - \sum_{j<t} (k_j \cdot k_t)\, d_j\Big) \quad\Longleftrightarrow\quad
#   \big(I + \mathrm{tril}(\mathrm{diag}(\beta) K K^\top, -1)\big)\, D = \mathrm{diag}(\beta)\,(V - K S_0) .$$
#
# A unit lower triangular system, for all tokens of a chunk at once. With
# $T = (I + \mathrm{tril}(\mathrm{diag}(\beta) K K^\top, -1))^{-1}\, \mathrm{diag}(\beta)$, $W = TK$ and $U = TV$:
#
# $$D = U - W S_0, \qquad Y = Q S_0 + \mathrm{tril}(Q K^\top)\, D, \qquad S_N = S_0 + K^\top D .$$
#
# The product of all transitions is $I - K^\top W$, the *WY* form of a product of reflections (Yang et al., arXiv
# 2406.06484, Section 3). **(6.5)** With decays nothing changes but masks: $L \circ$ before both products, and what
# comes from $S_0$ has decayed since the start.

# %%
assert errors["delta rule, β = 1"][0] < 1e-12  # the picture above: one key
assert errors["linear attention"].min() > 0.9
assert errors["RetNet, γ = 0.97"][-1] < errors["delta rule, β = 1"][-1]  # 64 keys

S0 = rng.normal(size=(r, d))
T = np.linalg.solve(np.eye(N) + np.tril(beta[:, None] * (keys @ keys.T), -1), np.diag(beta))
W, U = T @ keys, T @ V
D = U - W @ S0
y, S_last = delta_rule.recurrent(Q, keys, V, beta, state=S0)
assert_same(recurrence=y, wy_form=Q @ S0 + np.tril(Q @ keys.T) @ D)  # (6.4)
assert_same(last_state=S_last, wy_form=S0 + keys.T @ D)
product = np.linalg.multi_dot(transition[::-1])  # A_{N-1} … A_0
assert_same(product=product, wy_form=eye - keys.T @ W)

ones = np.ones((N, 1))
L = ssd.matrix(V, log_a, ones, ones)
since = np.exp(np.cumsum(log_a))[:, None]
T = np.linalg.solve(np.eye(N) + np.tril(beta[:, None] * (L * (keys @ keys.T)), -1), np.diag(beta))
D = T @ (V - since * (keys @ S0))
y, S_last = delta_rule.recurrent(Q, keys, V, beta, log_a, state=S0)
assert_same(recurrence=y, gated_wy=since * (Q @ S0) + (L * (Q @ keys.T)) @ D)  # (6.5)
assert_same(last_state=S_last, gated_wy=since[-1] * S0 + (L[-1][:, None] * keys).T @ D)

# %% [markdown]
# ## 7 · RWKV: from a weighted mean to a generalized delta rule
#
# **RWKV-4** (Peng et al., arXiv 2305.13048) has no query. Channel by channel it takes a weighted mean, with a bonus
# $u$ for the present token and $w < 0$ the log decay:
#
# $$y_t = \frac{\sum_{j<t} e^{(t-1-j) w + k_j} v_j + e^{u + k_t} v_t}{\sum_{j<t} e^{(t-1-j) w + k_j} + e^{u + k_t}} .$$
#
# **(7.1)** In our line: $r = 1$, key $e^{k_t}$, query 1, decay $e^w$, run twice, on $v$ and on ones; the sums before
# token $t$ are read one token late, and the bonus is a diagonal. The weights are positive, so the denominator never
# vanishes; with $k_j$ in place of $e^{k_j}$ it can ([correction 9](01_tour.ipynb#correction-9)). The state is a
# vector.
#
# **RWKV-5 and 6** give each head a *matrix* state and a query; 6 lets the token set $w_t$. That is GLA with a bonus for
# the present token, and read earlier: $y_t$ reads $S_{t-1}$, before the token's own decay (arXiv 2404.05892).

# %%
w, bonus = -rng.uniform(0.1, 1, size=d), rng.normal(size=d)
k = rng.normal(size=(N, d))
means = []
for c in range(d):
    scores = kernel(np.full((N, 1, 1), np.exp(w[c])), np.exp(k[:, [c]]), np.ones((N, 1)))
    weights_c = np.tril(scores, -1) / np.exp(w[c]) + np.diag(np.exp(bonus[c] + k[:, c]))
    means.append(weights_c / weights_c.sum(axis=1, keepdims=True))
assert_same(published=wkv4.matrix(w, bonus, k, V), normalized_kernel=np.array(means))  # (7.1)


def strict_and_block_rank(M: np.ndarray) -> tuple[int, int]:
    strict = max(np.linalg.matrix_rank(M[s:, :s]) for s in range(1, len(M)))
    return int(strict), int(max(np.linalg.matrix_rank(M[s:, : s + 1]) for s in range(len(M))))


assert strict_and_block_rank(means[0]) == (1, 2)  # the bonus is on the diagonal

# %% [markdown]
# **RWKV-7** (Peng et al., arXiv 2503.14456) takes the delta rule and frees its three parts: decay by a vector $w_t$,
# remove along $\hat\kappa_t$ (length 1) at the rates $a_t$, write with another key $\tilde k_t$:
#
# $$S_t = \big(\mathrm{diag}(w_t) - (a_t \circ \hat\kappa_t)\, \hat\kappa_t^\top\big) S_{t-1} + \tilde k_t v_t^\top .$$
#
# The layer computes, with $\sigma$ of projections of the token: $w = \exp(-e^{-1/2} \sigma(\cdot))$,
# $a = \sigma(\cdot)$, $\hat\kappa = k \circ k_k$ to length 1, $\tilde k = k \circ (1 + (a - 1) \circ k_a)$. **(7.2)**
# With $w = 1$, $\hat\kappa = k$, $a = \beta$ and $\tilde k = \beta k$ it is DeltaNet. **(7.3)** The state is a matrix
# per head, not a few numbers per channel ([correction 10](01_tour.ipynb#correction-10)). What is removed is what
# $\hat\kappa_t$ recalls of the state *before* it decays. (Decay first and remove then, and you have another model, Kimi
# Delta Attention: $(I - \beta_t k_t k_t^\top)\,\mathrm{diag}(\alpha_t)$, arXiv 2510.26692.)
#
# **(7.4) Its eigenvalues are real and lie in $(-0.455, 1)$.** *Proof.* Let $P = \mathrm{diag}(\sqrt{a_t})$. Diagonal
# matrices commute, so
#
# $$P^{-1} A_t P = \mathrm{diag}(w_t) - p\, p^\top, \qquad p = \sqrt{a_t} \circ \hat\kappa_t ,$$
#
# is symmetric, with the same eigenvalues: they are real. By $x^\top (\cdot)\, x$ for unit $x$ they lie between
# $\min w - |p|^2$ and $\max w$. Now $e^{-e^{-1/2}} = 0.545\ldots < w < 1$ and $|p|^2 = \sum a \hat\kappa^2 < 1$, so
# they exceed $0.545 - 1 = -0.455$. Both ends are approached, neither reached. ∎ **So a token can flip the sign of
# something stored, but keeps less than half of it**; DeltaNet with $\beta \to 2$ flips and keeps all. (7.5) Eigenvalues
# in $(-1, 1)$ do not make $A_t$ a contraction: it is not symmetric, and some vectors grow in one step.
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

n, bound = 5000, np.exp(-np.exp(-0.5)) - 1
unit = rng.normal(size=(n, r))
unit /= np.linalg.norm(unit, axis=1, keepdims=True)
A, *_ = rwkv7_transitions(*rng.normal(scale=8, size=(2, n, r)), unit)
values = np.linalg.eigvals(A)
assert np.abs(values.imag).max() < 1e-6  # (7.4), up to rounding
assert bound < values.real.min() < values.real.max() < 1 + 1e-12
extreme, *_ = rwkv7_transitions(*np.full((2, n, r), 30.0), unit)
print(f"bound {bound:.4f}, reached to 4 digits: {np.linalg.eigvals(extreme).real.min():.4f}")
assert np.linalg.norm(A, 2, axis=(1, 2)).max() > 1.05  # (7.5)

# %% [markdown]
# ## 8 · Mamba-3: a better rule, and a state that turns
#
# Lahoti et al., arXiv 2603.15569, Section 3, change three things in Mamba-2's recurrence. (And some in the block
# around it: the short convolution goes, $B$ and $C$ get a norm and a learned bias, and the rate $A$ is computed from
# the token.)
#
# **(8.1) Trapezoid.** The input's part of $h' = Ah + Bx$ over a step is an integral. Euler's rule takes its value at
# one end; a weight $\lambda$ takes both ends, the earlier one decayed:
#
# $$S_t = a_t S_{t-1} + (1 - \lambda_t)\, \Delta_t\, a_t\, B_{t-1} x_{t-1}^\top + \lambda_t \Delta_t\, B_t x_t^\top .$$
#
# $\lambda = 1$ is Mamba-2, with an error of order $\Delta$ at the end; $\lambda = \tfrac12$ has order $\Delta^2$. The
# layer computes $\lambda_t = \sigma(\cdot)$ from the token, so it may use the better rule but is not held to it: any
# fixed $\lambda$ other than $\tfrac12$ has order $\Delta$ again.
#
# **(8.2)** Both writes decay alike, so below the diagonal $M$ is SSD's with the weight
# $\lambda_j \Delta_j + (1 - \lambda_{j+1}) \Delta_{j+1}$ in place of $\Delta_j$: the *next* token has a say in how
# strongly token $j$ is written. On the diagonal only $\lambda_j \Delta_j$ has arrived yet.
#
# **(8.3) Complex.** Let the eigenvalue be $a_t e^{i \theta_t}$ with $\theta_t$ *from the token*. As in section 4 the
# turn splits, now by the running sum $\phi_t = \theta_0 + \dots + \theta_t$: rotate $B_t$ and $C_t$ by $\phi_t$, and
# SSD does the rest. RetNet's rotation is the special case $\theta_t = \theta$: these are rotary embeddings whose angle
# the data choose.
#
# **MIMO, in words.** One token's decode step does few FLOPs for each byte of state that it moves. Let each token write
# $m$ pairs, $B_t X_t^\top$ with $B_t: r \times m$ and $X_t: d \times m$, and read with $m$ queries: $m$ times the FLOPs
# on the same state, and outer products become matrix products. Memory traffic, which sets the latency, hardly changes.


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

delta, lam = rng.uniform(0.1, 1, size=N), rng.uniform(size=N)
turns, a = rng.uniform(-np.pi, np.pi, size=(N, r // 2)), np.exp(log_a)
phi = np.cumsum(turns, axis=0)
published = mamba3.matrix(V, delta, lam, log_a, turns, B=K, C=Q)
weight = lam * delta + np.r_[(1 - lam[1:]) * delta[1:], 0]
M = ssd.matrix(V, log_a, turned(K, phi), turned(Q, phi)) * weight
np.fill_diagonal(M, lam * delta * (Q * K).sum(axis=1))
assert_same(published=published, ssd_with_other_weights=M)  # (8.2)
assert strict_and_block_rank(published) == (r, r + 1)

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
# The same tokens for all. There are four labels. Each token writes under one label (a one-hot key) and reads under one,
# both drawn at random. So $M_{ij}$ says how much of token $j$'s value token $i$ gets.
#
# - *RetNet* has $\gamma = 0.9$; *Mamba-2* and *GLA* keep everything, but at token 12 Mamba-2's gate closes, and GLA's
#   for label 0 alone;
# - *DeltaNet* has $\beta = 1$, gated with $a = 0.9$; *RWKV-7* removes half ($a = \tfrac12$) and writes all;
# - *Mamba-3* makes a half turn at each token that writes under label 3.

# %%
predict("03c_family-portrait")

# %%
labels, asked = rng.integers(4, size=(2, 24))
one_hot, ask, values, ones = np.eye(4)[labels], np.eye(4)[asked], np.zeros((24, 1)), np.ones(24)
closed, closed_0, half_turns = np.zeros(24), np.zeros((24, 4)), np.zeros((24, 2))
closed[12], closed_0[12, 0], half_turns[labels == 3] = -np.inf, -np.inf, np.pi
halves, fading = np.full((24, 4), 0.5), np.full(24, np.log(0.9))
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

# %% [markdown]
# **Learned:** decays fade or cut by *age*; the delta rules keep the last write under each label, by *content*;
# Mamba-3's sign is the parity of the 3s in between.
#
# **What can one token do?** The eigenvalues of $A_t$ say: in $(0, 1)$ it fades, at 0 it erases, below 0 it flips, off
# the real line it turns. Drawn below for random tokens over the range that each parametrization allows. How densely
# they fill it is not the layers' own: GLA's sixteenth root is left out, and so are Mamba-3's step $\Delta_t$, which
# scales decay and angle, and its choice to turn only half of the pairs unless told otherwise.
#
# For each, is it a segment (from where to where?), single points, or a disk? For RetNet count its rotation too.

# %%
predict("03c_family-eigenvalues")

# %%
n, wide, DECAYS = 400, 8, "Mamba-1, Mamba-2, GLA"
unit = rng.normal(size=(n, wide))
unit /= np.linalg.norm(unit, axis=1, keepdims=True)
gate = sigmoid(rng.normal(scale=3, size=(n, wide)))
outer, eye = unit[:, :, None] * unit[:, None, :], np.eye(wide)
logits = rng.normal(scale=6, size=(2, n, 1)) + rng.normal(size=(2, n, wide))


def rotations(angle: np.ndarray) -> np.ndarray:
    """Block-diagonal matrices that turn the pairs (0, 1), (2, 3), … by `angle`."""
    return np.stack([turned(np.tile(e, (len(angle), 1)), angle) for e in eye], axis=-1)


xpos = rotations(np.tile(10000.0 ** -np.linspace(0, 1, wide // 2), (8, 1)))
half_turn = np.pi * np.tanh(rng.normal(size=(n, wide // 2)))
transitions = {
    "RetNet": (1 - 2.0 ** (-5 - np.arange(8)))[:, None, None] * xpos,
    DECAYS: gate[..., None] * eye,
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

since = np.cumsum(labels == 3)  # the portrait
sign = (-1.0) ** (since[:, None] - since)
assert_same(mamba3=portrait["Mamba-3"], parity_of_3s_between=sign * portrait["linear attention"])
assert ((portrait["DeltaNet"] != 0).sum(axis=1) <= 1).all()  # the last write under that label

# %% [markdown]
# **Learned:** all pure decays fill $(0, 1)$. DeltaNet has the eigenvalue 1 as well, across its key. Only DeltaNet with
# $\beta$ up to 2 and RWKV-7 (down to $-0.455$) go below zero, and only Mamba-3 and RetNet leave the real line: RetNet
# by fixed angles, whatever the token says.
#
# ## 10 · The family on one screen, and what it costs
#
# Every recurrence as one line of code, checked against the package. To each comes the readout $q^\top S$.

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
# <a id="correction-23"></a>
#
# > **Correction 23 · the lecture says** that on Path-X ($N = 128 \cdot 128$) an SSM needs "250 times fewer operations"
# > than attention: $N^2$ against $N \cdot d_{state}$.
# >
# > **In truth** neither is a count of operations. $N^2$ counts scores, each of which costs $4d$ FLOPs ($2d$ to make,
# > $2d$ to use). $N \cdot d_{state}$ counts the numbers of *one* channel's state; there are $d$ channels, at 5 FLOPs
# > a number. Drop $d$ on one side only and the ratio is off by $d$; keep it on both, and the mixing alone is about 205
# > times cheaper (half that if attention skips the masked half). A *layer* also has projections, and pays for them
# > whatever $N$ is: what is left is a factor of about 15.

# %%
N_x, d_x, r_x = 128 * 128, 256, 64  # Path-X; d and d_state of a small model
print(f"scores / numbers of one channel's state: {N_x**2 / (N_x * r_x):.0f}")
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
# <a id="correction-18"></a>
#
# > **Correction 18 · the lecture says** RWKV-7 costs $O(Nd)$; RetNet can be trained only in $O(N^2 d)$; attention needs
# > $O(N^2)$ memory at inference.
# >
# > **In truth** RWKV-7 updates a square matrix in each of $d / \text{head size}$ heads:
# > $O(N \cdot d \cdot \text{head size})$. RetNet's chunkwise form is $O(N)$ in the length. A decoder makes one *row* of
# > scores a token; what it keeps is the KV cache, $2Nd$ numbers: $O(N)$.
#
# The cell below counts these three. The last two make **the table**: one head with keys and values of 64 numbers,
# softmax with 1024 tokens in its cache. *State* is in numbers. *FLOPs* are for one token, by the package's formulas, to
# which counting the lines of code above comes within 1%. The last two columns say what can be tracked; they are read
# off the package's own steps (`lecture17.unification`, which part [06](06_review.ipynb) asks too), and the
# transitions drawn in section 9
# agree:
#
# - *parity: a flip keeps*: how much of something stored is left when one token has turned its sign, 0 if none can;
# - *order matters*: whether the transitions of two tokens fail to commute.


# %%
def flops_a_token(update, token: dict) -> int:
    return costs.count(lambda **t: t["q"] @ update(**t), **token).flops


for size in (16, 32, 64):
    all_heads = 64 // size * flops_a_token(family["RWKV-7"], a_token(size, size))
    print(f"RWKV-7, d = 64, heads of {size}: {all_heads:6,} FLOPs a token")
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
        assert abs(flops_a_token(family[member], t) / numbers.flops - 1) < 0.01
    if name in transitions:
        A = transitions[name]
        assert abs(max(0, -np.linalg.eigvals(A).real.min()) - numbers.flip) < 0.02
        assert numbers.order == (not np.allclose(A[0] @ A[1], A[1] @ A[0]))
    lines.append(f"| **{name}** | {' | '.join(cells + numbers.cells())} |")
Markdown("\n".join(lines))

# %% [markdown]
# **How to read the last columns** (proved elsewhere; part [03d](03d_expressivity.ipynb)).
#
# *Parity:* with real eigenvalues that are never negative, no stack of such layers computes it for all lengths at finite
# precision (arXiv 2411.12537, Theorem 1). RetNet's are complex, but the same for every token; rotation by position
# alone was measured at chance (arXiv 2603.15569). A flip that keeps everything does it with one state; one that keeps
# less than half, as in RWKV-7, fades with every 1. (What RWKV-7's paper claims, and under which assumptions, is in part
# [03d](03d_expressivity.ipynb#rwkv-7).)
#
# *Order:* transitions that all commute keep a model in $\mathsf{TC}^0$ (at logarithmic precision), so
# it cannot follow the composition of permutations of five things ($S_5$) unless $\mathsf{TC}^0 = \mathsf{NC}^1$
# (arXiv 2404.08819). Where order matters, that obstacle is gone; what is then reached is part
# [03d](03d_expressivity.ipynb).
#
# *State:* a fixed one cannot copy a text with more information than it has room for; softmax's cache grows with the
# text (arXiv 2402.01032).
#
# (The lecture's references lead elsewhere for several of these papers:
# [correction 22](03d_expressivity.ipynb#correction-22).)
#
# ## Recap
#
# - One line, $S_t = A_t S_{t-1} + k_t v_t^\top$, $y_t = q_t S_t$; each member is a choice of $A_t$ (Mamba-1: one for
#   each feature), each kernel has strict rank at most $r$.
# - What decays together can share one matrix: one number a head is fast, one for each entry is not.
# - The delta rule is one gradient step on $\tfrac12 |v_t - S^\top k_t|^2$; a triangular solve makes it parallel.
# - Rotating queries and keys is a complex state; let the token choose the angle and the state can count turns.
# - Eigenvalues say what a token can do: fade, erase, flip, turn. RWKV-7 as shipped stays in $(-0.455, 1)$.
#
# **Where next:** the [exercises](../exercises/03c_family.ipynb) (16 points), then part
# [03d](03d_expressivity.ipynb), which asks what these
# transitions can and cannot compute.
