import copy
import pickle
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from signbit.nn import BinaryLinear
from signbit.optim import BAMSProd, Bop, Bop2ndOrder, Hybrid, Latent
from signbit.params import named_binary_parameters
from signbit.quantizers import sign

BINARY = [
    partial(Bop, lr=0.05, threshold=1e-4),
    partial(Bop2ndOrder, lr=1e-2, correction="adam"),
    lambda pairs: Latent(Adam(pairs, lr=1e-2)),
]
everyone = pytest.mark.parametrize("binary", BINARY)


def model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(8, 65), nn.BatchNorm1d(65), BinaryLinear(65, 63), nn.BatchNorm1d(63), BinaryLinear(63, 4, bias=True)
    )


def train(net, optimizer, steps=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(16, 8, generator=generator)).square().mean().backward()
        optimizer.step()


def parameters(net):
    return [parameter.detach().clone() for parameter in net.parameters()]


@everyone
def test_shares_out_the_model_and_changes_all_of_it(binary):
    net = model()
    optimizer = Hybrid(net, binary=binary, real=Adam)
    before = parameters(net)
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 7]
    assert optimizer.param_groups[0]["param_names"] == ["2.weight", "4.weight"]
    train(net, optimizer)
    assert not any(map(torch.equal, before, net.parameters()))


def test_weights_without_latents_become_their_signs():
    net, twin = model(), model()
    Hybrid(net, binary=Bop, real=Adam)
    for (_, mine), (_, old) in zip(named_binary_parameters(net), named_binary_parameters(twin), strict=True):
        assert torch.equal(mine, sign(old))
    assert torch.equal(net[0].weight, twin[0].weight)
    latent = model()
    Hybrid(latent, binary=lambda pairs: Latent(Adam(pairs)), real=Adam)
    assert torch.equal(latent[2].weight, twin[2].weight)


@everyone
def test_continues_from_a_state_dict(binary, tmp_path):
    net, twin = model(), model(seed=1)
    optimizer, resumed = Hybrid(net, binary=binary, real=Adam), Hybrid(twin, binary=binary, real=Adam)
    train(net, optimizer)
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    twin.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["optimizer"])
    assert resumed.param_groups[0] is resumed.members["binary"].param_groups[0]
    train(net, optimizer, seed=1)
    train(twin, resumed, seed=1)
    assert all(map(torch.equal, parameters(net), parameters(twin)))


def test_the_state_of_a_half_precision_model_stays_float32():
    net = model().bfloat16()
    optimizer = Hybrid(net, binary=Bop, real=Adam)
    generator = torch.Generator().manual_seed(0)
    net(torch.randn(16, 8, generator=generator).bfloat16()).square().mean().backward()
    optimizer.step()
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert optimizer.state[net[2].weight]["momentum"].dtype == torch.float32


def test_refuses_states_of_another_optimizer():
    optimizer = Hybrid(model(), binary=Bop, real=Adam)
    other, net = model(), model()
    latent = Hybrid(other, binary=lambda pairs: Latent(Adam(pairs)), real=Adam)
    train(other, latent, steps=1)
    with pytest.raises(ValueError, match="Bop cannot load the state of another optimizer"):
        optimizer.load_state_dict(latent.state_dict())
    with pytest.raises(ValueError, match="the saved state has 1 groups and this Hybrid 2"):
        optimizer.load_state_dict(Adam(net.parameters()).state_dict())


def test_groups_are_the_members_own():
    net = model()

    def decayed(pairs):
        weights = [pair for pair in pairs if pair[1].dim() > 1]
        return SGD([{"params": weights, "weight_decay": 1e-4}, {"params": pairs[1:]}], lr=0.1)

    optimizer = Hybrid(net, binary=Bop, real=decayed)
    assert optimizer.group_indices("binary") == (0,)
    assert optimizer.group_indices("real") == (1, 2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    train(net, optimizer, steps=1)
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5e-4, 0.05, 0.05])
    assert optimizer.members["real"].param_groups[1]["lr"] == pytest.approx(0.05)
    with pytest.raises(ValueError, match="there is no member 'stem', only binary, real"):
        optimizer.group_indices("stem")


