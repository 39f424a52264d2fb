//! Sources whose records iterators write. All of them are read from beginning to end, those over sockets in each network
//! namespace: once, or again every interval. One reading is a pass, and what it gave is a frame.

use crate::filters::tell;
use crate::guest::Say;
use crate::pipeline::{Now, Pipeline, TooManyTraps};
use crate::plan::PlannedTable;
use ig_bundle::manifest::ResolvedSource;
use ig_kernel::network::{ListError, NetworkNamespace, NetworkNamespaces, OpenNamespace, Visitor};
use ig_kernel::{BpfIterator, Loaded, Map, SpanLimits, Walk};
use ig_records::span;
use ig_table::frames::Mode;
use std::collections::VecDeque;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// The map of `gadget/netns.h`: for each namespace, before it is read, the cgroup of whom it is.
pub(crate) const NAMESPACES_MAP: &str = "gadget_netns_owners";
/// What the kernel gathers of an iterator before it hands it over, with pages of 4 KiB twice.
const BUFFER: usize = 64 << 10;

/// Whether the processes of a cgroup (its id in the unified hierarchy) are asked for.
pub(crate) type Asked = Box<dyn Fn(u64) -> bool + Send>;

/// Why the iterators can't be read any further.
#[derive(Debug)]
pub(crate) enum IterateError {
    /// The guest trapped for the last time.
    Traps,
    /// What a program wrote are no records.
    Failure(String),
}

impl From<TooManyTraps> for IterateError {
    fn from(TooManyTraps: TooManyTraps) -> Self {
        Self::Traps
    }
}

/// All sources of a run whose records iterators write.
pub(crate) struct Iterators {
    sources: Vec<Source>,
    /// None: the programs are not attached.
    place: Option<Place>,
    /// Between the beginnings of two passes.
    interval: Option<Duration>,
}

/// Where iterators over sockets are opened.
struct Place {
    namespaces: NetworkNamespaces,
    visitor: Option<Visitor>,
    owners: Option<Map>,
    /// None: everybody is.
    asked: Option<Asked>,
}

struct Source {
    /// Its index in the plan.
    index: usize,
    name: String,
    programs: Vec<String>,
    /// Those of the programs, when they are attached.
    iterators: Vec<BpfIterator>,
    framer: Framer,
    /// It is read again every interval.
    again: bool,
    state: State,
    /// Records so far.
    written: u64,
    unread: Unread,
    say: Say,
}

/// What could not be read: an iterator, where it is over sockets in one network namespace, in one pass. The others are read
/// all the same.
#[derive(Default)]
pub(crate) struct Unread {
    /// How often.
    pub count: u64,
    /// Why, the first time.
    pub first: String,
}

enum State {
    /// The next pass begins then.
    Due(Instant),
    /// Since when, and what is left.
    Pass(Instant, Box<Pass>),
    /// All is read, and some of it waits until it is known whose it is.
    Ending(Instant),
    Over,
}

/// What is left of a pass.
struct Pass {
    /// Iterators by index, next first: where one is over sockets, all in a row that are.
    steps: VecDeque<Step>,
    walk: Option<Walk>,
}

enum Step {
    Once(usize),
    /// The namespaces that are left (none: it was not looked yet), the iterators that are left in the first of these, all
    /// iterators.
    Namespaces {
        left: Option<VecDeque<NetworkNamespace>>,
        open: Option<(OpenNamespace, VecDeque<usize>)>,
        iterators: Vec<usize>,
    },
}

impl Iterators {
    /// Those of a run. `tables`: see [`filled`]. `interval` is in nanoseconds. `say` hears of what can't be read.
    pub fn new(
        sources: &[ResolvedSource],
        tables: &[(Option<usize>, Mode)],
        interval: Option<u64>,
        say: &Say,
    ) -> Self {
        let sources = sources.iter().enumerate();
        let walked = sources.filter(|(_, source)| !source.iterators().is_empty());
        let walked = walked.map(|(index, source)| Source {
            index,
            name: source.name.clone(),
            programs: source.iterators().to_vec(),
            iterators: Vec::new(),
            framer: Framer::new(source.layout.size),
            again: tables.contains(&(Some(index), Mode::Interval)),
            state: State::Due(Instant::now()),
            written: 0,
            unread: Unread::default(),
            say: say.clone(),
        });
        Self {
            sources: walked.collect(),
            place: None,
            interval: interval.map(Duration::from_nanos),
        }
    }

