"""An archive from its options to its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from streamer.archive.clips import ClipTask, Outcome
from streamer.archive.executor import Executor, InProcess
from streamer.archive.grouping import PathPattern
from streamer.archive.index import Wanted
from streamer.archive.keys import analysis_id
from streamer.archive.listing import list_clips
from streamer.archive.plan import make_plan
from streamer.archive.ray_executor import RayExecutor, RayLimits
from streamer.archive.run import ArchiveRun, Counts, Listener, describe_archive, pseudonym_secret, read_archive
from streamer.archive.store import Store
from streamer.archive.target import Target
from streamer.archive.worker import ClipWorker, Worker, WorkerSettings, with_threads
from streamer.errors import InputError
from streamer.settings import OutputName, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveOptions:
    """What is asked of an archive.

    Attributes:
        inputs: folders, globs, CSVs, URLs.
        output: folder or URL of the tables.
        settings: of the analysis.
        limits: of the processes; None for one worker in this process, without Ray.
        outputs: what is written into a folder for each clip; empty for no folders.
        wanted: see there; `folders` follows from `outputs`.
        pattern: tells patient and study by the path.
        pixel_spacing_mm: size of a pixel in millimetres, x and y, in place of what the clips say.
        keep_identifiers: patient and study of DICOM headers as they are, not as pseudonyms.
        pictures: whether a sample of pictures is kept for the page; text in the picture stays in it.
    """

    inputs: Sequence[str]
    output: str
    settings: Settings
    limits: RayLimits | None
    outputs: tuple[OutputName, ...] = ()
    wanted: Wanted = field(default_factory=Wanted)
    pattern: PathPattern | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    keep_identifiers: bool = False
    pictures: bool = True


def analyse_archive(
    options: ArchiveOptions,
    *,
    on_stage: Callable[[str], None] = lambda _: None,
    on_progress: Listener = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    make_worker: Callable[[WorkerSettings], Worker] = ClipWorker,
) -> Counts:
    """Analyse what of the inputs is not there yet.

    Args:
        options: what to do.
        on_stage: told in a few words what happens before the first clip.
        on_progress: told the counts, about twice a second.
        should_stop: asked before each clip; once True, those that have begun are finished.
        make_worker: makes a worker in its process.

    Returns:
        The counts at the end.

    Raises:
        InputError: no clip was found, or the storage is gone.
        SettingsError: a file system or library is missing.
        OutputError: the tables cannot be written, or another run writes them.
        WeightsError, DeviceError: the networks cannot be loaded.
    """
    analysis = analysis_id(options.settings, pixel_spacing_mm=options.pixel_spacing_mm)
    target = Target(options.output)
    store = Store(target, analysis)
    with ExitStack() as stack:
        stack.enter_context(store.locked())
        read_archive(target)  # whatever else lies there is left as it was
        on_stage("reading what is there")
        index = store.open()
        on_stage("listing")
        plan = make_plan(_counted(_listed(options), on_stage), index, options.wanted)
        stack.callback(plan.close)
        if not plan.listed and not plan.unlisted:
            raise InputError(f"there is no clip in {', '.join(options.inputs)}")
        secret = None if options.keep_identifiers else pseudonym_secret(target)
        describe_archive(target, analysis, options.settings.model_dump(mode="json"), options.inputs)
        run = ArchiveRun(
            target,
            store,
            index,
            analysis=analysis,
            on_progress=on_progress,
            should_stop=should_stop,
            wanted=options.wanted,
            pictures=options.pictures,
        )
        given = WorkerSettings(
            settings=options.settings,
            analysis=analysis,
            output=options.output if target.local is None else str(target.local),
            outputs=options.outputs,
            frames=options.wanted.frames,
            pixel_spacing_mm=options.pixel_spacing_mm,
            secret=secret,
        )
        on_stage("starting the workers")
        executor = stack.enter_context(_executor(options.limits, given, make_worker, idle=not plan.to_do))
        return run.run(plan, executor)


_TOLD_EVERY = 1000
"""Files between two words on the listing: of a million paths it takes minutes."""


def _counted(found: Iterator[ClipTask | Outcome], on_stage: Callable[[str], None]) -> Iterator[ClipTask | Outcome]:
    for number, one in enumerate(found, 1):
        if number % _TOLD_EVERY == 0:
            on_stage(f"listing: {number:,} clips so far")
        yield one


def _listed(options: ArchiveOptions) -> Iterator[ClipTask | Outcome]:
    return chain.from_iterable(list_clips(given, pattern=options.pattern) for given in options.inputs)


@contextmanager
def _executor(
    limits: RayLimits | None, given: WorkerSettings, make_worker: Callable[[WorkerSettings], Worker], *, idle: bool
) -> Iterator[Executor]:
    """Ray; or this process, also where nothing is to be done."""
    if limits is None or idle:
        yield InProcess(partial(make_worker, given))
        return
    with RayExecutor(partial(make_worker, with_threads(given, limits.cpus)), limits) as executor:
        yield executor
