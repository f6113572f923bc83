"""Half precisions in NumPy: float32 arrays that round each result to the storage format.

Frameworks add in float32 and store in the half precision. NumPy adds products of float16 in float16, and promotes the
bfloat16 of ml_dtypes to float32 in operations with a Python number.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from reference.archive import dtype_of
from reference.precision import PRECISIONS


@cache
def carried(dtype: str) -> tuple[np.dtype[Any], type[np.ndarray[Any, Any]]]:
    """Return the dtype and the class of array in which a precision is computed.

    Args:
        dtype: name of the dtype of the case.

    Returns:
        The dtype and ``np.ndarray``. For a half precision, float32 and a class that rounds each result to storage.
    """
    storage, accumulator = dtype_of(dtype), dtype_of(PRECISIONS[dtype].accumulator.name)
    if storage == accumulator:
        return storage, np.ndarray

    class Stored(np.ndarray[Any, Any]):
        # Without a priority, stacked arrays become plain arrays.
        __array_priority__ = 1.0

        def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
            plain = (np.asarray(one) if isinstance(one, np.ndarray) else one for one in inputs)
            result = getattr(ufunc, method)(*plain, **kwargs)
            if np.asarray(result).dtype != accumulator:
                return result
            return np.asarray(result).astype(storage).astype(accumulator).view(Stored)

    return accumulator, Stored
