"""Jinja templates: each room has its own in `templates/`; a missing name is an error, not an empty place."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def html_templates(package: str) -> Environment:
    """The templates of a package for pages: values are escaped.

    Example:
        >>> html_templates("streamer.outputs").get_template("timeline.svg.j2").name
        'timeline.svg.j2'
    """
    return Environment(loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True)


@cache
def text_templates(package: str) -> Environment:
    """The templates of a package for text such as Markdown, all of it our own: nothing is escaped."""
    return Environment(  # no HTML
        loader=PackageLoader(package), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
