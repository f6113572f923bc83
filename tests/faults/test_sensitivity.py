"""The smallest detected error: an error of this size is detected, and half of it is not."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest

from reference import PRECISIONS, Evaluation, Verdict, certify
from reference.faults import COMPUTED, compute
from reference.mutation_score import CASES, SHARE, Detectable, detectable, everyday, sensitivity
from reference.verdict import GRADIENTS, QUANTITIES

# Upper limit of the sensitivity in each precision, for all quantities.
LARGEST = {"float64": 1e-13, "float32": 1e-5, "bfloat16": 0.25, "float16": 0.03}

IN_ALL = pytest.mark.parametrize("dtype", COMPUTED)
OF_EACH = pytest.mark.parametrize("quantity", GRADIENTS)


@cache
def correct(dtype: str) -> tuple[Evaluation, Verdict]:
    """Return the evaluation of the everyday cases by correct code, and its verdict."""
    case = everyday(dtype)
    evaluation = compute(case)
    return evaluation, certify(case, evaluation, PRECISIONS[dtype])


def displaced(evaluation: Evaluation, quantity: str, place: tuple[np.ndarray, ...], by: np.ndarray) -> Evaluation:
    """Return the evaluation with one element of each case displaced and rounded to storage."""
    field = next(field for field, name in QUANTITIES.items() if name == quantity)
    array = np.array(getattr(evaluation, field))
    array[place] = (array[place].astype(np.float64) + by).astype(array.dtype)
    return dataclasses.replace(evaluation, **{field: array})


def leaves_its_bound(dtype: str, quantity: str, found: Detectable, by: np.ndarray) -> np.ndarray:
    """Return the cases in which the displaced element is out of its bound."""
    evaluation, verdict = correct(dtype)
    wrong = certify(verdict.case, displaced(evaluation, quantity, found.place, by), PRECISIONS[dtype])
    return np.asarray(wrong.compared[quantity].ratio[found.place] > 1)


@IN_ALL
def test_correct_code_passes(dtype: str) -> None:
    assert correct(dtype)[1].statuses == ["pass"] * CASES


@IN_ALL
@OF_EACH
@pytest.mark.parametrize("sign", [1, -1])
def test_an_error_of_that_size_is_detected(dtype: str, quantity: str, sign: int) -> None:
    found = detectable(correct(dtype)[1], quantity)
    assert leaves_its_bound(dtype, quantity, found, sign * found.error).all()
    assert leaves_its_bound(dtype, quantity, found, sign * found.relative * found.largest).mean() >= SHARE


@IN_ALL
@OF_EACH
def test_half_of_it_is_not(dtype: str, quantity: str) -> None:
    verdict = correct(dtype)[1]
    found, compared = detectable(verdict, quantity), verdict.compared[quantity]
    towards = np.where((compared.actual > compared.expected)[found.place], -1, 1)
    assert not leaves_its_bound(dtype, quantity, found, towards * found.error / 2).any()


@IN_ALL
def test_figures_are_as_fine_as_the_format(dtype: str) -> None:
    figures = sensitivity(dtype)
    assert figures == {quantity: detectable(correct(dtype)[1], quantity).relative for quantity in GRADIENTS}
    assert all(PRECISIONS[dtype].u < figure <= LARGEST[dtype] for figure in figures.values()), figures


@OF_EACH
def test_no_element_of_the_probe_is_chosen(quantity: str) -> None:
    evaluation, verdict = correct("float64")
    plain = verdict.case.unprobed()
    shapes = {"h": plain.upstream, "dx": plain.xs, "dh0": plain.h0, "dWx": plain.params.Wx, "dWh": plain.params.Wh}
    place = detectable(verdict, quantity).place
    shape = shapes[quantity].shape if quantity in shapes else evaluation.db.shape
    assert [len(np.unique(axis)) for axis in place] == list(shape)


def test_other_elements_are_chosen_with_another_seed() -> None:
    verdict = correct("float64")[1]
    one, other = (detectable(verdict, "dWh", seed).place for seed in (0, 1))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))
