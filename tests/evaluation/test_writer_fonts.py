"""A figure takes names in any script without a warning, and in a font that has them where the machine has one."""

from __future__ import annotations

from matplotlib import rcParams
from matplotlib.figure import Figure as Plot
from matplotlib.text import Text

from streamer.evaluation import writer
from streamer.evaluation.fonts import families_for


def figure() -> Plot:
    plot = Plot()
    plot.suptitle("Dr. \u738b")
    plot.supxlabel("plain")
    return plot


def test_a_name_in_chinese_is_drawn_without_a_warning() -> None:  # pytest makes warnings errors
    assert b"<svg" in writer._svg(figure())
    assert writer._png(figure()).startswith(b"\x89PNG")


def test_a_font_of_the_machine_is_added_for_what_matplotlibs_lacks() -> None:
    plot = figure()
    writer._svg(plot)
    texts = plot.findobj(Text)
    families = {text.get_text(): text.get_fontfamily() for text in texts}
    assert families["Dr. \u738b"] == families_for(["Dr. \u738b"])
    assert families["plain"] == rcParams["font.family"]
