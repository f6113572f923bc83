"""Faults of the contract: inputs changed, memory shared, dtype or shape wrong, calls that differ."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from reference.case import Case
from reference.evaluation import Evaluation
from reference.faults.fault import fault, with_tanh
from reference.trial import Subject

OTHER = {"float64": "float32", "float32": "float64", "bfloat16": "float32", "float16": "float32"}


def overwrite(array: Any, values: Any) -> Any:
    """Write to a read-only array, as compiled code can through a pointer."""
    owner = array if array.base is None else array.base
    owner.flags.writeable = True
    array.flags.writeable = True
    array[...] = values
    array.flags.writeable = owner.flags.writeable = False
    return array


def after(evaluation: Evaluation, _: Any) -> Evaluation:
    """Return the evaluation; the second argument is evaluated for its side effect."""
    return evaluation


def reused(run: Subject, case: Case, kept: dict[Any, Any]) -> Evaluation:
    """Return the states in a buffer that all calls of one shape share."""
    evaluation = run(case)
    buffer = kept.setdefault(case.upstream.shape, evaluation.hs)
    buffer[...] = evaluation.hs
    return evaluation.replacing(hs=buffer)


def unsteady(run: Subject, case: Case, kept: dict[Any, Any]) -> Evaluation:
    """Return dWh changed by one bit in every second call."""
    evaluation, kept["odd"] = run(case), not kept.get("odd", True)
    moved = np.nextafter(evaluation.dWh, np.asarray(np.inf, case.dtype))
    return evaluation.replacing(dWh=moved) if kept["odd"] else evaluation


def used_up(run: Subject, case: Case, kept: dict[Any, Any]) -> Evaluation:
    """Return zeros for dWh from the second call of a shape on."""
    evaluation, shape = run(case), case.upstream.shape
    is_first = shape not in kept
    kept[shape] = True
    return evaluation if is_first else evaluation.replacing(dWh=np.zeros_like(evaluation.dWh))


def first_weights(run: Subject, case: Case, kept: dict[Any, Any]) -> Evaluation:
    """Use the weights of the first call of their shape."""
    given = {name: np.array(array) for name, array in case.params.present().items()}
    first = kept.setdefault((case.params.Wx.shape, case.params.b is None), given)
    return run(case.replacing(probe=None, finite=False, **first))


# The columns of the table are name, description, conditions and changes by hook.
# fmt: off
contract = partial(fault, "contract")
CONTRACT = (
    contract("input mutated", "Uses the initial state as a buffer and leaves the last state in it.",
             result=lambda case, found: after(found, overwrite(case.h0, found.hs[..., -1, :, :]))),
    contract("parameter mutated", "Applies the gradient to Wh inside backward.",
             result=lambda case, found: after(found, overwrite(case.params.Wh, case.params.Wh - found.dWh))),
    contract("result written over an input", "Returns the states in the memory of the upstream gradient.",
             result=lambda case, found: found.replacing(hs=overwrite(case.upstream, found.hs))),
    contract("upstream written to", "Uses the upstream gradient as its buffer, and clears it at the end.",
             result=lambda case, found: after(found, overwrite(case.upstream, np.zeros_like(case.upstream)))),
    contract("buffer consumed", "Frees what backward needs after the first call; dWh is then zero.", calls=used_up),
    contract("weights of the first call kept", "Caches the weights of the first call.", calls=first_weights),
    contract("buffer of the result used again", "Returns a buffer that the next call overwrites.", calls=reused),
    contract("another dtype", "Returns dWh in a dtype other than that of Wh.",
             result=lambda case, found: found.replacing(dWh=found.dWh.astype(OTHER[case.dtype]))),
    contract("upcast to float64", "Returns float64 for every dtype.",
             hidden={"float64": "it is the dtype itself"}, result=lambda case, found: found.map(np.float64)),
    contract("axes of length 1 squeezed", "Squeezes its results, so that a batch of one loses its axis.",
             lambda case: 1 in case.upstream.shape + case.xs.shape, result=lambda case, found: found.map(np.squeeze)),
    contract("non-deterministic", "Changes the order of a sum between calls; dWh differs in one bit.", calls=unsteady),
    contract("NaN laundered into 0", "Replaces NaN in its results by zero.", lambda case: not case.finite, with_tanh,
             result=lambda case, found: found.map(lambda each: np.where(np.isnan(each), np.zeros_like(each), each))),
)
