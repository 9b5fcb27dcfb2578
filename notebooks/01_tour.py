# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · Tour: four relatives to play with
#
# *35 minutes, with the corrections and their counterexamples · ★☆☆*
#
# After this you can …
# - write RetNet, Mamba-2, GLA and RWKV-7 from memory, because they differ in **one line**,
# - tell from the picture of its matrix what a model forgets and when, and predict what a slider will do to it,
# - say how many numbers each model carries from token to token, and what its three forms cost.
#
# **One frame for all.** At every token $t$ each relative does three things to a state $S$ of $d_k \times d_v$ numbers,
# keys × values: it **forgets**, it **writes**, it **reads**.
#
# $$S_t = \text{forget}_t(S_{t-1}) + k_t v_t^\top, \qquad y_t = q_t S_t .$$
#
# If it forgets nothing, this is the linear attention of [00 · Quick start](00_quickstart.ipynb). The four relatives
# differ in how they forget, each a little more freely than the one before. **None of them is softmax attention**, which
# has no linear state of fixed size: [03b · Duality](03b_duality.ipynb) proves it. (The letters are listed in the
# [notation table](03a_semiseparable.ipynb#notation), the terms in the [glossary](06_review.ipynb#glossary).)
#
# **How to play.** At each stop there is a function of ten lines, then a picture. Predict the picture before you look.
# A slider above it changes the decay. It shows what the function in the cell gives: change the function, run the cell,
# and slide again. The course follows a published lecture and corrects it where it is wrong; the corrections that belong
# here wait in section 7.

# %%
import numpy as np

from lecture17 import costs, figures
from lecture17.compare import assert_same
from lecture17.course import predict, progress
from lecture17.reference import gla, linear_attention, retention, rwkv7, semiseparable, ssd, wkv4
from lecture17.widgets.slider import Slider

# %% [markdown]
# ## What goes in
#
# All relatives get the same tokens. The values are two signals, **a plateau** of eight tokens and **a spike** of one,
# so that you can see what is remembered of each. Keys and queries are directions of length 1, all of them fairly
# similar: every token writes at its own address, and the addresses overlap.

# %%
rng = np.random.default_rng(17)
N, d_k = 32, 3
token = np.arange(N)
x = np.stack([(token >= 4) & (token < 12), token == 20], axis=1).astype(float)  # plateau, spike

Q, K = rng.uniform(size=(2, N, d_k))
Q, K = Q / np.linalg.norm(Q, axis=1, keepdims=True), K / np.linalg.norm(K, axis=1, keepdims=True)


def half_life(decay: float) -> str:
    """How fast a decay per token forgets, in words."""
    if decay == 1:
        return "nothing fades"
    return f"half is gone after {np.log(0.5) / np.log(decay):.1f} tokens"


# %% [markdown]
# ## 1 · RetNet: one number for everything
#
# $$S_t = \gamma\, S_{t-1} + k_t v_t^\top$$
#
# $\gamma$ is fixed before training, one number per head: $\gamma_h = 1 - 2^{-5-h}$ for head $h$ (Sun et al.,
# arXiv 2307.08621, Sections 2.1 and 2.2). Unroll the loop: what token $j$ wrote has been multiplied by $\gamma$ once
# for each later token. So $y = M x$ with
#
# $$M = D \circ (Q K^\top), \qquad D_{ij} = \gamma^{\,i-j} \text{ for } i \ge j, \quad 0 \text{ above.}$$
#
# That is two of RetNet's **three forms**: token by token (*recurrent*), and all at once (*parallel*). The third,
# *chunkwise*, carries the state from chunk to chunk and computes each chunk of $c$ tokens at once. For a chunk that
# starts at token $s$,
#
# $$\begin{aligned}
#   y_i &= \sum_{j=s}^{i} \gamma^{\,i-j} (q_i \cdot k_j)\, v_j + \gamma^{\,i-s+1} q_i S, \\
#   S &\leftarrow \gamma^c S + \sum_{j=s}^{s+c-1} \gamma^{\,s+c-1-j} k_j v_j^\top .
# \end{aligned}$$
#
# Make the three agree yourself: [exercise](../exercises/01_tour.ipynb) `01_tour-retention-three-ways`.


# %%
def retnet_loop(Q, K, V, gamma):
    S = np.zeros((K.shape[1], V.shape[1]))
    y, states = [], []
    for t in range(len(V)):
        S = gamma * S + np.outer(K[t], V[t])  # forget, write
        states.append(S)
        y.append(Q[t] @ S)  # read
    return np.array(y), np.array(states)


y, states = retnet_loop(Q, K, x, gamma=0.9)
D = np.tril(0.9 ** np.abs(token[:, None] - token))
assert_same(token_by_token=y, all_at_once=(D * (Q @ K.T)) @ x)
assert_same(token_by_token=y, chunkwise=retention.chunkwise(Q, K, x, 0.9, chunk_size=5)[0])

