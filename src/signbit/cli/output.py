"""What verbs return and how it is printed: text for people, one JSON object for programs."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Output:
    """The result of a verb.

    Attributes:
        text: for people.
        data: the same for programs, printed by `--json`.
        code: exit code; 1 where the verb ran and the answer is no.
    """

    text: str
    data: Mapping[str, Any]
    code: int = 0

    def json(self) -> str:
        """`data` as one line of strict JSON."""
        return json.dumps(_plain(self.data), allow_nan=False)


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case float():
            return value if math.isfinite(value) else None
        case str() | int() | None:
            return value
        case Sequence():
            return [_plain(item) for item in value]
    # Arrays and their scalars, without importing numpy here: most help texts need none of it.
    return _plain(value.tolist()) if hasattr(value, "tolist") else str(value)


def command(*words: object) -> str:
    """What to type: `signbit` and its words, in quotes where the shell needs them."""
    return shlex.join(["signbit", *map(str, words)])
