"""The script that ``check --reproduce`` writes for a subject in a module: it fails until the module is mended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from adapters.conformance.cli import main


def assert_scripted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, mistake: tuple[str, str], name: str, check: str = "step"
) -> None:
    """Judge a subject with a mistake on the command line, and run the script before and after it is mended.

    Args:
        folder: an empty folder.
        monkeypatch: of the test.
        text: of a module with a right subject.
        mistake: a text of the module, and its replacement.
        name: of the subject in the module.
        check: a check that the subject fails.
    """
    module, mended = folder / "mine.py", text
    assert text.count(mistake[0]) == 1
    module.write_text(text.replace(*mistake))
    monkeypatch.chdir(folder)
    asked = ("--stacks", "1", "--only", check, "--dtype", "float32", "--reproduce", "new")
    assert main(["check", f"mine:{name}", *asked]) == 1
    found = sorted(path.name for path in (folder / "new").iterdir())
    assert found == [f"{name}-float32-{check}{ending}" for ending in (".md", ".npz", ".py")]

    def ran() -> tuple[int, str]:
        script = folder / "new" / f"{name}-float32-{check}.py"
        done = subprocess.run([sys.executable, "-B", script], cwd=folder / "new", capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    status, out = ran()
    assert status == 1, out
    module.write_text(mended)
    status, out = ran()
    assert (status, out[:14]) == (0, "float32: pass,"), out
