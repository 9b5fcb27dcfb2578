"""The answers to predictions, computed anew: what a question calls right cannot drift from the mathematics."""

from collections.abc import Callable

import numpy as np
import pytest

from lecture17 import choosing
from lecture17.course import predictions
from lecture17.experiments import study
from lecture17.reference import (
    attention,
    delta_rule,
    gla,
    kda,
    linear_attention,
    log_linear,
    retention,
    rwkv7,
    scan2d,
    selective_scan,
    semiseparable,
    ssd,
    wkv4,
)
from lecture17.widgets import semiseparable as blocks
from lecture17.widgets import two_views

N, rng = 32, np.random.default_rng(17)
SIGNALS = np.stack([(np.arange(N) >= 4) & (np.arange(N) < 12), np.arange(N) == 20], axis=1).astype(float)
ANSWERS: dict[str, Callable[[], list[object]]] = {}


def answers(question_id: str) -> Callable[[Callable[[], list[object]]], Callable[[], list[object]]]:
    return lambda compute: ANSWERS.setdefault(question_id, compute)


def pick(question_id: str, value: float, *bounds: float, part: int = 0) -> str:
    """The option between whose bounds a value lies."""
    return predictions.get(question_id).parts[part].options[int(np.searchsorted(bounds, value))]


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    made = np.abs(rng.normal(size=shape))
    return made / np.linalg.norm(made, axis=-1, keepdims=True)


def tour() -> tuple[np.ndarray, np.ndarray]:
    """The queries and keys of the tour."""
    Q, K = np.random.default_rng(17).uniform(size=(2, N, 3))
    return Q / np.linalg.norm(Q, axis=1, keepdims=True), K / np.linalg.norm(K, axis=1, keepdims=True)


def corner(M: np.ndarray, half: int) -> int:
    return int(np.linalg.matrix_rank(M[half:, :half]))


@answers("00_quickstart-zero-decay")
def _() -> list[object]:
    log_a = np.log(np.where(np.arange(24) == 12, 0.5, 0.8)).astype(float)
    log_a[12] = -np.inf
    M = ssd.matrix(np.ones((24, 1)), log_a, *rng.normal(size=(2, 24, 2)))
    return [np.count_nonzero(M[np.tril_indices(24)] == 0)]


@answers("00_quickstart-softmax-rank")
def _() -> list[object]:
    q, k = rng.normal(size=(2, 24, 2))
    return [corner(linear_attention.matrix(q, k, k), 12), corner(attention.softmax_matrix(q, k), 12)]


@answers("01_tour-retnet-height")
def _() -> list[object]:
    y = retention.recurrent(*tour(), SIGNALS, 0.9)[0]
    return [pick("01_tour-retnet-height", y[:, 0].max(), 0.95, 4.5, 5.5)]


@answers("01_tour-mamba2-step")
def _() -> list[object]:
    delta = np.ones(N)
    delta[16] = 30
    Q, K = tour()
    M = np.abs(ssd.matrix(SIGNALS, delta * np.log(0.9), K, Q))
    assert M[16:, :16].max() < 0.05 < M[16:, 16:][np.tril_indices(16)].min()
    assert M[:16, :16][np.tril_indices(16)].min() > 0.05
    return [predictions.get("01_tour-mamba2-step").parts[0].options[2]]


@answers("01_tour-gla-gate")
def _() -> list[object]:
    Q, K = tour()
    _, S = gla.recurrent(Q[:16], K[:16], SIGNALS[:16], np.log(np.tile([0.5, 0.98, 0.98], (16, 1))))
    _, full = gla.recurrent(Q[:12], K[:12], SIGNALS[:12], np.log(np.tile([0.5, 0.98, 0.98], (12, 1))))
    left = S[:, 0] / full[:, 0]  # four tokens after the plateau
    assert left[0] < 0.1
    assert (left[1:] > 0.9).all()
    assert (left[1:] < 1).all()
    return [predictions.get("01_tour-gla-gate").parts[0].options[1]]


@answers("01_tour-wkv-height")
def _() -> list[object]:
    k = rng.normal(size=(N, 2))
    y, _ = wkv4.recurrent(np.log([0.9, 0.9]), np.zeros(2), k, SIGNALS)
    return [pick("01_tour-wkv-height", y.max(), 1, 6)]


