"""What binary layers have in common: an integer product, then scale and bias."""

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor
from typing_extensions import override

from signbit.params import BinaryOwner
from signbit.quantizers import Quantizer, SignQuantizer, create_quantizer

__all__ = ["BinaryLayer"]


class BinaryLayer(BinaryOwner):
    """A torch layer whose weight, input or both are signs: y = rescale(dot(x)).

    `dot` is the plain product of the two codes. With binary weights and inputs it is an integer, exact in float32 (and
    in bfloat16 autocast only up to 256). `rescale` applies the filter's scale and the bias to it. Export relies on
    that split: it calls `rescale`, and the modules after the layer, on every sum that `dot` can reach.

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

    @abstractmethod
    def dot(self, input: Tensor) -> Tensor:
        """Product of the input's code with the weight's code, padding included, before scale and bias."""

    def rescale(self, dot: Tensor) -> Tensor:
        """Applies scale and bias, each rounded once: dot · scale + bias.

        Args:
            dot: sums in the layout of the layer's output, for a convolution (N, filters, *spatial) of any extent.
        """
        scale = self.output_scale()
        if scale is not None:
            dot = dot * self._per_filter(scale)
        if self.bias is not None:
            dot = dot + self._per_filter(self.bias)
        return dot

    @override
    def forward(self, input: Tensor) -> Tensor:
        return self.rescale(self.dot(input))

    @override
    def binary_parameters(self) -> tuple[str, ...]:
        return () if self.weight_quantizer is None else ("weight",)

    def output_scale(self) -> Tensor | None:
        """Scale of each filter, shape (filters,); None where it is 1."""
        return None if self.weight_quantizer is None else self.weight_quantizer.scale(self.weight)

    def weight_bits(self) -> Tensor:
        """Bits of the weight as booleans in the weight's shape: True, the set bit, means −1.

        Raises:
            ValueError: the weight is real.
        """
        if self.weight_quantizer is None:
            raise ValueError(f"{type(self).__name__} has a real weight (weight_quantizer=None), which has no bits")
        return self.weight_quantizer.bits(self.weight)

    def _codes(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Codes of input and weight; a real one is passed through."""
        return (
            input if self.input_quantizer is None else self.input_quantizer(input),
            self.weight if self.weight_quantizer is None else self.weight_quantizer(self.weight),
        )

    def _per_filter(self, value: Tensor) -> Tensor:
        return value.view(-1, *(1,) * self.spatial)
