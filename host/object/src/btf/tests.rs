use super::*;
use crate::fixture;
use proptest::prelude::*;

fn sample() -> Btf<'static> {
    Btf::parse(fixture::types(fixture::object("sample"))).unwrap()
}

fn event() -> Layout {
    sample().layout("event").unwrap()
}

#[test]
fn fields_lie_where_the_compiler_puts_them() {
    let event = event();
    assert_eq!((event.name.as_str(), event.size), ("event", 144));
    for (path, bit_offset, size) in [
        ("mntns", 0, 8),
        ("proc", 64, 48),
        ("proc.comm", 64, 16),
        ("proc.pid", 192, 4),
        ("proc.creds.uid", 224, 4),
        ("proc.creds.gid", 256, 4),
        ("proc.parent.pid", 288, 4),
        ("proc.parent.comm", 320, 16),
        ("v4", 448, 4),
        ("v6", 448, 16),
        ("either.number", 576, 4),
        ("either.real", 576, 4),
        ("color", 608, 4),
        ("wide", 640, 8),
        ("ok", 704, 1),
        ("tiny", 712, 1),
        ("ratio", 768, 8),
        ("ports", 832, 8),
        ("address", 896, 8),
        ("both", 960, 16),
        ("total", 1088, 8),
        ("path", 1152, 0),
    ] {
        let found = event.field(path).expect(path);
        assert_eq!(
            (found.bit_offset, found.field.size),
            (bit_offset, size),
            "{path}"
        );
    }
    for path in ["", ".", "proc.", "proc.no", "no", "mntns.x", "proc..pid"] {
        assert_eq!(event.field(path), None, "{path}");
    }
}

#[test]
fn bitfields_have_bits() {
    let event = event();
    let bits = |path| {
        let found = event.field(path).unwrap();
        let ty = found.field.ty.clone();
        (found.bit_offset, found.field.bit_size, ty)
    };
    let int = |signed| FieldType::Int { signed };
    assert_eq!(bits("low"), (720, Some(3), int(false)));
    assert_eq!(bits("high"), (723, Some(13), int(false)));
    assert_eq!(bits("negative"), (736, Some(5), int(true)));
    assert_eq!(bits("total"), (1088, None, int(true)));
}

#[test]
fn fields_hold_what_they_were_declared_with() {
    let event = event();
    let field = |path| event.field(path).unwrap().field;
    assert_eq!(
        field("mntns").typedefs,
        ["outer_id", "gadget_mntns_id", "__u64"]
    );
    assert_eq!(field("mntns").ty, FieldType::Int { signed: false });
    assert_eq!(field("ok").ty, FieldType::Bool);
    assert_eq!(field("ratio").ty, FieldType::Float);
    assert_eq!(field("address").ty, FieldType::Pointer);
    let array = |path| match &field(path).ty {
        FieldType::Array { element, len } => (element.ty.clone(), element.size, *len),
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(array("proc.comm"), (FieldType::Char, 1, 16));
    assert_eq!(array("path"), (FieldType::Char, 1, 0));
    assert_eq!(array("ports"), (FieldType::Int { signed: false }, 2, 4));
    let (creds, size, len) = array("both");
    assert_eq!((size, len), (8, 2));
    assert_eq!(creds, FieldType::Struct(sample().layout("creds").unwrap()));
    let variant = |name: &str, value| Variant {
        name: name.to_owned(),
        value,
    };
    assert_eq!(
        field("color").ty,
        FieldType::Enum {
            signed: true,
            variants: vec![variant("RED", 0), variant("GREEN", 7), variant("BLUE", -1)],
        }
    );
    assert_eq!(
        field("wide").ty,
        FieldType::Enum {
            signed: false,
            variants: vec![variant("SMALL", 1), variant("LARGE", 0x1234_5678_9abc)],
        }
    );
}

#[test]
fn a_slip_in_a_name_is_answered_with_the_nearest() {
    assert_eq!(
        sample().layout("evnt").unwrap_err().to_string(),
        "there is no struct `evnt` in the BTF: did you mean `event`?"
    );
}

#[test]
fn a_typedef_of_an_integer_is_no_struct() {
    assert!(sample().layout("outer_id").is_err());
    let id = sample().find("outer_id", Kind::Typedef).unwrap();
    assert_eq!(sample().size_of(id), Ok(8));
}

/// BTF of these types, each given by its words, without strings.
fn types(types: &[&[u32]]) -> Vec<u8> {
    let words = types.iter().flat_map(|words| words.iter());
    let bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
    crate::prepare::write_btf(&bytes, &[0])
}

const fn info(kind: Kind, vlen: u32) -> u32 {
    (kind as u32) << 24 | vlen
}

#[test]
fn circles_and_endless_sizes_are_errors() {
    let circle = types(&[
        &[0, info(Kind::Typedef, 0), 2],
        &[0, info(Kind::Const, 0), 1],
        &[0, info(Kind::Struct, 1), 4, 0, 3, 0],
        &[0, info(Kind::Array, 0), 0, 5, 5, u32::MAX],
        &[0, info(Kind::Int, 0), 4, 32],
        &[0, info(Kind::Ptr, 0), 9],
    ]);
    let btf = Btf::parse(&circle).unwrap();
    assert_eq!(btf.count(), 7);
    assert_eq!(btf.resolve(TypeId(1)), None);
    assert!(matches!(
        btf.size_of(TypeId(1)),
        Err(BtfError::Broken { id: 1, .. })
    ));
    assert!(matches!(
        btf.layout_of(TypeId(3)),
        Err(BtfError::TooDeep { .. })
    ));
    assert!(matches!(
        btf.size_of(TypeId(4)),
        Err(BtfError::Broken { .. })
    ));
    assert_eq!(btf.size_of(TypeId(6)), Ok(8));
    assert!(btf.get(TypeId(0)).is_none());
}

#[test]
fn damaged_headers_and_types_are_told_apart() {
    let whole = types(&[&[0, info(Kind::Int, 0), 4, 32]]);
    assert!(Btf::parse(&whole).is_ok());
    let with = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        Btf::parse(&bytes).unwrap_err()
    };
    for at in [0, 2, 4] {
        assert!(matches!(with(at, 7), BtfError::Header(_)), "{at}");
    }
    assert_eq!(
        with(HEADER + 7, 25),
        BtfError::UnknownKind { id: 1, kind: 25 }
    );
    // A struct of one member is longer than an integer.
    let mut bytes = whole.clone();
    bytes[HEADER + 7] = Kind::Struct as u8;
    bytes[HEADER + 4] = 1;
    assert_eq!(
        Btf::parse(&bytes).unwrap_err(),
        BtfError::Truncated { id: 1, offset: 0 }
    );
    assert!(matches!(Btf::parse(&whole[..20]), Err(BtfError::Header(_))));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = fixture::types(fixture::object("sample")).to_vec();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Ok(btf) = Btf::parse(&bytes) {
            for (id, ty) in btf.types() {
                let _ = (btf.size_of(id), btf.layout_of(id), ty.members().count(), ty.variants().count());
            }
        }
    }
}
