"""Lists the networks that can be trained; `signbit train RECIPE --model.name NAME` takes one."""

import argparse

from signbit.cli.errors import UserError, require
from signbit.cli.output import Output
from signbit.text import table


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit models`."""
    parser.add_argument("pattern", nargs="?", default="*", help="only names like this, such as 'mnist*'")


def run(options: argparse.Namespace) -> Output:
    """Names, with weights counted on networks without storage; the Python call is `models.list_models(pattern)`."""
    require("torch", "building networks")
    import torch

    from signbit import models, params

    names = models.list_models(options.pattern)
    if not names:
        raise UserError(f"no model is called like {options.pattern!r}; there are {', '.join(models.list_models())}")
    rows = []
    for name in names:
        with torch.device("meta"):
            network = models.create_model(name)
        total = sum(parameter.numel() for parameter in network.parameters())
        binary = sum(parameter.numel() for _, parameter in params.named_binary_parameters(network))
        rows.append((name, total, binary))
    text = table(("model", "parameters", "one-bit"), [(name, f"{t:,}", f"{b / t:.1%}") for name, t, b in rows])
    return Output(text, {"models": [{"name": name, "parameters": t, "binary": b} for name, t, b in rows]})
