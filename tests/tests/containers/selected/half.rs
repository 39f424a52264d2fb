//! Many short containers, of which half are asked for.

use super::super::crowd::{Crowd, LIFE};
use super::{ATTACHED, Seen, UID, parts};
use crate::ledgers::{assert_sums, sum, summary};
use ig_tests::{Ig, bundle, times};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, PipeReader};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Names that end in one of these digits are asked for.
const WANTED: [char; 5] = ['0', '1', '4', '5', '9'];

/// Each line with the time at which it came, until the end.
fn collect(from: PipeReader, to: &Sender<(Duration, Value)>) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let row = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        to.send((now.expect("a time"), row)).ok();
    }
}

/// The time of day of `...THH:MM:SS.nnnnnnnnnZ`.
fn of_day(timestamp: &str) -> Option<f64> {
    let (_, time) = timestamp.strip_suffix('Z')?.split_once('T')?;
    let parts: Vec<f64> = time
        .split(':')
        .map_while(|part| part.parse().ok())
        .collect();
    match parts[..] {
        [hours, minutes, seconds] => Some(hours * 3600.0 + minutes * 60.0 + seconds),
        _ => None,
    }
}

/// Milliseconds from when a row came to be until it was read.
fn late(read: Duration, row: &Value) -> f64 {
    let day = 86_400.0;
    let at = row["timestamp"].as_str().and_then(of_day).expect("a time");
    (read.as_secs_f64() % day - at).rem_euclid(day) * 1e3
}

fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values
        .get(last * percent / 100)
        .copied()
        .unwrap_or(f64::NAN)
}

/// All programs of the half that was asked for are shown, none of the other half; and each record is counted once.
#[test]
fn of_many_short_containers_the_half_that_was_asked_for_is_shown_and_nothing_else() {
    let count = times(1000);
    let crowd = Crowd::of_crun().of_user(UID);
    let path = crowd.place().at("summary.json");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let digits: String = WANTED.iter().collect();
    let mut running = Ig::run(bundle("trace_exec"))
        .args(&["-c", &format!("{}-*[{digits}]", crowd.place().name())])
        .args(&["--uid", &UID.to_string()])
        .args(&["--ignore-failed", "--fields", "timestamp,args,container"])
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .stdout(writer)
        .start();
    let (sender, rows) = channel();
    let reading = std::thread::spawn(move || collect(reader, &sender));
    running.attached(ATTACHED);

    // For some of them it stands still: then all that they do lies there before anybody knows whose it is.
    let (from, to) = (count / 2, count / 2 + (count / 10).min(24));
    crowd.run_all(0..from, 4);
    running.signal("STOP");
    crowd.run_all(from..to, 4);
    running.signal("CONT");
    crowd.run_all(to..count, 4);
    // One more that is asked for: when its end is there, so is all that came before it.
    let last = (count..).find(|number| is_wanted(&crowd.name(*number)));
    let last = last.expect("a number");
    crowd.run(last);
    let mut seen = Seen::new();
    let (mut first, mut later) = (Vec::new(), Vec::new());
    let end = vec!["/bin/echo".to_owned(), format!("in:{}", crowd.name(last))];
    let mut take = |seen: &mut Seen, (read, row): (Duration, Value)| {
        let (container, args) = parts(&row);
        let ended = args == end;
        let unheard = (from..to).any(|number| container.as_deref() == Some(&*crowd.name(number)));
        let all = seen.entry(container).or_default();
        let times = if all.is_empty() {
            &mut first
        } else {
            &mut later
        };
        if !unheard {
            times.push(late(read, &row));
        }
        all.push(args);
        ended
    };
    loop {
        let row = rows.recv_timeout(Duration::from_secs(60));
        if take(&mut seen, row.expect("the last row")) {
            break;
        }
    }
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);
    reading.join().expect("rows");
    for row in rows.try_iter() {
        take(&mut seen, row);
    }

    let summary = summary(&path);
    let records = &summary["records"]["exec"];
    let excluded = &records["excluded_before_guest"];
    println!(
        "{count} containers, {} asked for, {} of all while nobody listened: from a program's start to its row p50 {:.1} ms, p99 {:.1} ms for first ones, which \
         wait until it is known whose they are, p50 {:.1} ms, p99 {:.1} ms for later ones; {} records, left out {excluded}",
        seen.len(),
        to - from,
        percentile(&mut first, 50),
        percentile(&mut first, 99),
        percentile(&mut later, 50),
        percentile(&mut later, 99),
        records["attempted"],
    );
    let expected: Seen = (0..count)
        .chain([last])
        .map(|number| crowd.name(number))
        .filter(|name| is_wanted(name))
        .map(|name| (Some(name.clone()), life(&name)))
        .collect();
    let wrong: BTreeMap<_, _> = seen
        .iter()
        .filter(|(name, args)| expected.get(*name) != Some(*args))
        .collect();
    let missing: Vec<_> = expected
        .keys()
        .filter(|name| !seen.contains_key(*name))
        .collect();
    assert!(
        wrong.is_empty() && missing.is_empty(),
        "wrong: {wrong:#?}\nmissing: {missing:?}\n{records:#}"
    );
    assert_sums(&summary);
    let rows: u64 = expected.values().map(|args| args.len() as u64).sum();
    assert_eq!(records["accepted"], rows, "{records:#}");
    assert_eq!(sum(&excluded["selection"]), sum(excluded), "{records:#}");
    assert!(
        sum(&excluded["selection"]) <= 3 * u64::from(count) + 3 - rows,
        "{records:#}"
    );
    assert_eq!(sum(&excluded["undecided"]), 0, "{records:#}");
    assert_eq!(sum(&records["undecided_at_exit"]), 0, "{records:#}");
}

fn is_wanted(name: &str) -> bool {
    name.ends_with(WANTED)
}

/// The programs of one container.
fn life(name: &str) -> Vec<Vec<String>> {
    let told = format!("in:{name}");
    let programs = [
        &["sh", "-c", LIFE, &told][..],
        &["sleep", "0.05"],
        &["/bin/echo", &told],
    ];
    let owned = |args: &&[&str]| args.iter().map(|arg| (*arg).to_owned()).collect();
    programs.iter().map(owned).collect()
}
