//! Rows as aligned columns under one header.
//!
//! **Widths.** A column is as wide as the manifest says, else as its kind and type usually need;
//! wider when its name or, in the first batch, its values are. Values of a column with a width in
//! the manifest widen it only when they can't be cut. Later rows change no width.
//!
//! **On a terminal** a line never exceeds the terminal's width, so that none wraps:
//!
//! 1. Text, bytes, lists, structs, names of users and groups, flags, capabilities and addresses can
//!    be *cut*: what does not fit ends in `…`. Numbers, times, errors and the like never are.
//! 2. When all columns together are too wide, the widest one that can be cut gives a cell, again and
//!    again, until they fit or each is down to 8.
//! 3. When that is not enough, lines end at the terminal's edge: the columns at the right are out of
//!    sight, and `--fields` chooses.
//! 4. The last column takes the room that is left.
//!
//! A value that can't be cut and is wider than its column moves what follows to the right; the next
//! column that can be cut takes that up. After a resize the widths are fitted anew at the next batch.
//! The header is printed once, before the first row (in each file of its own, where files rotate), and
//! once more when a column comes into sight that had no value before; those stand at the left. The frames of a table that has them are drawn over each other on a terminal, each
//! with its header.
//!
//! **Not on a terminal** nothing is cut, the last column is not padded, and nothing is coloured.
//!
//! **Values.** Numbers stand right, all else left; a line has no spaces at its end. What is not known
//! is `-`, as is errno 0. Text is printed as it is, except that nothing in it can reach the terminal
//! as a command or look like something else: control characters are `\n`, `\t`, `\r` or `\xNN`,
//! bytes that are not UTF-8 `\xNN`, the characters that [`crate::text::is_hazardous`] lists `\uNNNN`.
//! (A backslash is printed as it is; exact bytes are JSON's job.) The items of a list stand in a row,
//! each as a shell would take it: bare, in `'...'`, or in `$'...'` with escapes. Structs are
//! `{name=value name=value}`, bytes are hex; between the addresses of a stack stands `;`, newest first. An endpoint whose
//! name is known is shown by its name. Kinds: see [`Kind`].

mod cell;
mod layout;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use arrow_array::Array as _;

use crate::cells::Cells;
use crate::kinds::words::Words;
use crate::kinds::{Form, Kind};
use crate::schema::{Column, DataType, Rows, Table};
use cell::Formatter;
pub(crate) use cell::text_width;
use layout::Wanted;

/// How wide the terminal is, in cells. Clones share it: whoever hears of SIGWINCH sets it, the
/// writer reads it at the next batch.
#[derive(Clone, Debug)]
pub struct TerminalSize(Arc<AtomicU16>);

impl TerminalSize {
    /// A terminal `columns` cells wide; 0, which a terminal says when it does not know, means 80.
    #[must_use]
    pub fn new(columns: u16) -> Self {
        let size = Self(Arc::new(AtomicU16::new(0)));
        size.set(columns);
        size
    }

    /// After a resize.
    pub fn set(&self, columns: u16) {
        self.0
            .store(if columns == 0 { 80 } else { columns }, Ordering::Relaxed);
    }

    /// The width last set.
    #[must_use]
    pub fn get(&self) -> u16 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is at the other end. The default is no terminal.
#[derive(Clone, Debug, Default)]
pub struct TerminalOptions {
    /// The terminal's width; `None` when output is not a terminal.
    pub size: Option<TerminalSize>,
    /// Whether the header is bold.
    pub color: bool,
}

impl TerminalOptions {
    /// A terminal. `no_color`, `term`: the environment's `NO_COLOR` (any value but the empty one
    /// switches colours off) and `TERM` (so does `dumb`).
    #[must_use]
    pub fn terminal(size: TerminalSize, no_color: Option<&OsStr>, term: Option<&OsStr>) -> Self {
        let color = no_color.is_none_or(OsStr::is_empty) && term != Some(OsStr::new("dumb"));
        Self {
            size: Some(size),
            color,
        }
    }
}

/// Writes rows as aligned columns.
#[derive(Debug)]
pub struct ColumnsWriter {
    columns: Vec<Shown>,
    /// Columns that wait out of sight, together with others, until a row has a value in one of them.
    quiet: Vec<Vec<Shown>>,
    terminal: TerminalOptions,
    formatter: Formatter,
    /// The terminal's width that the columns were fitted to.
    fitted: Option<u16>,
    header_is_due: bool,
    cell: String,
    /// Where rows of several gadgets are written together: what each line begins with, and the header's.
    lead: Option<Lead>,
}

/// The gadget's name at the start of a line, with a space behind it.
#[derive(Debug)]
struct Lead {
    row: String,
    header: String,
    /// In cells.
    width: usize,
}

/// A selected column.
#[derive(Debug)]
struct Shown {
    index: usize,
    /// The column whose values stand in place of its own where there are any.
    name: Option<usize>,
    /// Columns stand in this order.
    place: usize,
    kind: Kind,
    header: String,
    align_right: bool,
    wanted: Wanted,
    /// May values widen the column?
    grows: bool,
    width: usize,
}

/// The header of the gadgets' names.
const GADGET: &str = "GADGET";

/// Rows of the first batch that are looked at for widths.
const MEASURED: usize = 256;

/// Text in the first batch widens a column to this at most.
const WIDEST_BY_DATA: usize = 40;

impl ColumnsWriter {
    /// A writer for the columns `selected` of a table, by index; an index outside is left out.
    #[must_use]
    pub fn new(table: &Table, selected: &[usize], words: Words, terminal: TerminalOptions) -> Self {
        let columns = selected.iter().enumerate().filter_map(|(place, index)| {
            let column = table.columns.get(*index)?;
            Some(Shown::new(*index, selected.len() + place, column))
        });
        Self {
            columns: columns.collect(),
            quiet: Vec::new(),
            terminal,
            formatter: Formatter::new(words),
            fitted: None,
            header_is_due: true,
            cell: String::new(),
            lead: None,
        }
    }

