"""signbit trains one-bit neural networks with PyTorch and runs them without it.

Importing this package loads neither torch nor numpy; sub-packages load on first use.
"""

import importlib
from typing import Any

__version__: str  # looked up when asked for: reading the metadata takes longer than everything else here

_SUBPACKAGES = (
    "analysis",
    "assets",
    "benchmark",
    "cli",
    "data",
    "export",
    "importers",
    "losses",
    "models",
    "nn",
    "optim",
    "packed",
    "params",
    "quantizers",
    "recipes",
    "runs",
    "runtime",
    "sparsity",
    "training",
)


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "__version__":
        return _version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("signbit")
    except PackageNotFoundError:  # a source tree on the path, never installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted([*_SUBPACKAGES, "__version__"])
