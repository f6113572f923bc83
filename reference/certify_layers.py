"""The certificate of several layers: a single one step by step in each direction, more of them by enclosure.

Of several layers, only the last is seen at every step. So the whole run is enclosed from its inputs. Of a single layer
in two directions, both are seen: the outputs of each stand in columns of their own, and a probe for each direction
shows its A. So each is bounded step by step like a layer in one direction, and dx is the sum of both.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.bounded import Bounded
from reference.cells import Array
from reference.comparison import Comparison, Tally
from reference.kinds import expect_kinds
from reference.layers import LayersCase, LayersEvaluation, evaluate_layers, gathered, joined
from reference.precision import Precision, named
from reference.step_bounds import StepBounds, exact_layer
from reference.verdict import Verdict, quantity_of

# Largest number of steps over which several layers are enclosed; beyond it the bounds are too wide.
LONGEST_LAYERS = 12


def certify_layers(case: LayersCase, evaluation: LayersEvaluation, precision: Precision | str) -> Verdict:
    """Judge an evaluation of several layers, as ``certify`` judges that of one.

    Args:
        case: the case, in the dtype of ``precision``; with several layers, T is at most ``LONGEST_LAYERS``.
        evaluation: the results of the implementation for this case; hs is required, everything else may be missing.
        precision: the model of the arithmetic, with the implementation's accuracy of tanh; or a key of ``PRECISIONS``.

    Returns:
        The verdict, whose quantities are h, hn, cn, dx, dh0, dc0, and "dWx_l0", ... of every layer and direction.

    Raises:
        TypeError: an argument is of another kind, or the dtype of the case or evaluation is not that of ``precision``.
        ValueError: an array of the evaluation is missing or has the wrong shape, or T is too large.

    Source: derived in reference/README.md, section "Several layers".
    """
    kinds = {"case": LayersCase, "evaluation": LayersEvaluation, "precision": (Precision, str)}
    expect_kinds("certify_layers", kinds, {"case": case, "evaluation": evaluation, "precision": precision})
    precision = named(precision)
    if case.dtype != precision.name:
        raise TypeError(f"certify_layers: expected a case of {precision.name}, got {case.dtype} ({case.spelled})")
    compared = _compared(case, evaluation, precision)
    tallies = {name: Tally(each.actual.size, None) for name, each in compared.items()}
    for name, each in compared.items():
        tallies[name].add(each, slice(0, 1), (0,) * each.actual.ndim)
    # A verdict asks of both records what those of one layer have, too.
    run: Any = case, evaluation, precision, tallies, certify_layers, _compared, enclose_layers
    return Verdict(*run)


def enclose_layers(case: LayersCase, precision: Precision) -> LayersEvaluation:
    """Bound the results of correct arithmetic for a whole run of several layers, from its inputs alone.

    Returns:
        The evaluation. Each field is a ``Bounded``: the oracle's values and bounds on the distance from them.
    """
    model = precision.storing(case.sizes["T"])
    with np.errstate(all="ignore"):
        return evaluate_layers(case, lambda array: Bounded.exact(array, model))


def _compared(case: LayersCase, evaluation: LayersEvaluation, precision: Precision) -> dict[str, Comparison]:
    """Return the comparison of every element of each quantity."""
    given = _expect_fields(case, evaluation, precision)
    if case.layers == 1:
        with np.errstate(all="ignore"):
            runs = [
                (rows, _one_layer(part, beyond, _seen(given, rows, part), precision))
                for rows, part, beyond in case.runs()
            ]
            bounded = joined(case, runs)
    elif case.sizes["T"] <= LONGEST_LAYERS:
        bounded = enclose_layers(case, precision)
    else:
        expected = f"at most {LONGEST_LAYERS} steps of several layers"
        raise ValueError(f"certify_layers: expected {expected}, got more ({case.spelled})")
    expected_fields = bounded.present()
    return {
        quantity_of(name): Comparison(
            array.astype(np.float64), expected_fields[name].rounded(), False, False, True, False
        )
        for name, array in given.items()
    }


def _seen(given: dict[str, NDArray[Any]], rows: list[int], part: LayersCase) -> dict[str, NDArray[Any]]:
    """Return the outputs and dx of some rows, and the names of all other gradients."""
    of_steps = {name: given[name][: part.sizes["T"], rows] for name in ("hs", "dxs") if name in given}
    return {name: array for name, array in given.items() if name[0] == "d"} | of_steps


def _one_layer(
    case: LayersCase, beyond: Array, seen: dict[str, NDArray[Any]], precision: Precision
) -> dict[str, Array]:
    """Return bounds by field of a single layer of which all rows have T steps; ``beyond`` as of ``run``."""
    exact = partial(Bounded.exact, precision=precision)
    upstream = gathered(exact(case.upstream), exact(beyond), case.sizes["H"])
    each: list[dict[str, Array]] = [_direction(case, k, upstream, seen, precision) for k in range(case.directions)]
    found = {"hs": np.concatenate([fields.pop("hs") for fields in each], axis=-1)}
    if dxs := [fields.pop("dxs") for fields in each if "dxs" in fields]:
        D = len(case.inputs)
        parts = [sum((one[..., :D] for one in dxs[1:]), dxs[0][..., :D]), *(one[..., D:] for one in dxs)]
        found["dxs"] = np.concatenate(parts, axis=-1)[..., np.argsort([*case.inputs, *(case.probe or ())])]
    for name in [name for name in case.shapes() if name in each[0]]:
        found[name] = np.stack([fields.pop(name) for fields in each], axis=-3)
    each_layer = zip(case.suffixes, each, strict=True)
    return found | {f"{name}{suffix}": array for suffix, fields in each_layer for name, array in fields.items()}


def _direction(
    case: LayersCase, k: int, upstream: Array, seen: dict[str, NDArray[Any]], precision: Precision
) -> dict[str, Bounded]:
    """Return bounds by field of direction ``k`` of a single layer, each step from what is seen of its neighbours."""
    H, order, alone = case.sizes["H"], slice(None, None, -1 if k else 1), case.one_way(k)
    probe = np.reshape(case.probe or (), (case.directions, -1)).astype(int)[k]
    own = seen | {"hs": seen["hs"][order, :, k * H : (k + 1) * H]}
    if "dxs" in seen:
        own["dxs"] = seen["dxs"][order][..., [*case.inputs, *probe]]
    # The gradient of the last state is added to that of the last output.
    upstream, last = upstream[order, :, k * H : (k + 1) * H], Bounded.exact(case.upstream_hn[k], precision)
    part: dict[str, Any] = alone.arrays()
    part["upstream"] = np.concatenate([upstream[:-1], upstream[-1:] + last[None]], axis=-3)
    layer = exact_layer(alone, part, precision)
    found = StepBounds(alone.probed() if case.probe else alone, layer, part, own, precision).fields()
    found |= {f"{state}n": found.pop(state) for state in case.cell_type.states[1:]}
    found |= {"hn": found["hs"][-1], "hs": found["hs"][order]}
    if "dxs" in found:
        found["dxs"] = found["dxs"][order]
    if case.probe and "dWx" in found:
        # The probe's columns of x are all zero, so one of them is computed and repeated.
        found["dWx"] = found["dWx"][np.minimum(np.argsort([*case.inputs, *case.probe]), len(case.inputs))]
    return found


def _expect_fields(case: LayersCase, evaluation: LayersEvaluation, precision: Precision) -> dict[str, NDArray[Any]]:
    """Return the arrays of the evaluation by field; raise unless they have the shapes and the dtype of the case."""
    shapes, given = case.shapes(), evaluation.present()
    if evaluation.hs is None:
        raise ValueError(f"certify_layers: expected hs of shape {shapes['hs']}, got None ({case.spelled})")
    for name, array in given.items():
        if name not in shapes or (name.startswith("db_") and case.params[0].b is None):
            raise ValueError(f"certify_layers: expected no {name} for such a case, got one ({case.spelled})")
        if not isinstance(array, np.ndarray) or array.dtype != case.xs.dtype:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"certify_layers: expected {name} as an array of {case.dtype}, got {kind} ({case.spelled})")
        if array.shape != shapes[name]:
            got = f"{name} of shape {shapes[name]}, got {array.shape}"
            raise ValueError(f"certify_layers: expected {got} ({case.spelled})")
    return given
