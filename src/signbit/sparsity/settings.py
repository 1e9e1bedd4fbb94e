"""What a budget with masks is made of, as one frozen value."""

from dataclasses import dataclass
from typing import Literal

from signbit.sparsity.budgets import Distribution
from signbit.sparsity.selection import parse_pattern
from signbit.wording import check_choice

__all__ = ["Criterion", "Method", "SparsityConfig"]

Method = Literal["topk", "flips", "static", "set", "rigl"]
Criterion = Literal["latent", "gradient"]

_PERIODS = {"topk": 1, "flips": 10}


@dataclass(frozen=True, kw_only=True)
class SparsityConfig:
    """How many weights take the rarer level (ternary: are not 0), and how they are found (`signbit.sparsity`).

    Attributes:
        density: fraction of the weights, in (0, 1]; null leaves the weights to their quantizers.
        distribution: "uniform", the same density for every layer; "erk", more for small layers (Erdős–Rényi-Kernel);
            "global", the largest latents of all layers together, each divided by its layer's root mean square.
        method: "topk", the largest latents, from dense to sparse; "flips", weights that often flip leave; "static", a
            mask of the start; "set" and "rigl", a mask of constant size that exchanges weights.
        pattern: null; "N:M", N of every M consecutive weights of a filter; "block:SIZE", so many are chosen together.
        every: updates between moves of the masks; null is 1 of "topk", whose latents overshoot while a mask waits for
            them, 10 of "flips" and 100 of "set" and "rigl", which give new weights time.
        start: density at the beginning of "topk", in (0, 1]; "flips" begins with all weights.
        anneal: fraction of the training, in (0, 1], after which "topk" and "flips" have reached their density.
        drop: share of a mask, in (0, 1], that "set" and "rigl" exchange at first.
        drop_end: share that their last move exchanges; in between a cosine.
        until: fraction of the training, in (0, 1], after which "set" and "rigl" leave the masks alone.
        criterion: what leaves in "set" and "rigl": the least "latent", or what the "gradient" asks to leave.
    """

    density: float | None = None
    distribution: Distribution = "uniform"
    method: Method = "topk"
    pattern: str | None = None
    every: int | None = None
    start: float = 0.5
    anneal: float = 0.6
    drop: float = 0.3
    drop_end: float = 0.005
    until: float = 0.75
    criterion: Criterion = "latent"

    def __post_init__(self) -> None:
        for name, choices in (("method", Method), ("distribution", Distribution), ("criterion", Criterion)):
            check_choice(f"sparsity.{name}", getattr(self, name), choices)
        for name in ("density", "start", "anneal", "drop", "drop_end", "until"):
            fraction = getattr(self, name)
            if fraction is not None and not 0 < fraction <= 1:
                raise ValueError(f"sparsity.{name} must be in (0, 1], got {fraction}")
        if self.every is not None and self.every < 1:
            raise ValueError(f"sparsity.every must be >= 1 updates, got {self.every}")
        if self.pattern is not None:
            self._check_pattern(self.pattern)

    @property
    def period(self) -> int:
        """Updates between moves of the masks."""
        return _PERIODS.get(self.method, 100) if self.every is None else self.every

    def _check_pattern(self, text: str) -> None:
        pattern = parse_pattern(text)
        if self.method not in ("topk", "static") or self.distribution != "uniform":
            raise ValueError(
                f"sparsity.pattern {text} goes with method topk or static and distribution uniform, got {self.method} "
                f"and {self.distribution}"
            )
        share = pattern.kept / pattern.size
        if pattern.kind == "n:m" and (self.density is None or abs(self.density - share) > 1e-9):
            raise ValueError(f"sparsity.density {self.density} is not that of pattern {text}; set it to {share:g}")
