"""The guest of the conformance suite: the same as ../rust/src/lib.rs."""

from __future__ import annotations

import sys
from typing import Optional, Sequence, Union

from gadget import ACCEPTED, DROPPED, MALFORMED, Gadget, HostError, Outcome, Params, Tables
from gadget import clock, containers, maps, records, tables, timers

OURS = 9999
"""A key that the eBPF side does not use."""

Text = Union[str, bytes]


def fact(to: Tables, what: str, number: Optional[int] = None, text: Optional[Text] = None) -> None:
    to.facts.row(what=what, number=number, text=text)


def types(record: records.Event, to: Tables) -> None:
    """Every column has a value."""
    n = record.sequence
    argument = record.argument_array
    to.types.row(
        record,
        flag=n % 2 == 0,
        i_8=-n,
        i_16=-n * 100,
        i_32=-n * 100_000,
        i_64=-n * 10_000_000_000,
        u_8=n,
        u_16=n * 100,
        u_32=n * 100_000,
        u_64=n * 10_000_000_000,
        f_32=n / 4,
        f_64=n / 10,
        name=argument,
        raw=argument,
        words=[argument, "", "word"],
        grid=[[n, 2], [], [3]],
        place=tables.TypesPlace(port=80, names=["a", "b"], at=tables.TypesPlaceAt(x=-n)),
        places=[tables.TypesPlacesItem(port=port) for port in (1, 2)],
    )


def limits(record: records.Event, to: Tables) -> None:
    """The least and the greatest value of each type, empty texts and lists."""
    to.types.row(
        record,
        flag=False,
        i_8=-(2**7),
        i_16=-(2**15),
        i_32=-(2**31),
        i_64=-(2**63),
        u_8=0,
        u_16=0,
        u_32=0,
        u_64=0,
        f_32=-0.5,
        f_64=sys.float_info.max,
        name="",
        raw=b"",
        words=[],
        grid=[],
    )
    to.types.row(
        record,
        flag=True,
        i_8=2**7 - 1,
        i_16=2**15 - 1,
        i_32=2**31 - 1,
        i_64=2**63 - 1,
        u_8=2**8 - 1,
        u_16=2**16 - 1,
        u_32=2**32 - 1,
        u_64=2**64 - 1,
        f_32=1.5,
        f_64=sys.float_info.min,
        name='\U0001f600\0"\\\n',
        raw=b"\0\xff",
        words=["x"] * 40,
        grid=[[2**16 - 1]],
    )


def nulls(record: records.Event, to: Tables) -> None:
    """Nulls in a column, a list and the fields of a struct."""
    to.types.row(record)
    to.types.row(
        record,
        flag=True,
        i_16=1,
        i_64=2,
        words=["a", None, "b"],
        grid=[[1, None], [None]],
        place=tables.TypesPlace(port=None, names=[None, "a"], at=tables.TypesPlaceAt(x=None)),
        places=[tables.TypesPlacesItem(port=port) for port in (5, None)],
    )
    to.types.row(record, i_8=3, u_64=4, name="b")


def nested_nulls(record: records.Event, to: Tables) -> None:
    """Nulls in place of a list or a struct, as an item of a list and as a field of a struct."""
    to.types.row(
        record,
        words=["a"],
        grid=[None, [1], [], None],
        place=tables.TypesPlace(port=1, names=None, at=None),
        places=[None, tables.TypesPlacesItem(port=2)],
    )
    to.types.row(record, words=None, grid=[None], place=None, places=[None] * 9)
    to.types.row(
        record,
        grid=[[record.sequence]],
        place=tables.TypesPlace(port=3, names=["b"], at=tables.TypesPlaceAt(x=4)),
        places=[tables.TypesPlacesItem(port=5)],
    )


def all_maps(to: Tables) -> None:
    fact(to, "lookup", maps.counts.lookup(ord("l")))
    fact(to, "lookup", maps.counts.lookup(OURS))
    maps.counts.update(OURS, 7)
    fact(to, "lookup", maps.counts.lookup(OURS))
    for _ in range(2):
        fact(to, "delete", int(maps.counts.delete(OURS)))
    for key, value in maps.counts.read_all():
        fact(to, "entry", key * 1000 + value)
    fact(to, "by CPU", sum(maps.by_cpu.lookup(0) or []))


