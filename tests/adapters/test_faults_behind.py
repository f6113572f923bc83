"""Every fault of the catalogue, put behind a real adapter, is named: the framework computes, and makes the mistake."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters import Adapter
from reference import Case, Evaluation, Params, Verdict, certify
from reference.explain import diagnose, explain, watched
from reference.faults import Fault, bptt, compute, contract, numerical, state
from reference.faults import fault as writing
from reference.faults.fault import taped, unaware, unrolled
from reference.trial import Subject
from tests.named import CASES, TWINS, assert_named, case_of_a_trial, is_seen_by_a_trial_alone, plain, told

pytestmark = [
    pytest.mark.gradients(nonlinearity="tanh"),
    pytest.mark.only(dtypes=("float64", "float32"), frameworks=("autograd", "jax", "mlx", "paddle", "torch")),
]

# Modules with subjects written over ``compute``, which looks its name up when it is called.
CALLERS = (bptt, contract, numerical, state, writing)
# Sums in float32 are no two frameworks' the same, so that products in it are told by the digits that they leave.
BY_DIGITS = {"products in float32", "sums in float32"}


def product(adapter: Adapter, p: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
    """Return p @ q as the framework multiplies in backward: dx = A @ Wx.T with A = p and Wx = q.T.

    A is the upstream gradient itself where a = b = 1 and the nonlinearity is relu. What no finite case holds is left
    to NumPy.
    """
    if not (p.size and q.size and np.isfinite(p).all() and np.isfinite(q).all()):
        return np.asarray(p @ q)
    (m, k), n = p.shape, q.shape[-1]
    params = Params(q.T, np.zeros((k, k), q.dtype), np.ones(k, q.dtype))
    case = Case(np.zeros((1, m, n), p.dtype), np.zeros((m, k), p.dtype), params, p[None], "relu")
    return np.asarray(adapter(case).dxs[0])


def computed_by(adapter: Adapter) -> type[np.ndarray[Any, Any]]:
    """Return a kind of array whose products and tanh are the framework's."""

    class Computed(np.ndarray[Any, Any]):
        __array_priority__ = 1.0

        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
            plain = [np.asarray(one) if isinstance(one, np.ndarray) else one for one in inputs]
            if ufunc is np.matmul:
                found: Any = product(adapter, *plain)
            elif ufunc is np.tanh:
                found = adapter.tanh(*plain)
            else:
                found = getattr(ufunc, method)(*plain, **options)
            return found.view(type(self)) if isinstance(found, np.ndarray) else found

    return Computed


def behind(adapter: Adapter, fault: Fault) -> Subject:
    """Return a fresh subject: a fault of the catalogue with the adapter where the reference's own code computes."""
    written, arithmetic = fault.written, computed_by(adapter)

    def correct(case: Case) -> Evaluation:
        return adapter(case).map(np.ascontiguousarray)

    def rounding(case: Case) -> Evaluation:
        rounded = staticmethod(lambda array: written.rounded(array).view(arithmetic))
        return compute(case, arithmetic=type("Rounding", (written, arithmetic), {"rounded": rounded}))

    subjects: dict[str, Callable[[], Subject]] = {
        "case": lambda: lambda case: correct(written(unaware(case))),
        "result": lambda: lambda case: written(case, correct(case)),
        "cell": lambda: lambda case: compute(case, unrolled(written), arithmetic),
        "tape": lambda: lambda case: compute(case, taped(written), arithmetic),
        "arithmetic": lambda: rounding,
        "subject": lambda: called_with(correct, fault.subject()),
    }
    return subjects[fault.kind]()


def called_with(correct: Subject, subject: Subject) -> Subject:
    """Return a subject that calls other correct code than the catalogue's, for as long as it runs and no longer."""

    def run(case: Case) -> Evaluation:
        with pytest.MonkeyPatch.context() as patch:
            for module in CALLERS:
                patch.setattr(module, "compute", correct)
            return subject(case)

    return run


# Products and tanh are a framework's, in whichever way it is run: for each, the tests below tell that they are right.
@pytest.mark.gradients(nonlinearity="tanh", first=True)
def test_every_fault_is_named(adapter: Adapter, dtype: str, fault: Fault) -> None:
    precision = adapter.precision(dtype)
    if is_seen_by_a_trial_alone(fault):
        case = case_of_a_trial(fault, dtype)
        found = diagnose([watched(behind(adapter, fault), case, precision)], watched)
        own = watched(fault.subject(), case, precision).wrong
    else:
        found = told(lambda: behind(adapter, fault), dtype, precision)
        own = explain(found.case, fault.subject()(found.case.map(np.array)), precision).wrong
    assert_named(found, fault.name, twins=(*TWINS, BY_DIGITS))
    assert found.wrong == own


def test_nothing_is_named_where_nothing_is_wrong(adapter: Adapter, dtype: str) -> None:
    for case in CASES[dtype]:
        found = explain(case, adapter(case), adapter.precision(dtype))
        assert (found.status, found.names) == ("pass", set()), str(found)


# What the faulty cells run on.


def by_hand(adapter: Adapter, case: Case) -> Verdict:
    """Return the verdict on the reference's own layer with the products and the tanh of a framework."""
    return certify(case, compute(case, arithmetic=computed_by(adapter)), adapter.precision(case.dtype))


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
