"""Who rated what: readers, treatments and cases of a reader study, and how they are spread over one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from streamer.errors import DataError
from streamer.studies.areas import Bools, Floats

Design = Literal["factorial", "cases nested in readers", "cases nested in treatments", "partially paired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """Ratings of cases by readers in treatments (scenarios).

    Attributes:
        treatments, readers: names, of length t and r.
        truth: shape (n,), True for malignant.
        scores: shape (t, r, n), NaN where a reader has not rated a case in a treatment; higher is more suspicious.
    """

    treatments: tuple[str, ...]
    readers: tuple[str, ...]
    truth: Bools
    scores: Floats

    def __post_init__(self) -> None:
        """Refuse shapes that do not fit, and curves without both classes."""
        shape = (len(self.treatments), len(self.readers), len(self.truth))
        if self.scores.shape != shape:
            raise DataError(f"scores must have the shape {shape} (treatments, readers, cases), got {self.scores.shape}")
        for i, treatment in enumerate(self.treatments):
            for j, reader in enumerate(self.readers):
                read = ~np.isnan(self.scores[i, j])
                malignant, benign = int((read & self.truth).sum()), int((read & ~self.truth).sum())
                if min(malignant, benign) < 2:
                    raise DataError(
                        f"reader {reader!r} has rated {malignant} malignant and {benign} benign cases in "
                        f"{treatment!r}: an AUC needs at least two of each"
                    )

    def of(self, treatments: Sequence[int]) -> Ratings:
        """The same readers and cases in some of the treatments, by their numbers."""
        chosen = list(treatments)
        return replace(self, treatments=tuple(self.treatments[one] for one in chosen), scores=self.scores[chosen])

    @property
    def curves(self) -> Floats:
        """Scores of every curve, treatment by treatment, shape (t r, n)."""
        return self.scores.reshape(-1, self.scores.shape[2])

    @property
    def design(self) -> Design:
        """How cases are spread over readers and treatments."""
        read = ~np.isnan(self.scores)
        if bool(read.all()):
            return "factorial"
        if len(self.readers) > 1 and bool((read.any(axis=0).sum(axis=0) == 1).all()):
            return "cases nested in readers"
        if len(self.treatments) > 1 and bool((read.any(axis=1).sum(axis=0) == 1).all()):
            return "cases nested in treatments"
        return "partially paired"
