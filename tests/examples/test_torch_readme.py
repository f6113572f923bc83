"""The README's function for an ``nn.Module``, run as it is written."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from adapters.conformance import check
from adapters.conformance.advice import advise
from adapters.conformance.discovery import as_adapter
from tests.examples.conftest import ROOT, from_readme

torch: Any = pytest.importorskip("torch")
README = (ROOT / "README.md").read_text("utf-8")
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


def test_the_account_of_a_detached_state_is_the_one_in_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ModuleType("mymodule")
    mine.__dict__["MyRNN"] = module(cut=True)
    monkeypatch.setitem(sys.modules, "mymodule", mine)
    shown = README.split("printed before the table:\n```\n")[1].split("```")[0].splitlines()
    account = "\n".join(advise(as_adapter(from_readme("torch")["my_rnn"]), "float32")).splitlines()
    assert [line for line in account if line in shown] == shown
