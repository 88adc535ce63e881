from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from streamer.errors import DataError
from streamer.scintigraphy.answers import read_predictions
from streamer.scintigraphy.classes import CLASSES, parse_class
from streamer.scintigraphy.evaluation import Study, evaluate
from streamer.scintigraphy.pictures import near_duplicates, read_pictures, refuse_near_duplicates
from streamer.scintigraphy.predict import find_images
from streamer.scintigraphy.readings import read_readings
from streamer.scintigraphy.samples import FOLDS, ScintigraphyData, fold_split, read_samples
from streamer.scintigraphy.training import Trainer
from tests.scintigraphy.conftest import RECIPE


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Graves' disease", "graves"), ("GD", "graves"), ("normal thyroid", "normal"), ("NT", "normal"),
        ("Subacute_thyroiditis", "subacute"), ("SAT", "subacute"), ("Thyroid tumor", "tumour"), ("TUMOURS", "tumour"),
        ("goitre", None),
    ],
)  # fmt: skip
def test_class_names(name: str, label: str | None) -> None:
    assert parse_class(name) == label


def test_a_folder_in_the_papers_form_is_split_by_centre_and_patient(study_folder: Path) -> None:
    data = read_samples(study_folder, internal="north")
    counts = Counter((sample.split, sample.label) for sample in data.samples)
    assert {split for split, _ in counts} == {"train", "val", "external"}
    assert all(counts["external", label] == 6 for label in CLASSES)
    assert all(counts["val", label] >= 1 for label in CLASSES)
    assert sum(count for (split, _), count in counts.items() if split == "val") in (4, 5)
    assert all(sample.centre == "south" for sample in data.part("external"))
    assert all(sample.mask is not None and sample.mask.is_file() for sample in data.samples)


def test_the_split_is_the_same_again_and_another_with_another_seed(study_folder: Path) -> None:
    one, again, other = (read_samples(study_folder, internal="north", seed=seed) for seed in (0, 0, 1))
    assert one.digest == again.digest
    assert one.digest != other.digest


def test_every_patient_is_held_out_once_in_five_folds(study_folder: Path) -> None:
    inside = [sample for sample in read_samples(study_folder, internal="north").samples if sample.split != "external"]
    held = [sample.patient for fold in range(FOLDS) for sample in fold_split(inside, fold) if sample.split == "val"]
    assert sorted(held) == sorted(sample.patient for sample in inside)


def test_the_first_fold_is_the_split_itself(study_folder: Path) -> None:
    data = read_samples(study_folder, internal="north", seed=3)
    inside = [sample for sample in data.samples if sample.split != "external"]
    again = {sample.patient: sample.split for sample in fold_split(inside, 0, seed=3)}
    assert all(again[sample.patient] == sample.split for sample in inside)


def test_one_centre_has_no_external_images(study_folder: Path) -> None:
    data = read_samples(study_folder / "north")
    assert not data.part("external")
    assert "no external centre" in data.rule


def copied(study_folder: Path, folder: Path) -> Path:
    shutil.copytree(study_folder, folder)
    return folder


def test_an_empty_class_is_refused(study_folder: Path, tmp_path: Path) -> None:
    root = copied(study_folder, tmp_path / "study")
    for file in (root / "north" / "tumour").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="the class is empty"):
        read_samples(root)


def test_a_missing_class_is_refused(study_folder: Path, tmp_path: Path) -> None:
    root = copied(study_folder, tmp_path / "study")
    shutil.rmtree(root / "south" / "normal")
    with pytest.raises(DataError, match="the class 'normal' is empty"):
        read_samples(root)


def test_one_patient_in_two_classes_is_refused(study_folder: Path, tmp_path: Path) -> None:
    root = copied(study_folder, tmp_path / "study")
    file = next((root / "north" / "graves").iterdir())
    shutil.copy(file, root / "north" / "normal" / file.name)
    with pytest.raises(DataError, match="is in the classes 'graves' and 'normal'"):
        read_samples(root)


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="holds no class folders"):
        read_samples(tmp_path)


