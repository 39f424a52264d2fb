"""The guest of my_gadget. What is a field of the record, the host decodes; what is left is the file's name."""

from gadget import ACCEPTED, Gadget, Outcome, Tables, records


class Guest(Gadget):
    def opens(self, record: records.Event, tables: Tables) -> Outcome:
        tables.opens.row(record, file=record.path.rsplit(b"/", 1)[-1])
        return ACCEPTED
