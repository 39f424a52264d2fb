//! Rows, generated from the manifest's tables: a type a table, a setter for each column that the guest computes.

use super::names::{document, identifier, type_name};
use crate::build::generate::naming::Taken;
use crate::manifest::{Manifest, Table};
use ig_table::DataType;
use std::fmt::Write as _;

/// What a table has whose rows come in frames.
const END_FRAME: &str = "
    /// Ends the frame: the rows so far are one whole picture, also when there are none. Without it a frame ends with
    /// the call, if it has rows. For tables whose mode has frames.
    pub fn end_frame(&mut self) {
        self.flush();
        self.head.end_frame();
    }
";

/// Names that the module's text has already; a table of such a name gets a number behind it.
const TAKEN: &[&str] = &[
    "Tables", "Column", "Lists", "Numbers", "Push", "Texts", "Validity", "Buffer", "Buffers",
    "Columns", "Emit", "Head", "Option", "Some", "None", "Result", "Ok", "Err", "String", "Vec",
    "Box", "Default", "Debug", "Clone", "Copy",
];

/// A column that the guest computes.
struct Column<'m> {
    index: usize,
    name: &'m str,
    description: &'m str,
    data_type: &'m DataType,
    builder: String,
}

/// The module's text. `views` gives for each source the type of its records.
pub(super) fn text(manifest: &Manifest, views: &[String]) -> String {
    let mut module = Module {
        taken: Taken::default(),
        text: String::new(),
        structs: String::new(),
    };
    for name in TAKEN {
        module.taken.take(name);
    }
    let mut fields = String::new();
    let mut new = String::new();
    let mut begin = String::new();
    let mut flush = String::new();
    for (index, table) in manifest.tables.iter().enumerate() {
        let view = manifest.source_of(table).and_then(|at| views.get(at));
        let name = module.table(index, table, view.map(String::as_str));
        let field = identifier(&table.name);
        let _ = writeln!(
            fields,
            "{}    pub {field}: {name},",
            document(&about(table), "    ")
        );
        let _ = writeln!(new, "            {field}: {name}::new(),");
        let _ = writeln!(begin, "        self.{field}.head.begin();");
        let _ = writeln!(flush, "        self.{field}.flush();");
    }
    let Module { text, structs, .. } = module;
    format!(
        "//! The gadget's tables. Rows are handed to the host when a call of the gadget ends.
#![allow(unused_imports, clippy::all, reason = \"not every gadget has every kind of column\")]

use gadget_sdk::column::{{Column, Lists, Numbers, Push, Texts, Validity}};
use gadget_sdk::emit::{{Buffer, Buffers, Columns, Emit}};
use gadget_sdk::rows::{{Head, MOST_ROWS}};

/// The gadget's tables.
#[derive(Debug)]
pub struct Tables {{
{fields}}}

impl Tables {{
    /// Tables without rows.
    pub(crate) fn new() -> Self {{
        Self {{
{new}        }}
    }}

    /// A call of the gadget begins.
    #[inline]
    pub(crate) fn begin(&mut self) {{
{begin}    }}

    /// A call of the gadget ends: hands the rows to the host.
    #[inline]
    pub(crate) fn flush(&mut self) {{
{flush}    }}
}}
{text}{structs}"
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

impl Module {
    fn table(&mut self, index: usize, table: &Table, view: Option<&str>) -> String {
        let name = self.taken.unique(&type_name(&table.name));
        let mut columns = Vec::new();
        for (index, column) in table.columns.iter().enumerate() {
            if let (None, Some(data_type)) = (&column.field, &column.data_type) {
                let builder = self.builder(data_type, &format!("{}_{}", table.name, column.name));
                let (name, description) = (column.name.as_str(), column.description.as_str());
                columns.push(Column {
                    index,
                    name,
                    description,
                    data_type,
                    builder,
                });
            }
        }
        let (argument, origin) = match view {
            Some(view) => (
                format!(", record: &crate::records::{view}<'_>"),
                "record.record_origin()",
            ),
            None => (String::new(), ""),
        };
        let from = match view {
            Some(_) => {
                "that comes from `record`, whose fields the host shows in the columns that it decodes"
            }
            None => "that comes from no record",
        };
        let about = document(&about(table), "");
        let end = if table.mode.has_frames() {
            END_FRAME
        } else {
            ""
        };
        if columns.is_empty() {
            let count = if view.is_some() {
                "count_from(record.record_origin())"
            } else {
                "count()"
            };
            let _ = write!(
                self.text,
                "
{about}#[derive(Debug)]
pub struct {name} {{
    pub(crate) head: Head,
}}

impl {name} {{
    fn new() -> Self {{
        Self {{ head: Head::new({index}) }}
    }}

    /// A row {from}.
    #[inline(always)]
    pub fn row(&mut self{argument}) {{
        if self.head.rows() >= MOST_ROWS {{
            self.flush();
        }}
        self.head.{count};
    }}

{end}
    #[inline]
    pub(crate) fn flush(&mut self) {{
        if self.head.rows() > 0 {{
            Emit {{ table: {index}, rows: self.head.rows(), origin: self.head.origin(), columns: &[] }}.send();
            self.head.clear();
        }}
    }}
}}
"
            );
            return name;
        }
        let row = self.taken.unique(&format!("{name}Row"));
        let parts = Parts::of(&columns);
        let Parts {
            count,
            indexes,
            fields,
            new,
            fill,
            buffers,
            add,
            clear,
            wants,
        } = &parts;
        let setters = setters(&columns);
        let (row_origin, row_fields, count_row) = match view {
            Some(_) => (
                "    origin: u32,\n",
                format!("origin: {origin}, "),
                "count_from(self.origin)",
            ),
            None => ("", String::new(), "count()"),
        };
        let _ = write!(
            self.text,
            "
{about}#[derive(Debug)]
pub struct {name} {{
    pub(crate) head: Head,
{fields}}}

impl {name} {{
    /// The places in the table of the columns that the gadget computes.
    const INDEXES: [u16; {count}] = [{indexes}];

    fn new() -> Self {{
        Self {{
            head: Head::new({index}),
{new}        }}
    }}

    /// A row {from}.
    /// Set its columns; one that is not set is null. The row is complete when it goes out of scope.
    #[inline(always)]
    pub fn row(&mut self{argument}) -> {row}<'_> {{
        if self.head.rows() >= MOST_ROWS {{
            self.flush();
        }}
        let wanted = self.head.wanted(&Self::INDEXES);
        {row} {{ {row_fields}wanted, set: 0, table: self }}
    }}
{wants}{end}
    #[cold]
    fn fill(&mut self, missing: u64) {{
{fill}    }}

    pub(crate) fn flush(&mut self) {{
        if self.head.rows() == 0 {{
            return;
        }}
        let wanted = self.head.wanted(&Self::INDEXES);
{buffers}        let mut columns = Columns::<{count}>::new();
{add}        Emit {{ table: {index}, rows: self.head.rows(), origin: self.head.origin(), columns: columns.all() }}.send();
{clear}        self.head.clear();
    }}
}}

/// A row of `{table}` in the making.
#[derive(Debug)]
pub struct {row}<'t> {{
    table: &'t mut {name},
{row_origin}    wanted: u64,
    set: u64,
}}

impl {row}<'_> {{
{setters}}}

