//! An image made here, of a busybox that stands alone: no registry, no network.

use super::place::{Place, done};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the image can run.
const PROGRAMS: [&str; 8] = ["sh", "sleep", "true", "cat", "echo", "id", "ls", "sync"];

/// Its name in each runtime.
pub(super) const NAME: &str = "localhost/busybox:test";

/// The folder of the root file system.
pub(super) fn rootfs(place: &Place) -> PathBuf {
    let root = place.at("rootfs");
    if root.exists() {
        return root;
    }
    for folder in ["bin", "etc", "proc", "sys", "dev", "tmp"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find(|path| Path::new(path).is_file());
    let busybox = busybox.expect("busybox-static; cargo xtask setup installs it");
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    for program in PROGRAMS {
        symlink("busybox", root.join("bin").join(program)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
    root
}

/// The root file system as an archive.
pub(super) fn tar(place: &Place) -> PathBuf {
    let tar = place.at("rootfs.tar");
    if !tar.exists() {
        done(
            Command::new("tar")
                .arg("-C")
                .arg(rootfs(place))
                .args(["--mtime=@0", "--owner=0", "--group=0", "--sort=name", "-cf"])
                .arg(&tar)
                .arg("."),
        );
    }
    tar
}

/// The digest of a file, in hex.
fn digest(path: &Path) -> String {
    let out = done(Command::new("sha256sum").arg(path));
    out.split(' ').next().unwrap().to_owned()
}

/// The name of the image of a pod's sandbox.
pub(super) const PAUSE: &str = "localhost/pause:test";

/// An archive in the OCI's layout, with the digest of its manifest. What runs in [`PAUSE`] does not end.
pub(super) fn archive(place: &Place, name: &str) -> (PathBuf, String) {
    let folder = place.at(&format!("oci-{}", name.replace(['/', ':'], "-")));
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let layer = tar(place);
    let keep = |bytes: &[u8]| {
        let temporary = blobs.join("new");
        fs::write(&temporary, bytes).unwrap();
        let hex = digest(&temporary);
        fs::rename(&temporary, blobs.join(&hex)).unwrap();
        (format!("sha256:{hex}"), bytes.len())
    };
    let layer_bytes = fs::read(&layer).unwrap();
    let (layer, layer_size) = keep(&layer_bytes);
    let words = if name == PAUSE {
        json!(["/bin/sleep", "3600"])
    } else {
        json!(["/bin/sh"])
    };
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Cmd": words, "Env": ["PATH=/bin"], "Labels": {"of": "image"}},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    });
    let (config, config_size) = keep(config.to_string().as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": layer_size}],
    });
    let (manifest, manifest_size) = keep(manifest.to_string().as_bytes());
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": manifest,
            "size": manifest_size,
            "annotations": {
                "io.containerd.image.name": name,
                "org.opencontainers.image.ref.name": name,
            },
        }],
    });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    fs::write(
        folder.join("oci-layout"),
        "{\"imageLayoutVersion\":\"1.0.0\"}",
    )
    .unwrap();
    let archive = folder.with_extension("tar");
    done(
        Command::new("tar")
            .arg("-C")
            .arg(&folder)
            .arg("-cf")
            .arg(&archive)
            .arg("."),
    );
    (archive, manifest)
}
