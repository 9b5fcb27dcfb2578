"""What `check` says of answers that are wrong in form: each fault is named."""

import ast
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lecture17.course import CheckFailed, answers, check, checking, hint
from lecture17.course.checking import PASSED, SEEDS, judge
from lecture17.course.exercises import all_exercises, get, of_notebook
from lecture17.course.exercises.ex_00_quickstart import loops
from lecture17.course.hints import hint_text
from lecture17.course.paths import write_kept
from lecture17.reference import retention, ssd


def message(exercise: str, answer: Callable[..., Any], **options: int) -> str:
    with pytest.raises(CheckFailed) as failure:
        check(exercise, answer, **options)
    return " ".join(str(failure.value).split())


def matrix_answer(change: Callable[[np.ndarray], Any]) -> str:
    return message("00_quickstart-matrix", lambda U, V: change(np.tril(U @ V.T)))


def test_wrong_shape_type_and_values_are_told_apart() -> None:
    assert "A has shape" in matrix_answer(lambda A: A[:-1])
    assert "A has type float32: expected float64" in matrix_answer(lambda A: A.astype(np.float32))
    assert "A is a list: expected a NumPy array" in matrix_answer(lambda A: A.tolist())
    assert "returned None: is a `return` missing?" in matrix_answer(lambda _: None)
    assert "not finite" in matrix_answer(lambda A: A * np.nan)
    assert "A differs from the definition" in matrix_answer(lambda A: A + 1e-6)


def test_a_number_may_be_an_int_or_a_float_but_a_whole_one_must_be_whole() -> None:
    right = get("05e_choose-kv-cache").expected
    assert right is not None
    assert judge("05e_choose-kv-cache", lambda *inputs: np.array(right(*inputs), dtype=float)).status == PASSED
    text = message("05e_choose-kv-cache", lambda *inputs: (right(*inputs)[0], right(*inputs)[1] + 0.25))
    assert "most differs from the definition" in text
    assert ".25, expected " in text


def test_what_can_be_said_of_an_unknown_mistake_is_said() -> None:
    assert "this is the right answer, transposed" in matrix_answer(lambda A: A.T)
    assert "this is the right answer times 2" in matrix_answer(lambda A: 2 * A)
    assert "every entry is zero" in matrix_answer(np.zeros_like)
    assert "none of the usual mistakes" in matrix_answer(lambda A: A + np.eye(len(A)))


def test_the_first_wrong_place_is_shown_with_both_values() -> None:
    def wrong_at_the_end(U: np.ndarray, V: np.ndarray) -> np.ndarray:
        A = np.tril(U @ V.T)
        A[-1, 0] += 1
        return A

    text = message("00_quickstart-matrix", wrong_at_the_end, seed=3)
    N = int(np.random.default_rng(3).integers(2, 40))
    assert f"first at A[{N - 1}, 0]: got " in text
    assert f"1 of {N * N} entries are wrong, largest error 1.0e+00" in text


def test_the_place_is_put_in_the_words_of_the_exercise() -> None:
    def forgets_from_token_9_on(x, log_a, B, C, chunk_size):
        y, S = ssd.recurrent(x, log_a, B, C)
        y[9:] += 1.0
        return y, S

    text = message("03b_duality-ssd-chunkwise", forgets_from_token_9_on, seed=0)
    size = int(re.search(r"chunk_size=(\d+)", text)[1])  # type: ignore[index]
    assert f"first at y[9, 0], token {9 % size} of chunk {9 // size} (chunks of {size}" in text


def test_changing_an_argument_in_place_is_a_fault() -> None:
    def in_place(U: np.ndarray, V: np.ndarray) -> np.ndarray:
        A = np.tril(U @ V.T)
        U *= 0
        return A

    assert "changed its argument U in place" in message("00_quickstart-matrix", in_place)


def test_an_exception_is_shown_with_what_was_tried() -> None:
    text = message("00_quickstart-matrix", lambda U, V: U @ V)
    assert "raised ValueError: matmul" in text
    assert "tried: U (" in text


def test_a_number_of_outputs_that_is_wrong_is_named() -> None:
    text = message("03b_duality-running-normaliser", lambda Q, K, V: (V, V))
    assert "expected a tuple (y, S, z), got a tuple of 2" in text


