"""Fits the gate in front of the answers to a weights folder's detector, and measures what it rejects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from streamer._pixels import to_grey
from streamer._progress import track
from streamer.backends import choose_backend
from streamer.data.dataset import load_dataset
from streamer.data.negatives import LIFTED_PROBES, negative_pictures
from streamer.data.pixels import read_pictures
from streamer.data.samples import Sample
from streamer.errors import DataError, WeightsError
from streamer.metrics.estimate import proportion
from streamer.models.detector import Detector
from streamer.models.gate import GATE_FILE, Gate, save_gate, scaled
from streamer.models.loading import load_runner
from streamer.models.weights_manifest import GateEntry, ReportedFigure, read_manifest, write_gate
from streamer.phantom import random_scene, simulate
from streamer.settings import DetectionSettings, RuntimeSettings
from streamer.sources import open_source
from streamer.types import Grey

Floats = npt.NDArray[np.float32]
Look = Callable[[Iterable[tuple[str, Grey]]], "Seen"]

_KNOWN = ("cine", "ddti", "tn3k", "gland")
"""Sources that show the neck, and teach what passes."""
_OTHER_ORGAN = "breast"
FALSE_ALARMS = 0.008
"""Share of known views, of groups that a fit has not seen, below the threshold: 1 % is what is wanted."""
_PHANTOM = "phantom"
_TAUGHT = "other clips"
_ORGANS = (_OTHER_ORGAN, _TAUGHT)
_PRECISIONS: tuple[Literal["fp32", "auto"], ...] = ("fp32", "auto")
_FOLDS = 3
_AXES = 64
"""Directions in which known views have a variance of their own."""
_MIN_PICTURES = 5
"""Of which a score can be fitted."""
_FEW_FOLDS = 2
_PHANTOMS = 10
"""Pictures of a source for each simulated view: they take long, and vary little."""
_MIN_SCALE = 1e-2
_CHECKED_FRAMES = 10
"""Frames of a clip that is to be checked, evenly spread."""


class Seen(NamedTuple):
    """Features of pictures, shape (n, features), and the group of each, which is never split.

    Each picture has `rows` rows, one for each arithmetic that it was seen in; the last is what runs by default.
    """

    features: Floats
    groups: tuple[str, ...]
    rows: int = 1

    @property
    def pictures(self) -> int:
        """How many there are."""
        return len(self.groups) // self.rows


def fit_gate(
    data: Path,
    weights: Path,
    *,
    images: int,
    others: Sequence[Path] = (),
    check: Sequence[Path] = (),
    threads: int = 1,
) -> list[ReportedFigure]:
    """Fit the gate to known views and pictures of other things, measure it, and store it with the weights.

    Args:
        data: folder in the public layout, or CSV manifest.
        weights: weights folder; its detector's features are what the gate judges by.
        images: pictures of each source, and of other things, at most.
        others: clips and pictures that show no neck, to teach what does not pass.
        check: clips and pictures that show no neck, to measure on; each is a figure of its own.
        threads: CPU threads.

    Returns:
        Shares of rejected pictures, by what they show; they are in the manifest, too.

    Raises:
        DataError: data are missing, or hold no view of the neck.
        InputError: a file to check on cannot be read.
        WeightsError: the folder has no detector.
        OutputError: the weights folder cannot be written.
    """
    look = _looking(weights, threads)
    samples = load_dataset(data).samples
    known = {source: seen for source in _KNOWN if (seen := _of_source(look, samples, source, "train", images))}
    if not known:
        raise DataError(f"{data} holds no training view of the neck ({', '.join(_KNOWN)})")
    known[_PHANTOM] = look(_phantoms(images // _PHANTOMS, seed=0))
    foreign = _other_things(look, images)
    if breast := _of_source(look, samples, _OTHER_ORGAN, "train", 3 * images):
        foreign[_OTHER_ORGAN] = breast
    if others:
        foreign[_TAUGHT] = look(picture for path in others for picture in _pictures_of(path))
    gate = fitted(list(known.values()), foreign)
    figures = _held_out(gate, look, samples, images)
    figures += [_figure(gate, look(_pictures_of(path)), path.name, "not taught") for path in check]
    amounts = ", ".join(f"{seen.pictures} {name}" for name, seen in known.items())
    against = ", ".join(f"{seen.pictures} {name}" for name, seen in foreign.items())
    entry = GateEntry(
        file=GATE_FILE,
        sha256=save_gate(gate, weights),
        detector_sha256=read_manifest(weights).models["detector"].sha256,
        min_scores=gate.min_scores,
        max_distance=gate.max_distance,
        source=f"{amounts} (train) against {against}; thresholds from {_FOLDS} folds of groups",
        figures=tuple(figures),
    )
    write_gate(weights, entry)  # it is good as it is; what follows takes long, and only measures
    figures += _kind_by_kind(known, foreign)
    write_gate(weights, entry.model_copy(update={"figures": tuple(figures)}))
    return figures


def _held_out(gate: Gate, look: Look, samples: Sequence[Sample], images: int) -> list[ReportedFigure]:
    """Held-out views of the neck, real and simulated, and held-out breasts."""
    seen_of = {source: _of_source(look, samples, source, "val", images) for source in (*_KNOWN, _OTHER_ORGAN)}
    figures = [_figure(gate, seen, source, "val") for source, seen in seen_of.items() if seen]
    return [*figures, _figure(gate, look(_phantoms(images // _PHANTOMS, seed=1)), _PHANTOM, "val")]


def _kind_by_kind(known: Mapping[str, Seen], foreign: Mapping[str, Seen]) -> list[ReportedFigure]:
    """Each kind of other thing by a fit that has not seen the kind."""
    figures = []
    for kind, seen in track(foreign.items(), len(foreign), "kinds left out in turn"):
        without = {name: other for name, other in foreign.items() if name != kind}
        if without:
            gate = fitted(list(known.values()), without, folds=_FEW_FOLDS)
            figures.append(_figure(gate, seen, kind, "kind not taught"))
    return figures


def fitted(known: Sequence[Seen], others: Mapping[str, Seen], *, folds: int = _FOLDS) -> Gate:
    """A gate between known views and pictures of other things.

    A share `FALSE_ALARMS` of the known views, each seen by a fit to other groups, fails one of the three thresholds, a
    third of it each.

    Args:
        known: views of each source.
        others: pictures of other things, by kind.
        folds: parts that the known views are divided into for that.
    """
    numbers = [_fold_of(seen.groups, folds) for seen in known]
    scores, distances = [], []
    for number in range(folds):
        part = _fit([seen.features[fold != number] for seen, fold in zip(known, numbers, strict=True)], others)
        for seen, fold in zip(known, numbers, strict=True):
            scores.append(part.scores(seen.features[fold == number])[:, :2])
            distances.append(part.distances(seen.features[fold == number]))
    least = np.quantile(np.concatenate(scores), FALSE_ALARMS / 3, axis=0)
    return replace(
        _fit([seen.features for seen in known], others),
        min_scores=(round(float(least[0]), 4), round(float(least[1]), 4)),
        max_distance=round(float(np.quantile(np.concatenate(distances), 1 - FALSE_ALARMS / 3)), 4),
    )


def _fit(known: Sequence[Floats], others: Mapping[str, Seen]) -> Gate:
    views = np.concatenate(known)
    mean = views.mean(axis=0)
    scale = np.maximum(views.std(axis=0), _MIN_SCALE)
    seen = scaled(views, mean, scale)
    foreign = {kind: scaled(one.features, mean, scale) for kind, one in others.items()}
    organs = _joined([one for kind, one in foreign.items() if kind in _ORGANS], seen)
    lifted = _joined([one for kind, one in foreign.items() if kind == LIFTED_PROBES], seen)
    all_else = [one for kind, one in foreign.items() if kind != LIFTED_PROBES]
    scores = [
        _linear(seen, _joined(list(foreign.values()), seen)),
        _linear(seen, organs),
        _linear(lifted, _joined([seen, *all_else], seen)),
    ]
    axes, gain = _shape_of(seen)
    return Gate(
        mean=mean,
        scale=scale,
        weight=np.stack([weight for weight, _ in scores]),
        bias=np.array([bias for _, bias in scores], np.float32),
        axes=axes,
        gain=gain,
        min_scores=(0.0, 0.0),
        max_distance=0.0,
    )


def _joined(parts: Sequence[Floats], like: Floats) -> Floats:
    return np.concatenate(parts) if parts else like[:0]


def _linear(wanted: Floats, rest: Floats) -> tuple[Floats, float]:
    """Weight and bias of a score above 0 for the wanted; the same for all pictures where either are too few."""
    if min(len(wanted), len(rest)) < _MIN_PICTURES:
        return np.zeros(rest.shape[1], np.float32), -1.0
    names = np.repeat([1, 0], [len(wanted), len(rest)])
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])
    found = model.fit(np.concatenate([wanted, rest]), names)
    return found.coef_[0].astype(np.float32), float(found.intercept_[0])


def _shape_of(views: Floats) -> tuple[Floats, Floats]:
    """Axes and gains of the distance: the covariance with Ledoit-Wolf shrinkage, all but its largest axes alike."""
    covariance = LedoitWolf(assume_centered=True).fit(views).covariance_
    variances, vectors = np.linalg.eigh(covariance)
    axes = min(_AXES, len(variances) // 2)
    kept, rest = variances[-axes:], variances[:-axes]
    return vectors[:, -axes:].T.astype(np.float32), (rest.mean() / kept - 1).astype(np.float32)


def _fold_of(groups: Sequence[str], folds: int) -> npt.NDArray[np.int64]:
    """Which fold each picture is in: whole groups, in turn."""
    numbers = {group: number % folds for number, group in enumerate(dict.fromkeys(groups))}
    return np.array([numbers[group] for group in groups])


def _looking(weights: Path, threads: int) -> Look:
    """What takes named pictures and gives their features: in float32, and in int8 where the weights have that."""
    manifest = read_manifest(weights)
    unfitted = GateEntry(
        file=GATE_FILE, sha256="", detector_sha256="", min_scores=(0.0, 0.0), max_distance=0.0, source="not yet fitted"
    )
    gated = manifest.model_copy(update={"gate": unfitted})
    detectors: list[Detector] = []
    for precision in _PRECISIONS:
        backend = choose_backend(RuntimeSettings(threads=threads, precision=precision))
        runner = load_runner(weights, "detector", gated, backend)
        if backend.precision == "int8" or not detectors:
            detectors.append(Detector(runner, manifest.models["detector"], DetectionSettings()))

    def look(pictures: Iterable[tuple[str, Grey]]) -> Seen:
        groups, rows = [], []
        for group, grey in pictures:
            for detector in detectors:
                features = detector.with_features([grey])[1]
                if features is None:
                    raise WeightsError(f"the detector of {weights} gives no features to judge by: train another one")
                groups.append(group)
                rows.append(features[0])
        return Seen(np.array(rows, np.float32), tuple(groups), len(detectors))

    return look


def _of_source(look: Look, samples: Sequence[Sample], source: str, split: str, images: int) -> Seen | None:
    """What is seen of a source's split, evenly spread; None where it has no picture."""
    chosen = [one for one in samples if one.source == source and one.split == split]
    if not chosen:
        return None
    positions = np.unique(np.linspace(0, len(chosen) - 1, images).round().astype(int))
    pictures = track(read_pictures([chosen[at] for at in positions]), len(positions), f"{source}, {split}")
    return look((picture.sample.group, picture.grey) for picture in pictures)


