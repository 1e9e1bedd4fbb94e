"""Bop2ndOrder's configurations (2104.05124, as the authors' code has them), each a recipe.

"Unbiased" is correction "reference", what the authors' code calls so (docs/optimizers.md). Networks, data and known
differences are those of `signbit.recipes.bop`; the paper's grids for single hyper-parameters were not available.
"""

from dataclasses import replace

from signbit.recipes import bop
from signbit.recipes.entry import Entry, constant_or_ramp
from signbit.training import ModelConfig, OptimConfig, Recipe, Schedule

__all__ = ["CIFAR10", "ENTRIES"]


def _unbiased(recipe: Recipe, name: str) -> Recipe:
    return replace(
        recipe, name=name, optim=replace(recipe.optim, options=recipe.optim.options | {"correction": "reference"})
    )


def _layer_norm(recipe: Recipe, name: str) -> Recipe:
    model = ModelConfig(name=recipe.model.name, options=recipe.model.options | {"norm": "layer"})
    return replace(recipe, name=name, model=model)


def _second(**values: float | tuple[float, float]) -> OptimConfig:
    return constant_or_ramp("bop2ndorder", **values)


_STUDY = replace(
    bop.STUDY,
    name="bop2ndorder-study-batch-biased",
    optim=_second(lr=1e-7, sigma=1e-3, threshold=1e-6),
    epochs=150,
)
"""The study of norm and bias (sec. 5.1.1)."""

_LAYER = _layer_norm(_STUDY, "bop2ndorder-study-layer-biased")

_DEFAULT = replace(bop.STUDY, name="bop2ndorder-default-batch", optim=_second(lr=1e-7, sigma=1e-3, threshold=1e-5))
_CLASS = replace(_DEFAULT, name="bop2ndorder-class-defaults", optim=_second(lr=1e-6, sigma=1e-2, threshold=1e-6))

_ABLATION = replace(_unbiased(_STUDY, "bop2ndorder-ablation"), epochs=100)

_TENTH = Schedule(kind="staircase", end=0.1, every=100)
_EXPONENTIAL = replace(
    _ABLATION,
    name="bop2ndorder-exponential",
    optim=replace(_ABLATION.optim, schedules=dict.fromkeys(("lr", "sigma", "threshold"), _TENTH)),
    real=replace(_ABLATION.real, schedules={"lr": _TENTH}),
    epochs=350,
    batch_size=50,
)
"""One value alone moves with, say, --optim.schedules.sigma.kind constant for the others."""

CIFAR10 = replace(
    bop.CIFAR10,
    name="bop2ndorder-cifar10",
    optim=_second(lr=(1e-2, 1e-5), sigma=(1e-7, 1e-2), threshold=(1e-5, 1e-8)),
    real=constant_or_ramp("adam", lr=(1e-2, 1e-3)),
)
"""The final configuration; σ rises. Sec. 5.1.4's polynomial (power 1) is of this form; its values are not known."""

_IMAGENET = _second(lr=(1e-4, 1e-9), sigma=(1e-5, 1e-2), threshold=(1e-8, 1e-5))

ENTRIES = (
    Entry("class defaults, γ 1e-6, σ 1e-2, τ 1e-6 (epochs and batch of the study)", (_CLASS,)),
    Entry("default set: γ 1e-7, σ 1e-3, τ 1e-5, batch norm", (_DEFAULT,)),
    Entry("default set with layer norm", (_layer_norm(_DEFAULT, "bop2ndorder-default-layer"),)),
    Entry("sec. 5.1.1, γ 1e-7, σ 1e-3, τ 1e-6, batch norm, biased", (_STUDY,)),
    Entry("sec. 5.1.1, batch norm, unbiased", (_unbiased(_STUDY, "bop2ndorder-study-batch-unbiased"),)),
    Entry("sec. 5.1.1, layer norm, biased", (_LAYER,)),
    Entry("sec. 5.1.1, layer norm, unbiased", (_unbiased(_LAYER, "bop2ndorder-study-layer-unbiased"),)),
    Entry("sec. 5.1.2 and 5.1.3, base of the ablations, unbiased", (_ABLATION,)),
    Entry("sec. 5.1.4, exponential: γ, σ, τ and Adam a tenth every 100 epochs", (_EXPONENTIAL,)),
    Entry("final, BinaryNet (sec. 5.1.4, polynomial): γ 1e-2 to 1e-5, σ rising 1e-7 to 1e-2, biased", (CIFAR10,)),
    Entry("final, BinaryNet, unbiased", (_unbiased(CIFAR10, "bop2ndorder-cifar10-unbiased"),)),
    Entry(
        "ImageNet, XNOR-Net: γ 1e-4 to 1e-9, σ and τ rising, L2 on the real layers",
        (replace(bop.XNORNET, name="bop2ndorder-imagenet-xnornet", optim=_IMAGENET),),
    ),
    Entry(
        "ImageNet, Bi-Real Net: γ 1e-4 to 1e-9, σ and τ rising",
        (replace(bop.BIREALNET18, name="bop2ndorder-imagenet-birealnet18", optim=_IMAGENET, epochs=150),),
    ),
)
