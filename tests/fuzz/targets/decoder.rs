//! Any BTF as the layout of records, and any bytes as records: columns or an error. The input is the length of the BTF
//! (two bytes), the BTF, and records of 64 bytes.
#![no_main]

use arrow_array::Array as _;
use ig_object::btf::{Btf, Kind};
use ig_records::decode::{Decoder, DefaultColumn, FieldSpec, Picked, default_columns};
use ig_records::span;
use ig_table::DataType;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let length = usize::from(u16::from_le_bytes(*length));
    let Some((btf, records)) = rest.split_at_checked(length) else {
        return;
    };
    let Ok(btf) = Btf::parse(btf) else {
        return;
    };
    let mut whole = Vec::new();
    for record in records.chunks(64) {
        span::push(&mut whole, &[record]).expect("short records");
    }
    let picked = Picked::all(&whole).expect("framed by ourselves");
    let structs = btf
        .types()
        .filter(|(_, ty)| ty.kind() == Kind::Struct)
        .take(8);
    for (id, _) in structs {
        let Ok(layout) = btf.layout_of(id) else {
            continue;
        };
        let mut specs: Vec<FieldSpec> = default_columns(&layout)
            .iter()
            .map(DefaultColumn::spec)
            .collect();
        // Kinds and types that a manifest might ask for.
        for (at, path) in layout.paths().into_iter().take(16).enumerate() {
            let kind = ig_table::Kind::ALL[(at + records.len()) % ig_table::Kind::ALL.len()];
            specs.push(FieldSpec {
                path: path.clone(),
                data_type: None,
                kind,
            });
            specs.push(FieldSpec {
                path,
                data_type: Some(DataType::Text),
                kind,
            });
        }
        for spec in specs {
            let Ok(decoder) = Decoder::new(&layout, std::slice::from_ref(&spec)) else {
                continue;
            };
            if let Ok(array) = decoder.decode(0, &picked) {
                assert_eq!(array.len(), picked.len());
                assert_eq!(
                    Some(array.data_type()),
                    decoder.data_type(0).map(DataType::arrow).as_ref()
                );
                array.to_data().validate_full().expect("what Arrow holds");
            }
        }
    }
});
