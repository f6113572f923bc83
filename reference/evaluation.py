"""Evaluation: the results of an implementation for a case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from reference.archive import Archive, read_npz

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, eq=False)
class Evaluation(Archive):
    """The results of an implementation for a case; a gradient that the implementation does not return is None.

    The arrays may be of any kind. ``certify`` checks their shapes and dtype. A subclass of ``np.ndarray`` is taken as a
    plain array, because its arithmetic may differ.
    """

    hs: Any  # (T, N, H)
    dxs: Any = None  # (T, N, D)
    dh0: Any = None  # (N, H)
    dWx: Any = None  # (D, G H)
    dWh: Any = None  # (H, G H)
    db: Any = None  # (G H,); None also for a cell without bias
    c: Any = None  # (N, H): the second state after the last step, if the cell has one
    cs: Any = None  # (T, N, H): the second state at every step, from an implementation that returns it
    dc0: Any = None  # (N, H)
    dbn: Any = None  # (H,): the gradient of the second bias, if the cell has one
    # Derivatives along the direction of the case: forward mode for hs and c, second derivatives for the gradients.
    hs_dot: Any = None
    dxs_dot: Any = None
    dh0_dot: Any = None
    dWx_dot: Any = None
    dWh_dot: Any = None
    db_dot: Any = None
    c_dot: Any = None
    dc0_dot: Any = None
    dbn_dot: Any = None

    def __post_init__(self) -> None:
        for name, array in vars(self).items():
            if isinstance(array, np.ndarray) and type(array) is not np.ndarray:
                object.__setattr__(self, name, np.asarray(array))

    def fields(self) -> dict[str, Any]:
        """Return the fields by name; a field that a vanilla RNN does not have is included only if it is not None."""
        always = ("hs", "dxs", "dh0", "dWx", "dWh", "db")
        return {name: array for name, array in super().fields().items() if array is not None or name in always}

    def __getitem__(self, k: int) -> Self:
        """Return the evaluation of case ``k`` of a stack."""
        return self.map(lambda array: array[k])

    @classmethod
    def stack(cls, evaluations: list[Self]) -> Self:
        """Return single evaluations as a stack.

        Raises:
            ValueError: there are no evaluations, or their fields differ.
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
            ValueError: the file is not a whole ``.npz`` with the fields of an evaluation.
        """
        try:
            return cls(**read_npz("Evaluation.load", path))
        except TypeError as error:
            raise ValueError(f"Evaluation.load: expected the fields of an evaluation in {path}, got {error}") from error
