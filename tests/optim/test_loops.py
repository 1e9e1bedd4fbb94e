"""Optimizers of binary weights in loops as people write them: schedulers, AMP, accumulation, clipping, compilation."""

import copy
import pickle
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, lr_scheduler

from signbit.nn import BinaryLinear
from signbit.optim import BAMSProd, Bop, Bop2ndOrder, Hybrid, Latent
from signbit.quantizers import sign

BOP = partial(Bop, lr=0.05, threshold=1e-4)
SECOND = partial(Bop2ndOrder, lr=0.05, sigma=0.1, threshold=0.1, correction="adam")


def latent(pairs):
    return Latent(Adam(pairs, lr=1e-2))


BINARY = {"bop": BOP, "bop2ndorder": SECOND, "bamsprod": BAMSProd, "latent": latent}
every = pytest.mark.parametrize("binary", BINARY.values(), ids=BINARY)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 65, bias=False), nn.BatchNorm1d(65), BinaryLinear(65, 63), nn.BatchNorm1d(63), BinaryLinear(63, 4)
    )


def batches(steps, *, seed=0, size=16):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, 8, generator=generator) for _ in range(steps)]


def loss_of(net, batch):
    return net(batch).square().mean()


def train(net, optimizer, data, step=None):
    for batch in data:
        optimizer.zero_grad()
        loss_of(net, batch.to(net[0].weight.device)).backward()
        (optimizer.step if step is None else step)()


def weights(net):
    return [parameter.detach().clone() for parameter in net.parameters()]


def assert_equal(first, second):
    for mine, other in zip(weights(first), weights(second), strict=True):
        assert torch.equal(mine, other)


# Torch's schedulers drive γ ------------------------------------------------------------------------------------------

SCHEDULERS = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda step: 0.9**step),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda step: 0.9),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3, gamma=0.1),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 5], gamma=0.1),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, factor=0.5, total_iters=3),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=8),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.5),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, total_iters=8, power=2.0),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 8),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, 1.0, 3), lr_scheduler.CosineAnnealingLR(o, 5)], [3]
    ),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, 0.5, 3), lr_scheduler.ExponentialLR(o, 0.5)]
    ),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 0.1, step_size_up=3, cycle_momentum=False),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=9, cycle_momentum=False),
}


@pytest.mark.filterwarnings("ignore:.*epoch parameter in.*:UserWarning")
@pytest.mark.parametrize("name", SCHEDULERS)
def test_torch_schedulers_drive_the_rate_as_they_drive_sgd(name):
    net = model()
    optimizer = Hybrid(net, binary=BOP, real=partial(Adam, lr=0.01))
    member, twin = optimizer.members["binary"], SGD([nn.Parameter(torch.ones(1))], lr=0.05)
    mine, theirs = SCHEDULERS[name](member), SCHEDULERS[name](twin)
    seen = set()
    for batch in batches(8):
        train(net, optimizer, [batch])
        twin.step()
        assert member.param_groups[0]["lr"] == twin.param_groups[0]["lr"]
        assert optimizer.param_groups[0]["lr"] == twin.param_groups[0]["lr"]
        seen.add(member.param_groups[0]["lr"])
        mine.step()
        theirs.step()
    assert len(seen) > 1
    assert optimizer.param_groups[1]["lr"] == 0.01


def test_a_plateau_drives_the_rate():
    net = model()
    optimizer = Hybrid(net, binary=BOP, real=partial(Adam, lr=0.01))
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=0)
    train(net, optimizer, batches(1))
    for _ in range(2):
        scheduler.step(1.0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.005, 0.001])


@pytest.mark.parametrize("scheduler", [partial(lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=9),
                                       partial(lr_scheduler.CyclicLR, base_lr=1e-3, max_lr=0.1)])  # fmt: skip
def test_cycles_of_momentum_are_refused_by_torch_because_there_is_none(scheduler):
    with pytest.raises(ValueError, match="optimizer must support momentum"):
        scheduler(BOP([nn.Parameter(torch.ones(3))]))


def test_a_scheduler_that_passes_one_is_refused_at_the_step():
    net = model()
    optimizer = Hybrid(net, binary=BOP, real=partial(Adam, lr=0.01))
    lr_scheduler.OneCycleLR(optimizer.members["binary"], 30.0, total_steps=9, cycle_momentum=False)
    before = weights(net)
    with pytest.raises(ValueError, match=r"lr must be in \[0, 1\], got 1"):
        train(net, optimizer, batches(1))
    assert all(map(torch.equal, before, net.parameters()))


