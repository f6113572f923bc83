"""Switches of PyTorch that multiply in fewer digits: the verdict says so, where the processor has fewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adapters
from reference import Case, certify

torch = pytest.importorskip("torch")


def switches() -> list[Any]:
    """Return the ways in which PyTorch can be told to multiply float32 in fewer digits."""
    return [("float32 matmul precision", value) for value in ("high", "medium")] + [
        ("oneDNN", value) for value in ("bf16", "tf32")
    ]


@pytest.mark.parametrize(("switch", "value"), switches())
def test_a_switch_of_pytorch_does_nothing_or_is_told(switch: str, value: str) -> None:
    """Whether a processor has fewer digits to offer is its own affair; that they go unnoticed must not happen."""
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
        # The switch may choose another product, of all digits.
        assert verdict.status == "pass" or "Looks like" in str(verdict)
