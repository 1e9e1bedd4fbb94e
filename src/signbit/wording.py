"""One wording for a name that nobody knows, and for a value that is none of the allowed ones."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, get_args

__all__ = ["check_choice", "nearest", "suggest", "unknown"]


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """At most three of the `known` names that look like `name`, the likeliest first."""
    return get_close_matches(name, list(known), n=3, cutoff=0.5)


def suggest(near: Sequence[str], known: Iterable[str], *, what: str = "known") -> str:
    """The way out of a wrong name: the `near` ones as a question; without any, `what` and all `known` ones."""
    return f"did you mean {' or '.join(near)}?" if near else f"{what}: {', '.join(known) or 'none'}"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a `name` that is none of `known`: the nearest ones, or all of them."""
    names = list(known)
    return f"unknown {kind} {name!r}; {suggest(nearest(name, names), names)}"


def check_choice(name: str, value: object, allowed: Any) -> None:
    """Checks that the argument `name` has one of the values of a `Literal`, or of a tuple.

    Raises:
        ValueError: it has another one; the message names all that are allowed.
    """
    choices = allowed if isinstance(allowed, tuple) else get_args(allowed)
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
