"""Subjects by name: a framework of the registry, a plug-in of an installed package, or MODULE:NAME.

A package ships its adapters under the entry-point group ``rnn_oracle.adapters``. An entry has a name of its own, and
its value is an Adapter, a tuple of them, or a function of a case.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

import numpy as np

import adapters
from adapters import Adapter
from adapters.conformance.contract import described
from reference import PRECISIONS
from reference.archive import DTYPES

GROUP = "rnn_oracle.adapters"
# Attributes of an object that has its own weights. It is called with arrays, not with a case.
OF_LAYERS = ("state_dict", "parameters", "get_weights", "trainable_variables", "init_with_output")
# From the package of a class to the file of a framework that reads it, by ``drop_in``, and what suits other classes.
FUNCTION = "adapters.jax.function(f, {name: place, ...}, carry=...), with a function of the parameters"
READERS = {
    "keras": ("jax", FUNCTION),  # before the package of its backend
    "torch": ("torch", "adapters.torch.module(factory, {name: place, ...}), with a function of D and H"),
    "flax": ("jax", FUNCTION),
    "equinox": ("jax", FUNCTION),
}
WRITE = (
    "write a function that runs it on the arrays and the weights of a case and returns "
    'Evaluation(hs, dxs, dh0, dWx, dWh, db); adapters/README.md has one under "A function of your own"'
)


def as_adapter(subject: Any, dtypes: Sequence[str] | None = None) -> Adapter:
    """Return an adapter as it is, or a function ``case -> Evaluation`` or a class of modules as one.

    Args:
        subject: an adapter, a function that returns all six quantities of a single case, or a drop-in: a class whose
            modules are made and called as those of its framework.
        dtypes: dtypes that a function takes; all four by default. Half precisions are judged only if they are named.

    Raises:
        TypeError: it is none of them.
        ValueError: a dtype does not exist, the adapter does not offer it, or a class is no drop-in.
    """
    if isinstance(subject, type) and (package := _package_of(subject)):
        reader, otherwise = READERS[package]
        try:
            subject = adapters.load_framework(reader).drop_in(subject)
        except ValueError as error:
            raise ValueError(f"{error}; for others write {otherwise}") from error
    if not _is_subject(subject):
        raise TypeError(f"adapter: expected an Adapter or a function of a case, got {_named(subject)}")
    offered = subject.dtypes if isinstance(subject, Adapter) else DTYPES
    if dtypes is not None and (not dtypes or set(dtypes) - set(offered)):
        raise ValueError(f"dtypes: expected some of {list(offered)}, got {list(dtypes)}")
    if isinstance(subject, Adapter):
        return subject
    name = str(getattr(subject, "__name__", type(subject).__name__))
    describe = (getattr(subject, "__doc__", None) or "a function of a case").strip().splitlines()[0]
    ulps = {dtype: PRECISIONS[dtype].tanh_ulps for dtype in dtypes or DTYPES}
    return Adapter(name, subject, describe, np.tanh, ulps)


def _package_of(kind: type) -> str | None:
    """Return the package, a key of ``READERS``, from which a class inherits."""
    roots = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return next((package for package in READERS if package in roots), None)


def find(name: str) -> tuple[Adapter, ...]:
    """Return the adapters of a name.

    Args:
        name: "mypackage.mycell:adapter", a module and an attribute of it; or a name of the registry or of a plug-in.

    Raises:
        ValueError: the name is unknown, or its module cannot be imported.
        TypeError: the attribute is no adapter.
        ModuleNotFoundError: a framework is not installed.
    """
    origin = home(name)
    if ":" in name:
        return _from_module(name)
    if origin in adapters.frameworks():
        return adapters.load(name)
    offered = from_plugin(plugins()[origin])
    if found := tuple(adapter for adapter in offered if name in (origin, adapter.name)):
        return found
    raise ValueError(f"adapters: expected one of {[adapter.name for adapter in offered]}, got {name!r}")


def everything(name: str) -> tuple[Adapter, ...]:
    """Return all adapters of a framework or plug-in, those included that run only if they are named.

    Raises:
        ValueError, TypeError, ModuleNotFoundError: as ``find`` does.
    """
    framework = name in adapters.frameworks()
    return adapters.load_framework(name).ADAPTERS if framework else from_plugin(plugins()[name])


def home(name: str) -> str:
    """Return the module, framework or plug-in of a name, without importing it.

    Raises:
        ValueError: the name is unknown.
        ModuleNotFoundError: a framework is not installed.
    """
    if ":" in name:
        return name.partition(":")[0]
    framework, plugged = name.partition(".")[0], plugins()
    # An extra has a hyphen where its file has an underscore.
    if (file := framework.replace("-", "_")) in adapters.frameworks():
        adapters.expect_installed(file)
        return file
    if name in plugged or framework in plugged:
        return name if name in plugged else framework
    known = [*adapters.frameworks(), *plugged]
    raise ValueError(
        f"adapters: expected a framework{' or plug-in' * bool(plugged)} among {known}, got {name!r}{_of_module(name)}"
    )


def _of_module(name: str) -> str:
    """Return what to write if a name is that of a module, which is not imported here; "" for other names."""
    module = name.removesuffix(".py").replace("/", ".")
    found = PathFinder.find_spec(module.partition(".")[0], [os.getcwd(), *sys.path])
    return f"; for a cell in the module write {module}:NAME, with the name of its function" if found else ""


def _from_module(name: str) -> tuple[Adapter, ...]:
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute.isidentifier():
        raise ValueError(f"check: expected MODULE:NAME, as mypackage.mycell:adapter, got {name!r}")
    # As python -m does: the script of the command line does not look into the current folder.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    expected = f"check: expected a module that can be imported as {module_name}"
    module = _loaded(partial(importlib.import_module, module_name), expected)
    if not hasattr(module, attribute):
        there = _subjects_of(module)
        raise ValueError(f"check: expected an attribute of {module_name} among {there}, got {attribute!r}")
    found = _as_tuple(getattr(module, attribute), name)
    return tuple(replace(one, name=attribute) if one.name == "<lambda>" else one for one in found)


def _is_subject(value: Any) -> bool:
    if isinstance(value, Adapter):
        return True
    return callable(value) and not isinstance(value, type) and not any(hasattr(value, name) for name in OF_LAYERS)


def _subjects_of(module: ModuleType) -> list[str]:
    """Return the names of the subjects of a module."""
    public = {name: one for name, one in vars(module).items() if not name.startswith("_")}
    return [name for name, one in public.items() if _is_subject(one) or (isinstance(one, type) and _package_of(one))]


def _named(value: Any) -> str:
    """Return what a value is that is no subject, and what to write instead."""
    if isinstance(value, ModuleType):
        return f"the module {value.__name__}; write {value.__name__}.NAME, with a name among {_subjects_of(value)}"
    if callable(value):
        kind = value if isinstance(value, type) else type(value)
        what = f"{'the class' if kind is value else 'an object of'} {kind.__module__}.{kind.__qualname__}"
        return f"{what}; {'write its class, or a function' * bool(_package_of(kind)) or WRITE}"
    return repr(value)


def plugins() -> dict[str, importlib.metadata.EntryPoint]:
    """Return the entry points of installed packages by name."""
    return {entry.name: entry for entry in sorted(importlib.metadata.entry_points(group=GROUP))}


def from_plugin(entry: importlib.metadata.EntryPoint) -> tuple[Adapter, ...]:
    """Return the adapters of an entry point.

    Raises:
        ValueError: it cannot be loaded.
        TypeError: its value is no adapter.
    """
    found = _loaded(entry.load, f"{GROUP}: expected {entry.name} = {entry.value} to load")
    return _as_tuple(found, f"{entry.module}:{entry.attr}")


def _loaded(load: Callable[[], Any], expected: str) -> Any:
    try:
        return load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ValueError(f"{expected}, got {described(error)}") from error


def _as_tuple(found: Any, origin: str) -> tuple[Adapter, ...]:
    if not isinstance(found, (tuple, list)):
        return (replace(as_adapter(found), origin=origin),)
    return tuple(replace(as_adapter(one), origin=f"{origin}[{k}]") for k, one in enumerate(found))


def facts(adapter: Adapter) -> dict[str, str]:
    """Return the versions and precision flags of an adapter's framework.

    For an adapter from elsewhere it is the version of the package that ships its function, or a dash.
    """
    if adapter.framework in adapters.frameworks() and adapters.is_installed(adapter.framework):
        environment: dict[str, str] = adapters.load_framework(adapter.framework).environment()
        return environment
    package = (getattr(adapter.run, "__module__", None) or "").partition(".")[0]
    shipped = {entry.module.partition(".")[0]: entry.dist.version for entry in plugins().values() if entry.dist}
    try:
        return {adapter.framework: shipped.get(package) or importlib.metadata.version(package)}
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return {adapter.framework: "-"}
