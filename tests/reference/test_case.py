"""Case, Params and Evaluation: validated when created, frozen, and saved bit for bit."""

import io
import os
import re
import zipfile
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reference import Case, Evaluation, Params, evaluate
from reference.strategies import cases

Z = np.zeros
DTYPES = ["float64", "float32"]

ANY = "float64, float32, bfloat16 or float16"


def arrays_of(record: Any) -> dict[str, Any]:
    return {name: value for name, value in record.fields().items() if isinstance(value, np.ndarray)}


def assert_same_bits(actual: Any, expected: Any) -> None:
    """Raise unless both records have the same plain values and the same bits, NaN payloads included."""
    assert actual.fields().keys() == expected.fields().keys()
    for name, value in expected.fields().items():
        found = actual.fields()[name]
        if isinstance(value, np.ndarray):
            assert (found.dtype, found.shape) == (value.dtype, value.shape), name
            assert found.tobytes() == value.tobytes(), name
        else:
            assert (type(found), found) == (type(value), value), name


# Validation.

PARAMS = Params(Z((3, 6)), Z((6, 6)), Z(6))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Z(6), Z((6, 6))), ValueError, "Params: expected Wx of shape (D, H) or (K, D, H), got (6,)"),
        ((Z((3, 6)), Z((6, 5))), ValueError, "Params: expected Wh of shape (6, 6), got (6, 5) (D=3, H=6)"),
        ((Z((3, 6)), Z((6, 6)), Z((1, 6))), ValueError, "Params: expected b of shape (6,), got (1, 6) (D=3, H=6)"),
        ((Z((2, 3, 6)), Z((6, 6))), ValueError, "Params: expected Wh of shape (2, 6, 6), got (6, 6) (D=3, H=6)"),
        (
            (Z((3, 6), int), Z((6, 6))),
            TypeError,
            f"Params: expected Wx of dtype {ANY}, got int64 (3, 6)",
        ),
        ((Z((3, 6)), Z((6, 6), "f4")), TypeError, "Params: expected Wh of dtype float64, got float32 (6, 6)"),
        (
            (Z((3, 6), ">f8"), Z((6, 6))),
            TypeError,
            f"Params: expected Wx of dtype {ANY}, got >f8 (3, 6)",
        ),
    ],
)
def test_parameters_that_do_not_fit_raise(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        Params(*arguments)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"xs": Z((5, 4, 2))}, ValueError, "Case: expected xs of shape (5, 4, 3), got (5, 4, 2) (T=5, N=4, D=3, H=6)"),
        ({"xs": Z((4, 3))}, ValueError, "Case: expected xs of shape (T, N, D), got (4, 3); Wx (3, 6)"),
        ({"h0": Z((1, 6))}, ValueError, "Case: expected h0 of shape (4, 6), got (1, 6) (T=5, N=4, D=3, H=6)"),
        ({"h0": Z(())}, ValueError, "Case: expected h0 of shape (4, 6), got () (T=5, N=4, D=3, H=6)"),
        ({"h0": Z(6)}, ValueError, "Case: expected h0 of shape (4, 6), got (6,) (T=5, N=4, D=3, H=6)"),
        (
            {"upstream": Z((4, 6))},
            ValueError,
            "Case: expected upstream of shape (5, 4, 6), got (4, 6) (T=5, N=4, D=3, H=6)",
        ),
        ({"xs": Z((5, 4, 3), int)}, TypeError, "Case: expected xs of dtype float64, got int64 (5, 4, 3)"),
        ({"h0": Z((4, 6), "f4")}, TypeError, "Case: expected h0 of dtype float64, got float32 (4, 6)"),
        (
            {"cell": "elman"},
            ValueError,
            "Case: expected cell in ['gru', 'gru_reset_before', 'lstm', 'rnn'], got 'elman'",
        ),
        ({"nonlinearity": "gelu"}, ValueError, "Case: expected nonlinearity in ['relu', 'tanh'], got 'gelu'"),
        ({"h0": np.full((4, 6), np.nan)}, ValueError, "Case: expected finite h0, got nan at [0, 0] (4, 6)"),
        (
            {"params": Params(Z((3, 6)), Z((6, 6)), np.array([0, 0, np.inf, 0, 0, 0]))},
            ValueError,
            "Case: expected finite b, got inf at [2] (6,)",
        ),
    ],
)
def test_a_case_that_does_not_fit_raises(changes: Any, error: type[Exception], message: str) -> None:
    case = Case(Z((5, 4, 3)), Z((4, 6)), PARAMS, Z((5, 4, 6)))
    with pytest.raises(error, match=re.escape(message)):
        replace(case, **changes)