def test_a_member_may_have_its_own_scheduler():
    net = model()
    optimizer = Hybrid(net, binary=partial(Bop, lr=0.1), real=partial(Adam, lr=0.1))
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer.members["binary"], gamma=0.1)
    train(net, optimizer, steps=1)
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01, 0.1])


def test_the_state_is_one_view():
    net = model()
    optimizer = Hybrid(net, binary=Bop, real=Adam)
    train(net, optimizer, steps=1)
    assert set(optimizer.state) == set(net.parameters())
    assert len(optimizer.state) == 9
    weight = net[2].weight
    optimizer.state[weight] = {"momentum": torch.zeros_like(weight)}
    assert optimizer.members["binary"].state[weight]["momentum"].sum() == 0
    del optimizer.state[weight]
    assert weight not in optimizer.members["binary"].state


def test_closure_is_evaluated_once():
    net, calls = model(), []
    optimizer = Hybrid(net, binary=Bop, real=Adam)

    def closure():
        calls.append(1)
        optimizer.zero_grad()
        loss = net(torch.ones(16, 8)).square().mean()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() > 0
    assert calls == [1]


def test_repr_says_who_owns_what():
    text = repr(Hybrid(model(), binary=partial(Bop, lr=0.1), real=partial(Adam, lr=0.01)))
    assert "binary: Bop(lr=0.1, threshold=1e-08) owns 4,347 values in 2 tensors:\n    2.weight, 4.weight" in text
    assert "real: Adam(lr=0.01" in text
    assert "0.weight, 0.bias, 1.weight, 1.bias, 3.weight, 3.bias, 4.bias" in text


def test_a_model_without_real_parameters():
    net = nn.Sequential(BinaryLinear(4, 4), BinaryLinear(4, 4))
    assert "real" not in Hybrid(net, binary=Bop).members
    with pytest.raises(ValueError, match="real: the model has no other parameters; pass real=None"):
        Hybrid(net, binary=Bop, real=Adam)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda net: Hybrid(net, binary=Bop), r"no optimizer claims 0\.weight, 0\.bias, 1\.weight.*give them to"),
        (
            lambda net: Hybrid(net, binary=Bop, real=lambda _: Adam(net.parameters())),
            r"2\.weight is claimed twice, by binary and by real",
        ),
        (
            lambda net: Hybrid(net, binary=Bop, real=Adam([nn.Parameter(torch.ones(1))])),
            "real claims parameter 0, which is not a parameter of the model",
        ),
        (
            lambda net: Hybrid(net, binary=lambda pairs: Bop(pairs[:1]), real=Adam),
            r"no optimizer claims 4\.weight",
        ),
        (lambda net: Hybrid(net[0], binary=Bop, real=Adam), "binary: the model has no binary weights"),
    ],
)
def test_refuses(make, message):
    net = model()
    before = parameters(net)
    with pytest.raises(ValueError, match=message):
        make(net)
    assert all(map(torch.equal, before, net.parameters()))


def test_built_optimizers_are_taken_too():
    net = model()
    binary = Bop(named_binary_parameters(net))
    claimed = {weight for _, weight in named_binary_parameters(net)}
    optimizer = Hybrid(net, binary=binary, real=Adam([p for p in net.parameters() if p not in claimed]))
    assert optimizer.members["binary"] is binary
    train(net, optimizer)


