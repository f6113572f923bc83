"""Half precisions in NumPy: float32 numbers, each result of which is rounded to the storage format.

NumPy itself adds products of float16 up in float16, and ml_dtypes' bfloat16 turns into float32 beside a Python number.
Frameworks do neither: they add up in float32 and store in the half precision.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from reference.archive import dtype_of
from reference.precision import PRECISIONS


@cache
def carried(dtype: str) -> tuple[np.dtype[Any], type[np.ndarray[Any, Any]]]:
    """Return the dtype and the kind of array in which a precision is computed.

    Args:
        dtype: of the case.

    Returns:
        The dtype itself and ``np.ndarray``; for a half precision float32, and a kind that rounds each of its results
        to storage.
    """
    storage, accumulator = dtype_of(dtype), dtype_of(PRECISIONS[dtype].accumulator.name)
    if storage == accumulator:
        return storage, np.ndarray

    class Stored(np.ndarray[Any, Any]):
        # Without it, arrays that are stacked become plain ones.
        __array_priority__ = 1.0

        def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
            plain = (np.asarray(one) if isinstance(one, np.ndarray) else one for one in inputs)
            result = getattr(ufunc, method)(*plain, **kwargs)
            if np.asarray(result).dtype != accumulator:
                return result
            return np.asarray(result).astype(storage).astype(accumulator).view(Stored)

    return accumulator, Stored
