//! Where things are: the sources, the target folder, the programs and bundles that are built.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folders every command works with.
pub struct Place {
    /// The root of the workspace; also the current folder from here on.
    pub root: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
}

impl Place {
    /// Finds the folders and makes the workspace's root the current one.
    pub fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .map(Path::to_path_buf)
            .with_context(|| format!("{} has no parent folder", manifest.display()))?;
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            // Relative to where the caller stands, as cargo takes it.
            Some(folder) => std::path::absolute(&folder)
                .with_context(|| format!("CARGO_TARGET_DIR={}", folder.display()))?,
            None => root.join("target"),
        };
        std::env::set_current_dir(&root)
            .with_context(|| format!("can't enter {}", root.display()))?;
        Ok(Self { root, target })
    }

    /// The program, as `cargo build --release` leaves it.
    pub fn ig(&self) -> PathBuf {
        self.target.join("release").join("ig")
    }

    /// The bundle of an example gadget.
    pub fn bundle(&self, gadget: &str) -> PathBuf {
        self.target.join("gadgets").join(format!("{gadget}.oci"))
    }

    /// The folders under `example-gadgets/` that hold a manifest, sorted.
    pub fn gadgets(&self) -> Result<Vec<PathBuf>> {
        Self::gadgets_in(self.root.join("example-gadgets"))
    }

    fn gadgets_in(folder: PathBuf) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&folder)
            .with_context(|| format!("can't list {}", folder.display()))?
        {
            let path = entry?.path();
            if path.join("gadget.yaml").is_file() {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Cargo manifests outside the workspace (SDK and guests), sorted: they have lock files of
    /// their own.
    pub fn outside_manifests(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let sdk = self.root.join("guest-sdk/rust/Cargo.toml");
        if sdk.is_file() {
            found.push(sdk);
        }
        let mut gadgets = self.gadgets()?;
        gadgets.extend(Self::gadgets_in(self.root.join("tests/gadgets"))?);
        gadgets.push(self.root.join("tests/conformance/rust"));
        gadgets.push(self.root.join("tests/bench/row"));
        gadgets.push(self.root.join("host/bundle/template/rust"));
        for gadget in gadgets {
            for manifest in [gadget.join("Cargo.toml"), gadget.join("guest/Cargo.toml")] {
                if manifest.is_file() {
                    found.push(manifest);
                }
            }
        }
        Ok(found)
    }
}
