"""Reads an Arrow stream from standard input batch by batch, as anybody would, and says what it saw.

Each batch goes to DuckDB and to Polars as soon as it is there.
"""

import sys

import duckdb
import polars
import pyarrow
import pyarrow.parquet

reader = pyarrow.ipc.open_stream(sys.stdin.buffer)
print("schema", ", ".join(f"{field.name}: {field.type}" for field in reader.schema), flush=True)
kind = reader.schema.field("time").metadata[b"ig:kind"].decode()
print("kind", kind, flush=True)

database = duckdb.connect()
frames = []
for number, batch in enumerate(reader):
    if number == 0:
        database.execute("create table rows as select * from batch")
    else:
        database.execute("insert into rows select * from batch")
    frames.append(polars.from_arrow(batch))
    print("batch", batch.num_rows, batch.column("pid").to_pylist(), flush=True)

for row in database.execute(
    'select epoch_ns(time), pid, comm, args, rows."at".file from rows order by pid nulls last'
).fetchall():
    print("duckdb", row)
rows = polars.concat(frames)
print("polars", rows.schema["time"], rows["pid"].sum(), rows["comm"].to_list())

# The same rows, from a file.
table = pyarrow.parquet.read_table(sys.argv[1])
print("parquet", table.schema.equals(reader.schema), table.column("pid").to_pylist())
print("parquet duckdb", database.execute("select count(*), min(comm) from read_parquet(?)", [sys.argv[1]]).fetchall())
print("parquet polars", polars.read_parquet(sys.argv[1]).height)
