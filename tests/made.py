"""Results written by hand for the tests of the report: one that passes and one that fails."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from adapters.conformance.report import ErrorMap, Failure, Report, Result, Row

ENVIRONMENT = {"oracle": {"python": "3.11"}, "eggs": {"eggs": "1.0", "flush denormal": "False"}}


def passing(name: str = "step", cases: int = 104) -> Result:
    """Return a check that passed."""
    return Result(
        name,
        cases,
        examples=2,
        worst={"h": 0.25, "dWh": 0.5},
        relative_bounds=[1e-6],
        unsupported=["eggs.a: T=0 is unsupported"],
        undetermined=["db after 1000 steps"],
    )


def failing(
    message: str = "eggs.a float32 dWh[0, 1]: expected 2, got 1", name: str = "sequence", **changes: Any
) -> Result:
    """Return a check that failed, with diagnosis, script and error map; changes are those of its failure."""
    error_map = ErrorMap.from_ratios("dWh", np.array([[0.5, 3.0], [np.inf, 0.0]]))
    found = Failure(message, diagnosis="dWh is wrong", script="print('spam')\n", error_map=error_map)
    return Result(
        name,
        cases=2,
        worst={"dWh": np.inf},
        relative_bounds=[1e-6],
        failure=dataclasses.replace(found, **changes),
    )


def report_of(*checks: Result, adapter: str = "eggs.a", version: str = "1.0") -> Report:
    """Return a report of one adapter in float32."""
    environment = ENVIRONMENT | {"eggs": {"eggs": version, "flush denormal": "False"}}
    return Report(environment, [Row(adapter, "eggs", version, "float32", list(checks))], "0.1")
