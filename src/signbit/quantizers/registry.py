"""Quantizers by name, so that a string works in a configuration and on the command line."""

import ast
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from signbit.quantizers.quantizer import Quantizer
from signbit.quantizers.signs import (
    ApproxSign,
    ClippedSign,
    EdeSign,
    FourierSign,
    IdentitySign,
    SignQuantizer,
    SwishSign,
)
from signbit.wording import unknown

__all__ = ["create_estimator", "create_quantizer", "list_quantizers", "register"]

Factory = Callable[..., Quantizer]
F = TypeVar("F", bound=Factory)

_FACTORIES: dict[str, Factory] = {
    "approxsign": ApproxSign,
    "ede": EdeSign,
    "fourier": FourierSign,
    "identity": IdentitySign,
    "sign": ClippedSign,
    "swishsign": SwishSign,
}


def register(name: str) -> Callable[[F], F]:
    """Decorator that makes a quantizer class, or a function that returns one, available under a name.

    Args:
        name: a Python identifier that no quantizer has yet.
    """
    if not name.isidentifier():
        raise ValueError(f"quantizer name must be an identifier (letters, digits, _), got {name!r}")
    if name in _FACTORIES:
        raise ValueError(f"quantizer {name!r} is registered already; choose another name")

    def add(factory: F) -> F:
        _FACTORIES[name] = factory
        return factory

    return add


def list_quantizers() -> list[str]:
    """Names of all registered quantizers, sorted."""
    return sorted(_FACTORIES)


def create_quantizer(spec: str | Quantizer) -> Quantizer:
    """The quantizer which a string describes; a quantizer is returned as it is.

    Args:
        spec: NAME or NAME(KEY=VALUE, ...), for example "sign", "sign(clip=1.25)" or "ede(scale=mean)".

    Raises:
        ValueError: a name nobody registered (the nearest ones are named), or arguments it does not take.
    """
    if isinstance(spec, Quantizer):
        return spec
    name, arguments = _parse(spec)
    if name not in _FACTORIES:
        raise ValueError(unknown("quantizer", name, list_quantizers()))
    factory = _FACTORIES[name]
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        known = ", ".join(inspect.signature(factory).parameters) or "no arguments"
        raise ValueError(f"quantizer {spec!r}: {error}; {name} takes {known}") from None
    return factory(**arguments)


def create_estimator(surrogate: str | SignQuantizer) -> SignQuantizer:
    """The sign quantizer whose surrogate gradient another quantizer uses.

    Args:
        surrogate: as in `create_quantizer`, without a scale.
    """
    estimator = create_quantizer(surrogate)
    if not isinstance(estimator, SignQuantizer) or estimator.scaling != "none":
        raise ValueError(f"surrogate must name a sign quantizer without scale, such as 'ede', got {surrogate!r}")
    return estimator


def _parse(spec: str) -> tuple[str, dict[str, Any]]:
    """Splits NAME(KEY=VALUE, ...); a bare word as value is a string."""
    try:
        tree = ast.parse(spec.strip(), mode="eval").body
        if isinstance(tree, ast.Name):
            return tree.id, {}
        if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.args:
            raise SyntaxError
        arguments: dict[str, Any] = {}
        for keyword in tree.keywords:
            if keyword.arg is None:
                raise SyntaxError
            value = keyword.value
            arguments[keyword.arg] = value.id if isinstance(value, ast.Name) else ast.literal_eval(value)
        return tree.func.id, arguments
    except (SyntaxError, ValueError):
        raise ValueError(f"quantizer {spec!r} cannot be read; write NAME or NAME(KEY=VALUE, ...)") from None
