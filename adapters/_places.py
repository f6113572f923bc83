"""The places of the oracle's parameters in a framework: one table, used in both directions, for weights and gradients.

A layout is a dict from the name of a parameter to its place, a key of ``PLACES``. Of a gated cell it also has the key
"cell", whose value names the cell and its gates in the framework's order: "lstm i f g o". The gate "-z" is a gate whose
pre-activation the framework negates. The gate "f+1" is a gate to whose pre-activation the framework adds 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

# The keys are places, the values the parameters of the reference. The place "b or 0" is the bias of a cell that always
# has one. The place "0" is a second bias that the cell adds to the first. The place "0?" is an optional second bias.
# The place "[b, 0]" is the concatenation of both. The place "[0, bn]" is the second bias of a GRU, zero but for bn in
# the block of n; "bn" is that block alone. The suffix [None] is a leading axis of length 1.
PLACES = {"Wx": "Wx", "Wx.T": "Wx", "Wh": "Wh", "Wh.T": "Wh"}
PLACES |= {"b": "b", "b or 0": "b", "[b, 0]": "b", "0": "0", "0?": "0", "bn": "bn", "[0, bn]": "bn"}
# The oracle's order of gates.
GATES = {"rnn": "a", "lstm": "i f g o", "gru": "r z n", "gru_reset_before": "r z n"}


def cell_of(layout: Mapping[str, str]) -> tuple[str, list[str], list[str]]:
    """Return the cell of a layout, its gates in the oracle's order, and in the framework's."""
    cell, _, order = layout.get("cell", "rnn a").partition(" ")
    return cell, GATES[cell].split(), order.split()


def places_of(layout: Mapping[str, str]) -> dict[str, str]:
    """Return the places of a layout by name of parameter."""
    return {name: place for name, place in layout.items() if name != "cell"}


def ordered(array: Any, order: list[str], into: list[str], *, offset: bool = False) -> Any:
    """Return the column blocks of an array, which are in one order of gates, in another.

    Args:
        array: shape (..., G H), or None.
        order: gates of its blocks.
        into: gates of the result.
        offset: whether the array is a bias, to which the number in the name of a gate belongs.
    """
    if array is None or order == into:
        return array
    blocks = {}
    for gate, block in zip(order, np.split(array, len(order), axis=-1), strict=True):
        name, _, added = gate.lstrip("-").partition("+")
        signed = -block if gate[0] == "-" else block
        blocks[name] = signed + np.asarray(added, block.dtype) if added and offset else signed
    found = []
    for gate in into:
        name, _, added = gate.lstrip("-").partition("+")
        block = blocks[name] - np.asarray(added, array.dtype) if added and offset else blocks[name]
        found.append(-block if gate[0] == "-" else block)
    return np.concatenate(found, axis=-1)


def to_framework(layout: Mapping[str, str], params: Mapping[str, Any], *, tangent: bool = False) -> dict[str, Any]:
    """Return parameters under a framework's names, as views of the same memory if possible.

    Args:
        layout: of the framework.
        params: Wx (D, G H), Wh (H, G H), b (G H,) or None and, of a GRU, bn (H,) or None, by name. A stack has one more
            leading axis.
        tangent: whether the arrays are tangents, to which no offset belongs.
    """
    (_, own, order), places = cell_of(layout), places_of(layout)
    Wx, Wh = (ordered(params[name], own, order) for name in ("Wx", "Wh"))
    b, bn = ordered(params["b"], own, order, offset=not tangent), params.get("bn")
    zeros = np.zeros((*Wh.shape[:-2], Wh.shape[-1]), Wh.dtype)
    ways = {"Wx": Wx, "Wx.T": Wx.mT, "Wh": Wh, "Wh.T": Wh.mT, "b or 0": zeros if b is None else b, "0?": zeros}
    if b is not None:
        second = np.split(zeros, len(own), axis=-1)
        second[-1] = second[-1] if bn is None else bn
        ways |= {"b": b, "bn": second[-1], "0": zeros, "[b, 0]": np.concatenate([b, zeros], axis=-1)}
        ways |= {"[0, bn]": ordered(np.concatenate(second, axis=-1), own, order)}
    found = {name: ways.get(place.removesuffix("[None]")) for name, place in places.items()}
    return {name: a[None] if "[None]" in places[name] else a for name, a in found.items() if a is not None}


def in_reference(
    layout: Mapping[str, str], arrays: Mapping[str, Any], *, gradient: bool = False
) -> Iterator[tuple[str, Any]]:
    """Yield "Wx", "Wh", "b", "bn" or "0" for each place, with its array in the shape and order of the reference.

    Args:
        layout: of the framework.
        arrays: by the framework's names.
        gradient: whether they are gradients, to which no offset belongs.
    """
    _, own, order = cell_of(layout)
    for name, place in places_of(layout).items():
        if name in arrays:
            array = arrays[name][0] if place.endswith("[None]") else arrays[name]
            plain = place.removesuffix("[None]")
            if plain == "[b, 0]":
                first, second = np.split(array, 2, axis=-1)
                yield "b", ordered(first, order, own, offset=not gradient)
                yield "0", ordered(second, order, own)
            elif plain == "[0, bn]":
                blocks = np.split(ordered(array, order, own), len(own), axis=-1)
                yield "bn", blocks[-1]
                yield "0", np.concatenate([*blocks[:-1], np.zeros_like(blocks[-1])], axis=-1)
            else:
                array = array.mT if ".T" in place else array
                moved = array if plain == "bn" else ordered(array, order, own, offset=plain[0] == "b" and not gradient)
                yield PLACES[plain], moved


def to_reference(layout: Mapping[str, str], arrays: Mapping[str, Any], *, gradient: bool = False) -> dict[str, Any]:
    """Return arrays, such as gradients, under the names of the reference instead of the framework's names.

    A second bias is dropped but for bn. Its gradient equals that of the first, because the cell adds them.
    """
    return {name: array for name, array in in_reference(layout, arrays, gradient=gradient) if name != "0"}
