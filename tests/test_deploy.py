"""The files to run it by others: the lock fits pyproject.toml, and what is named exists."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

_ROOT = Path(__file__).resolve().parent.parent
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
_EXTRAS = {"core": ("app", "dicom", "archive"), "cuda": ("all",)}


def _wanted(extras: tuple[str, ...]) -> list[Requirement]:
    found = [Requirement(text) for text in _PROJECT["dependencies"]]
    for extra in extras:
        for requirement in map(Requirement, _PROJECT["optional-dependencies"][extra]):
            own = requirement.name == "streamer"
            found += _wanted(tuple(requirement.extras)) if own else [requirement]
    return found


@pytest.mark.parametrize("variant", _EXTRAS)
def test_the_lock_has_every_dependency_at_a_version_that_is_allowed(variant: str) -> None:
    lock = (_ROOT / f"requirements-{variant}.lock").read_text()
    versions = dict(re.findall(r"^([\w.-]+)==(\S+) \\$", lock, re.MULTILINE))
    for requirement in _wanted(_EXTRAS[variant]):
        assert requirement.name in versions, f"make the lock again (docs/operations.md): {requirement}"
        assert versions[requirement.name] in requirement.specifier, requirement
    blocks = re.split(r"^(?=\S+==)", lock, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in block for block in blocks)
    assert "opencv-python-headless" not in versions
    assert ("torch" in versions) == (variant == "cuda"), "the core runs without torch"


def test_the_container_copies_what_is_there() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (_ROOT / "Dockerfile").read_text(), re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert len(names) >= 7
    for name in names:
        assert (_ROOT / name).exists(), name


def test_the_services_of_compose_are_confined() -> None:
    compose = yaml.safe_load((_ROOT / "deploy" / "compose.yaml").read_text())
    app = compose["services"]["app"]
    assert (app["read_only"], app["cap_drop"], app["networks"]) == (True, ["ALL"], ["inside"])
    assert compose["networks"]["inside"] == {"internal": True}
    assert "ports" not in app, "only nginx is reached from outside"


def test_compose_runs_the_images_command_below_the_path_of_nginx() -> None:
    compose = yaml.safe_load((_ROOT / "deploy" / "compose.yaml").read_text())
    (own,) = re.findall(r"^CMD (\[.*\])$", (_ROOT / "Dockerfile").read_text(), re.MULTILINE)
    command = compose["services"]["app"]["command"]
    at = command.index("--root-path")
    assert command[:at] + command[at + 2 :] == json.loads(own)
    (path,) = re.findall(r"location (/\w+)/ \{", (_ROOT / "deploy" / "nginx.conf").read_text())
    assert command[at + 1] == path


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_unit_is_valid(tmp_path: Path) -> None:
    unit = (_ROOT / "deploy" / "streamer.service").read_text().replace("/opt/streamer/bin/streamer", "/bin/true")
    (tmp_path / "streamer.service").write_text(unit)
    said = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "streamer.service"], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stderr) == (0, "")


@pytest.mark.skipif(
    shutil.which("nginx") is None or shutil.which("openssl") is None, reason="nginx or openssl is not installed"
)
def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1",
            "-keyout", tmp_path / "tls.key", "-out", tmp_path / "tls.crt",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    text = (_ROOT / "deploy" / "nginx.conf").read_text().replace("/tmp/", f"{tmp_path}/")
    text = text.replace("app:7860", "127.0.0.1:7860").replace("/run/secrets", str(tmp_path))
    (tmp_path / "nginx.conf").write_text(text)
    said = subprocess.run(["nginx", "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
