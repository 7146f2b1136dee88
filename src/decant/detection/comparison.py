"""What a detection recipe says about comparing methods, and which methods a name stands for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import Field

from decant.detection.pyramid_methods import PyramidFitNetSettings, PyramidReviewKDSettings
from decant.detection.region_methods import RegionDKDSettings, RegionKDSettings
from decant.recipe import KD_MATCHED

MethodByName = Annotated[
    RegionKDSettings | RegionDKDSettings | PyramidFitNetSettings | PyramidReviewKDSettings, Field(discriminator="name")
]
_DEFAULTS: dict[str, MethodByName] = {
    each.name: each
    for each in (RegionKDSettings(), RegionDKDSettings(), PyramidFitNetSettings(), PyramidReviewKDSettings())
}
ALONE = "supervised"
"""The baseline: the student without a teacher."""


@dataclass(frozen=True)
class DetectionCompareSettings:
    """Settings of a comparison of detectors.

    Attributes:
        methods: the list of methods that a name stands for, where its own name does not say it.
        notes: sentences that belong beside the numbers.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    methods: dict[str, tuple[MethodByName, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def methods_named(
    name: str, own: Sequence[MethodByName], compare: DetectionCompareSettings
) -> tuple[MethodByName, ...]:
    """The methods that ``name`` stands for in a comparison, such as "dkd+reviewkd".

    In this order: what ``compare.methods`` says; none for "supervised"; for "kd-matched" a kd with dkd's temperature,
    warm-up and factors, and dkd's beta as its weight; else, for each part of the name, the recipe's own method or the
    defaults of that name.

    Args:
        name: names of methods, joined by "+".
        own: the recipe's methods.
        compare: its other ones.

    Raises:
        ValueError: no method has that name.

    >>> [settings.weight for settings in methods_named("kd-matched", (), DetectionCompareSettings())]
    [0.25]
    """
    if name in compare.methods:
        return compare.methods[name]
    if name == ALONE:
        return ()
    given = _DEFAULTS | {settings.name: settings for settings in own}
    if name == KD_MATCHED:
        named = compare.methods.get("dkd", (given["dkd"],))
        (dkd,) = named if len(named) == 1 else (None,)
        if not isinstance(dkd, RegionDKDSettings):
            raise ValueError(f"{KD_MATCHED} is derived from dkd's settings, but compare.methods.dkd is {list(named)}")
        return (
            RegionKDSettings(
                weight=dkd.beta,
                temperature=dkd.temperature,
                warmup=dkd.warmup,
                foreground=dkd.foreground,
                background=dkd.background,
            ),
        )
    if unknown := [part for part in name.split("+") if part not in given]:
        known = ", ".join(sorted({ALONE, KD_MATCHED, *given, *compare.methods}))
        raise ValueError(
            f"no method {unknown[0]!r} for detectors to compare; there are: {known}, and sums: dkd+reviewkd"
        )
    return tuple(given[part] for part in name.split("+"))
