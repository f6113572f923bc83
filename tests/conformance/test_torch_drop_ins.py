"""Somebody else's ``nn.Module`` is judged as it is: its class, or a mapping of its parameters."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters import load
from adapters.conformance import check
from adapters.conformance.cli import main
from adapters.conformance.discovery import as_adapter
from adapters.conformance.reproduce import reproduce
from reference import LayersCase, Mismatch
from tests.patched import EXAMPLES, patched
from tests.scripted import assert_scripted

torch: Any = pytest.importorskip("torch")
from adapters.torch import module  # noqa: E402

nn, linear = torch.nn, torch.nn.functional.linear
QUICK: dict[str, Any] = {"stacks": 1, "dtypes": ["float32"], "on_fail": "report"}
ONLY = ("step", "sequence", "shapes", "options", "invariants", "layers")
TORCH = {"weight_ih_l0 = Wx.T, weight_hh_l0 = Wh.T, bias_ih_l0 = b, bias_hh_l0 = "}


def statuses(subject: Any, *only: str, **options: Any) -> dict[str, str]:
    """Return the status of each check."""
    (row,) = check(subject, only=only or ONLY, **QUICK | options).rows
    return {result.name: result.status for result in row.checks}


def failed(subject: Any, *only: str, **options: Any) -> list[str]:
    """Return the names of the checks that fail."""
    return [name for name, status in statuses(subject, *only, **options).items() if status == "fail"]


class Linears(nn.Module):  # type: ignore[name-defined]
    """A cell with names of its own, and the gates in an order of its own."""

    def __init__(self, features: int, units: int) -> None:
        super().__init__()
        self.x2h, self.h2h = nn.Linear(features, 4 * units), nn.Linear(units, 4 * units)

    def forward(self, x: Any, h: Any, c: Any) -> Any:
        """Return h and c."""
        f, i, o, g = (self.x2h(x) + self.h2h(h)).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class Relu(nn.Module):  # type: ignore[name-defined]
    """A layer of relu that is batch first and returns its outputs alone."""

    def __init__(self, inputs: int, units: int, cut: bool = False) -> None:
        super().__init__()
        self.W, self.U, self.cut = nn.Parameter(torch.ones(inputs, units)), nn.Parameter(torch.ones(units, units)), cut

    def forward(self, x: Any, h: Any) -> Any:
        """Return the outputs."""
        hs = []
        for t in range(x.shape[1]):
            h = torch.relu(x[:, t] @ self.W + (h.detach() if self.cut else h) @ self.U)
            hs.append(h)
        return torch.stack(hs, 1)


class Cut(Relu):
    """The same, cut before each step."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__(inputs, units, cut=True)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_the_modules_of_torch_are_drop_ins_of_themselves(kind: Any) -> None:
    assert set(statuses(kind).values()) <= {"pass", "unsupported"}


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("file", ["torch_modules", "torch_fused"])
def test_a_drop_in_passes(file: str, name: str) -> None:
    kind = getattr(patched(file), name + "Cell" * (file == "torch_fused"))
    found = statuses(kind)
    assert set(found.values()) <= {"pass", "unsupported"}
    assert found["layers"] == ("pass" if file == "torch_modules" else "unsupported")


# The second bias in the last block alone.
INNER = "if b_hh is None else b_hh * (torch.arange(len(b_hh)) >= len(b_hh) // 3 * 2)"


@pytest.mark.parametrize(
    ("file", "name", "old", "new", "checks"),
    [
        ("torch_fused", "LSTMCell", "dc = dc + dh", "dc = dh", ["step", "sequence", "shapes", "invariants"]),
        ("torch_fused", "GRUCell", "d_n * r]", "d_n]", ["step", "sequence", "shapes", "invariants"]),
        ("torch_fused", "RNNCell", "(1 - h**2)", "(1 - h)", ["step", "sequence", "shapes", "invariants"]),
        ("torch_modules", "LSTM", "outputs[::-1] if reverse else outputs", "outputs", ["layers"]),
        ("torch_modules", "GRU", "self.directions + d\n", "self.directions\n", ["layers"]),
        ("torch_modules", "LSTM", "linear(states[0], w_hh, b_hh)", "linear(states[0], w_hh)", ["options"]),
        ("torch_modules", "GRU", "w_hh, b_hh)\n", f"w_hh, b_hh {INNER})\n", ["options"]),
        ("torch_modules", "RNN", "w_hh, b_hh)\n", "w_hh, None if reverse else b_hh)\n", ["layers"]),
        ("torch_modules", "LSTM", "x_t, w_ih, b_ih)", "x_t, w_ih, b_ih if '0' in end else None)", ["layers"]),
        ("torch_modules", "LSTM", "w_hh, b_hh)\n", "w_hh, b_hh if '0' in end else None)\n", ["layers"]),
        ("torch_modules", "RNN", "batch_first else x, st", "batch_first and 0 else x, st", ["options"]),
    ],
)
def test_a_fault_in_a_drop_in_is_caught(file: str, name: str, old: str, new: str, checks: list[str]) -> None:
    assert failed(getattr(patched(file, (old, new)), name), *checks) == checks


