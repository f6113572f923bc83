"""The README's lines for an ``nn.Module``, run as they are written."""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import Any

import pytest

from adapters.conformance import check
from adapters.conformance.advice import advise
from adapters.conformance.discovery import as_adapter
from reference import Mismatch
from tests.examples.conftest import ROOT, from_readme
from tests.patched import patched

torch: Any = pytest.importorskip("torch")
README = (ROOT / "README.md").read_text("utf-8")
QUICK: dict[str, Any] = {"stacks": 1, "only": ("step", "sequence"), "dtypes": ("float32",)}


class MyRNN(torch.nn.Module):
    """The layer of a user, which detaches the state before each step."""

    def __init__(self, D: int, H: int) -> None:
        super().__init__()
        self.Wx, self.Wh, self.b = (torch.nn.Parameter(torch.ones(shape)) for shape in ((D, H), (H, H), (H,)))

    def forward(self, xs: Any, h0: Any) -> Any:
        """Return all states."""
        hs = [h0]
        for x in xs:
            hs.append(torch.tanh(x @ self.Wx + hs[-1].detach() @ self.Wh + self.b))
        return torch.stack(hs)[1:]


class Mine(torch.nn.Module):
    """A cell with names and gates of its own."""

    def __init__(self, D: int, H: int) -> None:
        super().__init__()
        shapes = {"W": (3 * H, D), "U": (H, 3 * H), "b": (3 * H,)}
        for name, shape in shapes.items():
            setattr(self, name, torch.nn.Parameter(torch.ones(shape)))

    def forward(self, x: Any, h: Any) -> Any:
        """Return the next state."""
        H = h.shape[1]
        u, v = torch.nn.functional.linear(x, self.W, self.b), h @ self.U[:, : 2 * H]
        z, r = torch.sigmoid(u[:, : 2 * H] + v).chunk(2, dim=1)
        return (1 - z) * torch.tanh(u[:, 2 * H :] + (r * h) @ self.U[:, 2 * H :]) + z * h


@pytest.mark.parametrize("change", [(), (("return torch.sigmoid(o)", "return torch.tanh(o)"),)])
def test_the_two_lines_judge_a_class(change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ModuleType("mymodule")
    mine.__dict__["MyLSTM"] = patched("torch_modules", *change).LSTM
    monkeypatch.setitem(sys.modules, "mymodule", mine)
    monkeypatch.setattr("adapters.conformance.check", lambda subject: check(subject, **QUICK), raising=False)
    if change:
        with pytest.raises(Mismatch, match="LSTM: judged as LSTM, a layer"):
            from_readme("torch")
    else:
        from_readme("torch")


@pytest.mark.parametrize(("gates", "status"), [("z r n", "pass"), ("r z n", "fail")])
def test_the_mapping_judges_a_module(gates: str, status: str) -> None:
    from adapters.torch import module

    def with_gates(*arguments: Any, **options: Any) -> Any:
        return module(*arguments, **options | {"gates": options["gates"].replace("z r n", gates)})

    my_gru = from_readme("torch module", module=with_gates, Mine=Mine)["my_gru"]
    assert [row.status for row in check(my_gru, **QUICK, on_fail="report").rows] == [status]


def test_the_line_on_a_class_is_the_one_in_the_readme() -> None:
    (shown,) = re.findall(r"\n`MyLSTM: (judged as .*), \.\.\.`\n", README)
    assert shown in as_adapter(torch.nn.LSTM).describe.replace(", with and without bias", "")


def test_the_account_of_a_detached_state_is_the_one_in_the_readme() -> None:
    shown = README.split("printed before the table:\n```\n")[1].split("```")[0].splitlines()
    account = "\n".join(advise(as_adapter(MyRNN), "float32")).splitlines()
    assert [line for line in account if line in shown] == shown