impl Drop for {row}<'_> {{
    #[inline(always)]
    fn drop(&mut self) {{
        let missing = self.wanted & !self.set;
        if missing != 0 {{
            self.table.fill(missing);
        }}
        self.table.head.{count_row};
    }}
}}
",
            table = table.name,
        );
        name
    }

    /// The type that builds a column of this type.
    fn builder(&mut self, data_type: &DataType, wish: &str) -> String {
        match data_type {
            DataType::Text | DataType::Bytes => "Texts".to_owned(),
            DataType::List(item) => {
                format!("Lists<{}>", self.builder(item, &format!("{wish}_item")))
            }
            DataType::Struct(fields) => self.structure(fields, wish),
            scalar => format!("Numbers<{scalar}>"),
        }
    }

    /// A struct's value and its builder.
    fn structure(&mut self, fields: &[(String, DataType)], wish: &str) -> String {
        let name = self.taken.unique(&type_name(wish));
        let builder = self.taken.unique(&format!("{name}Column"));
        let mut generics = Vec::new();
        let mut bounds = String::new();
        let mut values = String::new();
        let mut builders = String::new();
        let mut push = String::new();
        let [mut nulls, mut truncate, mut buffers] = [String::new(), String::new(), String::new()];
        let mut sum = "1".to_owned();
        for (at, (field, data_type)) in fields.iter().enumerate() {
            let field_builder = self.builder(data_type, &format!("{wish}_{field}"));
            let identifier = identifier(field);
            let generic = format!("V{at}");
            let document = document(&format!("`{field}`: {data_type}."), "    ");
            let _ = writeln!(values, "{document}    pub {identifier}: {generic},");
            let _ = writeln!(builders, "    {identifier}: {field_builder},");
            let _ = writeln!(bounds, "    {field_builder}: Push<{generic}>,");
            let _ = writeln!(push, "        self.{identifier}.push(value.{identifier});");
            let _ = writeln!(nulls, "        self.{identifier}.push_null();");
            let _ = writeln!(truncate, "        self.{identifier}.truncate(len);");
            let _ = writeln!(buffers, "        self.{identifier}.buffers(to);");
            let _ = write!(sum, " + <{field_builder} as Column>::BUFFERS");
            generics.push(generic);
        }
        let generics = generics.join(", ");
        let _ = write!(
            self.structs,
            "
/// A value of a struct column: each field takes what a column of its type takes.
#[derive(Clone, Copy, Debug)]
pub struct {name}<{generics}> {{
{values}}}

/// Builds struct columns of [`{name}`].
#[derive(Debug, Default)]
pub struct {builder} {{
    validity: Validity,
    rows: usize,
{builders}}}

impl Column for {builder} {{
    const BUFFERS: usize = {sum};

    fn len(&self) -> usize {{
        self.rows
    }}

    fn push_null(&mut self) {{
        self.validity.null(self.rows);
        self.rows += 1;
{nulls}    }}

    fn truncate(&mut self, len: usize) {{
        self.validity.truncate(len);
        self.rows = self.rows.min(len);
{truncate}    }}

    fn buffers<'a, const N: usize>(&'a self, to: &mut Buffers<'a, N>) {{
        to.add(Buffer::new(self.validity.bits()));
{buffers}    }}
}}

