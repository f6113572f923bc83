"""Somebody else's ``nn.Module`` as a subject: how it is made and called, and its gradients by autograd.

Its own parameters are assigned, and autograd returns their gradients, as in training. The module of each size is kept,
so that numbers that it remembers from other calls show.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import compress
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from adapters import Adapter
from adapters._drop_in import SIZES, first_right, layouts_of, subject, unsupported, with_gates
from adapters._places import cell_of, places_of
from adapters._torch import as_array, as_tensor, pull_back
from adapters._way import mapped
from reference import LayersCase
from reference.cells import CELLS

# Options of a constructor, and a value of each that is not the default of nn.RNN.
OPTIONS: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "bias": False, "batch_first": True}
OPTIONS |= {"nonlinearity": "relu", "dtype": torch.float64}
OPTIONAL = {"num_layers": "several layers", "bidirectional": "both directions", "bias": "with and without bias"}


@dataclass(frozen=True)
class Module:
    """A module of any sizes, and the way to call it."""

    name: str
    factory: Callable[..., Any]  # D, H and options to a module
    takes: frozenset[str]  # the options that the factory has
    is_cell: bool = False  # whether it takes one step
    batch_first: bool = False
    has_axis: bool = True  # whether its states have a first axis of layers and directions
    has_last: bool = True  # whether it returns its last states
    from_last: bool = False  # whether the last output is taken from the last state
    omits: bool = False  # whether it is called without initial states, which are zero then
    evaluates: bool = False  # whether it is called in eval mode under no_grad, for its outputs alone
    fixed: str = ""  # "inputs" (states, too) or "weights" that need no gradient
    unbatched: bool = False  # whether a single row comes without its axis

    @lru_cache(maxsize=256)  # noqa: B019 as long as the subject
    def made(self, D: int, H: int, **options: Any) -> Any:
        """Return the module of these sizes, which is kept.

        Raises:
            ValueError: its constructor raised an error.
        """
        given = {name: value for name, value in options.items() if name in self.takes}
        try:
            return self.factory(D, H, **given).to(options["dtype"])
        except Exception as error:
            words = ", ".join(["D", "H", *(f"{name}={value}" for name, value in given.items() if name != "dtype")])
            expected, got = f"expected a module from {self.name}({words})", f"{type(error).__name__}: {error}"
            raise ValueError(f"{self.name}: {expected}, got {got} (D={D}, H={H})") from error

    def small(self) -> Any:
        """Return the module of ``SIZES`` with one layer in one direction."""
        options = {"num_layers": 1, "bidirectional": False, "bias": True, "batch_first": self.batch_first}
        return self.made(SIZES["D"], SIZES["H"], **options, dtype=torch.float32)

    def called(self, module: Any, x: Any, states: Any, T: int) -> list[Any]:
        """Return the outputs, (T, N, O), and the last states that the module returns, each (L, N, H).

        Args:
            module: as ``made`` returns it.
            x: inputs; shape (T, N, D), or a packed sequence.
            states: initial states; each (L, N, H).
            T: number of steps.
        """
        third = [*inspect.signature(module.forward).parameters][2:3]
        apart = len(states) > 1 and any(name.startswith("c") for name in third)

        def call(x: Any, now: Any) -> list[Any]:
            if now is None:
                return flattened(module(x), T)
            return flattened(module(x, *now) if apart else module(x, now if len(now) > 1 else now[0]), T)

        turned = self.batch_first and isinstance(x, Tensor) and not self.unbatched
        given = tuple(state[:, 0] for state in states) if self.unbatched else states
        x = x[:, 0] if self.unbatched else x
        now: Any = given if self.has_axis and not self.is_cell else tuple(state[0] for state in given)
        now = None if self.omits else now
        if self.is_cell:
            steps = []
            for step in x.unbind():
                now = tuple(call(step, now))
                steps.append(now[0])
            outputs, last = torch.stack(steps), now
        else:
            outputs, *last = call(x.transpose(0, 1) if turned else x, now)
            outputs = outputs.transpose(0, 1) if turned else outputs
        outputs = outputs[:, None] if self.unbatched else outputs
        last = [state.reshape(states[0].shape) for state in last]
        return [torch.cat([outputs[:-1], last[0]]) if self.from_last else outputs, *last]

    def run(self, cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: Any = None) -> Any:
        """Run the module on NumPy arrays and differentiate it, as of ``Way.run``, or ``LayersWay.run`` with a case."""
        layers, directions = (case.layers, case.directions) if case else (1, 1)
        leaves = [as_tensor(array).requires_grad_(self.fixed != "inputs") for array in (xs, *states)]
        x, now = leaves[0], tuple(leaves[1:] if case else (state[None] for state in leaves[1:]))
        options = {"num_layers": layers, "bidirectional": directions == 2, "batch_first": self.batch_first}
        options |= {"nonlinearity": cell, "bias": len(weights) > 2 * layers * directions, "dtype": x.dtype}
        module = self.made(x.shape[-1], now[0].shape[-1], **options)
        own = dict(module.named_parameters())
        names = [numbered(name, own, case) for name in weights]
        if absent := [name for name in names if name not in own]:
            raise ValueError(f"{self.name}: expected a parameter {absent[0]} of {layers} layers, got {list(own)}")
        with torch.no_grad():
            for parameter in own.values():
                parameter.requires_grad_(self.fixed != "weights").zero_()
            for name, array in zip(names, weights.values(), strict=True):
                own[name].copy_(as_tensor(array))
        if self.evaluates:
            module.eval()
            with torch.no_grad():
                outputs, *last = self.called(module, x, now, len(xs))
            module.train()
            return mapped(as_array, (outputs, *(state[0] for state in last[1:])) if last[1:] else outputs), None
        found = (
            self.called(module, x, now, len(xs))
            if not case or case.lengths is None
            else self.packed(module, x, now, case)
        )
        # The way of one layer has no upstream gradient of the last h, which is the last output.
        found = found if case else [found[0], *(state[0] for state in found[2:])]
        above = [as_tensor(array) for array in (upstream if isinstance(upstream, tuple) else (upstream,))]
        if (got := [described(one) for one in found]) != (expected := [described(one) for one in above]):
            raise ValueError(f"{self.name}: expected outputs and last states of {expected}, got {got}")
        # A detached output has no gradient.
        live, every = [one.requires_grad for one in found], [*leaves, *map(own.get, names)]
        asked = [leaf for leaf in every if leaf.requires_grad]
        gradients = pull_back([*compress(found, live)], asked, [*compress(above, live)]) if any(live) else None
        pulled = iter(mapped(as_array, gradients or [torch.zeros_like(leaf) for leaf in asked]))
        of_x, *others = [next(pulled) if leaf.requires_grad else None for leaf in every]
        of_states, by_name = others[: len(now)], zip(weights, others[len(now) :], strict=True)
        of_weights = {name: array for name, array in by_name if array is not None}
        outputs = mapped(as_array, tuple(found))
        return outputs if len(found) > 1 else outputs[0], (of_weights, of_x, () if self.omits else of_states)

    def several(self, cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: LayersCase) -> Any:
        """Run several layers or directions, as of ``LayersWay.run``.

        Raises:
            Unsupported: the constructor has no such option, the module draws its own masks, or it takes no packed
                sequence.
        """
        if case.masks is not None:
            raise unsupported(f"{self.name}: expected no dropout masks, got some; a module draws its own")
        if case.padding == "last":
            raise unsupported(f"{self.name}: expected no copies in the padding; a packed sequence has no padding")
        needed = {"num_layers": case.layers > 1, "bidirectional": case.directions > 1}
        if absent := [name for name, is_needed in needed.items() if is_needed and name not in self.takes]:
            raise unsupported(f"{self.name}: expected a constructor with {absent[0]}, got {sorted(self.takes)}")
        return self.run(cell, weights, xs, states, upstream, case)

    def packed(self, module: Any, x: Any, states: Any, case: LayersCase) -> list[Any]:
        """Return the same as ``called`` for rows of the lengths of a case; raise Unsupported if the call fails."""
        packed = pack_padded_sequence(x, [*(case.lengths or ())], enforce_sorted=False)
        try:
            return self.called(module, packed, states, len(x))
        except Exception as error:
            raise unsupported(f"{self.name}: a PackedSequence is unsupported, {type(error).__name__}") from error


def described(tensor: Any) -> str:
    """Return the dtype and the shape of a tensor in words."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def flattened(found: Any, T: int) -> list[Any]:
    """Return the tensors of nested tuples in one list; a packed sequence becomes a tensor of T steps."""
    if isinstance(found, PackedSequence):
        return [pad_packed_sequence(found, total_length=T)[0]]
    return [found] if isinstance(found, Tensor) else [tensor for part in found for tensor in flattened(part, T)]


