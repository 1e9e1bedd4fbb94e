"""What this machine is, read without third-party packages."""

import os
import platform
import sys
from pathlib import Path

_AVX2 = ("avx", "fma", "f16c", "avx2")
_AVX512 = ("avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vbmi2", "gfni", "avx512_vnni", "avx512_vpopcntdq")
FEATURES = {"avx512": (*_AVX2, *_AVX512), "avx2": _AVX2}
"""What a table of kernels needs (native/cpu/features.cpp), in the names of /proc/cpuinfo; generic ones need nothing."""


def cpu_name() -> str:
    """The processor's name."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_features() -> tuple[str, ...]:
    """What of `FEATURES` the operating system reports; empty off Linux."""
    reported = _cpuinfo("flags").split()
    return tuple(name for name in (*_AVX2, *_AVX512) if name in reported)


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Bytes that can be taken without swapping, as Linux estimates them; elsewhere all that an array may have."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return sys.maxsize
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), sys.maxsize)


def _cpuinfo(key: str) -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
