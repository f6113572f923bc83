"""Numerical faults: fewer digits than the dtype promises, in all products or in a single element."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.arithmetic import chop
from reference.case import Case
from reference.cells import Array
from reference.evaluation import Evaluation
from reference.faults.activation import Approximate
from reference.faults.fault import HALVES, Family, compute, hides, with_tanh
from reference.trial import Subject

family = Family("numerical")

IN_FLOAT32 = hides("it computes in float32 itself", "float32", *HALVES)
ONE_ROUNDING = "the error is less than one rounding"


class Lossy(np.ndarray[Any, Any]):
    """Arrays whose products round their operands."""

    # Without it, arrays that are stacked become plain ones, and half of the products of backward with them.
    __array_priority__ = 1.0

    @staticmethod
    def rounded(array: NDArray[Any]) -> NDArray[Any]:
        """Return an operand as the multiplier sees it."""
        return array

    def product(self, p: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
        """Return p @ q of plain arrays as the multiplier makes it."""
        return np.asarray(self.rounded(p) @ self.rounded(q), self.dtype)

    def __matmul__(self, other: Any) -> Any:
        return self.product(np.asarray(self), np.asarray(other)).view(type(self))

    def __rmatmul__(self, other: Any) -> Any:
        return self.product(np.asarray(other), np.asarray(self)).view(type(self))


@family.arithmetic("products in TF32", hidden=hides("TF32 holds its every digit", *HALVES))
class TF32(Lossy):
    """Leaves TF32 on, as GPUs have it for speed: operands of 11 bits, sums in float32."""

    rounded = staticmethod(lambda array: chop(array, 11))


@family.arithmetic("products in bfloat16", hidden=hides("it is what is asked for", "bfloat16"))
class BFloat16(Lossy):
    """Multiplies in bfloat16, as CPUs do when told that a medium precision will do: operands of 8 bits."""

    rounded = staticmethod(lambda array: chop(array, 8))


@family.arithmetic("products in float16", hidden=hides("it is what is asked for", "float16"))
class Float16(Lossy):
    """Casts the operands of every product to float16 and the result back."""

    rounded = staticmethod(lambda array: array.astype(np.float16).astype(array.dtype))


@family.arithmetic("products in float32", hidden=IN_FLOAT32)
class Float32(Lossy):
    """Multiplies in float32 inside a layer of float64."""

    rounded = staticmethod(lambda array: array.astype(np.float32))


@family.subject("float32 inside float64", hidden=IN_FLOAT32)
def inside() -> Subject:
    """Casts everything to float32 on the way in and back to float64 on the way out."""
    return lambda case: compute(case.astype("float32")).astype(case.dtype)


class Accumulated(Lossy):
    """Arrays whose products are added up one after the other in too few bits."""

    bits = 53

    def product(self, p: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
        """Return p @ q, every partial sum rounded."""
        total = np.zeros_like(p[..., :, :0] @ q[..., :0, :])
        for k in range(p.shape[-1]):
            total = chop(total + p[..., :, k : k + 1] * q[..., k : k + 1, :], self.bits)
        return np.asarray(total)


@family.arithmetic("sums in bfloat16")
class SumsInBFloat16(Accumulated):
    """Adds the terms of products up in 8 bits, as a kernel does that keeps its sums in the storage type."""

    bits = 8


@family.arithmetic("sums in float16")
class SumsInHalf(Accumulated):
    """Adds the terms of products up in 11 bits, as GPUs do where a float16 accumulator is allowed."""

    bits = 11


@family.arithmetic("sums in float32", hidden=IN_FLOAT32)
class SumsInSingle(Accumulated):
    """Adds the terms of products up in float32 though the factors are float64."""

    bits = 24


@family.cell("tanh in float32", hidden=IN_FLOAT32, applies=with_tanh)
class TanhInSingle(Approximate):
    """Calls the float32 variant of tanh from float64 code."""

    def other(self, a: Array) -> Array:
        """Return tanh(a) to 24 bits."""
        return chop(super().other(a), 24)


def displaced(case: Case, evaluation: Evaluation, relative: float) -> Evaluation:
    """Return the evaluation with one element of one quantity of each case wrong by ``relative``."""
    random = np.random.default_rng(zlib.crc32(case.upstream.tobytes()))
    fields = {name: np.array(array) for name, array in evaluation.fields().items() if array is not None}
    names, K = list(fields), case.K or 1
    for k in range(K):
        array = fields[names[random.integers(len(names))]].reshape(K, -1)
        array[k, random.integers(array.shape[1])] *= 1 + relative
    return dataclasses.replace(evaluation, **fields)


def off_by(relative: float, **options: Any) -> None:
    """Add the fault of one element that is wrong by ``relative`` to the family."""

    def one_off() -> Subject:
        return lambda case: displaced(case, compute(case), relative)

    one_off.__doc__ = f"Gets one element wrong by {relative:g} of it, as a race or a tail that is not masked does."
    family.subject(f"one element off by {relative:g}", **options)(one_off)


off_by(0.05)
off_by(0.005, hidden=hides("0.5 % is about one rounding", "bfloat16"))
off_by(1e-5, hidden=hides(ONE_ROUNDING, *HALVES))
off_by(1e-6, hidden=hides(ONE_ROUNDING, *HALVES))
off_by(1e-12, hidden=hides(ONE_ROUNDING, "float32", *HALVES))


def change_gradients(evaluation: Evaluation, change: Callable[[Array], Array]) -> Evaluation:
    """Return the evaluation with every gradient changed."""
    changed = evaluation.map(change)
    return dataclasses.replace(changed, hs=evaluation.hs)


@family.result("gradient clipped")
def clipped(case: Case, evaluation: Evaluation) -> Evaluation:
    """Clips every gradient to [-1, 1] inside the layer."""
    return change_gradients(evaluation, lambda array: np.clip(array, -1, 1).astype(array.dtype))


@family.result("gradient flushed below 1e-5")
def flushed(case: Case, evaluation: Evaluation) -> Evaluation:
    """Sets gradients below 1e-5 to zero, as a sparse update or a careless epsilon does."""
    return change_gradients(evaluation, lambda array: np.where(np.abs(array) < 1e-5, array * 0, array))


@family.result("epsilon added to the gradient")
def epsilon(case: Case, evaluation: Evaluation) -> Evaluation:
    """Adds 1e-7 to gradients against a division by zero that never comes."""
    return change_gradients(evaluation, lambda array: array + np.asarray(1e-7, array.dtype))
