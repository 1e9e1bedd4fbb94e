"""A recipe as YAML and back, and dotted overrides on top of one (jsonargparse)."""

import re
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from jsonargparse import ArgumentParser

from signbit.files import write_whole
from signbit.training.recipe import Recipe
from signbit.wording import nearest, suggest, unknown

__all__ = ["load_recipe", "override", "recipe_from", "save_recipe", "split_words", "stage_recipes"]

OF_THE_RUN = ("name", "stages", "threads")
"""Keys that no stage changes."""


def override(recipe: Recipe, words: Sequence[str]) -> Recipe:
    """A recipe with some keys changed.

    Args:
        recipe: where to start.
        words: as on a command line: "--epochs", "5", "--optim.options.lr=1e-3", "--stages.NAME.epochs=5".

    Raises:
        ValueError: an unknown key (the nearest are named) or a value that the key does not take.
    """
    values = asdict(recipe)
    pairs = list(split_words(words))
    _check_keys((key for key, _ in pairs), [*_flatten(values, "", deep=True)])
    for key, value in pairs:
        if key.startswith("stages."):
            _set_in_stage(values["stages"], key.split(".")[1:], value)
    return _with_stages(_build(values, [f"--{key}={value}" for key, value in pairs if not key.startswith("stages.")]))


def load_recipe(path: Path) -> Recipe:
    """Reads a recipe that `save_recipe` wrote, or one written by hand; keys left out keep their defaults.

    Raises:
        ValueError: not YAML, an unknown key, or a value that the key does not take; the message names the file.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"holds {type(values).__name__}, not keys and values")
        return recipe_from(values)
    except OSError as error:
        raise ValueError(f"recipe {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"recipe {path}: not YAML ({' '.join(str(error).split())})") from None
    except ValueError as error:
        raise ValueError(f"recipe {path}: {error}") from None


def recipe_from(values: dict[str, Any]) -> Recipe:
    """A recipe from what `asdict` gave of one, or an earlier version; keys left out keep their defaults.

    Raises:
        ValueError: an unknown key, or a value that the key does not take.
    """
    _check_keys(_flatten(values, ""), [])
    return _with_stages(_build(values, []))


def stage_recipes(recipe: Recipe) -> dict[str, Recipe]:
    """The recipe of each stage, by name and in order; of a recipe without stages itself, under the empty name.

    Raises:
        ValueError: a stage changes an unknown key, or to a value that the key does not take.
    """
    base = asdict(recipe)
    found = {}
    for name, changes in recipe.stages.items():
        try:
            if not isinstance(changes, dict):
                raise ValueError(f"holds {type(changes).__name__}, not keys and values")
            for key in OF_THE_RUN:
                if key in changes:
                    raise ValueError(f"{key!r} is of the whole run; set it outside the stages")
            _check_keys(_flatten(changes, ""), [])
            other = [key for key in changes.get("data", {}) if key != "augmentation"]
            if other:
                raise ValueError(f"the images are of the whole run; set data.{other[0]} outside the stages")
            # A copy, because jsonargparse writes defaults into what it is given.
            found[name] = _build(deepcopy({**_merge(base, changes), "stages": {}}), [])
        except ValueError as error:
            raise ValueError(f"stages.{name}: {error}") from None
    return found or {"": recipe}


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


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` in it, at every depth; a part that is given another name is only what changes."""
    if changes.get("name", base.get("name")) != base.get("name"):
        return changes
    merged = dict(base)
    for key, value in changes.items():
        old = base.get(key)
        merged[key] = _merge(old, value) if isinstance(value, dict) and isinstance(old, dict) else value
    return merged


def _set_in_stage(stages: dict[str, Any], path: list[str], value: str) -> None:
    if path[0] not in stages:
        raise ValueError(unknown("stage", path[0], stages))
    inner = stages
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ValueError(f"stages.{'.'.join(path)}: {key} is {inner!r}, which has no keys in it")
    try:
        inner[path[-1]] = yaml.safe_load(value)
    except yaml.YAMLError:
        inner[path[-1]] = value


def _with_stages(recipe: Recipe) -> Recipe:
    """The same, its stages checked, and their values of the types that the keys have."""
    if not recipe.stages:
        return recipe
    built = {name: asdict(stage) for name, stage in stage_recipes(recipe).items()}
    return replace(recipe, stages={name: _pick(changes, built[name]) for name, changes in recipe.stages.items()})


def _pick(keys: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Of nested dictionaries, what has the keys of other ones."""
    return {
        key: _pick(value, values[key]) if isinstance(value, dict) and isinstance(values[key], dict) else values[key]
        for key, value in keys.items()
    }


def _build(values: dict[str, Any], words: list[str]) -> Recipe:
    parser = ArgumentParser(exit_on_error=False, default_env=False)
    parser.add_class_arguments(Recipe)
    try:
        if words:
            parser.set_defaults(values)
        parsed = parser.parse_args(words) if words else parser.parse_object(values)
        return Recipe(**dict(parser.instantiate(parsed).items(branches=True)))
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
        near = last[:3] or nearest(key, every)
        first = dict.fromkeys(leaf.split(".")[0] for leaf in known)
        more = "" if near else "; `signbit recipes NAME` shows what is in them"
        raise ValueError(f"unknown key {key!r}; {suggest(near, first)}{more}")