def test_what_is_no_image_is_passed_over(study_folder: Path, tmp_path: Path) -> None:
    root = copied(study_folder, tmp_path / "study")
    for name in ("._north-normal-0000.jpg", ".DS_Store", "Thumbs.db", "notes.txt"):
        (root / "north" / "normal" / name).write_bytes(b"no image")
    (root / "__MACOSX").mkdir()
    (root / "north" / ".hidden").mkdir()
    assert len(read_samples(root).samples) == 48
    assert len(find_images([root / "north"])) == 24


def test_an_unknown_centre_is_refused(study_folder: Path) -> None:
    with pytest.raises(DataError, match="no centre 'east'; it has north, south"):
        read_samples(study_folder, internal="east")


def test_too_few_patients_to_split_are_refused(study_folder: Path) -> None:
    few = [sample for sample in read_samples(study_folder, internal="north").samples if sample.centre == "north"]
    few = [sample for sample in few if not (sample.label == "graves" and sample.patient.endswith(("4", "5")))]
    with pytest.raises(DataError, match="too few patients of the class 'graves' to split them: 4 of at least 5"):
        fold_split(few, 0)


def rows(study_folder: Path, path: Path, header: str, line: str) -> Path:
    """A CSV with a line an image; `line` is a format string of file, label, centre, number and split."""
    lines = [header]
    for number, file in enumerate(sorted(study_folder.glob("*/*/*.jpg"))):
        split = "external" if file.parts[-3] == "south" else ("val" if number % 3 == 0 else "train")
        lines.append(line.format(file=file, label=file.parent.name, centre=file.parts[-3], number=number, split=split))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_csv_gives_patient_centre_and_split(study_folder: Path, tmp_path: Path) -> None:
    path = rows(
        study_folder,
        tmp_path / "d.csv",
        "image,label,patient,centre,split",
        "{file},{label},p{number},{centre},{split}",
    )
    data = read_samples(path)
    assert data.rule == "as given"
    assert (len(data.part("train")), len(data.part("val")), len(data.part("external"))) == (16, 8, 24)


def test_several_images_of_a_patient_are_never_split(study_folder: Path, tmp_path: Path) -> None:
    path = rows(
        study_folder / "north" / "..",
        tmp_path / "d.csv",
        "image,label,patient,centre",
        "{file},{label},{label}{number},{centre}",
    )
    text = path.read_text().splitlines()
    doubled = list(text)
    for number, line in enumerate(text[1:]):
        other = tmp_path / f"{number}.jpg"
        shutil.copy(line.split(",")[0], other)
        doubled.append(",".join([str(other), *line.split(",")[1:]]))
    path.write_text("\n".join(doubled) + "\n")
    data = read_samples(path, internal="north")
    splits: dict[str, set[str]] = {}
    for sample in data.samples:
        splits.setdefault(sample.patient, set()).add(sample.split)
    assert all(len(found) == 1 for found in splits.values())


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        ("image", "{file}", "lacks the column 'label'"),
        ("image,label", "{file},goitre", "line 2: 'goitre' is no class"),
        ("image,label,split", "{file},{label},test", "split is one of train, val, external"),
        ("image,label,frame", "{file},{label},first", "frame must be a number"),
        ("image,label,colour_map", "{file},{label},pink", "colour_map is one of"),
        ("image,label,patient,split", "{file},{label},{label},{split}", "is in the splits"),
        ("image,label,label", "{file},x,{label}", "has the column 'label' twice: keep one"),
        ("image,label,Patient ID", "{file},{label},{number}", "has a column 'Patient ID': call it 'patient'"),
        ("image,label,center", "{file},{label},{centre}", "has a column 'center': call it 'centre'"),
    ],
)
def test_a_wrong_csv_is_one_line(study_folder: Path, tmp_path: Path, header: str, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_samples(rows(study_folder, tmp_path / "d.csv", header, line))


def test_an_image_by_another_way_there_is_refused(study_folder: Path, tmp_path: Path) -> None:
    path = rows(study_folder, tmp_path / "d.csv", "image,label", "{file},{label}")
    first = path.read_text().splitlines()[1]
    path.write_text(path.read_text() + first.replace("/north/", "/south/../north/") + "\n")
    with pytest.raises(DataError, match="this image stands there already"):
        read_samples(path)


@pytest.mark.parametrize("content", [b"Patient;M\xfcller\n", b"patient,note\n1,x\n"])
def test_a_hospitals_own_file_of_the_name_of_a_phantoms_truth_is_passed_over(
    study_folder: Path, tmp_path: Path, content: bytes
) -> None:
    root = copied(study_folder, tmp_path / "study")
    (root / "truth.csv").write_bytes(content)
    assert all(sample.mask is None for sample in read_samples(root).samples)


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("image;label\na.jpg;graves\n", "utf-8", "stand between semicolons: save it with commas"),
        ("image,label\nMüller.jpg,graves\n", "latin-1", "not UTF-8; save it as CSV UTF-8"),
        ("image,label\n", "utf-8", "has a header and no rows"),
    ],
)
def test_a_csv_of_another_kind_is_one_line(tmp_path: Path, text: str, encoding: str, message: str) -> None:
    (tmp_path / "d.csv").write_text(text, encoding=encoding)
    every: tuple[Callable[[Path], object], ...] = (read_samples, read_predictions, lambda path: read_readings(path, []))
    for read in every:
        with pytest.raises(DataError, match=message if read is read_samples else r"d\.csv"):
            read(tmp_path / "d.csv")


