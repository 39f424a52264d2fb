//! Readers that are slow, go away, or fail midway; every row is found again in the ledger.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::sync::{Condvar, LazyLock, Mutex};

use arrow_array::{ArrayRef, UInt32Array};

use super::writer::CHUNK;
use super::*;
use crate::columns::TerminalSize;
use crate::{Column, DataType, Kind};

/// Always the same: an output knows rows by their table.
pub(super) fn table() -> Arc<Table> {
    static TABLE: LazyLock<Arc<Table>> = LazyLock::new(|| {
        Arc::new(Table {
            name: "t".to_owned(),
            description: String::new(),
            columns: vec![Column {
                name: "n".to_owned(),
                description: String::new(),
                data_type: DataType::U32,
                kind: Kind::None,
                width: None,
                hidden: false,
                alias: None,
            }],
        })
    });
    Arc::clone(&TABLE)
}

/// Rows numbered from `first`; each is `{"n":NNNNNN}` and a line break, 13 bytes.
pub(super) fn rows(table: &Arc<Table>, first: u32, len: usize) -> Rows {
    let values = UInt32Array::from_iter_values((first..).take(len));
    let array: ArrayRef = Arc::new(values);
    Rows::new(Arc::clone(table), vec![Some(array)], len, 0).unwrap()
}

pub(super) const FIRST: u32 = 100_000;
const ROW: usize = "{\"n\":100000}\n".len();

pub(super) fn start(
    format: Format,
    limits: QueueLimits,
    out: impl Write + Send + 'static,
) -> Output {
    Output::start(options(format, limits), Box::new(out)).unwrap()
}

pub(super) fn options(format: Format, limits: QueueLimits) -> OutputOptions {
    OutputOptions {
        format,
        tables: vec![shown(table(), false)],
        words: Words::fixed(),
        terminal: TerminalOptions::default(),
        limits,
        when_full: WhenFull::default(),
    }
}

pub(super) fn shown(table: Arc<Table>, frames: bool) -> ShownTable {
    ShownTable {
        gadget: None,
        table,
        selected: vec![0],
        frames,
        quiet: Vec::new(),
        names: Vec::new(),
    }
}

/// The account of the only table.
pub(super) fn of(ledger: &OutputLedger) -> &TableLedger {
    let [table] = ledger.tables.as_slice() else {
        panic!("one table: {ledger:?}");
    };
    table
}

pub(super) fn lost(ledger: &OutputLedger) -> Vec<(LossReason, u64)> {
    of(ledger)
        .lost
        .iter()
        .map(|(reason, rows)| (*reason, *rows))
        .collect()
}

pub(super) fn assert_exact(ledger: &OutputLedger, pushed: u64) {
    assert_eq!(of(ledger).pushed, pushed);
    assert_eq!(
        of(ledger).written + of(ledger).lost_rows(),
        pushed,
        "{ledger:?}"
    );
}

/// Keeps what it is given, after a script: how each write call ends.
#[derive(Clone, Default)]
pub(super) struct Sink {
    pub(super) state: Arc<(Mutex<SinkState>, Condvar)>,
}

#[derive(Default)]
pub(super) struct SinkState {
    pub(super) bytes: Vec<u8>,
    /// Length of each write call.
    pub(super) calls: Vec<usize>,
    /// Bytes that a call takes at most; 0: any.
    pub(super) most: usize,
    /// After this many bytes calls fail.
    pub(super) fail_at: Option<(usize, i32)>,
    /// Calls wait while this is set.
    pub(super) held: bool,
    pub(super) waiting: bool,
}

