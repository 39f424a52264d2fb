//! Formats, files and several outputs: what is written, what name it has, and every row counted.

use std::fs;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt32Type;
use arrow_ipc::reader::StreamReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::tests::{
    EIO, ENOSPC, FIRST, Sink, assert_exact, fails_at, lost, of, options, rows, start, table,
};
use super::*;

fn to_file(format: Format, file: FileOptions) -> Output {
    Output::to_file(options(format, QueueLimits::default()), file).unwrap()
}

fn at(path: &Path) -> FileOptions {
    FileOptions {
        path: path.to_owned(),
        ..FileOptions::default()
    }
}

/// Names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn wait_for(path: &Path) {
    while !path.exists() {
        std::thread::yield_now();
    }
}

fn numbers<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> Vec<u32> {
    let arrays = batches.into_iter().map(|batch| batch.column(0));
    arrays
        .flat_map(|array| array.as_primitive::<UInt32Type>().values().to_vec())
        .collect()
}

fn lines(first: u32, len: u32) -> String {
    (first..first + len).map(|n| format!("{n}\n")).collect()
}

#[test]
fn csv_and_yaml_count_whole_rows() {
    let header = "n\n".len();
    let row = "100000\n".len();
    for most in [0, 1] {
        for (at, written) in [
            (1, 0),
            (header, 0),
            (header + row - 1, 0),
            (header + row, 1),
        ] {
            assert_eq!(
                of(&fails_at(Format::Csv, at, most, EIO)).written,
                written,
                "{at}"
            );
        }
        assert_eq!(
            of(&fails_at(Format::Csv, header + 64 * row, most, EIO)).written,
            64
        );
    }
    let row = "---\n\"n\": 100000\n".len();
    for most in [0, 1] {
        for (at, written) in [
            (3, 0),
            (4, 0),
            (row - 1, 0),
            (row, 1),
            (row + 5, 1),
            (70 * row, 70),
        ] {
            let ledger = fails_at(Format::Yaml, at, most, ENOSPC);
            assert_eq!(of(&ledger).written, written, "{at}");
            assert_eq!(lost(&ledger), [(LossReason::NoSpace, 100 - written)]);
        }
    }
}

#[test]
fn an_arrow_stream_is_read_while_it_is_written() {
    let sink = Sink::default();
    let output = start(Format::Arrow, QueueLimits::default(), sink.clone());
    // The schema is there before any row.
    sink.wait_until(|state| !state.bytes.is_empty());
    let read = || {
        let bytes = sink.state.0.lock().unwrap().bytes.clone();
        let reader = StreamReader::try_new(io::Cursor::new(bytes), None).unwrap();
        assert_eq!(reader.schema().field(0).name(), "n");
        // What is cut off gives an error at the end: only whole batches come before it.
        reader.map_while(Result::ok).collect::<Vec<_>>()
    };
    assert!(read().is_empty());
    let schema = sink.state.0.lock().unwrap().bytes.len();
    output.push(rows(&table(), FIRST, 3));
    sink.wait_until(|state| state.bytes.len() > schema);
    assert_eq!(numbers(&read()), [FIRST, FIRST + 1, FIRST + 2]);
    for n in 0..500 {
        output.push(rows(&table(), FIRST + 3 + 10 * n, 10));
    }
    let ledger = output.finish(None);
    assert_exact(&ledger, 5_003);
    assert_eq!(of(&ledger).written, 5_003);
    let batches = read();
    assert_eq!(
        numbers(&batches),
        (FIRST..FIRST + 5_003).collect::<Vec<_>>()
    );
    assert!(batches.iter().all(|batch| batch.num_rows() < 1024 + 10));
    let bytes = sink.state.0.lock().unwrap().bytes.clone();
    assert!(bytes.ends_with(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]));
}

