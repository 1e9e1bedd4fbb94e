"""Weights of less than one bit: every kernel is one of a few patterns of signs."""

import warnings
from typing import Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from signbit.quantizers.budget import Granularity, check_fractions, rows_of
from signbit.quantizers.codebooks import budget_cut, draw, frequent, nearest, numbers, patterns
from signbit.quantizers.ranked import Encoding, RankedQuantizer, expect_distinct
from signbit.quantizers.registry import register
from signbit.quantizers.scale import Scale, filter_mean
from signbit.quantizers.sign import code_with_surrogate, sign
from signbit.quantizers.signs import SignQuantizer
from signbit.quantizers.splits import free_split, group_means, largest
from signbit.wording import check_choice

__all__ = ["SubBit"]

Choice = Literal["learned", "frequent"]
Values = Literal["signs", "closed"]

_MOST_WIDTH = 12
_DEAD_ZONE = 1e-3
_BOUND = 3.0


@register("subbit")
@final
class SubBit(RankedQuantizer):
    """Every kernel is the nearest of 2^τ patterns of signs, which one layer shares (sub-bit networks, 2110.09195).

    A file then holds τ bits for each kernel: .67, .56 and .44 bits a weight for the 64, 32 and 16 patterns of 3x3
    kernels. The gradient of the latent weight is that of a sign, scale·∂L/∂ŵ·h(w).

    The codebook is part of the state dict, beside the layer's weight: `weight_quantizer.memory`, `.forwards` and, where
    it is learned, `.patterns`. A learned one has a gradient in every `every`-th training forward only, and its unused
    rows never; DistributedDataParallel then needs find_unused_parameters=True.

    Attributes:
        ahead: what compiled code takes for `encode`, if its caller has encoded the weight just before; else it breaks
            the graph in every layer.

    Args:
        bits: bits a weight, in (0, 1]: τ = round(bits·T) for kernels of T weights.
        values: "signs", ±scale; "closed", {low, high} as the means of the two groups (SBNN, 2306.13515, with this
            codebook). None is closed with a density, else signs.
        density: fraction p of the weights, in (0, 1], that are high: at most round(p·n) of n, and less than one kernel
            below it (`codebooks.budget_cut`). None is no budget.
        codebook: "learned", as published: 2^τ patterns at random, P, whose signs are used (the former sign where |P|
            is below 1e-3), and which receive the gradients of their kernels in every `every`-th forward; duplicates
            are then replaced by unused patterns and P is limited to ±3. "frequent": the patterns that most kernels
            have as their signs, chosen again in every `every`-th forward, the pattern without high ones included. None
            is frequent with a density, which a learned codebook cannot hold, else learned.
        scale: of signs: "mean" for α = mean|w| of the filter, without a gradient of its own; "none" for ±1.
        granularity: of closed values and of the budget: one per "layer" or per "filter". The codebook is the layer's.
        every: training forwards between two changes of the codebook; 0 keeps it as it is.
        group: inputs that make a kernel where the layer's own is a single weight (1x1 convolutions, linear layers).
        surrogate: name of the sign quantizer whose surrogate gradient h is used.
        start: density at the beginning of a schedule, in (0, 1].
        anneal: fraction of the training, in (0, 1], after which the density stands at its target; see `TwoLevel`.
    """

    patterns: nn.Parameter
    memory: Tensor
    forwards: Tensor

    def __init__(
        self,
        *,
        bits: float = 0.67,
        values: Values | None = None,
        density: float | None = None,
        codebook: Choice | None = None,
        scale: Scale = "mean",
        granularity: Granularity = "layer",
        every: int = 25,
        group: int = 8,
        surrogate: str | SignQuantizer = "sign",
        start: float = 0.5,
        anneal: float = 0.6,
    ) -> None:
        values = ("signs" if density is None else "closed") if values is None else values
        codebook = ("learned" if density is None else "frequent") if codebook is None else codebook
        check_choice("values", values, Values)
        check_choice("codebook", codebook, Choice)
        check_choice("scale", scale, Scale)
        check_fractions(bits=bits)
        if every < 0 or group < 2:
            raise ValueError(f"every must be >= 0 and group >= 2, got every={every}, group={group}")
        super().__init__(
            density=density,
            granularity=granularity,
            surrogate=surrogate,
            start=start,
            anneal=anneal,
            all_allowed=False,
        )
        if density is not None and codebook == "learned":
            raise ValueError(
                f"density={density} needs patterns with few ones, which codebook='learned' may lack; use 'frequent'"
            )
        if density is not None and density > 0.5:
            warnings.warn(
                f"density={density} is above one half, so the roles are swapped: low is the rarer level, which packed "
                "files list",
                stacklevel=2,
            )
        self.width = bits
        self.values = values
        self.codebook = codebook
        self.scaling = scale
        self.every = every
        self.group = group
        self.taps = 0
        self.ahead: Encoding | None = None

    @property
    @override
    def symmetric(self) -> bool:
        return self.values == "signs"

    @override
    def attach(self, weight: Tensor) -> None:
        """Makes the codebook of the one layer that this belongs to.

        Args:
            weight: filters first; a frequent codebook begins with its patterns.

        Raises:
            ValueError: it serves a layer already, or the weight's kernels do not suit.
        """
        if self.taps:
            raise ValueError("a sub-bit quantizer holds the codebook of one layer; give each layer its own")
        own = weight[0, 0].numel()
        taps = own if own > 1 else self.group
        if weight[0].numel() % taps:
            raise ValueError(
                f"kernels of {taps} weights do not divide the {weight[0].numel()} inputs of a filter; choose another "
                "group= in subbit(...), or another weight_quantizer for this layer"
            )
        width = round(self.width * taps)
        if not 1 <= width <= _MOST_WIDTH:
            raise ValueError(
                f"bits={self.width} of kernels of {taps} weights is a codebook of 2^{width} patterns; allowed are 2^1 "
                f"to 2^{_MOST_WIDTH}, which is bits= from {0.51 / taps:.2g} to {min(1, _MOST_WIDTH / taps):.2g}"
            )
        self._expect_budget(rows_of(weight, self.granularity).shape[1])
        self.taps = taps
        chosen = draw(2**width, taps) if self.codebook == "learned" else self._frequent(weight.detach(), 2**width)
        book = patterns(chosen.to(weight.device), taps).to(weight.dtype)
        self.register_buffer("memory", book)
        self.register_buffer("forwards", torch.tensor(0, device=weight.device))
        if self.codebook == "learned" and width < taps:
            self.patterns = nn.Parameter(book.clone())

    def codewords(self) -> Tensor:
        """The codebook (2^τ, taps) of −1 and +1."""
        if "patterns" not in self._parameters:
            return sign(self.memory)
        return torch.where(self.patterns.detach().abs() >= _DEAD_ZONE, sign(self.patterns), sign(self.memory))

    @override
    def encode(self, weight: Tensor) -> Encoding:
        """Code and levels of a weight; in training, with gradients on, one of the forwards that change the codebook.

        Args:
            weight: filters first.

        Raises:
            ValueError: the weights of a layer or filter leave one level, not two.
        """
        if self.ahead is not None and torch.compiler.is_compiling():
            return self.ahead
        return self._encode_now(weight)

    # Its counter decides what is done, which compiled code could not follow.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _encode_now(self, weight: Tensor) -> Encoding:
        self._expect_codebook()
        changes = self.training and torch.is_grad_enabled() and self._advance(weight.detach())
        # The nearest pattern is that of float32, whatever products of layers are computed in.
        with torch.autocast(weight.device.type, enabled=False):
            return self._encode(weight, learns=changes and self.codebook == "learned")

    @override
    def scale(self, weight: Tensor) -> Tensor | None:
        if self.values == "closed":
            _, low, high = self._encode(weight)
            return (high - low) / 2
        return filter_mean(weight.detach()) if self.scaling == "mean" else None

    @override
    def extra_repr(self) -> str:
        names = ("width", "values", "target", "codebook", "granularity")
        words = {"width": "bits", "target": "density"}
        return ", ".join(f"{words.get(name, name)}={getattr(self, name)}" for name in names)

    def _expect_codebook(self) -> None:
        if not self.taps:
            raise ValueError("a sub-bit quantizer has no codebook until a layer takes it as its weight_quantizer")

    def _encode(self, weight: Tensor, *, learns: bool = False) -> Encoding:
        rows = rows_of(weight.detach(), self.granularity)
        kernels = rows.view(len(rows), -1, self.taps)
        book = self.codewords()
        cut = self._cut(rows, kernels, book)
        shift = None if cut is None else cut.repeat_interleave(kernels.shape[1])
        if self.target is None and len(book) == 2**self.taps:
            # All patterns: products of weights of very different size would round, the sign does not.
            index, code = None, sign(rows if cut is None else rows - cut[:, None])
        else:
            index = nearest(kernels.reshape(-1, self.taps), book, shift)
            code = book[index].view_as(rows)
        low, high = self._levels(rows, code, weight)
        u = weight if cut is None else weight - cut.view(-1, *(1,) * (weight.dim() - 1))
        code = code_with_surrogate(u, code.view(weight.shape), self.estimator.surrogate)
        if learns and index is not None:
            chosen = self.patterns[index].view(weight.shape)
            code = code + (chosen - chosen.detach())
        filters = weight.shape[0]
        return Encoding(code, low.expand(filters), high.expand(filters))

    def _cut(self, rows: Tensor, kernels: Tensor, book: Tensor) -> Tensor | None:
        """What is subtracted from the weights before they are compared, (rows,); None is 0."""
        if (ones := self._budget_of(rows.shape[1])) is not None:
            expect_distinct(rows, self.granularity)
            return budget_cut(kernels, book, ones)
        if self.values == "signs":
            return None
        expect_distinct(rows, self.granularity)
        best = free_split(rows)
        return (best.low + best.high) / 2

    def _levels(self, rows: Tensor, code: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        if self.values == "closed":
            expect_distinct(code, self.granularity, what="nearest patterns")
            return group_means(rows, code > 0)
        high = filter_mean(weight.detach()) if self.scaling == "mean" else weight.new_ones(1)
        return -high, high

    @torch.no_grad()
    def _advance(self, weight: Tensor) -> bool:
        """Counts a training forward; whether it is one that changes the codebook."""
        self.forwards += 1
        due = self.every > 0 and int(self.forwards) % self.every == 0
        if "patterns" not in self._parameters:
            # The first too: the weights may have been set since the layer was made.
            if due or (self.every > 0 and int(self.forwards) == 1):
                chosen = self._frequent(weight, len(self.memory))
                self.memory.copy_(patterns(chosen.to(weight.device), self.taps))
            return due
        self.memory.copy_(self.codewords())
        if due:
            self._replace_duplicates()
        return due

    def _frequent(self, weight: Tensor, size: int) -> Tensor:
        """Numbers of the patterns that most kernels have at the budget, in rising order of the number of high ones."""
        rows = rows_of(weight, self.granularity)
        ones = self._budget_of(rows.shape[1])
        if ones is not None:
            code = largest(rows, ones).upper.float() - 0.5
        else:
            code = weight if self.values == "signs" else free_split(rows).upper.float() - 0.5
        chosen = frequent(code.reshape(-1, self.taps), size)
        empty = 2**self.taps - 1
        if self.target is not None and not bool((chosen == empty).any()):
            chosen[-1] = empty
        low = patterns(chosen, self.taps).lt(0).sum(1)
        return chosen[torch.argsort(-low, stable=True)]

    def _replace_duplicates(self) -> None:
        """Puts unused patterns in the place of all but the first of equal ones, and limits P."""
        number = numbers(self.memory).tolist()
        again = [row for row, value in enumerate(number) if value in number[:row]]
        if again:
            fresh = patterns(draw(len(again), self.taps, taken=numbers(self.memory)), self.taps).to(self.memory)
            self.memory[again] = fresh
            self.patterns[again] = fresh
        self.patterns.clamp_(-_BOUND, _BOUND)