impl Sink {
    pub(super) fn with(&self, change: impl FnOnce(&mut SinkState)) {
        change(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
    }

    pub(super) fn wait_until(&self, reached: impl Fn(&SinkState) -> bool) {
        let state = self.state.0.lock().unwrap();
        drop(
            self.state
                .1
                .wait_while(state, |state| !reached(state))
                .unwrap(),
        );
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.state.0.lock().unwrap().bytes.clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.0.lock().unwrap();
        state.waiting = true;
        self.state.1.notify_all();
        state = self.state.1.wait_while(state, |state| state.held).unwrap();
        state.waiting = false;
        let mut taken = if state.most == 0 {
            bytes.len()
        } else {
            bytes.len().min(state.most)
        };
        if let Some((at, errno)) = state.fail_at {
            taken = taken.min(at - state.bytes.len());
            if taken == 0 {
                return Err(io::Error::from_raw_os_error(errno));
            }
        }
        state.calls.push(bytes.len());
        state.bytes.extend_from_slice(&bytes[..taken]);
        self.state.1.notify_all();
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) const EIO: i32 = 5;
pub(super) const ENOSPC: i32 = 28;
const EPIPE: i32 = 32;

#[test]
fn rows_are_written_in_order() {
    let sink = Sink::default();
    let output = start(Format::Json, QueueLimits::default(), sink.clone());
    let table = table();
    for batch in 0..100 {
        output.push(rows(&table, FIRST + batch * 7, 7));
    }
    output.push(rows(&table, 0, 0));
    let ledger = output.finish(None);
    assert_eq!(
        (
            of(&ledger).pushed,
            of(&ledger).written,
            of(&ledger).lost_rows()
        ),
        (700, 700, 0)
    );
    assert_eq!(ledger.error, None);
    let want: String = (FIRST..FIRST + 700)
        .map(|n| format!("{{\"n\":{n}}}\n"))
        .collect();
    assert_eq!(sink.text(), want);
}

#[test]
fn a_lone_row_is_shown_at_once() {
    let sink = Sink::default();
    let output = start(Format::Columns, QueueLimits::default(), sink.clone());
    let table = table();
    output.push(rows(&table, 1, 1));
    // Nobody finishes or pushes more: the row comes by itself.
    sink.wait_until(|state| !state.bytes.is_empty());
    assert_eq!(sink.text(), "       N\n       1\n");
    output.push(rows(&table, 2, 1));
    sink.wait_until(|state| state.bytes.len() > 18);
    assert_eq!(sink.text(), "       N\n       1\n       2\n");
    assert_exact(&output.finish(None), 2);
}

#[test]
fn what_waits_is_written_together() {
    let sink = Sink::default();
    sink.with(|state| state.held = true);
    let output = start(Format::Json, QueueLimits::default(), sink.clone());
    let table = table();
    output.push(rows(&table, FIRST, 1));
    sink.wait_until(|state| state.waiting);
    for batch in 0..200 {
        output.push(rows(&table, FIRST, 50 + batch % 3));
    }
    sink.with(|state| state.held = false);
    let ledger = output.finish(None);
    let pushed = 1 + 67 * 50 + 67 * 51 + 66 * 52;
    assert_eq!((of(&ledger).pushed, of(&ledger).written), (pushed, pushed));
    let calls = sink.state.0.lock().unwrap().calls.clone();
    assert_eq!(calls[0], ROW);
    // A chunk ends with the batch that fills it, and is not cut: 10,201 rows of 13 bytes are two of them and a rest.
    assert!(calls.iter().all(|len| *len < CHUNK + 52 * ROW), "{calls:?}");
    assert_eq!(calls.len(), 4, "{calls:?}");
}

/// A live view shows each picture when it is there; and a chunk has one header, by which rows are counted.
#[test]
fn each_frame_is_written_by_itself() {
    let sink = Sink::default();
    sink.with(|state| state.held = true);
    let output = start(Format::Json, QueueLimits::default(), sink.clone());
    let table = table();
    for frame in 1..=5 {
        output.push(Rows {
            frame,
            ..rows(&table, FIRST, 2)
        });
    }
    sink.with(|state| state.held = false);
    let ledger = output.finish(None);
    assert_eq!((of(&ledger).pushed, of(&ledger).written), (10, 10));
    let calls = sink.state.0.lock().unwrap().calls.clone();
    assert_eq!(calls, [2 * "{\"frame\":1,\"n\":100000}\n".len(); 5]);
}

/// Rows of several tables go in the order in which they came, and are counted apart, also when writing ends midway.
#[test]
fn several_tables_share_an_output_and_have_ledgers_of_their_own() {
    let table = |name: &str| {
        Arc::new(Table {
            name: name.to_owned(),
            ..(*table()).clone()
        })
    };
    let (a, b, other) = (table("a"), table("b"), table("other"));
    let several = |format| OutputOptions {
        tables: vec![shown(Arc::clone(&a), false), shown(Arc::clone(&b), true)],
        ..options(format, QueueLimits::default())
    };
    let push = |output: &Output| {
        output.push(rows(&a, FIRST, 2));
        let frame = Rows {
            frame: 3,
            ..rows(&b, FIRST, 3)
        };
        output.push(frame);
        output.push(rows(&other, FIRST, 9));
        output.push(rows(&a, FIRST + 2, 1));
    };
    let counts = |ledger: &OutputLedger| {
        let tables = ledger.tables.iter();
        tables
            .map(|t| (t.table.clone(), t.pushed, t.written, t.lost_rows()))
            .collect::<Vec<_>>()
    };
    let a_row = |n| format!("{{\"table\":\"a\",\"n\":{n}}}\n");
    let b_row = |n| format!("{{\"table\":\"b\",\"frame\":3,\"n\":{n}}}\n");
    let text: String = [
        a_row(FIRST),
        a_row(FIRST + 1),
        b_row(FIRST),
        b_row(FIRST + 1),
        b_row(FIRST + 2),
        a_row(FIRST + 2),
    ]
    .concat();
    let counted = |a: (u64, u64), b: (u64, u64)| {
        vec![("a".to_owned(), 3, a.0, a.1), ("b".to_owned(), 3, b.0, b.1)]
    };

    let sink = Sink::default();
    let output = Output::start(several(Format::Json), Box::new(sink.clone())).unwrap();
    push(&output);
    assert_eq!(counts(&output.finish(None)), counted((3, 0), (3, 0)));
    assert_eq!(sink.text(), text);

    // Two rows of the first and one of the second get through.
    for most in [0, 1, 7] {
        let sink = Sink::default();
        sink.with(|state| {
            state.most = most;
            state.fail_at = Some((2 * a_row(FIRST).len() + b_row(FIRST).len() + 5, EIO));
        });
        let output = Output::start(several(Format::Json), Box::new(sink.clone())).unwrap();
        push(&output);
        let ledger = output.finish(None);
        assert_eq!(counts(&ledger), counted((2, 1), (1, 2)));
        assert!(ledger.lost_to(LossReason::WriteError));
        assert_eq!(ledger.of("b").unwrap().written, 1);
        assert!(ledger.of("other").is_none());
    }

    let sink = Sink::default();
    let output = Output::start(several(Format::Yaml), Box::new(sink.clone())).unwrap();
    push(&output);
    assert_eq!(counts(&output.finish(None)), counted((3, 0), (3, 0)));
    assert!(
        sink.text().starts_with("---\ntable: a\n\"n\": 100000\n"),
        "{}",
        sink.text()
    );
    assert!(
        sink.text()
            .contains("---\ntable: b\nframe: 3\n\"n\": 100000\n")
    );

    // What can't name a table shows the first.
    let sink = Sink::default();
    let output = Output::start(several(Format::Csv), Box::new(sink.clone())).unwrap();
    push(&output);
    let ledger = output.finish(None);
    assert_eq!((of(&ledger).written, of(&ledger).pushed), (3, 3));
    assert_eq!(sink.text(), "n\n100000\n100001\n100002\n");
}

/// Tables of the same name are told apart by their gadgets, and each gadget's rows are counted for it alone.
#[test]
fn several_gadgets_share_an_output_and_each_line_says_whose_it_is() {
    let of_gadget = |gadget: &str| ShownTable {
        gadget: Some(gadget.to_owned()),
        ..shown(Arc::new((*table()).clone()), false)
    };
    let (a, b) = (of_gadget("a"), of_gadget("long_name"));
    let start = |format, terminal, sink: &Sink| {
        let mut options = options(format, QueueLimits::default());
        options.tables = vec![a.clone(), b.clone()];
        options.terminal.size = terminal;
        Output::start(options, Box::new(sink.clone())).unwrap()
    };
    let push = |output: &Output| {
        output.push(rows(&a.table, FIRST, 2));
        output.push(rows(&b.table, FIRST, 1));
        output.push(Rows {
            frame: 1,
            ..rows(&a.table, FIRST, 1)
        });
        // Of this name, and of none of them.
        output.push(rows(&table(), FIRST, 7));
        let ledger = output.finish(None);
        let written = |name: &str| ledger.of(name).map(|l| (l.pushed, l.written));
        assert_eq!(written("a.t"), Some((3, 3)));
        assert_eq!(written("long_name.t"), Some((1, 1)));
        assert_eq!(written("t"), None);
        // Each gadget asks; all get the same.
        assert_eq!(output.finish(None), ledger);
    };
    let sink = Sink::default();
    push(&start(Format::Json, None, &sink));
    assert_eq!(
        sink.text(),
        "{\"table\":\"a.t\",\"n\":100000}\n{\"table\":\"a.t\",\"n\":100001}\n\
         {\"table\":\"long_name.t\",\"n\":100000}\n{\"table\":\"a.t\",\"frame\":1,\"n\":100000}\n"
    );
    // A frame would erase what other gadgets wrote, so it is not drawn over anything.
    for terminal in [None, Some(TerminalSize::new(18))] {
        let sink = Sink::default();
        push(&start(Format::Columns, terminal, &sink));
        assert_eq!(
            sink.text(),
            "GADGET           N\na           100000\na           100001\n\
             GADGET           N\nlong_name   100000\na           100000\n"
        );
    }
    // Nobody can know whose these are, so one gadget alone is shown: who starts the output refuses that before.
    let sink = Sink::default();
    let output = start(Format::Csv, None, &sink);
    output.push(rows(&b.table, FIRST, 1));
    assert_eq!(output.finish(None).of("long_name.t"), None);
}

/// A header has the column of the frames before any frame came.
#[test]
fn csv_has_a_column_for_the_number_of_a_frame() {
    let sink = Sink::default();
    let framed = OutputOptions {
        tables: vec![shown(table(), true)],
        ..options(Format::Csv, QueueLimits::default())
    };
    let output = Output::start(framed, Box::new(sink.clone())).unwrap();
    for frame in [4, 5] {
        output.push(Rows {
            frame,
            ..rows(&table(), FIRST, 1)
        });
    }
    assert_exact(&output.finish(None), 2);
    assert_eq!(sink.text(), "frame,n\n4,100000\n5,100000\n");
}

/// A frame without rows wipes the one before from a terminal, and is nothing anywhere else.
#[test]
fn a_frame_without_rows_is_drawn_on_a_terminal_alone() {
    use crate::columns::TerminalSize;
    let frame = |frame, len| Rows {
        frame,
        ..rows(&table(), 7, len)
    };
    for (format, terminal, expected) in [
        (
            Format::Columns,
            true,
            "\u{1b}[H\u{1b}[J       N\n       7\n\u{1b}[H\u{1b}[J       N\n",
        ),
        (Format::Columns, false, "       N\n       7\n"),
        (Format::Json, true, "{\"frame\":1,\"n\":7}\n"),
        (Format::Csv, true, "frame,n\n1,7\n"),
    ] {
        let sink = Sink::default();
        sink.with(|state| state.held = true);
        let options = OutputOptions {
            tables: vec![shown(table(), true)],
            terminal: TerminalOptions {
                size: terminal.then(|| TerminalSize::new(80)),
                color: false,
            },
            ..options(format, QueueLimits::default())
        };
        let output = Output::start(options, Box::new(sink.clone())).unwrap();
        output.push(frame(1, 1));
        // However many there are, one of them waits.
        for empty in 2..1000 {
            output.push(frame(empty, 0));
        }
        sink.with(|state| state.held = false);
        assert_exact(&output.finish(None), 1);
        assert_eq!(sink.text(), expected, "{format} {terminal}");
    }
}

#[test]
fn a_full_queue_loses_rows_by_name_and_never_waits() {
    let sink = Sink::default();
    sink.with(|state| state.held = true);
    let limits = QueueLimits {
        rows: 100,
        bytes: usize::MAX,
    };
    let output = start(Format::Json, limits, sink.clone());
    let table = table();
    output.push(rows(&table, FIRST, 10));
    sink.wait_until(|state| state.waiting);
    for _ in 0..10 {
        output.push(rows(&table, FIRST + 10, 30));
    }
    assert_eq!(lost(&output.ledger()), [(LossReason::SlowReader, 210)]);
    assert!(!output.closed());
    sink.with(|state| state.held = false);
    sink.wait_until(|state| state.bytes.len() == 100 * ROW);
    // There is room again, even for more than the queue holds.
    output.push(rows(&table, FIRST, 500));
    let ledger = output.finish(None);
    assert_eq!(of(&ledger).written, 600);
    assert_eq!(lost(&ledger), [(LossReason::SlowReader, 210)]);
    assert_exact(&ledger, 810);
    assert_eq!(sink.text().len(), 600 * ROW);
}

#[test]
fn rows_wait_for_the_reader_when_asked_to_until_that_is_over() {
    let sink = Sink::default();
    sink.with(|state| state.held = true);
    let over = Arc::new(AtomicBool::new(false));
    let limits = QueueLimits {
        rows: 100,
        bytes: usize::MAX,
    };
    let mut options = options(Format::Json, limits);
    options.when_full = WhenFull::WaitUnless(over.clone());
    let output = Output::start(options, Box::new(sink.clone())).unwrap();
    let table = table();
    output.push(rows(&table, FIRST, 10));
    sink.wait_until(|state| state.waiting);
    thread::scope(|scope| {
        let pusher = scope.spawn(|| {
            for n in 0..100 {
                output.push(rows(&table, FIRST + 10 + n * 30, 30));
            }
        });
        // Full, and whoever pushes waits.
        while of(&output.ledger()).pushed < 10 + 4 * 30 {
            thread::yield_now();
        }
        assert!(!pusher.is_finished());
        sink.with(|state| state.held = false);
    });
    sink.wait_until(|state| state.bytes.len() == 3_010 * ROW);
    assert_eq!(lost(&output.ledger()), []);
    // Once nobody wants to wait, it is as without.
    sink.with(|state| {
        state.waiting = false;
        state.held = true;
    });
    output.push(rows(&table, FIRST, 10));
    sink.wait_until(|state| state.waiting);
    over.store(true, Ordering::Release);
    for _ in 0..10 {
        output.push(rows(&table, FIRST, 30));
    }
    sink.with(|state| state.held = false);
    let ledger = output.finish(None);
    assert_eq!(lost(&ledger), [(LossReason::SlowReader, 210)]);
    assert_exact(&ledger, 3_010 + 310);
}

#[test]
fn whoever_waits_for_a_reader_that_goes_away_is_accounted_once() {
    let sink = Sink::default();
    sink.with(|state| state.held = true);
    let limits = QueueLimits {
        rows: 100,
        bytes: usize::MAX,
    };
    let mut options = options(Format::Json, limits);
    options.when_full = WhenFull::WaitUnless(Arc::default());
    let output = Output::start(options, Box::new(sink.clone())).unwrap();
    let table = table();
    output.push(rows(&table, FIRST, 10));
    sink.wait_until(|state| state.waiting);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..10 {
                output.push(rows(&table, FIRST, 30));
            }
        });
        while of(&output.ledger()).pushed < 10 + 4 * 30 {
            thread::yield_now();
        }
        sink.with(|state| {
            state.fail_at = Some((10 * ROW, 32));
            state.held = false;
        });
    });
    // The last rows may have found room before the write that failed.
    while !output.closed() {
        thread::yield_now();
    }
    let ledger = output.finish(None);
    assert_eq!(of(&ledger).written, 10);
    assert_eq!(lost(&ledger), [(LossReason::ClosedPipe, 300)]);
    assert_exact(&ledger, 310);
}

