"""What distinguishes recipes, in few words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from signbit.runs.files import FREE

__all__ = ["differences", "settings", "words"]

OPEN = ("options", "schedules")
"""Parts of a recipe whose keys are free: one that is absent is not set, elsewhere a later version has brought it."""

NEUTRAL = {"power": 1.0, "every": None, "stairs": 1, "warmup": 0.0}
"""Values of a schedule that change nothing."""


def settings(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The dotted keys of a recipe, without the seed and what changes nothing of its result.

    Args:
        recipe: keys and values as nested as the file.
    """
    return {key: value for key, value in _flatten(recipe, "") if key != "seed" and key not in FREE}


def differences(all_settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys in which recipes differ, in the order of the recipes.

    Args:
        all_settings: of each recipe, as `settings` gives them.
    """
    keys = dict.fromkeys(key for found in all_settings for key in found)
    return [key for key in keys if _differs(key, all_settings)]


def words(found: Mapping[str, Any]) -> list[str]:
    """Settings as a reader wants them: ["bop", "lr 0.001", "lr linear to 0×"].

    Args:
        found: some of what `settings` gave.
    """
    return [_words(key, value) for key, value in found.items()]


def _flatten(values: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{path}{key}"
        if path.endswith("schedules.") and isinstance(value, dict):
            yield name, {k: v for k, v in value.items() if k not in NEUTRAL or NEUTRAL[k] != v}
        elif isinstance(value, dict):
            yield from _flatten(value, f"{name}.")
        else:
            yield name, value


def _differs(key: str, all_settings: Sequence[Mapping[str, Any]]) -> bool:
    values = [repr(found[key]) for found in all_settings if key in found]
    absent = len(values) < len(all_settings) and key.split(".")[-2:-1] and key.split(".")[-2] in OPEN
    return bool(absent) or len(set(values)) > 1


def _words(key: str, value: Any) -> str:
    part, *rest = key.split(".")
    if isinstance(value, dict):
        owner = [part] if part != "optim" else []
        extra = [f"{k} {_text(v)}" for k, v in value.items() if k not in ("kind", "end")]
        end = [] if value.get("kind") == "constant" else [f"to {_text(value.get('end'))}×"]
        return " ".join([*owner, rest[-1], str(value.get("kind")), *end, *extra])
    if rest == ["name"]:
        return _text(value) if part == "optim" else f"{part} {_text(value)}"
    shown = [word for word in rest if word not in OPEN]
    return " ".join([*([] if part == "optim" and shown else [part]), *shown, _text(value)])


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return "none" if value is None else str(value)
