use super::*;
use crate::fixture;
use crate::slim::{Needed, slim};
use aya_obj::btf::Btf as LoaderBtf;
use proptest::prelude::*;

fn everything(name: &'static str) -> Prepared {
    prepare(fixture::object(name), &PrepareOptions::default()).unwrap()
}

fn loaded(bytes: &[u8]) -> aya_obj::Object {
    aya_obj::Object::parse(bytes).unwrap()
}

fn names(object: &aya_obj::Object) -> BTreeSet<&str> {
    object.programs.keys().map(String::as_str).collect()
}

#[test]
fn the_loader_takes_what_it_refused() {
    for name in ["awkward", "sample"] {
        let bytes = AlignedBytes::new(fixture::object(name));
        assert!(aya_obj::Object::parse(&bytes).is_err(), "{name}");
    }
    let sample = everything("sample");
    let expected = ["enter_execve", "on_fork", "on_malloc"];
    assert_eq!(names(&loaded(&sample.bytes)), expected.into());
    let awkward = everything("awkward");
    let object = loaded(&awkward.bytes);
    let expected = [
        "called", "plain", "optional", "flexible", "nested", "stays", "goes",
    ];
    assert_eq!(names(&object), expected.into());
    assert_eq!(object.maps["calls"].value_size(), 4);
    assert_eq!(object.maps["calls"].max_entries(), 4);
    assert_eq!(object.license.to_str(), Ok("GPL"));
}

#[test]
fn says_what_was_changed() {
    let renamed = |from: &str, to: &str| Note::Renamed {
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let flexible = |name: &str, access: &str| Note::FlexibleArray {
        struct_name: name.to_owned(),
        access: access.to_owned(),
    };
    let expected = [
        renamed("socket1", "socket/socket1"),
        renamed("?tracepoint/a/b", "tracepoint/a/b/2"),
        Note::LeftOut {
            section: "usdt/libc:setjmp".to_owned(),
            programs: vec!["unknown".to_owned()],
            reason: "the loader does not know this kind of section",
        },
        Note::HiddenValues {
            map: "calls".to_owned(),
        },
        flexible("holder", "0:1:5:1"),
        flexible("outer", "0:1:1:1:0"),
    ];
    assert_eq!(everything("awkward").notes, expected);
    assert_eq!(
        everything("awkward").notes[1].to_string(),
        "section `?tracepoint/a/b` is loaded as `tracepoint/a/b/2`"
    );
}

#[test]
fn the_host_learns_what_goes_into_maps() {
    let value = |map: &str, slot, target: &str| MapValue {
        map: map.to_owned(),
        slot,
        target: target.to_owned(),
    };
    let expected = [
        value("calls", 2, "called"),
        value("maps", 0, "one"),
        value("maps", 1, "two"),
    ];
    assert_eq!(everything("awkward").values, expected);
    assert_eq!(everything("sample").values, []);
}

/// `r = value`, as offsets of fields are put into registers.
const SET: u8 = 0xb7;

#[test]
fn accesses_behind_flexible_arrays_are_adapted() {
    let kernel = fixture::types(fixture::object("newer"));
    let kernel = LoaderBtf::parse(kernel, Default::default()).unwrap();
    let prepared = everything("awkward");
    let mut object = loaded(&prepared.bytes);
    object.relocate_btf(&kernel).unwrap();
    for (name, offset) in [("flexible", 16 + 5 * 8), ("nested", 16 + 16 + 8 + 4)] {
        let function = object.functions.values().find(|f| f.name == name).unwrap();
        let set = function.instructions.iter().filter(|i| i.code == SET);
        let offsets: Vec<_> = set.map(|instruction| instruction.imm).collect();
        assert_eq!(offsets, [offset], "{name}");
    }
}

#[test]
fn programs_that_are_not_wanted_are_gone() {
    let bytes = fixture::object("awkward");
    let drop = ["plain", "goes", "no such program"];
    let prepared = prepare(bytes, &PrepareOptions { drop: &drop }).unwrap();
    let left_out = |section: &str, program: &str| Note::LeftOut {
        section: section.to_owned(),
        programs: vec![program.to_owned()],
        reason: "not wanted",
    };
    assert!(
        prepared
            .notes
            .contains(&left_out("tracepoint/a/b", "plain"))
    );
    assert!(prepared.notes.contains(&left_out("raw_tp/shared", "goes")));
    let programs = loaded(&prepared.bytes);
    let programs = names(&programs);
    assert!(!programs.contains("plain") && programs.contains("stays"));
    let shared = |bytes: &[u8]| {
        let object = Object::parse(bytes).unwrap();
        let relocations = object.core_relocations().iter();
        let shared = relocations.filter(|r| r.section == "raw_tp/shared");
        shared.map(|r| r.access.to_owned()).collect::<Vec<_>>()
    };
    // The number of `holder` stays, `b` of `slot` goes.
    assert_eq!(shared(bytes), ["0:0", "0:1"]);
    assert_eq!(shared(&prepared.bytes), ["0:0"]);
    // Nothing asks for it, nothing looks it up.
    let needed = Needed::of(&Object::parse(&prepared.bytes).unwrap());
    let slim = slim(fixture::types(bytes), &needed).unwrap();
    let slim = LoaderBtf::parse(&slim, Default::default()).unwrap();
    loaded(&prepared.bytes).relocate_btf(&slim).unwrap();
}

#[test]
fn what_was_prepared_stays_the_same_object() {
    let bytes = fixture::object("sample");
    let prepared = everything("sample");
    let (before, after) = (
        Object::parse(bytes).unwrap(),
        Object::parse(&prepared.bytes).unwrap(),
    );
    assert_eq!(after.maps(), before.maps());
    assert_eq!(after.variables(), before.variables());
    assert_eq!(after.tracers(), before.tracers());
    assert_eq!(after.btf().layout("event"), before.btf().layout("event"));
    let again = prepare(&prepared.bytes, &PrepareOptions::default()).unwrap();
    assert_eq!(again.notes, []);
    assert_eq!(again.values, prepared.values);
}

#[test]
fn bytes_lie_at_a_multiple_of_eight() {
    for length in 0..20 {
        let bytes: Vec<u8> = (1..=length).collect();
        let aligned = AlignedBytes::new(&bytes);
        assert_eq!(*aligned, bytes);
        assert!(aligned.as_ptr().cast::<u64>().is_aligned());
    }
}

#[test]
fn what_the_loader_cannot_give_is_refused() {
    let refused = |name| prepare(fixture::object(name), &PrepareOptions::default()).unwrap_err();
    assert_eq!(
        refused("kconfig"),
        ObjectError::Extern {
            name: "LINUX_KERNEL_VERSION".to_owned(),
            section: ".kconfig".to_owned(),
        }
    );
    assert_eq!(
        refused("matches"),
        ObjectError::Relocation {
            section: "raw_tp/matches".to_owned(),
            kind: 12,
        }
    );
}

proptest! {
    #[test]
    fn any_bytes_are_prepared_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in any::<prop::sample::Index>(), cut in any::<bool>(), which in 0..2_usize,
    ) {
        let mut bytes = fixture::object(["sample", "awkward"][which]).to_vec();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        if let Ok(prepared) = prepare(&bytes, &PrepareOptions { drop: &["goes"] }) {
            prop_assert!(Object::parse(&prepared.bytes).is_ok());
            let _ = aya_obj::Object::parse(&prepared.bytes);
        }
    }
}
