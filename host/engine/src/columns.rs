//! Columns of tables whose manifest declares none: every field of the record is one.

use crate::join;
use crate::options::RunError;
use ig_bundle::Bundle;
use ig_bundle::manifest::{ColumnSource, ResolvedSource, ResolvedTable};
use ig_records::decode::default_columns;
use ig_table::{Column, Table};

/// Gives a table without columns one for each field of its source's struct.
pub(crate) fn complete(table: &mut ResolvedTable, sources: &[ResolvedSource]) {
    let Some((index, source)) = table.source.and_then(|s| Some((s, sources.get(s)?))) else {
        return;
    };
    if !table.table.columns.is_empty() {
        return;
    }
    for column in default_columns(&source.layout) {
        table.table.columns.push(Column {
            name: column.name,
            description: format!("The field {} of struct {}", column.path, source.layout.name),
            data_type: column.data_type,
            kind: column.kind,
            width: column.width,
            hidden: column.hidden,
            alias: None,
        });
        table.columns.push(ColumnSource::Field {
            source: index,
            path: column.path,
        });
        table.enables.push(None);
    }
}

/// The tables of a bundle with all of their columns, also those that the host joins.
///
/// # Errors
/// The object can't be read, or is not what the manifest says.
pub fn tables(bundle: &Bundle) -> Result<Vec<Table>, RunError> {
    let refused = |e: &dyn std::fmt::Display| RunError::Refused(e.to_string());
    let object = bundle.object().map_err(|e| refused(&e))?;
    let resolved = bundle.resolve(&object).map_err(|e| refused(&e))?;
    let complete = |mut table: ResolvedTable| {
        complete(&mut table, &resolved.sources);
        join::append(&mut table, &resolved.sources);
        table.table
    };
    Ok(resolved.tables.into_iter().map(complete).collect())
}

#[cfg(test)]
mod tests {
    use ig_bundle::manifest::column_type;
    use ig_object::btf::{Element, Field, FieldType, Layout, Variant};
    use ig_records::decode::{Decoder, FieldSpec};
    use ig_table::{DataType, Kind};

    fn field(name: &str, bytes: u32, size: u32, ty: FieldType) -> Field {
        Field {
            name: name.to_owned(),
            bit_offset: bytes * 8,
            bit_size: None,
            size,
            ty,
            typedefs: Vec::new(),
        }
    }

    fn array(size: u32, ty: FieldType, len: u32) -> (u32, FieldType) {
        let element = Element {
            size,
            ty,
            typedefs: Vec::new(),
        };
        let element = Box::new(element);
        (size * len, FieldType::Array { element, len })
    }

    fn structure(name: &str, size: u32, fields: Vec<Field>) -> FieldType {
        FieldType::Struct(Layout {
            name: name.to_owned(),
            size,
            fields,
        })
    }