READ = {
    nn.LSTM: "judged as LSTM, a layer, several layers, both directions, with and without bias; gates i f g o; "
    "weight_ih_l0 = Wx.T, weight_hh_l0 = Wh.T, bias_ih_l0 = b, bias_hh_l0 = 0",
    nn.GRUCell: "judged as GRU, a cell, with and without bias; gates r z n; "
    "weight_ih = Wx.T, weight_hh = Wh.T, bias_ih = b, bias_hh = [0, bn]",
    Linears: "judged as LSTM, a cell; gates f i o g; x2h.weight = Wx.T, h2h.weight = Wh.T, x2h.bias = b, h2h.bias = 0",
    Relu: "judged as RNN, a layer, batch first; W = Wx, U = Wh",
}


@pytest.mark.parametrize("kind", READ, ids=lambda kind: kind.__name__)
def test_the_first_line_says_what_a_class_was_judged_as(kind: Any) -> None:
    report = check(kind, only=["step"], **QUICK)
    assert report.notes[0] == f"{kind.__name__}: {READ[kind]}"


def test_a_module_with_names_of_its_own_is_judged_and_a_fault_in_it_is_caught() -> None:
    assert failed(Linears) == failed(Relu, "sequence", stacks=8) == []
    assert as_adapter(Relu).nonlinearities == ("relu",)
    assert failed(Cut, "sequence", stacks=8) == ["sequence"]


def test_a_check_that_needs_a_bias_is_unsupported_by_a_module_without_one() -> None:
    report = check(Relu, only=["sequence", "layers"], **QUICK | {"stacks": 8})
    assert report.exit_status == 0
    assert "expected a case without b, because no parameter is b" in str(report)


def test_the_order_of_gates_is_torch_s_where_the_names_are() -> None:
    swapped = patched("torch_modules", ("i, f, g, o = (u", "f, i, g, o = (u")).LSTM
    assert "gates i f g o" in as_adapter(swapped).describe
    with pytest.raises(Mismatch, match=r"^LSTM: judged as LSTM, a layer(.|\n)* h, .* wrong"):
        check(swapped, only=["step"], **QUICK | {"on_fail": "raise"})


class Peephole(nn.LSTMCell):  # type: ignore[name-defined]
    """A cell with another parameter."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.peephole = nn.Parameter(torch.ones(hidden_size))


class Projected(nn.LSTM):  # type: ignore[name-defined]
    """A layer that projects its output."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, proj_size=2)


class Needy(nn.LSTM):  # type: ignore[name-defined]
    """A layer with another argument."""

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        super().__init__(input_size, hidden_size)


