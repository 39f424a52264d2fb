use super::*;
use crate::span;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;

/// An entry that borrows from nothing.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Call(Moment, Vec<Overdue>, &'static str, Option<(u16, Vec<u8>)>),
    Answer(u16, Vec<u8>, Vec<u8>),
}

impl From<Entry<'_>> for Owned {
    fn from(entry: Entry<'_>) -> Self {
        match entry {
            Entry::Call {
                when,
                overdue,
                call,
            } => {
                let (name, records) = match call {
                    Call::Init => ("init", None),
                    Call::Process { source, span } => ("process", Some((source, span.to_vec()))),
                    Call::Tick => ("tick", None),
                    Call::Added(owners) => ("added", Some((9, numbers(owners)))),
                    Call::Removed(owners) => ("removed", Some((9, numbers(owners)))),
                    Call::Stop => ("stop", None),
                };
                Self::Call(when, overdue.to_vec(), name, records)
            }
            Entry::Answer {
                kind,
                question,
                answer,
            } => Self::Answer(kind, question.to_vec(), answer.to_vec()),
        }
    }
}

fn numbers(owners: &[u32]) -> Vec<u8> {
    owners
        .iter()
        .flat_map(|owner| owner.to_le_bytes())
        .collect()
}

fn read(bytes: &[u8]) -> Result<(Header, Vec<Owned>, Footer), RecordingError> {
    let mut reader = Reader::new(bytes)?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.next()? {
        entries.push(Owned::from(entry));
    }
    assert!(reader.next()?.is_none(), "the end is the end");
    let footer = reader.footer().cloned().unwrap();
    Ok((reader.header().clone(), entries, footer))
}

fn header() -> Header {
    Header {
        ig: "0.1.0".to_owned(),
        gadget: Gadget {
            name: "trace_open".to_owned(),
            ..Gadget::default()
        },
        machine: Machine {
            zone: vec![(0, 3600)],
            users: vec![("root".to_owned(), 0)],
            ..Machine::default()
        },
        sources: vec![Source {
            name: "open".to_owned(),
            record: "event".to_owned(),
            size: 8,
        }],
        ..Header::default()
    }
}

fn footer() -> Footer {
    Footer {
        ended_by: "command".to_owned(),
        sources: BTreeMap::from([(
            "open".to_owned(),
            SourceCounts {
                attempted: Some(3),
                not_reserved: Some(0),
                undecided: 0,
                excluded: BTreeMap::from([("selection".to_owned(), 2)]),
            },
        )]),
        ..Footer::default()
    }
}

fn spanned(payloads: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for payload in payloads {
        span::push(&mut bytes, &[payload]).unwrap();
    }
    bytes
}

fn at(boot: u64) -> Moment {
    Moment {
        boot,
        wall_offset: -5,
    }
}

/// A small recording with everything in it, in two chunks.
fn small() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    let mut chunk = Chunk::default();
    chunk.call(at(1), &[], Call::Init).unwrap();
    chunk.answer(MAP_ANSWER, b"key", b"value").unwrap();
    let span = spanned(&[b"one", b"twotwotwo"]);
    let call = Call::Process {
        source: 0,
        span: &span,
    };
    chunk.call(at(2), &[], call).unwrap();
    writer.write(&mut chunk, Effort::Compress).unwrap();
    let overdue = Overdue {
        timer: 7,
        due: 3,
        periods: 1,
    };
    chunk.call(at(4), &[overdue], Call::Tick).unwrap();
    chunk.call(at(5), &[], Call::Stop).unwrap();
    writer.write(&mut chunk, Effort::Store).unwrap();
    let (bytes, written) = writer.finish(footer()).unwrap();
    assert_eq!(written.bytes, bytes.len() as u64);
    bytes
}

