"""What is wrong in released frameworks: each finding is still there, and whoever mends it breaks its test."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import adapters

FINDINGS = Path(__file__).parents[1] / "findings"
TEXT = Path(__file__).parents[2] / "FINDINGS.md"
SCRIPTS = sorted(FINDINGS.glob("*.py"))
# What torch.compile makes is compiled by a C++ compiler.
SLOW = ("torch_compile_",)
MARKED = [pytest.param(path, marks=[pytest.mark.slow] * path.name.startswith(SLOW), id=path.stem) for path in SCRIPTS]


@pytest.mark.parametrize("script", MARKED)
def test_a_finding_is_not_mended(script: Path, request: pytest.FixtureRequest) -> None:
    """Strict: a script that exits with 0 is a finding to be taken out, and an adapter to be told."""
    framework = max((name for name in adapters.frameworks() if script.stem.startswith(f"{name}_")), key=len)
    asked = [name.replace("-", "_") for name in request.config.getoption("backend") or ()]
    if asked and framework not in asked:
        pytest.skip(f"a finding in {framework}, which was not asked for")
    if not asked and not adapters.is_installed(framework):
        pytest.skip(f"{framework} is not installed")
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    if ran.returncode == 2:
        pytest.skip(f"not to be seen here: {ran.stdout.splitlines()[-1]}")
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (1, "WRONG"), ran.stdout + ran.stderr


def test_every_finding_is_written_down() -> None:
    named = re.findall(r"tests/findings/(\w+\.py)", TEXT.read_text(encoding="utf-8"))
    assert sorted(set(named)) == [script.name for script in SCRIPTS]
    assert SCRIPTS
