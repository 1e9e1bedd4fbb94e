import pytest
import torch
from torch import nn

from signbit.losses import Maps
from signbit.models import create_model

NET = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))


def test_maps_come_in_the_order_of_their_names():
    maps = Maps(NET, ["1.0", "0"])
    images = torch.randn(5, 3)
    scores = NET(images)
    relu, first = maps.take()
    torch.testing.assert_close(first, NET[0](images))
    torch.testing.assert_close(relu, first.relu())
    torch.testing.assert_close(NET[1][1](relu), scores)
    maps.remove()
    NET(images)
    with pytest.raises(KeyError):
        maps.take()


def test_a_network_names_its_maps_itself():
    net = create_model("resnet20_cifar", widths=[4, 8], depths=[1, 1])
    maps = Maps(net)
    assert maps.names == ["stem", "stage1", "stage2"]
    before = net.state_dict().keys()
    net(torch.randn(2, 3, 8, 8))
    assert [tuple(found.shape) for found in maps.take()] == [(2, 4, 8, 8), (2, 4, 8, 8), (2, 8, 4, 4)]
    assert net.state_dict().keys() == before


def test_a_module_that_is_not_there():
    with pytest.raises(ValueError, match=r"no module '1\.2'; did you mean 1\.1 or 1\.0"):
        Maps(NET, ["1.2"])
    with pytest.raises(ValueError, match="Sequential does not say which feature maps it has; name modules, such as 0"):
        Maps(NET)


def test_a_compiled_network_gives_them_too():
    net = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))
    maps, images = Maps(net, ["0", "1.0"]), torch.randn(2, 3)
    compiled = torch.compile(lambda x: net(x), fullgraph=True, backend="aot_eager")
    for _ in range(2):
        compiled(images)
        found = maps.take()
        net(images)
        for one, other in zip(found, maps.take(), strict=True):
            torch.testing.assert_close(one, other)
