"""signbit trains one-bit neural networks with PyTorch and runs them without it.

Importing this package loads neither torch nor numpy; sub-packages load on first use.
"""

import importlib
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

try:
    __version__ = version("signbit")
except PackageNotFoundError:  # a source tree on the path, never installed
    __version__ = "0+unknown"

_SUBPACKAGES = (
    "analysis",
    "cli",
    "data",
    "export",
    "importers",
    "models",
    "nn",
    "optim",
    "packed",
    "params",
    "quantizers",
    "recipes",
    "runtime",
    "training",
)


def __getattr__(name: str) -> ModuleType:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_SUBPACKAGES, "__version__"])
