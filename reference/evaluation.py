"""Evaluation: what an implementation answers to a case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from reference.archive import Archive, read_npz

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, eq=False)
class Evaluation(Archive):
    """What an implementation returns for a case; a gradient that it does not offer is None.

    The arrays are of any kind here: ``certify`` holds them to the case's shapes and dtype.
    """

    hs: Any  # (T, N, H)
    dxs: Any = None  # (T, N, D)
    dh0: Any = None  # (N, H)
    dWx: Any = None  # (D, G H)
    dWh: Any = None  # (H, G H)
    db: Any = None  # (G H,); None also for a cell without bias
    c: Any = None  # (N, H): after the last step, of a cell with this second state
    dc0: Any = None  # (N, H)
    dbn: Any = None  # (H,): of a cell with this second bias
    # The derivatives of these along the direction of the case: of hs forward mode, of the others second derivatives.
    hs_dot: Any = None
    dxs_dot: Any = None
    dh0_dot: Any = None
    dWx_dot: Any = None
    dWh_dot: Any = None
    db_dot: Any = None
    c_dot: Any = None
    dc0_dot: Any = None
    dbn_dot: Any = None

    def fields(self) -> dict[str, Any]:
        """Return the fields by name; those that a vanilla RNN does not have only where they are there."""
        always = ("hs", "dxs", "dh0", "dWx", "dWh", "db")
        return {name: array for name, array in super().fields().items() if array is not None or name in always}

    def __getitem__(self, k: int) -> Self:
        """Return the evaluation of case ``k`` of a stack."""
        return self.map(lambda array: array[k])

    @classmethod
    def stack(cls, evaluations: list[Self]) -> Self:
        """Return the stack of single evaluations.

        Raises:
            ValueError: there are none, or some offer what others do not.
        """
        found = [evaluation.present() for evaluation in evaluations]
        if not found or any(fields.keys() != found[0].keys() for fields in found):
            raise ValueError(f"Evaluation.stack: expected evaluations of one kind, got {len(evaluations)} that differ")
        return cls(**({"hs": None} | {name: np.stack([fields[name] for fields in found]) for name in found[0]}))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an evaluation that ``save`` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not a whole ``.npz`` with the fields of an evaluation.
        """
        try:
            return cls(**read_npz("Evaluation.load", path))
        except TypeError as error:
            raise ValueError(f"Evaluation.load: expected the fields of an evaluation in {path}, got {error}") from error
