"""A second pull-back of one forward: ``adapters.torch.pull_back`` finds a backward that uses up what it saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapters import Adapter
from adapters.conformance import check
from reference import Case, Evaluation

torch: Any = pytest.importorskip("torch")
from adapters.torch import as_array, as_tensor, pull_back  # noqa: E402


def right(saved: Any, A: Any) -> Any:
    """Leave what was saved as it is."""
    return A


def consuming(saved: Any, A: Any) -> Any:
    """Write over the saved states, which PyTorch cannot see behind ``data``."""
    saved.data.zero_()
    return A


class Accumulating:
    """Add to a buffer that no call clears."""

    def __call__(self, saved: Any, A: Any) -> Any:
        """Return what the buffer has."""
        saved.total = A + getattr(saved, "total", 0)
        return saved.total


def layer(after: Any) -> Any:
    """Return the function of one step with a backward by hand, which ``after`` spoils."""

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, h: Any, Wx: Any, Wh: Any, b: Any) -> Any:
            new = torch.tanh(x @ Wx + h @ Wh + b)
            ctx.save_for_backward(x, h, Wx, Wh)
            ctx.new = new.detach().clone()
            return new

        @staticmethod
        def backward(ctx: Any, upstream: Any) -> Any:
            x, h, Wx, Wh = ctx.saved_tensors
            A = after(ctx.new, upstream * (1 - ctx.new**2))
            return A @ Wx.T, A @ Wh.T, x.T @ A, h.T @ A, A.sum(0)

    return Step.apply


def subject(after: Any, pull: Any) -> Adapter:
    """Return a layer as a subject."""
    step = layer(after)

    def run(case: Case) -> Evaluation:
        leaves = [as_tensor(array).requires_grad_() for array in (case.xs, case.h0, *case.params.present().values())]
        states = [leaves[1]]
        for x in leaves[0]:
            states.append(step(x, states[-1], *leaves[2:], *[torch.zeros(())] * (len(leaves) < 5)))
        hs = torch.stack(states[1:])
        return Evaluation(as_array(hs), *map(as_array, pull(hs, leaves, as_tensor(case.upstream))))

    ulps = {"float32": 2.5}
    return Adapter("mine.step", run, "a step by hand", np.tanh, ulps, nonlinearities=("tanh",), unsupported=("T=0",))


def once(outputs: Any, leaves: Any, upstream: Any) -> Any:
    """Pull back once, as code that nobody judges does."""
    return torch.autograd.grad(outputs, leaves, upstream, materialize_grads=True)


@pytest.mark.parametrize("pull", [once, pull_back], ids=["once", "twice"])
@pytest.mark.parametrize("after", [right, consuming, Accumulating()], ids=["right", "consuming", "accumulating"])
def test_only_a_second_pull_back_finds_buffers_that_are_used_up(after: Any, pull: Any) -> None:
    report = check(subject(after, pull), stacks=2, only=["step", "sequence"], on_fail="report")
    wrong = after is not right and pull is pull_back
    assert [row.status for row in report.rows] == ["fail" if wrong else "pass"], str(report)
    if wrong:
        assert "pull_back: expected the same gradients from a second pull-back, got others" in str(report)
