"""The guest and what is generated for it, beside a stand-in for the host: `python3 -m unittest` with PYTHONPATH."""

import struct
import unittest

import gadget
import guest
from gadget_sdk import testing
from gadget_sdk.running import Running


def event(colour: int, letter: bytes = b"x", comm: bytes = b"exactly 12 b") -> bytes:
    data = struct.pack("<Q", 77) + b"process\0ignored!"
    data = data.ljust(8 + 72, b"\0") + struct.pack("<i", colour) + b"\1" + letter
    data += struct.pack("<HII", 0b101 | 0x155 << 3 | 0b110 << 13, 0xFFFF_FFFE, 0x0403_0201)
    data += struct.pack("<H", 0x1234)
    for x, y in (-1, 10), (500, 20), (3, 30):
        data += struct.pack("<hB", x, y)
    return data + struct.pack("<4IQQ", 1, 2, 3, 4, 2**64 - 1, 1) + comm + b"one\0two\0"


def int32(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}i", *numbers)


def view(payload: bytes) -> gadget.records.Event:
    return gadget.records.Event(payload, 0, len(payload), 0)


class Tests(unittest.TestCase):
    def setUp(self) -> None:
        testing.reset()
        testing.set_param(gadget.Params.LOWEST, "-3")
        testing.set_param(gadget.Params.RATE, "1.5")
        testing.set_param(gadget.Params.LEVEL, "1")
        testing.set_param(gadget.Params.VERBOSE_LOG, "true")
        self.running = Running(gadget, guest.Everything)

    def test_fields_are_read_where_they_are(self) -> None:
        one = view(event(-2))
        self.assertEqual((one.stamp, one.colour, one.yes, one.letter), (77, -2, True, ord("x")))
        self.assertEqual(one.proc.comm, b"process")
        self.assertEqual((one.low, one.mid, one.high), (0b101, 0x155, 0b110))
        self.assertEqual((one.negative, one.rest), (-2, -1))
        self.assertEqual((one.word, one.bytes), (0x0403_0201, b"\1\2\3\4"))
        self.assertEqual(one.named.inner, 0x1234)
        self.assertEqual([point.x for point in one.points], [-1, 500, 3])
        self.assertEqual(one.numbers, (1, 2, 3, 4))
        self.assertEqual((one.type, one.pointer), (2**64 - 1, 1))
        self.assertEqual((one.comm, one.tail, one.tail_array), (b"exactly 12 b", b"one", b"one\0two\0"))
        self.assertEqual(view(event(1, comm=b"ls\0garbage..")).comm, b"ls")
        self.assertIn("colour=-2, ", repr(one))
        self.assertEqual(gadget.split(b"ls\0-l\0\0/\0"), [b"ls", b"-l", b"", b"/"])
        self.assertEqual((gadget.split(b"cut"), gadget.split(b"")), ([b"cut"], []))

    def test_every_record_is_counted_and_rows_are_whole(self) -> None:
        first, dropped, last = event(-2), event(-4), event(1)
        span = testing.span([first, dropped, b"short", last])
        self.assertEqual(self.running.process(0, span), (2, 1, 1))
        (emit,) = testing.emitted()
        size = (len(first) + 7) // 8 * 8 + 8
        self.assertEqual((emit.table, emit.rows, emit.origin), (0, 2, [0, 2 * size + 16]))
        self.assertEqual(sorted(emit.columns), list(range(1, 10)))
        column = emit.columns
        self.assertEqual(column[1], [b"", b"\xfe\xfe"])
        self.assertEqual(column[2], [b"", b"\1\1"])
        self.assertEqual(column[3][1], struct.pack("<2d", 1.5, 1.5))
        self.assertEqual(column[4], [b"", int32(0, 12, 24), b"exactly 12 bexactly 12 b"])
        self.assertEqual(column[5][1], int32(0, 16, 32))
        self.assertEqual(column[6][1:], [int32(0, 2, 4), b"", int32(0, 3, 6, 9, 12), b"onetwoonetwo"])
        self.assertEqual(column[7][:2], [b"", int32(0, 3, 6)])
        self.assertEqual(column[7][2:4], [b"\x2d", int32(0, 4, 4, 4, 8, 8, 8)])
        self.assertEqual(len(column[8]), 1 + 2 + (2 + 3) + (1 + 2))
        self.assertEqual(column[8][2], b"\x34\x12\x34\x12")
        self.assertEqual(column[8][5:8], [b"\x2d", int32(0, 1, 1, 2, 3, 3, 4), b"abab"])
        self.assertEqual(column[8][10], int32(502, 502))
        self.assertEqual(column[9][4], struct.pack("<6H", 10, 20, 30, 10, 20, 30))

    def test_discarded_and_broken_frames(self) -> None:
        span = bytearray(testing.span([event(1), event(2), event(3)]))
        size = len(span) // 3
        span[3] |= 0x40
        self.assertEqual(self.running.process(0, bytes(span)), (2, 0, 0))
        self.assertEqual(testing.emitted()[0].origin, [size, 2 * size])
        span[size + 3] |= 0x80
        self.assertEqual(self.running.process(0, bytes(span)), (0, 0, 0))
        whole = testing.span([b"\1\0\0\0" + bytes(8), b"\2\0\0\0"])
        for cut in range(len(whole)):
            count = (cut >= 20) + (cut >= 24 + 8 + 4)
            self.assertEqual(self.running.process(1, whole[:cut]).accepted, count, cut)

    def test_columns_that_nobody_needs_are_not_computed(self) -> None:
        testing.set_wanted(0, [0, 4])
        self.running.process(0, testing.span([event(1)]))
        self.assertEqual(list(testing.emitted()[0].columns), [4])
        testing.set_wanted(0, [])
        self.running.process(0, testing.span([event(1)]))
        (emit,) = testing.emitted()
        self.assertEqual((emit.rows, emit.columns), (1, {}))

    def test_a_table_that_the_host_decodes_takes_origins_alone(self) -> None:
        span = testing.span([b"\1\0\0\0", b"\2\0\0\0\t", b"\3\0\0\0\t\t", b"\4\0"])
        self.assertEqual(self.running.process(1, span), (2, 0, 2))
        (emit,) = testing.emitted()
        self.assertEqual((emit.table, emit.origin, emit.columns), (1, [0, 32], {}))
        self.assertEqual(self.running.process(9, span), (0, 0, 0))

    def test_maps_and_timers(self) -> None:
        testing.set_entry(0, struct.pack("<I", 5), struct.pack("<q", 100))
        testing.set_entry(1, struct.pack("<I", 7), b"\1\0" + b"\t" * 6 + b"\2\0" + b"\t" * 6)
        testing.set_entry(2, bytes(8), struct.pack("<QQ", 3, 4))
        maps = gadget.maps
        self.assertEqual((maps.counts.lookup(5), maps.counts.lookup(6)), (100, None))
        self.assertEqual(maps.per_cpu.read_all(), [(7, [1, 2])])
        self.running.tick(1, 2)
        self.running.tick(99, 1)
        self.running.stop()
        ticked, stopped = testing.emitted()
        self.assertEqual(testing.ended(), [2])
        self.assertEqual((ticked.table, ticked.rows, ticked.origin), (2, 3, []))
        self.assertEqual(ticked.columns[0], [b"\5", struct.pack("<3I", 5, 0, 8)])
        self.assertEqual(ticked.columns[1][1], struct.pack("<3Q", 200, 3, 7))
        self.assertEqual(stopped.columns[0], [b"\0", bytes(4)])
        self.assertTrue(self.running.gadget.stopped)
        maps.pairs.update(bytes(8), b"\1" * 16)
        self.assertTrue(maps.pairs.delete(bytes(8)))
        maps.counts.update(5, -1)
        self.assertEqual(maps.counts.lookup(5), -1)
        self.assertFalse(maps.counts.delete(6))
        with self.assertRaisesRegex(ValueError, "3 bytes where the map has 8"):
            maps.pairs.lookup(b"abc")

    def test_containers_and_their_watcher(self) -> None:
        testing.logged()
        testing.set_owner_of_record(16, 2)
        testing.set_owner_of_cgroup(1 << 40, 1)
        testing.set_owner_of_mount_namespace(8, 2)
        testing.set_field(1, gadget.containers.CONTAINER, "web")
        testing.set_field(2, gadget.containers.CONTAINER_ID, "0123456789abcdef")
        testing.set_field(2, "k8s.podName", "pod")
        self.running.added([1, 2])
        self.running.removed([2, 1])
        self.running.process(1, testing.span([bytes(4), bytes(7)]))
        columns = [(emit.columns[0][1], emit.columns[1][1]) for emit in testing.emitted() if emit.table == 2]
        self.assertEqual(
            columns,
            [
                (int32(1, 2, 1, 2, 2), struct.pack("<5Q", 3, 0, 0, 0, 0)),
                (int32(2, 1), struct.pack("<2Q", 3, 0)),
                (int32(2), struct.pack("<Q", 0)),
            ],
        )
        self.assertEqual(testing.logged(), 2 * [("warn", "there is no field 'colour' of containers")])

    def test_parameters_and_messages(self) -> None:
        params = self.running.gadget.params
        self.assertEqual((params.lowest, params.level, params.verbose_log, params.rate), (-3, 1, True, 1.5))
        self.assertEqual(testing.logged(), [("info", "begins at 0 0")])
        testing.set_param(gadget.Params.PREFIX, "refuse")
        with self.assertRaisesRegex(gadget.InitError, "refused"):
            Running(gadget, guest.Everything)

    def test_rows_over_the_budget_are_reported(self) -> None:
        testing.logged()
        testing.on_emit(lambda emitted: "too much")
        self.running.process(1, testing.span([bytes(4), bytes(4)]))
        self.assertEqual(testing.logged(), [("error", "2 rows of table 1 are lost: too much")])

    def test_many_rows_are_handed_over_in_the_midst_of_a_call(self) -> None:
        most = 32 * 1024
        span = testing.span([bytes(4)] * (most + most // 2))
        self.assertEqual(self.running.process(1, span).accepted, most + most // 2)
        self.assertEqual([emit.rows for emit in testing.emitted()], [most, most // 2])

    def test_what_a_column_does_not_take_is_named(self) -> None:
        tables = gadget.Tables()
        span = testing.span([event(1)])
        record = gadget.records.Event(span, 8, len(span), 0)
        for wrong, text in (
            ({"small": 300}, "column `small` of table `event`: 300 is no i8"),
            ({"small": "1"}, "column `small` of table `event`: '1' is no i8"),
            ({"name": 7}, "column `name` of table `event`: 7 is neither str nor bytes"),
            ({"grid": [[70000]]}, "column `grid` of table `event`: 70000 is no u16"),
        ):
            tables.event._begin(span)
            tables.event.row(record, **wrong)
            with self.assertRaises(TypeError) as raised:
                tables.event._flush()
            self.assertEqual(str(raised.exception), text)
            tables = gadget.Tables()
        tables.event._begin(testing.span([event(2)]))
        with self.assertRaisesRegex(ValueError, "a record of an earlier call"):
            tables.event.row(record)

    def test_nulls_at_every_length(self) -> None:
        for nulls in range(1 << 10):
            tables = gadget.Tables()
            tables.totals._begin(None)
            for at in range(10):
                tables.totals.row(key=None if nulls >> at & 1 else at)
            tables.totals._flush()
            valid = testing.emitted()[0].columns[0][0]
            self.assertEqual(valid, (~nulls & 0x3FF).to_bytes(2, "little") if nulls else b"")

    def test_what_is_no_outcome_is_said(self) -> None:
        self.running._sources[1] = (gadget.records.Plain, lambda record, tables: None)
        with self.assertRaisesRegex(TypeError, "None, which is no Outcome"):
            self.running.process(1, testing.span([bytes(4)]))


if __name__ == "__main__":
    unittest.main()