@answers("01_tour-rwkv7-silence")
def _() -> list[object]:
    Q, K = tour()
    zeros = np.zeros((N, 3))
    y, _ = rwkv7.recurrent(Q, zeros, K, SIGNALS, K, np.ones((N, 3)))
    kept, _ = retention.recurrent(Q, K, SIGNALS, 1.0)
    return [pick("01_tour-rwkv7-silence", -abs(y[-1, 0]) / kept[-1, 0], -0.99, -0.1)]


@answers("02_intuition-rabbits")
def _() -> list[object]:
    fibonacci = np.linalg.inv(np.eye(24) - np.eye(24, k=-1) - np.eye(24, k=-2))
    return [corner(fibonacci.round(), 12)]


@answers("02_intuition-inverse")
def _() -> list[object]:
    a = rng.uniform(0.7, 1, size=24)
    a[15] = 0
    return [np.count_nonzero(np.linalg.inv(np.eye(24) - np.diag(a[1:], k=-1)))]


@answers("02_intuition-two-views")
def _() -> list[object]:
    result = two_views.compute(two_views.Params())
    first = int(np.argmax(result.matrix_operations > result.state_operations))
    holds = int(np.argmax(result.matrix_numbers > result.state_numbers))
    return [first, pick("02_intuition-two-views", holds, 4, 13, part=1)]


@answers("02_intuition-scan")
def _() -> list[object]:
    combined: list[int] = []
    reach = np.ones(16, dtype=int)  # tokens in the stretch that each token holds
    while (reach < np.arange(1, 17)).any():
        grows = np.arange(16) >= 2 ** len(combined)
        reach = np.minimum(2 * reach, np.arange(1, 17))
        combined.append(int(grows.sum()))
    return [len(combined), pick("02_intuition-scan", sum(combined), 20, 40, part=1)]


@answers("02_intuition-four-matrices")
def _() -> list[object]:
    B, C = rng.normal(size=(2, 32, 4))
    x, rates, delta = np.ones((32, 1)), -np.array([[0.1, 0.3, 1.0, 2.0]]), rng.uniform(0.1, 1, size=(32, 1))
    fixed = selective_scan.matrix(x, np.full((32, 1), 0.5), rates, np.tile(B[0], (32, 1)), np.tile(C[0], (32, 1)))[0]
    found = {
        "S4": fixed,
        "Mamba-1": selective_scan.matrix(x, delta, rates, B, C)[0],
        "Mamba-2": ssd.matrix(x, -delta[:, 0], B, C),
        "softmax attention": attention.softmax_matrix(C, B),
    }
    [alike] = [name for name, M in found.items() if np.allclose(M[1:, 1:], M[:-1, :-1])]
    [grows] = [name for name, M in found.items() if semiseparable.rank(M) > semiseparable.rank(M[:16, :16])]
    return [alike, grows]


@answers("03a_semiseparable-corner-ranks")
def _() -> list[object]:
    arbitrary = np.tril(rng.normal(size=(24, 24)))
    Q, K, V = rng.normal(size=(3, 24, 3))
    M = delta_rule.matrix(Q, K, V, np.full(24, 0.1))
    return [semiseparable.rank(arbitrary), int(np.linalg.matrix_rank(M))]


@answers("03a_semiseparable-delta-blocks")
def _() -> list[object]:
    params = blocks.Params(mixer="gated delta rule", d_state=2)
    c, M = params.chunk_size, blocks.compute(params).M
    below = max(int(np.linalg.matrix_rank(M[i : i + c, :i], tol=1e-9)) for i in range(c, len(M), c))
    return [str(below), f"{np.linalg.matrix_rank(M[:c, :c])}, the size of the chunk"]


@answers("03a_semiseparable-overflow")
def _() -> list[object]:
    infinite: list[object] = []
    for kind in (np.float32, np.float64):
        with np.errstate(all="ignore"):
            v = 1 / (2 * np.cumprod(np.full(2000, 0.5, kind)))  # v[j] = 0.5^-j
            infinite.append(int(np.argmax(np.isinf(v))))
    return infinite


@answers("03a_semiseparable-segsum")
def _() -> list[object]:
    found: list[object] = []
    for part, middle in enumerate((-0.5, -1e9)):
        log_a = -np.log1p(np.exp(rng.normal(size=4096))).astype(np.float32)
        log_a[2048] = middle
        c = np.cumsum(log_a)[-64:].astype(float)
        error = np.tril(np.exp(c[:, None] - c) - np.exp(semiseparable.segsum(log_a[-64:].astype(float))))
        found.append(pick("03a_semiseparable-segsum", float(np.abs(error).max()), 1e-6, 1e-2, part=part))
    return found


