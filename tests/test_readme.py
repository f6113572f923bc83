"""The examples, tables and numbers of every README are those of the code."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import adapters
from adapters.conformance import NAMES
from adapters.conformance.report import STATUSES
from reference.faults import CATALOGUE, COMPUTED, FAMILIES, FAULTS, OF_LAYERS
from reference.faults.gated import GATED
from reference.mutation_score import LIMIT, sensitivity

ROOT = Path(__file__).parents[1]
README, ADAPTERS, OF_FAULTS = ROOT / "README.md", ROOT / "adapters/README.md", ROOT / "reference/faults/README.md"
READMES = [
    README,
    *(path for folder in ("adapters", "reference", "tests") for path in (ROOT / folder).rglob("README.md")),
]
# README: examples it has at least
EXAMPLES = {README: 14, ADAPTERS: 10, ROOT / "reference/README.md": 15}


def test_every_readme_with_examples_is_tried() -> None:
    found = {path for path in READMES if ">>> " in path.read_text(encoding="utf-8")}
    assert found == set(EXAMPLES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_prints_what_the_readme_shows(path: Path) -> None:
    failed, tried = doctest.testfile(str(path), module_relative=False, encoding="utf-8")
    assert failed == 0
    assert tried >= EXAMPLES[path]


def test_an_example_that_prints_something_else_fails(tmp_path: Path) -> None:
    changed = README.read_text(encoding="utf-8").replace("('pass', 0.021)", "('pass', 0.022)")
    (tmp_path / "README.md").write_text(changed, encoding="utf-8")
    failed, _ = doctest.testfile(str(tmp_path / "README.md"), module_relative=False, report=False, verbose=False)
    assert failed == 1


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_every_link_leads_to_a_file_and_a_section(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text(encoding="utf-8")):
        name, _, section = target.partition("#")
        file = path.parent / name
        assert file.exists(), target
        titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE) if section else []
        assert not section or section in [title.lower().replace(" ", "-") for title in titles], target


def test_the_root_readme_has_at_most_200_lines_and_an_example_in_the_first_fifteen() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 200
    assert ">>> " in "\n".join(lines[:15])


def table_after(path: Path, marker: str) -> str:
    """Return the lines between a table's marker and the end of the table."""
    return path.read_text(encoding="utf-8").split(f"<!-- table: {marker} -->\n")[1].split("<!-- end of table")[0]


def test_the_table_has_a_row_for_every_framework() -> None:
    table = table_after(ADAPTERS, "rnn-oracle report results/*.json")
    rows = re.findall(r"^\| (\w+)\.[\w.]+ \| ", table, re.MULTILINE)
    assert sorted(set(rows)) == adapters.frameworks()


def test_the_root_readme_shows_ten_rows_of_the_table() -> None:
    shown = table_after(README, "adapters/README.md").splitlines()
    assert len(shown) == 12
    assert set(shown) <= set(table_after(ADAPTERS, "rnn-oracle report results/*.json").splitlines())


@pytest.mark.parametrize(
    ("path", "head", "names"), [(ADAPTERS, "| check | cases |", NAMES), (README, "| status | meaning |", STATUSES)]
)
def test_the_table_of_names_has_all_of_them(path: Path, head: str, names: tuple[str, ...]) -> None:
    rows = path.read_text(encoding="utf-8").split(f"{head}\n")[1].split("\n\n")[0].splitlines()[1:]
    shown = [name.strip(" *") for row in rows for name in row.split("|")[1].split(",")]
    assert set(shown) == set(names)


def test_the_root_readme_names_every_check() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in text] == []


def test_the_catalogue_has_as_many_faults_as_its_readme_shows() -> None:
    text = " ".join(OF_FAULTS.read_text(encoding="utf-8").split())
    shown = sum(len(fault.precisions) for fault in FAULTS.values())
    hidden = sum(len(fault.hidden) for fault in FAULTS.values())
    assert f"a catalogue of {len(FAULTS)} realistic mistakes" in text
    assert f"all {shown} combinations of fault and precision are caught within {LIMIT} cases" in text
    assert f"The other {hidden} are no more than a rounding" in text
    assert f"| all {len(FAULTS)} |" in table_after(OF_FAULTS, "python tests/benchmarks/methods.py")
    assert f"Each of {len(FAULTS)} faults" in README.read_text(encoding="utf-8")


def test_the_gated_cells_have_as_many_faults_as_the_readme_shows() -> None:
    text = " ".join(OF_FAULTS.read_text(encoding="utf-8").split())
    lstm, gru, before = (len(CATALOGUE[cell]) for cell in GATED)
    expected = f"The LSTM has {lstm} faults, the GRU {gru}, and the GRU with the reset before the product {before}."
    assert expected in text
    shown = sum(len(COMPUTED) - len(fault.hidden_in(cell)) for cell in GATED for fault in CATALOGUE[cell].values())
    assert f"All {shown:,} combinations with a precision are caught within {LIMIT} cases." in text


def test_the_catalogue_lists_every_fault() -> None:
    rows = [
        f"| {family} | {fault.name} | {fault.description} | {', '.join(fault.hidden) or '-'} |"
        for family, table in FAMILIES.items()
        for fault in table
    ]
    assert table_after(OF_FAULTS, "reference.faults").splitlines()[2:] == rows


def test_the_catalogue_lists_every_fault_of_several_layers() -> None:
    rows = [f"| {fault.name} | {fault.description} |" for fault in OF_LAYERS.values()]
    assert table_after(OF_FAULTS, "reference.faults.layers").splitlines()[2:] == rows
    assert f"A catalogue of {len(OF_LAYERS)} more faults" in OF_FAULTS.read_text(encoding="utf-8")


@pytest.mark.parametrize("dtype", COMPUTED)
def test_the_smallest_errors_are_those_that_the_readme_shows(dtype: str) -> None:
    head, _, *rows = (
        line.strip("| ").split(" | ") for line in table_after(OF_FAULTS, "rnn-oracle faults").splitlines()
    )
    (shown,) = (dict(zip(head, row, strict=True)) for row in rows if row[0] == dtype)
    # Correct code takes up a share of the bound, which is not the same on every machine.
    shares = {name: figure / float(shown[name]) for name, figure in sensitivity(dtype).items()}
    assert all(0.8 < share < 1.25 for share in shares.values()), shares
