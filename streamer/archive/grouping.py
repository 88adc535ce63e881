"""Whose a clip is: patient and study by the path, and pseudonyms for what a header says."""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import unquote

from streamer.errors import SettingsError

_FIELD = re.compile(r"\{(\w+)\}")
_KNOWN = frozenset({"patient", "study"})
_PSEUDONYM_DIGITS = 16


class PathPattern:
    """Reads patient and study from the end of a path below the input.

    Args:
        text: parts of a path with `{patient}` and perhaps `{study}`; `*` stands for anything within a part. It must
            match the path's end.

    Raises:
        SettingsError: it holds no `{patient}`, or another field.

    Example:
        >>> PathPattern("{patient}/{study}/*.mp4").match("/archive/P-7/2024-01-05/sweep-1.mp4")
        ('P-7', '2024-01-05')
        >>> PathPattern("{patient}_*").match("/archive/P-7_left.mp4")
        ('P-7', None)
    """

    def __init__(self, text: str) -> None:
        names = _FIELD.findall(text)
        if "patient" not in names or not _KNOWN.issuperset(names) or len(names) > len(set(names)):
            raise SettingsError(
                f"the path pattern needs {{patient}} once, may have {{study}} once, and nothing else; got {text!r}"
            )
        parts = re.split(r"(\{\w+\}|\*)", text.strip("/"))
        self._expression = re.compile("(?:^|.*/)" + "".join(map(_as_expression, parts)) + r"\Z", re.DOTALL)

    def match(self, uri: str) -> tuple[str | None, str | None]:
        """Patient and study of a path; None for what it does not say."""
        found = self._expression.match(uri)
        if found is None:
            return None, None
        named = found.groupdict()
        return unquote(named["patient"]), None if named.get("study") is None else unquote(named["study"])


def pseudonym(identifier: str, secret: bytes) -> str:
    """What stands for an identifier: the same for the same, and not to be undone without the secret.

    HMAC-SHA256 (RFC 2104), its first 64 bits. "" stays "".
    """
    if not identifier:
        return ""
    return hmac.new(secret, identifier.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:_PSEUDONYM_DIGITS]


def _as_expression(part: str) -> str:
    if part == "*":
        return "[^/]*"
    field = _FIELD.fullmatch(part)
    return re.escape(part) if field is None else f"(?P<{field[1]}>[^/]+?)"
