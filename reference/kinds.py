"""Kinds of arguments, checked at the door of a public function, so that a wrong one is a sentence."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

NONE = type(None)
# Names of kinds in messages; a class is named by itself.
WORDS = {
    Integral: "a whole number",
    Real: "a number",
    str: "a name",
    Sequence: "a sequence",
    np.ndarray: "an array",
    os.PathLike: "a path",
    bool: "True or False",
    NONE: "None",
}


def expect_kinds(where: str, kinds: dict[str, Any], values: dict[str, Any]) -> None:
    """Raise TypeError unless each value is of a kind that is listed under its name.

    Args:
        where: the beginning of the message.
        kinds: one type, or a tuple of types, for each name.
        values: values by name.
    """
    for name, allowed in kinds.items():
        value, types = values[name], allowed if isinstance(allowed, tuple) else (allowed,)
        is_bool = isinstance(value, (bool, np.bool_))
        if not (bool in types if is_bool else isinstance(value, types)):
            words = " or ".join(WORDS.get(each, each.__name__) for each in types)
            raise TypeError(f"{where}: expected {name} as {words}, got {type(value).__name__}")
