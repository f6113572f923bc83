"""The page is complete, inert, accessible and small, and a browser opens it without a request."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from adapters.conformance.page import render, tint
from adapters.conformance.page import write as write_text
from adapters.conformance.rendering import spell_ratio
from adapters.conformance.report import ErrorMap, Report, Result, Row
from adapters.conformance.results import write
from tests.made import ENVIRONMENT, failing, passing, report_of

CHROMIUM = shutil.which("chromium")
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=2000"),
    *("--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"),
]
SCRIPT = "<script>document.title = 'eggs'</script>"


class Page(HTMLParser):
    """The start tags of a page with their attributes, and its text; an element that is not closed is an error."""

    VOID = ("meta", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        if self.open:
            raise AssertionError(f"expected every element to be closed, got {self.open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that is closed at once."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element."""
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"expected no end of {tag}, got one")

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]


def expected() -> Result:
    """Return a check that fails as expected."""
    found = failing(name="long")
    found.expected_failure = "dWh comes transposed (an issue of eggs)"
    return found


@pytest.fixture
def whole() -> str:
    """Return a page with everything on it."""
    return render([report_of(passing(), failing(), expected(), Result("invariants", interrupted=True))])


def test_every_part_of_a_result_is_on_the_page(whole: str) -> None:
    text = " ".join(Page(whole).text.split())
    for words in (
        "2 of 4 checks did not pass.",
        "108 cases",
        "eggs.a float32 dWh[0, 1]: expected 2, got 1",
        "dWh is wrong",
        "print('spam')",
        "Unsupported eggs.a: T=0 is unsupported",
        "Undetermined db after 1000 steps",
        "Expected failure: dWh comes transposed (an issue of eggs)",
        "eggs 1.0, flush denormal False",
        "the first element outside: dWh[0, 1], 3.00 x its bound",
    ):
        assert words in text


def test_one_case_is_not_cases() -> None:
    page = render([report_of(passing(cases=1))])
    assert page.count(">1 case<") == 2
    assert "1 cases" not in page


def test_an_unknown_version_is_left_out() -> None:
    assert '<p class="soft">eggs 1.0; 104 cases' in render([report_of(passing())])
    assert '<p class="soft">eggs; 104 cases' in render([report_of(passing(), version="-")])


def test_a_page_without_a_fault_says_so() -> None:
    text = " ".join(Page(render([report_of(passing())])).text.split())
    assert "The only check was judged, and no element is outside its bound." in text
    assert "Checks that did not pass" not in text
    assert "Nothing was judged." in Page(render([report_of()])).text
    text = Page(render([report_of(passing(), Result("long"), Result("trained", unsupported=["no weights"]))])).text
    assert "1 of 2 checks did not pass." in text


def test_every_table_has_a_caption_and_every_heading_a_scope(whole: str) -> None:
    page = Page(whole)
    assert len(page.all("table")) == len(page.all("caption")) > 1
    assert {heading.get("scope") for heading in page.all("th")} == {"col", "row"}
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == 1


def test_a_map_that_scrolls_has_a_label_and_takes_the_focus(whole: str) -> None:
    page = Page(whole)
    regions = [region for region in page.all("div") if region.get("role") == "region"]
    assert len(regions) == 3
    assert all(
        {"tabindex"} <= region.keys() and region.keys() & {"aria-label", "aria-labelledby"} for region in regions
    )


def test_every_link_has_exactly_one_target(whole: str) -> None:
    page = Page(whole)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    links = [unquote(str(link["href"])) for link in page.all("a")]
    assert len(set(ids)) == len(ids)
    assert len(links) > 4
    assert {link.removeprefix("#") for link in links} <= set(ids)


@pytest.mark.parametrize("status", ["pass", "fail", "xfail", "interrupted"])
def test_every_verdict_is_a_word_and_not_a_colour_alone(whole: str, status: str) -> None:
    cell = re.search(rf'<td><a class="{status}".*?</a></td>', whole)
    assert cell is not None
    assert status in Page(cell[0]).text.split()


@pytest.mark.parametrize("where", ["message", "diagnosis", "script", "expected_failure", "name"])
def test_text_of_a_framework_is_inert(where: str) -> None:
    check = failing()
    setattr(check if hasattr(check, where) else check.failure, where, SCRIPT)
    page = render([report_of(check, adapter=SCRIPT)])
    assert "script" not in {tag for tag, _ in Page(page).tags}
    assert page.count("&lt;script&gt;") >= 2


def test_a_foreign_tag_is_seen() -> None:
    assert Page(f"<p>{SCRIPT}</p>").all("script") == [{}]