impulses = np.eye(N)  # N signals, each a spike at a different token: the output is the matrix
assert_same(matrix=D * (Q @ K.T), answer_to_impulses=retnet_loop(Q, K, impulses, gamma=0.9)[0])

for head in (0, 3, 7):
    print(f"head {head}: {half_life(1 - 2.0 ** (-5 - head))}")

# %% [markdown]
# Remember `impulses`. This is how we look at *every* relative from now on: **feed it all the unit vectors, and out
# comes its matrix.**
#
# When you have answered, move the slider. What happens to the output at $\gamma = 1$? In which direction of the picture
# does the matrix fade?

# %%
predict("01_tour-retnet-height")


# %%
def play_retnet(gamma: float):
    M, _ = retnet_loop(Q, K, impulses, gamma)
    y, states = retnet_loop(Q, K, x, gamma)
    title = f"RetNet: at γ = {gamma:.2f} {half_life(gamma)}"
    return figures.Play(M, states, x, y, title)


Slider(play_retnet, "decay γ", 0.3, 1.0, value=0.9)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# The matrix fades with the distance from the diagonal and with nothing else, whatever the tokens say. The
# state *adds up* what it is given, so the output climbs far above the input, and at $\gamma = 1$ it never comes down.
# (The lecture divides each row by its sum, which is a different map: [correction 11](01_tour.ipynb#correction-11).)
#
# </details>
#
# ## 2 · Mamba-2: the token decides
#
# $$S_t = a_t\, S_{t-1} + B_t x_t^\top, \qquad y_t = C_t S_t$$
#
# The same line, but now **each token chooses** its decay (Dao and Gu, arXiv 2405.21060, Section 5). The letters are
# those of state-space models: $B$ writes, $C$ reads, and $x$ is what is written. The decay is $a_t = e^{\Delta_t A}$,
# with a learned number $A < 0$ and a step $\Delta_t > 0$ computed from the token. A large step turns the page. (In the
# full layer $\Delta_t$ also scales what is written.)
#
# From here on we pass decays as their logarithms, so that products become sums. Unrolled, $M = L \circ (C B^\top)$ with
# $L_{ij} = a_i a_{i-1} \cdots a_{j+1}$; `segsum` adds up the logarithms.
#
# Write it with its step size: [exercise](../exercises/01_tour.ipynb) `01_tour-mamba2-micro`.
#
# Below, token 16 takes a step of 30, and all the others take steps near 1.


# %%
def mamba2_loop(x, log_a, B, C):
    S = np.zeros((B.shape[1], x.shape[1]))
    y, states = [], []
    for t in range(len(x)):
        S = np.exp(log_a[t]) * S + np.outer(B[t], x[t])  # the token's own decay
        states.append(S)
        y.append(C[t] @ S)
    return np.array(y), np.array(states)


delta = rng.uniform(0.5, 1.5, size=N)
delta[16] = 30  # token 16 turns the page
log_a = delta * np.log(0.9)

L = np.exp(semiseparable.segsum(log_a))
assert_same(matrix=L * (Q @ K.T), answer_to_impulses=mamba2_loop(impulses, log_a, K, Q)[0])

# %%
predict("01_tour-mamba2-step")


# %%
def play_mamba2(a: float):
    log_a = delta * np.log(a)
    M, _ = mamba2_loop(impulses, log_a, K, Q)  # B = K writes, C = Q reads
    y, states = mamba2_loop(x, log_a, K, Q)
    title = f"Mamba-2: token 16 takes a step of 30 and keeps {a**30:.0%}"
    return figures.Play(M, states, x, y, title)


Slider(play_mamba2, "decay a of a step of Δ = 1", 0.3, 1.0, value=0.9)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# One token can cut the matrix. From row 16 on, almost nothing is left of what came before, while tokens on
# the same side of the cut see each other as if nothing had happened. RetNet's mask depends on $i - j$ alone, so it
# cannot cut anywhere. (The lecture's code for Mamba-2 has no decay: [correction 8](01_tour.ipynb#correction-8).)
#
# </details>

# %%
gentle = np.where(token == 16, 1.0, delta)  # the same, except that token 16 turns no page
M_cut, M_gentle = (mamba2_loop(impulses, steps * np.log(0.9), K, Q)[0] for steps in (delta, gentle))
assert_same(before_the_cut=M_cut[:16, :16], without_it=M_gentle[:16, :16])
assert_same(after_the_cut=M_cut[16:, 16:], without_it=M_gentle[16:, 16:])
assert M_cut[16:, :16].max() < 0.05 < M_gentle[16:, :16].max()

