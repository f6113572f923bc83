"""The reproduction of a failure: the case, a script that judges it again, and a bug report.

The script of a framework needs NumPy and the framework alone, if it can show the failure. Any other imports the subject
by its own name, and needs this project.
"""

from __future__ import annotations

import re
import sys
import zlib
from contextlib import suppress
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np

from adapters import Adapter, frameworks
from adapters.conformance.judge import subject_of
from adapters.conformance.rendering import render
from reference import Case, LayersCase, Precision
from reference.archive import Archive
from reference.certify import enclose
from reference.shrink import NO_FAILURE, outcome, shrink, shrink_layers, shrink_subject
from reference.trial import trial
from reference.verdict import QUANTITIES

# Longest name of a file, without its ending.
LONGEST = 100
# The report on a failure without a script.
ALONE = """# {name}

The case in `{file}` ({sizes}) {shows}:

```
{account}
```
"""
# Trials of a search for the smallest failing case, at most. A compiler may need a third of a second for each.
TRIES = 400
# Numbers that a script has as text, at most. A larger case is read from its file.
WRITTEN = 5000


def reproduce(
    adapter: Adapter, case: Case | LayersCase, environment: dict[str, str], folder: Path, name: str, account: str = ""
) -> list[Path]:
    """Write ``name.npz``, a script ``name.py`` that exits with 1 while the failure is there, and a report ``name.md``.

    Args:
        adapter: the subject.
        case: a failing case, or a stack with one in it. It is shrunk first.
        environment: versions and flags that a reader needs.
        folder: receives the files; it is made if it is not there.
        name: of the files, without an ending. Characters that could lead out of the folder become underscores.
        account: the message of the failure.

    Returns:
        The paths written. There is no script if the case does not fail by itself, as in a check of strides, or if no
        module has the subject.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, texts, shows = folder / f"{safe(name)}.npz", {}, "shows the failure"
    try:
        case, source = smallest(adapter, case)
    except ValueError:
        shows = "passes by itself. The failure shows in this check alone"
    else:
        texts = write_down(adapter, case, environment, source, path.name)
    case.save(path)
    words = {"name": name, "file": path.name, "sizes": case.spelled, "shows": shows, "account": account}
    texts = texts or {".md": ALONE.format(**words)}
    for ending, text in texts.items():
        path.with_suffix(ending).write_text(text, "utf-8", "replace")
    return [path, *map(path.with_suffix, texts)]


def smallest(adapter: Adapter, case: Case | LayersCase) -> tuple[Case | LayersCase, str | None]:
    """Return the smallest case that fails by itself, and the text of the framework's file if that is enough to show it.

    Raises:
        ValueError: the case does not fail by itself.
    """
    precision = adapter.precision(case.dtype)
    if isinstance(case, LayersCase):
        return shrink_layers(subject_of(adapter, case), case, precision), None
    if case.direction is None and not adapter.origin and (source := adapter.script()):
        with suppress(ValueError):  # it shows with the probe alone
            return shrink(partial(is_visible, adapter, precision), case, tries=TRIES).unprobed(), source
    return shrink_subject(adapter, case, precision, tries=TRIES), None


def safe(name: str) -> str:
    """Return a name of a file that stays in its folder; two names that differ stay different."""
    plain = re.sub(r"[^\w.-]", "_", name)[:LONGEST]
    return plain if plain == name and name.strip(".") else f"{plain}-{zlib.crc32(name.encode('utf-8', 'replace')):08x}"


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


def write_down(
    adapter: Adapter, case: Case | LayersCase, environment: dict[str, str], source: str | None, file: str
) -> dict[str, str]:
    """Return the script and the bug report for a failure on a single case, by ending; nothing if no module has it.

    Args:
        adapter: the subject.
        case: the case; without a probe if there is a source.
        environment: versions and flags that a reader needs.
        source: of the adapter, as ``Adapter.script`` returns it; None for a script that imports the subject.
        file: name of the file of the case, beside the script.
    """
    called = repr(adapter.name)[1:-1].replace('"', "'")  # in a docstring
    if source and isinstance(case, Case):
        template, own, needs = "script.py.jinja", compared(adapter, case, source), [adapter.framework]
    elif own := judged(adapter, case, file):
        template, needs = "judged.py.jinja", ["rnn-oracle", f"what {called} imports"]
    else:
        return {}
    needs = [", ".join(["NumPy", *["ml_dtypes"] * (case.dtype == "bfloat16"), *needs[:-1]]), needs[-1]]
    values: dict[str, Any] = {
        "title": f"{called} in {case.dtype}: a recurrent layer is computed wrongly",
        "adapter": adapter,
        "needs": " and ".join(needs),
        "case": case,
        "versions": ", ".join(f"{name} {fact}" for name, fact in environment.items()),
    }
    script = render(template, {"literal": literal}, **values, **own)
    try:
        verdict = trial(subject_of(adapter, case), case, adapter.precision(case.dtype))
        account = f"{adapter.name} {verdict}"
        quantities = ", ".join(verdict.wrong)
    except Exception as error:
        account, quantities = f"{type(error).__name__}: {error}", "the outputs and gradients"
    report = render("bug_report.md.jinja", account=account, quantities=quantities, script=script, **values)
    return {".py": script, ".md": report}


def compared(adapter: Adapter, case: Case, source: str) -> dict[str, Any]:
    """Return the values of a script that compares the results of a framework with the expected ones."""
    enclosure = enclose(case, adapter.precision(case.dtype)).present()
    offered = {
        QUANTITIES[field]: bounded for field, bounded in enclosure.items() if QUANTITIES[field] in adapter.offers
    }
    return {
        "source": source.strip(),
        "arrays": case.arrays(),
        "expected": {name: bounded.value for name, bounded in offered.items()},
        "bounds": {name: bounded.rounded().error for name, bounded in offered.items()},
    }


def judged(adapter: Adapter, case: Case | LayersCase, file: str) -> dict[str, Any]:
    """Return the values of a script that imports a subject and judges it; none if no module has the subject."""
    is_large = sum(array.size for array in case.ndarrays().values()) > WRITTEN
    found = {"file": file if is_large else None, "kind": type(case).__name__, "code": "" if is_large else code_of(case)}
    module, _, subject = adapter.origin.partition(":")
    if not module and adapter.framework in frameworks():
        return found | {"folder": None, "module": "adapters", "attribute": "load", "rest": f"({adapter.name!r})[0]"}
    if not (path := getattr(sys.modules.get(module), "__file__", None)):
        return {}
    folder = Path(path).resolve().parents[module.count(".") + (Path(path).stem == "__init__")]
    name = re.split(r"\W", subject)[0]
    where = {"folder": repr(str(folder)), "module": module}
    return found | where | {"attribute": name, "rest": subject.removeprefix(name)}


def code_of(value: Any) -> str:
    """Return a record of arrays as Python code, without its fields that are None."""
    if isinstance(value, np.ndarray):
        return literal(value)
    if isinstance(value, Archive):
        fields = (f"{name}={code_of(one)},\n" for name, one in vars(value).items() if one is not None)
        return f"{type(value).__name__}(\n{indent(''.join(fields), '    ')})"
    return f"({''.join(f'{code_of(one)}, ' for one in value)})" if isinstance(value, tuple) else repr(value)


def literal(array: Any) -> str:
    """Return an array as a call of the script's ``numbers``."""
    words = " ".join(float(value).hex() for value in np.asarray(array).ravel())
    return f'numbers({np.shape(array)}, "{words}")'
