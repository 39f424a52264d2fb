//! The header `gadget.h`, which C guests are written with, and the rest of the guest around them.

mod maps;
mod names;
mod records;
mod tables;
mod unit;

use super::naming::Taken;
use super::{GenerateError, Generated, check_columns, layouts, sdk};
use crate::build::embedded;
use crate::manifest::Manifest;
use ig_object::Object;
use records::Records;

/// The header, the unit and the SDK, below `c`.
///
/// # Errors
///
/// A source's struct is not in the object's BTF, or a table has too many columns.
pub fn c(manifest: &Manifest, object: &Object<'_>) -> Result<Vec<Generated>, GenerateError> {
    check_columns(manifest)?;
    let mut taken = Taken::default();
    for name in embedded::C_SDK
        .iter()
        .flat_map(|file| names::of_sdk(file.text))
    {
        taken.take(name);
    }
    let mut records = Records::new(taken);
    let layouts = layouts(manifest, object)?;
    let structs: Vec<String> = layouts.iter().map(|layout| records.whole(layout)).collect();
    let tables = tables::tables(manifest, &structs, &mut records);
    let maps = maps::text(manifest, object, &mut records);
    let files = [
        (
            "gadget.h",
            unit::header(manifest, &structs, &records, &tables, &maps),
        ),
        ("unit.c", unit::unit(manifest, &structs, &tables)),
    ];
    let generated = files.into_iter().map(|(name, text)| Generated {
        path: format!("c/{name}"),
        text,
    });
    Ok(generated.chain(sdk("c", embedded::C_SDK)).collect())
}
