"""Exercises of 03e_family_since."""

from typing import Any

import numpy as np

from lecture17.reference import kda, mesa

from ..exercise import Exercise, Inputs, Misconception

# --- kda-step -----------------------------------------------------------------------------------------------------


def draw_token(rng: np.random.Generator) -> Inputs:
    """A unit key, β in [0, 2], gates in [0.2, 1], half of the time one of them 0."""
    d_k, d_v = int(rng.integers(2, 6)), int(rng.integers(6, 9))
    q, k = rng.normal(size=(2, d_k))
    log_alpha = np.log(rng.uniform(0.2, 1.0, size=d_k))
    if rng.random() < 0.5:
        log_alpha[rng.integers(d_k)] = -np.inf
    return {
        "q": q,
        "k": k / np.linalg.norm(k),
        "v": rng.normal(size=d_v),
        "log_alpha": log_alpha,
        "beta": float(rng.uniform(0, 2)),
        "S": rng.normal(size=(d_k, d_v)),
    }


def stepped(q: Any, k: Any, v: Any, log_alpha: Any, beta: Any, S: Any, **slips: bool) -> tuple[Any, Any]:
    """One token of KDA, with the slips that are asked for."""
    alpha = np.exp(log_alpha)
    if slips.get("one_gate"):
        alpha = np.full_like(alpha, alpha.mean())
    if slips.get("one_log"):
        alpha = np.full_like(alpha, np.exp(log_alpha.mean()))
    if slips.get("no_exp"):
        alpha = log_alpha
    kept = alpha[:, None] * S
    recalled = k @ (S if slips.get("removes_undecayed") else kept)
    if slips.get("decays_last"):
        kept, recalled = S, k @ S
    error = v if slips.get("adds") else v - recalled
    write = beta * np.outer(k, error)
    if slips.get("removes_all"):
        write = beta * np.outer(k, v) - np.outer(k, recalled)
    new = kept + write
    if slips.get("decays_last"):
        new = alpha[:, None] * new
    return q @ (S if slips.get("reads_early") else kept if slips.get("reads_kept") else new), new


def stepped_with(name: str) -> Any:
    return lambda *args: stepped(*args, **{name: True})


KDA_STEP = Exercise(
    id="03e_family_since-kda-step",
    points=3,
    unfilled="Let the rows of S decay, take the gradient step on what is left, and read.",
    draw=draw_token,
    returns=("y", "state"),
    verified="with gates that are exactly 0, and β up to 2",
    expected=lambda q, k, v, log_alpha, beta, S: kda.step(q, k, v, log_alpha, beta, S),
    misconceptions=(
        Misconception(
            "the old state decays only after the error has been measured",
            "decay first: the error is v - S̄ᵀk with the decayed S̄; RWKV-7 has the other order",
            stepped_with("removes_undecayed"),
        ),
        Misconception(
            "the token's own write decays too",
            "decay first, then write: the new pair is stored whole",
            stepped_with("decays_last"),
        ),
        Misconception(
            "the value is added without looking at what the key recalls",
            "that is GLA; the delta rule writes the error v - S̄ᵀk",
            stepped_with("adds"),
        ),
        Misconception(
            "what the key recalls is removed whole, whatever β is",
            "β scales the whole step: it multiplies the error, not the value alone",
            stepped_with("removes_all"),
        ),
        Misconception(
            "all rows of the state decay alike",
            "that is the gated delta rule; in KDA row c has its own α_c: np.exp(log_alpha)[:, None] * S",
            stepped_with("one_gate"),
            also=(stepped_with("one_log"),),
        ),
        Misconception(
            "the output is read before the token is written",
            "read last: y = q @ S with the new state",
            stepped_with("reads_early"),
            also=(stepped_with("reads_kept"),),
        ),
        Misconception(
            "the log is used as the decay",
            "α_c is np.exp(log_alpha[c]), a number from 0 to 1",
            stepped_with("no_exp"),
        ),
    ),
    hints=(
        ("I get a shape error", "α goes with the rows: np.exp(log_alpha)[:, None] * S. k @ S is (d_v,)."),
        ("I get NaN", "np.exp(-inf) is 0, which is right. Do not divide by α or multiply log_alpha."),
        ("y is wrong and the state is right", "Read the new state: q @ S, after the step."),
    ),
)

# --- delta-product ------------------------------------------------------------------------------------------------


