"""Names in any script in figures: an installed font that has their characters, else a number and a legend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from matplotlib import rc_context
from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager, get_font

_BASE = "DejaVu Sans"  # comes with matplotlib; has Latin, Greek, Cyrillic, Arabic and more
_POOR = ("bold", "italic", "oblique", "mono", "light", "black", "serif", "condensed")
_MAX_LENGTH = 40


@contextmanager
def fonts_for(texts: Iterable[str]) -> Iterator[None]:
    """Draw within this context with fonts that have the characters of these texts; text is never read as a formula."""
    with rc_context({"font.family": families_for(texts), "text.parse_math": False}):
        yield


def families_for(texts: Iterable[str]) -> list[str]:
    """Matplotlib's own font, and installed ones that have what it lacks of these texts."""
    return [_BASE, *_families(_beyond_base(texts))]


def labels_of(kind: str, names: Sequence[str]) -> dict[str, str]:
    """What stands for each name in a figure: the name itself, or kind and number where no font has its characters.

    Example:
        >>> labels_of("reader", ["ann", "Иван"])
        {'ann': 'ann', 'Иван': 'Иван'}
    """
    found = {}
    for number, name in enumerate(names, start=1):
        missing = _beyond_base([name])
        if missing and not _covered(missing):
            found[name] = f"{kind} no. {number}"
        else:
            short = name if len(name) <= _MAX_LENGTH else f"{name[: _MAX_LENGTH - 1]}…"
            found[name] = f" {short}" if short.startswith("_") else short  # a legend leaves out what begins with _
    return found


def legend_of(labels: dict[str, str]) -> str:
    """Who the numbers are: "reader no. 2: NAME", or nothing where every name is drawn."""
    return "; ".join(f"{label}: {name}" for name, label in labels.items() if label.strip() != name)


def _beyond_base(texts: Iterable[str]) -> frozenset[str]:
    base = get_font(findfont(FontProperties(family=_BASE)))
    return frozenset(one for text in texts for one in text if not base.get_char_index(ord(one)))


def _covered(characters: frozenset[str]) -> bool:
    return all(any(_has(path, one) for path in _files(characters)) for one in characters)


def _families(characters: frozenset[str]) -> list[str]:
    """Families for these characters; each is made known to matplotlib, whose list may be older than the font."""
    found = []
    for path in _files(characters):
        if not any(entry.fname == path for entry in fontManager.ttflist):
            fontManager.addfont(path)
        found += [entry.name for entry in fontManager.ttflist if entry.fname == path][:1]
    return found


@cache
def _files(characters: frozenset[str]) -> tuple[str, ...]:
    """The fewest installed fonts that have as many of these characters as any have, the one with most first."""
    rest, chosen = set(characters), []
    paths = sorted(findSystemFonts(), key=_preference) if rest else []
    while rest:
        path = max(paths, key=lambda one: sum(_has(one, character) for character in rest), default=None)
        held = set() if path is None else {character for character in rest if _has(path, character)}
        if path is None or not held:
            break
        chosen.append(path)
        rest -= held
    return tuple(chosen)


@cache
def _has(path: str, character: str) -> bool:
    try:
        return get_font(path).get_char_index(ord(character)) != 0
    except (OSError, RuntimeError):  # no font that FreeType reads
        return False


def _preference(path: str) -> tuple[int, str]:
    name = Path(path).stem.lower().replace("sans-serif", "").replace("sansserif", "")
    return sum(word in name for word in _POOR), path
