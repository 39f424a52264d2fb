"""The guest of trace_exec, in Python. What is a field of the record, the host decodes; what is left lies behind the
path, in the record's variable part: the arguments and the working directory."""

from gadget import ACCEPTED, MALFORMED, Gadget, Outcome, Tables, records, split


class TraceExec(Gadget):
    def exec(self, record: records.Event, tables: Tables) -> Outcome:
        tail = record.record_tail
        args_at = record.file_size
        cwd_at = args_at + record.args_size
        end = cwd_at + record.cwd_size
        if end > len(tail):
            return MALFORMED
        tables.exec.row(
            record,
            error=record.error or None,
            # The last one may lack its NUL where the record was too short for all of it.
            args=split(tail[args_at:cwd_at]),
            cwd=tail[cwd_at:end].split(b"\0")[0] or None,
        )
        return ACCEPTED