def draw_steps(rng: np.random.Generator) -> Inputs:
    """One to four steps a token, keys of length 1, some decays exactly 0."""
    N, n_h, d_k, d_v = (int(rng.integers(*bounds)) for bounds in ((2, 12), (2, 5), (2, 5), (5, 8)))
    K = rng.normal(size=(N, n_h, d_k))
    a = rng.uniform(0.2, 1.0, size=N)
    if rng.random() < 0.5:
        a[rng.integers(N)] = 0.0
    return {
        "Q": rng.normal(size=(N, d_k)),
        "K": K / np.linalg.norm(K, axis=-1, keepdims=True),
        "V": rng.normal(size=(N, n_h, d_v)),
        "beta": rng.uniform(0, 2, size=(N, n_h)),
        "a": a,
    }


def one_by_one(Q: Any, K: Any, V: Any, beta: Any, a: Any) -> tuple[np.ndarray, ...]:
    """A row for each step, as the steps are taken."""
    rows = []
    for t, q in enumerate(Q):
        for step in range(K.shape[1]):
            is_last, is_first = step == K.shape[1] - 1, step == 0
            decay = a[t] if is_first else 1.0
            rows.append((q if is_last else 0 * q, K[t, step], V[t, step], beta[t, step], decay))
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def lengthened(Q: Any, K: Any, V: Any, beta: Any, a: Any, **slips: bool) -> tuple[np.ndarray, ...]:
    """The longer sequence, with the slips that are asked for."""
    if slips.get("backwards"):
        K, V, beta = K[:, ::-1], V[:, ::-1], beta[:, ::-1]
    N, n_h, d_k = K.shape
    queries, decays = np.zeros((N, n_h, d_k)), np.ones((N, n_h))
    queries[:, 0 if slips.get("reads_first") else -1] = Q
    decays[:, -1 if slips.get("decays_last") else 0] = a
    if slips.get("reads_all"):
        queries[:] = Q[:, None]
    if slips.get("decays_all"):
        decays[:] = a[:, None]
    if slips.get("shares_decay"):
        decays[:] = a[:, None] ** (1 / n_h)
    if slips.get("forgets"):
        decays[:, 1:] = 0
    columns = [queries, K, V, beta[..., None], decays[..., None]]
    if slips.get("step_by_step"):
        columns = [x.swapaxes(0, 1) for x in columns]
    Q, K, V, beta, decays = (x.reshape(N * n_h, x.shape[2]) for x in columns)
    return Q, K, V, beta[:, 0], decays[:, 0]


def lengthened_with(name: str) -> Any:
    return lambda *args: lengthened(*args, **{name: True})


DELTA_PRODUCT = Exercise(
    id="03e_family_since-delta-product",
    points=4,
    unfilled="A row for each step: its key, value and β; the decay at a token's first step, the query at its last.",
    draw=draw_steps,
    returns=("Q", "K", "V", "beta", "a"),
    verified="with two to four steps a token, and decays that are exactly 0",
    expected=one_by_one,
    misconceptions=(
        Misconception(
            "the state decays at every step",
            "a token decays once, before its first step; at the others a is 1, which keeps everything",
            lengthened_with("decays_all"),
        ),
        Misconception(
            "the decay is shared out among the steps",
            "what the first step writes would decay as well; give the first step the whole of a",
            lengthened_with("shares_decay"),
        ),
        Misconception(
            "the state decays at the last step of a token",
            "the decay comes before the first step, or it takes a part of what the steps before have written",
            lengthened_with("decays_last"),
        ),
        Misconception(
            "the state is emptied before every later step",
            "a step without a decay has a = 1, which keeps everything; a = 0 forgets everything",
            lengthened_with("forgets"),
        ),
        Misconception(
            "the query is asked at the first step of a token",
            "the output is read once all steps are taken: at the last",
            lengthened_with("reads_first"),
        ),
        Misconception(
            "every step has the query",
            "only the last step of a token is read; the queries of the others are zeros",
            lengthened_with("reads_all"),
            also=(lambda Q, K, *rest: (np.tile(Q, (K.shape[1], 1)), *lengthened(Q, K, *rest)[1:]),),
            of=("Q",),
        ),
        Misconception(
            "the steps of a token are taken in the reverse order",
            "step 0 is taken first, although it stands on the right in the product of the transitions",
            lengthened_with("backwards"),
        ),
        Misconception(
            "the first steps of all tokens come first",
            "all steps of token 0, then those of token 1: a reshape of (N, n_h, …) keeps this order",
            lengthened_with("step_by_step"),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "K.reshape(N * n_h, d_k) already has the steps in order, and so have V and beta.",
        ),
        (
            "What is the decay of a step that has none?",
            "a = 1 keeps everything. Make an (N, n_h) array of ones, and give only its column 0 the decays.",
        ),
        (
            "What is the query of a step that is not read?",
            "Zeros: fill an array (N, n_h, d_k), and its last step with Q.",
        ),
    ),
)

