"""Everything that decides a training run, as one frozen value."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from signbit.data.augment import Augmentation
from signbit.losses import AttentionNorm
from signbit.sparsity import SparsityConfig

__all__ = ["DataConfig", "LossConfig", "ModelConfig", "OptimConfig", "PenaltyConfig", "Recipe", "Schedule"]

RESERVED = ("previous", "fresh", "last")
"""Words that name no stage."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What to train on.

    Attributes:
        name: a data set (`signbit.data.names()`).
        root: folder with its files.
        options: what its reader takes beyond these, such as `size` of "image-folder" (`signbit.data.load`).
        reserve: images kept out of training and validation for a final test, "last:N", "first:N" or "fraction:F" (of
            each class); null keeps none. CIFAR-10's fifth batch is "last:10000".
        validation: images held out of the others, by the same rules; null trains on all of them.
        workers: processes that decode image files, at most one for each core; 0 decodes in the training process.
        augmentation: random changes of the training images.
    """

    name: str
    root: str = "data"
    options: dict[str, Any] = field(default_factory=dict)
    reserve: str | None = None
    validation: str | None = None
    workers: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ValueError(f"data.workers must be >= 0, got {self.workers}")


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
    """How a hyper-parameter moves from its value, which the first update uses, over a run, update by update.

    Attributes:
        kind: "constant" stays; "linear", "polynomial", "cosine" and "exponential" move until the last update;
            "staircase" jumps.
        end: factor reached at the end; above 1 for a value that rises; > 0 for exponential and staircase.
        power: of a polynomial: what is left of the way falls as (1 − progress)^power; > 0.
        every: epochs between the jumps of a staircase, each by the factor `end`; null makes `stairs` jumps instead.
        stairs: jumps of a staircase without `every`: equally far apart, equally large, `end` together.
        warmup: epochs at the beginning in which the value rises from 0 in a straight line, before all else.
        per_epoch: moves only once an epoch, at its start and there already to the epoch's last value, so that a linear
            fall is lr·(1 − (e + 1)/E) in epoch e = 0..E − 1, exactly 0 in the last (ReActNet's and AdamBNN's code).
    """

    kind: Literal["constant", "linear", "polynomial", "cosine", "exponential", "staircase"] = "linear"
    end: float = 0.0
    power: float = 1.0
    every: float | None = None
    stairs: int = 1
    warmup: float = 0.0
    per_epoch: bool = False

    def __post_init__(self) -> None:
        least = "> 0" if self.kind in ("exponential", "staircase") else ">= 0"
        if self.end < 0 or (self.end == 0 and least == "> 0"):
            raise ValueError(f"end of {self.kind} schedules must be {least}, got {self.end}")
        if not self.power > 0:
            raise ValueError(f"power must be > 0, got {self.power}")
        if self.every is not None and not self.every > 0:
            raise ValueError(f"every must be > 0 epochs or null, got {self.every}")
        if self.stairs < 1:
            raise ValueError(f"stairs must be >= 1, got {self.stairs}")
        if not self.warmup >= 0:
            raise ValueError(f"warmup must be >= 0 epochs, got {self.warmup}")
        if self.per_epoch and self.warmup != int(self.warmup):
            raise ValueError(f"warmup must be whole epochs with per_epoch, got {self.warmup}")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """An optimizer, its hyper-parameters and how they move.

    Attributes:
        name: an optimizer (`signbit.training.optimizers`).
        options: its keyword arguments; `lr` is the paper's γ for Bop and Bop2ndOrder.
        schedules: schedule of any of them that is a number; others stay constant.
        groups: options of some parameters only, by a pattern of their names, such as "*.bias": {"weight_decay": 0}; the
            first pattern that fits counts. What has a schedule has it for all.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PenaltyConfig:
    """SBNN's soft budget of ones, a share of the loss (`signbit.sparsity.density_penalty`).

    Attributes:
        density: fraction of all binary weights together that may be +1, in (0, 1].
        share: of the penalty in the total loss, in [0, 1); 0 is no penalty.
        slope: derivative of the count of ones.
        tolerance: excess of the density up to which there is no penalty.
    """

    density: float = 0.5
    share: float = 0.0
    slope: float = 0.5
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if not 0 < self.density <= 1:
            raise ValueError(f"penalty.density must be in (0, 1], got {self.density}")
        if not 0 <= self.share < 1:
            raise ValueError(f"penalty.share must be in [0, 1), got {self.share}")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What training minimises: a weighted sum of terms (`signbit.losses`), all but the first against a teacher.

    Attributes:
        labels: weight of the term of the images' own labels; 0 learns from the teacher alone.
        kind: that term: "cross-entropy", or "squared-hinge" (BinaryNet).
        smoothing: share of every label that goes to all classes alike, within 0..1, and below 1; cross-entropy only.
        distribution: weight of the cross-entropy with the teacher's probabilities (ReActNet, AdamBNN).
        distillation: weight of T² times the divergence of the probabilities at temperature T (Hinton et al.).
        temperature: T.
        attention: weight of attention transfer (Real-to-Binary).
        attention_norm: "l2" or "max", see `signbit.losses.attention_loss`.
        blocks: weight of the squared differences of the maps (DGRL).
        maps: modules of the network whose results `attention` and `blocks` compare; none takes the maps that the
            network itself names (`feature_info`).
        teacher_maps: modules of the teacher, in the same order; none takes the same names.
    """

    labels: float = 1.0
    kind: Literal["cross-entropy", "squared-hinge"] = "cross-entropy"
    smoothing: float = 0.0
    distribution: float = 0.0
    distillation: float = 0.0
    temperature: float = 4.0
    attention: float = 0.0
    attention_norm: AttentionNorm = "l2"
    blocks: float = 0.0
    maps: list[str] = field(default_factory=list)
    teacher_maps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for key in ("labels", "distribution", "distillation", "attention", "blocks"):
            if not 0 <= getattr(self, key) < float("inf"):
                raise ValueError(f"loss.{key} must be a finite weight >= 0, got {getattr(self, key)}")
        if not self.labels and not self.needs_teacher:
            raise ValueError("loss has no term; set one of its weights, such as labels: 1")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"loss.smoothing must be within 0..1, and below 1, got {self.smoothing}")
        if self.smoothing and self.kind != "cross-entropy":
            raise ValueError(f"loss.smoothing is of the cross-entropy; with {self.kind} set it to 0")
        if not self.temperature > 0:
            raise ValueError(f"loss.temperature must be > 0, got {self.temperature}")

    @property
    def needs_teacher(self) -> bool:
        """Whether a term compares with a teacher."""
        return bool(self.distribution or self.distillation or self.compares_maps)

    @property
    def compares_maps(self) -> bool:
        """Whether a term compares feature maps."""
        return bool(self.attention or self.blocks)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run. The same recipe on the same machine with as many threads gives the same weights.

    Attributes:
        name: what the recipe is called.
        data: what to train on.
        model: which network.
        optim: optimizer of the binary weights.
        real: optimizer of all other parameters.
        penalty: soft budget of ones among the binary weights; none by default.
        sparsity: masks of the rarer level, for weights that are "ternary" or "twolevel"; none by default.
        loss: what is minimised.
        teacher: network that `loss` compares with: an earlier stage, or a run directory; null takes the one given in
            Python, if any (`train`).
        start: first weights: "previous" takes those of the stage before, in the first stage fresh ones; "fresh"; an
            earlier stage; or a run directory. Every name and shape must agree.
        stages: trainings one after another, by name: what each changes of the keys here, as the recipe nests them. A
            part that is given another `name` is replaced as a whole. None: one training, of the recipe itself.
        epochs: passes over the training part.
        batch_size: images a step; a last batch that is not full is left out.
        seed: of weights, order and augmentation.
        mode: "exact" computes in float32; "fast" compiles the network (`torch.compile`, which needs a C++ compiler on
            CPUs and takes seconds before the first step) and takes its products in bfloat16; parameters, statistics
            and the optimizer's state stay float32 (docs/training.md).
        threads: CPU threads; null leaves torch's setting.
        accumulate: batches whose mean gradient makes one update.
        ema: decay of a running mean of the real parameters and norm statistics, within 0..1, such as 0.999; validation
            and the finished run use the mean. Binary weights have none. null keeps no mean.
        early_stop: epochs in a row without a lower validation loss that end the run; null never does.
        checkpoint_steps: updates between checkpoints inside an epoch; null saves only at the end of each.
        tensorboard: writes the metrics for TensorBoard too, into RUN/tensorboard.
    """

    name: str
    data: DataConfig
    model: ModelConfig
    optim: OptimConfig
    real: OptimConfig
    epochs: int
    penalty: PenaltyConfig = field(default_factory=PenaltyConfig)
    sparsity: SparsityConfig = field(default_factory=SparsityConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    teacher: str | None = None
    start: str = "previous"
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    batch_size: int = 100
    seed: int = 0
    mode: Literal["exact", "fast"] = "exact"
    threads: int | None = None
    accumulate: int = 1
    ema: float | None = None
    early_stop: int | None = None
    checkpoint_steps: int | None = None
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for key in ("epochs", "batch_size", "accumulate"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} must be >= 1, got {getattr(self, key)}")
        for key in ("threads", "early_stop", "checkpoint_steps"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ValueError(f"{key} must be >= 1 or null, got {value}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must lie between 0 and 1 or be null, got {self.ema}")
        if self.early_stop is not None and self.data.validation is None:
            raise ValueError("early_stop needs validation images; set data.validation, such as fraction:0.1")
        for name in self.stages:
            if not re.fullmatch(r"[a-z][a-z0-9_-]*", str(name)) or name in RESERVED:
                raise ValueError(
                    f"stages: {name!r} must be a small letter, then letters, digits, - or _, and none of "
                    f"{', '.join(RESERVED)}"
                )
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be within 0..2**63 - 1, got {self.seed}")
