"""How other nodes are named, and who is let in."""

from pathlib import Path

import pytest

from streamer.errors import SettingsError
from streamer.node.peers import Peer, checked_aet
from streamer.node.receive import ReceiverSettings
from streamer.node.serve import NodeSettings


@pytest.mark.parametrize("text", ["PACS@192.0.2.7:104", "PACS 1@pacs.example", "tls:PACS@[::1]:2762"])
def test_a_node_is_written_as_it_is_read(text: str) -> None:
    assert str(Peer.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "PACS", "@host:1", "PACS@", "PACS@host:0", "PACS@host:70000", "A" * 17 + "@h", "a\\b@h"]
)
def test_what_names_no_node_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        Peer.parse(text)


def test_a_destination_needs_its_port() -> None:
    with pytest.raises(SettingsError, match="AET@HOST:PORT"):
        Peer.parse("PACS@192.0.2.7", listens=True)


def test_a_blank_title_is_none() -> None:
    with pytest.raises(SettingsError):
        checked_aet("   ")


def test_a_caller_needs_the_title_and_the_address() -> None:
    settings = ReceiverSettings(aet="STREAMER", allowed=(Peer.parse("PACS@192.0.2.7"),))
    assert settings.lets_in("PACS", "192.0.2.7")
    assert settings.lets_in("PACS", "::ffff:192.0.2.7")
    assert not settings.lets_in("PACS", "192.0.2.8")
    assert not settings.lets_in("OTHER", "192.0.2.7")


def test_without_a_list_only_this_machine_may_call() -> None:
    settings = ReceiverSettings(aet="STREAMER")
    assert settings.lets_in("ANYBODY", "127.0.0.1")
    assert not settings.lets_in("ANYBODY", "192.0.2.8")


def test_an_open_address_needs_a_list(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--from"):
        NodeSettings(receiver=ReceiverSettings(aet="STREAMER", host="0.0.0.0"), folder=tmp_path)
    with pytest.raises(SettingsError, match="--tls-certificate"):
        NodeSettings(receiver=ReceiverSettings(aet="S"), folder=tmp_path, destinations=("tls:PACS@h:1",))
