"""How a recipe names a method: `{name = "dkd", beta = 8.0}` becomes the settings of that name, a list composes them."""

from typing import Annotated, Any, Union

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from decant.interfaces import MethodSettings
from decant.methods import METHODS, ComposedSettings

FORMS = ("table", "list")
"""How a method can be written; pydantic puts the form into the place of a fault."""


class _ByName:
    """Tells pydantic to pick the settings class by the table's ``name``."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        classes = tuple(METHODS.values())
        one = handler.generate_schema(Annotated[Union[classes], Field(discriminator="name")])  # noqa: UP007
        several = core_schema.no_info_after_validator_function(ComposedSettings, core_schema.tuple_variable_schema(one))
        choices: dict[Any, CoreSchema] = dict(zip(FORMS, (one, several), strict=True))
        return core_schema.tagged_union_schema(choices, discriminator=lambda value: FORMS[isinstance(value, list)])


MethodByName = Annotated[MethodSettings, _ByName()]
