"""A fault: one mistake in otherwise correct code, as a function on a hook of that code.

    case(case)                            -> the case that is passed to correct code
    result(case, evaluation)              -> the evaluation that is returned
    calls(run, case, kept)                -> the evaluation, from calls of correct code; ``kept`` lasts between calls
    tape(layer, hs, xs, before, saved)    -> xs, before, saved: the numbers that backward uses

Every other hook is the name of a method of the cell or of the layer (``forward``, ``f``, ``to_state``, ``product``), or
of ``Layers`` if the case has several. Its function (layer, right, *arguments) replaces the method ``right``. The
arguments of ``product`` are plain arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, overload

import numpy as np

from reference.archive import DTYPES
from reference.case import Case
from reference.cells import Array, Cell
from reference.evaluation import Evaluation
from reference.faults.storage import carried
from reference.layer import Layer, evaluate_in
from reference.layers import Layers, LayersCase, LayersEvaluation, evaluate_layers
from reference.trial import Subject

Change = Callable[..., Any]
Condition = Callable[[Any], bool]
Hidden = Mapping[str, str]
# Precisions in which the catalogue computes, and the half precisions among them.
COMPUTED, HALVES = DTYPES, ("bfloat16", "float16")
# Steps of the cases of gated cells in half precisions, at most (``reference.strategies``).
LONGEST_IN_HALVES = {"lstm": 1, "gru": 2, "gru_reset_before": 2}
# Hooks around correct code; all other hooks are inside it.
AROUND = ("case", "result", "calls")


@dataclass(frozen=True, eq=False)
class Fault:
    """A mistake that authors of recurrent cells make, with the changes that make it."""

    name: str
    family: str
    description: str  # one sentence: the mistake of the author
    conditions: tuple[Condition, ...]  # the code is wrong only if all of them are met
    hidden: Hidden  # precisions that cannot show the mistake, and why
    changes: Mapping[str, Change]  # by hook
    cells: tuple[str, ...] = ("rnn",)  # the cells in which authors make it
    hidden_by_cell: Mapping[str, Hidden] = field(default_factory=dict)  # likewise hidden, in one cell

    def hidden_in(self, cell: str) -> Hidden:
        """Return the precisions that cannot show the mistake in a cell, and why."""
        steps = max([0, *(each.sizes.get("T", 0) for each in self.conditions if isinstance(each, Larger))])
        longest = LONGEST_IN_HALVES.get(cell, steps + 1)
        why = f"cases of this cell have at most {longest} step{'s' * (longest > 1)} there"
        short = dict.fromkeys(HALVES, why) if steps >= longest else {}
        return short | {**self.hidden} | {**self.hidden_by_cell.get(cell, {})}

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions in which the mistake is larger than a rounding: all but the hidden ones."""
        return tuple(dtype for dtype in COMPUTED if dtype not in self.hidden)

    def applies(self, case: Case | LayersCase) -> bool:
        """Return whether the mistake can show in a case."""
        return case.cell in self.cells and all(condition(case) for condition in self.conditions)

    def subject(self, run: Subject | None = None, base: Mapping[str, Change] | None = None) -> Subject:
        """Return a fresh subject that makes the mistake; some subjects keep a state from call to call.

        Args:
            run: correct code around which the mistake is made; ``compute`` by default.
            base: changes that are no mistake, such as another product or another tanh, for a fault inside the layer.
        """
        inside = {hook: change for hook, change in self.changes.items() if hook not in AROUND}
        right = run or compute
        correct = partial(compute, changes=(base or {}, inside)) if inside else right
        bend, calls, result = (self.changes.get(hook) for hook in ("case", "calls", "result"))
        kept: dict[Any, Any] = {}

        def subject(case: Case) -> Evaluation:
            if not self.applies(case):
                return right(case)
            # Wrong code treats the probe's columns like any others.
            bent = bend(case.replacing(probe=None)) if bend else case
            evaluation: Evaluation = calls(correct, bent, kept) if calls else correct(bent)
            return result(case, evaluation) if result else evaluation

        return subject


def fault(
    family: str,
    name: str,
    description: str,
    *conditions: Condition,
    hidden: Hidden | None = None,
    cells: tuple[str, ...] = ("rnn",),
    **changes: Change,
) -> Fault:
    """Return one fault of the catalogue; ``changes`` are functions by hook."""
    return Fault(name, family, description, conditions, hidden or {}, changes, cells)


@overload
def compute(case: Case, changes: tuple[Mapping[str, Change], ...] = ()) -> Evaluation: ...
@overload
def compute(case: LayersCase, changes: tuple[Mapping[str, Change], ...] = ()) -> LayersEvaluation: ...


