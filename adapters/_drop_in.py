"""Code that somebody else wrote, as a subject: what it is, read from its parameters and from one small run.

All sizes of the small module differ, so that the length of an axis identifies it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial, wraps
from itertools import permutations
from typing import Any

import numpy as np

from adapters import Adapter
from adapters._errors import Unsupported
from adapters._layers import LayersWay
from adapters._layers import named as with_suffix
from adapters._offers import gated, results
from adapters._places import GATES, PARTS, PLACE, cell_of, places_of, to_framework
from adapters._way import Way
from adapters.layout import layouts, projection
from reference import PRECISIONS, Case, Evaluation, certify
from reference.archive import DTYPES
from reference.cells import CELLS
from reference.verdict import GRADIENTS

ULPS = {dtype: PRECISIONS[dtype].tanh_ulps for dtype in DTYPES}
SIZES: dict[str, Any] = {"T": 3, "N": 2, "D": 4, "H": 5}


@dataclass(frozen=True)
class Checked:
    """A way that raises Unsupported for a case with more than the subject takes, or for an error of an empty case."""

    name: str
    way: Callable[[Any], Any]
    layout: Mapping[str, str]
    lacks: tuple[str, ...] = ()  # as of ``Adapter``

    def __call__(self, case: Any) -> Any:
        """Evaluate a case of one layer or of several."""
        kept = parts_of(self.layout)
        every = case.params if isinstance(case.params, tuple) else (case.params,)
        for name in ("b", "bn"):
            if name not in kept and any(params.fields().get(name) is not None for params in every):
                raise unsupported(f"{self.name}: expected a case without {name}, because no parameter is {name}")
        arrays = case.arrays()
        if given := [name for name in self.lacks if name in arrays and name not in kept and arrays[name].any()]:
            raise unsupported(f"{self.name}: expected zeros for {given[0]}, because its call has none, got others")
        try:
            return self.way(case).replacing(**dict.fromkeys(results(self.lacks)))
        except Exception as error:
            empty = ", ".join(f"{name}=0" for name, size in case.sizes.items() if not size)
            if not empty or isinstance(error, Unsupported):
                raise
            raise unsupported(f"{self.name}: {empty} is unsupported, {type(error).__name__}: {error}") from error


def unsupported(message: str) -> Unsupported:
    """Return an error that this project raises for a subject, and not the subject: a check may consist of it alone."""
    error = Unsupported(message)
    error.declared = True
    return error


def with_gates(where: str, layout: Mapping[str, str], gates: str) -> dict[str, str]:
    """Return a layout with the cell that has these gates.

    Args:
        where: the subject, for messages.
        layout: places by name of parameter, and maybe "cell".
        gates: in the module's order, such as "i f g o", after the name of the cell if several have these gates.

    Raises:
        ValueError: a place is unknown, or no cell has these gates.
    """
    if unknown := [place for place in places_of(layout).values() if not PLACE.fullmatch(place)]:
        raise ValueError(f"{where}: expected places among {list(PARTS)} and suffixes, got {unknown}")
    if not gates:
        return dict(layout)
    named, _, order = gates.partition(" ")
    named, order = (named, order) if named in GATES else ("", gates)
    bare = sorted(gate.lstrip("-").partition("+")[0] for gate in order.split())
    for cell, own in GATES.items():
        if sorted(own.split()) == bare and named in ("", cell):
            return {**layout, "cell": f"{cell} {order}"}
    raise ValueError(f"{where}: expected the gates of a cell among {GATES}, in any order, got {gates!r}")


def subject(
    name: str,
    layout: Mapping[str, str],
    run: Callable[..., Any],
    how: str,
    *,
    options: Mapping[str, Callable[..., Any]] | None = None,
    layers: Callable[..., Any] | None = None,
    lacks: tuple[str, ...] = (),
    **fields: Any,
) -> Adapter:
    """Return the adapter of a module.

    Args:
        name: of the subject.
        layout: places by name of parameter, and the cell.
        run: as of ``Way``.
        how: what was read from the module, in words.
        options: other forms of run by name.
        layers: as of ``LayersWay.run``; None if the module has one layer.
        lacks: states and upstream gradients for which the call has no place, as of ``Adapter``.
        fields: further fields of the adapter.
    """
    (cell, _, order), places = cell_of(layout), {name: layout}
    lacks = (*lacking(cell, parts_of(layout)), *lacks)

    def checked(way: Callable[[Any], Any]) -> Checked:
        return Checked(name, way, layout, lacks)

    forms = dict(options or {})
    if both := second_bias(layout):
        forms["second bias"] = partial(exchanged, run, layout, both)
        layers = layers and partial(exchanged, layers, layout, both)
    gates = f"; gates {' '.join(order)}" * (len(order) > 1)
    held = ", ".join(f"{one} = {place}" for one, place in places_of(layout).items())
    given: dict[str, Any] = {"tanh": np.tanh, "tanh_ulps": ULPS}
    given |= gated(cell) if cell in GATES and len(order) > 1 else {}
    given["options"] = {each: checked(Way(places, form, name)) for each, form in forms.items()}
    given["layers"] = checked(LayersWay(places, layers, name)) if layers else None
    given["lacks"] = lacks
    given["offers"] = tuple(each for each in given.get("offers", GRADIENTS) if each not in results(lacks))
    how += f", without {', '.join(each.removeprefix('upstream_') for each in lacks)}" * bool(lacks)
    kind, _, form = cell.partition("_")
    words = f"judged as {kind.upper()}{f' ({form})' * bool(form)}, {how}{gates}; {held}".replace("_before", " before")
    return Adapter(name, checked(Way(places, run, name)), words, **given | fields)


def parts_of(layout: Mapping[str, str]) -> set[str]:
    """Return the names of the reference in the places of a layout, such as "Wx" and "bn", and other words."""
    return {*re.findall(r"\w+", " ".join(places_of(layout).values()))}


def lacking(cell: str, held: Container[str]) -> tuple[str, ...]:
    """Return the biases of a cell that are not held if another one is: its cases come without them."""
    biases = CELLS[cell].parameters()[2:]
    absent = tuple(name for name in biases if name not in held)
    return absent if len(absent) < len(biases) else ()


def second_bias(layout: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the names of both biases that a module adds; None if it has at most one."""
    names = {place: name for name, place in places_of(layout).items()}
    return next(((names["b"], names[place]) for place in ("0", "[0, bn]") if place in names and "b" in names), None)


