"""An Adapter: an input that it does not support, in its own words or in its framework's, and what it must return."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from adapters import Adapter, UnexpectedlySupported, Unsupported
from adapters.conformance.contract import guarded
from adapters.conformance.judge import whole
from adapters.conformance.report import Result
from reference import Case, Evaluation, Mismatch
from reference.verdict import GRADIENTS, QUANTITIES
from tests.conformance.cells import right

ULPS = {"float64": 2.5, "float32": 2.5}


def adapter(run: Any = right, **fields: Any) -> Adapter:
    """Return an adapter of a function."""
    return Adapter("numpy.any", run, "any", np.tanh, ULPS, **fields)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"T": 3}, r"expected T <= 2, got T=3"),
        ({"nonlinearity": "relu"}, r"expected one of \['tanh'\], got 'relu'"),
        ({"dtype": "float16"}, r"expected dtype in \['float64', 'float32'\], got 'float16'"),
    ],
    ids=["T", "nonlinearity", "dtype"],
)
def test_an_input_that_is_not_on_offer_is_unsupported_by_name(options: dict[str, Any], message: str) -> None:
    limited = adapter(max_T=2, nonlinearities=("tanh",))
    assert limited(Case.random(T=2)).hs is not None
    with pytest.raises(Unsupported, match=rf"^numpy\.any: {message}$"):
        limited(Case.random(**{"T": 1} | options))


@pytest.mark.parametrize("place", ["xs", "h0", "upstream"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_numbers_that_are_not_finite_are_unsupported_in_dtypes_with_a_finding(place: str, value: float) -> None:
    careful = adapter(lambda case: Evaluation(case.upstream), finite=("float32",))
    for dtype in ULPS:
        case = Case.random(T=1, N=2, D=2, H=2, dtype=dtype)
        array = np.array(getattr(case, place))
        array.flat[-1] = value
        changed: dict[str, Any] = {place: array, "finite": False}
        case = dataclasses.replace(case, **changed)
        if dtype == "float32":
            with pytest.raises(
                Unsupported, match=r"^numpy\.any: expected finite numbers in float32, got others \(FIND"
            ):
                careful(case)
        else:
            assert careful(case).hs is case.upstream


def test_a_declared_accumulator_is_part_of_the_model() -> None:
    silent, declaring = adapter(), adapter(accumulators={"float32": "float64"})
    assert [one.precision("float32").accumulator.name for one in (silent, declaring)] == ["float32", "float64"]


def test_a_result_for_an_unsupported_input_is_an_error() -> None:
    with pytest.raises(UnexpectedlySupported, match=r"^numpy\.any: expected an error for N=0, got a result$"):
        adapter(unsupported=("N=0",))(Case.random(T=2, N=0))


@pytest.mark.parametrize("through_an_adapter", [False, True])
def test_an_unsupported_input_is_reported_with_the_error_of_the_framework(through_an_adapter: bool) -> None:
    def run(case: Case) -> Evaluation:
        error = RuntimeError("\x1b[96mno rows\x1b[0m\nno answer")
        if through_an_adapter:
            raise Unsupported("as_tensor: no rows") from error
        raise error

    with pytest.raises(Unsupported, match=r"^numpy\.any: N=0 is unsupported, RuntimeError: no rows$"):
        adapter(run, unsupported=("N=0",))(Case.random(T=2, N=0))


@pytest.mark.parametrize("takes_stacks", [True, False])
def test_a_second_call_that_returns_other_bits_is_an_error(takes_stacks: bool) -> None:
    calls = itertools.count()

    def drifting(case: Case) -> Evaluation:
        answer = right(case)
        return dataclasses.replace(answer, dWh=answer.dWh * (1 + next(calls) % 2 * 2.0**-52))

    steady, other = (adapter(run, takes_stacks=takes_stacks) for run in (right, drifting))
    case, precision = Case.random(T=1, stack=2), steady.precision("float64")
    whole(steady, case, precision, Result("step"))
    with pytest.raises(Mismatch, match=r"^contract: expected the same bits of dWh from two equal calls, got others "):
        whole(other, case, precision, Result("step"))


@pytest.mark.parametrize("field", [name for name, quantity in QUANTITIES.items() if quantity in GRADIENTS])
def test_a_quantity_that_is_offered_and_missing_is_an_error(field: str) -> None:
    silent = adapter(lambda case: dataclasses.replace(right(case), **{field: None}))
    case, precision = Case.random(T=1), silent.precision("float64")
    whole(guarded(adapter()), case, precision, Result("step"))
    with pytest.raises(Mismatch, match=rf"^contract: expected {field} of shape \(.*, got None "):
        whole(guarded(silent), case, precision, Result("step"))
