"""What a stage begins with: the weights of an earlier one or of another run, every name and shape of them."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from signbit.params import BinaryOwner
from signbit.quantizers import Quantizer
from signbit.training.run import read_checkpoint, recipe_of, weights_of
from signbit.training.stages import Stage, latest_stage, stages_of

__all__ = ["check_handover", "source_of", "starting_weights", "with_own_state"]


def source_of(stage: Stage) -> str | None:
    """The earlier stage or the run directory whose weights a stage begins with; None begins with fresh ones.

    Raises:
        ValueError: neither.
    """
    start = stage.recipe.start
    if start == "fresh" or (start == "previous" and not stage.before):
        return None
    if start == "previous":
        return stage.before[-1]
    if start in stage.before or Path(start).is_dir():
        return start
    earlier = f", an earlier stage ({', '.join(stage.before)})" if stage.before else ""
    raise ValueError(f"start must be previous, fresh{earlier} or a run directory, got {start}")


def starting_weights(stage: Stage) -> dict[str, Tensor] | None:
    """The state dict that a stage's network takes; None for fresh weights. Earlier stages must have a checkpoint.

    Raises:
        ValueError: as `source_of`, or the checkpoint is missing or damaged.
    """
    source = source_of(stage)
    if source is None:
        return None
    if source in stage.before:
        return weights_of(read_checkpoint(stage.earlier(source)))
    stages = stages_of(Path(source), recipe_of(Path(source)))
    return weights_of(read_checkpoint((latest_stage(stages) or stages[-1]).checkpoint))


def with_own_state(given: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """A state dict, and beside it what the weight quantizers of a network have and those before it did not.

    Masks and learned levels or codebooks are nothing to hand over where the weights were real or plain signs; they
    begin as the quantizer makes them. A codebook that is there must fit, see `check_handover`.
    """
    completed = dict(given)
    for name, module in model.named_modules():
        quantizer = getattr(module, "weight_quantizer", None)
        if not isinstance(module, BinaryOwner) or not isinstance(quantizer, Quantizer):
            continue
        prefix = f"{name}.weight_quantizer." if name else "weight_quantizer."
        known = any(key.startswith(prefix) and key != f"{prefix}mask" for key in given)
        for key, tensor in quantizer.state_dict().items():
            if key == "mask" or not known:
                completed.setdefault(prefix + key, tensor)
    return completed


def check_handover(stage: Stage, given: Mapping[str, Tensor], taken: Mapping[str, Tensor]) -> None:
    """Makes sure that nothing is left over on either side; a name that is passed over would train from noise.

    Args:
        stage: that begins.
        given: state dict that it begins with.
        taken: state dict of its network.

    Raises:
        ValueError: a name without a counterpart, or a shape that differs.
    """
    source = source_of(stage)
    for these, those, text in ((taken, given, "lacks {}"), (given, taken, "has {}, which the stage's network lacks")):
        left = [name for name in these if name not in those]
        if left:
            more = f" and {len(left) - 3} more" if len(left) > 3 else ""
            raise ValueError(
                f"{_title(stage)}cannot begin with the weights of {source}: that "
                f"{text.format(', '.join(left[:3]) + more)}; give both the same layers, or set start: fresh"
            )
    for name, tensor in taken.items():
        if tensor.shape != given[name].shape:
            raise ValueError(
                f"{_title(stage)}cannot begin with the weights of {source}: {name} is {tuple(given[name].shape)} there "
                f"and {tuple(tensor.shape)} here; give both the same widths, or set start: fresh"
            )


def _title(stage: Stage) -> str:
    return f"stage {stage.name} " if stage.name else "the run "
