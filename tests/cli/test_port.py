"""``rnn-oracle port``: the written file, the proof, and the messages for wrong files."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import adapters
from adapters.conformance import port as porting
from adapters.conformance.cli import FILES, main
from adapters.conformance.contract import guarded
from reference import Case, Params

Run = Callable[..., tuple[int, str, str]]

# A framework whose cell computes h @ wh + x @ wx + b from ported weights.
FRAMEWORK = """
import dataclasses
import numpy as np
from adapters import Adapter
from adapters.layout import Layout
from reference import Params
from reference.faults import compute

LAYOUTS = {
    "right": {"wx": "Wx", "wh": "Wh", "b": "b"},
    "biased": {"cell/wx": "Wx", "cell/wh": "Wh", "cell/b": "b or 0"},
    "transposed": {"wx": "Wx", "wh": "Wh.T", "b": "b"},
    "narrow": {"wx": "Wx", "wh": "Wh", "b": "b"},
    "two": {"wx": "Wx.T[None]", "wh": "Wh[None]", "b": "[b, 0]"},
}

def named(name, ulps):
    def run(case):
        weights = Layout(name, LAYOUTS[name]).to_framework(case.params) | {"b": case.params.b}
        return compute(dataclasses.replace(case, params=Params(*weights.values())))

    return Adapter(f"numpy.{name}", compute if name in ("biased", "two") else run, name, np.tanh, ulps)

def environment():
    return {"numpy": np.__version__}

ADAPTERS = tuple(
    named(name, {"float64": 2.5} if name == "narrow" else {"float64": 2.5, "float32": 2.5}) for name in LAYOUTS
)
"""


@pytest.fixture
def port(rnn_oracle: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command with NumPy as a framework, in a temporary folder, with proofs in this process."""
    (Path(adapters.__path__[0]) / "numpy.py").write_text(FRAMEWORK)
    monkeypatch.setattr(porting, "prove_apart", prove_here)
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "model.npz")

    def run(source: str, to: str, *more: str, model: str = "model.npz", output: str = "out.npz") -> Any:
        names = "--from", f"numpy.{source}", "--to", f"numpy.{to}"
        return rnn_oracle("port", model, *names, "-o", output, *more)

    return run


def prove_here(name: str, params: Params, nonlinearity: str) -> porting.Proof:
    """Prove in this process."""
    (adapter,) = adapters.load(name)
    return porting.prove(guarded(adapter), params, nonlinearity)


def save(path: Path, dtype: str = "float32", bias: bool = True, **more: Any) -> dict[str, Any]:
    params = Case.random(D=3, H=4, dtype=dtype, bias=bias).params
    arrays = {"wx": params.Wx, "wh": params.Wh} | ({"b": params.b} if bias else {}) | more
    np.savez(path, **arrays)
    return arrays


UNTOLD = "not in the file: the nonlinearity, which is taken as tanh; --nonlinearity names another"


def test_both_are_certified_on_the_moved_weights(port: Run) -> None:
    status, out, err = port("right", "biased")
    assert (status, err) == (0, "")
    assumed, written, *halves = out.splitlines()
    assert assumed == UNTOLD
    assert written == "written: out.npz"
    for line, name in zip(halves, ("right", "biased"), strict=True):
        assert line.startswith(f"numpy.{name}: certified, largest |error| / bound 0.")
        assert line.endswith(" in 32 cases of tanh, float32")
    with np.load("out.npz") as moved, np.load("model.npz") as model:
        assert sorted(moved.files) == ["cell/b", "cell/wh", "cell/wx"]
        assert moved["cell/wh"].tobytes() == model["wh"].tobytes()


@pytest.mark.parametrize("direction", ["from", "to"])
def test_a_layout_that_is_wrong_is_not_certified_and_the_file_stays(port: Run, direction: str) -> None:
    names = ("transposed", "right") if direction == "from" else ("right", "transposed")
    status, out, _ = port(*names)
    assert status == 1
    (line,) = (line for line in out.splitlines() if line.startswith("numpy.transposed"))
    assert line.startswith("numpy.transposed: NOT CERTIFIED, tanh, float32 h[")
    assert line.count("x its bound") == 1
    assert out.splitlines()[-1] == "not proved: do not use out.npz"
    assert Path("out.npz").is_file()


def test_a_dtype_that_the_target_has_not_is_not_certified(port: Run) -> None:
    status, out, _ = port("right", "narrow")
    assert status == 1
    expected = "numpy.narrow: NOT CERTIFIED, Unsupported: numpy.narrow: expected dtype in ['float64'], got 'float32'"
    assert expected in out.splitlines()
    assert port("right", "narrow", "--dtype", "float64")[0] == 0


def test_relu_is_proved_if_it_is_given(port: Run) -> None:
    status, out, _ = port("right", "biased", "--nonlinearity", "relu")
    assert status == 0
    assert out.count("in 32 cases of relu, float32") == 2