def numbered(name: str, own: Mapping[str, Any], case: LayersCase | None) -> str:
    """Return the module's name of a parameter: "cells.1.weight" of "cells.0.weight_l1", of a list of one direction."""
    if case is None or name in own:
        return name
    k, end = next((k, end) for k, end in enumerate(case.suffixes) if name.endswith(end))
    return re.sub(r"\.0(?=\.|$)", f".{k}", name.removesuffix(end))


def options_of(factory: Callable[..., Any]) -> frozenset[str]:
    """Return the options that a constructor has. If it takes any by ``**options``, each is tried."""
    given = inspect.signature(factory).parameters

    def accepts(name: str) -> bool:
        try:
            factory(SIZES["D"], SIZES["H"], **{name: OPTIONS[name]})
        except Exception:
            return False
        return True

    is_open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in given.values())
    return frozenset(name for name in OPTIONS if name in given or (is_open and accepts(name)))


def formed(module: Module, cell: str, forms: Sequence[dict[str, Any]], *, is_layer: bool) -> Module:
    """Return a module with the way to call it: the first that returns outputs of the right shape.

    Args:
        module: of any way.
        cell: as of ``Case``.
        forms: the ways to try.
        is_layer: whether names or options are those of a layer, which is judged as one whatever it returns.

    Raises:
        ValueError: no way returns such outputs.
    """
    T, N, D, H = SIZES.values()
    x, states = torch.zeros(T, N, D), tuple(torch.zeros(1, N, H) for _ in CELLS[cell].states)
    got = []
    for form in forms:
        tried = replace(module, **form)
        try:
            outputs, *last = tried.called(tried.small(), x, states, T)
            if outputs.shape == (T, N, H) and len(last) in (len(states), *[0] * (len(states) == 1)):
                return replace(tried, has_last=bool(last))
            got.append(f"outputs {tuple(outputs.shape)} and {len(last)} last states")
        except Exception as error:
            got.append(f"{type(error).__name__}: {error}".splitlines()[0])
    if is_layer:
        return replace(module, **forms[0])
    now = "(h, c)" if len(states) > 1 else "h"
    expected = f"forward(x, {now}) -> {now} with x (N, D), or forward(xs, {now}) -> outputs, {now} with xs (T, N, D)"
    raise ValueError(f"{module.name}: expected {expected}, got {'; '.join(dict.fromkeys(got))} (N={N}, D={D}, H={H})")


