"""The conclusion of a run: one sentence on all ways, one line for each reason, and a legend of three lines."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from adapters.conformance.conclusion import LEGEND, reasons, sentence, ways
from adapters.conformance.report import Failure, Report, Result, Row


def row(adapter: str, *checks: Result, dtype: str = "float32") -> Row:
    return Row(adapter, "eggs", "1.0", dtype, list(checks))


def right(adapter: str, dtype: str = "float32") -> Row:
    return row(adapter, Result("step", cases=1000), dtype=dtype)


def wrong(adapter: str, *checks: str) -> Row:
    return row(adapter, *(Result(name, failure=Failure("spam")) for name in checks))


def lacking(adapter: str, dtype: str = "float32") -> Row:
    shapes = Result("shapes", cases=5, unsupported=[f"{adapter}: T=0 is unsupported, ValueError: no step"])
    own = Result("sequence", cases=5, unsupported=["my own words"])
    options = Result("options", unsupported=[f"{adapter}: no options"])
    return row(adapter, shapes, own, options, dtype=dtype)


XFAIL = Result("long", cases=1, failure=Failure("spam"), expected_failure="eggs")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "Nothing was judged."),
        ([right("a")], "a is right in every case judged: 1,000 cases in float32."),
        (
            [right("a", "float64"), right("a"), right("b")],
            "All 2 ways are right in every case judged: 3,000 cases in float64 and float32.",
        ),
        ([wrong("a", "step", "long")], "a is wrong (step, long)."),
        (
            [wrong("a", "step"), right("b"), wrong("c", "long"), right("a", "float64")],
            "2 of 3 ways are wrong: a (step), c (long); 1 is right in every case judged: 1,000 cases in float32.",
        ),
        (
            [row("a", XFAIL), row("b", Result("step", cases=9, inconclusive=1)), row("c", Result("step"))],
            "1 of 3 ways is without a judged case: c (step); "
            "1 is undecided: b (step); 1 is wrong as expected: a (long).",
        ),
        (
            [
                row("a", Result("step", interrupted=True)),
                right("b"),
                row("c", Result("step", cases=1, expected_failure="x")),
            ],
            "1 of 3 ways is right where a failure is expected: c (step); 1 is unfinished; "
            "1 is right in every case judged: 1,000 cases in float32.",
        ),
        (
            [lacking("a"), lacking("b"), right("c")],
            "All 3 ways are right in every case judged: 1,020 cases in float32; "
            "unsupported: T=0 (2 ways), part of sequence (2 ways), options (2 ways).",
        ),
        (
            [lacking("a"), lacking("b")],
            "All 2 ways are right in every case judged: 20 cases in float32; "
            "unsupported: T=0 (all), part of sequence (all), options (all).",
        ),
        (
            [lacking("a"), right("b")],
            "All 2 ways are right in every case judged: 1,010 cases in float32; "
            "unsupported: T=0 (a), part of sequence (a), options (a).",
        ),
    ],
    ids=range(10),
)
def test_the_sentence_has_the_worst_status_of_each_way_and_what_is_unsupported(rows: list[Row], words: str) -> None:
    assert sentence(rows) == words


def test_a_reason_is_one_line_for_all_ways_and_precisions() -> None:
    assert reasons([lacking("a", "float64"), lacking("a"), lacking("b")]) == [
        "unsupported  shapes: T=0 is unsupported, ValueError: no step (a in float64, float32; b in float32)",
        "unsupported  sequence: my own words (a in float64, float32; b in float32)",
        "unsupported  options: no options (a in float64, float32; b in float32)",
    ]
    assert reasons([row("a", XFAIL)]) == ["xfail  long: eggs (a in float32)"]


def test_ways_of_the_same_precisions_share_them() -> None:
    assert ways([("a", "float64"), ("a", "float32"), ("b", "float64"), ("b", "float32")]) == "a, b in float64, float32"


@pytest.mark.parametrize("verbose", [False, True])
def test_reasons_are_printed_on_request_and_wrapped_at_words_and_failures_always(verbose: bool) -> None:
    screen = io.StringIO()
    report = Report({}, [lacking("a"), wrong("b", "step")])
    report.show(Console(file=screen, width=60), verbose=verbose)
    assert ("unsupported  sequence: my own words (a in float32)\n" in screen.getvalue()) == verbose
    assert (
        "unsupported  shapes: T=0 is unsupported, ValueError: no step\n(a in float32)\n" in screen.getvalue()
    ) == verbose
    assert "\nFAIL in step\nspam\n" in screen.getvalue()


def test_the_legend_has_three_lines_that_fit_the_narrowest_terminal() -> None:
    assert len(LEGEND.splitlines()) == 3
    assert max(map(len, LEGEND.splitlines())) <= 80
