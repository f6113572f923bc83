"""What one check found about one adapter in one dtype."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adapters.conformance.heat import Heat
from reference import Case, Verdict

# What there is to say of a status that is not good, though nothing failed.
WITHOUT_FAILURE = {
    "stale": "expected a failure, got none: {0.known}",
    "inconclusive": "expected bounds that can tell, got {0.inconclusive} of {0.cases} cases that are inconclusive",
    "empty": "expected cases to be judged, got none",
}
# The bins of the histogram, in decades of the largest |error| / bound of a case; what lies beyond is in the outermost.
LOWEST, HIGHEST, BINS = -4, 1, 20
EDGES = np.logspace(LOWEST, HIGHEST, BINS + 1)[1:-1]


class Part(NamedTuple):
    """Which examples of a check were asked for: every ``parts``-th of so many, from the ``part``-th on."""

    seed: int
    part: int  # from 1 on
    parts: int
    examples: int  # of the check in the whole run

    @property
    def indices(self) -> range:
        """Those examples, by their number from 0 on."""
        return range(self.part - 1, self.examples, self.parts)


@dataclass
class Result:
    """What one check found about one adapter in one dtype, kept up to date while it runs."""

    name: str
    cases: int = 0
    examples: int = 0
    inconclusive: int = 0
    worst: dict[str, float] = field(default_factory=dict)  # quantity: largest |error| / bound
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)  # cases by their largest |error| / bound
    resolutions: list[float] = field(default_factory=list)  # of the coarsest quantity of every case
    refusals: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)  # of what no bound can tell anything, and why
    failure: str | None = None
    crashed: bool = False  # the failure is an error that was raised, not a wrong answer
    known: str | None = None  # why a failure is expected, and where that is written down
    counterexample: Case | None = None
    diagnosis: str | None = None
    reproduction: list[Path] = field(default_factory=list)
    script: str | None = None  # the text of the script among them
    heat: Heat | None = None  # where the failure lies
    interrupted: bool = False
    asked: list[Part] = field(default_factory=list)  # of one run, or of several put together; none: a whole run

    @property
    def status(self) -> str:
        """Give "fail", "stale", "known", "interrupted", "inconclusive", "refused", "empty" or "pass".

        Stale: a failure was expected, and there is none in a whole run; what a shard leaves out may have it. Refused:
        nothing was on offer. Empty: nothing was judged.
        """
        if self.failure is not None:
            return "known" if self.known else "fail"
        if self.interrupted:
            return "interrupted"
        if self.known and self.is_whole:
            return "stale"
        if self.inconclusive:
            return "inconclusive"
        if not self.cases:
            return "refused" if self.refusals else "empty"
        return "pass"

    @property
    def is_whole(self) -> bool:
        """Whether all examples of some run were asked for, be it in several parts."""
        runs = {(part.seed, part.examples) for part in self.asked}
        seen = {
            run: {i for part in self.asked if run == (part.seed, part.examples) for i in part.indices} for run in runs
        }
        return not self.asked or any(len(seen[run]) == run[1] for run in runs)

    @property
    def failed(self) -> bool:
        """Whether it failed on a case that is at hand, and not as is known."""
        return self.status == "fail" and self.counterexample is not None

    @property
    def resolution(self) -> float | None:
        """Median over the cases of bound / scale of value, of the coarsest quantity; None before the first case."""
        return float(np.median(self.resolutions)) if self.resolutions else None

    @property
    def account(self) -> list[str]:
        """What a person reads of a failure: what failed, where it starts, what it looks like, where it is written."""
        if self.failure is None:
            return [WITHOUT_FAILURE.get(self.status, self.status).format(self)]
        written = [f"written: {path}" for path in self.reproduction]
        return [self.failure, *([self.diagnosis] if self.diagnosis else []), *written]

    def add(self, verdict: Verdict) -> None:
        """Count the cases of a verdict."""
        self.cases += len(verdict.statuses)
        self.inconclusive += verdict.statuses.count("inconclusive")
        for name, worst in verdict.worst.items():
            self.worst[name] = max(self.worst.get(name, 0.0), worst.ratio)
        counts = np.bincount(np.searchsorted(EDGES, verdict.ratios), minlength=BINS)
        self.histogram = [old + int(new) for old, new in zip(self.histogram, counts, strict=True)]
        self.resolutions += verdict.resolutions.tolist()

    @property
    def is_partial(self) -> bool:
        """Whether something was refused, or left because nothing can be told of it, beside what was judged."""
        return bool(self.refusals or self.untold)

    def refuse(self, refusal: str) -> None:
        """Note a refusal, once."""
        if refusal not in self.refusals:
            self.refusals.append(refusal)

    def leave(self, untold: str) -> None:
        """Note what is not judged because no bound can tell anything of it, once."""
        if untold not in self.untold:
            self.untold.append(untold)
