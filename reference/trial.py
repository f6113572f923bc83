"""One trial of a subject: run the subject on a case, check the contract, and certify the results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.archive import Archive
from reference.case import Case
from reference.certify import certify
from reference.certify_layers import certify_layers
from reference.evaluation import Evaluation
from reference.layers import LayersCase, LayersEvaluation
from reference.precision import Precision
from reference.verdict import Mismatch, Verdict

# Anything that evaluates a case: an adapter, a function in a test, a fault of the catalogue.
Subject = Callable[[Case], Evaluation]
Judge = Callable[[Any, Any, Precision], Verdict]
# The certificate of a case, and the kind of its evaluation.
OF_CASE: tuple[Judge, type[Archive], str] = certify, Evaluation, "an Evaluation"
OF_LAYERS: tuple[Judge, type[Archive], str] = certify_layers, LayersEvaluation, "a LayersEvaluation"


def trial(
    subject: Callable[[Any], Any], case: Case | LayersCase, precision: Precision, *, repeat: bool = False
) -> Verdict:
    """Run a subject on one case or a stack, and judge the results.

    Args:
        subject: returns an ``Evaluation`` for the case.
        case: one case or a stack.
        precision: the model of the subject's arithmetic.
        repeat: whether to run the subject a second time, and expect the same bits in separate memory.

    Returns:
        The verdict of ``certify``.

    Raises:
        Mismatch: the subject broke the contract. It changed its input, returned memory of its input or of the previous
            call, or returned different bits for the same case.
        TypeError: the subject did not return an ``Evaluation``, or returned one in another dtype.
        ValueError: the subject returned an array of the wrong shape.
    """
    judge, kind, expected = OF_LAYERS if isinstance(case, LayersCase) else OF_CASE
    before = bits_of(case)
    evaluation = subject(case)
    if not isinstance(evaluation, kind):
        raise TypeError(f"trial: expected {expected}, got {type(evaluation).__name__} ({case.spelled})")
    first = bits_of(evaluation)
    _expect_same_bits("the case's {} unchanged", before, bits_of(case), case)
    _expect_apart("the case", case, evaluation)
    if repeat:
        again = subject(case)
        _expect_same_bits("the same bits of {} from two equal calls", first, bits_of(again), case)
        _expect_apart("the call before", evaluation, again)
    return judge(case, evaluation, precision)


def bits_of(record: Archive) -> dict[str, bytes]:
    """Return the bytes of every array of a record, by name."""
    return {name: array.tobytes() for name, array in record.ndarrays().items()}


def _expect_same_bits(what: str, first: dict[str, bytes], second: dict[str, bytes], case: Case | LayersCase) -> None:
    for name, bits in first.items():
        if bits != second.get(name):
            raise Mismatch(f"contract: expected {what.format(name)}, got others ({case.spelled})")


def _expect_apart(whose: str, record: Archive, evaluation: Archive) -> None:
    for field, result in evaluation.ndarrays().items():
        for name, array in record.ndarrays().items():
            if np.may_share_memory(result, array):
                raise Mismatch(f"contract: expected {field} in memory of its own, got that of {name} of {whose}")
