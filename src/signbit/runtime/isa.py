"""Which instruction sets can run a model here, and which one is chosen."""

import os
from functools import cache

REFERENCE = "reference"
VARIABLE = "SIGNBIT_ISA"


def isas() -> tuple[str, ...]:
    """Usable instruction sets, best first; last the reference interpreter, which needs no extension."""
    return (*_native_isas(), REFERENCE)


@cache
def _native_isas() -> tuple[str, ...]:
    try:
        from signbit import _native
    except ImportError:  # installed without a compiler, or a source tree that was never built
        return ()
    return tuple(_native.isas())


def choose(isa: str | None) -> str:
    """`isa`, else the one that SIGNBIT_ISA names, else the best.

    Raises:
        ValueError: the name is unknown, or the instruction set is not usable on this machine.
    """
    usable = isas()
    name, origin = (isa, "isa") if isa is not None else (os.environ.get(VARIABLE) or usable[0], VARIABLE)
    if name not in usable:
        raise ValueError(f"{origin} {name!r} is not usable here; there is {', '.join(usable)}")
    return name
