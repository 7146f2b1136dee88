"""SGD with momentum, as every run's optimiser is or starts from."""

from typing import Any

import torch
from torch.optim.optimizer import ParamsT


class MomentumSGD(torch.optim.SGD):
    """torch's fused SGD: one pass over weights, gradients and momentum instead of four. Its momentum starts at zero.

    torch lets it start as the first gradient, which is the same; but then a first step that loss scaling passes over
    leaves whatever the memory held, and a parameter whose first gradient comes later than the others' is an error.
    """

    def __init__(self, parameters: ParamsT, *, fused: bool = True, **settings: Any) -> None:
        super().__init__(parameters, fused=fused, **settings)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a state; fused or not, and in which layout, is this object's own affair, however it was made."""
        fused = self.defaults["fused"]
        groups = [group | {"fused": fused} for group in state_dict["param_groups"]]
        super().load_state_dict(state_dict | {"param_groups": groups})
        for parameter, state in self.state.items():
            momentum = state.get("momentum_buffer")
            # The fused step goes through memory, and would pair the entries of one layout with those of another.
            if momentum is not None and momentum.stride() != parameter.stride():
                state["momentum_buffer"] = torch.empty_like(parameter).copy_(momentum)

    def step(self, closure: Any = None) -> Any:
        """One step."""
        for group in self.param_groups:
            for parameter in group["params"] if group["momentum"] else ():
                if parameter.grad is not None and "momentum_buffer" not in self.state[parameter]:
                    self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter.grad)
        return super().step(closure)
