"""Results made by hand for several tests of the report: one that passes, one that fails, and what else there is."""

from __future__ import annotations

import numpy as np
from adapters.conformance.heat import Heat

from adapters.conformance.report import Report, Row
from adapters.conformance.result import BINS, Result

ENVIRONMENT = {"oracle": {"python": "3.11"}, "eggs": {"eggs": "1.0", "flush denormal": "False"}}


def passing(name: str = "step", cases: int = 104) -> Result:
    """Return a check that passed."""
    histogram = [0] * 12 + [cases] + [0] * (BINS - 13)
    return Result(
        name,
        cases,
        examples=2,
        worst={"h": 0.25, "dWh": 0.5},
        histogram=histogram,
        resolutions=[1e-6],
        refusals=["eggs.a: T=0 is refused"],
        untold=["db after 1000 steps"],
    )


def failing(message: str = "eggs.a float32 dWh[0, 1]: got 1, want 2", name: str = "sequence") -> Result:
    """Return a check that failed, with all that is known of it."""
    ratios = np.array([[0.5, 3.0], [np.inf, 0.0]])
    return Result(
        name,
        cases=2,
        worst={"dWh": np.inf},
        histogram=[0] * (BINS - 1) + [2],
        resolutions=[1e-6],
        failure=message,
        diagnosis="dWh is wrong",
        script="print('spam')\n",
        heat=Heat.from_ratios("dWh", ratios),
    )


def report_of(*checks: Result, adapter: str = "eggs.a", version: str = "1.0") -> Report:
    """Return a report of one adapter in float32."""
    environment = ENVIRONMENT | {"eggs": {"eggs": version, "flush denormal": "False"}}
    return Report(environment, [Row(adapter, "eggs", version, "float32", list(checks))], "0.1")