#[test]
fn what_was_written_comes_back() {
    let bytes = small();
    let (read_header, entries, read_footer) = read(&bytes).unwrap();
    assert_eq!(read_header, header());
    let counts = Counts {
        chunks: 2,
        calls: 4,
        records: 2,
        answers: 1,
    };
    assert_eq!(read_footer, Footer { counts, ..footer() });
    let overdue = Overdue {
        timer: 7,
        due: 3,
        periods: 1,
    };
    assert_eq!(
        entries,
        [
            Owned::Call(at(1), vec![], "init", None),
            Owned::Answer(MAP_ANSWER, b"key".to_vec(), b"value".to_vec()),
            Owned::Call(
                at(2),
                vec![],
                "process",
                Some((0, spanned(&[b"one", b"twotwotwo"])))
            ),
            Owned::Call(at(4), vec![overdue], "tick", None),
            Owned::Call(at(5), vec![], "stop", None),
        ]
    );
    assert_eq!(
        check(bytes.as_slice()).unwrap(),
        Checked {
            chunks: 2,
            calls: 4,
            bytes: bytes.len() as u64
        }
    );
}

/// Older programs read what has no calls that they don't know, and say of the rest that it is newer.
#[test]
fn containers_that_come_and_go_come_back_and_only_they_make_the_format_newer() {
    let recorded = |watches| {
        let header = Header {
            owners: true,
            watches,
            ..header()
        };
        let mut writer = Writer::new(Vec::new(), &header).unwrap();
        let mut chunk = Chunk::default();
        chunk.call(at(1), &[], Call::Init).unwrap();
        if watches {
            chunk.call(at(1), &[], Call::Added(&[7, u32::MAX])).unwrap();
        }
        let question = 5_u64.to_le_bytes();
        chunk
            .answer(OWNER_OF_CGROUP, &question, &[7, 0, 0, 0])
            .unwrap();
        if watches {
            chunk.call(at(2), &[], Call::Removed(&[7])).unwrap();
        }
        chunk.call(at(3), &[], Call::Stop).unwrap();
        writer.write(&mut chunk, Effort::Compress).unwrap();
        (writer.finish(footer()).unwrap().0, header)
    };
    let (bytes, header) = recorded(true);
    assert_eq!(bytes[8..12], [2, 0, 0, 0]);
    let (read_header, entries, _) = read(&bytes).unwrap();
    assert_eq!(read_header, header);
    let told = |boot, name, owners: &[u32]| {
        Owned::Call(at(boot), vec![], name, Some((9, numbers(owners))))
    };
    assert_eq!(entries[1], told(1, "added", &[7, u32::MAX]));
    assert_eq!(entries[3], told(2, "removed", &[7]));
    assert_eq!(check(bytes.as_slice()).unwrap().calls, 4);

    let (bytes, _) = recorded(false);
    assert_eq!(bytes[8..12], [1, 0, 0, 0]);
    assert_eq!(read(&bytes).unwrap().1.len(), 3);
    assert!(!read(&small()).unwrap().0.owners, "nothing was known then");
}

#[test]
fn nothing_is_kept_that_means_nothing() {
    // Page offsets, padding and a discarded payload, none of them zero.
    let mut ring = Vec::new();
    for (word, payload) in [(3, b"abcXYZXY"), (8 | span::DISCARD, b"secret!!")] {
        ring.extend_from_slice(&u32::to_le_bytes(word));
        ring.extend_from_slice(&3_u32.to_le_bytes());
        ring.extend_from_slice(payload);
    }
    let mut chunk = Chunk::default();
    let call = Call::Process {
        source: 0,
        span: &ring,
    };
    chunk.call(at(0), &[], call).unwrap();
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    writer.write(&mut chunk, Effort::Compress).unwrap();
    let (_, entries, _) = read(&writer.finish(footer()).unwrap().0).unwrap();
    let mut clean = spanned(&[b"abc"]);
    clean.extend_from_slice(&(8 | span::DISCARD).to_le_bytes());
    clean.extend_from_slice(&[0; 12]);
    assert_eq!(
        entries,
        [Owned::Call(at(0), vec![], "process", Some((0, clean)))]
    );
}

