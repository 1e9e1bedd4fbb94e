"""Every configuration of the papers' tables, written a second time (specs/optimizers.md, 2.2 and 3.3)."""

import pytest
import torch

from signbit import recipes
from signbit.models import create_model
from signbit.optim import Bop, Bop2ndOrder
from signbit.training.optimizers import build_optimizer, build_schedulers, make_schedule

# name: γ, τ, rate of Adam, epochs, batch, network; a pair moves from its first value to its second.
BOP = {
    "bop-study-larq": (1e-4, 1e-8, 1e-2, 100, 100, "binarynet_valid"),
    "bop-study": (1e-3, 1e-6, 1e-2, 100, 100, "binarynet_valid"),
    "bop-study-gamma1e-2": (1e-2, 1e-6, 1e-2, 100, 100, "binarynet_valid"),
    "bop-study-gamma1e-4": (1e-4, 1e-6, 1e-2, 100, 100, "binarynet_valid"),
    "bop-study-tau0": (1e-3, 0.0, 1e-2, 100, 100, "binarynet_valid"),
    "bop-study-tau1e-5": (1e-3, 1e-5, 1e-2, 100, 100, "binarynet_valid"),
    "bop-cifar10": ((1e-4, 1e-8), 1e-8, 1e-2, 500, 50, "binarynet_valid"),
    "bop-imagenet-alexnet": ((1e-4, 1e-6), 1e-8, (2.5e-3, 5e-6), 150, 1024, "binary_alexnet"),
    "bop-imagenet-xnornet": ((1e-4, 1e-6), 1e-8, (2.5e-3, 5e-6), 100, 1024, "xnornet_alexnet_larq"),
    "bop-imagenet-birealnet18": ((1e-4, 1e-6), 1e-8, (2.5e-3, 5e-6), 300, 1024, "birealnet18"),
    "bop-imagenet-birealnet18-v1": ((5e-4, 2.5e-6), 1e-7, (2.5e-3, 2.5e-6), 100, 256, "birealnet18"),
}

# name: γ, σ, τ, rate of Adam, epochs, batch, network, norm, correction.
FINAL = ((1e-2, 1e-5), (1e-7, 1e-2), (1e-5, 1e-8), (1e-2, 1e-3), 500, 50, "binarynet_valid", "batch")
IMAGENET = ((1e-4, 1e-9), (1e-5, 1e-2), (1e-8, 1e-5), (2.5e-3, 5e-6))
POINT = (1e-7, 1e-3, 1e-6, 1e-2)
BOP2NDORDER = {
    "bop2ndorder-class-defaults": (1e-6, 1e-2, 1e-6, 1e-2, 100, 100, "binarynet_valid", "batch", "none"),
    "bop2ndorder-default-batch": (1e-7, 1e-3, 1e-5, 1e-2, 100, 100, "binarynet_valid", "batch", "none"),
    "bop2ndorder-default-layer": (1e-7, 1e-3, 1e-5, 1e-2, 100, 100, "binarynet_valid", "layer", "none"),
    "bop2ndorder-study-batch-biased": (*POINT, 150, 100, "binarynet_valid", "batch", "none"),
    "bop2ndorder-study-batch-unbiased": (*POINT, 150, 100, "binarynet_valid", "batch", "reference"),
    "bop2ndorder-study-layer-biased": (*POINT, 150, 100, "binarynet_valid", "layer", "none"),
    "bop2ndorder-study-layer-unbiased": (*POINT, 150, 100, "binarynet_valid", "layer", "reference"),
    "bop2ndorder-ablation": (*POINT, 100, 100, "binarynet_valid", "batch", "reference"),
    "bop2ndorder-exponential": (
        *((value, value * 1e-3) for value in POINT), 350, 50, "binarynet_valid", "batch", "reference",
    ),
    "bop2ndorder-cifar10": (*FINAL, "none"),
    "bop2ndorder-cifar10-unbiased": (*FINAL, "reference"),
    "bop2ndorder-imagenet-xnornet": (*IMAGENET, 100, 1024, "xnornet_alexnet_larq", "batch", "none"),
    "bop2ndorder-imagenet-birealnet18": (*IMAGENET, 150, 1024, "birealnet18", "batch", "none"),
}  # fmt: skip


