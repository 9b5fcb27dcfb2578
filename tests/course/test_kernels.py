"""Checks of kernels: right numbers are not enough where a GPU would not take the kernel, or would round."""

import pytest

from lecture17.course.checking import CheckFailed, check
from lecture17.course.exercises.ex_04b_triton import STATE, TOTALS, Text, slip

pytest.importorskip("triton", reason="Triton is not installed: it is made for Linux")
DOT = 'tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")'


def message(name: str, kernel: object) -> str:
    with pytest.raises(CheckFailed) as failure:
        check(f"04b_triton-kernel-{name}", kernel)  # type: ignore[arg-type]
    text = str(failure.value)
    assert len(text.splitlines()) <= 12
    return " ".join(text.split())


@pytest.mark.parametrize(("name", "kernel"), [("masked-load", TOTALS), ("chunk-state", STATE)])
def test_the_kernels_that_the_slips_are_made_of_are_right(name: str, kernel: str) -> None:
    check(f"04b_triton-kernel-{name}", Text(kernel))


def test_a_dot_that_a_gpu_would_round_is_refused() -> None:
    said = message("chunk-state", slip(STATE, (', input_precision="ieee"', "")))
    assert "a GPU would round the factors of tl.dot to TF32" in said


def test_three_products_in_tf32_are_precise_enough() -> None:
    check("04b_triton-kernel-chunk-state", slip(STATE, ('"ieee"', '"tf32x3"')))


def test_a_product_without_tensor_cores_is_refused() -> None:
    by_hand = "tl.sum((keys * decay[:, None])[:, :, None] * values[:, None, :], 0)"
    assert "there is no tl.dot" in message("chunk-state", slip(STATE, (DOT, by_hand)))


def test_what_only_the_interpreter_takes_is_refused_in_the_compilers_words() -> None:
    loop = "    total_of_logs = 0.0\n    for i in range(L):\n        if chunk * L + i >= N:\n            break\n"
    loop += "        total_of_logs += tl.load(log_a + head * N + chunk * L + i)\n    tl.store"
    kernel = slip(TOTALS, ("    tl.store", loop), ("tl.sum(logs, 0)", "total_of_logs"))
    said = message("masked-load", kernel)
    assert "the numbers are right in the interpreter, but a GPU's compiler refuses the kernel at `break`" in said


@pytest.mark.parametrize(("other", "said"), [("0.0", ""), ("0", ""), ("1.0", "counts as 1"), ("", "is not given")])
def test_a_single_number_may_be_loaded_with_a_mask(other: str, said: str) -> None:
    other = other and f", other={other}"
    loop = "    logs = tl.zeros((L,), tl.float32)\n    for i in range(L):\n"
    loop += f"        one = tl.load(log_a + head * N + chunk * L + i, mask=chunk * L + i < N{other})\n"
    loop += "        logs += tl.where(tl.arange(0, L) == i, one, 0.0)\n    tl.store"
    kernel = slip(TOTALS, ("    tl.store", loop))
    if said:
        assert said in message("masked-load", kernel)
    else:
        check("04b_triton-kernel-masked-load", kernel)


def test_a_function_that_is_no_kernel_is_told_the_decorator() -> None:
    assert "decorate the function with @triton.jit" in message("masked-load", lambda *_: None)


def test_writing_into_an_argument_is_noticed() -> None:
    store = "    tl.store(log_a + head * N + t, 0.0, mask=t < N)\n    tl.store(total"
    assert "changed its argument log_a in place" in message("masked-load", slip(TOTALS, ("    tl.store(total", store)))
