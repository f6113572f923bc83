"""Programs compiled by JAX are stored in the user's folder, and the next run uses them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jax")

ASKED = ("check", "jax.scan", "--only", "step", "--dtype", "float32", "--stacks", "1")


def compiled(folder: Path, **environment: str) -> set[str]:
    """Return the names of the programs in the folder after a run."""
    given = {"JAX_COMPILATION_CACHE_DIR": str(folder), **environment}
    command = Path(sys.executable).with_name("rnn-oracle")
    subprocess.run([command, *ASKED], check=True, capture_output=True, env=os.environ | given)
    return {file.name for file in folder.iterdir() if file.name.endswith("-cache")}


def test_compiled_programs_are_kept_where_a_folder_is_given(tmp_path: Path) -> None:
    first = compiled(tmp_path)
    assert any("by_vjp" in name for name in first)
    assert compiled(tmp_path) == first


def test_the_users_threshold_for_keeping_programs_is_not_changed(tmp_path: Path) -> None:
    kept = compiled(tmp_path, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="1000")
    assert not any("by_vjp" in name for name in kept)
