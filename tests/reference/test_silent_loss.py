"""A framework that computes in fewer digits than its dtype has fails, and the verdict names the format."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from reference import PRECISIONS, Case, Evaluation, certify, evaluate
from reference.faults import FAULTS


@pytest.mark.parametrize(
    ("fault", "dtype", "names"),
    [
        ("products in TF32", "float32", ("TF32", "float16")),
        ("products in bfloat16", "float32", ("bfloat16",)),
        ("products in float16", "float32", ("TF32", "float16")),
        ("products in float32", "float64", ("float32",)),
        ("float32 inside float64", "float64", ("float32",)),
        ("sums in float32", "float64", ("float32",)),
        ("sums in float16", "float32", ("TF32", "float16")),
    ],
)
@pytest.mark.parametrize("sizes", [(5, 4, 3, 6), (2, 16, 64, 32)])
def test_the_verdict_names_the_format(fault: str, dtype: str, names: tuple[str, ...], sizes: Any) -> None:
    """Products in TF32 are emulated, because a CPU has none: both TF32 and float16 have 11 bits."""
    case = Case.random(*sizes, seed=2, dtype=dtype, norm=0.9).probed()
    verdict = certify(case, FAULTS[fault].subject()(case.map(np.array)), PRECISIONS[dtype])
    assert verdict.status == "fail"
    assert any(f"Looks like {name}" in str(verdict) for name in names), str(verdict)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sums_in_a_half_precision_are_distinguished_from_sums_in_float32(dtype: str) -> None:
    case = Case.random(T=1, N=8, D=512, H=8, dtype=dtype, nonlinearity="relu", stack=4).map(np.abs)
    verdict = certify(case, summed_in_storage(case), PRECISIONS[dtype])
    assert verdict.status == "fail"
    # Sums in float16 have errors as large as those of bfloat16.
    names = {"bfloat16": ["bfloat16, sums included"], "float16": ["float16, sums included", "bfloat16"]}[dtype]
    assert any(f"Looks like {name}: the largest error" in str(verdict) for name in names)


def summed_in_storage(case: Case) -> Evaluation:
    """Compute one step of relu, with sums one term after another in the dtype of the case."""
    right = [np.float32(0) + array.astype(np.float32) for array in (case.xs[:, 0], case.params.Wx)]
    total = np.zeros(case.upstream.shape, case.xs.dtype)[:, 0]
    for d in range(case.sizes["D"]):
        term = (right[0][..., d : d + 1] * right[1][:, d : d + 1, :]).astype(case.xs.dtype)
        total = (total.astype(np.float32) + term.astype(np.float32)).astype(case.xs.dtype)
    assert case.params.b is not None
    rest = case.h0.astype(np.float32) @ case.params.Wh.astype(np.float32) + case.params.b[:, None].astype(np.float32)
    return Evaluation((total.astype(np.float32) + rest).clip(0).astype(case.xs.dtype)[:, None])


def test_a_thousandth_in_one_gradient_is_no_format() -> None:
    case = Case.random(T=3, seed=1, dtype="float64").probed()
    right = FAULTS["db halved"].subject()(case.map(np.array))
    assert "Looks like" not in str(certify(case, right, PRECISIONS["float64"]))


def test_what_is_no_rounding_is_not_called_one() -> None:
    case = Case.random(T=1000, N=4, D=3, H=8, dtype="float32", seed=1).probed()
    right = evaluate(case)
    for wrong in (right.dWh.mT, right.dWh / 4):
        verdict = certify(
            case, dataclasses.replace(right, dWh=np.array(wrong)).astype("float32"), PRECISIONS["float32"]
        )
        assert verdict.status == "fail"
        assert "Looks like" not in str(verdict)


def test_a_small_term_that_is_missing_in_a_few_elements_is_no_rounding() -> None:
    def wrong(case: Case) -> Evaluation:
        h0 = np.array(case.h0)
        h0[..., 0] = 0
        return Evaluation(evaluate(dataclasses.replace(case, h0=h0)).astype("float32").hs)

    for seed in range(400):
        case = Case.random(T=1, N=2, D=3, H=4, dtype="float32", seed=seed, norm=0.1)
        assert "Looks like" not in str(certify(case, wrong(case), PRECISIONS["float32"]))
