"""What a fault is, and the short ways to write one: bend the case, a method of the cell, the tape, or the result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

from reference.archive import DTYPES
from reference.case import Case
from reference.cells import RNN, Array
from reference.evaluation import Evaluation
from reference.faults.storage import carried
from reference.sequence import TimeRNN, evaluate_arrays, lift, rows, steps
from reference.trial import Subject

Tape = tuple[Array, Array, Array]
# Precisions that the catalogue computes in, and those of them whose unit roundoff is above 1e-4.
COMPUTED, HALVES = DTYPES, ("bfloat16", "float16")
Written = TypeVar("Written")


class Decorator(Protocol):
    """What collects a piece of code and returns it as it is."""

    def __call__(self, written: Written) -> Written:
        """Collect ``written``."""


def always(case: Case) -> bool:
    """Tell that a mistake can show in any case."""
    return True


def with_bias(case: Case) -> bool:
    """Tell whether the cell has a bias."""
    return case.params.b is not None


def with_tanh(case: Case) -> bool:
    """Tell whether the nonlinearity is tanh."""
    return case.nonlinearity == "tanh"


def with_relu(case: Case) -> bool:
    """Tell whether the nonlinearity is relu."""
    return case.nonlinearity == "relu"


def longer_than(T: int) -> Callable[[Case], bool]:
    """Return a test for more than T steps."""
    return lambda case: case.sizes["T"] > T


def with_rows(case: Case) -> bool:
    """Tell whether the batch has more than one row."""
    return case.sizes["N"] > 1


def with_units(case: Case) -> bool:
    """Tell whether there is more than one hidden unit."""
    return case.sizes["H"] > 1


@dataclass(frozen=True)
class Fault:
    """A mistake that authors of recurrent cells make, with a way to have it made."""

    name: str
    family: str
    description: str  # one sentence: what the author of such code did wrong
    subject: Callable[[], Subject]  # a fresh one for each use, since some keep state from call to call
    hidden: Mapping[str, str] = field(default_factory=dict, hash=False)  # precisions that cannot show it, and why
    applies: Callable[[Case], bool] = always  # False where such code returns just what correct code does
    kind: str = "subject"  # how it is written: the name of the method of Family that took it
    written: Any = None  # what that method took, for two faults to be had at once

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions in which the mistake is more than a rounding: all but the hidden ones."""
        return tuple(dtype for dtype in COMPUTED if dtype not in self.hidden)


def hides(reason: str, *dtypes: str) -> dict[str, str]:
    """Return precisions that cannot show a fault, all for one reason."""
    return dict.fromkeys(dtypes, reason)


def scaled(array: Any, share: float) -> Any:
    """Return an array multiplied by ``share``, in its dtype, which bfloat16 would lose beside a number."""
    return np.asarray(array * share, array.dtype)


def compute(
    case: Case, Layer: type[TimeRNN] = TimeRNN, arithmetic: type[np.ndarray[Any, Any]] = np.ndarray
) -> Evaluation:
    """Evaluate a case in its own dtype, in a half precision with sums in float32, as a correct implementation does.

    Args:
        case: one case or a stack.
        Layer: the layer, to have a mistake in it.
        arithmetic: a kind of array, to have a mistake in that.

    Returns:
        The evaluation in the case's dtype, in memory of its own.
    """
    wide, kind = carried(case.dtype, arithmetic)
    arrays = lift(case, lambda array: array.astype(wide, copy=False).view(kind))
    with np.errstate(all="ignore"):
        evaluation = evaluate_arrays(**arrays, f=case.nonlinearity, Layer=Layer)
        return evaluation.map(lambda array: np.array(array, case.xs.dtype))


def unaware(case: Case) -> Case:
    """Return the case as an implementation sees it, to which a probe is columns like any other."""
    return dataclasses.replace(case, is_probed=False)


def with_params(case: Case, **arrays: Array) -> Case:
    """Return the case with other parameters."""
    return dataclasses.replace(case, params=dataclasses.replace(case.params, **arrays))