def test_groups_may_be_added_later():
    net = model()
    optimizer = Hybrid(net, binary=partial(Bop, lr=0.1, threshold=0.0), real=partial(Adam, lr=0.01))
    real, binary = nn.Parameter(torch.full((3,), 0.3)), nn.Parameter(torch.ones(3))
    optimizer.add_param_group({"params": [real], "lr": 0.5})
    optimizer.add_param_group({"params": [("late", binary)]}, member="binary")
    assert optimizer.group_indices("real") == (1, 2)
    assert optimizer.group_indices("binary") == (0, 3)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.01, 0.5, 0.1]
    assert "late" in repr(optimizer)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    real.grad, binary.grad = torch.ones(3), torch.ones(3)
    optimizer.step()
    schedule.step()
    assert binary.tolist() == [-1] * 3
    assert real.tolist() == pytest.approx([-0.2] * 3)
    assert optimizer.members["binary"].param_groups[1]["lr"] == 0.05
    twin = copy.deepcopy(optimizer)
    twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert twin.group_indices("binary") == (0, 3)
    assert twin.state_dict()["state"].keys() == optimizer.state_dict()["state"].keys()


@pytest.mark.parametrize(
    ("group", "member", "message"),
    [
        (lambda net: {"params": [net[2].weight]}, "real", r"parameter 9 is claimed by binary already"),
        (lambda net: {"params": [("again", net[0].weight)]}, "binary", r"again is claimed by real already"),
        (lambda net: {"params": nn.Parameter(torch.full((2,), 0.5))}, "binary", "parameter 9: Bop needs weights of -1"),
        (lambda net: {"params": nn.Parameter(torch.ones(2)), "lr": 7.0}, "binary", r"lr must be in \(0, 1\], got 7"),
        (lambda net: {"params": nn.Parameter(torch.ones(2))}, "stem", "there is no member 'stem'"),
    ],
)
def test_bad_late_groups_are_refused_and_change_nothing(group, member, message):
    net = model()
    optimizer = Hybrid(net, binary=Bop, real=Adam)
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group(group(net), member=member)
    assert len(optimizer.param_groups) == 2
    assert [len(m.param_groups) for m in optimizer.members.values()] == [1, 1]


@pytest.mark.parametrize("change", ["load", "add"])
def test_groups_changed_behind_its_back_are_an_error(change):
    net = model()
    optimizer = Hybrid(net, binary=Bop, real=Adam)
    member = optimizer.members["binary"]
    if change == "load":
        member.load_state_dict(member.state_dict())
    else:
        member.add_param_group({"params": [nn.Parameter(torch.ones(1))], "param_names": ["late"]})
    with pytest.raises(ValueError, match="the groups of binary are no longer those of this Hybrid"):
        optimizer.step()


@pytest.mark.parametrize("quantizer", ["twolevel(density=0.1)", "twolevel(values=signs)", "ternary", "approxsign"])
def test_domains_that_need_latent_weights_are_refused_beside_an_optimizer_without(quantizer):
    layers = nn.Sequential(BinaryLinear(8, 8), BinaryLinear(8, 8, weight_quantizer=quantizer))
    before = parameters(layers)
    with pytest.raises(ValueError, match=r"1: its weight quantizer .*, and Bop2ndOrder keeps only signs; use Latent"):
        Hybrid(layers, binary=Bop2ndOrder)
    assert all(map(torch.equal, before, layers.parameters()))
    Hybrid(layers, binary=BAMSProd)
    Hybrid(nn.Sequential(BinaryLinear(8, 8, input_quantizer="approxsign")), binary=Bop2ndOrder)


@everyone
def test_copies_work_on_their_own(binary):
    net = model()
    optimizer = Hybrid(net, binary=binary, real=Adam)
    train(net, optimizer)
    copies = [copy.deepcopy((net, optimizer)), pickle.loads(pickle.dumps((net, optimizer)))]
    train(net, optimizer, seed=1)
    for twin, twins in copies:
        assert twins.param_groups[0] is twins.members["binary"].param_groups[0]
        assert twins.param_groups[0]["params"][0] is twin[2].weight
        train(twin, twins, seed=1)
        assert all(map(torch.equal, parameters(net), parameters(twin)))
        assert repr(twins) == repr(optimizer)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", ["0.weight", "2.weight"])