@answers("03b_duality-zero-decay")
def _() -> list[object]:
    log_a = np.log(rng.uniform(0.8, 1, size=32))
    log_a[20] = -np.inf
    L = np.exp(semiseparable.segsum(log_a))
    return [np.count_nonzero(L[np.tril_indices(32)] == 0), "Yes" if L[25, 21] > 0 else "No"]


@answers("03b_duality-softmax-rank")
def _() -> list[object]:
    q, k = np.random.default_rng(17).normal(size=(2, 256, 8))
    power = np.tril(1 / (1 + np.abs(np.subtract.outer(np.arange(256), np.arange(256)))))
    of_ssd = ssd.matrix(q, np.log(rng.uniform(0.9, 1, 256)), k, q)
    middle = pick("03b_duality-softmax-rank", corner(power, 128), 8, 30, part=2)
    return [corner(attention.softmax_matrix(q, k), 128), corner(of_ssd, 128), middle]


@answers("03b_duality-random-features")
def _() -> list[object]:
    directions = np.random.default_rng(0).normal(size=(64, 8))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    def error(norm: float) -> float:
        points, squares = norm * directions, []
        P = attention.softmax_matrix(points[:32], points[32:])
        for seed in range(16):
            phi = attention.random_features(points, 256, np.random.default_rng(seed))
            weights = linear_attention.matrix(phi[:32], phi[32:], points[32:], normalize=True)
            squares.append(np.square(weights - P).sum())
        return float(np.sqrt(np.mean(squares)) / np.linalg.norm(P))

    return [pick("03b_duality-random-features", error(1.5) / error(0.5), 5, 30)]


@answers("03b_duality-chunk-size")
def _() -> list[object]:
    c, wide = np.arange(1, 1025), 64  # the table in part 03b, section 7
    flops = c * (4 * wide + 1) + 4 * wide**2 + 2 * wide**2 / c + 3 * wide
    return [int(c[np.argmin(flops)]), int(c[np.argmin(c + wide**2 / c)])]


@answers("03c_family-division")
def _() -> list[object]:
    Q, K, V = rng.normal(size=(3, 256, 4)).astype(np.float32)
    failed = set()
    for gate in (0.9, 0.5, 0.1, 0.0):
        with np.errstate(all="ignore"):
            b = np.cumprod(np.full((256, 4), gate, np.float32), axis=0)
            divided = np.tril((Q * b) @ (K / b).T)
        right = retention.matrix(Q.astype(float), K.astype(float), V.astype(float), gate)
        if not np.allclose(divided, right, atol=1e-4):
            failed.add(gate)
    assert failed == {0.5, 0.1, 0.0}
    return ["For 0.5, 0.1 and 0"]


@answers("03c_memory-last-value")
def _() -> list[object]:
    found: list[object] = []
    for n, enough in ((1, 1e-9), (64, 0.5)):
        once = rng.normal(size=(n, 32))
        once /= np.linalg.norm(once, axis=1, keepdims=True)
        k, v = np.concatenate([once, once]), rng.normal(size=(2 * n, 8))
        states = {
            "Linear attention": retention.parallel(k, k, v, 1.0)[1],
            "RetNet": retention.parallel(k, k, v, 1 - 2**-5)[1],
            "The delta rule": delta_rule.parallel(k, k, v, np.ones(2 * n))[1],
        }
        wrong = {m: np.linalg.norm(once @ S - v[n:]) / np.linalg.norm(v[n:]) for m, S in states.items()}
        [recalls] = [m for m, error in wrong.items() if error < enough] or ["None of them"]
        found.append(recalls)
    return found


@answers("03d_expressivity-mirrors")
def _() -> list[object]:
    corners = np.exp(2j * np.pi * np.arange(3) / 3)
    for angle in (0, np.pi / 3):  # a mirror at this angle
        corners = np.exp(2j * angle) * corners.conj()
    turns = corners / np.exp(2j * np.pi * np.arange(3) / 3)
    assert np.allclose(turns, turns[0])
    return [f"It is turned by {np.degrees(np.angle(turns[0])):.0f}°"]


