"""Options of JAX's ways: a second pull-back finds what a backward uses up, and the last state has its gradient."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from adapters import Adapter, Way
from adapters.conformance import check

jax: Any = pytest.importorskip("jax")
from adapters import _jax  # noqa: E402
from adapters import jax as own  # noqa: E402


class Buffer:
    """What forward keeps for backward, outside of JAX; ``take`` returns it."""

    def __init__(self, *, uses_up: bool) -> None:
        self.uses_up, self.kept = uses_up, dict[int, Any]()

    def keep(self, key: Any, array: Any) -> Any:
        """Keep an array under a key."""
        self.kept[int(key)] = np.array(array)
        return np.int32(key)

    def take(self, key: Any) -> Any:
        """Return a copy of the array of a key, and zeros in its place from then on if it is used up."""
        array = np.array(self.kept[int(key)])
        self.kept[int(key)] *= not self.uses_up
        return array


@cache
def forward(uses_up: bool) -> Any:
    """Return the composed RNN with a backward that takes all states from a buffer."""
    buffer = Buffer(uses_up=uses_up)

    kept = jax.custom_vjp(lambda hs: hs)

    def keep(hs: Any) -> Any:
        key = jax.pure_callback(buffer.keep, jax.ShapeDtypeStruct((), np.int32), 0, jax.numpy.ones_like(hs))
        return hs, (key, hs)

    def take(residual: Any, upstream: Any) -> Any:
        key, hs = residual
        return (upstream * jax.pure_callback(buffer.take, jax.ShapeDtypeStruct(hs.shape, hs.dtype), key),)

    kept.defvjp(keep, take)
    return lambda *arguments: kept(own.scanned(*arguments))


def subject(uses_up: bool, differentiate: Any) -> Adapter:
    """Return a subject of float32."""
    (scan,) = (each for each in own.ADAPTERS if each.name == "jax.scan")
    way = Way(own.LAYOUTS, _jax.run, "scan", (forward(uses_up), differentiate))
    return replace(scan, name="mine.scan", run=way, options={}, tanh_ulps={"float32": 6.0}, takes_stacks=False)


@pytest.mark.parametrize("differentiate", [_jax.by_vjp, _jax.by_two_pull_backs], ids=["once", "twice"])
@pytest.mark.parametrize("uses_up", [False, True], ids=["kept", "used up"])
def test_only_a_second_pull_back_finds_a_buffer_that_is_used_up(uses_up: bool, differentiate: Any) -> None:
    report = check(subject(uses_up, differentiate), stacks=1, only=["invariants"], on_fail="report")
    wrong = uses_up and differentiate is _jax.by_two_pull_backs
    assert [row.status for row in report.rows] == ["fail" if wrong else "pass"], str(report)
    assert ("pull_back: expected the same gradients from a second pull-back, got others" in str(report)) == wrong


@pytest.mark.parametrize("dropped", [False, True])
def test_a_last_state_without_its_gradient_fails(dropped: bool) -> None:
    def last(*arguments: Any) -> Any:
        hs = own.last_state(*arguments)
        return jax.numpy.concatenate([hs[:-1], jax.lax.stop_gradient(hs[-1:])]) if dropped else hs

    (scan,) = (each for each in own.ADAPTERS if each.name == "jax.scan")
    options = {"last state as h[-1]": Way(own.LAYOUTS, _jax.run, "scan", (last, _jax.by_vjp))}
    mine = replace(scan, name="mine.scan", options=options, tanh_ulps={"float32": 6.0})
    report = check(mine, stacks=1, only=["options"], on_fail="report")
    assert [row.status for row in report.rows] == ["fail" if dropped else "pass"], str(report)
