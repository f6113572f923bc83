"""Every adapter computes the textbook RNN, forward and all gradients, within bounds that were derived."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import Adapter, Refused
from adapters.conformance.checks import TRAINED
from reference import Case, Evaluation, Mismatch, Params, certify
from reference.strategies import Shape, cases
from reference.trial import trial

# Few shapes, for a compiler works anew for each.
SHAPES = [
    Shape(T=1, N=2, D=3, H=4),
    Shape(T=3, N=1, D=2, H=1, nonlinearity="relu", bias=False),
    Shape(T=4, N=4, D=3, H=5),
    Shape(T=5, N=3, D=7, H=2, nonlinearity="relu"),
    Shape(T=6, N=5, D=1, H=6, bias=False),
]


@settings(max_examples=10)
@given(data=st.data())
def test_matches_oracle(adapter: Adapter, dtype: str, data: st.DataObject) -> None:
    case = data.draw(cases(dtype=dtype, shape=st.sampled_from(SHAPES), stack=16))
    trial(adapter, case, adapter.precision(dtype), repeat=True).require(adapter.name)


@pytest.mark.parametrize("quantity", ["hs", "dxs", "dh0", "dWx", "dWh", "db"])
def test_a_subject_off_by_a_hundred_thousandth_is_rejected(adapter: Adapter, dtype: str, quantity: str) -> None:
    def subject(case: Case) -> Evaluation:
        right = adapter(case)
        wrong = np.array(getattr(right, quantity))
        wrong.flat[-1] += 1e-5 * np.abs(wrong).max()
        return dataclasses.replace(right, **{quantity: wrong})

    case = Case.random(T=1, N=2, D=2, H=2, seed=1, dtype=dtype)
    with pytest.raises(Mismatch, match=f"{dtype} "):
        trial(subject, case, adapter.precision(dtype)).require()


def test_a_thousand_steps_are_certified_at_the_accuracy_of_one(adapter: Adapter, dtype: str) -> None:
    case = Case.random(T=min(1000, adapter.max_T or 1000), N=4, D=3, H=5, seed=3, dtype=dtype).probed()
    verdict = trial(adapter, case, adapter.precision(dtype))
    verdict.require(adapter.name)
    coarsest = {"float32": 2e-5, "float64": 4e-14}[dtype]
    assert max(verdict.resolution[name] for name in ("h", "dx", "dh0")) < coarsest


def test_weights_that_make_it_chaotic_pass(adapter: Adapter, dtype: str) -> None:
    case = Case.random(T=min(200, adapter.max_T or 200), N=2, D=3, H=8, seed=4, dtype=dtype, norm=3.0).probed()
    trial(adapter, case, adapter.precision(dtype)).require(adapter.name)


def test_trained_weights_pass(adapter: Adapter, dtype: str) -> None:
    case = Case.random(T=30, N=3, seed=5, dtype=dtype, params=Params.load(TRAINED)).probed()
    trial(adapter, case, adapter.precision(dtype)).require(adapter.name)


def test_comes_within_a_factor_of_ten_of_its_bound(adapter: Adapter, dtype: str) -> None:
    case = Case.random(T=5, N=4, D=3, H=5, seed=6, dtype=dtype, stack=64).probed()
    verdict = trial(adapter, case, adapter.precision(dtype))
    assert 0.1 < max(worst.ratio for worst in verdict.worst.values()) < 1


def test_the_bound_is_that_of_its_own_precision(adapter: Adapter) -> None:
    case = Case.random(T=1, N=2, D=3, H=4, seed=7, dtype="float64")
    coarse = adapter(case.astype("float32")).astype("float64")
    assert certify(case, coarse, adapter.precision("float64")).status == "fail"


def test_refuses_by_name_what_it_does_not_offer(adapter: Adapter) -> None:
    limited = dataclasses.replace(adapter, max_T=2, nonlinearities=("tanh",), tanh_ulps={"float64": 1.0})
    with pytest.raises(Refused, match=rf"{adapter.name}: expected T <= 2, got T=3"):
        limited(Case.random(T=3))
    with pytest.raises(Refused, match=rf"{adapter.name}: expected one of \['tanh'\], got 'relu'"):
        limited(Case.random(nonlinearity="relu"))
    with pytest.raises(Refused, match=rf"{adapter.name}: expected dtype in \['float64'\], got 'float32'"):
        limited(Case.random(T=1, dtype="float32"))


def test_a_single_case_is_its_place_in_a_stack(adapter: Adapter, dtype: str) -> None:
    case = Case.random(T=2, N=2, D=2, H=3, seed=8, dtype=dtype, stack=3)
    single, stacked = adapter(case[1]), adapter(case)[1]
    assert certify(case[1], single, adapter.precision(dtype)).status == "pass"
    assert certify(case[1], stacked, adapter.precision(dtype)).status == "pass"


def test_leaves_the_precision_of_the_process_as_it_was(adapter: Adapter) -> None:
    # A float32 case after a float64 one, and the other way round: JAX's x64 is a switch of the process.
    for dtype in ("float64", "float32", "float64"):
        assert adapter(Case.random(T=1, dtype=dtype)).hs.dtype == dtype
