"""The part of the ndarray interface that formulas use, for arrays that consist of several parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


class ArrayLike(NDArrayOperatorsMixin):
    """An array of values with further parts of the same shape, such as a bound or a tangent.

    A subclass defines a rule for each NumPy function that it supports, and how its parts are reshaped and joined.
    """

    value: Any
    rules: ClassVar[dict[Any, Callable[..., Any]]]  # by ufunc

    def each(self, change: Callable[[Any], Any]) -> Self:
        """Return the array with one change of shape applied to every part."""
        raise NotImplementedError

    def joined(self, arrays: Sequence[Any], join: Callable[[list[Any]], Any]) -> Any:
        """Return several arrays as one, each part joined by ``np.stack`` or ``np.concatenate``."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return tuple(self.value.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.value.shape)

    @property
    def dtype(self) -> Any:
        """Dtype of the values."""
        return self.value.dtype

    @property
    def mT(self) -> Self:
        """The array with its last two axes exchanged."""
        return self.each(lambda part: part.mT)

    def reshape(self, shape: tuple[int, ...]) -> Self:
        """Return the array in another shape of the same size."""
        return self.each(lambda part: part.reshape(shape))

    def __getitem__(self, index: Any) -> Self:
        return self.each(lambda part: part[index])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        rule = self.rules.get(ufunc)
        return NotImplemented if rule is None or method != "__call__" or kwargs else rule(*inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.zeros_like:
            return self.each(np.zeros_like)
        if function in (np.stack, np.concatenate):
            return self.joined(args[0], partial(function, **kwargs))
        return NotImplemented
