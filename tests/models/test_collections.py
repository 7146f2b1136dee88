"""Networks of other libraries by name: built, refused with the nearest names, and never fetched unasked."""

import importlib
import importlib.util
import json
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from decant.models import (
    build_network,
    classes_of,
    create,
    load_all_but_head,
    preprocessing_of,
    require_known_network,
)
from decant.models.collections.imagenet_synsets import SYNSETS

needs = {
    name: pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"needs {name}")
    for name in ("timm", "transformers")
}
SMALL = [
    "resnet8",
    "cifar/resnet8",
    "torchvision/squeezenet1_1",
    "torchvision/mobilenet_v3_small",
    pytest.param("timm/mobilenetv3_small_050", marks=needs["timm"]),
    pytest.param("timm/resnet10t.c3_in1k", marks=needs["timm"]),
    pytest.param("hf/mobilenet_v1", marks=needs["transformers"]),
]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reaches for the network fails the test."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("reached for the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("name", SMALL)
def test_images_to_logits_in_training_too(name: str) -> None:
    require_known_network(name)
    network = build_network(name, classes=7)
    for mode in (True, False):
        logits = network.train(mode)(torch.zeros(2, 3, 64, 64))
        assert isinstance(logits, torch.Tensor)
        assert logits.shape == (2, 7)


def test_the_protocol_s_networks_are_the_same_under_both_names() -> None:
    torch.manual_seed(0)
    one = create("resnet8", num_classes=5).state_dict()
    torch.manual_seed(0)
    other = build_network("cifar/resnet8", classes=5).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_networks_that_return_more_while_they_train_do_not() -> None:
    network = build_network("torchvision/googlenet", classes=3).train()
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet2", "no network is named 'resnet2'; nearest: "),
        ("cifar/resnet2", "no network is named 'resnet2'; nearest: "),
        ("torchvison/resnet18", "no network is named 'torchvison/resnet18'"),
        ("torchvision/resnet1", "torchvision has no network 'resnet1'; nearest: .*resnet18"),
        pytest.param("timm/mobilenetv3_smal", "nearest: .*mobilenetv3_small", marks=needs["timm"]),
        pytest.param("timm/resnet50.zzz", "has weights of other tags, and has no network 'zzz'", marks=needs["timm"]),
        pytest.param(
            "hf/resnett", "transformers has no network 'resnett'; nearest: resnet", marks=needs["transformers"]
        ),
        pytest.param("hf/", "hf/NAME needs a name", marks=needs["transformers"]),
    ],
)
def test_a_wrong_name_is_told_the_nearest(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        require_known_network(name)


@pytest.mark.parametrize(("name", "extra"), [("timm/resnet18", "timm"), ("hf/resnet", "hf")])
def test_a_library_that_is_not_there_is_told_how_to_get(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=rf"which is not installed: pip install 'decant-kd\[{extra}\]'"):
        require_known_network(name)


def test_options_go_to_the_builder_and_wrong_ones_are_named() -> None:
    with pytest.raises(ValueError, match=r"torchvision/resnet18 cannot be built with the options \{'size': 3\}"):
        build_network("torchvision/resnet18", classes=3, options={"size": 3})
    assert isinstance(build_network("torchvision/vgg11", classes=3, options={"dropout": 0.25}), nn.Module)
    with pytest.raises(ValueError, match="comes without pretrained weights and options"):
        build_network("resnet8", classes=3, pretrained=True)
    with pytest.raises(ValueError, match="images of 3 channels; the data has 1"):
        build_network("torchvision/resnet18", classes=3, channels=1)


@needs["timm"]
def test_options_of_timm() -> None:
    network = build_network("timm/vit_tiny_patch16_224", classes=3, options={"img_size": 32, "depth": 1})
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


def test_pretrained_weights_go_into_all_but_another_number_of_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import SqueezeNet1_1_Weights

    theirs = build_network("torchvision/squeezenet1_1", classes=1000).state_dict()
    monkeypatch.setattr(SqueezeNet1_1_Weights, "get_state_dict", lambda *_, **__: theirs)
    for classes, differing in ((1000, set()), (5, {"classifier.1.weight", "classifier.1.bias"})):
        ours = build_network("torchvision/squeezenet1_1", classes=classes, pretrained=True).state_dict()
        assert {key for key in ours if not torch.equal(ours[key], theirs[key])} == differing


def test_all_but_the_head_is_all_but_the_head(tmp_path: Path) -> None:
    whole, other = create("resnet8", num_classes=5), create("resnet8", num_classes=7)
    save_file(whole.state_dict(), tmp_path / "weights.safetensors")
    before = {key: value.clone() for key, value in other.state_dict().items()}
    left = load_all_but_head(other, tmp_path / "weights.safetensors")
    assert set(left) == {"fc.weight", "fc.bias"}
    for key, value in other.state_dict().items():
        assert torch.equal(value, before[key] if key in left else whole.state_dict()[key])
    assert load_all_but_head(create("resnet8", num_classes=5), tmp_path / "weights.safetensors") == ()
    with pytest.raises(ValueError, match="the weights do not fit the network; nothing was loaded"):
        load_all_but_head(create("resnet14", num_classes=5), tmp_path / "weights.safetensors")
    wider = nn.Sequential(nn.Linear(2, 9), nn.Linear(9, 4))
    with pytest.raises(ValueError, match="differing shapes"):
        load_all_but_head(wider, nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 3)).state_dict())


