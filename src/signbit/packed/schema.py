"""Frozen dataclasses to JSON and back, checked against their annotations: the schema of a packed file."""

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Literal, TypeVar

import numpy as np

from signbit.packed.edges import SMALLEST, GraphError

LARGEST = float(np.finfo(np.float32).max)
_NAMES = {float: "a number in the range of float32", int: "an integer", str: "a string", bool: "true or false"}

T = TypeVar("T")

_type_hints: Callable[[Any], dict[str, Any]] = cache(typing.get_type_hints)


def _scalar_fields(cls: type) -> Mapping[str, Any]:
    hints = _type_hints(cls)
    names = [f.name for f in fields(cls) if f.init and "dtype" not in f.metadata and f.name != "weight"]
    return types.MappingProxyType({name: hints[name] for name in names})


def _tensor_fields(cls: type) -> Mapping[str, tuple[str, ...]]:
    return types.MappingProxyType({f.name: f.metadata["dtype"] for f in fields(cls) if "dtype" in f.metadata})


scalar_fields: Callable[[type], Mapping[str, Any]] = cache(_scalar_fields)
"""Types of the fields of a dataclass that are stored as JSON, by name: all but arrays and weights."""

tensor_fields: Callable[[type], Mapping[str, tuple[str, ...]]] = cache(_tensor_fields)
"""Allowed dtypes of the fields of a dataclass that are stored as tensors, by name."""


@cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """Such as "float32"; numpy composes it anew every time."""
    return str(dtype)


def to_json(value: Any) -> dict[str, Any]:
    """The JSON fields of a dataclass that differ from their defaults."""
    defaults = {f.name: f.default for f in fields(value)}
    stored = {name: getattr(value, name) for name in scalar_fields(type(value))}
    return {name: _plain(v) for name, v in stored.items() if v != defaults[name]}


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return to_json(value)
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def from_json(cls: type[T], document: Any, **rest: Any) -> T:
    """Builds `cls` from a JSON object and `rest` (its arrays), refusing unknown, missing and mistyped fields."""
    if not isinstance(document, dict):
        raise GraphError(f"{cls.__name__} must be an object, got {_short(document)}")
    hints = scalar_fields(cls)
    if not document.keys() <= hints.keys():
        raise GraphError(f"{cls.__name__} has no field {min(document.keys() - hints.keys())!r}")
    try:
        return cls(**{name: _value(hints[name], v, name) for name, v in document.items()}, **rest)
    except TypeError:
        given = set(document) | set(rest)
        missing = [f.name for f in fields(cls) if f.init and f.name not in given]  # type: ignore[arg-type]
        raise GraphError(f"{cls.__name__} lacks some of its fields {', '.join(missing)}") from None


@cache
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return typing.get_origin(hint), typing.get_args(hint)


def _value(hint: Any, value: Any, name: str) -> Any:
    origin, arguments = _parts(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and types.NoneType in arguments:
            return None
        (hint,) = (a for a in arguments if a is not types.NoneType)
        return _value(hint, value, name)
    if origin is Literal and any(value == a and type(value) is type(a) for a in arguments):
        return value
    if origin is tuple and isinstance(value, list):
        items = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(items) == len(value):
            return tuple(_value(item, v, name) for item, v in zip(items, value, strict=True))
    if hint is float and type(value) in (int, float) and (value == 0 or SMALLEST <= abs(value) <= LARGEST):
        return float(value)
    if hint is int and type(value) is int and abs(value) < 2**53:
        return value
    if hint in (str, bool) and type(value) is hint:
        return value
    if hasattr(hint, "__dataclass_fields__"):
        return from_json(hint, value)
    allowed = " or ".join(map(repr, arguments)) if origin is Literal else _NAMES.get(hint, str(hint))
    raise GraphError(f"field {name!r} must be {allowed}, got {_short(value)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