    /// Begins each line with the gadget's name, if one is given, in a column that is `width` cells wide and wider than
    /// its header. Frames are not drawn over each other then, because other gadgets' rows stand between them.
    #[must_use]
    pub fn of_gadget(mut self, gadget: Option<&str>, width: usize) -> Self {
        self.lead = gadget.map(|gadget| {
            let mut name = String::new();
            cell::push_harmless(gadget.as_bytes(), &mut name);
            let width = width.max(text_width(&name)).max(GADGET.len());
            let padded = |text: &str| {
                let padding = width.saturating_sub(text_width(text)) + 1;
                format!("{text}{:padding$}", "")
            };
            Lead {
                row: padded(&name),
                header: padded(GADGET),
                width: width + 1,
            }
        });
        self
    }

    /// Leaves groups of columns, by their index in the table, out of sight until a row has a value in one of the group.
    /// Then they stand at the left, in their order, and the header is printed once more.
    #[must_use]
    pub fn with_quiet(mut self, groups: &[Vec<usize>]) -> Self {
        for group in groups {
            let (quiet, seen) = std::mem::take(&mut self.columns)
                .into_iter()
                .partition(|shown| group.contains(&shown.index));
            self.columns = seen;
            self.quiet.push(quiet);
        }
        for (place, shown) in self.quiet.iter_mut().flatten().enumerate() {
            shown.place = place;
        }
        self
    }

    /// Shows the values of some columns in place of those of others, where there are any: the names of endpoints. Of each
    /// pair, by their index in the table, the first is the column that is shown, the second the one with the names.
    #[must_use]
    pub fn with_names(mut self, names: &[(usize, usize)]) -> Self {
        let shown = self
            .columns
            .iter_mut()
            .chain(self.quiet.iter_mut().flatten());
        for shown in shown {
            let own = names.iter().find(|(column, _)| *column == shown.index);
            shown.name = own.map(|(_, name)| *name);
        }
        self
    }

    /// Brings the columns into sight in which one of the rows has a value.
    fn reveal(&mut self, rows: &Rows) {
        let has_value = |shown: &Shown| {
            let array = rows.columns.get(shown.index).and_then(Option::as_ref);
            array.is_some_and(|array| array.null_count() < array.len())
        };
        let groups = self.quiet.iter_mut();
        for group in groups.filter(|group| group.iter().any(has_value)) {
            self.columns.append(group);
            self.columns.sort_by_key(|shown| shown.place);
            self.header_is_due = true;
        }
    }

    /// Whether the next write begins with the header's line.
    #[must_use]
    pub fn header_is_due(&self) -> bool {
        self.header_is_due
    }

    /// The next write begins with the header, for a file of its own. Its first batch may widen
    /// columns again.
    pub(crate) fn begin_file(&mut self) {
        self.header_is_due = true;
    }

