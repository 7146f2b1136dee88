"""How a recipe names a method: `{name = "dkd", beta = 8.0}` becomes the settings dataclass of that name."""

from typing import Annotated, Any, Union

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from decant.interfaces import MethodSettings
from decant.methods import METHODS


class _ByName:
    """Tells pydantic to pick the settings class by the table's ``name``."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        classes = tuple(METHODS.values())
        return handler.generate_schema(Annotated[Union[classes], Field(discriminator="name")])  # noqa: UP007


MethodByName = Annotated[MethodSettings, _ByName()]
