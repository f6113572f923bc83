"""Half precisions in NumPy: numbers that float32 carries, every result of which is rounded to the storage format.

NumPy itself adds products of float16 up in float16, and ml_dtypes' bfloat16 turns into float32 beside a Python number.
Frameworks do neither: they add up in float32 and store in the half precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.archive import dtype_of
from reference.precision import PRECISIONS

Kind = type[np.ndarray[Any, Any]]


def carried(dtype: str, arithmetic: Kind) -> tuple[np.dtype[Any], Kind]:
    """Return in which dtype the numbers of a precision are computed, and by which kind of array.

    Args:
        dtype: of the case.
        arithmetic: a kind of array, for what happens in the accumulator.

    Returns:
        The dtype and ``arithmetic`` themselves; of a half precision float32, and a kind derived from ``arithmetic``
        that rounds each of its results to storage.
    """
    storage, accumulator = dtype_of(dtype), dtype_of(PRECISIONS[dtype].accumulator.name)
    if storage == accumulator:
        return storage, arithmetic

    def stored(result: Any) -> Any:
        plain = np.asarray(result)
        return plain.astype(storage).astype(accumulator).view(Stored) if plain.dtype == accumulator else result

    class Stored(arithmetic):  # type: ignore[valid-type, misc]
        # Without it, arrays that are stacked become plain ones.
        __array_priority__ = 1.0

        def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
            plain = (np.asarray(one) if isinstance(one, np.ndarray) else one for one in inputs)
            return stored(getattr(ufunc, method)(*plain, **kwargs))

        def __matmul__(self, other: Any) -> Any:
            return stored(super().__matmul__(other))

        def __rmatmul__(self, other: Any) -> Any:
            return stored(super().__rmatmul__(other))

    return accumulator, Stored
