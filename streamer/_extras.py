"""What the analysis on a CPU does not need: libraries that are extras of the package, and how to get a missing one."""

from __future__ import annotations

_EXTRAS = {
    "app": ("fastapi", "gradio", "starlette", "uvicorn"),
    "archive": ("aiohttp", "fsspec", "pyarrow", "ray"),
    "benchmark": ("lap",),
    "dicom": ("dicomanonymizer", "highdicom", "httpx", "imagecodecs", "pydicom", "pynetdicom", "python_multipart"),
    "quantise": ("nncf",),
    "tensorboard": ("tensorboard",),
    "train": (
        "captum",
        "segmentation_models_pytorch",
        "sklearn",
        "statsmodels",
        "torch",
        "torchvision",
        "ultralytics",
    ),
}
"""Modules by extra, as `pyproject.toml` has them; `cuda` is the part of `train` that runs networks."""


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """One line that says what is missing and how to install it; None where the module belongs to no extra.

    Example:
        >>> missing_extra(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))
        "this needs torch, which is not installed: python -m pip install 'streamer[train]'"
    """
    module = (error.name or "").partition(".")[0]
    for extra, modules in _EXTRAS.items():
        if module in modules:
            return f"this needs {module}, which is not installed: python -m pip install 'streamer[{extra}]'"
    return None
