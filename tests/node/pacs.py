"""A real PACS for the tests: Orthanc, in a network namespace of its own, since it listens on all addresses."""

import ctypes
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1
_DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
AET, DICOM_PORT, HTTP_PORT = "ORTHANC", 4242, 8042


@dataclass(frozen=True)
class Orthanc:
    """A running PACS; `web` asks its own interface."""

    web: httpx.Client

    destination = f"{AET}@127.0.0.1:{DICOM_PORT}"
    dicomweb = f"http://127.0.0.1:{HTTP_PORT}/dicom-web"

    def get(self, path: str) -> Any:
        """The answer to a question."""
        answer = self.web.get(path)
        answer.raise_for_status()
        return answer.json()

    def upload(self, path: Path) -> str:
        """Put a file in; the identifier of its study."""
        answer = self.web.post("/instances", content=path.read_bytes())
        answer.raise_for_status()
        return str(answer.json()["ParentStudy"])


@contextmanager
def own_network() -> Iterator[None]:
    """This thread and what it starts, in a network of its own that has loopback only; skips where that may not be."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            pytest.skip("a network namespace needs root, as in a container")
        with socket.socket() as probe:
            fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))
        try:
            yield
        finally:
            assert libc.setns(before, _CLONE_NEWNET) == 0
    finally:
        os.close(before)


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Orthanc on an empty store, which knows STREAMER on port 11112 and PULLER on port 11113 of its own machine."""
    program = shutil.which("Orthanc", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None or not _DICOMWEB.is_file():
        pytest.skip("Orthanc is not installed (Debian: orthanc orthanc-dicomweb)")
    configuration = {
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "Plugins": [str(_DICOMWEB)],
        "HttpPort": HTTP_PORT,
        "DicomPort": DICOM_PORT,
        "DicomAet": AET,
        "DicomModalities": {
            "STREAMER": ["STREAMER", "127.0.0.1", 11112],
            "PULLER": ["PULLER", "127.0.0.1", 11113],
        },
        "SynchronousCMove": True,
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with own_network(), (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{HTTP_PORT}", trust_env=False, timeout=60) as web:
                wait_until(lambda: _answers(web), "Orthanc to answer")
                yield Orthanc(web)
        finally:
            process.kill()
            process.wait()


def _answers(web: httpx.Client) -> bool:
    try:
        return web.get("/system").status_code == 200
    except httpx.HTTPError:
        return False


def wait_until(reached: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
    """Wait for something that must come; how long it takes does not matter."""
    end = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.1)
