"""Kills, signals, full disks and read-only directories: nothing is lost, and a resumed run is the unbroken one."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback

from signbit import recipes
from signbit.data import load
from signbit.training import InterruptError, Recipe, Result, TrainingError, read_metrics, resume, save_recipe, train

CHECKPOINT = "checkpoints/last.ckpt"


def state(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run / CHECKPOINT, weights_only=True)["state_dict"]
    return found


def figures(run: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in read_metrics(run)]


def assert_same(run: Path, whole: Path) -> None:
    left, right = state(run), state(whole)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
    assert figures(run) == figures(whole)


KILL_AT_RANDOM = """
import os, random, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from signbit.training import load_recipe, resume, train

def child(folder, name):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        if (folder / name / "recipe.yaml").exists():
            resume(folder / name, progress=False)
        else:
            train(load_recipe(folder / "recipe.yaml"), folder / name, progress=False)
        code = 0
    finally:
        os._exit(code)

for line in sys.stdin:
    folder, seed = Path(line.split()[0]), int(line.split()[1])
    random.seed(seed)
    begun = time.monotonic()
    assert os.waitpid(child(folder, "whole"), 0)[1] == 0
    length = time.monotonic() - begun
    kills, status = 0, -1
    while status != 0:
        pid = child(folder, "killed")
        if kills < 4:
            time.sleep(random.uniform(0.05, 0.6) * length)
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, status
        kills += status != 0
    print(kills, flush=True)
