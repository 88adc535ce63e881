"""A classifier against a reader: how well it tells each suspicious TI-RADS category from those of benign looks.

A reader's "malignant" begins where most nodules are still benign: of Kwak's category 4a 3.3 % were cancer, of 4b 9.2 %,
of 4c 44 to 72 % (Radiology 2011;260:892-899). A network that has learned pathology should rank the categories in this
order; one AUC over all of them hides whether it does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.data.samples import TIRADS
from streamer.evaluation.measure_classifier import ClassifiedView
from streamer.metrics.classification import PatientScores, auc, has_both
from streamer.metrics.estimate import Figure


def reading_figures(images: Sequence[ClassifiedView], patients: PatientScores) -> dict[str, Figure]:
    """AUC of the patients of each category from 4 on against those read as 1 to 3, with DeLong's interval, by name.

    Labels do not matter here: what is compared is classifier and reader.

    Args:
        images: images; a patient's category is the most suspicious of them.
        patients: greatest score of each of their patients.

    Returns:
        A figure a category; none where no reading is known, or on one of the two sides of fewer than two patients.
    """
    order = {category: number for number, category in enumerate(TIRADS)}
    highest: dict[str, int] = {}
    for image in images:
        if image.tirads is not None:
            highest[image.view.group] = max(highest.get(image.view.group, 0), order[image.tirads])
    read = np.array([highest.get(str(patient), -1) for patient in patients.patients], np.int64)
    benign = (read >= 0) & (read < order["4"])
    figures = {}
    for category in TIRADS[order["4"] :]:
        here = read == order[category]
        chosen = benign | here
        if has_both(here[chosen]):
            figures[f"AUC of TI-RADS {category} against 1 to 3"] = auc(here[chosen], patients.scores[chosen])
    return figures
