//! Rows, generated from the manifest's tables: functions for each table and each column that the guest computes.

use super::names::{comment, identifier};
use super::records::Records;
use crate::manifest::{Manifest, Table};
use ig_table::DataType;
use std::fmt::Write as _;

/// What is generated for all tables.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// The functions, for the header.
    pub(super) header: String,
    /// What they stand on, for the unit.
    pub(super) unit: String,
    /// The names of the tables' variables.
    pub(super) names: Vec<String>,
}

/// What a value lies in.
#[derive(Clone, Copy)]
enum Parent {
    /// A row.
    Row,
    /// A list, by its node, and whether that is a column.
    List(usize, bool),
    /// A struct.
    Struct,
}

/// A table that is being written.
struct Writer<'r> {
    records: &'r mut Records,
    /// The beginning of its functions' names.
    table: String,
    /// Its variable and that of its nodes.
    variable: String,
    nodes: String,
    /// What stands in the nodes.
    initial: Vec<String>,
    buffers: usize,
    text: String,
}

/// The functions of all tables. `structs` gives for each source the struct of its records.
pub(super) fn tables(manifest: &Manifest, structs: &[String], records: &mut Records) -> Tables {
    let mut tables = Tables::default();
    for (index, table) in manifest.tables.iter().enumerate() {
        let record = manifest.source_of(table).and_then(|at| structs.get(at));
        table_of(
            index,
            table,
            record.map(String::as_str),
            records,
            &mut tables,
        );
    }
    tables
}

fn table_of(
    index: usize,
    table: &Table,
    record: Option<&str>,
    records: &mut Records,
    tables: &mut Tables,
) {
    let name = identifier(&table.name);
    let variable = records.unique(&format!("gadget__table_{name}"));
    let nodes = records.unique(&format!("gadget__nodes_{name}"));
    let mut writer = Writer {
        records,
        table: name.clone(),
        variable: variable.clone(),
        nodes: nodes.clone(),
        initial: Vec::new(),
        buffers: 0,
        text: String::new(),
    };
    writer.row(record);
    let mut indexes = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        if let (None, Some(data_type)) = (&column.field, &column.data_type) {
            let bit = indexes.len();
            indexes.push(at.to_string());
            writer.wants(bit, &column.name);
            let about = match column.description.as_str() {
                "" => format!("The column `{}`", column.name),
                text => format!("The column `{}`: {text}", column.name),
            };
            writer.value(bit, data_type, &column.name, Parent::Row, 0, &about);
        }
    }
    if table.mode.has_frames() {
        writer.end_frame();
    }
    let Writer {
        initial,
        buffers,
        text,
        ..
    } = writer;
    let about = match table.description.as_str() {
        "" => format!("The table `{}`.", table.name),
        text => format!("The table `{}`: {text}", table.name),
    };
    let _ = write!(
        tables.header,
        "\n{}extern struct gadget__table {variable};\n",
        comment(&about, "")
    );
    let (count, mut pointers) = (indexes.len(), String::new());
    if count > 0 {
        let _ = writeln!(
            tables.header,
            "extern struct gadget__node {nodes}[{}];",
            initial.len()
        );
        let _ = write!(
            tables.unit,
            "\nstruct gadget__node {nodes}[] = {{\n{}}};\n\
            static const uint16_t {nodes}_indexes[] = {{ {} }};\n\
            static struct gadget__column {nodes}_emitted[{count}];\n\
            static struct gadget__list {nodes}_buffers[{buffers}];\n",
            initial.concat(),
            indexes.join(", "),
        );
        pointers = format!(
            "\t.indexes = {nodes}_indexes,\n\t.nodes = {nodes},\n\t.emitted = {nodes}_emitted,\n\t.buffers = {nodes}_buffers,\n"
        );
    }
    let _ = write!(
        tables.unit,
        "\nstruct gadget__table {variable} = {{\n\t.index = {index},\n\t.columns = {count},\n{pointers}}};\n"
    );
    tables.header.push_str(&text);
    tables.names.push(variable);
}

/// The type in C and the function that appends a value, for a value that is one word.
fn leaf(data_type: &DataType) -> Option<(&'static str, &'static str)> {
    Some(match data_type {
        DataType::Bool => ("bool ", "bool"),
        DataType::I8 => ("int8_t ", "i8"),
        DataType::I16 => ("int16_t ", "i16"),
        DataType::I32 => ("int32_t ", "i32"),
        DataType::I64 => ("int64_t ", "i64"),
        DataType::U8 => ("uint8_t ", "u8"),
        DataType::U16 => ("uint16_t ", "u16"),
        DataType::U32 => ("uint32_t ", "u32"),
        DataType::U64 => ("uint64_t ", "u64"),
        DataType::F32 => ("float ", "f32"),
        DataType::F64 => ("double ", "f64"),
        DataType::Text | DataType::Bytes => ("struct gadget_bytes ", "bytes"),
        DataType::List(_) | DataType::Struct(_) => return None,
    })
}

fn width(data_type: &DataType) -> u8 {
    match data_type {
        DataType::Bool | DataType::I8 | DataType::U8 => 1,
        DataType::I16 | DataType::U16 => 2,
        DataType::I32 | DataType::U32 | DataType::F32 => 4,
        DataType::I64 | DataType::U64 | DataType::F64 => 8,
        _ => 0,
    }
}

