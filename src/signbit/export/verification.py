"""What a verification found: at every node, end to end, and as a table."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from signbit.packed.bits import Array
from signbit.text import count, table

AGREEMENT = 0.9
"""Least share of samples with the same top class end to end; a wrong engine is at chance, ties cost far less."""

FEW = 10
"""Below so many samples one that differs is more than the rest of that share; it may, if it is a tie."""


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


class Ties(NamedTuple):
    """What float sums in another order may turn, in one chunk.

    Attributes:
        samples: whether the sign of a real value lies within its bound of 0, (N,).
        bound: how far the output may move without such a sign, to be broadcast to it.
    """

    samples: npt.NDArray[np.bool_]
    bound: Array


@dataclass(kw_only=True)
class Comparison:
    """Outputs of two implementations over all samples.

    Attributes:
        promise: whether outputs must be equal, or agree in their top class; "none" where int8 replaced real weights.
        samples: how many.
        agreeing: samples with the same top class.
        tied: samples with another top class that is a tie: the sign of a real value on the way, or the order of the two
            classes, lies within its stated bound, and float sums in another order may turn it.
        largest_difference: of any output value.
        largest_output: largest magnitude of any output value, to judge the difference by.
    """

    promise: Literal["equal", "agree", "none"]
    samples: int = 0
    agreeing: int = 0
    tied: int = 0
    largest_difference: float = 0.0
    largest_output: float = 0.0

    @property
    def agreement(self) -> float:
        """Share of samples with the same top class."""
        return self.agreeing / max(1, self.samples)

    @property
    def passed(self) -> bool:
        """Whether the promise holds."""
        one_tie = self.samples < FEW and self.tied > 0 and self.agreeing == self.samples - 1
        agree = self.agreement >= AGREEMENT or one_tie
        return {"equal": self.largest_difference == 0, "agree": agree, "none": True}[self.promise]

    def add(self, expected: Array, got: Array, ties: Ties | None = None) -> None:
        """Takes one chunk of outputs into account; NaN on either side counts as an infinite difference.

        Args:
            expected: (N, ...).
            got: the same.
            ties: what float sums in another order may turn; None is nothing.
        """
        a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (expected, got))
        top, other = a.argmax(axis=1), b.argmax(axis=1)
        self.samples += len(a)
        self.agreeing += int((top == other).sum())
        if ties is not None:
            rows, bound = np.arange(len(a)), np.broadcast_to(ties.bound, expected.shape).reshape(a.shape)
            close = a[rows, top] - a[rows, other] <= bound[rows, top] + bound[rows, other]
            self.tied += int(((top != other) & (close | ties.samples)).sum())
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
        return "\n".join([table(header, [_cells(check) for check in self.nodes]), "", *self._verdict()])

    def _verdict(self) -> Iterator[str]:
        if self.native:
            yield f"engine      {self.isa}, {count(self.threads, 'thread')}, against the reference"
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
        "agree": f"at least {AGREEMENT:.0%} must agree"
        + f", or all but one tie of fewer than {FEW}" * (found.samples < FEW),
        "none": "int8 weights stand for real ones, so nothing is promised",
    }
    tied = f" ({found.tied} of the others tied)" if found.tied else ""
    return (
        f"{title:<12}top class agrees on {found.agreeing} of {found.samples}{tied}, largest difference "
        f"{found.largest_difference:.3g} beside outputs up to {found.largest_output:.3g} ({promises[found.promise]})"
    )
