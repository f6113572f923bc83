"""The names of adapters: loading by name, and the facts that are declared under a name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adapters
from adapters import Adapter, ExpectedFailure, Unsupported
from adapters.conformance import NAMES
from reference import Case, Evaluation
from reference.archive import DTYPES

README = Path(adapters.__file__).with_name("README.md")


def test_every_name_begins_with_its_framework(adapter: Adapter) -> None:
    assert adapter.framework in adapters.frameworks()
    assert adapters.load(adapter.name) == (adapter,)
    assert adapter in adapters.load(f"{adapter.framework}.*")
    assert (adapter in adapters.load(adapter.framework)) == adapter.main


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_default_run_judges_at_most_a_quarter_of_all_rows(framework: str) -> None:
    if not adapters.is_installed(framework):
        pytest.skip(f"{framework} is not installed")
    rows = sum(len(adapter.dtypes) for adapter in adapters.load(f"{framework}.*"))
    assert 0 < 2 * len(adapters.load(framework)) <= rows / 4


def test_the_environment_names_the_version(adapter: Adapter) -> None:
    environment = adapters.load_framework(adapter.framework).environment()
    assert environment[adapter.framework]
    assert any("precision" in name for name in environment)


def test_the_readme_shows_it_and_its_verdict(adapter: Adapter, dtype: str) -> None:
    table = README.read_text(encoding="utf-8").split("<!-- table: rnn-oracle report")[1].split("<!-- end of table")[0]
    head, _, *rows = ([cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()[1:])
    (row,) = (dict(zip(head, row, strict=True)) for row in rows if row[1] == adapter.name)
    worst, *names = row[dtype].split()
    # A ratio above 1 is a failure.
    assert 0 < float(worst) <= 1
    fails = any(name.endswith(dtype) or " " not in name for name in adapter.expected_failures)
    assert names == ["xfail"] * fails
    assert all((row[other] == "-") == (other not in adapter.dtypes) for other in DTYPES)


def test_a_direction_is_given_in_few_steps_and_not_in_half_precisions(adapter: Adapter) -> None:
    like: dict[str, Any] = {"dtype": "float16", "cell": adapter.cell, "nonlinearity": adapter.nonlinearities[0]}
    case = adapter.suited(Case.random(T=1, direction=True, **like))
    if adapter.takes_direction:
        assert (adapter.dtypes, adapter.max_T) == (("float64", "float32"), 8)
        with pytest.raises(
            Unsupported, match=rf"{adapter.name}: expected dtype in \['float64', 'float32'\], got 'float16'"
        ):
            adapter(case)
    elif "float16" in adapter.dtypes:
        fields = adapter(case).fields()
        assert not [name for name in fields if name.endswith("_dot")]


def strangers(adapter: Adapter) -> list[str]:
    """Return the keys of expected failures that are neither a check nor a check with a dtype of the adapter."""
    names = {*NAMES, *(f"{check} {dtype}" for check in NAMES for dtype in adapter.dtypes)}
    return sorted(set(adapter.expected_failures) - names)


def test_its_expected_failures_name_existing_checks_and_dtypes(adapter: Adapter) -> None:
    assert strangers(adapter) == []


@pytest.mark.parametrize("key", ["nan", "nonfinite float8", "float32 nonfinite"])
def test_an_expected_failure_of_no_check_is_found(key: str) -> None:
    expected = {key: ExpectedFailure("a reason", "a reference"), "step": ExpectedFailure("a reason", "a reference")}
    ulps = {"float32": 1.0}
    odd = Adapter("numpy.odd", lambda case: Evaluation(case.upstream), "odd", np.tanh, ulps, expected_failures=expected)
    assert strangers(odd) == [key]


def test_an_unknown_variant_is_named(adapter: Adapter) -> None:
    with pytest.raises(ValueError, match=rf"adapters: expected one of \[.*'{adapter.name}'.*\], got '{adapter.name}X'"):
        adapters.load(adapter.name + "X")


def test_importing_the_package_imports_no_framework() -> None:
    code = (
        "import sys, adapters, adapters.conformance.cli; print([m for m in adapters.frameworks() if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
