"""Shrink a failing case: find the fewest steps, rows, inputs and units, then the simplest numbers, that still fail.

    small = shrink_subject(subject, case, PRECISIONS[case.dtype])

First, parts of the axes are dropped. Then small shapes are tried with fresh numbers, because distinct non-zero numbers
reveal more than the numbers that are left. Then whole arrays are replaced by simple numbers.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.case import Case, without
from reference.layers import LayersCase
from reference.precision import Precision
from reference.precision_loss import chop
from reference.trial import Subject, trial

# All shapes with at most this length along every axis are tried with fresh numbers, from this number of seeds.
SMALL, SEEDS = 2, 2
# Numbers of bits that significands are rounded to, the simplest first. All results are short decimals too.
BITS = (1, 2, 3, 4, 6, 8, 11)
NO_FAILURE = ("pass", "inconclusive", "unsupported")

Form = Callable[[Case], Case]


def shrink_subject(
    subject: Subject, case: Case, precision: Precision, *, progress: Callable[[], Any] = lambda: None, tries: int = 2000
) -> Case:
    """Shrink a case that a subject fails; the subject must fail the shrunk case in the same way.

    Args:
        subject: returns an evaluation; it runs twice on a copy of each case.
        case: one case or a stack that the subject fails.
        precision: the model of the subject's arithmetic.
        progress: called after every trial.
        tries: number of trials after which the best case so far is returned.

    Raises:
        ValueError: the subject does not fail any of the cases.
    """
    kinds = (outcome(subject, one, precision) for one in singles(case))
    failure = next((kind for kind in kinds if kind not in NO_FAILURE), None)
    if failure is None:
        raise ValueError(f"shrink_subject: expected a case that the subject fails, got none ({case.spelled})")
    return shrink(lambda one: outcome(subject, one, precision) == failure, case, progress=progress, tries=tries)


def shrink_layers(subject: Callable[[Any], Any], case: LayersCase, precision: Precision) -> LayersCase:
    """Return the smallest of some fresh cases that a subject fails as it fails the given one, or the given one.

    Raises:
        ValueError: the subject does not fail the given case.
    """
    if (failure := outcome(subject, case, precision)) in NO_FAILURE:
        raise ValueError(f"shrink_layers: expected a case that the subject fails, got none ({case.spelled})")
    return next((one for one in _fewer(case) if outcome(subject, one, precision) == failure), case)


def _fewer(case: LayersCase) -> Iterator[LayersCase]:
    """Yield fresh cases of the same kind with fewer layers, directions, steps and rows, the smallest first."""
    like = kind_of(case) | {"padding": case.padding, "dropout": 0.0 if case.masks is None else 0.3}
    sizes = range(1, case.layers + 1), range(1, case.directions + 1), ((1, 1), (2, 2), (4, 3))
    drawn = (False,) if case.lengths is None else (False, True)
    for layers, directions, (T, N), lengths in itertools.product(*sizes, drawn):
        counts: dict[str, Any] = {"layers": layers, "directions": directions, "lengths": lengths}
        yield alike(LayersCase.random(T, N, D=1, H=2, **counts, **like), case)


def outcome(subject: Callable[[Any], Any], case: Case | LayersCase, precision: Precision) -> str:
    """Return the outcome of a trial: the status of the verdict, "unsupported", or the name of the raised error."""
    try:
        return trial(subject, case.map(np.array), precision, repeat=True).status
    except NotImplementedError:
        return "unsupported"
    except Exception as error:
        return type(error).__name__


def shrink(
    fails: Callable[[Case], bool], case: Case, *, progress: Callable[[], Any] = lambda: None, tries: int = 2000
) -> Case:
    """Shrink a failing case; equal arguments give an equal result.

    A case with fewer steps is simpler, then one with fewer rows, inputs and units, then one with simple numbers and no
    bias. Dtype, cell and nonlinearity do not change. At first, cases of one step have no probe, and longer cases have
    the probe in the last columns. If the given case does not fail in this form, its own form is used: no probe, or a
    probe at the given places.

    Args:
        fails: returns whether a single case fails.
        case: one case or a stack, with or without a probe; for a stack, the first failing case is shrunk.
        progress: called after every call of ``fails``.
        tries: number of calls of ``fails`` after which the best case so far is returned.

    Raises:
        ValueError: no case fails.
    """
    for one in singles(case):
        for form in (_probed_if_long, _placed_as(one) if one.is_probed else Case.unprobed):
            search = _Search(fails, form, progress, tries, one.unprobed())
            if search.accept(search.best):
                search.run()
                return form(search.best)
            tries -= len(search.tried)
    raise ValueError(f"shrink: expected a case that fails, got none ({case.spelled})")


def singles(case: Case) -> Iterator[Case]:
    """Return an iterator over the cases of a stack, or over the single case."""
    return iter([case]) if case.K is None else (case[k] for k in range(case.K))


def _probed_if_long(plain: Case) -> Case:
    """Return the case with the probe if it has more than one step, else without a probe."""
    return plain.probed() if plain.sizes["T"] > 1 else plain


def _placed_as(case: Case) -> Form:
    """Return a form with the probe among the inputs, in the order of the columns of the given case."""
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
    """A search that starts at a failing case; ``best`` is the simplest failing case so far, without its probe."""

    fails: Callable[[Case], bool]
    form: Form
    progress: Callable[[], Any]
    tries: int
    best: Case
    tried: dict[tuple[Any, ...], bool] = dataclasses.field(default_factory=dict)

    def run(self) -> None:
        """Drop, jump and simplify until the case does not change."""
        before = None
        while before is not self.best and len(self.tried) < self.tries:
            before = self.best
            for axis in self.best.sizes:
                self.drop(axis)
            self.jump()
            self.simplify()

    def accept(self, plain: Case) -> bool:
        """Take a candidate as the best case if it fails. No case is tried twice, and none after the last try."""
        key = tuple((name, array.shape, array.tobytes()) for name, array in plain.ndarrays().items())
        if key not in self.tried:
            if len(self.tried) >= self.tries:
                return False
            self.tried[key] = self.fails(self.form(plain))
            self.progress()
        if self.tried[key]:
            self.best = plain
        return self.tried[key]

    def drop(self, axis: str) -> None:
        """Drop halves, quarters and finally single steps, rows, inputs or units, as long as the case fails."""
        chunk = max(self.best.sizes[axis] // 2, 1)
        while chunk:
            start = 0
            while start < self.best.sizes[axis] and chunk < self.best.sizes[axis]:
                kept = np.delete(np.arange(self.best.sizes[axis]), np.s_[start : start + chunk])
                if not self.accept(sliced(self.best, axis, kept)):
                    start += chunk
            chunk //= 2

    def jump(self) -> None:
        """Try fresh numbers in all small shapes, the smallest first, then with one size less by one."""
        sizes = self.best.sizes
        small = itertools.product(*(range(min(1, size), min(SMALL, size) + 1) for size in sizes.values()))
        if not any(self.redraw(dict(zip(sizes, shape, strict=True))) for shape in small):
            while any(self.redraw(self.best.sizes | {axis: self.best.sizes[axis] - 1}) for axis in sizes):
                pass

    def redraw(self, sizes: dict[str, int]) -> bool:
        """Try fresh numbers in a shape, if it is smaller than that of the best case."""
        if min(sizes.values()) <= 0 or tuple(sizes.values()) >= tuple(self.best.sizes.values()):
            return False
        return any(self.accept(case) for case in redrawn(self.best, sizes))

    def simplify(self) -> None:
        """Round each array to the simplest numbers with which the case fails, and drop a bias that is not needed."""
        for name, array in self.best.ndarrays().items():
            for change in CHANGES:
                with np.errstate(all="ignore"):
                    simple = change(array)
                if simple.tobytes() == array.tobytes() or self.accept(self.best.replacing(**{name: simple})):
                    break
        if self.best.params.b is not None:
            self.accept(self.best.replacing(b=None, b_dot=None))


def sliced(case: Case, axis: str, kept: NDArray[np.intp]) -> Case:
    """Return a case with only the steps "T", rows "N", inputs "D" or units "H" whose indices are in ``kept``."""
    axes, arrays, H = case.axes(), case.ndarrays(), case.sizes["H"]
    for name, array in arrays.items():
        for place, letter in enumerate(axes[name.removesuffix("_dot")]):
            if letter == axis:
                arrays[name] = np.take(arrays[name], kept, axis=place)
            elif letter == "G" and axis == "H":
                gates = np.arange(array.shape[place]).reshape(-1, H)
                arrays[name] = np.take(arrays[name], gates[:, kept].ravel(), axis=place)
    return case.replacing(**arrays)


def kind_of(case: Case | LayersCase) -> dict[str, Any]:
    """Return the arguments with which ``random`` draws a case of the same kind, without sizes and values."""
    like: dict[str, Any] = {name: getattr(case, name) for name in ("dtype", "cell", "nonlinearity")}
    return like | {"bias": any(name.startswith("b") for name in case.arrays())}


def redrawn(case: Case, sizes: dict[str, int]) -> Iterator[Case]:
    """Yield cases of the same kind in another shape: distinct numbers, then small integers, or NaN only."""
    like = kind_of(case) | {"direction": case.direction is not None} | sizes
    for values, seed in itertools.product(("plain", "integers") if case.finite else ("nan",), range(SEEDS)):
        yield alike(Case.random(**like, values=values, seed=seed), case)


def alike(drawn: Any, case: Case | LayersCase) -> Any:
    """Return a drawn case without the parameters and the initial states that another one of its cell does not have."""
    arrays, cell = case.arrays(), case.cell_type
    held = {name.partition("_l")[0] for name in arrays}
    states = [name for state in cell.states for name in (f"{state}0", f"upstream_{state}") if name in arrays]
    lost = [name for name in cell.parameters() if name not in held]
    return without(drawn, [*lost, *(name for name in states if not arrays[name].any())])


# The simplest numbers come first.
CHANGES: tuple[Callable[[NDArray[Any]], NDArray[Any]], ...] = (
    np.zeros_like,
    np.ones_like,
    np.sign,
    *(partial(chop, bits=bits) for bits in BITS),
)
