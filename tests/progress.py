"""The lines on the progress of a run, which the command line writes to standard error without a terminal."""

from __future__ import annotations

import re

LINE = re.compile(r"^\S+: (\d+ ways? in .+ verdicts?, .+|nothing to judge)$|^\S+ b?float\d+: .+, [\d,]+ cases$")


def besides_progress(err: str) -> str:
    """Return standard error without the lines on the progress of a run."""
    return "".join(line for line in err.splitlines(keepends=True) if not LINE.match(line))