def test_finite_false_admits_nan() -> None:
    case = replace(Case.random(), h0=np.full((4, 6), np.nan), finite=False)
    assert np.isnan(case.h0).all()


@pytest.mark.parametrize("stack", [None, 2])
def test_arrays_are_read_only_and_apart_from_those_given(stack: int | None) -> None:
    given = {name: np.array(array) for name, array in arrays_of(Case.random(stack=stack)).items()}
    params = Params(given["Wx"], given["Wh"], given["b"])
    case = Case(given["xs"], given["h0"], params, given["upstream"])
    for array in given.values():
        array[...] = 7.0
    assert not any((array == 7.0).any() for array in arrays_of(case).values())
    for array in arrays_of(case).values():
        assert array.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0
    with pytest.raises(FrozenInstanceError):
        case.h0 = given["h0"]  # type: ignore[misc]


# Random cases.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stack", [None, 3])
def test_the_same_arguments_give_the_same_bits(dtype: str, stack: int | None) -> None:
    one, two, other = (Case.random(seed=seed, dtype=dtype, stack=stack) for seed in (5, 5, 6))
    assert_same_bits(one, two)
    assert not (one.xs == other.xs).any()
    assert {str(array.dtype) for array in arrays_of(one).values()} == {dtype} == {one.dtype}
    assert (one.K, one.sizes) == (stack, {"T": 5, "N": 4, "D": 3, "H": 6})


@pytest.mark.parametrize("stack", [None, 3])
def test_values_are_distinct_finite_and_not_zero(stack: int | None) -> None:
    for name, array in arrays_of(Case.random(stack=stack)).items():
        assert len(np.unique(array)) == array.size, name
        assert np.isfinite(array).all(), name
        assert array.all(), name


@given(norm=st.sampled_from([0.0, 0.5, 1.0, 3.0]), H=st.integers(1, 20), stack=st.sampled_from([None, 4]))
def test_norm_is_the_largest_singular_value(norm: float, H: int, stack: int | None) -> None:
    found = np.linalg.norm(Case.random(H=H, norm=norm, stack=stack).params.Wh, ord=2, axis=(-2, -1))
    assert (np.abs(found - norm) <= 50 * H * 2.0**-53 * norm).all()


@pytest.mark.parametrize(
    ("upstream", "where"), [("every", (slice(None),)), ("last", (-1,)), ("one", (0, slice(None), 0))]
)
@pytest.mark.parametrize("T", [0, 1, 5])
def test_upstream_is_zero_but_at_the_steps_of_its_kind(upstream: str, where: Any, T: int) -> None:
    found = np.array(Case.random(T=T, upstream=upstream).upstream)
    if T:
        where = (-1, 0, 0) if upstream == "one" else where
        assert np.all(found[where])
        found[where] = 0
    assert not found.any()


def test_given_parameters_are_taken_in_every_case() -> None:
    params = Case.random(D=2, H=3, dtype="float32", bias=False).params
    stack = Case.random(D=9, H=9, params=params, stack=4, dtype="float32")
    assert stack.sizes == {"T": 5, "N": 4, "D": 2, "H": 3}
    assert all((stack[k].params.Wx == params.Wx).all() and stack[k].params.b is None for k in range(4))