def _other_things(look: Look, images: int) -> dict[str, Seen]:
    by_kind: defaultdict[str, list[Grey]] = defaultdict(list)
    for picture in negative_pictures(4 * images, seed=0):
        by_kind[picture.kind].append(picture.grey)
    return {
        kind: look((str(number), grey) for number, grey in enumerate(track(greys, len(greys), f"{kind}")))
        for kind, greys in by_kind.items()
    }


def _phantoms(count: int, seed: int) -> Iterator[tuple[str, Grey]]:
    """Simulated views of the neck: a demonstration shows them."""
    for number in range(seed * count, (seed + 1) * count):
        scene = random_scene(number)
        frames = simulate(seed=number, frames=1, nodules=scene.nodules, neck=scene.neck, scanner=scene.scanner)
        yield from ((f"phantom {number}", to_grey(frame.image)) for frame in frames)


def _pictures_of(path: Path) -> Iterator[tuple[str, Grey]]:
    """Frames of a clip, or pictures of a folder, evenly spread."""
    with open_source(path) as source:
        step = max(1, (source.expected_frames or 1) // _CHECKED_FRAMES)
        for frame in source.frames():
            if frame.index % step == 0:
                yield path.name, to_grey(frame.image)


def _figure(gate: Gate, seen: Seen, data: str, split: str) -> ReportedFigure:
    passed = gate.passes(seen.features[seen.rows - 1 :: seen.rows])
    figure = proportion(int((~passed).sum()), len(passed))
    return ReportedFigure(
        name="share rejected by the gate",
        value=figure.value,
        low=figure.low,
        high=figure.high,
        data=data,
        split=split,
        count=figure.count,
        clusters=len(set(seen.groups)),
        method=figure.method,
    )
