"""The half precisions: how much their bounds say, and what they are saved as."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reference import PRECISIONS, Case, certify, evaluate
from reference.rounding import FORMATS

# The widest median bound, relative to the scale of what it bounds, at the sizes of everyday tests.
WIDEST = {"bfloat16": 2e-1, "float16": 3e-2}
HALVES = pytest.mark.parametrize("dtype", WIDEST)


@HALVES
@pytest.mark.parametrize("T", [1, 5])
def test_bounds_say_something(dtype: str, T: int, plain_rnn: Any) -> None:
    case = Case.random(T=T, N=4, D=3, H=5, dtype=dtype, stack=50)
    case = case.probed() if T > 1 else case
    verdict = certify(case, plain_rnn()(case), PRECISIONS[dtype])
    assert set(verdict.statuses) == {"pass"}
    assert max(verdict.resolution.values()) < WIDEST[dtype]


@HALVES
def test_comes_within_a_factor_of_ten_of_the_bound(dtype: str, plain_rnn: Any) -> None:
    case = Case.random(T=5, N=4, D=3, H=5, dtype=dtype, stack=50).probed()
    verdict = certify(case, plain_rnn("left")(case), PRECISIONS[dtype])
    assert all(0.1 < worst.ratio <= 1 for worst in verdict.worst.values()), verdict.worst


def test_one_half_precision_is_told_from_the_other(plain_rnn: Any) -> None:
    case = Case.random(T=3, N=4, D=3, H=5, dtype="bfloat16", stack=20).probed()
    coarse = plain_rnn("left")(case).astype("float16")
    # Three digits fewer are eight times the error, in one element in a hundred within the worst of the finer format.
    assert certify(case.astype("float16"), coarse, PRECISIONS["float16"]).statuses.count("fail") > 10


@HALVES
@pytest.mark.parametrize("direction", [False, True])
def test_a_case_is_saved_without_losing_a_bit(dtype: str, direction: bool, tmp_path: Path) -> None:
    case = Case.random(dtype=dtype, direction=direction).probed()
    case.save(tmp_path / "case.npz")
    found = Case.load(tmp_path / "case.npz")
    assert found.dtype == dtype
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


def test_an_accumulator_narrower_than_the_storage_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^Precision: expected an accumulator no narrower than float32, got bfloat16$"
    ):
        PRECISIONS["float32"].with_accumulator("bfloat16")


def test_an_oracle_in_float64_is_never_rounded_to_the_dtype_of_the_case() -> None:
    case = Case.random(dtype="bfloat16")
    assert all(array.dtype == np.float64 for array in evaluate(case).fields().values() if array is not None)
