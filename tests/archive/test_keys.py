"""What names an analysis: all of weights and settings, but for what is known to decide nothing."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from streamer._resources import weights_dir
from streamer.archive import keys
from streamer.archive.keys import analysis_id
from streamer.models.weights_manifest import MANIFEST, GateEntry, Manifest, ModelEntry, read_manifest
from streamer.settings import RuntimeSettings, Settings

_Steps = tuple[str | int, ...]

_UNDECISIVE_WEIGHTS = re.compile(
    r"version|(models\.\w+|gate)\.(file|figures\b.*)|gate\.source|models\.\w+\."
    r"(operating_point_source|licence|training\b.*|sweep\.source"
    r"|int8\.(file|versions\b.*|calibration\b.*|fp32_layers\b.*|correlation|cost\b.*)"
    r"|fp32\.(file|versions\b.*|difference))"
)
_UNDECISIVE_SETTINGS = re.compile(r"outputs|weights|overlay\b.*|runtime\.(threads|batch_frames)")
_OTHER: dict[object, Any] = {
    "frame": "crop", "crop": "frame", "auto": "cpu", "off": "on", None: 0.3, 320: 352, 256: 288, 128: 160,
}  # fmt: skip
"""Values of another kind than their neighbours allow."""


def _leaves(value: Any, path: _Steps = ()) -> Iterator[_Steps]:
    """The paths to what is no mapping or list; of a list to the first alone."""
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else [(0, one) for one in value[:1]]
        for name, one in items:
            yield from _leaves(one, (*path, name))
    else:
        yield path


def _changed(content: Any, path: _Steps) -> Any:
    content = copy.deepcopy(content)
    place = content
    for step in path[:-1]:
        place = place[step]
    before = place[path[-1]]
    if isinstance(before, bool):
        after: Any = not before
    elif before in _OTHER:
        after = _OTHER[before]
    elif isinstance(before, str):
        after = f"{before}x"
    else:
        after = before * 0.9 or 0.1 if isinstance(before, float) else before + 1
    place[path[-1]] = after
    if path[-2:] == ("size_wh", 0):  # a crop's sides are equal
        place[1] = after if place[1] == before else place[1]
    return content


def _manifest() -> dict[str, Any]:
    """The published one, of which long lists are cut."""
    content = json.loads((weights_dir() / MANIFEST).read_bytes())
    for entry in (*content["models"].values(), content["gate"]):
        entry["figures"] = entry["figures"][:1]
    for entry in content["models"].values():
        entry["training"] |= {"config": {}, "data": {}}
        for precision in ("int8", "fp32"):
            entry[precision]["probe"] = [[0.5]]
    return dict(content)


_MANIFEST = _manifest()
_FREE = [
    path
    for path in _leaves(_MANIFEST)
    if path[-1] not in ("view", "version", "encoder_from", "sweep") and "training" not in path
]


def _id_of(folder: Path, content: Any) -> str:
    (folder / MANIFEST).write_text(json.dumps(content))
    return analysis_id(Settings(weights=folder))


def test_all_of_the_weights_counts_but_what_decides_nothing(tmp_path: Path) -> None:
    before = _id_of(tmp_path, _MANIFEST)
    wrong = []
    for path in _FREE:
        name = ".".join(str(step) for step in path)
        same = _id_of(tmp_path, _changed(_MANIFEST, path)) == before
        if same != bool(_UNDECISIVE_WEIGHTS.fullmatch(name)):
            wrong.append(name)
    assert not wrong
    assert len(_FREE) > 60


def test_what_there_may_or_may_not_be_counts(tmp_path: Path) -> None:
    before = _id_of(tmp_path, _MANIFEST)
    assert _id_of(tmp_path, _changed(_MANIFEST, ("models", "segmenter", "encoder_from"))) != before
    without = copy.deepcopy(_MANIFEST)
    without["models"]["classifier"]["sweep"] = None
    assert _id_of(tmp_path, without) != before
    assert _id_of(tmp_path, {**_MANIFEST, "gate": None}) != before
    assert _id_of(tmp_path, {**_MANIFEST, "version": 1}) == before


@pytest.mark.parametrize("section", [name for name in Settings.model_fields if name not in ("outputs", "weights")])
def test_all_settings_count_but_what_decides_nothing(section: str) -> None:
    content = Settings().model_dump(mode="json")
    others: dict[str, Any] = {"max_nodules": 3, "preset": "fast", "backend": "torch", "precision": "fp32",
                              "decoder": "cuda", "deinterlace": "on"}  # fmt: skip
    wrong = []
    for path in _leaves(content[section], (section,)):
        changed = _changed(content, path)
        changed[section][path[-1]] = others.get(str(path[-1]), changed[section][path[-1]])
        name = ".".join(str(step) for step in path)
        same = analysis_id(Settings.model_validate(changed)) == analysis_id(Settings())
        if same != bool(_UNDECISIVE_SETTINGS.fullmatch(name)):
            wrong.append(name)
    assert not wrong


def test_outputs_and_the_place_of_the_weights_do_not_count(tmp_path: Path) -> None:
    before = analysis_id(Settings())
    assert analysis_id(Settings(outputs=("csv",))) == before
    assert _id_of(tmp_path, json.loads((weights_dir() / MANIFEST).read_bytes())) == before
    assert analysis_id(Settings(), pixel_spacing_mm=(0.1, 0.1)) != before


class _LaterRuntime(RuntimeSettings):
    novel: int = 0


class _LaterSettings(Settings):
    runtime: _LaterRuntime = _LaterRuntime()
    novel: int = 0


def test_a_setting_that_comes_later_counts() -> None:
    ids = {
        analysis_id(_LaterSettings()),
        analysis_id(_LaterSettings(novel=1)),
        analysis_id(_LaterSettings(runtime=_LaterRuntime(novel=1))),
    }
    assert len(ids) == 3


class _LaterGate(GateEntry):
    novel: int


class _LaterEntry(ModelEntry):
    novel: int


class _LaterManifest(Manifest):
    gate: _LaterGate | None = None
    novel: int


def _later(model: type[BaseModel], before: BaseModel, novel: int, **more: Any) -> Any:
    """A model with a field more; parts of it are taken as they are."""
    return model.model_construct(**{**dict(before), **more}, novel=novel)


def test_a_field_of_the_manifest_that_comes_later_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    known = read_manifest(weights_dir())
    detector = known.models["detector"]

    def with_(manifest: int = 0, entry: int = 0, gate: int = 0) -> str:
        later = _later(
            _LaterManifest,
            known,
            manifest,
            models={**known.models, "detector": _later(_LaterEntry, detector, entry)},
            gate=_later(_LaterGate, known.gate or detector, gate),
        )
        monkeypatch.setattr(keys, "read_manifest", lambda _: later)
        return analysis_id(Settings())

    assert len({with_(), with_(manifest=1), with_(entry=1), with_(gate=1)}) == 4
