"""A network in OpenVINO's float32 form to int8, with nncf; and how well the two agree."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import streamer.backends.openvino  # noqa: F401  keeps nncf, too, from reporting usage: must come before it
from streamer.backends import Runner
from streamer.errors import StreamerError


def quantised(
    model: Any, inputs: npt.NDArray[np.uint8], *, fp32_layers: Sequence[str], fast_bias_correction: bool
) -> Any:
    """The int8 version of an OpenVINO model, which is changed on the way.

    Args:
        model: float32.
        inputs: what sets the integers' ranges, shape (n, views, height, width).
        fp32_layers: layers that stay in float32, as patterns of their names.
        fast_bias_correction: whether the error that rounding leaves in each layer's mean may be estimated.

    Raises:
        StreamerError: nncf is not installed.
    """
    try:
        import nncf
    except ImportError as error:
        raise StreamerError("quantising needs nncf: python -m pip install 'streamer[quantise]'") from error
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet
    from openvino._offline_transformations import apply_moc_transformations

    logging.getLogger("nncf").setLevel(logging.ERROR)  # its own function would set every handler there, whosever it is
    apply_moc_transformations(model, cf=False)  # joins batch normalisation to convolutions: nncf does not
    _name_joined(model)
    # Histograms cut rare large activations off, where that makes the error smaller: for the detector the logits' error
    # falls from 0.29 to 0.12 against means of extremes.
    return nncf.quantize(
        model,
        nncf.Dataset(inputs, lambda views: views),
        subset_size=len(inputs),
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
        fast_bias_correction=fast_bias_correction,
        ignored_scope=nncf.IgnoredScope(patterns=list(fp32_layers), validate=False),  # a head is of one kind or another
        advanced_parameters=AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.HISTOGRAM
        ),
    )


def _name_joined(model: Any) -> None:
    """Name each convolution that was joined with its normalisation after that: it has lost its own name."""
    for node in model.get_ops():
        if node.get_type_name() == "Convolution":
            following = next(iter(node.output(0).get_target_inputs())).get_node().get_friendly_name()
            if following.endswith("BatchNormInference"):
                node.set_friendly_name(f"{following}/Convolution")


def correlation(first: Runner, second: Runner, inputs: npt.NDArray[np.uint8]) -> float:
    """Pearson correlation of two networks' outputs over `inputs`: the lowest of the channels', 0 where undefined.

    Args:
        first: one network.
        second: the other.
        inputs: shape (n, views, height, width).
    """
    images = inputs.reshape(-1, *inputs.shape[2:])
    ours, theirs = first(images), second(images)
    with np.errstate(invalid="ignore", divide="ignore"):
        channels = [
            np.corrcoef(ours[:, channel].ravel(), theirs[:, channel].ravel())[0, 1] for channel in range(ours.shape[1])
        ]
    return float(np.nan_to_num(min(channels)))
