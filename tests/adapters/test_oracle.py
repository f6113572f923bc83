"""Every adapter computes the textbook RNN, forward and all gradients, within bounds that were derived."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import Adapter, UnexpectedlySupported, Unsupported
from adapters.conformance.contract import guarded
from adapters.conformance.judge import undetermined, whole
from adapters.conformance.report import Result
from reference import Case, Evaluation, Mismatch, certify
from reference.strategies import Shape, cases
from reference.trial import trial
from reference.verdict import QUANTITIES

# Few shapes, most of them asked for elsewhere, too: a compiler works anew for each.
SIZES: dict[str, Any] = {"T": 4, "N": 2, "D": 3, "H": 5}
SHAPES = [
    Shape(T=1, N=2, D=3, H=4),
    Shape(T=3, N=1, D=2, H=1, nonlinearity="relu", bias=False),
    Shape(**SIZES),
    Shape(**SIZES, nonlinearity="relu"),
    Shape(T=6, N=5, D=1, H=6, bias=False),
]
# The smallest error of one element, relative to the largest, that is always told.
TOLD = {"float64": 1e-13, "float32": 1e-5, "bfloat16": 0.3, "float16": 0.03}


def case_for(adapter: Adapter, dtype: str, **options: object) -> Case:
    """Return a random case that asks an adapter for what it offers."""
    like = {"dtype": dtype, "direction": adapter.takes_direction, "nonlinearity": adapter.nonlinearities[0]}
    return Case.random(**like | options)  # type: ignore[arg-type]


@settings(max_examples=10)
@given(data=st.data())
def test_matches_oracle(adapter: Adapter, dtype: str, data: st.DataObject) -> None:
    offered = [shape for shape in SHAPES if shape.nonlinearity in adapter.nonlinearities]
    # Fewer where each case of a stack is run by itself.
    K = 16 if adapter.takes_stacks else 8
    drawn = cases(dtype=dtype, shape=st.sampled_from(offered), stack=K, direction=adapter.takes_direction)
    found = Result("sequence")
    whole(adapter, data.draw(drawn), adapter.precision(dtype), found)
    assert found.cases == K
    assert not found.inconclusive


def test_a_subject_with_one_element_off_is_rejected(adapter: Adapter, dtype: str, quantity: str) -> None:
    def subject(case: Case) -> Evaluation:
        right = adapter(case)
        wrong = np.array(getattr(right, quantity)).astype(np.float64)
        wrong.flat[-1] += TOLD[dtype] * np.abs(wrong).max()
        return dataclasses.replace(right, **{quantity: wrong.astype(case.xs.dtype)})

    case = case_for(adapter, dtype, T=1, N=2, D=2, H=2, seed=1).probed()
    with pytest.raises(Mismatch, match=rf"{dtype} {QUANTITIES[quantity]}\["):
        trial(subject, case, adapter.precision(dtype)).require()


@pytest.mark.slow
@pytest.mark.only(frameworks=("jax", "torch"))
def test_a_thousand_steps_are_certified_at_the_accuracy_of_one(adapter: Adapter, dtype: str) -> None:
    T = min(1000, adapter.max_T or 1000)
    case = case_for(adapter, dtype, T=T, N=4, D=3, H=5, seed=3, norm=0.9).probed()
    precision = adapter.precision(dtype)

    def subject(case: Case) -> Evaluation:
        return dataclasses.replace(adapter(case), **dict.fromkeys(undetermined(case, precision)))

    verdict = trial(subject, case, precision)
    verdict.require(adapter.name)
    coarsest = {"float64": 4e-14, "float32": 2e-5, "bfloat16": 2e-1, "float16": 3e-2}[dtype]
    assert max(verdict.relative_bound[name] for name in ("h", "dx", "dh0") if name in adapter.offers) < coarsest


@pytest.mark.only(dtypes=("float64", "float32"), frameworks=("jax", "torch"))
def test_weights_that_make_it_chaotic_pass(adapter: Adapter, dtype: str) -> None:
    # float16 has no room, and relu no bound, for what grows threefold at every step.
    is_short = dtype == "float16" or "tanh" not in adapter.nonlinearities
    T = min(8 if is_short else 200, adapter.max_T or 200)
    case = case_for(adapter, dtype, T=T, N=2, D=3, H=8, seed=4, norm=3.0).probed()
    precision = adapter.precision(dtype)
    verdict = trial(guarded(adapter), case, precision)
    # A second derivative that explodes twice as fast overflows: nothing is certified beyond.
    assert verdict.status in ("pass", "inconclusive" if "hvp dx" in adapter.offers else "pass"), str(verdict)


def test_comes_within_a_factor_of_ten_of_its_bound(adapter: Adapter, dtype: str) -> None:
    case = case_for(adapter, dtype, **SIZES, seed=6, stack=64).probed()
    verdict = trial(adapter, case, adapter.precision(dtype))
    # In float64 the oracle's own rounding is charged beside the subject's, and is as large. NumPy's tanh, of which the
    # states alone may be all that is on offer, is declared as it is where it is worst.
    least = 0.1 / (2 if dtype == "float64" or adapter.offers == ("h",) else 1)
    assert least < max(worst.ratio for worst in verdict.worst.values()) < 1


def test_the_bound_is_that_of_its_own_precision(adapter: Adapter) -> None:
    if len(adapter.dtypes) == 1:
        pytest.skip(f"{adapter.name} offers one precision")
    fine, coarse = adapter.dtypes[:2]
    case = case_for(adapter, fine, T=1, N=2, D=3, H=4, seed=7)
    answer = adapter(case.astype(coarse)).astype(fine)
    assert certify(case, answer, adapter.precision(fine)).status == "fail"


def test_an_input_that_is_not_on_offer_is_unsupported_by_name(adapter: Adapter) -> None:
    limited = dataclasses.replace(adapter, max_T=2, nonlinearities=("tanh",), tanh_ulps={"float64": 1.0})
    with pytest.raises(Unsupported, match=rf"{adapter.name}: expected T <= 2, got T=3"):
        limited(case_for(adapter, "float64", T=3, nonlinearity="tanh"))
    with pytest.raises(Unsupported, match=rf"{adapter.name}: expected one of \['tanh'\], got 'relu'"):
        limited(case_for(adapter, "float64", nonlinearity="relu"))
    with pytest.raises(Unsupported, match=rf"{adapter.name}: expected dtype in \['float64'\], got 'float32'"):
        limited(case_for(adapter, "float32", T=1, nonlinearity="tanh"))


@pytest.mark.parametrize("place", ["xs", "h0", "upstream"])
def test_numbers_that_are_not_finite_are_unsupported_where_a_finding_says_why(place: str) -> None:
    ulps = {"float64": 1.0, "float32": 1.0}
    adapter = Adapter("numpy.any", lambda case: Evaluation(case.upstream), "any", np.tanh, ulps, finite=("float32",))
    for dtype, value in (("float32", np.inf), ("float32", np.nan), ("float64", -np.inf)):
        case = Case.random(T=1, N=2, D=2, H=2, dtype=dtype)
        array = np.array(getattr(case, place))
        array.flat[-1] = value
        changed: dict[str, Any] = {place: array, "finite": False}
        case = dataclasses.replace(case, **changed)
        if dtype == "float32":
            with pytest.raises(
                Unsupported, match=r"^numpy\.any: expected finite numbers in float32, got others \(FIND"
            ):
                adapter(case)
        else:
            assert adapter(case).hs is case.upstream


def test_a_result_for_an_unsupported_input_is_an_error(adapter: Adapter) -> None:
    def run(case: Case) -> Evaluation:
        return Evaluation(case.upstream)

    stale = dataclasses.replace(adapter, unsupported=("N=0",), run=run)
    with pytest.raises(UnexpectedlySupported, match=f"^{adapter.name}: expected an error for N=0, got a result$"):
        stale(case_for(adapter, adapter.dtypes[0], T=2, N=0))


def test_an_unsupported_input_is_reported_with_the_error_of_the_framework(adapter: Adapter) -> None:
    def run(case: Case) -> Evaluation:
        raise RuntimeError("\x1b[96mno rows\x1b[0m\nno answer")

    raising = dataclasses.replace(adapter, unsupported=("N=0",), run=run)
    with pytest.raises(Unsupported, match=f"^{adapter.name}: N=0 is unsupported, RuntimeError: no rows$"):
        raising(case_for(adapter, adapter.dtypes[0], T=2, N=0))


def test_a_single_case_is_its_place_in_a_stack(adapter: Adapter, dtype: str) -> None:
    case = case_for(adapter, dtype, **SIZES, seed=8, stack=3).probed()
    single, stacked = adapter(case[1]), adapter(case)[1]
    assert certify(case[1], single, adapter.precision(dtype)).status == "pass"
    assert certify(case[1], stacked, adapter.precision(dtype)).status == "pass"


def test_leaves_the_precision_of_the_process_as_it_was(adapter: Adapter) -> None:
    # A float32 case after a float64 one, and the other way round: JAX's x64 is a switch of the process.
    fine, coarse = adapter.dtypes[0], adapter.dtypes[-1]
    for dtype in (fine, coarse, fine):
        assert adapter(case_for(adapter, dtype, T=1)).hs.dtype == dtype


def test_a_gradient_that_is_offered_and_not_given_is_an_error(adapter: Adapter) -> None:
    def run(case: Case) -> Evaluation:
        return dataclasses.replace(adapter.run(case), **{last: None})

    last = [name for name, quantity in QUANTITIES.items() if quantity in adapter.offers][-2:][0]
    silent, dtype = dataclasses.replace(adapter, run=run), adapter.dtypes[0]
    with pytest.raises(Mismatch, match=rf"^contract: expected {last} of shape \(.*, got None "):
        whole(guarded(silent), case_for(adapter, dtype, T=1), adapter.precision(dtype), Result("step"))
