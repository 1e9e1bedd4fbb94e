import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from signbit.data import DataError, Dataset, load
from signbit.data.loader import Loader, mix


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load("digits", split="test").take(slice(0, 65))


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [32, 32, 1]), (True, [32, 32])])
def test_every_image_comes_once(dataset: Dataset, drop_last: bool, sizes: list[int]) -> None:
    loader = Loader(dataset, batch_size=32, drop_last=drop_last)
    batches = list(loader)
    assert [len(labels) for _, labels in batches] == sizes
    assert len(loader) == len(sizes)
    count = sum(sizes)
    np.testing.assert_array_equal(torch.cat([images for images, _ in batches]).numpy(), dataset.images[:count])
    np.testing.assert_array_equal(torch.cat([labels for _, labels in batches]).numpy(), dataset.labels[:count])


def test_the_order_is_a_function_of_the_seed(dataset: Dataset) -> None:
    first, again, other = (Loader(dataset, batch_size=10, seed=seed).order() for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.sort().values.tolist() == list(range(65))


@pytest.fixture
def files(tmp_path: Path) -> Dataset:
    for label in ("a", "b"):
        (tmp_path / "train" / label).mkdir(parents=True)
        for number in range(9):
            Image.new("L", (4, 4), 10 * number).save(tmp_path / "train" / label / f"{number}.png")
    return load("image-folder", tmp_path, grey=True)


@pytest.mark.parametrize("seed", [None, 3])
def test_workers_change_nothing(files: Dataset, seed: int | None) -> None:
    state = torch.get_rng_state()
    one, two = (list(Loader(files, batch_size=5, seed=seed, workers=workers)) for workers in (0, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert [len(labels) for _, labels in one] == [5, 5, 5, 3]
    for (images, labels), (other_images, other_labels) in zip(one, two, strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)


def test_no_more_workers_than_cores(files: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch warns of more; the images of a batch do not depend on it."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    loader = Loader(files, batch_size=9, workers=8)
    assert loader.workers == 1
    assert len(list(loader)) == 2


def test_workers_are_forked_without_a_warning(files: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork

    def warning_fork() -> int:
        warnings.warn(
            "This process (pid=1) is multi-threaded, use of fork() may lead to deadlocks in the child.",
            DeprecationWarning,
            stacklevel=2,
        )
        return fork()

    # As Python 3.12 and later do.
    monkeypatch.setattr(os, "fork", warning_fork)
    assert len(list(Loader(files, batch_size=18, workers=1))) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_stops_with_its_name(files: Dataset, workers: int, tmp_path: Path) -> None:
    (tmp_path / "train" / "b" / "3.png").write_bytes(b"damage")
    with pytest.raises(DataError, match=r"^'[^']*3\.png' is not an image"):
        list(Loader(files, batch_size=5, workers=workers))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_pass_goes_on_where_another_was_left(files: Dataset, workers: int) -> None:
    whole = list(Loader(files, batch_size=4, seed=1, workers=workers))
    left = Loader(files, batch_size=4, seed=1, workers=workers)
    batches = iter(left)
    for _ in range(2):
        next(batches)
    other = Loader(files, batch_size=4, seed=1, workers=workers)
    other.load_state_dict(left.state_dict())
    rest = list(other)
    assert [torch.equal(a[0], b[0]) for a, b in zip(rest, whole[2:], strict=True)] == [True] * 3
    assert len(list(other)) == 5
    batches.close()


def test_a_program_may_end_in_the_midst_of_a_pass(files: Dataset, tmp_path: Path) -> None:
    """Its workers, which leave SIGTERM to it, must not keep it from ending for long."""
    lines = (
        "from signbit.data import load",
        "from signbit.data.loader import Loader",
        f"batches = iter(Loader(load('image-folder', {str(tmp_path)!r}, grey=True), batch_size=2, workers=1))",
        "next(batches)",
        "import builtins; builtins.kept = batches",
    )
    assert subprocess.run([sys.executable, "-c", "\n".join(lines)], timeout=60, check=False).returncode == 0


def test_batch_sizes_are_checked(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="batch_size must be >= 1, got 0"):
        Loader(dataset, batch_size=0)
    with pytest.raises(ValueError, match="batch_size 66 is larger than the 65 images"):
        Loader(dataset, batch_size=66, drop_last=True)


def test_seeds_of_neighbours_are_unrelated() -> None:
    seeds = {mix(seed, count) for seed in range(20) for count in range(-20, 20)}
    assert len(seeds) == 800
    assert all(0 <= seed < 2**63 for seed in seeds)
