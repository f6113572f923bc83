"""Faults that show in one corner alone: a shape, a size, the absence of the probe or the bias, a value."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from reference.case import Case
from reference.cells import Array
from reference.evaluation import Evaluation
from reference.faults.fault import fault, given, more, picked, returned, transposed
from reference.faults.forward import batch_first
from reference.layer import Layer

# Steps, rows or units of one block of a kernel.
BLOCK = 32


def cleared(array: Any, index: Any) -> Any:
    """Return a copy of an array with zeros at an index."""
    found = np.array(array)
    found[index] = 0
    return found


def few(case: Case) -> bool:
    """Return whether there are at most as many inputs as units; the probe's columns count as inputs."""
    return case.sizes["D"] <= case.sizes["H"]


def ring(layer: Layer, hs: Array, xs: Array, before: Array, saved: Any) -> Any:
    """Return the tape of a ring buffer: each step reads what the last step in its place has written."""
    last = len(saved) - 1
    index = [t + (last - t) // BLOCK * BLOCK for t in range(len(saved))]
    return xs, before[..., index, :, :], [saved[t] for t in index]


def masked(case: Case, found: Evaluation) -> Evaluation:
    """Return the state before in the place of the state after a step, in rows without an input."""
    hs, empty = np.array(found.hs), ~np.asarray(case.xs.any(axis=-1, keepdims=True))
    for t in range(case.sizes["T"]):
        before = hs[..., t - 1, :, :] if t else case.h0
        hs[..., t, :, :] = np.where(empty[..., t, :, :], before, hs[..., t, :, :])
    return found.replacing(hs=hs)


def without_upstream(case: Case) -> Any:
    """Return which steps have an upstream gradient of zeros; shape (..., T, 1, 1)."""
    return ~case.upstream.any(axis=(-2, -1), keepdims=True)


# The columns of the table are name, description, conditions and changes by hook.
# fmt: off
corner = partial(fault, "corner")
CORNER = (
    corner("state forgotten where D <= H", "Has a fast path for few inputs that leaves out the product with Wh.",
           few, more(T=1), recurrent_term=lambda layer, right, h: right(np.zeros_like(h))),
    corner("dh0 missing where D <= H", "Has a fast path for few inputs that returns a zero gradient of h0.",
           few, more(T=1), result=returned("dh0", np.zeros_like)),
    corner("inputs beyond the H-th not read", "Loops over the inputs up to H instead of D; this is right if D <= H.",
           lambda case: not few(case),
           case=lambda case: case.replacing(xs=cleared(case.xs, np.s_[..., case.sizes["H"] :]))),
    corner("last input column not read", "Ends the loop over the inputs one column early.",
           case=given("xs", partial(cleared, index=np.s_[..., -1]))),
    corner("last column of dx zero", "Ends the loop over the columns of dx one column early.",
           result=returned("dxs", partial(cleared, index=np.s_[..., -1]))),
    corner("last row of dWx zero", "Ends the loop over the rows of dWx one row early.",
           result=returned("dWx", partial(cleared, index=np.s_[..., -1, :]))),
    corner("Wx transposed where D = H", "Recognises the layout of Wx by its shape, and transposes a square matrix.",
           lambda case: case.sizes["D"] == case.sizes["H"], more(H=1),
           case=given("Wx", transposed)),
    corner("inputs squeezed where D = 1", "Squeezes inputs with one column and reads them as (N, T).",
           lambda case: case.sizes["D"] == 1, more(N=1, T=1), case=batch_first),
    corner("activation of a tail of units forgotten", "Vectorizes over 4 units and leaves the rest without activation.",
           lambda case: bool(case.sizes["H"] % 4), f=lambda layer, right, a: np.concatenate(
               [right(a)[..., : layer.H // 4 * 4], a[..., layer.H // 4 * 4 :]], axis=-1)),
    corner("dh0 zero beyond 32 units", "Writes one block of 32 columns of dh0.",
           more(H=BLOCK), result=returned("dh0", partial(cleared, index=np.s_[..., BLOCK:]))),
    corner("states zero beyond 32 rows", "Writes the states of one block of 32 rows.",
           more(N=BLOCK), result=returned("hs", partial(cleared, index=np.s_[..., BLOCK:, :]))),
    corner("last row of an odd batch zero in dx", "Takes two rows at a time and leaves dx of the last row zero.",
           lambda case: bool(case.sizes["N"] % 2), result=returned("dxs", partial(cleared, index=np.s_[..., -1, :]))),
    corner("assigned where N = 1", "Has a path for one row that assigns the weight gradients at each step.",
           lambda case: case.sizes["N"] == 1, more(T=1), to_parameters=picked(np.s_[..., :1, :, :])),
    corner("step 0 of an odd T missing", "Unrolls the backward loop by two and leaves out the step that is left over.",
           lambda case: bool(case.sizes["T"] % 2), more(T=2), to_parameters=picked(np.s_[..., 1:, :, :])),
    corner("states of 32 steps kept", "Keeps the states for backward in a ring of 32 steps.",
           more(T=BLOCK), tape=ring),
    corner("state forgotten without a bias", "Has a branch for no bias that leaves out the product with Wh.",
           lambda case: case.params.b is None, recurrent_term=lambda layer, right, h: right(np.zeros_like(h))),
    corner("db missing where b is zero", "Takes a bias of zeros for none and returns a gradient of zeros.",
           lambda case: case.params.b is not None and not case.params.b.any(), result=returned("db", np.zeros_like)),
    corner("dh0 missing where h0 is zero", "Takes an h0 of zeros for none and returns a gradient of zeros.",
           lambda case: not case.h0.any(), result=returned("dh0", np.zeros_like)),
    corner("rows of zeros masked", "Keeps the state in rows whose inputs are all zero, as a mask for padding does.",
           lambda case: not case.xs.any(axis=-1).all(), result=masked),
    corner("dx missing without an upstream", "Skips steps whose upstream gradient is zero and leaves their dx zero.",
           lambda case: bool(without_upstream(case).any()), more(T=1), result=lambda case, found: found.replacing(
               dxs=np.where(without_upstream(case), np.zeros_like(found.dxs), found.dxs))),
)
