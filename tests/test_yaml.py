"""Configuration files that would fill the memory or take for ever: refused in one short line."""

from pathlib import Path

import pytest

from streamer._yaml import read_yaml
from streamer.errors import SettingsError
from streamer.settings import load_settings


def complaint(folder: Path, text: str) -> str:
    path = folder / "config.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500 + len(str(path))
    return message


def bomb(levels: int) -> str:
    """Lists of nine aliases of the list before: 9 to the power of `levels` values in a few bytes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_an_alias_bomb(tmp_path: Path) -> None:
    assert "more than 10000 values" in complaint(tmp_path, bomb(8))


def test_a_bomb_of_merged_mappings(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 9)]
    assert "more than 10000 values" in complaint(tmp_path, "\n".join(lines))


def test_what_holds_itself(tmp_path: Path) -> None:
    assert "within what it stands for" in complaint(tmp_path, "a: &a [*a]")


@pytest.mark.parametrize(
    "text",
    ["a: " + "[" * 5000, "a: " + "[" * 5000 + "]" * 5000, "a: " + "{b: " * 3000 + "}" * 3000, "- " * 5000],
)
def test_a_deep_nest(tmp_path: Path, text: str) -> None:
    assert "more than 20 mappings or lists" in complaint(tmp_path, text)


def test_a_nest_that_aliases_make_deep(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 1000)]
    assert "more than 20 mappings or lists" in complaint(tmp_path, "\n".join(lines))


def test_many_keys(tmp_path: Path) -> None:
    assert "more than 64 KiB" in complaint(tmp_path, "".join(f"key{n}: 1\n" for n in range(40_000)))
    assert "there is no setting 'k0'" in complaint(tmp_path, "".join(f"k{n}: 1\n" for n in range(4_000)))


def test_a_value_without_end_is_quoted_in_part(tmp_path: Path) -> None:
    assert "(got 'xxx" in complaint(tmp_path, f"detection: {{confidence: {'x' * 50_000}}}")
    assert "there is no setting 'yyy" in complaint(tmp_path, f"{'y' * 1000}: 1")
    assert "is not valid YAML: zzz" in complaint(tmp_path, f"? {'z' * 900}\n: 1\n? {'z' * 900}\n: 2")


def test_a_few_aliases_are_welcome(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: &a {x: 1, y: [2, 3]}\nb: *a\nc: {<<: *a, x: 4}\n")
    first = {"x": 1, "y": [2, 3]}
    assert read_yaml(path) == {"a": first, "b": first, "c": {"x": 4, "y": [2, 3]}}


def test_a_key_that_is_no_text_and_one_that_stands_twice(tmp_path: Path) -> None:
    assert "not valid YAML" in complaint(tmp_path, "? [1, 2]\n: 3")
    assert "a stands twice" in complaint(tmp_path, "a: 1\na: 2")


def test_another_encoding_is_named_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("input: {deinterlace: auto}", encoding="utf-16")
    with pytest.raises(SettingsError, match=r"a\.yaml is not in UTF-8; save it as UTF-8$"):
        read_yaml(path)
    path.write_text("input: {deinterlace: auto}", encoding="utf-8-sig")
    assert read_yaml(path) == {"input": {"deinterlace": "auto"}}
