"""Faults of gated cells: the order of gates, one gate, the states and their direct paths, the reset and the update."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from reference.case import Case
from reference.cells import CELLS, Array
from reference.evaluation import Evaluation
from reference.faults.fault import Change, Fault, fault, given, more, returned, with_bias
from reference.layer import Layer

GRUS = ("gru", "gru_reset_before")
GATED = ("lstm", *GRUS)
COLUMNS = ("Wx", "Wh", "b")  # parameters with a column block for each gate


def with_bn(case: Case) -> bool:
    """Return whether the GRU has the bias inside of the reset."""
    return case.params.bn is not None


def ordered(array: Any, order: tuple[int, ...]) -> Any:
    """Return the column blocks of an array in another order."""
    blocks = np.split(array, len(order), axis=-1)
    return np.concatenate([blocks[k] for k in order], axis=-1)


def in_order(order: tuple[int, ...]) -> dict[str, Any]:
    """Return the changes of code that takes, and returns, the blocks of its parameters in another order of gates."""
    back = tuple(order.index(k) for k in range(len(order)))

    def case(case: Case) -> Case:
        names = [name for name in COLUMNS if getattr(case.params, name) is not None]
        return case.replacing(**{name: ordered(getattr(case.params, name), order) for name in names})

    def result(case: Case, found: Evaluation) -> Evaluation:
        names = [f"d{name}" for name in COLUMNS if getattr(found, f"d{name}") is not None]
        return found.replacing(**{name: ordered(getattr(found, name), back) for name in names})

    return {"case": case, "result": result}


def block(gate: int, change: Any) -> Any:
    """Return a change of an array (..., G H): of the column block of one gate."""

    def changed(array: Any, gates: int) -> Any:
        blocks = np.split(np.array(array), gates, axis=-1)
        blocks[gate] = np.asarray(change(blocks[gate]), array.dtype)
        return np.concatenate(blocks, axis=-1)

    return changed


def of_block(name: str, gate: int, change: Any) -> Callable[[Case], Case]:
    """Return a change of ``case``: of one gate's block of a parameter."""

    def case(case: Case) -> Case:
        changed = block(gate, change)(getattr(case.params, name), len(case.cell_type.gates))
        return case.replacing(**{name: changed})

    return case


def at_gate(gate: str, change: Any) -> Change:
    """Return a change of ``activation`` or ``slope``: of one gate's."""
    return lambda layer, right, name, a: change(a) if name == gate else right(name, a)


def backward_block(gate: int) -> Change:
    """Return a change of ``backward``: A of one gate is zero."""

    def backward(layer: Layer, right: Any, d_states: Any, saved: Any, **lent: Any) -> Any:
        A, direct = right(d_states, saved, **lent)
        return block(gate, np.zeros_like)(A, len(layer.cell.gates)), direct

    return backward


def direct_path(change: Any) -> Change:
    """Return a change of ``backward``: of the direct paths, given d_states and what was saved."""

    def backward(layer: Layer, right: Any, d_states: Any, saved: Any, **lent: Any) -> Any:
        A, direct = right(d_states, saved, **lent)
        return A, change(direct, d_states, saved)

    return backward


def after(change: Any) -> Change:
    """Return a change of ``forward``: of the states after the step, given them, those before, and what was saved."""

    def forward(layer: Layer, right: Any, u: Array, v: Array, states: Any, **lent: Any) -> Any:
        now, saved = right(u, v, states, **lent)
        return change(now, states, saved), saved

    return forward


def of_cells(cell: str) -> Iterator[Fault]:
    """Give the faults that a cell has for each order of gates and for each gate."""
    gates, candidates = CELLS[cell].gates, CELLS[cell].candidates
    name = {"lstm": "LSTM", "gru": "GRU", "gru_reset_before": "GRU with the reset before"}[cell]
    row = partial(fault, cells=(cell,))
    for order in itertools.permutations(range(len(gates))):
        if order != tuple(range(len(gates))):
            spelled = " ".join(gates[k] for k in order)
            yield row(
                "order", f"{name} gates {spelled}", f"Takes the blocks in the order {spelled}.", **in_order(order)
            )
    for k, gate in enumerate(gates):
        of = partial(row, "gate")
        yield of(f"{name} bias of {gate} dropped", f"Leaves out the bias of {gate}.", with_bias,
                 case=of_block("b", k, np.zeros_like))  # fmt: skip
        yield of(f"{name} bias of {gate} doubled", f"Adds the bias of {gate} on both sides.", with_bias,
                 case=of_block("b", k, lambda b: b + b))  # fmt: skip
        yield of(f"{name} Wh of {gate} transposed", f"Takes the block of {gate} as (out, in).", more(H=1),
                 case=of_block("Wh", k, lambda W: np.swapaxes(W, -1, -2)))  # fmt: skip
        yield of(f"{name} slope of {gate} forgotten", f"Passes the gradient of {gate} on as that of its argument.",
                 slope=at_gate(gate, np.ones_like))  # fmt: skip
        yield of(f"{name} A of {gate} dropped", f"Computes {gate} outside of the graph.", backward=backward_block(k))
        if gate in candidates:
            yield of(f"{name} sigmoid for {gate}", f"Takes the sigmoid for {gate}, too.",
                     activation=at_gate(gate, lambda a: 1 / (1 + np.exp(-a))),
                     slope=at_gate(gate, lambda s: s * (1 - s)))  # fmt: skip
        else:
            yield of(f"{name} tanh for {gate}", f"Takes tanh for {gate}.",
                     activation=at_gate(gate, np.tanh), slope=at_gate(gate, lambda y: 1 - y * y))  # fmt: skip
            yield of(f"{name} hard sigmoid for {gate}", f"Takes clip(a / 6 + 1 / 2, 0, 1) for {gate}, as Keras 1 did.",
                     activation=at_gate(gate, lambda a: np.clip(a / 6 + a.dtype.type(0.5), 0, 1)),
                     slope=at_gate(gate, lambda s: ((s > 0) & (s < 1)) / s.dtype.type(6)))  # fmt: skip


