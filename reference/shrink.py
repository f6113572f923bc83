"""The smallest counterexample: fewest steps, rows, inputs and units, then the simplest numbers, that still fail.

    small = smallest(subject, case, PRECISIONS[case.dtype])

A case is cut by slices first; then small shapes are tried with fresh numbers, since distinct numbers that are not
zero reveal more than what a slice leaves; then the numbers are made simple, many at once where that goes.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.archive import spell
from reference.case import Case, Params
from reference.precision import Precision
from reference.trial import Subject, trial

# The axis of each array along which steps, rows, inputs and units lie, counted from the last.
AXES: dict[str, dict[str, tuple[int, ...]]] = {
    "T": {"xs": (-3,), "upstream": (-3,)},
    "N": {"xs": (-2,), "h0": (-2,), "upstream": (-2,)},
    "D": {"xs": (-1,), "Wx": (-2,)},
    "H": {"h0": (-1,), "upstream": (-1,), "Wx": (-1,), "Wh": (-2, -1), "b": (-1,)},
}
ARRAYS = ("xs", "h0", "Wx", "Wh", "b", "upstream")
# Shapes up to this length on every side are all tried with fresh numbers, from so many seeds.
SMALL, SEEDS = 2, 2
# Significands that a number is cut down to, in bits, from the simplest on; all are short decimals too.
BITS = (1, 2, 3, 4, 6, 8, 11)


def smallest(
    subject: Subject,
    case: Case,
    precision: Precision,
    *,
    progress: Callable[[], Any] = lambda: None,
    tries: int = 2000,
) -> Case:
    """Find the smallest case that a subject fails in the way in which it fails the given one.

    Args:
        subject: returns an evaluation; it is given copies, and each of them twice.
        case: one case or a stack that it fails.
        precision: the model of its arithmetic.
        progress: called after every trial.
        tries: number of trials after which the smallest so far is returned.

    Returns:
        A single case, probed if it has more than one step.

    Raises:
        ValueError: the subject does not fail any of the cases.
    """
    kinds = (outcome(subject, one, precision) for one in singles(case))
    wanted = next((kind for kind in kinds if kind not in NO_FAILURE), None)
    if wanted is None:
        raise ValueError(f"smallest: expected a case that the subject fails, got others ({spell(case.sizes)})")
    return minimise(lambda one: outcome(subject, one, precision) == wanted, case, progress=progress, tries=tries)


NO_FAILURE = ("pass", "inconclusive", "refused")


def outcome(subject: Subject, case: Case, precision: Precision) -> str:
    """Return how a trial ends: the status of the verdict, "refused", or the name of the error that it raises."""
    try:
        return trial(subject, case.map(np.array), precision, repeat=True).status
    except NotImplementedError:
        return "refused"
    except Exception as error:
        return type(error).__name__


def minimise(
    fails: Callable[[Case], bool],
    case: Case,
    *,
    progress: Callable[[], Any] = lambda: None,
    tries: int = 2000,
) -> Case:
    """Find the smallest case that still fails, by a search that depends on nothing but its arguments.

    Fewest steps come first, then rows, inputs, units; then the simplest numbers: 0, 1, -1, powers of two, few
    binary digits; then no bias. Dtype and nonlinearity stay as they are.

    Args:
        fails: tells whether a single case fails; it is shown cases of more than one step with the probe, others
            without, or all as ``case`` is where it fails only so.
        case: one case or a stack, probed or not; of a stack, the first case that fails is taken.
        progress: called after every call of ``fails``.
        tries: number of calls of ``fails`` after which the smallest so far is returned.

    Returns:
        The smallest failing case that was found, in the form in which it fails.

    Raises:
        ValueError: no case fails.
    """
    for one in singles(case):
        for form in (with_probe_if_long, as_it_is(one)):
            search = Search(fails, form, progress, tries, one.unprobed())
            if search.fails_now():
                search.run()
                return form(search.best)
            tries -= search.spent
    raise ValueError(f"minimise: expected a case that fails, got none ({spell(case.sizes)})")


def singles(case: Case) -> Iterator[Case]:
    """Give the cases of a stack one by one; a single case itself."""
    return iter([case]) if case.K is None else (case[k] for k in range(case.K))


def with_probe_if_long(plain: Case) -> Case:
    """Return a case with the probe if it has more than one step."""
    return plain.probed() if plain.sizes["T"] > 1 else plain


def as_it_is(case: Case) -> Callable[[Case], Case]:
    """Return what adds the probe if, and only if, the given case has it."""
    return Case.probed if case.is_probed else lambda plain: plain


@dataclass
class Search:
    """A search from a failing case downwards; ``best`` is the smallest so far, without its probe."""

    fails: Callable[[Case], bool]
    form: Callable[[Case], Case]
    progress: Callable[[], Any]
    tries: int
    best: Case
    spent: int = 0
    known: dict[tuple[Any, ...], bool] = field(default_factory=dict)

    def run(self) -> None:
        """Cut, jump and simplify until nothing changes any more."""
        before = None
        while before is not self.best and self.spent < self.tries:
            before = self.best
            self.cut()
            self.jump()
            self.simplify()
            if self.best.params.b is not None:
                self.accept(with_arrays(self.best, b=None))

    def fails_now(self) -> bool:
        """Tell whether ``best`` fails."""
        return self.accept(self.best)

    def accept(self, plain: Case) -> bool:
        """Take a candidate as the best if it fails; nothing is tried twice, and nothing once the tries are spent."""
        key = tuple(None if array is None else (array.shape, array.tobytes()) for array in arrays_of(plain).values())
        if key not in self.known:
            if self.spent >= self.tries:
                return False
            self.spent += 1
            self.known[key] = self.fails(self.form(plain))
            self.progress()
        if self.known[key]:
            self.best = plain
        return self.known[key]

    # Fewer steps, rows, inputs, units.

    def cut(self) -> None:
        """Drop halves, quarters and at last single steps, then rows, inputs and units, as long as it fails."""
        for axis in AXES:
            chunk = max(self.best.sizes[axis] // 2, 1)
            while chunk:
                self._drop(axis, chunk)
                chunk //= 2

    def _drop(self, axis: str, chunk: int) -> None:
        start = 0
        while start < self.best.sizes[axis] and chunk < self.best.sizes[axis]:
            kept = np.delete(np.arange(self.best.sizes[axis]), np.s_[start : start + chunk])
            if not self.accept(sliced(self.best, axis, kept)):
                start += chunk

    def jump(self) -> None:
        """Try fresh numbers in all small shapes, from the smallest on, then in the present one less one."""
        sizes = self.best.sizes
        small = itertools.product(*(range(min(1, size), min(SMALL, size) + 1) for size in sizes.values()))
        if any(self._fresh(dict(zip(sizes, shape, strict=True))) for shape in small):
            return
        while any(self._fresh(self.best.sizes | {axis: self.best.sizes[axis] - 1}) for axis in AXES):
            pass

    def _fresh(self, sizes: dict[str, int]) -> bool:
        """Try fresh numbers in a shape, unless it is no smaller than that of the best."""
        if min(sizes.values()) <= 0 or tuple(sizes.values()) >= tuple(self.best.sizes.values()):
            return False
        return any(self.accept(case) for case in fresh(self.best, sizes))

    # Simpler numbers.

    def simplify(self) -> None:
        """Make numbers 0, 1, -1, powers of two or short, all of an array at once or half of them or fewer."""
        for change in CHANGES:
            for name in ARRAYS:
                array = arrays_of(self.best)[name]
                if array is not None:
                    self._simplify(name, change, 0, array.size)

    def _simplify(self, name: str, change: Callable[[Any], Any], start: int, stop: int) -> None:
        array = np.array(arrays_of(self.best)[name])
        part = array.reshape(-1)[start:stop]
        with np.errstate(all="ignore"):
            simple = change(part)
        better = rank(simple) < rank(part)
        part[better] = simple[better]
        if not better.any() or self.accept(with_arrays(self.best, **{name: array})) or stop - start == 1:
            return
        middle = (start + stop) // 2
        self._simplify(name, change, start, middle)
        self._simplify(name, change, middle, stop)


def arrays_of(case: Case) -> dict[str, Any]:
    """Return the arrays of a case by name; None for a missing bias."""
    fields = case.fields()
    return {name: fields[name] for name in ARRAYS}


def with_arrays(case: Case, **changed: Any) -> Case:
    """Return a case with other arrays in the place of some."""
    arrays = arrays_of(case) | changed
    params = Params(arrays.pop("Wx"), arrays.pop("Wh"), arrays.pop("b"))
    return dataclasses.replace(case, params=params, **arrays)


def sliced(case: Case, axis: str, kept: NDArray[np.intp]) -> Case:
    """Return a case with those of its steps "T", rows "N", inputs "D" or units "H" that are kept."""
    arrays = arrays_of(case)
    for name, places in AXES[axis].items():
        for place in places:
            arrays[name] = None if arrays[name] is None else np.take(arrays[name], kept, axis=place)
    return with_arrays(case, **arrays)


def fresh(case: Case, sizes: dict[str, int]) -> Iterator[Case]:
    """Give cases of the same kind in another shape: distinct numbers, then small integers; or with NaN."""
    kinds: tuple[dict[str, Any], ...] = ({}, {"values": "integers"}) if case.finite else ({"values": "nan"},)
    like: dict[str, Any] = {"dtype": case.dtype, "nonlinearity": case.nonlinearity, "bias": case.params.b is not None}
    for kind, seed in itertools.product(kinds, range(SEEDS)):
        arguments: dict[str, Any] = sizes | like | kind
        yield Case.random(**arguments, seed=seed)


def rank(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return how complicated numbers are: 0, 1, -1, powers of two, then by the length of the significand."""
    significand, exponent = np.frexp(np.asarray(values, np.float64))
    found = np.full(values.shape, np.inf)
    for bits in (53, 24, *reversed(BITS)):
        short = significand * 2.0**bits
        found[short == np.rint(short)] = bits
    # Below one bit of difference: of two powers of two, the one nearer to 1; of two signs, plus.
    found += np.minimum(np.abs(exponent - 1), 1022) / 4096 + (values < 0) / 8192
    return np.where(values == 0, np.signbit(values) / 8192, np.where(np.isnan(values), np.inf, found))


def shortened(bits: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return what rounds numbers to a significand of so many bits."""

    def change(values: NDArray[Any]) -> NDArray[Any]:
        significand, exponent = np.frexp(values)
        return np.asarray(np.ldexp(np.rint(significand * 2**bits), exponent - bits))

    return change


CHANGES: tuple[Callable[[NDArray[Any]], NDArray[Any]], ...] = (
    np.zeros_like,
    np.ones_like,
    lambda values: -np.ones_like(values),
    *(shortened(bits) for bits in BITS),
)
