"""The files of a reproduction: the size of the case, the place of the files, and the files without a script."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from adapters import Adapter
from adapters.conformance.reproduce import reproduce
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


@pytest.mark.parametrize(("run", "steps"), [(transposed, 1), (transposed_if_probed, 2)])
def test_without_a_script_only_the_case_is_written(run: object, steps: int, case: Case, tmp_path: Path) -> None:
    subject = Adapter("eggs.a", run, "eggs", np.tanh, {"float64": 2.5})  # type: ignore[arg-type]
    (path,) = reproduce(subject, case, {}, tmp_path / "new" / "folder", "eggs.a-float64-step")
    assert path == tmp_path / "new" / "folder" / "eggs.a-float64-step.npz"
    small = Case.load(path)
    assert small.sizes["T"] <= steps
    assert small.sizes["N"] == 1
    assert run(small).dWh.tobytes() != evaluate(small).dWh.tobytes()  # type: ignore[operator]


@pytest.mark.parametrize("name", ["../../eggs", "/eggs", "eggs\\spam", "eggs\n"])
def test_no_name_leads_out_of_the_folder(name: str, case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    subject = Adapter("eggs.a", transposed, "eggs", np.tanh, {"float64": 2.5})
    (path,) = reproduce(subject, case, {}, folder, name)
    assert [*tmp_path.rglob("*.npz")] == [path]
    assert path.parent == folder
    assert "/" not in path.name