# Automatic mixed precision --------------------------------------------------------------------------------------------


@every
def test_a_gradient_scaler_changes_nothing(binary):
    plain, scaled = model(), model()
    first, second = (Hybrid(net, binary=binary, real=Adam) for net in (plain, scaled))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=3)
    train(plain, first, batches(8))
    for batch in batches(8):
        second.zero_grad()
        scaler.scale(loss_of(scaled, batch)).backward()
        scaler.step(second)
        scaler.update()
    assert scaler.get_scale() > 2.0**16
    # The scale is a power of two, so that scaling up and down again is exact.
    assert_equal(plain, scaled)


@every
@pytest.mark.parametrize("layer", [0, 2])
def test_a_gradient_scaler_skips_the_step_of_both_members(binary, layer):
    net = model()
    optimizer = Hybrid(net, binary=binary, real=Adam)
    train(net, optimizer, batches(2))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    before = copy.deepcopy((weights(net), optimizer.state_dict()["state"]))
    optimizer.zero_grad()
    scaler.scale(loss_of(net, batches(1)[0])).backward()
    net[layer].weight.grad[1, 2] = torch.inf
    scaler.step(optimizer)
    scaler.update()
    torch.testing.assert_close((weights(net), optimizer.state_dict()["state"]), before, rtol=0, atol=0)
    assert scaler.get_scale() == 2.0**15


def test_unscaling_by_hand_lets_gradients_be_clipped_before_the_threshold():
    plain, scaled = model(), model()
    first, second = (Hybrid(net, binary=BOP, real=Adam) for net in (plain, scaled))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    for batch in batches(5):
        for net, optimizer, factor in ((plain, first, None), (scaled, second, scaler)):
            optimizer.zero_grad()
            loss = loss_of(net, batch)
            (loss if factor is None else factor.scale(loss)).backward()
            if factor is not None:
                factor.unscale_(optimizer)
            nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            if factor is None:
                optimizer.step()
            else:
                factor.step(optimizer)
                factor.update()
    assert_equal(plain, scaled)


@every
def test_bfloat16_autocast(binary):
    net = model()
    optimizer = Hybrid(net, binary=binary, real=Adam)
    before = weights(net)
    for batch in batches(5):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(net, batch)
        loss.backward()
        optimizer.step()
    assert not any(map(torch.equal, before, net.parameters()))


# Accumulation, clipping -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [BOP, SECOND], ids=["bop", "bop2ndorder"])
def test_accumulated_means_are_the_gradient_of_the_whole_batch(binary):
    # Without batch norm, which would see another batch.
    def plain_net():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 64, bias=False), BinaryLinear(64, 64), BinaryLinear(64, 4)).double()

    whole, parts = plain_net(), plain_net()
    first, second = (Hybrid(net, binary=binary, real=Adam) for net in (whole, parts))
    for batch in batches(6):
        first.zero_grad()
        loss_of(whole, batch.double()).backward()
        first.step()
        second.zero_grad()
        for part in batch.double().split(4):
            (loss_of(parts, part) / 4).backward()
        second.step()
    for mine, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
    assert torch.equal(whole[1].weight, parts[1].weight)


def test_clipping_changes_what_the_threshold_of_bop_means_and_not_that_of_bop2ndorder():
    def clipped(make, norm):
        torch.manual_seed(0)
        weight = nn.Parameter(sign(torch.randn(65, 63)))
        optimizer = make([weight])
        for seed in range(10):
            weight.grad = torch.randn(65, 63, generator=torch.Generator().manual_seed(seed))
            weight.grad *= norm / weight.grad.norm()
            optimizer.step()
        return weight.detach()

    bop = partial(Bop, lr=0.05, threshold=1e-3)
    assert not torch.equal(clipped(bop, 64.0), clipped(bop, 1.0))
    second = partial(Bop2ndOrder, lr=0.05, sigma=0.1, threshold=0.1, eps=0.0)
    assert torch.equal(clipped(second, 64.0), clipped(second, 1.0))


# Copies and states ----------------------------------------------------------------------------------------------------

ALONE = {
    "bop": lambda w: Bop([w], lr=0.1, threshold=0.01),
    "bop2ndorder": lambda w: Bop2ndOrder([w], lr=0.1, sigma=0.2, threshold=0.1, correction="adam"),
    "bamsprod": lambda w: BAMSProd([w], lr=0.1, kappa=1.0),
    "latent": lambda w: Latent(SGD([w], lr=0.1, momentum=0.9), clip=0.7),
}


