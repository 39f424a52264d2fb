use super::*;
use crate::btf::Btf;
use crate::{PrepareOptions, fixture, prepare};
use aya_obj::btf::{Btf as LoaderBtf, BtfKind};
use proptest::prelude::*;

fn kernel() -> Vec<u8> {
    std::fs::read("/sys/kernel/btf/vmlinux").expect("a kernel with BTF")
}

fn needed(name: &'static str) -> Needed {
    Needed::of(&Object::parse(fixture::object(name)).unwrap())
}

fn loader_btf(bytes: &[u8]) -> LoaderBtf {
    LoaderBtf::parse(bytes, Default::default()).unwrap()
}

#[test]
fn an_object_says_what_it_needs() {
    let mut expected = Needed::default();
    for (kind, name) in [
        (Kind::Struct, "task_struct"),
        (Kind::Struct, "no_such_struct"),
        (Kind::Struct, "work_struct"),
        (Kind::Enum, "pid_type"),
        (Kind::Typedef, "work_func_t"),
        (Kind::Typedef, "no_such_function_t"),
        (Kind::Typedef, "btf_trace_sched_process_fork"),
        (Kind::Func, "do_exit"),
    ] {
        expected.add(kind, name);
    }
    assert_eq!(needed("kernel"), expected);
    assert!(!expected.is_empty() && Needed::default().is_empty());
}

#[test]
fn needed_types_keep_their_ids_and_layouts() {
    let full = kernel();
    let slim = slim(&full, &needed("kernel")).unwrap();
    assert!(slim.len() < full.len() / 3, "{} bytes", slim.len());
    let (full_types, slim_types) = (Btf::parse(&full).unwrap(), Btf::parse(&slim).unwrap());
    let (full_loader, slim_loader) = (loader_btf(&full), loader_btf(&slim));
    for (name, kind, loader_kind) in [
        ("task_struct", Kind::Struct, BtfKind::Struct),
        ("work_struct", Kind::Struct, BtfKind::Struct),
        ("pid_type", Kind::Enum, BtfKind::Enum),
        ("work_func_t", Kind::Typedef, BtfKind::Typedef),
        (
            "btf_trace_sched_process_fork",
            Kind::Typedef,
            BtfKind::Typedef,
        ),
        ("do_exit", Kind::Func, BtfKind::Func),
        // By value in a needed one.
        ("list_head", Kind::Struct, BtfKind::Struct),
    ] {
        let id = full_types.find(name, kind).expect(name);
        assert_eq!(slim_types.find(name, kind), Some(id), "{name}");
        let loaders = slim_loader.id_by_type_name_kind(name, loader_kind);
        assert_eq!(loaders.unwrap(), id.0, "{name}");
        let loaders = full_loader.id_by_type_name_kind(name, loader_kind);
        assert_eq!(loaders.unwrap(), id.0, "{name}");
        let (full_type, slim_type) = (full_types.get(id).unwrap(), slim_types.get(id).unwrap());
        assert_eq!(slim_type.size(), full_type.size(), "{name}");
        assert!(slim_type.variants().eq(full_type.variants()), "{name}");
        if kind == Kind::Struct {
            let layout = full_types.layout_of(id).unwrap();
            assert!(!layout.fields.is_empty());
            assert_eq!(slim_types.layout_of(id).unwrap(), layout, "{name}");
        }
    }
    assert_eq!(slim_types.find("no_such_struct", Kind::Struct), None);
    assert_eq!(slim_types.find("net_device", Kind::Struct), None);
}

