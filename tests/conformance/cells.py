"""Cells that a user might write: a right one, and wrong ones of every kind."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from reference import Case, Evaluation, evaluate
from reference.faults import compute


def right(case: Case) -> Evaluation:
    """Return the right evaluation."""
    return compute(case)


def doubled(case: Case) -> Evaluation:
    """Add the gradients of two biases."""
    answer = compute(case)
    return answer if answer.db is None else dataclasses.replace(answer, db=2 * answer.db)


def averaged(case: Case) -> Evaluation:
    """Take the mean over the rows instead of the sum."""
    answer = compute(case)
    rows = np.asarray(max(case.sizes["N"], 1), case.xs.dtype)
    return answer if answer.db is None else dataclasses.replace(answer, db=answer.db / rows)


def transposed(case: Case) -> Evaluation:
    """Return dWx and dWh transposed."""
    answer = compute(case)
    return dataclasses.replace(answer, dWx=np.array(answer.dWx.mT), dWh=np.array(answer.dWh.mT))


def only_dwh_transposed(case: Case) -> Evaluation:
    """Return dWh transposed."""
    answer = compute(case)
    return dataclasses.replace(answer, dWh=np.array(answer.dWh.mT))


def batch_first(case: Case) -> Evaluation:
    """Return (N, T, H) for (T, N, H)."""
    answer = compute(case)
    return dataclasses.replace(answer, hs=np.array(answer.hs.swapaxes(0, 1)), dxs=np.array(answer.dxs.swapaxes(0, 1)))


def without_batch(case: Case) -> Evaluation:
    """Forget the batch in hs."""
    answer = compute(case)
    return dataclasses.replace(answer, hs=np.array(answer.hs[:, 0]))


def without_dwh(case: Case) -> Evaluation:
    """Leave dWh out."""
    return dataclasses.replace(compute(case), dWh=None)


def without_hs(case: Case) -> Evaluation:
    """Leave hs out."""
    return dataclasses.replace(compute(case), hs=None)


def in_float64(case: Case) -> Evaluation:
    """Return float64 for every dtype."""
    return evaluate(case)


def lists(case: Case) -> Evaluation:
    """Return dh0 as a list."""
    answer = compute(case)
    return dataclasses.replace(answer, dh0=answer.dh0.tolist())


def objects(case: Case) -> Evaluation:
    """Return objects that are no arrays."""
    return dataclasses.replace(compute(case), dh0=right)


def unsummed(case: Case) -> Evaluation:
    """Return db for every row of the batch."""
    answer = compute(case)
    rows = None if answer.db is None else np.stack([answer.db / case.sizes["N"]] * case.sizes["N"])
    return dataclasses.replace(answer, db=rows)


def two_biases(case: Case) -> Evaluation:
    """Concatenate the gradients of two biases."""
    answer = compute(case)
    return dataclasses.replace(answer, db=np.concatenate([answer.db, answer.db]))


def in_a_column(case: Case) -> Evaluation:
    """Return db as (1, H)."""
    answer = compute(case)
    return dataclasses.replace(answer, db=answer.db[None])


def negative(case: Case) -> Evaluation:
    """Return dh0 with the wrong sign."""
    answer = compute(case)
    return dataclasses.replace(answer, dh0=-answer.dh0)


def sharing(case: Case) -> Evaluation:
    """Return right numbers, in part in the memory of the case."""
    answer = compute(case)
    object.__setattr__(case, "h0", answer.dh0)
    return answer


def without_relu(case: Case) -> Evaluation:
    """Compute tanh for every nonlinearity."""
    return compute(dataclasses.replace(case, nonlinearity="tanh"))


def needing_a_bias(case: Case) -> Evaluation:
    """Add a bias, even if there is none."""
    bias: Any = case.params.b
    return compute(case) if (0 + bias).size else nothing(case)


def with_four_gates(case: Case) -> Evaluation:
    """Return db with a block for each of four gates."""
    answer = compute(case)
    return dataclasses.replace(answer, db=np.tile(answer.db, 4))


def with_three_gates(case: Case) -> Evaluation:
    """Return db with a block for each of three gates."""
    answer = compute(case)
    return dataclasses.replace(answer, db=np.tile(answer.db, 3))


def needing_a_step(case: Case) -> Evaluation:
    """Read the first step, even if there are no steps."""
    return compute(case) if case.xs[0].size >= 0 else nothing(case)


def needing_a_row(case: Case) -> Evaluation:
    """Read the first row, even if there are no rows."""
    return compute(case) if case.h0[0].size else nothing(case)


def with_a_bias_always(case: Case) -> Evaluation:
    """Return the gradient of a bias, even if there is none."""
    answer = compute(case)
    return answer if answer.db is not None else dataclasses.replace(answer, db=0 * answer.dWh[..., 0])


def nothing(case: Case) -> Any:
    """Return None."""


def a_list(case: Case) -> Any:
    """Return a list instead of an Evaluation."""
    return list(compute(case).fields().values())


def mutating(case: Case) -> Evaluation:
    """Write to its input."""
    case.h0[...] = 0
    return compute(case)


def crashing(case: Case) -> Evaluation:
    """Raise."""
    raise RuntimeError("the kernel died")


def crashing_on_sequences(case: Case) -> Evaluation:
    """Raise on more than one step."""
    if case.sizes["T"] > 1:
        raise RuntimeError("the loop died")
    return compute(case)


def crashing_on_reversed_memory(case: Case) -> Evaluation:
    """Raise if a stride is negative."""
    if min(case.xs.strides) < 0:
        raise ValueError("negative strides")
    return compute(case)


def leaving(case: Case) -> Evaluation:
    """End the process."""
    raise SystemExit(3)


def interrupting(case: Case) -> Evaluation:
    """Raise KeyboardInterrupt."""
    raise KeyboardInterrupt


def hanging(case: Case) -> Evaluation:
    """Hang on a sequence, and catch every Exception."""
    while case.sizes["T"] > 1:
        try:
            time.sleep(60)
        except Exception:
            continue
    return compute(case)


def hanging_once_it_is_small(case: Case) -> Evaluation:
    """Return wrong results for sequences, and hang on a single step."""
    if case.sizes["T"] == 1:
        time.sleep(60)
    return doubled(case)


def printing(case: Case) -> Evaluation:
    """Print during the computation."""
    print("step by step\nby step")  # noqa: T201
    return compute(case)
