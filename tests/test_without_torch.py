"""The analysis needs no torch, nor any other extra, and a start imports little."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import streamer
from streamer._extras import missing_extra
from streamer.outputs.schema import read_report
from streamer.phantom import simulate, write_clip

_CORE = """
import sys
from importlib.machinery import PathFinder

EXTRAS = {"captum", "fastapi", "gradio", "highdicom", "imagecodecs", "lap", "nncf", "pydicom",
          "segmentation_models_pytorch", "sklearn", "statsmodels", "tensorboard", "torch", "torchvision", "ultralytics"}

class CoreAlone(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in EXTRAS else super().find_spec(name, path, target)

sys.meta_path[:] = [CoreAlone if finder is PathFinder else finder for finder in sys.meta_path]
"""
"""Lets a process run as in an environment of the core alone."""

_COMMANDS = """
import json
from streamer.cli.main import main

codes = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["streamer", *arguments]
    try:
        main()
    except SystemExit as ended:
        codes.append(ended.code or 0)
print(*sorted({"matplotlib", "PIL", "scipy", "supervision", "trackers"} & set(sys.modules)))
print(json.dumps(codes))
"""


def python(code: str, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(streamer.__path__[0]).parent), "COLUMNS": "200"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_the_main_job_and_a_heat_map_with_the_core_alone(tmp_path: Path, precision: str) -> None:
    write_clip(tmp_path / "clip.mp4", simulate(frames=4))
    (tmp_path / "config.yaml").write_text(f"runtime: {{precision: {precision}, threads: 1}}")
    run = ["run", "--video", "clip.mp4", "--config", "config.yaml", "--output", "out"]
    heat = ["heatmap", "--video", "clip.mp4", "--frame", "1", "--config", "config.yaml", "--output", "heat.png"]
    commands = [run, heat] if precision == "auto" else [run]
    ended = python(_CORE + _COMMANDS, json.dumps(commands), folder=tmp_path)
    assert json.loads(ended.stdout.splitlines()[-1]) == [0] * len(commands), ended.stderr
    assert "warning" not in ended.stderr
    assert ended.stdout.splitlines()[-2] == ""  # none of what takes long to import was needed
    report = read_report(tmp_path / "out" / "report.json")
    assert report.videos[0].frames == 4
    assert (tmp_path / "out" / "overlay.mp4").stat().st_size > 1000
    assert (tmp_path / "heat.png").is_file() == (precision == "auto")


def test_what_needs_an_extra_says_so_in_one_line(tmp_path: Path) -> None:
    commands = [
        ["train", "detector", "--data", "."],
        ["publish", "run"],
        ["app"],
        ["live", "--source", "absent.mp4", "--device", "cuda"],
    ]
    ended = python(_CORE + _COMMANDS, json.dumps(commands), folder=tmp_path)
    assert json.loads(ended.stdout.splitlines()[-1]) == [2] * len(commands)
    install = "which is not installed: python -m pip install"
    lines = ended.stderr.splitlines()
    assert len(lines) == len(commands)
    assert lines[0].endswith(f"{install} 'streamer[train]'")
    assert lines[1].endswith(f"{install} 'streamer[train]'")
    assert lines[2].endswith(f"{install} 'streamer[app]'")
    assert lines[3] == "error: there is no file or folder absent.mp4"


def test_weights_without_openvino_files_say_what_to_do(weights_folder: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", simulate(frames=1))
    (tmp_path / "config.yaml").write_text(f"weights: {weights_folder}")
    (tmp_path / "cuda.yaml").write_text("runtime: {device: cuda}")
    commands = [["run", "--video", "clip.mp4", "--config", config] for config in ("config.yaml", "cuda.yaml")]
    code = _CORE + f"import os\nos.environ['STREAMER_CACHE'] = {str(tmp_path / 'cache')!r}\n" + _COMMANDS
    ended = python(code, json.dumps(commands), folder=tmp_path)
    assert json.loads(ended.stdout.splitlines()[-1]) == [2, 2]
    without_files, on_cuda = ended.stderr.splitlines()
    assert without_files.startswith("error: these weights have no OpenVINO files, and making them needs torch: python")
    assert "`streamer publish --weights FOLDER`" in without_files
    assert on_cuda.startswith("error: CUDA was asked for, but CUDA needs torch, which is not installed: python -m pip")
    assert "'streamer[cuda]'" in on_cuda


def test_what_a_start_imports() -> None:
    code = """
import sys
import streamer.cli.main
command_line = set(sys.modules)
import streamer.cli.piped, streamer.cli.run, streamer.backends.openvino
print(len(command_line), len(sys.modules), *sorted(name for name in sys.modules if "." not in name))
"""
    ended = python(code)
    command_line, run, *names = ended.stdout.split()
    heavy = {"captum", "fastapi", "gradio", "pandas", "sklearn", "statsmodels", "torch", "torchvision"}
    # The core has these, but a run of a video needs none of them until it draws, tracks or reads what asks for them.
    heavy |= {"PIL", "joblib", "matplotlib", "pillow_heif", "pydicom", "scipy", "supervision", "trackers"}
    assert heavy.isdisjoint(names)
    assert int(command_line) < 500
    assert int(run) < 850


def test_a_module_of_no_extra_is_no_missing_extra() -> None:
    assert missing_extra(ModuleNotFoundError("No module named 'x'", name="x")) is None
    assert missing_extra(ModuleNotFoundError("No module named ''")) is None
    line = missing_extra(ModuleNotFoundError("No module named 'pydicom.uid'", name="pydicom.uid"))
    assert line == "this needs pydicom, which is not installed: python -m pip install 'streamer[dicom]'"


def test_the_process_ends_with_its_exit_code_and_all_that_was_said(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", simulate(frames=1))
    end = "import runpy, sys\nsys.argv = ['streamer', *sys.argv[1:]]\nrunpy.run_module('streamer', run_name='__main__')"
    (tmp_path / "config.yaml").write_text("runtime: {threads: 1}")
    done = python(end, "run", "--video", "clip.mp4", "--config", "config.yaml", "--output", "out", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("report.html")
    assert read_report(tmp_path / "out" / "report.json").complete
    failed = python(end, "run", "--video", "absent.mp4", folder=tmp_path)
    assert (failed.returncode, failed.stderr) == (2, "error: there is no file or folder absent.mp4\n")
