"""A guest that uses all that is generated."""

from gadget import ACCEPTED, DROPPED, MALFORMED, Gadget, InitError, Outcome, Params, Tables
from gadget import clock, containers, log, maps, records, split, tables, timers
from gadget import HostError

from typing import Sequence


class Everything(Gadget):
    def __init__(self, params: Params) -> None:
        if params.prefix == "refuse":
            raise InitError("refused")
        if params.verbose_log:
            log.info(f"begins at {clock.boot()} {clock.wall()}")
        self.params = params
        self.timer = timers.every(1)
        self.stopped = False
        timers.once(float("inf")).cancel()

    def stop_record(self, record: records.Event, tables_: Tables) -> Outcome:
        if record.colour < self.params.lowest:
            return DROPPED
        if record.letter == ord("!"):
            raise ValueError("a letter that is not one")
        tables_.event.row(
            record,
            small=record.negative,
            flag=record.yes,
            ratio=self.params.rate,
            name=record.comm,
            raw=record.proc.comm_array,
            words=split(record.tail_array) if tables_.event.wants_words else None,
            grid=[(number & 0xFFFF for number in record.numbers), None, []],
            place=tables.EventPlace(
                port=record.named.inner,
                names=["a", None, b"b"],
                at=tables.EventPlaceAt(x=sum(point.x for point in record.points)),
            ),
            places=[tables.EventPlacesItem(port=point.y) for point in record.points],
        )
        return ACCEPTED

    def plain(self, record: records.Plain, tables: Tables) -> Outcome:
        if len(record.address) == 1:
            return MALFORMED
        tables.plain.row(record)
        if len(record.address) == 3:
            tables.totals.row(key=containers.of_record(record).number)
        return ACCEPTED

    def tick(self, timer: timers.Timer, due: int, tables: Tables) -> None:
        if timer != self.timer:
            return
        for key, total in maps.counts.read_all():
            tables.totals.row(key=key, total=total * due)
        per_cpu = maps.per_cpu.lookup(7)
        if per_cpu:
            tables.totals.row(total=sum(per_cpu))
        for pair_key, value in maps.pairs.read_all():
            pair = records.Pair.view_of(value)
            tables.totals.row(key=len(pair_key), total=None if pair is None else pair.first + pair.second)
        tables.totals.end_frame()

    def added(self, owners: Sequence[containers.Owner], tables: Tables) -> None:
        names = containers.fields(owners, containers.CONTAINER)
        for owner, name in zip(owners, names):
            tables.totals.row(key=owner.number, total=None if name is None else len(name))
        asked = [
            containers.by_cgroup(1 << 40),
            containers.by_mount_namespace(8, 9),
            containers.by_id("0123456789ab"),
        ]
        for owner in asked:
            tables.totals.row(key=owner.number)

    def removed(self, owners: Sequence[containers.Owner], tables: Tables) -> None:
        for owner in owners:
            pod = owner.field("k8s.podName")
            tables.totals.row(key=owner.number, total=None if pod is None else len(pod))
            try:
                owner.field("colour")
            except HostError as error:
                log.warn(str(error))

    def stop(self, tables: Tables) -> None:
        self.stopped = True
        tables.totals.row(total=3)