# %% [markdown]
# ## 3 · GLA: every key has its own gate
#
# $$S_t = \mathrm{diag}(\alpha_t)\, S_{t-1} + k_t v_t^\top, \qquad \alpha_t \in (0, 1)^{d_k}$$
#
# Gated linear attention (Yang et al., arXiv 2312.06635, Section 4) gives each of the $d_k$ **rows** of the state its
# own decay, chosen by the token: $\alpha_t = \sigma(z_t)^{1/16}$, with $z_t$ computed from the token. (The sixteenth
# root keeps the gates near 1: an undecided $z_t = 0$ still keeps 96% per token.)
#
# Each key $c$ now has its own mask $L^{(c)}$, and the matrix is a sum:
# $M = \sum_c L^{(c)} \circ (Q_{:c} K_{:c}^\top)$.
#
# Put the gate where it belongs: [exercise](../exercises/01_tour.ipynb) `01_tour-gla-gate`.
#
# After the loop there is a slider again. It moves the gate of the *first* key only; the other two keep 98% per token.


# %%
def gla_loop(Q, K, V, log_alpha):
    S = np.zeros((K.shape[1], V.shape[1]))
    y, states = [], []
    for t in range(len(V)):
        S = np.exp(log_alpha[t])[:, None] * S + np.outer(K[t], V[t])  # row by row
        states.append(S)
        y.append(Q[t] @ S)
    return np.array(y), np.array(states)


log_alpha = np.log(rng.uniform(0.7, 1.0, size=(N, d_k)))
masks = [np.exp(semiseparable.segsum(log_alpha[:, c])) for c in range(d_k)]
M = sum(masks[c] * np.outer(Q[:, c], K[:, c]) for c in range(d_k))
assert_same(sum_of_masks=M, answer_to_impulses=gla_loop(Q, K, impulses, log_alpha)[0])
assert round(0.5 ** (1 / 16), 2) == 0.96

# %%
predict("01_tour-gla-gate")


# %%
def play_gla(alpha: float):
    log_alpha = np.log(np.tile([alpha, 0.98, 0.98], (N, 1)))
    M, _ = gla_loop(Q, K, impulses, log_alpha)
    y, states = gla_loop(Q, K, x, log_alpha)
    title = f"GLA: under the first key, {half_life(alpha)}"
    return figures.Play(M, states, x, y, title)


Slider(play_gla, "gate α of the first key", 0.3, 1.0, value=0.6)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# One curve drops at once while two persist, so short and long memory live side by side in one head. The
# price: $d_k$ masks no longer fit into one. (The lecture puts the gate on the input: [correction
# 12](01_tour.ipynb#correction-12).)
#
# </details>

# %%
_, states = gla_loop(Q, K, x, np.log(np.tile([0.5, 0.98, 0.98], (N, 1))))
left = states[15, :, 0] / states[11, :, 0]  # of the plateau, four tokens after its end
print("left of the plateau's three numbers after four tokens:", left.round(2))
assert left[0] < 0.1 < 0.9 < left[1:].min()

# %% [markdown]
# ## 4 · RWKV: from a fading mean to replacing
#
# **RWKV-4** works channel by channel. Its output is a weighted **mean** of the values so far, with weights $e^{k_j}$
# that fade by a factor $e^w$ per token, $w < 0$, and a bonus $u$ for the current token (Peng et al., arXiv 2305.13048,
# Section 3.1, whose $w$ is our $-w$):
#
# $$y_t = \frac{\sum_{j<t} e^{(t-1-j) w + k_j}\, v_j + e^{u + k_t} v_t}
#   {\sum_{j<t} e^{(t-1-j) w + k_j} + e^{u + k_t}} .$$
#
# Its state is two sums per channel, the numerator (row 0 in the picture) and the denominator (row 1), over the
# tokens before $t$. Computed as
# written, they overflow at $k = 800$, although adding one number to all $k$ changes no mean. The usable form keeps both
# sums relative to a common exponent, so it carries **three numbers** per channel. Write it:
# [exercise](../exercises/01_tour.ipynb) `01_tour-wkv`.


# %%
def wkv_loop(w, u, k, v):
    above, below = np.zeros(v.shape[1]), np.zeros(v.shape[1])
    y, states = [], []
    for t in range(len(v)):
        now = np.exp(u + k[t])
        y.append((above + now * v[t]) / (below + now))  # read first, with the bonus
        above = np.exp(w) * above + np.exp(k[t]) * v[t]
        below = np.exp(w) * below + np.exp(k[t])
        states.append([above, below])
    return np.array(y), np.array(states)


w, u, k = np.log([0.9, 0.9]), np.array([0.5, 0.5]), rng.normal(size=(N, 2))
k[20, 1] = 3  # the token of the spike is loud
y, _ = wkv_loop(w, u, k, x)
assert_same(loop=y, matrices=np.einsum("cij,jc->ic", wkv4.matrix(w, u, k, x), x))

stable, carried = wkv4.recurrent(w, u, k + 800, x)
assert_same(loop=y, stable_form_with_800_added=stable)
assert sum(part.size for part in carried) == 3 * x.shape[1]  # two sums and their exponent
with np.errstate(all="ignore"):
    assert np.isnan(wkv_loop(w, u, k + 800, x)[0]).any()

# %%
predict("01_tour-wkv-height")


