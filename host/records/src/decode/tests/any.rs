//! Whatever a BTF says about a record, and whatever is in it: columns or an error, and never a panic.

use super::*;
use ig_object::btf::Variant;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-d]",
        1 => Just(String::new()),
        1 => Just("port".to_owned()),
        1 => Just("version".to_owned()),
        1 => Just("_raw".to_owned()),
        1 => Just("a_raw".to_owned()),
    ]
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 0_u32..40, 2 => Just(16), 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

fn scalar() -> impl Strategy<Value = FieldType> {
    let variants = prop::collection::vec(
        (name(), any::<i64>()).prop_map(|(name, value)| Variant { name, value }),
        0..4,
    );
    prop_oneof![
        4 => any::<bool>().prop_map(|signed| FieldType::Int { signed }),
        1 => Just(FieldType::Bool),
        2 => Just(FieldType::Char),
        1 => Just(FieldType::Float),
        1 => Just(FieldType::Pointer),
        1 => Just(FieldType::Unknown),
        1 => (any::<bool>(), variants)
            .prop_map(|(signed, variants)| FieldType::Enum { signed, variants }),
    ]
}

fn typedefs() -> impl Strategy<Value = Vec<String>> {
    let typedef = prop_oneof![
        Just("__be16"),
        Just("__be32"),
        Just("gadget_errno"),
        Just("gadget_timestamp"),
        Just("dev_t"),
    ];
    prop::collection::vec(typedef.prop_map(str::to_owned), 0..2)
}

fn any_field(ty: impl Strategy<Value = FieldType>) -> impl Strategy<Value = Field> {
    let size = prop_oneof![4 => prop::sample::select(vec![1, 2, 4, 8, 16]), 1 => number()];
    let offset = prop_oneof![4 => (0_u32..12).prop_map(|at| at * 32), 1 => number()];
    let bits = prop_oneof![5 => Just(None), 1 => number().prop_map(Some)];
    (name(), offset, bits, size, ty, typedefs()).prop_map(
        |(name, bit_offset, bit_size, size, ty, typedefs)| Field {
            name,
            bit_offset,
            bit_size,
            size,
            ty,
            typedefs,
        },
    )
}

fn any_layout() -> impl Strategy<Value = Layout> {
    let ty = scalar().prop_recursive(3, 24, 4, |inner| {
        let element = (
            prop_oneof![3 => 0_u32..9, 1 => number()],
            inner.clone(),
            typedefs(),
        );
        let fields = prop::collection::vec(any_field(inner), 0..4);
        let nested = (name(), number(), fields).prop_map(|(name, size, fields)| Layout {
            name,
            size,
            fields,
        });
        prop_oneof![
            (element, number()).prop_map(|((size, ty, typedefs), len)| FieldType::Array {
                element: Box::new(Element { size, ty, typedefs }),
                len,
            }),
            (nested, any::<bool>()).prop_map(|(nested, union)| if union {
                FieldType::Union(nested)
            } else {
                FieldType::Struct(nested)
            }),
        ]
    });
    let fields = prop::collection::vec(any_field(ty), 0..6);
    (number(), fields).prop_map(|(size, fields)| layout("any", size, fields))
}

fn any_type() -> impl Strategy<Value = Option<DataType>> {
    let texts = [
        "bool",
        "i8",
        "u16",
        "i32",
        "u32",
        "u64",
        "f64",
        "text",
        "bytes",
        "list<u8>",
        "list<text>",
        "list<bool>",
        "struct<address: bytes, port: u16>",
    ];
    let known = prop::sample::select(texts.map(|text| text.parse().unwrap()).to_vec());
    prop::option::of(known)
}

/// All columns of all records are arrays of the right type and length, or an error.
fn decode_all(decoder: &Decoder, span: &[u8]) -> Result<(), TestCaseError> {
    let picked = Picked::all(span).unwrap();
    for column in 0..decoder.len() {
        if let Ok(array) = decoder.decode(column, &picked) {
            prop_assert_eq!(array.len(), picked.len());
            let wanted = decoder.data_type(column).map(DataType::arrow);
            prop_assert_eq!(Some(array.data_type()), wanted.as_ref());
            prop_assert!(array.to_data().validate_full().is_ok());
        }
    }
    Ok(())
}

fn records() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0_u8), Just(4), Just(6), any::<u8>()];
    prop::collection::vec(prop::collection::vec(byte, 0..80), 0..5).prop_map(|records| {
        let mut span = Vec::new();
        for record in records {
            span::push(&mut span, &[&record]).unwrap();
        }
        span
    })
}

proptest! {
    #[test]
    fn any_layout_and_record_give_columns_or_an_error(
        layout in any_layout(),
        ty in any_type(),
        span in records(),
    ) {
        for path in layout.paths() {
            for kind in Kind::ALL {
                for data_type in [None, ty.clone()] {
                    let spec = FieldSpec { path: path.clone(), data_type, kind };
                    if let Ok(decoder) = Decoder::new(&layout, &[spec]) {
                        decode_all(&decoder, &span)?;
                    }
                }
            }
        }
    }

    #[test]
    fn any_layout_has_default_columns(layout in any_layout(), span in records()) {
        let columns = default_columns(&layout);
        let mut names: Vec<_> = columns.iter().map(|column| &column.name).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), columns.len());
        let specs: Vec<_> = columns.iter().map(DefaultColumn::spec).collect();
        // What is given as a default can be decoded.
        let decoder = Decoder::new(&layout, &specs);
        prop_assert!(decoder.is_ok(), "{:?}", decoder);
        decode_all(&decoder.unwrap(), &span)?;
    }
}