    /// The programs are attached. `asked` narrows the namespaces to those with a process that is asked for.
    ///
    /// # Errors
    /// The kernel has no more descriptors, or no thread.
    pub fn attach(
        &mut self,
        loaded: &Loaded,
        namespaces: NetworkNamespaces,
        asked: Option<Asked>,
    ) -> Result<(), String> {
        for source in &mut self.sources {
            for program in &source.programs {
                let iterator = loaded.iterator(program);
                let iterator = iterator.map_err(|e| format!("iterator {program}: {e}"))?;
                // Those that were left out have been told.
                source.iterators.extend(iterator);
            }
        }
        let mut all = self.sources.iter().flat_map(|s| &s.iterators);
        let visitor = all.any(BpfIterator::of_network).then(Visitor::start);
        let visitor = visitor.transpose();
        self.place = Some(Place {
            namespaces,
            visitor: visitor.map_err(|e| format!("network namespaces can't be entered: {e}"))?,
            owners: loaded.map(NAMESPACES_MAP).ok(),
            asked,
        });
        Ok(())
    }

    /// There are no such sources.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Reads a part of each source whose turn it is. True: there was something to read.
    pub fn round(
        &mut self,
        pipeline: &mut Pipeline,
        now: impl Fn() -> Now,
    ) -> Result<bool, IterateError> {
        let mut read = false;
        let Some(place) = &self.place else {
            return Ok(false);
        };
        for source in &mut self.sources {
            read |= source.round(place, self.interval, pipeline, &now)?;
        }
        Ok(read)
    }

    /// When the next pass begins.
    pub fn next(&self) -> Option<Instant> {
        let due = self.sources.iter().filter_map(|source| match source.state {
            State::Due(at) => Some(at),
            _ => None,
        });
        due.min()
    }

    /// There are such sources, and nothing more comes of any.
    pub fn over(&self) -> bool {
        !self.sources.is_empty() && self.sources.iter().all(|s| matches!(s.state, State::Over))
    }

    /// By source, what could not be read of it.
    pub fn unread(&self) -> impl Iterator<Item = (&str, &Unread)> {
        let sources = self.sources.iter().filter(|s| s.unread.count > 0);
        sources.map(|source| (source.name.as_str(), &source.unread))
    }

    /// How many records the iterators of a source wrote; none: its records come from a ring.
    pub fn written(&self, source: usize) -> Option<u64> {
        let found = self.sources.iter().find(|s| s.index == source);
        found.map(|source| source.written)
    }
}

/// By table: the source of iterators that fills it, and its mode, if it is shown.
pub(crate) fn filled(tables: &[PlannedTable]) -> Vec<(Option<usize>, Mode)> {
    let shown = tables.iter().filter(|table| table.shown);
    shown.map(|table| (table.walked, table.mode)).collect()
}

