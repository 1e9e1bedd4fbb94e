"""Finds the verb, runs it, prints its result, and turns every known mistake into one sentence and exit code 2."""

import argparse
import importlib
import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

import signbit
from signbit.cli.errors import UserError, one_line, sentence, unknown
from signbit.cli.output import Output
from signbit.wording import nearest, suggest

VERBS = {
    "demo": "Train on handwritten digits, pack, verify, and compare size and speed: start here.",
    "doctor": "Say what this machine and this installation can do.",
    "models": "List the networks that can be trained.",
    "recipes": "List the trainings that are ready to run, or show one as YAML.",
    "train": "Train a network by a recipe; the result is a run directory.",
    "resume": "Continue an interrupted run.",
    "eval": "Measure the accuracy of a run or of a packed model.",
    "compare": "Compare runs: accuracy, flips and time, by seeds; as a table or as curves.",
    "summary": "Per layer of a run: bits, weights, operations, bytes, packed or why not.",
    "sparsify": "Make a trained network sparse: a new run and a smaller packed file, verified and timed.",
    "export": "Turn a run into one packed file (.sbit).",
    "import": "Turn a FINN/QONNX file into a packed file.",
    "verify": "Prove that the engine computes what the packed model says, and what the run computes.",
    "inspect": "Show what a packed file holds, layer by layer.",
    "predict": "Classify images with a packed model.",
    "bench": "Time a packed model on this machine.",
}
_MODULES = {"import": "import_"}
_KINDS = {"int": "a whole number", "float": "a number"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `signbit` with the arguments `argv`, by default the process's own; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words or os.environ.get("SIGNBIT_DEBUG", "0") not in ("", "0")
    try:
        with _plain_warnings():
            code = _run([word for word in words if word != "--debug"])
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except SystemExit as stop:
        # --help ends here; Lightning turns an interrupt into exit(1).
        interrupted = isinstance(stop.__context__, KeyboardInterrupt)
        return 128 + signal.SIGINT if interrupted else int(stop.code or 0)
    except BrokenPipeError:
        # The reader has left; without this the interpreter complains once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        told = sentence(error)
        if debug or told is None:
            raise
        print(f"signbit: {told}", file=sys.stderr)
        return int(getattr(error, "exit_code", 2))


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings as one line on standard error, and each of them once, whichever module gives it."""
    told: set[str] = set()

    def show(message: Warning | str, *_: object, **__: object) -> None:
        text = one_line(str(message))
        if text not in told:
            told.add(text)
            print(f"signbit: warning: {text}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if words[0] in ("-V", "--version"):
        print(f"signbit {signbit.__version__}")
        return 0
    verb, *rest = words
    if verb not in VERBS:
        raise UserError(f"{unknown('verb', verb, VERBS)} (signbit --help shows all)")
    module = importlib.import_module(f"signbit.cli.{_MODULES.get(verb, verb)}")
    options = _parse(verb, module, rest)
    output: Output = module.run(options)
    print(output.json() if options.json else output.text)
    return output.code


def _overview() -> str:
    width = max(map(len, VERBS))
    lines = "\n".join(f"  {verb:{width}}  {text}" for verb, text in VERBS.items())
    return (
        "signbit trains one-bit neural networks with PyTorch and runs them without it.\n\n"
        f"usage: signbit VERB [options]\n\n{lines}\n\n"
        "signbit VERB --help explains a verb. --json prints one JSON object; --debug shows tracebacks."
    )


def _parse(verb: str, module: ModuleType, words: list[str]) -> argparse.Namespace:
    """The options of a verb; what a module with `OVERRIDES` does not know itself goes into `options.overrides`."""
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(
        prog=f"signbit {verb}",
        description=module.__doc__,
        exit_on_error=False,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    own, overrides = _split(words, _flags(parser)) if hasattr(module, "OVERRIDES") else (words, [])
    try:
        options: argparse.Namespace = parser.parse_args(own)
    except ArgumentError as error:
        raise UserError(_explain(str(error), parser)) from None
    if hasattr(module, "OVERRIDES"):
        options.overrides = overrides
    return options


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    return [flag for action in parser._actions for flag in action.option_strings]


def _split(words: list[str], flags: list[str]) -> tuple[list[str], list[str]]:
    """Words of the verb itself, and overrides: "--key=value" and "--key value" with a key that is none of `flags`."""
    own: list[str] = []
    overrides: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("--") or word.partition("=")[0] in flags:
            own.append(word)
            continue
        overrides.append(word)
        if "=" not in word:
            overrides += [value for value in [next(rest, None)] if value is not None]
    return own, overrides


def _explain(message: str, parser: argparse.ArgumentParser) -> str:
    """The parser's message in one line, with the nearest options for one that does not exist."""
    wrong = re.search(r"key \"(\w+)\":\s+Expected an? <class '(\w+)'>. Got value: (.*)", message, re.DOTALL)
    if wrong is not None:
        return f"--{wrong[1]} takes {_KINDS.get(wrong[2], wrong[2])}, got {one_line(wrong[3])}"
    found = re.search(r"unrecognized arguments: (\S+)", message)
    if found is None or not found[1].startswith("-"):
        return f"{one_line(message)}; see {parser.prog} --help"
    flags = [flag for flag in _flags(parser) if flag not in ("-h", "--help")]
    near = nearest(found[1].partition("=")[0], flags)
    hint = suggest(near, flags) if near else f"see {parser.prog} --help"
    return f"unknown option {found[1]!r}; {hint}"