def test_without_a_proof_nothing_runs_and_that_is_said(port: Run) -> None:
    status, out, _ = port("right", "transposed", "--no-proof", "--nonlinearity", "tanh", output="out.safetensors")
    assert (status, out) == (0, "written: out.safetensors\nnot proved: neither framework was run\n")
    with np.load("model.npz") as model:
        moved = safetensors.numpy.load_file("out.safetensors")
        np.testing.assert_array_equal(moved["wh"], model["wh"].T)


def test_rounded_and_added_values_are_reported(port: Run, tmp_path: Path) -> None:
    save(tmp_path / "model.npz", "float64", bias=False)
    status, out, _ = port("right", "biased", "--dtype", "float32")
    assert status == 0
    assert out.splitlines()[:3] == [
        "rounded to float32 in 12 of 12 elements: Wx",
        "rounded to float32 in 16 of 16 elements: Wh",
        "added: numpy.biased always has a bias, which is zero for a model without one",
    ]


def test_a_sum_of_two_biases_that_is_rounded_is_said(port: Run, tmp_path: Path) -> None:
    arrays = save(tmp_path / "model.npz")
    both = np.concatenate([arrays["b"], np.array([0, 1e-9, 1e-9, 0], "float32")])
    np.savez(tmp_path / "two.npz", wx=arrays["wx"].T[None], wh=arrays["wh"][None], b=both)
    status, out, _ = port("two", "right", model="two.npz")
    assert status == 0
    assert out.splitlines()[0] == "rounded to float32 in 2 of 4 elements: the sum of the two biases"


def test_a_dtype_that_is_too_narrow_for_the_numbers_is_an_error(port: Run, tmp_path: Path) -> None:
    save(tmp_path / "model.npz", "float64", b=np.array([0, 1e5, 0, 0]))
    status, _, err = port("right", "right", "--dtype", "float16")
    assert (status, err) == (2, "rnn-oracle: port --dtype float16: expected finite b, got inf at [1] (4,)\n")


def test_bfloat16_goes_through_both_kinds_of_file(port: Run) -> None:
    assert port("right", "right", "--no-proof", "--dtype", "bfloat16", output="b.safetensors")[0] == 0
    assert port("right", "right", "--no-proof", model="b.safetensors", output="b.npz")[0] == 0
    assert port("right", "right", "--no-proof", model="b.npz", output="c.safetensors")[0] == 0
    assert Path("b.safetensors").read_bytes() == Path("c.safetensors").read_bytes()


def larger(path: Path, *layers: str) -> dict[str, Any]:
    """Write a model with a layer at each path, and another matrix."""
    arrays = save(path)
    found = {f"{layer}.{name}": (k + 1) * array for k, layer in enumerate(layers) for name, array in arrays.items()}
    np.savez(path, **found, out=np.ones((4, 2)))
    return found


@pytest.mark.parametrize(("layer", "other"), [("a.b", "a.c"), ("a/b", "a.bb"), ("a", "b")])
def test_one_layer_is_moved_by_its_path(port: Run, tmp_path: Path, layer: str, other: str) -> None:
    arrays = larger(tmp_path / "model.npz", other, "a.b")
    status, _, err = port("right", "transposed", "--layer", layer, "--no-proof")
    assert (status, err) == (0, "")
    with np.load("out.npz") as moved:
        assert sorted(moved.files) == ["b", "wh", "wx"]
        np.testing.assert_array_equal(moved["wh"], arrays["a.b.wh"].T)


def test_all_layers_of_a_kind_are_moved_and_each_is_proved(port: Run, tmp_path: Path) -> None:
    arrays = larger(tmp_path / "model.npz", "encoder.first", "encoder.second")
    status, out, _ = port("right", "biased", "--all", "--nonlinearity", "tanh")
    assert status == 0
    assert [line.split(", ")[0] for line in out.splitlines()] == [
        "written: out.npz",
        *(f"encoder.{k}: numpy.{name}: certified" for k in ("first", "second") for name in ("right", "biased")),
    ]
    with np.load("out.npz") as moved:
        assert moved.files == [f"encoder.{k}.cell/{name}" for k in ("first", "second") for name in ("wx", "wh", "b")]
        np.testing.assert_array_equal(moved["encoder.second.cell/wh"], arrays["encoder.second.wh"])