@pytest.mark.parametrize(
    "arguments",
    [
        {"T": -1},
        {"N": -1},
        {"stack": -1},
        {"norm": -1},
        {"upstream": "first"},
        {"dtype": "float8"},
        {"values": "ones"},
        {"cell": "elman"},
        {"params": Case.random(stack=2).params},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_arguments_out_of_range_raise(arguments: Any) -> None:
    message = r"^Case\.random: expected sizes and norm >= 0, params of one layer, .*, cell in \('rnn', .*\), got T="
    with pytest.raises(ValueError, match=message):
        Case.random(**arguments)


@pytest.mark.parametrize("values", [("plain", "ones"), ()], ids=len)
def test_a_kind_of_values_without_a_rule_raises_and_so_does_none(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"^Case\.random: expected .*values in \('plain', .*values=\("):
        Case.random(values=values)


def test_small_integers_are_whole_and_wide_values_are_wide() -> None:
    whole = Case.random(values="integers", stack=5)
    assert all((array == np.rint(array)).all() for array in arrays_of(whole).values())
    assert (np.abs(whole.params.Wh).sum(axis=-1) == 1).all()
    wide = np.abs(Case.random(T=50, values="wide").xs)
    assert wide.max() / wide.min() > 1e6


@pytest.mark.parametrize("stack", [None, 5])
def test_a_case_about_nan_has_one_row_of_it(stack: int | None) -> None:
    case = Case.random(values="nan", stack=stack)
    spoilt = [np.isnan(array).reshape(stack or 1, -1, array.shape[-1]) for array in (case.xs, case.upstream)]
    assert all((part.any(axis=-1) == part.all(axis=-1)).all() for part in spoilt)
    assert (sum(part.all(axis=-1).sum(axis=-1) for part in spoilt) == 1).all()
    assert not case.finite


# Stacks and the probe.


@given(stack=cases(stack=3), k=st.integers(0, 2))
def test_a_case_of_a_stack_is_a_case(stack: Case, k: int) -> None:
    case = stack[k]
    assert (case.K, case.sizes, case.is_probed) == (None, stack.sizes, stack.is_probed)
    for name, array in arrays_of(case).items():
        assert array.tobytes() == arrays_of(stack)[name][k].tobytes()


def test_a_single_case_has_no_cases() -> None:
    with pytest.raises(TypeError, match=r"^Case: expected a stack to take a case from, got a single case$"):
        Case.random()[0]


def test_evaluations_stack_and_come_apart() -> None:
    singles = [evaluate(Case.random(seed=seed, bias=False)) for seed in range(3)]
    stack = Evaluation.stack(singles)
    assert stack.db is None
    for k in range(3):
        assert_same_bits(stack[k], singles[k])


@pytest.mark.parametrize("evaluations", [[], [Evaluation(Z(1)), Evaluation(Z(1), dh0=Z(1))]], ids=len)
def test_evaluations_that_differ_do_not_stack(evaluations: list[Evaluation]) -> None:
    message = f"Evaluation.stack: expected evaluations of one kind, got {len(evaluations)} that differ"
    with pytest.raises(ValueError, match=re.escape(message)):
        Evaluation.stack(evaluations)


@given(stack=cases(stack=2).filter(lambda case: case.finite))
def test_the_probe_returns_the_gradients_at_the_sums_and_changes_nothing_else(
    stack: Case, bounds_of: Any, within: Any
) -> None:
    bare = stack.unprobed()
    case = bare.probed()
    probed = evaluate(case)
    D, H = (bare.sizes[name] for name in "DH")
    assert case.probe == tuple(range(D, D + H))
    A = probed.dxs[..., D:]
    # A of the last step, by hand, with one rounding of 1 - h*h and one of the product.
    np.testing.assert_array_equal(A[:, -1], bare.upstream[:, -1] * slope(probed.hs[:, -1], bare.nonlinearity))
    within(replace(probed, dxs=probed.dxs[..., :D], dWx=probed.dWx[..., :D, :]), bounds_of(bare))
    assert not probed.dWx[..., D:, :].any()
    assert A.shape[-1] == H


def slope(h: Any, nonlinearity: str) -> Any:
    return 1 - h * h if nonlinearity == "tanh" else (h > 0).astype(h.dtype)


SEEDS = st.none() | st.integers(0, 2**32 - 1)


@given(stack=cases(stack=3), direction=st.booleans(), seed=SEEDS)
def test_unprobed_removes_the_probe_bit_for_bit(stack: Case, direction: bool, seed: int | None) -> None:
    bare = with_direction(stack.unprobed()) if direction else stack.unprobed()
    assert_same_bits(bare.probed(seed).unprobed(), bare)
    assert bare.unprobed() is bare


def with_direction(case: Case) -> Case:
    T, N, D, H = case.sizes.values()
    bias = case.params.b is not None
    return replace(case, direction=Case.random(T, N, D, H, stack=case.K, bias=bias, direction=True).direction)


@given(seed=st.integers(0, 2**32 - 1), stack=st.sampled_from([None, 3]))
def test_the_probe_stands_at_drawn_places_among_the_inputs_which_keep_their_order(seed: int, stack: int | None) -> None:
    bare = Case.random(stack=stack, direction=True)
    case = bare.probed(seed)
    probe = list(case.probe or ())
    assert sorted([*case.inputs.tolist(), *probe]) == list(range(9))
    assert probe == sorted(probe)
    for name, array in {"xs": case.xs, "xs_dot": case.direction.xs_dot}.items():  # type: ignore[union-attr]
        assert (array[..., case.inputs] == bare.fields()[name]).all(), name
        assert not array[..., probe].any(), name
    assert (case.params.Wx[..., probe, :] == np.eye(6)).all()
    assert (case.params.Wx[..., case.inputs, :] == bare.params.Wx).all()
    assert not case.direction.Wx_dot[..., probe, :].any()  # type: ignore[union-attr]
    assert_same_bits(bare.probed(seed), case)


def test_drawn_places_differ_and_reach_both_ends() -> None:
    places = [Case.random(T=1, N=1, D=2, H=2).probed(seed).probe for seed in range(50)]
    assert len(set(places)) == 6
    assert (0, 1) in places
    assert (2, 3) in places
    assert Case.random(T=1, N=1, D=2, H=2).probed().probe == (2, 3)


def test_a_case_without_a_probe_has_only_inputs() -> None:
    case = Case.random()
    assert (case.probe, case.is_probed, case.inputs.tolist()) == (None, False, [0, 1, 2])


@given(stack=cases(stack=2), seed=st.integers(0, 2**32 - 1))
def test_the_place_of_the_probe_changes_nothing_but_the_order_of_columns(
    stack: Case, seed: int, bounds_of: Any, within: Any
) -> None:
    bare = stack.unprobed()
    last, drawn = bare.probed(), bare.probed(seed)
    found, order = evaluate(drawn), [*drawn.inputs, *(drawn.probe or ())]
    moved = replace(found, dxs=found.dxs[..., order], dWx=found.dWx[..., order, :])
    within(moved, bounds_of(last))


def test_axes_are_those_of_every_field() -> None:
    found = Case.random().axes()
    gradients = {"hs": "TNH", "dxs": "TND", "dh0": "NH", "dWx": "DH", "dWh": "HH", "db": "H"}
    inputs = {"xs": "TND", "upstream": "TNH", "h0": "NH", "Wx": "DH", "Wh": "HH", "b": "H"}
    assert found == inputs | gradients
    moving = Case.random(direction=True).axes()
    assert moving == found | {f"{name}_dot": axes for name, axes in gradients.items()}


@pytest.mark.parametrize("stack", [None, 2])
@pytest.mark.parametrize("probed", [False, True])
@pytest.mark.parametrize("direction", [False, True])
def test_shapes_are_those_of_the_arrays(stack: int | None, probed: bool, direction: bool) -> None:
    case = Case.random(stack=stack, direction=direction)
    case = case.probed(1) if probed else case
    found = {name: array.shape for name, array in (case.arrays() | evaluate(case).fields()).items()}
    assert case.shapes() == found


def test_spelled_adds_relu_and_no_bias_to_the_sizes() -> None:
    like: dict[str, Any] = {"T": 5, "N": 4, "D": 3, "H": 6, "seed": 0}
    assert Case.random(**like).spelled == "T=5, N=4, D=3, H=6"
    assert Case.random(**like, nonlinearity="relu", bias=False).spelled == "T=5, N=4, D=3, H=6, relu, no bias"


@pytest.mark.parametrize(
    ("like", "spelled"),
    [
        ({}, "Case(T=5, N=4, D=3, H=6, float64, tanh)"),
        ({"stack": 2, "dtype": "float32", "nonlinearity": "relu"}, "Case(K=2, T=5, N=4, D=3, H=6, float32, relu)"),
        ({"direction": True}, "Case(T=5, N=4, D=3, H=6, float64, tanh, with a direction)"),
    ],
)
def test_a_case_is_shown_by_its_sizes_and_its_kind(like: Any, spelled: str) -> None:
    assert repr(Case.random(**like)) == spelled


def test_a_probed_case_is_shown_as_one() -> None:
    assert repr(Case.random().probed(0)) == "Case(T=5, N=4, D=9, H=6, float64, tanh, probed)"


def test_a_second_probe_raises() -> None:
    message = "Case.probed: expected a case without a probe, got one with it (T=5, N=4, D=9, H=6)"
    with pytest.raises(ValueError, match=re.escape(message)):
        Case.random().probed().probed()


# Files.


@st.composite
def odd_cases(draw: st.DrawFn) -> Case:
    """Draw cases with arbitrary bits: NaN with payloads, signed zeros, subnormals, empty axes."""
    dtype, bits = draw(st.sampled_from([("float64", np.uint64), ("float32", np.uint32)]))
    K, T, N, D, H = (draw(st.integers(0, 2)) for _ in range(5))
    lead = (K,) if draw(st.booleans()) else ()

    def floats(*shape: int) -> Any:
        return draw(arrays(bits, (*lead, *shape))).view(dtype)

    params = Params(floats(D, H), floats(H, H), floats(H) if draw(st.booleans()) else None)
    case = Case(floats(T, N, D), floats(N, H), params, floats(T, N, H), finite=False)
    return case.probed(draw(SEEDS)) if draw(st.booleans()) else case


@given(case=odd_cases())
def test_a_case_is_read_back_bit_for_bit(case: Case, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "case.npz"
    case.save(path)
    assert_same_bits(Case.load(path), case)
    assert_same_bits(Params.load(path), case.params)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("probe", ["none", "last", "drawn"])
@pytest.mark.parametrize("finite", [False, True])
def test_plain_values_are_read_back(tmp_path: Path, nonlinearity: str, probe: str, finite: bool) -> None:
    case = replace(Case.random(nonlinearity=nonlinearity), finite=finite)
    case = {"none": case, "last": case.probed(), "drawn": case.probed(1)}[probe]
    case.save(tmp_path / "case.npz")
    assert_same_bits(Case.load(str(tmp_path / "case.npz")), case)


@given(payload=arrays(np.uint64, (2, 3, 4)), missing=st.booleans())
def test_an_evaluation_is_read_back_bit_for_bit(
    payload: Any, missing: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "evaluation.npz"
    evaluation = Evaluation(payload.view(float), db=None if missing else payload[0, 0].view(float))
    evaluation.save(path)
    assert_same_bits(Evaluation.load(path), evaluation)


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


TINY = Case.random(T=1, N=1, D=1, H=1)
WHOLE = {name: value for name, value in TINY.fields().items() if value is not None}
PROBED = {name: value for name, value in TINY.probed().fields().items() if value is not None}
# NumPy advises to trust the file.
LONG = [(f"{n:099}", "f8") for n in range(99)]
NOT_WHOLE = "expected a whole .npz of plain arrays, got "
LOADERS: dict[str, Any] = {"Case": Case, "Params": Params, "Evaluation": Evaluation}


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize(
    "content",
    {
        "empty": b"",
        "text": b"hello",
        "a single array": npy(Z(3)),
        "a long header": zipped(dict.fromkeys(("hs.npy", "Wx.npy"), npy(Z(3, LONG)))),
        "a pickle": npz(hs=np.array([{}], object), Wx=np.array([{}], object)),
        "half a file": npz(**WHOLE)[:700],
        "not an array": zipped({"hs": b"hello", "Wx": b"hello", "Wh": b"hello"}),
        "a lying header": zipped({"hs.npy": npy(Z(30))[:-8], "Wx.npy": npy(Z(30))[:-8]}),
    }.items(),
    ids=lambda item: str(item[0]),
)
def test_a_file_that_is_not_whole_raises(kind: str, content: tuple[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(content[1])
    with pytest.raises(ValueError, match=re.escape(f"{kind}.load: {NOT_WHOLE}{path} (")) as raised:
        LOADERS[kind].load(path)
    assert "pickle" not in str(raised.value)  # no advice to trust the file


@pytest.mark.parametrize("kind", LOADERS)
def test_a_pipe_is_refused_before_it_is_opened(kind: str, tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "pipe.npz")
    end = os.open(path, os.O_RDWR)
    os.write(end, b"x" * 100)  # so that a reader fails instead of waiting
    message = f"{kind}.load: {NOT_WHOLE}{path} (it is no regular file)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        LOADERS[kind].load(path)
    os.close(end)


@given(at=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_read_unharmed_or_raises(
    at: float, byte: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    content = bytearray(npz(**WHOLE))
    place = int(at * len(content))
    content[place] = byte
    path.write_bytes(bytes(content[:place] if cut else content))
    try:
        found = Case.load(path)
    except ValueError as error:
        assert str(error).startswith("Case.load: expected "), str(error)  # noqa: PT017
    else:
        assert_same_bits(found, TINY)


def test_a_file_without_damage_is_read(tmp_path: Path) -> None:
    (tmp_path / "whole.npz").write_bytes(npz(**WHOLE))
    assert_same_bits(Case.load(tmp_path / "whole.npz"), TINY)


@pytest.mark.parametrize("kind", LOADERS)
def test_a_file_that_is_not_there_raises(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "absent.npz"
    message = f"{kind}.load: expected an .npz file, got no file at {path}"
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        LOADERS[kind].load(path)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("Case", {"xs": Z(1)}, "Case.load: expected the fields of a case in {path}, got Params.__init__() missing "),
        ("Case", {**WHOLE, "more": Z(1)}, "Case.load: expected the fields of a case in {path}, got "),
        ("Case", {**WHOLE, "xs": Z((1, 1, 1), int)}, "Case.load: expected the fields of a case in {path}, got "),
        (
            "Case",
            {**WHOLE, "xs": Z((1, 1, 2))},
            "Case: expected xs of shape (1, 1, 1), got (1, 1, 2) (T=1, N=1, D=1, H=1)",
        ),
        ("Case", {**WHOLE, "nonlinearity": Z(2)}, "Case.load: expected the fields of a case in {path}, got "),
        ("Case", {**WHOLE, "is_probed": Z(0)}, "Case.load: expected the fields of a case in {path}, got "),
        ("Case", {**PROBED, "probe": Z(())}, "Case.load: expected the fields of a case in {path}, got "),
        ("Case", {**PROBED, "probe": Z(0)}, "got Case: expected a probe, as probed() adds it, got other numbers (T=1"),
        ("Case", {**WHOLE, "probe": np.zeros(1, int)}, "got Case: expected a probe, as probed() adds it, got other "),
        ("Case", {**PROBED, "probe": np.ones(1)}, "Case.load: expected the fields of a case in {path}, got "),
        ("Params", {"Wx": Z((1, 1))}, "Params.load: expected arrays Wx, Wh and b in {path}, got ['Wx']"),
        ("Params", {"Wx": Z((1, 1)), "Wh": Z((2, 1))}, "Params: expected Wh of shape (1, 1), got (2, 1) (D=1, H=1)"),
        ("Evaluation", {"h": Z(1)}, "Evaluation.load: expected the fields of an evaluation in {path}, got "),
        ("Evaluation", {"dWx": Z(1)}, "Evaluation.load: expected the fields of an evaluation in {path}, got "),
    ],
)
def test_a_file_of_something_else_raises(kind: str, fields: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    path.write_bytes(npz(**fields))
    with pytest.raises(ValueError, match=re.escape(message.format(path=path))):
        LOADERS[kind].load(path)


def test_parameters_of_integers_raise(tmp_path: Path) -> None:
    (tmp_path / "params.npz").write_bytes(npz(Wx=Z((1, 1), int), Wh=Z((1, 1), int)))
    with pytest.raises(
        TypeError,
        match=re.escape(f"Params: expected Wx of dtype {ANY}, got int64 (1, 1)"),
    ):
        Params.load(tmp_path / "params.npz")


def test_parameters_are_found_beside_other_arrays(tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(npz(Wx=Z((3, 6)), Wh=Z((6, 6)), vocabulary=np.array(["a", "b"])))
    assert Params.load(tmp_path / "model.npz").b is None


@pytest.mark.parametrize(
    ("D", "probe"), [(3, (3, 4, 5, 6, 7, 8)), (9, (3, 4, 5, 6, 7, 8)), (9, ())], ids=["outside", "numbers", "empty"]
)
def test_a_probe_of_other_numbers_raises(D: int, probe: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^Case: expected a probe, as probed\(\) adds it, got other numbers \(T=5"):
        replace(Case.random(D=D), probe=probe)


@pytest.mark.parametrize(
    "probe", [(3, 4, 5, 6, 7), (3, 4, 5, 6, 7, 7), (2, 3, 4, 5, 6, 7), (8, 7, 6, 5, 4, 3), (3,) * 6]
)
def test_a_probe_at_other_places_raises(probe: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^Case: expected a probe, as probed\(\) adds it, got other numbers \(T=5"):
        replace(Case.random().probed(), probe=probe)


def test_a_case_does_not_change_with_the_array_it_was_made_of() -> None:
    case = Case.random()
    mine = np.array(case.xs)
    view = mine[:]
    view.flags.writeable = False
    made = replace(case, xs=view)
    mine[0, 0, 0] = 7
    assert made.xs[0, 0, 0] == case.xs[0, 0, 0]


def test_parameters_that_are_given_without_a_second_bias_stay_without_it() -> None:
    params = Params(np.ones((2, 9)), np.ones((3, 9)), np.ones(9))
    assert Case.random(cell="gru", params=params).params.bn is None
    assert Case.random(cell="gru", params=replace(params, bn=np.ones(3))).params.bn is not None
