"""Files of Keras: layers are read with the names and the activation of their model, and nothing in a file runs."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("adapters.keras_jax")  # chooses the backend of Keras

import h5py
import keras

from adapters._keras_file import expect_heaps
from adapters.conformance.cli import main
from adapters.conformance.formats import read_model, read_params
from adapters.layout import Layout, Recorded, layouts
from reference import Case, Params
from reference.archive import LARGEST
from tests.conformance.mutations import assert_read_or_refused

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in Keras
LAYOUTS = layouts("keras_jax")
ENDINGS = ["keras", "h5", "weights.h5"]


@pytest.fixture(scope="module")
def model() -> Any:
    """Return a model with a layer of each kind, at several depths."""
    one = {"return_sequences": True}
    inner = [keras.layers.Input((5, 8)), keras.layers.SimpleRNN(4, activation="relu", name="deep", **one)]
    layers = [
        keras.layers.Input((5, 3)),
        keras.layers.LSTM(4, name="encoder", **one),
        keras.layers.Bidirectional(keras.layers.GRU(4, reset_after=False, **one), name="both"),
        keras.Sequential(inner, name="inner"),
        keras.layers.RNN(keras.layers.GRUCell(3, name="own"), name="wrapped"),
        keras.layers.Dense(2, name="out"),
    ]
    found = keras.Sequential(layers, name="model")
    for k, variable in enumerate(found.weights):  # a bias of zeros would hide its order
        variable.assign(np.random.default_rng(k).standard_normal(variable.shape))
    return found


def saved(model: Any, folder: Path, ending: str) -> Path:
    """Return the file of a model, written by Keras."""
    path = folder / f"m.{ending}"
    (model.save_weights if ending == "weights.h5" else model.save)(str(path))
    return path


# By the path of a layer: its kind, the place of its first variable among all, and what is recorded.
LAYERS = {
    "encoder": ("LSTM", 0, Recorded("lstm", "tanh")),
    "both.forward_gru": ("GRU.reset_before", 3, Recorded("gru_reset_before", "tanh")),
    "both.backward_gru": ("GRU.reset_before", 6, Recorded("gru_reset_before", "tanh", backwards=True)),
    "inner.deep": ("SimpleRNN", 9, Recorded("rnn", "relu")),
    "wrapped.own": ("GRUCell", 12, Recorded("gru", "tanh")),
}
# A file of weights alone has no names.
GROUPS = ("lstm", "bidirectional.forward_layer", "bidirectional.backward_layer", "sequential.simple_rnn", "rnn.cell")


def bits(params: Params) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in params.present().items()}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_variables_of_a_layer_are_read_bit_for_bit(tmp_path: Path, model: Any, ending: str, layer: str) -> None:
    kind, first, _ = LAYERS[layer]
    layout, own = LAYOUTS[f"keras_jax.{kind}"], [variable.numpy() for variable in model.weights[first : first + 3]]
    named = dict(zip(layout.named, own, strict=True))
    path = dict(zip(LAYERS, GROUPS, strict=True))[layer] if ending == "weights.h5" else layer
    found = read_params(saved(model, tmp_path, ending), path)[0]
    assert bits(found[layout.cell]) == bits(layout.params(named))
    assert len(found) == 1
    # The twin: with gates in another order, or Wh transposed, the same arrays are other parameters.
    name, *gates = layout.places.get("cell", "rnn").split()
    wrong = {"cell": " ".join([name, *gates[::-1]])} if gates else {"recurrent_kernel": "Wh.T"}
    assert bits(found[layout.cell]) != bits(Layout("wrong", {**layout.places, **wrong}).params(named))


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_file_records_the_cell_and_its_activation(tmp_path: Path, model: Any, ending: str) -> None:
    recorded = read_model("port", saved(model, tmp_path, ending), [*LAYOUTS.values()]).recorded
    assert recorded == ({} if ending == "weights.h5" else {path: recorded for path, (*_, recorded) in LAYERS.items()})


def test_bfloat16_which_keras_writes_as_bytes_is_read(tmp_path: Path) -> None:
    params = Case.random(D=3, H=2, dtype="bfloat16", cell="lstm").params
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for name, array in LAYOUTS["keras_jax.LSTM"].to_framework(params).items():
            file.create_dataset(f"lstm/{name}", data=array.view("V2"))
    assert bits(read_params(tmp_path / "w.h5")[0]["lstm"]) == bits(params.astype("float32"))


def test_layers_of_one_default_name_are_distinct(tmp_path: Path) -> None:
    layers = [keras.layers.LSTM(2, return_sequences=True, name=name) for name in ("one", "two")]
    model = keras.Sequential([keras.layers.Input((5, 2)), *layers])
    found = [read_params(saved(model, tmp_path, "keras"), name)[0]["lstm"] for name in ("one", "two")]
    assert [params.Wx.tobytes() for params in found] == [model.weights[i].numpy().tobytes() for i in (0, 3)]


@pytest.mark.parametrize(
    ("options", "status", "line"),
    [
        (("SimpleRNN",), 0, "keras_jax.SimpleRNN: certified, largest |error| / bound 0."),
        (
            ("SimpleRNN", "--nonlinearity", "tanh"),
            2,
            "port --nonlinearity: expected relu, as m.keras records, got tanh",
        ),
        (
            ("GRU.reset_before",),
            2,
            "expected one keras_jax.GRU.reset_before, got ['both.backward_gru.cell', 'both.forward_gru.cell']; name",
        ),
        (
            ("LSTM", "--layer", "inner"),
            2,
            "expected a keras_jax.LSTM at 'inner', got the layers ['encoder (lstm)', 'both.forward_gru (gru_",
        ),
    ],
)
def test_a_layer_is_moved_with_the_activation_of_its_file(
    tmp_path: Path,
    model: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    status: int,
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(model, tmp_path, "keras")
    kind, *more = options
    target = "jax.gru_reset_before.scan" if "GRU" in kind else "keras-jax.LSTM" if kind == "LSTM" else "keras-jax"
    words = ["port", "m.keras", "--from", f"keras-jax.{kind}", "--to", target, "-o", "out.npz"]
    assert main([*words, *more]) == status
    shown = capsys.readouterr()
    assert line in shown.out + shown.err
    assert status or shown.out.count("in 32 cases of relu, float32") == 2


def test_other_functions_than_those_of_the_cell_are_named(tmp_path: Path) -> None:
    layer = keras.layers.LSTM(4, recurrent_activation="hard_sigmoid", name="old")
    path = saved(keras.Sequential([keras.layers.Input((5, 3)), layer]), tmp_path, "keras")
    with pytest.raises(ValueError, match=r"expected old\.cell with tanh, got 'tanh and hard_sigmoid'"):
        read_params(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, ending: str) -> None:
    model = keras.Sequential([keras.layers.Input((5, 3)), keras.layers.LSTM(2)])
    path = saved(model, tmp_path, ending)
    assert_read_or_refused(read_params, path, path.read_bytes())


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    arguments = {"text": str(marker)}
    layer = keras.layers.Lambda(lambda x, text: (__import__("os").mkdir(text), x)[1], (5, 3), arguments=arguments)
    model = keras.Sequential([keras.layers.Input((5, 3)), layer, keras.layers.LSTM(4)])
    path = saved(model, tmp_path, "keras")
    assert [*read_params(path)[0]] == ["lstm"]
    assert not marker.exists()
    # The twin: Keras executes it.
    keras.saving.load_model(path, safe_mode=False)(np.ones((1, 5, 3), "float32"))
    assert marker.exists()


def test_a_compressed_file_is_refused_before_it_is_unpacked(tmp_path: Path, model: Any) -> None:
    path = saved(model, tmp_path, "keras")
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(tmp_path / "z.keras", "w", zipfile.ZIP_DEFLATED) as packed:
        for info in plain.infolist():
            packed.writestr(info.filename, plain.read(info))
    with pytest.raises(ValueError, match=r"expected a whole .keras file of Keras, got .* \(it unpacks to \d+ bytes\)$"):
        read_params(tmp_path / "z.keras")


Wx, WH = np.zeros((3, 8), "float32"), np.zeros((2, 8), "float32")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": WH, "compression": "gzip"}, r"lstm.recurrent_kernel of shape \(2, 8\), float32, in \d+ bytes"),
        (
            {"shape": (2, 10**9), "chunks": (1, 8)},
            r"lstm.recurrent_kernel of shape \(2, 1000000000\), float32, in 0 bytes",
        ),
        (
            {"shape": (2, 8), "external": [("secret", 0, 64)]},
            r"lstm.recurrent_kernel of shape \(2, 8\), float32, in \d+ bytes",
        ),
        ({"shape": (2, 8), "dtype": h5py.vlen_dtype("float32")}, r"shape \(2, 8\), object, in \d+ bytes"),
        ({"data": np.zeros((2, 9), "float32")}, r"expected recurrent_kernel of shape \(8, 8\), got \(2, 9\)"),
    ],
    ids=["compressed", "not stored", "in another file", "lists", "shape"],
)
def test_an_array_of_another_size_is_a_sentence(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(64))
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_dataset("lstm/kernel", data=Wx)
        file.create_dataset("lstm/recurrent_kernel", **({"dtype": "float32"} | options))
    with pytest.raises(ValueError, match=message):
        read_params(tmp_path / "w.h5")


def test_arrays_that_nobody_needs_are_not_read_and_the_others_have_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_dataset("lstm/kernel", data=Wx)
        file.create_dataset("lstm/recurrent_kernel", data=WH)
        file.create_dataset("other", (LARGEST,), "float32", chunks=(8,))
    assert read_params(tmp_path / "w.h5")[0]["lstm"].sizes == {"D": 3, "H": 2}
    monkeypatch.setattr("adapters._keras_file.LARGEST", 100)
    with pytest.raises(ValueError, match=r"arrays of 160 bytes, which is more than 100"):
        read_params(tmp_path / "w.h5")


def test_a_heap_from_which_hdf5_would_not_return_is_refused(tmp_path: Path, model: Any) -> None:
    path = saved(model, tmp_path, "h5")
    data = bytearray(path.read_bytes())
    at = data.index(b"GCOL") + 16
    data[at : at + 16] = bytes(16)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"of Keras, got .* \(it has a heap with an empty entry\)$"):
        read_params(path, "encoder")
    data[14] = 4
    with pytest.raises(ValueError, match=r"^it has sizes of other than 8 bytes$"):
        expect_heaps(bytes(data))


def test_a_link_into_another_file_is_not_followed(tmp_path: Path, model: Any) -> None:
    target = saved(model, tmp_path, "weights.h5")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers"] = h5py.ExternalLink(str(target), "/layers")
    with pytest.raises(ValueError, match=re.escape("expected one recurrent layer, got arrays []")):
        read_params(tmp_path / "w.h5")
