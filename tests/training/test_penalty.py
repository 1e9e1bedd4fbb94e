"""SBNN's soft budget in a recipe."""

from dataclasses import replace
from pathlib import Path

import pytest

from signbit import params
from signbit.recipes.tuned import adam
from signbit.sparsity import density
from signbit.training import ModelConfig, PenaltyConfig, Recipe, load_run, override, train


@pytest.fixture
def sparse(recipe: Recipe) -> Recipe:
    model = ModelConfig(name="digits_cnn", options={"weight_quantizer": "twolevel(values=learned)"})
    return replace(recipe, model=model, optim=adam(lr=1e-2))


def trained_density(recipe: Recipe, path: Path) -> float:
    result = train(recipe, path, progress=False)
    found = density(weight for _, weight in params.named_binary_parameters(load_run(path).model))
    assert result.metrics.get("density", found) == found
    assert ("density" in result.metrics) == (recipe.penalty.share > 0)
    return found


def test_a_share_of_the_loss_lowers_the_density(sparse: Recipe, tmp_path: Path) -> None:
    pushed = override(sparse, ["--penalty.density", "0.05", "--penalty.share", "0.5"])
    assert pushed.penalty == PenaltyConfig(density=0.05, share=0.5)
    free, held = trained_density(sparse, tmp_path / "free"), trained_density(pushed, tmp_path / "held")
    assert held < free - 0.05


def test_refuses(sparse: Recipe, tmp_path: Path) -> None:
    pushed = replace(sparse, penalty=PenaltyConfig(density=0.05, share=0.5))
    with pytest.raises(ValueError, match=r"penalty\.share 0\.5 pushes latent weights, of which bop has none; use"):
        train(override(pushed, ["--optim.name=bop", "--optim.options={}", "--optim.schedules={}"]), tmp_path / "run")
    with pytest.raises(ValueError, match=r"penalty\.density must be in \(0, 1\], got 0"):
        PenaltyConfig(density=0)
    with pytest.raises(ValueError, match=r"penalty\.share must be in \[0, 1\), got 1"):
        PenaltyConfig(share=1)