def test_a_page_needs_nothing_from_elsewhere(whole: str) -> None:
    assert not re.findall(r"https?:|@import|url\(", whole)
    assert not [link for link in Page(whole).all("link") if link.get("href") != "data:,"]


def test_a_lone_surrogate_does_not_stop_the_page(tmp_path: Path) -> None:
    write_text(render([report_of(failing("spam \ud800"))]), tmp_path / "r.html")
    assert "spam ?" in (tmp_path / "r.html").read_text("utf-8")


def test_a_page_of_a_thousand_cells_with_many_large_failures_is_below_3_megabytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    large = failing(error_map=ErrorMap.from_ratios("h", 2 * rng.random((1000, 2, 64))))
    rows = [
        Row(f"eggs.{i}", "eggs", "1", "float32", [passing(f"spam{j}") for j in range(10)] + [large] * (i < 10))
        for i in range(100)
    ]
    report = Report(ENVIRONMENT, rows, "0.1")
    assert len(render([report])) < 3_000_000
    write(report, tmp_path / "r.json")
    assert (tmp_path / "r.json").stat().st_size < 1_000_000


def cells(page: str) -> list[tuple[str, str]]:
    """Return class and text of every cell of the error map of a page, row by row."""
    return re.findall(r'<td class="(t\d[ a-z]*)">(.*?)</td>', page)


def test_a_map_has_the_ratio_of_every_element_and_frames_the_first_outside(whole: str) -> None:
    one = render([report_of(failing())])
    assert cells(one) == [("t1", "0.50"), ("t2 first", "3.00"), ("t5", "inf"), ("t0", "0.00")]
    assert len(cells(whole)) == 2 * 4
    assert not cells(render([report_of(passing())]))
    for words in (
        "Columns: the last axis. Rows: all other axes.",
        "first element outside: dWh[0, 1], 3.00 x its bound.",
    ):
        assert words in one


def test_a_cropped_map_has_the_numbers_of_its_rows_and_columns() -> None:
    ratios = np.zeros((500, 2, 100))
    ratios[300, 1, 90] = 7.0
    page = render([report_of(failing(error_map=ErrorMap.from_ratios("h", ratios)))])
    assert "Cut to 64 x 64 elements, from row 569 and column 36 on." in page
    assert len(cells(page)) == 64 * 64
    assert '<table class="map dense">' in page
    assert all(f'<th scope="row">{row}</th>' in page for row in (569, 632))
    assert all(f'<th scope="col">{column}</th>' in page for column in (36, 99))


def test_a_vector_is_a_map_without_other_axes() -> None:
    error_map = ErrorMap.from_ratios("db", np.array([0.0, 2.0]))
    assert "Columns: the last axis. The frame marks" in render([report_of(failing(error_map=error_map))])


@pytest.mark.parametrize(
    ("ratio", "number"), [(0.0, 0), (0.1, 0), (0.2, 1), (1.0, 1), (1.01, 2), (1e3, 3), (1e9, 4), (None, 5), (np.inf, 5)]
)
def test_a_tint_distinguishes_inside_from_outside(ratio: float | None, number: int) -> None:
    assert tint(ratio) == number


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(0.314, "0.31"), (0.0, "0.00"), (999.0, "999.00"), (8.3e5, "8.3e+05"), (np.inf, "inf"), (None, "inf")],
)
def test_a_ratio_is_spelled_in_few_characters(ratio: float | None, words: str) -> None:
    assert spell_ratio(ratio) == words


def browse(page: str, folder: Path) -> tuple[str, str]:
    """Open a page in a browser at a closed check; return the document of the browser and its log."""
    path = folder / "r.html"
    path.write_text(page, "utf-8")
    address = f"{path.as_uri()}#eggs.a-float32-step-0"
    command = [str(CHROMIUM), *QUIET, f"--user-data-dir={folder / 'profile'}", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout, done.stderr


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_opens_the_page_without_an_error_and_a_link_opens_its_target(whole: str, tmp_path: Path) -> None:
    document, log = browse(whole, tmp_path)
    assert "CONSOLE" not in log
    checks = [details for details in Page(document).all("details") if details.get("class") == "check"]
    # One of the four, the failure, is open from the start.
    assert ["open" in details for details in checks] == [True, True, False, False]


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_reports_a_request(whole: str, tmp_path: Path) -> None:
    _, log = browse(whole.replace("<main>", "<main><img src='http://eggs.invalid/spam.png' alt=''>"), tmp_path)
    assert "CONSOLE" in log
    assert "eggs.invalid" in log