class Stateless(nn.LSTMCell):  # type: ignore[name-defined]
    """A cell that takes no state."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)

    def forward(self, x: Any) -> Any:
        """Return the outputs."""
        return x


class Tangled(Linears):
    """A cell that returns one state of two."""

    def forward(self, x: Any, h: Any, c: Any) -> Any:
        """Return h and c."""
        return super().forward(x, h, c)[0]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Peephole, r"^Peephole: expected parameters one Wx \(G\*H, D\), .*'peephole': \(5,\).* \(D=4, H=5\)"),
        (
            Projected,
            r"^Projected: expected .* \(D=4, H=5\); weight_hr_l0 is a projection \(proj_size\), which no cell has",
        ),
        (Needy, r"^Needy: expected a module from Needy\(D, H\), got TypeError: .*output_size.* \(D=4, H=5\)"),
        (Stateless, r"^Stateless: expected forward\(x, \(h, c\)\) -> .*, got TypeError: .* \(N=2, D=4, H=5\)"),
        (Tangled, r"^Tangled: expected forward\(x, \(h, c\)\) -> \(h, c\) with x \(N, D\), or .* \(N=2, D=4, H=5\)"),
    ],
)
def test_a_class_that_is_no_drop_in_gives_one_sentence(kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        as_adapter(kind)
    assert str(caught.value).endswith(
        "; for others write adapters.torch.module(factory, {name: place, ...}), with a function of D and H"
    )


def test_an_object_is_answered_with_its_class() -> None:
    with pytest.raises(TypeError, match=r"got an object of .*Linears; write its class, or a function"):
        as_adapter(Linears(2, 3))


class Kept(nn.Module):  # type: ignore[name-defined]
    """A layer whose weights no convention of names or shapes tells."""

    def __init__(self, D: int, H: int) -> None:
        super().__init__()
        self.rec, self.inp, self.bias = (nn.Parameter(torch.ones(s)) for s in ((H, 3 * H), (3 * H, D), (3 * H,)))

    def forward(self, x: Any, h: Any) -> Any:
        """Return the outputs."""
        hs = []
        for t in range(x.shape[1]):
            (u_z, u_r, u_n), (v_z, v_r, _) = (
                linear(x[:, t], self.inp, self.bias).chunk(3, 1),
                (h @ self.rec).chunk(3, 1),
            )
            r, z = torch.sigmoid(u_r + v_r), torch.sigmoid(-u_z - v_z)
            h = (1 - z) * torch.tanh(u_n + (r * h) @ self.rec[:, 2 * h.shape[1] :]) + z * h
            hs.append(h)
        return torch.stack(hs, 1)


PLACES = {"rec": "Wh", "inp": "Wx.T", "bias": "b"}


def test_a_module_is_judged_by_a_mapping_of_its_parameters() -> None:
    right = module(Kept, PLACES, gates="gru_reset_before -z r n", batch_first=True)
    assert right.describe.startswith("judged as GRU (reset before), a layer, batch first; gates -z r n; rec = Wh, ")
    assert failed(right) == []
    wrong = module(Kept, PLACES, gates="gru_reset_before z r n", batch_first=True)
    assert failed(wrong, "step", "sequence") == ["step", "sequence"]


@pytest.mark.parametrize(
    ("places", "gates", "message"),
    [
        (PLACES | {"bias": "c"}, "", r"^Kept: expected places among \[.*\] and suffixes, got \['c'\]"),
        (PLACES, "i f g", r"^Kept: expected the gates of a cell among \{.*\}, in any order, got 'i f g'"),
        (
            {"inp": "Wx.T", "rec": "Wh"},
            "r z n",
            r"^Kept: expected a place for each of the parameters \['rec', 'inp', 'b",
        ),
        (PLACES, "r z n", r"^Kept: expected forward\(x, h\) -> h with x \(N, D\), or forward\(xs, h\) -> outputs, h"),
    ],
)
def test_a_mapping_that_does_not_fit_gives_one_sentence(places: Any, gates: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(Kept, places, gates=gates)


class Detached(nn.LSTMCell):  # type: ignore[name-defined]
    """A cell that returns c without a gradient."""

    def forward(self, x: Any, hx: Any) -> Any:
        """Return h and c."""
        h, c = super().forward(x, hx)
        return h, c.detach()


class Inference(nn.LSTMCell):  # type: ignore[name-defined]
    """A cell without gradients."""

    def forward(self, x: Any, hx: Any) -> Any:
        """Return h and c."""
        with torch.no_grad():
            return super().forward(x, hx)


@pytest.mark.parametrize(
    ("kind", "message"),
    [(Detached, "dc0 are wrong; h, c are right"), (Inference, "dx, dh0, dWx, dWh, db, dc0 are wrong; h, c are right")],
)
def test_an_output_without_a_gradient_is_a_wrong_gradient(kind: Any, message: str) -> None:
    with pytest.raises(Mismatch, match=message):
        check(kind, only=["step"], **QUICK | {"on_fail": "raise"})


LOOP = "        outputs = []\n        for x_t"
REMEMBERING = {
    "the first weights": (LOOP, f"        w_hh = self.kept = getattr(self, 'kept', w_hh.detach().clone())\n{LOOP}"),
    "the first state": ("states, last = hx", "hx = self.kept = getattr(self, 'kept', hx)\n        states, last = hx"),
}


@pytest.mark.parametrize("kept", REMEMBERING)
def test_a_module_that_remembers_is_caught(kept: str) -> None:
    with pytest.raises(Mismatch):
        check(
            patched("torch_modules", REMEMBERING[kept]).RNN, only=["step", "sequence"], **QUICK | {"on_fail": "raise"}
        )


def test_a_mistyped_name_gets_the_classes_of_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "theirs.py").write_text((EXAMPLES / "torch_fused.py").read_text("utf-8"))
    monkeypatch.chdir(tmp_path)
    assert main(["check", "theirs:LTSMCell"]) == 2
    listed = "'LSTMCell', 'GRUCell', 'RNNCell'], got 'LTSMCell'"
    assert listed in capsys.readouterr().err


def test_the_command_line_prints_what_a_class_was_judged_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text((EXAMPLES / "torch_modules.py").read_text("utf-8"))
    monkeypatch.chdir(tmp_path)
    assert main(["check", "mine:LSTM", "--stacks", "1", "--only", "step", "--dtype", "float32"]) == 0
    out, err = capsys.readouterr()
    assert re.match(r"mine: 1 way in float32.*\nLSTM: judged as LSTM, a layer, several layers, both directions", err)
    assert re.search(r"LSTM +float32 +\d+ +pass", out)


class OneBias(nn.Module):  # type: ignore[name-defined]
    """A GRU with one bias: with the inputs, or inside the reset."""

    def __init__(self, inputs: int, units: int, inside: bool = False, share: float = 1.0) -> None:
        super().__init__()
        self.x2h, self.h2h = nn.Linear(inputs, 3 * units, bias=not inside), nn.Linear(units, 3 * units, bias=inside)
        self.share = share

    def forward(self, x: Any, h: Any) -> Any:
        """Return h. A wrong share of the gradient of the bias makes it wrong."""
        bias = self.x2h.bias if self.h2h.bias is None else self.h2h.bias
        bias = bias.detach() + self.share * (bias - bias.detach())
        u, v = linear(x, self.x2h.weight), linear(h, self.h2h.weight)
        u, v = (u + bias, v) if self.h2h.bias is None else (u, v + bias)
        (u_r, u_z, u_n), (v_r, v_z, v_n) = u.chunk(3, dim=1), v.chunk(3, dim=1)
        r, z = (u_r + v_r).sigmoid(), (u_z + v_z).sigmoid()
        return (1 - z) * (u_n + r * v_n).tanh() + z * h


class Inside(OneBias):
    """The bias inside the reset."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__(inputs, units, inside=True)


