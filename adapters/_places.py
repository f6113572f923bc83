"""The places of the oracle's parameters in a framework: one table, used in both directions, for weights and gradients.

A layout is a dict from the name of a parameter to its place. ``PARTS`` has the places. A place may have suffixes:

    b or 0      zeros if there is no bias, because the cell always has one
    0?          a parameter that may be absent
    Wx[i]       the block of one gate alone
    Wx.T        transposed
    Wx[None]    a leading axis of length 1

A name with * stands for one parameter a gate. So "h*/kernel": "Wh" stands for "hi/kernel": "Wh[i]" and the others.

The layout of a gated cell also has the key "cell". Its value names the cell and its gates in the framework's order, as
"lstm i f g o". The gate "-z" is a gate whose pre-activation the framework negates. The gate "f+1" is a gate to whose
pre-activation the framework adds 1. Its bias is b - 1, which is rounded. Nothing else is rounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np

# The keys are places: one part, two parts side by side, or two parts one above the other. The part "0" is a second
# bias that the cell adds to the first. The part "[0, bn]" is that of a GRU, which is bn in the block of n.
PARTS: dict[str, tuple[str, ...]] = {part: (part,) for part in ("Wx", "Wh", "b", "bn", "0", "[0, bn]")}
PARTS |= {"[b, 0]": ("b", "0"), "[b, [0, bn]]": ("b", "[0, bn]"), "[b, bn]": ("b", "bn")}
PARTS |= {"[b; [0, bn]]": ("b", "[0, bn]"), "[Wx; Wh]": ("Wx", "Wh")}
PLACE = re.compile(rf"({'|'.join(map(re.escape, PARTS))})(\?| or 0)?(?:\[([a-z])\])?(\.T)?(\[None\])?")
# The oracle's order of gates.
GATES = {"rnn": "a", "lstm": "i f g o", "gru": "r z n", "gru_reset_before": "r z n"}


@cache
def suffixes_of(place: str) -> tuple[str, str, str, bool, bool]:
    """Return the key of ``PARTS`` in a place, "?" or " or 0", the gate, and whether it has ``.T`` and ``[None]``.

    Raises:
        ValueError: there is no such place.
    """
    if (match := PLACE.fullmatch(place)) is None:
        raise ValueError(f"place: expected one of {list(PARTS)} and suffixes, got {place!r}")
    what, there, gate, turned, leading = match.groups("")
    return what, there, gate, bool(turned), bool(leading)


def cell_of(layout: Mapping[str, str]) -> tuple[str, list[str], list[str]]:
    """Return the cell of a layout, its gates in the oracle's order, and in the framework's."""
    cell, _, order = layout.get("cell", "rnn a").partition(" ")
    return cell, GATES[cell].split(), order.split()


def bare(gate: str) -> str:
    """Return the name of a gate without its sign and its offset."""
    return gate.lstrip("-").partition("+")[0]


def places_of(layout: Mapping[str, str]) -> dict[str, str]:
    """Return the places of a layout by name of parameter, with one name a gate instead of a name with *."""
    found = dict[str, str]()
    for name, place in layout.items():
        if "*" in name:
            what, there, *_ = suffixes_of(place)
            ends = place.removeprefix(what + there)
            found |= {name.replace("*", gate): f"{what}{there}[{gate}]{ends}" for gate in map(bare, cell_of(layout)[2])}
        elif name != "cell":
            found[name] = place
    return found


def ordered(array: Any, order: list[str], into: list[str], *, offset: bool = False) -> Any:
    """Return the column blocks of an array, which are in one order of gates, in another.

    Args:
        array: shape (..., G H).
        order: gates of its blocks.
        into: gates of the result.
        offset: whether the array is a bias, to which the number in the name of a gate belongs.
    """
    if order == into:
        return array
    blocks = {}
    for gate, block in zip(order, np.split(array, len(order), axis=-1), strict=True):
        added = gate.partition("+")[2]
        signed = -block if gate[0] == "-" else block
        blocks[bare(gate)] = signed + np.asarray(float(added), block.dtype) if added and offset else signed
    found = []
    for gate in into:
        added = gate.partition("+")[2]
        block = blocks[bare(gate)] - np.asarray(float(added), array.dtype) if added and offset else blocks[bare(gate)]
        found.append(-block if gate[0] == "-" else block)
    return np.concatenate(found, axis=-1)


def joined(what: str, parts: list[Any]) -> Any:
    """Return the array of a place from the arrays of its parts; a vector below another is a row."""
    if len(parts) == 1:
        return parts[0]
    if ";" in what and "W" not in what:
        return np.stack(parts, axis=-2)
    return np.concatenate(parts, axis=-2 if ";" in what else -1)


def parted(what: str, array: Any, gates: int) -> list[Any]:
    """Undo ``joined``, for a cell of this number of gates."""
    if len(PARTS[what]) == 1:
        return [array]
    columns = array.shape[-1]
    if "W" in what:
        return np.split(array, [array.shape[-2] - columns // gates], axis=-2)
    if ";" in what:
        return [array[..., 0, :], array[..., 1, :]]
    return np.split(array, [columns * gates // (gates + 1) if what == "[b, bn]" else columns // 2], axis=-1)


def to_framework(layout: Mapping[str, str], params: Mapping[str, Any], *, tangent: bool = False) -> dict[str, Any]:
    """Return parameters under a framework's names, as views of the same memory if possible.

    Args:
        layout: of the framework.
        params: Wx (D, G H), Wh (H, G H), b (G H,) or None and, of a GRU, bn (H,) or None, by name. A stack has one more
            leading axis.
        tangent: whether the arrays are tangents, to which no offset belongs.
    """
    _, own, order = cell_of(layout)
    Wx, Wh, b, bn = params["Wx"], params["Wh"], params["b"], params.get("bn")
    zeros = np.zeros((*Wh.shape[:-2], Wh.shape[-1]), Wh.dtype)
    second = np.split(zeros, len(own), axis=-1)
    second[-1] = second[-1] if bn is None else bn
    held = {"Wx": ordered(Wx, own, order), "Wh": ordered(Wh, own, order), "0": zeros, "bn": second[-1]}
    held["b"] = ordered(zeros if b is None else b, own, order, offset=not tangent)
    held["[0, bn]"] = ordered(np.concatenate(second, axis=-1), own, order)
    found = {}
    for name, place in places_of(layout).items():
        what, there, gate, turned, leading = suffixes_of(place)
        if b is not None or there or "W" in what:
            array = joined(what, [held[part] for part in PARTS[what]])
            if gate and what != "bn":
                array = np.split(array, len(order), axis=-1)[[*map(bare, order)].index(gate)]
            array = array.mT if turned else array
            found[name] = array[None] if leading else array
    return found


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
    found, blocks = list[tuple[str, Any]](), dict[str, dict[str, Any]]()
    for name, place in places_of(layout).items():
        if name in arrays:
            what, _, gate, turned, leading = suffixes_of(place)
            array = arrays[name][0] if leading else arrays[name]
            array = array.mT if turned else array
            if gate:
                blocks.setdefault(what, {})[gate] = array
            else:
                found += zip(PARTS[what], parted(what, array, len(own)), strict=True)
    found += [(what, np.concatenate([each[bare(gate)] for gate in order], axis=-1)) for what, each in blocks.items()]
    for part, array in found:
        if part == "bn":
            yield part, array
            continue
        moved = ordered(array, order, own, offset=part == "b" and not gradient)
        if part == "[0, bn]":
            *others, bn = np.split(moved, len(own), axis=-1)
            yield "bn", bn
            yield "0", np.concatenate([*others, np.zeros_like(bn)], axis=-1)
        else:
            yield part, moved


def sizes_of(layout: Mapping[str, str], arrays: Mapping[str, Any]) -> tuple[int, int]:
    """Return D and H of the parameters under a framework's names.

    Raises:
        ValueError: the parameter with Wx has another number of axes than its place.
    """
    name, place = next((name, place) for name, place in places_of(layout).items() if "Wx" in place)
    what, _, gate, turned, leading = suffixes_of(place)
    rows = "D+H" if "Wh" in what else "D"
    columns = "H" if gate or len(cell_of(layout)[1]) == 1 else f"{len(cell_of(layout)[1])}H"
    axes = [*["1"] * leading, *([columns, rows] if turned else [rows, columns])]
    if len(shape := arrays[name].shape) != len(axes):
        raise ValueError(f"port: expected {name} of shape ({', '.join(axes)}), got {shape}")
    D, H = reversed(shape[-2:]) if turned else shape[-2:]
    H = H if gate else H // len(cell_of(layout)[1])
    return max(D - H, 0) if "Wh" in what else D, H


def to_reference(layout: Mapping[str, str], arrays: Mapping[str, Any], *, gradient: bool = False) -> dict[str, Any]:
    """Return arrays, such as gradients, under the names of the reference instead of the framework's names.

    A second bias is dropped but for bn. Its gradient equals that of the first, because the cell adds them.
    """
    return {name: array for name, array in in_reference(layout, arrays, gradient=gradient) if name != "0"}