# %%
def play_wkv(decay: float):
    w = np.log([decay, decay])
    M, _ = wkv_loop(w[:1], u[:1], k[:, :1], impulses)  # the first channel's weights
    y, states = wkv_loop(w, u, k, x)
    title = f"RWKV-4's weights: at decay {decay:.2f} {half_life(decay)}"
    return figures.Play(M, states, x, y, title)


Slider(play_wkv, "decay e^w", 0.3, 1.0, value=0.9)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# Every row of the matrix sums to 1, so the output stays between the smallest and the largest input.
# Without decay it comes down only as fast as new tokens dilute it. And nothing can be looked up: some tokens are loud
# (the strong columns), but none has an address.
#
# </details>
#
# The green curves are the two sums *after* each token. The output is not quite their quotient: it reads the sums from
# *before* the token and gives the token itself the weight $e^{u + k_t}$. Only at $u = -w$ do the two agree.

# %%
assert_same(rows_sum_to=wkv4.matrix(w, u, k, x).sum(axis=2), one=np.ones((2, N)))

y, sums = wkv_loop(w, u, k, x)
quotient = sums[:, 0] / sums[:, 1]
print(f"token 20: output {y[20, 1]:.2f}, quotient of the curves {quotient[20, 1]:.2f}")
assert abs(y[20, 1] - quotient[20, 1]) > 0.05
without_bonus, sums = wkv_loop(w, -w, k, x)
assert_same(without_bonus=without_bonus, quotient_of_sums=sums[:, 0] / sums[:, 1])

# %% [markdown]
# **RWKV-7** has addresses. Its state is a matrix. A token first **looks up** what is stored under its direction
# $\hat\kappa_t$ (of length 1), then **removes** a share $a_t$ of it, and then writes (Peng et al., arXiv 2503.14456):
#
# $$S_t = \mathrm{diag}(w_t)\, S_{t-1} - (a_t \circ \hat\kappa_t)(\hat\kappa_t^\top S_{t-1}) + k_t v_t^\top,
#   \qquad y_t = r_t S_t .$$
#
# With $w_t = 1$ and $k_t = a_t \circ \hat\kappa_t$ this is the *delta rule*,
# $S_t = S_{t-1} + (a_t \circ \hat\kappa_t)(v_t - S_{t-1}^\top \hat\kappa_t)^\top$: it writes the **difference** between
# what should be stored and what is. With $a_t = 1$, too, what a token finds under its own address is exactly what it
# has just written, whatever was there before; the last lines of the next cell check that. (Here $w_t$ is the decay
# itself. In the paper it is $e^{-e^{-1/2} \sigma(\cdot)}$, so never below 0.545. The full layer, and its step as an
# exercise, are in part [03c](03c_memory.ipynb).)
#
# The slider after the question begins at 1, where nothing fades.


# %%
def rwkv7_loop(r, log_w, k, v, kappa, a):
    S = np.zeros((k.shape[1], v.shape[1]))
    y, states = [], []
    for t in range(len(v)):
        removed = np.outer(a[t] * kappa[t], kappa[t] @ S)
        S = np.exp(log_w[t])[:, None] * S - removed + np.outer(k[t], v[t])
        states.append(S)
        y.append(r[t] @ S)
    return np.array(y), np.array(states)


rate = np.full((N, d_k), 0.9)  # a: remove and replace nine tenths
log_w = -np.exp(-0.5) / (1 + np.exp(-rng.normal(size=(N, d_k))))
inputs = (Q, log_w, rate * K, x, K, rate)
assert_same(token_by_token=rwkv7_loop(*inputs)[0], all_at_once=rwkv7.parallel(*inputs)[0])
assert round(np.exp(-np.exp(-0.5)), 3) == 0.545

ones = np.ones((N, d_k))  # a = 1, and log w = 0: remove all that is found, let nothing fade
_, states = rwkv7_loop(Q, 0 * ones, K, x, K, ones)
found = (K[:, None] @ states)[:, 0]  # by each token under its own address, right after writing
assert_same(the_delta_rule_finds=found, what_it_wrote=x)

# %%
predict("01_tour-rwkv7-silence")


# %%
def play_rwkv7(decay: float):
    inputs = (np.full((N, d_k), np.log(decay)), rate * K)
    M, _ = rwkv7_loop(Q, *inputs, impulses, K, rate)
    y, states = rwkv7_loop(Q, *inputs, x, K, rate)
    title = f"RWKV-7: at w = {decay:.2f} {half_life(decay)}"
    return figures.Play(M, states, x, y, title)


Slider(play_rwkv7, "decay w", 0.55, 1.0, value=1.0)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# The output follows the input instead of piling it up, and silence *erases*: zeros written at a known
# address replace what was there. Where addresses overlap without being equal, as here, that takes negative entries
# (purple), which no decay can make out of positive keys and queries. Where all tokens write and read at one address, at
# $a = w = 1$, each value simply replaces the one before it, and the matrix is the identity.
#
# </details>