#[test]
fn the_queue_is_bounded_by_bytes_too() {
    let sink = Sink::default();
    sink.with(|state| state.held = true);
    let table = table();
    let one = rows(&table, FIRST, 1_000);
    let limits = QueueLimits {
        rows: usize::MAX,
        bytes: one.bytes() * 2,
    };
    let output = start(Format::Json, limits, sink.clone());
    output.push(one.clone());
    sink.wait_until(|state| state.waiting);
    for _ in 0..5 {
        output.push(one.clone());
    }
    sink.with(|state| state.held = false);
    let ledger = output.finish(None);
    assert_eq!(of(&ledger).written, 3_000);
    assert_eq!(lost(&ledger), [(LossReason::SlowReader, 3_000)]);
}

#[test]
fn a_stalled_pipe_is_given_up_and_accounted() {
    let (mut reader, writer) = io::pipe().unwrap();
    let file = std::fs::File::from(OwnedFd::from(writer));
    let output = start(Format::Json, QueueLimits::default(), file);
    let table = table();
    let mut pushed = 0;
    // Far more than a pipe holds; nobody reads.
    for _ in 0..100 {
        output.push(rows(&table, FIRST, 1_000));
        pushed += 1_000;
    }
    let ledger = output.finish(Some(Duration::from_millis(50)));
    assert_exact(&ledger, pushed);
    assert_eq!(
        of(&ledger).lost.keys().copied().collect::<Vec<_>>(),
        [LossReason::Stalled]
    );
    // The thread still hangs in its call; everything counted as written is in the pipe.
    let mut bytes = vec![0; usize::try_from(of(&ledger).written).unwrap() * ROW];
    reader.read_exact(&mut bytes).unwrap();
    assert!(bytes.ends_with(b"}\n") || bytes.is_empty());
}

