"""A small network with weights that can be given masks, and a few steps of its training."""

import torch
from torch import nn

from signbit.nn import BinaryConv2d, BinaryLinear


def network(quantizer, *, seed=0, width=16):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.BatchNorm2d(width),
        BinaryConv2d(width, width, 3, padding=1, weight_quantizer=quantizer, input_quantizer="sign"),
        nn.BatchNorm2d(width),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        BinaryLinear(16 * width, 32, weight_quantizer=quantizer, input_quantizer="sign"),
        nn.BatchNorm1d(32),
        nn.Linear(32, 10),
    )


def train(model, optimizer, steps, *, first=0, accumulate=1, watch=lambda: None):
    """Trains on noise, the batch of a step decided by its number."""
    for step in range(first, first + steps):
        optimizer.zero_grad()
        for part in range(accumulate):
            random = torch.Generator().manual_seed(step * accumulate + part)
            images = torch.randn(8, 1, 8, 8, generator=random)
            labels = torch.randint(0, 10, (8,), generator=random)
            (nn.functional.cross_entropy(model(images), labels) / accumulate).backward()
        optimizer.step()
        watch()
