"""Cells whose elementwise part is one ``torch.autograd.Function`` with its backward written by hand, as a fused kernel.

rnn-oracle check torch_fused:LSTMCell torch_fused:GRUCell torch_fused:RNNCell

A kernel in C++, CUDA or Triton takes the place of the lines in ``forward`` and ``backward``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class FusedLSTM(torch.autograd.Function):
    """From the sums of all gates and c to h and the next c."""

    @staticmethod
    def forward(ctx: Any, gates: Any, c_before: Any) -> Any:
        """Return h and c; gates (N, 4 H) in the order i f g o, c_before (N, H)."""
        i, f, g, o = gates.chunk(4, dim=1)
        i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        c = f * c_before + i * g
        ctx.save_for_backward(i, f, g, o, c_before, c)
        return o * torch.tanh(c), c

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        """Return the gradients of the sums and of c_before."""
        (dh, dc), (i, f, g, o, c_before, c) = upstream, ctx.saved_tensors
        t = torch.tanh(c)
        dc = dc + dh * o * (1 - t**2)
        d_i, d_f = dc * g * i * (1 - i), dc * c_before * f * (1 - f)
        d_g, d_o = dc * i * (1 - g**2), dh * t * o * (1 - o)
        return torch.cat([d_i, d_f, d_g, d_o], dim=1), dc * f


class FusedGRU(torch.autograd.Function):
    """From the sums of the inputs, those of the state, and h to the next h."""

    @staticmethod
    def forward(ctx: Any, u: Any, v: Any, h_before: Any) -> Any:
        """Return h; u and v (N, 3 H) in the order r z n, h_before (N, H)."""
        (u_r, u_z, u_n), (v_r, v_z, v_n) = u.chunk(3, dim=1), v.chunk(3, dim=1)
        r, z = torch.sigmoid(u_r + v_r), torch.sigmoid(u_z + v_z)
        n = torch.tanh(u_n + r * v_n)
        ctx.save_for_backward(r, z, n, v_n, h_before)
        return (1 - z) * n + z * h_before

    @staticmethod
    def backward(ctx: Any, dh: Any) -> Any:
        """Return the gradients of the sums and of h_before."""
        r, z, n, v_n, h_before = ctx.saved_tensors
        d_n = dh * (1 - z) * (1 - n**2)
        d_z, d_r = dh * (h_before - n) * z * (1 - z), d_n * v_n * r * (1 - r)
        return torch.cat([d_r, d_z, d_n], dim=1), torch.cat([d_r, d_z, d_n * r], dim=1), dh * z


class FusedRNN(torch.autograd.Function):
    """From the sum to h."""

    @staticmethod
    def forward(ctx: Any, a: Any) -> Any:
        """Return h; a (N, H)."""
        h = torch.tanh(a)
        ctx.save_for_backward(h)
        return h

    @staticmethod
    def backward(ctx: Any, dh: Any) -> Any:
        """Return the gradient of the sum."""
        (h,) = ctx.saved_tensors
        return dh * (1 - h**2)


class LSTMCell(nn.LSTMCell):
    """``torch.nn.LSTMCell`` with the fused step."""

    def forward(self, x: Any, hx: Any) -> Any:
        """Return h and c."""
        sums = nn.functional.linear(x, self.weight_ih, self.bias_ih)
        return FusedLSTM.apply(sums + nn.functional.linear(hx[0], self.weight_hh, self.bias_hh), hx[1])


class GRUCell(nn.GRUCell):
    """``torch.nn.GRUCell`` with the fused step."""

    def forward(self, x: Any, hx: Any) -> Any:
        """Return h."""
        sums = nn.functional.linear(x, self.weight_ih, self.bias_ih)
        return FusedGRU.apply(sums, nn.functional.linear(hx, self.weight_hh, self.bias_hh), hx)


class RNNCell(nn.RNNCell):
    """``torch.nn.RNNCell`` with the fused step, of tanh alone."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, dtype=dtype)

    def forward(self, x: Any, hx: Any) -> Any:
        """Return h."""
        sums = nn.functional.linear(x, self.weight_ih, self.bias_ih)
        return FusedRNN.apply(sums + nn.functional.linear(hx, self.weight_hh, self.bias_hh))