def advance(optimizer, steps, seed):
    (weight,) = optimizer.param_groups[0]["params"]
    for step in range(steps):
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed + step)).to(weight.device)
        optimizer.step()
    return weight.detach().cpu().clone()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("make", ALONE.values(), ids=ALONE)
def test_copies_go_on_as_the_original(make, copied):
    optimizer = make(nn.Parameter(sign(torch.randn(65, 3, generator=torch.Generator().manual_seed(0)))))
    advance(optimizer, 3, 0)
    twin = copied(optimizer)
    assert torch.equal(advance(optimizer, 3, 9), advance(twin, 3, 9))
    twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    scheduler = lr_scheduler.ExponentialLR(twin, 0.5)
    assert torch.equal(advance(optimizer, 3, 20), advance(twin, 3, 20))
    scheduler.step()
    assert [o.param_groups[0]["lr"] for o in (optimizer, twin)] == [0.1, 0.05]
    twin.add_param_group({"params": [nn.Parameter(torch.ones(2))]})
    assert len(twin.param_groups) == 2
    assert len(optimizer.param_groups) == 1


@every
@needs_cuda
def test_states_move_between_cpu_and_cuda(binary, tmp_path):
    net, there = model(), model().cuda()
    optimizer = Hybrid(net, binary=binary, real=Adam)
    train(net, optimizer, batches(3))
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    moved = Hybrid(there, binary=binary, real=Adam)
    there.load_state_dict(saved["net"])
    moved.load_state_dict(saved["optimizer"])
    for state in moved.state.values():
        assert all(v.is_cuda for k, v in state.items() if isinstance(v, torch.Tensor) and k != "step")
    train(there, moved, batches(2, seed=1))
    back = Hybrid(net, binary=binary, real=Adam)
    net.load_state_dict({key: value.cpu() for key, value in there.state_dict().items()})
    back.load_state_dict(moved.state_dict())
    for state in back.state.values():
        assert not any(v.is_cuda for v in state.values() if isinstance(v, torch.Tensor))
    train(net, back, batches(2, seed=2))


@needs_cuda
@pytest.mark.parametrize("make", ALONE.values(), ids=ALONE)
def test_cuda_steps_as_the_cpu_does(make):
    start = sign(torch.randn(65, 63, generator=torch.Generator().manual_seed(0)))
    here, there = make(nn.Parameter(start.clone())), make(nn.Parameter(start.cuda()))
    torch.testing.assert_close(advance(here, 5, 0), advance(there, 5, 0), rtol=0, atol=1e-6)


# Compilation ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", ALONE.values(), ids=ALONE)
def test_a_compiled_step_does_the_same(make):
    start = sign(torch.randn(65, 3, generator=torch.Generator().manual_seed(0)))
    plain, compiled = make(nn.Parameter(start.clone())), make(nn.Parameter(start.clone()))
    torch.compiler.reset()
    step = torch.compile(compiled.step, backend="eager")
    for seed in range(3):
        for optimizer, act in ((plain, plain.step), (compiled, step)):
            (weight,) = optimizer.param_groups[0]["params"]
            weight.grad = torch.randn(65, 3, generator=torch.Generator().manual_seed(seed))
            act()
    torch.testing.assert_close(compiled.param_groups[0]["params"], plain.param_groups[0]["params"], rtol=0, atol=1e-6)
    weight.grad[0, 0] = torch.nan
    before = weight.detach().clone()
    with pytest.raises(ValueError, match="its gradient is not finite in step 4"):
        step()
    assert torch.equal(weight, before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@every
def test_model_and_step_compiled_by_inductor(binary):
    plain, compiled = model(), model()
    first, second = (Hybrid(net, binary=binary, real=partial(SGD, lr=0.01)) for net in (plain, compiled))
    torch.compiler.reset()
    forward, step = torch.compile(compiled), torch.compile(second.step)
    schedules = [lr_scheduler.ExponentialLR(optimizer, 0.8) for optimizer in (first, second)]
    for batch in batches(12):
        second.zero_grad()
        loss_of(forward, batch).backward()
        # The same gradients for both: where a moment, or an input of a sign, is nearly 0, the last bit decides.
        for mine, other in zip(plain.parameters(), compiled.parameters(), strict=True):
            mine.grad = other.grad.clone()
        first.step()
        step()
        for schedule in schedules:
            schedule.step()
    for mine, other in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
