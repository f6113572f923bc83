"""The places of Wx, Wh and b in a framework: one table, used in both directions, for weights and for gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

# The keys are places, the values the parameters of the reference. The place "b or 0" is the bias of a cell that always
# has one. The place "0" is a second bias that the cell adds to the first. The place "0?" is an optional second bias.
# The place "[b, 0]" is the concatenation of both. The suffix [None] is a leading axis of length 1.
PLACES = {"Wx": "Wx", "Wx.T": "Wx", "Wh": "Wh", "Wh.T": "Wh"}
PLACES |= {"b": "b", "b or 0": "b", "[b, 0]": "b", "0": "0", "0?": "0"}


def to_framework(places: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters under a framework's names, as views of the same memory if possible.

    Args:
        places: dict from the name of a parameter to its place, a key of ``PLACES``.
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
    """Yield "Wx", "Wh", "b" or "0" for each place, with its array in the shape of the reference."""
    for name, place in places.items():
        if name in arrays:
            array = arrays[name][0] if place.endswith("[None]") else arrays[name]
            if place.startswith("[b, 0]"):
                yield from zip(("b", "0"), np.split(array, 2, axis=-1), strict=True)
            else:
                yield PLACES[place.removesuffix("[None]")], array.mT if ".T" in place else array


def to_reference(places: Mapping[str, str], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays, such as gradients, under the names Wx, Wh and b instead of the framework's names.

    A second bias is dropped. Its gradient equals that of the first, because the cell adds them.
    """
    return {name: array for name, array in in_reference(places, arrays) if name != "0"}
