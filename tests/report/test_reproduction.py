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
from adapters.conformance import reproduce as reproduce_module
from adapters.conformance.contract import guarded
from adapters.conformance.reproduce import reproduce, safe
from reference import Case, Evaluation, LayersCase, LayersEvaluation, evaluate
from reference.faults import compute


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
    subject = Adapter("eggs.a", run, "eggs", np.tanh, {"float64": 2.5}, origin=origin_of(run))
    return reproduce(subject, case, {}, folder, name, "dWh is wrong")


def origin_of(run: Callable[[Case], Evaluation]) -> str:
    """Return where Python finds a function, if it is one of this module."""
    return f"{__name__}:{run.__name__}" if run.__name__ in globals() else ""


def ran(script: Path, changed: tuple[str, str] = ("", "")) -> tuple[int, str]:
    """Run a script, with a text of it replaced, in a new process; return its exit status and the last line."""
    text = script.read_text()
    assert changed[0] in text
    script.write_text(text.replace(*changed))
    found = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=script.parent)
    return found.returncode, (found.stdout + found.stderr).splitlines()[-1]


def test_a_case_that_fails_with_its_probe_alone_is_shown_by_its_script(case: Case, tmp_path: Path) -> None:
    path, script, _ = written(transposed_if_probed, case, tmp_path / "new" / "folder", "eggs.a-float64-step")
    assert path == tmp_path / "new" / "folder" / "eggs.a-float64-step.npz"
    small = Case.load(path)
    assert (small.sizes["T"], small.sizes["N"]) == (2, 1)
    assert transposed_if_probed(small).dWh.tobytes() != evaluate(small).dWh.tobytes()
    assert ran(script)[0] == 1
    assert ran(script, ("import transposed_if_probed as", "import right as"))[0] == 0


def test_a_function_that_no_module_has_gets_no_script(case: Case, tmp_path: Path) -> None:
    path, report = written(lambda case: transposed(case), case, tmp_path)
    assert "The case in `eggs.npz` (T=1, N=1, D=1, H=2, no bias) shows the failure:" in report.read_text()
    assert Case.load(path).sizes == {"T": 1, "N": 1, "D": 1, "H": 2}


def states_shifted(case: Case) -> Evaluation:
    """Return wrong states, and nothing else."""
    return Evaluation(np.array(evaluate(case).hs + 1, case.dtype))


def states(case: Case) -> Evaluation:
    """Return the right states, and nothing else."""
    return Evaluation(np.array(evaluate(case).hs, case.dtype))


def several_transposed(case: LayersCase) -> LayersEvaluation:
    """Return the right evaluation of several layers with a transposed dWh of the first."""
    found = compute(case)
    assert isinstance(found, LayersEvaluation)
    return dataclasses.replace(found, gradients={**found.gradients, "dWh_l0": np.array(found.gradients["dWh_l0"].mT)})


def adapter(run: Callable[[Case], Evaluation], **fields: Any) -> Adapter:
    """Return an adapter of float64."""
    return Adapter(f"eggs.{run.__name__}", run, "eggs", np.tanh, {"float64": 2.5}, **fields)


def stacked(case: Case) -> Evaluation:
    """Return what ``transposed`` does, for a stack alone."""
    assert case.K is not None
    return transposed(case)


ADAPTERS = (
    adapter(stacked, takes_stacks=True),
    adapter(states_shifted, offers=("h",)),
    adapter(compute, layers=several_transposed),
)
MENDED = adapter(compute, takes_stacks=True), adapter(states, offers=("h",)), adapter(compute, layers=compute)
SCRIPTED: dict[str, tuple[Adapter, str, str]] = {
    "one's own": (adapter(transposed), "transposed", "dWh"),
    "of stacks, in a tuple": (ADAPTERS[0], "ADAPTERS[0]", "dWh"),
    "of states, in a tuple": (ADAPTERS[1], "ADAPTERS[1]", "h"),
    "of layers, in a tuple": (ADAPTERS[2], "ADAPTERS[2]", "dWh_l0"),
}


@pytest.mark.parametrize("kind", SCRIPTED)
def test_a_subject_of_one_s_own_gets_a_script_and_a_report(kind: str, case: Case, tmp_path: Path) -> None:
    subject, name, quantity = SCRIPTED[kind]
    subject = guarded(dataclasses.replace(subject, origin=f"{__name__}:{name}"))
    failing = LayersCase.random(layers=3, lengths=True, directions=2) if subject.layers else case
    found, script, report = reproduce(subject, failing, {"eggs": "1.2"}, tmp_path, "eggs.a-float64-step")
    small = LayersCase.load(found) if subject.layers else Case.load(found)
    assert [small.sizes[axis] for axis in "TND"] == [1, 1, 1]
    status, last = ran(script)
    assert (status, f"{quantity} is wrong" in last) == (1, True), last
    text = report.read_text()
    assert f"computes `{quantity}` of a recurrent layer with an error" in text
    assert f"The script below needs NumPy, rnn-oracle and what {subject.name} imports alone." in text
    assert script.read_text() in text
    attribute = name.partition("[")[0]
    mended = "MENDED" if "[" in name else "right"
    status, last = ran(script, (f"import {attribute} as subject", f"import {mended} as subject"))
    assert (status, last[:30]) == (0, "float64: pass, largest |error|"), last


def test_a_large_case_is_read_from_its_file(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduce_module, "WRITTEN", 0)
    _, script, _ = written(transposed, case, tmp_path)
    assert "numbers(" not in script.read_text()
    assert ran(script)[0] == 1
    assert ran(script, ("import transposed as", "import right as"))[0] == 0


@pytest.mark.parametrize("called", ['"""', "\\", "eggs\n", "\udc80", "größe"], ids=ascii)
def test_the_name_of_a_subject_does_not_break_its_script(called: str, case: Case, tmp_path: Path) -> None:
    subject = dataclasses.replace(adapter(transposed), name=called, origin=origin_of(transposed))
    _, script, _ = reproduce(subject, case, {}, tmp_path, "eggs")
    assert ran(script) == (1, "dWh is wrong; h, dx, dh0, dWx are right (T=1, N=1, D=1, H=2, no bias).")


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
