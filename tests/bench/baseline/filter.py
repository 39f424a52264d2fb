"""Counts the rows of an Arrow stream for which a condition holds, with Polars and with DuckDB, on one thread each.

The file is read whole before anything is timed: for Polars each column in one piece, for DuckDB a table of its own.
Then each line of standard input is one condition, as JSON: `polars`, an expression; `sql`; `seconds`, how long each is
repeated. The answer to each is a line: the counts of both, and the median of what one took, in seconds.
"""

import json
import os
import sys
import time

os.environ["POLARS_MAX_THREADS"] = "1"  # read once, when it is imported

import duckdb
import polars as pl
import pyarrow

with open(sys.argv[1], "rb") as file:
    data = pyarrow.ipc.open_stream(file).read_all()
frame = pl.from_arrow(data).rechunk()
database = duckdb.connect()
database.execute("set threads = 1")
database.execute("create table rows as select * from data")
del data


def timed(seconds, count):
    """What it counts, and the median of several times; once before, untimed."""
    result = count()
    times = []
    while sum(times) < seconds:
        begin = time.perf_counter()
        again = count()
        times.append(time.perf_counter() - begin)
        assert again == result
    return result, sorted(times)[len(times) // 2]


print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    total = eval(asked["polars"]).sum()
    polars = timed(asked["seconds"], lambda: frame.select(total).item())
    database.execute("prepare counted as select count(*) from rows where " + asked["sql"])
    duck = timed(asked["seconds"], lambda: database.execute("execute counted").fetchone()[0])
    print(json.dumps({"rows": [polars[0], duck[0]], "polars": polars[1], "duckdb": duck[1]}), flush=True)