#[test]
fn a_file_that_is_cut_off_says_so_and_what_is_whole() {
    let bytes = small();
    for length in 1..bytes.len() {
        let part = &bytes[..length];
        for error in [read(part).unwrap_err(), check(part).unwrap_err()] {
            let RecordingError::CutOff { offset, .. } = error else {
                panic!("{length}: {error}");
            };
            assert_eq!(offset, length as u64);
        }
    }
    assert!(matches!(read(&[]), Err(RecordingError::Foreign)));
    let text = check(&bytes[..bytes.len() - 1]).unwrap_err().to_string();
    assert!(
        text.contains("whole before that: 2 chunks with 4 calls"),
        "{text}"
    );
}

#[test]
fn a_byte_that_is_another_is_found() {
    let bytes = small();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let error = read(&changed).unwrap_err();
            match (at, error) {
                (0..8, RecordingError::Foreign)
                | (
                    8..,
                    RecordingError::Damaged { .. }
                    | RecordingError::Newer { .. }
                    | RecordingError::CutOff { .. },
                ) => {}
                (_, other) => panic!("byte {at}: {other}"),
            }
            assert!(check(changed.as_slice()).is_err());
        }
    }
}

#[test]
fn errors_say_where_and_what() {
    let bytes = small();
    let mut newer = bytes.clone();
    newer[8] = 3;
    let mut other = bytes.clone();
    other[8] = 2;
    let mut damaged = bytes.clone();
    let data = bytes.windows(4).position(|w| w == b"DATA").unwrap();
    damaged[data + 30] ^= 1;
    let mut longer = bytes.clone();
    longer.push(0);
    for (bytes, text) in [
        (
            b"PK\x03\x04".to_vec(),
            "not a recording: it does not begin as one".to_owned(),
        ),
        (
            newer,
            "a recording of format 3, and this program reads up to 2: update ig".to_owned(),
        ),
        (
            other,
            "damaged at byte 12, in chunk 0: this is not the header of format 2, which the file begins with"
                .to_owned(),
        ),
        (
            damaged,
            format!("damaged at byte {data}, in chunk 1: its checksum is another"),
        ),
        (
            longer,
            format!(
                "damaged at byte {}, in chunk 3: something stands behind the end",
                bytes.len()
            ),
        ),
    ] {
        assert_eq!(read(&bytes).unwrap_err().to_string(), text);
    }
}

/// A chunk that is right on the outside.
fn framed(tag: super::frames::Tag, number: u32, plain: &[u8], says: u32) -> Vec<u8> {
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let stored = ruzstd::encoding::compress_to_vec(plain, level);
    let header = super::frames::frame_header(tag, number, 0, says, &stored).unwrap();
    [header.to_vec(), stored].concat()
}

#[test]
fn lies_inside_of_whole_chunks_are_found() {
    use super::frames::Tag;
    let start = || {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION_WITHOUT_WATCHING.to_le_bytes());
        let text = serde_json::to_vec(&header()).unwrap();
        bytes.extend(framed(Tag::Header, 0, &text, text.len() as u32));
        bytes
    };
    let entry = |kind: u8, body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        [&[kind, 0, 0, 0], &length[..], body].concat()
    };
    let call = |source: u16, overdue: u16| {
        let mut body = vec![0; 16];
        body.extend_from_slice(&source.to_le_bytes());
        body.extend_from_slice(&overdue.to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        body
    };
    for (plain, what) in [
        (entry(99, &[]), "kind 99"),
        (vec![1, 0, 0], "cut short"),
        (entry(1, &[0; 3]), "a call is cut short"),
        (entry(1, &call(0xffff, 9)), "a call is cut short"),
        (entry(2, &call(1, 0)), "names source 1, and there are 1"),
        (
            entry(2, &[call(0, 0), vec![1]].concat()),
            "inside the header at byte 0",
        ),
        (entry(3, &call(0, 0)), "records in a call that has none"),
        (entry(5, &call(0, 0)), "records in a call that has none"),
        (
            entry(6, &[call(0xffff, 0), vec![1, 0, 0]].concat()),
            "a call is cut short",
        ),
        (
            entry(16, &[0, 0, 0, 0, 5, 0, 0, 0, 1]),
            "an answer is cut short",
        ),
        (vec![1, 1, 0, 0, 0, 0, 0, 0], "header is wrong"),
    ] {
        let mut bytes = start();
        bytes.extend(framed(Tag::Entries, 1, &plain, plain.len() as u32));
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("chunk 1"), "{error}");
    }
    // More bytes than promised, fewer, and more than any chunk may have.
    for says in [3, 5, u32::MAX] {
        let mut bytes = start();
        bytes.extend(framed(Tag::Entries, 1, b"abcd", says));
        assert!(matches!(
            read(&bytes),
            Err(RecordingError::Damaged { chunk: 1, .. })
        ));
    }
    // An end that counts what is not there.
    let mut bytes = start();
    let mut end = footer();
    end.counts.calls = 1;
    let text = serde_json::to_vec(&end).unwrap();
    bytes.extend(framed(Tag::Footer, 1, &text, text.len() as u32));
    assert!(matches!(
        read(&bytes),
        Err(RecordingError::Damaged { chunk: 1, .. })
    ));
}