    /// Every type that a field can have, each as a value, as a bitfield, and as arrays.
    fn everything() -> Layout {
        let int = |signed| FieldType::Int { signed };
        let variants = vec![Variant {
            name: "ONE".to_owned(),
            value: 1,
        }];
        let named = |signed| FieldType::Enum {
            signed,
            variants: variants.clone(),
        };
        let address = array(1, int(false), 16);
        let endpoint = vec![
            field("address", 0, 16, address.1),
            field("port", 16, 2, int(false)),
            field("version", 18, 1, int(false)),
        ];
        let anonymous = vec![field("inner", 0, 4, int(true))];
        let pair = vec![
            field("first", 0, 4, int(false)),
            field("", 4, 4, structure("", 4, anonymous)),
        ];
        let mut values = vec![
            (16, int(false)),
            (1, FieldType::Bool),
            (4, FieldType::Bool),
            (1, FieldType::Char),
            (4, FieldType::Float),
            (8, FieldType::Float),
            (16, FieldType::Float),
            (8, FieldType::Pointer),
            (0, FieldType::Unknown),
            (20, structure("endpoint", 20, endpoint)),
            (8, structure("pair", 8, pair)),
            (1, structure("byte", 1, vec![field("b", 0, 1, int(false))])),
            (0, structure("empty", 0, Vec::new())),
            (16, structure("sockaddr_in", 16, Vec::new())),
            (128, structure("sockaddr_storage", 128, Vec::new())),
        ];
        for size in [1, 2, 4, 8] {
            values.extend([false, true].map(|signed| (size, int(signed))));
            values.extend([false, true].map(|signed| (size, named(signed))));
        }
        let mut all = Vec::new();
        for (size, ty) in &values {
            all.push((*size, ty.clone(), None));
            all.extend([1, 3, 8, 64].map(|bits| (*size, ty.clone(), Some(bits))));
            let arrays = [0, 2, 4, 16].map(|len| array(*size, ty.clone(), len));
            all.extend(arrays.map(|(size, ty)| (size, ty, None)));
            let (size, ty) = array(*size, ty.clone(), 2);
            let (size, ty) = array(size, ty, 3);
            all.push((size, ty, None));
        }
        let mut fields = Vec::new();
        for (i, (size, ty, bits)) in all.into_iter().enumerate() {
            let mut field = field(&format!("f{i}"), 0, size, ty);
            field.bit_size = bits;
            // Bitfields begin anywhere; other fields do not, but BTF may say so.
            let shifts: &[u32] = if bits.is_some() || i % 7 == 0 {
                &[0, 3]
            } else {
                &[0]
            };
            for shift in shifts {
                let mut field = field.clone();
                field.name = format!("{}_{shift}", field.name);
                field.bit_offset = 64 + shift;
                fields.push(field);
            }
        }
        Layout {
            name: "everything".to_owned(),
            size: 1 << 16,
            fields,
        }
    }

    fn types() -> Vec<DataType> {
        let scalars = [
            "bool",
            "i8",
            "i16",
            "i32",
            "i64",
            "u8",
            "u16",
            "u32",
            "u64",
            "f32",
            "f64",
            "text",
            "bytes",
            "struct<first: u32, inner: i32>",
            "struct<address: bytes, port: u16>",
        ];
        let lists = scalars.map(|item| format!("list<{item}>"));
        let deeper = scalars.map(|item| format!("list<list<{item}>>"));
        let all = scalars
            .map(str::to_owned)
            .into_iter()
            .chain(lists)
            .chain(deeper);
        all.map(|text| text.parse().expect("a type")).collect()
    }

    /// The manifest is checked in a room that may not know the decoder; so both are asked here.
    #[test]
    fn a_manifest_may_ask_for_what_the_decoder_can_do() {
        let layout = everything();
        let types = types();
        let wanted: Vec<Option<&DataType>> = std::iter::once(None)
            .chain(types.iter().map(Some))
            .collect();
        let mut columns = 0;
        for field in &layout.fields {
            for wanted in &wanted {
                for kind in Kind::ALL {
                    let by_manifest = column_type(&layout, &field.name, *wanted, kind).ok();
                    let spec = FieldSpec {
                        path: field.name.clone(),
                        data_type: wanted.cloned(),
                        kind,
                    };
                    let decoder = Decoder::new(&layout, &[spec]).ok();
                    let by_decoder = decoder.and_then(|decoder| decoder.data_type(0).cloned());
                    assert_eq!(by_manifest, by_decoder, "{field:?} as {wanted:?}, {kind}");
                    columns += usize::from(by_decoder.is_some());
                    // What the manifest's check found is what a run asks the decoder for.
                    if let Some(data_type) = by_manifest {
                        let spec = FieldSpec {
                            path: field.name.clone(),
                            data_type: Some(data_type),
                            kind,
                        };
                        assert!(Decoder::new(&layout, &[spec]).is_ok(), "{field:?}, {kind}");
                    }
                }
            }
        }
        assert!(columns > 5_000, "{columns}");
    }
}
