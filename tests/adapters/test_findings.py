"""Faults in released frameworks: each fault is still there. If a framework fixes one, its test fails."""

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
# torch.compile runs a C++ compiler.
SLOW = ("torch_compile_",)
MARKED = [pytest.param(path, marks=[pytest.mark.slow] * path.name.startswith(SLOW), id=path.stem) for path in SCRIPTS]


@pytest.mark.parametrize("script", MARKED)
def test_the_fault_of_a_finding_is_still_there(script: Path, request: pytest.FixtureRequest) -> None:
    """Strict: if a script exits with 0, its finding must be removed and its adapter adapted."""
    framework = max((name for name in adapters.frameworks() if script.stem.startswith(f"{name}_")), key=len)
    selected = [name.replace("-", "_") for name in request.config.getoption("backend") or ()]
    if selected and framework not in selected:
        pytest.skip(f"a finding in {framework}, which is not among the backends {selected}")
    if not selected and not adapters.is_installed(framework):
        pytest.skip(f"{framework} is not installed")
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    if ran.returncode == 2:
        pytest.skip(f"does not show here: {ran.stdout.splitlines()[-1]}")
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (1, "WRONG"), ran.stdout + ran.stderr


def test_findings_md_lists_every_script() -> None:
    named = re.findall(r"tests/findings/(\w+\.py)", TEXT.read_text(encoding="utf-8"))
    assert sorted(set(named)) == [script.name for script in SCRIPTS]
    assert SCRIPTS
