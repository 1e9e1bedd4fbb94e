from dataclasses import replace

import pytest
import torch

from signbit.models import create_model
from signbit.nn import BinaryLinear
from signbit.optim import Bop, Bop2ndOrder, Hybrid, Latent
from signbit.training import OptimConfig, Recipe, Schedule
from signbit.training.optimizers import BINARY, build_optimizer, build_schedulers, is_latent_free, make_schedule
from signbit.training.recipe import DataConfig, ModelConfig

BOP = OptimConfig(
    name="bop",
    options={"lr": 1e-2, "threshold": 1e-6},
    schedules={"lr": Schedule(end=0.0), "threshold": Schedule(kind="exponential", end=100.0)},
)
RECIPE = Recipe(
    name="made",
    data=DataConfig(name="digits"),
    model=ModelConfig(name="digits_cnn"),
    optim=BOP,
    real=OptimConfig(name="adam", options={"lr": 1e-2}, schedules={"lr": Schedule(kind="cosine")}),
    epochs=1,
)


def model() -> torch.nn.Module:
    return create_model("digits_cnn", widths=(4, 8), hidden=8)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (BOP, Bop),
        (OptimConfig(name="bop2ndorder", options={"lr": 1e-3, "sigma": 1e-3}), Bop2ndOrder),
        (OptimConfig(name="adam", options={"lr": 1e-3, "clip": 0.5}), Latent),
        (OptimConfig(name="sgd", options={"lr": 1e-3, "momentum": 0.9}), Latent),
    ],
)
def test_names_give_optimizers(config: OptimConfig, kind: type) -> None:
    optimizer = build_optimizer(replace(RECIPE, optim=config), model())
    assert isinstance(optimizer.members["binary"], kind)
    assert isinstance(optimizer.members["real"], torch.optim.Adam)
    assert optimizer.members["binary"].param_groups[0]["lr"] == config.options["lr"]
    if kind is Latent:
        assert optimizer.members["binary"].clip == config.options.get("clip", 1.0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (OptimConfig(name="bopp"), r"optim\.name: unknown optimizer 'bopp'; did you mean bop"),
        (OptimConfig(name="bop", options={"treshold": 1}), "unknown option 'treshold'; did you mean threshold"),
        (OptimConfig(name="bop", options={"lr": 2.0}), r"optim\.options: "),
        (OptimConfig(name="adam", options={"sigma": 1}), "adam: unknown option 'sigma'"),
        (OptimConfig(name="bop", schedules={"lr": Schedule()}), r"optim\.schedules: 'lr' is not a number"),
        (OptimConfig(name="adam", options={"lr": 0.1, "clip": 0.0}), "clip must be > 0"),
    ],
)
def test_mistakes_are_answered(config: OptimConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_optimizer(replace(RECIPE, optim=config), model())
    with pytest.raises(ValueError, match=r"real\.name: unknown optimizer 'bop'"):
        build_optimizer(replace(RECIPE, real=BOP), model())


def test_which_optimizers_keep_no_latent_weights() -> None:
    assert {name for name in BINARY if is_latent_free(name)} == {"bop", "bop2ndorder"}
    assert not is_latent_free("bopp")


def test_schedules_reach_their_groups_and_no_others() -> None:
    optimizer = build_optimizer(RECIPE, model())
    schedulers = build_schedulers(RECIPE, optimizer, steps=10)
    binary, real = (optimizer.members[name].param_groups[0] for name in ("binary", "real"))
    assert (binary["lr"], binary["threshold"], real["lr"]) == (1e-2, 1e-6, 1e-2)
    for _ in range(5):
        for scheduler in schedulers:
            scheduler.step()
    assert binary["lr"] == pytest.approx(5e-3)
    assert binary["threshold"] == pytest.approx(1e-5)
    assert real["lr"] == pytest.approx(5e-3)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Schedule(kind="constant"), [2, 2, 2, 2, 2]),
        (Schedule(kind="linear", end=0.5), [2, 1.75, 1.5, 1.25, 1]),
        (Schedule(kind="linear", end=3.0), [2, 3, 4, 5, 6]),
        (Schedule(kind="polynomial", power=2.0), [2, 1.125, 0.5, 0.125, 0]),
        (Schedule(kind="cosine", end=0.0), [2, 1.7071068, 1, 0.2928932, 0]),
        (Schedule(kind="exponential", end=0.0625), [2, 1, 0.5, 0.25, 0.125]),
        (Schedule(kind="staircase", end=0.25, stairs=2), [2, 2, 1, 0.5, 0.5]),
        (Schedule(kind="staircase", end=0.1, every=1), [2, 2, 0.2, 0.2, 0.02]),
        (Schedule(kind="staircase", end=0.1, every=100), [2, 2, 2, 2, 2]),
        (Schedule(kind="linear", end=0.5, warmup=1), [0, 1, 2, 1.5, 1]),
        (Schedule(kind="constant", warmup=0.5), [0, 2, 2, 2, 2]),
        (Schedule(kind="staircase", end=0.5, every=0.5, warmup=0.5), [0, 2, 1, 0.5, 0.25]),
    ],
)
def test_values_of_schedules_in_a_run_of_two_epochs(schedule: Schedule, values: list[float]) -> None:
    function = make_schedule(schedule, 2.0, steps=4, epochs=2)
    assert [function(index) for index in range(5)] == pytest.approx(values)
    assert function(0) == (0 if schedule.warmup else 2.0)


