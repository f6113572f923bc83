"""The files of a reproduction: the size of the case, the place of the files, and the files without a script."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import Adapter
from adapters.conformance.contract import guarded
from adapters.conformance.reproduce import reproduce, safe
from reference import Case, Evaluation, evaluate


def transposed(case: Case) -> Evaluation:
    """Return the right evaluation with a transposed dWh."""
    found = evaluate(case)
    return dataclasses.replace(found, dWh=np.array(found.dWh.mT, case.dtype), hs=np.array(found.hs, case.dtype))


def transposed_if_probed(case: Case) -> Evaluation:
    """Return the right evaluation; if the case has a probe, dWh is transposed."""
    return transposed(case) if case.is_probed else evaluate(case)


@pytest.fixture
def case() -> Case:
    """Return a case that is larger than needed."""
    return Case.random(T=3, N=2, D=2, H=3, seed=1).probed()


def written(run: Callable[[Case], Evaluation], case: Case, folder: Path, name: str = "eggs") -> list[Path]:
    """Return the files that reproduce a failure of a function."""
    return reproduce(Adapter("eggs.a", run, "eggs", np.tanh, {"float64": 2.5}), case, {}, folder, name, "dWh is wrong")


def test_a_case_that_fails_with_its_probe_alone_is_written_alone(case: Case, tmp_path: Path) -> None:
    (path,) = written(transposed_if_probed, case, tmp_path / "new" / "folder", "eggs.a-float64-step")
    assert path == tmp_path / "new" / "folder" / "eggs.a-float64-step.npz"
    small = Case.load(path)
    assert (small.sizes["T"], small.sizes["N"]) == (2, 1)
    assert transposed_if_probed(small).dWh.tobytes() != evaluate(small).dWh.tobytes()


def test_a_function_that_no_module_has_gets_no_script(case: Case, tmp_path: Path) -> None:
    (path,) = written(lambda case: transposed(case), case, tmp_path)
    assert Case.load(path).sizes == {"T": 1, "N": 1, "D": 1, "H": 2}


def states_shifted(case: Case) -> Evaluation:
    """Return wrong states, and nothing else."""
    return Evaluation(np.array(evaluate(case).hs + 1, case.dtype))


def stacks_transposed(case: Case) -> Evaluation:
    """Return what ``transposed`` does, for a stack alone."""
    assert case.K is not None
    return transposed(case)


SCRIPTED: dict[str, tuple[Callable[[Case], Evaluation], dict[str, Any], str]] = {
    "one's own": (transposed, {}, "dWh"),
    "of stacks": (stacks_transposed, {"takes_stacks": True}, "dWh"),
    "of states": (states_shifted, {"offers": ("h",)}, "h"),
}


@pytest.mark.parametrize("kind", SCRIPTED)
def test_a_function_of_one_s_own_gets_a_script_and_a_report(kind: str, case: Case, tmp_path: Path) -> None:
    run, options, quantity = SCRIPTED[kind]
    subject = guarded(Adapter("eggs.a", run, "eggs", np.tanh, {"float64": 2.5}, **options))
    found, script, report = reproduce(subject, case, {"eggs": "1.2"}, tmp_path, "eggs.a-float64-step")
    assert Case.load(found).sizes["T"] == 1
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (1, "WRONG"), ran.stderr
    fixed = script.read_text().replace(f"import {run.__name__}\n", f"import right as {run.__name__}\n")
    script.write_text(fixed)
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "right: every error is within its bound"), ran.stderr
    text = report.read_text()
    assert f"computes `{quantity}` of a recurrent layer with an error" in text
    assert "The script below needs NumPy, rnn-oracle and what eggs.a imports alone." in text


def right(case: Case) -> Evaluation:
    """Return the oracle's own results in the dtype of the case."""
    return evaluate(case).astype(case.dtype)


def test_a_failure_that_the_case_does_not_show_by_itself_is_written_with_its_message(
    case: Case, tmp_path: Path
) -> None:
    path, report = written(right, case, tmp_path, "eggs.a-float64-strides")
    assert Case.load(path).xs.tobytes() == case.xs.tobytes()
    assert report.read_text() == (
        "# eggs.a-float64-strides\n\n"
        "The case in `eggs.a-float64-strides.npz` (T=3, N=2, D=5, H=3) passes by itself. "
        "The failure shows in this check alone:\n\n```\ndWh is wrong\n```\n"
    )


NAMES = ["../../eggs", "/eggs", "eggs\\spam", "eggs\n", "..", "", "eggs/..", "eggs" * 100, "eggs\0", "\udc80"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_no_name_leads_out_of_the_folder(name: str, case: Case, tmp_path: Path) -> None:
    paths = written(transposed, case, tmp_path / "folder", name)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(paths)
    assert [path.suffix for path in paths] == [".npz", ".py", ".md"]
    assert {path.parent for path in paths} == {tmp_path / "folder"}


def test_names_that_differ_give_files_that_differ() -> None:
    assert safe("eggs.a-float64-step") == "eggs.a-float64-step"
    assert len({safe(name) for name in (*NAMES, "eggs_", "eggs_spam", "eggs" * 101)}) == len(NAMES) + 3