def test_a_failure_names_a_seed_that_repeats_it() -> None:
    seen: list[np.ndarray] = []

    def only_unseeded(U: np.ndarray, V: np.ndarray) -> np.ndarray:
        seen.append(U.copy())
        return np.tril(U @ V.T) * (1 if len(seen) <= 12 else 2)

    text = message("00_quickstart-matrix", only_unseeded)
    failing = seen[12]
    seed = int(text.split("seed=")[1].split(")")[0])
    assert seed >= 1_000_000
    seen.clear()
    assert "tried" in message("00_quickstart-matrix", lambda U, V: seen.append(U), seed=seed)
    np.testing.assert_array_equal(seen[0], failing)


def test_an_answer_that_knows_the_seeded_cases_by_heart_fails() -> None:
    draw = get("00_quickstart-matrix").draw
    seeded = {draw(np.random.default_rng(s))["U"].tobytes() for s in SEEDS}

    def by_heart(U: np.ndarray, V: np.ndarray) -> np.ndarray:
        return np.tril(U @ V.T) if U.tobytes() in seeded else np.zeros((len(U), len(U)))

    assert "differs from the definition" in message("00_quickstart-matrix", by_heart)


def test_something_that_is_not_a_function_is_named() -> None:
    assert "expected a function, got ndarray" in message("00_quickstart-matrix", np.zeros(3))  # type: ignore[arg-type]


