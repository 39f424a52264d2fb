use std::cell::{Cell, RefCell};

use super::*;

/// A ring of one thread: headers by position, everything else counted.
#[derive(Default)]
struct Plain {
    size: u64,
    headers: RefCell<std::collections::BTreeMap<u64, u32>>,
    producer: Cell<u64>,
    consumer: Cell<u64>,
    releases: Cell<u32>,
    /// How often a record woke the consumer.
    woken: Cell<u32>,
}

impl Plain {
    fn new(size: u64, position: u64) -> Self {
        let plain = Self {
            size,
            ..Self::default()
        };
        plain.producer.set(position);
        plain.consumer.set(position);
        plain
    }

    /// As `__bpf_ringbuf_reserve` does it; gives where the header is.
    fn reserve(&self, length: u32) -> Option<u64> {
        let position = self.producer.get();
        let next = position.wrapping_add((u64::from(length) + 8).next_multiple_of(8));
        if next.wrapping_sub(self.consumer.get()) > self.size - 1 {
            return None;
        }
        self.headers.borrow_mut().insert(position, length | BUSY);
        self.producer.set(next);
        Some(position)
    }

    fn commit(&self, position: u64, flags: u32) {
        let mut headers = self.headers.borrow_mut();
        let header = headers.get_mut(&position).unwrap();
        *header = *header & !BUSY | flags;
        if self.consumer.get() & (self.size - 1) == position & (self.size - 1) {
            self.woken.set(self.woken.get() + 1);
        }
    }

    fn write(&self, length: u32) {
        let position = self.reserve(length).unwrap();
        self.commit(position, 0);
    }
}

impl Shared for Plain {
    fn producer(&self) -> u64 {
        self.producer.get()
    }
    fn header(&self, position: u64) -> u32 {
        self.headers.borrow()[&position]
    }
    fn release(&self, position: u64) {
        self.consumer.set(position);
        self.releases.set(self.releases.get() + 1);
    }
    fn fence(&self) {}
}

fn walk(cursor: &mut Cursor, ring: &Plain) -> Option<Walked> {
    cursor.walk(ring, 1 << 16, 1024).unwrap()
}

#[test]
fn a_span_ends_before_a_busy_record_and_counts_discarded_ones() {
    let ring = Plain::new(4096, 0);
    let mut cursor = Cursor::new(0, 4096);
    assert_eq!(walk(&mut cursor, &ring), None);
    ring.write(16);
    let dropped = ring.reserve(1).unwrap();
    let busy = ring.reserve(8).unwrap();
    ring.write(100);
    ring.commit(dropped, DISCARD);
    assert_eq!(
        walk(&mut cursor, &ring),
        Some(Walked {
            start: 0,
            length: 24 + 16,
            records: 2,
            discarded: 1,
            more: true
        })
    );
    assert_eq!((ring.consumer.get(), cursor.backlog(&ring)), (0, 16 + 112));
    // Still busy: nothing, but what came before is given back, so that the commit wakes us.
    assert_eq!(walk(&mut cursor, &ring), None);
    assert_eq!(ring.consumer.get(), 40);
    ring.commit(busy, 0);
    assert_eq!(
        walk(&mut cursor, &ring),
        Some(Walked {
            start: 40,
            length: 16 + 112,
            records: 2,
            discarded: 0,
            more: false
        })
    );
    cursor.release(&ring);
    assert_eq!((ring.consumer.get(), cursor.backlog(&ring)), (160, 0));
    cursor.release(&ring);
    assert_eq!(ring.releases.get(), 3, "nothing new, nothing stored");
}

