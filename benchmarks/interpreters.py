"""Other interpreters, where peers live whose packages do not go together with ours; each runs worker.py."""

import argparse
import json
import subprocess
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")


class Interpreter:
    """One process of another Python; makes engines and converts files."""

    def __init__(self, python: str, *, priority: int = 0) -> None:
        self._process = subprocess.Popen(
            [python, str(WORKER), str(priority)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, *request: object) -> object:
        """Sends a request of worker.py and gives its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise RuntimeError(f"the interpreter ended with {self._process.wait()}") from None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the interpreter ended with {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["ok"]

    def make(self, engine: str, **arguments: object) -> "Remote":
        """Loads an engine there."""
        return Remote(self, self.ask("make", engine, arguments))

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.wait()


class Remote:
    """An engine in another interpreter; `cost` says what loading took."""

    def __init__(self, interpreter: Interpreter, answer: object) -> None:
        assert isinstance(answer, dict)
        self.cost: dict[str, float] = answer
        self._interpreter = interpreter

    def turn(self, seconds: float = 0.0, runs: int = 1) -> list[float]:
        """The seconds of each call, for about so long and at least so often."""
        result = self._interpreter.ask("run", self.cost["number"], seconds, runs)
        assert isinstance(result, list)
        return result

    def close(self) -> None:
        """Ends its interpreter."""
        self._interpreter.close()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the peers live."""
    parser.add_argument("--larq", metavar="PYTHON", help="an interpreter with larq-compute-engine and larq-zoo")
    parser.add_argument("--litert", metavar="PYTHON", help="one with ai-edge-litert; --larq converts its files")
    parser.add_argument("--openvino", metavar="PYTHON", help="one with openvino")
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="converted files, for the next run to find")
    parser.add_argument("--fifo", type=int, default=0, metavar="PRIORITY", help="real-time priority of the timed calls")
    parser.add_argument("--only", nargs="+", help="beginnings of the names of the other engines to run")


def say_absent(options: argparse.Namespace) -> None:
    """Names the interpreters that are not given."""
    for name in ("larq", "litert", "openvino"):
        if getattr(options, name) is None:
            print(f"{name}: left out, no --{name} PYTHON")


def wanted(label: str, options: argparse.Namespace) -> bool:
    """Whether `--only` leaves an engine in."""
    return options.only is None or any(label.startswith(name) for name in options.only)
