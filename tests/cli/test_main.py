import json
import os
import subprocess
import sys
import warnings

import pytest

from signbit.cli.main import VERBS, main
from signbit.cli.output import Output


def signbit(*words, **variables):
    return subprocess.run(
        [sys.executable, "-m", "signbit.cli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | variables,
        check=False,
    )


def test_help_names_every_verb(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {verb} " in shown for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: signbit {verb}" in shown
    assert "--json" in shown


def test_help_loads_neither_torch_nor_the_runtime():
    code = "import sys; from signbit.cli.main import main; main([]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60).returncode == 0


def test_no_help_of_a_verb_loads_torch():
    calls = "; ".join(f"main([{verb!r}, '--help'])" for verb in VERBS)
    code = f"import sys; from signbit.cli.main import main; {calls}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60).returncode == 0


def test_a_shipped_model_is_timed_without_loading_torch():
    call = "main(['bench', 'digits', '--seconds', '0.01'])"
    code = f"import sys; from signbit.cli.main import main; sys.exit({call} or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60).returncode == 0


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("signbit ")


def test_json_is_one_object(model, capsys):
    assert main(["inspect", str(model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["binary_weights"] == 16 * 9 + 65 * 256


def test_a_mistake_is_one_sentence_and_exit_code_2():
    done = signbit("inspect", "missing.sbit")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "signbit: packed model 'missing.sbit' does not exist\n"


@pytest.mark.parametrize(("words", "variables"), [(["--debug"], {}), ([], {"SIGNBIT_DEBUG": "1"})])
def test_debug_shows_the_traceback(words, variables):
    done = signbit("inspect", "missing.sbit", *words, **variables)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def interrupted(options):
    raise KeyboardInterrupt


def interrupted_in_lightning(options):
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)


@pytest.mark.parametrize("stop", [interrupted, interrupted_in_lightning])
def test_interrupt_is_quiet(stop, monkeypatch, capsys):
    monkeypatch.setattr("signbit.cli.inspect.run", stop)
    assert main(["inspect", "digits"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_leaves_is_no_error(model):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "signbit.cli", "inspect", str(model)],
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    def fault(options):
        raise AttributeError("a bug")

    monkeypatch.setattr("signbit.cli.inspect.run", fault)
    with pytest.raises(AttributeError):
        main(["inspect", "digits"])


def test_a_warning_is_one_line_and_said_once(monkeypatch, capsys):
    def warn(options):
        for _ in range(2):
            warnings.warn("density=0.7 swaps\nthe roles", stacklevel=1)
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn("density=0.7 swaps the roles", stacklevel=1)
        return Output("done", {})

    monkeypatch.setattr("signbit.cli.inspect.run", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(["inspect", "digits"]) == 0
    assert capsys.readouterr() == ("done\n", "signbit: warning: density=0.7 swaps the roles\n")
