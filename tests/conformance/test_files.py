"""Files from elsewhere: damaged, hostile or huge ones are refused in one sentence, and nothing in them is executed."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from adapters import frameworks
from adapters.conformance import page
from adapters.conformance.cli import main
from adapters.conformance.formats import read_params
from adapters.conformance.results import read
from adapters.layout import layout, layouts
from reference import Case
from reference.archive import LARGEST
from tests.conformance.mutations import assert_read_or_refused

WEIGHTS: dict[str, Any] = {"Wx": np.ones((2, 3)), "Wh": np.ones((3, 3)), "b": np.ones(3)}


def read_report(path: Path) -> None:
    """Read a report and render it in every form."""
    report = read(path)
    page.render([report]), page.render_markdown([report]), page.summary([report]), str(report)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the results of a run, with a failure."""
    folder = tmp_path_factory.mktemp("report")
    names = ("tests.conformance.cells:doubled", "tests.conformance.cells:right")
    main(["check", *names, "--stacks", "1", "--only", "step", "options", "--json", str(folder / "r.json")])
    return (folder / "r.json").read_bytes()


def test_a_damaged_npz_of_weights_is_read_or_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **WEIGHTS)
    assert_read_or_refused(read_params, tmp_path / "w.npz", (tmp_path / "w.npz").read_bytes())


def test_a_damaged_safetensors_is_read_or_refused(tmp_path: Path) -> None:
    save_file({"weight_ih_l0": np.ones((3, 2)), "weight_hh_l0": np.ones((3, 3))}, tmp_path / "w.safetensors")
    assert_read_or_refused(read_params, tmp_path / "w.safetensors", (tmp_path / "w.safetensors").read_bytes())


def test_a_damaged_case_is_read_or_refused(tmp_path: Path) -> None:
    Case.random(T=2, N=2, D=2, H=2, dtype="bfloat16").probed().save(tmp_path / "case.npz")
    assert_read_or_refused(Case.load, tmp_path / "case.npz", (tmp_path / "case.npz").read_bytes())


def test_a_damaged_report_is_read_or_refused(tmp_path: Path, report: bytes) -> None:
    assert_read_or_refused(read_report, tmp_path / "r.json", report)


def npy(shape: Any, dtype: str = "<f8", data: bytes = b"") -> bytes:
    """Return a member of an ``.npz`` with any header."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def archive(path: Path, **members: bytes) -> None:
    """Write a compressed ``.npz``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)


def array(values: Any) -> bytes:
    """Return a member with an array."""
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


