"""A framework that computes in fewer digits than its dtype has fails, and the verdict names the format."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest

from adapters import Adapter
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


def test_jax_without_x64_is_detected() -> None:
    jax = pytest.importorskip("jax")
    from adapters._jax import by_vjp
    from adapters.jax import scanned

    case = Case.random(T=4, seed=3)
    forward = functools.partial(scanned, "tanh")
    with jax.enable_x64(False):
        hs, (weights, dxs, (dh0,)) = by_vjp(forward, case.params.fields(), case.xs, (case.h0,), case.upstream)
    found = [np.array(array) for array in (hs, dxs, dh0, weights["Wx"], weights["Wh"], weights["b"])]
    with pytest.raises(TypeError, match=r"^certify: expected hs as an array of float64, got float32 \(T=4, "):
        certify(case, Evaluation(*found), PRECISIONS["float64"])
    # A wrapper may cast the result to float64. Its dtype is right then, but the digits are those of float32.
    verdict = certify(case, Evaluation(*found).astype("float64"), PRECISIONS["float64"].with_tanh(8.0))
    assert verdict.status == "fail"
    assert "Looks like float32: every value of the wrong quantities fits in 24 bits." in str(verdict)


def switches() -> list[Any]:
    """Return the settings with which PyTorch multiplies float32 in fewer digits."""
    return [("float32 matmul precision", value) for value in ("high", "medium")] + [
        ("oneDNN", value) for value in ("bf16", "tf32")
    ]


@pytest.mark.parametrize(("switch", "value"), switches())
def test_a_switch_of_pytorch_does_nothing_or_is_detected(switch: str, value: str) -> None:
    """Some processors ignore the setting. If one computes with fewer digits, the verdict must detect it."""
    torch = pytest.importorskip("torch")
    import adapters

    (adapter,) = adapters.load("torch.RNN")
    case = Case.random(T=2, N=64, D=256, H=256, seed=1, dtype="float32").probed()
    plain = adapter(case)
    oneDNN, before = torch.backends.mkldnn.matmul, torch.get_float32_matmul_precision()
    try:
        if switch == "oneDNN":
            oneDNN.fp32_precision = value
        else:
            torch.set_float32_matmul_precision(value)
        switched = adapter(case)
    finally:
        oneDNN.fp32_precision = "none"
        torch.set_float32_matmul_precision(before)
    verdict = certify(case, switched, adapter.precision("float32"))
    pairs = zip(plain.fields().values(), switched.fields().values(), strict=True)
    if all(np.array_equal(one, two) for one, two in pairs):
        assert verdict.status == "pass"
    else:
        # The setting may select another product with all digits.
        assert verdict.status == "pass" or "Looks like" in str(verdict)


def test_the_accumulator_is_the_one_declared(adapter: Adapter) -> None:
    """Add a thousand terms of one sign. Sums in a half precision lose terms that are small against the total."""
    for dtype in ("bfloat16", "float16"):
        if dtype in adapter.dtypes and not adapter.takes_direction:
            # If the adapter has only tanh, the totals are below its saturation.
            f, norm = ("relu", 0.5) if "relu" in adapter.nonlinearities else ("tanh", 0.03)
            case = Case.random(T=1, N=2, D=1024, H=4, seed=5, dtype=dtype, nonlinearity=f, norm=norm).map(np.abs)
            case = case.probed()
            assert certify(case, adapter(case), adapter.precision(dtype)).status == "pass"
            wide = adapter.precision(dtype).with_accumulator("float32")
            assert (certify(case, adapter(case), wide).status == "pass") == (dtype not in adapter.accumulators)


def test_errors_that_are_no_rounding_name_no_format() -> None:
    case = Case.random(T=1000, N=4, D=3, H=8, dtype="float32", seed=1).probed()
    right = evaluate(case)
    for wrong in (right.dWh.mT, right.dWh / 4):
        verdict = certify(
            case, dataclasses.replace(right, dWh=np.array(wrong)).astype("float32"), PRECISIONS["float32"]
        )
        assert verdict.status == "fail"
        assert "Looks like" not in str(verdict)
