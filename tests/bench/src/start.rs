//! To come.
use crate::figures::Figure;
use crate::process::Setup;
/// All figures.
pub fn run(_: &Setup) -> anyhow::Result<Vec<Figure>> {
    Ok(Vec::new())
}
