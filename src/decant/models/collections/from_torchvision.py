"""`torchvision/NAME`: the classifiers of torchvision.models; `NAME.IMAGENET1K_V1` names pretrained weights."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from decant.models.collections.collection import (
    Collection,
    Option,
    Preprocessing,
    refuse_channels,
    refuse_unknown,
)
from decant.models.collections.torchvision_stages import named_stages
from decant.models.weights import load_all_but_head

_AUXILIARY = {"googlenet", "inception_v3"}
"""Networks that return more than logits while they train, unless they are told not to."""


class TorchvisionCollection(Collection):
    """torchvision's classifiers; `pretrained` takes the weights after the dot, or those that it calls DEFAULT."""

    def require(self, name: str) -> None:
        from torchvision import models

        architecture, _, tag = name.partition(".")
        refuse_unknown("torchvision", architecture, models.list_models(module=models))
        if tag:
            tags = [weights.name for weights in models.get_model_weights(architecture)]
            refuse_unknown(f"torchvision's {architecture} has weights of other names, and", tag, tags)

    def build(
        self, name: str, classes: int | None, channels: int, *, pretrained: bool, options: Mapping[str, Option]
    ) -> nn.Module:
        from torchvision import models

        refuse_channels("torchvision", channels)
        architecture = name.partition(".")[0]
        words: dict[str, Any] = {"aux_logits": False, "init_weights": True} if architecture in _AUXILIARY else {}
        words |= {} if classes is None else {"num_classes": classes}
        network: nn.Module = models.get_model(architecture, weights=None, **(words | dict(options)))
        if pretrained:
            load_all_but_head(network, _weights(name).get_state_dict(progress=False, check_hash=True))
        return named_stages(network)

    def preprocessing(self, name: str) -> Preprocessing | None:
        known = _weights(name).transforms()
        return Preprocessing(
            size=known.crop_size[0],
            resize=max(known.crop_size[0], known.resize_size[0]),
            mean=tuple(known.mean),
            std=tuple(known.std),
            interpolation="bicubic" if "bicubic" in str(known.interpolation).lower() else "bilinear",
        )

    def classes(self, name: str) -> tuple[str, ...] | None:
        return tuple(_weights(name).meta["categories"])


def _weights(name: str) -> Any:
    from torchvision import models

    architecture, _, tag = name.partition(".")
    weights = models.get_model_weights(architecture)
    return weights[tag] if tag else weights.DEFAULT
