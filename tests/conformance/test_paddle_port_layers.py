"""Weights of several layers are moved between frameworks, and both are certified on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import adapters
from adapters.conformance.cli import main
from adapters.layout import layout
from tests.conformance.several import weights, written

# The frameworks are imported in processes of their own.
ABSENT = [name for name in ("paddle", "torch", "jax") if not adapters.is_installed(name)]
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")


@pytest.mark.parametrize(("source", "target"), [("torch.RNN", "jax.scan"), ("torch.LSTM", "paddle.LSTM")])
def test_frameworks_are_certified_on_several_layers(
    tmp_path: Path, source: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = layout(source)
    np.savez(tmp_path / "model.npz", **written(one, weights(one.cell, 2, 2)))
    words = ["port", str(tmp_path / "model.npz"), "--from", source, "--to", target]
    assert main([*words, "-o", str(tmp_path / "out.npz")]) == 0
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert [line.partition(", ")[0] for line in lines] == [f"{name}: certified" for name in (source, target)]