# %%
kept, _ = retnet_loop(Q, K, x, gamma=1.0)  # nothing fades, in either
erased, _ = rwkv7_loop(Q, np.zeros((N, d_k)), rate * K, x, K, rate)
print(f"the plateau after token 20: RetNet gives at least {kept[20:, 0].min():.2f}")
print(f"                            RWKV-7 at most {np.abs(erased[20:, 0]).max():.2f} in size")
assert np.abs(erased[-1, 0]) < 0.1 * kept[-1, 0]
assert np.abs(erased[20:, 0]).max() < 0.5 < 1 < kept[12:, 0].min()
assert (rwkv7_loop(Q, 0 * log_w, rate * K, impulses, K, rate)[0] < 0).any()  # addresses overlap
one_address = np.tile(K[:1], (N, 1))
same, _ = rwkv7_loop(one_address, 0 * ones, one_address, impulses, one_address, ones)
assert_same(one_address=same, identity=np.eye(N))

# %% [markdown]
# ## 5 · One family
#
# You have seen one loop four times. **Each core contains the one before**: take away RWKV-7's removal and you have GLA;
# make GLA's gates equal and you have Mamba-2; let all tokens choose the same decay and you have RetNet; set
# $\gamma = 1$ and you are back at linear attention. (The lecture's RWKV-7 is a weighted mean, and its RWKV has no
# matrix: [correction 9](01_tour.ipynb#correction-9), [correction 10](01_tour.ipynb#correction-10).)
#
# **A second way to see the family: the state is a learner.** Each token is an example, "under $k_t$ belongs $v_t$",
# with the loss $\frac12 \|v_t - S^\top k_t\|^2$. Linear attention takes one gradient step for all examples together,
# from $S = 0$; the delta rule takes one step per example, from its current state; a decay makes the learner forget old
# examples. This view is called *test-time regression* (Wang, Shi and Fox, arXiv 2501.12352), and
# [03c](03c_memory.ipynb) derives the delta rule from it.

# %%
gates, per_token = log_alpha, log_alpha[:, 0]
equal_gates = np.tile(per_token[:, None], (1, d_k))
y_gla, _ = gla_loop(Q, K, x, gates)
y_mamba2, _ = mamba2_loop(x, per_token, K, Q)
y_retnet, _ = retnet_loop(Q, K, x, 0.9)
y_linear, _ = linear_attention.recurrent(Q, K, x)

assert_same(rwkv7_removing_nothing=rwkv7_loop(Q, gates, K, x, K, 0 * rate)[0], gla=y_gla)
assert_same(gla_with_equal_gates=gla_loop(Q, K, x, equal_gates)[0], mamba2=y_mamba2)
assert_same(
    mamba2_with_equal_steps=mamba2_loop(x, np.full(N, np.log(0.9)), K, Q)[0], retnet=y_retnet
)
assert_same(retnet_at_1=retnet_loop(Q, K, x, 1.0)[0], linear_attention=y_linear)

S = np.zeros((d_k, 2))
for t in range(N):
    S += 0.9 * np.outer(K[t], x[t] - K[t] @ S)  # one step of size 0.9 against the gradient
_, states = rwkv7_loop(Q, 0 * ones, rate * K, x, K, rate)
assert_same(a_step_per_example=S, delta_rule=states[-1])
_, state = linear_attention.recurrent(Q, K, x)
assert_same(one_step_for_all=K.T @ x, linear_attention=state)  # at S = 0 the error is x itself