#[test]
fn the_loader_adapts_programs_to_the_same_instructions() {
    let full = kernel();
    for name in ["kernel", "sample"] {
        let prepared = prepare(fixture::object(name), &PrepareOptions::default()).unwrap();
        let instructions = |btf: &[u8]| {
            let mut object = aya_obj::Object::parse(&prepared.bytes).unwrap();
            object.relocate_btf(&loader_btf(btf)).map_err(|_| ())?;
            let functions = object.functions.values();
            let text = functions.map(|f| format!("{} {:?}", f.name, f.instructions));
            Ok::<_, ()>(text.collect::<Vec<_>>())
        };
        let slim = slim(&full, &needed(name)).unwrap();
        let adapted = instructions(&full).expect(name);
        assert_eq!(instructions(&slim).expect(name), adapted, "{name}");
        let nothing = super::slim(&full, &Needed::default()).unwrap();
        assert_ne!(instructions(&nothing), Ok(adapted), "{name}");
    }
}

#[test]
fn nothing_needed_is_no_types() {
    let bytes = slim(&kernel(), &Needed::default()).unwrap();
    assert_eq!(bytes.len(), btf::HEADER + 1);
    loader_btf(&bytes);
}

#[test]
fn other_types_are_placeholders_up_to_the_last_needed() {
    let full = fixture::types(fixture::object("sample"));
    let mut needed = Needed::default();
    needed.add(Kind::Struct, "creds");
    let slim = slim(full, &needed).unwrap();
    let (full, slim) = (Btf::parse(full).unwrap(), Btf::parse(&slim).unwrap());
    let id = full.find("creds", Kind::Struct).unwrap();
    assert_eq!(slim.layout_of(id), full.layout_of(id));
    let kept: Vec<_> = slim
        .types()
        .filter(|(_, ty)| ty.kind() != Kind::Fwd)
        .map(|(_, ty)| ty.name())
        .collect();
    let mut sorted = kept.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["__u32", "creds", "unsigned int"]);
    assert!(
        slim.types()
            .all(|(_, ty)| ty.kind() != Kind::Fwd || ty.name().is_empty())
    );
    assert!(
        slim.count() <= full.count()
            && slim.get(TypeId(slim.count() - 1)).unwrap().kind() != Kind::Fwd
    );
}

#[test]
fn flavors_of_the_kernel_are_kept_too() {
    let full = fixture::types(fixture::object("kernel"));
    let mut needed = Needed::default();
    needed.add(Kind::Struct, "task_struct");
    let slim = slim(full, &needed).unwrap();
    let (full, slim) = (Btf::parse(full).unwrap(), Btf::parse(&slim).unwrap());
    for name in ["task_struct___here", "task_struct___older"] {
        assert!(full.find(name, Kind::Struct).is_some());
        assert_eq!(slim.find(name, Kind::Struct), full.find(name, Kind::Struct));
    }
    assert_eq!(slim.find("work_struct", Kind::Struct), None);
}

#[test]
fn damage_is_said() {
    let full = fixture::types(fixture::object("sample"));
    let mut needed = Needed::default();
    needed.add(Kind::Struct, "creds");
    assert!(matches!(
        slim(&full[..30], &needed),
        Err(BtfError::Header(_))
    ));
    let btf = Btf::parse(full).unwrap();
    let id = btf.find("creds", Kind::Struct).unwrap();
    let member = btf.get(id).unwrap().members().next().unwrap().ty.0;
    // The words of the first member: its name, its type, its offset.
    let at = full.windows(8).position(|w| {
        w[..4] != [0; 4] && w[4..] == member.to_le_bytes() && {
            let name = u32::from_le_bytes([w[0], w[1], w[2], w[3]]);
            btf.string(name) == Some("uid")
        }
    });
    let at = at.unwrap();
    for (place, value) in [(at + 4, 0xffff_u32), (at, 0xffff_ffff)] {
        let mut broken = full.to_vec();
        broken[place..place + 4].copy_from_slice(&value.to_le_bytes());
        let error = slim(&broken, &needed).unwrap_err();
        assert!(matches!(error, BtfError::Broken { .. }), "{error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_give_btf_that_can_be_read_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        length in any::<prop::sample::Index>(), cut in any::<bool>(),
    ) {
        let mut bytes = fixture::types(fixture::object("kernel")).to_vec();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        if let Ok(slim) = slim(&bytes, &needed("kernel")) {
            prop_assert!(Btf::parse(&slim).is_ok());
        }
    }
}
