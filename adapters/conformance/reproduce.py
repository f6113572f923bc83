"""The reproduction of a failure: the case, a script that needs only NumPy and the framework, and a bug report."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from adapters import Adapter
from reference import Bounded, Case, Precision
from reference.archive import spell
from reference.certify import enclose
from reference.minimise import NO_FAILURE, minimise, outcome, smallest
from reference.trial import trial
from reference.verdict import QUANTITIES

SCRIPT = Template('''"""$title

Needs NumPy and $framework, nothing else. Exit status 1 while the fault is there, 0 once it is mended.
Found with $versions; $sizes.
"""

import sys
from typing import Any

import numpy as np

$source


def textbook(xs, h0, Wx, Wh, b, upstream):
    """Compute the textbook RNN and its gradients in float64: h[t] = f(h[t-1] @ Wh + x[t] @ Wx + b)."""
    states = [h0]
    for x in xs:
        a = states[-1] @ Wh + x @ Wx + (0 if b is None else b)
        states.append($forward)
    dh, dxs, dWx, dWh, db = 0 * h0, [], 0 * Wx, 0 * Wh, 0 * Wh[0]
    for t in reversed(range(len(xs))):
        h = states[t + 1]
        A = (upstream[t] + dh) * $derivative
        dxs.insert(0, A @ Wx.T)
        dh = A @ Wh.T
        dWx, dWh, db = dWx + xs[t].T @ A, dWh + states[t].T @ A, db + A.sum(axis=0)
    return np.array(states[1:]), np.array(dxs), dh, dWx, dWh, db


def numbers(shape, text):
    """Read numbers as float.hex writes them, which loses no bit."""
    return np.array([float.fromhex(word) for word in text.split()]).reshape(shape)


$arrays
case = [None if array is None else array.astype("$dtype") for array in (xs, h0, Wx, Wh, b, upstream)]
got = compute(*case, "$nonlinearity")
want = dict(zip(("h", "dx", "dh0", "dWx", "dWh", "db"), textbook(xs, h0, Wx, Wh, b, upstream)))

# The most that rounding in $dtype can explain, in any order of summation, for each number.
bounds = {
$bounds
}

wrong = 0
print("quantity   largest |error|   unavoidable there   outside")
for name, bound in bounds.items():
    error = np.abs(got[name].astype(float) - want[name])
    outside = ~((error <= bound) | (np.isnan(got[name]) & np.isnan(want[name])))
    worst = np.argmax(np.where(outside, np.nan_to_num(error, nan=np.inf), 0) + np.nan_to_num(error, nan=0))
    print(f"{name:8} {error.flat[worst]:17.3g} {bound.flat[worst]:19.3g} {outside.sum():5} of {outside.size}")
    wrong += outside.sum()
print("WRONG" if wrong else "right, to the last digit that the arithmetic can hold")
sys.exit(1 if wrong else 0)
''')

REPORT = Template("""# $title

$framework computes `$quantities` of a recurrent layer outside of what rounding can explain.

- versions: $versions
- the smallest case found: $sizes, $dtype, $nonlinearity
- how it is called: $describe

```
$account
```

*The bound is the most that rounding in $dtype can change, in any order of summation; it is derived, not tuned. The
script below needs NumPy and $framework alone, prints the error beside that bound, and exits with 1 while the fault is
there.*