# --- mesa-ridge ---------------------------------------------------------------------------------------------------


def draw_regression(rng: np.random.Generator) -> Inputs:
    """Up to 20 tokens, fewer than the numbers in a key at first; weights from 0 up, a ridge of its own for each row."""
    N, d_k, d_v = int(rng.integers(2, 21)), int(rng.integers(2, 6)), int(rng.integers(6, 9))
    Q, K = rng.normal(size=(2, N, d_k))
    return {
        "Q": Q,
        "K": K,
        "V": rng.normal(size=(N, d_v)),
        "log_a": np.log(rng.uniform(0.3, 1.0, size=N)),
        "beta": rng.uniform(0, 2, size=N),
        "lam": rng.uniform(0.2, 2.0, size=d_k),
    }


def regressed(Q: Any, K: Any, V: Any, log_a: Any, beta: Any, lam: Any, **slips: bool) -> np.ndarray:
    """The ridge regression of each token, written as least squares of rows, with the slips that are asked for."""
    since, y = np.cumsum(log_a), np.empty_like(V)
    for t in range(len(V)):
        seen = slice(0, len(V) if slips.get("sees_the_future") else t + 1)
        weights = beta[seen] * np.exp(since[t] - since[seen])
        if slips.get("own_decay"):
            weights = weights * np.exp(log_a[seen])
        if slips.get("no_decay"):
            weights = beta[seen]
        if slips.get("squared"):
            weights = weights**2
        ridge = lam * np.exp(since[t]) if slips.get("ridge_decays") else lam
        if slips.get("beta_squared"):
            weights = weights * beta[seen]
        if slips.get("no_beta"):
            weights = np.exp(since[t] - since[seen])
        if slips.get("ridge_squared"):
            ridge = lam**2
        if slips.get("no_ridge"):
            ridge = 1e-9 * lam
        if slips.get("one_ridge"):
            ridge = np.full_like(lam, lam.mean())
        if slips.get("ridge_per_token"):
            ridge = (t + 1) * lam
        H = K[seen].T @ (weights[:, None] * K[seen]) + np.diag(ridge)
        G = K[seen].T @ ((1.0 if slips.get("unweighted_values") else weights[:, None]) * V[seen])
        decays = np.exp(since[t] - since[seen])[:, None]
        if slips.get("beta_in_H"):
            G = K[seen].T @ (decays * V[seen])
        if slips.get("beta_in_G"):
            H = K[seen].T @ (decays * K[seen]) + np.diag(ridge)
        y[t] = Q[t] @ np.linalg.solve(H, G)
    return y


def read_one_late(Q: Any, K: Any, V: Any, log_a: Any, beta: Any, lam: Any) -> np.ndarray:
    """Token t reads what the tokens before it have left."""
    before = regressed(np.roll(Q, -1, axis=0), K, V, log_a, beta, lam)
    return np.append(np.zeros_like(V[:1]), before[:-1], axis=0)


def fitted_once(Q: Any, K: Any, V: Any, log_a: Any, beta: Any, lam: Any) -> np.ndarray:
    """All tokens read the fit of the last one."""
    return np.array([regressed(np.broadcast_to(q, Q.shape), K, V, log_a, beta, lam)[-1] for q in Q])


def regressed_with(name: str) -> Any:
    return lambda *args: regressed(*args, **{name: True})


