"""One optimizer for a whole model: binary weights to one member, everything else to another."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from signbit.optim.checks import check_gradients, check_saved, check_structure, named
from signbit.optim.latent import Latent
from signbit.optim.latent_free import LatentFree, check_signs, refuse_latent_domains
from signbit.optim.strict import StrictOptimizer
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
    to their signs here; layers whose quantizer needs more than signs are refused. The groups are the members' own, in
    order, so that schedulers may drive all of them or those of one member. A step evaluates the closure once, refuses
    gradients that are not finite before anything is written, then steps each member.

    Args:
        model: the model whose parameters are shared out.
        binary: optimizer of the binary weights, or a function that makes it from pairs of name and parameter; None
            where there are none.
        real: the same for all other parameters; None where there are none.

    Attributes:
        members: "binary" and "real" → optimizer.
    """

    def __init__(
        self, model: nn.Module, *, binary: Factory | Optimizer | None, real: Factory | Optimizer | None = None
    ) -> None:
        binary_parameters = list(named_binary_parameters(model))
        claimed = {parameter for _, parameter in binary_parameters}
        others = [pair for pair in model.named_parameters() if pair[1] not in claimed]
        self.members: dict[str, Optimizer] = {}
        if binary is not None:
            self.members["binary"] = _build("binary", binary, binary_parameters)
        if real is not None:
            self.members["real"] = _build("real", real, others)
        names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
        _check_claims(self.members, names)
        for member in self.members.values():
            for group in member.param_groups:
                group.setdefault("param_names", [names[parameter] for parameter in group["params"]])
            if isinstance(member, LatentFree):
                refuse_latent_domains(model, member)
                _set_signs(member)
        super().__init__([group for member in self.members.values() for group in member.param_groups], {})
        self._join()

    def _join(self) -> None:
        self.state = cast(Any, _JoinedState(self.members))
        self._steps = 0

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "members": self.members, "param_groups": self.param_groups}

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._join()

    def group_indices(self, member: str) -> tuple[int, ...]:
        """Positions in `param_groups` of the groups of a member, "binary" or "real"."""
        own = [id(group) for group in self._member(member).param_groups]
        return tuple(index for index, group in enumerate(self.param_groups) if id(group) in own)

    def _member(self, name: str) -> Optimizer:
        if name not in self.members:
            raise ValueError(f"there is no member {name!r}, only {', '.join(self.members)}")
        return self.members[name]

    @override
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Steps each member.

        Args:
            closure: evaluates the model again and returns the loss, as in torch.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._steps += 1
        self._check_groups()
        for member in self.members.values():
            # The others look for themselves, and binary weights come first.
            if not isinstance(member, StrictOptimizer | Latent):
                check_gradients(member, self._steps)
        for member in self.members.values():
            member.step()
        return loss

    def _check_groups(self) -> None:
        """Without this, schedules of the Hybrid's groups would not reach a member that has others."""
        for name, member in self.members.items():
            if len(self.group_indices(name)) != len(member.param_groups):
                raise ValueError(
                    f"the groups of {name} are no longer those of this Hybrid, so that schedules would not reach them; "
                    "load states and add groups through the Hybrid, not its member"
                )

    @override
    def add_param_group(self, param_group: dict[str, Any], *, member: str = "real") -> None:
        """Gives further parameters to a member; build torch schedulers after it, they know the groups of their time.

        Args:
            param_group: as in torch.
            member: who takes it, "binary" or "real".

        Raises:
            ValueError: a parameter is claimed already, or is not ±1 where there are no latent weights.
        """
        if not isinstance(self.state, _JoinedState):
            super().add_param_group(param_group)
            return
        owner = self._member(member)
        group = _with_names(param_group, sum(len(group["params"]) for group in self.param_groups))
        claims = {parameter: name for name in self.members for parameter in self._owned(name)}
        for name, parameter in named(group):
            if parameter in claims:
                raise ValueError(f"{name} is claimed by {claims[parameter]} already; give it to one member only")
            if isinstance(owner, LatentFree):
                check_signs(name, parameter, type(owner).__name__)
        owner.add_param_group(group)
        self.param_groups.append(owner.param_groups[-1])
        self._join()

    def _owned(self, member: str) -> Iterator[Tensor]:
        for group in self.members[member].param_groups:
            yield from group["params"]

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what `state_dict` gave; each member takes its part.

        Raises:
            ValueError: the number of groups differs, or a member's part is of another optimizer or shape; nothing is
                restored.
        """
        self.check_state_dict(state_dict)
        parts = {name: self._part(name, state_dict) for name in self.members}
        for name, member in self.members.items():
            positions = self.group_indices(name)
            member.load_state_dict(parts[name])
            for position, group in zip(positions, member.param_groups, strict=True):
                self.param_groups[position] = group

    def check_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Refuses what `load_state_dict` would, and restores nothing."""
        check_structure("Hybrid", state_dict)
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(f"the saved state has {len(saved)} groups and this Hybrid {len(self.param_groups)}")
        for index, (group, own) in enumerate(zip(saved, self.param_groups, strict=True)):
            if len(group["params"]) != len(own["params"]):
                raise ValueError(
                    f"the saved state has {len(group['params'])} parameters in group {index} and this Hybrid "
                    f"{len(own['params'])}; load it for the model it was saved with"
                )
        for name, member in self.members.items():
            part = self._part(name, state_dict)
            if isinstance(member, StrictOptimizer):
                member.check_state_dict(part)
            else:
                check_saved(member.optimizer if isinstance(member, Latent) else member, part)

    def _part(self, member: str, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """What a member has of a saved state."""
        groups = [state_dict["param_groups"][index] for index in self.group_indices(member)]
        ids = {index for group in groups for index in group["params"]}
        return {"state": {k: v for k, v in state_dict["state"].items() if k in ids}, "param_groups": groups}

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
            f"{name}: the model has no {'binary weights' if name == 'binary' else 'other parameters'}; pass {name}=None"
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


def _with_names(param_group: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The group with names for its parameters, as all groups of a Hybrid have."""
    params = param_group["params"]
    pairs = [params] if isinstance(params, Tensor) else list(params)
    if not all(isinstance(pair, tuple) for pair in pairs):
        pairs = [(f"parameter {count + index}", parameter) for index, parameter in enumerate(pairs)]
    return {**param_group, "params": [p for _, p in pairs], "param_names": [name for name, _ in pairs]}


@torch.no_grad()
def _set_signs(member: LatentFree) -> None:
    for group in member.param_groups:
        for weight in group["params"]:
            weight.copy_(sign(weight))


def _describe(optimizer: Optimizer) -> str:
    hidden = {"params", "param_names", "foreach"}
    shown = {key: value for key, value in optimizer.param_groups[0].items() if key not in hidden and value is not None}
    return f"{type(optimizer).__name__}({', '.join(f'{key}={value}' for key, value in shown.items())})"