```python
$script
```
""")

# Trials that a search for the smallest case may take; a compiler may need a third of a second for each.
TRIES = 400

DERIVATIVES = {"tanh": "(1 - h * h)", "relu": "(h > 0)"}
FORWARDS = {"tanh": "np.tanh(a)", "relu": "np.maximum(a, 0)"}


def reproduce(
    adapter: Adapter,
    case: Case,
    environment: dict[str, str],
    folder: Path,
    name: str,
    *,
    progress: Callable[[], Any] = lambda: None,
) -> list[Path]:
    """Write a failure down: ``name.npz`` and, if the adapter has a script, ``name.py`` and ``name.md``.

    Args:
        adapter: the subject.
        case: a case, or a stack with one in it, on which it fails; made as small as can be first.
        environment: the versions that a reader must know.
        folder: where the files go; made if it is not there.
        name: of the files, without an ending.
        progress: called after every trial, ``TRIES`` times at most.

    Returns:
        The paths written; only the first where the failure shows step by step alone, or along a direction.
    """
    folder.mkdir(parents=True, exist_ok=True)
    precision = adapter.precision(case.dtype)
    path = folder / f"{name}.npz"
    spent: list[None] = []

    def advance() -> None:
        spent.append(None)
        progress()

    try:
        small = minimise(partial(is_visible, adapter, precision), case, progress=advance, tries=TRIES)
    except ValueError:
        smallest(adapter, case, precision, progress=progress, tries=TRIES - len(spent)).save(path)
        return [path]
    small.save(path)
    if adapter.script() is None or case.direction is not None:
        return [path]
    script = write_script(adapter, small.unprobed(), environment)
    report = write_report(adapter, small.unprobed(), environment, script)
    paths = [path, path.with_suffix(".py"), path.with_suffix(".md")]
    for written, text in zip(paths[1:], (script, report), strict=True):
        written.write_text(text, encoding="utf-8")
    return paths


def is_visible(adapter: Adapter, precision: Precision, case: Case) -> bool:
    """Tell whether an adapter fails a single case so that it shows from its inputs alone, without a probe."""
    plain = case.unprobed()
    kind = outcome(adapter, plain, precision)
    if kind != "fail":
        return kind not in NO_FAILURE
    got, wanted = adapter(plain).fields(), enclose(plain, precision).fields()
    return any(_leaves(array, wanted[name].sealed()) for name, array in got.items() if array is not None)


def _leaves(got: Any, wanted: Bounded) -> bool:
    with np.errstate(invalid="ignore"):
        inside = np.abs(got - wanted.value) <= wanted.error
    return not (inside | (np.isnan(got) & np.isnan(wanted.value))).all()


def write_script(adapter: Adapter, case: Case, environment: dict[str, str]) -> str:
    """Return the script that reproduces a failure on a single case without a probe."""
    source = adapter.script()
    if source is None:
        raise ValueError(f"reproduce: expected an adapter with a script, got {adapter.name}")
    wanted = enclose(case, adapter.precision(case.dtype)).fields()
    arrays = {name: case.fields()[name] for name in ("xs", "h0", "Wx", "Wh", "upstream")} | {"b": case.params.b}
    bounds = [
        f'    "{name}": {literal(wanted[field].sealed().error)},'
        for field, name in QUANTITIES.items()
        if wanted.get(field) is not None
    ]
    return SCRIPT.substitute(
        _words(adapter, case, environment),
        source=source,
        forward=FORWARDS[case.nonlinearity],
        derivative=DERIVATIVES[case.nonlinearity],
        arrays="\n".join(f"{name} = {literal(array)}" for name, array in arrays.items()),
        bounds="\n".join(bounds),
    )


def write_report(adapter: Adapter, case: Case, environment: dict[str, str], script: str) -> str:
    """Return the bug report in Markdown, ready to be pasted."""
    try:
        verdict = trial(adapter, case, adapter.precision(case.dtype))
        account = f"{adapter.name} {verdict}"
        quantities = ", ".join(name for name, worst in verdict.worst.items() if worst.ratio > 1)
    except Exception as error:
        account, quantities = f"{type(error).__name__}: {error}", "the outputs and gradients"
    words = _words(adapter, case, environment)
    return REPORT.substitute(words, quantities=quantities, account=account, script=script)


def literal(array: Any) -> str:
    """Return an array as a call of the script's ``numbers``; None as None."""
    if array is None:
        return "None"
    words = " ".join(float(value).hex() for value in np.asarray(array).ravel())
    return f'numbers({np.shape(array)}, "{words}")'


def _words(adapter: Adapter, case: Case, environment: dict[str, str]) -> dict[str, str]:
    return {
        "title": f"{adapter.name} in {case.dtype}: a recurrent layer is computed wrongly",
        "framework": adapter.framework,
        "versions": ", ".join(f"{name} {fact}" for name, fact in environment.items()),
        "sizes": spell(case.unprobed().sizes),
        "dtype": case.dtype,
        "nonlinearity": case.nonlinearity,
        "describe": adapter.describe,
    }
