"""Students whose network is a file of Python: what their header says of it, and the network from those very bytes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from decant.recipe import CodeFile, NetworkSettings, Recipe, is_own, named_code, network_of_code, recipe_to_dict


def code_said(recipe: Recipe) -> dict[str, str]:
    """What a student's header says of the code that makes its network; nothing for a network of a library."""
    digest = named_code(recipe_to_dict(recipe)["student"]).get(recipe.student.name)
    return {} if digest is None else {"code_sha256": digest}


def kept_code(file: Path, about: Mapping[str, Any]) -> CodeFile | None:
    """The Python file beside a student's that makes its network, unrun; None for a network of a library.

    Args:
        file: the student's.
        about: what its header says.

    Raises:
        FileNotFoundError: it does not lie there.
        ValueError: it is not the one that was trained with, or the header does not say which one that is.
    """
    if not is_own(about.get("network")):
        return None
    name = str(about["network"]).rpartition(":")[0]
    if "code_sha256" not in about or Path(name).name != name:
        raise ValueError(
            f"{file}: its network is code, {about['network']}, but the header does not say which file that is (a name "
            "without folder, and a sha256): it is of an earlier version. Its run can still be used: decant evaluate RUN"
        )
    path = file.parent / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{file}: its network is code, {about['network']}, and there is no {path}: copy {name} here from its run's "
            f"folder (sha256 {about['code_sha256']})"
        )
    code = CodeFile(name, path.read_bytes(), path)
    if code.sha256 != about["code_sha256"]:
        raise ValueError(
            f"{path} is not the file that {file.name} was trained with: expected sha256 {about['code_sha256']}, got "
            f"{code.sha256}; bring that one back from the folder of its run"
        )
    return code


def own_network(
    code: CodeFile, about: Mapping[str, Any], *, classes: int, channels: int, trust_code: bool
) -> nn.Module:
    """The network of a student as its code makes it, with random weights.

    Raises:
        ValueError: the code is not trusted, in which case none of it is run; or it cannot make the network.
    """
    if not trust_code:
        raise ValueError(
            f"the student's network is code, {about['network']}: to load it is to run all of {code.path}, which can do "
            "whatever you can. Read it, then allow it with --trust-code (in Python: load_student(..., trust_code=True))"
        )
    function = str(about["network"]).rpartition(":")[2]
    settings = network_of_code(NetworkSettings, code, function, options=about["options"])
    return settings.build(classes=classes, channels=channels)
