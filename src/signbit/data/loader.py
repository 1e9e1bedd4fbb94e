"""Batches of a data set in memory, in an order that is a function of a seed alone."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from signbit.data.dataset import Dataset

Batch = tuple[Tensor, Tensor]


class Loader:
    """Yields (images uint8 (B, C, H, W), labels int64 (B,)).

    Args:
        dataset: what to read.
        batch_size: images a batch.
        seed: None keeps the data set's order; a number shuffles, the same way in every pass.
        drop_last: leaves out a last batch that is not full.
    """

    def __init__(self, dataset: Dataset, *, batch_size: int, seed: int | None = None, drop_last: bool = False) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {batch_size}")
        if drop_last and len(dataset) < batch_size:
            raise ValueError(f"batch_size {batch_size} is larger than the {len(dataset)} images of {dataset.name}")
        self.images = torch.from_numpy(np.require(dataset.images, requirements=["C", "W"]))
        self.labels = torch.from_numpy(np.require(dataset.labels, requirements=["C", "W"]))
        self.batch_size = batch_size
        self.seed = seed
        self.drop_last = drop_last

    def __len__(self) -> int:
        whole, rest = divmod(len(self.labels), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def order(self) -> Tensor:
        """Indices of the images, (N,)."""
        if self.seed is None:
            return torch.arange(len(self.labels))
        return torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(self.seed))

    def __iter__(self) -> Iterator[Batch]:
        order = self.order()
        for i in range(len(self)):
            index = order[i * self.batch_size : (i + 1) * self.batch_size]
            yield self.images[index], self.labels[index]


def mix(seed: int, count: int) -> int:
    """A 63-bit seed from a run's seed and a counter (splitmix64's finaliser), so that neighbours are unrelated."""
    z = (seed * 0x9E3779B97F4A7C15 + count * 0xD1B54A32D192ED03 + 1) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return (z ^ (z >> 31)) >> 1
