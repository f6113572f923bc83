"""Damaged, hostile and odd ``.pt`` files are refused in one sentence."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch")

from adapters.conformance.cli import main  # noqa: E402
from adapters.conformance.formats import read_params  # noqa: E402
from tests.conformance.mutations import assert_read_or_refused  # noqa: E402

NAMES = ("weight_ih_l0", "weight_hh_l0")


def test_a_damaged_state_dict_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(torch.nn.RNN(2, 3).state_dict(), path)
    assert_read_or_refused(read_params, path, path.read_bytes())


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x03\x04", pickle.dumps({"a": 1}), b"\x80\x02."])
def test_an_empty_or_cut_file_ends_with_status_2(
    tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w.pt").write_bytes(data)
    assert main(["check", "torch", "--params", str(tmp_path / "w.pt")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rnn-oracle: --params: expected a ")


def nested() -> Any:
    """Return a tensor of rows of different lengths, which has no shape."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a prototype
        return torch.nested.nested_tensor([torch.ones(3, 3), torch.ones(2, 3)], layout=torch.strided)


ODD = {
    "expanded": (torch.ones(1, 1).expand(30_000, 30_000), "it is expanded from fewer elements"),
    "conjugate": (torch.ones(3, 3, dtype=torch.complex64).conj(), "complex64"),
    "sparse": (torch.eye(3).to_sparse(), "as a plain tensor"),
    "meta": (torch.empty(3, 3, device="meta"), "expected "),
    "float8": (torch.ones(3, 3).to(torch.float8_e4m3fn), "as a plain tensor"),
    "nested": (nested(), "as a plain tensor, got a nested one"),
    "rank 3": (torch.ones(1, 3, 3), r"got \(1, 3, 3\)"),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_tensor_is_a_sentence(tmp_path: Path, kind: str) -> None:
    tensor, message = ODD[kind]
    torch.save(dict.fromkeys(NAMES, tensor), tmp_path / "w.pt")
    with pytest.raises((ValueError, TypeError), match=message):
        read_params(tmp_path / "w.pt")
    assert main(["check", "torch", "--params", str(tmp_path / "w.pt")]) == 2


def test_a_compressed_file_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    torch.save({name: torch.zeros(300, 300) for name in NAMES}, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(tmp_path / "w.pt", "w") as packed:
        for info in plain.infolist():
            packed.writestr(info.filename, plain.read(info), zipfile.ZIP_DEFLATED)
    assert read_params(tmp_path / "plain.pt")[0]["rnn"].Wx.shape == (300, 300)
    with pytest.raises(ValueError, match=r"it unpacks to \d+ bytes"):
        read_params(tmp_path / "w.pt")