def test_one_wrong_layer_of_all_is_not_certified(port: Run, tmp_path: Path) -> None:
    arrays = larger(tmp_path / "model.npz", "first", "second")
    # A symmetric Wh is right in the layout that transposes it.
    symmetric = {"first.wh": np.eye(4, dtype="float32")}
    np.savez(tmp_path / "model.npz", **(arrays | symmetric))
    status, out, _ = port("right", "transposed", "--all", "--nonlinearity", "tanh")
    assert status == 1
    assert ["NOT" in line for line in out.splitlines()[1:-1]] == [False, False, False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "expected one numpy.right, got ['first', 'second']; name one by --layer, or move --all"),
        (("--layer", "firs"), "expected a numpy.right at 'firs', got the layers ['first', 'second']"),
        (("--layer", "first.wx"), "expected a numpy.right at 'first.wx', got the layers ['first', 'second']"),
    ],
)
def test_a_wrong_path_names_the_layers_that_are_there(
    port: Run, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    larger(tmp_path / "model.npz", "first", "second")
    status, out, err = port("right", "biased", *options)
    assert (status, out, err) == (2, "", f"rnn-oracle: port model.npz: {message}\n")


def test_all_of_a_model_without_such_a_layer_is_an_error(port: Run) -> None:
    status, _, err = port("biased", "right", "--all")
    assert (status, err) == (2, "rnn-oracle: port model.npz: expected a numpy.biased, got the layers []\n")


NAN = np.array([0, 1, np.nan, 0], "float32")


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


READS = f"port: expected a file ending in {FILES}"


@pytest.mark.parametrize(
    ("prepare", "options", "message"),
    [
        (Path.unlink, {}, "port: expected a file, got model.npz"),
        (damaged, {}, "port: expected a whole .npz of plain arrays, got model.npz"),
        (damaged, {"model": "model.safetensors"}, "port: expected a whole .safetensors file, got model.safetensors"),
        (None, {"model": "model.txt"}, f"{READS}, got model.txt\n"),
        (None, {"output": "out.h5"}, "port: expected a file ending in .npz, .safetensors or .pt to write to, got out"),
        (None, {"output": "no/out.npz"}, "--output: expected a file in a folder that is there, got no/out.npz"),
        (None, {"source": "biased"}, "port: expected one numpy.biased, cell/wx and cell/wh, got arrays called"),
        (None, {"to": "none"}, "port: expected one of ['numpy.right', 'numpy.biased', 'numpy.transposed', 'numpy.n"),
        (lambda path: save(path, wh=np.ones((4, 3), "float32")), {}, "port: expected wh of shape (4, 4), got (4, 3) ("),
        (lambda path: save(path, wh=np.ones((4, 4), int)), {}, "port: expected wh of dtype float32, as wx is, got int"),
        (
            lambda path: save(path, b=NAN),
            {},
            "port model.npz: expected finite b, got nan at",
        ),
        (lambda path: save(path, wz=np.ones(4)), {}, "port: expected no more than ['wx', 'wh', 'b'] of a numpy.right"),
    ],
)
def test_weights_that_cannot_be_ported_give_one_sentence_and_no_file(
    port: Run, tmp_path: Path, prepare: Callable[[Path], Any] | None, options: dict[str, str], message: str
) -> None:
    if ".npz" not in options.get("model", "model.npz"):
        (tmp_path / options["model"]).write_bytes(b"x" * 200)
    if prepare:
        prepare(tmp_path / options.get("model", "model.npz"))
    names = {name: options[name] for name in ("model", "output") if name in options}
    status, out, err = port(options.get("source", "right"), options.get("to", "right"), **names)
    assert (status, out) == (2, "")
    assert err.startswith(f"rnn-oracle: {message}")
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.glob("**/out.*"))


def test_an_unknown_framework_is_named(rnn_oracle: Run) -> None:
    status, _, err = rnn_oracle("port", "model.npz", "--from", "caffe", "--to", "numpy", "-o", "out.npz")
    assert status == 2
    assert err == "rnn-oracle: port: expected a framework among ['numpy'], got 'caffe'\n"
    status, _, err = rnn_oracle("port", "model.npz", "--from", "numpy", "--to", "numpy", "-o", "out.npz")
    assert err == "rnn-oracle: port: expected a framework with a layout of its parameters, got 'numpy'\n"


def test_a_framework_that_is_absent_comes_with_its_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(adapters, "missing", lambda framework: ["mlx"] * (framework == "mlx"))
    model, output = str(tmp_path / "model.npz"), tmp_path / "out.npz"
    np.savez(model, Wx=np.ones((3, 4)), Wh=np.eye(4))
    arguments = ["port", model, "--from", "jax", "--to", "mlx", "-o", str(output)]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "adapters: mlx is not installed; install it with: python -m pip install " in said
    assert said.endswith("; or move without a proof: --no-proof\n")
    assert not output.exists()
    assert main([*arguments, "--no-proof"]) == 0
    with np.load(output) as moved:
        assert moved.files == ["Wxh", "Whh"]


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("ending", "the process ended with exit status 3"),
        ("dying", "the process ended with signal 9 (Killed)"),
        ("hanging", "no answer within 1 s; the process was killed"),
    ],
)
def test_a_process_that_ends_or_hangs_is_not_certified(monkeypatch: pytest.MonkeyPatch, act: str, words: str) -> None:
    monkeypatch.setattr(porting, "prove", globals()[act])
    if act == "hanging":
        monkeypatch.setattr(porting, "PATIENCE", 1.0)
    proof = porting.prove_apart("tests.conformance.cells:right", Case.random(D=3, H=4).params, "tanh")
    assert str(proof) == f"tests.conformance.cells:right: NOT CERTIFIED, {words}"


def ending(*arguments: Any) -> None:
    os._exit(3)


def dying(*arguments: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hanging(*arguments: Any) -> None:
    time.sleep(100)
