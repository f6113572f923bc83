"""Reports of one environment are added; reports of different environments are listed side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.conformance import page
from adapters.conformance.page import render
from adapters.conformance.report import Report, Run, merge
from adapters.conformance.results import read_merged
from tests.made import failing, passing, report_of

Save = Callable[[object], Path]


def test_runs_of_other_seeds_are_added_up(saved: Save) -> None:
    one, other = passing(cases=100), passing(cases=50)
    other.worst = {"h": 0.75, "db": 0.125}
    other.unsupported, other.undetermined = ["eggs.a: spam"], ["dWh after 1000 steps"]
    (run,) = read_merged([saved(report_of(one)), saved(report_of(other, failing()))])
    step, sequence = run.rows[0].checks
    assert (step.cases, step.examples, len(step.relative_bounds)) == (150, 4, 150)
    assert step.worst == {"h": 0.75, "dWh": 0.5, "db": 0.125}
    assert step.unsupported == ["eggs.a: T=0 is unsupported", "eggs.a: spam"]
    assert step.undetermined == ["db after 1000 steps", "dWh after 1000 steps"]
    assert (step.status, sequence.status, run.rows[0].status) == ("pass", "fail", "fail")


def test_seed_stacks_and_seconds_of_every_run_are_kept_and_shown(saved: Save) -> None:
    reports = [report_of(passing(), failing()), report_of(passing())]
    for seed, report in enumerate(reports):
        report.runs = [Run(seed, 1600, 12.5)]
    (run,) = read_merged([saved(report) for report in reports])
    assert run.runs == [Run(0, 1600, 12.5), Run(1, 1600, 12.5)]
    words = ["seed 0, 1,600 stacks, 12.5 s", "seed 1, 1,600 stacks, 12.5 s"]
    assert all(f"<dt>run {i + 1}</dt><dd>{words[i]}</dd>" in render([run]) for i in range(2))
    assert f"- run: {'; '.join(words)}\n" in page.render_markdown([run])
    assert str(Run(0, 8, 3.0)) == "seed 0, 8 stacks, 3 s"


def test_both_accounts_of_two_failures_are_kept_and_the_map_of_the_first() -> None:
    first, second = failing("eggs"), failing("spam", error_map=None, crashed=True)
    (run,) = merge([report_of(passing("sequence")), report_of(first), report_of(second)])
    (check,) = run.rows[0].checks
    assert check.failure == failing("eggs\n\nspam", crashed=True).failure
    assert check.failure != first.failure
    assert (check.cases, check.status) == (108, "fail")


@pytest.mark.parametrize(
    ("expected", "status"),
    [(("spam", None), "fail"), ((None, "spam"), "fail"), (("spam", "spam"), "xfail"), ((None, None), "fail")],
)
def test_an_expected_failure_of_one_run_does_not_excuse_the_other(
    expected: tuple[str | None, str | None], status: str
) -> None:
    one, other = failing("eggs"), failing("spam")
    one.expected_failure, other.expected_failure = expected
    (run,) = merge([report_of(one), report_of(other)])
    assert run.rows[0].status == status


@pytest.mark.parametrize(("fails", "status"), [((True, False), "xfail"), ((False, True), "xfail"), ((False,), "xpass")])
def test_an_expected_failure_passes_unexpectedly_if_no_run_has_it(
    saved: Save, fails: tuple[bool, ...], status: str
) -> None:
    reports = [report_of(failing(name="step") if failed else passing()) for failed in fails]
    for report in reports:
        report.rows[0].checks[0].expected_failure = "spam"
    (run,) = read_merged([saved(report) for report in reports])
    assert run.rows[0].status == status


def test_one_interrupted_run_makes_the_sum_interrupted() -> None:
    stopped = passing()
    stopped.interrupted = True
    (run,) = merge([report_of(passing()), report_of(stopped)])
    assert run.rows[0].status == "interrupted"


@pytest.mark.parametrize(("seed", "cases", "status"), [(0, 104, "pass"), (1, 110, "interrupted")])
def test_of_two_runs_of_one_seed_the_fuller_result_counts(seed: int, cases: int, status: str) -> None:
    stopped, whole = report_of(passing(cases=6)), report_of(passing())
    stopped.rows[0].checks[0].interrupted = True
    stopped.runs, whole.runs = [Run(0, 8, 1.0)], [Run(seed, 8, 2.0)]
    for reports in ([stopped, whole], [whole, stopped]):
        (run,) = merge(reports)
        assert (run.rows[0].cases, run.rows[0].status) == (cases, status)


def test_a_failure_is_not_lost_beside_a_fuller_result_of_the_same_seed() -> None:
    passed, failed = report_of(passing()), report_of(failing(name="step"))
    passed.runs = failed.runs = [Run(0, 8, 1.0)]
    for reports in ([passed, failed], [failed, passed]):
        assert merge(reports)[0].rows[0].status == "fail"


def test_the_same_results_twice_are_counted_once(saved: Save) -> None:
    path = saved(report_of(passing(cases=100)))
    (run,) = read_merged([path, path])
    assert run.rows[0].cases == 100


def test_different_environments_stand_side_by_side() -> None:
    runs = merge([report_of(passing()), report_of(failing(name="step"), version="2.0")])
    assert [run.rows[0].checks[0].status for run in runs] == ["pass", "fail"]
    page = render(runs)
    for words in ("1.0 · environment 1", "2.0 · environment 2", "eggs 2.0, flush denormal False"):
        assert words in page
    assert page.count('<th scope="row">eggs.a') == 2


def test_another_version_of_the_oracle_is_another_environment() -> None:
    other = report_of(passing())
    other.oracle = "0.2"
    assert [run.oracle for run in merge([report_of(passing()), other])] == ["0.1", "0.2"]


def test_frameworks_of_one_machine_are_one_environment() -> None:
    other = report_of(passing(), adapter="spam.a")
    other.environment = {"oracle": other.environment["oracle"], "spam": {"spam": "3"}}
    (run,) = merge([report_of(passing()), other])
    assert [row.adapter for row in run.rows] == ["eggs.a", "spam.a"]
    assert set(run.environment) == {"oracle", "eggs", "spam"}


def test_the_reports_that_are_merged_stay_as_they_are() -> None:
    report: Report = report_of(passing(cases=1))
    merge([report, report_of(passing(cases=2))])
    assert report.rows[0].checks[0].cases == 1
