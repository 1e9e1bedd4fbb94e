"""Networks by name: `create_model`, `list_models`, `register_model`, as timm has them."""

import inspect
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any, TypeVar

from torch import nn

from signbit.models.network import FeatureMaps, Network
from signbit.wording import unknown

__all__ = ["create_model", "image_shape", "list_models", "model_options", "register_model"]

Builder = Callable[..., nn.Module]
B = TypeVar("B", bound=Builder)

_BUILDERS: dict[str, Builder] = {}
_SIZES: dict[str, int] = {}


def register_model(builder: B, *, name: str | None = None, size: int | None = None) -> B:
    """Makes a function available under its own name, as a decorator, or under another one.

    Args:
        builder: takes keyword-only `num_classes`, `in_chans` and its own options, all with defaults; returns a module.
        name: for a `functools.partial`, which has no name of its own.
        size: height and width of the images that it was published for; None takes the default of its option `size`.

    Raises:
        ValueError: the name is taken.
    """
    name = builder.__name__ if name is None else name
    if name in _BUILDERS:
        raise ValueError(f"model {name!r} is registered already; choose another name")
    _BUILDERS[name] = builder
    own = inspect.signature(builder).parameters.get("size")
    side = own.default if size is None and own is not None else size
    if side is not None:
        _SIZES[name] = side
    return builder


def list_models(pattern: str = "*") -> list[str]:
    """Names that match a shell pattern such as "mnist_*", sorted."""
    return sorted(name for name in _BUILDERS if fnmatch(name, pattern))


def image_shape(name: str) -> tuple[int, int, int]:
    """Channels, height and width of the images that a network of `list_models()` was published for.

    Raises:
        ValueError: it was registered without a size.
    """
    if name not in _SIZES:
        raise ValueError(f"model {name} does not say for images of which size it is; register it with size=")
    return int(inspect.signature(_BUILDERS[name]).parameters["in_chans"].default), _SIZES[name], _SIZES[name]


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    features_only: bool = False,
    **options: Any,
) -> nn.Module:
    """Builds a network with fresh weights from torch's generator.

    Args:
        name: one of `list_models()`; hyphens count as underscores.
        num_classes: outputs; None is what the network was published with.
        in_chans: channels of the images; None likewise.
        features_only: whether to leave the classifier out and return the map of every stage (`FeatureMaps`).
        options: what the builder takes beyond these, such as binary=False for the float twin.

    Raises:
        ValueError: an unknown name or option (the nearest ones are named), or a value that the network cannot have.
    """
    known = model_options(name)
    for option in options:
        if option not in known:
            raise ValueError(f"model {name}: {unknown('option', option, known)}")
    for key, value in (("num_classes", num_classes), ("in_chans", in_chans)):
        if value is not None:
            if value < 1:
                raise ValueError(f"{key} must be >= 1, got {value}")
            options[key] = value
    model = _builder(name)(**options)
    if not features_only:
        return model
    if not isinstance(model, Network):
        raise ValueError(f"model {name} has no stages whose maps features_only could return; create it without")
    return FeatureMaps(model)


def model_options(name: str) -> tuple[str, ...]:
    """What the builder of a network takes beyond `num_classes` and `in_chans`.

    Raises:
        ValueError: an unknown name; the nearest are named.
    """
    return tuple(key for key in inspect.signature(_builder(name)).parameters if key not in ("num_classes", "in_chans"))


def _builder(name: str) -> Builder:
    builder = _BUILDERS.get(name.replace("-", "_"))
    if builder is None:
        raise ValueError(unknown("model", name, list_models()))
    return builder
