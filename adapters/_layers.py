"""One way to compute several layers: run and differentiate them in a framework, from NumPy arrays to quantities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapters._errors import Unsupported
from adapters._places import to_framework, to_reference
from reference import LayersCase, LayersEvaluation


def named(name: str, suffix: str) -> str:
    """Return the name of a parameter of a layer: "weight_ih_l1" of "weight_ih_l0" and "_l1", else "Wx_l1" of "Wx"."""
    return name.removesuffix("_l0") + suffix


def expect_offered(where: str, case: LayersCase, *, masks: str, copies: str) -> None:
    """Raise Unsupported for masks of dropout, and for copies of outputs in the padding.

    Args:
        where: the framework, for messages.
        case: the case.
        masks: the reason why no masks can be given.
        copies: the reason why there are no copies; "" if there are.
    """
    if case.masks is not None:
        raise Unsupported(f"{where}: expected no dropout masks, got some; {masks}")
    if copies and case.padding == "last":
        raise Unsupported(f"{where}: expected zeros in the padding, got copies; {copies}")


@dataclass(frozen=True)
class LayersWay:
    """One way to compute several layers. Calling it evaluates a ``LayersCase``."""

    layouts: Mapping[str, Mapping[str, str]]  # LAYOUTS of the framework's file
    # Function of the cell, weights under the framework's names, xs, states, the upstream gradients of the outputs and
    # of each last state, and the case, for its numbers of layers and directions, its lengths and its masks. It returns
    # the outputs with the last states, and the gradients of weights, xs and states, or None for these.
    run: Callable[..., Any]
    kind: str  # name of the layout of one layer, a key of layouts

    def __call__(self, case: LayersCase) -> LayersEvaluation:
        """Evaluate a case."""
        places, states = self.layouts[self.kind], case.cell_type.states
        each = [(end, to_framework(places, own.fields())) for end, own in zip(case.suffixes, case.params, strict=True)]
        weights = {named(name, end): array for end, by_name in each for name, array in by_name.items()}
        initial = tuple(getattr(case, f"{state}0") for state in states)
        upstream = (case.upstream, *(getattr(case, f"upstream_{state}n") for state in states))
        cell = case.nonlinearity if case.cell == "rnn" else case.cell
        outputs, gradients = self.run(cell, weights, case.xs, initial, upstream, case)
        found: dict[str, Any] = dict(zip(("hs", *(f"{state}n" for state in states)), outputs, strict=True))
        if gradients is None:
            return LayersEvaluation(**found)
        of_weights, found["dxs"], of_states = gradients
        found |= {f"d{state}0": array for state, array in zip(states, of_states, strict=True)}
        ours, given = dict[str, Any](), case.arrays()
        for end, by_name in each:
            own = to_reference(places, {name: of_weights[named(name, end)] for name in by_name}, gradient=True)
            # A framework that always has a bias returns its gradient for a case without one, too.
            ours |= {f"d{name}{end}": array for name, array in own.items() if name + end in given}
        return LayersEvaluation(**found, gradients=ours)
