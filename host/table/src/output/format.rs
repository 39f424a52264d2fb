//! The formats, and what stands behind `-o`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns under a header: module [`crate::columns`].
    #[default]
    Columns,
    /// An object a line: module [`crate::json`].
    Json,
    /// The same, indented.
    JsonPretty,
    /// A document a row: module [`crate::yaml`].
    Yaml,
    /// Comma-separated values: module [`crate::csv`].
    Csv,
    /// An Arrow IPC stream: module [`crate::arrow_stream`].
    Arrow,
    /// A Parquet file: module [`crate::parquet_file`].
    Parquet,
    /// Not at all: rows are counted as written and made into nothing.
    None,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 8] = [
        Self::Columns,
        Self::Json,
        Self::JsonPretty,
        Self::Yaml,
        Self::Csv,
        Self::Arrow,
        Self::Parquet,
        Self::None,
    ];

    /// Its name after `-o`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::Json => "json",
            Self::JsonPretty => "jsonpretty",
            Self::Yaml => "yaml",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
            Self::None => "none",
        }
    }

    /// Whether it is for programs alone, and would only disturb a terminal.
    #[must_use]
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }

    /// Whether each row can say which table it is of, so that one output shows several.
    #[must_use]
    pub fn names_tables(self) -> bool {
        matches!(self, Self::Json | Self::JsonPretty | Self::Yaml)
    }

    /// Whether each row can say which gadget it is of, so that one output shows several.
    #[must_use]
    pub fn names_gadgets(self) -> bool {
        self.names_tables() || matches!(self, Self::Columns | Self::None)
    }

    /// Whether a part of it is of use: what was written before an error stays readable.
    pub(super) fn is_of_use_in_part(self) -> bool {
        self != Self::Parquet
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No format has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no output format is named {0:?}; formats are {all}", all = Format::ALL.map(Format::as_str).join(", "))]
pub struct FormatError(pub String);

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| FormatError(text.to_owned()))
    }
}

/// One output as it is asked for: `FORMAT`, or `FORMAT=FILE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputSpec {
    /// How.
    pub format: Format,
    /// Where; None: standard output.
    pub file: Option<PathBuf>,
}

/// Why outputs can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputSpecError {
    /// A format that is none.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// `FORMAT=` and nothing behind it.
    #[error("{0}= has no file; write {0}=FILE")]
    NoFile(Format),
    /// A file for what is not written.
    #[error("-o none writes nothing, so it takes no file")]
    NothingToWrite,
    /// Parquet without a file.
    #[error("a Parquet file is complete only at its end; write parquet=FILE")]
    Parquet,
    /// Two outputs that would be mixed.
    #[error("{0} and {1} would both go to standard output; give all but one a file: {1}=FILE")]
    BothToStdout(Format, Format),
    /// Two outputs into one file.
    #[error("two outputs would go to {}", .0.display())]
    SameFile(PathBuf),
}

impl FromStr for OutputSpec {
    type Err = OutputSpecError;

    fn from_str(text: &str) -> Result<Self, OutputSpecError> {
        let (name, file) = match text.split_once('=') {
            Some((name, file)) => (name, Some(file)),
            None => (text, None),
        };
        let format: Format = name.parse()?;
        match file {
            Some("") => Err(OutputSpecError::NoFile(format)),
            Some(_) if format == Format::None => Err(OutputSpecError::NothingToWrite),
            file => Ok(Self {
                format,
                file: file.map(PathBuf::from),
            }),
        }
    }
}

impl fmt::Display for OutputSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            None => write!(f, "{}", self.format),
            Some(file) => write!(f, "{}={}", self.format, file.display()),
        }
    }
}

impl OutputSpec {
    /// Outputs that can be had together: `file`, of `--output-file`, is for the one that has none.
    ///
    /// # Errors
    /// When two would go to the same place, or Parquet has no file.
    pub fn all(
        specs: impl IntoIterator<Item = Self>,
        file: Option<PathBuf>,
    ) -> Result<Vec<Self>, OutputSpecError> {
        let mut specs: Vec<Self> = specs.into_iter().collect();
        if specs.is_empty() {
            specs.push(Self::default());
        }
        if let Some(file) = file {
            let mut without = specs
                .iter_mut()
                .filter(|spec| spec.file.is_none() && spec.format != Format::None);
            match without.next() {
                Some(spec) => spec.file = Some(file),
                None => return Err(OutputSpecError::NothingToWrite),
            }
        }
        let mut to_stdout = None;
        let mut files: Vec<&PathBuf> = Vec::new();
        for Self { format, file } in &specs {
            match file {
                Some(file) if files.contains(&file) => {
                    return Err(OutputSpecError::SameFile(file.clone()));
                }
                Some(file) => files.push(file),
                None if *format == Format::Parquet => return Err(OutputSpecError::Parquet),
                None if *format == Format::None => {}
                None => {
                    if let Some(other) = to_stdout.replace(*format) {
                        return Err(OutputSpecError::BothToStdout(other, *format));
                    }
                }
            }
        }
        Ok(specs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(specs: &[&str], file: Option<&str>) -> Result<String, String> {
        let specs = specs
            .iter()
            .map(|text| text.parse())
            .collect::<Result<Vec<OutputSpec>, _>>()
            .map_err(|e| e.to_string())?;
        let specs =
            OutputSpec::all(specs, file.map(PathBuf::from)).map_err(|error| error.to_string())?;
        let texts: Vec<String> = specs.iter().map(OutputSpec::to_string).collect();
        Ok(texts.join(" "))
    }

    #[test]
    fn formats_have_names() {
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
        }
        assert_eq!(
            "xml".parse::<Format>().unwrap_err().to_string(),
            "no output format is named \"xml\"; formats are columns, json, jsonpretty, yaml, csv, arrow, parquet, none"
        );
    }

    #[test]
    fn outputs_go_to_places_of_their_own() {
        let ok = |text: &str| Ok(text.to_owned());
        let error = |text: &str| Err(text.to_owned());
        assert_eq!(all(&[], None), ok("columns"));
        assert_eq!(all(&["json"], Some("a=b")), ok("json=a=b"));
        assert_eq!(
            all(&["columns", "parquet=x.parquet"], None),
            ok("columns parquet=x.parquet")
        );
        assert_eq!(all(&["parquet"], Some("x")), ok("parquet=x"));
        assert_eq!(all(&["none", "json", "csv=c"], None), ok("none json csv=c"));
        assert_eq!(
            all(&["parquet"], None),
            error("a Parquet file is complete only at its end; write parquet=FILE")
        );
        assert_eq!(
            all(&["json", "csv"], None),
            error(
                "json and csv would both go to standard output; give all but one a file: csv=FILE"
            )
        );
        assert_eq!(
            all(&["json=a", "csv=a"], None),
            error("two outputs would go to a")
        );
        assert_eq!(
            all(&["json=a"], Some("b")),
            error("-o none writes nothing, so it takes no file")
        );
        assert_eq!(
            all(&["none=x"], None),
            error("-o none writes nothing, so it takes no file")
        );
        assert_eq!(
            all(&["csv="], None),
            error("csv= has no file; write csv=FILE")
        );
    }
}