    /// Adds a line for each row at the end of `out`; before the first one the header. Gives whether there was a header.
    pub fn write(&mut self, rows: &Rows, out: &mut Vec<u8>) -> bool {
        let terminal = self.terminal.size.as_ref().map(TerminalSize::get);
        // The room that the gadget's name leaves, a cell at least.
        let lead = self.lead.as_ref().map_or(0, |lead| lead.width);
        let lead = u16::try_from(lead).unwrap_or(u16::MAX);
        let terminal = terminal.map(|width| width.saturating_sub(lead).max(1));
        let redrawn = rows.frame > 0 && terminal.is_some() && self.lead.is_none();
        // A frame without rows leaves nothing of the one before.
        if rows.len == 0 && !redrawn {
            return false;
        }
        self.reveal(rows);
        let header = self.header_is_due;
        self.formatter.wall_offset = rows.wall_offset;
        let of = |index: usize| {
            let array = rows.columns.get(index).and_then(Option::as_deref);
            match rows.table.columns.get(index) {
                Some(column) => Cells::new(&column.data_type, array, rows.len),
                None => Cells::new(&DataType::Bool, None, 0),
            }
        };
        let there = |index: &usize| matches!(rows.columns.get(*index), Some(Some(_)));
        let cells: Vec<Named<'_>> = self
            .columns
            .iter()
            .map(|shown| Named {
                own: of(shown.index),
                name: shown.name.filter(there).map(of),
            })
            .collect();
        if self.header_is_due {
            self.measure(&cells, rows.len);
        }
        if self.header_is_due || terminal != self.fitted {
            self.fit(terminal);
        }
        let limit = terminal.map_or(usize::MAX, usize::from);
        if redrawn {
            // The picture before is gone: to the upper left, and nothing stays below (ECMA-48, CUP and ED).
            out.extend_from_slice(b"\x1b[H\x1b[J");
        }
        if self.header_is_due {
            // Each picture has a header of its own.
            self.header_is_due = redrawn;
            self.header(limit, out);
        }
        let Self {
            columns,
            formatter,
            cell,
            lead,
            ..
        } = self;
        for row in 0..rows.len {
            if let Some(lead) = lead {
                out.extend_from_slice(lead.row.as_bytes());
            }
            let mut line = Line::new(out, limit);
            let last = columns.len().saturating_sub(1);
            for (i, (shown, cells)) in columns.iter().zip(&cells).enumerate() {
                cell.clear();
                let width = cells.format(formatter, shown.kind, row, cell);
                line.cell(cell, width, shown, i == last);
            }
            line.end();
        }
        header
    }

    fn measure(&mut self, cells: &[Named<'_>], rows: usize) {
        let Self {
            columns,
            formatter,
            cell,
            ..
        } = self;
        for (shown, cells) in columns.iter_mut().zip(cells) {
            let Wanted { natural, cut, .. } = &mut shown.wanted;
            if !shown.grows {
                continue;
            }
            let most = if *cut { WIDEST_BY_DATA } else { usize::MAX };
            for row in 0..rows.min(MEASURED) {
                cell.clear();
                let width = cells.format(formatter, shown.kind, row, cell);
                *natural = (*natural).max(width.min(most));
            }
        }
    }

    fn fit(&mut self, terminal: Option<u16>) {
        self.fitted = terminal;
        let wanted: Vec<Wanted> = self.columns.iter().map(|shown| shown.wanted).collect();
        let widths = layout::fit(&wanted, terminal.map(usize::from));
        for (shown, width) in self.columns.iter_mut().zip(widths) {
            shown.width = width;
        }
    }

    fn header(&self, limit: usize, out: &mut Vec<u8>) {
        let bold = self.terminal.size.is_some() && self.terminal.color;
        if bold {
            out.extend_from_slice(b"\x1b[1m");
        }
        if let Some(lead) = &self.lead {
            out.extend_from_slice(lead.header.as_bytes());
        }
        let mut line = Line::new(out, limit);
        let last = self.columns.len().saturating_sub(1);
        for (i, shown) in self.columns.iter().enumerate() {
            line.cell(&shown.header, text_width(&shown.header), shown, i == last);
        }
        line.end();
        if bold {
            // Before the line's end, so that the next line is not bold on any terminal.
            out.pop();
            out.extend_from_slice(b"\x1b[0m\n");
        }
    }
}

impl Shown {
    fn new(index: usize, place: usize, column: &Column) -> Self {
        let Column {
            name,
            description: _,
            data_type,
            kind,
            width,
            hidden: _,
            alias: _,
        } = column;
        let kind = if kind.accepts(data_type) {
            *kind
        } else {
            Kind::None
        };
        let mut header = String::new();
        cell::push_harmless(name.to_uppercase().as_bytes(), &mut header);
        let (usual, cut) = usual_width(data_type, kind);
        let natural = width
            .map_or(usual, usize::from)
            .max(text_width(&header))
            .max(1);
        Self {
            index,
            name: None,
            place,
            kind,
            header,
            align_right: stands_right(data_type, kind),
            wanted: Wanted { natural, cut },
            grows: !cut || width.is_none(),
            width: natural,
        }
    }
}

/// Values of a column, and names that stand in their place.
struct Named<'a> {
    own: Cells<'a>,
    name: Option<Cells<'a>>,
}

impl Named<'_> {
    /// See [`Formatter::cell`].
    fn format(&self, formatter: &mut Formatter, kind: Kind, row: usize, out: &mut String) -> usize {
        match self.name.as_ref().filter(|name| !name.is_null(row)) {
            Some(name) => formatter.cell(name, Kind::None, row, out),
            None => formatter.cell(&self.own, kind, row, out),
        }
    }
}

