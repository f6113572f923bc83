"""Long sequences: ten thousand steps are certified at the accuracy of one, in memory that grows with the length."""

from __future__ import annotations

import tracemalloc

import pytest

from reference import PRECISIONS, Case, certify, evaluate


def long_case(T: int, dtype: str) -> Case:
    return Case.random(T=T, N=1, D=2, H=3, seed=1, dtype=dtype, norm=0.9).probed()


@pytest.mark.parametrize(
    ("dtype", "widest"), [("float64", 1e-13), ("float32", 5e-5), ("bfloat16", 0.2), ("float16", 0.03)]
)
def test_ten_thousand_steps_are_certified_at_the_accuracy_of_one(dtype: str, widest: float) -> None:
    case = long_case(10_000, dtype)
    verdict = certify(case, evaluate(case).astype(dtype), PRECISIONS[dtype])
    assert all(verdict.worst[name].ratio <= 1 for name in ("h", "dx", "dh0"))
    assert max(verdict.relative_bound[name] for name in ("h", "dx", "dh0")) < widest


def test_one_wrong_step_of_ten_thousand_fails() -> None:
    case = long_case(10_000, "float32")
    answer = evaluate(case).astype("float32")
    answer.hs[7_000, 0, 1] *= 1 + 1e-5
    verdict = certify(case, answer, PRECISIONS["float32"])
    assert verdict.worst["h"].index[0] in (7_000, 7_001)
    assert verdict.status == "fail"


def peak(T: int) -> int:
    """Return the largest memory, in bytes, that evaluating and certifying T steps takes."""
    case = long_case(T, "float32")
    tracemalloc.start()
    _ = certify(case, evaluate(case).astype("float32"), PRECISIONS["float32"]).status
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return used


def test_memory_grows_with_the_length_and_no_faster() -> None:
    assert 3 < peak(8_000) / peak(2_000) < 4.5