def compute(case: Any, changes: tuple[Mapping[str, Change], ...] = ()) -> Any:
    """Evaluate a case in its own dtype as a correct implementation does; half precisions have sums in float32.

    Args:
        case: one case or a stack, or one of several layers.
        changes: changes to the layer and its cell, by hook; the first are the innermost.

    Returns:
        The evaluation in the dtype of the case, in memory of its own.
    """
    wide, kind = carried(case.dtype)
    into = lambda array: array.astype(wide, copy=False).view(kind)  # noqa: E731
    run: Any
    run, change = (evaluate_layers, rewritten) if isinstance(case, LayersCase) else (evaluate_in, changed)
    with np.errstate(all="ignore"):
        evaluation = run(case, into, partial(change, changes))
        return evaluation.map(lambda array: np.array(array, case.xs.dtype))


def rewritten(changes: tuple[Mapping[str, Change], ...], *arguments: Any) -> Layers:
    """Return several layers with changes to their methods."""
    layers = Layers(*arguments)
    for hook, change in (item for each in changes for item in each.items()):
        setattr(layers, hook, partial(change, layers, getattr(layers, hook)))
    return layers


def changed(changes: tuple[Mapping[str, Change], ...], cell: Cell, parameters: dict[str, Array]) -> Layer:
    """Return a layer with changes to the layer and to its cell."""
    layer = Layer(cell, parameters)
    for hook, change in (item for each in changes for item in each.items()):
        if hook == "tape":
            setattr(layer, "forward", partial(_taped, layer, layer.forward, change))  # noqa: B010
        else:
            owner = cell if hasattr(cell, hook) else layer
            written = partial(_multiplied, change) if hook == "product" else change
            setattr(owner, hook, partial(written, layer, getattr(owner, hook)))
    return layer


def _taped(layer: Layer, right: Change, change: Change, xs: Array, states: Any) -> Any:
    """Run forward, then change the tape that forward wrote."""
    hs, last = right(xs, states)
    layer.tape = change(layer, hs, *layer.tape)
    return hs, last


def _multiplied(change: Change, layer: Layer, right: Change, p: Array, q: Array) -> Array:
    """Return a changed product of plain arrays, stored in the kind of array of the layer."""
    found = np.asarray(change(layer, right, np.asarray(p), np.asarray(q)), q.dtype)
    return +found.view(type(layer.Wh))


# Conditions.


@dataclass(frozen=True)
class Larger:
    """The condition that T, N, D (with the probe's columns) or H is larger than the given size."""

    sizes: Mapping[str, int]

    def __call__(self, case: Case) -> bool:
        """Return whether it is met."""
        return all(case.sizes[axis] > size for axis, size in self.sizes.items())


def more(**sizes: int) -> Condition:
    """Return the condition that T, N, D (with the probe's columns) or H is larger than the given size."""
    return Larger(sizes)


def with_bias(case: Case) -> bool:
    """Return whether there is a bias."""
    return case.params.b is not None


def with_tanh(case: Case) -> bool:
    """Return whether the nonlinearity is tanh."""
    return case.nonlinearity == "tanh"


def with_relu(case: Case) -> bool:
    """Return whether the nonlinearity is relu."""
    return case.nonlinearity == "relu"


# Changes that several faults share.


def given(name: str, change: Callable[[Any], Any]) -> Change:
    """Return a change of ``case`` that changes one of its fields."""
    return lambda case: case.replacing(**{name: change(case.fields()[name])})


def returned(name: str, change: Callable[[Any], Any]) -> Change:
    """Return a change of ``result`` that changes one field of the evaluation."""
    return lambda case, evaluation: evaluation.replacing(**{name: change(getattr(evaluation, name))})


transposed = attrgetter("mT")


def reshaped(array: Any) -> Any:
    """Return the elements of the transposed matrix in the shape of the matrix."""
    return array.mT.reshape(array.shape)


def rolled(axis: int) -> Callable[[Any], Any]:
    """Return a change that shifts an array by one along an axis."""
    return partial(np.roll, shift=1, axis=axis)


def flipped(axis: int) -> Callable[[Any], Any]:
    """Return a change that reverses the order along an axis."""
    return partial(np.flip, axis=axis)


def averaged(axis: str) -> Change:
    """Return a change of ``result`` that divides the gradients of the parameters by one of the sizes."""

    def result(case: Case, evaluation: Evaluation) -> Evaluation:
        share = times(1 / case.sizes[axis])
        return evaluation.replacing(**{name: share(array) for name, array in weights(case, evaluation).items()})

    return result


def times(share: float) -> Callable[[Any], Any]:
    """Return a change that multiplies by a number; the cast undoes the promotion of bfloat16 to float32."""
    return lambda array: np.asarray(array * share, array.dtype)


def weights(case: Case, evaluation: Evaluation) -> dict[str, Any]:
    """Return the gradients of the parameters in an evaluation, by field."""
    names = {f"d{name}" for name in case.cell_type.parameters()}
    return {name: array for name, array in evaluation.present().items() if name in names}


def picked(select: Any) -> Change:
    """Return a change of ``to_parameters`` that sums only over the steps and rows in an index (..., T, N, F)."""
    return lambda layer, right, *arrays: right(*(None if array is None else array[select] for array in arrays))


def last_step(array: Any) -> Any:
    """Return gradients (..., T, N, H) with every step but the last set to zero."""
    found = np.zeros_like(array)
    found[..., -1, :, :] = array[..., -1, :, :]
    return found
