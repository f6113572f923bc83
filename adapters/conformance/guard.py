"""What stands between an adapter and the trial, so that a broken adapter costs its own check and no other.

An adapter that returns what cannot be judged, or that ends the process, is accounted for in one sentence; what it
prints is taken up, so that a thousand lines of it do not bury the verdict.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import numpy as np

from adapters import Adapter
from reference import Case, Evaluation, Mismatch

# Field of an Evaluation: its axes.
AXES = {"hs": "TNH", "dxs": "TND", "dh0": "NH", "dWx": "DH", "dWh": "HH", "db": "H"}
AXES |= {f"{name}_dot": axes for name, axes in AXES.items()}

Run = Callable[[Case], Evaluation]


class Unusable(Mismatch):
    """A subject gave no answer that could be judged: none at all, or one of another kind, shape or dtype."""


class TimedOut(BaseException):
    """A check took longer than it may. No Exception: whatever catches those must not catch this one."""


def guarded(adapter: Adapter, printed: list[str] | None = None) -> Adapter:
    """Return an adapter that raises Unusable where it would end the process or return what cannot be judged.

    Args:
        adapter: any.
        printed: where what it prints goes, one entry a call; None leaves standard output alone.
    """

    def guard(run: Run) -> Run:
        @functools.wraps(run)
        def guarded_run(case: Case) -> Evaluation:
            # NaN and infinity are asked on purpose: that NumPy warns of them is no fault.
            with np.errstate(all="ignore"), contextlib.nullcontext() if printed is None else _taken_up(printed):
                try:
                    answer = run(case)
                except SystemExit as exit_:
                    raise Unusable(f"contract: expected an Evaluation, got sys.exit({exit_.code!r})") from exit_
            expect_answer(case, answer)
            return answer

        return guarded_run

    options = {name: guard(run) for name, run in adapter.options.items()}
    return dataclasses.replace(adapter, run=guard(adapter.run), options=options)


@contextlib.contextmanager
def _taken_up(printed: list[str]) -> Iterator[None]:
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            yield
    finally:
        if out.getvalue():
            printed.append(out.getvalue())


def shape_of(case: Case, field: str) -> tuple[int, ...]:
    """Return the shape that a field of the evaluation of a case has."""
    stack = () if case.K is None else (case.K,)
    return (*stack, *(case.sizes[axis] for axis in AXES[field]))


def axes_of(case: Case, field: str) -> str:
    """Return the axes of a field in letters: "(T, N, H)"."""
    letters = [*("K" * (case.K is not None)), *AXES[field]]
    return f"({', '.join(letters)}{',' * (len(letters) == 1)})"


def expect_answer(case: Case, answer: object) -> None:
    """Raise Unusable unless an answer is an Evaluation of arrays in the shapes and the dtype of the case."""
    if not isinstance(answer, Evaluation):
        raise Unusable(f"contract: expected an Evaluation, got {kind_of(answer)} ({case.spelled})")
    for name, array in answer.fields().items():
        if array is None:
            continue
        if not isinstance(array, np.ndarray) or array.dtype != case.xs.dtype:
            raise Unusable(f"contract: expected {name} as an array of {case.dtype}, got {kind_of(array)}")
        if array.shape != (shape := shape_of(case, name)):
            where = f"{name} of shape {axes_of(case, name)} = {shape}"
            raise Unusable(f"contract: expected {where}, got {array.shape} ({case.spelled})")


def kind_of(value: object) -> str:
    """Return what something is, in words: "None", "a list of 6", "an array of float64", "a torch.Tensor"."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    if isinstance(value, (list, tuple, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    module = type(value).__module__.partition(".")[0]
    name = type(value).__name__ if module == "builtins" else f"{module}.{type(value).__name__}"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise TimedOut in the body of a ``with`` statement once it has run for so long.

    There is none where the platform has no timers, in another thread than the main one, or where a timer is running
    already, as that of a test runner; and code that does not come back to Python ends before it is told.

    Args:
        seconds: the limit; None or infinity for none.
    """
    possible = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if seconds is None or seconds > threading.TIMEOUT_MAX or not possible or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def ring(signum: int, frame: FrameType | None) -> None:
        raise TimedOut(f"expected an answer within {seconds:g} s, got none")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
