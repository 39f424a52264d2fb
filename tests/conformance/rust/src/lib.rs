//! The guest of the conformance suite. The guests in other languages do the same.

use gadget::{
    Gadget, Nullable, Outcome, Params, Tables, clock, containers, maps, records, tables, timers,
};
use std::time::Duration;

struct Conformance {
    params: Params,
    seen: u64,
    kept: Vec<Vec<u8>>,
    once: Option<timers::Timer>,
    every: Option<timers::Timer>,
    ticks: u32,
    owners: Vec<containers::Owner>,
}

/// A key that the eBPF side does not use.
const OURS: u32 = 9999;

fn fact(tables: &mut Tables, what: &str, number: impl Into<Option<i64>>, text: Option<&[u8]>) {
    let number: Option<i64> = number.into();
    tables.facts.row().what(what).number(number).text(text);
}

fn found(value: Result<Option<u64>, String>) -> Option<i64> {
    value.expect("an answer").map(|value| value as i64)
}

/// Every column has a value.
fn types(record: &records::Event<'_>, tables: &mut Tables) {
    let n = record.sequence();
    let argument = record.argument().array();
    tables
        .types
        .row(record)
        .flag(n % 2 == 0)
        .i_8(-(n as i8))
        .i_16(-(n as i16) * 100)
        .i_32(-(n as i32) * 100_000)
        .i_64(-(n as i64) * 10_000_000_000)
        .u_8(n as u8)
        .u_16(n as u16 * 100)
        .u_32(n as u32 * 100_000)
        .u_64(n * 10_000_000_000)
        .f_32(n as f32 / 4.0)
        .f_64(n as f64 / 10.0)
        .name(argument)
        .raw(argument)
        .words([argument, b"", b"word"])
        .grid([vec![n as u16, 2], vec![], vec![3]])
        .place(tables::TypesPlace {
            port: 80_u16,
            names: ["a", "b"],
            at: tables::TypesPlaceAt { x: -(n as i32) },
        })
        .places([1_u16, 2].map(|port| tables::TypesPlacesItem { port }));
}

/// The least and the greatest value of each type, empty texts and lists.
fn limits(record: &records::Event<'_>, tables: &mut Tables) {
    tables
        .types
        .row(record)
        .flag(false)
        .i_8(i8::MIN)
        .i_16(i16::MIN)
        .i_32(i32::MIN)
        .i_64(i64::MIN)
        .u_8(0)
        .u_16(0)
        .u_32(0)
        .u_64(0)
        .f_32(-0.5)
        .f_64(f64::MAX)
        .name("")
        .raw(b"")
        .words([""; 0])
        .grid([[0_u16; 0]; 0]);
    tables
        .types
        .row(record)
        .flag(true)
        .i_8(i8::MAX)
        .i_16(i16::MAX)
        .i_32(i32::MAX)
        .i_64(i64::MAX)
        .u_8(u8::MAX)
        .u_16(u16::MAX)
        .u_32(u32::MAX)
        .u_64(u64::MAX)
        .f_32(1.5)
        .f_64(f64::MIN_POSITIVE)
        .name("\u{1f600}\0\"\\\n")
        .raw(b"\0\xff")
        .words(["x"; 40])
        .grid([[u16::MAX]]);
}

/// Nulls in a column, a list and the fields of a struct.
fn nulls(record: &records::Event<'_>, tables: &mut Tables) {
    tables.types.row(record);
    tables
        .types
        .row(record)
        .flag(true)
        .i_16(1)
        .i_64(2)
        .words([Some("a"), None, Some("b")])
        .grid([vec![Some(1_u16), None], vec![None]])
        .place(tables::TypesPlace {
            port: None::<u16>,
            names: [None, Some("a")],
            at: tables::TypesPlaceAt { x: None::<i32> },
        })
        .places([Some(5_u16), None].map(|port| tables::TypesPlacesItem { port }));
    tables.types.row(record).i_8(3).u_64(4).name("b");
}

/// Nulls in place of a list or a struct, as an item of a list and as a field of a struct.
fn nested_nulls(record: &records::Event<'_>, tables: &mut Tables) {
    tables
        .types
        .row(record)
        .words(Nullable(Some(["a"])))
        .grid([None, Some(vec![1_u16]), Some(vec![]), None].map(Nullable))
        .place(tables::TypesPlace {
            port: 1_u16,
            names: Nullable(None::<[&str; 0]>),
            at: None::<tables::TypesPlaceAt<i32>>,
        })
        .places([None, Some(2_u16)].map(|port| port.map(|port| tables::TypesPlacesItem { port })));
    tables
        .types
        .row(record)
        .words(Nullable(None::<[&str; 0]>))
        .grid([Nullable(None::<[u16; 0]>)])
        .place(None::<tables::TypesPlace<u16, [&str; 0], tables::TypesPlaceAt<i32>>>)
        .places([None::<tables::TypesPlacesItem<u16>>; 9]);
    tables
        .types
        .row(record)
        .grid([[record.sequence() as u16]])
        .place(Some(tables::TypesPlace {
            port: 3_u16,
            names: Nullable(Some(["b"])),
            at: Some(tables::TypesPlaceAt { x: 4 }),
        }))
        .places([Some(tables::TypesPlacesItem { port: 5_u16 })]);
}

fn all_maps(tables: &mut Tables) {
    let counted = maps::Counts::lookup(u32::from(b'l'));
    fact(tables, "lookup", found(counted), None);
    fact(tables, "lookup", found(maps::Counts::lookup(OURS)), None);
    maps::Counts::update(OURS, 7).expect("room");
    fact(tables, "lookup", found(maps::Counts::lookup(OURS)), None);
    for _ in 0..2 {
        let there = maps::Counts::delete(OURS).expect("an answer");
        fact(tables, "delete", i64::from(there), None);
    }
    for (key, value) in maps::Counts::read_all().expect("an answer") {
        fact(tables, "entry", i64::from(key) * 1000 + value as i64, None);
    }
    let by_cpu = maps::ByCpu::lookup(0).expect("an answer").expect("a value");
    let sum = by_cpu.into_iter().map(i64::from).sum::<i64>();
    fact(tables, "by CPU", sum, None);
}