@lru_cache(maxsize=256)
def takes_a_row(module: Module, cell: str) -> bool:
    """Return whether a module takes a single row without its axis, and returns outputs (T, H)."""
    T, _, D, H = SIZES.values()
    x, states = torch.zeros(T, 1, D), tuple(torch.zeros(1, 1, H) for _ in CELLS[cell].states)
    try:
        outputs, *_ = replace(module, unbatched=True).called(module.small(), x, states, T)
    except Exception:
        return False
    return bool(outputs.shape == (T, 1, H))


def candidates(module: Module, layout: Mapping[str, str], **fields: Any) -> Iterator[Adapter]:
    """Yield the adapter of a module with a layout for each nonlinearity that may be its own."""
    options, takes = {"eval": replace(module, evaluates=True).run}, module.takes
    options["inputs without gradient"] = replace(module, fixed="inputs").run
    options["frozen weights"] = replace(module, fixed="weights").run
    if takes_a_row(module, cell_of(layout)[0]):
        options["unbatched"] = replace(module, unbatched=True).run
    second = [*inspect.signature(module.small().forward).parameters.values()][1:2]
    if any(one.default is not one.empty for one in second):
        options["h0 omitted"] = replace(module, omits=True).run
    if not module.is_cell and module.has_last:
        options["last state as h[-1]"] = replace(module, from_last=True).run
    if "batch_first" in takes:
        options["batch first"] = replace(module, batch_first=not module.batch_first).run
    layers = module.several if module.has_last and module.has_axis and not module.is_cell else None
    how = ["a cell" if module.is_cell else "a layer", *["batch first"] * module.batch_first]
    how += [words for name, words in OPTIONAL.items() if name in takes]
    is_gated = len(cell_of(layout)[1]) > 1
    of = partial(subject, module.name, layout, module.run, ", ".join(how), options=options, layers=layers)
    for kinds in ((),) if is_gated else (("tanh", "relu"),) if "nonlinearity" in takes else (("tanh",), ("relu",)):
        yield of(**({"nonlinearities": kinds} if kinds else {}) | fields)


