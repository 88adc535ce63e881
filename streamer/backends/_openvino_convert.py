"""From a network in torch to an OpenVINO model: the only part of that backend that needs torch."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import nn


def convert(graph: nn.Module, shape: tuple[int, int, int]) -> Any:
    """An OpenVINO model, float32 and not compiled, of a network that takes grey bytes of a shape."""
    example = torch.zeros(shape, dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of branches on sizes, which are fixed here
        graph(example)  # YOLO builds its anchors at the first call
        decoder = TorchScriptPythonDecoder(graph, example_input=(example,))
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
    model.reshape(list(shape))
    return model
