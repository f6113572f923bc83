"""Somebody else's function or cell of JAX as a subject, of Flax, Equinox and Keras too: its gradients by ``jax.vjp``.

A cell of a framework on top of JAX is a tree of parameters and a step. Its framework is imported already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from adapters import Adapter, _jax
from adapters._drop_in import SIZES, first_right, layouts_of, subject, with_gates, zeros
from adapters._jax import by_vjp
from adapters._places import cell_of, to_framework
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


def layered(f: Any, layout: Any, carry: Any, cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Call a layer; return its outputs, and the last c of a cell that has one."""
    outputs, *last = jax.tree.leaves(f(nested(weights), xs, states if len(states) > 1 else states[0]))
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


# Readers: functions of a class. Each returns a function of D and H to the tree of its parameters, its step (of a layer,
# its call), and whether it is a layer.


def linen(kind: Any) -> tuple[Any, Any, bool]:
    """Read a cell of ``flax.linen``, which is made of H alone."""

    def tree(D: int, H: int) -> Any:
        module, x, key = kind(H), jnp.zeros((1, D)), jax.random.key(0)
        return jax.eval_shape(module.init, key, module.initialize_carry(key, x.shape), x)["params"]

    return tree, lambda params, D, H, carry, x: kind(H).apply({"params": params}, carry, x), False


def nnx(kind: Any) -> tuple[Any, Any, bool]:
    """Read a cell of ``flax.nnx``."""
    api = sys.modules["flax.nnx"]

    def parts(D: int, H: int) -> Any:
        return api.split(api.eval_shape(lambda: kind(D, H, rngs=api.Rngs(0))), api.Param, ...)

    def step(params: Any, D: int, H: int, carry: Any, x: Any) -> Any:
        graph, state, others = parts(D, H)
        api.replace_by_pure_dict(state, params)
        return api.merge(graph, state, others)(carry, x)

    return lambda D, H: api.to_pure_dict(parts(D, H)[1]), step, False


def equinox(kind: Any) -> tuple[Any, Any, bool]:
    """Read a cell of Equinox, which takes single rows, the input before the state."""

    def step(module: Any, D: int, H: int, carry: Any, x: Any) -> Any:
        after = jax.vmap(module)(x, carry)
        return after, jax.tree.leaves(after)[0]

    return lambda D, H: kind(D, H, key=jax.random.key(0)), step, False


def keras(kind: Any) -> tuple[Any, Any, bool]:
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

    def layer(params: Any, D: int, H: int, states: Any, xs: Any) -> Any:
        outputs, *last = called(params, D, H, jnp.swapaxes(xs, 0, 1), states)
        return jnp.swapaxes(outputs, 0, 1), *last

    tree = lambda D, H: {each.name: each.value for each in made(D, H, "float32").trainable_variables}  # noqa: E731
    return tree, layer if is_layer else step, is_layer


READERS = {"flax.linen": linen, "flax.nnx": nnx, "equinox": equinox, "keras": keras}
# On JAX, Keras converts float64 to float32 in its tanh.
FIELDS: dict[str, dict[str, Any]] = {"keras": {"tanh_ulps": {"float32": _jax.ULPS["float32"]}}}


def drop_in(kind: Any) -> Adapter:
    """Return the adapter of a class of cells of Flax, Equinox or Keras, or of layers of Keras.

    Raises:
        ValueError: it cannot be made, or its parameters are those of no cell.
    """
    modules = [base.__module__ for base in kind.__mro__]
    root = next(root for root in READERS if any(name.startswith(root) for name in modules))
    tree, call, is_layer = READERS[root](kind)
    D, H = SIZES["D"], SIZES["H"]
    try:
        shapes = {name: one.shape for name, one in by_path(tree(D, H)) if hasattr(one, "shape")}
    except Exception as error:
        got = f"{type(error).__name__}: {error}".splitlines()[0]
        what = "layer" if is_layer else "cell"
        raise ValueError(f"{kind.__name__}: expected a {what} as those of {root}, got {got} (D={D}, H={H})") from error

    def f(order: Any, params: Any, carry: Any, x: Any) -> Any:
        carry, x = (x, carry) if is_layer else (carry, x)  # the other way round, as of ``function``
        sizes = x.shape[-1], jax.tree.leaves(carry)[0].shape[-1]
        flat = dict(by_path(params))
        own = jax.tree_util.tree_map_with_path(lambda path, one: flat.get(spelled(path), one), tree(*sizes))
        return call(own, *sizes, carry, x)

    def candidates() -> Iterator[Adapter]:
        for layout in layouts_of(kind.__name__, shapes, "keras_jax" if root == "keras" else root.partition(".")[0]):
            states = CELLS[cell_of(layout)[0]].states
            orders = ("",) if is_layer else dict.fromkeys((" ".join(states), " ".join(reversed(states))))
            for order in orders:
                yield function(partial(f, order), layout, carry=order, name=kind.__name__, **FIELDS.get(root, {}))

    return first_right(candidates())


def by_path(tree: Any) -> list[tuple[str, Any]]:
    """Return the leaves of a tree, each with its path."""
    return [(spelled(path), leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]]


def spelled(path: Any) -> str:
    """Return a path in a tree with slashes."""
    return "/".join(str(getattr(key, "key", getattr(key, "name", key))) for key in path)
