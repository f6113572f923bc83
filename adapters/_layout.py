"""Where a framework keeps Wx, Wh and b: under which names, transposed or not, and which second bias beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference import Params
from reference.archive import DTYPES

# What a parameter can hold; with [None] at its end, under a leading axis of length 1.
WEIGHTS = ("Wx", "Wx.T", "Wh", "Wh.T")
BIASES = {
    "b": "the bias",
    "b or 0": "the bias of a cell that always has one",
    "0": "a bias that is added to b, and zero where b is put elsewhere",
    "[b, 0]": "both, one after the other",
    "0?": "the same, of a cell that may be made without it",
}


def laid_out(places: dict[str, str], Wx: Any, Wh: Any, b: Any) -> dict[str, Any]:
    """Return the parameters of a cell or of a stack under a framework's names; places as of a ``Layout``."""

    def zeros() -> Any:
        return np.zeros((*Wh.shape[:-2], Wh.shape[-1]), Wh.dtype)

    ways = {"Wx": lambda: Wx, "Wx.T": lambda: Wx.mT, "Wh": lambda: Wh, "Wh.T": lambda: Wh.mT}
    ways |= {"b or 0": lambda: zeros() if b is None else b, "0?": zeros}
    if b is not None:
        ways |= {"b": lambda: b, "0": zeros, "[b, 0]": lambda: np.concatenate([b, zeros()], axis=-1)}
    found = {}
    for name, place in places.items():
        what = place.removesuffix("[None]")
        if what in ways:
            found[name] = ways[what]() if what == place else ways[what]()[None]
    return found


