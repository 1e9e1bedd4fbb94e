"""Batches of a data set, in an order that is a function of a seed alone."""

import os
import signal
import warnings
from collections.abc import Iterator
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from signbit.data.dataset import Dataset
from signbit.data.error import DataError
from signbit.data.files import ImageFiles

Batch = tuple[Tensor, Tensor]


@final
class Loader:
    """Yields (images uint8 (B, C, H, W), labels int64 (B,)).

    Args:
        dataset: what to read.
        batch_size: images a batch.
        seed: None keeps the data set's order; a number shuffles, the same way in every pass.
        drop_last: leaves out a last batch that is not full.
        workers: processes that decode image files ahead of time, at most one for each core that this process may use;
            0 decodes in this one. Images in memory need none.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int,
        seed: int | None = None,
        drop_last: bool = False,
        workers: int = 0,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {batch_size}")
        if drop_last and len(dataset) < batch_size:
            raise ValueError(f"batch_size {batch_size} is larger than the {len(dataset)} images of {dataset.name}")
        self.source = _Source(dataset)
        self.batch_size = batch_size
        self.seed = seed
        self.drop_last = drop_last
        self.workers = min(workers, _cores()) if isinstance(dataset.images, ImageFiles) else 0
        self.given = 0
        self.start = 0

    def __len__(self) -> int:
        whole, rest = divmod(len(self.source.labels), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def order(self) -> Tensor:
        """Indices of the images, (N,)."""
        count = len(self.source.labels)
        if self.seed is None:
            return torch.arange(count)
        return torch.randperm(count, generator=torch.Generator().manual_seed(self.seed))

    def state_dict(self) -> dict[str, int]:
        """How many batches of the present pass were given."""
        return {"given": self.given}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """The next pass goes on after those batches; later ones are whole."""
        self.given = self.start = state_dict["given"]

    def __iter__(self) -> Iterator[Batch]:
        self.given, self.start = self.start, 0
        for batch in self._batches(self.given):
            self.given += 1
            yield batch

    def _batches(self, start: int) -> Iterator[Batch]:
        indices = torch.split(self.order(), self.batch_size)[start : len(self)]
        if not self.workers:
            yield from map(self.source.read, indices)
            return
        # A generator of its own, so that starting workers takes nothing from torch's global one.
        loader = DataLoader(
            self.source,
            sampler=indices,
            batch_size=None,
            num_workers=self.workers,
            worker_init_fn=_leave_signals,
            generator=torch.Generator(),
        )
        with warnings.catch_warnings():
            # Python 3.12 and later say so of every fork beside threads; these workers decode, in one thread each.
            warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
            batches = iter(loader)
        for batch in batches:
            if isinstance(batch, DataError):
                raise batch
            yield batch


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _leave_signals(worker: int) -> None:
    """Ctrl-C and SIGTERM reach a whole group of processes; the training process decides when workers end.

    It has ten seconds: a program that exits in the midst of a pass sends SIGTERM to its workers and waits for them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(10))


@final
class _Source(torch.utils.data.Dataset[Batch | DataError]):
    """Batches by the indices of their images."""

    def __init__(self, dataset: Dataset) -> None:
        images = dataset.images
        self.images = (
            images if isinstance(images, ImageFiles) else torch.from_numpy(np.require(images, requirements=["C", "W"]))
        )
        self.labels = torch.from_numpy(np.require(dataset.labels, requirements=["C", "W"]))

    def read(self, index: Tensor) -> Batch:
        if isinstance(self.images, ImageFiles):
            return torch.from_numpy(self.images[index.numpy()]), self.labels[index]
        return self.images[index], self.labels[index]

    def __getitem__(self, index: Tensor) -> Batch | DataError:
        """For workers: an error as a value, because raised in another process it would lose its one sentence."""
        try:
            return self.read(index)
        except DataError as error:
            return error


def mix(seed: int, count: int) -> int:
    """A 63-bit seed from a run's seed and a counter (splitmix64's finaliser), so that neighbours are unrelated."""
    z = (seed * 0x9E3779B97F4A7C15 + count * 0xD1B54A32D192ED03 + 1) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return (z ^ (z >> 31)) >> 1
