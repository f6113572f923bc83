"""The half precisions: the width of their bounds, underflow, and the saved format."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import PRECISIONS, Case, Evaluation, Params, certify, evaluate
from reference.precision import FORMATS
from reference.strategies import cases

# The largest median of bound / scale at the sizes of everyday tests.
WIDEST = {"bfloat16": 2e-1, "float16": 3e-2}
HALVES = pytest.mark.parametrize("dtype", WIDEST)


@HALVES
@pytest.mark.parametrize("T", [1, 5])
def test_bounds_are_narrow_enough_to_decide(dtype: str, T: int, plain_rnn: Any) -> None:
    case = Case.random(T=T, N=4, D=3, H=5, dtype=dtype, stack=50)
    case = case.probed() if T > 1 else case
    verdict = certify(case, plain_rnn()(case), PRECISIONS[dtype])
    assert set(verdict.statuses) == {"pass"}
    assert max(verdict.relative_bound.values()) < WIDEST[dtype]


@HALVES
def test_comes_within_a_factor_of_ten_of_the_bound(dtype: str, plain_rnn: Any) -> None:
    case = Case.random(T=5, N=4, D=3, H=5, dtype=dtype, stack=50).probed()
    verdict = certify(case, plain_rnn("left")(case), PRECISIONS[dtype])
    assert all(0.1 < worst.ratio <= 1 for worst in verdict.worst.values()), verdict.worst


def test_bfloat16_is_outside_the_bounds_of_float16(plain_rnn: Any) -> None:
    case = Case.random(T=3, N=4, D=3, H=5, dtype="bfloat16", stack=20).probed()
    low = plain_rnn("left")(case).astype("float16")
    # Three bits fewer make the errors eight times larger; one element in a hundred is still within its bound.
    assert certify(case.astype("float16"), low, PRECISIONS["float16"]).statuses.count("fail") > 10


@HALVES
@given(data=st.data())
def test_the_oracle_rounded_once_passes(dtype: str, data: st.DataObject) -> None:
    case = data.draw(cases(dtype=dtype, stack=8))
    verdict = certify(case, evaluate(case).astype(dtype), PRECISIONS[dtype])
    assert set(verdict.statuses) == {"pass"}, verdict


def test_a_gradient_that_underflows_may_go_on_inside() -> None:
    """The gradient of each of 64 units underflows in float16, and their sum does not."""
    T, N, D, H = 2, 1, 1, 64
    bias = np.resize([1.0, -1.0], H)
    params = Params(np.zeros((D, H)), np.ones((H, H)), bias)
    wide = Case(np.zeros((T, N, D)), np.zeros((N, H)), params, np.full((T, N, H), 2.0**-24))
    case = wide.astype("float16").probed()
    answer = evaluate(case).astype("float16")
    assert not answer.dxs[1].any()
    assert np.abs(answer.dxs[0, 0, -H:]).min() > 2.0**-21
    assert certify(case, answer, PRECISIONS["float16"]).worst["dx"].ratio <= 1


def underflowing(T: int = 1, sum_: float = 2.0**-26) -> Case:
    """Return a relu case whose first state underflows to 0 in float16; Wh is 1."""
    params = Params(np.array([[2.0**-13]]), np.ones((1, 1)), np.zeros(1))
    xs = np.zeros((T, 1, 1))
    xs[0] = sum_ / 2.0**-13
    return Case(xs, np.zeros((1, 1)), params, np.ones((T, 1, 1)), "relu").astype("float16").probed()


@pytest.mark.parametrize("T", [1, 3])
def test_relu_may_be_open_where_its_state_underflows(T: int) -> None:
    case = underflowing(T)
    answer = evaluate(case).astype("float16")
    assert not answer.hs.any()
    assert answer.dxs[..., -1].all()
    assert certify(case, answer, PRECISIONS["float16"]).worst["dx"].ratio <= 1
    # If an implementation takes the derivative from the returned state, there is no gradient, which is also right.
    closed = evaluate(underflowing(T, 0.0)).astype("float16")
    assert certify(case, closed, PRECISIONS["float16"]).worst["dx"].ratio <= 1


@pytest.mark.parametrize("sum_", [0.0, -1.0])
def test_relu_is_closed_at_zero_and_below(sum_: float) -> None:
    answer = evaluate(underflowing()).astype("float16")
    assert certify(underflowing(1, sum_), answer, PRECISIONS["float16"]).worst["dx"].ratio > 1


@pytest.mark.parametrize(("before", "is_open"), [(2.0**-26, True), (-1.0, False)])
def test_relu_is_open_at_zero_only_after_a_state_that_may_have_underflowed(before: float, is_open: bool) -> None:
    """The second step has a sum of zero and a gradient, the first step has no gradient."""
    case, answer = underflowing(2, before), evaluate(underflowing(2)).astype("float16")
    dxs = np.array(answer.dxs)
    dxs[0] = 0
    verdict = certify(case, replace(answer, dxs=dxs), PRECISIONS["float16"])
    assert (verdict.worst["dx"].ratio <= 1) == is_open


def test_an_open_relu_requires_the_whole_gradient() -> None:
    case = underflowing()
    answer = evaluate(case).astype("float16")
    halved = replace(answer, dxs=answer.dxs / np.float16(2))
    assert certify(case, halved, PRECISIONS["float16"]).worst["dx"].ratio > 1


def test_a_zero_that_may_have_underflowed_has_a_bound_of_its_own_beside_a_huge_gradient() -> None:
    """In one unit b - b is 0 to the last digit of float32, and the small term of x may be lost.

    The only element of dWh consists of terms that may have underflowed, so the verdict is inconclusive.
    """
    params = Params(np.ones((1, 1)), -np.ones((1, 1)), np.full(1, 0.0625))
    xs, upstream = np.full((4, 1, 1), -(2.0**-115)), np.zeros((4, 1, 1))
    upstream[2] = 2.0**115
    case = Case(xs, np.zeros((1, 1)), params, upstream, "relu").astype("bfloat16").probed()
    answer = evaluate(case).astype("bfloat16")
    assert answer.hs.ravel().astype(float).tolist() == [0.0625, 0, 0.0625, 0]
    verdict = certify(case, answer, PRECISIONS["bfloat16"])
    assert verdict.status != "fail"
    # The zero may be an underflow of the smallest normal number, and no larger number.
    underflow = 2.0**-126 * float(answer.dxs[2, 0, 1])
    assert underflow <= verdict.worst["dWh"].bound < 1.1 * underflow
    of_the_state_after = replace(answer, dWh=answer.hs[2] * answer.dxs[2, :, 1:])
    assert certify(case, of_the_state_after, PRECISIONS["bfloat16"]).status == "fail"


@HALVES
def test_zeros_pass_however_many_are_added_up(dtype: str) -> None:
    case = Case.random(T=20, N=17, D=2, H=3, dtype=dtype, nonlinearity="relu", upstream="one").probed()
    case = replace(case, upstream=0 * case.upstream)
    assert certify(case, evaluate(case).astype(dtype), PRECISIONS[dtype]).status == "pass"


@HALVES
@pytest.mark.parametrize("values", ["huge_inputs", "huge", "cancelling", "subnormal"])
@pytest.mark.parametrize("upstream", ["one", "every"])
def test_zeros_behind_a_closed_relu_pass_beside_huge_numbers(dtype: str, values: str, upstream: str) -> None:
    like: dict[str, Any] = {"nonlinearity": "relu", "norm": 0.5, "values": values, "upstream": upstream, "stack": 64}
    case = Case.random(T=5, N=1, D=5, H=2, dtype=dtype, **like).probed()
    verdict = certify(case, evaluate(case).astype(dtype), PRECISIONS[dtype])
    assert set(verdict.statuses) == {"pass"}


@HALVES
def test_zeros_behind_an_open_relu_fail(dtype: str) -> None:
    case = Case.random(T=5, N=1, D=5, H=2, dtype=dtype, nonlinearity="relu", norm=0.5, stack=64).probed()
    right = evaluate(case).astype(dtype)
    wrong = replace(right, dxs=0 * right.dxs)
    statuses = certify(case, wrong, PRECISIONS[dtype]).statuses
    assert [status == "fail" for status in statuses] == right.dxs.astype(bool).any(axis=(1, 2, 3)).tolist()
    assert statuses.count("fail") > 50


@HALVES
def test_a_direction_in_a_half_precision_raises(dtype: str) -> None:
    case = Case.random(T=2, dtype=dtype, direction=True).probed()
    sizes = r"T=2, N=4, D=9, H=6"
    message = rf"^certify: expected a direction in float64 or float32 and T <= 8, got one in {dtype} \({sizes}\)$"
    answer = evaluate(case).astype(dtype)
    with pytest.raises(ValueError, match=message):
        certify(case, answer, PRECISIONS[dtype])
    primal = {name: array for name, array in answer.fields().items() if not name.endswith("_dot")}
    certify(case, Evaluation(**primal), PRECISIONS[dtype]).require()


@HALVES
@pytest.mark.parametrize("direction", [False, True])
@pytest.mark.parametrize("seed", [None, 1])
def test_a_case_is_saved_without_losing_a_bit(dtype: str, direction: bool, seed: int | None, tmp_path: Path) -> None:
    case = Case.random(dtype=dtype, direction=direction).probed(seed)
    case.save(tmp_path / "case.npz")
    found = Case.load(tmp_path / "case.npz")
    assert (found.dtype, found.probe) == (dtype, case.probe)
    assert {name: np.asarray(array).tobytes() for name, array in case.fields().items() if array is not None} == {
        name: np.asarray(array).tobytes() for name, array in found.fields().items() if array is not None
    }


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_formats_are_those_of_numpy(dtype: str) -> None:
    info, form = np.finfo(dtype), FORMATS[dtype]
    assert (form.u, form.tiny, form.largest) == (float(info.eps) / 2, float(info.tiny), float(info.max))


def test_the_format_of_bfloat16_is_that_of_ml_dtypes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    info, form = ml_dtypes.finfo(ml_dtypes.bfloat16), FORMATS["bfloat16"]
    assert (form.u, form.tiny, form.largest) == (float(info.eps) / 2, float(info.tiny), float(info.max))


def test_subnormals_of_float16_are_kept_and_those_of_bfloat16_may_be_flushed() -> None:
    assert FORMATS["float16"].underflow == 2.0**-25
    assert FORMATS["bfloat16"].underflow == 2.0**-126


def test_an_accumulator_narrower_than_the_storage_raises() -> None:
    with pytest.raises(
        ValueError, match=r"^Precision: expected an accumulator no narrower than float32, got bfloat16$"
    ):
        PRECISIONS["float32"].with_accumulator("bfloat16")


def test_an_oracle_in_float64_is_never_rounded_to_the_dtype_of_the_case() -> None:
    case = Case.random(dtype="bfloat16")
    assert all(array.dtype == np.float64 for array in evaluate(case).fields().values() if array is not None)
