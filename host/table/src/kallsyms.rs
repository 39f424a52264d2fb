//! The functions of the kernel by their addresses, as `/proc/kallsyms` lists them.

use std::io::{self, BufRead};
use std::sync::OnceLock;

use crate::names::Names;

/// Most functions that are kept; a kernel with all of its modules has about 150,000.
const MAX_SYMBOLS: usize = 1 << 20;
/// Most bytes of the text that are read; a kernel with all of its modules has about 15 MiB.
const MAX_TEXT: u64 = 256 << 20;
/// Functions are smaller than this, in bytes: what lies further behind the beginning of one is in none.
const MAX_FUNCTION: u64 = 1 << 20;

/// The functions of the kernel, sorted by address.
#[derive(Debug, Default)]
pub struct KernelSymbols {
    symbols: Vec<Symbol>,
    /// All names, one behind the other.
    names: String,
}

#[derive(Clone, Copy, Debug)]
struct Symbol {
    address: u64,
    /// Where its name begins, and its length.
    start: u32,
    len: u32,
}

impl KernelSymbols {
    /// From the text of `/proc/kallsyms`: lines of `ADDRESS TYPE NAME`, perhaps with a module behind.
    /// Functions alone are kept (types `t`, `T`, `w`, `W`), of several names of one address the first.
    /// A reader who may not see addresses sees zeros: then nothing is kept.
    ///
    /// Takes about 50 bytes of memory a function; [`Self::at`] finds none beyond the first million.
    ///
    /// # Errors
    /// When the text can't be read.
    pub fn read(text: impl BufRead) -> io::Result<Self> {
        let mut text = text.take(MAX_TEXT);
        let mut found = Self::default();
        let mut line = Vec::new();
        while found.symbols.len() < MAX_SYMBOLS {
            line.clear();
            if text.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if let Some((address, name)) = std::str::from_utf8(&line).ok().and_then(function) {
                found.push(address, name);
            }
        }
        // A stable sort: the first name of an address stays the first.
        found.symbols.sort_by_key(|symbol| symbol.address);
        found.symbols.dedup_by_key(|symbol| symbol.address);
        found.symbols.shrink_to_fit();
        found.names.shrink_to_fit();
        Ok(found)
    }

    fn push(&mut self, address: u64, name: &str) {
        let place = (u32::try_from(self.names.len()), u32::try_from(name.len()));
        if let (Ok(start), Ok(len)) = place {
            self.names.push_str(name);
            self.symbols.push(Symbol {
                address,
                start,
                len,
            });
        }
    }

    fn name(&self, symbol: Symbol) -> Option<&str> {
        let start = symbol.start as usize;
        self.names.get(start..start + symbol.len as usize)
    }

    /// The function that an address lies in, and how far behind its beginning.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<(&str, u64)> {
        let after = self
            .symbols
            .partition_point(|symbol| symbol.address <= address);
        let symbol = *self.symbols.get(after.checked_sub(1)?)?;
        let offset = address - symbol.address;
        (offset < MAX_FUNCTION).then_some((self.name(symbol)?, offset))
    }

    /// Where the function of a name begins; of several the lowest.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<u64> {
        let mut symbols = self.symbols.iter();
        let found = symbols.find(|symbol| self.name(**symbol) == Some(name));
        found.map(|symbol| symbol.address)
    }
}

/// Address and name of a line, if it is that of a function whose address may be seen.
fn function(line: &str) -> Option<(u64, &str)> {
    let mut parts = line.split_ascii_whitespace();
    let address = u64::from_str_radix(parts.next()?, 16).ok()?;
    let kind = parts.next()?;
    let name = parts.next()?;
    (address != 0 && matches!(kind, "t" | "T" | "w" | "W")).then_some((address, name))
}

/// Opens the text of `/proc/kallsyms`.
pub type OpenKernelSymbols = dyn Fn() -> io::Result<Box<dyn BufRead>> + Send + Sync;

/// Names that know the kernel's functions, too. Their text is read when one is asked for, once.
pub struct WithKernelSymbols<N> {
    names: N,
    open: Box<OpenKernelSymbols>,
    symbols: OnceLock<KernelSymbols>,
}

impl<N: Names> WithKernelSymbols<N> {
    /// `names` for all else; `open` gives the text. When that fails no function has a name.
    pub fn new(names: N, open: Box<OpenKernelSymbols>) -> Self {
        Self {
            names,
            open,
            symbols: OnceLock::new(),
        }
    }

    fn symbols(&self) -> &KernelSymbols {
        self.symbols.get_or_init(|| {
            (self.open)()
                .and_then(KernelSymbols::read)
                .unwrap_or_default()
        })
    }
}

impl<N: Names> Names for WithKernelSymbols<N> {
    fn user(&self, uid: u32) -> Option<&str> {
        self.names.user(uid)
    }

    fn group(&self, gid: u32) -> Option<&str> {
        self.names.group(gid)
    }

    fn uid(&self, user: &str) -> Option<u32> {
        self.names.uid(user)
    }

    fn gid(&self, group: &str) -> Option<u32> {
        self.names.gid(group)
    }

    fn kernel_function(&self, address: u64) -> Option<(&str, u64)> {
        self.symbols().at(address)
    }