def module(
    factory: Callable[..., Any],
    layout: Mapping[str, str],
    *,
    gates: str = "",
    batch_first: bool = False,
    **fields: Any,
) -> Adapter:
    """Return the adapter of somebody else's module, cell or layer, by a mapping of its parameters.

    Args:
        factory: function of D and H that returns a module. If it has the options of ``torch.nn.LSTM`` (num_layers,
            bidirectional, bias, batch_first, nonlinearity, dtype), they are used.
        layout: from the name of each parameter to its place: {"W_ih": "Wx.T", "W_hh": "Wh.T", "bias": "b"}.
            ``adapters/_places.py`` has the places.
        gates: of a gated cell, in the module's order: "i f g o"; "gru_reset_before r z n" if a cell must be named.
        batch_first: whether inputs are (N, T, D) and outputs (N, T, H).
        fields: of the adapter, such as ``nonlinearities``, ``tanh_ulps`` and ``accumulators``.

    Raises:
        ValueError: the module cannot be made or called, or a parameter has no place.
    """
    name = fields.pop("name", getattr(factory, "__name__", type(factory).__name__))
    named = with_gates(name, layout, gates)
    made = Module(name, factory, options_of(factory), batch_first=batch_first)
    own, places = dict(made.small().named_parameters()), places_of(named)
    if own.keys() != places.keys():
        raise ValueError(f"{name}: expected a place for each of the parameters {list(own)}, got {places}")
    forms = [{"is_cell": True}] * (not batch_first) + [{}, {"has_axis": False}]
    called = formed(made, cell_of(named)[0], forms, is_layer="batch_first" in made.takes)
    return first_right(candidates(called, named, **fields))


def drop_in(kind: Any) -> Adapter:
    """Return the adapter of a class whose constructor, call and parameters are those of a module of ``torch.nn``.

    Raises:
        ValueError: the module cannot be made or called, or its parameters are others.
    """
    named = inspect.signature(kind).parameters
    by_name = {"input_size", "hidden_size"} <= named.keys()
    made = Module(kind.__name__, partial(sized, kind) if by_name else kind, options_of(kind))
    shapes = {name: tuple(parameter.shape) for name, parameter in made.small().named_parameters()}
    layouts = layouts_of(made.name, shapes, "torch")
    first = next(layouts)
    is_layer = "batch_first" in made.takes or any(name.endswith("_l0") for name in shapes)
    forms: list[dict[str, Any]] = [{"is_cell": True}] * (not is_layer) + [{}, {"has_axis": False}]
    forms += [
        form | {"batch_first": True} for form in forms if "is_cell" not in form and "batch_first" not in made.takes
    ]
    called = formed(made, cell_of(first)[0], forms, is_layer=is_layer)
    return first_right(one for layout in (first, *layouts) for one in candidates(called, layout))


def sized(kind: Any, D: int, H: int, **options: Any) -> Any:
    """Return a module of a class that names its sizes, in whatever order."""
    return kind(input_size=D, hidden_size=H, **options)
