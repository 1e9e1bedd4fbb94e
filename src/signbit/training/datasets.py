"""The images that a recipe trains on, holds out and tests on."""

from signbit.data import Dataset, load
from signbit.training.recipe import DataConfig
from signbit.wording import check_choice

__all__ = ["PARTS", "load_part", "load_training"]

PARTS = ("train", "validation", "reserve", "test")


def load_training(config: DataConfig) -> tuple[Dataset, Dataset | None, Dataset | None]:
    """The training part of a data set, shared out: what is trained on, the validation images, the reserve.

    Raises:
        ValueError: an unknown data set or option, a rule that does not fit, or bad data (`DataError`).
    """
    rest, reserve = load(config.name, config.root, "train", **config.options).hold_out(config.reserve, key="reserve")
    training, validation = rest.hold_out(config.validation)
    return training, validation, reserve


def load_part(config: DataConfig, part: str) -> Dataset:
    """One part: "test" is the data set's own test part, the others are what `load_training` gives.

    Raises:
        ValueError: as `load_training`, or the recipe has no such part.
    """
    check_choice("split", part, PARTS)
    if part == "test":
        return load(config.name, config.root, "test", **config.options)
    found = dict(zip(PARTS, load_training(config)))[part]
    if found is None:
        raise ValueError(f"the recipe keeps no {part} images: data.{part} is null")
    return found