#[test]
fn an_arrow_batch_counts_when_all_of_it_was_taken() {
    let sink = Sink::default();
    let output = start(Format::Arrow, QueueLimits::default(), sink.clone());
    sink.wait_until(|state| !state.bytes.is_empty());
    let schema = sink.state.0.lock().unwrap().bytes.len();
    for most in [0, 1] {
        for at in [schema - 1, schema, schema + 9, schema + 300] {
            let ledger = fails_at(Format::Arrow, at, most, ENOSPC);
            assert_eq!(lost(&ledger), [(LossReason::NoSpace, 100)], "{at}");
        }
    }
    // The batch was taken, the mark of the end was not: the rows are there.
    output.push(rows(&table(), FIRST, 100));
    while of(&output.ledger()).written < 100 {
        std::thread::yield_now();
    }
    sink.with(|state| state.fail_at = Some((state.bytes.len() + 1, EIO)));
    let ledger = output.finish(None);
    assert_exact(&ledger, 100);
    assert_eq!(of(&ledger).written, 100);
    assert!(ledger.error.unwrap().contains("os error 5"));
}

#[test]
fn none_writes_nothing_and_counts_everything() {
    let sink = Sink::default();
    let output = start(Format::None, QueueLimits::default(), sink.clone());
    output.push(rows(&table(), FIRST, 1_000));
    let ledger = output.finish(None);
    assert_eq!((of(&ledger).written, of(&ledger).lost_rows()), (1_000, 0));
    assert_eq!(sink.text(), "");
}

#[test]
fn a_file_has_its_name_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    fs::write(&path, "before").unwrap();
    // Somebody was killed here; nothing of it is touched.
    fs::write(folder.path().join("rows.csv.partial"), "killed").unwrap();
    let output = to_file(Format::Csv, at(&path));
    output.push(rows(&table(), FIRST, 5));
    while of(&output.ledger()).written < 5 {
        std::thread::yield_now();
    }
    assert_eq!(
        names(folder.path()),
        ["rows.csv", "rows.csv.partial", "rows.csv.partial.1"]
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    let ledger = output.finish(None);
    assert_eq!((of(&ledger).written, ledger.error), (5, None));
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("n\n{}", lines(FIRST, 5))
    );
    assert_eq!(names(folder.path()), ["rows.csv", "rows.csv.partial"]);
    let killed = fs::read_to_string(folder.path().join("rows.csv.partial"));
    assert_eq!(killed.unwrap(), "killed");
}

#[test]
fn a_run_without_rows_makes_a_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    for (format, text) in [
        (Format::Csv, "n\n"),
        (Format::Json, ""),
        (Format::Columns, ""),
    ] {
        let path = folder.path().join(format.as_str());
        let _ = to_file(format, at(&path)).finish(None);
        assert_eq!(fs::read_to_string(path).unwrap(), text);
    }
    let path = folder.path().join("empty.parquet");
    let ledger = to_file(Format::Parquet, at(&path)).finish(None);
    assert_exact(&ledger, 0);
    assert_eq!(ledger.error, None);
    assert!(parquet(&path).is_empty());
}

fn parquet(path: &Path) -> Vec<RecordBatch> {
    let file = fs::File::open(path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert_eq!(builder.schema().metadata().get("ig:table").unwrap(), "t");
    builder.build().unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn parquet_rows_are_written_when_the_file_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    let output = to_file(Format::Parquet, at(&path));
    let table = table();
    for n in 0..200 {
        output.push(rows(&table, FIRST + n * 1_000, 1_000));
    }
    wait_for(&folder.path().join("rows.parquet.partial"));
    assert_eq!(of(&output.ledger()).written, 0);
    let ledger = output.finish(None);
    assert_exact(&ledger, 200_000);
    assert_eq!(of(&ledger).written, 200_000);
    assert_eq!(names(folder.path()), ["rows.parquet"]);
    assert_eq!(
        numbers(&parquet(&path)),
        (FIRST..FIRST + 200_000).collect::<Vec<_>>()
    );
}

#[test]
fn a_file_that_can_not_take_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for (format, written, kept) in [(Format::Json, 3, true), (Format::Parquet, 0, false)] {
        let path = folder.path().join(format.as_str());
        let output = to_file(format, at(&path));
        output.push(rows(&table(), FIRST, 3));
        // Nothing can be renamed to a folder that holds something.
        fs::create_dir_all(path.join("in the way")).unwrap();
        let ledger = output.finish(None);
        assert_exact(&ledger, 3);
        assert_eq!(of(&ledger).written, written);
        let partial = path.with_extension("partial");
        assert_eq!(partial.exists(), kept);
        let error = ledger.error.unwrap();
        assert!(
            error.starts_with(&format!("can't make {}: ", path.display())),
            "{error}"
        );
        let told = format!("; what was written before is in {}", partial.display());
        assert_eq!(error.ends_with(&told), kept, "{error}");
    }
}

