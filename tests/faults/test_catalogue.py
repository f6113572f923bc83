"""The catalogue: the parts of a fault, and that each fault changes nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from reference import PRECISIONS, Case, Evaluation, certify
from reference.faults import COMPUTED, FAMILIES, FAULTS, HALVES, Fault, compute
from reference.faults.fault import with_bias, with_relu, with_tanh
from reference.mutation_score import drawn
from reference.precision_loss import chop
from tests.each import each_fault, each_fault_in_each_precision
from tests.named import REMEMBERING


def assert_same_bits(actual: Evaluation, expected: Evaluation) -> None:
    """Raise unless both evaluations have the same arrays to the last bit."""
    for name, array in expected.fields().items():
        same = actual.fields()[name] is None if array is None else actual.fields()[name].tobytes() == array.tobytes()
        if not same:
            raise AssertionError(f"{name}: expected {array}, got {actual.fields()[name]}")


def test_there_are_many() -> None:
    assert len(FAULTS) >= 103


def test_names_are_unique() -> None:
    assert len(FAULTS) == sum(len(faults) for faults in FAMILIES.values())


def test_families_are_complete_and_in_order() -> None:
    families = ["layout", "bias", "activation", "state", "derivative", "bptt", "weights", "numerical", "contract"]
    assert list(FAMILIES) == [*families, "corner"]
    assert all(fault.family == name for name, faults in FAMILIES.items() for fault in faults)


@each_fault
def test_description_is_one_sentence(fault: Fault) -> None:
    assert fault.description[0].isupper()
    assert fault.description.endswith(".")
    assert ". " not in fault.description


@each_fault
def test_a_precision_shows_a_fault_or_hides_it_for_a_reason(fault: Fault) -> None:
    assert {*fault.precisions, *fault.hidden} == set(COMPUTED)
    assert "float64" in fault.precisions or fault.name == "upcast to float64"
    assert all(fault.hidden.values())


@each_fault_in_each_precision
def test_nothing_is_wrong_where_it_does_not_apply(fault: Fault, dtype: str) -> None:
    cases = [case for case in (*drawn(dtype, 0, 50), *plain(dtype)) if not fault.applies(case)]
    assert cases or not fault.conditions
    # These conditions stay: the change needs this nonlinearity or a bias, or the condition is part of the mistake.
    own = [each for each in fault.conditions if each in (with_tanh, with_relu, with_bias) or fault.family == "corner"]
    unconditional = dataclasses.replace(fault, conditions=tuple(own))
    for case in cases:
        assert_same_bits(unconditional.subject()(case), compute(case))


@each_fault_in_each_precision
def test_something_is_wrong_where_it_applies(fault: Fault, dtype: str) -> None:
    def differs(case: Case) -> bool:
        subject, own = fault.subject(), case.map(np.array)
        subject(own)
        return as_bytes(subject(own)) != as_bytes(compute(case)) or as_bytes(own) != as_bytes(case)

    cases = [case for case in (*drawn(dtype, 0, 50), *plain(dtype)) if fault.applies(case)]
    invisible = {"buffer of the result used again", *REMEMBERING}
    assert any(differs(case) for case in cases) or fault.name in invisible


@pytest.mark.parametrize(
    ("fault", "dtype"),
    [
        pytest.param(fault, dtype, id=f"{fault.name}-{dtype}")
        for fault in FAULTS.values()
        for dtype in fault.precisions
        # In a half precision, only some elements show the fault.
        if "product" in fault.changes and dtype not in HALVES
    ],
)
def test_fewer_digits_in_products_are_in_all_of_them(fault: Fault, dtype: str) -> None:
    case = Case.random(6, 3, 2, 4, seed=1, dtype=dtype).probed()
    worst = certify(case, fault.subject()(case), PRECISIONS[dtype]).worst
    assert {name for name, found in worst.items() if found.ratio > 1} >= {"h", "dx", "dh0", "dWx", "dWh"}


def plain(dtype: str) -> list[Case]:
    """Return cases without the probe, with sizes at the limits of the conditions."""
    sizes = ((3, 2, 1, 4), (3, 2, 3, 3), (3, 2, 2, 5), (3, 2, 4, 2), (3, 1, 2, 3), (1, 2, 2, 2), (1, 1, 1, 1))
    return [Case.random(*each, dtype=dtype) for each in sizes]


def as_bytes(record: Case | Evaluation) -> list[tuple[tuple[int, ...], bytes]]:
    """Return the shapes and the bytes of a record's arrays."""
    return [(array.shape, array.tobytes()) for array in record.fields().values() if isinstance(array, np.ndarray)]


@each_fault_in_each_precision
def test_a_stack_is_taken_like_its_cases(fault: Fault, dtype: str) -> None:
    stack = Case.random(3, 2, 2, 3, seed=4, dtype=dtype, stack=4).probed()
    shapes = fault.subject()(stack).map(lambda array: np.empty(array.shape[1:]))
    single = fault.subject()(stack[0])
    assert {n: np.shape(a) for n, a in shapes.fields().items()} == {n: np.shape(a) for n, a in single.fields().items()}


@each_fault
def test_each_use_is_fresh(fault: Fault) -> None:
    case = Case.random(3, 2, 2, 3, seed=4).probed()
    used = fault.subject()
    first = used(case.map(np.array)).map(np.array)
    used(case.map(np.array))
    assert_same_bits(fault.subject()(case.map(np.array)), first)


def test_a_kept_state_shows_in_the_second_call() -> None:
    case, subject = Case.random(seed=1), FAULTS["state kept from the last call"].subject()
    assert_same_bits(subject(case), compute(case))
    with pytest.raises(AssertionError, match=r"^hs: expected "):
        assert_same_bits(subject(case), compute(case))


@pytest.mark.parametrize(
    ("bits", "cast"),
    [(11, lambda a: a.astype(np.float16).astype(a.dtype)), (24, lambda a: a.astype(np.float32).astype(a.dtype))],
    ids=["float16", "float32"],
)
def test_chop_rounds_as_the_format_does(bits: int, cast: Callable[..., np.ndarray]) -> None:
    values = np.random.default_rng(0).uniform(-8, 8, 10_000)
    # Ties are included: odd multiples of half a unit in the last place.
    values = np.concatenate([values, (2 * np.arange(1, 1000) + 1) * 2.0**-bits + 1])
    assert chop(values, bits).tobytes() == cast(values).tobytes()
    assert chop(values, bits - 1).tobytes() != cast(values).tobytes()