class HalfOfDb(OneBias):
    """Half of the gradient of the bias."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__(inputs, units, share=0.5)


class HalfOfDbn(OneBias):
    """Half of the gradient of the bias inside the reset."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__(inputs, units, inside=True, share=0.5)


@pytest.mark.parametrize(
    ("kind", "without", "bias"),
    [(OneBias, "bn", "x2h.bias = b"), (Inside, "b", "h2h.bias = [0, bn] or 0")],
)
def test_a_gru_with_one_bias_is_judged_with_it(kind: Any, without: str, bias: str) -> None:
    subject = as_adapter(kind)
    assert subject.describe.startswith(f"judged as GRU, a cell, without {without}; gates r z n; x2h.weight = Wx.T")
    assert subject.describe.endswith(f"h2h.weight = Wh.T, {bias}")
    assert f"d{'b' if without == 'bn' else 'bn'}" in subject.offers
    report = check(kind, only=["step", "sequence", "options"], **QUICK)
    assert [row.status for row in report.rows] == ["pass"], str(report)
    assert "because no parameter is" not in str(report)


@pytest.mark.parametrize(("kind", "wrong"), [(HalfOfDb, "db"), (HalfOfDbn, "dbn")])
def test_a_wrong_gradient_of_one_bias_is_caught_and_named(kind: Any, wrong: str) -> None:
    report = check(kind, only=["step"], **QUICK)
    assert [row.status for row in report.rows] == ["fail"]
    assert f"{wrong} is wrong; h, dx, dh0, dWx, dWh are right (T=1" in str(report)
    assert f", gru, no {'bn' if wrong == 'db' else 'b'})." in str(report)
    assert (wrong == "db") == ("`db halved`" in str(report))


MISTAKES = {
    "step": ("(1 - z) * n + z * states[0]", "(1 - z) * n.detach() + z * states[0]"),
    "layers": ("outputs[::-1] if reverse else outputs", "outputs"),
}


