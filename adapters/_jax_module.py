"""Somebody else's function or cell of JAX as a subject, of Flax, Equinox and Keras too: its gradients by ``jax.vjp``.

A cell of a framework on top of JAX is a tree of parameters and a step. Its framework is imported already.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import permutations, product
from typing import Any

import jax
import jax.numpy as jnp

from adapters import Adapter, _jax
from adapters._drop_in import SIZES, first_right, layouts_of, subject, unsupported, with_gates, zeros
from adapters._jax import by_vjp
from adapters._places import cell_of, to_framework
from reference.archive import DTYPES
from reference.cells import CELLS


def function(
    f: Callable[..., Any], layout: Mapping[str, str], *, gates: str = "", carry: str = "", **fields: Any
) -> Adapter:
    """Return the adapter of somebody else's function of JAX: a layer, or a cell, which runs under ``lax.scan``.

    Args:
        f: a layer, ``(params, xs, h0) -> hs`` or ``(params, xs, (h0, c0)) -> (hs, c)``, maybe with the last states at
            the end of what it returns; or a cell, ``(params, carry, x) -> (carry, h)``.
        layout: from the name of each parameter to its place: {"W": "Wx", "U": "Wh.T", "b": "b"}. A name with slashes is
            a path in nested dicts. ``adapters/_places.py`` has the places.
        gates: of a gated cell, in the order of f: "i f g o"; "gru_reset_before r z n" if a cell must be named.
        carry: the states in the carry of a cell, in its order: "h", "h c" or "c h"; "" for a layer.
        fields: of the adapter, such as ``nonlinearities``, ``tanh_ulps`` and ``recomputes``.

    Raises:
        ValueError: a place, the gates or a state of the carry is unknown.
    """
    name = fields.pop("name", getattr(f, "__name__", type(f).__name__))
    named = with_gates(name, layout, gates)
    if carry and sorted(carry.split()) != sorted(states := CELLS[cell_of(named)[0]].states):
        raise ValueError(f"{name}: expected a carry of {[*states]}, in any order, got {carry!r}")
    forward = partial(scanned if carry else layered, f, named, carry.split())
    kinds: tuple[tuple[str, ...] | None, ...] = (None,) if len(cell_of(named)[1]) > 1 else (("tanh",), ("relu",))
    given: dict[str, Any] = {"tanh": _jax.tanh, "tanh_ulps": _jax.ULPS} | fields
    how = "a cell under lax.scan" if carry else "a layer"
    of = partial(subject, name, named, partial(run, named, forward), how)
    return first_right(of(**({"nonlinearities": kind} if kind else {}) | given) for kind in kinds)


def run(layout: Mapping[str, str], forward: Any, cell: str, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Run on NumPy arrays, as of ``Way.run``; a parameter that the case does not have is zero."""
    like = to_framework(layout, zeros(layout, xs.shape[-1], states[0].shape[-1]))
    every = {name: weights.get(name, array.astype(xs.dtype)) for name, array in like.items()}
    return _jax.run(forward, by_vjp, cell, every, xs, states, upstream)


def layered(
    f: Any, layout: Any, carry: Any, cell: str, weights: Any, xs: Any, states: Any, *, from_last: bool = False
) -> Any:
    """Call a layer; return its outputs, the last one maybe from the last state, and the last c of a cell with one."""
    outputs, *last = jax.tree.leaves(f(nested(weights), xs, states if len(states) > 1 else states[0]))
    outputs = jnp.concatenate([outputs[:-1], last[0][None]]) if from_last else outputs
    return (outputs, last[-1]) if len(states) > 1 else outputs


