"""Sub-bit networks (2110.09195): binary activations first, then every kernel one of 2^6 learned patterns.

As the authors' code has it: Adam at 1e-3 with a straight fall, decay 1e-5 on what will be binary in the first step and
none in the second, 256 epochs of each, batch 512, a ResNet-34 for teacher; stem, classifier and 1x1 shortcuts are real.
Ours: the loss is the distribution loss alone, as in ReActNet, whose network this is; the rate moves once an epoch; the
codebook is drawn at random when the second step begins.
"""

from dataclasses import replace

from signbit.recipes.adambnn import ADAMBNN_CIFAR10, ADAMBNN_IMAGENET, latent_adam, taught_by_a_twin, two_steps
from signbit.training import ModelConfig

__all__ = ["SUBBIT_CIFAR10", "SUBBIT_IMAGENET"]

_RATE = latent_adam(lr=1e-3)

SUBBIT_IMAGENET = (
    replace(
        ADAMBNN_IMAGENET[0],
        name="subbit-imagenet",
        model=ModelConfig(name="react_resnet18", options={"weight_quantizer": "subbit(bits=0.67)", "pad_value": 0}),
        optim=_RATE,
        real=replace(_RATE, options={"lr": 1e-3}),
        batch_size=512,
        stages=two_steps(decay=1e-5),
    ),
)
"""`--model.options.weight_quantizer "subbit(bits=0.56)"` and 0.44 are the other published ones."""

SUBBIT_CIFAR10 = (
    replace(
        ADAMBNN_CIFAR10[0],
        name="subbit-cifar10",
        model=replace(
            ADAMBNN_CIFAR10[0].model,
            options=ADAMBNN_CIFAR10[0].model.options | {"weight_quantizer": "subbit(bits=0.67)"},
        ),
        stages=taught_by_a_twin(two_steps(decay=1e-5)),
    ),
)
"""Reduced: ResNet-20 in ReActNet's manner, its float twin trained first for a teacher."""
