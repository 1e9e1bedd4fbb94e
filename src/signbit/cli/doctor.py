"""Says what this machine and this installation can do: versions, processor, kernels, training, and a self-test.

The self-test is signbit verify of the shipped model, on all kernels that this machine can run: every node is held to
the numpy reference, integers bit for bit, sums of floats within their bound. Exit code 1 when something is wrong.
"""

import argparse
import importlib.util
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import signbit
from signbit import assets, export, packed, runtime
from signbit.cli.output import Output
from signbit.machine import FEATURES, cores, cpu_features, cpu_name
from signbit.runtime.isa import REFERENCE

CORE = ("numpy", "safetensors", "pillow", "jsonargparse")
SAMPLES = 65  # a word of the engine, and one more
OPTIONAL = ("torch", "lightning", "scikit-learn", "onnx", "onnxruntime")


def arguments(parser: argparse.ArgumentParser) -> None:
    """`signbit doctor` has no options of its own."""


def run(options: argparse.Namespace) -> Output:
    """The findings of `doctor` as text."""
    found = doctor()
    versions = ", ".join(f"{name} {number or '-'}" for name, number in found["versions"].items())
    lines = [
        f"versions   {versions}",
        f"processor  {found['cpu']}, {found['cores']} cores: {', '.join(found['features']) or 'features unknown'}",
        f"extension  {'there' if found['extension'] else 'missing'}",
        f"kernels    {', '.join(found['isas'])}; used: {found['isas'][0]}",
        f"training   {'PyTorch is there' if found['training'] else 'PyTorch is not installed'}",
        f"self-test  {found['self_test']}",
        "",
        *found["advice"],
    ]
    return Output("\n".join(lines), found, code=0 if found["healthy"] else 1)


def doctor() -> dict[str, Any]:
    """Everything `signbit doctor` says, as plain values."""
    isas = runtime.isas()
    extension = isas != ("reference",)
    training = all(importlib.util.find_spec(name) is not None for name in ("torch", "lightning", "sklearn"))
    healthy, verdict = self_test()
    return {
        "versions": {"signbit": signbit.__version__, "python": platform.python_version()} | _versions(),
        "cpu": cpu_name(),
        "cores": cores(),
        "features": cpu_features(),
        "extension": extension,
        "isas": isas,
        "training": training,
        "self_test": verdict,
        "healthy": healthy,
        "advice": [*_missing(isas), *_advice(extension, training, healthy)],
    }


def self_test() -> tuple[bool, str]:
    """Proves the shipped model on every kernel table of this machine; whether all passed, and a sentence."""
    native = [isa for isa in runtime.isas() if isa != REFERENCE]
    if not native:
        return True, "nothing to prove: the numpy reference, which runs alone, says what is right"
    graph = packed.load(assets.model("digits"))
    for isa in native:
        proof = export.verify(graph, samples=SAMPLES, isa=isa)
        if not proof.passed:
            at = next((f"at {check.name} ({check.op})" for check in proof.nodes if not check.passed), "end to end")
            return False, f"FAILED: {isa} differs from the reference {at}"
    return True, f"passed: {', '.join(native)} compute every node of the shipped model as the reference does"


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in (*CORE, *OPTIONAL):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


_UNHEALTHY = "Report this machine: the engine does not compute what the reference does; SIGNBIT_ISA=reference is right."
_SLOW = "Without the extension the numpy reference runs: right, but slow. Installing builds it with any C++20 compiler."
_NO_TRAINING = "To train and export: pip install 'signbit[train]'. For predict, inspect and bench nothing is missing."


def _missing(isas: tuple[str, ...]) -> list[str]:
    """Why this processor does not get the kernels that would be faster; nothing where its features are not known."""
    here = cpu_features()
    faster = [isa for isa in FEATURES if isa not in isas and here]
    lacking = {isa: [name for name in FEATURES[isa] if name not in here] for isa in faster}
    return [f"{isa} kernels need {', '.join(names)}: not here" for isa, names in lacking.items() if names]


def _advice(extension: bool, training: bool, healthy: bool) -> list[str]:
    advice = [text for text, wanted in ((_UNHEALTHY, not healthy), (_SLOW, not extension)) if wanted]
    if not training:
        return [*advice, _NO_TRAINING, "Next: signbit predict digits"]
    return [*advice, "Next: signbit demo"]
