"""One optimizer for a whole model: binary weights to one member, everything else to another."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from signbit.optim.latent_free import LatentFree
from signbit.optim.strict import named
from signbit.params import named_binary_parameters
from signbit.quantizers import sign

__all__ = ["Hybrid"]

Factory = Callable[[list[tuple[str, nn.Parameter]]], Optimizer]


@final
class Hybrid(Optimizer):
    """One torch optimizer made of two: binary weights belong to one, all other parameters to the other.

        Hybrid(model, binary=partial(Bop, lr=1e-4), real=partial(torch.optim.Adam, lr=1e-2))
        Hybrid(model, binary=lambda p: Latent(torch.optim.Adam(p, lr=1e-2)), real=torch.optim.Adam)

    `params.named_binary_parameters` says which weights are binary. Those of an optimizer without latent weights are set
    to their signs here. The groups are the members' own, in order, so that schedulers may drive all of them or those of
    one member. A step evaluates the closure once, then steps each member.

    Args:
        model: the model whose parameters are shared out.
        binary: optimizer of the binary weights, or a function that makes it from pairs of name and parameter.
        real: the same for all other parameters; None where there are none.

    Attributes:
        members: "binary" and "real" → optimizer.
    """

    def __init__(
        self, model: nn.Module, *, binary: Factory | Optimizer, real: Factory | Optimizer | None = None
    ) -> None:
        binary_parameters = list(named_binary_parameters(model))
        claimed = {parameter for _, parameter in binary_parameters}
        others = [pair for pair in model.named_parameters() if pair[1] not in claimed]
        self.members = {"binary": _build("binary", binary, binary_parameters)}
        if real is not None:
            self.members["real"] = _build("real", real, others)
        names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
        _check_claims(self.members, names)
        for member in self.members.values():
            for group in member.param_groups:
                group.setdefault("param_names", [names[parameter] for parameter in group["params"]])
            if isinstance(member, LatentFree):
                _set_signs(member)
        super().__init__(self._groups(), {})
        self.state = cast(Any, _JoinedState(self.members))

    def _groups(self) -> list[dict[str, Any]]:
        return [group for member in self.members.values() for group in member.param_groups]

    def group_indices(self, member: str) -> range:
        """Positions in `param_groups` of the groups of a member, "binary" or "real"."""
        start = 0
        for name, optimizer in self.members.items():
            if name == member:
                return range(start, start + len(optimizer.param_groups))
            start += len(optimizer.param_groups)
        raise ValueError(f"there is no member {member!r}, only {', '.join(self.members)}")

    @override
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Steps each member.

        Args:
            closure: evaluates the model again and returns the loss, as in torch.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for member in self.members.values():
            member.step()
        return loss

    @override
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if isinstance(self.state, _JoinedState):
            raise ValueError("a Hybrid shares out one model; build it again after parameters were added")
        super().add_param_group(param_group)

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what `state_dict` gave; each member takes its part and may refuse it.

        Raises:
            ValueError: the number of groups differs, or a member's part is of another optimizer or shape.
        """
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(f"the saved state has {len(saved)} groups and this Hybrid {len(self.param_groups)}")
        for name, member in self.members.items():
            groups = [saved[index] for index in self.group_indices(name)]
            ids = {index for group in groups for index in group["params"]}
            state = {index: value for index, value in state_dict["state"].items() if index in ids}
            member.load_state_dict({"state": state, "param_groups": groups})
        self.param_groups[:] = self._groups()

    @override
    def __repr__(self) -> str:
        lines = []
        for name, member in self.members.items():
            parameters = [pair for group in member.param_groups for pair in named(group)]
            count = sum(parameter.numel() for _, parameter in parameters)
            lines.append(f"  {name}: {_describe(member)} owns {count:,} values in {len(parameters)} tensors:")
            lines.append(f"    {', '.join(parameter for parameter, _ in parameters)}")
        return "\n".join(["Hybrid(", *lines, ")"])


class _JoinedState(MutableMapping[Tensor, Any]):
    """The members' states seen as one; writing goes to the member that owns the parameter."""

    def __init__(self, members: Mapping[str, Optimizer]) -> None:
        self._members = members
        self._owners = {
            parameter: member
            for member in members.values()
            for group in member.param_groups
            for parameter in group["params"]
        }

    def __getitem__(self, parameter: Tensor) -> Any:
        return self._owners[parameter].state[parameter]

    def __setitem__(self, parameter: Tensor, value: Any) -> None:
        self._owners[parameter].state[parameter] = value

    def __delitem__(self, parameter: Tensor) -> None:
        del self._owners[parameter].state[parameter]

    def __iter__(self) -> Iterator[Tensor]:
        for member in self._members.values():
            yield from member.state

    def __len__(self) -> int:
        return sum(len(member.state) for member in self._members.values())


def _build(name: str, source: Factory | Optimizer, parameters: list[tuple[str, nn.Parameter]]) -> Optimizer:
    if isinstance(source, Optimizer):
        return source
    if not parameters:
        raise ValueError(
            "binary: the model has no binary weights, so that a plain torch optimizer serves it"
            if name == "binary"
            else f"{name}: the model has no other parameters; pass {name}=None"
        )
    return source(parameters)


def _check_claims(members: Mapping[str, Optimizer], names: Mapping[Tensor, str]) -> None:
    owners: dict[Tensor, str] = {}
    for member_name, member in members.items():
        for group in member.param_groups:
            for shown, parameter in named(group):
                if parameter not in names:
                    raise ValueError(f"{member_name} claims {shown}, which is not a parameter of the model")
                if parameter in owners:
                    raise ValueError(
                        f"{names[parameter]} is claimed twice, by {owners[parameter]} and by {member_name}; "
                        "give it to one of them"
                    )
                owners[parameter] = member_name
    unclaimed = [name for parameter, name in names.items() if parameter not in owners]
    if unclaimed:
        raise ValueError(f"no optimizer claims {', '.join(unclaimed)}; give them to binary= or real=")


@torch.no_grad()
def _set_signs(member: LatentFree) -> None:
    for group in member.param_groups:
        for weight in group["params"]:
            weight.copy_(sign(weight))


def _describe(optimizer: Optimizer) -> str:
    hidden = {"params", "param_names", "foreach"}
    shown = {key: value for key, value in optimizer.param_groups[0].items() if key not in hidden and value is not None}
    return f"{type(optimizer).__name__}({', '.join(f'{key}={value}' for key, value in shown.items())})"