HOSTILE: dict[str, tuple[dict[str, bytes], str]] = {
    "no number of this size": (
        {"Wx": npy((10**30,))},
        r"Wx of shape \(10{30},\) in \d+ bytes",
    ),
    "more than there is": ({"Wx": npy((10**11,), data=b"1")}, r"Wx of shape \(100000000000,\) in \d+ bytes"),
    "no array": ({"Wx": b"text"}, "Wx is not an array"),
    "rank 3": ({"Wx": array(np.ones((1, 2, 3)))}, r"expected Wx of shape \(D, H\), got \(1, 2, 3\)"),
    "wide": ({"Wx": array(np.ones((1, 2_000_000)))}, r"expected Wh of shape \(2000000, 2000000\), got \(3, 3\)"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_npz_is_a_sentence(tmp_path: Path, kind: str) -> None:
    members, message = HOSTILE[kind]
    archive(tmp_path / "w.npz", **({name: array(each) for name, each in WEIGHTS.items()} | members))
    with pytest.raises(ValueError, match=message):
        read_params(tmp_path / "w.npz")


def test_arrays_that_nobody_needs_are_not_unpacked(tmp_path: Path) -> None:
    size = LARGEST // 8 + 1
    bomb = npy((size,), data=bytes(8))
    members = {name: array(each) for name, each in WEIGHTS.items()}
    archive(tmp_path / "w.npz", **members, other=bomb)
    assert read_params(tmp_path / "w.npz")[0]["rnn"].Wx.shape == (2, 3)
    archive(tmp_path / "w.npz", **(members | {"b": bomb}))
    with pytest.raises(ValueError, match=rf"b of shape \({size},\) in \d+ bytes"):
        read_params(tmp_path / "w.npz")


def test_needed_arrays_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "w.npz", **WEIGHTS)
    monkeypatch.setattr("reference.archive.LARGEST", 100)
    with pytest.raises(ValueError, match=r"arrays of \d+ bytes, which is more than 100"):
        read_params(tmp_path / "w.npz")


def test_a_dtype_that_numpy_lacks_is_a_sentence(tmp_path: Path) -> None:
    entry = {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}
    for name, message in (("Wx", "float8_e4m3fn"), ("other", "expected one recurrent layer, got arrays")):
        header = json.dumps({name: entry}).encode()
        (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"12")
        with pytest.raises((ValueError, TypeError), match="--params") as raised:
            read_params(tmp_path / "w.safetensors")
        assert message in str(raised.value)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", [name for one in frameworks() for name in layouts(one)])
def test_weights_in_any_layout_are_read_as_those_of_its_cell(tmp_path: Path, name: str, bias: bool) -> None:
    held = layout(name)
    params = Case.random(D=3, H=4, cell=held.cell, bias=bias).params
    params = params if held.has_bn else replace(params, bn=None)
    arrays: dict[str, Any] = {f"model.encoder.{key}": array for key, array in held.to_framework(params).items()}
    np.savez(tmp_path / "w.npz", **arrays, other=np.ones(3))
    found = read_params(tmp_path / "w.npz", "model/encoder")[0][held.cell]
    expected = held.params(held.to_framework(params))
    assert {key: array.tobytes() for key, array in found.present().items()} == {
        key: array.tobytes() for key, array in expected.present().items()
    }


@pytest.mark.parametrize(
    ("absent", "cells"),
    [((), ["gru"]), (("bn",), ["gru_reset_before"]), (("b", "bn"), ["gru", "gru_reset_before"])],
    ids=["both biases", "one bias", "no bias"],
)
def test_weights_without_a_bias_suit_two_cells(tmp_path: Path, absent: tuple[str, ...], cells: list[str]) -> None:
    params: dict[str, Any] = Case.random(D=3, H=4, cell="gru").params.present()
    np.savez(tmp_path / "w.npz", **{name: array for name, array in params.items() if name not in absent})
    assert [*read_params(tmp_path / "w.npz")[0]] == cells


def test_a_bias_that_a_layout_cannot_hold_is_named(tmp_path: Path) -> None:
    arrays = Case.random(D=3, H=4, cell="gru").params.present()
    with pytest.raises(ValueError, match=r"expected no more than \['Wx', 'Wh', 'b'\] of a jax.gru_.*, got \['bn'\]"):
        layout("jax.gru_reset_before.scan").params(arrays)


@pytest.mark.parametrize(("ending", "package"), [("h5", "h5py"), ("keras", "h5py"), ("onnx", "onnx"), ("pt", "torch")])
def test_a_reader_that_is_not_installed_comes_with_its_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, package: str
) -> None:
    path = tmp_path / f"w.{ending}"
    path.touch()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    line = rf"^adapters: {package} is not installed; install it with: python -m pip install \"?{package}"
    with pytest.raises(ModuleNotFoundError, match=line):
        read_params(path)


def changed(report: bytes, change: Callable[[Any], None]) -> bytes:
    """Return a report with one change."""
    found = json.loads(report)
    change(found)
    return json.dumps(found).encode()


def test_a_number_beyond_all_floats_is_a_sentence(tmp_path: Path, report: bytes) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(report.replace(b'"seconds": ', b'"seconds": 1' + b"0" * 400 + b', "x": ', 1))
    with pytest.raises(ValueError, match=r"^report: expected .*r\.json\)$"):
        read_report(path)


@pytest.mark.parametrize("name", ["[/]", "[red]x", "\x1b[31mred\x1b[0m\x07", "a\nb"])
def test_a_name_is_printed_as_text(
    tmp_path: Path, report: bytes, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def rename(found: Any) -> None:
        found["adapters"][0]["name"] = found["adapters"][0]["version"] = name
        found["environment"][name] = {name: name}

    (tmp_path / "r.json").write_bytes(changed(report, rename))
    assert main(["report", str(tmp_path / "r.json"), "-o", str(tmp_path / "r.html")]) == 0
    out = capsys.readouterr().out
    assert not set("\x1b\x07") & set(out)
    if name.startswith("["):
        assert f" {name} " in out


def test_a_large_count_takes_no_memory(tmp_path: Path, report: bytes) -> None:
    def count(found: Any) -> None:
        check = found["adapters"][1]["dtypes"]["float64"]["checks"][0]
        check["examples"] = check["cases"] = 10**11

    (tmp_path / "r.json").write_bytes(changed(report, count))
    read_report(tmp_path / "r.json")


class Marker:
    """Creates a file if it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("ending", ["npz", "pt", "safetensors"])
def test_nothing_in_a_file_is_executed(tmp_path: Path, ending: str) -> None:
    if ending == "pt":
        pytest.importorskip("torch")
    marker, path = tmp_path / "executed", tmp_path / f"w.{ending}"
    pickled = pickle.dumps({"weight_ih_l0": Marker(marker)})
    if ending == "npz":
        np.savez(path, Wx=np.array([Marker(marker)], dtype=object))
    else:
        path.write_bytes(pickled)
    with pytest.raises(ValueError, match="--params"):
        read_params(path)
    assert not marker.exists()
    # The twin: the marker works.
    pickle.loads(pickled)["weight_ih_l0"].close()
    assert marker.exists()
