"""JUnit XML and Markdown of the same results, and the command that writes all of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from adapters.conformance import junit, markdown
from adapters.conformance.cli import main
from adapters.conformance.result import Result
from tests.made import failing, passing, report_of

Save = Callable[[object], Path]


def suites(*checks: Result) -> ElementTree.Element:
    return ElementTree.fromstring(junit.render([report_of(*checks)]))


def test_there_is_a_test_case_for_every_check_and_the_counts_agree() -> None:
    crashed, known = failing(name="long"), failing(name="laws")
    crashed.crashed, known.known = True, "spam (an issue)"
    refused = Result("options", refusals=["no options"])
    top = suites(passing(), failing(), crashed, known, refused, Result("edges"))
    (suite,) = top
    assert [child.tag for child in suite] == ["properties"] + 6 * ["testcase"]
    counts = {"tests": "6", "failures": "2", "errors": "1", "skipped": "2"}
    assert {name: top.attrib[name] for name in counts} == counts
    assert {name: suite.attrib[name] for name in counts} == counts
    cases = suite.findall("testcase")
    assert {(case.get("classname"), len(case)) for case in cases} == {("eggs.a.float32", 0), ("eggs.a.float32", 1)}
    told = {case.get("name"): [(child.tag, child.get("message")) for child in case] for case in cases}
    assert told == {
        "step": [],
        "sequence": [("failure", "eggs.a float32 dWh[0, 1]: got 1, want 2")],
        "long": [("error", "eggs.a float32 dWh[0, 1]: got 1, want 2")],
        "laws": [("skipped", "known: spam (an issue)")],
        "options": [("skipped", "refused: no options")],
        "edges": [("failure", "nothing was judged")],
    }


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (Result("step", cases=9, inconclusive=2), "the bound says too little in 2 of 9 cases"),
        (Result("step", interrupted=True), "stopped before the end"),
        (Result("step", cases=9, known="spam"), "expected a failure, got none: spam"),
    ],
    ids=["inconclusive", "interrupted", "stale"],
)
def test_what_is_no_pass_is_a_failure(check: Result, message: str) -> None:
    failure = suites(check).find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.get("message") == failure.text == message


def test_what_xml_cannot_hold_is_replaced() -> None:
    failure = suites(failing("<script>\x00\x1b]\ud800\n& spam")).find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.get("message") == "<script>\ufffd\ufffd]\ufffd"
    assert "& spam\ndWh is wrong" in str(failure.text)


def test_suites_of_two_environments_have_names_of_their_own() -> None:
    text = junit.render([report_of(passing()), report_of(passing(), version="2.0")])
    names = [suite.get("name") for suite in ElementTree.fromstring(text)]
    assert names == ["eggs.a float32 environment 1", "eggs.a float32 environment 2"]


def test_markdown_has_the_tables_the_remarks_and_the_failures() -> None:
    text = markdown.render([report_of(passing(), failing("```\nspam"))])
    for words in (
        "- eggs: eggs 1.0, flush denormal False\n",
        "| adapter | precision | cases | step | sequence | worst | resolution | verdict |\n",
        "| adapter | precision | h | dx |",
        "- refused step: eggs.a: T=0 is refused (float32)\n- untold step: db after 1000 steps (float32)\n",
        "| pass* |",
        "### eggs.a float32 sequence: fail\n\n````\n```\nspam\ndWh is wrong\n````\n",
    ):
        assert words in text
    assert "## Environment" not in text
    assert "## Environment 2\n" in markdown.render([report_of(passing()), report_of(passing())])


def test_the_summary_has_a_line_for_each_adapter_and_version() -> None:
    head, _, right, wrong = markdown.summary(
        [report_of(passing()), report_of(failing("spam"), version="2.0")]
    ).splitlines()
    assert head == "| adapter | version | cases | float64 | float32 | bfloat16 | float16 | refused |"
    assert right.startswith("| eggs.a | 1.0 | ")
    assert right.split(" | ")[3::2] == ["-", "-", "- |"]
    assert wrong.startswith("| eggs.a | 2.0 | ")
    assert wrong.split(" | ")[4].endswith(" fail")


def test_the_summary_tells_in_which_precisions_a_check_is_refused() -> None:
    half, whole = (
        report_of(Result("nan", refusals=["spam"]), Result("options", refusals=["spam"])),
        report_of(passing("nan")),
    )
    half.rows[0].dtype = "bfloat16"
    whole.rows[0].checks.append(Result("options", refusals=["spam"]))
    *_, line = markdown.summary([half, whole]).splitlines()
    assert line.endswith("| nan in bfloat16, options |")


def test_on_a_narrow_screen_the_checks_are_told_in_one_column() -> None:
    report = report_of(passing("step"), Result("nan", refusals=["spam"]), Result("laws", 3), failing("spam"))
    screen = io.StringIO()
    report.show(Console(file=screen, width=80))
    lines = [line.split() for line in screen.getvalue().splitlines()]
    words = "eggs.a float32 109 1 pass; pass* step; refused nan; inf fail"
    assert words.split() in lines
    assert ["fail", "sequence"] in lines
    assert "step   nan      laws  sequence" in str(report)


def test_the_command_writes_all_three(saved: Save, tmp_path: Path) -> None:
    page, table, xml = tmp_path / "r.html", tmp_path / "r.md", tmp_path / "r.xml"
    asked = ("-o", str(page), "--markdown", str(table), "--junit", str(xml))
    assert main(["report", str(saved(report_of(passing()))), str(saved(report_of(failing()))), *asked]) == 0
    assert "1 of 2 checks did not pass." in page.read_text("utf-8")
    assert "| eggs.a | float32 | 106 |" in table.read_text("utf-8")
    assert ElementTree.parse(xml).getroot().get("tests") == "2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{0}", "-o", "/no/such/r.html"], "--output: expected a file in a folder that is there, got /no/such/r.html"),
        (["{0}", "-o", "{1}", "--junit", "/no/such/r"], "--junit: expected a file in a folder that is there"),
        (["/no/such.json", "-o", "{1}"], "report: expected a file, got /no/such.json"),
        (["{2}", "-o", "{1}"], "expected JSON, got JSONDecodeError"),
    ],
    ids=["no folder", "no folder of another", "no file", "broken"],
)
def test_bad_usage_is_told_in_one_sentence_and_status_2(
    saved: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    places = saved(report_of(passing())), tmp_path / "r.html", saved("spam")
    assert main(["report", *(word.format(*places) for word in arguments)]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "r.html").exists()
