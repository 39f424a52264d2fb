"""What the guest of trace_open does, in Python. For benches."""

from gadget import ACCEPTED, Gadget, Outcome, Tables, records


class TraceOpen(Gadget):
    def open(self, record: records.Event, tables: Tables) -> Outcome:
        error = record.error
        if error:
            tables.open.row(record, error=error)
        else:
            tables.open.row(record, fd=record.fd)
        return ACCEPTED
