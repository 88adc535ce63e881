"""Starts and stops the app: its private folder, who may use it, and where it listens."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.app.early_page import early_page
from streamer.app.priority import run_at_low_priority
from streamer.app.private_folder import private_folder
from streamer.errors import OutputError, SettingsError
from streamer.settings import Settings

if TYPE_CHECKING:  # imported when they are used: until then the page is answered already
    from streamer.monitoring.audit import AuditLog
    from streamer.monitoring.metrics import Metrics
    from streamer.pipeline.thyroid import Engine
    from streamer.scintigraphy.predictor import Predictor

_LOG = logging.getLogger(__name__)

Login = Callable[[str, str], bool]

_LARGEST_UPLOAD = "8gb"
_SESSIONS_KEPT = 256
"""Gradio keeps 14 KB for each session long after its end, of 10,000 if not told otherwise. Nothing of ours is in it."""
_ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}
"""Gradio and the hub library it imports would otherwise report to their makers and look for updates."""


@contextmanager
def running(
    engine: Engine,
    *,
    host: str,
    port: int,
    login: Login | None = None,
    demo_first: bool = False,
    scintigraphy: Path | None = None,
    metrics: Metrics | None = None,
    audit: AuditLog | None = None,
    root_path: str = "",
    before_listening: Callable[[], None] = lambda: None,
) -> Iterator[str]:
    """The app, ready to be used, as long as the context lasts. One at a time in a process.

    Args:
        engine: loaded networks, shared by all sessions.
        host: address to listen on.
        port: port to listen on; 0 for any that is free.
        login: tells whether a user's password is right; anybody may use the app without it.
        demo_first: make the demo clip before the page is served; else it is made meanwhile.
        scintigraphy: run folder of the network of the tab "Scintigraphy"; None for counts by region alone.
        metrics: counts frames, failures and what waits; nobody counts if None.
        audit: who did what; nobody notes it if None.
        root_path: path under which a reverse proxy shows the app, such as "/streamer"; the proxy takes it away.
        before_listening: called when all is loaded and the port is needed.

    Yields:
        URL of the page.

    Raises:
        SettingsError: the address cannot be listened on, or the root path is none.
        WeightsError: the scintigraphy network is missing or damaged.
        OutputError: the temporary folder cannot be written.
    """
    root_path = checked_root_path(root_path)
    with ExitStack() as stack:
        root = stack.enter_context(private_folder())
        stack.enter_context(_environment(_ENVIRONMENT | {"GRADIO_TEMP_DIR": str(root)}))
        # Gradio reads the environment when it is imported.
        import gradio as gr

        from streamer.app.api import Answers
        from streamer.app.demo_clip import DemoClip
        from streamer.app.jobs import Jobs
        from streamer.app.page import build_page, look
        from streamer.app.scintigraphy import ScintigraphyAnswers
        from streamer.app.serving import served
        from streamer.app.uploads import UploadsOnly
        from streamer.app.visitors import Visitors, nobody
        from streamer.app.web import add_routes, new_web

        jobs = Jobs(engine, root, metrics, _noting_deletions(audit))
        stack.callback(jobs.close)
        demo = DemoClip(root / "phantom.mp4")
        stack.callback(demo.close)
        if demo_first:
            demo.ready()
        web = new_web()
        user_of = nobody if login is None else Visitors(web).user_of
        answers = Answers(jobs, root, demo, audit, user_of)
        predictor = None if scintigraphy is None else _predictor(scintigraphy)
        page = build_page(jobs, answers, ScintigraphyAnswers(jobs, answers, predictor))
        page.state_session_capacity = _SESSIONS_KEPT
        web.add_middleware(UploadsOnly, uploads=root.resolve())
        add_routes(web, answers, user_of)
        gr.mount_gradio_app(
            web,
            page,
            path="/",
            server_name=host,
            auth=login if login is None or audit is None else noted(login, audit),
            root_path=root_path,
            show_error=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            max_file_size=_LARGEST_UPLOAD,
            **look(),
        )
        before_listening()
        yield stack.enter_context(served(web, host, port))


def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    auth_file: Path | None,
    without_login: bool,
    scintigraphy: Path | None = None,
    metrics_address: str | None = None,
    audit_folder: Path | None = None,
    root_path: str = "",
    announce: Callable[[str], None],
    announce_early: Callable[[str], None] = lambda _: None,
) -> None:
    """Run the app until Ctrl-C or termination.

    Args:
        settings: of all analyses.
        host, port: where to listen.
        auth_file: users and passwords, a line "name:password" each.
        without_login: True to let anybody in who can reach an address that others can reach.
        scintigraphy: run folder of the network of the tab "Scintigraphy".
        metrics_address: where metrics and health are told, see `streamer.monitoring.server`; nowhere if None.
        audit_folder: of the log of who did what; none is kept if None.
        root_path: path under which a reverse proxy shows the app.
        announce: told the page's URL when the app is ready.
        announce_early: told it as soon as it answers, which is when loading begins.

    Raises:
        SettingsError: others could reach the app without a login, or the file or address cannot be used.
        WeightsError, DeviceError: the networks cannot be loaded.
        ModuleNotFoundError: the extra `app` is not installed.
    """
    login = None if auth_file is None else read_logins(auth_file)
    if login is None and not without_login and not is_loopback(host):
        raise SettingsError(
            f"{host} can be reached from other machines: give a login with --auth-file, "
            "or --without-login if everybody who can reach it may use it"
        )
    root_path = checked_root_path(root_path)  # a wrong one should not wait for the networks
    if find_spec("gradio") is None:
        raise ModuleNotFoundError("No module named 'gradio'", name="gradio")
    with early_page(host, port) as early:
        announce_early(early.url)
        # Late: all that follows takes seconds to import and load.
        from streamer.monitoring.audit import AuditLog
        from streamer.monitoring.metrics import Metrics
        from streamer.monitoring.server import monitored

        metrics, ready = Metrics("app"), threading.Event()
        audit = None if audit_folder is None else AuditLog(audit_folder)
        with _until_terminated() as ended, monitored(metrics, metrics_address, ready.is_set):
            engine = warm_engine(settings)
            metrics.set_device(engine.backend.device, engine.backend.precision)
            with running(
                engine,
                host=host,
                port=early.port,
                login=login,
                scintigraphy=scintigraphy,
                metrics=metrics,
                audit=audit,
                root_path=root_path,
                before_listening=early.close,
            ) as url:
                ready.set()
                announce(url)
                ended.wait()
                ready.clear()


def _noting_deletions(audit: AuditLog | None) -> Callable[[str, str], None]:
    def note(session: str, user: str) -> None:
        if audit is not None:
            audit.add_deletion(session=session, user=user)

    return note


def noted(login: Login, audit: AuditLog) -> Login:
    """A login that notes who comes in, and lets nobody in of whom that cannot be noted."""

    def is_right(name: str, password: str) -> bool:
        if not login(name, password):
            return False
        try:
            audit.add("login", user=name)
        except OutputError as error:
            _LOG.error("a login was refused: %s", error)
            return False
        return True

    return is_right


@contextmanager
def _until_terminated() -> Iterator[threading.Event]:
    """An event that is set when the process is told to end."""
    ended = threading.Event()
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = [signal.signal(number, lambda *_: ended.set()) for number in numbers]
    try:
        yield ended
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def checked_root_path(root_path: str) -> str:
    """A root path without a "/" at its end; "" for none.

    Raises:
        SettingsError: it is no path such as "/streamer".

    Example:
        >>> checked_root_path("/ward-3/streamer/")
        '/ward-3/streamer'
    """
    if not re.fullmatch(r"(/(?!\.{1,2}(/|$))[\w.~-]+)*/?", root_path, re.ASCII):
        raise SettingsError(f"--root-path must be a path such as /streamer, not {root_path!r}")
    return root_path.rstrip("/")


def _predictor(folder: Path) -> Predictor:
    """The network of the tab "Scintigraphy", which lets a running analysis go first."""
    from streamer.scintigraphy.predictor import Predictor

    return run_at_low_priority(lambda: Predictor(folder))


def warm_engine(settings: Settings) -> Engine:
    """Loaded networks that have seen a frame, so that the first user does not wait for them."""
    import numpy as np

    from streamer.pipeline.thyroid import Engine
    from streamer.types import Frame

    engine = run_at_low_priority(lambda: Engine(settings))
    blank = np.zeros((480, 640, 3), np.uint8)
    engine.analyse([Frame(image=blank, index=0, time_s=0.0, video="")])
    return engine


def is_loopback(host: str) -> bool:
    """True if only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_logins(path: Path) -> Login:
    """Read users and passwords, a line "name:password" each; empty lines and those that begin with # do not count.

    Raises:
        SettingsError: the file cannot be read, or holds no user or a line without a password.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the login file {path}") from error
    passwords: dict[str, bytes] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, password = line.strip().partition(":")
        if not name or not password:
            raise SettingsError(f'{path}, line {number}: expected "name:password"')
        passwords[name] = password.encode()
    if not passwords:
        raise SettingsError(f'{path} names no user: give a line "name:password" for each')

    def is_right(name: str, password: str) -> bool:
        expected = passwords.get(name)
        return hmac.compare_digest(expected or b"\0", password.encode(errors="replace")) and expected is not None

    return is_right


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for as long as the app runs."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