def scanned(f: Any, layout: Any, carry: Any, cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run a cell under ``lax.scan``; return its outputs, and the last c of a cell that has one."""
    names = CELLS[cell_of(layout)[0]].states
    by_name = dict(zip(names, states, strict=True))
    first = tuple(by_name[name] for name in carry)
    last, outputs = jax.lax.scan(partial(f, nested(weights)), first if len(first) > 1 else first[0], xs)
    return (outputs, last[carry.index(names[-1])]) if len(first) > 1 else outputs


def nested(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays whose names are paths as nested dicts."""
    found: dict[str, Any] = {}
    for path, array in weights.items():
        *folders, name = path.split("/")
        inner = found
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[name] = array
    return found


@dataclass(frozen=True)
class Form:
    """A way to call a layer, which returns its outputs, or its carry and its outputs."""

    call: Callable[..., Any]  # function of the parameters, D, H, the inputs and options
    takes: frozenset[str]  # the options
    order: tuple[int, ...]  # places of the states of the reference in the carry
    time_major: bool
    omits: bool = False  # whether it is called without an initial carry

    def run(self, params: Any, D: int, H: int, xs: Any, states: Any) -> tuple[Any, list[Any]]:
        """Return the outputs (T, N, H), and the last states (N, H), if it returns them."""
        options: dict[str, Any] = dict.fromkeys(self.takes & {"time_major", "return_carry"}, True)
        if "initial_carry" in self.takes and not self.omits:
            carry = tuple(states[k] for k in self.order)
            options["initial_carry"] = carry if len(carry) > 1 else carry[0]
        turned = xs if self.time_major else jnp.swapaxes(xs, 0, 1)
        *last, hs = jax.tree.leaves(self.call(params, D, H, turned, **options))
        return hs if self.time_major else jnp.swapaxes(hs, 0, 1), [last[self.order.index(k)] for k in range(len(last))]


def traced(form: Form, params: Any, count: int, dtype: str) -> tuple[Any, list[Any]]:
    """Return the shapes and dtypes of what a layer of ``SIZES`` with ``count`` states returns, without running it."""
    T, N, D, H = SIZES.values()
    with jax.enable_x64(dtype == "float64"):
        like = jax.tree.map(lambda one: jax.ShapeDtypeStruct(one.shape, dtype), params)
        xs, states = jnp.zeros((T, N, D), dtype), [jnp.zeros((N, H), dtype)] * count
        found: tuple[Any, list[Any]] = jax.eval_shape(lambda params: form.run(params, D, H, xs, states), like)
        return found


def dtypes_of(form: Form, params: Any, count: int) -> list[str]:
    """Return the dtypes in which a layer returns outputs of the dtype of its inputs."""
    found = []
    for dtype in DTYPES:
        with suppress(Exception):
            found += [dtype] * (traced(form, params, count, dtype)[0].dtype.name == dtype)
    return found


def formed(where: str, call: Any, takes: frozenset[str], params: Any, count: int) -> list[tuple[Form, bool]]:
    """Return the ways to call a layer, each with whether it returns its last states.

    Args:
        where: the subject, for messages.
        call: as of ``Form``.
        takes: likewise.
        params: of ``SIZES``.
        count: number of states of the cell.

    Raises:
        ValueError: no way returns outputs of the right shape.
    """
    T, N, D, H = SIZES.values()
    found, got = [], list[str]()
    majors = (True,) if "time_major" in takes else (False, True)
    # The carry of Flax has h last.
    for order, time_major in product(sorted(permutations(range(count)), reverse=True), majors):
        form = Form(call, takes, order, time_major)
        try:
            hs, last = traced(form, params, count, "float32")
            if hs.shape == (T, N, H) and len(last) in (0, count):
                found.append((form, bool(last)))
            got.append(f"outputs {hs.shape} and {len(last)} states")
        except Exception as error:
            got.append(f"{type(error).__name__}: {error}".splitlines()[0])
    if not found:
        expected = "(xs) or (xs, initial_carry=...) that returns ys or (carry, ys), ys of shape (N, T, H) or (T, N, H)"
        words = "; ".join(dict.fromkeys(got))
        raise ValueError(f"{where}: expected a call {expected}, got {words} (T={T}, N={N}, D={D}, H={H})")
    return found


def without_carry(where: str, dtypes: Sequence[str], run: Any, cell: str, weights: Any, xs: Any, *others: Any) -> Any:
    """Run a layer without an initial carry, which has no gradient then; raise Unsupported for other dtypes."""
    if xs.dtype.name not in dtypes:
        raise unsupported(f"{where}: expected one of {dtypes} without an initial carry, got {xs.dtype.name}")
    outputs, (gradients, dxs, _) = run(cell, weights, xs, *others)
    return outputs, (gradients, dxs, ())


# Readers: functions of a class. Each returns a function of D and H to the tree of its parameters, and its call. The
# third value is the options of the call of a layer, or None for a cell.


def options_of(kind: Any) -> frozenset[str] | None:
    """Return the names of the arguments of a layer of Flax; None for a cell."""
    return None if hasattr(kind, "initialize_carry") else frozenset(inspect.signature(kind.__call__).parameters)


def linen(kind: Any) -> tuple[Any, Any, frozenset[str] | None]:
    """Read a cell or layer of ``flax.linen``, which is made of H alone."""

    def tree(D: int, H: int) -> Any:
        # Without x64 all have one dtype, that of a carry of zeros included.
        with jax.enable_x64(False):
            module, x, key = kind(H), jnp.zeros((1, D)), jax.random.key(0)
            inputs = (x[None],) if options_of(kind) is not None else (module.initialize_carry(key, x.shape), x)
            return jax.eval_shape(module.init, key, *inputs)["params"]

    def call(params: Any, D: int, H: int, *inputs: Any, **options: Any) -> Any:
        return kind(H).apply({"params": params}, *inputs, **options)

    return tree, call, options_of(kind)


def nnx(kind: Any) -> tuple[Any, Any, frozenset[str] | None]:
    """Read a cell or layer of ``flax.nnx``, which is made of D, H and rngs."""
    api = sys.modules["flax.nnx"]

    def parts(D: int, H: int, made: Any = api.eval_shape) -> Any:
        return api.split(made(lambda: kind(D, H, rngs=api.Rngs(0))), api.Param, ...)

    @cache
    def others(D: int, H: int) -> Any:
        with jax.ensure_compile_time_eval():
            return parts(D, H, lambda module: module())[2]

    def call(params: Any, D: int, H: int, *inputs: Any, **options: Any) -> Any:
        graph, state, _ = parts(D, H)
        api.replace_by_pure_dict(state, params)
        return api.merge(graph, state, others(D, H))(*inputs, **options)

    return lambda D, H: api.to_pure_dict(parts(D, H)[1]), call, options_of(kind)


def equinox(kind: Any) -> tuple[Any, Any, frozenset[str] | None]:
    """Read a cell of Equinox, which takes single rows, the input before the state."""

    def step(module: Any, D: int, H: int, carry: Any, x: Any) -> Any:
        after = jax.vmap(module)(x, carry)
        return after, jax.tree.leaves(after)[0]

    return lambda D, H: kind(D, H, key=jax.random.key(0)), step, None


def keras(kind: Any) -> tuple[Any, Any, frozenset[str] | None]:
    """Read a cell or layer of Keras on JAX, which is made of H, and called with a list of states.

    A layer is a subclass of ``RNN``. It returns the outputs of all steps, (N, T, H), and the last states.

    Raises:
        ValueError: Keras runs on another backend.
    """
    if (backend := sys.modules["keras"].backend.backend()) != "jax":
        raise ValueError(f"{kind.__name__}: expected Keras on jax, got Keras on {backend}; set KERAS_BACKEND=jax")

    is_layer = issubclass(kind, sys.modules["keras"].layers.RNN)
    options = {"return_sequences": True, "return_state": True} if is_layer else {}

    @cache
    def made(D: int, H: int, dtype: str) -> Any:
        with jax.ensure_compile_time_eval():
            module = kind(H, dtype=dtype, **options)
            module.build((None, None, D) if is_layer else (None, D))
        return module

    def called(params: Any, D: int, H: int, x: Any, states: Any) -> Any:
        module = made(D, H, x.dtype.name)
        others = [variable.value for variable in module.non_trainable_variables]
        own = [params[variable.name] for variable in module.trainable_variables]
        return module.stateless_call(own, others, x, jax.tree.leaves(states))[0]

    def step(params: Any, D: int, H: int, carry: Any, x: Any) -> Any:
        output, after = called(params, D, H, x, carry)
        return jax.tree.unflatten(jax.tree.structure(carry), jax.tree.leaves(after)), output

    def layer(params: Any, D: int, H: int, xs: Any, initial_carry: Any) -> Any:
        outputs, *last = called(params, D, H, xs, initial_carry)
        return last, outputs

    tree = lambda D, H: {each.name: each.value for each in made(D, H, "float32").trainable_variables}  # noqa: E731
    return tree, layer if is_layer else step, frozenset({"initial_carry"}) if is_layer else None


READERS = {"flax.linen": linen, "flax.nnx": nnx, "equinox": equinox, "keras": keras}
# On JAX, Keras converts float64 to float32 in its tanh.
FIELDS: dict[str, dict[str, Any]] = {"keras": {"tanh_ulps": {"float32": _jax.ULPS["float32"]}}}


def drop_in(kind: Any) -> Adapter:
    """Return the adapter of a class of cells of Flax, Equinox or Keras, or of layers of Flax or Keras.

    Raises:
        ValueError: it cannot be made or called, or its parameters are those of no cell.
    """
    modules, where = [base.__module__ for base in kind.__mro__], kind.__name__
    root = next(root for root in READERS if any(name.startswith(root) for name in modules))
    tree, call, takes = READERS[root](kind)
    D, H = SIZES["D"], SIZES["H"]
    try:
        params = tree(D, H)
        shapes = {name: one.shape for name, one in by_path(params) if hasattr(one, "shape")}
    except Exception as error:
        got = f"{type(error).__name__}: {error}".splitlines()[0]
        what = "cell" if takes is None else "layer"
        raise ValueError(f"{where}: expected a {what} as those of {root}, got {got} (D={D}, H={H})") from error

    def whole(params: Any, *sizes: int) -> Any:
        flat = dict(by_path(params))
        return jax.tree_util.tree_map_with_path(lambda path, one: flat.get(spelled(path), one), tree(*sizes))

    def step(params: Any, carry: Any, x: Any) -> Any:
        sizes = x.shape[-1], jax.tree.leaves(carry)[0].shape[-1]
        return call(whole(params, *sizes), *sizes, carry, x)

    def layer(form: Form, params: Any, xs: Any, states: Any) -> Any:
        states = jax.tree.leaves(states)
        sizes = xs.shape[-1], states[0].shape[-1]
        hs, last = form.run(whole(params, *sizes), *sizes, xs, states)
        return hs, *(last or states)

    # Names that leave the order of gates open give many layouts, and none of them changes the call.
    @cache
    def forms(takes: frozenset[str], count: int) -> list[tuple[Form, bool]]:
        return formed(where, call, takes, params, count)

    @cache
    def dtypes(form: Form, count: int) -> list[str]:
        return dtypes_of(form, params, count)

    def of_form(form: Form, has_last: bool, layout: dict[str, str]) -> Adapter:
        states = CELLS[cell_of(layout)[0]].states
        lacks = [f"upstream_{state}" for state in states[1:] if not has_last]
        lacks += [f"{state}0" for state in states if "initial_carry" not in form.takes]
        options: dict[str, Any] = {}
        if has_last:
            last = partial(layered, partial(layer, form), layout, [], from_last=True)
            options["last state as h[-1]"] = partial(run, layout, last)
        omitted = replace(form, omits=True)
        if "initial_carry" in form.takes and (kept := dtypes(omitted, len(states))):
            way = partial(run, layout, partial(layered, partial(layer, omitted), layout, []))
            options["h0 omitted"] = partial(without_carry, where, kept, way)
        ulps = {dtype: _jax.ULPS[dtype] for dtype in dtypes(form, len(states))}
        fields = {"tanh_ulps": ulps} | FIELDS.get(root, {})
        return function(partial(layer, form), layout, name=where, options=options, lacks=tuple(lacks), **fields)

    def candidates() -> Iterator[Adapter]:
        for layout in layouts_of(where, shapes, "keras_jax" if root == "keras" else root.partition(".")[0]):
            states = CELLS[cell_of(layout)[0]].states
            if takes is not None:
                yield from (of_form(*each, layout) for each in forms(takes, len(states)))
                continue
            for order in dict.fromkeys((" ".join(states), " ".join(reversed(states)))):
                yield function(step, layout, carry=order, name=where, **FIELDS.get(root, {}))

    return first_right(candidates())


def by_path(tree: Any) -> list[tuple[str, Any]]:
    """Return the leaves of a tree, each with its path."""
    return [(spelled(path), leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]]


def spelled(path: Any) -> str:
    """Return a path in a tree with slashes."""
    return "/".join(str(getattr(key, "key", getattr(key, "name", key))) for key in path)
