"""Volume of a nodule over two orthogonal sweeps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from streamer.summaries import Track
from streamer.types import Plane, SizeMm

_MM3_PER_ML = 1000.0


def ellipsoid_volume_ml(transverse: SizeMm, longitudinal: SizeMm) -> float:
    """Volume of the ellipsoid whose three diameters two orthogonal views give: pi / 6 times their product.

    As a nodule is measured by hand (ACR TI-RADS, J Am Coll Radiol 2017;14:587-595): the longest diameter and the one at
    right angles to it in the transverse view, the longest one in the longitudinal view.

    Example:
        >>> ball = SizeMm(long_axis_mm=10.0, short_axis_mm=10.0, area_mm2=78.5)
        >>> round(ellipsoid_volume_ml(ball, ball), 3)
        0.524
    """
    diameters_mm = (transverse.long_axis_mm, transverse.short_axis_mm, longitudinal.long_axis_mm)
    return math.pi / 6 * math.prod(diameters_mm) / _MM3_PER_ML


def with_volumes(tracks: Sequence[Track], planes: Mapping[str, Plane | None]) -> tuple[Track, ...]:
    """The tracks, with the volume where two of them are one nodule in orthogonal sweeps.

    Nothing but its being the only one tells a nodule in one sweep from those in the other: where the sweeps of a plane
    show none, or more than one, that counts and is measured, no volume is given.

    Args:
        tracks: of all clips.
        planes: plane of each clip, by its name.
    """
    measured: dict[Plane, list[Track]] = {"transverse": [], "longitudinal": []}
    for track in tracks:
        plane = planes.get(track.video)
        if plane is not None and track.qualifies and track.largest_mm is not None:
            measured[plane].append(track)
    across, along = measured["transverse"], measured["longitudinal"]
    if len(across) != 1 or len(along) != 1 or across[0].largest_mm is None or along[0].largest_mm is None:
        return tuple(tracks)
    volume_ml = ellipsoid_volume_ml(across[0].largest_mm, along[0].largest_mm)
    pair = {across[0].track_id, along[0].track_id}
    return tuple(replace(track, volume_ml=volume_ml) if track.track_id in pair else track for track in tracks)