@dataclass(frozen=True)
class Family:
    """Collect the faults of one kind; its methods decorate the lines that are wrong.

    The docstring of what is decorated, one sentence, becomes the description.
    """

    name: str
    faults: list[Fault] = field(default_factory=list)

    def case(self, name: str, **options: Any) -> Decorator:
        """Have a function ``case -> case`` applied before correct code runs."""
        return self._collect(
            name, options | {"kind": "case"}, lambda bend: lambda: lambda case: compute(bend(unaware(case)))
        )

    def result(self, name: str, **options: Any) -> Decorator:
        """Have a function ``case, evaluation -> evaluation`` applied after correct code ran."""
        return self._collect(
            name, options | {"kind": "result"}, lambda bend: lambda: lambda case: bend(case, compute(case))
        )

    def cell(self, name: str, **options: Any) -> Decorator:
        """Have a class derived from the cell run in its place."""
        return self._collect(
            name, options | {"kind": "cell"}, lambda Cell: lambda: lambda case: compute(case, unrolled(Cell))
        )

    def tape(self, name: str, **options: Any) -> Decorator:
        """Have a function of (xs, h_prev, hs), what backward works from, applied between forward and backward."""
        return self._collect(
            name, options | {"kind": "tape"}, lambda bend: lambda: lambda case: compute(case, taped(bend))
        )

    def arithmetic(self, name: str, **options: Any) -> Decorator:
        """Have a kind of array run through correct code."""
        return self._collect(
            name, options | {"kind": "arithmetic"}, lambda kind: lambda: lambda case: compute(case, arithmetic=kind)
        )

    def subject(self, name: str, **options: Any) -> Decorator:
        """Take a function that returns a fresh subject."""
        return self._collect(name, options, lambda make: make)

    def _collect(
        self, name: str, options: dict[str, Any], subject: Callable[[Any], Callable[[], Subject]]
    ) -> Decorator:
        def decorate(written: Written) -> Written:
            description = " ".join((written.__doc__ or "").split())
            self.faults.append(Fault(name, self.name, description, subject(written), written=written, **options))
            return written

        return decorate


def unrolled(cell: type[RNN]) -> type[TimeRNN]:
    """Return the layer that unrolls another cell."""

    class Unrolled(TimeRNN):
        Cell = cell

    return Unrolled


def taped(bend: Callable[..., Tape]) -> type[TimeRNN]:
    """Return a layer whose backward works from another tape than its forward wrote."""

    class Taped(TimeRNN):
        def forward(self, xs: Array) -> Array:
            hs = super().forward(xs)
            if self._tape is not None:
                self._tape = bend(*self._tape)
            return hs

    return Taped


class Selective(RNN):
    """A cell that can tell the steps apart in the merged rows that ``to_params`` is given."""

    T = 0

    def advance(self, drive: Array, h_prev: Array) -> Array:
        """Return the next state and count the step."""
        self.T += 1
        return super().advance(drive, h_prev)

    def select(self, index: Any, *merged: Array) -> list[Array]:
        """Return, of rows merged from (T, N, F), those at an index of the last three axes, merged again."""
        return [rows(steps(array, self.T, array.shape[-2] // self.T)[index]) for array in merged]


def piecewise(case: Case, length: int, *, carry: bool) -> Evaluation:
    """Evaluate a few steps at a time, each piece as a sequence of its own: no gradient crosses from one to another.

    Args:
        case: one case or a stack; T at least 1.
        length: steps in a piece; the last may be shorter.
        carry: start each piece from the state that the one before ended in; otherwise from h0.

    Returns:
        The evaluation of the whole, weight gradients added up, dh0 that of the first piece.
    """
    parts: list[Evaluation] = []
    for start in range(0, case.sizes["T"], length):
        xs, upstream = (array[..., start : start + length, :, :] for array in (case.xs, case.upstream))
        h0 = parts[-1].hs[..., -1, :, :] if parts and carry else case.h0
        parts.append(compute(dataclasses.replace(case, xs=xs, upstream=upstream, h0=h0, finite=False)))
    hs, dxs = (np.concatenate([getattr(part, name) for part in parts], axis=-3) for name in ("hs", "dxs"))
    gradients = {
        name: np.sum([getattr(part, name) for part in parts], axis=0, dtype=case.xs.dtype)
        for name, array in parts[0].fields().items()
        if name.startswith("dW") or (name == "db" and array is not None)
    }
    return Evaluation(hs, dxs, parts[0].dh0, **gradients)
