"""Layouts: find the parameters of one layer among named arrays, and move them from one framework to another."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapters._layers import named as layered
from adapters._places import (
    GATES,
    PARTS,
    cell_of,
    in_reference,
    places_of,
    sizes_of,
    suffixes_of,
    to_framework,
    to_reference,
)
from adapters._source import frameworks, literals, source
from reference import Params
from reference.archive import DTYPES
from reference.cells import NONLINEARITIES
from reference.layers import endings


class Recorded(NamedTuple):
    """The cell of a layer and its activation, as a file records them beside the arrays."""

    cell: str  # as of ``Case``
    nonlinearity: str  # "tanh" or "relu"; in other words if it has other functions than the cell
    backwards: bool = False  # whether it runs from the last step to the first


@dataclass(frozen=True)
class Layout:
    """The places of the parameters in one cell or layer of a framework.

    If Wx is (D, H) and b is (H,), as in ``reference.Params``, ``Wx.T[None]`` is (1, H, D) and ``[b, 0]`` is (2H,).

    Raises:
        ValueError: there is no such place, or Wx, Wh and b do not have one place each, or one each gate.
    """

    name: str  # name of the adapter that judges this cell or layer: "torch.RNN"
    places: Mapping[str, str]  # from the name of a parameter to its place, in the order of the module
    nonlinearities: tuple[str, ...] = ("tanh", "relu")
    is_layered: bool = False  # whether a name may have the ending of a layer, as "Wx_l1"

    def __post_init__(self) -> None:
        held, each = [suffixes_of(place) for place in self.named.values()], sorted(GATES[self.cell].split())
        for part in ("Wx", "Wh", "b"):
            if sorted(gate for what, _, gate, *_ in held if part in PARTS[what]) not in ([""], each):
                got = list(self.named.values())
                raise ValueError(f"Layout {self.name}: expected {part} once, or once for each of {each}, got {got}")

    @cached_property
    def named(self) -> dict[str, str]:
        """The places by name of parameter."""
        return places_of(self.places)

    @property
    def cell(self) -> str:
        """Name of the cell, as of ``Case``."""
        return cell_of(self.places)[0]

    @property
    def is_plain(self) -> bool:
        """Whether the names are those of the reference."""
        return all(name == place for name, place in self.named.items())

    @property
    def has_layers(self) -> bool:
        """Whether there are names for several layers."""
        return self.is_layered or all(name.endswith("_l0") for name in self.named)

    @property
    def always_biased(self) -> bool:
        """Whether the cell always has a bias."""
        return any(" or 0" in place for place in self.named.values())

    @property
    def has_bn(self) -> bool:
        """Whether there is a place for the bias inside the reset of a GRU."""
        return any("bn" in place for place in self.named.values())

    @property
    def weights(self) -> list[str]:
        """Names of the parameters with Wx and Wh."""
        return [name for name, place in self.named.items() if "W" in place]

    def to_framework(self, params: Params) -> dict[str, NDArray[Any]]:
        """Return copies of the parameters of one cell under the framework's names, in the framework's order.

        If the framework adds two biases, they become b and zero. If the cell always has a bias and the parameters have
        none, the bias is zero.

        Raises:
            ValueError: the parameters belong to a stack or to another cell, or they have a bn that is not zero and for
                which there is no place.
        """
        if params.Wx.ndim != 2:
            raise ValueError(f"port: expected the parameters of one cell, got a stack of {len(params.Wx)}")
        gates = len(GATES[self.cell].split())
        if params.Wh.shape[-1] != gates * params.Wh.shape[0]:
            raise ValueError(f"port: expected Wh of shape (H, {gates}H) for a {self.name}, got {params.Wh.shape}")
        if params.bn is not None and params.bn.any() and not self.has_bn:
            raise ValueError(f"port: expected a bn of zeros for {self.name}, which has no place for it, got another")
        held = to_framework(self.places, params.fields())
        return {name: np.array(array, order="C") for name, array in held.items()}

    def to_reference(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Return arrays under the names Wx, Wh and b instead of the framework's names, without a second bias."""
        return to_reference(self.places, arrays)

    def params(self, arrays: Mapping[str, Any]) -> Params:
        """Return the parameters of the only cell or layer of this kind among named arrays.

        Names may have a prefix ("rnn.weight_ih_l0", "params/cell/i/kernel"); ``/`` and ``.`` are equivalent. Two biases
        are added in their dtype. If an element of one bias is zero, the element of the other keeps every bit.

        Args:
            arrays: arrays by name, of one dtype that NumPy can represent; they may include arrays of other layers.

        Raises:
            ValueError: a parameter is missing or has a wrong shape, there are several such layers, or the layer has a
                further parameter.
            TypeError: the dtype of an array is not in ``archive.DTYPES``, or is not that of Wx.
        """
        found = self.only_layer(arrays)
        self._expect_shapes(found)
        biases = self._biases(found)
        return Params(**(self.to_reference(found) | {"b": added(biases) if biases else None}))

    def each(self, arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the arrays of every layer and direction among named arrays, under the names of one layer.

        Args:
            arrays: as of ``params``, or those of several layers: "rnn.weight_ih_l0_reverse", "rnn.weight_ih_l1".

        Returns:
            By ending, "_l0", "_l0_reverse", "_l1", and so on; by "" if there is one layer in one direction.

        Raises:
            ValueError: a layer or a direction is missing, there are several modules with layers, or the framework has
                no names for several layers.
        """
        flat = flattened(arrays)
        parts, first = {name: layer_of(name) for name in flat}, single(self.weights[0])
        heads = [(name, end) for name, end in parts.values() if f".{name}".endswith(f".{first}")]
        ends = {end for _, end in heads}
        if ends <= {"", "_l0"}:
            return {"": dict(arrays)}
        self._expect_layers("source")
        directions = 1 + any(end.endswith("_reverse") for end in ends)
        expected = endings(len(ends), directions)
        if ends != {*expected} or len(heads) != len(ends):
            got = shortened([name + end for name, end in heads])
            raise ValueError(f"port: expected {first} of one {self.name} with the layers {expected}, got {got}")
        prefix, names = heads[0][0].removesuffix(first), {single(name): name for name in self.named}
        found: dict[str, dict[str, Any]] = {end: {} for end in expected}
        for full, (name, end) in parts.items():
            if (own := name.removeprefix(prefix)) in names and end in found:
                found[end][names[own]] = flat[full]
        if len({frozenset(own) for own in found.values()}) > 1:
            names_of = {end: [*own] for end, own in found.items()}
            raise ValueError(f"port: expected the same parameters of {self.name} in every layer, got {names_of}")
        return found

    def named_in(self, end: str, params: Params) -> dict[str, NDArray[Any]]:
        """Return the parameters of the layer with this ending under the framework's names, as ``to_framework``.

        Without an ending, they have the names of one layer.

        Raises:
            ValueError: the framework has no names for several layers; or as of ``to_framework``.
        """
        if not end:
            return self.to_framework(params)
        self._expect_layers("target")
        return {layered(name, end): array for name, array in self.to_framework(params).items()}

    def _expect_layers(self, what: str) -> None:
        """Raise ValueError unless there are names for several layers."""
        if not self.has_layers:
            raise ValueError(f"port: expected a {what} with names of several layers, got {self.name}: {[*self.named]}")

    def paths(self, arrays: Mapping[str, Any], *, fitting: bool = True) -> list[str]:
        """Return the path of each such cell, layer or module of layers among named arrays, as "encoder.lstm" or "".

        Args:
            arrays: arrays by name.
            fitting: whether Wh has to have the shape of this cell, because other cells have the same names.
        """
        flat, own = flattened(arrays), {name: name.replace("/", ".") for name in self.weights}
        kinds = [own] + [{name: f"{single(name)}_l0" for name in own}] * self.has_layers
        found = list[str]()
        for names in kinds:
            first = next(iter(names.values()))
            for prefix in (name.removesuffix(first) for name in flat if f".{name}".endswith(f".{first}")):
                held = {name: flat[prefix + key] for name, key in names.items() if prefix + key in flat}
                if held.keys() == names.keys() and (self._fits(held) or not fitting):
                    found.append(prefix.rstrip("."))
        return [*dict.fromkeys(found)]

    def _fits(self, weights: Mapping[str, NDArray[Any]]) -> bool:
        """Return whether Wh has a block of each gate."""
        try:
            Wh = self.to_reference(weights)["Wh"]
        except (ValueError, IndexError):  # of another number of axes
            return False
        return bool(Wh.ndim == 2 and Wh.shape[1] == len(Wh) * len(GATES[self.cell].split()))

    def rounded(self, arrays: Mapping[str, Any]) -> int:
        """Return the number of elements in which the sum of two biases is not exact; ``arrays`` as of ``params``."""
        biases = self._biases(self.only_layer(arrays))
        # If the sum is exact, subtracting one bias leaves the other.
        inexact = [added(biases) - one != other for one, other in permutations(biases, 2)]
        return int(np.any(inexact, axis=0).sum())

    def _biases(self, found: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        return [array for what, array in in_reference(self.places, found) if what in ("b", "0")]

    def only_layer(self, arrays: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Return the arrays of the only such layer, without their prefix; arguments and errors as in ``params``."""
        flat = flattened(arrays)
        ours = {name.replace("/", "."): name for name in self.named}
        first, *others = (name.replace("/", ".") for name in self.weights)
        prefixes = [name.removesuffix(first) for name in flat if f".{name}".endswith(f".{first}")]
        whole = [prefix for prefix in prefixes if all(prefix + other in flat for other in others)]
        if len(prefixes := whole or prefixes) != 1:
            got = f"several, after {prefixes}" if prefixes else f"arrays called {shortened(list(flat))}"
            raise ValueError(f"port: expected one {self.name}, {' and '.join(self.weights)}, got {got}")
        (prefix,) = prefixes
        found = {name: flat[prefix + key] for key, name in ours.items() if prefix + key in flat}
        self._expect_all(found, prefix)
        # An array with the prefix of a module belongs to the module, for example to its second layer or to a gate.
        # Plain Wx, Wh and b belong to no module, so an author may put other arrays beside them, but no other parameter.
        modules = {(prefix + key).rpartition(".")[0] for key in ours}
        beside = [name for name in flat if name.rpartition(".")[0] in modules]
        beside = [name for name in beside if name.removeprefix(prefix) in PARTS] if self.is_plain else beside
        if more := [name for name in beside if name.removeprefix(prefix) not in ours]:
            got = f"{shortened(more)}{projection(more)}"
            raise ValueError(f"port: expected no more than {list(self.named)} of a {self.name}, got {got}")
        return found

    def _expect_all(self, found: Mapping[str, Any], prefix: str) -> None:
        """Raise ValueError unless every parameter is present; the bias may be missing if it is optional."""
        has_bias = self.always_biased or not found.keys() <= set(self.weights)
        needed = [name for name, place in self.named.items() if has_bias and place[:2] != "0?"] or self.weights
        if absent := [name for name in needed if name not in found]:
            where = f" after {prefix!r}" * bool(prefix)
            raise ValueError(f"port: expected {absent[0]} of {self.name}, got {list(found)}{where} without it")

    def _expect_shapes(self, found: Mapping[str, NDArray[Any]]) -> None:
        """Raise ValueError or TypeError unless the shapes fit together and all arrays have one dtype."""
        name = self.weights[0]
        Wx, (D, H) = found[name], sizes_of(self.places, found)
        columns = H * len(GATES[self.cell].split())
        one = np.zeros(())  # takes no memory, however large H is
        zeros = {"Wx": np.broadcast_to(one, (D, columns)), "Wh": np.broadcast_to(one, (H, columns))}
        zeros |= {"b": np.broadcast_to(one, (columns,)), "bn": np.broadcast_to(one, (H,))}
        # In the oracle's order of gates, no block is copied.
        plain = {**self.places, "cell": f"{self.cell} {GATES[self.cell]}"}
        like = to_framework(plain, zeros)
        for other, array in found.items():
            if array.shape != (expected := like[other].shape):
                also = named_beside(self, lambda one: {*one.weights} <= {*found} and one._fits(found))
                raise ValueError(f"port: expected {other} of shape {expected}, got {array.shape} (D={D}, H={H}){also}")
            if str(array.dtype) not in DTYPES or array.dtype != Wx.dtype:
                dtypes = f"{Wx.dtype}, as {name} is" if str(Wx.dtype) in DTYPES else list(DTYPES)
                raise TypeError(f"port: expected {other} of dtype {dtypes}, got {array.dtype} {array.shape}")


def port(
    params: Mapping[str, Any] | Params, from_: str, to: str, *, nonlinearity: str | None = None
) -> dict[str, NDArray[Any]]:
    """Return parameters of recurrent layers in the names and shapes of another framework, without importing either.

    Every value is copied bit for bit. If the source has two biases, their sum is rounded to their dtype.

    Args:
        params: ``Params`` of one layer, or named arrays of the source as of ``Layout.each``.
        from_: the source: an adapter with a layout ("torch.RNN"), or a framework, whose first layout is used.
        to: the target, in the same form.
        nonlinearity: nonlinearity of the model, "tanh" or "relu"; by default the first of the source.

    Returns:
        Arrays by name, in the order of the target's parameters and in the dtype of the source, as of
        ``Layout.to_framework``.

    Raises:
        ValueError: a name is unknown, the target does not have the nonlinearity, or as in ``Layout.params``.
        TypeError: as in ``Layout.params``.

    Source: the file of each framework links to the documentation of its parameters.
    """
    origin, target = layout(from_), layout(to)
    expect_nonlinearity(origin, target, nonlinearity)
    if isinstance(params, Params):
        return target.to_framework(params)
    found: dict[str, NDArray[Any]] = {}
    for end, own in origin.each(params).items():
        found |= target.named_in(end, origin.params(own))
    return found


def named_beside(given: Layout, is_meant: Callable[[Layout], bool]) -> str:
    """Return a clause on those layouts of the same framework that may be meant, or "" if there is none."""
    names = [name for name, one in layouts(given.name.partition(".")[0]).items() if is_meant(one)]
    return f"; {' or '.join(names)} may be meant" if names else ""


def expect_nonlinearity(origin: Layout, target: Layout, nonlinearity: str | None = None) -> str:
    """Return the nonlinearity of a model, or raise ValueError if the source or the target does not have it."""
    if origin.cell != target.cell:
        also = named_beside(target, lambda one: one.cell == origin.cell)
        raise ValueError(
            f"port: expected a target with the cell {origin.cell}, got {target.name}, a {target.cell}{also}"
        )
    f = nonlinearity or origin.nonlinearities[0]
    if f not in NONLINEARITIES:
        raise ValueError(f"port: expected a nonlinearity among {list(NONLINEARITIES)}, got {f!r}")
    for what, held in {"source": origin, "target": target}.items():
        if f not in (only := held.nonlinearities):
            raise ValueError(f"port: expected a {what} with {f}, got {held.name}, which has {only[0]} alone")
    return f


def layout(name: str) -> Layout:
    """Return the layout of an adapter, or the first layout of a framework; raise ValueError if there is none."""
    framework, _, variant = name.replace("-", "_").partition(".")
    if framework not in frameworks():
        raise ValueError(f"port: expected a framework among {frameworks()}, got {name!r}")
    offered = layouts(framework)
    if not offered:
        raise ValueError(f"port: expected a framework with a layout of its parameters, got {name!r}")
    if (chosen := f"{framework}.{variant}" if variant else next(iter(offered))) not in offered:
        raise ValueError(f"port: expected one of {list(offered)}, got {name!r}")
    return offered[chosen]


def layouts(framework: str) -> dict[str, Layout]:
    """Return the layouts of a framework by name of adapter, in the order of its file, without importing it."""
    constants = literals(file) if (file := source(framework)) else {}
    nonlinearities = constants.get("NONLINEARITIES", Layout.nonlinearities)
    names = {f"{framework}.{variant}": places for variant, places in constants.get("LAYOUTS", {}).items()}
    # The nonlinearities of a file are those of its vanilla cells.
    plain = {name: nonlinearities for name, places in names.items() if "cell" not in places}
    layered = [f"{framework}.{variant}" for variant in constants.get("LAYERED", ())]
    return {name: Layout(name, places, plain.get(name, ("tanh",)), name in layered) for name, places in names.items()}


def single(name: str) -> str:
    """Return the name of a parameter without the ending of a first layer, with dots: "weight_ih" of "weight_ih_l0"."""
    return name.replace("/", ".").removesuffix("_l0")


def layer_of(name: str) -> tuple[str, str]:
    """Return the name of a parameter without the ending of its layer, and the ending: "weight_ih", "_l1_reverse"."""
    match = re.fullmatch(r"(.*?)(_l\d+(?:_reverse)?)?", name)
    return (match[1], match[2] or "") if match else (name, "")


def added(biases: list[NDArray[Any]]) -> NDArray[Any]:
    """Return the sum of biases in their dtype. A number plus zero keeps every bit, including the sign of zero."""
    with np.errstate(all="ignore"):
        return reduce(lambda one, other: np.where(other == 0, one, np.where(one == 0, other, one + other)), biases)


def shortened(names: list[str], most: int = 8) -> str:
    """Return the first names of a list in Python's notation."""
    return str(names) if len(names) <= most else f"{str(names[:most])[:-1]}, and {len(names) - most} more]"


def is_under(path: str, above: str) -> bool:
    """Return whether a path is another one, or begins with it: "encoder.lstm" begins with "encoder" and with ""."""
    return f"{path}.".startswith(f"{above}." if above else "")


def under(arrays: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the arrays whose names begin with a path, without it."""
    return {name[len(path) :].lstrip("."): array for name, array in flattened(arrays).items() if is_under(name, path)}


def flattened(tree: Any, *path: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a nested mapping by path, with dots as separators."""
    if not isinstance(tree, Mapping):
        return {".".join(path).replace("/", "."): np.asarray(tree)}
    return {name: array for key in tree for name, array in flattened(tree[key], *path, key).items()}


def projection(names: Iterable[str]) -> str:
    """Return what a message adds if one of the parameters is that of ``proj_size``, which no cell has."""
    found = [name for name in names if "weight_hr" in name]
    return f"; {found[0]} is a projection (proj_size), which no cell has" if found else ""
