"""`timm/NAME`: the networks of timm, such as `timm/resnet50.a1_in1k`; a tag after the dot names pretrained weights."""

import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from decant.models.collections.collection import Collection, Option, Preprocessing, library, refuse_unknown

_LOADING = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"}
"""What timm's builder is told of weights: which ones, and where they come from."""


class TimmCollection(Collection):
    """timm's networks."""

    def require(self, name: str) -> None:
        timm = _timm()
        architecture, _, tag = name.partition(".")
        refuse_unknown("timm", architecture, timm.list_models())
        if tag:
            tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
            refuse_unknown(f"timm's {architecture} has weights of other tags, and", tag, tags)

    def refuse_options(self, options: Mapping[str, Option]) -> None:
        if loading := sorted(_LOADING & options.keys()):
            raise ValueError(
                f"options are of a network's shape, and {', '.join(loading)} of its weights: name those with "
                "`weights` or `pretrained`"
            )

    def build(
        self, name: str, classes: int | None, channels: int, *, pretrained: bool, options: Mapping[str, Option]
    ) -> nn.Module:
        counts = {} if classes is None else {"num_classes": classes}
        network: nn.Module = _timm().create_model(
            name, pretrained=pretrained, in_chans=channels, **(counts | dict(options))
        )
        return network

    def preprocessing(self, name: str) -> Preprocessing | None:
        known = _timm().get_pretrained_cfg(name)
        if known is None or known.input_size[0] != 3:
            return None
        size = known.input_size[-1]
        return Preprocessing(
            size=size,
            resize=max(size, math.floor(size / known.crop_pct)),
            mean=tuple(known.mean),
            std=tuple(known.std),
            interpolation="bicubic" if known.interpolation == "bicubic" else "bilinear",
        )

    def classes(self, name: str) -> tuple[str, ...] | None:
        timm = _timm()
        known = timm.get_pretrained_cfg(name)
        if known is None or not known.has_weights:
            return None
        if known.label_names is not None:
            return tuple(map(str, known.label_names))
        subset = timm.data.infer_imagenet_subset(known.to_dict())
        return tuple(timm.data.ImageNetInfo(subset).label_names()) if subset else None


def _timm() -> Any:
    return library("timm", extra="timm")