impl Source {
    fn round(
        &mut self,
        place: &Place,
        interval: Option<Duration>,
        pipeline: &mut Pipeline,
        now: impl Fn() -> Now,
    ) -> Result<bool, IterateError> {
        match &mut self.state {
            State::Over => Ok(false),
            State::Due(at) => {
                let began = Instant::now();
                if *at > began {
                    return Ok(false);
                }
                self.state = State::Pass(began, Box::new(Pass::new(&self.iterators)));
                Ok(true)
            }
            State::Pass(began, pass) => {
                let began = *began;
                let read = match pass.read(&self.iterators, place, &mut self.framer) {
                    Ok(read) => read,
                    Err(what) => {
                        self.framer.filled = 0;
                        self.miss(what);
                        return Ok(true);
                    }
                };
                if let Some(bytes) = read {
                    let mut result = Ok(());
                    let n = self.framer.spans(bytes, |span, records| {
                        if result.is_ok() {
                            result = pipeline.deliver(self.index, span, records, 0, now());
                        }
                    });
                    self.written += n;
                    result?;
                    if bytes == 0 && self.framer.filled > 0 {
                        return Err(IterateError::Failure(format!(
                            "source {}: an iterator wrote {} bytes too many or too few, and each record of the source has {}",
                            self.name, self.framer.filled, self.framer.size
                        )));
                    }
                    return Ok(true);
                }
                self.state = State::Ending(began);
                Ok(true)
            }
            State::Ending(began) => {
                // Where another source always has something that waits, it would never end.
                if pipeline.holds_of(self.index) {
                    return Ok(false);
                }
                self.state = match interval.filter(|_| self.again) {
                    // What is late is not made up for.
                    Some(interval) => State::Due((*began + interval).max(Instant::now())),
                    None => State::Over,
                };
                pipeline.end_pass(self.index, now())?;
                Ok(true)
            }
        }
    }

    /// Notes that something can't be read, and says so the first time: what is short of memory may be so each time.
    fn miss(&mut self, what: String) {
        let Unread { count, first } = &mut self.unread;
        *count += 1;
        if *count == 1 {
            (self.say)(&format!(
                "source {}: {what}; what is there is missing, and the rest is read (said once, the summary counts)",
                self.name
            ));
            *first = what;
        }
    }
}

impl Pass {
    fn new(iterators: &[BpfIterator]) -> Self {
        let mut steps: VecDeque<Step> = VecDeque::new();
        for (index, iterator) in iterators.iter().enumerate() {
            if !iterator.of_network() {
                steps.push_back(Step::Once(index));
                continue;
            }
            if let Some(Step::Namespaces { iterators, .. }) = steps.back_mut() {
                iterators.push(index);
                continue;
            }
            steps.push_back(Step::Namespaces {
                left: None,
                open: None,
                iterators: vec![index],
            });
        }
        Self { steps, walk: None }
    }

    /// Reads on. 0: an iterator has come to its end; none: the pass has. After an error, which says what can't be read, the
    /// pass goes on with what comes behind it.
    fn read(
        &mut self,
        iterators: &[BpfIterator],
        place: &Place,
        framer: &mut Framer,
    ) -> Result<Option<usize>, String> {
        if self.walk.is_none() {
            self.walk = self.open(iterators, place)?;
        }
        let Some(walk) = &mut self.walk else {
            return Ok(None);
        };
        let read = walk.read(framer.room());
        if !matches!(read, Ok(1..)) {
            self.walk = None;
        }
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) => Err(match self.steps.front() {
                Some(Step::Namespaces {
                    open: Some((namespace, _)),
                    ..
                }) => inside(namespace.inode(), &e),
                _ => e.to_string(),
            }),
        }
    }

    /// The next iterator, opened; none: there is none.
    fn open(&mut self, iterators: &[BpfIterator], place: &Place) -> Result<Option<Walk>, String> {
        while let Some(step) = self.steps.front_mut() {
            match step {
                Step::Once(index) => {
                    let iterator = iterators.get(*index);
                    self.steps.pop_front();
                    if let Some(iterator) = iterator {
                        return iterator.open().map(Some).map_err(|e| e.to_string());
                    }
                }
                Step::Namespaces {
                    left,
                    open,
                    iterators: all,
                } => {
                    let next = open
                        .as_mut()
                        .and_then(|(namespace, queue)| Some((&*namespace, queue.pop_front()?)));
                    if let Some((namespace, index)) = next {
                        if let (Some(iterator), Some(visitor)) =
                            (iterators.get(index), &place.visitor)
                        {
                            let walk = iterator.open_in(namespace, visitor);
                            return walk.map(Some).map_err(|e| inside(namespace.inode(), &e));
                        }
                        continue;
                    }
                    // The last one may go before the next one is opened.
                    *open = None;
                    let left = match left {
                        Some(left) => left,
                        None => match place.list() {
                            Ok(listed) => left.insert(listed.into()),
                            Err(e) => {
                                self.steps.pop_front();
                                return Err(e.to_string());
                            }
                        },
                    };
                    let Some(namespace) = left.pop_front() else {
                        self.steps.pop_front();
                        continue;
                    };
                    let inode = namespace.inode();
                    let opened = place.namespaces.open(&namespace);
                    // One that is gone by now has nothing that could be shown.
                    if let Some(namespace) = opened.map_err(|e| e.to_string())? {
                        tell(place.owners.as_ref(), &namespace).map_err(|e| inside(inode, &e))?;
                        *open = Some((namespace, all.iter().copied().collect()));
                    }
                }
            }
        }
        Ok(None)
    }
}