# %% [markdown]
# **The line that differs**, formula ↔ code. $S_t$ is always this, plus $k_t v_t^\top$ or `np.outer(K[t], V[t])`:
#
# | model | forget | in code | what decides how much is kept |
# | --- | --- | --- | --- |
# | linear attention | $S_{t-1}$ | `S` | nothing: all is kept |
# | RetNet | $\gamma\, S_{t-1}$ | `gamma * S` | the distance |
# | Mamba-2 | $a_t\, S_{t-1}$ | `np.exp(log_a[t]) * S` | the token: one number |
# | GLA | $\mathrm{diag}(\alpha_t)\, S_{t-1}$ | `np.exp(log_alpha[t])[:, None] * S` | the token: one number per key |
# | RWKV-7 | $\mathrm{diag}(w_t)\, S_{t-1} - R_t$ | `np.exp(log_w[t])[:, None] * S - removed` | also a direction |
#
# with $R_t = (a_t \circ \hat\kappa_t)(\hat\kappa_t^\top S_{t-1})$, that is,
# `removed = np.outer(a[t] * kappa[t], kappa[t] @ S)`. RWKV-4 stands apart: its state has no keys, and it divides.
#
# These are the cores. The layers around them (projections, convolutions, norms, output gates) come in part 03c.
#
# ## 6 · Three forms, three prices
#
# Every core can be computed in up to three ways. Here are the orders of their operations for one head, with $N$ tokens
# in chunks of $c$:
#
# | model | parallel | recurrent | chunkwise | numbers carried |
# | --- | --- | --- | --- | --- |
# | RetNet, Mamba-2 | $N^2 (d_k + d_v)$ | $N d_k d_v$ | $N c\,(d_k + d_v) + N d_k d_v$ | $d_k d_v$ |
# | GLA | same order; $d_k$ masks in place of one | $N d_k d_v$ | same order | $d_k d_v$ |
# | RWKV-7 | same order, plus a triangular solve | $N d_k d_v$ | same order, plus a solve per chunk | $d_k d_v$ |
# | RWKV-4, $d$ channels | $N^2 d$ | $N d$ | not used | $3 d$ |
# | softmax attention | $N^2 (d_k + d_v)$ | $N^2 (d_k + d_v)$ | no fewer operations | $N (d_k + d_v)$, growing |
#
# *Why.* $QK^\top$ is $N^2$ dot products of $d_k$ numbers each, and multiplying by $V$ takes another $N^2 d_v$. A step
# of the loop touches each number of the state a fixed number of times. The chunkwise form has $N/c$ squares of $c^2$
# entries, and $N/c$ times reads and updates the state, at $c\, d_k d_v$ each. **Parallel**, written as here, holds
# $N^2$ numbers (RWKV-4: $N^2$ per channel) and consists of matrix products, except for the masks of GLA and RWKV-7, the
# solve of RWKV-7 and the weights of RWKV-4. **Recurrent** holds one state and takes $N$ steps one after another.
# **Chunkwise** combines the advantages of both. (Softmax attention gains from blocks too: FlashAttention, arXiv
# 2205.14135, goes through them with a running maximum and a running sum, so it never holds the $N^2$ scores. The order
# of its operations stays $N^2$.) The cells below check that the forms agree, that the state does not grow, and how the
# work grows (without the solve). Part [03b](03b_duality.ipynb) derives the factors, and part [05a](05a_cost.ipynb)
# measures seconds.

# %%
relatives = {
    "RetNet": (retention, (Q, K, x, 0.9)),
    "Mamba-2": (ssd, (x, log_a, K, Q)),
    "GLA": (gla, (Q, K, x, log_alpha)),
    "RWKV-7": (rwkv7, (Q, log_w, rate * K, x, K, rate)),
}
for name, (mixer, arguments) in relatives.items():
    y, S = mixer.recurrent(*arguments)
    first_half = [a[: N // 2] if np.ndim(a) else a for a in arguments]
    assert mixer.recurrent(*first_half)[1].size == S.size == d_k * x.shape[1]
    print(f"{name} carries {S.size} numbers, after {N // 2} tokens and after {N}")

    chunks = {f"chunks_of_{c}": mixer.chunkwise(*arguments, chunk_size=c)[0] for c in (1, 5, 32)}
    assert_same(recurrent=y, parallel=mixer.parallel(*arguments)[0], **chunks)


# %%
def growth(form, arguments, **options) -> float:
    """Operations on 256 tokens over operations on 128: the sequence repeated, the work counted."""
    counts = []
    for times in (256 // N, 128 // N):
        repeated = [np.concatenate([a] * times) if np.ndim(a) else a for a in arguments]
        counts.append(costs.count(form, *repeated, **options).flops)
    return counts[0] / counts[1]


print("twice the tokens cost   parallel   recurrent   chunkwise")
for name, (mixer, arguments) in relatives.items():
    parallel, recurrent = growth(mixer.parallel, arguments), growth(mixer.recurrent, arguments)
    chunkwise = growth(mixer.chunkwise, arguments, chunk_size=16)
    print(f"{name:20} {parallel:8.1f} times {recurrent:5.1f} times {chunkwise:5.1f} times")
    assert np.allclose([parallel, recurrent, chunkwise], [4, 2, 2], rtol=0.05)

# %% [markdown]
# ## 7 · Five corrections to the lecture
#
# The course follows a lecture and corrects it ([which lecture, and all corrections](../docs/corrections.md)). Five of
# the corrections concern the relatives you have just met. Open the ones you want to read; the cell below each runs its
# counterexample.
#
# <a id="correction-8"></a>
#
# <details><summary><b>Correction 8.</b> The lecture's code for Mamba-2 has no decay, and loops over the tokens of each
# chunk.</summary>
#
# **The lecture** presents a function as Mamba-2's chunkwise algorithm. It goes from chunk to chunk, and inside each
# chunk from token to token, and adds $B_t x_t^\top$ to the state each time.
#
# **In truth,** that update without a decay is plain linear attention. And a loop over tokens inside a loop over chunks
# is the recurrence again: $N$ steps one after another, whatever the chunk size. In the chunkwise form the inside of a
# chunk is a matrix product, and only $N/c$ states are passed on, one after another.
#
# </details>


# %%
def lecture_mamba2(x, B, C, c):
    S, y, steps = np.zeros((B.shape[1], x.shape[1])), np.zeros_like(x), 0
    for start in range(0, len(x), c):
        for t in range(start, min(start + c, len(x))):
            S = S + np.outer(B[t], x[t])  # where is the decay?
            y[t] = C[t] @ S
            steps += 1
    return y, steps


lecture, _ = lecture_mamba2(x, K, Q, c=8)
truth, _ = mamba2_loop(x, log_a, K, Q)
assert_same(lecture=lecture, linear_attention=linear_attention.parallel(Q, K, x)[0])
assert_same(truth=truth, chunkwise=ssd.chunkwise(x, log_a, K, Q, chunk_size=8)[0])
print(f"plateau, at the last token: {lecture[-1, 0]:.2f} (lecture), {truth[-1, 0]:.2f} (Mamba-2)")

for c in (4, 8, 16):
    _, steps = lecture_mamba2(x, K, Q, c)
    print(f"chunks of {c:2}: {steps} steps one after another (lecture), {N // c} (chunkwise)")
    assert steps == N

# %% [markdown]
# <a id="correction-9"></a>
#
# <details><summary><b>Correction 9.</b> The lecture's "generalized delta rule" of RWKV-7 is a decayed weighted
# mean.</summary>
#
# **The lecture** computes, with a decay $\lambda$ and the keys as weights,
# $y_t = \sum_{j \le t} \lambda^{t-j} k_j v_j \,\big/ \sum_{j \le t} \lambda^{t-j} k_j$, and presents it as RWKV-7's
# rule.
#
# **In truth,** with weights $e^{k_j}$ that would be RWKV-4 without its bonus (exactly: with $u = -w$). With the raw
# $k_j$ the denominator can be zero. And a mean has no delta: it mixes the old and the new value of a key, where RWKV-7
# replaces the old by the new.
#
# </details>


# %%
def lecture_mean(decay, weights, v):
    above = below = 0.0
    y = []
    for t in range(len(v)):
        above, below = decay * above + weights[t] * v[t], decay * below + weights[t]
        y.append(above / below)
    return np.array(y)


without_bonus, _ = wkv_loop(w, -w, k, x)
means = lecture_mean(0.9, np.exp(k), x)
assert_same(lecture_with_exp_k=means, rwkv4_without_bonus=without_bonus)

with np.errstate(divide="ignore"):
    divided_by_zero = lecture_mean(0.5, np.array([1, -0.5]), [1, 2])
print("raw k = 1, -0.5 at decay 0.5:", divided_by_zero)
assert np.isinf(divided_by_zero[-1])

key, values = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0], [5.0]])
replaced, _ = rwkv7_loop(key, np.zeros((2, 2)), key, values, key, np.ones((2, 2)))
averaged = lecture_mean(1.0, np.ones(2), values)
print(f"1, then 5 under one key: RWKV-7 reads {replaced[-1, 0]:.0f}, a mean {averaged[-1, 0]:.0f}")
assert (replaced[-1, 0], averaged[-1, 0]) == (5, 3)

