"""One way to compute a layer: run and differentiate it in a framework, from NumPy arrays to quantities."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from adapters._places import to_framework, to_reference
from adapters._source import plain, source
from reference import Case, Evaluation
from reference.verdict import QUANTITIES

# Equal arguments give the same object, because compilers compile once for each function object.
bound = cache(partial)


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return a tree of dicts and tuples with the function applied to each array; None stays None."""
    if isinstance(tree, dict):
        return {name: mapped(function, value) for name, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        return tuple(mapped(function, value) for value in tree)
    return None if tree is None else function(tree)


def flat(weights: Any, xs: Any, states: Any) -> list[Any]:
    """Return the arrays that the outputs depend on, in one list."""
    return [*weights.values(), xs, *states]


def unflattened(weights: Any, arrays: Any) -> tuple[Any, Any, Any]:
    """Undo ``flat``: return weights by name, xs and states."""
    count = len(weights)
    return dict(zip(weights, arrays, strict=False)), arrays[count], tuple(arrays[count + 1 :])


def listed(outputs: Any) -> list[Any]:
    """Return outputs, or their upstream gradients, as a list: one of most cells, two of an LSTM."""
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def pulled_twice(pull: Callable[[], Any], as_array: Callable[[Any], Any]) -> Any:
    """Return the gradients of a pull-back that is called twice.

    A backward that uses up or changes what its forward saved fails in the second call.

    Args:
        pull: returns a tree of gradients.
        as_array: returns a gradient as a NumPy array.

    Raises:
        RuntimeError: the second pull-back returned other bits.
    """

    def bits(tree: Any) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        mapped(lambda array: found.append((str(tuple(array.shape)), as_array(array).tobytes())), tree)
        return found

    first = pull()
    before = bits(first)  # a second pull-back may write into the memory of the first
    if before != (after := bits(pull())):
        shapes = dict.fromkeys(one[0] for one in before if one not in after)
        got = f"others of shape {' and '.join(shapes)}"
        raise RuntimeError(f"pull_back: expected the same gradients from a second pull-back, got {got}")
    return first


def unroll(step: Any, xs: Any, states: Any) -> list[Any]:
    """Return the initial state, if there is one, and the state after each step; ``step`` may create the first state.

    Of a cell with two states, each state here is the pair of them, and ``states`` has one pair.
    """
    outputs = [*states]
    for x in xs:
        outputs.append(step(x, *outputs[-1:]))
    return outputs


def forward_only(forward: Any, cell: str, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Return the outputs and no gradients."""
    return forward(cell, weights, xs, states), None


def quantities(places: Any, outputs: Any, gradients: Any) -> dict[str, Any]:
    """Return outputs and gradients under the names that verdicts use."""
    found = dict(zip(("h", "c"), outputs if isinstance(outputs, (tuple, list)) else (outputs,), strict=False))
    if gradients is None:
        return found
    weights, xs, states = gradients
    named = {f"d{name}": array for name, array in to_reference(places, weights, gradient=True).items()}
    return found | {"dx": xs} | dict(zip(("dh0", "dc0"), states, strict=False)) | named


def compute_by(
    run: Any, places: Any, cell: str, params: Any, xs: Any, states: Any, upstream: Any, tangents: Any = None
) -> dict[str, Any]:
    """Run a framework on NumPy arrays, and return its results under the names that verdicts use.

    Args:
        run: function of the cell, weights under the framework's names, xs, states, upstream and, if given, the tangents
            of weights, xs and states. It returns the outputs and the gradients of weights, xs and states, or None for
            the gradients. With tangents, it returns such a pair and the pair of its tangents. Of an LSTM, outputs and
            upstream are pairs: all h, and the last c.
        places: the layout of the framework's parameters.
        cell: "tanh" or "relu" of the vanilla cell, else the name of the cell.
        params: arrays or None by name, as of ``Params``.
        xs: inputs; shape (T, N, D).
        states: initial states, each (N, H); empty to use the framework's default.
        upstream: dLoss/dh; shape (T, N, H); of an LSTM with dLoss/dc of the last step; shape (N, H).
        tangents: tangents of params, xs and states, or None.
    """
    arguments = cell, to_framework(places, params), xs, states, upstream
    if tangents is None:
        found = quantities(places, *run(*arguments))
    else:
        primal, tangent = run(*arguments, (to_framework(places, tangents[0], tangent=True), *tangents[1:]))
        along = {f"{'hvp' if name[0] == 'd' else 'jvp'} {name}": a for name, a in quantities(places, *tangent).items()}
        found = quantities(places, *primal) | along
    absent = {f"d{name}" for name, array in params.items() if array is None}
    return {name: array for name, array in found.items() if name.split()[-1] not in absent}


# For the registry alone.

COMPUTE = '''

def compute(case, cell):
    """Return what the framework computes, by quantity, for the arrays of a case by name."""
    params = {{name: case.get(name) for name in ("Wx", "Wh", "b", "bn")}}
    states, upstream = (case["h0"],), case["upstream"]
    if cell == "lstm":
        states, upstream = (*states, case["c0"]), (upstream, case["upstream_c"])
    arrays = mapped({before}, (params, case["xs"], states, upstream))
    return mapped({after}, compute_by(partial({parts}), LAYOUTS["{kind}"], cell, *arrays))
'''
SINGLE = {"before": "np.asarray", "after": "np.asarray"}
STACKED = {"before": "lambda array: array[None]", "after": "lambda array: array[0]"}


@dataclass(frozen=True)
class Way:
    """One way to compute a layer. Calling it evaluates a case, or a stack if its parts take stacks."""

    layouts: Mapping[str, Mapping[str, str]]  # LAYOUTS of the framework's file
    run: Callable[..., Any]  # function as of ``compute_by``, with the parts as its first arguments
    kind: str  # name of the layout, a key of layouts
    parts: tuple[Callable[..., Any], ...] = ()  # first arguments of run, from the same file: forward, differentiator
    has_state: bool = True  # False if the framework is called without an initial state

    def __call__(self, case: Case) -> Evaluation:
        """Evaluate a case, without copying its arrays."""
        tangents, run = None, partial(self.run, *self.parts)
        if case.direction is not None:
            dots = {name.removesuffix("_dot"): array for name, array in case.direction.fields().items()}
            params = {name: dots.get(name) for name in case.params.fields()}
            tangents = params, dots["xs"], tuple(dots[f"{state}0"] for state in case.cell_type.states)
        states = tuple(getattr(case, f"{state}0") for state in case.cell_type.states) * self.has_state
        upstream = case.upstream if case.upstream_c is None else (case.upstream, case.upstream_c)
        cell = case.nonlinearity if case.cell == "rnn" else case.cell
        arrays = case.params.fields(), case.xs, states, upstream, tangents
        found = compute_by(run, self.layouts[self.kind], cell, *arrays)
        return Evaluation(**{field: found[name] for field, name in QUANTITIES.items() if name in found})

    def script(self, framework: str, *, takes_stacks: bool) -> str | None:
        """Return Python text that defines ``compute`` and needs only NumPy and the framework; None without a file."""
        file, seen = source(framework), set[Any]()
        if file is None:
            return None
        parts = ", ".join(part.__name__ for part in (self.run, *self.parts))
        ending = COMPUTE.format(parts=parts, kind=self.kind, **(STACKED if takes_stacks else SINGLE))
        text = plain(file.with_name("_way.py"), seen) + plain(file, seen) + ending
        return re.sub(r"\n{4,}", "\n\n\n", text).strip() + "\n"