def test_a_tenth_every_hundred_epochs() -> None:
    function = make_schedule(Schedule(kind="staircase", end=0.1, every=100), 1e-4, steps=350 * 800, epochs=350)
    values = [function(epoch * 800 + update) for epoch in (99, 100, 199, 200, 299, 300, 349) for update in (0, 799)]
    stairs = [1e-4, 1e-5, 1e-5, 1e-6, 1e-6, 1e-7, 1e-7]
    assert values == pytest.approx([value for value in stairs for _ in range(2)])


def test_schedules_that_reach_nothing_are_refused() -> None:
    net = torch.nn.Sequential(BinaryLinear(4, 4))
    hybrid = Hybrid(net, binary=Bop)
    with pytest.raises(ValueError, match=r"real\.schedules reach nothing: the model has no real parameters"):
        build_schedulers(RECIPE, hybrid, steps=10)
    long = replace(RECIPE, optim=replace(BOP, schedules={"lr": Schedule(warmup=2)}))
    with pytest.raises(ValueError, match=r"optim\.lr: a warmup of 2 epochs leaves nothing of 1"):
        build_schedulers(long, build_optimizer(long, model()), steps=10)
    zero = OptimConfig(name="bop", options={"threshold": 0.0}, schedules={"threshold": BOP.schedules["threshold"]})
    none = replace(RECIPE, optim=zero)
    with pytest.raises(ValueError, match=r"optim\.threshold: start and end of an exponential must be > 0, got 0\.0"):
        build_schedulers(none, build_optimizer(none, model()), steps=10)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "exponential"}, "end of exponential schedules must be > 0"),
        ({"end": -1.0}, "must be >= 0, got -1"),
        ({"stairs": 0}, "stairs must be >= 1"),
        ({"power": 0.0}, "power must be > 0, got 0"),
        ({"every": 0.0}, "every must be > 0 epochs or null, got 0"),
        ({"warmup": -1.0}, "warmup must be >= 0 epochs, got -1"),
    ],
)
def test_schedules_are_checked(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule(**wrong)  # type: ignore[arg-type]


def test_options_of_some_parameters() -> None:
    real = replace(RECIPE.real, groups={"*.bias": {"weight_decay": 0.5}, "stem.*": {"betas": (0.5, 0.9)}})
    groups = build_optimizer(replace(RECIPE, real=real), model()).members["real"].param_groups
    names = [set(group["param_names"]) for group in groups]
    assert names[1] == {name for name in set.union(*names) if name.endswith(".bias")}
    assert names[2]
    assert all(name.startswith("stem.") for name in names[2])
    assert [group["weight_decay"] for group in groups] == [0, 0.5, 0]
    assert groups[2]["betas"] == (0.5, 0.9)
    assert {group["lr"] for group in groups} == {1e-2}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"stam.*": {"weight_decay": 0.1}}, r"groups: 'stam\.\*' fits none of the parameters, such as stem"),
        (
            {"*": {"wight_decay": 0.1}},
            r"real\.groups\.\*: adam: unknown option 'wight_decay'; did you mean weight_decay",
        ),
        ({"*": {"lr": 0.1}}, r"real\.groups\.\*: lr has a schedule, which moves it for all"),
    ],
)
def test_mistaken_groups_are_answered(groups: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_optimizer(replace(RECIPE, real=replace(RECIPE.real, groups=groups)), model())
