"""The example in JAX is right in every dtype, and a mistake that the test adds is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples.conftest import ONCE, Environment
from tests.progress import besides_progress

pytest.importorskip("jax")
pytestmark = ONCE

EXAMPLE = Path(__file__).with_name("jax_custom_vjp.py")
QUICK = ("--dtype", "float32", "--stacks", "2", "--only", "step", "sequence")


@pytest.mark.slow
def test_it_is_right_in_every_dtype(beside: Environment, tmp_path: Path) -> None:
    ran = beside.run("python", str(EXAMPLE), where=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(re.findall(r"mine.custom_vjp +(float64|float32|bfloat16|float16) .* pass +\n", ran.stdout)) == 4


def test_a_sum_over_the_wrong_states_is_named(beside: Environment, tmp_path: Path) -> None:
    source = EXAMPLE.read_text("utf-8")
    wrong = source.replace("(xs, hs[:-1])", "(xs, hs[1:])")
    assert wrong != source
    (tmp_path / "mine.py").write_text(wrong)
    ran = beside.run("rnn-oracle", "check", "mine:adapter", *QUICK, where=tmp_path)
    assert (ran.returncode, besides_progress(ran.stderr)) == (1, "")
    assert "dWh is wrong; h, dx, dh0, dWx, db are right" in ran.stdout
    assert "Everything returned equals the result of" in ran.stdout
