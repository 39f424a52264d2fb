//! Rows, generated from the manifest's tables: a class a table, with one method that takes the columns that the guest
//! computes.

use super::names::{class_name, document, identifier, literal};
use crate::build::generate::naming::Taken;
use crate::manifest::{Manifest, Table};
use ig_table::DataType;
use std::fmt::Write as _;

/// A column that the guest computes.
struct Column<'m> {
    index: usize,
    name: &'m str,
    description: &'m str,
    /// What the setter's argument may be.
    takes: String,
    /// An expression that builds the SDK's packer.
    packer: String,
    /// An expression that makes the argument the row's own, if it is not already.
    own: Option<String>,
}

/// The module's text. `views` gives for each source the type of its records.
pub(super) fn text(manifest: &Manifest, views: &[String]) -> String {
    let mut module = Module {
        taken: Taken::with(&["Tables", "Text", "Bytes", "Optional", "Iterable", "Table"]),
        text: String::new(),
        structs: String::new(),
    };
    let mut slots = String::new();
    let mut new = String::new();
    for (index, table) in manifest.tables.iter().enumerate() {
        let view = manifest.source_of(table).and_then(|at| views.get(at));
        let name = module.table(index, table, view.map(String::as_str));
        let field = identifier(&table.name);
        let _ = write!(slots, "{}, ", literal(&field));
        let _ = write!(
            new,
            "        self.{field} = {name}()\n{}",
            document(&about(table), "        ")
        );
    }
    let Module { text, structs, .. } = module;
    let structs = match structs.as_str() {
        "" => String::new(),
        text => format!("\n\n{}", text.trim_start_matches('\n')),
    };
    let dataclass = if structs.is_empty() {
        ""
    } else {
        "from dataclasses import dataclass as _dataclass\n"
    };
    format!(
        "\"\"\"The gadget's tables. Rows are handed to the host when a call of the gadget ends.\"\"\"

from __future__ import annotations

{dataclass}from typing import Iterable, Optional

from gadget_sdk import column as _column
from gadget_sdk.column import Bytes, Text
from gadget_sdk.table import MOST_ROWS as _MOST_ROWS
from gadget_sdk.table import Table

from . import records as _records

__all__ = [\"Bytes\", \"Table\", \"Tables\", \"Text\"]
{structs}{text}

class Tables:
    \"\"\"The gadget's tables.\"\"\"

    __slots__ = ({slots})

    def __init__(self) -> None:
{new}",
        slots = slots.trim_end(),
    )
}

/// A table's description, or what can be said without one.
fn about(table: &Table) -> String {
    match table.description.as_str() {
        "" => format!("The table `{}`.", table.name),
        text => text.to_owned(),
    }
}

struct Module {
    taken: Taken,
    text: String,
    structs: String,
}

/// How a type is taken, packed, and made the row's own.
struct Taking {
    takes: String,
    packer: String,
    own: Option<String>,
}

impl Module {
    fn table(&mut self, index: usize, table: &Table, view: Option<&str>) -> String {
        let name = self.taken.unique(&class_name(&table.name));
        let mut columns = Vec::new();
        for (index, column) in table.columns.iter().enumerate() {
            if let (None, Some(data_type)) = (&column.field, &column.data_type) {
                let wish = format!("{}_{}", table.name, column.name);
                let argument = identifier(&column.name);
                let Taking { takes, packer, own } = self.taking(data_type, &argument, &wish, 0);
                let (name, description) = (column.name.as_str(), column.description.as_str());
                columns.push(Column {
                    index,
                    name,
                    description,
                    takes,
                    packer,
                    own,
                });
            }
        }
        // The argument's own name, whatever the columns are called.
        let mut arguments = Taken::default();
        for column in &columns {
            arguments.unique(&identifier(column.name));
        }
        let record = arguments.unique("record");
        let (argument, from, check, origin) = match view {
            Some(view) => (
                format!("self, {record}: _records.{view}, /"),
                format!(
                    "A row that comes from `{record}`, whose fields the host shows in the columns that it decodes."
                ),
                format!(
                    "        if {record}._span is not self._span:\n            self._stale()\n"
                ),
                format!("        self._origin.append({record}._origin)\n"),
            ),
            None => (
                "self, /".to_owned(),
                "A row that comes from no record.".to_owned(),
                String::new(),
                String::new(),
            ),
        };
        let mut packers = String::new();
        let mut signature = String::new();
        let mut documents = String::new();
        let mut owned = String::new();
        let mut appends = String::new();
        let mut wants = String::new();
        for (at, column) in columns.iter().enumerate() {
            let argument = identifier(column.name);
            let Column {
                index,
                name,
                description,
                takes,
                packer,
                own,
            } = column;
            let _ = writeln!(
                packers,
                "                ({index}, {}, {packer}),",
                literal(name)
            );
            let _ = write!(signature, "\n        {argument}: Optional[{takes}] = None,");
            let colon = if description.is_empty() { "" } else { ": " };
            let _ = write!(documents, "\n\n`{argument}`{colon}{description}");
            // Whatever can fail is done before the first append: columns stay of one length.
            let value = match own {
                Some(own) => {
                    let _ = writeln!(
                        owned,
                        "        _{argument} = None if {argument} is None or not _wants[{at}] else {own}"
                    );
                    format!("_{argument}")
                }
                None => argument,
            };
            let _ = write!(
                appends,
                "        if _wants[{at}]:\n            _values[{at}].append({value})\n"
            );
            let _ = write!(
                wants,
                "
    @property
    def wants_{name}(self) -> bool:
        \"\"\"Whether anybody needs the column `{name}` in this call; when not, computing it can be saved.\"\"\"
        if not self._asked:
            self._ask()
        return self._wants[{at}]
",
            );
        }
        if !columns.is_empty() {
            signature = format!(", *,{signature}\n    ");
            documents = format!(
                "\n\nA column that is not set is null. What nobody needs is not kept.{documents}"
            );
            packers = format!("\n{packers}            ");
            appends = format!("        _values = self._values\n{appends}");
            owned = format!(
                "        if not self._asked:\n            self._ask()\n        _wants = self._wants\n{owned}"
            );
        }
        let about_row = document(&format!("{from}{documents}"), "        ");
        let about = document(&about(table), "    ");
        let table_name = literal(&table.name);
        let _ = write!(
            self.text,
            "

class {name}(Table):
{about}
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(
            {index},
            {table_name},
            [{packers}],
        )

    def row({argument}{signature}) -> None:
{about_row}{check}        if self._rows >= _MOST_ROWS:
            self._flush()
{owned}        self._rows += 1
{origin}{appends}{wants}"
        );
        name
    }

    /// How values of this type are taken; `value` is an expression of one that is not `None`.
    fn taking(&mut self, data_type: &DataType, value: &str, wish: &str, depth: u32) -> Taking {
        match data_type {
            DataType::Bool => Taking {
                takes: "bool".to_owned(),
                packer: "_column.Bools()".to_owned(),
                own: None,
            },
            DataType::Text => Taking {
                takes: "Text".to_owned(),
                packer: "_column.Texts()".to_owned(),
                own: None,
            },
            DataType::Bytes => Taking {
                takes: "Bytes".to_owned(),
                packer: "_column.Texts()".to_owned(),
                own: None,
            },
            DataType::List(item) => {
                let each = format!("_{depth}");
                let Taking { takes, packer, own } =
                    self.taking(item, &each, &format!("{wish}_item"), depth + 1);
                let own = match own {
                    None => format!("[*{value}]"),
                    Some(own) => {
                        format!("[None if {each} is None else {own} for {each} in {value}]")
                    }
                };
                Taking {
                    takes: format!("Iterable[Optional[{takes}]]"),
                    packer: format!("_column.Lists({packer})"),
                    own: Some(own),
                }
            }
            DataType::Struct(fields) => self.structure(fields, value, wish, depth),
            scalar => {
                let (takes, code) = number(scalar);
                Taking {
                    takes: takes.to_owned(),
                    packer: format!("_column.Numbers(\"{scalar}\", \"{code}\")"),
                    own: None,
                }
            }
        }
    }

    /// A struct's class.
    fn structure(
        &mut self,
        fields: &[(String, DataType)],
        value: &str,
        wish: &str,
        depth: u32,
    ) -> Taking {
        let name = self.taken.unique(&class_name(wish));
        let mut attributes = String::new();
        let mut packers = Vec::new();
        let mut parts = String::new();
        for (field, data_type) in fields {
            let attribute = identifier(field);
            let part = format!("{value}.{attribute}");
            let Taking { takes, packer, own } =
                self.taking(data_type, &part, &format!("{wish}_{field}"), depth);
            let about = document(&format!("`{field}`: {data_type}."), "    ");
            let _ = write!(
                attributes,
                "\n    {attribute}: Optional[{takes}] = None\n{about}"
            );
            packers.push(packer);
            match own {
                None => parts.push_str(&part),
                Some(own) => {
                    let _ = write!(parts, "None if {part} is None else {own}");
                }
            }
            parts.push_str(", ");
        }
        let _ = write!(
            self.structs,
            "\n\n@_dataclass\nclass {name}:\n    \"\"\"A value of a struct column; a field that is not set is null.\"\"\"\n{attributes}"
        );
        Taking {
            takes: name,
            packer: format!("_column.Structs({})", packers.join(", ")),
            own: Some(format!("({})", parts.trim_end())),
        }
    }
}

/// What a number is in Python, and its format in the module `struct`.
fn number(scalar: &DataType) -> (&'static str, char) {
    match scalar {
        DataType::I8 => ("int", 'b'),
        DataType::I16 => ("int", 'h'),
        DataType::I32 => ("int", 'i'),
        DataType::I64 => ("int", 'q'),
        DataType::U8 => ("int", 'B'),
        DataType::U16 => ("int", 'H'),
        DataType::U32 => ("int", 'I'),
        DataType::F32 => ("float", 'f'),
        DataType::F64 => ("float", 'd'),
        _ => ("int", 'Q'),
    }
}
