"""Faults of several layers: directions, states of layers, rows of different lengths, dropout between layers.

They are changes around correct code or of the methods of ``reference.layers.Layers``, and every cell can have them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from reference.cells import CELLS, Array
from reference.faults.corner import cleared
from reference.faults.fault import Change, compute, fault, given, more, returned, times
from reference.layers import Layers, LayersCase, LayersEvaluation

# Conditions.


def deep(case: LayersCase) -> bool:
    """Return whether there are several layers."""
    return case.layers > 1


def both(case: LayersCase) -> bool:
    """Return whether there are two directions."""
    return case.directions == 2


def shorter(case: LayersCase) -> bool:
    """Return whether a row is shorter than the steps."""
    return case.lengths is not None and min(case.lengths) < case.sizes["T"]


def ragged(case: LayersCase) -> bool:
    """Return whether there is padding, and zeros in it."""
    return shorter(case) and case.padding == "zero"


def copied(case: LayersCase) -> bool:
    """Return whether there is padding, and copies of the last output in it."""
    return shorter(case) and case.padding == "last"


def unsorted(case: LayersCase) -> bool:
    """Return whether the rows are not in the order of their lengths, the longest first."""
    return [*by_length(case)] != [*range(case.sizes["N"])]


def dropped(case: LayersCase) -> bool:
    """Return whether there are masks between the layers."""
    return case.masks is not None


def biased(case: LayersCase) -> bool:
    """Return whether there are biases."""
    return case.params[0].b is not None


# Changes that several faults share.


def by_length(case: LayersCase) -> Any:
    """Return the rows in the order of their lengths, the longest first."""
    return np.argsort([-length for length in case.lengths or (0,) * case.sizes["N"]], kind="stable")


def padding(case: LayersCase) -> Any:
    """Return which steps of which rows are padding; shape (T, N, 1)."""
    return np.arange(case.sizes["T"])[:, None, None] >= np.array(case.lengths)[:, None]


def emptied(case: LayersCase) -> LayersCase:
    """Return the case without lengths, with zeros for the inputs and upstream gradients of the padding."""
    blank = padding(case)
    steps = {name: np.where(blank, np.zeros_like(a), a) for name, a in (("xs", case.xs), ("upstream", case.upstream))}
    return case.replacing(lengths=None, **steps)


def every(case: LayersCase, *names: str, of: Any = lambda k: 0) -> LayersCase:
    """Return the case with parameters of layer and direction ``of(k)`` in the place of those of k."""
    found = {}
    for k, end in enumerate(case.suffixes):
        for name in names:
            found[name + end] = getattr(case.params[of(k)], name)
    return case.replacing(**found)


def states(case: LayersCase, change: Any) -> LayersCase:
    """Return the case with changed initial states, (L, N, H) each."""
    return case.replacing(**{f"{state}0": change(getattr(case, f"{state}0")) for state in case.cell_type.states})


def by_direction(case: LayersCase, array: Any) -> Any:
    """Return states (L, N, H) in the order direction by direction instead of layer by layer."""
    order = np.arange(len(case.params)).reshape(case.layers, case.directions).T.ravel()
    return array[order]


def first_of(case: LayersCase, array: Any) -> Any:
    """Return states in which those of the first layer stand in every layer."""
    return np.concatenate([array[: case.directions]] * case.layers)


def read_at(case: LayersCase, found: LayersEvaluation, k: int, steps: Any) -> Any:
    """Return the results with the last states of direction k of the last layer taken from the outputs at some steps."""
    hn, H = np.array(found.hn), case.sizes["H"]
    hn[len(hn) - case.directions + k] = found.hs[steps, np.arange(case.sizes["N"]), k * H : (k + 1) * H]
    return found.replacing(hn=hn)


def ends(case: LayersCase) -> Any:
    """Return the last step of each row."""
    return np.array(case.lengths or (case.sizes["T"],) * case.sizes["N"]) - 1


def beyond_first(case: LayersCase, found: LayersEvaluation, name: str, change: Any) -> LayersEvaluation:
    """Return the results with the gradients of a parameter changed in all layers but the first."""
    names = [f"{name}{end}" for end in case.suffixes[case.directions :]]
    return found.replacing(**{each: change(found.gradients[each]) for each in names})


def within(hook: str, **attributes: Any) -> dict[str, Change]:
    """Return a change of ``forward`` or ``backward``: during this method, other attributes of ``Layers`` hold."""

    def change(layers: Layers, right: Change, *arguments: Any) -> Any:
        kept = {name: getattr(layers, name) for name in attributes}
        for name, value in attributes.items():
            setattr(layers, name, partial(value, layers, kept[name]) if callable(value) else value)
        found = right(*arguments)
        for name, value in kept.items():
            setattr(layers, name, value)
        return found

    return {hook: change}


def as_given(layers: Layers, right: Change, steps: Array, k: int) -> Array:
    """Return steps in the order in which they come."""
    return steps


def only(level: int) -> Change:
    """Return a change of ``turned`` and ``restored`` that leaves the order of all layers but one as it is."""
    return lambda layers, right, steps, k: right(steps, k) if k // layers.directions == level else steps


def detached(layers: Layers, right: Change, array: Array, level: int) -> Array:
    """Return zeros in the place of the gradient that reaches the layer below."""
    return right(array, level) * (0.0 if level else 1.0)


def other_rows(layers: Layers, right: Change, *arguments: Any) -> Any:
    """Run backward with the masks of other rows."""
    kept, layers.masks = layers.masks, np.roll(np.asarray(layers.masks), 1, axis=-2).view(type(layers.masks))
    found = right(*arguments)
    layers.masks = kept
    return found


def forward_inputs(layers: Layers, right: Change, *arguments: Any) -> Any:
    """Run backward with the inputs of the reverse direction in the order of time."""
    for layer in layers.each[1::2]:
        xs, *others = layer.tape
        layer.tape = (xs[..., ::-1, :, :], *others)
    return right(*arguments)


def late(case: LayersCase) -> LayersCase:
    """Return the case in which each row reads its inputs as if the padding came before them."""
    order = (np.arange(case.sizes["T"])[:, None] + case.sizes["T"] - 1 - ends(case)) % case.sizes["T"]
    return case.replacing(xs=np.take_along_axis(case.xs, order[..., None], axis=0))


def gathered(case: LayersCase) -> LayersCase:
    """Return the case whose upstream gradients of the padding are added to that of the last step of the row."""
    blank, upstream = padding(case), np.array(case.upstream)
    upstream[ends(case), np.arange(case.sizes["N"])] += np.where(blank, upstream, np.zeros_like(upstream)).sum(axis=0)
    return case.replacing(upstream=upstream)


def through_padding(case: LayersCase, found: LayersEvaluation) -> LayersEvaluation:
    """Return the results with the outputs of a reverse direction that begins at T in every row."""
    H, longer, hs = case.sizes["H"], compute(emptied(case)), np.array(found.hs)
    hs[..., H:] = np.where(padding(case), hs[..., H:], longer.hs[..., H:])
    return found.replacing(hs=hs)


def zeroed(name: str) -> Change:
    """Return a change of ``result`` that sets the gradients of a parameter to zero in all layers but the first."""
    return lambda case, found: beyond_first(case, found, name, np.zeros_like)


def in_rows(change: Any) -> Change:
    """Return a change of ``result`` that brings the rows of outputs and last states in another order."""
    return lambda case, found: found.replacing(
        hs=found.hs[:, change(case)],
        **{f"{s}n": getattr(found, f"{s}n")[:, change(case)] for s in case.cell_type.states},
    )


# The columns of the table are name, description, conditions and changes by hook.
# fmt: off
of: Any = partial(fault, "layers", cells=tuple(CELLS))
FAULTS_OF_LAYERS = (
    # Two directions.
    of("reverse direction not reversed", "Runs both directions from the first step to the last.",
       both, more(T=1), turned=as_given, restored=as_given),
    of("reverse outputs not turned back", "Returns the outputs of the reverse direction in the order in which it ran.",
       both, more(T=1), **within("forward", restored=as_given)),
    of("reverse upstream not turned", "Reads the upstream gradient of the reverse direction in the order of time.",
       both, more(T=1), **within("backward", turned=as_given)),
    of("reverse dx not turned back", "Adds dx of the reverse direction in the order in which it ran.",
       both, more(T=1), **within("backward", restored=as_given)),
    of("reverse dx lost", "Assigns dx of both directions instead of adding them.",
       both, added=lambda layers, right, dxs: dxs[0]),
    of("reverse dWx from inputs in time", "Multiplies A of the reverse direction by inputs in the order of time.",
       both, more(T=1), backward=forward_inputs),
    of("reverse direction first", "Puts the outputs of the reverse direction before the others.",
       both, beside=lambda layers, right, outputs: right(outputs[::-1])),
    of("directions added", "Adds the outputs of both directions instead of placing them side by side.",
       both, result=returned("hs", lambda hs: sum(np.split(hs, 2, axis=-1)))),
    of("weights of the forward direction in both", "Shares the weights between both directions.",
       both, case=lambda case: every(case, "Wx", "Wh", of=lambda k: k - k % 2)),
    of("bias of the forward direction in both", "Shares the bias between both directions.",
       both, biased, case=lambda case: every(case, "b", of=lambda k: k - k % 2)),
    of("gradients of directions exchanged", "Returns the gradients of each direction under the name of the other.",
       both, result=lambda case, found: found.replacing(**{
           f"d{name}{one}": found.gradients[f"d{name}{other}"] for name in ("Wx", "Wh")
           for pair in zip(case.suffixes[::2], case.suffixes[1::2], strict=True)
           for one, other in (pair, pair[::-1])})),
    of("reverse direction in the first layer alone", "Forgets to reverse in every layer but the first.",
       both, deep, more(T=1), turned=only(0), restored=only(0)),
    of("reverse last state at the last step", "Takes the last state of the reverse direction at the last step.",
       both, more(T=1), result=lambda case, found: read_at(case, found, 1, ends(case))),
    # States of several layers.
    of("initial states by direction", "Reads h0 of all layers of one direction, then those of the other.",
       both, deep, case=lambda case: states(case, partial(by_direction, case))),
    of("last states by direction", "Returns the last states of all layers of one direction, then those of the other.",
       both, deep, result=lambda case, found: found.replacing(hn=by_direction(case, found.hn))),
    of("one initial state for all layers", "Begins every layer with the initial state of the first.",
       deep, case=lambda case: states(case, partial(first_of, case))),
    of("initial state of the first layer alone", "Begins every layer but the first with zeros.",
       deep, case=lambda case: states(case, partial(cleared, index=np.s_[case.directions :]))),
    of("last states in reverse order", "Returns the last states of the last layer first.",
       deep, result=returned("hn", lambda hn: hn[::-1])),
    of("dh0 of the last layer alone", "Returns dh0 of the last layer and zeros for the others.",
       deep, result=lambda case, found: found.replacing(dh0=cleared(found.dh0, np.s_[: -case.directions]))),
    of("gradient of the last states dropped", "Ignores the gradient of the last states.",
       case=given("upstream_hn", np.zeros_like)),
    of("gradient of the last states in the last layer alone", "Ignores the gradient of other layers' last states.",
       deep, case=lambda case: case.replacing(
           upstream_hn=cleared(case.upstream_hn, np.s_[: -case.directions]))),
    # Parameters of several layers.
    of("Wh of the first layer in all", "Uses Wh of the first layer in every layer.",
       deep, case=lambda case: every(case, "Wh", of=lambda k: k % case.directions)),
    of("bias of the first layer in all", "Uses the bias of the first layer in every layer.",
       deep, biased, case=lambda case: every(case, "b", of=lambda k: k % case.directions)),
    of("db zero beyond the first layer", "Returns db of the first layer alone.", deep, biased, result=zeroed("db")),
    of("dWh zero beyond the first layer", "Returns dWh of the first layer alone.", deep, result=zeroed("dWh")),
    of("dWx halved beyond the first layer", "Averages dWx over two layers.",
       deep, result=lambda case, found: beyond_first(case, found, "dWx", times(0.5))),
    of("layers detached", "Cuts the gradient between layers.", deep, **within("backward", masked=detached)),
    of("second layer reads one direction", "Passes the outputs of the forward direction alone to the next layer.",
       both, deep, masked=lambda layers, right, array, level: right(
           cleared(array, np.s_[..., array.shape[-1] // 2 :]) if level else array, level)),
    # Rows of different lengths.
    of("lengths ignored", "Runs every row over all steps.", ragged, case=given("lengths", lambda lengths: None)),
    of("lengths one short", "Ends every row one step early.", ragged, more(T=1),
       case=given("lengths", lambda lengths: tuple(max(1, length - 1) for length in lengths))),
    of("state moves in the padding", "Takes the last states after the padding.", ragged,
       result=lambda case, found: found.replacing(hn=compute(emptied(case)).hn)),
    of("outputs in the padding", "Returns the last output of a row in its padding.", ragged,
       result=lambda case, found: found.replacing(hs=np.where(
           padding(case), found.hs[ends(case), np.arange(case.sizes["N"])], found.hs))),
    of("dx in the padding", "Returns dx of the last step of a row in its padding.", ragged,
       result=lambda case, found: found.replacing(dxs=np.where(
           padding(case), found.dxs[ends(case), np.arange(case.sizes["N"])], found.dxs))),
    of("upstream of the padding", "Adds the upstream gradient of the padding at the last step of a row.",
       ragged, case=gathered),
    of("padding on the left", "Reads every row as if its padding came first.", ragged, case=late),
    of("last state read at T", "Takes the last state at the last step of the padding.",
       ragged, result=lambda case, found: read_at(case, found, 0, case.sizes["T"] - 1)),
    of("reverse direction begins in the padding", "Turns the whole padded row, so that padding comes first.",
       both, ragged, result=through_padding),
    of("rows not put back in order", "Sorts the rows by length, and returns them sorted.",
       ragged, unsorted, result=in_rows(by_length)),
    of("states not sorted with the rows", "Sorts the rows by length, but not their initial states.",
       ragged, unsorted, case=lambda case: states(case, lambda array: array[:, np.argsort(by_length(case))])),
    of("padding not filled", "Returns zeros in the padding in the place of copies of the last output.",
       copied, result=lambda case, found: found.replacing(hs=np.where(padding(case), 0 * found.hs, found.hs))),
    of("upstream of copies dropped", "Ignores the upstream gradient of the copies in the padding.",
       copied, case=lambda case: emptied(case).replacing(lengths=case.lengths)),
    of("reverse output copied", "Returns copies of the last step of the reverse direction in the padding, too.",
       copied, both, result=lambda case, found: found.replacing(hs=np.where(
           padding(case), found.hs[ends(case), np.arange(case.sizes["N"])], found.hs))),
    # Dropout between layers.
    of("dropout ignored", "Passes the outputs of a layer to the next without the mask.",
       dropped, case=given("masks", lambda masks: None)),
    of("dropout not scaled", "Drops inputs, but does not scale those that are kept.",
       dropped, case=given("masks", lambda masks: (masks != 0).astype(masks.dtype))),
    of("dropout forgotten in backward", "Propagates the gradient back without the mask.",
       dropped, **within("backward", masks=None)),
    of("dropout drawn anew in backward", "Propagates the gradient back through another mask.",
       dropped, more(N=1), backward=other_rows),
    of("dropout after the last layer", "Drops outputs of the last layer, too.",
       dropped, result=lambda case, found: found.replacing(hs=found.hs * case.masks[-1])),
    of("one mask for all steps", "Draws the mask once and uses it at every step.",
       dropped, more(T=1), case=given("masks", lambda masks: np.broadcast_to(masks[:, :1], masks.shape))),
    of("one mask for all layers", "Draws the mask once and uses it in every layer.",
       dropped, lambda case: case.layers > 2,
       case=given("masks", lambda masks: np.broadcast_to(masks[:1], masks.shape))),
)
# fmt: on
