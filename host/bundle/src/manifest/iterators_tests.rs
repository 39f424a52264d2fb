//! Sources of iterators: their shape, and against a compiled object.

use super::*;
use crate::fixtures::compiled;
use ig_object::Object;

const TABLE: &str = "tables: [{name: rows, mode: snapshot, source: sockets}]\n";
const SOCKETS: &str = "{name: sockets, programs: [first, second], struct: entry}";
const NAMES: &str = "{name: names, programs: [third], struct: open_ended}";
const OTHERS: &str = "{name: others, programs: [fourth, missing], struct: entry}";

fn manifest(sources: &[&str], tables: &str) -> Result<Manifest, ManifestError> {
    let sources: String = sources.iter().map(|s| format!("  - {s}\n")).collect();
    let text = format!("name: g\nversion: 0.1.0\nsources:\n{sources}{tables}");
    Manifest::parse("gadget.yaml", &text)
}

fn resolve(sources: &[&str]) -> Result<Resolved, ManifestError> {
    manifest(sources, TABLE)?.resolve(&Object::parse(&compiled("iterators.bpf.c")).unwrap())
}

#[test]
fn records_come_from_a_ring_or_from_iterators() {
    let wrong = |source| manifest(&[source], TABLE).unwrap_err().to_string();
    assert_eq!(
        wrong("{name: sockets, struct: entry}"),
        "gadget.yaml:4:6: the source `sockets` needs a `map` (a ring buffer) or `programs` (iterators)"
    );
    assert_eq!(
        wrong("{name: sockets, map: events, programs: [a], struct: entry}"),
        "gadget.yaml:4:44: records come from a ring buffer or from iterators: `map` or `programs`, not both"
    );
    assert_eq!(
        wrong("{name: sockets, programs: [a, a], struct: entry}"),
        "gadget.yaml:4:35: there is a program of a source `a` already: the first is in line 4"
    );
}

#[test]
fn tables_of_iterators_have_frames() {
    let wrong = |mode: &str| {
        let table = format!("tables: [{{name: rows, source: sockets{mode}}}]\n");
        manifest(&[SOCKETS], &table).unwrap_err().to_string()
    };
    assert_eq!(
        wrong(""),
        "gadget.yaml:5:11: the table `rows` shows what iterators find: its mode is `snapshot` (once) or `interval` (again and again), not `stream`"
    );
    assert_eq!(
        wrong(", mode: final"),
        "gadget.yaml:5:46: the table `rows` shows what iterators find: its mode is `snapshot` (once) or `interval` (again and again), not `final`"
    );
    // Nobody has to say when they are complete.
    let manifest = manifest(&[SOCKETS], TABLE).unwrap();
    assert!(manifest.sources[0].is_iterator());
    manifest.check_without_guest().unwrap();
}

#[test]
fn sources_of_iterators_go_both_ways() {
    let error = |sources: &[&str]| resolve(sources).unwrap_err().to_string();
    assert_eq!(
        error(&[SOCKETS, NAMES, OTHERS]),
        "gadget.yaml:5:46: `struct open_ended` has no fixed size, and what an iterator writes is cut by it\n\
         gadget.yaml:6:31: the program `fourth` is in section \"tp_btf/sys_enter\", and an iterator's is \"iter/...\"\n\
         gadget.yaml:6:39: the eBPF side has no program `missing`"
    );
    let sockets = SOCKETS.replace("first, second", "second, first");
    assert_eq!(
        error(&[&sockets]),
        "gadget.yaml:4:3: the eBPF side has GADGET_ITER(names, open_ended, third), but `sources` has no `{name: names, programs: [third], struct: open_ended}`\n\
         gadget.yaml:4:3: the eBPF side has GADGET_ITER(others, entry, fourth, missing), but `sources` has no `{name: others, programs: [fourth, missing], struct: entry}`\n\
         gadget.yaml:4:31: `second, first` here, but GADGET_ITER(sockets, entry, first, second)"
    );
    let sockets = SOCKETS.replace("name: sockets", "name: socket");
    let told = manifest(&[&sockets], &TABLE.replace("sockets", "socket")).unwrap();
    let object = compiled("iterators.bpf.c");
    let told = told.resolve(&Object::parse(&object).unwrap()).unwrap_err();
    let line =
        "gadget.yaml:4:12: the eBPF side has no GADGET_ITER(socket, ...): did you mean `sockets`?";
    assert!(told.to_string().lines().any(|l| l == line), "{told}");
}

#[test]
fn a_source_of_iterators_has_its_programs_in_their_order() {
    let object = compiled("iterators.bpf.c");
    let object = Object::parse(&object).unwrap();
    let places = Places::default();
    let mut problems = super::error::Problems::new(&places);
    let manifest = manifest(&[SOCKETS], TABLE).unwrap();
    let source = iterators::resolve("sources.0", &manifest.sources[0], &object, &mut problems);
    let source = source.expect("it fits");
    assert_eq!(source.iterators(), ["first", "second"]);
    assert_eq!((source.ring(), source.layout.size), (None, 8));
}
