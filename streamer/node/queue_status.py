"""How much waits where in the queue, read from its database."""

from __future__ import annotations

import sqlite3
from collections import Counter

from streamer.node.records import QueueStatus

_STATES = {
    "waiting": "to be tried again",
    "running": "tried again just now",
    "failed": "failed, tried anew when it is sent again",
    "done": "not all analysed",
}


def read_status(base: sqlite3.Connection) -> QueueStatus:
    """Count what waits, and give a reason for each job that failed and each group of results that was not taken yet."""
    jobs = Counter(state for (state,) in base.execute("SELECT state FROM jobs"))
    failed = [
        f"job {number}, {_STATES.get(state, state)}: {reason}"
        for number, state, reason in base.execute("SELECT id, state, reason FROM jobs WHERE reason != '' ORDER BY id")
    ]
    refused = [
        f"job {job}, {count} results to {destination}, {attempts} attempts: {reason}"
        for job, destination, attempts, reason, count in base.execute(
            "SELECT job, destination, attempts, reason, COUNT(*) FROM deliveries "
            "WHERE sent_s IS NULL AND reason != '' GROUP BY job, destination, attempts, reason ORDER BY MIN(id)"
        )
    ]
    return QueueStatus(
        arriving=_count(base, "instances WHERE job IS NULL"),
        jobs=dict(jobs),
        unsent=_count(base, "deliveries WHERE sent_s IS NULL"),
        sent=_count(base, "deliveries WHERE sent_s IS NOT NULL"),
        failures=(*failed, *refused),
    )


def _count(base: sqlite3.Connection, rows: str) -> int:
    (count,) = base.execute(f"SELECT COUNT(*) FROM {rows}").fetchone()
    return int(count)
