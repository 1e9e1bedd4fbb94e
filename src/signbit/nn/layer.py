"""What binary layers have in common: an integer product, then scale and bias."""

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor
from typing_extensions import override

from signbit.params import BinaryOwner
from signbit.quantizers import Quantizer, RankedQuantizer, SignQuantizer, create_quantizer

__all__ = ["BinaryLayer"]


class BinaryLayer(BinaryOwner):
    """A torch layer whose weight, input or both are signs: y = rescale(dot(x)).

    `dot` is the plain product of the two codes. With binary weights and inputs it is an integer, exact in float32 (and
    in bfloat16 autocast only up to 256). `rescale` applies the filter's scale and the bias to it. Export relies on
    that split: it calls `rescale`, and the modules after the layer, on every sum that `dot` can reach. Weights of two
    levels other than ±scale add a second sum, that of the input's code over the window, which all filters share:
    y = rescale(dot(x), window_sum(x)).

    Attributes:
        weight_quantizer: turns the weight into its code; None leaves the weight real.
        input_quantizer: turns the input into its code; None leaves the input as it comes.
        spatial: number of spatial dimensions; filters are the dimension just before them.
    """

    weight: Tensor
    bias: Any  # a parameter or None; torch declares it differently in each layer
    weight_quantizer: Quantizer | None
    input_quantizer: Quantizer | None
    spatial: ClassVar[int]

    def _set_quantizers(
        self, weight_quantizer: str | Quantizer | None, input_quantizer: str | Quantizer | None
    ) -> None:
        self.weight_quantizer = None if weight_quantizer is None else create_quantizer(weight_quantizer)
        self.input_quantizer = None if input_quantizer is None else create_quantizer(input_quantizer)
        if isinstance(self.input_quantizer, SignQuantizer) and self.input_quantizer.scaling != "none":
            raise ValueError(
                f"input_quantizer: scale={self.input_quantizer.scaling!r} is a scale of filters, which inputs do not "
                "have; use scale='none'"
            )
        if isinstance(self.input_quantizer, RankedQuantizer):
            raise ValueError(
                f"input_quantizer: {type(self.input_quantizer).__name__} is for weights; use a sign, such as 'sign' or "
                "'approxsign'"
            )
        if isinstance(self.weight_quantizer, RankedQuantizer):
            self.weight_quantizer.attach(self.weight)

    def dot(self, input: Tensor) -> Tensor:
        """Product of the input's code with the weight's code, padding included, before scale and bias."""
        weight = self.weight if self.weight_quantizer is None else self.weight_quantizer(self.weight)
        return self._product(self._input_code(input), weight)

    def window_sum(self, input: Tensor) -> Tensor:
        """Sum of the input's code over each window, padding included, with one channel, or one for each group."""
        return self._shared_sum(self._input_code(input))

    def rescale(
        self, dot: Tensor, window_sum: Tensor | None = None, levels: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Applies scale and bias, each rounded once: dot · scale + bias.

        With two levels (low, high) other than ±scale: dot · (high − low)/2 + window_sum · (high + low)/2 + bias.

        Args:
            dot: sums in the layout of the layer's output, for a convolution (N, filters, *spatial) of any extent.
            window_sum: sums in the same layout, whose channels are 1 or divide the filters.
            levels: what the weight quantizer's `levels` would give, if it is known already; where they are ±scale,
                the scale.
        """
        dtype = dot.dtype  # products with real parameters would take a map of bfloat16 to float32
        domain = self._domain()
        if domain is None:
            scale = self.output_scale() if levels is None else levels[1]
            if scale is not None:
                dot = dot * self._per_filter(scale)
        elif window_sum is None:
            raise ValueError(f"{type(self).__name__} has weights of two levels; rescale needs window_sum=")
        else:
            low, high = domain.encode(self.weight)[1:] if levels is None else levels
            shared = window_sum.repeat_interleave(self._filters_per_sum(window_sum), dim=-1 - self.spatial)
            dot = dot * self._per_filter((high - low) / 2) + shared * self._per_filter((high + low) / 2)
        if self.bias is not None:
            dot = dot + self._per_filter(self.bias)
        return dot.to(dtype) if dtype.is_floating_point else dot

    @override
    def forward(self, input: Tensor) -> Tensor:
        quantizer = self.weight_quantizer
        if not isinstance(quantizer, RankedQuantizer):
            return self.rescale(self.dot(input))
        # Code and levels together: to rank the weights is the dear part, and each needs it.
        code = self._input_code(input)
        weight, low, high = quantizer.encode(self.weight)
        shared = None if self._domain() is None else self._shared_sum(code)
        return self.rescale(self._product(code, weight), shared, (low, high))

    @override
    def binary_parameters(self) -> tuple[str, ...]:
        return () if self.weight_quantizer is None else ("weight",)

    @override
    def real_weights(self) -> tuple[str, ...]:
        return ("weight",) if self.weight_quantizer is None else ()

    def output_scale(self) -> Tensor | None:
        """Scale of each filter, shape (filters,); None where it is 1."""
        return None if self.weight_quantizer is None else self.weight_quantizer.scale(self.weight)

    def output_levels(self) -> tuple[Tensor, Tensor] | None:
        """Levels (low, high) of each filter, shape (filters,); None where they are ±scale, so without a window sum."""
        domain = self._domain()
        return None if domain is None else domain.levels(self.weight)

    def weight_bits(self) -> Tensor:
        """Bits of the weight as booleans in the weight's shape: True, the set bit, means −1.

        Raises:
            ValueError: the weight is real.
        """
        if self.weight_quantizer is None:
            raise ValueError(f"{type(self).__name__} has a real weight (weight_quantizer=None), which has no bits")
        return self.weight_quantizer.bits(self.weight)

    def _domain(self) -> RankedQuantizer | None:
        """The weight quantizer, if its levels are not just ±scale."""
        quantizer = self.weight_quantizer
        return quantizer if isinstance(quantizer, RankedQuantizer) and not quantizer.symmetric else None

    def _input_code(self, input: Tensor) -> Tensor:
        """Code of the input; a real one is passed through."""
        return input if self.input_quantizer is None else self.input_quantizer(input)

    @abstractmethod
    def _product(self, code: Tensor, weight: Tensor) -> Tensor:
        """Product of the input's code, padded here, with a weight, without scale and bias."""

    @abstractmethod
    def _shared_sum(self, code: Tensor) -> Tensor:
        """Sum of the input's code, padded here, over each window and the channels of each group."""

    def _filters_per_sum(self, window_sum: Tensor) -> int:
        """1 where one sum is broadcast to all filters."""
        sums = window_sum.shape[-1 - self.spatial]
        return 1 if sums == 1 else self.weight.shape[0] // sums

    def _per_filter(self, value: Tensor) -> Tensor:
        return value.view(-1, *(1,) * self.spatial)
