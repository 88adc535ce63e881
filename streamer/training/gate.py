"""Fits the gate in front of the answers to a weights folder's detector, and measures what it rejects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
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
from streamer.data.negatives import LIFTED_PROBES, LUNGS, negative_pictures
from streamer.data.pixels import read_pictures
from streamer.data.samples import Sample
from streamer.errors import DataError, WeightsError
from streamer.metrics.estimate import Figure, Resampling, mean_figure, proportion
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
FALSE_ALARMS = (0.002, 0.0055, 0.001)
"""Shares of known views, of groups that a fit has not seen, that fail each threshold: of the score against other
things, of that against other organs, and of the distance. Together below the 1 % that is wanted; organs are hardest to
tell."""
_PHANTOM = "phantom"
_TAUGHT = "other clips"
_ORGANS = (_OTHER_ORGAN, _TAUGHT, LUNGS)
"""Kinds that are ultrasound of other organs, real and simulated."""
_PRECISIONS: tuple[Literal["fp32", "auto"], ...] = ("fp32", "auto")
_FOLDS = 3
_AXES = 64
"""Directions in which known views have a variance of their own."""
_SHRINKAGE = 0.05
"""Of the covariance within kinds, towards one without correlations."""
_MIN_CLIPS = 2
_MIN_ROWS = 5
"""Of which a score can be fitted."""
_FEW_FOLDS = 2
_PHANTOMS = 120
"""Simulated views. Of 20 the distance took every third frame of the demonstration's clip for something unknown."""
_PHANTOM_FRAMES = 8
"""Of the short clip of the demonstration's scene that every third of them is the last frame of."""
_MIN_SCALE = 1e-2
_CHECKED_FRAMES = 10
"""Frames of a clip, at least, evenly spread; fewer than twice as many."""


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
        images: real pictures of each source, and simulated ones of other things, at most.
        others: clips, and folders of at most `images` pictures each, that show no neck, to teach what does not pass.
        check: the same, to measure on; each is a figure of its own.
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
    known[_PHANTOM] = look(phantom_views(_PHANTOMS, seed=0))
    foreign = _other_things(look, images)
    if breast := _of_source(look, samples, _OTHER_ORGAN, "train", images):
        foreign[_OTHER_ORGAN] = breast
    if others:
        foreign[_TAUGHT] = look(picture for path in others for picture in pictures_of(path, images))
    gate = fitted(known, foreign)
    figures = _held_out(gate, look, samples, images)
    figures += [_figure(gate, look(pictures_of(path, images)), path.name, "not taught") for path in check]
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
    figures += _leave_one_kind_out(known, foreign)
    figures += leave_one_clip_out(known, foreign)
    write_gate(weights, entry.model_copy(update={"figures": tuple(figures)}))
    return figures


def _held_out(gate: Gate, look: Look, samples: Sequence[Sample], images: int) -> list[ReportedFigure]:
    """Held-out views of the neck, real and simulated, and held-out breasts."""
    seen_of = {source: _of_source(look, samples, source, "val", images) for source in (*_KNOWN, _OTHER_ORGAN)}
    figures = [_figure(gate, seen, source, "val") for source, seen in seen_of.items() if seen]
    return [*figures, _figure(gate, look(phantom_views(_PHANTOMS, seed=1)), _PHANTOM, "val")]


def _leave_one_kind_out(known: Mapping[str, Seen], foreign: Mapping[str, Seen]) -> list[ReportedFigure]:
    """Each kind of other thing by a fit that has not seen the kind."""
    figures = []
    for kind, seen in track(foreign.items(), len(foreign), "kinds left out in turn"):
        without = {name: other for name, other in foreign.items() if name != kind}
        if without:
            gate = fitted(known, without, folds=_FEW_FOLDS)
            figures.append(_figure(gate, seen, kind, "kind not taught"))
    return figures


def leave_one_clip_out(known: Mapping[str, Seen], foreign: Mapping[str, Seen]) -> list[ReportedFigure]:
    """What was taught with `others`: each clip by a fit to all but it. None where that is a single one, or none is."""
    taught = foreign.get(_TAUGHT)
    clips = dict.fromkeys(taught.groups) if taught is not None else {}
    if taught is None or len(clips) < _MIN_CLIPS:
        return []
    rejected: list[bool] = []
    groups: list[str] = []
    for clip in track(clips, len(clips), "clips left out in turn"):
        own = np.array([group == clip for group in taught.groups])
        rest = {**foreign, _TAUGHT: _some(taught, ~own)}
        shown = _shown(_some(taught, own))
        rejected += list(~fitted(known, rest, folds=_FEW_FOLDS).passes(shown))
        groups += [clip] * len(shown)
    return [
        _reported(mean_figure(rejected, groups, Resampling(unit="clip")), _TAUGHT, "each clip by a fit to the others")
    ]


def _some(seen: Seen, kept: npt.NDArray[np.bool_]) -> Seen:
    groups = tuple(group for group, keep in zip(seen.groups, kept, strict=True) if keep)
    return Seen(seen.features[kept], groups, seen.rows)


