"""The smallest counterexample: fewest steps, rows, inputs and units, then the simplest numbers, that still fail.

    small = shrink_subject(subject, case, PRECISIONS[case.dtype])

A case is cut along its axes first. Then small shapes are tried with fresh numbers, since distinct numbers that are not
zero reveal more than those that a cut leaves. Then whole arrays are made simple.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.case import Case
from reference.precision import Precision
from reference.precision_loss import chop
from reference.trial import Subject, trial

# Shapes up to this length on every side are all tried with fresh numbers, from so many seeds.
SMALL, SEEDS = 2, 2
# Significands that a number is rounded to, in bits, from the simplest on; all are short decimals too.
BITS = (1, 2, 3, 4, 6, 8, 11)
NO_FAILURE = ("pass", "inconclusive", "unsupported")

Form = Callable[[Case], Case]


def shrink_subject(
    subject: Subject, case: Case, precision: Precision, *, progress: Callable[[], Any] = lambda: None, tries: int = 2000
) -> Case:
    """Return the smallest case that a subject fails in the way in which it fails the given one.

    Args:
        subject: returns an evaluation; it is given copies, and each of them twice.
        case: one case or a stack that it fails.
        precision: the model of its arithmetic.
        progress: called after every trial.
        tries: number of trials after which the smallest so far is returned.

    Raises:
        ValueError: the subject does not fail any of the cases.
    """
    kinds = (outcome(subject, one, precision) for one in singles(case))
    failure = next((kind for kind in kinds if kind not in NO_FAILURE), None)
    if failure is None:
        raise ValueError(f"shrink_subject: expected a case that the subject fails, got none ({case.spelled})")
    return shrink(lambda one: outcome(subject, one, precision) == failure, case, progress=progress, tries=tries)


def outcome(subject: Subject, case: Case, precision: Precision) -> str:
    """Return how a trial ends: the status of the verdict, "unsupported", or the name of the error that it raises."""
    try:
        return trial(subject, case.map(np.array), precision, repeat=True).status
    except NotImplementedError:
        return "unsupported"
    except Exception as error:
        return type(error).__name__


def shrink(
    fails: Callable[[Case], bool], case: Case, *, progress: Callable[[], Any] = lambda: None, tries: int = 2000
) -> Case:
    """Return the smallest case that still fails, by a search that depends on nothing but its arguments.

    Fewest steps come first, then rows, inputs, units; then simple numbers and no bias. Dtype, cell and nonlinearity
    stay as they are. A case of one step is tried without the probe, a longer one with the probe last, as the first
    forms; if the given case fails in neither, all are tried without it, or with it at the given places.

    Args:
        fails: returns whether a single case fails.
        case: one case or a stack, probed or not; of a stack, the first case that fails is taken.
        progress: called after every call of ``fails``.
        tries: number of calls of ``fails`` after which the smallest so far is returned.

    Raises:
        ValueError: no case fails.
    """
    for one in singles(case):
        for form in (_probed_if_long, _placed_as(one) if one.is_probed else Case.unprobed):
            search = _Search(fails, form, progress, tries, one.unprobed())
            if search.accept(search.best):
                search.run()
                return form(search.best)
            tries -= len(search.known)
    raise ValueError(f"shrink: expected a case that fails, got none ({case.spelled})")


def singles(case: Case) -> Iterator[Case]:
    """Give the cases of a stack one by one; a single case itself."""
    return iter([case]) if case.K is None else (case[k] for k in range(case.K))


def _probed_if_long(plain: Case) -> Case:
    """Return a case with the probe if it has more than one step."""
    return plain.probed() if plain.sizes["T"] > 1 else plain


def _placed_as(case: Case) -> Form:
    """Return a form that has the probe among the inputs in the order of a case, of whose columns it takes some."""
    every = [case.inputs, np.array(case.probe)]

    def placed(plain: Case) -> Case:
        last, D = plain.probed().replacing(probe=None), plain.sizes["D"]
        G = last.sizes["D"] - D
        kept = [part[np.linspace(len(part) - 1, 0, n, dtype=int)[::-1]] for part, n in zip(every, (D, G), strict=True)]
        order = np.argsort(np.concatenate(kept))
        return sliced(last, "D", order).replacing(probe=tuple(np.argsort(order)[D:].tolist()))

    return placed


@dataclasses.dataclass
class _Search:
    """A search from a failing case downwards; ``best`` is the smallest so far, without its probe."""

    fails: Callable[[Case], bool]
    form: Form
    progress: Callable[[], Any]
    tries: int
    best: Case
    known: dict[tuple[Any, ...], bool] = dataclasses.field(default_factory=dict)

    def run(self) -> None:
        """Cut, jump and simplify until nothing changes any more."""
        before = None
        while before is not self.best and len(self.known) < self.tries:
            before = self.best
            for axis in self.best.sizes:
                self.cut(axis)
            self.jump()
            self.simplify()

    def accept(self, plain: Case) -> bool:
        """Take a candidate as the best if it fails; nothing is tried twice, and nothing once the tries are spent."""
        key = tuple((name, array.shape, array.tobytes()) for name, array in plain.ndarrays().items())
        if key not in self.known:
            if len(self.known) >= self.tries:
                return False
            self.known[key] = self.fails(self.form(plain))
            self.progress()
        if self.known[key]:
            self.best = plain
        return self.known[key]

    def cut(self, axis: str) -> None:
        """Drop halves, quarters and at last single steps, rows, inputs or units, as long as it fails."""
        chunk = max(self.best.sizes[axis] // 2, 1)
        while chunk:
            start = 0
            while start < self.best.sizes[axis] and chunk < self.best.sizes[axis]:
                kept = np.delete(np.arange(self.best.sizes[axis]), np.s_[start : start + chunk])
                if not self.accept(sliced(self.best, axis, kept)):
                    start += chunk
            chunk //= 2

    def jump(self) -> None:
        """Try fresh numbers in all small shapes, from the smallest on, then in the present one less one."""
        sizes = self.best.sizes
        small = itertools.product(*(range(min(1, size), min(SMALL, size) + 1) for size in sizes.values()))
        if not any(self.redraw(dict(zip(sizes, shape, strict=True))) for shape in small):
            while any(self.redraw(self.best.sizes | {axis: self.best.sizes[axis] - 1}) for axis in sizes):
                pass

    def redraw(self, sizes: dict[str, int]) -> bool:
        """Try fresh numbers in a shape, unless it is no smaller than that of the best."""
        if min(sizes.values()) <= 0 or tuple(sizes.values()) >= tuple(self.best.sizes.values()):
            return False
        return any(self.accept(case) for case in redrawn(self.best, sizes))

    def simplify(self) -> None:
        """Round each array to the simplest numbers with which the case fails, and drop the bias if it is not needed."""
        for name, array in self.best.ndarrays().items():
            for change in CHANGES:
                with np.errstate(all="ignore"):
                    simple = change(array)
                if simple.tobytes() == array.tobytes() or self.accept(self.best.replacing(**{name: simple})):
                    break
        if self.best.params.b is not None:
            self.accept(self.best.replacing(b=None, b_dot=None))


def sliced(case: Case, axis: str, kept: NDArray[np.intp]) -> Case:
    """Return a case with those of its steps "T", rows "N", inputs "D" or units "H" that are kept."""
    axes, arrays, H = case.axes(), case.ndarrays(), case.sizes["H"]
    for name, array in arrays.items():
        for place, letter in enumerate(axes[name.removesuffix("_dot")]):
            if letter == axis:
                arrays[name] = np.take(arrays[name], kept, axis=place)
            elif letter == "G" and axis == "H":
                gates = np.arange(array.shape[place]).reshape(-1, H)
                arrays[name] = np.take(arrays[name], gates[:, kept].ravel(), axis=place)
    return case.replacing(**arrays)


def kind_of(case: Case) -> dict[str, Any]:
    """Return what ``Case.random`` needs to draw a case of the same kind, but for its sizes and values."""
    like: dict[str, Any] = {name: getattr(case, name) for name in ("dtype", "cell", "nonlinearity")}
    return like | {"bias": case.params.b is not None}


def redrawn(case: Case, sizes: dict[str, int]) -> Iterator[Case]:
    """Give cases of the same kind in another shape: distinct numbers, then small integers; or with NaN."""
    like = kind_of(case) | {"direction": case.direction is not None} | sizes
    for values, seed in itertools.product(("plain", "integers") if case.finite else ("nan",), range(SEEDS)):
        yield Case.random(**like, values=values, seed=seed)


# From the simplest numbers on.
CHANGES: tuple[Callable[[NDArray[Any]], NDArray[Any]], ...] = (
    np.zeros_like,
    np.ones_like,
    np.sign,
    *(partial(chop, bits=bits) for bits in BITS),
)
