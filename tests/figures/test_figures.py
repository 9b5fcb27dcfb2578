"""Every figure: a sentence for a title, labeled axes, readable text inside the canvas, words that follow the data."""

import functools
import html
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from lecture17 import figures
from lecture17.figures.picture import Picture
from lecture17.reference import ssd

TITLE = "A title that says the message of this picture in one whole sentence"


def sequence(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    N, r, d = 24, 4, 2
    log_a = np.log(rng.uniform(0.7, 1, N))
    log_a[10 + seed] = -np.inf
    return {"x": rng.normal(size=(N, d)), "log_a": log_a, **dict(zip("BC", rng.normal(size=(2, N, r)), strict=True))}


def states(seed: int) -> tuple[np.ndarray, np.ndarray]:
    s = sequence(seed)
    S = np.array([ssd.recurrent(*(a[:t] for a in s.values()))[1] for t in range(1, len(s["x"]) + 1)])
    return S, ssd.recurrent(**s)[0]


def matrix_state_output(seed: int) -> Picture:
    S, y = states(seed)
    return figures.matrix_state_output(ssd.matrix(**sequence(seed)), S, y, title=TITLE)


def matrix_state_output_twice(seed: int) -> Picture:
    S, y = states(seed)
    return figures.matrix_state_output(np.abs(ssd.matrix(**sequence(seed))), S, y, y + 0.5, title=TITLE)


def state_in_two_bases(seed: int) -> Picture:
    S, y = states(seed)
    return figures.state_in_two_bases(S, 2 * S[:, ::-1], y, y, title=TITLE)


def mask_times_gram(seed: int) -> Picture:
    s = sequence(seed)
    return figures.mask_times_gram(
        ssd.matrix(s["x"], s["log_a"], np.ones((24, 1)), np.ones((24, 1))), s["C"] @ s["B"].T, title=TITLE
    )


def block_ranks(seed: int) -> Picture:
    lengths = [2**k for k in range(3, 8 + seed)]
    return figures.block_ranks(
        lengths, [N // 2 for N in lengths], [4 + k for k in range(len(lengths))], [4] * len(lengths), title=TITLE
    )


def sparse_and_dense(seed: int) -> Picture:
    sparse = np.eye(12) - np.diag(np.linspace(0.5, 0.9 + 0.05 * seed, 11), k=-1)
    return figures.sparse_and_dense(sparse, np.linalg.inv(sparse), title=TITLE)


def rank_map(seed: int) -> Picture:
    i, j = np.indices((20 + seed, 20 + seed))
    return figures.rank_map(
        {"semiseparable": 1 + np.maximum(2, j - i), "any matrix": np.minimum(20 + seed - i, 1 + j)}, title=TITLE
    )


def generator_range(seed: int) -> Picture:
    steps = np.arange(400.0) / (1 + seed)
    return figures.generator_range(-0.3 * steps, 0.3 * steps, 1 + np.cos(steps), np.float32, title=TITLE)


def error_growth(seed: int) -> Picture:
    lengths = [64, 256, 1024, 4096]
    errors = {"by differences": [(1 + seed) * 1e-8 * N for N in lengths], "by segments": [2e-8] * 4}
    return figures.error_growth(lengths, errors, title=TITLE)


def random_feature_error(seed: int) -> Picture:
    n_features = 2 ** np.arange(4, 12)
    errors = {"short vectors": (1 + seed) * n_features**-0.5, "long vectors": n_features**-0.25}
    return figures.random_feature_error(n_features, errors, title=TITLE)


def chunk_grid(seed: int) -> Picture:
    return figures.chunk_grid(4 + seed, title=TITLE)


def cuts(seed: int) -> Picture:
    N = 3 + seed
    M = np.tril(np.arange(N * N).reshape(N, N))
    return figures.cuts(M, [M[s:, : s + 1] for s in range(N)], [np.eye(s + 1) for s in range(N)], title=TITLE)


def chunk_cost(seed: int) -> Picture:
    sizes = np.arange(1, 300)
    costs = {"FLOPs per token": sizes + 100.0 * 4**seed / sizes, "numbers held per token": sizes + 2500 / sizes}
    return figures.chunk_cost(sizes, costs, title=TITLE)


def growth(seed: int) -> Picture:
    tokens = [16, 64, 256]
    held = {"a state": [5 + seed] * 3, "a hybrid": [5, 9, 21 + seed], "attention": [16, 64, 256 + seed]}
    return figures.growth(tokens, held, "numbers held", title=TITLE)


def program_grid(seed: int) -> Picture:
    return figures.program_grid(2 + seed, 37, 16, title=TITLE)


def timeline(seed: int) -> Picture:
    lines = {"state spaces": [("S4", "2111.00396"), ("Mamba", "2312.00752")], "deltas": [("A", f"2{seed}06.06484")]}
    return figures.timeline(lines, title=TITLE)


def growth_twice(seed: int) -> Picture:
    return figures.growth([16, 64], {"a state": [5, 5 + seed], "attention": [16, 64]}, "bytes sent", title=TITLE)


def scan_rounds(seed: int) -> Picture:
    halves = [[(0, 1), (2, 3)], [(1, 2), (1, 3)]]
    loop = [[(t - 1, t)] for t in range(1, 4 + seed)]
    return figures.scan_rounds({"a loop": loop, "two halves": halves}, 4 + seed, title=TITLE)


def plateau_and_spike(seed: int) -> Picture:
    s = sequence(seed)
    S, y = states(seed)
    return figures.plateau_and_spike(figures.Play(ssd.matrix(**s), S, s["x"], y, TITLE))


def half_lives(seed: int) -> Picture:
    return figures.half_lives([(seed + 1) * np.array([0.7, 3.0, 120.0]), np.array([2.0, 5.0])], title=TITLE)


def after_a_cut(seed: int) -> Picture:
    bits = 2 + (seed + 2) / np.arange(1, 65)
    return figures.after_a_cut({"carried": bits, "states zero": bits + 1, "windows zero": 2 * bits}, title=TITLE)


def recall_error(seed: int) -> Picture:
    n_keys = [1, 4, 16, 64]
    tops = {"a sum": 2, "fading": 1, "delta rule": 1, "exact": 0.8, "softmax": 0}
    errors = {name: (1 + seed) * np.linspace(0, top, 4) for name, top in tops.items()}
    return figures.recall_error(n_keys, 32, errors, written="once", title=TITLE)


def family_portrait(seed: int) -> Picture:
    mixers = "linear attention", "RetNet", "Mamba-2", "GLA", "DeltaNet", "gated DeltaNet", "RWKV-7", "Mamba-3"
    rng = np.random.default_rng(seed)
    return figures.family_portrait({name: np.tril(rng.normal(size=(24, 24))) for name in mixers}, title=TITLE)


def eigenvalues(seed: int) -> Picture:
    rng = np.random.default_rng(seed)
    transitions = {f"mixer number {i}": rng.normal(size=(20, 4, 4)) / 4 for i in range(6)}
    return figures.eigenvalues(transitions, title=TITLE)


def orbits(seed: int) -> Picture:
    t = np.arange(10)
    turns = np.stack([np.cos(2 * np.pi * t / (3 + seed)), np.sin(2 * np.pi * t / (3 + seed))], axis=1)
    return figures.orbits({"decay": 0.8**t, "sign": (-1.0) ** t, "turn": turns}, title=TITLE)


def mirrors(seed: int) -> Picture:
    angles = 2 * np.pi * np.arange(3) / 3
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    normals = [(corners[i] - corners[j]) / np.sqrt(3) for i, j in ((0, 1), (1, 2) if seed else (0, 2))]
    return figures.mirrors(corners, normals, title=TITLE)


def accuracy_by_place(seed: int) -> Picture:
    rng = np.random.default_rng(seed)
    accuracies = {f"mixer number {i}": rng.uniform(i / 8, 1, size=(3, 100)) for i in range(5)}
    levels = {"chance": 1 / 6, "the sign alone": 1 / 3}
    return figures.accuracy_by_place(accuracies, 40, levels, softmax=["mixer number 4"], title=TITLE)


def copying_accuracy(seed: int) -> Picture:
    sizes = [32, 64, 128, 256]
    recurrent = {
        f"{n} letters": np.outer([0.9, 1, 0.8 - 0.1 * seed], np.tanh(np.array(sizes) / n / 10)) for n in (12, 36)
    }
    return figures.copying_accuracy(sizes, recurrent, {"12 letters": 1.0, "36 letters": 0.97}, title=TITLE)


def accuracy_against(seed: int) -> Picture:
    sizes = [4, 8, 16, 32]
    rng = np.random.default_rng(seed)
    names = "softmax", "softmax, rotated", "linear attention", "SSD", "delta rule"
    accuracies = {name: np.clip(rng.uniform(0.9, 1.2, size=(3, 4)), 0, 1) for name in names}
    return figures.accuracy_against(sizes, accuracies, {"a guess": 1 / 32}, x="number of facts", trained=8, title=TITLE)


def reading_orders(seed: int) -> Picture:
    across = np.arange(24).reshape(4, 6)
    wave = np.add.outer(np.arange(4), np.arange(6))
    return figures.reading_orders({"a path": across[:, :: 1 - 2 * seed], "a wave": wave}, title=TITLE)


def locality(seed: int) -> Picture:
    distances = {name: np.arange(1, 200 + 9 * i + seed) for i, name in enumerate(("rows", "Hilbert", "Z-order"))}
    radii = {name: np.arange(1.0, 257) ** (0.5 + i / 4) for i, name in enumerate(distances)}
    return figures.locality({**distances, "four routes": np.ones(100, int)}, radii, title=TITLE)


def receptive_fields(seed: int) -> Picture:
    age = 112 + seed - np.arange(225).reshape(15, 15)
    weights = {f"way number {i}": np.where(age < 0, 0.0, (0.95 - i / 10) ** np.abs(age)) for i in range(5)}
    return figures.receptive_fields(weights, (7, 7), title=TITLE)


FAMILIES = {"SSD": "state", "gated delta": "state", "KDA": "state", "RWKV-7": "state", "attention": "softmax"}
FAMILIES |= dict.fromkeys(("hybrid 3:1", "hybrid 7:1", "windowed 3:1"), "hybrid")


def against_control(seed: int) -> Picture:
    accuracies = {f"kind number {i}": np.array([0.9, 0.92, 0.93 + seed / 100]) - i / 50 for i in range(5)}
    intervals = {"kind number 0": (0.01, 0.05), "kind number 1": (-0.02, 0.0), "kind number 4": (-0.06, 0.01)}
    controls = {"kind number 4": "kind number 3"}
    return figures.against_control(accuracies, intervals, ("a linear classifier", 0.88), controls=controls, title=TITLE)


def differences(seed: int) -> Picture:
    rows = {name: (i / 10 - 0.2, i / 10 - 0.3, i / 10 + seed / 10) for i, name in enumerate(FAMILIES) if i}
    return figures.differences({"equal steps": rows, "equal time": rows}, FAMILIES, "SSD", "bits per byte", title=TITLE)


def above_levels(seed: int) -> Picture:
    accuracies = {f"kind number {i}": np.array([0.4, 0.42, 0.43 + seed / 100]) - i / 50 for i in range(3)}
    return figures.above_levels(accuracies, {"the majority": 0.17, "one word read": 0.34}, title=TITLE)


def image_rows(seed: int) -> Picture:
    images = np.random.default_rng(seed).integers(17, size=(2, 8, 8, 8))
    return figures.image_rows({name: (row, np.arange(8)) for name, row in zip("ab", images, strict=True)}, title=TITLE)


def cost_lines(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    N = 256 * 2.0 ** np.arange(4)
    return {"softmax": (N, 1e-9 * (1 + seed) * N**2), "ssd": (N, 1e-6 * N), "gla": (N[:3], 2e-6 * N[:3])}


def time_against_length(seed: int) -> Picture:
    forms = {"parallel": cost_lines(seed), "chunkwise": cost_lines(1000 * seed)}
    return figures.time_against_length(forms, {"parallel": 2, "chunkwise": 1}, title=TITLE)


def decoding_cost(seed: int) -> Picture:
    latency = {"batch 1": cost_lines(seed), "batch 8": cost_lines(8 * seed)}
    return figures.decoding_cost(latency, cost_lines(seed), title=TITLE)


def learning_curves(seed: int) -> Picture:
    steps = np.arange(1, 6)
    runs = {
        name: (steps, (9 - i) * np.stack([steps, steps + 0.1]), 4 - np.stack([steps, steps]) / (i + 2 + seed))
        for i, name in enumerate(FAMILIES)
    }
    return figures.learning_curves(runs, FAMILIES, "SSD", title=TITLE)


MADE: list[Callable[[int], Picture]] = [
    matrix_state_output,
    matrix_state_output_twice,
    state_in_two_bases,
    mask_times_gram,
    block_ranks,
    sparse_and_dense,
    rank_map,
    generator_range,
    error_growth,
    random_feature_error,
    chunk_grid,
    cuts,
    chunk_cost,
    growth,
    growth_twice,
    program_grid,
    timeline,
    scan_rounds,
    plateau_and_spike,
    half_lives,
    after_a_cut,
    recall_error,
    family_portrait,
    eigenvalues,
    orbits,
    mirrors,
    accuracy_by_place,
    copying_accuracy,
    time_against_length,
    decoding_cost,
    learning_curves,
    accuracy_against,
    differences,
    reading_orders,
    locality,
    receptive_fields,
    against_control,
    above_levels,
    image_rows,
]
each_figure = pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[Picture], list[tuple[Text, Bbox]]]:
    """The texts that drawing a picture really draws (ticks outside the axes are not), and where."""
    texts: list[tuple[Text, Bbox]] = []
    draw = Text.draw

    def recording(self: Text, renderer: RendererBase) -> None:
        draw(self, renderer)
        if self.get_visible() and self.get_text().strip():
            texts.append((self, self.get_window_extent(renderer)))

    def drawn_by(picture: Picture) -> list[tuple[Text, Bbox]]:
        monkeypatch.setattr(Text, "draw", recording)
        FigureCanvasAgg(picture).draw()
        return texts

    return drawn_by


def test_each_figure_function_is_tried_here():
    functions = {name for name in figures.__all__ if not isinstance(getattr(figures, name), type)}
    assert {make.__name__.removesuffix("_twice") for make in MADE} == functions


@each_figure
def test_it_is_a_picture_with_a_title_and_labeled_axes(make):
    picture = make(0)
    assert isinstance(picture, Picture)
    assert picture.get_suptitle() == TITLE
    panels = [ax for ax in picture.axes if ax.get_label() != "<colorbar>"]
    assert panels
    for ax in panels:
        assert ax.get_xlabel()
        assert any(one.get_ylabel() for one in ax.get_shared_y_axes().get_siblings(ax))


SIDE_BY_SIDE = [time_against_length, decoding_cost, learning_curves, differences, against_control]


@pytest.mark.parametrize("make", SIDE_BY_SIDE, ids=lambda make: make.__name__)
def test_panels_side_by_side_say_once_what_their_shared_axis_is(make):
    said = [ax.get_ylabel() for ax in make(0).axes if ax.get_ylabel()]
    assert len(said) == len(set(said))


@functools.cache
def shown(make: Callable[[int], Picture]) -> dict[str, str]:
    return make(0)._repr_mimebundle_()


def inside(box: Bbox, picture: Picture) -> bool:
    return box.x0 >= 0 and box.y0 >= 0 and box.x1 <= picture.bbox.width and box.y1 <= picture.bbox.height


@each_figure
def test_text_is_at_least_nine_points_and_inside_the_canvas(make, drawn):
    picture = make(0)
    texts = drawn(picture)
    assert TITLE in [text.get_text() for text, _ in texts]
    assert len(texts) > 5
    for text, box in texts:
        assert text.get_fontsize() >= 9, text
        assert inside(box, picture), text


def luminance(color: np.ndarray) -> float:
    """As WCAG 2 defines it, of red, green and blue from 0 to 1."""
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@each_figure
def test_text_stands_out_from_what_is_behind_it(make, drawn):
    picture = make(0)
    texts = drawn(picture)
    pixels = np.asarray(picture.canvas.buffer_rgba())[::-1, :, :3] / 255
    for text, box in texts:
        left, low, right, high = (round(edge) for edge in box.extents)
        colors, counts = np.unique(pixels[low:high, left:right].reshape(-1, 3), axis=0, return_counts=True)
        pair = luminance(colors[counts.argmax()]), luminance(np.array(to_rgb(text.get_color())))
        assert (max(pair) + 0.05) / (min(pair) + 0.05) >= 4.5, text


@each_figure
def test_the_description_is_one_that_follows_the_data_and_nothing_else(make):
    assert len(make(0).description) > 80
    assert make(0).description == make(0).description
    assert make(0).description != make(1).description


@each_figure
def test_a_notebook_shows_an_image_with_the_description_as_alternative_text(make):
    bundle = shown(make)
    assert bundle["text/plain"] == make(0).description
    match = re.fullmatch(
        r'<img alt="([^"]+)" style="max-width:100%" width="(\d+)" src="data:image/png;base64,[\w+/=]+">',
        bundle["text/html"],
    )
    assert match
    assert html.unescape(match[1]) == bundle["text/plain"]
    assert 600 <= int(match[2]) <= 960


SETTINGS: dict[str, dict[Any, Any]] = {
    "dark": {"figure.facecolor": "black", "text.color": "white", "font.size": 4},
    "a thesis": {"text.usetex": True, "pgf.rcfonts": False, "axes.formatter.use_locale": True, "axes.grid": True},
    "saving": {"savefig.bbox": "tight", "savefig.transparent": True, "figure.dpi": 300, "savefig.pad_inches": 0},
}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("make", [mask_times_gram, block_ranks, chunk_grid])  # images, lines, patches
def test_it_looks_the_same_whatever_the_user_has_set(make, settings):
    with mpl.rc_context(SETTINGS[settings]):
        set_by_user = make(0)._repr_mimebundle_()
    assert set_by_user == shown(make)


def test_quotes_in_a_description_stay_inside_the_alternative_text():
    picture = Picture(TITLE, 'the "state" S < T & U')
    assert 'alt="the &quot;state&quot; S &lt; T &amp; U"' in picture._repr_mimebundle_()["text/html"]


def test_a_long_title_is_wrapped_into_the_canvas(drawn):
    picture = Picture(" ".join([TITLE] * 3), "a picture without axes", size=(6.0, 3.0))
    [(_, box)] = drawn(picture)
    assert inside(box, picture)


def test_nothing_loads_pyplot_or_torch():
    code = (
        "import sys; from lecture17 import figures; figures.chunk_grid(3, title='t')._repr_mimebundle_(); "
        "print([m for m in ('matplotlib.pyplot', 'torch') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
