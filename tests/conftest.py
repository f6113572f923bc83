"""Hypothesis profiles for every test: ``dev`` by default, ``ci`` if the environment variable CI is set."""

import os

import pytest
from hypothesis import Phase, settings

# The explain phase runs a failing example many times to write a comment, which is of little use for arrays.
PHASES = [phase for phase in Phase if phase is not Phase.explain]

settings.register_profile("dev", max_examples=20, deadline=None, phases=PHASES)
settings.register_profile(
    "ci", max_examples=30, deadline=None, phases=PHASES, derandomize=True, database=None, print_blob=True
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        type=lambda name: name.replace("-", "_"),
        metavar="NAME",
        help="test the adapters of this framework only, and fail if it is not installed; may be repeated",
    )
    parser.addoption(
        "--network",
        action="store_true",
        help="run the tests that have pip install packages into new environments",
    )