def ends(config, key, recipe):
    """First and last value of a hyper-parameter, those that the first and the last update use."""
    start = config.options[key]
    if key not in config.schedules:
        return start, start
    per_epoch = 7
    function = make_schedule(
        config.schedules[key], start, steps=recipe.epochs * per_epoch, epochs=recipe.epochs, key=key
    )
    return function(0), function(recipe.epochs * per_epoch - (config.schedules[key].kind == "staircase"))


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def check(name, values, real, epochs, batch, network):
    recipe = recipes.get(name)
    for config, wanted in ((recipe.optim, values), (recipe.real, {"lr": real})):
        for key, value in wanted.items():
            first, last = ends(config, key, recipe)
            assert first == pair(value)[0]
            assert last == pytest.approx(pair(value)[1], rel=1e-9)
        assert set(config.schedules) == {key for key, value in wanted.items() if isinstance(value, tuple)}
    assert (recipe.epochs, recipe.batch_size, recipe.model.name) == (epochs, batch, network)
    assert recipe.real.name == "adam"
    assert recipe.model.options["pad_value"] == 0
    return recipe


@pytest.mark.parametrize("name", BOP)
def test_bop(name):
    gamma, tau, *rest = BOP[name]
    recipe = check(name, {"lr": gamma, "threshold": tau}, *rest)
    assert recipe.optim.name == "bop"


@pytest.mark.parametrize("name", BOP2NDORDER)
def test_bop2ndorder(name):
    gamma, sigma, tau, real, epochs, batch, network, norm, correction = BOP2NDORDER[name]
    recipe = check(name, {"lr": gamma, "sigma": sigma, "threshold": tau}, real, epochs, batch, network)
    assert recipe.optim.name == "bop2ndorder"
    assert recipe.model.options.get("norm", "batch") == norm
    assert recipe.optim.options.get("correction", "none") == correction


def test_every_published_recipe_is_in_the_tables_above():
    listed = {name for heading, names in recipes.groups().items() if "configurations" in heading for name in names}
    assert listed == {*BOP, *BOP2NDORDER}


def test_the_staircases_jump_every_hundred_epochs():
    for name, stairs in (("bop-cifar10", 4), ("bop2ndorder-exponential", 3)):
        recipe = recipes.get(name)
        function = make_schedule(recipe.optim.schedules["lr"], 1.0, steps=recipe.epochs * 3, epochs=recipe.epochs)
        values = [function(index) for index in range(recipe.epochs * 3)]
        jumps = [index for index in range(1, len(values)) if values[index] != values[index - 1]]
        assert jumps == [300 * (jump + 1) for jump in range(stairs)]


def test_the_defaults_of_bop_are_larqs():
    bop = Bop([torch.nn.Parameter(torch.ones(1))]).defaults
    assert (bop["lr"], bop["threshold"]) == (1e-4, 1e-8)
    second = Bop2ndOrder([torch.nn.Parameter(torch.ones(1))]).defaults
    assert (second["lr"], second["sigma"], second["threshold"]) == POINT[:3]


@pytest.mark.parametrize("name", ["bop-imagenet-xnornet", "bop2ndorder-imagenet-xnornet"])
def test_only_the_real_layers_of_xnornet_decay(name):
    recipe = recipes.get(name)
    with torch.device("meta"):
        model = create_model(recipe.model.name, **recipe.model.options)
    optimizer = build_optimizer(recipe, model)
    build_schedulers(recipe, optimizer, 10)
    decayed = {
        name: group["weight_decay"]
        for group in optimizer.members["real"].param_groups
        for name in group["param_names"]
        if group["weight_decay"]
    }
    # The gradient of 5e-7·‖w‖² is 1e-6·w.
    assert decayed == {"stem.conv.weight": 1e-6, "fc.weight": 1e-6}
    assert {group["lr"] for group in optimizer.members["real"].param_groups} == {2.5e-3}
