"""Every fault of the catalogue is named in real adapters: the framework computes, and the test adds the mistake."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters import Adapter
from reference import Case, Evaluation, Params, Verdict, certify
from reference.explain import diagnose, explain, explain_subject
from reference.faults import Fault, compute
from reference.faults.fault import Change
from reference.layer import Layer
from reference.likeness import tried
from reference.trial import Subject
from tests.named import CASES, REMEMBERING, assert_named, case_of_a_trial, diagnosed, is_seen_by_a_trial_alone, plain

pytestmark = [
    pytest.mark.gradients(nonlinearity="tanh"),
    pytest.mark.only(dtypes=("float64", "float32"), frameworks=("autograd", "jax", "mlx", "paddle", "torch")),
]

# Frameworks add in different orders. So a fault that rounds to float32 may be recognised only by the digits it leaves.
BY_DIGITS = ("products in float32", "sums in float32", "float32 inside float64")


def product(adapter: Adapter, p: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
    """Return p @ q as the framework multiplies in backward: dx = A @ Wx.T with A = p and Wx = q.T.

    With a = b = 1 and relu, A is the upstream gradient. NumPy multiplies arrays that are empty or not finite.
    """
    if not (p.size and q.size and np.isfinite(p).all() and np.isfinite(q).all()):
        return np.asarray(p @ q)
    (m, k), n = p.shape, q.shape[-1]
    params = Params(q.T, np.zeros((k, k), q.dtype), np.ones(k, q.dtype))
    case = Case(np.zeros((1, m, n), p.dtype), np.zeros((m, k), p.dtype), params, p[None], "relu")
    return np.asarray(adapter(case).dxs[0])


def parts(adapter: Adapter) -> dict[str, Change]:
    """Return changes to the layer of the reference that replace its products and its tanh by the framework's."""

    def f(layer: Layer, right: Any, a: Any) -> Any:
        return adapter.tanh(a) if layer.cell.nonlinearity == "tanh" else right(a)

    return {"product": lambda layer, right, p, q: product(adapter, p, q), "f": f}


def behind(adapter: Adapter, fault: Fault) -> Subject:
    """Return a fresh subject: a fault of the catalogue with the adapter instead of the code of the reference."""
    return fault.subject(lambda case: adapter(case).map(np.ascontiguousarray), parts(adapter))


# Products and tanh are those of the framework. The tests below show that they are right.
@pytest.mark.gradients(nonlinearity="tanh", first=True)
def test_every_fault_is_named(adapter: Adapter, dtype: str, fault: Fault) -> None:
    precision = adapter.precision(dtype)
    if fault.name in REMEMBERING:
        subject = behind(adapter, fault)
        subject(plain(dtype, seed=7))
        found = explain_subject(subject, plain(dtype), precision)
        own = found.wrong
    elif is_seen_by_a_trial_alone(fault):
        case = case_of_a_trial(fault, dtype)
        found = diagnose([tried(behind(adapter, fault), case, precision)], tried)
        own = tried(fault.subject(), case, precision).wrong
    else:
        found = diagnosed(lambda: behind(adapter, fault), dtype, precision)
        own = explain(found.case, fault.subject()(found.case.map(np.array)), precision).wrong
    if fault.name in BY_DIGITS and not found.names:
        assert "\nLooks like float32: " in str(found)
    else:
        assert_named(found, fault.name)
    assert found.wrong == own


def test_no_fault_is_named_in_correct_code(adapter: Adapter, dtype: str) -> None:
    for case in CASES[dtype]:
        found = explain(case, adapter(case), adapter.precision(dtype))
        assert (found.status, found.names) == ("pass", frozenset()), str(found)


# The code that the faulty cells use.


def by_hand(adapter: Adapter, case: Case) -> Verdict:
    """Return the verdict on the layer of the reference with the products and the tanh of a framework."""
    return certify(case, compute(case, (parts(adapter),)), adapter.precision(case.dtype))


def test_a_layer_of_the_frameworks_products_and_tanh_is_right(adapter: Adapter, dtype: str) -> None:
    for case in CASES[dtype]:
        by_hand(adapter, case).require(adapter.name)


def test_products_are_those_of_its_backward(adapter: Adapter, dtype: str) -> None:
    def negated(case: Case) -> Evaluation:
        evaluation = adapter.run(case)
        return dataclasses.replace(evaluation, dxs=-evaluation.dxs)

    p, q = (np.arange(-n, n, dtype=dtype).reshape(shape) for n, shape in ((3, (2, 3)), (6, (3, 4))))
    assert product(adapter, p, q).tolist() == (p @ q).tolist()
    assert product(dataclasses.replace(adapter, run=negated), p, q).tolist() == (-(p @ q)).tolist()


def test_a_layer_of_wrong_products_is_not(adapter: Adapter, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.product", lambda adapter, p, q: 1.001 * (p @ q))
    assert by_hand(adapter, plain(dtype)).status == "fail"
