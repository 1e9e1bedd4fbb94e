"""How the extension is built: no weak symbol leaves a file that was compiled for one instruction set."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
KERNELS = sorted((NATIVE / "kernels").glob("*.cpp"))


def instruction_set(source):
    return source.stem.removeprefix("sparse_")


def table(source):
    name = f"k{instruction_set(source).capitalize()}{'Sparse' if 'sparse' in source.stem else 'Kernels'}"
    return f"_ZN2sb{len(name)}{name}E"


def flags(source):
    """Of the build of this file: one instruction set, or none for the portable table."""
    found = re.search(rf'kernels/{source.name}[^)"]*"(-m[^"]*)"', (NATIVE / "CMakeLists.txt").read_text())
    return [] if found is None else found[1].split(";")


def test_each_instruction_set_has_its_own_flags():
    assert {instruction_set(s) for s in KERNELS} == {"generic", "avx2", "avx512"}
    for source in KERNELS:
        mine = {"generic": None, "avx2": "-mavx2", "avx512": "-mavx512f"}[instruction_set(source)]
        assert mine in flags(source) if mine else flags(source) == []


@pytest.mark.parametrize("source", KERNELS, ids=lambda path: path.name)
def test_kernel_objects_have_no_weak_symbols(tmp_path, source):
    compiler, nm = os.environ.get("CXX") or shutil.which("c++"), shutil.which("nm")
    if compiler is None or nm is None:
        pytest.skip("needs a compiler and nm")
    target = subprocess.run([compiler, "-dumpmachine"], capture_output=True, text=True, check=True).stdout
    if flags(source) and not target.startswith("x86_64"):
        pytest.skip(f"the compiler builds for {target.strip()}")
    built = tmp_path / "kernels.o"
    # Without optimisation nothing is inlined away, so every inline function that is used shows.
    command = [compiler, "-std=c++20", "-O0", "-fPIC", *flags(source), f"-I{NATIVE}", "-DSIGNBIT_X86_64"]
    subprocess.run([*command, "-c", str(source), "-o", str(built)], check=True, timeout=300)
    symbols = subprocess.run([nm, str(built)], capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = [(line.split()[-2], line.split()[-1]) for line in symbols]
    # A DW.ref is a pointer to the exception handler, not code.
    assert [name for kind, name in kinds if kind in "WwVvu" and not name.startswith("DW.ref.")] == []
    assert [name for kind, name in kinds if kind in "TDRBG"] == [table(source)]


@pytest.mark.parametrize("source", [*KERNELS, *(NATIVE / "kernels").glob("*-inl.h")], ids=lambda path: path.name)
def test_kernel_files_include_only_their_interface_and_inl_headers(source):
    lines = source.read_text().splitlines()
    included = {line.split()[1].strip('"<>') for line in lines if line.startswith("#include")}
    others = {name for name in included if not (name.startswith("kernels/") and name.endswith("-inl.h"))}
    assert others <= {"kernels/kernels.h", "kernels/sparse.h", "immintrin.h"}
