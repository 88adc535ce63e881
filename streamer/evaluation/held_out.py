"""The data of an evaluation: which samples count, read at full size, and sent through networks in order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from streamer.data.dataset import load_dataset
from streamer.data.near_duplicates import find_near_duplicates, merge_groups_sharing_images, without_near_duplicates
from streamer.data.public_sources import PUBLIC_SOURCES
from streamer.data.samples import SPLITS, Dataset, Sample, Split
from streamer.data.splits import leave_out
from streamer.errors import DataError
from streamer.models.weights_manifest import ModelEntry

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

_LOG = logging.getLogger(__name__)

_AHEAD = 2
"""Pictures a worker that may wait for their turn."""


class HeldOut:
    """The samples that an evaluation may use.

    Of a source that the networks were trained on, only the given split counts. A source they have never seen counts
    whole, whatever its splits: it is external.
    """

    def __init__(self, data: Path, entries: Sequence[ModelEntry], split: Split) -> None:
        """Find the samples of a folder in the public layout or of a manifest.

        Args:
            data: folder or CSV manifest.
            entries: the networks under evaluation; their training configurations name the sources they have seen.
            split: split of the sources they have seen.

        Raises:
            DataError: nothing is there, or what is there is inconsistent.
        """
        configs = [entry.training.config for entry in entries]
        self._fold = next((int(config["tn3k_val_fold"]) for config in configs if _names_fold(config)), 0)
        self.sources_trained_on = frozenset(source for config in configs for source in config.get("sources", ()))
        self._data, self._split = data, split
        left_out = _agreed(configs, "leave_out", None)
        samples = load_dataset(data, tn3k_val_fold=self._fold, split_seed=_agreed(configs, "split_seed", 0)).samples
        if left_out is not None:
            samples, whole = _centre_apart(samples, left_out, self.sources_trained_on)
            self.sources_trained_on -= whole
        self.samples = [
            sample
            for sample in samples
            if _shows_thyroid(sample.source) and (sample.source not in self.sources_trained_on or sample.split == split)
        ]
        before = SPLITS[: SPLITS.index(split)]
        self._seen = [s for s in samples if s.source in self.sources_trained_on and s.split in before]

    def trained_on(self, source: str) -> bool:
        """Whether a network under evaluation has seen the source."""
        return source in self.sources_trained_on

    def split_of(self, source: str) -> str:
        """What the results call the part of a source that counts."""
        if not self.trained_on(source):
            return "all, external"
        public = PUBLIC_SOURCES.get(source)
        return self._split if public is None else public.split_name(self._split, self._fold)

    def unknown(self, wanted: Callable[[Sample], bool]) -> list[Sample]:
        """As `select`, with every patient as the data name them; may be empty."""
        chosen = [sample for sample in self.samples if wanted(sample)]
        duplicates = find_near_duplicates(self._seen, chosen)
        if duplicates:
            _LOG.info(
                "%d images nearly equal one seen in training and are left out; %s", len(duplicates), duplicates[0]
            )
        return without_near_duplicates(chosen, duplicates)

    def select(self, wanted: Callable[[Sample], bool], what: str) -> list[Sample]:
        """The samples that are wanted, without those that nearly equal an image seen in training.

        How many were left out is logged: they leak training data, so no figure may count them. Groups that share
        nearly the same image count as one.

        Raises:
            DataError: there is none; `what` names what is missing.
        """
        chosen = self.unknown(wanted)
        if not chosen:
            raise DataError(f"{self._data} holds no {what} in the split {self._split!r}")
        joined, duplicates = merge_groups_sharing_images(chosen)
        if duplicates:
            fewer = len({sample.group for sample in chosen}) - len({sample.group for sample in joined})
            _LOG.info(
                "%d groups share nearly the same image with another and count as one with it; %s", fewer, duplicates[0]
            )
        return joined


def _centre_apart(samples: Sequence[Sample], centre: str, trained_on: frozenset[str]) -> tuple[list[Sample], set[str]]:
    """Samples in the splits of a training that left a centre out; other data need not have that centre.

    Returns:
        The samples, and the sources of which that centre is all: the training has seen nothing of them.
    """
    kind, _, name = centre.partition("=")
    known = [sample for sample in samples if sample.source in trained_on]
    if not any(getattr(sample, kind) == name for sample in known):
        return list(samples), set()
    whole = {sample.source for sample in known} - {sample.source for sample in known if getattr(sample, kind) != name}
    apart = leave_out(Dataset(known, {}), centre).samples
    return [*apart, *(sample for sample in samples if sample.source not in trained_on)], whole


def _shows_thyroid(source: str) -> bool:
    """Whether figures may be about a source: others help in training only."""
    return source not in PUBLIC_SOURCES or PUBLIC_SOURCES[source].organ == "thyroid"


def _names_fold(config: Mapping[str, Any]) -> bool:
    """Whether a training used TN3K, and so kept one of its folds back."""
    return "tn3k_val_fold" in config and "tn3k" in config.get("sources", ())


def _agreed(configs: Sequence[Mapping[str, Any]], name: str, default: Any) -> Any:
    """A training setting that decides who is in which split.

    Raises:
        DataError: networks under evaluation together were trained with different ones.
    """
    values = {config.get(name, default) for config in configs}
    if len(values) > 1:
        raise DataError(f"the networks were trained with different {name}: evaluate them one at a time")
    return values.pop() if values else default


def in_order(function: Callable[[Item], Outcome], items: Iterable[Item], workers: int) -> Iterator[Outcome]:
    """Apply a function on several threads; results come in the order of the items, few of which are held at a time."""
    pending: deque[Future[Outcome]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="evaluate") as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > _AHEAD * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