impl<{generics}> Push<{name}<{generics}>> for {builder}
where
{bounds}{{
    #[inline]
    fn push(&mut self, value: {name}<{generics}>) {{
        self.validity.valid(self.rows);
        self.rows += 1;
{push}    }}
}}

impl<{generics}> Push<Option<{name}<{generics}>>> for {builder}
where
{bounds}{{
    #[inline]
    fn push(&mut self, value: Option<{name}<{generics}>>) {{
        match value {{
            Some(value) => self.push(value),
            None => self.push_null(),
        }}
    }}
}}
"
        );
        builder
    }
}

/// The parts of a table's text that repeat for every column.
#[derive(Default)]
struct Parts {
    count: usize,
    indexes: String,
    fields: String,
    new: String,
    fill: String,
    buffers: String,
    add: String,
    clear: String,
    wants: String,
}

impl Parts {
    fn of(columns: &[Column<'_>]) -> Self {
        let mut parts = Self {
            count: columns.len(),
            ..Self::default()
        };
        let indexes: Vec<_> = columns
            .iter()
            .map(|column| column.index.to_string())
            .collect();
        parts.indexes = indexes.join(", ");
        for (bit, column) in columns.iter().enumerate() {
            let Column {
                index,
                name,
                builder,
                ..
            } = column;
            let at = format!("column_{name}");
            let mask = format!("{:#x}", 1_u64 << bit);
            let _ = writeln!(parts.fields, "    {at}: {builder},");
            let _ = writeln!(
                parts.new,
                "            {at}: {}::default(),",
                builder.replacen('<', "::<", 1)
            );
            let _ = write!(
                parts.fill,
                "        if missing & {mask} != 0 {{\n            self.{at}.push_null();\n        }}\n"
            );
            let _ = writeln!(
                parts.buffers,
                "        let mut {at} = Buffers::<{{ <{builder} as Column>::BUFFERS }}>::new();"
            );
            let _ = write!(
                parts.add,
                "        if wanted & {mask} != 0 {{\n            self.{at}.buffers(&mut {at});\n            columns.add({index}, {at}.all());\n        }}\n"
            );
            let _ = writeln!(parts.clear, "        self.{at}.clear();");
            let _ = write!(
                parts.wants,
                "
    /// Whether anybody needs the column `{name}` in this call; when not, computing it can be saved.
    #[must_use]
    #[inline(always)]
    pub fn wants_{name}(&mut self) -> bool {{
        self.head.wanted(&Self::INDEXES) & {mask} != 0
    }}
"
            );
        }
        parts
    }
}

fn setters(columns: &[Column<'_>]) -> String {
    let mut text = String::new();
    for (
        bit,
        Column {
            name,
            description,
            data_type,
            builder,
            ..
        },
    ) in columns.iter().enumerate()
    {
        let takes = match data_type {
            DataType::Text => {
                "Takes `&[u8]`, `&str`, `Chars`, `format_args!` or an `Option` of them.".to_owned()
            }
            DataType::Bytes => "Takes `&[u8]` or an `Option` of it.".to_owned(),
            DataType::List(item) => {
                format!(
                    "Takes anything that iterates over what a column of type `{item}` takes, or `Nullable` with an \
                    `Option` of it."
                )
            }
            DataType::Struct(_) => format!(
                "Takes `{}` or an `Option` of it.",
                builder.trim_end_matches("Column")
            ),
            scalar => format!("Takes `{scalar}` or `Option<{scalar}>`."),
        };
        let about = match *description {
            "" => format!("Sets the column `{name}`."),
            description => format!("Sets the column `{name}`: {description}"),
        };
        let identifier = identifier(name);
        let mask = format!("{:#x}", 1_u64 << bit);
        let _ = write!(
            text,
            "{between}{about}    ///
    /// {takes} Nothing happens, and nothing is iterated over, when nobody needs the column.
    #[inline(always)]
    pub fn {identifier}<V>(&mut self, value: V) -> &mut Self
    where
        {builder}: Push<V>,
    {{
        if self.wanted & {mask} != 0 {{
            if self.set & {mask} != 0 {{
                self.table.column_{name}.truncate(self.table.head.rows() as usize);
            }}
            self.table.column_{name}.push(value);
            self.set |= {mask};
        }}
        self
    }}
",
            between = if bit == 0 { "" } else { "\n" },
            about = document(&about, "    "),
        );
    }
    text
}
