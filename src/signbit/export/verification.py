"""What a verification found: at every node, end to end, and as a table."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from signbit.packed.bits import Array

AGREEMENT = 0.9
"""Least share of samples with the same top class end to end; a wrong engine is at chance, ties cost far less."""


@dataclass(kw_only=True)
class NodeCheck:
    """What was found at one node.

    Attributes:
        name: of the node.
        op: its type.
        kind: "bits", "integer" or "real".
        exact: whether the node must be equal bit for bit.
        values: how many were compared.
        wrong: how many differ by more than allowed.
        worst: largest difference as a share of what is allowed, for nodes that are not exact.
        ties: signs of real values so close to 0 that float sums in another order may turn them.
        stretch: values wrong when everything since the last float sums ran as one; None where that was not run.
    """

    name: str
    op: str
    kind: str
    exact: bool
    values: int = 0
    wrong: int = 0
    worst: float = 0.0
    ties: int = 0
    stretch: int | None = None

    @property
    def passed(self) -> bool:
        """Whether the node is right, alone and within its stretch."""
        return self.wrong == 0 and not self.stretch


@dataclass(kw_only=True)
class Comparison:
    """Outputs of two implementations over all samples.

    Attributes:
        promise: whether outputs must be equal, or agree in their top class; "none" where int8 replaced real weights.
        samples: how many.
        agreeing: samples with the same top class.
        largest_difference: of any output value.
        largest_output: largest magnitude of any output value, to judge the difference by.
    """

    promise: Literal["equal", "agree", "none"]
    samples: int = 0
    agreeing: int = 0
    largest_difference: float = 0.0
    largest_output: float = 0.0

    @property
    def agreement(self) -> float:
        """Share of samples with the same top class."""
        return self.agreeing / max(1, self.samples)

    @property
    def passed(self) -> bool:
        """Whether the promise holds."""
        kept = {"equal": self.largest_difference == 0, "agree": self.agreement >= AGREEMENT, "none": True}
        return kept[self.promise]

    def add(self, expected: Array, got: Array) -> None:
        """Takes one chunk of outputs (N, ...) into account; NaN on either side counts as an infinite difference."""
        a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (expected, got))
        self.samples += len(a)
        self.agreeing += int((a.argmax(axis=1) == b.argmax(axis=1)).sum())
        self.largest_difference = max(self.largest_difference, float(np.nan_to_num(np.abs(a - b), nan=np.inf).max()))
        self.largest_output = max(self.largest_output, float(np.abs(a).max()))


@dataclass(kw_only=True)
class Verification:
    """The result of `verify`.

    Attributes:
        isa: instruction set of the engine; "reference" compared nothing native.
        threads: of the engine.
        source: "random pixels" or "given images".
        nodes: one check per node.
        network: the engine against the reference, end to end.
        torch: the torch model against the reference, if one was given.
    """

    isa: str
    threads: int
    source: str
    nodes: list[NodeCheck]
    network: Comparison
    torch: Comparison | None = None

    @property
    def native(self) -> bool:
        """Whether an engine other than the reference itself was compared."""
        return self.isa != "reference"

    @property
    def passed(self) -> bool:
        """Whether everything that was compared is right."""
        ends = self.network.passed and (self.torch is None or self.torch.passed)
        return ends and all(check.passed for check in self.nodes)

    def dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        result = asdict(self) | {"passed": self.passed, "native": self.native}
        for name, comparison in (("network", self.network), ("torch", self.torch)):
            if comparison is not None:
                result[name] |= {"agreement": comparison.agreement, "passed": comparison.passed}
        return result

    def table(self) -> str:
        """The result as text: a line per node, then the network, then the verdict."""
        header = ("node", "op", "kind", "compared", "wrong", "worst/bound", "ties", "stretch")
        lines = [header, *(_cells(check) for check in self.nodes)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
        rows = [[c.rjust(w) if i > 2 else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths))] for line in lines]
        return "\n".join([*("  ".join(row).rstrip() for row in rows), "", *self._verdict()])

    def _verdict(self) -> Iterator[str]:
        if self.native:
            yield f"engine      {self.isa}, {self.threads} thread{'s' * (self.threads > 1)}, against the reference"
        else:
            yield "engine      reference: nothing native was compared (signbit doctor says why)"
        yield _end_to_end("network", self.network)
        if self.torch is not None:
            yield _end_to_end("torch", self.torch)
        yield f"samples     {self.network.samples} {self.source}"
        wrong = next((f", first at {check.name} ({check.op})" for check in self.nodes if not check.passed), "")
        yield f"verdict     {'passed' if self.passed else 'FAILED'}{wrong}"


def _cells(check: NodeCheck) -> tuple[str, ...]:
    worst = "" if check.exact else f"{check.worst:.2f}"
    stretch = "" if check.stretch is None else "equal" if check.stretch == 0 else f"{check.stretch:,} wrong"
    ties = f"{check.ties:,}" if check.ties else ""
    return (check.name, check.op, check.kind, f"{check.values:,}", f"{check.wrong:,}", worst, ties, stretch)


def _end_to_end(title: str, found: Comparison) -> str:
    promises = {
        "equal": "must be equal",
        "agree": f"at least {AGREEMENT:.0%} must agree",
        "none": "int8 weights stand for real ones, so nothing is promised",
    }
    return (
        f"{title:<12}top class agrees on {found.agreeing} of {found.samples}, largest difference "
        f"{found.largest_difference:.3g} beside outputs up to {found.largest_output:.3g} ({promises[found.promise]})"
    )
