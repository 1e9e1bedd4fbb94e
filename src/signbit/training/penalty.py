"""What a recipe adds to the loss for the sake of sparse weights."""

from dataclasses import asdict

from torch import Tensor, nn

from signbit.params import named_binary_parameters
from signbit.sparsity import density, density_penalty
from signbit.training.optimizers import is_latent_free
from signbit.training.recipe import Recipe

__all__ = ["check_penalty", "penalty", "penalty_figures"]


def check_penalty(recipe: Recipe) -> None:
    """Checks that the penalty, if there is one, has latent weights to move.

    Raises:
        ValueError: the optimizer of the binary weights keeps them at ±1.
    """
    if recipe.penalty.share > 0 and is_latent_free(recipe.optim.name):
        raise ValueError(
            f"penalty.share {recipe.penalty.share} pushes latent weights, of which {recipe.optim.name} has none; use "
            "--optim.name adam, or penalty.share 0"
        )


def penalty(loss: Tensor, recipe: Recipe, model: nn.Module) -> Tensor:
    """What the recipe adds to the loss: its share for a density above the budget, or 0; 0 while all weights are real.

    Args:
        loss: scalar, of the task.
        recipe: of the run.
        model: whose binary weights are counted.
    """
    weights = _weights(recipe, model)
    return density_penalty(loss, weights, **asdict(recipe.penalty)) if weights else loss.new_zeros(())


def penalty_figures(recipe: Recipe, model: nn.Module) -> dict[str, float]:
    """What the penalty has reached: the density of all binary weights together, where there is a penalty."""
    weights = _weights(recipe, model)
    return {"density": density(weights)} if weights else {}


def _weights(recipe: Recipe, model: nn.Module) -> list[Tensor]:
    """What the penalty counts: nothing where there is none, or while all weights are real."""
    return [weight for _, weight in named_binary_parameters(model)] if recipe.penalty.share else []
