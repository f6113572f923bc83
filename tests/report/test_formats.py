"""Markdown, the table on the terminal, and the command that writes them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from adapters.conformance import page
from adapters.conformance.cli import main
from adapters.conformance.report import Report, Result, Row
from tests.made import failing, passing, report_of

Save = Callable[[object], Path]


def test_markdown_has_the_tables_the_remarks_and_the_failures() -> None:
    text = page.render_markdown([report_of(passing(), failing("```\nspam"))])
    for words in (
        "- eggs: eggs 1.0, flush denormal False\n",
        "| adapter | precision | cases | step | sequence | worst | relative bound | verdict |\n",
        "| adapter | precision | h | dx |",
        "- unsupported step: T=0 is unsupported (eggs.a in float32)\n"
        "- undetermined step: db after 1000 steps (eggs.a in float32)\n",
        "| pass* |",
        "### eggs.a float32 sequence: fail\n\n````\n```\nspam\ndWh is wrong\n````\n",
    ):
        assert words in text
    assert "## Environment" not in text
    assert "\n\n## Environment 2\n\n- rnn-oracle" in page.render_markdown([report_of(passing()), report_of(passing())])


def test_the_summary_has_a_line_for_each_adapter_and_version() -> None:
    head, _, right, wrong = page.summary([report_of(passing()), report_of(failing("spam"), version="2.0")]).splitlines()
    assert head == "| adapter | version | cases | float64 | float32 | bfloat16 | float16 | unsupported |"
    assert right.startswith("| eggs.a | 1.0 | ")
    assert right.split(" | ")[3::2] == ["-", "-", "- |"]
    assert wrong.startswith("| eggs.a | 2.0 | ")
    assert wrong.split(" | ")[4].endswith(" fail")


def test_the_summary_names_the_precisions_in_which_a_check_is_unsupported() -> None:
    half, whole = (
        report_of(Result("nonfinite", unsupported=["spam"]), Result("options", unsupported=["spam"])),
        report_of(passing("nonfinite")),
    )
    half.rows[0].dtype = "bfloat16"
    whole.rows[0].checks.append(Result("options", unsupported=["spam"]))
    *_, line = page.summary([half, whole]).splitlines()
    assert line.endswith("| nonfinite in bfloat16; options |")


def test_on_a_narrow_screen_the_checks_are_counted_and_those_to_see_are_named() -> None:
    report = report_of(
        passing("step"), Result("nonfinite", unsupported=["spam"]), Result("invariants", 3), failing("spam")
    )
    screen = io.StringIO()
    report.show(Console(file=screen, width=80))
    lines = [line.split() for line in screen.getvalue().splitlines()]
    first = lines.index(["eggs.a", "float32", "109", "fail", "sequence,", "2", "pass*,", "1", "inf", "fail"])
    assert lines[first + 1] == ["unsupported"]
    assert "step   nonfinite    invariants  sequence" in str(report)
    assert "fail sequence" not in str(report)


def test_a_row_that_was_not_finished_has_the_number_of_its_checks_and_one_not_begun_is_listed() -> None:
    report = report_of(passing(), Result("sequence", interrupted=True))
    report.rows.append(Row("eggs.b", "eggs", "1.0", "float32", [Result("step", interrupted=True)]))
    text = str(report)
    assert re.search(r"\n eggs\.a .* pass\* +- .* interrupted, 1 of 2 ", text)
    assert "\nnot begun  eggs.b in float32\n" in text
    assert text.count("eggs.b") == 1
    assert "All 2 ways are unfinished; " in text
    assert "not begun" not in str(report_of(passing()))


def test_a_run_without_a_verdict_has_neither_table_nor_legend() -> None:
    screen = io.StringIO()
    Report({}, notes=["not begun  torch"]).show(Console(file=screen, width=80))
    assert screen.getvalue() == "not begun  torch\n\nNothing was judged.\n"


def test_a_notebook_shows_a_table_and_the_interpreter_a_sentence() -> None:
    report = report_of(passing(), failing("spam"), adapter="<eggs>")
    shown = report._repr_html_()
    assert shown.count("<tr>") == 2
    assert '<td style="color: red">fail</td>' in shown
    assert "&lt;eggs&gt; is wrong (sequence)" in shown
    assert "<eggs>" not in shown
    assert repr(report).startswith("<Report: <eggs> is wrong (sequence); unsupported: ")
    assert len(repr(report)) < 120


def test_the_command_writes_page_and_markdown(saved: Save, tmp_path: Path) -> None:
    page, table = tmp_path / "r.html", tmp_path / "r.md"
    asked = ("-o", str(page), "--markdown", str(table))
    assert main(["report", str(saved(report_of(passing()))), str(saved(report_of(failing()))), *asked]) == 0
    assert "1 of 2 checks did not pass." in page.read_text("utf-8")
    assert "| eggs.a | float32 | 106 |" in table.read_text("utf-8")


def test_brackets_in_a_name_or_a_version_are_no_markup() -> None:
    text = str(report_of(passing(), adapter="eggs[/a]", version="1.0[red]"))
    assert "eggs[/a]  float32" in text
    assert "eggs 1.0[red], flush denormal False" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{0}", "-o", "/no/such/r.html"], "--output: expected a file in a folder that is there, got /no/such/r.html"),
        (["{0}", "-o", "{1}", "--summary", "/no/such/r"], "--summary: expected a file in a folder that is there"),
        (["/no/such.json", "-o", "{1}"], "report: expected a file, got /no/such.json"),
        (["{2}", "-o", "{1}"], "report: expected the JSON of rnn-oracle check, got an error: JSON is malformed"),
    ],
    ids=["no folder", "no folder of another", "no file", "broken"],
)
def test_bad_usage_gives_one_sentence_and_status_2(
    saved: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    places = saved(report_of(passing())), tmp_path / "r.html", saved("spam")
    assert main(["report", *(word.format(*places) for word in arguments)]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "r.html").exists()