#[test]
fn a_slow_pipe_is_waited_for() {
    let (mut reader, writer) = io::pipe().unwrap();
    let file = std::fs::File::from(OwnedFd::from(writer));
    let output = start(Format::Json, QueueLimits::default(), file);
    let table = table();
    for _ in 0..20 {
        output.push(rows(&table, FIRST, 1_000));
    }
    let reading = std::thread::spawn(move || {
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        text
    });
    let ledger = output.finish(Some(Duration::from_secs(60)));
    assert_eq!((of(&ledger).written, of(&ledger).lost_rows()), (20_000, 0));
    assert_eq!(reading.join().unwrap().len(), 20_000 * ROW);
}

#[test]
fn a_closed_pipe_ends_it() {
    let (mut reader, writer) = io::pipe().unwrap();
    let file = std::fs::File::from(OwnedFd::from(writer));
    let output = start(Format::Json, QueueLimits::default(), file);
    let table = table();
    output.push(rows(&table, FIRST, 3));
    let mut bytes = [0; 3 * ROW];
    reader.read_exact(&mut bytes).unwrap();
    drop(reader);
    let mut pushed = 3;
    while !output.closed() {
        output.push(rows(&table, FIRST, 10));
        pushed += 10;
        std::thread::yield_now();
    }
    output.push(rows(&table, FIRST, 7));
    let ledger = output.finish(None);
    assert_eq!(of(&ledger).written, 3);
    assert_eq!(lost(&ledger), [(LossReason::ClosedPipe, pushed + 7 - 3)]);
    assert!(ledger.error.as_deref().unwrap().contains("Broken pipe"));
}