def fitted(known: Mapping[str, Seen], others: Mapping[str, Seen], *, folds: int = _FOLDS) -> Gate:
    """A gate between known views and pictures of other things.

    Known views, each seen by a fit to other groups, fail each of the three thresholds in a share of `FALSE_ALARMS`.

    Args:
        known: views of each source.
        others: pictures of other things, by kind.
        folds: parts that the known views are divided into for that.
    """
    numbers = {source: _fold_of(seen.groups, folds) for source, seen in known.items()}
    scores, distances = [], []
    for number in range(folds):
        part = _fit({source: seen.features[numbers[source] != number] for source, seen in known.items()}, others)
        for source, seen in known.items():
            features = seen.features[numbers[source] == number]
            scores.append(part.scores(features)[:, :2])
            distances.append(part.distances(features))
    all_scores, all_distances = np.concatenate(scores), np.concatenate(distances)
    against_things, against_organs, away = FALSE_ALARMS
    return replace(
        _fit({source: seen.features for source, seen in known.items()}, others),
        min_scores=(
            round(float(np.quantile(all_scores[:, 0], against_things)), 4),
            round(float(np.quantile(all_scores[:, 1], against_organs)), 4),
        ),
        max_distance=round(float(np.quantile(all_distances, 1 - away)), 4),
    )


def _fit(known: Mapping[str, Floats], others: Mapping[str, Seen]) -> Gate:
    views = np.concatenate(list(known.values()))
    mean = views.mean(axis=0)
    scale = np.maximum(views.std(axis=0), _MIN_SCALE)
    seen = {source: scaled(features, mean, scale) for source, features in known.items()}
    foreign = {kind: scaled(one.features, mean, scale) for kind, one in others.items()}
    all_views = np.concatenate(list(seen.values()))
    organs = _joined([one for kind, one in foreign.items() if kind in _ORGANS], all_views)
    lifted = _joined([one for kind, one in foreign.items() if kind == LIFTED_PROBES], all_views)
    all_else = [one for kind, one in foreign.items() if kind != LIFTED_PROBES]
    scores = [_linear(all_views, organs), _linear(lifted, _joined([all_views, *all_else], all_views))]
    (known_weight, known_bias), (other_weight, other_bias) = _by_kind(list(seen.values()), list(foreign.values()))
    axes, gain = _shape_of(all_views)
    return Gate(
        mean=mean,
        scale=scale,
        known_weight=known_weight,
        known_bias=known_bias,
        other_weight=other_weight,
        other_bias=other_bias,
        score_weight=np.stack([weight for weight, _ in scores]),
        score_bias=np.array([bias for _, bias in scores], np.float32),
        axes=axes,
        gain=gain,
        min_scores=(0.0, 0.0),
        max_distance=0.0,
    )


def _by_kind(known: Sequence[Floats], foreign: Sequence[Floats]) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Weights and biases of the kinds of known views and of other things: linear discriminants, all kinds alike likely.

    Kinds of a few pictures are left out. One score of known views against everything else would take photographs, pages
    and breasts for one thing with a mean that none of them is like.
    """
    parts = [(one, True) for one in known] + [(one, False) for one in foreign]
    parts = [(one, is_known) for one, is_known in parts if len(one) >= _MIN_ROWS]
    names = np.repeat(np.arange(len(parts)), [len(one) for one, _ in parts])
    priors = np.full(len(parts), 1 / len(parts))
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=_SHRINKAGE, priors=priors)
    model.fit(np.concatenate([one for one, _ in parts]), names)
    # Not the model's own coefficients: of two kinds it keeps their difference only.
    weight = np.linalg.solve(model.covariance_, model.means_.T).T.astype(np.float32)
    bias = (-0.5 * (weight * model.means_).sum(1)).astype(np.float32)
    which = np.array([is_known for _, is_known in parts])
    return (weight[which], bias[which]), (weight[~which], bias[~which])


def _joined(parts: Sequence[Floats], like: Floats) -> Floats:
    return np.concatenate(parts) if parts else like[:0]


def _linear(wanted: Floats, rest: Floats) -> tuple[Floats, float]:
    """Weight and bias of a score above 0 for the wanted; the same for all pictures where either are too few."""
    if min(len(wanted), len(rest)) < _MIN_ROWS:
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
    for picture in negative_pictures(images, seed=0):
        by_kind[picture.kind].append(picture.grey)
    return {
        kind: look((str(number), grey) for number, grey in enumerate(track(greys, len(greys), f"{kind}")))
        for kind, greys in by_kind.items()
    }


def phantom_views(count: int, seed: int) -> Iterator[tuple[str, Grey]]:
    """Simulated views of the neck, each of another draw; every third is of the scene that a demonstration shows."""
    for number in range(seed * count, (seed + 1) * count):
        if number % 3 == 0:
            frames = simulate(seed=number, frames=_PHANTOM_FRAMES)
        else:
            scene = random_scene(number)
            frames = simulate(seed=number, frames=1, nodules=scene.nodules, neck=scene.neck, scanner=scene.scanner)
        *_, last = frames
        yield f"phantom {number}", to_grey(last.image)


def pictures_of(path: Path, most: int) -> Iterator[tuple[str, Grey]]:
    """Frames of a clip, or at most `most` pictures of a folder, evenly spread; all are of one group."""
    stills = path.is_dir() and sum(1 for _ in path.iterdir()) > 1
    with open_source(path) as source:
        expected = source.expected_frames or 1
        step = -(-expected // most) if stills else max(1, expected // _CHECKED_FRAMES)
        for number, frame in enumerate(source.frames()):
            if number % step == 0:
                yield str(path), to_grey(frame.image)


def _shown(seen: Seen) -> Floats:
    """The features of each picture as they are in use: the last of its rows."""
    return seen.features[seen.rows - 1 :: seen.rows]


def _figure(gate: Gate, seen: Seen, data: str, split: str) -> ReportedFigure:
    passed = gate.passes(_shown(seen))
    figure = proportion(int((~passed).sum()), len(passed))
    return _reported(replace(figure, clusters=len(set(seen.groups))), data, split)


def _reported(figure: Figure, data: str, split: str) -> ReportedFigure:
    return ReportedFigure(name="share rejected by the gate", data=data, split=split, **asdict(figure))