# %% [markdown]
# <a id="correction-10"></a>
#
# <details><summary><b>Correction 10.</b> The lecture says that RWKV works element by element, with a memory of
# O(1).</summary>
#
# **The lecture** says so of RWKV in general, RWKV-7 included.
#
# **In truth,** that was RWKV-4, where a channel of the output depends on the same channel of $k$ and $v$ alone. RWKV-7
# carries a matrix of head size × head size for each head. Its memory is constant in $N$, but $d$ channels in heads of
# 64 carry $64\, d$ numbers, not RWKV-4's $3\, d$.
#
# </details>

# %%
V3 = rng.normal(size=(N, d_k))
nudged_k, nudged_K = k.copy(), rate * K
nudged_k[5, 0] += 0.1  # one feature of one key
nudged_K[5, 0] += 0.1
moved_4 = (wkv_loop(w, u, nudged_k, V3[:, :2])[0] != wkv_loop(w, u, k, V3[:, :2])[0]).any(axis=0)
before = rwkv7_loop(Q, log_w, rate * K, V3, K, rate)[0]
moved_7 = (rwkv7_loop(Q, log_w, nudged_K, V3, K, rate)[0] != before).any(axis=0)
print(f"one feature of k moves: RWKV-4 channels {moved_4}, RWKV-7 channels {moved_7}")
assert moved_4.tolist() == [True, False]
assert moved_7.all()

head = rng.normal(size=(100, 64)) / 8
for length in (10, 100):
    h = head[:length]
    unit = h / np.linalg.norm(h, axis=1, keepdims=True)
    _, S = rwkv7.recurrent(h, -(h**2), h, h, unit, 0 * h + 0.5)
    print(f"a head of 64 after {length:3} tokens carries {S.size} numbers")
    assert S.size == 64 * 64

