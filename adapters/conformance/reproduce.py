"""The reproduction of a failure: the case, a script that needs NumPy and the framework alone, and a bug report."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from adapters import Adapter
from adapters.conformance.rendering import render
from reference import Case, Precision
from reference.archive import spell
from reference.certify import enclose
from reference.shrink import NO_FAILURE, outcome, shrink, shrink_subject
from reference.trial import trial
from reference.verdict import QUANTITIES

# Trials of a search for the smallest failing case, at most. A compiler may need a third of a second for each.
TRIES = 400


def reproduce(adapter: Adapter, case: Case, environment: dict[str, str], folder: Path, name: str) -> list[Path]:
    """Write ``name.npz`` and, if the adapter has a script, ``name.py`` and ``name.md``.

    Args:
        adapter: the subject.
        case: a failing case, or a stack with one in it. It is shrunk first.
        environment: versions and flags that a reader needs.
        folder: receives the files; it is made if it is not there.
        name: of the files, without an ending. Characters that could lead out of the folder become underscores.

    Returns:
        The paths written: only the first if the failure shows in a probed case alone, or along a direction.
    """
    folder.mkdir(parents=True, exist_ok=True)
    precision = adapter.precision(case.dtype)
    path = folder / (re.sub(r"[^\w.-]", "_", name) + ".npz")
    try:
        small = shrink(partial(is_visible, adapter, precision), case, tries=TRIES)
    except ValueError:
        shrink_subject(adapter, case, precision, tries=TRIES).save(path)
        return [path]
    small.save(path)
    source, paths = adapter.script(), [path, path.with_suffix(".py"), path.with_suffix(".md")]
    if source is None or case.direction is not None:
        return paths[:1]
    for file, text in zip(paths[1:], write_down(adapter, small.unprobed(), environment, source), strict=True):
        file.write_text(text, encoding="utf-8")
    return paths


def is_visible(adapter: Adapter, precision: Precision, case: Case) -> bool:
    """Tell whether an adapter fails a single case without a probe, by the enclosure of the whole run alone."""
    plain = case.unprobed()
    kind = outcome(adapter, plain, precision)
    if kind != "fail":
        return kind not in NO_FAILURE
    expected = enclose(plain, precision).fields()
    return any(_is_outside(array, expected[name].rounded()) for name, array in adapter(plain).present().items())


def _is_outside(actual: Any, expected: Any) -> bool:
    with np.errstate(invalid="ignore"):
        inside = np.abs(actual - expected.value) <= expected.error
    return not (inside | (np.isnan(actual) & np.isnan(expected.value))).all()


def write_down(adapter: Adapter, case: Case, environment: dict[str, str], source: str) -> tuple[str, str]:
    """Return the script and the bug report for a failure on a single case without a probe.

    Args:
        adapter: the subject.
        case: the case.
        environment: versions and flags that a reader needs.
        source: of the adapter, as ``Adapter.script`` returns it.
    """
    enclosure = enclose(case, adapter.precision(case.dtype)).present()
    values: dict[str, Any] = {
        "title": f"{adapter.name} in {case.dtype}: a recurrent layer is computed wrongly",
        "adapter": adapter,
        "needs": f"NumPy{', ml_dtypes' * (case.dtype == 'bfloat16')} and {adapter.framework}",
        "case": case,
        "sizes": spell(case.sizes),
        "versions": ", ".join(f"{name} {fact}" for name, fact in environment.items()),
        "source": source.strip(),
        "arrays": case.arrays(),
        "expected": {QUANTITIES[field]: bounded.value for field, bounded in enclosure.items()},
        "bounds": {QUANTITIES[field]: bounded.rounded().error for field, bounded in enclosure.items()},
    }
    script = render("script.py.jinja", {"literal": literal}, **values)
    try:
        verdict = trial(adapter, case, adapter.precision(case.dtype))
        account = f"{adapter.name} {verdict}"
        quantities = ", ".join(verdict.wrong)
    except Exception as error:
        account, quantities = f"{type(error).__name__}: {error}", "the outputs and gradients"
    return script, render("bug_report.md.jinja", account=account, quantities=quantities, script=script, **values)


def literal(array: Any) -> str:
    """Return an array as a call of the script's ``numbers``."""
    words = " ".join(float(value).hex() for value in np.asarray(array).ravel())
    return f'numbers({np.shape(array)}, "{words}")'
