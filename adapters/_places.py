"""Where a framework keeps Wx, Wh and b: one table, read both ways, for weights and for gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

# Place of a parameter: what stands there. "b or 0" is the bias of a cell that always has one, "0" a second bias, which
# the cell adds to the first, "0?" one that a cell may be made without, and "[b, 0]" has both, one after the other.
# A place with [None] at its end has a leading axis of length 1.
PLACES = {"Wx": "Wx", "Wx.T": "Wx", "Wh": "Wh", "Wh.T": "Wh"}
PLACES |= {"b": "b", "b or 0": "b", "[b, 0]": "b", "0": "0", "0?": "0"}


def to_framework(places: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters under a framework's names, and as views of the same memory where that is possible.

    Args:
        places: name of a parameter: its place, a key of ``PLACES``.
        params: Wx (D, H), Wh (H, H) and b (H,) or None, by name. A stack has one more leading axis.
    """
    Wx, Wh, b = params["Wx"], params["Wh"], params["b"]
    zeros = np.zeros((*Wh.shape[:-2], Wh.shape[-1]), Wh.dtype)
    ways = {"Wx": Wx, "Wx.T": Wx.mT, "Wh": Wh, "Wh.T": Wh.mT, "b or 0": zeros if b is None else b, "0?": zeros}
    if b is not None:
        ways |= {"b": b, "0": zeros, "[b, 0]": np.concatenate([b, zeros], axis=-1)}
    found = {name: ways.get(place.removesuffix("[None]")) for name, place in places.items()}
    return {name: a[None] if "[None]" in places[name] else a for name, a in found.items() if a is not None}


def in_reference(places: Mapping[str, str], arrays: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give what stands at each place, "Wx", "Wh", "b" or "0", with its array shaped as the reference has it."""
    for name, place in places.items():
        if name in arrays:
            array = arrays[name][0] if place.endswith("[None]") else arrays[name]
            if place.startswith("[b, 0]"):
                yield from zip(("b", "0"), np.split(array, 2, axis=-1), strict=True)
            else:
                yield PLACES[place.removesuffix("[None]")], array.mT if ".T" in place else array


def to_reference(places: Mapping[str, str], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays under a framework's names, such as gradients, as those of Wx, Wh and b; a second bias is dropped.

    Both biases of a pair have the same gradient, since the cell adds them.
    """
    return {what: array for what, array in in_reference(places, arrays) if what != "0"}
