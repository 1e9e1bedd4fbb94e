import json
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from signbit.packed import ImagePreparation
from signbit.training import Recipe, Result, load_run, override, save_recipe
from signbit.training.origin import versions
from signbit.training.run import build_model


def test_a_folder_without_a_recipe_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not a run: it has no recipe\.yaml"):
        load_run(tmp_path)


def test_a_run_without_checkpoint_says_so(trained: Result, tmp_path: Path) -> None:
    shutil.copy(trained.path / "recipe.yaml", tmp_path)
    with pytest.raises(ValueError, match="`signbit resume` starts it again"):
        load_run(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "foreign", "list", "code"])
def test_a_damaged_checkpoint_is_named(trained: Result, tmp_path: Path, damage: str) -> None:
    shutil.copytree(trained.path, tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = bytearray(path.read_bytes())
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "flipped":
            path.write_bytes(bytes(255 - byte for byte in content))
        case "foreign":
            torch.save({"state_dict": {}}, path)
        case "list":
            torch.save([1, 2], path)
        case "code":
            torch.save({"image": Path("x"), "labels": [], "state_dict": {}}, path)
    with pytest.raises(
        ValueError, match=r"last\.ckpt cannot be read \(.+\); put a copy back, or train anew$"
    ) as caught:
        load_run(tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_network_is_refused(trained: Result, tmp_path: Path) -> None:
    shutil.copytree(trained.path, tmp_path / "run")
    changed = override(load_run(trained.path).recipe, ["--model.options.hidden=64"])
    save_recipe(changed, tmp_path / "run" / "recipe.yaml")
    with pytest.raises(
        ValueError,
        match=r"does not fit digits_cnn \(Sequential: size mismatch for hidden.fc.weight: .*256\]\)\); set model",
    ):
        load_run(tmp_path / "run")


def test_versions_name_what_a_result_depends_on(trained: Result) -> None:
    written = json.loads((trained.path / "versions.json").read_text())
    assert written["torch"] == version("torch")
    assert written.keys() == {*versions(), "training images", "validation images"}
    assert written["validation images"].startswith("200 images, hash ")
    assert written["threads"] == 1


def test_what_encodes_pixels_knows_the_normalisation(recipe: Recipe) -> None:
    image = ImagePreparation(height=8, width=8, mode="L", mean=(0.2,), std=(0.4,))
    options = ["--model.name=resnet20_cifar", "--model.options={stem_encoding: thermometer}"]
    model = build_model(override(recipe, options), 10, image)
    black, white = (torch.from_numpy(image.table()[:, [p]]).view(1, 1, 1, 1) for p in (4, 252))
    encode = model.get_submodule("stem.encode")
    assert encode(black).sum() == -32
    assert encode(white).sum() == 32