impl Place {
    /// The namespaces in which somebody is asked for.
    fn list(&self) -> Result<Vec<NetworkNamespace>, ListError> {
        let asked = self.asked.as_ref();
        let asked = asked.map(|asked| &**asked as &dyn Fn(u64) -> bool);
        self.namespaces.list(asked)
    }
}

/// Says where something failed.
fn inside(namespace: u64, what: &dyn Display) -> String {
    format!("network namespace {namespace}: {what}")
}

/// Cuts what an iterator wrote into records, framed like those of a ring.
struct Framer {
    /// Of a record, in bytes.
    size: usize,
    /// Records of a span.
    most: usize,
    /// What was read and not framed yet is at its beginning.
    buffer: Vec<u8>,
    filled: usize,
    span: Vec<u8>,
}

impl Framer {
    fn new(size: u32) -> Self {
        let size = (size as usize).max(1);
        let framed = span::HEADER + size.next_multiple_of(8);
        Self {
            size,
            most: (SpanLimits::BYTES / framed).clamp(1, SpanLimits::RECORDS as usize),
            buffer: vec![0; BUFFER + size],
            filled: 0,
            span: Vec::new(),
        }
    }

    /// Where to read to.
    fn room(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// Hands on what is whole, now that so many bytes were read, in spans with their number of records. Gives how many
    /// records that were.
    fn spans(&mut self, read: usize, mut take: impl FnMut(&[u8], u32)) -> u64 {
        self.filled = self.filled.saturating_add(read).min(self.buffer.len());
        let whole = self.filled - self.filled % self.size;
        let records = self.buffer.get(..whole).unwrap_or_default();
        for some in records.chunks(self.size.saturating_mul(self.most)) {
            self.span.clear();
            let mut n = 0;
            for record in some.chunks_exact(self.size) {
                // It is shorter than a span may be.
                if span::push(&mut self.span, &[record]).is_ok() {
                    n += 1;
                }
            }
            take(&self.span, n);
        }
        self.buffer.copy_within(whole..self.filled, 0);
        self.filled -= whole;
        (whole / self.size) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::RecordIdentity;
    use crate::pipeline::Undecided;
    use ig_containers::{Directory, Selectors};
    use ig_object::btf::{Field, FieldType, Layout};
    use ig_records::span::Span;
    use ig_table::columns::TerminalOptions;
    use ig_table::kinds::words::Words;
    use ig_table::output::{Format, Output, OutputOptions, Outputs, QueueLimits, WhenFull};
    use std::sync::Arc;

    /// A pipeline of two sources whose records are a cgroup each; 7 is not decided yet.
    fn pipeline(say: &Say) -> Pipeline {
        let output = OutputOptions {
            format: Format::None,
            tables: Vec::new(),
            words: Words::fixed(),
            terminal: TerminalOptions::default(),
            limits: QueueLimits::default(),
            when_full: WhenFull::Lose,
        };
        let outputs = Outputs::new(Output::start(output, Box::new(std::io::sink())).unwrap());
        let mut pipeline = Pipeline::new(Vec::new(), outputs, 2, None, None, None, say.clone());
        let cgroup = Field {
            name: "cgroup".to_owned(),
            bit_offset: 0,
            bit_size: None,
            size: 8,
            ty: FieldType::Int { signed: false },
            typedefs: vec!["gadget_cgroup_id".to_owned()],
        };
        let layout = Layout {
            name: "event".to_owned(),
            size: 8,
            fields: vec![cgroup],
        };
        let directory = Arc::new(Directory::default());
        directory.made(7, None);
        let undecided = Undecided::new(
            directory.reader(),
            || true,
            vec![RecordIdentity::of(&layout); 2],
            &Selectors::default(),
            true,
        );
        pipeline.hold_undecided(undecided);
        pipeline
    }

    /// Reads the second source, which has nothing, until nothing changes. Whether its reading is over.
    fn reads(iterators: &mut Iterators, pipeline: &mut Pipeline) -> bool {
        while iterators.round(pipeline, Now::default).unwrap() {}
        iterators.over()
    }

    #[test]
    fn a_reading_ends_when_none_of_its_own_records_wait() {
        let say: Say = Arc::new(|_: &str| {});
        for (waits, ends) in [(0, true), (1, false)] {
            let mut pipeline = pipeline(&say);
            let mut iterators = Iterators {
                sources: vec![Source {
                    index: 1,
                    name: "b".to_owned(),
                    programs: Vec::new(),
                    iterators: Vec::new(),
                    framer: Framer::new(8),
                    again: false,
                    state: State::Due(Instant::now()),
                    written: 0,
                    unread: Unread::default(),
                    say: say.clone(),
                }],
                place: Some(Place {
                    namespaces: NetworkNamespaces::new(std::path::Path::new("/"), None),
                    visitor: None,
                    owners: None,
                    asked: None,
                }),
                interval: None,
            };
            let mut span = Vec::new();
            span::push(&mut span, &[&7_u64.to_le_bytes()]).unwrap();
            let delivered = pipeline.deliver(waits, &span, 1, 0, Now::default());
            assert!(delivered.is_ok() && pipeline.holds());
            assert_eq!(reads(&mut iterators, &mut pipeline), ends);
            pipeline.release_undecided(true, Now::default()).unwrap();
            assert!(reads(&mut iterators, &mut pipeline));
        }
    }

    /// Puts bytes in, in pieces, and gives the records and how many came in each span.
    fn framed(framer: &mut Framer, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u32>) {
        let (mut records, mut spans) = (Vec::new(), Vec::new());
        for piece in pieces {
            framer.room()[..piece.len()].copy_from_slice(piece);
            framer.spans(piece.len(), |span, n| {
                let counts = Span(span).check().unwrap();
                assert_eq!((counts.records, counts.discarded), (u64::from(n), 0));
                records.extend(Span(span).iter().map(|record| record.payload.to_vec()));
                spans.push(n);
            });
        }
        (records, spans)
    }

    #[test]
    fn bytes_are_cut_into_records_wherever_they_were_read() {
        let mut framer = Framer::new(3);
        let (records, spans) = framed(&mut framer, &[b"abcd", b"", b"e", b"fghi"]);
        assert_eq!(records, [b"abc", b"def", b"ghi"]);
        assert_eq!(spans, [1, 2]);
        assert_eq!(framer.filled, 0);
        framed(&mut framer, &[b"xy"]);
        assert_eq!(framer.filled, 2, "what is no record stays, and is told");
    }

    #[test]
    fn spans_are_no_larger_than_those_of_rings() {
        let mut framer = Framer::new(8);
        let bytes: Vec<u8> = (0..5000_u64).flat_map(u64::to_le_bytes).collect();
        let (records, spans) = framed(&mut framer, &[&bytes]);
        assert_eq!(records.len(), 5000);
        assert_eq!(records[4999], 4999_u64.to_le_bytes());
        assert_eq!(spans, [1024, 1024, 1024, 1024, 904]);
        let mut framer = Framer::new(20_000);
        let (_, spans) = framed(&mut framer, &[&[7; 60_000]]);
        assert_eq!(spans, [3]);
        let mut framer = Framer::new(100_000);
        let (records, spans) = framed(&mut framer, &[&[7; 60_000], &[8; 60_000]]);
        assert_eq!((records.len(), spans), (1, vec![1]));
    }
}
