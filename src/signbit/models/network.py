"""A network of stages, and the same network as a source of feature maps, in timm's vocabulary."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn
from typing_extensions import override

__all__ = ["Feature", "FeatureInfo", "FeatureMaps", "Network"]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A feature map: the child that gives it, its channels, and how many pixels one of its positions stands for."""

    module: str
    channels: int
    reduction: int


@dataclass(frozen=True)
class FeatureInfo:
    """What a network's feature maps are, finest first."""

    features: tuple[Feature, ...]

    def channels(self) -> list[int]:
        """Channels of each map."""
        return [feature.channels for feature in self.features]

    def reduction(self) -> list[int]:
        """Pixels, along height or width, of the image per position of each map."""
        return [feature.reduction for feature in self.features]

    def module_name(self) -> list[str]:
        """Child of the network that gives each map."""
        return [feature.module for feature in self.features]


@final
class Network(nn.Sequential):
    """Named parts, one after another.

    Args:
        parts: modules by name.
        features: those of the parts whose results are feature maps, in their order.
    """

    def __init__(self, parts: dict[str, nn.Module], features: Sequence[Feature] = ()) -> None:
        super().__init__(OrderedDict(parts))
        self.feature_info = FeatureInfo(tuple(features))


@final
class FeatureMaps(nn.Sequential):
    """The parts of a network up to its last feature map; forward returns all the maps, finest first.

    Its state dict is that of the network without the parts behind.

    Args:
        network: shares its parts with the result.
    """

    def __init__(self, network: Network) -> None:
        taken = network.feature_info.module_name()
        parts = OrderedDict(network.named_children())
        while parts and next(reversed(parts)) not in taken:
            parts.popitem()
        super().__init__(parts)
        self.feature_info = network.feature_info

    @override
    def forward(self, input: Tensor) -> list[Tensor]:
        maps, taken, result = [], self.feature_info.module_name(), input
        for name, part in self.named_children():
            result = part(result)
            if name in taken:
                maps.append(result)
        return maps