#[test]
fn only_a_consumer_that_found_nothing_is_woken() {
    let ring = Plain::new(4096, 0);
    let mut cursor = Cursor::new(0, 4096);
    ring.write(8);
    assert_eq!(ring.woken.get(), 1);
    // Rings are filled many times over: no position that comes around again wakes either. Lengths with a remainder,
    // and records without any bytes.
    for length in [8, 0, 100, 8, 8, 0].repeat(200) {
        assert!(walk(&mut cursor, &ring).is_some());
        cursor.release(&ring);
        for _ in 0..3 {
            ring.write(length);
        }
    }
    assert_eq!(ring.woken.get(), 1);
    while walk(&mut cursor, &ring).is_some() {}
    assert_eq!(ring.consumer.get(), ring.producer.get());
    assert_eq!(walk(&mut cursor, &ring), None);
    ring.write(0);
    assert_eq!(ring.woken.get(), 2);
}

#[test]
fn limits_cut_between_records_but_never_all_of_them() {
    let ring = Plain::new(1 << 16, 0);
    let mut cursor = Cursor::new(0, 1 << 16);
    for _ in 0..10 {
        ring.write(56);
    }
    let length = |walked: Option<Walked>| walked.map(|walked| (walked.length, walked.records));
    assert_eq!(
        length(cursor.walk(&ring, 128, 1024).unwrap()),
        Some((128, 2))
    );
    assert_eq!(
        length(cursor.walk(&ring, 191, 1024).unwrap()),
        Some((128, 2))
    );
    assert_eq!(length(cursor.walk(&ring, 1, 1024).unwrap()), Some((64, 1)));
    assert_eq!(length(cursor.walk(&ring, 0, 0).unwrap()), Some((64, 1)));
    assert_eq!(
        length(cursor.walk(&ring, 1 << 16, 3).unwrap()),
        Some((192, 3))
    );
    assert_eq!(
        length(cursor.walk(&ring, 1 << 16, 3).unwrap()),
        Some((64, 1))
    );
    assert_eq!(length(cursor.walk(&ring, 1 << 16, 3).unwrap()), None);
}

#[test]
fn positions_wrap_around() {
    let start = u64::MAX - 31;
    let ring = Plain::new(4096, start);
    let mut cursor = Cursor::new(start, 4096);
    for _ in 0..4 {
        ring.write(8);
    }
    assert_eq!(
        walk(&mut cursor, &ring),
        Some(Walked {
            start,
            length: 64,
            records: 4,
            discarded: 0,
            more: false
        })
    );
    assert_eq!(walk(&mut cursor, &ring), None);
    assert_eq!(ring.consumer.get(), 32);
}

#[test]
fn damaged_headers_end_the_walk_within_the_ring() {
    for length in [17, 4096, 0x3fff_ffff] {
        let ring = Plain::new(4096, 0);
        let mut cursor = Cursor::new(0, 4096);
        ring.write(8);
        let bad = ring.reserve(8).unwrap();
        ring.headers.borrow_mut().insert(bad, length);
        // What is sound comes first.
        assert_eq!(
            walk(&mut cursor, &ring).map(|walked| walked.records),
            Some(1)
        );
        let damaged = cursor.walk(&ring, 1 << 16, 1024).unwrap_err();
        assert_eq!((damaged.position, damaged.available), (16, 16));
        assert_eq!(ring.consumer.get(), 8);
    }
    // A producer further ahead than the ring is long.
    let ring = Plain::new(4096, 0);
    ring.producer.set(4104);
    let damaged = Cursor::new(0, 4096).walk(&ring, 1 << 16, 1024).unwrap_err();
    assert_eq!((damaged.position, damaged.available), (0, 4104));
}

mod model {
    //! The kernel's producer (kernel/bpf/ringbuf.c) against this consumer, in every order that the memory model
    //! allows: a consumer that sleeps although a record is there, with no wake-up under way, would never see it.

    use super::super::*;
    use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    use loom::thread;

    const RECORD: u64 = 16;
    const SLOTS: usize = 4;

    struct Memory {
        producer: AtomicU64,
        consumer: AtomicU64,
        headers: [AtomicU32; SLOTS],
        payloads: [AtomicU32; SLOTS],
        /// How often pollers were woken; the wait queue's lock orders it.
        notified: AtomicU32,
        /// Whether the consumer keeps its rule.
        fenced: bool,
    }