impl Writer<'_> {
    /// A function of the table.
    fn function(&mut self, about: &str, answer: &str, name: &str, takes: &str, body: &str) {
        let name = self.records.unique(&format!("{}_{name}", self.table));
        let _ = write!(
            self.text,
            "\n{}static inline {answer} {name}({takes})\n{{\n{body}}}\n",
            comment(about, "")
        );
    }

    /// A function that does nothing when nobody needs column `bit`, or there is no row.
    fn guarded(&mut self, bit: usize, about: &str, name: &str, takes: &str, body: &str) {
        let body = format!(
            "\tif (!({}.open & UINT64_C({:#x})))\n\t\treturn;\n{body}",
            self.variable,
            1_u64 << bit
        );
        self.function(about, "void", name, takes, &body);
    }

    fn row(&mut self, record: Option<&str>) {
        let variable = self.variable.clone();
        match record {
            Some(record) => self.function(
                "Begins a row that comes from `record`, whose fields the host shows in the columns that it decodes.",
                "void",
                "row",
                &format!("const struct {record} *record"),
                &format!("\tgadget__row_from(&{variable}, record);\n"),
            ),
            None => self.function(
                "Begins a row that comes from no record.",
                "void",
                "row",
                "void",
                &format!("\tgadget__row(&{variable});\n"),
            ),
        }
    }

    fn end_frame(&mut self) {
        let body = format!("\tgadget__end_frame(&{});\n", self.variable);
        self.function(
            "Ends the frame: the rows so far are one whole picture, also when there are none. Without it a frame ends with the call, if it has rows.",
            "void",
            "end_frame",
            "void",
            &body,
        );
    }

    fn wants(&mut self, bit: usize, column: &str) {
        let body = format!(
            "\treturn gadget__wanted(&{}) >> {bit} & 1;\n",
            self.variable
        );
        self.function(
            &format!(
                "Whether anybody needs the column `{column}` in this call; when not, computing it can be saved."
            ),
            "bool",
            &format!("wants_{column}"),
            "void",
            &body,
        );
    }

    /// The functions for a value and what lies in it. `up` is how far in front the node of what it lies in is.
    fn value(
        &mut self,
        bit: usize,
        data_type: &DataType,
        path: &str,
        parent: Parent,
        up: usize,
        about: &str,
    ) {
        let at = self.initial.len();
        let node = format!("&{}[{at}]", self.nodes);
        let variable = self.variable.clone();
        self.initial.push(String::new());
        let open = match parent {
            Parent::List(list, true) => {
                format!(
                    "\tgadget__open_column(&{variable}, &{}[{list}]);\n",
                    self.nodes
                )
            }
            Parent::List(list, false) => {
                format!("\tgadget__open(&{variable}, &{}[{list}]);\n", self.nodes)
            }
            Parent::Row => format!("\tgadget__at_row(&{variable}, {node});\n"),
            Parent::Struct => format!("\tgadget__at(&{variable}, {node});\n"),
        };
        let in_list = matches!(parent, Parent::List(..));
        // The path of what lies in it.
        let mut inner = path.to_owned();
        let (kind, buffers) = match data_type {
            DataType::List(_) => ("GADGET__LIST", 2),
            DataType::Struct(_) => ("GADGET__STRUCT", 1),
            DataType::Text | DataType::Bytes => ("GADGET__TEXT", 3),
            _ => ("GADGET__NUMBER", 2),
        };
        self.buffers += buffers;
        match leaf(data_type) {
            Some((c, push)) => {
                let body = format!("{open}\tgadget__push_{push}({node}, value);\n");
                let (about, name) = if in_list {
                    (
                        format!(
                            "Appends {data_type} to the list `{path}`, which begins with it if need be."
                        ),
                        format!("add_{path}"),
                    )
                } else {
                    (about.to_owned(), format!("set_{path}"))
                };
                self.guarded(bit, &about, &name, &format!("{c}value"), &body);
            }
            None => {
                let what = match data_type {
                    DataType::List(_) => "an empty list",
                    _ => "a struct whose fields are null until they are set",
                };
                let (about, name) = if in_list {
                    inner.push_str("_item");
                    (
                        format!("Appends {what} to the list `{path}`: {data_type}."),
                        format!("begin_{inner}"),
                    )
                } else {
                    (
                        format!("{about}. Begins {what}: {data_type}."),
                        format!("begin_{path}"),
                    )
                };
                let body = match parent {
                    Parent::List(..) => format!("{open}\tgadget__begin(&{variable}, {node});\n"),
                    _ => format!("\tgadget__begin(&{variable}, {node});\n"),
                };
                self.guarded(bit, &about, &name, "void", &body);
            }
        }
        if in_list {
            let about = format!("Appends a null to the list `{path}`.");
            let body = format!("{open}\tgadget__null({node});\n");
            self.guarded(bit, &about, &format!("add_null_{path}"), "void", &body);
        }
        match data_type {
            DataType::List(item) => {
                let list = Parent::List(at, matches!(parent, Parent::Row));
                self.value(bit, item, &inner, list, 1, "");
            }
            DataType::Struct(fields) => {
                for (field, data_type) in fields {
                    let up = self.initial.len() - at;
                    let about = format!("The field `{field}` of `{inner}`");
                    let path = format!("{inner}_{field}");
                    self.value(bit, data_type, &path, Parent::Struct, up, &about);
                }
            }
            _ => {}
        }
        let nodes = self.initial.len() - at;
        if let Some(initial) = self.initial.get_mut(at) {
            *initial = format!(
                "\t{{ .kind = {kind}, .width = {}, .up = {up}, .nodes = {nodes} }}, /* {path}: {data_type} */\n",
                width(data_type)
            );
        }
    }
}
