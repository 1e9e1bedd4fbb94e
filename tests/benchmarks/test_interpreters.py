"""Peers that cannot start, or whose package is not there, are named and left out."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from signbit import runtime

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
spec = importlib.util.spec_from_file_location("interpreters", BENCHMARKS / "interpreters.py")
interpreters = importlib.util.module_from_spec(spec)
spec.loader.exec_module(interpreters)


@pytest.mark.parametrize(
    ("python", "reason"),
    [
        ("/nope/python", "/nope/python does not start: No such file or directory"),
        ("/bin/false", r"the interpreter ended with 1; this shows why: /bin/false .*worker.py 0"),
        (sys.executable, "ModuleNotFoundError: No module named 'larq_compute_engine'"),
    ],
)
def test_an_absent_peer_is_one_kind_of_error(python, reason):
    interpreter = interpreters.Interpreter(python)
    interpreter.drop()  # before anything was asked
    for _ in range(2):
        with pytest.raises(RuntimeError, match=reason):
            interpreter.make("larq", path="x", batch=1, threads=1, indirect=True)
    interpreter.drop()
    interpreter.close()


@pytest.mark.skipif(len(runtime.isas()) < 2, reason="the benchmark compares compiled kernels")
def test_the_table_stands_without_the_peers():
    peers = ["--larq", sys.executable, "--litert", "/nope/python", "--openvino", "/bin/false"]
    few = ["--batch", "1", "--rounds", "1", "--sides", "7", "--only", "Larq", "LiteRT", "OpenVINO"]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "layers.py", *few, *peers],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for engine in ("Larq", "LiteRT int8", "OpenVINO 1-bit", "OpenVINO int8"):
        assert f"left out: {engine}: " in done.stdout
    assert "| batch 1, a whole call | ours µs | TMAC/s | popcount |" in done.stdout
