"""Writes tests/data/data/rows.parquet, the fixture of the Parquet reader, with pyarrow (a row group every 700 rows). With --check compares the
stored file's rows instead."""
import os
import sys

import pyarrow
import pyarrow.parquet

ROWS = 3000
folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "data")
table = pyarrow.table({
    "id": pyarrow.array(range(ROWS), pyarrow.int32()),
    "text": pyarrow.array([f"row {i} \u00e9" for i in range(ROWS)], pyarrow.string()),
    "score": pyarrow.array([None if i % 7 == 0 else i / 4 for i in range(ROWS)], pyarrow.float64()),
    "flag": pyarrow.array([i % 3 == 0 for i in range(ROWS)], pyarrow.bool_()),
    "choices": pyarrow.array([[f"a{i}", "b"] for i in range(ROWS)], pyarrow.list_(pyarrow.string())),
}).replace_schema_metadata({"made_by": f"tests/parity/data_parquet.py with pyarrow {pyarrow.__version__}"})
file = os.path.join(folder, "rows.parquet")
if "--check" in sys.argv:
    assert pyarrow.parquet.read_table(file).equals(table)
else:
    os.makedirs(folder, exist_ok=True)
    pyarrow.parquet.write_table(table, file, row_group_size=700, compression="zstd")
