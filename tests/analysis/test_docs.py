"""The programs of docs/analysis.md run, one after another."""

import re
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signbit.nn import BinaryConv2d, BinaryLinear

PAGE = Path(__file__).parents[2] / "docs" / "analysis.md"


def test_every_program_of_the_page_runs(capsys) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(BinaryConv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), BinaryLinear(16, 5))
    images, labels = torch.randn(6, 3, 4, 4), torch.arange(6) % 5

    def loss(network: nn.Module) -> Tensor:
        return F.cross_entropy(network(images), labels)

    names = {"model": model, "images": images, "loss": loss, "optimizer": torch.optim.SGD(model.parameters(), lr=0.1)}
    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(programs) == 5
    for program in programs:
        exec(program, names)  # type: ignore[arg-type]
    assert names["movement"].flips.layers.keys() == {"0.weight", "3.weight"}  # type: ignore[attr-defined]
    assert names["surface"].shape == (5, 5)  # type: ignore[attr-defined]
    assert "0.input_quantizer" in capsys.readouterr().out
