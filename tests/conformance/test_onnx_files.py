"""Models of ONNX: their nodes are read as layers, and a damaged or unusual model is refused in one sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx: Any = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from adapters import Adapter  # noqa: E402
from adapters.conformance.checks import CHECKS, Drawn, Plan, suits  # noqa: E402
from adapters.conformance.cli import main  # noqa: E402
from adapters.conformance.formats import read_model, read_params  # noqa: E402
from adapters.layout import Layout, Recorded, layouts  # noqa: E402
from reference import Case, Params  # noqa: E402
from tests.conformance.cells import right  # noqa: E402
from tests.conformance.mutations import assert_read_or_refused  # noqa: E402

LAYOUTS = layouts("onnx")


def node(kind: str, path: str, tensors: dict[str, Any], name: str | None = None, **attributes: Any) -> Any:
    """Return a node whose inputs are arrays by name."""
    name = path if name is None else name
    inputs = ["X", *(f"{path}.{key}" if key in tensors else "" for key in ("W", "R", "B"))]
    made = helper.make_node(kind, inputs, [f"{path}.Y"], name=name, **attributes)
    return made, [numpy_helper.from_array(np.ascontiguousarray(tensors[key]), f"{path}.{key}") for key in tensors]


def write(path: Path, *nodes: Any) -> Path:
    """Write a model of several nodes."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("X", "Y")]
    initialisers = [tensor for _, tensors in nodes for tensor in tensors]
    graph = helper.make_graph([made for made, _ in nodes], "graph", ends[:1], ends[1:], initialisers)
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def drawn(kind: str, seed: int = 0, *, bias: bool = True, dtype: str = "float32") -> tuple[Params, dict[str, Any]]:
    """Return parameters, and the same under the names of ONNX."""
    layout = LAYOUTS[f"onnx.{kind}"]
    params = Case.random(D=3, H=4, seed=seed, cell=layout.cell, bias=bias, dtype=dtype).params
    return params, layout.to_framework(params)


def operator(kind: str) -> tuple[str, dict[str, Any]]:
    """Return the operator and the attributes of a layout."""
    return kind.partition(".")[0], {"linear_before_reset": 1} if kind == "GRU" else {}


def bits(params: Params) -> dict[str, Any]:
    return {name: array.tobytes() for name, array in params.present().items()}


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("kind", [name.removeprefix("onnx.") for name in LAYOUTS])
def test_the_parameters_of_a_node_are_read_bit_for_bit(tmp_path: Path, kind: str, bias: bool) -> None:
    params, tensors = drawn(kind, bias=bias)
    name, attributes = operator(kind)
    path = write(tmp_path / "m.onnx", node(name, "/encoder/rnn/Node", tensors, hidden_size=4, **attributes))
    found = read_params(path, "encoder.rnn")[0]
    assert [*found] == [LAYOUTS[f"onnx.{kind}"].cell]
    assert bits(*found.values()) == bits(params)
    # The twin: in another layout, the same arrays are other parameters.
    other = Layout("other", dict(LAYOUTS[f"onnx.{kind}"].places) | {"R": "Wh[None]" if name == "RNN" else "Wh.T[None]"})
    assert (name == "RNN") == (bits(other.params(tensors)) != bits(params))


def test_a_node_of_two_directions_is_two_layers(tmp_path: Path) -> None:
    each = [drawn("LSTM", seed) for seed in (0, 1)]
    both = {key: np.concatenate([tensors[key] for _, tensors in each]) for key in ("W", "R", "B")}
    path = write(tmp_path / "m.onnx", node("LSTM", "LSTM", both, direction="bidirectional"))
    model = read_model("port", path, [LAYOUTS["onnx.LSTM"]])
    assert model.recorded == {
        "LSTM.forward": Recorded("lstm", "tanh"),
        "LSTM.reverse": Recorded("lstm", "tanh", backwards=True),
    }
    for (params, _), end in zip(each, ("forward", "reverse"), strict=True):
        assert bits(read_params(path, f"LSTM.{end}")[0]["lstm"]) == bits(params)


TANH, CHANGED = ["Sigmoid", "Tanh", "Tanh"], ["Sigmoid", "Tanh", "Relu"]


@pytest.mark.parametrize(
    ("kind", "attributes", "recorded"),
    [
        ("RNN", {}, Recorded("rnn", "tanh")),
        ("RNN", {"activations": ["Relu"]}, Recorded("rnn", "relu")),
        ("RNN", {"activations": ["Sigmoid"]}, Recorded("rnn", "sigmoid")),
        ("RNN", {"direction": "reverse"}, Recorded("rnn", "tanh", backwards=True)),
        ("RNN", {"clip": 3.0}, Recorded("rnn", "tanh, clip=3")),
        ("LSTM", {"activations": TANH}, Recorded("lstm", "tanh")),
        ("LSTM", {"activations": CHANGED}, Recorded("lstm", "sigmoid and tanh and relu")),
        ("LSTM", {"input_forget": 1}, Recorded("lstm", "tanh, input_forget=1")),
        ("GRU", {"linear_before_reset": 1}, Recorded("gru", "tanh")),
        ("GRU", {"layout": 1}, Recorded("gru_reset_before", "tanh")),
    ],
)
def test_the_attributes_records_the_cell_and_its_activation(
    tmp_path: Path, kind: str, attributes: dict[str, Any], recorded: Recorded
) -> None:
    path = write(tmp_path / "m.onnx", node(kind, "n", drawn(kind)[1], **attributes))
    assert read_model("port", path, [*LAYOUTS.values()]).recorded == {"n": recorded}