/// Fails after `at` bytes of the first chunk, of which `most` are taken a call, and gives what was
/// written and lost of 100 rows.
pub(super) fn fails_at(format: Format, at: usize, most: usize, errno: i32) -> OutputLedger {
    let sink = Sink::default();
    sink.with(|state| {
        state.most = most;
        state.fail_at = Some((at, errno));
    });
    let output = start(format, QueueLimits::default(), sink.clone());
    output.push(rows(&table(), FIRST, 60));
    output.push(rows(&table(), FIRST + 60, 40));
    let ledger = output.finish(None);
    assert_exact(&ledger, 100);
    assert_eq!(sink.state.0.lock().unwrap().bytes.len(), at);
    ledger
}

#[test]
fn a_write_that_fails_midway_counts_whole_rows() {
    for (at, written) in [
        (0, 0),
        (1, 0),
        (ROW - 1, 0),
        (ROW, 1),
        (ROW + 1, 1),
        (55 * ROW + 5, 55),
    ] {
        for most in [0, 1, 7] {
            let ledger = fails_at(Format::Json, at, most, ENOSPC);
            assert_eq!(of(&ledger).written, written, "{at} bytes, {most} a call");
            assert_eq!(lost(&ledger), [(LossReason::NoSpace, 100 - written)]);
        }
    }
    assert_eq!(
        lost(&fails_at(Format::Json, 65 * ROW, 0, EIO)),
        [(LossReason::WriteError, 35)]
    );
    assert_eq!(
        lost(&fails_at(Format::Json, 65 * ROW, 0, EPIPE)),
        [(LossReason::ClosedPipe, 35)]
    );
}