@dataclass(frozen=True)
class Layout:
    """Where one cell or layer of a framework keeps its parameters.

    A place is one of ``WEIGHTS`` or ``BIASES``, with ``[None]`` at its end under a leading axis of length 1. Wx is
    (D, H), Wh (H, H) and b (H,), as of ``reference.Params``; ``Wx.T[None]`` is (1, H, D), ``[b, 0]`` is (2H,).

    Raises:
        ValueError: a place that is none, or not one place for each of Wx, Wh and b.
    """

    name: str  # of the adapter that judges it: "torch.RNN"
    places: dict[str, str]  # name of a parameter: its place; in the order in which the module lists them
    nonlinearities: tuple[str, ...] = ("tanh", "relu")

    def __post_init__(self) -> None:
        whats = [place.removesuffix("[None]") for place in self.places.values()]
        unknown = [what for what in whats if what not in (*WEIGHTS, *BIASES)]
        kinds = sorted(kind for what in whats if (kind := kind_of(what)))
        if unknown or kinds != ["Wh", "Wx", "b"]:
            raise ValueError(f"Layout {self.name}: expected Wx, Wh and b once among {[*WEIGHTS, *BIASES]}, got {whats}")

    @property
    def always_biased(self) -> bool:
        """Whether the cell has a bias, always."""
        return any(place.startswith("b or 0") for place in self.places.values())

    @property
    def weights(self) -> list[str]:
        """Names of the parameters that hold Wx and Wh."""
        return [name for name, place in self.places.items() if place[0] == "W"]

    @property
    def biases(self) -> list[str]:
        """Names of the parameters that hold b and what is added to it."""
        return [name for name in self.places if name not in self.weights]

    def named(self, params: Params) -> dict[str, NDArray[Any]]:
        """Return the parameters of one cell under the framework's names, in its order.

        Two biases that are added become b and zero; b is zero where the cell always has a bias and there is none.

        Raises:
            ValueError: the parameters are those of a stack.
        """
        if params.Wx.ndim != 2:
            raise ValueError(f"port: expected the parameters of one cell, got a stack of {len(params.Wx)}")
        held = laid_out(self.places, *params.fields().values())
        return {name: np.array(array, order="C") for name, array in held.items()}

    def params(self, arrays: Mapping[str, Any]) -> Params:
        """Return the parameters of the only cell or layer of this kind among named arrays.

        Names may have a prefix ("rnn.weight_ih_l0", "params/cell/i/kernel"), and ``/`` and ``.`` are the same in them.
        Two biases are added in their dtype; where one is zero the other keeps every bit.

        Args:
            arrays: of one dtype, which NumPy can take; arrays of other layers may be among them.

        Raises:
            ValueError: a parameter is missing or of a wrong shape, there is more than one such layer, or the layer has
                a parameter besides.
            TypeError: a dtype that is none of ``archive.DTYPES``, or another than that of Wx.
        """
        found = self.only_layer(arrays)
        self._expect_shapes(found)
        biases = self._biases(found)
        Wx, Wh = (self._weight(kind, found) for kind in ("Wx", "Wh"))
        return Params(Wx, Wh, added(biases) if biases else None)

    def rounded(self, arrays: Mapping[str, Any]) -> int:
        """Return in how many elements the sum of two biases is not exact; arrays as of ``params``."""
        match self._biases(self.only_layer(arrays)):
            case [one, other]:
                total = added([one, other])
                # Without the larger one, which is taken away without an error, the smaller one is left, or is not.
                return int(np.sum((total - one != other) | (total - other != one)))
            case _:
                return 0

    def only_layer(self, arrays: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Return the arrays of the only such layer, without their prefix; the rest as of ``params``."""
        flat = {name.replace("/", "."): np.asarray(array) for name, array in flattened(arrays)}
        ours = {name.replace("/", "."): name for name in self.places}
        first = self.weights[0].replace("/", ".")
        prefixes = [name.removesuffix(first) for name in flat if name.endswith(first)]
        prefixes = [prefix for prefix in prefixes if prefix[-1:] in ("", ".")]
        whole = [prefix for prefix in prefixes if all(prefix + name.replace("/", ".") in flat for name in self.weights)]
        prefixes = whole or prefixes
        if len(prefixes) != 1:
            got = f"several, after {prefixes}" if prefixes else f"arrays called {shortened(list(flat))}"
            raise ValueError(f"port: expected one {self.name}, {' and '.join(self.weights)}, got {got}")
        (prefix,) = prefixes
        found = {name: flat[prefix + key] for key, name in ours.items() if prefix + key in flat}
        self._expect_all(found, prefix)
        # What stands beside a parameter of the layer is a parameter of the layer: of a second one, or of a gate.
        # Plain Wx, Wh and b are of no module, and stand beside whatever an author put there.
        plain = all(name == place for name, place in self.places.items())
        beside = set() if plain else {parent(prefix + key) for key in ours}
        more = [name for name in flat if parent(name) in beside and name.removeprefix(prefix) not in ours]
        if more:
            raise ValueError(f"port: expected no more than {list(self.places)} of a {self.name}, got {shortened(more)}")
        return found

    def _expect_all(self, found: Mapping[str, Any], prefix: str) -> None:
        """Raise ValueError unless all parameters are there, or all without those of the bias, if it can do without."""
        needed = [name for name, place in self.places.items() if not place.startswith("0?")]
        absent = [name for name in needed if name not in found]
        without = [name for name in needed if name in self.biases and not self.always_biased]
        if absent and (absent != without or any(name in found for name in self.biases)):
            where = f" after {prefix!r}" * bool(prefix)
            raise ValueError(f"port: expected {absent[0]} of {self.name}, got {list(found)}{where} without it")

    def _expect_shapes(self, found: Mapping[str, NDArray[Any]]) -> None:
        """Raise ValueError or TypeError unless shapes fit together, and dtypes are one."""
        name = next(name for name, place in self.places.items() if kind_of(place) == "Wx")
        leading, turned = self.places[name].endswith("[None]"), ".T" in self.places[name]
        shape, axes = found[name].shape, ("1, " * leading) + ("H, D" if turned else "D, H")
        if len(shape) != 2 + leading:
            raise ValueError(f"port: expected {name} of shape ({axes}), got {shape}")
        D, H = shape[::-1][:2] if turned else shape[-2:]
        like = laid_out(self.places, np.zeros((D, H)), np.zeros((H, H)), np.zeros(H))
        for other, array in found.items():
            if array.shape != like[other].shape:
                wanted = like[other].shape
                raise ValueError(f"port: expected {other} of shape {wanted}, got {array.shape} (D={D}, H={H})")
            if str(array.dtype) not in DTYPES or array.dtype != found[name].dtype:
                wanted = f"{found[name].dtype}, as {name} is" if str(found[name].dtype) in DTYPES else list(DTYPES)
                raise TypeError(f"port: expected {other} of dtype {wanted}, got {array.dtype} {array.shape}")

    def _weight(self, kind: str, found: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        name = next(name for name, place in self.places.items() if kind_of(place) == kind)
        array = found[name][0] if self.places[name].endswith("[None]") else found[name]
        return array.T if ".T" in self.places[name] else array

    def _biases(self, found: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        biases: list[NDArray[Any]] = []
        for name in self.biases:
            if name in found:
                array = found[name][0] if self.places[name].endswith("[None]") else found[name]
                biases += np.split(array, 2) if self.places[name].startswith("[b, 0]") else [array]
        return biases


def kind_of(place: str) -> str:
    """Return which of Wx, Wh and b a place is the place of; nothing of a further bias."""
    return place[:2] if place[0] == "W" else "b" * (place.startswith(("b", "[b")))


def added(biases: list[NDArray[Any]]) -> NDArray[Any]:
    """Return the sum of biases in their dtype; what is beside zero keeps every bit, the sign of a zero included."""
    total = biases[0]
    with np.errstate(all="ignore"):
        for bias in biases[1:]:
            total = np.where(bias == 0, total, np.where(total == 0, bias, total + bias))
    return total


def parent(name: str) -> str:
    """Return what stands before the last name of a path."""
    return name.rpartition(".")[0]


def shortened(names: list[str], most: int = 8) -> str:
    """Return the first names of a list as Python spells them."""
    return str(names) if len(names) <= most else f"{str(names[:most])[:-1]}, and {len(names) - most} more]"


def flattened(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give the arrays of a mapping that may hold mappings, each with its path, parted by ``/``."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value
