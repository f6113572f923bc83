"""The certificate: compare each step of an implementation with one oracle step from the same neighbouring values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.archive import spell
from reference.bounded import Bounded
from reference.case import Case
from reference.cells import OpenedRNNCell
from reference.comparison import Comparison, Flags, Tally
from reference.evaluation import Evaluation
from reference.kinds import expect_kinds
from reference.layer import Layer, evaluate, evaluate_in, steps
from reference.masks import beside_nan, met_by_infinity, undetermined
from reference.precision import Precision, named
from reference.step_bounds import StepBounds, exact_layer
from reference.verdict import QUANTITIES, Verdict

# Elements in an array of a chunk. The arrays of a chunk fit in the cache of a core.
CHUNK = 2**16
# Largest number of steps over which tangents and second derivatives are enclosed; beyond it the bounds are too wide.
LONGEST_DIRECTION = 8


def certify(case: Case, evaluation: Evaluation, precision: Precision | str) -> Verdict:
    """Judge an evaluation of a case or a stack by the range of results that correct arithmetic may return.

    Each step is compared with one step of the oracle, computed from the neighbouring values in the evaluation. So
    errors do not pile up over time, and the bound at T = 1000 is the bound of one step:

        h[t]   from h[t-1]                    A[t] from A[t+1] and h[t]      (A: the probe's columns of dx)
        dx[t], dh0 from A[t], A[0]            dWx, dWh, db from all x, h, A, in any order of summation

    If every local relation holds, the whole run is right. Without a probe, A comes from the bounded recursion over the
    steps. This is equally sharp for T = 1, and soon too wide to decide for larger T. A direct path is a bounded
    recurrence too, and so is a second state, unless it is returned at every step as ``cs``. Derivatives along a
    direction are enclosed from the inputs.

    Args:
        case: one case or a stack, with or without a probe, in the dtype of ``precision``.
        evaluation: the results of the implementation for this case; hs is required, a gradient may be None.
        precision: the model of the arithmetic, with the implementation's accuracy of tanh; or a key of ``PRECISIONS``.

    Returns:
        The verdict. "fail": an element is outside its bound, or is not finite although the oracle is. "inconclusive":
        for some quantity the median bound is wider than a tenth of the value's scale, for example because finite
        inputs lead beyond the largest number of the format. "pass": neither.

    Raises:
        TypeError: an argument is of another kind, or the dtype of the case or evaluation is not that of ``precision``.
        ValueError: an array of the evaluation is missing or has the wrong shape, the stack is empty, or a case with a
            direction is in a half precision or has too many steps.

    Source: derived in reference/README.md, section "A thousand steps, checked at the accuracy of one".
    """
    kinds = {"case": Case, "evaluation": Evaluation, "precision": (Precision, str)}
    expect_kinds("certify", kinds, {"case": case, "evaluation": evaluation, "precision": precision})
    precision = named(precision)
    if case.dtype != precision.name:
        raise TypeError(f"certify: expected a case of dtype {precision.name}, got {case.dtype} ({spell(case.sizes)})")
    if case.K == 0:
        raise ValueError(f"certify: expected at least one case, got a stack of 0 ({spell(case.sizes)})")
    given = _expect_fields(case, evaluation)
    tallies = {QUANTITIES[field]: Tally(array.size // (case.K or 1), case.K) for field, array in given.items()}
    for field, place, compared in _compare(case, given, precision):
        tallies[QUANTITIES[field]].add(compared, place.cases, place.offset(case.axes()[field]))
    return Verdict(case, evaluation, precision, tallies, certify, _comparisons, _own)


def enclose(case: Case, precision: Precision, hs: NDArray[Any] | None = None) -> Evaluation:
    """Bound the results of correct arithmetic for a whole run, from its inputs alone.

    Unlike in ``certify``, errors pile up over the steps. So the bounds are sharp for few steps and wide for many. They
    need no results of an implementation.

    Args:
        case: one case or a stack, with or without a direction.
        precision: the model of the arithmetic.
        hs: outputs of an implementation, if they are available; if an output is zero, its relu is taken as closed.

    Returns:
        The evaluation. Each field is a ``Bounded``: the oracle's values and bounds on the distance from them.
    """
    model = precision.storing(case.sizes["T"])
    cell = None if hs is None or case.nonlinearity != "relu" else OpenedRNNCell(steps(hs))
    with np.errstate(all="ignore"):
        return evaluate_in(case, lambda array: Bounded.exact(array, model), cell=cell, every_state=True)


def _own(case: Case, precision: Precision) -> Evaluation:
    """Return the oracle's own results with bounds on the rounding of all steps; its own relu units are open."""
    with np.errstate(all="ignore"):
        return enclose(case, precision, evaluate(case).hs)


@dataclass(frozen=True)
class Chunk:
    """Some cases of a stack and some rows of their batch, certified at once. Rows do not interact."""

    cases: slice
    rows: slice
    is_last: bool  # whether it is the last chunk of these cases
    stacked: bool

    def of(self, array: NDArray[Any], axes: str) -> NDArray[Any]:
        """Return the part of an array that belongs to the chunk."""
        part = array[self.cases] if self.stacked else array
        return part[..., self.rows, :] if "N" in axes else part

    def offset(self, axes: str) -> tuple[int, ...]:
        """Return the index of the chunk's first element in the whole array."""
        start = tuple(self.rows.start if axis == "N" else 0 for axis in axes)
        return (self.cases.start, *start) if self.stacked else start


def chunks(case: Case) -> Iterator[Chunk]:
    """Divide a case or a stack into chunks that fit in the cache: whole cases, or some rows of one case."""
    T, N, D, H = case.sizes.values()
    a_row = max(1, T) * max(D, H, 1)
    # The parameter gradients are added up from chunk to chunk. This must not cost more than the chunk itself.
    elements = max(CHUNK, H * max(D, H))
    cases, rows = max(1, elements // (a_row * max(1, N))), max(1, elements // a_row)
    for k in range(0, case.K or 1, cases):
        for n in range(0, max(1, N), rows):
            places = slice(k, min(k + cases, case.K or 1)), slice(n, min(n + rows, N))
            yield Chunk(*places, n + rows >= N, case.K is not None)


def _compare(
    case: Case, given: dict[str, NDArray[Any]], precision: Precision
) -> Iterator[tuple[str, Chunk, Comparison]]:
    """Yield, chunk by chunk, the name of a field, the place of some of its elements, and their comparison."""
    infinite = None if case.finite else met_by_infinity(case)
    axes, stacked, plain, inputs = case.axes(), case.K is not None, case.arrays(), case.inputs
    if case.is_probed:
        of_inputs = {name: axes[name].index("D") - len(axes[name]) for name in plain if "D" in axes[name]}
        plain |= {name: np.take(plain[name], inputs, axis) for name, axis in of_inputs.items()}

    def compared(field: str, chunk: Chunk, bounded: Bounded) -> tuple[str, Chunk, Comparison]:
        loose: Flags | bool = False
        if infinite is not None:
            # If any row of the case meets an infinity, a sum over the rows meets it too.
            met = chunk.of(infinite[..., None], axes[field])[..., 0]
            loose = undetermined(case, met, field)
        nan = field == "dxs" and beside_nan(case, bounded)
        actual = chunk.of(given[field], axes[field]).astype(np.float64)
        return field, chunk, Comparison(actual, bounded, nan, loose, case.finite, stacked)

    sums: dict[str, Bounded] = {}
    layer: Layer | None = None
    for chunk in chunks(case):
        part, seen = ({name: chunk.of(array, axes[name]) for name, array in each.items()} for each in (plain, given))
        with np.errstate(all="ignore"):
            layer = layer or exact_layer(case, part, precision)
            bounded = StepBounds(case, layer, part, seen, precision).fields()
            for name in [name for name in bounded if "N" not in axes[name]]:
                total = bounded.pop(name)
                sums[name] = sums[name] + total if name in sums else total
            if chunk.is_last:
                bounded |= sums
                if case.probe is not None and "dWx" in bounded:
                    # The probe's columns of x are all zero, so one of them is computed and repeated.
                    rows = np.minimum(np.argsort([*inputs, *case.probe]), len(inputs))
                    bounded["dWx"] = bounded["dWx"][..., rows, :]
                sums, layer = {}, None
            bounded = {name: array.rounded() for name, array in bounded.items() if name in given}
        for field, array in bounded.items():
            yield compared(field, chunk, array)
    derivatives = [name for name in given if name.endswith("_dot")]
    if derivatives:
        whole = Chunk(slice(0, case.K or 1), slice(0, case.sizes["N"]), True, stacked)
        enclosed = enclose(case, precision, given["hs"])
        for field in derivatives:
            yield compared(field, whole, getattr(enclosed, field).rounded())


def _comparisons(case: Case, evaluation: Evaluation, precision: Precision) -> dict[str, Comparison]:
    """Return the comparison of every element of each quantity, with all chunks joined."""
    joined: dict[str, Comparison] = {}
    for field, chunk, part in _compare(case, _expect_fields(case, evaluation), precision):
        if field not in joined:
            joined[field] = part.blank(case.shapes()[field])
        for array, source in zip(joined[field].parts(), part.parts(), strict=True):
            chunk.of(array, case.axes()[field])[...] = source
    return {name: joined[field] for field, name in QUANTITIES.items() if field in joined}


def _expect_fields(case: Case, evaluation: Evaluation) -> dict[str, NDArray[Any]]:
    """Return the arrays of the evaluation by field; raise unless they have the shapes and the dtype of the case."""
    shapes, sizes = case.shapes(), spell(case.sizes)
    if evaluation.hs is None:
        raise ValueError(f"certify: expected hs of shape {shapes['hs']}, got None ({sizes})")
    given = evaluation.present()
    for name, array in given.items():
        if name not in shapes or (name.removesuffix("_dot") == "db" and case.params.b is None):
            undirected = name.endswith("_dot") and case.direction is None
            why = "case without a direction" if undirected else "cell without bias"
            raise ValueError(f"certify: expected no {name} for a {why}, got {np.shape(array)} ({sizes})")
        if not isinstance(array, np.ndarray) or array.dtype != case.xs.dtype:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"certify: expected {name} as an array of {case.dtype}, got {kind} ({sizes})")
        if array.shape != shapes[name]:
            raise ValueError(f"certify: expected {name} of shape {shapes[name]}, got {array.shape} ({sizes})")
    if any(name.endswith("_dot") for name in given) and (case.xs.itemsize == 2 or case.sizes["T"] > LONGEST_DIRECTION):
        expected = f"a direction in float64 or float32 and T <= {LONGEST_DIRECTION}"
        raise ValueError(f"certify: expected {expected}, got one in {case.dtype} ({sizes})")
    return given