def test_a_picture_saved_again_is_a_near_duplicate_and_another_patients_is_not(
    study_folder: Path, tmp_path: Path
) -> None:
    data = read_samples(study_folder, internal="north")
    pictures = read_pictures(data.samples, 128)
    learned = next(sample for sample in data.samples if sample.split == "train")
    with Image.open(learned.image) as picture:
        picture.resize((200, 200)).save(tmp_path / "again.jpg", quality=75)
    again = read_pictures([type(learned)(image=tmp_path / "again.jpg", patient="x", label="normal", centre="c")], 128)
    numbers = [number for number, sample in enumerate(data.samples) if sample.split != "external"]
    assert near_duplicates(again.grey, pictures.grey[numbers])[0][1] == numbers.index(data.samples.index(learned))
    refuse_near_duplicates(pictures)


def test_a_near_duplicate_across_splits_is_refused(study_folder: Path, tmp_path: Path) -> None:
    root = copied(study_folder, tmp_path / "study")
    source = next(sample for sample in read_samples(root, internal="north").samples if sample.split == "train")
    shutil.copy(source.image, root / "south" / source.label / "copy.jpg")
    data = read_samples(root, internal="north")
    with pytest.raises(DataError, match="is nearly the same picture as"):
        refuse_near_duplicates(read_pictures(data.samples, 64))


def test_an_external_near_duplicate_is_refused_before_training_and_at_the_evaluation(
    study_folder: Path, tmp_path: Path
) -> None:
    root = copied(study_folder, tmp_path / "study")
    learned = read_samples(root, internal="north").part("train")[0]
    with Image.open(learned.image) as picture:
        picture.resize((200, 200)).save(root / "south" / learned.label / "again.jpg", quality=75)
    data = read_samples(root, internal="north")
    with pytest.raises(DataError, match=r"again.jpg \(external\) is nearly the same picture as"):
        Trainer.prepare(RECIPE, data, device=torch.device("cpu"))
    with pytest.raises(DataError, match=r"again.jpg \(external\) is nearly the same picture as"):
        evaluate(Study(data=data), [tmp_path / "run"])


def test_a_near_duplicate_across_folds_is_refused_before_the_first_is_trained(
    study_folder: Path, tmp_path: Path
) -> None:
    def trained_on_twice(number: int) -> ScintigraphyData | None:
        """Data with one picture as two patients', if both are learned from in the first fold."""
        root = copied(study_folder / "north", tmp_path / str(number))
        one = root / "graves" / f"north-graves-000{number}.jpg"
        with Image.open(one) as picture:
            picture.save(root / "graves" / "again.jpg", quality=75)
        data = read_samples(root)
        splits = [sample.split for sample in data.samples if sample.image.stem in (one.stem, "again")]
        return data if splits == ["train", "train"] else None

    data = next(found for found in map(trained_on_twice, range(6)) if found)
    trainer = Trainer.prepare(RECIPE, data, device=torch.device("cpu"))
    with pytest.raises(DataError, match="is nearly the same picture as"):
        trainer.check_folds()
