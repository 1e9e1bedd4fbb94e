"""What docs/optimizers.md says that can be computed: bytes of state for each weight."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from signbit.optim import BAMSProd, Bop, Bop2ndOrder, Latent

PAGE = Path(__file__).parents[2] / "docs" / "optimizers.md"
OPTIMIZERS = {
    "latent SGD": lambda w: Latent(SGD(w, lr=0.1)),
    "latent SGD, momentum": lambda w: Latent(SGD(w, lr=0.1, momentum=0.9)),
    "latent Adam": lambda w: Latent(Adam(w)),
    "latent AMSGrad": lambda w: Latent(Adam(w, amsgrad=True)),
    "Bop": Bop,
    "Bop2ndOrder": Bop2ndOrder,
    "Bop2ndOrder, adam": partial(Bop2ndOrder, correction="adam"),
    "Bop2ndOrder, reference": partial(Bop2ndOrder, correction="reference"),
    "BAMSProd": BAMSProd,
}


def documented():
    rows = re.findall(
        r"^\| ([^|]+?) \| .+ \| (\d+) \| (\d+) \| [^|]+ \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {name: (int(state), int(total)) for name, state, total in rows}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_bytes_for_each_weight(name):
    weight = nn.Parameter(torch.ones(100, 100))
    optimizer = OPTIMIZERS[name]([weight])
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    tensors = [value for value in optimizer.state[weight].values() if isinstance(value, torch.Tensor)]
    state = sum(value.numel() * value.element_size() for value in tensors if value.numel() == weight.numel())
    assert documented()[name] == (state // weight.numel(), state // weight.numel() + weight.element_size())
