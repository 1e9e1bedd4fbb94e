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
_FITS: dict[Any, Callable[[Any], bool]] = {
    float: lambda value: type(value) in (int, float) and (value == 0 or SMALLEST <= abs(value) <= LARGEST),
    int: lambda value: type(value) is int and abs(value) < 2**53,
    str: lambda value: type(value) is str,
    bool: lambda value: type(value) is bool,
}
_NAMES = {float: "a number in the range of float32", int: "an integer", str: "a string", bool: "true or false"}

T = TypeVar("T")
Reader = Callable[[Any, str], Any]

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
        return cls(**{name: _reader(hints[name])(v, name) for name, v in document.items()}, **rest)
    except TypeError:
        given = set(document) | set(rest)
        missing = [f.name for f in fields(cls) if f.init and f.name not in given]  # type: ignore[arg-type]
        raise GraphError(f"{cls.__name__} lacks some of its fields {', '.join(missing)}") from None


def _make_reader(hint: Any) -> Reader:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        (present,) = (a for a in arguments if a is not types.NoneType)
        read = _reader(present)
        return lambda value, name: None if value is None else read(value, name)
    if origin is tuple:
        return _tuple_reader(hint, arguments)
    if hasattr(hint, "__dataclass_fields__"):
        return lambda value, name: from_json(hint, value)
    allowed = " or ".join(map(repr, arguments)) if origin is Literal else _NAMES.get(hint, str(hint))
    fits = _FITS.get(hint) or (lambda value: any(value == a and type(value) is type(a) for a in arguments))

    def scalar(value: Any, name: str) -> Any:
        if not fits(value):
            raise GraphError(f"field {name!r} must be {allowed}, got {_short(value)}")
        return float(value) if hint is float else value

    return scalar


def _tuple_reader(hint: Any, arguments: tuple[Any, ...]) -> Reader:
    readers = [_reader(item) for item in arguments if item is not Ellipsis]
    any_length = arguments[-1] is Ellipsis

    def read(value: Any, name: str) -> Any:
        if not isinstance(value, list) or not (any_length or len(value) == len(readers)):
            raise GraphError(f"field {name!r} must be {hint}, got {_short(value)}")
        items = readers * len(value) if any_length else readers
        return tuple([item(v, name) for item, v in zip(items, value, strict=True)])

    return read


_reader: Callable[[Any], Reader] = cache(_make_reader)
"""Takes a JSON value and the name of its field, and gives what an annotation asks for or raises `GraphError`."""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