"""


@pytest.fixture(scope="module")
def killer() -> Iterator[subprocess.Popen[str]]:
    """Trains and kills in processes of its own, which start fast because it has loaded torch before."""
    words = [sys.executable, "-c", KILL_AT_RANDOM]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


@pytest.mark.parametrize(
    ("seed", "changes"),
    [
        (0, {"checkpoint_steps": 5}),
        (1, {"checkpoint_steps": 3, "accumulate": 2, "ema": 0.9}),
        (2, {"checkpoint_steps": 1, "early_stop": 2}),
        (3, {}),
    ],
)
def test_killed_at_random_points(
    recipe: Recipe, tmp_path: Path, killer: subprocess.Popen[str], seed: int, changes: dict[str, Any]
) -> None:
    base = recipe if seed % 2 else replace(recipes.get("digits", "adam"), epochs=2, threads=1, data=recipe.data)
    save_recipe(replace(base, **changes), tmp_path / "recipe.yaml")
    assert killer.stdin is not None
    assert killer.stdout is not None
    killer.stdin.write(f"{tmp_path} {seed}\n")
    killer.stdin.flush()
    assert int(killer.stdout.readline()) >= 1
    assert_same(tmp_path / "killed", tmp_path / "whole")


class At(Callback):
    """Does something after one update."""

    def __init__(self, step: int, action: Any) -> None:
        self.step, self.action = step, action

    def on_train_batch_end(self, trainer, *args, **kwargs) -> None:
        if trainer.global_step == self.step:
            self.action()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 24, 30])
def test_signals_save_and_say_so(
    trained: Result, recipe: Recipe, tmp_path: Path, number: signal.Signals, step: int
) -> None:
    run, before = tmp_path / "run", signal.getsignal(number)
    with pytest.raises(
        InterruptError, match=rf"stopped by {number.name} at step {step}, and saved; `signbit resume"
    ) as told:
        train(recipe, run, progress=False, callbacks=(At(step, lambda: os.kill(os.getpid(), number)),))
    assert told.value.exit_code == 128 + number
    assert signal.getsignal(number) == before
    assert torch.load(run / CHECKPOINT, weights_only=True)["global_step"] == step
    resume(run, progress=False)
    assert_same(run, trained.path)


def train_until_full(recipe: Recipe, run: Path, *, step: int, size: int) -> None:
    """Trains, from `step` on with files of at most `size` bytes. It ends here: pytest writes files too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    fill = At(step, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard)))
    try:
        train(recipe, run, progress=False, callbacks=(fill,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("size", "what"), [(10_000, "checkpoint of step 48"), (100, "metrics of epoch 2")])
def test_a_full_disk_keeps_the_last_good_checkpoint(
    trained: Result, recipe: Recipe, tmp_path: Path, size: int, what: str
) -> None:
    run = tmp_path / "run"
    with pytest.raises(TrainingError, match=rf"the {what} could not be written \(File too large\).*; make room, then"):
        train_until_full(recipe, run, step=30, size=size)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["last.ckpt"]
    assert torch.load(run / CHECKPOINT, weights_only=True)["global_step"] == 24
    resume(run, progress=False)
    assert_same(run, trained.path)


def test_no_room_for_the_first_checkpoint(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is none yet"):
        train_until_full(recipe, tmp_path / "run", step=20, size=10_000)


@pytest.fixture
def locked(trained: Result) -> Iterator[Path]:
    """A finished run in a directory that cannot be written."""
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(trained.path, folder / "run")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    for path in (folder, folder / "run", folder / "run" / "checkpoints"):
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_a_directory_that_cannot_be_written(recipe: Recipe, locked: Path) -> None:
    with pytest.raises(PermissionError, match="run"):
        resume(locked / "run", progress=False)
    with pytest.raises(PermissionError, match="other"):
        train(recipe, locked / "other", progress=False)
    assert not (locked / "other").exists()


def test_a_run_of_another_recipe_or_version(trained: Result, recipe: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.path, run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    save_recipe(replace(recipe, epochs=3), run / "recipe.yaml")
    with pytest.raises(ValueError, match="was made by another recipe: epochs was 2 and is 3; set it back, train anew"):
        resume(run, progress=False)
    save_recipe(replace(recipe, checkpoint_steps=7), run / "recipe.yaml")
    assert resume(run, progress=False).metrics == trained.metrics
    save_recipe(recipe, run / "recipe.yaml")
    versions = (run / "versions.json").read_text()
    (run / "versions.json").write_text(versions.replace('"signbit": "', '"signbit": "9.'))
    with pytest.raises(ValueError, match=r"was begun with signbit 9\.\S+ and this is signbit .*; set it back"):
        resume(run, progress=False)
    (run / "versions.json").write_text(versions)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    save_recipe(replace(recipe, epochs=3), run / "recipe.yaml")
    assert resume(run, progress=False, changed=True).metrics["epoch"] == 3


def test_a_run_of_another_signbit(trained: Result, tmp_path: Path) -> None:
    """Checkpoints and files as older, newer and foreign programs leave them."""
    run = tmp_path / "run"

    def refused(change: Callable[[dict[str, Any]], object]) -> str:
        shutil.copytree(trained.path, run, dirs_exist_ok=True)
        checkpoint = torch.load(run / CHECKPOINT, weights_only=True)
        change(checkpoint)
        torch.save(checkpoint, run / CHECKPOINT)
        with pytest.raises(ValueError, match="another") as told:
            resume(run, progress=False)
        assert "\n" not in str(told.value)
        return str(told.value)

    assert "the checkpoint does not say by which recipe it was made" in refused(lambda c: c.pop("recipe"))
    assert "made by another signbit, whose recipes have no key mode; go on" in refused(
        lambda c: c["recipe"].pop("mode")
    )
    assert "whose recipes have a key precision; go on with" in refused(lambda c: c["recipe"].update(precision="bf16"))
    for key in ("totals", "callbacks", "loops", "optimizer_states", "pytorch-lightning_version"):
        told = refused(lambda c, key=key: c.pop(key))
        assert f"the checkpoint has no {key}, so another signbit" in told
        assert "its weights stand: `signbit eval" in told


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ({}, "the checkpoint has dict as optimizer_states"),
        ([], "there are 0 states for one optimizer"),
        ([{}], "Hybrid cannot load this state: it lacks 'state'"),
        ([{"state": {}, "param_groups": []}], "the saved state has 0 groups and this Hybrid 2"),
        ([{"state": [], "param_groups": [{"params": [0]}]}], "Hybrid cannot load this state: it lacks 'state'"),
        ([{"state": {}, "param_groups": [{}, {}]}], "or 'param_groups', each with its 'params'"),
    ],
)
def test_a_state_of_no_optimizer(trained: Result, tmp_path: Path, states: object, reason: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.path, run)
    checkpoint = torch.load(run / CHECKPOINT, weights_only=True)
    torch.save({**checkpoint, "optimizer_states": states}, run / CHECKPOINT)
    with pytest.raises(ValueError, match="its weights stand: `signbit eval") as told:
        resume(run, progress=False, changed=True)
    assert reason in str(told.value)
    assert figures(run) == figures(trained.path)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff"])
def test_versions_that_nobody_can_read(trained: Result, tmp_path: Path, content: bytes | None) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.path, run)
    (run / "versions.json").unlink()
    if content is not None:
        (run / "versions.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"versions\.json is missing or damaged, .* or resume with --changed"):
        resume(run, progress=False)
    assert resume(run, progress=False, changed=True).metrics == trained.metrics
    assert resume(run, progress=False).metrics == trained.metrics


def test_other_images_are_noticed(recipe: Recipe, tmp_path: Path) -> None:
    digits = load("digits")
    root, run = tmp_path / "data", tmp_path / "run"
    root.mkdir()
    np.savez(root / "train.npz", images=digits.images, labels=digits.labels)
    short = replace(recipe, epochs=1, data=replace(recipe.data, name="npz", root=str(root)))
    done = train(short, run, progress=False)
    moved = root.rename(tmp_path / "moved")
    save_recipe(replace(short, data=replace(short.data, root=str(moved))), run / "recipe.yaml")
    assert resume(run, progress=False).metrics == done.metrics
    np.savez(moved / "train.npz", images=digits.images[:-1], labels=digits.labels[:-1])
    with pytest.raises(
        ValueError, match=r"begun with other training images: 1,242 images, hash \w+ then, 1,241 images"
    ):
        resume(run, progress=False)
    changed = digits.images.copy()
    changed[-1] = 0
    np.savez(moved / "train.npz", images=changed, labels=digits.labels)
    with pytest.raises(
        ValueError, match=r"begun with other validation images: .*; set data\.root to the files of then"
    ):
        resume(run, progress=False)
    assert resume(run, progress=False, changed=True).metrics == done.metrics
    assert resume(run, progress=False).metrics == done.metrics


def test_metrics_that_nobody_can_read(trained: Result, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.path, run)
    whole = (run / "metrics.jsonl").read_bytes()
    (run / "metrics.jsonl").write_bytes(whole.replace(b'{"epoch": 2', b'"epoch": 2'))
    with pytest.raises(ValueError, match=r"metrics\.jsonl is damaged: line 2 is no JSON object"):
        resume(run, progress=False)


def test_another_network_does_not_fit_even_then(trained: Result, recipe: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.path, run)
    save_recipe(replace(recipe, model=replace(recipe.model, options={"hidden": 64})), run / "recipe.yaml")
    with pytest.raises(ValueError, match=r"was made by another recipe: model\.options\.hidden was not set and is 64"):
        resume(run, progress=False)
    with pytest.raises(ValueError, match="the checkpoint does not fit digits_cnn"):
        resume(run, progress=False, changed=True)
    assert figures(run) == figures(trained.path)


def test_only_runs_are_resumed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not a run: it has no recipe\.yaml"):
        resume(tmp_path)


def test_a_finished_run_stays_as_it_is(trained: Result, tmp_path: Path) -> None:
    shutil.copytree(trained.path, tmp_path / "run")
    assert resume(tmp_path / "run", progress=False).metrics == trained.metrics
