"""Networks of the protocol and of other libraries by one kind of name: `resnet8x4`, `timm/resnet50.a1_in1k`."""

from collections.abc import Mapping, Sequence

from torch import nn

from decant.models.collections.collection import Collection, Option, Preprocessing
from decant.models.collections.from_timm import TimmCollection
from decant.models.collections.from_torchvision import TorchvisionCollection
from decant.models.collections.from_transformers import LogitsAlone, TransformersCollection, network_of_config
from decant.models.collections.imagenet_synsets import by_synset
from decant.models.zoo import create, require_network

__all__ = [
    "COLLECTIONS",
    "LogitsAlone",
    "Option",
    "Preprocessing",
    "build_network",
    "classes_of",
    "network_of_config",
    "preprocessing_of",
    "require_contained_network",
    "require_known_network",
]

COLLECTIONS: dict[str, Collection] = {
    "torchvision": TorchvisionCollection(),
    "timm": TimmCollection(),
    "hf": TransformersCollection(),
}
"""Beside `cifar`, the networks of Decant's own, which go without the word too."""


def build_network(
    name: str,
    *,
    classes: int | None,
    channels: int = 3,
    pretrained: bool = False,
    options: Mapping[str, Option] | None = None,
) -> nn.Module:
    """A network by its name: `resnet20` or `cifar/resnet20`, `torchvision/NAME`, `timm/NAME` or `hf/NAME`.

    Args:
        name: as above.
        classes: C; None for what the network has of its own.
        channels: of the images.
        pretrained: the library's weights, downloaded where they are not there; a classifier of another number of
            classes is a fresh one. Nothing is downloaded without it.
        options: further arguments of the library's builder, such as ``img_size``.

    Raises:
        ValueError: no network of that name; a library that is not installed, with what to install; options or
            pretrained weights for a network of the protocol, which has none.

    >>> network = build_network("torchvision/squeezenet1_1", classes=5)
    >>> sum(parameter.numel() for parameter in network.parameters())
    725061
    """
    collection, inner = _collection(name)
    if collection is None:
        if pretrained or options:
            raise ValueError(f"{name} comes without pretrained weights and options; give a file of weights")
        return (
            create(inner, in_channels=channels)
            if classes is None
            else create(inner, num_classes=classes, in_channels=channels)
        )
    collection.refuse_options(options or {})
    try:
        return collection.build(inner, classes, channels, pretrained=pretrained, options=options or {})
    except TypeError as error:
        if not options:
            raise
        raise ValueError(f"{name} cannot be built with the options {dict(options)}: {error}") from error


def require_known_network(name: str, options: Mapping[str, Option] | None = None) -> None:
    """Raise ValueError, with the nearest names or what to install, unless `build_network` knows the name.

    Options that would read files or reach the network are refused too.
    """
    collection, inner = _collection(name)
    if collection is None:
        require_network(inner)
    else:
        collection.require(inner)
        collection.refuse_options(options or {})


def require_contained_network(name: str) -> None:
    """Raise ValueError unless code alone makes the network of that name: it is of no folder, and of no hub."""
    collection, inner = _collection(name)
    if collection is None:
        require_network(inner)
    else:
        collection.require_contained(inner)


def preprocessing_of(name: str) -> Preprocessing | None:
    """What a network's pretrained weights were trained to see; None where that is not known.

    >>> preprocessing_of("torchvision/resnet18").mean
    (0.485, 0.456, 0.406)
    """
    collection, inner = _collection(name)
    return None if collection is None else collection.preprocessing(inner)


def classes_of(name: str, like: Sequence[str] = ()) -> tuple[str, ...] | None:
    """Names of the classes of a network's pretrained weights; None where they are not known.

    Args:
        name: the network's.
        like: names of the data's classes: where they are ImageNet's WordNet numbers, as its folders have them, so are
            these.

    >>> classes_of("torchvision/resnet18")[:2]
    ('tench', 'goldfish')
    >>> classes_of("torchvision/resnet18", like=["n01443537", "n01440764"])[:2]
    ('n01440764', 'n01443537')
    """
    collection, inner = _collection(name)
    known = None if collection is None else collection.classes(inner)
    return None if known is None else by_synset(known, like)


def _collection(name: str) -> tuple[Collection | None, str]:
    word, slash, inner = name.partition("/")
    if slash and word == "cifar":
        return None, inner
    return (COLLECTIONS[word], inner) if slash and word in COLLECTIONS else (None, name)
