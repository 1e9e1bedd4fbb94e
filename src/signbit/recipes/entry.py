"""What stands behind one name in the list of recipes."""

from typing import NamedTuple

from signbit.training import OptimConfig, Recipe, Schedule

__all__ = ["Entry", "constant_or_ramp"]


class Entry(NamedTuple):
    """Recipes of one name, which differ by their optimizer, and where they come from.

    Attributes:
        note: one line; for a published configuration the row of its source.
        recipes: the first is the default.
    """

    note: str
    recipes: tuple[Recipe, ...]


def constant_or_ramp(optimizer: str, **values: float | tuple[float, float]) -> OptimConfig:
    """An optimizer whose values stay, or move in a straight line over the run where a pair (start, end) is given."""
    pairs = {key: value for key, value in values.items() if isinstance(value, tuple)}
    return OptimConfig(
        name=optimizer,
        options={key: value[0] if isinstance(value, tuple) else value for key, value in values.items()},
        # Rounded to what the papers print, so that 1e-6/1e-4 is not 0.009999999999999998.
        schedules={
            key: Schedule(kind="linear", end=float(f"{end / start:.12g}")) for key, (start, end) in pairs.items()
        },
    )
