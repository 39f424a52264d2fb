//! `ig man`: manual pages, from the one definition of the command line.

use crate::{Failure, args, exit, print};
use anyhow::Context;
use clap::{Arg, ArgMatches, Command, value_parser};
use clap_mangen::Man;
use std::io;
use std::path::{Path, PathBuf};

/// Its part of the one definition.
pub fn command() -> Command {
    Command::new("man")
        .about("Prints the manual page, or writes those of all commands into a folder")
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .value_hint(clap::ValueHint::DirPath)
                .help("Where ig.1, ig-run.1 and the others go; made if it is not there"),
        )
        .after_help(
            "To read the page, and to install all of them as root:\n\n  \
             ig man | man -l -\n  \
             ig man /usr/local/share/man/man1",
        )
}

/// `ig man`.
pub fn main(matches: &ArgMatches) -> Result<u8, Failure> {
    let other = |e: anyhow::Error| Failure::new(exit::OTHER, e);
    let pages = pages().context("making the pages").map_err(other)?;
    match matches.get_one::<PathBuf>("dir") {
        Some(dir) => write(dir, &pages).map_err(other)?,
        None => {
            if let Some((_, page)) = pages.first() {
                print(page)?;
            }
        }
    }
    Ok(0)
}

/// A page for each command, by the name of its file; the program's own is the first.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    // Its subcommands would be pages as well, and say nothing.
    let mut program = args::program().disable_help_subcommand(true);
    program.build();
    let mut found = Vec::new();
    collect(&program, &mut found)?;
    Ok(found)
}

fn collect(command: &Command, found: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let page = Man::new(command.clone()).source(concat!("ig ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    page.render(&mut text)?;
    found.push((page.get_filename(), text));
    command
        .get_subcommands()
        .try_for_each(|below| collect(below, found))
}

fn write(dir: &Path, pages: &[(String, Vec<u8>)]) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("can't make {}", dir.display()))?;
    for (name, text) in pages {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_flags() {
        let pages = pages().unwrap();
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.first(), Some(&"ig.1"));
        for name in ["ig-run.1", "ig-image-build.1", "ig-man.1", "ig-version.1"] {
            assert!(names.contains(&name), "no {name} in {names:?}");
        }
        let (_, run) = pages.iter().find(|(name, _)| name == "ig-run.1").unwrap();
        let run = String::from_utf8(run.clone()).unwrap();
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS"] {
            assert!(run.contains(section), "no {section}");
        }
        assert!(run.contains("\\-\\-fail\\-on\\-loss"), "{run}");
    }

    #[test]
    fn a_folder_that_can_not_be_made_is_an_error() {
        let error = write(Path::new("/dev/null/pages"), &[]).unwrap_err();
        assert!(error.to_string().contains("/dev/null/pages"), "{error}");
    }
}