fn all_params(params: &Params, tables: &mut Tables) {
    fact(tables, "flag", i64::from(params.flag), None);
    fact(tables, "lowest", params.lowest, None);
    tables.facts.row().what("level").amount(params.level);
    fact(tables, "rate", (params.rate * 1000.0) as i64, None);
    fact(tables, "prefix", None, Some(params.prefix.as_bytes()));
    fact(tables, "wait", params.wait.as_micros() as i64, None);
}

/// An owner and the name of its container.
fn owner(tables: &mut Tables, what: &str, owner: containers::Owner) {
    let name = owner.field(containers::CONTAINER).expect("a field");
    let name = name.as_ref().map(|name| name.as_bytes());
    fact(tables, what, i64::from(owner.number()), name);
}

/// Owners that are asked for at once.
fn several(record: &records::Owned<'_>, tables: &mut Tables) {
    let cgroup = record.cgroup_id();
    let owners = containers::by_cgroups(&[cgroup, cgroup + 1, 999]);
    let images = containers::fields(&owners, containers::IMAGE).expect("a field");
    for (owner, image) in owners.iter().zip(&images) {
        let image = image.as_ref().map(|image| image.as_bytes());
        fact(tables, "image", i64::from(owner.number()), image);
    }
}

impl Gadget for Conformance {
    fn init(params: Params) -> Result<Self, String> {
        Ok(Self {
            params,
            seen: 0,
            kept: Vec::new(),
            once: None,
            every: None,
            ticks: 0,
            owners: Vec::new(),
        })
    }

    fn cases(&mut self, record: records::Event<'_>, tables: &mut Tables) -> Outcome {
        let argument = record.argument().array();
        self.seen += 1;
        match record.letter() {
            b't' => types(&record, tables),
            b'x' => limits(&record, tables),
            b'n' => nulls(&record, tables),
            b'N' => nested_nulls(&record, tables),
            b'd' => return Outcome::Dropped,
            b'm' => return Outcome::Malformed,
            b'p' => {
                for at in 0..argument.len() {
                    tables.types.row(&record).name(&argument[at..=at]);
                }
            }
            b'o' => fact(tables, "no record", self.seen as i64, Some(argument)),
            b'k' => self.kept.push(argument.to_vec()),
            b'c' => {
                fact(tables, "boot", clock::boot() as i64, None);
                fact(tables, "wall", clock::wall() as i64, None);
            }
            b'l' => all_maps(tables),
            b'q' => all_params(&self.params, tables),
            b'e' => {
                for _ in 0..2 {
                    tables.live.row().record(record.sequence());
                }
                tables.live.end_frame();
                tables.live.row().record(self.seen);
            }
            b'T' => {
                self.once = timers::once(self.params.wait).ok();
                self.every = timers::every(Duration::from_millis(20)).ok();
                timers::once(Duration::from_millis(1))
                    .expect("a timer")
                    .cancel();
            }
            b'b' => panic!("the case b"),
            _ => return Outcome::Malformed,
        }
        Outcome::Accepted
    }

    fn tick(&mut self, timer: timers::Timer, due: u32, tables: &mut Tables) {
        if Some(timer) == self.once {
            fact(tables, "once", i64::from(due), None);
        } else if Some(timer) == self.every {
            fact(tables, "every", i64::from(due), None);
            self.ticks += 1;
            if self.ticks == 3 {
                timer.cancel();
            }
            for text in self.kept.drain(..) {
                fact(tables, "kept", None, Some(&text));
            }
        } else {
            fact(tables, "cancelled", i64::from(due), None);
        }
    }

    fn owned(&mut self, record: records::Owned<'_>, tables: &mut Tables) -> Outcome {
        let argument = record.argument().array();
        let text = || std::str::from_utf8(argument).expect("text");
        let of_record = || containers::of_record(record.record_origin());
        match record.letter() {
            b'r' => owner(tables, "record", of_record()),
            b'g' => owner(tables, "cgroup", containers::by_cgroup(record.cgroup_id())),
            b'm' => {
                let found = containers::by_mount_namespace(record.mntns_id(), record.time());
                owner(tables, "mount namespace", found);
            }
            b'i' => owner(tables, "id", containers::by_id(text())),
            b'f' => match of_record().field(text()) {
                Ok(value) => {
                    let value = value.as_ref().map(|value| value.as_bytes());
                    fact(tables, text(), i64::from(of_record().number()), value);
                }
                Err(_) => fact(tables, "no field", None, Some(argument)),
            },
            b's' => several(&record, tables),
            b'k' => self.owners.push(of_record()),
            b'b' => panic!("the case b"),
            _ => return Outcome::Malformed,
        }
        Outcome::Accepted
    }

    fn added(&mut self, owners: &[containers::Owner], tables: &mut Tables) {
        for it in owners {
            owner(tables, "added", *it);
        }
    }

    fn removed(&mut self, owners: &[containers::Owner], tables: &mut Tables) {
        for it in owners {
            owner(tables, "removed", *it);
        }
    }

    fn stop(&mut self, tables: &mut Tables) {
        for it in std::mem::take(&mut self.owners) {
            owner(tables, "kept", it);
        }
        for text in self.kept.drain(..) {
            fact(tables, "kept", None, Some(&text));
        }
        tables.totals.row().records(self.seen);
    }
}

gadget::export!(Conformance);