def exchanged(
    run: Any,
    layout: Mapping[str, str],
    both: Sequence[str],
    cell: str,
    weights: Any,
    xs: Any,
    states: Any,
    *others: Any,
) -> Any:
    """Run a module with the values of both biases exchanged, a number and zero, so that no sum is rounded.

    A module that ignores its second bias is right if that is zero. Several layers have a case as their last argument.
    There every other layer or direction is exchanged.
    """
    H, pairs = states[0].shape[-1], [both]
    if len(others) > 1:
        ends = [end for k, end in enumerate(others[1].suffixes) if (k + len(xs) // 2) % 2]
        pairs = [[with_suffix(name, end) for name in both] for end in ends]
    ones = {name: np.full_like(array, name == "bn") for name, array in zeros(layout, 1, H).items()}
    is_inner = to_framework(layout, ones)[both[1]] != 0

    def swap(arrays: Any) -> Any:
        found = dict(arrays)
        for first, second in pairs:
            if first in arrays:
                a, b = arrays[first], arrays[second]
                found |= {first: np.where(is_inner, a, b), second: np.where(is_inner, b, a)}
        return found

    outputs, gradients = run(cell, swap(weights), xs, states, *others)
    return outputs, (swap(gradients[0]), *gradients[1:])


def forward_only(f: Callable[..., Any] | None = None, *, cell: str = "", **fields: Any) -> Any:
    """Return the adapter of a function that returns the states alone, as a kernel for inference does; a decorator.

    Args:
        f: takes arrays by the names xs, h0, Wx, Wh, b and, of such cells, c0 and bn; maybe also the nonlinearity. It
            returns hs (T, N, H), or (hs, c). A b of a case without bias is left out if it has a default, else zero.
        cell: as of ``Case``; by default the first that has these arrays.
        fields: of the adapter, such as ``nonlinearities`` and ``unsupported``.

    Raises:
        ValueError: an argument of f is none of these, or the cell is unknown.
    """
    if f is None:
        return partial(forward_only, cell=cell, **fields)
    function, given = f, inspect.signature(f).parameters
    arrays = {name: {"xs", *(f"{s}0" for s in kind.states), *kind.parameters()} for name, kind in CELLS.items()}
    like = [name for name, those in arrays.items() if given.keys() <= those | {"nonlinearity"} and cell in ("", name)]
    if not like:
        named = f"a cell among {[*CELLS]} and arguments among {sorted(set().union(*arrays.values()))}"
        raise ValueError(f"forward_only: expected {named}, got {cell!r} and {[*given]} of {f.__name__}")
    states = CELLS[like[0]].states

    @wraps(function)
    def run(case: Case) -> Evaluation:
        held = case.arrays() | {"nonlinearity": case.nonlinearity}
        if lost := [name for name in ("b", "bn") if name in held and name not in given]:
            raise unsupported(f"{function.__name__}: expected a case without {lost[0]}, which is no argument")
        absent = {
            name for name, parameter in given.items() if name not in held and parameter.default is parameter.empty
        }
        zeros = {name: np.zeros(case.shapes()[name], case.xs.dtype) for name in absent}
        found = function(**{name: held[name] for name in given if name in held} | zeros)
        named = zip(("hs", *states[1:]), found if isinstance(found, tuple) else (found,), strict=False)
        return Evaluation(**{"hs": None, **dict(named)})

    kinds = CELLS[like[0]].nonlinearities if "nonlinearity" in given else ("tanh",)
    own: dict[str, Any] = {
        "cell": like[0],
        "lacks": lacking(like[0], given),
        "offers": ("h", *states[1:]),
        "nonlinearities": kinds,
        "tanh_ulps": ULPS,
    }
    return Adapter(f.__name__, run, f"{f.__name__}, the states alone", np.tanh, **own | fields)


def first_right(candidates: Iterable[Adapter]) -> Adapter:
    """Return the first adapter whose states are right in one small case, first with a bias, then without one.

    If there is none, it is the first of all.
    """
    found = list[Adapter]()
    for bias, each in ((True, candidates), (False, found)):
        for adapter in each:
            found += [adapter] * bias
            like: dict[str, Any] = {"cell": adapter.cell, "nonlinearity": adapter.nonlinearities[0]}
            case = adapter.suited(Case.random(**SIZES, dtype=adapter.dtypes[0], bias=bias, **like))
            with suppress(Exception):  # the checks report it
                hs = adapter(case).hs
                if certify(case, Evaluation(hs), adapter.precision(case.dtype)).status == "pass":
                    return adapter
    return found[0]


def layouts_of(where: str, shapes: Mapping[str, tuple[int, ...]], framework: str) -> Iterator[dict[str, str]]:
    """Yield the layouts that parameters may have, the likeliest first.

    A module with the names of the framework has the framework's order of gates. Other names leave the order open.

    Args:
        where: the subject, for messages.
        shapes: of the parameters of a module of ``SIZES``, by name.
        framework: whose layouts are compared first.

    Raises:
        ValueError: the names and shapes fit no cell.
    """
    D, H = SIZES["D"], SIZES["H"]
    for places in (each.places for each in layouts(framework).values()):
        own = places_of(places)
        for prefix in dict.fromkeys(name.removesuffix(next(iter(own))) for name in shapes):
            like = {prefix + name: array.shape for name, array in to_framework(places, zeros(places)).items()}
            if shapes.items() <= like.items():
                named = {"cell": places.get("cell", "rnn a")}
                yield {name: own[name.removeprefix(prefix)] for name in shapes} | named
                return
    inputs = [name for name, shape in shapes.items() if len(shape) == 2 and D in shape]
    states = [name for name, shape in shapes.items() if len(shape) == 2 and D not in shape]
    biases = [name for name, shape in shapes.items() if len(shape) == 1]
    columns = max(shapes[inputs[0]]) if len(inputs) == len(states) == 1 else 0
    cells = [cell for cell, gates in GATES.items() if len(gates.split()) * H == columns]
    fits = cells and {*shapes[states[0]]} == {H, columns} and {shapes[name] for name in biases} <= {(columns,), (H,)}
    if not fits or len(biases) > 2 or len(shapes) > 2 + len(biases):
        counts = sorted({len(gates.split()) for gates in GATES.values()})
        expected = (
            f"one Wx (G*H, D), one Wh (G*H, H), both maybe transposed, and up to two biases (G*H,), G in {counts}"
        )
        raise ValueError(
            f"{where}: expected parameters {expected}, got {dict(shapes)} (D={D}, H={H}){projection(shapes)}"
        )
    is_turned = shapes[inputs[0]] == (columns, D)
    # A square matrix is turned as the other one is.
    turned_state = is_turned if columns == H else shapes[states[0]] == (columns, H)
    layout = {inputs[0]: f"Wx{'.T' * is_turned}", states[0]: f"Wh{'.T' * turned_state}"}
    for order in permutations(GATES[cells[0]].split()):
        for cell in cells:
            inner = "bn" if biases and shapes[biases[-1]] == (H,) else "[0, bn]"
            held = dict(zip(biases, ("b", inner if CELLS[cell].biased else "0"), strict=False))
            named = {"cell": f"{cell} {' '.join(order)}"}
            yield layout | held | named
            if len(biases) == 1 and CELLS[cell].biased:
                yield layout | {biases[0]: "[0, bn] or 0"} | named


def zeros(layout: Mapping[str, str], D: int = SIZES["D"], H: int = SIZES["H"]) -> dict[str, Any]:
    """Return parameters of zeros of the cell of a layout, by the names of the reference."""
    columns = len(cell_of(layout)[1]) * H
    shapes = {"Wx": (D, columns), "Wh": (H, columns), "b": (columns,), "bn": (H,)}
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