    fn kernel_address(&self, function: &str) -> Option<u64> {
        self.symbols().address(function)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::names::NoNames;

    pub(crate) const TEXT: &str = "\
        ffffffff81000000 T _stext\n\
        ffffffff81000000 t alias\n\
        0000000000000000 A fixed_percpu_data\n\
        ffffffff81003000 t do_sys_openat2\n\
        ffffffff81002000 T vfs_open\n\
        ffffffff81002800 D some_data\n\
        ffffffffc0001000 t of_module\t[ext4]\n\
        broken\n\
        xyz T broken\n\
        ffffffff81004000 T\n";

    /// Names of a kernel with a few functions.
    pub(crate) fn names() -> Arc<dyn Names> {
        let open = || Ok(Box::new(TEXT.as_bytes()) as Box<dyn BufRead>);
        Arc::new(WithKernelSymbols::new(NoNames, Box::new(open)))
    }

    #[test]
    fn addresses_lie_in_functions() {
        let symbols = KernelSymbols::read(TEXT.as_bytes()).unwrap();
        assert_eq!(symbols.symbols.len(), 4);
        let at = |address| symbols.at(address);
        assert_eq!(at(0xffff_ffff_8100_0000), Some(("_stext", 0)));
        assert_eq!(at(0xffff_ffff_8100_2fff), Some(("vfs_open", 0xfff)));
        assert_eq!(at(0xffff_ffff_8100_3010), Some(("do_sys_openat2", 0x10)));
        assert_eq!(at(0xffff_ffff_c000_1001), Some(("of_module", 1)));
        assert_eq!(at(0xffff_ffff_80ff_ffff), None, "before all");
        assert_eq!(at(0xffff_ffff_c010_1000), None, "behind all");
        assert_eq!((at(0), at(u64::MAX)), (None, None));
        assert_eq!(symbols.address("vfs_open"), Some(0xffff_ffff_8100_2000));
        assert_eq!(symbols.address("some_data"), None);
    }

    #[test]
    fn who_may_not_see_addresses_sees_no_functions() {
        let hidden = "0000000000000000 T _stext\n0000000000000000 t vfs_open\n";
        let symbols = KernelSymbols::read(hidden.as_bytes()).unwrap();
        assert!(symbols.symbols.is_empty());
        assert_eq!(symbols.at(0), None);
    }

    #[test]
    fn the_text_is_read_once_and_only_when_it_is_asked_for() {
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        let names = WithKernelSymbols::new(
            NoNames,
            Box::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
                Err(io::ErrorKind::PermissionDenied.into())
            }),
        );
        assert_eq!((names.user(0), opened.load(Ordering::Relaxed)), (None, 0));
        assert_eq!(names.kernel_function(u64::MAX), None);
        assert_eq!(names.kernel_address("vfs_open"), None);
        assert_eq!(opened.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn stacks_are_lists_of_functions() {
        use crate::columns::{ColumnsWriter, TerminalOptions};
        use crate::json::JsonWriter;
        use crate::sample::table;
        use crate::{Arch, Filter, Kind, Rows, Words};
        use arrow_array::types::UInt64Type;
        use arrow_array::{ArrayRef, ListArray};

        let table = table(&[
            ("kernel", "list<u64>", Kind::KernelStack),
            ("user", "list<u64>", Kind::UserStack),
        ]);
        let list = |rows: [&[u64]; 2]| -> ArrayRef {
            let rows = rows.map(|row| Some(row.iter().copied().map(Some).collect::<Vec<_>>()));
            Arc::new(ListArray::from_iter_primitive::<UInt64Type, _, _>(rows))
        };
        let kernel = list([&[0xffff_ffff_8100_201d, 0xffff_ffff_8100_3001, 16], &[]]);
        let user = list([&[0x7f00_1234, 0x40_1000], &[1]]);
        let rows = Rows::new(Arc::clone(&table), vec![Some(kernel), Some(user)], 2, 0).unwrap();
        let words = Words::new(names(), Arch::X86_64, crate::Zone::UTC);

        let mut json = Vec::new();
        JsonWriter::new(&table, &[0, 1], words.clone()).write(&rows, &mut json);
        assert_eq!(
            String::from_utf8(json).unwrap(),
            "{\"kernel\":[\"vfs_open+0x1d\",\"do_sys_openat2+0x1\",\"0x10\"],\
             \"kernel_raw\":[18446744071578853405,18446744071578857473,16],\
             \"user\":[\"0x7f001234\",\"0x401000\"]}\n\
             {\"kernel\":[],\"kernel_raw\":[],\"user\":[\"0x1\"]}\n"
        );
        let mut text = Vec::new();
        let terminal = TerminalOptions::default();
        ColumnsWriter::new(&table, &[0, 1], words.clone(), terminal).write(&rows, &mut text);
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|l| l.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines,
            [
                vec!["KERNEL", "USER"],
                vec![
                    "vfs_open+0x1d;do_sys_openat2+0x1;0x10",
                    "0x7f001234;0x401000"
                ],
                vec!["0x1"],
            ]
        );
        for (filter, taken) in [
            ("kernel ~ ^vfs_open", vec![0]),
            ("kernel has vfs_open+0x1d", vec![0]),
            ("kernel !~ openat", vec![1]),
            ("user has 0x401000", vec![0]),
        ] {
            let filter = Filter::parse(filter, &table, &words).unwrap();
            let rows: Vec<usize> = filter.apply(&rows).set_indices().collect();
            assert_eq!(rows, taken, "{filter:?}");
        }
    }
}
