"""Layers that replace those of ``torch.nn``, with the same constructor, call and parameters, in plain PyTorch.

rnn-oracle check torch_modules:LSTM torch_modules:GRU torch_modules:RNN
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Layers(nn.Module):
    """Several layers in one or two directions; a subclass has one step."""

    gates, states = 1, 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.hidden_size, self.num_layers, self.batch_first = hidden_size, num_layers, batch_first
        self.directions = 2 if bidirectional else 1
        for layer in range(num_layers):
            for d in range(self.directions):
                end, rows = f"l{layer}{'_reverse' * d}", self.gates * hidden_size
                columns = input_size if layer == 0 else self.directions * hidden_size
                shapes: dict[str, Any] = {"weight_ih": (rows, columns), "weight_hh": (rows, hidden_size)}
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {}
                for name, shape in shapes.items():
                    self.register_parameter(f"{name}_{end}", nn.Parameter(0.1 * torch.randn(shape, dtype=dtype)))

    def step(self, u: Any, v: Any, states: Any) -> Any:
        """Return the states after a step: u from the inputs, v from the state before."""
        raise NotImplementedError

    def one(self, x: Any, states: Any, end: str, reverse: bool) -> Any:
        """Run one direction of one layer; return the outputs and the last states."""
        w_ih, w_hh, b_ih, b_hh = (
            getattr(self, f"{name}_{end}", None) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        outputs = []
        for x_t in reversed(x) if reverse else x:
            u, v = nn.functional.linear(x_t, w_ih, b_ih), nn.functional.linear(states[0], w_hh, b_hh)
            states = self.step(u, v, states)
            outputs.append(states[0])
        return torch.stack(outputs[::-1] if reverse else outputs), states

    def forward(self, x: Any, hx: Any) -> Any:
        """Return the outputs of the last layer, and the last states of all."""
        states, last = hx if self.states > 1 else (hx,), []
        x = x.transpose(0, 1) if self.batch_first else x
        for layer in range(self.num_layers):
            outputs = []
            for d in range(self.directions):
                k = layer * self.directions + d
                hs, after = self.one(x, tuple(s[k] for s in states), f"l{layer}{'_reverse' * d}", d == 1)
                outputs.append(hs)
                last.append(after)
            x = torch.cat(outputs, dim=-1)
        stacked = tuple(torch.stack(each) for each in zip(*last, strict=True))
        return x.transpose(0, 1) if self.batch_first else x, stacked if self.states > 1 else stacked[0]


class LSTM(Layers):
    """``torch.nn.LSTM`` without dropout and projections."""

    gates, states = 4, 2

    def step(self, u: Any, v: Any, states: Any) -> Any:
        """Return h and c."""
        i, f, g, o = (u + v).chunk(4, dim=-1)
        c = torch.sigmoid(f) * states[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class GRU(Layers):
    """``torch.nn.GRU`` without dropout."""

    gates = 3

    def step(self, u: Any, v: Any, states: Any) -> Any:
        """Return h."""
        (u_r, u_z, u_n), (v_r, v_z, v_n) = u.chunk(3, dim=-1), v.chunk(3, dim=-1)
        r, z = torch.sigmoid(u_r + v_r), torch.sigmoid(u_z + v_z)
        n = torch.tanh(u_n + r * v_n)
        return ((1 - z) * n + z * states[0],)


class RNN(Layers):
    """``torch.nn.RNN`` with tanh."""

    def step(self, u: Any, v: Any, states: Any) -> Any:
        """Return h."""
        return (torch.tanh(u + v),)