@pytest.mark.parametrize("failing", MISTAKES)
def test_a_class_gets_a_script_of_its_failure(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (EXAMPLES / "torch_modules.py").read_text("utf-8")
    assert_scripted(tmp_path, monkeypatch, text, MISTAKES[failing], "GRU", failing)


# The start of a program that halves the last states of PyTorch.
HALVED = """import torch
right = torch.nn.GRU.forward
torch.nn.GRU.forward = lambda *given: (lambda hs, hn: (hs, hn / 2))(*right(*given))
"""


@pytest.mark.parametrize(("start", "status", "words"), [(HALVED, 1, "hn, dx, "), ("", 0, "float32: pass, ")])
def test_the_layers_of_a_framework_get_a_script(start: str, status: int, words: str, tmp_path: Path) -> None:
    (right,), case = load("torch.GRU"), LayersCase.random(cell="gru", dtype="float32")
    several: Any = right.layers
    wrong = replace(right, layers=lambda case: (found := several(case)).replacing(hn=found.hn / 2))
    _, script, _ = reproduce(wrong, case, {}, tmp_path, "layers")
    script.write_text(start + script.read_text())
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stdout.splitlines()[-1].startswith(words)) == (status, True), ran.stderr + ran.stdout


class Widened(nn.LSTM):  # type: ignore[name-defined]
    """A layer whose outputs of a packed sequence are in float64."""

    def forward(self, x: Any, hx: Any = None) -> Any:
        """Return the outputs and the last states."""
        outputs, last = super().forward(x, hx)
        return (outputs if isinstance(x, torch.Tensor) else outputs.to(torch.float64)), last


def test_a_wrong_answer_for_a_packed_sequence_is_not_called_unsupported() -> None:
    report = check(Widened, only=["layers"], **QUICK)
    assert [row.status for row in report.rows] == ["fail"], str(report)
    assert re.search(r"expected outputs and last states of \['float32 .*, got \['float64 ", str(report))


class Base(nn.Module):  # type: ignore[name-defined]
    """A right layer with PyTorch's names, which takes neither several layers nor a packed sequence."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.inner = nn.LSTM(input_size, hidden_size)

    def forward(self, xs: torch.Tensor, states: Any = None) -> Any:
        """Return the outputs and the last states."""
        return self.inner(torch.cat([xs, xs[:0]]), states)


class FastEval(Base):
    """Wrong in eval mode."""

    def forward(self, xs: torch.Tensor, states: Any = None) -> Any:
        """Return the outputs and the last states."""
        outputs, last = super().forward(xs, states)
        return (outputs if self.training else outputs.round(decimals=2)), last


class BadInit(Base):
    """Begins with ones if no initial state is given."""

    def forward(self, xs: torch.Tensor, states: Any = None) -> Any:
        """Return the outputs and the last states."""
        ones = torch.ones(1, xs.shape[1], self.inner.hidden_size, dtype=xs.dtype)
        return super().forward(xs, (ones, ones) if states is None else states)


class Half(torch.autograd.Function):
    """A product whose backward returns fewer gradients than are needed, unless all are."""

    @staticmethod
    def forward(ctx: Any, x: Any, W: Any) -> Any:
        """Return x W^T."""
        ctx.save_for_backward(x, W)
        return x @ W.T

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        """Return the gradients of x and W."""
        x, W = ctx.saved_tensors
        share = 1.0 if all(ctx.needs_input_grad) else 0.5
        return share * upstream @ W, share * upstream.T @ x


class Shared(nn.RNNCell):  # type: ignore[name-defined]
    """Right where inputs and weights both need a gradient."""

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> Any:
        """Return the next state."""
        return torch.tanh(Half.apply(x, self.weight_ih) + self.bias_ih + h @ self.weight_hh.T + self.bias_hh)


class Alone(Base):
    """Wrong if a single row comes without its axis."""

    def forward(self, xs: torch.Tensor, states: Any = None) -> Any:
        """Return the outputs and the last states."""
        return super().forward(xs.flip(0) if xs.ndim == 2 else xs, states)


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        *((Base, "pass", ""), (FastEval, "fail", "eval: "), (BadInit, "fail", "h0 omitted: ")),
        *((nn.RNNCell, "pass", ""), (Shared, "fail", "inputs without gradient: "), (Alone, "fail", "unbatched: ")),
    ],
)
def test_a_module_is_called_in_other_ways_that_its_users_have(kind: Any, status: str, words: str) -> None:
    (row,) = check(kind, dtypes=["float32"], only=["options", "layers", "step"], stacks=2, on_fail="report").rows
    assert row.status == status
    result = next(one for one in row.checks if one.name == "options")
    assert words in (result.failure.message if result.failure else "")


def test_a_layer_alone_is_no_failure_of_several() -> None:
    (row,) = check(Base, dtypes=["float32"], only=["step", "layers"], stacks=1, on_fail="report").rows
    assert row.status == "pass"
