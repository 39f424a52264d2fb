//! Columns of tables whose manifest declares none: every field of the record is one.

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
        });
        table.columns.push(ColumnSource::Field {
            source: index,
            path: column.path,
        });
        table.enables.push(None);
    }
}

/// The tables of a bundle with all of their columns.
///
/// # Errors
/// The object can't be read, or is not what the manifest says.
pub fn tables(bundle: &Bundle) -> Result<Vec<Table>, RunError> {
    let refused = |e: &dyn std::fmt::Display| RunError::Refused(e.to_string());
    let object = bundle.object().map_err(|e| refused(&e))?;
    let resolved = bundle.resolve(&object).map_err(|e| refused(&e))?;
    let complete = |mut table: ResolvedTable| {
        complete(&mut table, &resolved.sources);
        table.table
    };
    Ok(resolved.tables.into_iter().map(complete).collect())
}