@everyone
def test_a_gradient_that_is_not_finite_changes_no_member(binary, name, bad):
    net = model()
    optimizer = Hybrid(net, binary=binary, real=Adam)
    train(net, optimizer, steps=2)
    dict(net.named_parameters())[name].grad[1, 2] = bad
    before = copy.deepcopy((parameters(net), optimizer.state_dict()["state"]))
    with pytest.raises(ValueError, match=f"{name}: its gradient is not finite in step 3 since"):
        optimizer.step()
    torch.testing.assert_close((parameters(net), optimizer.state_dict()["state"]), before, rtol=0, atol=0)
    optimizer.zero_grad()
    train(net, optimizer, steps=1)


def test_a_state_that_one_member_refuses_changes_none():
    optimizer, other = Hybrid(model(), binary=Bop, real=Adam), model()
    foreign = Hybrid(other, binary=Bop, real=partial(SGD, lr=0.1, momentum=0.9))
    train(other, foreign, steps=1)
    with pytest.raises(ValueError, match="Adam cannot load the state of another optimizer: a saved group has no amsgr"):
        optimizer.load_state_dict(foreign.state_dict())
    wide = nn.Sequential(nn.Linear(9, 65), *list(model())[1:])
    wider = Hybrid(wide, binary=Bop, real=Adam)
    wide(torch.ones(4, 9)).sum().backward()
    wider.step()
    with pytest.raises(
        ValueError, match=r"Adam cannot load this state: exp_avg has shape \(65, 9\), its weight \(65, 8\)"
    ):
        optimizer.load_state_dict(wider.state_dict())
    smaller = nn.Sequential(nn.Linear(8, 65, bias=False), *list(model())[1:])
    fewer = Hybrid(smaller, binary=Bop, real=Adam)
    with pytest.raises(ValueError, match="the saved state has 6 parameters in group 1 and this Hybrid 7"):
        optimizer.load_state_dict(fewer.state_dict())
    assert not optimizer.state


@pytest.mark.parametrize(
    "state",
    [None, [], {}, {"state": {}}, {"state": [], "param_groups": []}, {"state": {0: 1}, "param_groups": []}],
    ids=str,
)
@pytest.mark.parametrize("make", [Bop, lambda pairs: Latent(Adam(pairs)), None], ids=["bop", "latent", "hybrid"])
def test_what_is_no_state_is_one_sentence(make, state):
    net = model()
    optimizer = Hybrid(net, binary=Bop, real=Adam)
    if make is not None:
        optimizer = make([nn.Parameter(torch.ones(3))])
    with pytest.raises(
        ValueError, match=r"cannot load this state: it lacks 'state', .*; load what state_dict\(\) gave"
    ):
        optimizer.load_state_dict(state)


def test_statistics_that_are_no_tensors_are_refused():
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    optimizer = Bop([weight])
    optimizer.step()
    saved = optimizer.state_dict()
    saved["state"][0] = {"momentum": 1.0}
    with pytest.raises(ValueError, match="momentum is float, not a tensor"):
        Bop([weight]).load_state_dict(saved)


@pytest.mark.filterwarnings("ignore")
def test_is_one_optimizer_to_lightning(tmp_path):
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = model()

        def training_step(self, batch, _):
            return self.net(batch[0]).square().mean()

        def configure_optimizers(self):
            optimizer = Hybrid(self.net, binary=partial(Bop, lr=0.1, threshold=1e-4), real=partial(Adam, lr=0.01))
            return [optimizer], [torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, 10)]

    def trainer(epochs):
        return lightning.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )

    data = torch.utils.data.TensorDataset(torch.randn(48, 8, generator=torch.Generator().manual_seed(0)))
    whole, first, second = Module(), Module(), Module()
    straight = trainer(4)
    straight.fit(whole, torch.utils.data.DataLoader(data, 16))
    assert straight.global_step == 12
    half = trainer(2)
    half.fit(first, torch.utils.data.DataLoader(data, 16))
    half.save_checkpoint(tmp_path / "half.ckpt")
    trainer(4).fit(second, torch.utils.data.DataLoader(data, 16), ckpt_path=tmp_path / "half.ckpt")
    assert all(map(torch.equal, parameters(whole), parameters(second)))
    assert not torch.equal(first.net[2].weight, second.net[2].weight)
