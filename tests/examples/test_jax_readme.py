"""The README's line for a function of JAX, run as it is written."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.conformance import check
from tests.examples.conftest import from_readme

jax: Any = pytest.importorskip("jax")
ONLY = ("step", "sequence", "shapes", "strides")


def scan(cut: bool) -> Any:
    """Return the function of a user; with ``cut`` no gradient goes through the state."""

    @jax.jit
    def my_scan(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            before = jax.lax.stop_gradient(h) if cut else h
            h = jax.numpy.tanh(x @ Wx + before @ Wh + b)
            return h, h

        return jax.lax.scan(step, h0, xs)[1]

    return my_scan


@pytest.mark.parametrize(("cut", "status"), [(False, {"pass"}), (True, {"fail"})])
def test_a_jax_function_is_judged_by_the_line_of_the_readme(cut: bool, status: set[str]) -> None:
    from adapters.jax import function

    subject = from_readme("jax", function=function, my_scan=scan(cut))["my_rnn"]
    report = check(subject, stacks=2, only=ONLY, on_fail="report")
    assert {row.status for row in report.rows} == status, str(report)
