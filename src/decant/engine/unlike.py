"""A teacher that is unlike its student as one that is shown the same images and answers over the same classes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from decant.data import Images, PictureSet
from decant.models import Sight, folded_classes, map_classes, preprocessing_of, resighted
from decant.recipe import TeacherSettings


@dataclass(frozen=True)
class Alike:
    """What became of a teacher.

    Attributes:
        network: images of the student's, logits over its classes; the teacher itself where it was so before.
        asked: digest of what was changed; none where nothing was.
        notes: the same for people.
    """

    network: nn.Module
    asked: str = ""
    notes: tuple[str, ...] = ()


def alike(
    network: nn.Module,
    settings: TeacherSettings,
    images: Images,
    names: Sequence[str],
    about: Mapping[str, Any] | None = None,
) -> Alike:
    """A teacher for these images and their classes.

    Args:
        network: the teacher.
        settings: what it was trained to see, where they say so.
        images: the training set.
        names: its classes.
        about: what the file of its weights says about it.

    Raises:
        ValueError: classes of the images that it does not know.
    """
    here, there = sight_of(images), _sight(settings, images, about or {})
    mapped = map_classes(names, images.classes, settings.rename)
    shown = resighted(network, here, there)
    notes = [f"sees {_words(there)}, its student {_words(here)}"] if shown is not network else []
    if mapped.unused:
        some = ", ".join(mapped.unused[:8]) + (" ..." if len(mapped.unused) > 8 else "")
        notes.append(f"{len(mapped.unused)} of its {len(names)} classes have no counterpart and are left out: {some}")
    asked = folded_classes(shown, mapped, len(images.classes))
    if asked is network:
        return Alike(network)
    return Alike(asked, hashlib.sha256(repr((there, mapped.owner)).encode()).hexdigest(), tuple(notes))


def sight_of(images: Images) -> Sight:
    """What the images of a set are, as networks see them."""
    height, width = images.shape[2:]
    interpolation = images.settings.interpolation if isinstance(images, PictureSet) else "bilinear"
    return Sight((height, width), images.mean, images.std, interpolation)


def _sight(settings: TeacherSettings, images: Images, about: Mapping[str, Any]) -> Sight:
    """What a teacher was trained to see: as its settings say, its recipe, its file or its library; or its student's."""
    here = sight_of(images)
    if (sees := settings.sees) is not None:
        size = here.size if sees.size is None else (sees.size, sees.size)
        return Sight(size, sees.mean or here.mean, sees.std or here.std, sees.interpolation, sees.channels)
    if settings.recipe is not None:
        if settings.recipe.data.name != "pictures":
            return here
        data = settings.recipe.data.pictures
        return Sight((data.size, data.size), data.mean, data.std, data.interpolation)
    kept = about.get("sees")
    if kept is not None and len(kept["mean"]) == len(here.mean):
        return Sight(tuple(kept["size"]), tuple(kept["mean"]), tuple(kept["std"]), kept["interpolation"])
    if settings.pretrained and (known := preprocessing_of(settings.network)) is not None and len(here.mean) == 3:
        return Sight((known.size, known.size), known.mean, known.std, known.interpolation)
    return here


def _words(sight: Sight) -> str:
    mean, std = ("/".join(f"{value:.3g}" for value in values) for values in (sight.mean, sight.std))
    order = "" if sight.channels == "rgb" else ", channels reversed"
    return f"{sight.size[0]}x{sight.size[1]} pixels (mean {mean}, std {std}{order})"
