"""The report as JUnit XML: a suite for every adapter and precision, a test case for every check."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from adapters.conformance.report import Report, Row
from adapters.conformance.result import Result

# What XML 1.0 cannot hold, not even escaped.
UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SKIPPED = ("known", "refused")
COUNTED = {
    "tests": "testcase",
    "failures": "testcase/failure",
    "errors": "testcase/error",
    "skipped": "testcase/skipped",
}


def render(runs: Sequence[Report]) -> str:
    """Return the XML of the reports of one or more environments.

    A check that passed is a test case without content; what is known to fail or refused is skipped, with the reason;
    an error that was raised is an error; and all else is a failure: a check that judged nothing, too, is no pass.
    """
    suites = [_suite(run, row, i + 1 if len(runs) > 1 else None) for i, run in enumerate(runs) for row in run.rows]
    totals = {name: sum(int(suite.attrib[name]) for suite in suites) for name in COUNTED}
    top = ElementTree.Element("testsuites", {"name": "rnn-oracle"} | _words(totals))
    top.extend(suites)
    ElementTree.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(top, "unicode") + "\n"


def write_junit(runs: Sequence[Report], path: str | Path) -> None:
    """Write the XML."""
    Path(path).write_text(render(runs), encoding="utf-8")


def _suite(run: Report, row: Row, number: int | None) -> ElementTree.Element:
    where = f" environment {number}" if number else ""
    suite = ElementTree.Element("testsuite", {"name": _fit(f"{row.adapter} {row.dtype}{where}")})
    properties = ElementTree.SubElement(suite, "properties")
    facts = {"rnn-oracle": run.oracle} | {f"run.{i + 1}": str(asked) for i, asked in enumerate(run.runs)}
    for framework in ("oracle", row.framework):
        facts |= {f"{framework}.{name}": fact for name, fact in run.environment.get(framework, {}).items()}
    for name, fact in facts.items():
        ElementTree.SubElement(properties, "property", {"name": _fit(name), "value": _fit(fact)})
    for check in row.checks:
        named = {"classname": _fit(f"{row.adapter}.{row.dtype}{where.replace(' ', '.')}"), "name": _fit(check.name)}
        _judge(ElementTree.SubElement(suite, "testcase", named), check)
    suite.attrib |= _words({name: len(suite.findall(path)) for name, path in COUNTED.items()})
    return suite


def _judge(case: ElementTree.Element, check: Result) -> None:
    """Give a test case what says that it did not pass, and why."""
    if check.status == "pass":
        return
    if check.status in SKIPPED:
        reason = check.known if check.status == "known" else "; ".join(check.refusals)
        ElementTree.SubElement(case, "skipped", {"message": _fit(f"{check.status}: {reason}")})
        return
    account = "\n".join(check.account) if check.failure or check.status == "stale" else _lacking(check)
    raised = check.status == "fail" and check.crashed
    told = {"type": check.status, "message": _fit(account.splitlines()[0] if account else check.status)}
    ElementTree.SubElement(case, "error" if raised else "failure", told).text = _fit(account)


def _lacking(check: Result) -> str:
    return {
        "inconclusive": f"the bound says too little in {check.inconclusive} of {check.cases} cases",
        "interrupted": "stopped before the end",
    }.get(check.status, "nothing was judged")


def _words(counts: dict[str, int]) -> dict[str, str]:
    return {name: str(count) for name, count in counts.items()}


def _fit(text: str) -> str:
    return UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)
