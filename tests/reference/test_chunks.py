"""Blocks of steps: what a case is cut into to be judged changes no verdict."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import reference.blocks
from reference import PRECISIONS, Case, Evaluation, Verdict, certify

FLOAT32 = PRECISIONS["float32"]


def judge(case: Case, answer: Evaluation, monkeypatch: pytest.MonkeyPatch, block: int) -> Verdict:
    monkeypatch.setattr(reference.blocks, "BLOCK", block)
    verdict = certify(case, answer, FLOAT32)
    # The elements are computed when they are asked for: now, by these blocks.
    assert verdict.compared
    return verdict


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("upstream", ["every", "last", "one"])
@pytest.mark.parametrize("stack", [None, 3])
def test_steps_are_judged_one_by_one_as_all_at_once(
    nonlinearity: str, upstream: str, stack: int | None, plain_rnn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case.random(9, stack=stack, dtype="float32", nonlinearity=nonlinearity, upstream=upstream).probed()
    answer = plain_rnn()(case)
    one, all_ = (judge(case, answer, monkeypatch, block) for block in (1, 10**6))
    for name, whole in all_.compared.items():
        cut = one.compared[name]
        np.testing.assert_allclose(cut.expected, whole.expected, rtol=1e-12, atol=1e-14)
        assert one.worst[name].size == all_.worst[name].size == cut.actual.size
        # A sum in nine parts has eight additions more than its 36 products.
        assert (cut.bound >= whole.bound * (1 - 1e-12)).all()
        assert (cut.bound <= whole.bound * (1 + 9 / 36)).all()
    # They were cut: a sum in parts has a larger bound.
    assert (one.compared["dWh"].bound > all_.compared["dWh"].bound).any()
    assert one.statuses == all_.statuses


def test_a_wrong_step_of_a_late_block_is_told_with_its_place(plain_rnn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case.random(9, dtype="float32").probed()
    right = plain_rnn()(case)
    hs = np.array(right.hs)
    hs[7, 2, 1] *= np.float32(1.001)
    verdict = judge(case, replace(right, hs=hs), monkeypatch, block=1)
    assert verdict.status == "fail"
    assert verdict.worst["h"].index == (7, 2, 1)
    assert verdict.compared["h"].ratio[7, 2, 1] == verdict.worst["h"].ratio
