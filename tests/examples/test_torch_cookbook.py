"""Every mistake in the cookbook gives the lines that it shows, and the subject without it passes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from adapters.conformance import check
from reference import Mismatch
from tests.patched import patched

README = Path(__file__).with_name("README.md").read_text("utf-8")
FENCE = r"```\n(.*?)```\n"
CHANGES = re.findall(rf"<!-- change: (\w+)\.(\w+) -->\n{FENCE}{FENCE}", README, re.DOTALL)
NAMES = [name for name, *_ in CHANGES]


def subject(name: str, attribute: str, *changes: tuple[str, str]) -> Any:
    """Return a subject, or skip the test with the reason why it cannot run."""
    if name == "c_kernel" and not shutil.which("cc"):
        pytest.skip("there is no C compiler: cc")
    pytest.importorskip(name.partition("_")[0] if name != "c_kernel" else "numpy")
    return getattr(patched(name, *changes), attribute)


def test_the_cookbook_has_a_mistake_in_each_language() -> None:
    assert NAMES == ["torch_fused", "c_kernel", "numba_kernel"]


@pytest.mark.parametrize(("name", "attribute", "change", "shown"), CHANGES, ids=NAMES)
def test_a_mistake_gives_the_lines_that_are_shown(name: str, attribute: str, change: str, shown: str) -> None:
    old, new = change.splitlines()
    with pytest.raises(Mismatch) as caught:
        check(subject(name, attribute, (old, new)), dtypes=["float32"], only=["step", "sequence", "extremes"])
    account = [*dict.fromkeys(str(caught.value).splitlines())]
    assert [line for line in account if line in shown.splitlines()] == shown.splitlines()


@pytest.mark.parametrize(("name", "attribute"), [each[:2] for each in CHANGES], ids=NAMES)
def test_without_the_mistake_it_passes(name: str, attribute: str) -> None:
    report = check(subject(name, attribute), dtypes=["float32"], only=["step", "sequence", "extremes"], stacks=2)
    assert [row.status for row in report.rows] == ["pass"]
