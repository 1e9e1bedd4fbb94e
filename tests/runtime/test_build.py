"""How the extension is built: no weak symbol leaves a file that was compiled for one instruction set."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "native" / "kernels"


@pytest.mark.parametrize("source", ["generic.cpp", "avx2.cpp", "avx512.cpp"])
def test_kernel_objects_have_no_weak_symbols(tmp_path, source):
    compiler, nm = os.environ.get("CXX") or shutil.which("c++"), shutil.which("nm")
    if compiler is None or nm is None:
        pytest.skip("needs a compiler and nm")
    flags = {"generic.cpp": [], "avx2.cpp": ["-mavx2", "-mfma"]}.get(
        source,
        [
            "-mavx512f",
            "-mavx512bw",
            "-mavx512dq",
            "-mavx512vl",
            "-mavx512vpopcntdq",
            "-mavx512vnni",
            "-mavx512vbmi2",
            "-mgfni",
        ],
    )
    target = subprocess.run([compiler, "-dumpmachine"], capture_output=True, text=True, check=True).stdout
    if flags and not target.startswith("x86_64"):
        pytest.skip(f"the compiler builds for {target.strip()}")
    built = tmp_path / "kernels.o"
    # Without optimisation nothing is inlined away, so every inline function that is used shows.
    command = [compiler, "-std=c++20", "-O0", "-fPIC", *flags, f"-I{ROOT / 'native'}", "-DSIGNBIT_X86_64"]
    subprocess.run([*command, "-c", str(KERNELS / source), "-o", str(built)], check=True, timeout=120)
    symbols = subprocess.run([nm, str(built)], capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = [(line.split()[-2], line.split()[-1]) for line in symbols]
    # A DW.ref is a pointer to the exception handler, not code.
    assert [name for kind, name in kinds if kind in "WwVvu" and not name.startswith("DW.ref.")] == []
    assert [name for kind, name in kinds if kind in "TDRBG"] == [f"_ZN2sb{table_name(source)}E"]


def table_name(source):
    name = f"k{source.removesuffix('.cpp').capitalize()}Kernels"
    return f"{len(name)}{name}"


@pytest.mark.parametrize("source", ["generic.cpp", "avx2.cpp", "avx512.cpp"])
def test_kernel_files_include_only_kernels_and_inl_headers(source):
    lines = (KERNELS / source).read_text().splitlines()
    included = {line.split()[1].strip('"<>') for line in lines if line.startswith("#include")}
    others = {name for name in included if not (name.startswith("kernels/") and name.endswith("-inl.h"))}
    assert others <= {"kernels/kernels.h", "immintrin.h"}