#[test]
fn an_entry_that_is_too_long_is_refused_before_it_is_copied() {
    let mut chunk = Chunk::default();
    let error = chunk.answer(1, &[], &vec![0; MAX_ENTRY_BYTES]).unwrap_err();
    assert_eq!(error.length, MAX_ENTRY_BYTES + 8);
    assert!(chunk.is_empty());
}

#[test]
fn a_file_has_its_name_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.igrec");
    let names = || {
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let mut file = PartialFile::create(&path, None).unwrap();
    file.write_all(b"one").unwrap();
    let other = PartialFile::create(&path, None).unwrap();
    assert_eq!(names(), ["run.igrec.partial", "run.igrec.partial.1"]);
    drop(other);
    assert_eq!(names(), ["run.igrec.partial"]);
    file.complete().unwrap();
    assert_eq!(names(), ["run.igrec"]);
    assert_eq!(fs::read(&path).unwrap(), b"one");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(PartialFile::create(folder.path(), None).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_recording_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400), keep in 0_usize..400) {
        // As they are, and behind the beginning of a recording.
        let _ = read(&bytes);
        let whole = small();
        let begun = [&whole[..keep.min(whole.len())], &bytes].concat();
        let _ = read(&begun);
        let _ = check(begun.as_slice());
    }

    #[test]
    fn any_entries_are_entries_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), sources in 0_usize..3, kind in prop::sample::select(vec![1_u8, 2, 3, 4, 5, 6, 16])) {
        let mut framed = vec![kind, 0, 0, 0];
        framed.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
        framed.extend_from_slice(&bytes);
        let _ = super::chunk::parse(&bytes, sources, &mut super::chunk::Parts::default());
        let _ = super::chunk::parse(&framed, sources, &mut super::chunk::Parts::default());
    }

    #[test]
    fn any_calls_come_back(calls in prop::collection::vec((any::<u64>(), any::<i64>(), prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20), any::<bool>()), 0..20)) {
        let mut writer = Writer::new(Vec::new(), &header()).unwrap();
        let mut chunk = Chunk::default();
        let mut expected = Vec::new();
        for (boot, wall_offset, payloads, flush) in &calls {
            let when = Moment { boot: *boot, wall_offset: *wall_offset };
            let span = spanned(&payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
            chunk.call(when, &[], Call::Process { source: 0, span: &span }).unwrap();
            expected.push(Owned::Call(when, vec![], "process", Some((0, span))));
            if *flush {
                writer.write(&mut chunk, Effort::Compress).unwrap();
            }
        }
        writer.write(&mut chunk, Effort::Compress).unwrap();
        let (_, entries, _) = read(&writer.finish(footer()).unwrap().0).unwrap();
        prop_assert_eq!(entries, expected);
    }
}
