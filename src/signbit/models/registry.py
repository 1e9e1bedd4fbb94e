"""Networks by name: `create_model`, `list_models`, `register_model`, as timm has them; hyphens are underscores."""

import inspect
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from typing import Any, TypeVar, overload

from torch import nn

from signbit.models.network import FeatureMaps, Network
from signbit.wording import unknown

__all__ = ["create_model", "image_shape", "is_model", "list_models", "model_options", "register_model"]

Builder = Callable[..., nn.Module]
B = TypeVar("B", bound=Builder)

_BUILDERS: dict[str, Builder] = {}
_SIZES: dict[str, int] = {}


@overload
def register_model(builder: B, *, name: str | None = None, size: int | None = None) -> B: ...
@overload
def register_model(builder: None = None, *, name: str | None = None, size: int | None = None) -> Callable[[B], B]: ...
def register_model(builder: B | None = None, *, name: str | None = None, size: int | None = None) -> Any:
    """Makes a function available under its own name or another one: @register_model or @register_model(size=32).

    Args:
        builder: takes keyword-only `num_classes`, `in_chans` and its own options, all with defaults; returns a module.
            None gives the decorator.
        name: for a `functools.partial`, which has no name of its own.
        size: height and width of the images that it was published for; None takes the default of its option `size`.

    Raises:
        ValueError: the name is taken.
    """
    if builder is None:
        return partial(register_model, name=name, size=size)
    name = _plain(builder.__name__ if name is None else name)
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
    # As it is first: in "[a-c]*" the hyphen is a range.
    return sorted(name for name in _BUILDERS if fnmatch(name, pattern) or fnmatch(name, _plain(pattern)))


def is_model(name: str) -> bool:
    """Whether `create_model` knows a name."""
    return _plain(name) in _BUILDERS


def image_shape(name: str) -> tuple[int, int, int]:
    """Channels, height and width of the images that a network of `list_models()` was published for.

    Raises:
        ValueError: an unknown name, or it was registered without a size.
    """
    channels = int(inspect.signature(_builder(name)).parameters["in_chans"].default)
    side = _SIZES.get(_plain(name))
    if side is None:
        raise ValueError(f"model {name} does not say for images of which size it is; register it with size=")
    return channels, side, side


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
        name: one of `list_models()`.
        num_classes: outputs; None is what the network was published with.
        in_chans: channels of the images; None likewise.
        features_only: whether to leave the classifier out and return the map of every stage (`FeatureMaps`).
        options: what the builder takes beyond these, such as binary=False for the float twin.

    Raises:
        ValueError: an unknown name or option (the nearest ones are named), or a value that the network cannot have.
    """
    known = model_options(name)
    if "pretrained" in options:
        raise ValueError(
            f"no weights of {name} are distributed; leave pretrained out and train it (signbit recipes lists how), or "
            "load a run of yours with signbit.training.load_run"
        )
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
    if not is_model(name):
        raise ValueError(unknown("model", name, list_models()))
    return _BUILDERS[_plain(name)]


def _plain(name: str) -> str:
    return name.replace("-", "_")