def peeping(layer: Layer, right: Any, u: Array, v: Array, states: Any, **lent: Any) -> Any:
    """Let every gate see c."""
    c = np.concatenate([states[1]] * len(layer.cell.gates), axis=-1)
    return right(u + c * c.dtype.type(0.125), v, states, **lent)


def coupled(layer: Layer, right: Any, u: Array, v: Array, states: Any, **lent: Any) -> Any:
    """Take 1 - f for i."""
    H = layer.H
    a = u + v
    return right(np.concatenate([-a[..., H : 2 * H], a[..., H:]], axis=-1), 0 * v, states, **lent)


def clipped(now: Any, before: Any, saved: Any) -> Any:
    """Clip c to [-1, 1], and take the output of it."""
    c = np.clip(now[1], -1, 1)
    return saved[3] * np.tanh(c), c


def with_c_after(layer: Layer, right: Any, d_states: Any, saved: Any, **lent: Any) -> Any:
    """Take c[t] for c[t-1] in A of f."""
    i, f, g, o, c_prev, y = saved
    return right(d_states, (i, f, g, o, f * c_prev + i * g, y), **lent)


def h_and_c_exchanged(case: Case) -> Case:
    """Take the initial states the other way round."""
    return case.replacing(h0=case.c0, c0=case.h0)


def c_kept(run: Any, case: Case, kept: dict[Any, Any]) -> Evaluation:
    """Start from the last c of the call before, where there was one of the same shape."""
    shape = case.h0.shape
    evaluation: Evaluation = run(case.replacing(c0=kept.get(shape, case.c0), finite=False))
    kept[shape] = evaluation.c
    return evaluation


def inverted(case: Case) -> Case:
    """Negate the pre-activation of z: 1 - z for z."""
    for name in COLUMNS:
        if getattr(case.params, name) is not None:
            case = of_block(name, 1, np.negative)(case)
    return case


def negated(case: Case, found: Evaluation) -> Evaluation:
    """Negate the gradients of z's blocks."""
    names = [f"d{name}" for name in COLUMNS if getattr(found, f"d{name}") is not None]
    return found.replacing(**{name: block(1, np.negative)(getattr(found, name), 3) for name in names})


def other_reset(case: Case) -> Case:
    """Take the reset on the other side of the product; bn is then a part of b, or zero."""
    if case.cell == "gru_reset_before":
        return case.replacing(cell="gru")
    if case.params.bn is None:
        return case.replacing(cell="gru_reset_before")
    b = of_block("b", 2, lambda b: b + np.asarray(case.params.bn))(case).params.b
    return case.replacing(cell="gru_reset_before", b=b, bn=None)


def with_dbn(case: Case, found: Evaluation) -> Evaluation:
    """Return the gradient of b's block for that of bn, which the other cell does not have."""
    if case.params.bn is None:
        return found.replacing(dbn=None)
    return found.replacing(dbn=np.array(found.db[..., -case.sizes["H"] :]))


def bn_outside(case: Case) -> Case:
    """Add bn to b."""
    bn = np.asarray(case.params.bn)
    return of_block("b", 2, lambda b: b + bn)(case).replacing(bn=np.zeros_like(bn))


def mixed_with(change: Any) -> Change:
    """Return a change of ``forward`` of a GRU: of its update, given z, n and h before the step."""
    return after(lambda now, before, saved: (change(saved[1], saved[2], before[0]),))