/// A run that does not come about leaves what was there before.
#[test]
fn an_output_that_is_dropped_takes_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    fs::write(&path, "before").unwrap();
    for format in [Format::Json, Format::Csv, Format::Parquet] {
        drop(to_file(format, at(&path)));
        assert_eq!(names(folder.path()), ["rows"], "{format}");
    }
    let output = to_file(Format::Json, at(&path));
    output.push(rows(&table(), 1, 1));
    drop(output);
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    let partial = fs::read_to_string(folder.path().join("rows.partial"));
    assert_eq!(partial.unwrap(), "{\"n\":1}\n");
}

#[test]
fn what_can_not_be_completed_ends_behind_a_whole_row() {
    let folder = tempfile::tempdir().unwrap();
    let cut = |keep, rows| {
        let path = folder.path().join("x");
        let mut target = file::open(at(&path), keep).unwrap();
        assert!(!target.open().unwrap());
        assert_eq!(target.write(b"a row\nhalf").unwrap(), 10);
        target.took(4, rows);
        let name = target.abandon();
        let partial = folder.path().join("x.partial");
        assert_eq!(name.is_some(), partial.exists());
        name.map(|name| fs::read_to_string(name).unwrap())
    };
    assert_eq!(cut(true, 1).as_deref(), Some("a row\n"));
    fs::remove_file(folder.path().join("x.partial")).unwrap();
    assert_eq!(cut(true, 0), None);
    assert_eq!(cut(false, 1), None);
}

#[test]
fn files_rotate_by_size() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rows.000007.csv"), "of a run before").unwrap();
    let file = FileOptions {
        rotate_size: Some(100),
        ..at(&folder.path().join("rows.csv"))
    };
    let output = to_file(Format::Csv, file);
    let table = table();
    for n in 0..5 {
        output.push(rows(&table, FIRST + n * 10, 10));
        while of(&output.ledger()).written < u64::from(n + 1) * 10 {
            std::thread::yield_now();
        }
    }
    assert_eq!(of(&output.finish(None)).written, 50);
    // A header and ten rows are 72 bytes, twice as many rows 142.
    assert_eq!(
        names(folder.path()),
        [
            "rows.000007.csv",
            "rows.000008.csv",
            "rows.000009.csv",
            "rows.000010.csv"
        ]
    );
    let read = |number| fs::read_to_string(folder.path().join(format!("rows.{number:06}.csv")));
    assert_eq!(read(7).unwrap(), "of a run before");
    assert_eq!(read(8).unwrap(), format!("n\n{}", lines(FIRST, 20)));
    assert_eq!(read(9).unwrap(), format!("n\n{}", lines(FIRST + 20, 20)));
    assert_eq!(read(10).unwrap(), format!("n\n{}", lines(FIRST + 40, 10)));
}

