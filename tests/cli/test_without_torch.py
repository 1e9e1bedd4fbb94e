"""With the core dependencies alone, packed models run: predict, inspect, bench, eval, verify, doctor."""

import json
import subprocess
import sys

import pytest

BLOCKED = ("torch", "lightning", "kornia", "sklearn", "rich", "tensorboard", "onnx", "onnxruntime", "scipy")
PROGRAM = f"""
import sys
sys.modules.update(dict.fromkeys({BLOCKED!r}))
from signbit.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def core_only(*words):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("predict", "digits"),
        ("inspect", "digits"),
        ("bench", "digits", "--seconds", "0.02", "--batch", "1", "4"),
        ("bench", "digits", "--plan"),
        ("verify", "digits", "--samples", "8"),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_runs(words):
    done = core_only(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_doctor_says_that_training_is_not_there():
    found = json.loads(core_only("doctor", "--json").stdout)
    assert not found["training"]
    assert any("signbit[train]" in line for line in found["advice"])


def test_without_the_extension_the_reference_runs_and_doctor_says_so():
    program = PROGRAM.replace("from signbit.cli", "sys.modules['signbit._native'] = None\nfrom signbit.cli")
    found, predicted = (
        subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=120, check=True)
        for words in (["doctor", "--json"], ["predict", "digits", "--json"])
    )
    assert json.loads(found.stdout)["isas"] == ["reference"]
    assert not json.loads(found.stdout)["extension"]
    assert any("numpy reference runs" in line for line in json.loads(found.stdout)["advice"])
    assert json.loads(predicted.stdout)["isa"] == "reference"


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("train", "digits"), "train"),
        (("demo",), "train"),
        (("models",), "train"),
        (("recipes",), "train"),
        (("bench", "digits", "--against", "float"), "train"),
        (("summary", "."), "train"),
        (("export", ".", "model.sbit"), "train"),
        (("import", __file__, "model.sbit"), "onnx"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_needs_more_says_which_extra(words, extra):
    done = core_only(*words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"pip install 'signbit[{extra}]'" in done.stderr
