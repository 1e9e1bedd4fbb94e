from functools import partial

import torch
from torch import nn

from signbit.analysis import UpdateRecorder, channel_magnitude
from signbit.nn import BinaryLinear
from signbit.optim import Bop, Hybrid


def test_latent_weights_move_by_what_their_optimizer_does() -> None:
    model = nn.Sequential(BinaryLinear(3, 2), nn.BatchNorm1d(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    gradient = torch.tensor([[1.0, -2.0, 0.0], [0.0, 0.0, 0.0]])
    with UpdateRecorder(model, optimizer) as recorder:
        assert recorder.updates == {}
        model[0].weight.grad = gradient
        optimizer.step()
    model[0].weight.grad = 7 * gradient
    optimizer.step()
    assert recorder.updates.keys() == {"0.weight"}
    torch.testing.assert_close(recorder.updates["0.weight"], -0.5 * gradient)
    assert channel_magnitude(recorder.updates["0.weight"])[1] == 0  # a filter that does not train


def test_signs_move_by_two_or_not_at_all() -> None:
    model = nn.Sequential(BinaryLinear(8, 4), nn.BatchNorm1d(4))
    optimizer = Hybrid(model, binary=partial(Bop, lr=1.0, threshold=0.0), real=partial(torch.optim.SGD, lr=0.1))
    with UpdateRecorder(model, optimizer) as recorder:
        model[0].weight.grad = torch.ones(4, 8)
        optimizer.step()
    assert set(recorder.updates["0.weight"].unique().tolist()) == {-2.0, 0.0}