#[test]
fn files_rotate_by_age_without_another_row() {
    let folder = tempfile::tempdir().unwrap();
    for (format, extension) in [(Format::Arrow, "arrow"), (Format::Parquet, "parquet")] {
        let name = |number| folder.path().join(format!("rows.{number:06}.{extension}"));
        let file = FileOptions {
            rotate_after: Some(Duration::from_millis(1)),
            ..at(&folder.path().join(format!("rows.{extension}")))
        };
        let output = to_file(format, file);
        for n in 1..3 {
            output.push(rows(&table(), FIRST + n, 1));
            wait_for(&name(n));
        }
        let ledger = output.finish(None);
        assert_eq!((of(&ledger).written, ledger.error), (2, None));
        for n in 1..3 {
            let batches: Vec<RecordBatch> = match format {
                Format::Parquet => parquet(&name(n)),
                _ => StreamReader::try_new(fs::File::open(name(n)).unwrap(), None)
                    .unwrap()
                    .collect::<Result<_, _>>()
                    .unwrap(),
            };
            assert_eq!(numbers(&batches), [FIRST + n]);
        }
        // No file without rows, none half written.
        assert!(!name(3).exists());
    }
    assert_eq!(names(folder.path()).len(), 4);
}

#[test]
fn what_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let error = |format, file| {
        let options = options(format, QueueLimits::default());
        Output::to_file(options, file).unwrap_err().to_string()
    };
    assert!(
        error(Format::Json, at(folder.path())).ends_with("it is a folder, or has no file name")
    );
    let nowhere = folder.path().join("no/rows.json");
    let text = error(Format::Json, at(&nowhere));
    assert!(
        text.starts_with(&format!("can't write {}: ", nowhere.display())),
        "{text}"
    );
    let null = Path::new("/dev/null");
    assert_eq!(
        error(Format::Parquet, at(null)),
        "/dev/null is no regular file, so it can't hold a file that is complete only at its end"
    );
    let rotated = FileOptions {
        rotate_size: Some(1),
        ..at(null)
    };
    assert_eq!(
        error(Format::Json, rotated),
        "/dev/null is no regular file, so it can't be rotated"
    );
    // A device is written to, and stays one.
    let output = to_file(Format::Json, at(Path::new("/dev/full")));
    output.push(rows(&table(), FIRST, 9));
    assert_eq!(lost(&output.finish(None)), [(LossReason::NoSpace, 9)]);
    assert!(!fs::metadata("/dev/full").unwrap().is_file());
}

#[test]
fn a_link_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::write(&real, "before").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let output = to_file(Format::Json, at(&link));
    output.push(rows(&table(), 1, 1));
    assert_eq!(of(&output.finish(None)).written, 1);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "{\"n\":1}\n");
}

#[test]
fn one_output_takes_nothing_from_another() {
    let (good, bad) = (Sink::default(), Sink::default());
    bad.with(|state| state.fail_at = Some((13 * 4, ENOSPC)));
    let limits = QueueLimits::default;
    let mut outputs = Outputs::new(start(Format::Json, limits(), good.clone()));
    outputs.add("csv=x".to_owned(), start(Format::Json, limits(), bad));
    let sink = Sink::default();
    outputs.add("none".to_owned(), start(Format::None, limits(), sink));
    for n in 0..10 {
        outputs.push(rows(&table(), FIRST + n, 1));
    }
    while outputs.failed().is_empty() {
        std::thread::yield_now();
    }
    assert!(!outputs.closed());
    let failed = outputs.failed();
    assert_eq!((failed.len(), failed[0].0), (1, "csv=x"));
    assert!(failed[0].1.contains("os error 28"), "{failed:?}");
    let (first, others) = outputs.finish(None);
    assert_eq!(of(&first).written, 10);
    let counts: Vec<(&str, u64, u64)> = others
        .iter()
        .map(|(name, ledger)| (name.as_str(), of(ledger).written, of(ledger).lost_rows()))
        .collect();
    assert_eq!(counts, [("csv=x", 4, 6), ("none", 10, 0)]);
    assert_eq!(good.text().lines().count(), 10);
}