# Tables: a row has the family, the name, the description, the conditions and the change by hook.
# fmt: off
lstm, gru, grus = (partial(fault, cells=cells) for cells in (("lstm",), ("gru",), GRUS))
LSTM = (
    *of_cells("lstm"),
    lstm("states", "forget bias of 1", "Adds 1 to the bias of f, as layers with a forget offset do.", with_bias,
         case=of_block("b", 1, lambda b: b + 1)),
    lstm("states", "peepholes left on", "Lets the gates see c.", forward=peeping),
    lstm("states", "coupled gates", "Takes 1 - f for i.", forward=coupled),
    lstm("states", "cell clip", "Clips c to [-1, 1].", forward=after(clipped)),
    lstm("states", "h = o * c", "Forgets tanh of c.",
         forward=after(lambda now, before, saved: (saved[3] * now[1], now[1]))),
    lstm("states", "zoneout of h left on", "Keeps a tenth of the h before.",
         forward=after(lambda now, before, saved: (now[0] * now[0].dtype.type(0.9) + before[0] * now[0].dtype.type(0.1),
                                                   now[1]))),
    lstm("states", "dropout of g left on", "Halves c's new part.",
         forward=after(lambda now, before, saved: (now[0], now[1] - saved[0] * saved[2] / 2))),
    lstm("states", "h and c exchanged", "Takes (c, h) for (h, c).",
         case=h_and_c_exchanged, result=lambda case, found: found.replacing(dh0=found.dc0, dc0=found.dh0)),
    lstm("states", "c0 ignored", "Starts from a c of zeros.", case=given("c0", np.zeros_like)),
    lstm("states", "c kept from the last call", "Keeps c, as a stateful layer does.", calls=c_kept),
    lstm("states", "h for the last c", "Returns h twice.",
         result=lambda case, found: found.replacing(c=np.array(found.hs[..., -1, :, :]))),
    lstm("paths", "upstream of c ignored", "Takes no gradient of the last c.", case=given("upstream_c", np.zeros_like)),
    lstm("paths", "c detached at every step", "Cuts the gradient of c between two steps.", more(T=1),
         backward=direct_path(lambda direct, d, saved: (None, 0 * direct[1]))),
    lstm("paths", "dc without f", "Passes the gradient of c on as it is.",
         backward=direct_path(lambda direct, d, saved: (None, direct[1] / saved[1]))),
    lstm("paths", "dc of h dropped", "Sends no gradient from h to c.",
         backward=lambda layer, right, d, saved, **lent: _without_h(right, d, saved, lent)),
    lstm("paths", "tanh'(c) forgotten", "Sends the gradient of h to c without 1 - tanh(c)**2.",
         derivative=lambda layer, right, y: np.ones_like(y)),
    lstm("paths", "c[t] for c[t-1] in A of f", "Multiplies by the c after the step.", backward=with_c_after),
    lstm("paths", "dc0 missing", "Leaves c0 out of the graph.", result=returned("dc0", np.zeros_like)),
    lstm("paths", "dc0 is dh0", "Returns dh0 twice.", result=lambda case, found: found.replacing(dc0=found.dh0)),
)
GRU = (
    *of_cells("gru"), *of_cells("gru_reset_before"),
    grus("update", "z inverted", "Takes z for 1 - z, as other papers have it.", case=inverted, result=negated),
    grus("update", "update without (1 - z)", "Adds all of n.", forward=mixed_with(lambda z, n, h: n + z * h)),
    grus("update", "n and h exchanged", "Mixes z n + (1 - z) h, with the right backward.",
         forward=mixed_with(lambda z, n, h: z * n + (1 - z) * h)),
    grus("update", "zoneout left on", "Keeps a tenth of the h before.",
         forward=after(lambda now, before, saved: (now[0] * now[0].dtype.type(0.9)
                                                   + before[0] * now[0].dtype.type(0.1),))),
    grus("update", "direct path dropped", "Cuts the gradient along z.",
         backward=direct_path(lambda direct, d, saved: (direct[0] - d[0] * saved[1],))),
    grus("update", "direct path with 1 - z", "Takes 1 - z for z in the direct path.",
         backward=direct_path(lambda direct, d, saved: (direct[0] + d[0] * (1 - 2 * saved[1]),))),
    grus("update", "A of z without h", "Forgets h in h - n.",
         backward=lambda layer, right, d, saved, **lent: right(d, (*saved[:-1], 0 * saved[-1]), **lent)),
    grus("reset", "reset on the other side", "Takes the reset before the product for after, or the other way round.",
         lambda case: case.params.b is not None or case.params.bn is None, case=other_reset, result=with_dbn),
    grus("reset", "reset ignored", "Takes 1 for r.",
         activation=lambda layer, right, gate, a: np.ones_like(a) if gate == "r" else right(gate, a)),
    gru("reset", "r missing in A_h", "Takes A of n for the gradient at v.", recurrent=lambda layer, right, A, saved: A),
    gru("reset", "bn outside of the reset", "Adds bn to b.", with_bn, with_bias, case=bn_outside),
    gru("reset", "bn dropped", "Forgets the second bias.", with_bn, case=given("bn", np.zeros_like)),
    gru("reset", "dbn is db", "Returns the gradient of b's block for that of bn.", with_bn, with_bias, result=with_dbn),
    gru("reset", "dbn missing", "Leaves bn out of the graph.", with_bn, result=returned("dbn", np.zeros_like)),
)
# fmt: on


def _without_h(right: Any, d_states: Any, saved: Any, lent: Any) -> Any:
    """Return A and the direct paths as if h sent no gradient to c; that of o is right."""
    dh, dc = d_states
    A, direct = right((0 * dh, dc), saved, **lent)
    H = dh.shape[-1]
    return np.concatenate([A[..., : 3 * H], right(d_states, saved, **lent)[0][..., 3 * H :]], axis=-1), direct
