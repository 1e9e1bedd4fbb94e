import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from runs.cases import line, recipe
from signbit.runs import Spread, compare

Make = Callable[..., Path]


def test_runs_that_differ_in_the_seed_alone_are_one_group(make_run: Make) -> None:
    runs = []
    for optim, level in (("bop", 0.7), ("adam", 0.8)):
        for seed in (2, 0, 1):
            values, lines = recipe(optim=optim, seed=seed), [line(e, level=level, seed=seed) for e in (1, 2)]
            runs.append(make_run(f"{optim}-{seed}", values, lines))
    found = compare(runs)
    assert [(group.label, group.seeds, group.epochs) for group in found.groups] == [
        ("adam", (0, 1, 2), (2, 2, 2)),
        ("bop", (0, 1, 2), (2, 2, 2)),
    ]
    assert (found.left_out, found.notes, found.images) == ((), (), ())
    values = [line(2, level=0.8, seed=seed)["validation_accuracy"] for seed in (0, 1, 2)]
    spread = found.groups[0].last("validation_accuracy")
    assert spread is not None
    assert spread.mean == pytest.approx(statistics.fmean(values))
    assert spread.deviation == pytest.approx(statistics.stdev(values))
    told = found.dict()["groups"][1]
    assert told["differs"] == {"optim.name": "bop"}
    assert {"train_loss", "flip_ratio", "pi", "dead_zone", "c2i", "seconds"} <= told.keys()
    assert told["seconds"] == {"mean": 20.0, "deviation": 0.0, "values": (20.0, 20.0, 20.0)}
    assert "flip_ratio_by_layer" not in told


def test_a_single_run_has_no_spread_and_the_best_epoch_may_not_be_the_last(make_run: Make) -> None:
    lines = [line(1) | {"validation_accuracy": 0.6}, line(2) | {"validation_accuracy": 0.5}]
    (group,) = compare([make_run("run", recipe(), lines)]).groups
    assert group.best("validation_accuracy") == Spread((0.6,))
    assert group.last("validation_accuracy") == Spread((0.5,))
    assert Spread((0.5,)).deviation is None
    assert group.best("nothing") is None
    assert group.last("nothing") is None


def test_recipes_are_told_apart_within_their_name(make_run: Make) -> None:
    other = recipe() | {"name": "other", "model": {"name": "resnet20_cifar", "options": {}}}
    runs = [make_run("a", recipe(), [line(1)]), make_run("b", other, [line(1)])]
    assert [group.label for group in compare(runs).groups] == ["other: bop", "small: bop"]


def test_what_cannot_be_read_is_left_out_and_said(make_run: Make, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    found = compare([make_run("run", recipe(), [line(1)]), tmp_path / "nothing", tmp_path / "nothing"])
    assert len(found.groups) == 1
    assert found.left_out == (
        f"{tmp_path / 'nothing'} is not a run: it has no recipe.yaml; give the directory that `signbit train` made",
    )
    with pytest.raises(ValueError, match="nothing is not a run"):
        compare([tmp_path / "nothing"])
    with pytest.raises(ValueError, match="no run to compare"):
        compare([])


def test_notes_on_what_makes_a_comparison_unfair(make_run: Make) -> None:
    runs = [make_run("a", recipe(), [line(1)]), make_run("b", recipe(), [line(1)], cpu="another", torch="3.0")]
    assert compare(runs).notes == (
        "bop: seed 0 more than once, so the spread is too small",
        "torch differs: 2.13.0, 3.0",
        "cpu differs: a CPU, another",
    )