MESA_RIDGE = Exercise(
    id="03e_family_since-mesa-ridge",
    points=4,
    unfilled="Set the gradient to zero: one linear system for W_t at every token, from two sums that decay.",
    draw=draw_regression,
    returns=("y",),
    verified="fewer tokens than numbers in a key included, with a ridge of its own for each row",
    expected=lambda *args: mesa.parallel(*args)[0],
    misconceptions=(
        Misconception(
            "the ridge decays with the pairs",
            "λ is the same at every token: decay H alone, and add diag(λ) only when you solve",
            regressed_with("ridge_decays"),
        ),
        Misconception(
            "the ridge is added anew at every token",
            "diag(λ) is no part of the sum H: add it when you solve, once",
            regressed_with("ridge_per_token"),
        ),
        Misconception(
            "the ridge is left out",
            "without λ the first tokens, fewer than the numbers in a key, have no unique fit",
            regressed_with("no_ridge"),
        ),
        Misconception(
            "one λ is used for all rows",
            "λ_c weighs row c of W: the ridge is np.diag(lam)",
            regressed_with("one_ridge"),
        ),
        Misconception(
            "old pairs keep their weight",
            "the weight of pair j at token t is β_j a_{j+1} … a_t: both sums decay before the token is added",
            regressed_with("no_decay"),
        ),
        Misconception(
            "a pair decays by its own token's a",
            "token t decays what came before it: first decay both sums, then add its own pair",
            regressed_with("own_decay"),
        ),
        Misconception(
            "the weights are squared",
            "each squared error has the weight ω: β once, in both sums",
            regressed_with("squared"),
            also=(regressed_with("beta_squared"),),
        ),
        Misconception(
            "the values are summed without their weights",
            "both sums have the same weights: Σ ω k kᵀ and Σ ω k vᵀ",
            regressed_with("unweighted_values"),
            also=(regressed_with("beta_in_H"),),
        ),
        Misconception(
            "every token sees the whole sequence",
            "token t fits the pairs up to its own: j ≤ t",
            regressed_with("sees_the_future"),
            also=(fitted_once,),
        ),
        Misconception(
            "λ is squared",
            "the penalty is λ_c |W_c|²: W is squared, λ is not",
            regressed_with("ridge_squared"),
        ),
        Misconception(
            "the keys are summed without their weights β",
            "both sums have the same weights: Σ ω k kᵀ and Σ ω k vᵀ",
            regressed_with("beta_in_G"),
        ),
        Misconception(
            "the weights β are left out",
            "pair j has the weight β_j a_{j+1} … a_t, in both sums",
            regressed_with("no_beta"),
        ),
        Misconception(
            "a token reads before its own pair is added",
            "j ≤ t includes t: add token t to both sums, then solve",
            read_one_late,
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "Set the gradient to zero: (Σ ω k kᵀ + diag(λ)) W = Σ ω k vᵀ. Carry both sums from token to token.",
        ),
        ("I get a singular matrix", "Add np.diag(lam) to H when you solve. H itself has a rank of at most t + 1."),
        (
            "The first token is right, the second is not",
            "Decay both sums by e^{log_a[t]}, and then add token t with β_t.",
        ),
    ),
)

# --- fenwick-step -------------------------------------------------------------------------------------------------


def draw_buckets(rng: np.random.Generator) -> Inputs:
    """Buckets after t tokens, one for each bit of t that is 1; now and then a token that forgets them all."""
    t, d_k = int(rng.integers(64)), int(rng.integers(2, 5))
    d_v, bits = d_k + int(rng.integers(1, 4)), (t + 1).bit_length() + int(rng.integers(2))
    S = rng.normal(size=(bits, d_k, d_v)) * np.array([t >> b & 1 for b in range(bits)])[:, None, None]
    q, k = rng.normal(size=(2, d_k))
    log_a = -np.inf if rng.random() < 0.1 else -float(rng.uniform(0.1, 1.0))
    return {
        "q": q,
        "k": k,
        "v": rng.normal(size=d_v),
        "log_a": log_a,
        "lam": rng.uniform(0.2, 1.5, bits + 1),
        "S": S,
        "t": t,
    }


def counted(q: Any, k: Any, v: Any, log_a: Any, lam: Any, S: Any, t: Any, **slips: Any) -> tuple[Any, Any]:
    """One token: all buckets below the lowest bit of t that is 0 go into that bit. With the slips asked for."""
    decay = slips.get("decay", np.exp)(log_a)
    own, old = np.outer(k, v), decay * S
    weights = slips.get("weights", lambda lam: lam)(lam)
    seen = S if slips.get("reads_undecayed") else old
    y = weights[0] * (q @ own) + sum(w * (q @ bucket) for w, bucket in zip(weights[1:], seen, strict=True))
    counter = slips.get("counter", lambda t: t)(t)
    bit = min((~counter & (counter + 1)).bit_length() - 1, slips.get("longest_carry", len(S)), len(S) - 1)
    if slips.get("decays_itself"):
        own = decay * own
    after = old.copy()
    if not slips.get("keeps"):
        after[:bit] = 0
    kept = slips.get("kept", lambda merged: merged.sum(0))(old[:bit])
    after[bit] = own + kept + (old[bit] if slips.get("adds") else 0)
    if slips.get("reads_late"):
        y = sum(w * (q @ bucket) for w, bucket in zip(weights[1:], after, strict=True))
    return y, after


