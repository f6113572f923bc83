"""Every adapter computes the textbook RNN, forward and all gradients, within derived bounds."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import Adapter
from adapters.conformance.contract import guarded
from adapters.conformance.judge import undetermined, whole
from adapters.conformance.report import Result
from reference import Case, Evaluation, certify
from reference.strategies import Shape, cases
from reference.trial import trial
from reference.verdict import QUANTITIES

# Few shapes, most of them used by other tests too, because a compiler compiles for each.
SIZES: dict[str, Any] = {"T": 4, "N": 2, "D": 3, "H": 5}
SHAPES = [
    Shape(T=1, N=2, D=3, H=4),
    Shape(T=3, N=1, D=2, H=1, nonlinearity="relu", bias=False),
    Shape(**SIZES),
    Shape(**SIZES, nonlinearity="relu"),
    Shape(T=6, N=5, D=1, H=6, bias=False),
]
# An error of one element, relative to the largest element, that is always detected.
TOLD = {"float64": 1e-13, "float32": 1e-5, "bfloat16": 0.3, "float16": 0.03}
# Along a direction, a gated cell is enclosed from its inputs through several products and sums.
GATED_ALONG = 10


def case_for(adapter: Adapter, dtype: str, **options: object) -> Case:
    """Return a random case for an adapter, with a direction if the adapter takes one."""
    like = {"dtype": dtype, "direction": adapter.takes_direction, "nonlinearity": adapter.nonlinearities[0]}
    like["cell"] = adapter.cell
    case: Case = adapter.suited(Case.random(**like | options))  # type: ignore[arg-type]
    return case


@pytest.mark.judged
@settings(max_examples=10)
@given(data=st.data())
def test_matches_oracle(adapter: Adapter, dtype: str, data: st.DataObject) -> None:
    offered = [shape for shape in SHAPES if shape.nonlinearity in adapter.nonlinearities]
    # Fewer cases if the adapter runs each case of a stack separately.
    K = 16 if adapter.takes_stacks else 8
    like: dict[str, Any] = {"dtype": dtype, "cell": adapter.cell, "direction": adapter.takes_direction}
    drawn = cases(shape=st.sampled_from(offered), stack=K, **like)
    found = Result("sequence")
    whole(adapter, adapter.suited(data.draw(drawn)), adapter.precision(dtype), found)
    assert found.cases == K
    assert not found.inconclusive


def test_a_subject_with_one_element_off_is_rejected(adapter: Adapter, dtype: str) -> None:
    case = case_for(adapter, dtype, T=1, N=2, D=2, H=2, seed=1).probed()
    right, missed = adapter(case), []
    for name, array in right.present().items():
        wrong = np.array(array).astype(np.float64)
        enclosed = name.endswith("_dot") and adapter.cell != "rnn"
        wrong.flat[-1] += TOLD[dtype] * np.abs(wrong).max() * (GATED_ALONG if enclosed else 1)
        answer = dataclasses.replace(right, **{name: wrong.astype(case.xs.dtype)})
        verdict = certify(case, answer, adapter.precision(dtype))
        if QUANTITIES[name] not in verdict.wrong or f"{dtype} {QUANTITIES[name]}[" not in str(verdict):
            missed.append(name)
    assert {QUANTITIES[name] for name in right.present()} == {*adapter.offers}
    assert missed == []


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
    widest = {"float64": 4e-14, "float32": 2e-5, "bfloat16": 2e-1, "float16": 3e-2}[dtype]
    # A gate is one more product in every step.
    widest *= 1 if adapter.cell == "rnn" else 1.5
    assert max(verdict.relative_bound[name] for name in ("h", "dx", "dh0") if name in adapter.offers) < widest


@pytest.mark.only(dtypes=("float64", "float32"), frameworks=("jax", "torch"))
def test_weights_that_make_it_chaotic_pass(adapter: Adapter, dtype: str) -> None:
    # The numbers grow threefold at every step: too much for float16, and relu does not bound the states.
    is_short = dtype == "float16" or "tanh" not in adapter.nonlinearities
    T = min(8 if is_short else 200, adapter.max_T or 200)
    case = case_for(adapter, dtype, T=T, N=2, D=3, H=8, seed=4, norm=3.0).probed()
    precision = adapter.precision(dtype)
    verdict = trial(guarded(adapter), case, precision)
    # A second derivative grows twice as fast and overflows, so it cannot be certified.
    assert verdict.status in ("pass", "inconclusive" if "hvp dx" in adapter.offers else "pass"), str(verdict)


def test_comes_within_a_factor_of_ten_of_its_bound(adapter: Adapter, dtype: str) -> None:
    case = case_for(adapter, dtype, **SIZES, seed=6, stack=64).probed()
    verdict = trial(adapter, case, adapter.precision(dtype))
    # In float64 the bound also covers the rounding of the oracle, which is as large as the subject's. The declared
    # error of NumPy's tanh is its worst one, and some adapters return only states. Enclosures add up all products.
    enclosed = adapter.takes_direction and adapter.cell != "rnn"
    forward_only = not any(name[0] == "d" for name in adapter.offers)
    least = 0.1 / (2 if dtype == "float64" or forward_only or enclosed else 1)
    assert least < max(worst.ratio for worst in verdict.worst.values()) < 1


def test_the_bound_is_that_of_its_own_precision(adapter: Adapter) -> None:
    if len(adapter.dtypes) == 1:
        pytest.skip(f"{adapter.name} offers one precision")
    high, low = adapter.dtypes[:2]
    case = case_for(adapter, high, T=1, N=2, D=3, H=4, seed=7)
    answer = adapter(case.astype(low)).astype(high)
    assert certify(case, answer, adapter.precision(high)).status == "fail"


def test_a_single_case_is_its_place_in_a_stack(adapter: Adapter, dtype: str) -> None:
    case = case_for(adapter, dtype, **SIZES, seed=8, stack=3).probed()
    single, stacked = adapter(case[1]), adapter(case)[1]
    assert certify(case[1], single, adapter.precision(dtype)).status == "pass"
    assert certify(case[1], stacked, adapter.precision(dtype)).status == "pass"


def test_leaves_the_precision_of_the_process_as_it_was(adapter: Adapter) -> None:
    # A float32 case after a float64 case, and the reverse, because x64 of JAX is a setting of the process.
    high, low = adapter.dtypes[0], adapter.dtypes[-1]
    for dtype in (high, low, high):
        assert adapter(case_for(adapter, dtype, T=1)).hs.dtype == dtype


def test_the_accumulator_is_the_one_declared(adapter: Adapter) -> None:
    """Terms of one sign, a thousand of them: sums in a half precision lose those that are small beside the total."""
    for dtype in ("bfloat16", "float16"):
        if dtype in adapter.dtypes and not adapter.takes_direction:
            # Where there is tanh alone, totals below its saturation.
            f, norm = ("relu", 0.5) if "relu" in adapter.nonlinearities else ("tanh", 0.03)
            case = case_for(adapter, dtype, T=1, N=2, D=1024, H=4, seed=5, nonlinearity=f, norm=norm).map(np.abs)
            case = case.probed()
            assert certify(case, adapter(case), adapter.precision(dtype)).status == "pass"
            wide = adapter.precision(dtype).with_accumulator("float32")
            assert (certify(case, adapter(case), wide).status == "pass") == (dtype not in adapter.accumulators)
