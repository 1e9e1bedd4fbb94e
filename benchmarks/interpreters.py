"""Other interpreters, where peers live whose packages do not go together with ours; each runs worker.py."""

import argparse
import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")


class Interpreter:
    """One process of another Python, started by the first request; makes engines and converts files."""

    def __init__(self, python: str, *, priority: int = 0) -> None:
        self._command = [python, str(WORKER), str(priority)]
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, *request: object) -> object:
        """Sends a request of worker.py and gives its answer.

        Raises:
            RuntimeError: the interpreter does not start or has ended, or the request failed there.
        """
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = b""
        with suppress(BrokenPipeError):
            # Past the buffer: what is left in one when the process has ended would fail again when it is closed.
            os.write(self._process.stdin.fileno(), json.dumps(request).encode() + b"\n")
            line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise RuntimeError(f"the interpreter ended with {code}; this shows why: {' '.join(self._command)}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["ok"]

    def make(self, engine: str, **arguments: object) -> "Remote":
        """Loads an engine there."""
        return Remote(self, self.ask("make", engine, arguments))

    def drop(self) -> None:
        """Forgets the engines that it has made."""
        if self._process is not None and self._process.poll() is None:
            self.ask("drop")

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            with self._process:
                self._process.terminate()

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise RuntimeError(f"{self._command[0]} does not start: {error.strerror}") from None


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
