"""The mutation score: every fault is caught within 50 cases, and correct code always passes."""

from __future__ import annotations

from functools import cache
from statistics import median

import pytest

from reference import Case
from reference.faults import COMPUTED, FAULTS, Fault
from reference.faults.fault import fault
from reference.mutation_score import LIMIT, catch, false_alarms, score, try_once
from tests.each import each_fault_in_each_precision
from tests.named import is_seen_by_a_trial_alone

SEEDS = range(5)

IN_ALL = pytest.mark.parametrize("dtype", COMPUTED)

CORRECT = fault("none", "nothing", "Does nothing wrong.")


# Catches by fault, precision and seed. They are cached, because several tests use them.
caught_by = cache(catch)


def status(mistake: Fault, case: Case) -> str:
    """Return the status of the verdict on a fault for one case, or the account of a broken contract."""
    found = try_once(mistake.subject(), case)
    return found if isinstance(found, str) else found.status


@each_fault_in_each_precision
def test_fault_is_caught(fault: Fault, dtype: str) -> None:
    got_through = [seed for seed in SEEDS if caught_by(fault, dtype, seed) is None]
    assert not got_through, f"{fault.name} in {dtype} got through {LIMIT} cases of seeds {got_through}"


@each_fault_in_each_precision
def test_only_a_broken_contract_is_reported_as_one(fault: Fault, dtype: str) -> None:
    caught = caught_by(fault, dtype, SEEDS[0])
    assert caught is not None
    assert (caught.by == "contract") is is_seen_by_a_trial_alone(fault), caught.account


@IN_ALL
def test_a_fault_that_a_precision_hides_is_not_caught_in_it(dtype: str) -> None:
    hidden = [fault for fault in FAULTS.values() if dtype in fault.hidden]
    assert [fault.name for fault in hidden if catch(fault, dtype, SEEDS[0])] == []


@IN_ALL
def test_correct_code_is_never_caught(dtype: str) -> None:
    assert catch(CORRECT, dtype, SEEDS[0]) is None


@IN_ALL
def test_correct_code_raises_no_alarm(dtype: str) -> None:
    assert false_alarms(dtype, 40) == (40 * 32, 0)


@IN_ALL
@pytest.mark.parametrize(("H", "expected"), [(1, "pass"), (2, "fail")])
def test_a_transpose_shows_from_two_units_on(dtype: str, H: int, expected: str) -> None:
    case = Case.random(4, 3, 2, H, seed=1, dtype=dtype).probed()
    assert status(FAULTS["Wh transposed"], case) == expected


@IN_ALL
@pytest.mark.parametrize(("T", "expected"), [(3, "pass"), (4, "fail")])
def test_truncation_shows_from_the_fourth_step_on(dtype: str, T: int, expected: str) -> None:
    case = Case.random(T, 3, 2, 3, seed=1, dtype=dtype).probed()
    assert status(FAULTS["BPTT truncated at 3"], case) == expected


@pytest.mark.parametrize(("values", "expected"), [("plain", "pass"), ("integers", "fail")])
def test_the_kink_of_relu_needs_zeros(values: str, expected: str) -> None:
    case = Case.random(4, 3, 2, 5, seed=1, nonlinearity="relu", values=values).probed()
    assert status(FAULTS["relu'(0) = 1"], case) == expected


@pytest.mark.parametrize(("values", "expected"), [("plain", "pass"), ("nan", "fail")])
def test_laundering_needs_nan(values: str, expected: str) -> None:
    case = Case.random(4, 3, 2, 5, seed=1, values=values).probed()
    assert status(FAULTS["NaN laundered into 0"], case) == expected


@pytest.mark.parametrize(
    ("relative", "dtype", "expected"),
    [
        ("1e-12", "float64", "fail"),
        ("1e-12", "float32", "pass"),
        ("1e-06", "float32", "fail"),
        ("1e-06", "float16", "pass"),
        ("0.005", "float16", "fail"),
        ("0.005", "bfloat16", "pass"),
        ("0.05", "bfloat16", "fail"),
    ],
)
def test_an_error_below_one_rounding_passes(relative: str, dtype: str, expected: str) -> None:
    case = Case.random(4, 3, 2, 5, seed=1, dtype=dtype, stack=8).probed()
    assert status(FAULTS[f"one element off by {relative}"], case) == expected


def test_score_has_a_row_for_each_fault_and_precision() -> None:
    ticks: list[None] = []
    rows = score(["float32"], seeds=[0, 1], progress=lambda: ticks.append(None))
    assert len(ticks) == len(rows) == sum("float32" in fault.precisions for fault in FAULTS.values())
    for row in rows:
        assert row.caught == 1
        assert row.cases == median(found.cases for found in row.catches if found is not None)


def test_score_shows_faults_that_are_not_caught() -> None:
    (row,) = (row for row in score(["float64"], seeds=[0], limit=1) if row.fault.name == "states zero beyond 32 rows")
    assert (row.caught, row.cases, row.by) == (0, None, None)


def test_score_is_the_same_each_time() -> None:
    assert catch(FAULTS["one element off by 1e-06"], "float32", 5) == catch(
        FAULTS["one element off by 1e-06"], "float32", 5
    )


def test_a_crash_catches_nothing() -> None:
    def crash(case: Case) -> Case:
        raise ValueError("no such cell")

    message = r"^mutation_score: expected an evaluation, got ValueError: no such cell \(T=\d+, N=\d+, D=\d+, H=\d+"
    with pytest.raises(RuntimeError, match=message):
        catch(fault("none", "crash", "Raises.", case=crash), "float64", 0)
