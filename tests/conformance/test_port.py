"""Weights are ported from every layout to every other one and back, bit for bit, without the frameworks."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import adapters
from adapters._places import GATES, bare, suffixes_of, to_framework, to_reference
from adapters.conformance.port import remarks
from adapters.layout import Layout, layout, layouts, port
from reference import Case, Params
from reference.archive import DTYPES, dtype_of

PLAIN = {"Wx": "Wx", "Wh": "Wh", "b": "b"}
# Layouts that no framework here has: the places in another order, and other places with a leading axis.
MORE = (
    Layout("joined.RNN", {"all/b": "[b, 0]", "all/Wh": "Wh", "all/Wx": "Wx[None]"}),
    Layout("two.RNN", {"b0": "b or 0", "b1": "0?", "Wx": "Wx.T", "Wh": "Wh[None]"}),
)
ALL = [found for name in adapters.frameworks() for found in layouts(name).values()]
LAYOUTS = [found for found in ALL if found.cell == "rnn"] + list(MORE)
# Likewise of gated cells: one parameter a gate, joined matrices, biases as rows, a negated gate, an offset.
JOINED = {"w": "[Wx; Wh].T[None]", "c": "[b; [0, bn]] or 0[None]"}
MORE_GATED = (
    Layout("odd.LSTM", {"cell": "lstm i g f+1 -o", "w": "Wx", "u": "Wh", "c": "b"}),
    Layout("gates.LSTM", {"cell": "lstm o -g f i", "i*/k": "Wx.T", "h*/k": "Wh[None]", "h*/b": "b or 0"}),
    Layout("joined.LSTM", {"cell": "lstm f i g -o", "w": "[Wx; Wh]", "c": "[b, 0][None]"}),
    Layout("gates.GRU", {"cell": "gru z -r n", "i*/k": "Wx", "i*/b": "b", "h*/k": "Wh", "hn/b": "bn"}),
    Layout("joined.GRU", {"cell": "gru -z r n"} | JOINED),
    Layout("four.GRU", {"cell": "gru z r n", "w": "Wx", "u": "Wh", "c": "[b, bn]"}),
    Layout("six.GRU", {"cell": "gru z r n", "w": "Wx", "u": "Wh", "c": "[b, [0, bn]]"}),
    Layout("before.GRU", {"cell": "gru_reset_before n r -z", "h*": "Wh", "w": "Wx", "c": "b or 0"}),
)
GATED = [*{str(found.places): found for found in ALL if found.cell != "rnn"}.values(), *MORE_GATED]
EXACT = [held for held in GATED if "+" not in held.places["cell"]]
# Keras has the same layout on its three backends, and all composed cells have the same layout.
DISTINCT = {str(held.places): held for held in reversed(LAYOUTS)}.values()


@st.composite
def arbitrary_params(draw: st.DrawFn, biases: tuple[bool, ...] = (True, False), cell: str = "rnn") -> Params:
    """Draw parameters of any size with arbitrary bits: NaN with payloads, infinities, zeros of both signs."""
    dtype = dtype_of(draw(st.sampled_from(DTYPES)))
    D, H = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))

    def bits(*shape: int) -> Any:
        found = np.frombuffer(random.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)
        return np.where(random.random(shape) < 0.2, np.array([0.0, -0.0], dtype)[random.integers(2, size=shape)], found)

    G, bias = len(GATES[cell].split()), draw(st.sampled_from(biases))
    bn = bits(H) if bias and cell == "gru" else None
    return Params(bits(D, G * H), bits(H, G * H), bits(G * H) if bias else None, bn)


def assert_same_bits(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(actual) == list(expected)
    for name, array in expected.items():
        assert (actual[name].dtype, actual[name].shape) == (array.dtype, array.shape), name
        assert actual[name].tobytes() == array.tobytes(), name


def with_bias(params: Params) -> Params:
    """Return the parameters; if there is no bias, with a bias of zeros."""
    return replace(params, b=np.zeros(params.Wh.shape[-1], params.Wh.dtype) if params.b is None else params.b)


def round_trip(source: Layout, target: Layout, params: Params) -> str:
    """Return which bits a way from one layout to another and back loses; "" if none."""
    there = source.to_framework(params)
    back = source.to_framework(target.params(target.to_framework(source.params(there))))
    # If a layout always has a bias, a model without bias gets a bias of zeros.
    try:
        assert_same_bits(back, source.to_framework(with_bias(params)) if target.always_biased else there)
    except AssertionError as error:
        return f"{source.name} to {target.name}: {error}"
    return ""


@settings(max_examples=10)
@given(params=arbitrary_params())
def test_a_round_trip_between_any_two_layouts_loses_no_bit(params: Params) -> None:
    broken = [round_trip(source, target, params) for source, target in itertools.product(DISTINCT, repeat=2)]
    assert not any(broken), "\n".join(broken)


@pytest.mark.parametrize("held", LAYOUTS, ids=lambda held: held.name)
@given(params=arbitrary_params())
def test_a_layout_returns_the_parameters_it_was_given(held: Layout, params: Params) -> None:
    expected = with_bias(params) if held.always_biased else params
    actual = held.params(held.to_framework(params))
    assert_same_bits({k: v for k, v in actual.fields().items() if v is not None}, dict(present(expected)))


@pytest.mark.parametrize("held", LAYOUTS, ids=lambda held: held.name)
@given(params=arbitrary_params())
def test_gradients_are_read_by_the_same_table_and_a_second_bias_is_dropped(held: Layout, params: Params) -> None:
    named = held.to_framework(params)
    second = {name: array + 1 for name, array in named.items() if held.places[name] in ("0", "0?")}
    expected = with_bias(params) if held.always_biased else params
    actual = {name: np.array(array, order="C") for name, array in held.to_reference(named | second).items()}
    assert_same_bits(dict(sorted(actual.items())), dict(sorted(present(expected))))


@pytest.mark.parametrize("held", LAYOUTS, ids=lambda held: held.name)
def test_gradients_read_by_a_layout_with_a_transposed_Wh_are_others(held: Layout) -> None:
    params = Params(np.ones((2, 3)), np.arange(9.0).reshape(3, 3), np.ones(3))
    wrong = transposed(held).to_reference(held.to_framework(params))
    assert wrong["Wh"].tolist() == params.Wh.T.tolist() != params.Wh.tolist()


def test_a_stack_is_read_and_written_like_its_cells() -> None:
    stack = Params(np.arange(12.0).reshape(2, 3, 2), np.arange(8.0).reshape(2, 2, 2), np.arange(4.0).reshape(2, 2))
    for held in (one for one in LAYOUTS if not any("[None]" in place for place in one.places.values())):
        named = to_framework(held.places, stack.fields())
        for k in range(2):
            cell = held.to_framework(Params(stack.Wx[k], stack.Wh[k], None if stack.b is None else stack.b[k]))
            assert {name: array[k].tolist() for name, array in named.items()} == {
                n: a.tolist() for n, a in cell.items()
            }
        assert {name: array.tolist() for name, array in held.to_reference(named).items()} == {
            name: array.tolist() for name, array in present(stack)
        }


def test_the_arrays_of_a_case_are_not_copied() -> None:
    params = Params(np.ones((3, 2)), np.ones((2, 2)), np.ones(2))
    for held in LAYOUTS:
        named = to_framework(held.places, params.fields())
        for name, place in held.places.items():
            if (what := suffixes_of(place)[0]) in ("Wx", "Wh"):
                assert np.may_share_memory(named[name], params.fields()[what]), (held.name, name)


def present(params: Params) -> list[tuple[str, Any]]:
    return [(name, array) for name, array in params.fields().items() if array is not None]


@pytest.mark.parametrize("held", LAYOUTS, ids=lambda held: held.name)
def test_a_layout_with_a_transposed_Wh_gives_other_bits(held: Layout) -> None:
    params = Params(np.ones((2, 3)), np.arange(9.0).reshape(3, 3), np.ones(3))
    wrong = transposed(held)
    with pytest.raises(AssertionError):
        assert_same_bits(dict(present(wrong.params(held.to_framework(params)))), dict(present(params)))


def transposed(held: Layout) -> Layout:
    """Return a layout with a fault: Wh is transposed."""
    turns = {"Wh": "Wh.T", "Wh.T": "Wh", "Wh[None]": "Wh.T[None]", "Wh.T[None]": "Wh[None]"}
    return Layout(held.name, {name: turns.get(place, place) for name, place in held.places.items()})


@given(params=arbitrary_params(biases=(True,)), other=st.integers(0, 2**32))
@example(params=Params(np.ones((1, 1)), np.ones((1, 1)), np.array([-0.0])), other=0)
def test_two_biases_are_added_in_their_dtype_and_what_is_rounded_is_counted(params: Params, other: int) -> None:
    torch, first = layout("torch.RNN"), np.asarray(params.b)
    arrays = torch.to_framework(params)
    second = np.random.default_rng(other).standard_normal(len(params.Wh)).astype(params.Wx.dtype)
    arrays["bias_hh_l0"] = second
    with np.errstate(all="ignore"):
        actual, expected = torch.params(arrays).b, np.where(second == 0, first, first + second)
    assert actual is not None
    assert actual.dtype == params.Wx.dtype
    # NumPy takes no two NaN of bfloat16 as equal.
    np.testing.assert_array_equal(actual.astype(np.float64), expected.astype(np.float64))
    if np.isfinite(expected).all():
        exact = [Fraction(float(a)) + Fraction(float(b)) for a, b in zip(first, second, strict=True)]
        assert torch.rounded(arrays) == sum(Fraction(float(a)) != b for a, b in zip(actual, exact, strict=True))


def test_a_bias_beside_zero_keeps_the_sign_of_its_zeros() -> None:
    params = Params(np.ones((1, 2)), np.ones((2, 2)), np.array([-0.0, 0.0]))
    actual = layout("torch").params(layout("torch").to_framework(params)).b
    assert actual is not None
    assert np.signbit(actual).tolist() == [True, False]


TORCH = layout("torch").to_framework(Params(np.ones((3, 4)), np.eye(4), np.arange(4.0)))
WX, WH, B = np.ones((3, 4)), np.eye(4), np.arange(4.0)
FLAX = {"i": {"kernel": np.ones((3, 4)), "bias": np.arange(4.0)}, "h": {"kernel": np.eye(4)}}
BESIDE = {"out.weight": np.ones((2, 4)), "out.bias": np.ones(2)}


def after(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {prefix + name: array for name, array in arrays.items()}


@pytest.mark.parametrize(
    ("arrays", "name"),
    [
        (TORCH, "torch"),
        (after("rnn.", TORCH) | BESIDE, "torch.RNN"),
        (after("encoder/rnn/", TORCH) | BESIDE, "torch.RNN"),
        (FLAX, "flax.linen.SimpleCell"),
        ({"params": {"cell": FLAX}}, "flax"),
        ({"params/cell/i/kernel": WX, "params/cell/i/bias": B, "params/cell/h/kernel": WH}, "flax"),
        ({"cell.dense_i.kernel": WX, "cell.dense_i.bias": B, "cell.dense_h.kernel": WH}, "flax.nnx.RNN"),
        ({"rnn": {"kernel": WX, "recurrent_kernel": WH, "bias": B}, "dense": {"kernel": WH, "bias": B}}, "keras-torch"),
        ({"Wx": WX, "Wh": WH, "b": B, "Wy": np.ones((4, 2))}, "jax"),
        ({"vanilla_rnn/linear": {"w": WX, "b": B}, "vanilla_rnn/linear_1": {"w": WH}}, "haiku"),
        ({"vanilla_rnn/linear": {"w": WX, "b": 0 * B}, "vanilla_rnn/linear_1": {"w": WH, "b": B}}, "haiku"),
    ],
)
def test_the_only_layer_is_found_by_its_names_whatever_stands_before_them(arrays: dict[str, Any], name: str) -> None:
    actual = adapters.port(arrays, name, "torch", nonlinearity="relu")
    assert_same_bits(actual, TORCH)


def without(name: str) -> dict[str, Any]:
    return {key: array for key, array in TORCH.items() if key != name}


@pytest.mark.parametrize(
    ("arrays", "name", "message"),
    [
        (TORCH, "caffe", "port: expected a framework among ['autograd'"),
        (TORCH, "torch.func", "port: expected one of ['torch.RNN', 'torch.RNNCell', 'torch.LSTM', "),
        ({}, "torch", "port: expected one torch.RNN, weight_ih_l0 and weight_hh_l0, got arrays called []"),
        (BESIDE, "torch", "weight_ih_l0 and weight_hh_l0, got arrays called ['out.weight', 'out.bias']"),
        (
            {f"weight_{number}": np.ones(1) for number in range(10)},
            "torch",
            "'weight_6', 'weight_7', and 2 more]",
        ),
        (
            {f"my{name}": array for name, array in {"Wx": WX, "Wh": WH, "b": B}.items()},
            "jax",
            "port: expected one jax.scan, Wx and Wh, got arrays called ['myWx', 'myWh', 'myb']",
        ),
        (without("weight_ih_l0"), "torch", "expected one torch.RNN, weight_ih_l0 and weight_hh_l0, got arrays called"),
        (
            without("weight_hh_l0"),
            "torch",
            "port: expected weight_hh_l0 of torch.RNN, got ['weight_ih_l0', 'bias_ih_l0', 'bias_hh_l0'] without it",
        ),
        (without("bias_hh_l0"), "torch", "port: expected bias_hh_l0 of torch.RNN, got ['weight_ih_l0', 'weight_hh_l0"),
        (after("a.", TORCH) | after("b.", TORCH), "torch", "got several, after ['a.', 'b.']"),
        (
            TORCH | {"weight_ih_l1": np.ones((4, 4)), "weight_hh_l1": np.eye(4)},
            "torch",
            "port: expected the same parameters of torch.RNN in every layer, got {'_l0': ['weight_ih_l0',",
        ),
        ({"i": FLAX["i"], "h": FLAX["i"]}, "flax.linen.SimpleCell", "of a flax.linen.SimpleCell, got ['h.bias']"),
        ({"i": {"kernel": np.ones((3, 4))}, "h": FLAX["h"]}, "flax.linen.SimpleCell", "expected i/bias of flax.linen"),
        (
            TORCH | {"weight_ih_l0": np.ones((16, 3))},
            "torch",
            "port: expected weight_hh_l0 of shape (16, 16), got (4, 4) (D=3, H=16)",
        ),
        (TORCH | {"weight_ih_l0": np.ones(3)}, "torch", "port: expected weight_ih_l0 of shape (H, D), got (3,)"),
        (
            TORCH | {"weight_hr_l0": np.ones((2, 4))},
            "torch",
            "got ['weight_hr_l0']; weight_hr_l0 is a projection (proj_size), which no cell has",
        ),
        (
            TORCH | {"bias_hh_l0": np.ones(3)},
            "torch",
            "port: expected bias_hh_l0 of shape (4,), got (3,) (D=3, H=4)",
        ),
    ],
)
def test_arrays_without_such_a_layer_are_an_error(arrays: dict[str, Any], name: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        adapters.port(arrays, name, "torch")


@pytest.mark.parametrize(
    ("name", "dtype", "message"),
    [
        ("weight_ih_l0", "int64", f"port: expected weight_ih_l0 of dtype {list(DTYPES)}, got int64"),
        ("bias_hh_l0", "float32", "port: expected bias_hh_l0 of dtype float64, as weight_ih_l0 is, got float32 (4,)"),
    ],
)
def test_integers_and_several_dtypes_are_errors(name: str, dtype: str, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        adapters.port(TORCH | {name: TORCH[name].astype(dtype)}, "torch", "jax")


@pytest.mark.parametrize(
    ("source", "to", "nonlinearity", "message"),
    [
        ("torch", "haiku", None, "port: expected a target with tanh, got haiku.VanillaRNN, which has relu alone"),
        ("haiku", "torch", "tanh", "port: expected a source with tanh, got haiku.VanillaRNN, which has relu alone"),
        ("torch", "flax", "gelu", "port: expected a nonlinearity among ['tanh', 'relu'], got 'gelu'"),
    ],
)
def test_a_nonlinearity_that_one_framework_does_not_have_is_an_error(
    source: str, to: str, nonlinearity: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        adapters.port(Params(np.ones((3, 4)), np.eye(4)), source, to, nonlinearity=nonlinearity)


def test_a_stack_is_an_error() -> None:
    stack = Params(np.ones((2, 3, 4)), np.ones((2, 4, 4)))
    with pytest.raises(ValueError, match="port: expected the parameters of one cell, got a stack of 2"):
        adapters.port(stack, "jax", "torch")


@pytest.mark.parametrize(
    "places", [PLAIN | {"b": "bias"}, {"Wx": "Wx", "Wh": "Wh"}, PLAIN | {"more": "Wx.T"}, PLAIN | {"b": "0"}]
)
def test_a_layout_has_one_place_for_each_parameter(places: dict[str, str]) -> None:
    message = (
        r"^Layout mine: expected W?[xhb] once, or once for each of \['a'\], got \[|^place: expected one of \['Wx', "
    )
    with pytest.raises(ValueError, match=message):
        Layout("mine", places)


@pytest.mark.parametrize("places", [{"i*": "Wx", "more": "Wx[f]"}, {"ii": "Wx[i]", "if": "Wx[f]", "ig": "Wx[g]"}])
def test_a_parameter_of_one_gate_is_there_once_for_each_gate(places: dict[str, str]) -> None:
    message = "^Layout mine: expected Wx once, or once for each of ['f', 'g', 'i', 'o'], got ['Wh', 'b'"
    with pytest.raises(ValueError, match=re.escape(message)[1:]):
        Layout("mine", {"cell": "lstm i f g o", "h": "Wh", "b": "b"} | places)


def test_moving_imports_no_framework() -> None:
    code = "import sys, adapters, numpy as np; from reference import Params\n"
    code += "adapters.port(Params(np.ones((3, 4)), np.eye(4)), 'torch', 'flax.nnx.RNN')\n"
    code += "print([name for name in ('torch', 'jax', 'flax') if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_bfloat16_moves_as_it_is() -> None:
    arrays = {name: array.astype(ml_dtypes.bfloat16) for name, array in TORCH.items()}
    assert_same_bits(adapters.port(adapters.port(arrays, "torch", "flax"), "flax", "torch"), arrays)


@settings(max_examples=10)
@given(data=st.data(), cell=st.sampled_from(sorted({held.cell for held in EXACT})))
def test_a_round_trip_of_a_gated_cell_between_any_two_layouts_loses_no_bit(data: st.DataObject, cell: str) -> None:
    params = data.draw(arbitrary_params(cell=cell))
    own = [held for held in EXACT if held.cell == cell]
    broken = [
        round_trip(source, target, params if source.has_bn and target.has_bn else replace(params, bn=None))
        for source, target in itertools.product(own, repeat=2)
    ]
    assert not any(broken), "\n".join(broken)


@pytest.mark.parametrize("held", GATED, ids=lambda held: held.name)
@given(data=st.data())
def test_gradients_of_a_gated_cell_are_read_by_the_same_table(held: Layout, data: st.DataObject) -> None:
    params = with_bias(data.draw(arbitrary_params(cell=held.cell)))
    params = params if held.has_bn else replace(params, bn=None)
    # No offset belongs to a gradient, so that no bit of it is lost.
    found = to_reference(held.places, to_framework(held.places, params.fields(), tangent=True), gradient=True)
    assert_same_bits({name: np.array(found[name], order="C") for name, _ in present(params)}, dict(present(params)))


@pytest.mark.parametrize("held", GATED, ids=lambda held: held.name)
def test_a_stack_of_gated_cells_is_written_like_its_cells(held: Layout) -> None:
    stack = Case.random(cell=held.cell, stack=2, seed=1).params
    stack = stack if held.has_bn else replace(stack, bn=None)
    if any("[None]" in place for place in held.places.values()):
        pytest.skip("the leading axis of an operator is not that of a stack")
    named = to_framework(held.places, stack.fields())
    for k in range(2):
        fields = {name: array[k] for name, array in present(stack)}
        assert_same_bits(
            {name: np.array(array[k], order="C") for name, array in named.items()}, held.to_framework(Params(**fields))
        )


@pytest.mark.parametrize("held", GATED, ids=lambda held: held.name)
def test_a_layout_with_two_gates_exchanged_gives_other_bits(held: Layout) -> None:
    params = Case.random(cell=held.cell, seed=1).params
    params = params if held.has_bn else replace(params, bn=None)
    name, first, second, *rest = held.places["cell"].split()
    turns = {f"[{bare(first)}]": f"[{bare(second)}]", f"[{bare(second)}]": f"[{bare(first)}]"}
    swap = partial(re.sub, r"\[[a-z]\]", lambda match: turns.get(match[0], match[0]))
    swapped = {name: swap(place) for name, place in held.named.items()}
    wrong = Layout(held.name, {"cell": " ".join([name, second, first, *rest])} | swapped)
    with pytest.raises(AssertionError):
        assert_same_bits(dict(present(wrong.params(held.to_framework(params)))), dict(present(params)))


def test_a_gate_that_is_negated_or_has_an_offset_is_moved_both_ways() -> None:
    params, odd = Case.random(cell="lstm", seed=1).params, next(held for held in MORE_GATED if held.name == "odd.LSTM")
    moved = odd.to_framework(params)
    assert params.b is not None
    i, f, g, o = np.split(np.asarray(params.b), 4)
    np.testing.assert_array_equal(moved["c"], np.concatenate([i, g, f - 1, -o]))
    assert np.abs(np.asarray(odd.params(moved).b) - params.b).max() <= 2.0**-52


@pytest.mark.parametrize(("target", "expected"), [("haiku.LSTM", 1), ("equinox.LSTMCell", 0)])
def test_a_bias_that_an_offset_rounds_is_reported(target: str, expected: int) -> None:
    params, source = Case.random(cell="lstm", dtype="float32", H=4).params, layout("torch.LSTM")
    said = list(remarks(source.to_framework(params), source, layout(target), params, params))
    pattern = r"rounded to float32 in [1-4] of 16 elements: haiku.LSTM adds 1 to a gate itself"
    assert [bool(re.fullmatch(pattern, line)) for line in said] == [True] * expected


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_a_sum_of_two_biases_that_is_rounded_is_counted_over_all_gates(cell: str, gates: int) -> None:
    source = layout(f"torch.{cell.upper()}")
    arrays = source.to_framework(Case.random(cell=cell, dtype="float32", H=4).params)
    arrays["bias_hh_l0"] = arrays["bias_hh_l0"] + np.float32(1e-9)
    held = source.params(arrays)
    (line,) = remarks(arrays, source, source, held, held)
    assert (count := source.rounded(arrays)) > 4 * (gates > 1)
    assert line == f"rounded to float32 in {count} of {4 * gates} elements: the sum of the two biases"


@pytest.mark.parametrize("held", GATED, ids=lambda held: held.name)
def test_an_offset_loses_no_bit_where_the_target_can_hold_the_difference(held: Layout) -> None:
    params = Case.random(cell=held.cell, seed=1).params
    half = ml_dtypes.bfloat16  # of which NumPy converts no string
    whole = {name: (np.round(8 * array) / 8).astype(half) for name, array in present(params) if name != "bn"}
    assert_same_bits(dict(present(replace(held.params(held.to_framework(Params(**whole))), bn=None))), whole)


@pytest.mark.parametrize(
    ("from_", "to", "message"),
    [
        ("torch.LSTM", "torch.GRU", "expected a target with the cell lstm, got torch.GRU, a gru; torch.LSTM"),
        ("torch.LSTM", "flax", "expected a target with the cell lstm, got flax.linen.RNN, a rnn; flax.linen.LSTM or"),
        ("torch", "jax", "expected weight_hh_l0 of shape (20, 20), got (20, 5) (D=3, H=20); torch.LSTM"),
    ],
)
def test_weights_of_another_cell_are_an_error_that_names_the_cell(from_: str, to: str, message: str) -> None:
    arrays = layout("torch.LSTM").to_framework(Case.random(2, 2, 3, 5, cell="lstm").params)
    with pytest.raises(ValueError, match=rf"^port: {re.escape(message)}.*may be meant$"):
        port(arrays, from_, to)


def test_a_bias_inside_the_reset_needs_a_place() -> None:
    bare = Layout("bare.GRU", {"cell": "gru r z n", "w": "Wx", "u": "Wh", "c": "b"})
    params = Case.random(cell="gru").params
    message = "port: expected a bn of zeros for bare.GRU, which has no place for it, got another"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        bare.to_framework(params)
