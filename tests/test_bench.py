"""The benchmark measures what it says; that its figures are good is for docs/performance.md, not for a timed test."""

import json
from collections.abc import Iterator

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from lecture17 import bench, mixers
from lecture17.__main__ import app
from lecture17.experiments import measure
from lecture17.ops import ssd


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Other tests want the cores too: threads that wait for each other would take any time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def rows() -> list[bench.Row]:
    return list(bench.run(quick=True))


def test_every_mixer_and_form_has_a_row(rows: list[bench.Row]) -> None:
    found = {(r.mixer, r.form) for r in rows}
    expected = {(m, f) for m, row in mixers.recurrences().items() for f in (*row.forms, "step")}
    assert found == expected | {("softmax", "parallel"), ("products", "bmm"), ("ssd", "einsums")}
    assert all(r.seconds > 0 for r in rows)


def test_what_is_compared_takes_turns_and_is_compared_round_by_round() -> None:
    order: list[str] = []
    first, second = measure.in_turn([lambda: order.append("a"), lambda: order.append("b")], budget=0.0)
    assert order == ["a", "b"] * 4  # one round to warm up
    assert len(first) == len(second) == 3
    slow_for_a_while = [1.0, 1.0, 5.0, 5.0, 1.0], [2.0, 2.0, 10.0, 10.0, 2.0]
    assert measure.ratio(*slow_for_a_while) == 0.5


@pytest.mark.parametrize("products", [bench.Products(), bench.Products(16, 4)], ids=["yardstick", "sequence"])
def test_the_products_of_the_yardsticks_are_counted_rightly(products: bench.Products) -> None:
    with FlopCounterMode(display=False) as counter:
        products()
    assert counter.get_total_flops() == products.flops


def test_the_products_of_a_sequence_are_those_of_ssd() -> None:
    row = bench.products_of_a_sequence(1024, budget=0.0)
    assert row.gflop == 4 * (bench.HEADS * 1024 // bench.CHUNK) * 2 * 64**3 / 1e9
    assert row.share_of_bmm is not None
    assert row.in_products is not None
    assert row.share_of_bmm * row.in_products == pytest.approx(row.gflop * 1e9 / bench.Products().flops)


def test_rows_can_be_printed_and_read_back(rows: list[bench.Row]) -> None:
    assert {len(bench.cells(r)) for r in rows} == {len(bench.HEADER)}
    record = json.loads(bench.to_json(rows))
    assert [r["mixer"] for r in record["rows"]] == [r.mixer for r in rows]
    assert "PyTorch" in record["machine"]


@pytest.mark.usefixtures("one_thread")
def test_the_loop_and_a_shorter_sequence_take_turns_with_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "LENGTHS", {"recurrent": (512,), "chunkwise": (512, 8192)})
    short, long = (bench.measure("ssd", "chunkwise", N, None, budget=0.0) for N in (512, 8192))
    assert short.times_loop is not None
    assert short.times_loop > 2
    assert short.growth is None
    assert long.growth is not None
    assert 2 < long.growth < 8
    assert long.times_loop is None


@pytest.mark.usefixtures("one_thread")
def test_backends_are_compared_where_there_is_a_gpu() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = list(bench.backends(device, quick=True))
    ways = ("torch", "triton", "triton, bf16") if device == "cuda" else ("torch",)
    wanted = [(m, f"chunkwise, {way}") for m in mixers.with_kernels() for way in ways]
    attention = [("softmax", "parallel, torch, bf16")] if device == "cuda" else []
    assert [(r.mixer, r.form) for r in rows] == attention + wanted
    assert all(r.seconds > 0 and r.backward is not None and r.backward > 0 for r in rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_comparison_says_so() -> None:
    answer = CliRunner().invoke(app, ["bench", "--gpu"], env={"NO_COLOR": "1", "TERM": "dumb"})
    assert answer.exit_code == 2
    assert "PyTorch finds no CUDA GPU here" in answer.output


def test_the_slow_way_that_is_compared_computes_the_same() -> None:
    arguments = measure.inputs("ssd", 256)
    y, state = bench.four_einsums(*arguments)
    fast, fast_state = ssd.chunkwise(*arguments)
    torch.testing.assert_close(y, fast, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(state, fast_state, rtol=1e-4, atol=1e-4)


def test_memory_of_a_quadratic_form_is_seen() -> None:
    assert bench.extra_memory("ssd", "chunkwise", 16384) < 1.3
    assert bench.extra_memory("linear_attention", "parallel", 2048) > 1.3
