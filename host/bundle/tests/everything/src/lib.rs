//! A guest that uses all that is generated.

use gadget::{Chars, Gadget, Outcome, Params, Tables};
use gadget::{clock, containers, maps, records, tables, timers};
use std::time::Duration;

/// The guest.
#[derive(Debug)]
pub struct Everything {
    params: Params,
    timer: timers::Timer,
    stopped: bool,
}

impl Gadget for Everything {
    fn init(params: Params) -> Result<Self, String> {
        if params.prefix == "refuse" {
            return Err("refused".to_owned());
        }
        if params.verbose_log {
            gadget::info!("begins at {} {}", clock::boot(), clock::wall());
        }
        let timer = timers::every(Duration::from_secs(1))?;
        timers::once(Duration::MAX)?.cancel();
        Ok(Self {
            params,
            timer,
            stopped: false,
        })
    }

    fn stop_record(&mut self, record: records::Event<'_>, tables: &mut Tables) -> Outcome {
        if i64::from(record.colour()) < self.params.lowest {
            return Outcome::Dropped;
        }
        let wants_words = tables.event.wants_words();
        let mut row = tables.event.row(&record);
        row.small(-1)
            .flag(record.yes())
            .ratio(Some(self.params.rate))
            .small(record.negative() as i8);
        row.name(record.comm()).raw(record.proc().comm().array());
        if wants_words {
            row.words(record.tail().split());
        }
        row.grid([
            record
                .numbers()
                .map(|number| number as u16)
                .collect::<Vec<_>>(),
            vec![],
        ]);
        let at = tables::EventPlaceAt {
            x: record
                .points()
                .map(|point| i32::from(point.x()))
                .sum::<i32>(),
        };
        row.place(tables::EventPlace {
            port: record.named().inner(),
            names: ["a", "b"],
            at,
        });
        row.places(record.points().map(|point| tables::EventPlacesItem {
            port: u16::from(point.y()),
        }));
        Outcome::Accepted
    }

    fn plain(&mut self, record: records::Plain<'_>, tables: &mut Tables) -> Outcome {
        if record.address().len() == 1 {
            return Outcome::Malformed;
        }
        tables.plain.row(&record);
        if record.address().len() == 3 {
            let owner = containers::of_record(record.record_origin());
            tables.totals.row().key(owner.number());
        }
        Outcome::Accepted
    }

    fn tick(&mut self, timer: timers::Timer, due: u32, tables: &mut Tables) {
        if timer != self.timer {
            return;
        }
        for (key, total) in maps::Counts::read_all().unwrap_or_default() {
            tables
                .totals
                .row()
                .key(key)
                .total(total as u64 * u64::from(due));
        }
        let per_cpu = maps::PerCpu::lookup(7).ok().flatten().unwrap_or_default();
        if !per_cpu.is_empty() {
            let total: u64 = per_cpu.into_iter().map(u64::from).sum();
            tables.totals.row().key(None).total(total);
        }
        for (key, value) in maps::Pairs::read_all().unwrap_or_default() {
            let pair =
                records::Pair::view_of(&value).map(|pair| pair.first() + u64::from(pair.second()));
            tables.totals.row().key(key.len() as u32).total(pair);
        }
    }

    fn added(&mut self, owners: &[containers::Owner], tables: &mut Tables) {
        let names = containers::fields(owners, containers::CONTAINER).unwrap_or_default();
        for (owner, name) in owners.iter().zip(names) {
            let length = name.map(|name| name.len() as u64);
            tables.totals.row().key(owner.number()).total(length);
        }
        let asked = [
            containers::by_cgroup(1 << 40),
            containers::by_mount_namespace(8, 9),
            containers::by_id("0123456789ab"),
        ];
        for owner in asked {
            tables.totals.row().key(owner.number());
        }
    }

    fn removed(&mut self, owners: &[containers::Owner], tables: &mut Tables) {
        for owner in owners {
            let pod = owner.field("k8s.podName").unwrap_or_default();
            let length = pod.map(|pod| pod.len() as u64);
            tables.totals.row().key(owner.number()).total(length);
            if let Err(reason) = owner.field("colour") {
                gadget::warn!("{reason}");
            }
        }
    }

