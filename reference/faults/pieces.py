"""Calls of correct code for a few steps at a time, so that no gradient crosses from piece to piece."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from reference.case import Case
from reference.evaluation import Evaluation
from reference.faults.fault import Change, weights
from reference.trial import Subject


def pieces(length: int, *, carry: bool) -> Change:
    """Return a change of ``calls`` that calls correct code for a few steps at a time."""
    return lambda run, case, kept: piecewise(run, case, range(0, case.sizes["T"], length), carry=carry)


def piecewise(run: Subject, case: Case, starts: Sequence[int], *, carry: bool) -> Evaluation:
    """Evaluate a few steps at a time, each piece as its own sequence. Gradients do not cross between pieces.

    Args:
        run: correct code.
        case: one case or a stack; T at least 1.
        starts: first step of each piece; the first is 0.
        carry: whether each piece starts from the last state of the previous piece; otherwise all start from h0.

    Returns:
        The evaluation of the whole sequence. The parameter gradients of the pieces are added, and so are the gradients
        of h0 if all pieces start from it.
    """
    parts: list[Evaluation] = []
    for start, end in pairwise([*starts, case.sizes["T"]]):
        fields = {name: getattr(case, name)[..., start:end, :, :] for name in ("xs", "upstream")}
        if parts and carry:
            fields |= {"h0": parts[-1].hs[..., -1, :, :]} | ({} if case.c0 is None else {"c0": parts[-1].c})
        if case.upstream_c is not None and end < case.sizes["T"]:
            fields["upstream_c"] = 0 * case.upstream_c
        parts.append(run(case.replacing(**fields, finite=False)))
    hs, dxs = (np.concatenate([getattr(part, name) for part in parts], axis=-3) for name in ("hs", "dxs"))
    initial = [f"d{state}0" for state in case.cell_type.states]
    summed = [*weights(case, parts[0]), *([] if carry else initial)]
    sums = {name: np.sum([getattr(part, name) for part in parts], axis=0, dtype=case.xs.dtype) for name in summed}
    return parts[0].replacing(hs=hs, c=parts[-1].c, dxs=dxs, **sums)
