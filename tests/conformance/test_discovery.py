"""Adapters from other sources: an attribute of a module, and the plug-ins of installed packages."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import adapters
from adapters.conformance import discovery
from adapters.conformance.cli import main
from reference import Case
from tests.progress import besides_progress

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]
MODULE = """
import numpy as np
from adapters import Adapter
from reference.faults import compute

def right(case):
    return compute(case)

ULPS = {"float32": 2.5}
adapter = Adapter("mine.fast", right, "my fast cell", np.tanh, ULPS)
several = (adapter, Adapter("mine.slow", right, "my slow cell", np.tanh, ULPS))
NUMBER = 3

class Layer:
    def state_dict(self):
        return {}

    def __call__(self, xs, h0):
        return xs

layer = Layer()
"""


ENTRIES = """
[rnn_oracle.adapters]
mine = fast_cell:several
lone = fast_cell:right
broken = broken_cell:adapter
number = fast_cell:NUMBER
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in a folder with a module and an installed package that ships adapters."""
    (tmp_path / "fast_cell.py").write_text(MODULE)
    (tmp_path / "broken_cell.py").write_text("raise RuntimeError('no GPU')\n")
    (tmp_path / "leaving_cell.py").write_text("raise SystemExit(4)\n")
    info = tmp_path / "mine-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("fast_cell", "broken_cell", "leaving_cell"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        return main(arguments), *capsys.readouterr()

    return run


QUICK = ("--stacks", "1", "--only", "step", "--dtype", "float32")
PLUGGED = ("broken", "lone", "mine", "number")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fast_cell:adapter", ["mine.fast"]),
        ("fast_cell:several", ["mine.fast", "mine.slow"]),
        ("fast_cell:right", ["right"]),
        ("mine", ["mine.fast", "mine.slow"]),
        ("mine.slow", ["mine.slow"]),
        ("lone", ["right"]),
    ],
)
def test_a_users_adapter_is_found_and_judged(run: Run, name: str, expected: list[str]) -> None:
    status, out, _ = run("check", name, *QUICK)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines() if " float32 " in line] == expected


def test_several_are_judged_beside_one_another(run: Run) -> None:
    status, out, _ = run("check", "mine.slow", "fast_cell:adapter", "fast_cell:right", *QUICK)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines() if " float32 " in line] == ["mine.slow", "mine.fast", "right"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fast_cell:", "check: expected MODULE:NAME, as mypackage.mycell:adapter, got 'fast_cell:'"),
        (":adapter", "check: expected MODULE:NAME, as mypackage.mycell:adapter, got ':adapter'"),
        ("absent:x", "expected a module that can be imported as absent, got ModuleNotFoundError: No module named"),
        ("broken_cell:x", "expected a module that can be imported as broken_cell, got RuntimeError: no GPU"),
        ("leaving_cell:x", "expected a module that can be imported as leaving_cell, got sys.exit(4)"),
        ("fast_cell:x", "check: expected an attribute of fast_cell among ['compute', 'right', 'adapter'], got 'x'"),
        ("fast_cell:NUMBER", "adapter: expected an Adapter or a function of a case, got 3"),
        ("mine.other", "adapters: expected one of ['mine.fast', 'mine.slow'], got 'mine.other'"),
        (
            "other",
            f"expected a framework or plug-in among {[*adapters.frameworks(), *PLUGGED]}, got",
        ),
        (
            "fast_cell",
            ", got 'fast_cell'; for a cell in the module write fast_cell:NAME, with the name of its",
        ),
        ("fast_cell.py", ", got 'fast_cell.py'; for a cell in the module write fast_cell:NAME, with the name of its"),
        ("fast_cell:Layer", f"got the class fast_cell.Layer; {discovery.WRITE}"),
        ("fast_cell:layer", f"got an object of fast_cell.Layer; {discovery.WRITE}"),
        ("broken", "rnn_oracle.adapters: expected broken = broken_cell:adapter to load, got RuntimeError: no GPU"),
        ("number", "adapter: expected an Adapter or a function of a case, got 3"),
    ],
)
def test_a_name_that_does_not_exist_gives_one_sentence(run: Run, name: str, message: str) -> None:
    status, _, err = run("check", name)
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_module_is_no_subject_and_its_functions_are_named(run: Run) -> None:
    module = importlib.import_module("fast_cell")
    expected = re.escape("write fast_cell.NAME, with a name among ['compute', 'right', 'adapter']")
    with pytest.raises(TypeError, match=f"^adapter: expected .* of a case, got the module fast_cell; {expected}$"):
        discovery.as_adapter(module)


def test_an_object_that_is_called_with_a_case_is_a_subject() -> None:
    class Subject:
        def __call__(self, case: Case) -> Any:
            return case

    assert discovery.as_adapter(Subject()).name == "Subject"


def test_the_list_has_plug_ins_and_those_that_do_not_load(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.frameworks", list)
    status, out, _ = run("list")
    assert status == 1
    rows = {line.split()[1]: line for line in out.splitlines() if line.startswith("│")}
    assert set(rows) == {"mine.fast", "mine.slow", "right"}
    assert "my fast cell" in rows["mine.fast"]
    assert " 1.2 " in rows["mine.fast"]
    assert "expected broken = broken_cell:adapter to load, got RuntimeError: no GPU" in out


def test_explain_accepts_a_users_adapter(run: Run, tmp_path: Path) -> None:
    Case.random(T=1, dtype="float32").save(tmp_path / "case.npz")
    assert run("explain", "case.npz", "fast_cell:adapter")[1] == "mine.fast float32: no fault in this case\n"
    assert (
        "explain: expected one adapter, got ['mine.fast', 'mine.slow']"
        in run("explain", "case.npz", "fast_cell:several")[2]
    )


def test_the_installed_command_finds_a_module_of_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "here.py").write_text(MODULE)
    code = (
        f"import sys\nsys.path[0] = {str(ROOT)!r}\nfrom adapters.conformance.cli import main\n"
        "if __name__ == '__main__':\n    sys.exit(main())\n"
    )
    script = tmp_path / "elsewhere"
    script.mkdir()
    (script / "command.py").write_text(code)
    command = [sys.executable, str(script / "command.py"), "check", "here:adapter", *QUICK]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, besides_progress(ran.stderr)) == (0, "")
    assert " mine.fast  float32 " in ran.stdout


def test_a_framework_may_be_called_by_the_name_of_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.missing", lambda framework: [])
    assert discovery.home("keras-torch") == discovery.home("keras_torch.SimpleRNN") == "keras_torch"


def test_the_version_is_that_of_the_package(run: Run) -> None:
    (adapter,) = discovery.find("fast_cell:adapter")
    assert discovery.facts(adapter) == {"mine": "1.2"}