def test_weights_of_torchvision_are_named_after_a_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import ResNet18_Weights

    require_known_network("torchvision/resnet50.IMAGENET1K_V1")
    with pytest.raises(ValueError, match=r"weights of other names, and has no network 'IMAGENET1K_V3'; .*IMAGENET1K_V"):
        require_known_network("torchvision/resnet50.IMAGENET1K_V3")
    first, second = (preprocessing_of(f"torchvision/resnet50{tag}") for tag in (".IMAGENET1K_V1", ""))
    assert first is not None
    assert second is not None
    assert (first.resize, second.resize) == (256, 232), "those that torchvision calls DEFAULT are the second ones"
    theirs = build_network("torchvision/resnet18", classes=1000).state_dict()
    asked: list[str] = []

    def state_dict(self: Any, **_: object) -> dict[str, Tensor]:
        asked.append(self.name)
        return theirs

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", state_dict)
    build_network("torchvision/resnet18.IMAGENET1K_V1", classes=1000, pretrained=True)
    assert asked == ["IMAGENET1K_V1"]


def test_imagenet_s_classes_are_told_by_their_wordnet_numbers_where_the_data_has_them() -> None:
    by_number = classes_of("torchvision/resnet50", like=["n02119789", "n01440764"])
    assert by_number is not None
    assert (len(by_number), by_number[:2], by_number[-1]) == (1000, ("n01440764", "n01443537"), "n15075141")
    assert list(by_number) == sorted(set(by_number)), "published networks have them in the order of their names"
    by_word = classes_of("torchvision/resnet50", like=["cat", "n01440764"])
    assert by_word is not None
    assert by_word[0] == "tench"


def test_the_wordnet_numbers_are_those_of_the_words() -> None:
    timm = pytest.importorskip("timm")
    assert tuple(timm.data.ImageNetInfo("imagenet-1k").label_names()) == SYNSETS


def test_known_preprocessing_of_torchvision() -> None:
    known = preprocessing_of("torchvision/efficientnet_b1")
    assert known is not None
    assert (known.size, known.resize, known.interpolation) == (240, 255, "bilinear")
    assert known.mean == (0.485, 0.456, 0.406)
    assert preprocessing_of("resnet8") is None
    assert classes_of("resnet8") is None
    names = classes_of("torchvision/efficientnet_b1")
    assert names is not None
    assert (len(names), names[207]) == (1000, "golden retriever")


@needs["timm"]
def test_known_preprocessing_of_timm() -> None:
    known = preprocessing_of("timm/resnet50.a1_in1k")
    assert known is not None
    assert (known.size, known.resize, known.interpolation) == (224, 235, "bicubic")
    names = classes_of("timm/resnet50.a1_in1k")
    assert names is not None
    assert (len(names), names[207]) == (1000, "n02099601")
    half = preprocessing_of("timm/vit_tiny_patch16_224")
    assert half is not None
    assert half.mean == (0.5, 0.5, 0.5)


@needs["transformers"]
def test_a_folder_of_transformers(tmp_path: Path) -> None:
    transformers: Any = importlib.import_module("transformers")
    names = {0: "cat", 1: "dog", 2: "eel"}
    config = transformers.AutoConfig.for_model("mobilenet_v1", id2label=names)
    network = transformers.AutoModelForImageClassification.from_config(config)
    network.save_pretrained(tmp_path)
    described = {"crop_size": {"height": 32, "width": 32}, "do_center_crop": True, "size": {"shortest_edge": 40}}
    described |= {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "resample": 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(described))
    name = f"hf/{tmp_path}"
    require_known_network(name)
    assert classes_of(name) == ("cat", "dog", "eel")
    known = preprocessing_of(name)
    assert known is not None
    assert (known.size, known.resize, known.std, known.interpolation) == (32, 40, (0.25,) * 3, "bicubic")
    weights = {f"network.{key}": value for key, value in network.state_dict().items()}
    same = build_network(name, classes=None, pretrained=True).state_dict()
    assert same.keys() == weights.keys()
    assert all(torch.equal(same[key], weights[key]) for key in same)
    assert build_network(name, classes=5, pretrained=True)(torch.rand(2, 3, 32, 32)).shape == (2, 5)
    fresh = build_network(name, classes=None).state_dict()
    assert not torch.equal(fresh["network.classifier.weight"], same["network.classifier.weight"]), "not pretrained"


@needs["transformers"]
def test_a_name_of_the_hub_is_not_fetched_unasked() -> None:
    with pytest.raises(ValueError, match="is not on this machine, or cannot be read; nothing is fetched unless"):
        build_network("hf/nobody/has-this", classes=3)
