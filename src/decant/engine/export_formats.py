"""Formats in which a student runs without Decant: ONNX and the programs of torch.export, as bytes in memory."""

import importlib
import importlib.util
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

Runs = Callable[[Tensor], Tensor]
"""Images (N, channels, size, size) to logits (N, C), for any N."""

_FACTS = "decant.json"
"""Name of what is told of the student inside a program of torch.export."""


class ExportFormat(ABC):
    """A way to write a network down, and to run what was written."""

    suffix: str
    """How its files end."""

    @abstractmethod
    def written(self, network: nn.Module, example: Tensor, facts: Mapping[str, str]) -> bytes:
        """The network with a free batch size, and what is told of it by name; ``example`` is a batch of at least 2."""

    @abstractmethod
    def opened(self, content: bytes) -> Runs:
        """What was written, ready to run on the CPU with as many threads as torch has."""

    @abstractmethod
    def facts(self, content: bytes) -> dict[str, str]:
        """What is told of the network in what was written."""


class Onnx(ExportFormat):
    """ONNX by torch's own exporter; input ``images``, output ``logits``, run by onnxruntime. Needs ``[export]``."""

    suffix = ".onnx"

    def written(self, network: nn.Module, example: Tensor, facts: Mapping[str, str]) -> bytes:
        onnx, _ = _library("onnx"), _library("onnxscript")
        made = torch.onnx.export(
            _program(network, example), input_names=["images"], output_names=["logits"], dynamo=True, verbose=False
        )
        assert made is not None
        model = made.model_proto
        onnx.helper.set_model_props(model, dict(facts))
        content: bytes = model.SerializeToString()
        return content

    def opened(self, content: bytes) -> Runs:
        runtime = _library("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])

    def facts(self, content: bytes) -> dict[str, str]:
        model = _library("onnx").load_from_string(content)
        return {each.key: each.value for each in model.metadata_props}


class TorchExport(ExportFormat):
    """A program of torch.export (``torch.export.load``), which needs torch alone; facts lie in ``decant.json``."""

    suffix = ".pt2"

    def written(self, network: nn.Module, example: Tensor, facts: Mapping[str, str]) -> bytes:
        content = io.BytesIO()
        torch.export.save(_program(network, example), content, extra_files={_FACTS: json.dumps(dict(facts))})
        return content.getvalue()

    def opened(self, content: bytes) -> Runs:
        module: Runs = torch.export.load(io.BytesIO(content)).module()
        return module

    def facts(self, content: bytes) -> dict[str, str]:
        files = {_FACTS: ""}
        torch.export.load(io.BytesIO(content), extra_files=files)
        told: dict[str, str] = json.loads(files[_FACTS])
        return told


EXPORT_FORMATS: dict[str, ExportFormat] = {"onnx": Onnx(), "torch-export": TorchExport()}
"""By the name that `decant export --format` takes."""


def _program(network: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1)
    try:
        return torch.export.export(network, (example,), dynamic_shapes=({0: batch},))
    except Exception as error:  # whatever the tracer meets in a network of another library
        first = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"{type(network).__name__} cannot be written down for a free batch size: {type(error).__name__}: {first}"
        ) from error


def _library(name: str) -> Any:
    if importlib.util.find_spec(name) is None:
        raise ValueError(f"ONNX needs {name}, which is not installed: pip install 'decant-kd[export]'")
    return importlib.import_module(name)
