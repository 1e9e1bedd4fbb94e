"""Everything that decides a training run, as one frozen value."""

from dataclasses import dataclass, field
from typing import Any, Literal

from signbit.data.augment import Augmentation

__all__ = ["DataConfig", "ModelConfig", "OptimConfig", "Recipe", "Schedule"]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What to train on.

    Attributes:
        name: a data set (`signbit.data.names()`).
        root: folder with its files.
        validation: images held out of the training part, "last:N" or "first:N"; null trains on all of it.
        augmentation: random changes of the training images.
    """

    name: str
    root: str = "data"
    validation: str | None = None
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which network to train.

    Attributes:
        name: a model (`signbit.models.list_models()`).
        options: what its builder takes beyond `num_classes` and `in_chans`.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a hyper-parameter moves from its value to `end` times its value over a run, step by step.

    Attributes:
        kind: "constant" stays; "linear", "cosine" and "exponential" move over all steps; "staircase" makes `stairs`
            equal jumps of one factor.
        end: factor reached after the last step; above 1 for a value that rises; > 0 for exponential and staircase.
        stairs: number of jumps of a staircase.
    """

    kind: Literal["constant", "linear", "cosine", "exponential", "staircase"] = "linear"
    end: float = 0.0
    stairs: int = 1

    def __post_init__(self) -> None:
        least = "> 0" if self.kind in ("exponential", "staircase") else ">= 0"
        if self.end < 0 or (self.end == 0 and least == "> 0"):
            raise ValueError(f"end of {self.kind} schedules must be {least}, got {self.end}")
        if self.stairs < 1:
            raise ValueError(f"stairs must be >= 1, got {self.stairs}")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """An optimizer, its hyper-parameters and how they move.

    Attributes:
        name: an optimizer (`signbit.training.optimizers`).
        options: its keyword arguments; `lr` is the paper's γ for Bop and Bop2ndOrder.
        schedules: schedule of any of them that is a number; others stay constant.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run. The same recipe on the same machine with as many threads gives the same weights.

    Attributes:
        name: what the recipe is called.
        data: what to train on.
        model: which network.
        optim: optimizer of the binary weights.
        real: optimizer of all other parameters.
        epochs: passes over the training part.
        batch_size: images a step; a last batch that is not full is left out.
        seed: of weights, order and augmentation.
        precision: "float32", or "bfloat16" for products in bfloat16 (parameters and sums stay float32).
        threads: CPU threads; null leaves torch's setting.
    """

    name: str
    data: DataConfig
    model: ModelConfig
    optim: OptimConfig
    real: OptimConfig
    epochs: int
    batch_size: int = 100
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: int | None = None

    def __post_init__(self) -> None:
        for key in ("epochs", "batch_size"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} must be >= 1, got {getattr(self, key)}")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be >= 1 or null, got {self.threads}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be within 0..2**63 - 1, got {self.seed}")