def all_params(params: Params, to: Tables) -> None:
    fact(to, "flag", int(params.flag))
    fact(to, "lowest", params.lowest)
    to.facts.row(what="level", amount=params.level)
    fact(to, "rate", int(params.rate * 1000))
    fact(to, "prefix", text=params.prefix)
    fact(to, "wait", round(params.wait.total_seconds() * 1e6))


def owner(to: Tables, what: str, owner: containers.Owner) -> None:
    """An owner and the name of its container."""
    fact(to, what, owner.number, owner.field(containers.CONTAINER))


def several(record: records.Owned, to: Tables) -> None:
    """Owners that are asked for at once."""
    cgroup = record.cgroup_id
    owners = containers.by_cgroups([cgroup, cgroup + 1, 999])
    for owner, image in zip(owners, containers.fields(owners, containers.IMAGE)):
        fact(to, "image", owner.number, image)


class Conformance(Gadget):
    def __init__(self, params: Params) -> None:
        self.params = params
        self.seen = 0
        self.kept: list[bytes] = []
        self.once: Optional[timers.Timer] = None
        self.every: Optional[timers.Timer] = None
        self.ticks = 0
        self.owners: list[containers.Owner] = []

    def cases(self, record: records.Event, to: Tables) -> Outcome:
        argument = record.argument_array
        letter = chr(record.letter)
        self.seen += 1
        if letter == "t":
            types(record, to)
        elif letter == "x":
            limits(record, to)
        elif letter == "n":
            nulls(record, to)
        elif letter == "N":
            nested_nulls(record, to)
        elif letter == "d":
            return DROPPED
        elif letter == "m":
            return MALFORMED
        elif letter == "p":
            for byte in argument:
                to.types.row(record, name=bytes([byte]))
        elif letter == "o":
            fact(to, "no record", self.seen, argument)
        elif letter == "k":
            self.kept.append(bytes(argument))
        elif letter == "c":
            fact(to, "boot", clock.boot())
            fact(to, "wall", clock.wall())
        elif letter == "l":
            all_maps(to)
        elif letter == "q":
            all_params(self.params, to)
        elif letter == "e":
            for _ in range(2):
                to.live.row(record=record.sequence)
            to.live.end_frame()
            to.live.row(record=self.seen)
        elif letter == "T":
            self.once = timers.once(self.params.wait)
            self.every = timers.every(0.02)
            timers.once(0.001).cancel()
        elif letter == "b":
            raise RuntimeError("the case b")
        else:
            return MALFORMED
        return ACCEPTED

    def tick(self, timer: timers.Timer, due: int, to: Tables) -> None:
        if timer == self.once:
            fact(to, "once", due)
        elif timer == self.every:
            fact(to, "every", due)
            self.ticks += 1
            if self.ticks == 3:
                timer.cancel()
            self.give_up_kept(to)
        else:
            fact(to, "cancelled", due)

    def owned(self, record: records.Owned, to: Tables) -> Outcome:
        argument = record.argument_array
        letter = chr(record.letter)
        if letter == "r":
            owner(to, "record", containers.of_record(record))
        elif letter == "g":
            owner(to, "cgroup", containers.by_cgroup(record.cgroup_id))
        elif letter == "m":
            owner(to, "mount namespace", containers.by_mount_namespace(record.mntns_id, record.time))
        elif letter == "i":
            owner(to, "id", containers.by_id(argument.decode()))
        elif letter == "f":
            of_record = containers.of_record(record)
            try:
                fact(to, argument.decode(), of_record.number, of_record.field(argument.decode()))
            except HostError:
                fact(to, "no field", text=argument)
        elif letter == "s":
            several(record, to)
        elif letter == "k":
            self.owners.append(containers.of_record(record))
        elif letter == "b":
            raise RuntimeError("the case b")
        else:
            return MALFORMED
        return ACCEPTED

    def added(self, owners: Sequence[containers.Owner], to: Tables) -> None:
        for it in owners:
            owner(to, "added", it)

    def removed(self, owners: Sequence[containers.Owner], to: Tables) -> None:
        for it in owners:
            owner(to, "removed", it)

    def stop(self, to: Tables) -> None:
        for it in self.owners:
            owner(to, "kept", it)
        self.give_up_kept(to)
        to.totals.row(records=self.seen)

    def give_up_kept(self, to: Tables) -> None:
        for text in self.kept:
            fact(to, "kept", text=text)
        self.kept.clear()
