"""JAX without x64 computes float64 in float32: the verdict says so."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from reference import PRECISIONS, Case, Evaluation, certify

jax = pytest.importorskip("jax")


def test_jax_without_x64_is_told() -> None:
    from adapters._jax import by_vjp
    from adapters.jax import scanned

    case = Case.random(T=4, seed=3)
    forward = functools.partial(scanned, "tanh")
    with jax.enable_x64(False):
        hs, (weights, dxs, (dh0,)) = by_vjp(forward, case.params.fields(), case.xs, (case.h0,), case.upstream)
    found = [np.array(array) for array in (hs, dxs, dh0, weights["Wx"], weights["Wh"], weights["b"])]
    with pytest.raises(TypeError, match=r"^certify: expected hs as an array of float64, got float32 \(T=4, "):
        certify(case, Evaluation(*found), PRECISIONS["float64"])
    # Cast back, as a wrapper that wants float64 does, it has lost its name, and not its digits.
    verdict = certify(case, Evaluation(*found).astype("float64"), PRECISIONS["float64"].with_tanh(8.0))
    assert verdict.status == "fail"
    assert "Looks like float32: every value of the wrong quantities fits in 24 bits." in str(verdict)
