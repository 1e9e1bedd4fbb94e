"""Signs of life on standard error while something takes long; nothing where nobody watches."""

import sys
from contextlib import AbstractContextManager, nullcontext


def note(text: str) -> None:
    """Prints one line on standard error, at once."""
    print(text, file=sys.stderr, flush=True)


def working(text: str) -> AbstractContextManager[object]:
    """Shows `text` until the block ends: moving with rich, as a plain line without it, not at all off a terminal."""
    if not sys.stderr.isatty():
        return nullcontext()
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        note(f"{text} ...")
        return nullcontext()
    return Console(stderr=True).status(text)
