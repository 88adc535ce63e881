"""Ask an archive's tables with DuckDB and with Polars, also while it grows: suspicious nodules, and failures.

python examples/read_archive.py ARCHIVE
"""

import json
import sys
from pathlib import Path

import duckdb
import polars as pl


def suspicious_nodules(archive: Path, count: int = 10) -> list[tuple[str, float]]:
    """Clip and malignancy of the most suspicious nodules, with DuckDB."""
    clips, nodules = (_parts(archive, table) for table in ("clips", "nodules"))
    found = duckdb.execute(
        f"select clips.uri, nodules.malignancy_max from '{clips}' as clips join '{nodules}' as nodules using (key) "
        f"where nodules.qualifies order by nodules.malignancy_max desc, clips.uri limit {count}"
    ).fetchall()
    return [(str(uri), float(malignancy)) for uri, malignancy in found]


def failures(archive: Path) -> dict[str, int]:
    """Clips without result by kind, with Polars."""
    clips = pl.scan_parquet(_parts(archive, "clips"), hive_partitioning=False)
    counted = clips.filter(pl.col("failure").is_not_null()).group_by("failure").len().sort("failure").collect()
    return {str(kind): int(count) for kind, count in counted.iter_rows()}


def _parts(archive: Path, table: str) -> str:
    current = json.loads((archive / "archive.json").read_text())["current"]
    return str(archive / table / f"analysis={current}" / "*.parquet")


def main(archive: str) -> None:
    for uri, malignancy in suspicious_nodules(Path(archive)):
        print(f"{malignancy:.2f}  {Path(uri).name}")
    print("without result:", failures(Path(archive)))


if __name__ == "__main__":
    main(sys.argv[1])
