"""The README's function for an ``nn.Module``, run as it is written."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from adapters.conformance import check
from tests.examples.conftest import from_readme

torch: Any = pytest.importorskip("torch")
FULL, ONLY = ("float64", "float32"), ("step", "sequence", "shapes", "strides")


def module(cut: bool) -> Any:
    """Return the class of a user; with ``cut`` it detaches the state before each step."""

    class MyRNN(torch.nn.Module):
        def __init__(self, Wx: Any, Wh: Any, b: Any) -> None:
            super().__init__()
            self.Wx, self.Wh, self.b = map(torch.nn.Parameter, (Wx, Wh, b))

        def forward(self, xs: Any, h0: Any) -> Any:
            hs = [h0]
            for x in xs:
                before = hs[-1].detach() if cut else hs[-1]
                hs.append(torch.tanh(x @ self.Wx + before @ self.Wh + self.b))
            return torch.stack(hs)[1:]

    return MyRNN


@pytest.mark.parametrize(("cut", "status"), [(False, {"pass"}), (True, {"fail"})])
def test_a_module_is_judged_by_the_function_of_the_readme(
    cut: bool, status: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = ModuleType("mymodule")
    mine.__dict__["MyRNN"] = module(cut)
    monkeypatch.setitem(sys.modules, "mymodule", mine)
    report = check(from_readme("torch")["my_rnn"], dtypes=FULL, stacks=2, only=ONLY, on_fail="report")
    assert {row.status for row in report.rows} == status, str(report)
    unsupported = [text for row in report.rows for result in row.checks for text in result.unsupported]
    # PyTorch has no negative strides, and the reason is its own.
    assert any("torch.from_numpy: At least one stride" in text for text in unsupported) is not cut