#[test]
fn headers_are_no_rows() {
    let header = "       N\n".len();
    for most in [0, 1] {
        assert_eq!(of(&fails_at(Format::Columns, header, most, EIO)).written, 0);
        assert_eq!(
            of(&fails_at(Format::Columns, 2 * header - 1, most, EIO)).written,
            0
        );
        assert_eq!(
            of(&fails_at(Format::Columns, 2 * header, most, EIO)).written,
            1
        );
        assert_eq!(
            of(&fails_at(Format::Columns, 70 * header, most, EIO)).written,
            69
        );
    }
}

#[test]
fn pretty_rows_end_with_their_brace() {
    let row = "{\n  \"n\": 100000\n}\n".len();
    for (at, written) in [(2, 0), (row - 1, 0), (row, 1), (row + 4, 1), (9 * row, 9)] {
        assert_eq!(
            of(&fails_at(Format::JsonPretty, at, 0, EIO)).written,
            written,
            "{at}"
        );
        assert_eq!(
            of(&fails_at(Format::JsonPretty, at, 1, EIO)).written,
            written,
            "{at}"
        );
    }
}

#[test]
fn a_sink_that_takes_nothing_or_panics_loses_the_rest() {
    struct Nothing;
    impl Write for Nothing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Ok(0)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let output = start(Format::Json, QueueLimits::default(), Nothing);
    output.push(rows(&table(), FIRST, 4));
    assert_eq!(lost(&output.finish(None)), [(LossReason::WriteError, 4)]);

    struct Panics;
    impl Write for Panics {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("a sink of the test")
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let output = start(Format::Json, QueueLimits::default(), Panics);
    output.push(rows(&table(), FIRST, 4));
    let ledger = output.finish(None);
    assert_eq!(lost(&ledger), [(LossReason::WriteError, 4)]);
}

#[test]
fn many_threads_push_under_pressure() {
    let sink = Sink::default();
    sink.with(|state| state.most = 1_000);
    let limits = QueueLimits {
        rows: 2_000,
        bytes: 1 << 20,
    };
    let output = start(Format::Json, limits, sink.clone());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let table = table();
                for n in 0..500 {
                    output.push(rows(&table, FIRST, 1 + n % 40));
                }
            });
        }
    });
    let ledger = output.finish(None);
    let each: u64 = (0..500).map(|n| 1 + n % 40).sum();
    assert_exact(&ledger, 4 * each);
    assert_eq!(sink.text().lines().count() as u64, of(&ledger).written);
}

