"""Every mistake: exit code 2, one sentence on standard error, no traceback, nothing written."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from signbit import packed
from signbit.cli.main import main


@pytest.fixture
def folder(tmp_path, tiny_graph, image, monkeypatch):
    """A working directory with a model, an image, and files that are neither."""
    monkeypatch.chdir(tmp_path)
    packed.save(tiny_graph, "tiny.sbit")
    whole = Path("tiny.sbit").read_bytes()
    Path("cut.sbit").write_bytes(whole[:-40])
    Path("empty.sbit").write_bytes(b"")
    Path("huge.sbit").write_bytes(b"\xff" * 8 + whole[8:])
    Path("version.sbit").write_bytes(whole.replace(b'"version":"1"', b'"version":"9"'))
    Path("text.png").write_text("not an image")
    Path("notes.txt").write_text("hello")
    Path("recipe.yaml").write_text("name: [")
    Path("keys.yaml").write_text("batchsize: 3")
    Path("not_a_run").mkdir()
    return tmp_path


def files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(words, folder, capsys):
    """Runs a command line that must be refused; returns the sentence."""
    before = files(folder)
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("signbit: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert files(folder) == before
    return err


LIGHT = {
    "predcit tiny.sbit": "did you mean predict",
    "report": "did you mean export or import? (signbit --help shows all)",
    "zzz": "unknown verb 'zzz'; known: demo",
    "inspect": "required: model",
    "inspect tiny.sbit --jsn": "did you mean --json",
    "inspect tiny.sbit extra": "unrecognized arguments: extra",
    "inspect missing.sbit": "packed model 'missing.sbit' does not exist",
    "inspect digitz": "did you mean digits",
    "inspect not_a_run": "is a folder",
    "inspect cut.sbit": "is not a packed model, or is damaged",
    "inspect empty.sbit": "is not a packed model, or is damaged",
    "inspect huge.sbit": "is not a packed model, or is damaged",
    "inspect version.sbit": "version is '9'; this signbit reads '1'",
    "inspect notes.txt": "is not a packed model, or is damaged",
    "predict tiny.sbit": "no images",
    "predict tiny.sbit missing.png": "image 'missing.png' does not exist",
    "predict tiny.sbit digit.png text.png": "'text.png' is not an image",
    "predict tiny.sbit not_a_run": "'not_a_run' is not an image",
    "predict tiny.sbit digit.png --top 0": "--top must be at least 1, got 0",
    "predict tiny.sbit digit.png --top two": "--top takes a whole number, got two",
    "predict tiny.sbit digit.png --threads 0": "threads",
    "predict tiny.sbit digit.png --isa avx512x": "avx512x",
    "bench tiny.sbit --isa nean": "nean",
    "bench tiny.sbit --batch 0": "must be at least 1",
    "bench tiny.sbit --batch 1000000000000": "not enough memory",
    "bench tiny.sbit --threads -1": "--threads must be 1..256, got -1",
    "bench tiny.sbit --seconds nan": "--seconds",
    "bench tiny.sbit --against flot": "did you mean float",
    "bench tiny.sbit digits --against float": "--against is for one model, got 2",
    "bench tiny.sbit tiny.sbit": "a model stands there twice",
    "bench tiny.sbit digits --plan": "--plan is for one model, got 2",
    "bench tiny.sbit --plan --batch 1 16": "--plan takes one batch size, got 1 16",
    "bench tiny.sbit --plan --seconds 3": "--seconds is about timing, which --plan does in its own way",
    "bench digits --tune --threads 2 --batch 4": "--tune takes --isa and nothing else, got digits --batch --threads",
    "verify missing.sbit": "does not exist",
    "verify tiny.sbit --samples 0": "--samples must be at least 1",
    "eval tiny.sbit": "add --data",
    "eval not_a_run --threads 2": "--threads is for a packed model; PyTorch evaluates the run 'not_a_run'",
    "eval not_a_run --isa generic": "--isa is for a packed model",
    "eval tiny.sbit --data dgits": "did you mean digits",
    "eval tiny.sbit --data mnist --root not_a_run": "mnist",
    "import missing.onnx out.sbit": "'missing.onnx' does not exist",
    "import not_a_run out.sbit": "'not_a_run' is a folder",
    "import notes.txt out.sbit": "notes.txt",
    "export missing model.sbit": "run directory 'missing' does not exist",
    "export notes.txt model.sbit": "is a file, not a run directory",
}

TRAINING = {
    "export not_a_run model.sbit": "is not a run",
    "summary not_a_run": "is not a run",
    "resume not_a_run": "not_a_run",
    "eval not_a_run": "is not a run",
    "models zzz*": "no model is called like 'zzz*'",
    "recipes mnist-mpl": "did you mean mnist-mlp",
    "train mnist-mpl": "did you mean mnist-mlp",
    "train missing.yaml": "recipe missing.yaml: No such file",
    "train recipe.yaml": "recipe.yaml: not YAML",
    "train keys.yaml": "recipe keys.yaml: unknown key 'batchsize'; did you mean batch_size",
    "bench digits_cn": "did you mean digits_cnn",
    "train digits --epochs zero": "epochs must be",
    "train digits --epochs 0": "epochs must be >= 1, got 0",
    "train digits --epoch 1": "did you mean epochs",
    "train digits --model.name digits_cn": "digits_cnn",
    "train digits --optim bopp": "did you mean bop",
    "train digits --optim.name bup": "bop",
    "train digits --optim.options.lrr 1": "lr",
    "train digits --data.name dgits": "digits",
    "train mnist-mlp --data.root not_a_run --epochs 1": "not_a_run",
    "demo --data missing": "--data 'missing' is not a folder",
    "demo --data not_a_run --epochs 1": "not_a_run",
    "demo --seconds 0": "--seconds",
    "demo --epochs 0": "--epochs must be at least 1",
}


@pytest.mark.parametrize("words", LIGHT)
def test_refused_without_torch(words, folder, capsys):
    assert LIGHT[words] in refused(words, folder, capsys)


@pytest.mark.parametrize("words", TRAINING)
def test_refused(words, folder, capsys):
    pytest.importorskip("lightning")
    pytest.importorskip("sklearn")
    assert TRAINING[words] in refused(words, folder, capsys)


RECORD = bytes(3073)
DATA = {
    "cifar10": {
        "cut": ({"data_batch_2.bin": RECORD[:-1]}, "data_batch_2.bin is truncated: 3072 bytes are no whole number"),
        "missing": ({"data_batch_2.bin": None}, "has no data_batch_2.bin; unpack the whole archive there again"),
        "label": ({"data_batch_2.bin": b"\x0a" + RECORD[1:]}, "image 1 has label 10, but 10 classes allow 0..9"),
    },
    "npz": {
        "cut": ({"train.npz": b"PK\x03\x04"}, "train.npz is truncated, damaged or not an archive"),
        "missing": ({"train.npz": None}, "no train.npz in data; write train.npz and test.npz there"),
    },
    "image-folder": {
        "cut": ({"train/ant/1.png": b"\x89PNG"}, "1.png is not an image, or is damaged; remove the file"),
        "missing": ({"train/ant/1.png": None}, "train/ant has no image"),
        "sizes": (
            {"train/ant/1.png": (9, 8)},
            "1.png has 9x8 pixels but data/train/cat/1.png has 8x8; set data.options",
        ),
    },
}


@pytest.mark.parametrize(("kind", "fault"), [(kind, fault) for kind, faults in DATA.items() for fault in faults])
def test_bad_data_is_one_sentence(kind, fault, folder, capsys):
    pytest.importorskip("lightning")
    root = folder / "data"
    for name in ("train/ant/1.png", "train/cat/1.png", "train.npz", *(f"data_batch_{i}.bin" for i in range(1, 6))):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            Image.new("L", (8, 8)).save(path)
        else:
            path.write_bytes(RECORD)
    ((name, content),) = DATA[kind][fault][0].items()
    (root / name).unlink()
    if isinstance(content, bytes):
        (root / name).write_bytes(content)
    elif content is not None:
        Image.new("L", content).save(root / name)
    message = refused(f"train digits --data.name {kind} --data.root data --run run", folder, capsys)
    assert DATA[kind][fault][1] in message


RESUMED = {
    "recipe.yaml": ("epochs: 1", "epochs: 2", "run was made by another recipe: epochs was 1 and is 2; set it back"),
    "versions.json": ('"signbit": "', '"signbit": "9', "run was begun with signbit 9"),
    "metrics.jsonl": ('{"epoch"', '"epoch"', "metrics.jsonl is damaged: line 1 is no JSON object"),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_run_that_is_not_what_it_was(name, folder, digits_run, capsys):
    capsys.readouterr()
    shutil.copytree(digits_run, "run")
    old, new, message = RESUMED[name]
    text = Path("run", name).read_text()
    assert old in text
    Path("run", name).write_text(text.replace(old, new))
    assert message in refused("resume run", folder, capsys)


@pytest.mark.parametrize("words", ["export {} model.sbit", "train digits --epochs 1 --run full"])
def test_a_full_disk_is_one_sentence(words, folder, digits_run, capsys):
    capsys.readouterr()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        assert "File too large" in refused(words.format(digits_run), folder, capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(folder.glob("**/*.partial"))


@pytest.fixture
def locked(digits_run, monkeypatch):
    """A run in a directory that cannot be written; not below tmp_path, which only its owner may enter."""
    folder = Path(tempfile.mkdtemp())
    monkeypatch.chdir(folder)
    shutil.copytree(digits_run, "run")
    # Once before, because what is loaded on first use cannot be read by another user either.
    assert main(["export", "run", "model.sbit"]) == 0
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


@pytest.mark.parametrize("words", ["resume run", "export run", "export run new.sbit", "train digits --run new"])
def test_a_directory_that_cannot_be_written(words, locked, capsys):
    capsys.readouterr()
    assert "Permission denied" in refused(words, locked, capsys)


@pytest.mark.parametrize("isa", ["avx512x", "neno", "x"])
def test_an_unknown_isa_lists_what_exists(isa, folder, capsys):
    assert "reference" in refused(f"predict tiny.sbit digit.png --isa {isa}", folder, capsys)


def test_an_unknown_isa_in_the_environment(folder, capsys, monkeypatch):
    monkeypatch.setenv("SIGNBIT_ISA", "avx1024")
    assert "avx1024" in refused("predict tiny.sbit digit.png", folder, capsys)


@pytest.mark.parametrize("target", ["notes.txt/model.sbit", "not_a_run", "no/such/folder/model.sbit"])
def test_a_place_that_cannot_be_written(target, folder, digits_run, capsys):
    """Root may write anywhere, so a file serves as folder: what is refused is the same."""
    capsys.readouterr()
    assert target in refused(f"export {digits_run} {target}", folder, capsys)


def test_a_run_directory_that_cannot_be_made(folder, capsys):
    pytest.importorskip("lightning")
    assert "notes.txt" in refused("train digits --epochs 1 --run notes.txt/run", folder, capsys)


def test_a_run_directory_that_is_taken(folder, digits_run, capsys):
    capsys.readouterr()
    assert "holds a run already" in refused(f"train digits --run {digits_run}", folder, capsys)


def test_a_damaged_checkpoint(folder, digits_run, capsys):
    capsys.readouterr()
    shutil.copytree(digits_run, "run")
    checkpoint = Path("run/checkpoints/last.ckpt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert "cannot be read" in refused("export run model.sbit", folder, capsys)


def test_a_network_with_a_module_that_does_not_pack(folder, digits_run, capsys, monkeypatch):
    torch = pytest.importorskip("torch")
    from signbit import training

    capsys.readouterr()
    loaded = training.load_run(digits_run)
    loaded.model.add_module("extra", torch.nn.Unfold(1))
    monkeypatch.setattr(type(loaded.model), "forward", lambda self, x: self.extra(x), raising=True)
    monkeypatch.setattr(training, "load_run", lambda path: loaded)
    message = refused(f"export {digits_run} model.sbit", folder, capsys)
    assert "extra" in message
    assert "Unfold" in message
    assert "BinaryLinear" in message


@pytest.mark.parametrize("words", ["inspect cut.sbit", "predict tiny.sbit text.png", "bench tiny.sbit --isa x", "zzz"])
def test_the_real_command_line(words, folder):
    done = subprocess.run(
        [sys.executable, "-m", "signbit.cli", *words.split()], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "Traceback" not in done.stderr


def test_every_truncation_is_one_sentence(folder, tiny_graph, capsys):
    whole = packed.dumps(tiny_graph)
    random = np.random.default_rng(0)
    for cut in sorted(random.choice(len(whole), 25, replace=False)):
        Path("part.sbit").write_bytes(whole[:cut])
        assert "part.sbit" in refused("inspect part.sbit", folder, capsys)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_missing_package_names_the_extra(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install 'signbit[train]'" in refused("summary not_a_run", folder, capsys)