/// The width that values of a kind or type mostly need, and whether they can be cut.
fn usual_width(ty: &DataType, kind: Kind) -> (usize, bool) {
    if matches!(ty, DataType::List(_) | DataType::Struct(_)) && kind != Kind::Endpoint {
        return (if kind.is_stack() { 40 } else { 24 }, true);
    }
    match kind {
        Kind::Timestamp => (12, false),
        Kind::Duration | Kind::Bytes => (9, false),
        Kind::Pid | Kind::Tid => (7, false),
        Kind::Uid | Kind::Gid => (5, false),
        Kind::User | Kind::Group => (8, true),
        Kind::Errno | Kind::Signal => (7, false),
        Kind::Syscall => (12, false),
        Kind::OpenFlags | Kind::Capabilities => (20, true),
        Kind::Capability => (16, true),
        Kind::FileMode => (4, false),
        Kind::Device => (7, false),
        Kind::MountNs | Kind::NetNs | Kind::PidNs => (10, false),
        Kind::Cgroup | Kind::Owner => (8, false),
        Kind::Address | Kind::AddressLe => (15, true),
        Kind::Port | Kind::PortBe => (5, false),
        Kind::Endpoint => (21, true),
        Kind::Mac => (17, false),
        Kind::Bool => (5, false),
        Kind::Hex => (10, false),
        Kind::KernelStack => (24, true),
        Kind::UserStack => (14, false),
        Kind::None => match ty {
            DataType::Text | DataType::Bytes => (16, true),
            DataType::Bool => (5, false),
            DataType::I8 | DataType::U8 => (3, false),
            DataType::I16 | DataType::U16 => (5, false),
            _ => (8, false),
        },
    }
}

/// Whether values stand at the right of their column: numbers, but not words for numbers.
fn stands_right(ty: &DataType, kind: Kind) -> bool {
    ty.is_number()
        && match kind.form() {
            Form::Number | Form::Quantity => true,
            Form::Spelling => matches!(kind, Kind::FileMode | Kind::Hex),
            Form::Time | Form::Name | Form::Truth => false,
        }
}

/// A line being put together.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    /// Where the line begins in `out`.
    start: usize,
    /// The cell where the next character would stand.
    at: usize,
    /// The cell where the next column begins.
    next: usize,
    /// Cells that the line may have.
    limit: usize,
}

/// Where text can still be cut when values before it took too much room.
const LEAST_CUT: usize = 4;

impl<'a> Line<'a> {
    fn new(out: &'a mut Vec<u8>, limit: usize) -> Self {
        let start = out.len();
        Self {
            out,
            start,
            at: 0,
            next: 0,
            limit,
        }
    }

    /// Adds a column's text, which is `width` cells wide.
    fn cell(&mut self, text: &str, width: usize, shown: &Shown, last: bool) {
        // Past the first column at least one space separates.
        let begin = if self.next == 0 {
            0
        } else {
            self.next.max(self.at + 1)
        };
        let end = self.next + shown.width;
        self.next = end + 1;
        let room = self.limit.saturating_sub(begin);
        if room == 0 {
            return;
        }
        let on_terminal = self.limit != usize::MAX;
        let most = if on_terminal && shown.wanted.cut && !last {
            end.saturating_sub(begin)
                .max(LEAST_CUT.min(shown.width))
                .min(room)
        } else {
            room
        };
        if width == 0 {
            return;
        }
        let shift = if shown.align_right {
            end.saturating_sub(begin + width)
        } else {
            0
        };
        let shift = shift.min(room - 1);
        self.out
            .extend(std::iter::repeat_n(b' ', begin + shift - self.at));
        self.at = begin + shift;
        let most = most.min(self.limit - self.at);
        // Characters of no width are not without limit either.
        let (shown, width) = if width <= most && (!on_terminal || text.len() <= 16 * most) {
            (text, width)
        } else {
            cell::cut(text, most)
        };
        self.out.extend_from_slice(shown.as_bytes());
        if shown.len() < text.len() {
            self.out.extend_from_slice("…".as_bytes());
            self.at += 1;
        }
        self.at += width;
    }

    fn end(self) {
        let kept = self
            .out
            .iter()
            .skip(self.start)
            .rposition(|byte| *byte != b' ');
        self.out.truncate(self.start + kept.map_or(0, |at| at + 1));
        self.out.push(b'\n');
    }
}
