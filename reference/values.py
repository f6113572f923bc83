"""The numbers of a random case: plain values, and kinds at the limits of a format.

The numbers are drawn in float64 for a stack of K cases, and rounded to the dtype of the case afterwards. A kind is a
function that modifies or replaces the plain arrays; its docstring describes the result. If several kinds are given, the
cases of a stack take them in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.archive import DTYPES, spell
from reference.cells import CELLS, Cell
from reference.precision import Format

# The arrays of a stack by name: xs (K, T, N, D), h0 (K, N, H), Wx (K, D, G H) and others. There may be no b.
Arrays = dict[str, Any]
if TYPE_CHECKING:  # importing numpy.random takes as long as importing the whole oracle
    from numpy.random import Generator

# Plain values are between -SPREAD and SPREAD. So tanh of few terms is not saturated in float32.
SPREAD = 1.5
# "wide" values span ORDERS binary orders of magnitude. Inputs reach 2**SATURATING times the plain ones: tanh saturates.
ORDERS = 30
SATURATING = 2
# "huge" values are this number of binary orders of magnitude below the largest number, so that a thousand terms fit.
ROOM = 12
UPSTREAMS = ("every", "last", "one")
PARAMETERS = ("Wx", "Wh", "b", "bn")


def expect_drawable(
    sizes: dict[str, Any], one_layer: bool, cell: str, upstream: str, dtype: str, values: Sequence[str]
) -> None:
    """Raise ValueError unless a case can be drawn with these arguments of ``Case.random``.

    Args:
        sizes: T, N, D, H, stack and norm.
        one_layer: whether the given parameters belong to a single layer.
        cell: name of the cell.
        upstream: kind of the upstream gradient.
        dtype: name of the dtype.
        values: kinds of values; at least one.
    """
    unknown = {upstream} - {*UPSTREAMS} | {dtype} - {*DTYPES} | {*values} - {*KINDS} | {cell} - {*CELLS}
    if unknown or not values or not one_layer or not all((size or 0) >= 0 for size in sizes.values()):
        got = f"{spell(sizes)}, upstream={upstream!r}, dtype={dtype!r}, values={tuple(values)}"
        allowed = f"upstream in {UPSTREAMS}, dtype in {DTYPES}, values in {tuple(KINDS)}, cell in {tuple(CELLS)}"
        raise ValueError(f"Case.random: expected sizes and norm >= 0, params of one layer, {allowed}, got {got}")


def draw_arrays(random: Generator, cell: type[Cell], shape: tuple[int, ...], bias: bool, norm: float) -> Arrays:
    """Draw plain values. Wx is divided by sqrt(D), and each gate's block of Wh has the spectral norm ``norm``.

    Args:
        random: the generator.
        cell: the class of the cell.
        shape: K, T, N, D and H.
        bias: whether there is a bias.
        norm: as of ``Case.random``.
    """
    (K, T, N, D, H), G = shape, len(cell.gates)
    Wh = draw(random, K, G, H, H)
    if Wh.size:
        Wh *= norm / np.linalg.norm(Wh, ord=2, axis=(-2, -1), keepdims=True)
    found = {"Wx": draw(random, K, D, G * H) / max(D, 1) ** 0.5, "Wh": np.swapaxes(Wh, 1, 2).reshape(K, H, G * H)}
    if bias:
        found["b"] = draw(random, K, G * H) / 2
        found |= {name: draw(random, K, H) / 2 for name in cell.parameters()[3:]}
    found |= {"upstream": draw(random, K, T, N, H), "xs": draw(random, K, T, N, D)}
    found |= {"h0": np.tanh(draw(random, K, N, H))}
    unseen = [name for state in cell.states[1:] for name in (f"{state}0", f"upstream_{state}")]
    return found | {name: draw(random, K, N, H) for name in unseen}


def draw(random: Generator, *shape: int) -> NDArray[np.float64]:
    """Draw plain values."""
    return random.uniform(-SPREAD, SPREAD, shape)


def assort(random: Generator, arrays: Arrays, kinds: Sequence[str], form: Format) -> None:
    """Change plain values to the given kinds, which the cases take in turn."""
    for i, kind in enumerate(kinds[: len(arrays["xs"])]):
        mine = slice(i, None, len(kinds))
        part = {name: array[mine].copy() for name, array in arrays.items()}
        KINDS[kind](random, part, form)
        for name, array in part.items():
            arrays[name][mine] = array


def thin_out(upstream: NDArray[np.float64], kind: str) -> None:
    """Set the upstream gradient to zero except on "every" step, the "last" step, or "one" element of the last step."""
    if kind != "every":
        upstream[:, :-1] = 0
    if kind == "one":
        upstream[..., 1:, :] = 0
        upstream[..., 1:] = 0


def plain(random: Generator, arrays: Arrays, form: Format) -> None:
    """Values evenly spread about 0."""


def integers(random: Generator, arrays: Arrays, form: Format) -> None:
    """Integers from -2 to 2, with a signed permutation as Wh. Sums are exact, grow slowly, and are often 0."""
    K, H, columns = arrays["Wh"].shape
    Wh = arrays["Wh"].reshape(K, H, columns // max(H, 1), H).swapaxes(1, 2)  # a block for each gate
    order = np.argsort(Wh.sum(axis=-2), axis=-1)
    for name, array in arrays.items():
        arrays[name] = np.rint(1.5 * array).clip(-2, 2)
    signed = np.eye(H)[order] * np.where(Wh < 0, -1, 1)
    arrays["Wh"] = signed.swapaxes(1, 2).reshape(K, H, columns)


def wide(random: Generator, arrays: Arrays, form: Format) -> None:
    """Inputs and upstream over nine decimal orders of magnitude."""
    # The square moves more of the inputs towards the largest magnitude.
    arrays["xs"] *= 2.0 ** (SATURATING - ORDERS * random.random(arrays["xs"].shape) ** 2)
    arrays["upstream"] *= 2.0 ** random.uniform(-ORDERS, 0, arrays["upstream"].shape)


def nan(random: Generator, arrays: Arrays, form: Format) -> None:
    """One row of NaN in the inputs or the upstream."""
    poison(random, arrays, "xs" if random.random() < 0.5 else "upstream", np.nan)


def poisoned(random: Generator, arrays: Arrays, form: Format) -> None:
    """In each case, a NaN or an infinity in one row of the inputs, h0 or the upstream, or in one parameter."""
    names = [name for name, array in arrays.items() if array.size]
    for k in range(len(arrays["xs"]) if names else 0):
        name = names[random.integers(len(names))]
        poison(random, {name: arrays[name][k : k + 1]}, name, (np.nan, np.inf, -np.inf)[random.integers(3)])


def poison(random: Generator, arrays: Arrays, name: str, value: float) -> None:
    """Set one row, or one element of a parameter, to ``value``. A whole row, because the probe spreads NaN over it."""
    array = arrays[name]
    if array.size:
        rows = array.reshape(len(array), -1, 1 if name in PARAMETERS else array.shape[-1])
        rows[np.arange(len(array)), random.integers(rows.shape[1], size=len(array))] = value


def saturated(random: Generator, arrays: Arrays, form: Format) -> None:
    """Inputs up to about ten thousand, or up to half of the exponents of the format."""
    top = min(13.0, np.log2(form.largest) / 2)
    arrays["xs"] *= 2.0 ** random.uniform(SATURATING, top, (*arrays["xs"].shape[:-1], 1))


def subnormal(random: Generator, arrays: Arrays, form: Format) -> None:
    """Inputs, states, bias and upstream gradients just below and above the smallest normal number."""
    for name in ("xs", "h0", "b", "upstream"):
        if name in arrays:
            arrays[name] = arrays[name] * form.tiny * 2.0 ** random.uniform(-4, 16, arrays[name].shape)


def huge(random: Generator, arrays: Arrays, form: Format) -> None:
    """Upstream gradients so large that sums of a thousand terms just fit, and inputs divided by the same factor."""
    power = 2.0 ** np.floor(np.log2(form.largest) - ROOM)
    arrays["xs"] /= power
    arrays["upstream"] *= power


def huge_inputs(random: Generator, arrays: Arrays, form: Format) -> None:
    """For relu: inputs so large that sums of a thousand terms just fit, and small upstream gradients."""
    power = 2.0 ** np.floor(np.log2(form.largest) - ROOM)
    arrays["xs"] *= power
    arrays["upstream"] /= power**0.5


def cancelling(random: Generator, arrays: Arrays, form: Format) -> None:
    """Each input appears twice, up to a hundred times larger, with weights that almost cancel."""
    xs, Wx = arrays["xs"], arrays["Wx"]
    D = xs.shape[-1]
    half = D // 2
    # In a half precision, the difference must be larger than the bound. The terms of a sum amount to sqrt(D) inputs.
    xs *= np.clip(2.0**-7 / form.u / max(D, 1) ** 0.5, 1, 100)
    xs[..., half : 2 * half] = xs[..., :half]
    Wx[..., half : 2 * half, :] = -Wx[..., :half, :] * (1 + 16 * form.u)


def one_hot(random: Generator, arrays: Arrays, form: Format) -> None:
    """Inputs and upstream gradients with a single 1 in every row, and a zero state, as in a language model."""
    for name in ("xs", "upstream"):
        array = arrays[name]
        *rows, width = array.shape
        array[...] = random.integers(max(width, 1), size=(*rows, 1)) == np.arange(width)
    arrays["h0"][...] = 0


def zeros(random: Generator, arrays: Arrays, form: Format) -> None:
    """Zeros of both signs in half of the rows of x and upstream, and in all of h0 and b. Relu is at its kink."""
    for name, share in {"xs": 0.5, "upstream": 0.5, "h0": 1.0, "b": 1.0}.items():
        if name in arrays:
            chosen = random.random((*arrays[name].shape[:-1], 1)) < share
            arrays[name] = np.where(chosen, np.copysign(0.0, arrays[name]), arrays[name])


def one_sided(random: Generator, arrays: Arrays, form: Format) -> None:
    """No negative inputs, states or upstream gradients, so that the errors of a long sum do not cancel."""
    for name in ("xs", "h0", "upstream"):
        arrays[name] = np.abs(arrays[name])


def unsaturated(random: Generator, arrays: Arrays, form: Format) -> None:
    """Small pre-activations, so that no derivative of tanh is small. A verdict on a half precision needs no probe."""
    for name in ("xs", "h0", "Wh", "b"):
        if name in arrays:
            arrays[name] = arrays[name] / 4


def both_ends(random: Generator, arrays: Arrays, form: Format) -> None:
    """Biases of up to 20, in every gate positive in the larger half of the units: open and closed ones side by side."""
    if "b" in arrays:
        (K, columns), H = arrays["b"].shape, arrays["h0"].shape[-1]
        shape = K, columns // max(H, 1), H
        signs = random.permuted(np.broadcast_to(np.where(np.arange(H) < (H + 1) // 2, 1.0, -1.0), shape), axis=-1)
        arrays["b"] = (signs * random.uniform(0, 20, shape)).reshape(K, columns)


def remembering(random: Generator, arrays: Arrays, form: Format) -> None:
    """Small pre-activations, but for a bias of 4 to 9 in every second gate: a state is kept over many steps."""
    for name in ("xs", "Wh"):
        arrays[name] = arrays[name] / 8
    if "b" in arrays:
        (K, columns), H = arrays["b"].shape, arrays["h0"].shape[-1]
        b = arrays["b"].reshape(K, columns // max(H, 1), H)
        b[:, 1::2] = random.uniform(4, 9, b[:, 1::2].shape)


def large_states(random: Generator, arrays: Arrays, form: Format) -> None:
    """Second states of up to 100: their tanh saturates."""
    if "c0" in arrays:
        arrays["c0"] = random.uniform(-100, 100, arrays["c0"].shape)


USUAL = (plain, integers, wide, nan, poisoned)
EXTREME = (saturated, subnormal, huge, huge_inputs, cancelling, one_hot, zeros)
GATED = (both_ends, remembering, large_states)
KINDS: dict[str, Callable[[Generator, Arrays, Format], None]] = {
    kind.__name__: kind for kind in (*USUAL, *EXTREME, *GATED, one_sided, unsaturated)
}
# Kinds with NaN or infinite numbers.
INFINITE = ("nan", "poisoned")
