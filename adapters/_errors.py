"""The errors of an adapter for inputs that it does not support."""

from __future__ import annotations


class Unsupported(NotImplementedError):
    """An adapter or its framework does not support a case; the message names the adapter."""

    declared = True  # False if the subject itself raised it: no field of its adapter declares the case unsupported


class UnexpectedlySupported(AssertionError):
    """A framework returned a result for an input that its adapter declares unsupported."""
