"""How a recipe names a method: `{name = "dkd", beta = 8.0}` becomes the settings of that name, a list composes them."""

import json
from typing import Annotated, Any, Union, cast

from pydantic import Field, GetCoreSchemaHandler, PydanticSchemaGenerationError, TypeAdapter, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from decant.interfaces import MethodSettings
from decant.methods import METHODS, MULTILABEL_METHODS, ComposedSettings
from decant.recipe.own_code import Open
from decant.recipe.own_methods import settings_class
from decant.recipe.own_networks import TAGS, tag_of

FORMS = ("<one>", "<several>")
"""What pydantic puts into the place of a fault in a method, besides the keys and whose it is: how it is written."""


class _ByName:
    """Tells pydantic to pick the settings class by the table's ``name``: one of ours, or one out of a file."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        classes = (*METHODS.values(), *MULTILABEL_METHODS.values())
        ours = handler.generate_schema(Annotated[Union[classes], Field(discriminator="name")])  # noqa: UP007
        own = core_schema.with_info_plain_validator_function(_own_settings)
        one = core_schema.tagged_union_schema({TAGS[0]: ours, TAGS[1]: own}, tag_of)
        several = core_schema.no_info_after_validator_function(ComposedSettings, core_schema.tuple_variable_schema(one))
        choices: dict[Any, CoreSchema] = dict(zip(FORMS, (one, several), strict=True))
        return core_schema.tagged_union_schema(choices, discriminator=lambda value: FORMS[isinstance(value, list)])


def _own_settings(value: dict[str, Any], info: ValidationInfo) -> MethodSettings:
    """Settings out of a file, as strictly as ours; the validation's context is what allows code, or refuses."""
    allowed = cast(Open, info.context)(value["name"], value.get("sha256"))
    settings = settings_class(allowed, value["name"].rpartition(":")[2])
    given = {key: setting for key, setting in value.items() if key not in ("name", "sha256")}
    try:
        adapter = TypeAdapter(settings)
    except PydanticSchemaGenerationError as error:
        raise ValueError(f"{value['name']} has a setting of a type that a recipe cannot hold: {error}") from None
    return adapter.validate_json(json.dumps(given), strict=True)


MethodByName = Annotated[MethodSettings, _ByName()]