def counted_with(**slips: Any) -> Any:
    return lambda *args: counted(*args, **slips)


FENWICK_STEP = Exercise(
    id="03e_family_since-fenwick-step",
    points=3,
    unfilled="Let all buckets decay, read them, then add the new token as a binary counter adds 1.",
    draw=draw_buckets,
    returns=("y", "S"),
    verified="for up to 64 tokens",
    expected=counted,
    misconceptions=(
        Misconception(
            "the new token decays, too",
            "its decay acts on what was there before: let the buckets decay first, then write",
            counted_with(decays_itself=True),
            of=("S",),
        ),
        Misconception(
            "nothing decays",
            "every token multiplies all buckets by exp(log_a)",
            counted_with(decay=lambda log_a: 1.0),
        ),
        Misconception(
            "the log is used as the decay",
            "log_a is a logarithm: multiply by exp(log_a)",
            counted_with(decay=lambda log_a: log_a),
        ),
        Misconception(
            "the buckets are read before they decay",
            "decay first, read second: the token sees what is left",
            counted_with(reads_undecayed=True),
            of=("y",),
        ),
        Misconception(
            "the buckets are read after they have merged",
            "read first, merge last: the token itself still has level 0, and every bucket its old size",
            counted_with(reads_late=True),
            of=("y",),
        ),
        Misconception(
            "the token does not read itself",
            "add lam[0] · (q · k) v to what the buckets give",
            counted_with(weights=lambda lam: np.append(0, lam[1:])),
            of=("y",),
        ),
        Misconception(
            "each bucket has the weight of the next smaller one",
            "lam[0] is for the token itself, so bucket b has lam[b + 1]",
            counted_with(weights=lambda lam: np.append(lam[0], lam[:-1])),
            of=("y",),
        ),
        Misconception(
            "the weights are left out",
            "each level has its weight: lam[0] for the token itself, lam[b + 1] for bucket b",
            counted_with(weights=np.ones_like),
            of=("y",),
        ),
        Misconception(
            "no buckets merge",
            "S[0] holds one token: if it is taken already, the two go to S[1], and so on",
            counted_with(longest_carry=0, adds=True),
            of=("S",),
            also=(counted_with(longest_carry=0),),
        ),
        Misconception(
            "only one pair of buckets merges",
            "the merged bucket may meet one of its own size again: go on while bit b of t is 1",
            counted_with(longest_carry=1, adds=True),
            of=("S",),
            also=(counted_with(longest_carry=1),),
        ),
        Misconception(
            "merged buckets stay in their old places, too",
            "a token is in one bucket only: set S[b] to zero once it has been merged",
            counted_with(keeps=True),
            of=("S",),
        ),
        Misconception(
            "the new token takes the place of the buckets that it merges with",
            "merging adds the states up: the new bucket holds the old ones and the new token",
            counted_with(kept=lambda merged: 0),
            of=("S",),
        ),
        Misconception(
            "the bits are those of t + 1",
            "before the token there are t, so bucket b is taken if bit b of t is 1",
            counted_with(counter=lambda t: t + 1),
            of=("S",),
            also=(counted_with(counter=lambda t: t + 1, adds=True),),
        ),
    ),
    hints=(
        (
            "I do not know where to begin",
            "Add 1 to t = 0111 in binary: three ones become zeros, and the next digit becomes 1. Buckets do the same.",
        ),
        (
            "y is right and S is not",
            "Begin with new = k vᵀ and b = 0. While bit b of t is 1 (t >> b & 1), add S[b] to new, set S[b] to zero, "
            "and go on to b + 1. Then S[b] is new.",
        ),
        ("S is right and y is not", "Read after the decay, but before anything merges. The token itself has lam[0]."),
    ),
)

EXERCISES = (KDA_STEP, DELTA_PRODUCT, MESA_RIDGE, FENWICK_STEP)
