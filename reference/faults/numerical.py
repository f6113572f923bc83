"""Numerical faults: fewer digits than the dtype has, in all products or in a single element."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from reference.case import Case
from reference.cells import Array
from reference.evaluation import Evaluation
from reference.faults.fault import HALVES, Change, Fault, fault, with_tanh
from reference.layer import Layer
from reference.precision_loss import chop

IN_FLOAT32 = dict.fromkeys(("float32", *HALVES), "it computes in float32 itself")
ONE_ROUNDING = "the error is less than one rounding"


def rounding(rounded: Callable[[Array], Array]) -> Change:
    """Return a change of ``product`` that rounds its operands."""
    return lambda layer, right, p, q: right(rounded(p), rounded(q))


def summed(bits: int) -> Change:
    """Return a change of ``product`` that adds the terms one by one and rounds every partial sum to ``bits``."""

    def product(layer: Layer, right: Any, p: Array, q: Array) -> Array:
        total = right(p[..., :0], q[..., :0, :])
        for k in range(p.shape[-1]):
            total = chop(total + right(p[..., k : k + 1], q[..., k : k + 1, :]), bits)
        return total

    return product


def displaced(relative: float, case: Case, evaluation: Evaluation) -> Evaluation:
    """Return the evaluation with one wrong element in each case, off by the relative error ``relative``."""
    random = np.random.default_rng(zlib.crc32(case.upstream.tobytes()))
    fields = {name: np.array(array) for name, array in evaluation.present().items()}
    names, K = list(fields), case.K or 1
    for k in range(K):
        array = fields[names[random.integers(len(names))]].reshape(K, -1)
        array[k, random.integers(array.shape[1])] *= 1 + relative
    return Evaluation(**fields)


def one_off(relative: float, *hidden: str, why: str = ONE_ROUNDING) -> Fault:
    """Return the fault of one element with the relative error ``relative``."""
    description = f"Gets one element wrong by {relative:g} of its value, as a race or a missing mask does."
    name, reasons = f"one element off by {relative:g}", dict.fromkeys(hidden, why)
    return fault("numerical", name, description, hidden=reasons, result=partial(displaced, relative))


def gradients(change: Callable[[Array], Array]) -> Change:
    """Return a change of ``result`` that changes every gradient."""
    return lambda case, evaluation: evaluation.map(change).replacing(hs=evaluation.hs)


# The columns of the table are name, description, conditions, precisions that hide the fault, and changes by hook.
# fmt: off
numerical = partial(fault, "numerical")
NUMERICAL = (
    numerical("products in TF32", "Leaves TF32 on, a fast mode of GPUs, which rounds operands to 11 bits.",
              hidden=dict.fromkeys(HALVES, "TF32 has all of its digits"), product=rounding(lambda p: chop(p, 11))),
    numerical("products in bfloat16", "Rounds operands to 8 bits, as CPUs do at medium precision.",
              hidden={"bfloat16": "it is the dtype itself"}, product=rounding(lambda p: chop(p, 8))),
    numerical("products in float16", "Casts operands to float16.", hidden={"float16": "it is the dtype itself"},
              product=rounding(lambda p: p.astype(np.float16).astype(p.dtype))),
    numerical("products in float32", "Multiplies in float32 inside a float64 layer.", hidden=IN_FLOAT32,
              product=lambda layer, right, p, q: right(p.astype(np.float32), q.astype(np.float32))),
    numerical("float32 inside float64", "Casts everything to float32 on the way in and back on the way out.",
              hidden=IN_FLOAT32, calls=lambda run, case, kept: run(case.astype("float32")).astype(case.dtype)),
    numerical("sums in bfloat16", "Adds the terms of products in 8 bits.", product=summed(8)),
    numerical("sums in float16", "Adds the terms of products in 11 bits.", product=summed(11)),
    numerical("sums in float32", "Adds the terms of products in 24 bits.", hidden=IN_FLOAT32, product=summed(24)),
    numerical("tanh in float32", "Calls the float32 variant of tanh from float64 code.",
              with_tanh, hidden=IN_FLOAT32, f=lambda layer, right, a: chop(right(a), 24)),
    one_off(0.05),
    one_off(0.005, "bfloat16", why="0.5 % is about one rounding"),
    one_off(1e-5, *HALVES),
    one_off(1e-6, *HALVES),
    one_off(1e-12, "float32", *HALVES),
    numerical("gradient clipped", "Clips every gradient to [-1, 1] inside the layer.",
              result=gradients(lambda array: np.clip(array, -1, 1).astype(array.dtype))),
    numerical("gradient flushed below 1e-5", "Sets gradients below 1e-5 to zero, as sparse updates do.",
              result=gradients(lambda array: np.where(np.abs(array) < 1e-5, array * 0, array))),
    numerical("epsilon added to the gradient", "Adds 1e-7 to gradients against a division by zero that cannot occur.",
              result=gradients(lambda array: array + np.asarray(1e-7, array.dtype))),
)
