"""The example in PyTorch is right in every dtype, and a mistake that the test adds is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples.conftest import ONCE, Environment
from tests.progress import besides_progress

pytest.importorskip("torch")
pytestmark = ONCE

EXAMPLE = Path(__file__).with_name("torch_function.py")
QUICK = ("--dtype", "float32", "--stacks", "2", "--only", "step", "sequence")


@pytest.mark.slow
def test_it_is_right_in_every_dtype(beside: Environment, tmp_path: Path) -> None:
    ran = beside.run("python", str(EXAMPLE), where=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(re.findall(r"my_layer +(float64|float32|bfloat16|float16) .* pass +\n", ran.stdout)) == 4


def test_a_derivative_that_is_forgotten_is_named(beside: Environment, tmp_path: Path) -> None:
    source = EXAMPLE.read_text("utf-8")
    wrong = source.replace(" * (1 - hs[t + 1] ** 2)", "")
    assert wrong != source
    (tmp_path / "mine.py").write_text(wrong)
    ran = beside.run("rnn-oracle", "check", "mine:my_layer", *QUICK, where=tmp_path)
    assert (ran.returncode, besides_progress(ran.stderr)) == (1, "")
    assert re.search(r"dx, dh0, dWx, dWh, db are wrong; h is right \(T=1, N=1, D=1, H=\d\)\.", ran.stdout)
    assert "`derivative forgotten`" in ran.stdout
