"""The reproduction of a failure: the case, a script that needs NumPy and the framework alone, and a bug report."""

from __future__ import annotations

import inspect
import re
import sys
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from adapters import Adapter
from adapters.conformance.rendering import render
from reference import Case, LayersCase, Precision
from reference.archive import spell
from reference.certify import enclose
from reference.shrink import NO_FAILURE, outcome, shrink, shrink_subject
from reference.trial import trial
from reference.verdict import QUANTITIES

# Longest name of a file, without its ending.
LONGEST = 100
# The report on a failure that no single case shows.
ALONE = """# {name}

The case in `{file}` ({sizes}) passes by itself. The failure shows in this check alone:

```
{account}
```
"""
# The report on a failure in several layers.
SEVERAL = """# {name}

The case in `{file}` ({sizes}) shows the failure. `rnn-oracle explain {adapter} {file}` judges it alone.

```
{account}
```
"""
# The part of a script that calls one's own function.
OWN = '''
import sys

import numpy as np

sys.path.insert(0, {folder!r})  # the folder of {module}
from {module} import {name}
from reference import Case, Params
from reference.verdict import QUANTITIES


def compute(case, cell):
    """Return what {name} computes, by quantity, for the arrays of a case by name."""
    kind = {{"nonlinearity": cell}} if cell in ("tanh", "relu") else {{"cell": cell}}
    params = Params(**{{name: case[name] for name in ("Wx", "Wh", "b", "bn") if name in case}})
    others = {{name: array for name, array in case.items() if name not in ("Wx", "Wh", "b", "bn")}}
    case = Case(**others, **kind, params=params, finite=False)
    found = {name}({taken}
    return {{QUANTITIES[field]: np.asarray(array) for field, array in found.present().items()}}
'''
# Trials of a search for the smallest failing case, at most. A compiler may need a third of a second for each.
TRIES = 400


def reproduce(
    adapter: Adapter, case: Case | LayersCase, environment: dict[str, str], folder: Path, name: str, account: str = ""
) -> list[Path]:
    """Write ``name.npz``, and ``name.py`` and ``name.md`` where a script can show the failure.

    Args:
        adapter: the subject.
        case: a failing case, or a stack with one in it. It is shrunk first.
        environment: versions and flags that a reader needs.
        folder: receives the files; it is made if it is not there.
        name: of the files, without an ending. Characters that could lead out of the folder become underscores.
        account: the message of the failure.

    Returns:
        The paths written. Only the first if the failure shows in a probed case alone, or along a direction. The case
        as it is, and a report, if it has several layers, or does not fail by itself, as in a check of strides.
    """
    folder.mkdir(parents=True, exist_ok=True)
    precision = adapter.precision(case.dtype)
    path = folder / f"{safe(name)}.npz"
    if isinstance(case, LayersCase):
        return _as_it_is(SEVERAL, adapter, case, path, name, account)
    try:
        small = shrink(partial(is_visible, adapter, precision), case, tries=TRIES)
    except ValueError:
        return _without_script(adapter, case, precision, path, name, account)
    small.save(path)
    source, paths = adapter.script() or own_script(adapter), [path, path.with_suffix(".py"), path.with_suffix(".md")]
    if source is None or case.direction is not None:
        return paths[:1]
    for file, text in zip(paths[1:], write_down(adapter, small.unprobed(), environment, source), strict=True):
        file.write_text(text, encoding="utf-8")
    return paths


def _without_script(
    adapter: Adapter, case: Case, precision: Precision, path: Path, name: str, account: str
) -> list[Path]:
    """Write a case that fails with its probe alone; or, if it passes by itself, the case and a report."""
    try:
        shrink_subject(adapter, case, precision, tries=TRIES).save(path)
    except ValueError:
        return _as_it_is(ALONE, adapter, case, path, name, account)
    return [path]


def _as_it_is(text: str, adapter: Adapter, case: Case | LayersCase, path: Path, name: str, account: str) -> list[Path]:
    """Write the case and a report."""
    case.save(path)
    words = {"name": name, "adapter": adapter.name, "sizes": case.spelled, "file": path.name, "account": account}
    path.with_suffix(".md").write_text(text.format(**words), "utf-8")
    return [path, path.with_suffix(".md")]


def safe(name: str) -> str:
    """Return a name of a file that stays in its folder; two names that differ stay different."""
    plain = re.sub(r"[^\w.-]", "_", name)[:LONGEST]
    return plain if plain == name and name.strip(".") else f"{plain}-{zlib.crc32(name.encode('utf-8', 'replace')):08x}"


def own_script(adapter: Adapter) -> str | None:
    """Return Python text that defines ``compute`` by one's own function or adapter; None if its module has neither."""
    run = inspect.unwrap(adapter.run)
    module = sys.modules.get(getattr(run, "__module__", ""))
    file = getattr(module, "__file__", None)
    if module is None or file is None or module.__name__ == "__main__":
        return None
    found = {name: value for name, value in vars(module).items() if value is run}
    found |= {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, Adapter) and value.name == adapter.name and inspect.unwrap(value.run) is run
    }
    if not found:
        return None
    name, subject = found.popitem()
    stacked = adapter.takes_stacks and not isinstance(subject, Adapter)
    taken = "case.map(lambda array: array[None]))[0]" if stacked else "case)"
    folder = Path(file).resolve().parents[module.__name__.count(".") + (Path(file).stem == "__init__")]
    return OWN.format(folder=str(folder), module=module.__name__, name=name, taken=taken)


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
    offered = {field: bounded for field, bounded in enclosure.items() if QUANTITIES[field] in adapter.offers}
    needed = [adapter.framework] if adapter.script() else ["rnn-oracle", f"what {adapter.name} imports"]
    values: dict[str, Any] = {
        "title": f"{adapter.name} in {case.dtype}: a recurrent layer is computed wrongly",
        "adapter": adapter,
        "needs": " and ".join(
            [", ".join(["NumPy", *["ml_dtypes"] * (case.dtype == "bfloat16"), *needed[:-1]]), needed[-1]]
        ),
        "case": case,
        "sizes": spell(case.sizes),
        "versions": ", ".join(f"{name} {fact}" for name, fact in environment.items()),
        "source": source.strip(),
        "arrays": case.arrays(),
        "expected": {QUANTITIES[field]: bounded.value for field, bounded in offered.items()},
        "bounds": {QUANTITIES[field]: bounded.rounded().error for field, bounded in offered.items()},
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