    fn stop(&mut self, tables: &mut Tables) {
        self.stopped = true;
        tables
            .totals
            .row()
            .total(Chars::new(b"bye\0").bytes().len() as u64);
    }
}

gadget::export!(Everything);

#[cfg(test)]
mod tests {
    use super::*;
    use gadget::{Running, Verdict, testing};

    fn numbers<const N: usize>(numbers: [i32; N]) -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect()
    }

    fn event(colour: i32) -> Vec<u8> {
        let mut bytes = 77_u64.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"process\0ignored!");
        bytes.resize(8 + 72, 0);
        bytes.extend_from_slice(&colour.to_le_bytes());
        bytes.extend_from_slice(&[1, b'x']);
        bytes.extend_from_slice(&(0b101_u16 | 0x155 << 3 | 0b110 << 13).to_le_bytes());
        bytes.extend_from_slice(&0xffff_fffe_u32.to_le_bytes());
        bytes.extend_from_slice(&0x0403_0201_u32.to_le_bytes());
        bytes.extend_from_slice(&0x1234_u16.to_le_bytes());
        for (x, y) in [(-1_i16, 10_u8), (500, 20), (3, 30)] {
            bytes.extend_from_slice(&x.to_le_bytes());
            bytes.push(y);
        }
        bytes.extend((1..=4_u32).flat_map(u32::to_le_bytes));
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        bytes.extend_from_slice(&1_u64.to_le_bytes());
        bytes.extend_from_slice(b"exactly 12 b");
        bytes.extend_from_slice(b"one\0two\0");
        bytes
    }

    fn start() -> Running<Everything> {
        testing::reset();
        testing::set_param(Params::LOWEST, "-3");
        testing::set_param(Params::RATE, "1.5");
        testing::set_param(Params::LEVEL, "1");
        testing::set_param(Params::VERBOSE_LOG, "true");
        Running::start().unwrap()
    }

    #[test]
    fn fields_are_read_where_they_are() {
        let bytes = event(-2);
        let record = gadget::sdk::span::Record {
            origin: 0,
            payload: &bytes,
        };
        let event = records::Event::parse(record).unwrap();
        assert_eq!(
            (event.stamp(), event.colour(), event.yes(), event.letter()),
            (77, -2, true, b'x')
        );
        assert_eq!(event.proc().comm(), "process");
        assert_eq!(
            (event.low(), event.mid(), event.high()),
            (0b101, 0x155, 0b110)
        );
        assert_eq!((event.negative(), event.rest()), (-2, -1));
        assert_eq!(
            (event.word(), event.bytes()),
            (0x0403_0201, &[1, 2, 3, 4][..])
        );
        assert_eq!(event.named().inner(), 0x1234);
        assert_eq!(
            event.points().map(|point| point.x()).collect::<Vec<_>>(),
            [-1, 500, 3]
        );
        assert_eq!(event.numbers().collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!((event.r#type(), event.pointer()), (u64::MAX, 1));
        assert_eq!(
            (event.comm(), event.tail()),
            (Chars::new(b"exactly 12 b"), Chars::new(b"one\0two\0"))
        );
        assert!(format!("{event:?}").contains("colour: -2"));
        let cut = gadget::sdk::span::Record {
            origin: 0,
            payload: &bytes[..bytes.len() - 9],
        };
        assert!(records::Event::parse(cut).is_none());
    }

    #[test]
    fn every_record_is_counted_and_rows_are_whole() {
        let mut running = start();
        let (first, dropped, last) = (event(-2), event(-4), event(1));
        let span = testing::span([&first[..], &dropped, b"short", &last]);
        assert_eq!(
            running.process(0, &span),
            Verdict {
                accepted: 2,
                dropped: 1,
                malformed: 1
            }
        );
        let emitted = testing::emitted();
        let [emit] = &emitted[..] else {
            panic!("{emitted:?}")
        };
        let size = (first.len() as u32).next_multiple_of(8) + 8;
        assert_eq!(
            (emit.table, emit.rows, &emit.origin),
            (0, 2, &vec![0, 2 * size + 16])
        );
        let column = |index| {
            &emit
                .columns
                .iter()
                .find(|column| column.0 == index)
                .unwrap()
                .1
        };
        assert_eq!(
            emit.columns
                .iter()
                .map(|column| column.0)
                .collect::<Vec<_>>(),
            (1..10).collect::<Vec<_>>()
        );
        assert_eq!(
            column(1),
            &[vec![], vec![0xfe, 0xfe]],
            "set twice: the last value counts"
        );
        assert_eq!(column(2), &[vec![], vec![1, 1]]);
        assert_eq!(
            column(3)[1],
            [1.5_f64.to_le_bytes(), 1.5_f64.to_le_bytes()].concat()
        );
        assert_eq!(
            column(4),
            &[
                vec![],
                numbers([0, 12, 24]),
                b"exactly 12 bexactly 12 b".to_vec()
            ]
        );
        assert_eq!(column(5)[1], numbers([0, 16, 32]));
        assert_eq!(
            column(6)[1..],
            [
                numbers([0, 2, 4]),
                vec![],
                numbers([0, 3, 6, 9, 12]),
                b"onetwoonetwo".to_vec()
            ]
        );
        assert_eq!(column(7)[3], numbers([0, 4, 4, 8, 8]));
        assert_eq!(column(8).len(), 1 + 2 + (2 + 3) + (1 + 2));
        assert_eq!(column(8)[2], [0x34, 0x12, 0x34, 0x12]);
        assert_eq!(column(8)[10], numbers([502, 502]));
        assert_eq!(column(9)[4], [10, 0, 20, 0, 30, 0, 10, 0, 20, 0, 30, 0]);
    }

    #[test]
    fn columns_that_nobody_needs_are_not_computed() {
        let mut running = start();
        testing::set_wanted(0, &[0, 4]);
        let _ = running.process(0, &testing::span([&event(1)[..]]));
        assert_eq!(
            testing::emitted()[0]
                .columns
                .iter()
                .map(|column| column.0)
                .collect::<Vec<_>>(),
            [4]
        );
        testing::set_wanted(0, &[]);
        let _ = running.process(0, &testing::span([&event(1)[..]]));
        let emitted = testing::emitted();
        assert_eq!(
            (emitted[0].rows, emitted[0].columns.len()),
            (1, 0),
            "asked again in each call"
        );
    }

    #[test]
    fn a_table_that_the_host_decodes_takes_origins_alone() {
        let mut running = start();
        let span = testing::span([
            &[1, 0, 0, 0][..],
            &[2, 0, 0, 0, 9],
            &[3, 0, 0, 0, 9, 9],
            &[4, 0],
        ]);
        assert_eq!(
            running.process(1, &span),
            Verdict {
                accepted: 2,
                dropped: 0,
                malformed: 2
            }
        );
        let emitted = testing::emitted();
        assert_eq!(
            (
                emitted[0].table,
                &emitted[0].origin,
                emitted[0].columns.len()
            ),
            (1, &vec![0, 32], 0)
        );
        assert_eq!(running.process(9, &span), Verdict::default());
    }

    #[test]
    fn maps_and_timers() {
        let mut running = start();
        testing::set_entry(0, &5_u32.to_le_bytes(), &100_i64.to_le_bytes());
        testing::set_entry(
            1,
            &7_u32.to_le_bytes(),
            &[1, 0, 9, 9, 9, 9, 9, 9, 2, 0, 9, 9, 9, 9, 9, 9],
        );
        testing::set_entry(
            2,
            &[0; 8],
            &[3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0],
        );
        assert_eq!(maps::Counts::lookup(5), Ok(Some(100)));
        assert_eq!(maps::Counts::lookup(6), Ok(None));
        assert_eq!(maps::PerCpu::read_all(), Ok(vec![(7, vec![1, 2])]));
        running.tick(1, 2);
        running.tick(99, 1);
        running.stop();
        let emitted = testing::emitted();
        let [ticked, stopped] = &emitted[..] else {
            panic!("{emitted:?}")
        };
        assert_eq!((ticked.table, ticked.rows), (2, 3));
        assert_eq!(ticked.columns[0].1, [vec![0b101], numbers([5, 0, 8])]);
        assert_eq!(
            ticked.columns[1].1[1],
            [200_u64, 3, 7].map(u64::to_le_bytes).concat()
        );
        assert_eq!(
            stopped.columns[0].1,
            [vec![0], numbers([0])],
            "not set: null"
        );
        assert!(running.gadget().stopped);
        assert_eq!(maps::Pairs::update(&[0; 8], &[1; 16]), Ok(()));
        assert_eq!(maps::Pairs::delete(&[0; 8]), Ok(true));
        assert_eq!(
            maps::Counts::update(5, -1).and_then(|()| maps::Counts::lookup(5)),
            Ok(Some(-1))
        );
        assert_eq!(maps::Counts::delete(6), Ok(false));
    }

    #[test]
    fn containers_and_their_watcher() {
        use gadget::containers::Owner;
        let mut running = start();
        let _ = testing::logged();
        let [one, two] = [1, 2].map(Owner::from_raw);
        testing::set_owner_of_record(16, two);
        testing::set_owner_of_cgroup(1 << 40, one);
        testing::set_owner_of_mount_namespace(8, two);
        testing::set_field(one, containers::CONTAINER, "web");
        testing::set_field(two, containers::CONTAINER_ID, "0123456789abcdef");
        testing::set_field(two, "k8s.podName", "pod");
        running.added(&[one, two]);
        running.removed(&[two, one]);
        let span = testing::span([&[0; 4][..], &[0; 7]]);
        let _ = running.process(1, &span);
        let emitted = testing::emitted();
        let columns: Vec<_> = emitted
            .iter()
            .filter(|emitted| emitted.table == 2)
            .map(|emitted| {
                let [keys, totals] = &emitted.columns[..] else {
                    panic!("{emitted:?}")
                };
                (keys.1[1].clone(), totals.1[1].clone())
            })
            .collect();
        let totals = |totals: &[u64]| -> Vec<u8> {
            totals.iter().flat_map(|total| total.to_le_bytes()).collect()
        };
        assert_eq!(
            columns,
            [
                (numbers([1, 2, 1, 2, 2]), totals(&[3, 0, 0, 0, 0])),
                (numbers([2, 1]), totals(&[3, 0])),
                (numbers([2]), totals(&[0])),
            ]
        );
        let reason = "there is no field \"colour\" of containers".to_owned();
        let told = (gadget::sdk::log::Level::Warn, reason);
        assert_eq!(testing::logged(), [told.clone(), told]);
    }

    #[test]
    fn parameters_and_messages() {
        let mut running = start();
        let params = running.gadget().params.clone();
        assert_eq!(
            (params.lowest, params.level, params.verbose_log),
            (-3, 1, true)
        );
        assert_eq!(
            testing::logged(),
            [(gadget::sdk::log::Level::Info, "begins at 0 0".to_owned())]
        );
        testing::set_param(Params::PREFIX, "refuse");
        assert_eq!(
            Running::<Everything>::start().map(|_| ()),
            Err("refused".to_owned())
        );
    }

    #[test]
    fn rows_over_the_budget_are_reported() {
        let mut running = start();
        let _ = testing::logged();
        testing::on_emit(|_| Err("too much".to_owned()));
        let _ = running.process(1, &testing::span([&[0; 4][..], &[0; 4]]));
        assert_eq!(
            testing::logged()[0].1,
            "2 rows of table 1 are lost: too much"
        );
    }

    #[test]
    fn many_rows_are_handed_over_in_the_midst_of_a_call() {
        let mut running = start();
        let payload = [0_u8; 4];
        let records = 3 * gadget::sdk::rows::MOST_ROWS / 2;
        let span = testing::span((0..records).map(|_| &payload[..]));
        assert_eq!(running.process(1, &span).accepted, records);
        let rows: Vec<u32> = testing::emitted().iter().map(|emit| emit.rows).collect();
        assert_eq!(
            rows,
            [
                gadget::sdk::rows::MOST_ROWS,
                records - gadget::sdk::rows::MOST_ROWS
            ]
        );
    }
}
