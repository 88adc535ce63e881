"""What of the page's questions belongs into the audit log."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from streamer.monitoring.audit import Action, AuditLog

_ACTIONS: Mapping[str, tuple[Action, ...]] = {
    "claim": ("upload",),
    "start": ("analyse",),
    "demo": ("analyse",),
    "camera": ("analyse",),
    "recorded": ("analyse",),
    "read": ("upload", "analyse"),  # of the tab "Scintigraphy"
    "look": ("view",),
    "note": ("annotate",),
    "archive": ("export",),
    "export": ("export",),
}
_OF_A_FILE = ("claim", "read")
"""Questions whose subject is a file, named by its path on the server."""
_MAX_SEEN = 10_000


class AppAudit:
    """Notes each question that looks at, uploads, analyses or exports something; looking at one analysis once.

    Deletions are noted where they are done, see `streamer.app.jobs`.

    Args:
        log: where to.
    """

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], None] = {}

    def note(self, question: str, session: str, user: str, data: Sequence[Any]) -> None:
        """Note a question of the page.

        Args:
            question: name of the function that answers it.
            session: whose page it is.
            user: who is logged in; "" without a login.
            data: what the page sent: an upload, clips and the patient, or the name of an analysis first.

        Raises:
            OutputError: the log cannot be written.
        """
        subject = str(data[-1] if question == "start" else data[0]) if data else ""
        subject = PurePath(subject).name if question in _OF_A_FILE else subject
        for action in _ACTIONS.get(question, ()):
            if action == "view":
                self._note_view(session, user, subject)
            else:
                self._log.add(action, user=user, session=session, subject=subject)

    def _note_view(self, session: str, user: str, job: str) -> None:
        with self._lock:
            if (session, job) in self._seen:
                return
            self._log.add("view", user=user, session=session, subject=job)
            self._seen[session, job] = None  # only now: what was not noted is not seen
            while len(self._seen) > _MAX_SEEN:
                del self._seen[next(iter(self._seen))]
