"""The seam for outputs: a sink takes what is known of each clip, each frame's result, and the report at the end.

A sink of your own is a class with these five methods; pass it to `run_study(..., sinks=[...])`. Those that come with
streamer are chosen by `settings.outputs` (see `streamer.output_registry`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from streamer.output_registry import is_output_file
from streamer.settings import Settings
from streamer.summaries import ClipSummary, StudyReport
from streamer.types import ClipInfo, FrameResult

if TYPE_CHECKING:
    from streamer.outputs.folder import OutputFolder
    from streamer.outputs.heatmap import NoduleHeatmaps

StageCallback = Callable[[str, float], None]
"""Called with the name of a stage ("draw", "encode") and its time in milliseconds."""


class Sink(Protocol):
    """Where results go. All calls come in order: for each clip `start_clip`, `write`s, `end_clip`; then `close`.

    `write`, `end_clip` and `abort` are called on the writer's own thread, `start_clip` and `close` on the caller's.
    An exception ends the run and comes out of it; `close(None)` is then the last call.
    """

    def start_clip(self, info: ClipInfo) -> None:
        """Begin the next clip."""
        ...

    def write(self, result: FrameResult) -> None:
        """Take the next frame of the clip.

        Raises:
            OutputError: it cannot be written; the sink is then aborted.
        """
        ...

    def end_clip(self, summary: ClipSummary | None) -> None:
        """Finish the clip; `summary` is None where the analysis broke off."""
        ...

    def abort(self) -> None:
        """Let go of what is open for the clip, after a failure of this or another sink. Must not raise."""
        ...

    def close(self, report: StudyReport | None) -> None:
        """The last call: the study's report, or None where there is none."""
        ...


class BaseSink:
    """A `Sink` that does nothing: override what yours needs.

    Example:
        >>> class Counter(BaseSink):
        ...     frames = 0
        ...     def write(self, result: FrameResult) -> None:
        ...         self.frames += 1
    """

    def start_clip(self, info: ClipInfo) -> None:
        """Begin the next clip."""

    def write(self, result: FrameResult) -> None:
        """Take the next frame of the clip."""

    def end_clip(self, summary: ClipSummary | None) -> None:
        """Finish the clip."""

    def abort(self) -> None:
        """Let go of what is open for the clip."""

    def close(self, report: StudyReport | None) -> None:
        """The last call."""


@dataclass(slots=True, kw_only=True)
class SinkContext:
    """What the sinks of one study share.

    Attributes:
        folder: the output folder; a sink writes to `folder.partial(name)` and says `commit(name)` when it is whole.
        settings: of the run.
        clips: number of clips in the study, which decides how overlays are named.
        on_stage: called with each stage's time; None where nobody listens.
        heatmaps: keeps what becomes a nodule's heat map; None without heat maps.
        overlays: file name of each clip's overlay video, by clip name.
        pictures: file name of each nodule's picture, by track number.
        warnings: what the writing itself has to say, by clip name.
        committed: names of the finished files.
    """

    folder: OutputFolder
    settings: Settings
    clips: int = 1
    on_stage: StageCallback | None = None
    heatmaps: NoduleHeatmaps | None = None
    overlays: dict[str, str] = field(default_factory=dict)
    pictures: dict[int, str] = field(default_factory=dict)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    committed: list[str] = field(default_factory=list)

    def commit(self, name: str) -> None:
        """Say that the file `name` is whole: it gets its name with all others, once the report is written.

        Raises:
            ValueError: no registered output writes a file of that name, so that a later run could not replace it.
        """
        if not is_output_file(name):
            raise ValueError(f"no entry of streamer.output_registry names the file {name}")
        if name not in self.committed:
            self.committed.append(name)
