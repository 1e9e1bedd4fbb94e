"""One sentence for every mistake a user can make."""

import importlib
from collections.abc import Iterable
from types import ModuleType

from signbit import wording

EXTRAS = {
    "torch": "train",
    "lightning": "train",
    "kornia": "train",
    "rich": "train",
    "sklearn": "train",
    "tensorboard": "train",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "matplotlib": "report",
}


class UserError(ValueError):
    """A mistake on the command line; the message is the sentence to print."""


def sentence(error: BaseException) -> str | None:
    """What to tell the user about `error`, in one line; None for a fault of the program."""
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        extra = EXTRAS.get(package)
        return None if extra is None else f"this needs {package}: pip install 'signbit[{extra}]'"
    if isinstance(error, ImportError):
        return one_line(str(error)) if "pip install" in str(error) else None
    if isinstance(error, OSError) and error.filename is not None:
        return one_line(f"{str(error.filename)!r}: {error.strerror}")
    if isinstance(error, MemoryError):
        return one_line(f"not enough memory: {error}")
    known = isinstance(error, ValueError | OSError) or hasattr(error, "exit_code")
    return one_line(str(error)) if known else None


def one_line(text: str) -> str:
    """`text` with every run of white space as one space."""
    return " ".join(text.split())


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a `name` that is none of `known`: the nearest ones, or all of them."""
    return UserError(wording.unknown(kind, name, known))


def require(name: str, purpose: str) -> ModuleType:
    """The module `name`; else `UserError` saying which extra gives it to `purpose`."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = (error.name or name).partition(".")[0]
        if package not in EXTRAS:
            raise
        raise UserError(f"{purpose} needs {package}: pip install 'signbit[{EXTRAS[package]}]'") from None