# %% [markdown]
# <a id="correction-11"></a>
#
# <details><summary><b>Correction 11.</b> The lecture divides RetNet's scores by their row sums, and carries a vector as
# its state.</summary>
#
# **The lecture** divides each row of $D \circ (QK^\top)$ by its sum and says that the result equals the recurrence. Its
# recurrent step carries a vector, $s_t = \gamma s_{t-1} + k_t \circ v_t$. Its chunkwise form divides inside the chunk
# and then adds an undivided part from the state.
#
# **In truth,** $O = (D \circ QK^\top)\, V$, with nothing divided; with divided rows it is a different map. The vector
# is only the *diagonal* of the state, which is a matrix of outer products $k v^\top$. And adding divided to undivided
# terms makes the output depend on the chunk size, which is only a detail of the computation. (The paper does rescale
# its scores, and its GroupNorm takes the factor out again, up to its ε: part [03c](03c_family.ipynb).)
#
# </details>

# %%
y, _ = retnet_loop(Q, K, x, gamma=0.9)
assert 4.5 < y[:, 0].max() < 5  # on a plateau of height 1
scores = D * (Q @ K.T)
divided = scores / scores.sum(axis=1, keepdims=True)
print(f"largest output: {y.max():.2f}; with rows divided by their sums: {(divided @ x).max():.2f}")
assert not np.allclose(divided @ x, y)
s = np.zeros((N, d_k))
for t in range(N):
    s[t] = (0.9 * s[t - 1] if t else 0) + K[t] * V3[t]  # values as wide as keys
_, full = retnet_loop(Q, K, V3, gamma=0.9)
assert_same(vector_state=s, diagonal_of_the_state=np.diagonal(full, axis1=1, axis2=2))


def lecture_chunks(c: int) -> np.ndarray:
    y, S = np.zeros_like(x), np.zeros((d_k, x.shape[1]))
    for i in range(0, N, c):
        q, k, v, inside = Q[i : i + c], K[i : i + c], x[i : i + c], scores[i : i + c, i : i + c]
        y[i : i + c] = inside / inside.sum(1, keepdims=True) @ v + D[1 : c + 1, :1] * (q @ S)
        S = 0.9**c * S + (D[c - 1, :c, None] * k).T @ v
    return y


for c in (4, 8):
    print(f"the lecture's output at token 14 with chunks of {c}: {lecture_chunks(c)[14, 0]:.2f}")
assert not np.allclose(lecture_chunks(4), lecture_chunks(8))

# %% [markdown]
# <a id="correction-12"></a>
#
# <details><summary><b>Correction 12.</b> The lecture puts GLA's gate on the input, and mistakes ReLU + 1 for ELU +
# 1.</summary>
#
# **The lecture** writes $S_t = S_{t-1} + (g_t \circ \phi(k_t))\, v_t^\top$ for GLA, with
# $\phi(x) = \mathrm{ReLU}(x) + 1$ under the name of ELU + 1, the feature map common in linear attention.
#
# **In truth,** the gate decays the *state*, key by key. A gate on the input makes a different key and nothing more: it
# is linear attention, which forgets nothing, whatever the later gates are. And ReLU(x) + 1 is 1 for every negative $x$,
# while ELU(x) + 1 $= e^x$ still tells negative $x$ apart.
#
# </details>

# %%
open_gates, shut_gates = np.full((N, d_k), 0.99), np.full((N, d_k), 0.5)
shut_gates[0] = open_gates[0]  # the gates differ only after token 0 has written


def seen_of_token_0(gates: np.ndarray) -> tuple[float, float]:
    """What the last token sees of the first: gate on the input, gate on the state."""
    on_input = np.tril(Q @ (gates * K).T)
    on_state, _ = gla_loop(Q, K, impulses, np.log(gates))
    return on_input[-1, 0], on_state[-1, 0]


for name, gates in {"open": open_gates, "shut": shut_gates}.items():
    lecture, truth = seen_of_token_0(gates)
    print(f"later gates {name}: lecture {lecture:.2f}, GLA {truth:.2f}")
assert seen_of_token_0(open_gates)[0] == seen_of_token_0(shut_gates)[0]
assert seen_of_token_0(shut_gates)[1] < 1e-6 < seen_of_token_0(open_gates)[1]

at = np.array([-1.0, -3.0])
print(f"at -1 and -3: ReLU + 1 = {np.maximum(at, 0) + 1}, ELU + 1 = {np.exp(at).round(2)}")

# %% [markdown]
# ## Recap
#
# - One loop: forget, write, read. **What is forgotten** depends on the distance alone (RetNet), on the token (Mamba-2),
#   on the token for each key (GLA); RWKV-7 also removes what is stored under a key.
# - The answer to unit impulses is the matrix: fading, cut, a sum of masks, or with negative entries.
# - Each core contains the one before. RWKV-4 stands apart: a fading mean in each channel.
# - The parallel, recurrent and chunkwise forms agree up to rounding, and the state of a head has $d_k d_v$ numbers at
#   any length.
#
# **Where next:** the [exercises](../exercises/01_tour.ipynb) (16 points), then part [02](02_intuition.ipynb), the
# intuition behind semiseparable matrices. The proof that attention without softmax and state-space models are one is in
# [03b · Duality](03b_duality.ipynb); the layers as published come in part [03c](03c_family.ipynb).

# %% tags=["nbval-ignore-output"]
progress("01_tour")