@pytest.mark.parametrize(("activations", "expected"), [(["Relu"], {"relu"}), (["Tanh"], {"tanh"})])
def test_a_layer_is_judged_with_the_nonlinearity_that_its_file_records(
    tmp_path: Path, activations: list[str], expected: set[str]
) -> None:
    path = write(tmp_path / "m.onnx", node("RNN", "n", drawn("RNN")[1], activations=activations))
    params, nonlinearities = read_params(path)
    own = Adapter("own", right, "own", np.tanh, {"float32": 2.5})
    plan = Plan(stacks=8, seed=0, params=params, nonlinearities=nonlinearities)
    step = next(check for check in CHECKS if isinstance(check, Drawn) and check.name == "step")
    assert {shape.nonlinearity for shape in step.shapes(own, plan)} == expected
    assert {shape.nonlinearity for shape in step.shapes(own, Plan(stacks=8, seed=0))} == {"tanh", "relu"}
    # Only long cases of tanh can be decided.
    assert ("long" in [check.name for check in CHECKS if suits(check, params, nonlinearities)]) == ("tanh" in expected)


def test_nodes_without_a_name_and_of_one_name_are_distinct(tmp_path: Path) -> None:
    tensors = drawn("RNN")[1]
    nodes = [node("RNN", f"{k}", tensors, name=name) for k, name in enumerate(("", "", "n", "n"))]
    model = read_model("port", write(tmp_path / "m.onnx", *nodes), [LAYOUTS["onnx.RNN"]])
    assert [*model.recorded] == ["RNN_0", "RNN_1", "n", "n_3"]


def test_a_constant_node_is_an_initialiser(tmp_path: Path) -> None:
    params, tensors = drawn("RNN")
    made, (*others, constant) = node("RNN", "n", tensors)
    value = helper.make_node("Constant", [], [constant.name], value=constant)
    path = write(tmp_path / "m.onnx", (value, []), (made, others))
    assert bits(read_params(path)[0]["rnn"]) == bits(params)


def test_a_model_is_moved_with_the_activation_of_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("m.onnx"), node("RNN", "n", drawn("RNN")[1], activations=["Relu"], direction="reverse"))
    words = ["port", "m.onnx", "--from", "onnx", "--to", "torch", "--no-proof", "-o", "out.npz"]
    assert main(words) == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == "not moved: the direction; this layer runs from the last step to the first"
    assert main([*words, "--nonlinearity", "tanh"]) == 2
    message = "rnn-oracle: port --nonlinearity: expected relu, as m.onnx records, got tanh\n"
    assert capsys.readouterr().err == message


def external(made: Any) -> Any:
    """Put the first tensor of a node into another file."""
    made[1][0].data_location = TensorProto.EXTERNAL
    made[1][0].ClearField("raw_data")
    made[1][0].external_data.add(key="location", value="../secret")
    return made


def peepholes(made: Any) -> Any:
    made[0].input.extend(["", "", "", "n.B"])
    return made


def short(made: Any) -> Any:
    made[1][0].dims[1] = 10**12
    return made


@pytest.mark.parametrize(
    ("change", "attributes", "message"),
    [
        (external, {}, "a whole .onnx file, got {path} (W of n is in another file; save all in one)"),
        (short, {}, "a whole .onnx file, got {path} (cannot reshape array of size 48 into shape (1,1000000000000,3))"),
        (None, {"direction": "sideways"}, "a whole .onnx file, got {path} ('sideways')"),
        (peepholes, {}, "n with tanh, got 'tanh, peepholes'"),
        (None, {"clip": 1.0}, "n with tanh, got 'tanh, clip=1'"),
    ],
)
def test_an_unusual_model_is_a_sentence(tmp_path: Path, change: Any, attributes: dict[str, Any], message: str) -> None:
    made = node("LSTM", "n", drawn("LSTM")[1], **attributes)
    path = write(tmp_path / "m.onnx", change(made) if change else made)
    with pytest.raises(ValueError, match=re.escape(f"expected {message.format(path=path)}")):
        read_params(path)


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "m.onnx", node("RNN", "n", drawn("RNN")[1]))
    monkeypatch.setattr("adapters._onnx_file.LARGEST", 100)
    with pytest.raises(ValueError, match=r"got .*m.onnx \(\d+ bytes, which is more than 100\)$"):
        read_params(path)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_damaged_model_is_read_or_refused(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "m.onnx", node(kind, "n", drawn(kind)[1], direction="forward", hidden_size=4))
    assert_read_or_refused(read_params, path, path.read_bytes())
