"""Where the latent weights lie."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from signbit.params import named_binary_parameters

__all__ = ["Histogram", "latent_histogram", "latent_histograms"]


@dataclass(frozen=True, eq=False)
class Histogram:
    """Latent weights of a layer in bins of equal width.

    Attributes:
        edges: ascending, shape (bins + 1,).
        counts: int64, shape (bins,); together the number of weights.
    """

    edges: Tensor
    counts: Tensor

    def near(self, value: float, *, width: float) -> float:
        """Share of the weights in the bins whose centre is at most `width` from `value`.

        Args:
            value: within the edges.
            width: > 0; below half a bin it may find none.
        """
        centres = (self.edges[1:] + self.edges[:-1]) / 2
        found = self.counts[(centres - value).abs() <= width].sum()
        return found.item() / self.counts.sum().item()


@torch.no_grad()
def latent_histogram(weight: Tensor, *, bins: int = 61, limit: float = 1.5) -> Histogram:
    """Counts latent weights between −limit and limit; what lies beyond counts in the outer bins.

    A latent weight is the confidence, or inertia, of its bit (1906.02107; 2106.11309): good networks show three peaks,
    at −1, 0 and +1, plain SGD only the one at 0.

    Args:
        weight: any shape, not empty.
        bins: number, ≥ 1; with an odd one 0 is the middle of a bin.
        limit: > 0, beyond the clip, so that clipped weights do not fill the outer bins.
    """
    if bins < 1:
        raise ValueError(f"bins must be >= 1, got {bins}")
    if not limit > 0:
        raise ValueError(f"limit must be > 0, got {limit}")
    values = weight.detach().float().clamp(-limit, limit).flatten()
    counts = torch.histc(values, bins=bins, min=-limit, max=limit).long()
    return Histogram(torch.linspace(-limit, limit, bins + 1), counts.cpu())


def latent_histograms(model: nn.Module, *, bins: int = 61, limit: float = 1.5) -> dict[str, Histogram]:
    """`latent_histogram` of every binary weight of a model, by name; those of an optimizer without latent are ±1."""
    return {name: latent_histogram(w, bins=bins, limit=limit) for name, w in named_binary_parameters(model)}