    impl Memory {
        fn new(fenced: bool) -> Self {
            Self {
                producer: AtomicU64::new(0),
                consumer: AtomicU64::new(0),
                headers: std::array::from_fn(|_| AtomicU32::new(0)),
                payloads: std::array::from_fn(|_| AtomicU32::new(0)),
                notified: AtomicU32::new(0),
                fenced,
            }
        }

        fn slot(position: u64) -> usize {
            usize::try_from(position / RECORD).unwrap() % SLOTS
        }

        /// `__bpf_ringbuf_reserve`, under a lock that one producer needs not.
        fn reserve(&self, position: u64) {
            self.headers[Self::slot(position)].store(8 | BUSY, Ordering::Relaxed);
            self.producer.store(position + RECORD, Ordering::Release);
        }

        /// `bpf_ringbuf_commit`: xchg is a full barrier before and after.
        fn commit(&self, position: u64, payload: u32) {
            self.payloads[Self::slot(position)].store(payload, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            self.headers[Self::slot(position)].swap(8, Ordering::AcqRel);
            fence(Ordering::SeqCst);
            if self.consumer.load(Ordering::Acquire) == position {
                self.notified.fetch_add(1, Ordering::Release);
            }
        }

        /// Walks until nothing is there.
        fn drain(&self, cursor: &mut Cursor, seen: &mut u32) {
            while let Some(walked) = cursor.walk(self, 1 << 16, 1024).unwrap() {
                for record in 0..u64::from(walked.records) {
                    *seen += 1;
                    let slot = Self::slot(walked.start + record * RECORD);
                    assert_eq!(
                        self.payloads[slot].load(Ordering::Relaxed),
                        *seen,
                        "in order, and complete"
                    );
                }
            }
        }
    }

    impl Shared for Memory {
        fn producer(&self) -> u64 {
            self.producer.load(Ordering::Acquire)
        }
        fn header(&self, position: u64) -> u32 {
            self.headers[Self::slot(position)].load(Ordering::Acquire)
        }
        fn release(&self, position: u64) {
            self.consumer.store(position, Ordering::Release);
        }
        fn fence(&self) {
            if self.fenced {
                fence(Ordering::SeqCst);
            }
        }
    }

    /// Sees `records` records of a producer that `produce` runs, and looks again only when it was notified.
    fn consume(fenced: bool, records: u32, produce: fn(&Memory)) {
        loom::model(move || {
            // Never freed: loom's own drops must not run while a failed assertion unwinds.
            let memory: &'static Memory = Box::leak(Box::new(Memory::new(fenced)));
            let producer = thread::spawn(move || produce(memory));
            let mut cursor = Cursor::new(0, SLOTS * RECORD as usize);
            let mut seen = 0;
            memory.drain(&mut cursor, &mut seen);
            // A wake-up while the producer still runs, and those that are left when it is done.
            let early = memory.notified.load(Ordering::Acquire);
            if early > 0 {
                memory.drain(&mut cursor, &mut seen);
            }
            producer.join().unwrap();
            if memory.notified.load(Ordering::Acquire) > early {
                memory.drain(&mut cursor, &mut seen);
            }
            assert_eq!(seen, records, "a record stayed unseen");
        });
    }

    fn one_by_one(memory: &Memory) {
        for record in 0..2 {
            memory.reserve(record * RECORD);
            memory.commit(record * RECORD, record as u32 + 1);
        }
    }

    /// The second of two is finished first.
    fn crossed(memory: &Memory) {
        memory.reserve(0);
        memory.reserve(RECORD);
        memory.commit(RECORD, 2);
        memory.commit(0, 1);
    }

    #[test]
    fn no_record_stays_unseen() {
        consume(true, 2, one_by_one);
        consume(true, 2, crossed);
    }

    /// That the model can find the fault at all.
    #[test]
    #[should_panic(expected = "a record stayed unseen")]
    fn without_the_fence_a_record_stays_unseen() {
        consume(false, 2, one_by_one);
    }
}
