"""Faults of the contract: inputs changed, memory shared, the wrong dtype or shape, calls that differ."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from reference.case import Case
from reference.evaluation import Evaluation
from reference.faults.fault import Family, compute, with_tanh
from reference.trial import Subject

family = Family("contract")


def overwrite(array: Any, values: Any) -> Any:
    """Write to a read-only array as compiled code does, which knows its address alone."""
    owner = array if array.base is None else array.base
    owner.flags.writeable = True
    array.flags.writeable = True
    array[...] = values
    array.flags.writeable = owner.flags.writeable = False
    return array


@family.subject("input mutated")
def input_mutated() -> Subject:
    """Takes the initial state as its buffer and leaves the last state in it."""

    def subject(case: Case) -> Evaluation:
        evaluation = compute(case)
        overwrite(case.h0, evaluation.hs[..., -1, :, :])
        return evaluation

    return subject


@family.subject("parameter mutated")
def parameter_mutated() -> Subject:
    """Applies the gradient to Wh inside backward."""

    def subject(case: Case) -> Evaluation:
        evaluation = compute(case)
        overwrite(case.params.Wh, case.params.Wh - evaluation.dWh)
        return evaluation

    return subject


@family.subject("result written over an input")
def aliased() -> Subject:
    """Returns the states in the memory of the upstream gradient, which it needs no more."""

    def subject(case: Case) -> Evaluation:
        evaluation = compute(case)
        return dataclasses.replace(evaluation, hs=overwrite(case.upstream, evaluation.hs))

    return subject


@family.subject("buffer of the result used again")
def reused() -> Subject:
    """Returns its own buffer of states, which the next call of the same shape writes over."""
    buffers: dict[tuple[int, ...], Any] = {}

    def subject(case: Case) -> Evaluation:
        evaluation = compute(case)
        buffer = buffers.setdefault(case.upstream.shape, evaluation.hs)
        buffer[...] = evaluation.hs
        return dataclasses.replace(evaluation, hs=buffer)

    return subject


@family.result("another dtype")
def other_dtype(case: Case, evaluation: Evaluation) -> Evaluation:
    """Returns dWh in another dtype than its parameter's: float64 under float32, float32 under the others."""
    other = "float64" if case.dtype == "float32" else "float32"
    return dataclasses.replace(evaluation, dWh=evaluation.dWh.astype(other))


@family.result("axes of length 1 squeezed", applies=lambda case: 1 in (*case.upstream.shape, *case.xs.shape))
def squeezed(case: Case, evaluation: Evaluation) -> Evaluation:
    """Squeezes its results, so that a batch of one loses its axis."""
    return evaluation.map(np.squeeze)


@family.subject("non-deterministic")
def unsteady() -> Subject:
    """Adds up in another order at every call, so that the last bit of dWh comes and goes."""
    calls = itertools.count()

    def subject(case: Case) -> Evaluation:
        evaluation = compute(case)
        moved = np.nextafter(evaluation.dWh, np.asarray(np.inf, case.dtype))
        return dataclasses.replace(evaluation, dWh=moved) if next(calls) % 2 else evaluation

    return subject


@family.result("NaN laundered into 0", applies=lambda case: not case.finite and with_tanh(case))
def laundered(case: Case, evaluation: Evaluation) -> Evaluation:
    """Replaces NaN in its results by zero."""
    return evaluation.map(lambda array: np.where(np.isnan(array), np.zeros_like(array), array))
