"""Several layers, two directions, rows of different lengths: independent evidence, and a certificate that can fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import PRECISIONS, Case, certify, evaluate
from reference.cells import CELLS
from reference.certify_layers import LONGEST_LAYERS, certify_layers, enclose_layers
from reference.layers import LayersCase, LayersEvaluation, evaluate_layers

STEP = 2.0**-100
SHAPES: dict[str, Any] = {
    "T": st.sampled_from([1, 2, 3, 5]),
    "N": st.sampled_from([1, 2, 4]),
    "D": st.sampled_from([1, 2, 3]),
    "H": st.sampled_from([1, 2, 3]),
    "layers": st.sampled_from([1, 2, 3]),
    "directions": st.sampled_from([1, 2]),
    "lengths": st.booleans(),
    "padding": st.sampled_from(["zero", "last"]),
    "dropout": st.sampled_from([0.0, 0.5]),
    "bias": st.booleans(),
    "cell": st.sampled_from(list(CELLS)),
    "seed": st.integers(0, 2**31),
}


def sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def one_step(cell: str, f: Any, p: dict[str, Any], x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """Return h and c of one row after one step, from the equations as papers have them."""
    if cell == "rnn":
        return f(x @ p["Wx"] + h @ p["Wh"] + p["b"]), c
    u, H = x @ p["Wx"] + p["b"], len(h)
    if cell == "lstm":
        i, f_, g, o = np.split(u + h @ p["Wh"], 4)
        c = sigmoid(f_) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    r, z = np.split(sigmoid(u[: 2 * H] + h @ p["Wh"][:, : 2 * H]), 2)
    Wh = p["Wh"][:, 2 * H :]
    n = np.tanh(u[2 * H :] + ((r * h) @ Wh if cell == "gru_reset_before" else r * (h @ Wh + p["bn"])))
    return (1 - z) * n + z * h, c


def row_by_row(case: LayersCase, arrays: dict[str, Any]) -> dict[str, Any]:
    """Return outputs and last states, computed one row, one layer and one direction after the other."""
    T, N, H = case.sizes["T"], case.sizes["N"], case.sizes["H"]
    kind = complex if any(np.iscomplexobj(array) for array in arrays.values()) else float
    shapes = case.shapes()
    hs, hn, cn = (np.zeros(shapes[name], kind) for name in ("hs", "hn", "hn"))
    relu = lambda a: np.where(a.real > 0, a, 0)  # noqa: E731
    for n in range(N):
        steps = range(case.lengths[n] if case.lengths else T)
        xs = [arrays["xs"][t, n] for t in steps]
        for layer in range(case.layers):
            if layer and case.masks is not None:
                xs = [x * arrays["masks"][layer - 1, t, n] for t, x in enumerate(xs)]
            outputs = [np.zeros(0, kind)] * len(xs)
            for direction in range(case.directions):
                k = layer * case.directions + direction
                end = f"_l{layer}" + "_reverse" * direction
                p = {name: arrays.get(name + end, 0) for name in ("Wx", "Wh")}
                p |= {name: arrays.get(name + end, np.zeros(p["Wx"].shape[1])) for name in ("b",)}
                p["bn"] = arrays.get("bn" + end, np.zeros(H))
                h, c = arrays["h0"][k, n], arrays["c0"][k, n] if case.c0 is not None else 0
                for t in reversed(steps) if direction else steps:
                    f = np.tanh if case.nonlinearity == "tanh" else relu
                    h, c = one_step(case.cell, f, p, xs[t], h, c)
                    outputs[t] = np.concatenate([outputs[t], h])
                hn[k, n], cn[k, n] = h, c
            xs = outputs
        hs[: len(xs), n] = xs
        if case.padding == "last":
            hs[len(xs) :, n, :H] = xs[-1][:H]
    return {"hs": hs, "hn": hn} | ({"cn": cn} if case.c0 is not None else {})


@given(**SHAPES, relu=st.booleans())
def test_outputs_and_gradients_equal_those_of_single_rows(relu: bool, **shape: Any) -> None:
    case = LayersCase.random(**shape, nonlinearity="relu" if relu and shape["cell"] == "rnn" else "tanh")
    truth, arrays, rng = evaluate_layers(case).present(), case.arrays(), np.random.default_rng(0)
    for name, array in row_by_row(case, arrays).items():
        assert np.abs(truth[name] - array).max(initial=0) < 1e-12, name
    # The derivative of the loss along a random direction, by one complex step of the outputs.
    leaves = [name.removeprefix("d") for name in truth if name[0] == "d"]
    along = {name: rng.uniform(-1, 1, arrays[name].shape) for name in leaves}
    moved = arrays | {name: arrays[name] + 1j * STEP * tangent for name, tangent in along.items()}
    outputs = row_by_row(case, moved)
    weights = {"hs": case.upstream, "hn": case.upstream_hn, "cn": case.upstream_cn}
    slope = sum((outputs[name] * weights[name]).sum().imag for name in outputs) / STEP
    terms = [truth[f"d{name}"] * tangent for name, tangent in along.items()]
    size = sum(np.abs(term).sum() for term in terms)
    assert abs(slope - sum(term.sum() for term in terms)) <= 1e-12 * max(size, 1)
    if case.lengths:
        for n, length in enumerate(case.lengths):
            assert case.padding == "last" or not truth["hs"][length:, n].any()
            assert not truth["hs"][length:, n, case.sizes["H"] :].any()
            assert not truth["dxs"][length:, n].any()


@pytest.mark.parametrize("cell", CELLS)
def test_one_layer_in_one_direction_equals_a_case(cell: str) -> None:
    case = LayersCase.random(layers=1, cell=cell, seed=4)
    plain = case.one_way(0)
    upstream = np.array(plain.upstream)
    upstream[-1] += case.upstream_hn[0]
    one, several = evaluate(plain.replacing(upstream=upstream)).present(), evaluate_layers(case).present()
    for name, array in one.items():
        other = {"c": "cn"}.get(name, name if name in several else f"{name}_l0")
        found = several[other] if name in ("hs", "dxs") or other.endswith("_l0") else several[other][0]
        np.testing.assert_array_equal(found, array, err_msg=name)


@pytest.fixture
def ball() -> Iterator[Any]:
    flint = pytest.importorskip("flint")
    before, flint.ctx.prec = flint.ctx.prec, 200
    yield np.vectorize(flint.arb, otypes=[object])
    flint.ctx.prec = before


@pytest.mark.parametrize("cell", CELLS)
def test_the_enclosure_has_the_exact_results(cell: str, ball: Any) -> None:
    case = LayersCase.random(2, 2, 2, 2, layers=2, directions=2, lengths=[2, 1], dropout=0.3, cell=cell, seed=1)
    case = replace(case, padding="last" if cell == "gru" else "zero")
    truth = evaluate_layers(case, ball).present()
    bounds = enclose_layers(case, PRECISIONS["float64"]).present()
    assert truth.keys() == bounds.keys() == evaluate_layers(case).present().keys()
    for name, array in truth.items():
        bound = bounds[name].rounded()
        for index in np.ndindex(array.shape):
            distance = abs(array[index] - float(bound.value[index]))
            assert distance <= float(bound.error[index]), f"{name}{index}"
            assert bound.error[index] < 1e-12, f"{name}{index}"


def one_off(answer: LayersEvaluation, name: str, dtype: str) -> LayersEvaluation:
    """Return an evaluation with the largest element of a quantity off by a hundredth."""
    array = answer.present()[name].copy()
    array[np.unravel_index(np.abs(array).argmax(), array.shape)] *= np.dtype(dtype).type(1.01)
    return answer.replacing(**{name: array})


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("shape", "probed"),
    [
        ({"T": 3, "layers": 1, "directions": 2}, False),
        ({"T": 40, "layers": 1, "directions": 2}, True),
        ({"T": 40, "layers": 1, "directions": 2, "lengths": (7, 40, 1)}, True),
        ({"T": 9, "layers": 1, "lengths": (9, 2, 2)}, True),
        ({"T": 9, "layers": 1, "directions": 2, "lengths": (3, 1, 9), "padding": "last"}, True),
        ({"T": 5, "layers": 2, "directions": 2, "lengths": (5, 2, 4), "padding": "last"}, False),
        ({"T": 12, "layers": 2, "directions": 2, "lengths": (12, 5, 1)}, False),
        ({"T": 6, "layers": 3, "dropout": 0.5, "bias": False}, False),
    ],
)
def test_the_oracle_is_certified_and_an_error_in_any_quantity_is_not(
    cell: str, dtype: str, shape: dict[str, Any], probed: bool
) -> None:
    case = LayersCase.random(N=3, D=2, H=4, cell=cell, dtype=dtype, norm=0.9, **shape)
    case = case.probed(seed=5) if probed else case
    answer = evaluate_layers(case).astype(dtype)
    verdict = certify_layers(case, answer, PRECISIONS[dtype])
    verdict.require()
    assert max(verdict.relative_bound.values()) < (1e-10 if dtype == "float64" else 1e-2)
    assert set(verdict.worst) >= {"h", "hn", "dx", "dh0", "dWx_l0", "dWh_l0"}
    for name in answer.present():
        assert certify_layers(case, one_off(answer, name, dtype), dtype).status == "fail", name


def test_a_bidirectional_layer_is_as_sharp_after_1000_steps() -> None:
    case = LayersCase.random(1000, 2, 2, 4, layers=1, directions=2, dtype="float32", norm=3.0).probed()
    # Its states are chaotic, so the answer is computed in float32, and not rounded to it.
    answer = evaluate_layers(case, lambda array: array)
    verdict = certify_layers(case, answer, "float32")
    verdict.require()
    assert verdict.relative_bound["h"] < 1e-5
    assert certify_layers(case, one_off(answer, "hs", "float32"), "float32").wrong != ()


def test_the_verdict_on_a_single_layer_is_that_of_certify() -> None:
    case = LayersCase.random(T=20, layers=1, dtype="float32").replacing(upstream_hn=np.zeros((1, 4, 6), np.float32))
    one = case.one_way(0).probed()
    answer = evaluate(one).astype("float32")
    fields = {name: array for name, array in answer.present().items() if name in ("hs", "dxs")}
    gradients = {f"{name}_l0": getattr(answer, name) for name in ("dWx", "dWh", "db")}
    several = LayersEvaluation(**fields, hn=answer.hs[-1:].copy(), dh0=answer.dh0[None], gradients=gradients)
    found, expected = certify_layers(case.probed(), several, "float32"), certify(one, answer, "float32")
    for name, worst in expected.worst.items():
        other = found.worst[name if name in found.worst else f"{name}_l0"]
        # Rows are added up in chunks there, and at once here.
        assert (other.ratio, other.bound) == pytest.approx((worst.ratio, worst.bound), rel=1e-9), name


def test_forward_alone_is_judged() -> None:
    case = LayersCase.random(cell="lstm", directions=2)
    verdict = certify_layers(case, LayersEvaluation(evaluate_layers(case).hs), "float64")
    assert (verdict.status, [*verdict.worst]) == ("pass", ["h"])


def test_a_case_is_saved_bit_for_bit(tmp_path: Any) -> None:
    case = LayersCase.random(layers=2, directions=2, lengths=True, dropout=0.5, cell="gru", dtype="float32")
    case = replace(case, padding="last")
    case.save(tmp_path / "case.npz")
    again = LayersCase.load(tmp_path / "case.npz")
    assert repr(again) == repr(case)
    for name, array in case.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)
    Case.random().save(tmp_path / "other.npz")
    with pytest.raises(
        ValueError, match=r"LayersCase.load: expected the fields of a case of several layers in .*, got "
    ):
        LayersCase.load(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"h0": np.zeros((2, 4, 5))}, r"LayersCase: expected h0 of shape \(2, 4, 5\), got .*|LayersCase: expected .*"),
        (
            {"cell": "mgu"},
            r"LayersCase: expected a cell in \['gru', .*\] with a nonlinearity of its own, got 'mgu' with",
        ),
        (
            {"directions": 3},
            r"LayersCase: expected 1 or 2 directions and parameters of every layer in each, got 3 and 2",
        ),
        (
            {"lengths": (5, 5, 0, 1)},
            r"LayersCase: expected 4 lengths from 1 to 5, got \(5, 5, 0, 1\) \(T=5, N=4, D=3, H=6",
        ),
        ({"padding": "first"}, r"LayersCase: expected padding in \('zero', 'last'\), got 'first' \(T=5, N=4, D=3, H=6"),
        ({"xs": np.zeros((0, 4, 3))}, r"LayersCase: expected xs of shape \(T, N, D\) with T > 0, got \(0, 4, 3\)"),
        ({"cell": "lstm"}, r"LayersCase: expected .*"),
        ({"xs": np.full((5, 4, 3), np.nan)}, r"LayersCase: expected finite xs, got nan at \[0, 0, 0\] \(5, 4, 3\)"),
    ],
)
def test_a_case_that_does_not_fit_is_an_error_in_words(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(LayersCase.random(), **changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 0}, r"LayersCase.random: expected layers, T >= 1, 1 or 2 directions, dropout < 1, got 0"),
        ({"T": 0}, r"LayersCase.random: expected layers, T >= 1"),
        ({"dropout": 1.0}, r"LayersCase.random: expected layers, .* got 2, 1, T=5, dropout=1.0"),
    ],
)
def test_a_case_that_cannot_be_drawn_is_an_error_in_words(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LayersCase.random(**arguments)


def test_an_evaluation_that_does_not_fit_is_an_error_in_words() -> None:
    case = LayersCase.random(bias=False)
    answer = evaluate_layers(case)
    with pytest.raises(ValueError, match=r"certify_layers: expected hs of shape \(5, 4, 6\), got None"):
        certify_layers(case, replace(answer, hs=None), "float64")
    with pytest.raises(ValueError, match=r"certify_layers: expected dh0 of shape \(2, 4, 6\), got \(2, 6\) \(T=5"):
        certify_layers(case, replace(answer, dh0=np.zeros((2, 6))), "float64")
    with pytest.raises(ValueError, match=r"certify_layers: expected no db_l0 for such a case, got one"):
        certify_layers(case, replace(answer, gradients={"db_l0": np.zeros(6)}), "float64")
    with pytest.raises(TypeError, match=r"certify_layers: expected hs as an array of float64, got float32"):
        certify_layers(case, replace(answer, hs=answer.hs.astype("float32")), "float64")
    with pytest.raises(TypeError, match=r"certify_layers: expected a case of float32, got float64"):
        certify_layers(case, answer, "float32")
    long = LayersCase.random(T=LONGEST_LAYERS + 1)
    with pytest.raises(
        ValueError, match=r"certify_layers: expected at most 12 steps of several layers, got more \(T=13"
    ):
        certify_layers(long, evaluate_layers(long), "float64")
    with pytest.raises(
        ValueError, match=r"LayersCase.probed: expected a case of one layer without a probe, got another"
    ):
        case.probed()


def test_twelve_layers_are_read_in_their_order(tmp_path: Path) -> None:
    case = LayersCase.random(T=1, N=1, D=2, H=2, layers=12)
    case.save(tmp_path / "case.npz")
    again = LayersCase.load(tmp_path / "case.npz")
    assert [one.Wh.tolist() for one in again.params] == [one.Wh.tolist() for one in case.params]
