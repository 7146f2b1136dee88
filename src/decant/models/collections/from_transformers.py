"""`hf/NAME`: image classifiers of transformers, by kind (`hf/resnet`), by a folder, or by a name of the hub."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from decant.models.collections.collection import (
    Collection,
    Option,
    Preprocessing,
    library,
    refuse_channels,
    refuse_unknown,
)

_MAPPING = "transformers.models.auto.modeling_auto"
_WRAPPER = "timm_wrapper"
"""A kind that hands a name on to timm, which may be one of a hub or of a file."""
_IMPLEMENTATIONS = {"attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation"}
"""What computes a part of a network: a name of the hub stands for code to be fetched."""
_BICUBIC = 3  # Pillow's number


class TransformersCollection(Collection):
    """transformers' image classifiers. Their own code alone runs, never that of a model's author."""

    def require(self, name: str) -> None:
        library("transformers", extra="hf")
        if not name.strip("/"):
            raise ValueError("hf/NAME needs a name: a kind such as resnet, a folder, or a name of the hub")
        if "/" not in name and not Path(name).is_dir():
            refuse_unknown("transformers", name, _kinds())

    def require_contained(self, name: str) -> None:
        refuse_unknown("transformers", name, _kinds())

    def refuse_options(self, options: Mapping[str, Option]) -> None:
        if names := sorted(_IMPLEMENTATIONS & options.keys()):
            raise ValueError(f"{', '.join(names)} may fetch code, which is no option of a network here; leave it out")

    def build(
        self, name: str, classes: int | None, channels: int, *, pretrained: bool, options: Mapping[str, Option]
    ) -> nn.Module:
        refuse_channels("transformers", channels)
        transformers: Any = library("transformers", extra="hf")
        counts = {} if classes is None else {"num_labels": classes}
        if name in _kinds():
            if pretrained:
                raise ValueError(f"hf/{name} is a kind of network without weights; name a folder or a name of the hub")
            config = transformers.AutoConfig.for_model(name, **(counts | dict(options)))
            return _of_config(config)
        try:
            config = transformers.AutoConfig.from_pretrained(
                name, local_files_only=not pretrained, trust_remote_code=False, **(counts | dict(options))
            )
            if not pretrained:
                return _of_config(config)
            _refuse_wrapper(config.model_type)
            return LogitsAlone(
                transformers.AutoModelForImageClassification.from_pretrained(
                    name,
                    config=config,
                    ignore_mismatched_sizes=True,
                    local_files_only=Path(name).is_dir(),
                    trust_remote_code=False,
                    use_safetensors=True,
                )
            )
        except OSError as error:
            how = "" if pretrained else "; nothing is fetched unless pretrained weights are asked for"
            raise ValueError(f"hf/{name} is not on this machine, or cannot be read{how} ({_first(error)})") from error

    def preprocessing(self, name: str) -> Preprocessing | None:
        file = Path(name) / "preprocessor_config.json"
        if not file.is_file():
            return None
        known = json.loads(file.read_text(encoding="utf-8"))
        sizes = known.get("crop_size") if known.get("do_center_crop") else known.get("size")
        sizes = sizes if isinstance(sizes, dict) else {"height": sizes}
        size = sizes.get("height", sizes.get("shortest_edge"))
        if not isinstance(size, int) or len(known.get("image_mean", ())) != 3:
            return None
        shorter = known.get("size", size)
        shorter = shorter.get("shortest_edge", size) if isinstance(shorter, dict) else shorter
        return Preprocessing(
            size=size,
            resize=max(size, int(shorter / known.get("crop_pct", 1.0))),
            mean=tuple(known["image_mean"]),
            std=tuple(known["image_std"]),
            interpolation="bicubic" if known.get("resample") == _BICUBIC else "bilinear",
        )

    def classes(self, name: str) -> tuple[str, ...] | None:
        file = Path(name) / "config.json"
        if not file.is_file():
            return None
        names = json.loads(file.read_text(encoding="utf-8")).get("id2label")
        return tuple(names[key] for key in sorted(names, key=int)) if names else None


class LogitsAlone(nn.Module):
    """A classifier of transformers that returns its logits (N, C) and nothing else."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """The logits of images (N, 3, H, W)."""
        return cast(Tensor, self.network(pixel_values=images).logits)

    @property
    def config(self) -> dict[str, Any]:
        """Plain values from which :func:`network_of_config` makes the same network, without a hub or a folder."""
        return cast(dict[str, Any], json.loads(cast(Any, self.network).config.to_json_string(use_diff=False)))


def network_of_config(config: Mapping[str, Any]) -> nn.Module:
    """The classifier of such values, with fresh weights; they fetch nothing and read no file.

    Raises:
        ValueError: a kind of network that transformers has no code of its own for.
    """
    transformers: Any = library("transformers", extra="hf")
    _refuse_wrapper(config["model_type"])
    values = {key: value for key, value in config.items() if key not in {"model_type", *_IMPLEMENTATIONS}}
    return _of_config(transformers.AutoConfig.for_model(config["model_type"], **values))


def _of_config(config: Any) -> nn.Module:
    transformers: Any = library("transformers", extra="hf")
    _refuse_wrapper(config.model_type)
    return LogitsAlone(transformers.AutoModelForImageClassification.from_config(config, trust_remote_code=False))


def _refuse_wrapper(kind: str) -> None:
    if kind == _WRAPPER:
        raise ValueError(f"transformers has {kind} networks from timm: name this one timm/NAME")


def _kinds() -> list[str]:
    library("transformers", extra="hf")
    known = importlib.import_module(_MAPPING).MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES
    return [kind for kind in known if kind != _WRAPPER]


def _first(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