#[test]
fn blocked_time_is_counted() {
    let sink = Sink::default();
    sink.with(|state| state.held = true);
    let output = start(Format::Json, QueueLimits::default(), sink.clone());
    output.push(rows(&table(), FIRST, 1));
    sink.wait_until(|state| state.waiting);
    std::thread::sleep(Duration::from_millis(5));
    sink.with(|state| state.held = false);
    let ledger = output.finish(None);
    assert!(ledger.blocked_ns >= 1_000_000, "{}", ledger.blocked_ns);
}

#[test]
fn a_header_in_the_middle_is_no_row() {
    let mut table = (*table()).clone();
    let quiet = Column {
        name: "q".to_owned(),
        ..table.columns[0].clone()
    };
    table.columns.push(quiet);
    let table = Arc::new(table);
    let mut options = options(Format::Columns, QueueLimits::default());
    options.tables = vec![ShownTable {
        selected: vec![0, 1],
        quiet: vec![vec![1]],
        ..shown(Arc::clone(&table), false)
    }];
    let mut encoder = Encoder::new(&options);
    let mut chunk = Vec::new();
    let mut write = |quiet: bool| {
        let array: ArrayRef = Arc::new(UInt32Array::from(vec![7, 8]));
        let columns = vec![Some(array.clone()), quiet.then_some(array)];
        let rows = Rows::new(Arc::clone(&table), columns, 2, 0).unwrap();
        encoder.write(0, &rows, &mut chunk).unwrap();
        let whole = encoder.whole(&chunk, chunk.len());
        assert_eq!(whole.bytes, chunk.len());
        (whole.rows, encoder.whole(&chunk, chunk.len() - 1).rows)
    };
    assert_eq!(write(false), (2, 1));
    assert_eq!(write(true), (4, 3));
    assert_eq!(write(false), (6, 5));
    let lines = chunk.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines, 8);
}
