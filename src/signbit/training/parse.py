"""A recipe as YAML and back, and dotted overrides on top of one (jsonargparse)."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from jsonargparse import ArgumentParser

from signbit.training.files import write_whole
from signbit.training.recipe import Recipe

__all__ = ["load_recipe", "override", "save_recipe", "split_words"]


def override(recipe: Recipe, words: Sequence[str]) -> Recipe:
    """A recipe with some keys changed.

    Args:
        recipe: where to start.
        words: as on a command line: "--epochs", "5", "--optim.options.lr=1e-3".

    Raises:
        ValueError: an unknown key (the nearest are named) or a value that the key does not take.
    """
    values = asdict(recipe)
    pairs = list(split_words(words))
    _check_keys((key for key, _ in pairs), [*_flatten(values, "", deep=True)])
    return _build(values, [f"--{key}={value}" for key, value in pairs])


def load_recipe(path: Path) -> Recipe:
    """Reads a recipe that `save_recipe` wrote, or one written by hand; keys left out keep their defaults.

    Raises:
        ValueError: not YAML, an unknown key, or a value that the key does not take; the message names the file.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"holds {type(values).__name__}, not keys and values")
        _check_keys(_flatten(values, ""), [])
        return _build(values, [])
    except OSError as error:
        raise ValueError(f"recipe {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"recipe {path}: not YAML ({' '.join(str(error).split())})") from None
    except ValueError as error:
        raise ValueError(f"recipe {path}: {error}") from None


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Writes every key of a recipe, defaults included."""
    write_whole(path, yaml.safe_dump(asdict(recipe), sort_keys=False).encode())


def split_words(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of key and value from "--key value" and "--key=value".

    Raises:
        ValueError: a word that is neither.
    """
    rest = iter(words)
    for word in rest:
        if not re.match(r"--[A-Za-z]", word):
            raise ValueError(f"{word!r} is not an override; write --KEY VALUE, such as --epochs 5")
        key, equals, value = word[2:].partition("=")
        if not equals:
            following = next(rest, None)
            if following is None:
                raise ValueError(f"--{key} needs a value; write --{key} VALUE")
            value = following
        yield key, value


def _build(values: dict[str, Any], words: list[str]) -> Recipe:
    parser = ArgumentParser(exit_on_error=False, default_env=False)
    parser.add_class_arguments(Recipe)
    try:
        parser.set_defaults(values)
        parsed = parser.instantiate(parser.parse_args(words))
        return Recipe(**dict(parsed.items(branches=True)))
    except Exception as error:  # jsonargparse raises several kinds, some of them its own
        raise ValueError(_plain(str(error))) from None


def _plain(message: str) -> str:
    """The key, what it takes and what it got, out of jsonargparse's nested message."""
    message = " ".join(message.split())
    keys = re.findall(r'[Kk]ey "([^"]+)"', message)
    union = re.search(r"Subtypes: \[(.*?)\] .*Given value: (.*)", message)
    if keys and union is not None:
        kinds = re.sub(r"<class '(\w+)'>", r"\1", union[1]).replace("NoneType", "null").replace(", ", " or ")
        return f"{'.'.join(keys)} must be {kinds}, got {union[2]}"
    expected = re.search(r"Expected an? (?:<class '(\w+)'>|(.+?))\. Got value: (.*)", message)
    if not keys or expected is None:
        return message
    kind = expected[1] or re.sub(r"typing\.Literal\[(.*)\]", r"one of \1", expected[2])
    return f"{'.'.join(keys)} must be {kind}, got {expected[3]}"


def _leaves(kind: Any, path: str) -> Iterator[tuple[str, bool]]:
    """Every key of a configuration, and whether it is a dictionary with keys of its own."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        hint, key = hints[field.name], f"{path}{field.name}"
        if is_dataclass(hint):
            yield from _leaves(hint, f"{key}.")
        else:
            yield key, getattr(hint, "__origin__", None) is dict


def _flatten(values: dict[str, Any], path: str, *, deep: bool = False) -> Iterator[str]:
    """Dotted keys of nested dictionaries, into the free ones only where `deep`."""
    free = {key for key, free in _leaves(Recipe, "") if free}
    for key, value in values.items():
        name = f"{path}{key}"
        if isinstance(value, dict) and value and (deep or name not in free):
            yield from _flatten(value, f"{name}.", deep=deep)
        else:
            yield name


def _check_keys(keys: Iterable[str], present: list[str]) -> None:
    known = dict(_leaves(Recipe, ""))
    for key in keys:
        if key in known or any(free and key.startswith(f"{leaf}.") for leaf, free in known.items()):
            continue
        inside = [leaf for leaf in known if leaf.startswith(f"{key}.")]
        if inside:
            raise ValueError(f"{key!r} is a group; set {', '.join(inside)}")
        every = [*dict.fromkeys([*known, *present])]
        last = [leaf for leaf in every if leaf.split(".")[-1] == key.split(".")[-1]]
        near = last[:3] or get_close_matches(key, every, n=3)
        raise ValueError(f"unknown key {key!r}; {'nearest' if near else 'known'}: {', '.join(near or known)}")
