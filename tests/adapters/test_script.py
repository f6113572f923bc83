"""The script of an adapter needs only NumPy and the framework, and returns the same bits as the adapter."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import adapters
from adapters import Adapter
from adapters._source import REGISTRY, plain
from reference import Case
from reference.verdict import QUANTITIES

RUN = """
with np.load("case.npz") as case:
    found = compute(dict(case), "{cell}")
np.savez("found.npz", **found)
import sys
assert not {{"adapters", "reference"}} & set(sys.modules)
"""


def run_apart(script: str, case: Case, folder: Path) -> dict[str, np.ndarray]:
    """Run a script in a process outside the project, and return the result of its ``compute`` for a case."""
    case.save(folder / "case.npz")
    (folder / "script.py").write_text(script + RUN.format(cell=case.nonlinearity if case.cell == "rnn" else case.cell))
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run([sys.executable, "script.py"], cwd=folder, env=own, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    with np.load(folder / "found.npz") as found:
        return dict(found)


def test_the_script_computes_the_bits_of_the_adapter(adapter: Adapter, tmp_path: Path) -> None:
    script, dtype = adapter.script(), adapter.dtypes[0]
    if adapter.takes_direction:
        assert script is None
        return
    assert script is not None
    like: dict[str, Any] = {"dtype": dtype, "nonlinearity": adapter.nonlinearities[0], "cell": adapter.cell}
    case = adapter.suited(Case.random(T=3, N=2, D=3, H=4, seed=1, **like))
    found, expected = run_apart(script, case, tmp_path), adapter(case).fields()
    assert sorted(found) == sorted(adapter.offers)
    for field, name in QUANTITIES.items():
        if name in found:
            np.testing.assert_array_equal(found[name], expected[field], err_msg=name)
            assert found[name].dtype == case.dtype


def test_the_script_defines_every_name_once(adapter: Adapter) -> None:
    # It joins several files, and a second function of one name would take the place of the first.
    kinds = (ast.FunctionDef, ast.ClassDef)
    defined = [node.name for node in ast.parse(adapter.script() or "").body if isinstance(node, kinds)]
    assert sorted(defined) == sorted(set(defined))


def test_the_script_has_no_registry_lines(adapter: Adapter) -> None:
    script = adapter.script()
    assert script is None or not {"ADAPTERS", "environment", "Adapter"} & set(script.replace("(", " ").split())


def test_an_adapter_without_a_file_here_has_no_script(adapter: Adapter) -> None:
    elsewhere = Adapter("nowhere.RNN", adapter.run, "elsewhere", adapter.tanh, adapter.tanh_ulps)
    assert elsewhere.script() is None
    by_hand = Adapter(adapter.name, lambda case: adapter.run(case), "by hand", adapter.tanh, adapter.tanh_ulps)
    assert by_hand.script() is None


def test_a_file_replaces_the_first_import_from_it(tmp_path: Path) -> None:
    files = {
        "toy": '"""A toy."""\n\nimport os\nfrom adapters import (\n    A,\n)\nfrom adapters._toys import a\n\nb = a\n',
        "_toys": "from reference.case import Case\nfrom adapters._more import c\n\na = c\n",
        "_more": "from adapters._source import plain\n\nc = 1\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(f"{text}{REGISTRY}rest = 0\n")
    names: dict[str, object] = {}
    exec(plain(tmp_path / "toy.py", set()), names)
    assert (names["a"], names["b"], names["c"], "rest" in names) == (1, 1, 1, False)
    assert plain(tmp_path / "toy.py", {tmp_path / "_toys.py"}).split() == ["import", "os", "b", "=", "a"]


def test_every_framework_marks_where_its_script_ends() -> None:
    for name in adapters.frameworks():
        assert (Path(adapters.__file__).with_name(f"{name}.py").read_text("utf-8")).count(REGISTRY) == 1, name
