"""A state dict written by PyTorch is read as the parameters that PyTorch computes with."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from adapters._places import to_framework  # noqa: E402
from adapters.conformance.cli import main  # noqa: E402
from adapters.conformance.formats import read_params, write_arrays  # noqa: E402
from adapters.layout import layout  # noqa: E402
from adapters.torch import LAYOUTS, as_tensor  # noqa: E402
from reference import Case, TimeRNN, evaluate  # noqa: E402


@pytest.mark.parametrize("ending", [".pt", ".pth", ".safetensors"])
@pytest.mark.parametrize("kind", ["RNN", "RNNCell"])
@pytest.mark.parametrize("bias", [True, False])
def test_weights_saved_by_torch_give_the_states_of_torch(tmp_path: Path, ending: str, kind: str, bias: bool) -> None:
    module = getattr(torch.nn, kind)(3, 4, bias=bias, dtype=torch.float64)
    path = tmp_path / f"model{ending}"
    write = save_file if ending == ".safetensors" else torch.save
    write(module.state_dict(), path)
    params = read_params(path)[0]["rnn"]
    x = np.random.default_rng(0).standard_normal((1, 2, 3))
    layer = TimeRNN(params.Wx, params.Wh, params.b)
    actual = module(torch.tensor(x))[0] if kind == "RNN" else module(torch.tensor(x[0]))[None]
    bound = 4 * 9 * 2.0**-53
    assert np.abs(layer.forward(x) - actual.detach().numpy()).max() < bound


def test_the_only_layer_of_a_larger_model_is_found(tmp_path: Path) -> None:
    model = torch.nn.ModuleDict({"rnn": torch.nn.RNN(3, 4), "out": torch.nn.Linear(4, 2)})
    torch.save(model.state_dict(), tmp_path / "model.pt")
    assert read_params(tmp_path / "model.pt")[0]["rnn"].Wx.shape == (3, 4)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (("RNN", "GRUCell"), "expected one recurrent layer, got the layers ['0', '1']; name one by --layer"),
        (("Linear",), "expected one recurrent layer, got arrays ['0.weight', '0.bias']"),
        ((), "expected one recurrent layer, got arrays []"),
    ],
)
def test_a_model_without_exactly_one_recurrent_layer_is_an_error(
    tmp_path: Path, kinds: tuple[str, ...], message: str
) -> None:
    model = torch.nn.ModuleList(getattr(torch.nn, kind)(3, 4) for kind in kinds)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=re.escape(message)):
        read_params(tmp_path / "model.pt")


def test_one_layer_of_several_is_read_by_its_path(tmp_path: Path) -> None:
    model = torch.nn.ModuleDict({"encoder": torch.nn.ModuleList([torch.nn.GRU(3, 4)]), "decoder": torch.nn.LSTM(2, 5)})
    torch.save(model.state_dict(), tmp_path / "model.pt")
    assert {cell: params.sizes for cell, params in read_params(tmp_path / "model.pt", "encoder.0")[0].items()} == {
        "gru": {"D": 3, "H": 4}
    }
    assert [*read_params(tmp_path / "model.pt", "decoder")[0]] == ["lstm"]
    message = r"one recurrent layer at 'decodr', got the layers \['decoder', 'encoder.0'\]"
    with pytest.raises(ValueError, match=message):
        read_params(tmp_path / "model.pt", "decodr")


def test_arrays_that_belong_to_no_layer_are_ignored(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", Wx=np.ones((3, 4)), Wh=np.eye(4), steps=np.arange(3))
    params = read_params(tmp_path / "model.npz")[0]["rnn"]
    assert (params.Wx.shape, params.Wh.shape, params.b) == ((3, 4), (4, 4), None)


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}])
def test_more_than_one_layer_or_direction_is_an_error(tmp_path: Path, options: dict[str, object]) -> None:
    torch.save(torch.nn.RNN(3, 4, **options).state_dict(), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"--params .*: expected no more than .* of a torch.RNN, got \['weight_ih_l"):
        read_params(tmp_path / "model.pt")


@pytest.mark.parametrize("kind", ["LSTM", "LSTMCell", "GRU", "GRUCell"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_gated_layer_gives_the_states_of_torch(tmp_path: Path, kind: str, bias: bool) -> None:
    module = getattr(torch.nn, kind)(3, 4, bias=bias, dtype=torch.float64)
    torch.save(module.state_dict(), tmp_path / "model.pt")
    ((cell, params),) = read_params(tmp_path / "model.pt")[0].items()
    case = Case.random(1, 2, cell=cell, params=params)
    case = case.replacing(**{f"{state}0": 0 * case.h0 for state in case.cell_type.states})
    x = torch.tensor(case.xs)
    found = module(x) if not kind.endswith("Cell") else module(x[0])
    actual = found[0] if isinstance(found, tuple) else found
    expected = evaluate(case).hs.reshape(actual.shape)
    # Each state has 4 sums of 9 terms below 1, whose slopes are at most 1.
    assert np.abs(expected - actual.detach().numpy()).max() < 4 * 4 * 9 * 2.0**-53


def test_a_gated_layer_of_a_wrong_shape_is_an_error_of_its_shape(tmp_path: Path) -> None:
    state = torch.nn.LSTM(3, 4).state_dict()
    torch.save(state | {"bias_hh_l0": torch.zeros(4)}, tmp_path / "model.pt")
    message = r"--params .*: expected bias_hh_l0 of shape \(16,\), got \(4,\) \(D=3, H=4\)"
    with pytest.raises(ValueError, match=message):
        read_params(tmp_path / "model.pt")


def test_a_way_of_another_cell_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(torch.nn.LSTM(3, 4).state_dict(), tmp_path / "model.pt")
    assert main(["check", "torch.LSTM", "torch.RNN", "--params", str(tmp_path / "model.pt")]) == 2
    message = "rnn-oracle: --params: expected an adapter of the cell lstm, got torch.RNN, whose cell is rnn\n"
    assert capsys.readouterr().err.endswith(message)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_state_dict_is_written_for_the_module_itself(tmp_path: Path, dtype: str) -> None:
    params = Case.random(D=3, H=4, cell="gru", dtype=dtype).params
    write_arrays("port", tmp_path / "gru.pt", layout("torch.GRU").to_framework(params))
    module = torch.nn.GRU(3, 4, dtype=getattr(torch, dtype))
    module.load_state_dict(torch.load(tmp_path / "gru.pt", weights_only=True))
    assert module.weight_hh_l0.detach().view(torch.uint8).numpy().tobytes() == params.Wh.T.tobytes()
    assert module.bias_hh_l0[8:].detach().view(torch.uint8).numpy().tobytes() == params.fields()["bn"].tobytes()


class Payload:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("unpickled",)


def test_code_in_a_file_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight_ih": Payload()}, "model.pt")
    with pytest.raises(ValueError, match=r"--params: expected a whole .pt file of tensors, got model.pt"):
        read_params("model.pt")
    assert not Path("unpickled").exists()


def test_a_truncated_file_and_a_file_without_tensors_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(torch.nn.RNN(3, 4).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"--params: expected a whole .pt file of tensors, got .*model.pt"):
        read_params(path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match=r"--params: expected a state dict in .*model.pt, got a list of other things"):
        read_params(path)


def test_half_precision_weights_are_widened(tmp_path: Path) -> None:
    torch.save(torch.nn.RNN(3, 4, dtype=torch.float16).state_dict(), tmp_path / "model.pt")
    assert read_params(tmp_path / "model.pt")[0]["rnn"].Wx.dtype == np.float32


def test_a_nan_in_the_weights_is_named(tmp_path: Path) -> None:
    state = torch.nn.RNN(3, 4).state_dict()
    state["weight_hh_l0"][2, 1] = float("nan")
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"expected finite Wh, got nan at \[1, 2\] \(4, 4\)"):
        read_params(tmp_path / "model.pt")


@pytest.mark.parametrize("bias", [True, False])
def test_parameters_of_a_stack_are_what_stack_module_state_makes_of_its_modules(bias: bool) -> None:
    case = Case.random(D=3, H=4, bias=bias, stack=5, dtype="float32")
    cells = [torch.nn.RNNCell(3, 4, bias=bias) for _ in range(5)]
    for k, cell in enumerate(cells):
        held = to_framework(LAYOUTS["RNNCell"], case[k].params.fields())
        cell.load_state_dict({name: as_tensor(array) for name, array in held.items()})
    expected, _ = torch.func.stack_module_state(cells)
    actual = to_framework(LAYOUTS["RNNCell"], case.params.fields())
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(actual[name], tensor.detach().numpy())