def in_a_shell(script: str) -> str:
    """What a script prints that runs cells in a shell of IPython's."""
    begin = "from IPython.core.interactiveshell import InteractiveShell\nshell = InteractiveShell.instance()\n"
    begin += "from lecture17.course.checking import judge\n"
    done = subprocess.run([sys.executable, "-c", begin + script], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_function_whose_cell_has_a_syntax_error_is_not_judged_by_its_older_text(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def semiseparable_matrix(U, V):\n    return (U @ V.T).T.copy()")
    script = f"""
def judged():
    return str(judge("00_quickstart-matrix", shell.user_ns["semiseparable_matrix"]))

text = "def semiseparable_matrix(U, V):\\n    return (U @ V.T)"
for first in ("", "%%time\\n", "%%capture\\n", "\\n"):
    shell.run_cell(text)
    shell.run_cell(first + text + " +* 1")
    print("OLD", "has a syntax error, so an older" in " ".join(judged().split()))
    shell.run_cell(first + text)
    print("NEW", "has a syntax error" in judged())
shell.run_cell(text + " +* 1")
shell.run_cell("%run {tmp_path / "mine.py"}")  # another function, of the same name
print("OTHER", "has a syntax error" in judged())
"""
    said = re.findall("^(OLD|NEW|OTHER) (True|False)", in_a_shell(script), re.MULTILINE)
    assert said == [("OLD", "True"), ("NEW", "False")] * 4 + [("OTHER", "False")]


def test_an_error_of_a_library_that_it_has_not_implemented_something_is_told() -> None:
    def bmm(U: np.ndarray, V: np.ndarray) -> np.ndarray:
        raise NotImplementedError('"bmm" not implemented for "Bool"')

    def stub(U: np.ndarray, V: np.ndarray) -> np.ndarray:
        raise NotImplementedError()

    record = checking.judge("00_quickstart-matrix", bmm)
    assert (record.status, '"bmm" not implemented for "Bool"' in str(record)) == (checking.WRONG, True)
    record = checking.judge("00_quickstart-matrix", stub)
    assert (record.status, "in place of `raise NotImplementedError()`" in str(record)) == (checking.UNFILLED, True)


def test_the_line_of_an_error_is_that_of_the_cell_also_under_a_magic() -> None:
    script = """
for first in ("", "%%capture", "%%time", "# mine\\n"):
    shell.run_cell(first + "\\ndef semiseparable_matrix(U, V):\\n    return U.nothing", store_history=True)
    print("\\n", judge("00_quickstart-matrix", shell.user_ns["semiseparable_matrix"]))
"""
    assert re.findall(r"line (\d) of your cell", in_a_shell(script)) == ["3", "3", "3", "4"]


def test_hint_is_about_the_check_that_failed_last_and_says_what_it_does_not_know(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CheckFailed, match=r"hint\(\)"):
        check("03a_semiseparable-segsum", lambda log_a: log_a)
    hint()
    assert capsys.readouterr().out.startswith("03a_semiseparable-segsum: which of these is it?")
    hint(2)
    assert capsys.readouterr().out == hint_text("03a_semiseparable-segsum", 2) + "\n"
    hint("block-rank", 1)
    assert capsys.readouterr().out == hint_text("03a_semiseparable-block-rank", 1) + "\n"
    hint("03a_semiseparable-segsums")
    assert "did you mean 03a_semiseparable-segsum" in capsys.readouterr().out
    hint("segsum", 9)
    assert capsys.readouterr().out == "number is 9: 03a_semiseparable-segsum has hints 1 to 3\n"


def test_a_pass_says_how_far_one_has_come_and_links_what_is_next(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(checking, "display", lambda markdown: shown.append(markdown.data))
    right = get("00_quickstart-matrix").expected
    assert right is not None
    monkeypatch.chdir(clone / "solutions")
    check("00_quickstart-matrix", right)
    assert shown == []  # a pass that is not the learner's
    (clone / "another" / "exercises").mkdir(parents=True)
    (clone / "another" / "solutions").mkdir()
    monkeypatch.chdir(clone / "another" / "exercises")
    check("00_quickstart-matrix", right)
    assert shown.pop().endswith(f"run `make lab` or `pip install -e .` in `{clone / 'another'}`.")
    monkeypatch.chdir(clone)
    check("00_quickstart-matrix", right)
    assert shown.pop().startswith(f"Not recorded: this notebook runs in `{clone}`, and what counts is what runs in")
    monkeypatch.chdir(clone / "exercises")
    quickstart = of_notebook("00_quickstart")
    write_kept("progress.json", "passed", {e.id: "" for e in quickstart if e.id != "00_quickstart-matrix"})
    check("00_quickstart-matrix", right)
    points, total = (sum(e.points for e in some) for some in (quickstart, all_exercises()))
    first = of_notebook("01_tour")[0].id
    assert shown == [
        f"{points} of {total} points, {points / total:.0%}. Next: `{first}` "
        "in [exercises/01_tour](../exercises/01_tour.ipynb), after [notebooks/01_tour](../notebooks/01_tour.ipynb)."
    ]


def test_an_answer_that_is_asked_for_without_loops_may_not_loop() -> None:
    def looping(U: np.ndarray, V: np.ndarray) -> np.ndarray:
        A = np.zeros((len(U), len(U)))
        for i in range(len(U)):
            A[i, : i + 1] = V[: i + 1] @ U[i]
        return A

    assert "A is right, but Python loops over it" in message("00_quickstart-matrix", looping)
    assert "loops" in message("00_quickstart-matrix", lambda U, V: np.tril([V @ u for u in U]))
    check("00_quickstart-matrix", lambda U, V: np.tril(U @ V.T))


def test_values_are_shown_with_the_digits_in_which_they_differ() -> None:
    def nearly(U: np.ndarray, V: np.ndarray) -> np.ndarray:
        return np.tril(U @ V.T) * (1 + 1e-9)

    got, expected = re.search(r"got (\S+), expected (\S+);", message("00_quickstart-matrix", nearly)).groups()  # type: ignore[union-attr]
    assert got != expected
    assert 0 < abs(float(got) / float(expected) - 1) < 1e-8


def test_an_index_slip_is_no_factor_near_one() -> None:
    def drifts(U: np.ndarray, V: np.ndarray) -> np.ndarray:
        return np.tril(U @ V.T) * (1 + 1e-7)

    assert "right answer times" not in message("00_quickstart-matrix", drifts)


def test_exceptions_count_as_the_same_mistake_only_if_they_say_the_same() -> None:
    def slips(x, log_a, B, C, chunk_size):
        raise ValueError("something of the learner's own")

    told = message("03b_duality-ssd-chunkwise", slips)
    assert "ValueError: something of the learner's own" in told
    assert "this is what you get" not in told


def test_a_mistake_in_one_output_is_no_cause_of_another_that_differs() -> None:
    right = get("05b_long_range-copying-bound").expected
    assert right is not None
    sign = next(m for m in get("05b_long_range-copying-bound").misconceptions if m.of and "sign" in m.name)

    def two_mistakes(*inputs: Any) -> tuple[Any, Any]:
        return right(*inputs)[0] // 2 + 7, sign.wrong(*inputs)[1]

    told = message("05b_long_range-copying-bound", two_mistakes)
    assert "longest differs" in told
    assert sign.name not in told
    assert sign.name in message("05b_long_range-copying-bound", lambda *i: (right(*i)[0], sign.wrong(*i)[1]))


def test_memory_that_the_learner_traces_is_not_the_answers() -> None:
    def fast(U: np.ndarray, V: np.ndarray, U_up: np.ndarray, V_up: np.ndarray, x: np.ndarray) -> np.ndarray:
        below = (U * np.cumsum(V * x[:, None], axis=0)).sum(1)
        above = (U_up * (np.cumsum((V_up * x[:, None])[::-1], axis=0)[::-1] - V_up * x[:, None])).sum(1)
        return below + above

    def dense(U: np.ndarray, V: np.ndarray, U_up: np.ndarray, V_up: np.ndarray, x: np.ndarray) -> np.ndarray:
        held = np.zeros((len(U), len(U)))
        return fast(U, V, U_up, V_up, x) + held[0]

    tracemalloc.start()
    try:
        held = np.ones(5_000_000)
        assert judge("02_intuition-fast-matvec", fast).status == PASSED
        assert tracemalloc.get_traced_memory()[0] >= held.nbytes
        assert "8 MB are held for 1000 tokens" in message("02_intuition-fast-matvec", dense)
    finally:
        tracemalloc.stop()
    assert "8 MB are held for 1000 tokens" in message("02_intuition-fast-matvec", dense)
    assert not tracemalloc.is_tracing()


def test_one_seed_earns_nothing(clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(clone / "exercises")
    check("00_quickstart-matrix", lambda U, V: np.tril(U @ V.T), seed=0)
    assert "For the points, run the check without `seed`" in " ".join(capsys.readouterr().out.split())
    assert not (clone / ".lecture17" / "progress.json").exists()


@pytest.mark.parametrize(
    "exercise",
    ["01_tour-mamba2-micro", "02_intuition-fast-matvec", "03c_family-gla-chunkwise", "03e_family_since-kda-step"],
)
def test_a_result_that_is_kept_for_inputs_of_the_same_size_is_noticed(
    exercise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "fresh_seeds", lambda: list(SEEDS))  # no two of these cases have the same sizes
    right, kept = get(exercise).expected, {}
    assert right is not None

    def memoised(*inputs: Any) -> Any:
        sizes = str([np.shape(value) or value for value in inputs])
        if sizes not in kept:
            kept[sizes] = right(*inputs)
        return kept[sizes]

    assert "right for the first inputs of a size, and wrong for others" in message(exercise, memoised)


def test_twins_have_the_same_sizes_and_other_numbers() -> None:
    for exercise in all_exercises():
        numbers_only = not any(map(np.ndim, exercise.draw(np.random.default_rng(7)).values()))
        assert exercise.stem == "04b_triton" or (answers.twins(exercise, 7) is None) == numbers_only, exercise.id
    first, second = answers.twins(get("03c_family-gla-chunkwise"), 7) or ({}, {})
    assert first["chunk_size"] == second["chunk_size"]
    assert first["Q"].shape == second["Q"].shape
    assert (first["Q"] != second["Q"]).any()


def test_twins_are_found_whatever_the_seed() -> None:
    block_rank = get("03a_semiseparable-block-rank")  # draws as many numbers as the case before them asks for
    assert all(answers.twins(block_rank, seed) is not None for seed in range(1_000_000, 1_000_200))


def test_zeroing_what_the_check_gave_is_a_fault() -> None:
    """Right answers are computed from other copies, and arrays that PyTorch shares are looked at, too."""

    def zeroes(u_t, log_a_t, B_t, C_t, weight, cache):
        for given in (u_t, log_a_t, B_t, C_t, weight, *cache):
            given.zero_()
        return 0 * u_t, cache

    assert "changed its argument u in place" in message("04a_torch-decode-cache", zeroes)

    def empties(Q, K, V, log_alpha, chunk_size):
        for given in (Q, K, V):
            given[:] = 0.0
        return 0 * V, np.zeros((K.shape[1], V.shape[1]))

    assert "changed its argument Q in place" in message("03c_family-gla-chunkwise", empties)


def arguments_made_plain(U: np.ndarray, V: np.ndarray) -> np.ndarray:
    assert all(isinstance(matrix, np.ndarray) for matrix in (U, V))
    for matrix in (U, V):
        assert matrix.ndim == 2
    U, V = map(np.asarray, (U, V))
    return np.tril(U @ V.T)


def test_a_loop_over_the_arguments_is_not_one_over_the_matrix() -> None:
    assert judge("00_quickstart-matrix", arguments_made_plain).status == PASSED
    assert not loops(ast.parse("for name, (i, M) in zip(('U', 'V'), enumerate((U, V))):\n    print(name, i, M)"))


@pytest.mark.parametrize(
    "source",
    [
        "map(V.__matmul__, U)",
        "[V @ u for M in (U, V) for u in M]",
        "list(f for f in [map])[0](f, (U, V))",
        "map(f, *(U,))",
        "[u @ V.T for i, u in enumerate(U)]",
        "[u @ v for u, v in zip(U, V)]",
        "[f(*a) for a in zip((U, V), U)]",
    ],
)
def test_a_loop_over_tokens_is_one_however_it_is_written(source: str) -> None:
    assert loops(ast.parse(source))


def chunks_of_plain_arrays(
    x: np.ndarray, log_a: np.ndarray, B: np.ndarray, C: np.ndarray, chunk_size: int
) -> tuple[np.ndarray, np.ndarray]:
    assert np.all(log_a <= 0)
    x, log_a, B, C = (np.array(t, dtype=np.float64) for t in (x, log_a, B, C))
    return ssd.chunkwise(x, log_a, B, C, chunk_size=chunk_size)


def one_form_in_torch(Q: Any, K: Any, V: Any, gamma: float, chunk_size: int) -> tuple[np.ndarray, ...]:
    assert np.all(np.isfinite(V))
    parallel, recurrent = retention.parallel(Q, K, V, gamma)[0], retention.recurrent(Q, K, V, gamma)[0]
    Q, K, V = (torch.tensor(t, dtype=torch.float64) for t in (Q, K, V))
    S, y = torch.zeros(K.shape[1], V.shape[1], dtype=torch.float64), []
    for q, k, v in zip(*(t.split(chunk_size) for t in (Q, K, V)), strict=True):
        t = torch.arange(len(q), dtype=torch.float64)
        D = torch.tril(gamma ** (t[:, None] - t).abs())
        y.append((D * (q @ k.T)) @ v + gamma ** (t[:, None] + 1) * (q @ S))
        S = gamma ** len(q) * S + (k * gamma ** (len(q) - 1 - t)[:, None]).T @ v
    return parallel, recurrent, torch.cat(y).numpy()


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("03b_duality-ssd-chunkwise", chunks_of_plain_arrays),
        ("01_tour-retention-three-ways", one_form_in_torch),
    ],
)
def test_chunks_of_arrays_that_left_the_meter_are_no_loop_over_tokens(exercise: str, answer: Any) -> None:
    record = judge(exercise, answer)
    assert record.status == PASSED, str(record)


def three_forms_two_by_token(Q: Any, K: Any, V: Any, gamma: float, chunk_size: int) -> tuple[np.ndarray, ...]:
    S, y = np.zeros((K.shape[1], V.shape[1])), np.zeros(V.shape)
    for t in range(len(V)):
        S[:] = gamma * S + K[t][:, None] * V[t]
        y[t] = np.einsum("k,kv->v", Q[t], S)
    return retention.parallel(Q, K, V, gamma)[0], retention.recurrent(Q, K, V, gamma)[0], y


def test_a_loop_over_tokens_into_plain_arrays_is_refused() -> None:
    assert "loop over chunks, not tokens" in message("01_tour-retention-three-ways", three_forms_two_by_token)
