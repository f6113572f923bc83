"""The check ``strides``: each argument by itself, in every layout, and an upstream that is one number everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters import Adapter
from adapters.conformance import strides
from adapters.conformance.report import Result
from reference import PRECISIONS, Case, Evaluation, Mismatch, evaluate

CASE = Case.random(T=3, N=2, D=3, H=4, seed=1)
ARGUMENTS = ("xs", "h0", "upstream", "Wx", "Wh", "b")


def judged(run: Callable[[Case], Evaluation]) -> None:
    adapter = Adapter("numpy.own", run, "own", np.tanh, {"float64": 2.5})
    strides.judge(adapter, CASE, PRECISIONS["float64"], Result("strides"))


def flat(array: Any) -> Any:
    """Read an array as if its memory were contiguous."""
    return np.lib.stride_tricks.as_strided(array, strides=np.empty(array.shape).strides).copy()


def reading(name: str, layouts: tuple[str, ...] = ()) -> Callable[[Case], Evaluation]:
    """Return a subject that reads one argument as if it were contiguous."""

    def run(case: Case) -> Evaluation:
        array = case.fields()[name]
        # One number beside which there is no other memory must not be read as many.
        wrong = np.full(array.shape, array.flat[0] * 2) if 0 in array.strides else np.nan_to_num(flat(array), nan=9)
        return evaluate(case.map(np.array).replacing(**{name: wrong}))

    return run


def test_right_code_passes() -> None:
    judged(evaluate)


def test_weights_that_are_kept_by_their_address_are_told() -> None:
    kept: dict[int, Any] = {}

    def keeping(case: Case) -> Evaluation:
        array = case.params.Wh
        _, packed = kept.setdefault(array.ctypes.data, (array, np.array(array)))
        return evaluate(case.map(np.array).replacing(Wh=packed))

    with pytest.raises(Mismatch, match=r"^weights written in place: float64 h\["):
        judged(keeping)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_that_is_read_as_contiguous_is_named(name: str) -> None:
    layout = "strided" if name == "b" else "transposed"
    with pytest.raises(Mismatch, match=rf"^{layout} {name}: float64 \w+\["):
        judged(reading(name))


def writing(name: str) -> Callable[[Case], Evaluation]:
    """Return a subject that writes into an argument, if it can."""

    def run(case: Case) -> Evaluation:
        answer = evaluate(case.map(np.array))
        array = case.fields()[name]
        if array.flags.writeable:
            array[..., 0] += 1
        return answer

    return run


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_that_is_written_to_is_named(name: str) -> None:
    expected = rf"^contract: expected {name} unchanged for transposed xs, got others \(T=3, N=2, D=3, H=4\)$"
    with pytest.raises(Mismatch, match=expected):
        judged(writing(name))


@pytest.mark.parametrize("name", strides.REPEATED)
def test_an_argument_without_a_stride_is_judged(name: str) -> None:
    def run(case: Case) -> Evaluation:
        array = case.fields()[name]
        return evaluate(case.map(np.array).replacing(**({name: 2 * array} if 0 in array.strides else {})))

    with pytest.raises(Mismatch, match=rf"^repeated {name}: float64 \w+\["):
        judged(run)


@pytest.mark.parametrize("layout", strides.LAYOUTS)
def test_a_layout_keeps_the_numbers(layout: str) -> None:
    case = Case.random(T=3, N=2, D=3, H=4, direction=True)
    every = strides.arguments(case)
    moved = strides.laid_out(case, layout, every).fields()
    for name in every:
        expected = case.fields()[name]
        if layout == "repeated" and name == "xs":
            expected = np.repeat(expected[:1], 3, axis=0)
        if layout == "repeated" and name == "upstream":
            expected = np.full(expected.shape, expected.flat[0])
        assert moved[name].tolist() == expected.tolist()


# Whether an array has a layout.
HAS: dict[str, Callable[[Any], bool]] = {
    "transposed": lambda array: array.flags.f_contiguous,
    "strided": lambda array: array.strides[-1] == 2 * array.itemsize,
    "reversed": lambda array: max(array.strides) < 0,
    "read-only": lambda array: not array.flags.writeable,
    "misaligned": lambda array: not array.flags.aligned,
    "repeated": lambda array: 0 in array.strides,
}


@pytest.mark.parametrize("layout", strides.LAYOUTS)
def test_a_layout_has_the_memory_of_its_name_and_an_array_by_itself_has_not(layout: str) -> None:
    assert HAS[layout](strides.laid_out(CASE, layout, ["xs"]).xs)
    assert not HAS[layout](np.array(CASE.xs))


def test_an_upstream_of_one_number_has_no_stride() -> None:
    assert set(strides.laid_out(CASE, "repeated", ["upstream"]).upstream.strides) == {0}
    assert strides.laid_out(CASE, "strided", ["upstream"]).xs.flags.c_contiguous
