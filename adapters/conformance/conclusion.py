"""The conclusion of a run: one sentence on all ways, and each reason why something was not judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from adapters.conformance.result import STATUSES

if TYPE_CHECKING:
    from adapters.conformance.report import Row

# A way has the worst status of its rows.
WORDS = {
    "fail": "wrong",
    "xpass": "right where a failure is expected",
    "not judged": "without a judged case",
    "interrupted": "unfinished",
    "inconclusive": "undecided",
    "xfail": "wrong as expected",
    "pass": "right in every case judged",
    "unsupported": "unable to run a case",
}
# At most 80 columns, as the narrowest terminal has.
LEGEND = """\
pass         within its bound in every element; *: --verbose lists the rest
fail, xpass  outside its bound, or an error; a failure was expected in vain
unsupported  an error in all cases; worst: largest |error| / bound"""


def sentence(rows: Sequence[Row]) -> str:
    """Return one sentence: which ways are wrong, how many are right, and what they do not support."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.adapter, []).append(row)
    clauses = list[str]()
    for status in STATUSES:
        those = {
            name: own for name, own in found.items() if min((row.status for row in own), key=STATUSES.index) == status
        }
        if those:
            who = _who(those, len(found), is_first=not clauses)
            clauses.append(f"{who} {WORDS[status]}{_details(status, those, alone=len(found) == 1)}")
    return "; ".join([*clauses, *_missing(rows, len(found))] or ["Nothing was judged"]) + "."


def _who(names: Iterable[str], total: int, *, is_first: bool) -> str:
    first, *others = names
    if total == 1:
        return f"{first} is"
    if len(others) + 1 == total:
        return f"All {total} ways are"
    return f"{len(others) + 1}{f' of {total} ways' * is_first} {'are' if others else 'is'}"


def _details(status: str, found: dict[str, list[Row]], *, alone: bool) -> str:
    """Return the number of cases that are right, or the ways of another status and their checks."""
    if status == "pass":
        rows = [row for own in found.values() for row in own]
        return f": {sum(row.cases for row in rows):,} cases in {listed(row.dtype for row in rows)}"
    if status == "interrupted":  # the table and the list below it have the names
        return ""
    checks = {
        name: ", ".join(dict.fromkeys(check.name for row in own for check in row.checks if check.status == status))
        for name, own in found.items()
    }
    told = {name: f" ({some})" * (bool(some) and status != "unsupported") for name, some in checks.items()}
    return "".join(told.values()) if alone else ": " + ", ".join(name + some for name, some in told.items())


def _missing(rows: Sequence[Row], total: int) -> list[str]:
    """Return clauses on what was unsupported or undetermined, each with the number of its ways."""
    found: dict[str, dict[str, dict[str, None]]] = {}
    for row, check, kind, reason in remarks(rows):
        whole, head = f"part of {check}", reason.partition(" is unsupported, ")
        if kind == "unsupported" and head[1]:
            whole = head[0]
        elif any(each.name == check and each.status == "unsupported" for each in row.checks):
            whole = check
        found.setdefault(kind, {}).setdefault(whole, {})[row.adapter] = None
    found.pop("xfail", None)
    return [
        f"{kind}: {', '.join(what + _count([*names], total) for what, names in wholes.items())}"
        for kind, wholes in found.items()
    ]


def _count(names: Sequence[str], total: int) -> str:
    if total == 1:
        return ""
    return f" ({names[0] if len(names) == 1 else 'all' if len(names) == total else f'{len(names)} ways'})"


def remarks(rows: Sequence[Row]) -> Iterable[tuple[Row, str, str, str]]:
    """Yield row, check, kind and reason of each unsupported input, undetermined quantity and expected failure."""
    for row in rows:
        for check in row.checks:
            expected = [check.expected_failure] if check.status == "xfail" and check.expected_failure else []
            kinds = {"unsupported": check.unsupported, "undetermined": check.undetermined, "xfail": expected}
            for kind, texts in kinds.items():
                for text in texts:
                    yield row, check.name, kind, text.removeprefix(f"{row.adapter}: ")


def reasons(rows: Sequence[Row]) -> list[str]:
    """Return one line for each reason, with its checks, ways and dtypes."""
    found: dict[tuple[str, str], tuple[dict[str, None], dict[tuple[str, str], None]]] = {}
    for row, check, kind, reason in remarks(rows):
        checks, pairs = found.setdefault((kind, reason), ({}, {}))
        checks[check] = pairs[row.adapter, row.dtype] = None
    return [
        f"{kind}  {', '.join(checks)}: {reason} ({ways(pairs)})" for (kind, reason), (checks, pairs) in found.items()
    ]


def ways(pairs: Iterable[tuple[str, str]]) -> str:
    """Return adapters and their dtypes, as in "torch.RNN, jax.scan in float64, float32"."""
    dtypes: dict[str, list[str]] = {}
    for adapter, dtype in pairs:
        dtypes.setdefault(adapter, []).append(dtype)
    alike: dict[str, list[str]] = {}
    for adapter, found in dtypes.items():
        alike.setdefault(", ".join(found), []).append(adapter)
    return "; ".join(f"{', '.join(names)} in {found}" for found, names in alike.items())


def listed(words: Iterable[str]) -> str:
    """Return words once each, the last after "and"."""
    *first, last = dict.fromkeys(words)
    return f"{', '.join(first)} and {last}" if first else last
