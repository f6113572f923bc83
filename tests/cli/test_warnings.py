"""``python -W error``: a failing verdict stays a verdict, and the search for the smallest case raises no warning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.progress import besides_progress

ROOT = Path(__file__).parents[2]
MODULE = """
import dataclasses
import numpy as np
from reference.faults import compute

def wrong_if(condition):
    def run(case):
        answer = compute(case)
        wrong = np.full_like(answer.dWh, 3) if condition(case) else answer.dWh
        return dataclasses.replace(answer, dWh=wrong, hs=answer.hs + np.asarray(condition(case), case.xs.dtype))
    return run

always = wrong_if(lambda case: True)
huge = wrong_if(lambda case: np.abs(case.xs.astype(float)).max(initial=0) > 1e3)
tiny = wrong_if(lambda case: 0 < np.abs(case.upstream.astype(float)).max(initial=0) < 1e-3)
poisoned = wrong_if(lambda case: not np.isfinite(case.xs.astype(float)).all())
relu = wrong_if(lambda case: case.nonlinearity == "relu" and case.sizes["T"] > 1)
"""


@pytest.mark.parametrize("name", ["always", "huge", "tiny", "poisoned", "relu"])
def test_a_failure_stays_a_verdict_if_warnings_are_errors(name: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(MODULE)
    code = "import sys; from adapters.conformance.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ("check", f"own:{name}", "--stacks", "2", "--only", "step", "extremes", "nonfinite")
    dtypes = ("--dtype", "float64", "float32", "float16")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *words, *dtypes, "--reproduce", "new"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, besides_progress(ran.stderr)) == (1, "")
    assert "\nFAIL in " in ran.stdout
    assert "It starts at " in ran.stdout
    assert "Warning" not in ran.stdout
