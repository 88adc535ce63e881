"""Subsets by source, scanner layout and size of nodule."""

from streamer.evaluation.subsets import ImageTraits, subsets, traits_of
from tests.evaluation.pictures import picture


def view(source: str, share: float | None = None, layout: str = "") -> ImageTraits:
    return ImageTraits(source=source, group="a", split="val", layout=layout, share=share)


def test_parts_of_each_source_follow_it() -> None:
    views = [
        view("cine", 0.01, "900x600 px"),
        view("cine", 0.05, "686x528 px"),
        view("cine", None, "686x528 px"),
        view("ddti", 0.5),
    ]
    rows = {part.name: part.rows.tolist() for part in subsets(views)}
    assert rows == {
        "cine + ddti": [0, 1, 2, 3],
        "cine": [0, 1, 2],
        "cine, 686x528 px": [1, 2],
        "cine, 900x600 px": [0],
        "cine, small nodules (box below 3% of the frame)": [0],
        "cine, medium nodules (box 3% to 10% of the frame)": [1],
        "ddti": [3],
    }
    assert [part.cluster for part in subsets(views) if part.whole] == ["group", "group", "case"]


def test_the_bounds_of_a_size_belong_to_the_larger_one() -> None:
    names = [part.name for part in subsets([view("x", 0.0299), view("x", 0.03), view("x", 0.1)]) if part.kind == "size"]
    assert [name.split()[1] for name in names] == ["small", "medium", "large"]


def test_a_view_tells_layout_only_of_clips_and_the_largest_share() -> None:
    boxes = ((0.0, 0.0, 96.0, 32.0), (0.0, 0.0, 9.6, 6.4))
    assert traits_of(picture(boxes), boxes, "val") == ImageTraits(
        source="here", group="a", split="val", layout="", share=0.5
    )
    assert traits_of(picture((), frame=3), (), "val").layout == "96x64 px"
    assert traits_of(picture(()), (), "val").share is None
