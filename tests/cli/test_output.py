import json

import numpy as np

from signbit.cli.output import Output, command


def test_json_is_strict_and_takes_arrays(tmp_path):
    data = {"a": np.float32(0.5), "b": np.arange(2), 3: (float("nan"), None, True), "path": tmp_path}
    expected = {"a": 0.5, "b": [0, 1], "3": [None, None, True], "path": str(tmp_path)}
    assert json.loads(Output("", data).json()) == expected


def test_what_to_type_can_be_typed():
    assert command("export", "my run", 1) == "signbit export 'my run' 1"
