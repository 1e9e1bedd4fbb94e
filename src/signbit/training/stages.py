"""A run in stages: a chain of trainings in one directory, each with a recipe and a checkpoint of its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from signbit.runs.files import METRICS, read_metrics
from signbit.training.parse import stage_recipes
from signbit.training.recipe import Recipe

__all__ = ["CHECKPOINT", "Stage", "latest_stage", "line_before", "stages_of"]

CHECKPOINT = "checkpoints/last.ckpt"
"""Of the last stage, in a run directory; the others' are called by their names."""


@final
@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a run.

    Attributes:
        name: empty in a run without stages.
        recipe: what it trains; this recipe has no stages itself.
        run: the run's directory.
        checkpoint: its checkpoint, whether it is there yet or not.
        before: names of the stages before it, in order.
    """

    name: str
    recipe: Recipe
    run: Path
    checkpoint: Path
    before: tuple[str, ...]

    def earlier(self, name: str) -> Path:
        """Checkpoint of one of the stages before."""
        return self.run / _path(name)


def stages_of(run: Path, recipe: Recipe) -> list[Stage]:
    """The stages of a run, in order: one for a recipe that has none.

    Raises:
        ValueError: a stage changes an unknown key, or to a value that the key does not take.
    """
    recipes = stage_recipes(recipe)
    names = tuple(recipes)
    return [
        Stage(
            name=name,
            recipe=recipes[name],
            run=run,
            checkpoint=run / (CHECKPOINT if name == names[-1] else _path(name)),
            before=names[:position],
        )
        for position, name in enumerate(names)
    ]


def latest_stage(stages: list[Stage]) -> Stage | None:
    """The last one that has a checkpoint."""
    return next((stage for stage in reversed(stages) if stage.checkpoint.is_file()), None)


def line_before(stage: Stage) -> dict[str, Any] | None:
    """The last line of the metrics of the stages before, from which epochs, steps and seconds go on."""
    if not stage.before or not (stage.run / METRICS).is_file():
        return None
    return next((line for line in reversed(read_metrics(stage.run)) if line.get("stage") in stage.before), None)


def _path(name: str) -> str:
    return f"checkpoints/{name}.ckpt"
