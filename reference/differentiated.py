"""The exact gradient of a wrong forward, as a framework computes it by differentiating the code.

    dL/dp = (8 (L(p + s) - L(p - s)) - (L(p + 2 s) - L(p - 2 s))) / 12 s          L = sum(upstream * h)

The catalogue pairs each wrong forward with one backward that is written by hand. Central differences with one step of
Richardson need nothing but the forward. In float64 their error is about 1e-12 of L, far below a rounding of float32.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.case import Case
from reference.layers import LayersCase

# The step: a power of two, so that numbers of a lower precision move by exactly it.
STEP = 2.0**-10
# Moves of one number, in steps, and the weights of L there.
MOVES, WEIGHTS = np.array([1, -1, 2, -2]), np.array([8, -8, -1, 1]) / 12
# Largest number of numbers in all moved cases together, and in one stack of them.
LARGEST, STACK = 2**25, 2**20


def is_small(case: Case | LayersCase) -> bool:
    """Return whether a case is small enough to move each of its numbers."""
    moved = sum(case.arrays()[name].size for name in _inputs(case))
    return 4 * moved * (moved + case.upstream.size) <= LARGEST


def differentiated(subject: Callable[[Any], Any], case: Any) -> Any:
    """Return the forward of a subject and its exact gradient.

    Args:
        subject: code whose gradient is not used; it takes stacks in float64.
        case: a single case for which ``is_small`` is true, or one of several layers.

    Returns:
        The evaluation, rounded to the dtype of the case.
    """
    with np.errstate(all="ignore"):
        wide = case.astype("float64").replacing(probe=None, finite=False)
        gradients = {}
        for name in _inputs(case):
            moves = _moved_alone if isinstance(case, LayersCase) else _moved
            losses = np.concatenate([_losses(subject, moved) for moved in moves(wide, name)])
            gradient = losses.reshape(-1, len(MOVES)) @ WEIGHTS / STEP
            gradients[f"d{name}"] = gradient.reshape(wide.arrays()[name].shape)
        return subject(wide).replacing(**gradients).astype(case.dtype)


def _inputs(case: Case | LayersCase) -> list[str]:
    """Return the names of the arrays that have a gradient."""
    return [name for name in case.arrays() if not name.startswith(("upstream", "masks"))]


def _moved_alone(case: LayersCase, name: str) -> Iterator[LayersCase]:
    """Yield the case with each number of one array moved in turn; there are no stacks of several layers."""
    array = case.arrays()[name]
    for place, move in itertools.product(range(array.size), MOVES * STEP):
        moved = np.array(array)
        moved.flat[place] += move
        yield case.replacing(**{name: moved})


def _moved(case: Case, name: str) -> Iterator[Case]:
    """Yield stacks of the case in which each number of one array is moved in turn."""
    size = case.arrays()[name].size
    share = max(1, STACK // (len(MOVES) * sum(array.size for array in case.arrays().values())))
    for start in range(0, size, share):
        places = np.arange(start, min(start + share, size))
        K = len(places) * len(MOVES)
        stack = case.map(partial(_repeated, K))
        array = np.array(stack.arrays()[name]).reshape(K, -1)
        array[np.arange(K), np.repeat(places, len(MOVES))] += np.tile(MOVES * STEP, len(places))
        yield stack.replacing(**{name: array.reshape(stack.arrays()[name].shape)})


def _repeated(K: int, array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a stack of K copies of an array."""
    return np.repeat(array[None], K, axis=0)


def _losses(subject: Callable[[Any], Any], stack: Any) -> NDArray[np.float64]:
    """Return the loss of each case of a stack, or of a single case."""
    found = subject(stack).fields()
    pairs = [(stack.upstream, found["hs"])]
    of_states = ((name, array) for name, array in stack.arrays().items() if name.startswith("upstream_"))
    pairs += [(array, found[name.removeprefix("upstream_")]) for name, array in of_states]
    losses = [(upstream * states).reshape(stack.K or 1, -1).sum(axis=-1) for upstream, states in pairs]
    total: NDArray[np.float64] = np.sum(losses, axis=0)
    return total
