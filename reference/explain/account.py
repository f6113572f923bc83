"""What is known of a failure, and the account of it in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reference.case import Case
from reference.explain.observed import Start
from reference.faults import FAULTS

# Of many matches so many are spelt out, to stay on one screen.
SHOWN = 6


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What is wrong with an evaluation, or with a subject, and what it looks like; ``str`` gives the account."""

    case: Case  # where it is shown
    status: str  # "pass", "fail" or "inconclusive", as of a verdict; "contract" where that was broken
    wrong: tuple[str, ...]  # quantities out of their bounds
    right: tuple[str, ...]  # quantities within them
    start: Start | None = None  # None where every quantity is right
    account: str | None = None  # of the contract that was broken
    matches: tuple[tuple[str, ...], ...] = ()  # faults, or pairs of faults, that reproduce everything
    order: tuple[str, tuple[int, ...]] | None = None  # units of what are in which order
    arithmetic: str | None = None  # what the size of the errors is like
    comparable: bool = True  # False where rounding may hide what a fault does

    @property
    def names(self) -> set[str]:
        """Names of the single faults that reproduce everything; more than one are indistinguishable here."""
        return {match[0] for match in self.matches if len(match) == 1}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        sizes = self.case.spelled
        if self.status in ("pass", "inconclusive"):
            yield (
                f"No fault: {', '.join(self.right)} are right ({sizes})."
                if self.status == "pass"
                else (f"Nothing is known to be wrong, but the bounds say too little to tell ({sizes}).")
            )
            return
        if self.account:
            yield self.account
        if self.wrong:
            right = f"; {spelt(self.right)} right" if self.right else ""
            yield f"{spelt(self.wrong)} wrong{right} ({sizes})."
        if self.start:
            yield str(self.start)
        yield from self._likeness()

    def _likeness(self) -> Iterator[str]:
        if self.order:
            what, order = self.order
            yield f"Everything returned equals the oracle's with the hidden units of {what} in the order {list(order)}."
        elif len(self.matches) == 1:
            yield "Everything returned equals the oracle's with"
            yield described(self.matches[0])
        elif self.matches:
            yield "Everything returned equals the oracle's with each of these, which are indistinguishable here:"
            yield from (described(match) for match in self.matches[:SHOWN])
            if len(self.matches) > SHOWN:
                yield f"  and {len(self.matches) - SHOWN} more"
        elif not self.comparable:
            yield "Rounding may hide what a fault does here, after so many steps or so near to a bound."
        else:
            yield "It matches nothing known: no fault of the catalogue, no two at once, no order of hidden units."
        if self.arithmetic and not self.matches:
            yield self.arithmetic


def spelt(names: Sequence[str]) -> str:
    """Return "h is" or "h, dx are"."""
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def described(match: tuple[str, ...]) -> str:
    """Return the name of a fault, or of two at once, and what their authors did wrong, indented."""
    return " and\n".join(f"  `{name}`: {FAULTS[name].description}" for name in match)
