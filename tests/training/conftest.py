from dataclasses import replace

import pytest
import torch

from signbit import recipes
from signbit.training import Recipe, Result, train


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="package")
def recipe() -> Recipe:
    """The digits recipe, two epochs of it."""
    base = recipes.get("digits")
    return replace(base, epochs=2, threads=1, data=replace(base.data, validation="last:200"))


@pytest.fixture(scope="package")
def trained(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return train(recipe, tmp_path_factory.mktemp("runs") / "run", progress=False)
