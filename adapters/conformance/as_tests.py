"""The front end for pytest: ``parametrize(adapter)`` makes a test of every check in every dtype.

    @parametrize(my_cell)
    def test_my_cell(check):
        check()

pytest is imported only once it is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hypothesis

from adapters import Adapter
from adapters.conformance.checks import Asked, Check, run
from adapters.conformance.choices import LIMIT
from adapters.conformance.frontend import Own, prepared, selected
from adapters.conformance.guard import guarded
from adapters.conformance.plan import diagnose
from adapters.conformance.report import Result
from reference import Mismatch

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True)
class Trial:
    """One check in one dtype, to be called by a test."""

    adapter: Adapter
    check: Check
    dtype: str
    examples: int | None
    seed: int
    limit: float | None

    def __repr__(self) -> str:
        """Return what pytest calls the test, for its own messages."""
        return f"{self.adapter.name}, {self.check.name} in {self.dtype}"

    def __call__(self) -> None:
        """Make the check.

        Raises:
            Mismatch: it did not pass; the message is its account.
        """
        import pytest

        __tracebackhide__ = True
        # Read here, and not when the test is made: a profile may be loaded in between.
        examples = self.examples or hypothesis.settings().max_examples
        result = Result(self.check.name)
        run(self.check, Asked(self.adapter, self.dtype, examples, self.seed), result, limit=self.limit)
        if result.status in ("pass", "xpass"):
            return  # a strict xfail turns what passes into a failure
        if result.status == "unsupported":
            pytest.skip("; ".join(result.unsupported))
        if result.status == "fail":
            diagnose(self.adapter, result, self.dtype, limit=self.limit)
        raise Mismatch("\n".join(result.account))


def parametrize(
    adapter: Own,
    *,
    expected_failures: Mapping[str, str] | None = None,
    examples: int | None = None,
    seed: int = 0,
    only: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
    limit: float | None = LIMIT,
) -> pytest.MarkDecorator:
    """Return a decorator that runs a test for every check in every dtype, with ids as "step-float32".

    Args:
        adapter: an Adapter, or a function that returns the Evaluation of a single case.
        expected_failures: "check" or "check dtype", and the reason: a strict xfail.
        examples: stacks of cases a check; by default as many as Hypothesis's profile has examples.
        seed: of the cases.
        only: names of the checks that are made; all by default.
        dtypes: dtypes that are judged; all on offer by default, of a function all four.
        limit: seconds that one test may take, where ``guard.time_limit`` can tell; None for any.

    Returns:
        What pytest parametrises a test with; the test has one argument, ``check``, and calls it.

    Raises:
        ValueError: an argument that names nothing, or too few examples.
        TypeError: the adapter is none.
    """
    import pytest

    if examples is not None and examples < 1:
        raise ValueError(f"parametrize: expected examples of at least 1, got {examples}")
    subject = prepared(adapter, dtypes, expected_failures)
    judged = guarded(subject)
    parameters = []
    for check in selected(only):
        for dtype in dtypes or subject.dtypes:
            known = subject.expected_failures.get(check.name) or subject.expected_failures.get(f"{check.name} {dtype}")
            marks = [pytest.mark.xfail(strict=True, raises=Mismatch, reason=known.reason)] if known else []
            trial = Trial(judged, check, dtype, examples, seed, limit)
            parameters.append(pytest.param(trial, id=f"{check.name}-{dtype}", marks=marks))
    return pytest.mark.parametrize("check", parameters)
