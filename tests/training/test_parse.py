from dataclasses import replace
from pathlib import Path

import pytest

from signbit.training import (
    DataConfig,
    ModelConfig,
    OptimConfig,
    Recipe,
    Schedule,
    load_recipe,
    override,
    save_recipe,
    split_words,
)

RECIPE = Recipe(
    name="made",
    data=DataConfig(name="digits"),
    model=ModelConfig(name="digits_cnn", options={"widths": [32, 64]}),
    optim=OptimConfig(
        name="bop", options={"lr": 1e-3, "threshold": 1e-7}, schedules={"lr": Schedule(kind="cosine", end=0.1)}
    ),
    real=OptimConfig(name="adam", options={"lr": 1e-2, "betas": [0.9, 0.99]}),
    epochs=3,
)


def test_a_recipe_comes_back_from_its_file(tmp_path: Path) -> None:
    save_recipe(RECIPE, tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == RECIPE


def test_keys_left_out_keep_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: x\nepochs: 2\ndata: {name: digits}\nmodel: {name: m}\noptim: {name: bop}\nreal: {name: adam}\n"
    )
    assert load_recipe(path) == Recipe(
        name="x",
        epochs=2,
        data=DataConfig(name="digits"),
        model=ModelConfig(name="m"),
        optim=OptimConfig(name="bop"),
        real=OptimConfig(name="adam"),
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], RECIPE),
        (["--epochs", "5"], replace(RECIPE, epochs=5)),
        (["--epochs=5", "--seed=7"], replace(RECIPE, epochs=5, seed=7)),
        (["--data.validation", "last:300"], replace(RECIPE, data=DataConfig(name="digits", validation="last:300"))),
        (["--threads", "null"], RECIPE),
        (
            ["--optim.options.lr=5e-4"],
            replace(RECIPE, optim=replace(RECIPE.optim, options={"lr": 5e-4, "threshold": 1e-7})),
        ),
        (
            ["--optim.schedules.lr.end", "0.5"],
            replace(RECIPE, optim=replace(RECIPE.optim, schedules={"lr": Schedule(kind="cosine", end=0.5)})),
        ),
        (
            ["--model.options.binary", "false"],
            replace(RECIPE, model=replace(RECIPE.model, options={"widths": [32, 64], "binary": False})),
        ),
    ],
)
def test_overrides_change_only_their_key(words: list[str], expected: Recipe) -> None:
    assert override(RECIPE, words) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epoch", "5"], "unknown key 'epoch'; did you mean epochs"),
        (["--optim.threshold", "1"], "unknown key 'optim.threshold'; did you mean optim.options.threshold"),
        (["--optim.nam", "bop"], "unknown key 'optim.nam'; did you mean optim.name"),
        (["--zzz=1"], "unknown key 'zzz'; known: name, data, model, .*; `signbit recipes NAME` shows"),
        (["--data.augmentation", "x"], "'data.augmentation' is a group; set .*data.augmentation.crop_padding"),
        (["--epochs", "many"], "^epochs must be int, got many$"),
        (["--epochs", "0"], "^epochs must be >= 1, got 0$"),
        (["--seed", "-1"], "seed must be within"),
        (["--threads", "0"], "threads must be >= 1 or null, got 0"),
        (["--ema", "x"], "^ema must be float or null, got x$"),
        (["--threads", "1.5"], "^threads must be int or null, got 1.5$"),
        (["--mode", "quick"], "mode must be one of 'exact', 'fast', got quick"),
        (["--optim.schedules.lr.kind", "lin"], "kind must be one of 'constant', 'linear'.*got lin"),
        (["--optim.schedules.lr.end", "-1"], "end of cosine schedules must be >= 0, got -1"),
        (["--epochs"], "--epochs needs a value; write --epochs VALUE"),
        (["epochs", "5"], "'epochs' is not an override; write --KEY VALUE"),
        (["--data.validation"], "needs a value"),
    ],
)
def test_mistakes_get_one_sentence(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        override(RECIPE, words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: x\ndata: {name: digits, rot: 3}", r"unknown key 'data\.rot'; did you mean data\.root"),
        ("- 1\n- 2", "holds list, not keys and values"),
        ("a: [", "not YAML"),
        ("name: x", "required"),
        ("name: x\nepochs: 2\ndata: 3\nmodel: {name: m}\noptim: {name: bop}\nreal: {name: adam}", "data"),
        (b"\xff\xfe\x00", "not YAML"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.yaml: No such file"):
        load_recipe(tmp_path / "none.yaml")


def test_words_are_pairs() -> None:
    assert list(split_words(["--a.b", "1", "--c=d=e", "--f", "-2"])) == [("a.b", "1"), ("c", "d=e"), ("f", "-2")]
