"""Rows of a sweep in a Parquet file, so that what was done is not done again."""

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from neardecode.config import ConfigError
from neardecode_testbench.drive.design import write_atomically

__all__ = ["read_rows", "write_rows"]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; none where there is no file.

    Raises:
        ConfigError: if it is no such file.
    """
    import pyarrow
    from pyarrow import parquet

    if not path.exists():
        return []
    try:
        rows = parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise ConfigError(
            f"{path}: no results of a sweep: {' '.join(str(error).split())}"
        ) from None
    if any("key" not in row for row in rows):
        raise ConfigError(f"{path}: no results of a sweep: its rows have no key")
    return rows


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], order: Sequence[str]) -> None:
    """Writes rows, whole or not at all.

    Args:
        path: Where to.
        rows: By key of their columns; what a row has not is empty.
        order: Keys of the rows, in the order in which they are written.
    """
    import pyarrow
    from pyarrow import parquet

    places = {key: place for place, key in enumerate(order)}
    ordered = sorted(rows, key=lambda row: places[row["key"]])
    columns = list(dict.fromkeys(name for row in ordered for name in row))
    # A column without any value yet is one of text: it may be of errors.
    table = pyarrow.table(
        {
            name: pyarrow.array(
                values := [row.get(name) for row in ordered],
                None if any(value is not None for value in values) else pyarrow.string(),
            )
            for name in columns
        }
    )
    written = BytesIO()
    parquet.write_table(table, written)
    write_atomically(path, written.getvalue())
