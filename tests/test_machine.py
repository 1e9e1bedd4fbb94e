"""What kernels need of a processor, beside the native code that asks it."""

import re
from pathlib import Path

import pytest

from signbit import runtime
from signbit.cli import doctor
from signbit.machine import FEATURES, cpu_features

SOURCE = Path(__file__).parents[1] / "native" / "cpu" / "features.cpp"
BITS = {
    ("one.ecx", 12): "fma",
    ("one.ecx", 28): "avx",
    ("one.ecx", 29): "f16c",
    ("seven.ebx", 5): "avx2",
    ("seven.ebx", 16): "avx512f",
    ("seven.ebx", 17): "avx512dq",
    ("seven.ebx", 30): "avx512bw",
    ("seven.ebx", 31): "avx512vl",
    ("seven.ecx", 6): "avx512_vbmi2",
    ("seven.ecx", 8): "gfni",
    ("seven.ecx", 11): "avx512_vnni",
    ("seven.ecx", 14): "avx512_vpopcntdq",
}
"""Names of the bits of CPUID, leaves 1 and 7 (Intel's manual, volume 2A)."""


def test_the_native_code_asks_for_the_same():
    asked = re.findall(r"has\(((?:one|seven)\.\w+), (\d+)\)", SOURCE.read_text())
    named = {BITS[register, int(bit)] for register, bit in asked if (register, bit) != ("one.ecx", "27")}
    assert named == set(FEATURES["avx512"])


def test_kernels_run_only_where_their_features_are():
    if not (here := cpu_features()):
        pytest.skip("the features of this processor are not known")
    assert all(set(FEATURES.get(isa, ())) <= set(here) for isa in runtime.isas())


def test_doctor_says_what_faster_kernels_lack(monkeypatch):
    cascade_lake = [name for name in FEATURES["avx512"] if name not in ("avx512_vbmi2", "gfni", "avx512_vpopcntdq")]
    monkeypatch.setattr(doctor, "cpu_features", lambda: tuple(cascade_lake))
    monkeypatch.setattr(runtime, "isas", lambda: ("avx2", "generic", "reference"))
    found = doctor.doctor()
    assert found["advice"][0] == "avx512 kernels need avx512_vbmi2, gfni, avx512_vpopcntdq: not here"
    monkeypatch.setattr(doctor, "cpu_features", lambda: ())
    assert not any("kernels need" in line for line in doctor.doctor()["advice"])