@answers("03e_family_since-topic")
def _() -> list[object]:
    labels, asked = np.where(np.arange(24) < 12, np.arange(24) % 4, 3), (np.arange(24) + 2) % 4
    Q, K, V, ones = np.eye(4)[asked], np.eye(4)[labels], np.zeros((24, 1)), np.ones(24)
    gate, gates = np.zeros(24), np.zeros((24, 4))
    gate[12], gates[12, :2] = -np.inf, -np.inf
    memories = {
        "DeltaNet": delta_rule.matrix(Q, K, V, ones),
        "gated DeltaNet": delta_rule.matrix(Q, K, V, ones, gate),
        "GLA": gla.matrix(Q, K, V, gates),
        "KDA": kda.matrix(Q, K, V, gates, ones),
    }
    old = {name: M[12, :12] != 0 for name, M in memories.items()}  # token 12 reads label 2
    ended = {name: M[13:, :12][asked[13:] < 2] != 0 for name, M in memories.items()}
    [right] = [name for name in memories if old[name].sum() == 1 and not ended[name].any()]
    return [int(np.count_nonzero(memories["gated DeltaNet"][13:, :12])), right]


@answers("03e_family_since-memory")
def _() -> list[object]:
    found: dict[int, dict[str, float]] = {}
    for n in (8, 16, 32, 128):
        k, v, one = rng.normal(size=(n, 32)), rng.normal(size=(n, 8)), np.ones(8 * n)
        k /= np.linalg.norm(k, axis=1, keepdims=True)
        again, W = np.tile(k, (8, 1)), np.exp(16 * k @ k.T)
        recalled = {
            "delta rule, eight passes": k @ delta_rule.parallel(again, again, np.tile(v, (8, 1)), one)[1],
            "Mesa": k @ np.linalg.solve(k.T @ k + 1e-6 * np.eye(32), k.T @ v),
            "softmax attention": W @ v / W.sum(1, keepdims=True),
        }
        found[n] = {name: float(np.linalg.norm(y - v) / np.linalg.norm(v)) for name, y in recalled.items()}
    [left] = [name for name, error in found[128].items() if error < 0.5]
    return [str(max(n for n, errors in found.items() if errors["Mesa"] < 0.05)), left]


@answers("03e_family_since-buckets")
def _() -> list[object]:
    def states(t: int) -> int:
        one = np.ones((t, 1))
        return len(log_linear.recurrent(one, one, one, np.zeros(t), np.ones((t, 12)))[1][0])

    return [states(1023), states(1024)]


@answers("03e_family_since-softmax")
def _() -> list[object]:
    Q, K, V, ones = np.eye(4)[(np.arange(24) + 2) % 4], np.eye(4)[np.arange(24) % 4], np.eye(24), np.ones(24)
    gate = np.where(np.arange(24) == 12, -np.inf, 0.0)
    weights = {
        "softmax": attention.softmax(6 * Q, K, V),
        "window": attention.softmax(6 * Q, K, V, window=8),
        "FoX": attention.softmax(6 * Q, K, V, log_a=gate),
        "PaTH": attention.path(6 * Q, K, V, K, ones),
    }
    last = delta_rule.matrix(Q, K, V, ones)
    written = last.any(axis=1)
    [right] = [name for name, M in weights.items() if (M * last).sum(axis=1)[written].min() > 0.9]
    return [int(np.count_nonzero(weights["FoX"][13:, :12])), right]


@answers("04b_triton-masks")
def _() -> list[object]:
    last = [(head, block) for head in range(3) for block in range(3) if 16 * (block + 1) > 37]
    beyond = 16 * 3 - 37
    return [len(last), f"The first {beyond} tokens of head 1"]


@answers("04c_vision-opposite")
def _() -> list[object]:
    routes = [np.argsort(route) for route in scan2d.routes(4, 6)]
    names = ("Row by row", *predictions.get("04c_vision-opposite").parts[0].options)
    [other] = [name for name, step in zip(names, routes, strict=True) if (step == 23 - routes[0]).all()]
    return [other]


@answers("04c_vision-curves")
def _() -> list[object]:
    longest = {}
    for name, order in {"Hilbert alone": scan2d.hilbert(6, 8), "Z-order alone": scan2d.z_order(6, 8)}.items():
        row, column = np.divmod(order, 8)
        longest[name] = int((np.abs(np.diff(row)) + np.abs(np.diff(column))).max())
    [jumps] = [name for name, step in longest.items() if step > 1]
    assert longest[jumps] == 8
    return [jumps]


