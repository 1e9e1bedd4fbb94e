"""The command line: one file per verb, each with `arguments(parser)` and `run(options)`; loaded only when asked for."""

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """The file of a verb, so that `signbit.cli.demo.demo` needs no import of its own."""
    module = f"{__name__}.{name}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
