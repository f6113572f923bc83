"""LSTM and both GRUs in plain NumPy, written without the oracle's formulas: other orders, other forms."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from reference import Case, Evaluation
from tests.reference.conftest import Array, PlainRNN


@dataclass
class PlainGated(PlainRNN):
    """A gated cell whose options set its sums, its sigmoid, its update and its slopes; call it with a case."""

    sigmoid: str = "1/(1+exp(-a))"  # or "exp(a)/(1+exp(a))", "(1+tanh(a/2))/2"
    update: str = "(1-z)*n+z*h"  # or "n+z*(h-n)"
    complement: bool = False  # whether z of a GRU is 1 - s(-a), so that its small values have no digits
    slope: str = "s*(1-s)"  # or "s-s*s"
    every_state: bool = False  # whether c is returned at every step
    again: bool = False  # whether backward computes tanh(c) once more

    def _evaluate(self, case: Case) -> Evaluation:
        steps = list(np.moveaxis(case.xs, -3, 0))
        step, back = (self._lstm, self._lstm_back) if case.cell == "lstm" else (self._gru, self._gru_back)
        states: list[Any]
        states, hs, cs, tapes = [case.h0] + ([case.c0] if case.cell == "lstm" else []), [], [], []
        for x in steps:
            states, tape = step(case, x, *states)
            hs.append(states[0])
            cs.append(states[-1])
            tapes.append(tape)
        if self.recomputed and case.cell != "lstm":
            tapes = [*tapes[:1], *((self._otherwise(*one), *other[1:]) for one, other in pairwise(tapes))]
        d_states: list[Any] = [np.zeros_like(case.h0), case.upstream_c]
        sums: dict[str, list[tuple[Array, Array]]] = {"dWx": [], "dWh": [], "db": [], "dbn": []}
        dxs = []
        for t in reversed(range(len(steps))):
            d_states[0] = self._store(d_states[0] + case.upstream[..., t, :, :])
            A, A_h, operands, d_states = back(case, tapes[t], *d_states)
            dxs.append(self._product(A, case.params.Wx.mT))
            sums["dWx"].append((steps[t], A))
            sums["db"].append((A, A))
            if case.params.bn is not None:
                sums["dbn"].append((A_h[..., -case.sizes["H"] :], A))
            for k, operand in enumerate(operands):
                sums["dWh"].append((operand, A_h if len(operands) == 1 else A_h[k]))
        split = len(operands) > 1
        dWh = [self._over(sums["dWh"][k :: len(operands)]) for k in range(len(operands))]
        found = {"dWx": self._over(sums["dWx"]), "dWh": np.concatenate(dWh, axis=-1) if split else dWh[0]}
        if case.params.b is not None:
            found["db"] = self._total(np.concatenate([a for a, _ in sums["db"]], axis=-2).mT)
        if case.params.bn is not None:
            found["dbn"] = self._total(np.concatenate([a for a, _ in sums["dbn"]], axis=-2).mT)
        more = {"c": states[1], "dc0": d_states[1]} if case.cell == "lstm" else {}
        more |= {"cs": np.stack(cs, -3)} if self.every_state and case.cell == "lstm" else {}
        return Evaluation(np.stack(hs, -3), np.stack(dxs[::-1], -3), d_states[0], **found, **more)

    def _over(self, pairs: list[tuple[Array, Array]]) -> Array:
        left, right = (np.concatenate(arrays, axis=-2) for arrays in zip(*pairs, strict=True))
        return self._product(left.mT, right)

    def _s(self, a: Array) -> Array:
        one = a.dtype.type(1)
        if self.sigmoid == "1/(1+exp(-a))":
            return self._store(one / (one + np.exp(-a)))
        if self.sigmoid == "(1+tanh(a/2))/2":
            return self._store((one + np.tanh(a / 2)) / 2)
        small = np.exp(-np.abs(a))
        return self._store(np.where(a < 0, small, one) / (one + small))

    def _times_slope(self, g: Array, s: Array) -> Array:
        return self._store(g * s * (1 - s)) if self.slope == "s*(1-s)" else self._store(g * (s - s * s))

    def _bent(self, g: Array, y: Array) -> Array:
        return self._store(g * (1 - y * y)) if self.slope == "s*(1-s)" else self._store(g - g * y * y)

    def _cut(self, case: Case, a: Array) -> list[Array]:
        H = case.sizes["H"]
        return [a[..., k : k + H] for k in range(0, a.shape[-1], H)]

    def _lstm(self, case: Case, x: Array, h: Array, c: Array) -> tuple[list[Array], Any]:
        i, f, g, o = self._cut(case, self._drive(case, x, h))
        i, f, g, o = self._s(i), self._s(f), self._store(self._tanh(g)), self._s(o)
        after = self._store(f * c + i * g)
        y = self._store(self._tanh(after))
        return [self._store(o * y), after], (h, c, after, y, i, f, g, o)

    def _lstm_back(self, case: Case, tape: Any, dh: Array, dc: Array) -> Any:
        h, c, after, y, i, f, g, o = tape
        y = self._store(self._tanh(after)) if self.again else y
        dc = self._store(dc + self._bent(dh * o, y))
        parts = [self._times_slope(dc * g, i), self._times_slope(dc * c, f), self._bent(dc * i, g)]
        A = np.concatenate([*parts, self._times_slope(dh * y, o)], axis=-1)
        return A, A, [h], [self._product(A, case.params.Wh.mT), self._store(dc * f)]

    def _gru(self, case: Case, x: Array, h: Array) -> tuple[list[Array], Any]:
        params, H = case.params, case.sizes["H"]
        b = 0 * params.Wx[..., 0, :] if params.b is None else params.b
        u = self._store(self._product(x, params.Wx) + b[..., None, :])
        v = self._product(h, params.Wh[..., : 2 * H])
        r, z = (self._store(p + q) for p, q in zip(self._cut(case, u)[:2], self._cut(case, v), strict=True))
        r, z = self._s(r), self._s(-z) if self.complement else self._s(z)
        z, y = (self._store(1 - z), z) if self.complement else (z, 1 - z)  # y is the weight of n
        before = case.cell == "gru_reset_before"
        v_n = self._product(self._store(r * h) if before else h, params.Wh[..., 2 * H :])
        if params.bn is not None:
            v_n = self._store(v_n + params.bn[..., None, :])
        n = self._store(self._tanh(u[..., 2 * H :] + (v_n if before else r * v_n)))
        after = y * n + z * h if self.update == "(1-z)*n+z*h" else n + z * (h - n)
        return [self._store(after)], (h, r, z, y, n, v_n)

    def _otherwise(self, h: Array, r: Array, z: Array, y: Array, n: Array, v_n: Array) -> Array:
        """Return the state after a step of a GRU by the other form of the update."""
        return self._store(n + z * (h - n) if self.update == "(1-z)*n+z*h" else y * n + z * h)

    def _gru_back(self, case: Case, tape: Any, dh: Array, _: Any) -> Any:
        (h, r, z, y, n, v_n), H, Wh = tape, case.sizes["H"], case.params.Wh
        if self.update == "(1-z)*n+z*h":
            dn, dz = self._store(dh * y), self._store(dh * h - dh * n)
        else:
            dn, dz = self._store(dh - dh * z), self._store(dh * (h - n))
        A_n, A_z = self._bent(dn, n), self._times_slope(dz, y if self.complement else z)
        if case.cell == "gru_reset_before":
            d_rh = self._product(A_n, Wh[..., 2 * H :].mT)
            A_r = self._times_slope(d_rh * h, r)
            A_h, operands = [np.concatenate([A_r, A_z], axis=-1), A_n], [h, self._store(r * h)]
            through = self._product(A_h[0], Wh[..., : 2 * H].mT) + d_rh * r
            return np.concatenate([A_r, A_z, A_n], axis=-1), A_h, operands, [self._store(through + dh * z), None]
        A_r = self._times_slope(A_n * v_n, r)
        recurrent = np.concatenate([A_r, A_z, self._store(A_n * r)], axis=-1)
        through = self._store(self._product(recurrent, Wh.mT) + dh * z)
        return np.concatenate([A_r, A_z, A_n], axis=-1), recurrent, [h], [through, None]
