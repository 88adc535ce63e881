"""Rewrites of a network's graph that leave what it computes as it is, bit by bit: faster, smaller, or giving more."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from openvino import Type, opset13


def chain_concatenations(model: Any) -> None:
    """Let each concatenation of all of another's inputs and one more take that other's output instead, in place.

    In a dense block each layer reads all before it. Written as one concatenation a layer, OpenVINO quantises each of
    its inputs anew (2026.4 moves a quantisation above a concatenation that nobody else reads): 531 of them in
    DenseNet121, many on 4x4 pixels. In a chain each concatenation has two readers, and its output is quantised once.
    The joined network takes 9.2 ms instead of 10.8 (int8, one core of a Xeon with AMX).

    Args:
        model: an OpenVINO model.
    """
    known: dict[tuple[object, ...], Any] = {}
    found = [node for node in model.get_ops() if node.get_type_name() == "Concat"]
    for node in sorted(found, key=lambda node: len(node.inputs())):
        axis = node.get_attributes()["axis"]
        sources = [parameter.get_source_output() for parameter in node.inputs()]
        names = [(source.get_node().get_name(), source.get_index()) for source in sources]
        before = known.get((axis, *names[:-1]))
        if before is not None:
            shorter = opset13.concat([before.output(0), sources[-1]], axis)
            shorter.set_friendly_name(node.get_friendly_name())
            for reader in node.output(0).get_target_inputs():
                reader.replace_source_output(shorter.output(0))
            node = shorter
        known[(axis, *names)] = node
    model.validate_nodes_and_infer_types()


def halve_constants(model: Any) -> None:
    """Keep each float32 constant that half precision holds exactly in half precision, in place.

    Weights are published in half precision, so all of them are held exactly; what is not, such as the constants of
    preprocessing, stays as it is. OpenVINO widens them when it compiles the model.

    Args:
        model: an OpenVINO model.
    """
    for node in model.get_ops():
        if node.get_type_name() != "Constant" or node.get_element_type() != Type.f32:
            continue
        values = node.data
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size > 1 and np.array_equal(half.astype(np.float32), values):
            widened = opset13.convert(opset13.constant(half), "f32")
            widened.set_friendly_name(node.get_friendly_name())
            for reader in node.output(0).get_target_inputs():
                reader.replace_source_output(widened.output(0))
    model.validate_nodes_and_infer_types()


def append_pooled_features(model: Any, rows: int) -> bool:
    """Put mean and standard deviation of each channel that a YOLO detector's head sees behind its boxes, in place.

    The float32 and the int8 version of a network both have them, as neither changes the activations that the branch of
    the head for classes reads.

    Args:
        model: an OpenVINO model with one output, shape (n, rows, anchors).
        rows: rows of that output; the features are padded with zeros to fill its columns.

    Returns:
        Whether the head was found: a model without one is left as it is.
    """
    found = {
        int(match[1]): node.input(0).get_source_output()
        for node in model.get_ops()
        if node.get_type_name() == "Convolution" and (match := _HEAD.search(node.get_friendly_name()))
    }
    if sorted(found) != [0, 1, 2]:
        return False
    parts = [part for scale in sorted(found) for part in _pooled(found[scale])]
    pooled = opset13.concat(parts, 1)
    missing = -pooled.output(0).get_shape()[1] % rows
    padded = opset13.pad(pooled, [0, 0], [0, missing], "constant", np.float32(0))
    columns = opset13.reshape(padded, np.array([0, rows, -1]), special_zero=True)
    result = model.get_results()[0]
    both = opset13.concat([result.input(0).get_source_output(), columns], 2)
    result.input(0).replace_source_output(both.output(0))
    model.validate_nodes_and_infer_types()
    return True


_HEAD = re.compile(r"\.cv3\.([0-2])\.0\.(?:bn|conv)/.*Convolution$")
"""First layer of the head's branch for classes, by scale, as ultralytics and OpenVINO name it."""


def _pooled(maps: Any) -> list[Any]:
    """Mean and standard deviation (of a sample) of each channel, shape (n, channels), of maps (n, channels, h, w)."""
    axes = np.array([2, 3])
    height, width = list(maps.get_shape())[2:]
    mean = opset13.reduce_mean(maps, axes, keep_dims=True)
    off = opset13.subtract(maps, mean)
    total = opset13.reduce_sum(opset13.multiply(off, off), axes, keep_dims=False)
    deviation = opset13.sqrt(opset13.divide(total, np.float32(height * width - 1)))
    return [opset13.squeeze(mean, axes), deviation]
