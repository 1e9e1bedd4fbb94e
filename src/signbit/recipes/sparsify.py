"""From the recipe of a dense network to one that makes it sparse, beginning with its weights."""

from dataclasses import replace
from pathlib import Path

from signbit.models import model_options
from signbit.quantizers import MaskedQuantizer, RankedQuantizer, create_quantizer
from signbit.recipes.registry import get, names, optimizers
from signbit.recipes.tuned import adam
from signbit.sparsity import Distribution, Method, SparsityConfig
from signbit.training import ModelConfig, OptimConfig, PenaltyConfig, Recipe, is_latent_free

__all__ = ["VALUES", "sparse_recipe"]

VALUES = {"twolevel": "twolevel", "ternary": "ternary", "signs": "twolevel(values=signs)", "subbit": "subbit"}
"""Short words for the quantizers that sparse weights have: {α, β}, {−s, 0, s}, ±1, kernels of few patterns."""


def sparse_recipe(
    recipe: Recipe,
    run: Path,
    *,
    density: float,
    values: str = "ternary",
    distribution: Distribution = "uniform",
    method: Method = "topk",
    epochs: int | None = None,
) -> Recipe:
    """A recipe that begins with the weights of a run and ends sparse; all else is as in the run's own recipe.

    A first convolution with binary weights on pixels keeps them as they are: they are few, and two levels do not pack.

    Where weights of ±1 do not suit, the optimizer becomes Adam, at the rate that the recipe is tuned to, if it is.
    Weights that take no masks, such as sub-bit ones, get the density in their quantizer.

    Args:
        recipe: of the run, or of its last stage.
        run: directory of the run.
        density: fraction of the weights, in (0, 1], that take the rarer level.
        values: one of `VALUES`, or a quantizer such as "twolevel(values=learned)" or "subbit(bits=0.56)".
        distribution: see `SparsityConfig`.
        method: see `SparsityConfig`.
        epochs: of the new run; None is half of those of the run, rounded up.

    Raises:
        ValueError: `values` names no quantizer with a budget, or one that goes with no other than its own.
    """
    quantizer = VALUES.get(values, values)
    made = _create(quantizer, values)
    masks = isinstance(made, MaskedQuantizer) and made.target is None
    if not masks and (made.target not in (None, density) or (distribution, method) != ("uniform", "topk")):
        raise ValueError(
            f"{values} keeps its budget itself, which takes distribution uniform, method topk and no second one, "
            f"got {distribution}, {method} and {density}; change these, or take twolevel, ternary or signs"
        )
    if made.target is None and not masks:
        quantizer = _with(quantizer, f"density={density}")
    latent_free = is_latent_free(recipe.optim.name)
    keeps = method != "topk" and quantizer.startswith("ternary")
    if latent_free and keeps and "surrogate" not in quantizer:
        # The surrogate of weights that stay at ±1 must not vanish there.
        quantizer = _with(quantizer, "surrogate=sign")
    options = recipe.model.options | {"weight_quantizer": quantizer}
    if "stem_quantizer" in model_options(recipe.model.name):
        options = {"stem_quantizer": recipe.model.options.get("weight_quantizer", "sign")} | options
    return replace(
        recipe,
        name=f"{recipe.name}-sparse",
        model=ModelConfig(name=recipe.model.name, options=options),
        optim=_latent(recipe) if latent_free and not keeps else recipe.optim,
        sparsity=SparsityConfig(density=density if masks else None, distribution=distribution, method=method),
        penalty=PenaltyConfig(),
        start=str(run),
        teacher=str(run) if recipe.loss.needs_teacher else None,
        stages={},
        epochs=-(-recipe.epochs // 2) if epochs is None else epochs,
    )


def _create(quantizer: str, values: str) -> RankedQuantizer:
    told = f"values (--values) must be one of {', '.join(VALUES)}, or a quantizer with a budget, got {values!r}"
    try:
        made = create_quantizer(quantizer)
    except ValueError as error:
        raise ValueError(f"{told}: {error}") from None
    if not isinstance(made, RankedQuantizer):
        raise ValueError(told)
    return made


def _with(quantizer: str, argument: str) -> str:
    """NAME or NAME(...) with one argument more."""
    name, _, rest = quantizer.partition("(")
    return f"{name}({argument}, {rest}" if rest else f"{name}({argument})"


def _latent(recipe: Recipe) -> OptimConfig:
    tuned = recipe.name in names() and "adam" in optimizers(recipe.name)
    return get(recipe.name, "adam").optim if tuned else adam(lr=3e-3)
