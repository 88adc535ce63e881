"""The rewritten graph computes what it did, with shorter concatenations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset13

from streamer.backends._openvino_graph import chain_concatenations, halve_constants


def dense_block(*, axis_of_last: int = 1) -> Any:
    """Three layers that each read all before; what each reads is put out, too."""
    image = opset13.parameter([2, 3, 4, 4], np.float32, name="image")
    features, read = [image], []
    for number in range(3):
        features.append(opset13.relu(opset13.multiply(features[-1], np.float32(number - 1.5))))
        read.append(opset13.concat(features, axis_of_last if number == 2 else 1))
    return openvino.Model([opset13.result(node) for node in read], [image], "dense")


def run(model: Any, image: np.ndarray[Any, np.dtype[np.float32]]) -> list[Any]:
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(value) for value in compiled([image]).values()]


def lengths(model: Any) -> list[int]:
    return sorted(len(node.inputs()) for node in model.get_ops() if node.get_type_name() == "Concat")


def test_each_concatenation_takes_the_one_before_and_one_more() -> None:
    image = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    model = dense_block()
    before = run(model, image)
    assert lengths(model) == [2, 3, 4]
    chain_concatenations(model)
    assert lengths(model) == [2, 2, 2]
    for ours, theirs in zip(run(model, image), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_along_another_axis_it_is_another_concatenation() -> None:
    model = dense_block(axis_of_last=2)
    chain_concatenations(model)
    assert lengths(model) == [2, 2, 4]


def test_constants_that_half_precision_holds_take_half_the_room_and_change_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    held = rng.normal(size=(4, 3)).astype(np.float16).astype(np.float32)
    too_large, too_fine = np.full((4, 3), 1e6, np.float32), np.full((4, 3), 1 / 3, np.float32)
    image = opset13.parameter([4, 3], np.float32, name="image")
    product = opset13.multiply(opset13.multiply(opset13.multiply(image, held), too_large), too_fine)
    model = openvino.Model([opset13.result(product)], [image], "constants")
    values = rng.normal(size=(4, 3)).astype(np.float32)
    before = run(model, values)
    halve_constants(model)
    openvino.save_model(model, tmp_path / "halved.xml", compress_to_fp16=False)
    assert (tmp_path / "halved.bin").stat().st_size == 12 * 2 + 2 * 12 * 4
    for found in (model, openvino.Core().read_model(tmp_path / "halved.xml")):
        np.testing.assert_array_equal(run(found, values)[0], before[0])