@answers("04c_vision-distances")
def _() -> list[object]:
    orders = {
        "Row by row": scan2d.routes(32, 32)[0],
        "Hilbert": scan2d.hilbert(32, 32),
        "Z-order": scan2d.z_order(32, 32),
    }
    steps = {name: np.argsort(order).reshape(32, 32) for name, order in orders.items()}
    apart = {n: np.concatenate([np.abs(np.diff(s, axis=i)).ravel() for i in (0, 1)]) for n, s in steps.items()}
    return [max(apart, key=lambda n: apart[n].mean()), min(apart, key=lambda n: float(np.median(apart[n])))]


@answers("04c_vision-waves")
def _() -> list[object]:
    return [len({i + j for i, j in np.ndindex(4, 6)})]


@answers("04d_many_machines-level")
def _() -> list[object]:
    return [next(n for n in range(2, 10_000, 2) if 2 * 64 * n / 2 >= 64 * 64)]


@answers("05a_cost-level")
def _() -> list[object]:
    return [next(n for n in range(10_000) if n * (64 + 64) >= 64 * 64)]


@answers("05b_long_range-lead")
def _() -> list[object]:
    found: list[object] = []
    for part, r in enumerate((2, 16)):
        keys = np.random.default_rng(r).normal(size=(64, r))
        keys /= np.linalg.norm(keys, axis=1, keepdims=True)
        lead = 1 - np.sort(keys @ keys.T, axis=1)[:, -2].max()
        found.append(pick("05b_long_range-lead", -lead, -0.1, -0.001, part=part))
    return found


@answers("05b_long_range-perplexity")
def _() -> list[object]:
    text = "what a state has lost no readout finds; what a cache has kept it must search for"
    share = np.unique(list(text), return_counts=True)[1] / len(text)
    bits = -(share * np.log2(share)).sum()
    word = 2 ** (bits * len(text) / len(text.split()))
    one = pick("05b_long_range-perplexity", 2**bits, 10, 20)
    return [one, pick("05b_long_range-perplexity", word, 20, 200_000, part=1)]


@answers("05d_images-control")
def _() -> list[object]:
    right = study.stored("05d_images", {}, False, "")["right"]
    one, control, four = (right[name].mean() for name in ("one mixer", "control", "four routes"))
    return [pick("05d_images-control", (control - one) / (four - one), 0, 1 / 2, 1)]


@answers("05e_choose-long-documents")
def _() -> list[object]:
    found = choosing.choose(choosing.Task()).assessments
    assert [name for name, a in found.items() if not a.fits] == ["softmax"]
    return ["All but softmax in every layer"]


@answers("05e_choose-caches")
def _() -> list[object]:
    wide, narrow = (
        1e3 * choosing.choose(choosing.Task(cache_bits=bits)).assessments["softmax"].seconds
        for bits in choosing.CACHE_BITS
    )
    assert round(wide) == 25
    return [pick("05e_choose-caches", narrow, 13.5, 17.5, 22.5)]


@answers("05e_choose-five-stories")
def _() -> list[object]:
    chat = choosing.Task("3B", N=4096, batch=1, memory=8, device="CPU", precision="4 bits")
    memory = choosing.choose(chat).assessments["softmax"].memory / choosing.GB
    dna = choosing.Task("8B", N=2**20, batch=1, cache_bits="8 bits")
    photographs = choosing.choose(choosing.Task("0.1B", "training", "images", N=196, batch=1024)).assessments
    slower = photographs["mamba"].seconds / photographs["softmax"].seconds
    return [
        pick("05e_choose-five-stories", memory, 3, 5.5),
        "Yes" if choosing.choose(dna).assessments["softmax"].fits else "No",
        ["less time", "the same time, to within 5%", "more time"][int(np.searchsorted((0.95, 1.05), slower))],
    ]


@pytest.mark.parametrize("question_id", ANSWERS)
def test_the_answer_is_what_computing_gives(question_id: str) -> None:
    question = predictions.get(question_id)
    computed = ANSWERS[question_id]()
    assert computed == [part.right for part in question.parts]


def test_at_least_fifteen_answers_are_computed() -> None:
    assert len(ANSWERS) >= 15
