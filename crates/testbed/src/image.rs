//! Container images without a container engine: one layer of static binaries, as an archive that
//! `docker load` and `ctr images import` read. The same input gives the same bytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::paths::{tools_cache, workspace_root};
use crate::progress::{Prerequisite, Progress};

/// The image every pod's sandbox is made of.
pub const PAUSE_IMAGE: &str = "docker.io/hotstandby/testbed-pause:1";
/// The sample app, see `testbed-app`.
pub const SAMPLE_APP_IMAGE: &str = concat!("docker.io/hotstandby/testbed-app:", env!("CARGO_PKG_VERSION"));
/// hotstandby itself.
pub const HOTSTANDBY_IMAGE: &str = concat!("docker.io/hotstandby/hotstandby:", env!("CARGO_PKG_VERSION"));
/// The sample app below a gatekeeper: `/hotstandby-await`, the same as `/k8s-await-election`, and `/elector`.
pub const GATEKEEPER_IMAGE: &str =
    concat!("docker.io/hotstandby/testbed-gatekeeper:", env!("CARGO_PKG_VERSION"));
/// The same, of `/hotstandby-await` alone, below clocks that can be set.
pub const CLOCKED_IMAGE: &str =
    concat!("docker.io/hotstandby/testbed-gatekeeper-clocked:", env!("CARGO_PKG_VERSION"));
/// The library that sets them, in that image.
pub const CLOCKS: &str = "/clocks.so";

const TARGET: &str = "x86_64-unknown-linux-gnu";
const DOCKERFILE: &str = include_str!("../../../deploy/Dockerfile");

/// An image to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Its full names, with registry and tag.
    pub names: Vec<String>,
    /// Files: path in the image, path here.
    pub files: BTreeMap<String, PathBuf>,
    /// What it runs.
    pub entrypoint: Vec<String>,
    /// `uid:gid`; empty for root.
    pub user: String,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl Image {
    /// Reads the few Dockerfile instructions an image of static binaries needs. Sources of COPY are looked up
    /// in `context`. Anything else is refused: the testbed would test another image than users get.
    pub fn from_dockerfile(text: &str, context: &BTreeMap<String, PathBuf>) -> Result<Self> {
        let mut image = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (instruction, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let rest = rest.trim();
            match instruction {
                "FROM" if rest == "scratch" => {}
                "EXPOSE" => {}
                "USER" => rest.clone_into(&mut image.user),
                "ENV" => image.env.push(rest.to_owned()),
                "LABEL" => {
                    let (key, value) =
                        rest.split_once('=').with_context(|| format!("'{line}' has no '='"))?;
                    image.labels.insert(key.to_owned(), value.trim_matches('"').to_owned());
                }
                "ENTRYPOINT" => {
                    image.entrypoint = serde_json::from_str(rest)
                        .with_context(|| format!("'{line}': give it as a JSON list; there is no shell"))?;
                }
                "COPY" => {
                    let mut words = rest.split_whitespace();
                    let (Some(from), Some(to), None) = (words.next(), words.next(), words.next()) else {
                        bail!("'{line}': only COPY of one file to one path is understood");
                    };
                    let source =
                        context.get(from).with_context(|| format!("'{line}': nobody provides '{from}'"))?;
                    image.files.insert(to.to_owned(), source.clone());
                }
                _ => bail!("'{line}' is not an instruction the testbed understands"),
            }
        }
        if image.files.is_empty() || image.entrypoint.is_empty() {
            bail!("a Dockerfile without COPY and ENTRYPOINT makes no image one could run");
        }
        Ok(image)
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, source) in &self.files {
            let content = fs::read(source).with_context(|| format!("reading {}", source.display()))?;
            append(&mut tar, path.trim_start_matches('/'), &content, 0o755)?;
        }
        tar.into_inner().context("finishing a layer")
    }

    fn config(&self, layer_digest: &str) -> Vec<u8> {
        json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Entrypoint": self.entrypoint,
                "User": self.user,
                "Env": self.env,
                "Labels": self.labels,
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        })
        .to_string()
        .into_bytes()
    }
}

/// Writes images into one archive; layers they share are stored once.
pub fn write_archive(path: &Path, images: &[Image]) -> Result<()> {
    let partial = path.with_extension("partial");
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    let file = File::create(&partial).with_context(|| format!("making {}", partial.display()))?;
    let mut tar = tar::Builder::new(std::io::BufWriter::new(file));
    let mut manifest = Vec::new();
    let mut stored = BTreeMap::new();
    for image in images {
        let layer = image.layer()?;
        let layer_digest = hex_digest(&layer);
        let config = image.config(&layer_digest);
        let (layer_file, config_file) =
            (format!("{layer_digest}/layer.tar"), format!("{}.json", hex_digest(&config)));
        manifest.push(json!({"Config": config_file, "RepoTags": image.names, "Layers": [layer_file]}));
        stored.insert(layer_file, layer);
        stored.insert(config_file, config);
    }
    stored.insert("manifest.json".to_owned(), serde_json::to_vec(&manifest)?);
    for (name, content) in &stored {
        append(&mut tar, name, content, 0o644)?;
    }
    let mut out = tar.into_inner().context("finishing an image archive")?;
    out.flush().with_context(|| format!("writing {}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("moving to {}", path.display()))
}

fn append<W: std::io::Write>(tar: &mut tar::Builder<W>, path: &str, content: &[u8], mode: u32) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(content.len())?);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, path, content).with_context(|| format!("storing {path}"))
}

pub(crate) fn hex_digest(data: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(data).iter().fold(String::new(), |mut hex, byte| {
        let _writing_to_a_string_works = write!(hex, "{byte:02x}");
        hex
    })
}

/// The archive with the sample app and the pause image, built when the source changed.
pub fn sample_app_archive(progress: &Progress) -> Result<PathBuf> {
    let binary = sample_app(progress)?;
    let image = |name: &str, arguments: &[&str]| Image {
        names: vec![name.to_owned()],
        files: BTreeMap::from([("/testbed-app".to_owned(), binary.clone())]),
        entrypoint: std::iter::once("/testbed-app")
            .chain(arguments.iter().copied())
            .map(Into::into)
            .collect(),
        ..Image::default()
    };
    let path = images_folder().join("sample-app.tar");
    write_archive(&path, &[image(SAMPLE_APP_IMAGE, &[]), image(PAUSE_IMAGE, &["pause"])])?;
    Ok(path)
}

fn sample_app(progress: &Progress) -> Result<PathBuf> {
    // In a folder of its own, no cluster's start waits for another build's lock.
    let folder = tools_cache().join("target");
    build_static_with(progress, "hotstandby-testbed-app", "testbed-app", &["--release"], Some(folder))
}

/// The archive with the sample app below a gatekeeper. Not in the sample app's own image: that is part of every
/// cluster's start, and the gatekeeper takes a minute to build.
pub fn gatekeeper_archive(progress: &Progress) -> Result<PathBuf> {
    let gatekeeper = hotstandby_await(progress)?;
    let image = Image {
        names: vec![GATEKEEPER_IMAGE.to_owned()],
        files: BTreeMap::from([
            ("/testbed-app".to_owned(), sample_app(progress)?),
            ("/hotstandby-await".to_owned(), gatekeeper.clone()),
            ("/k8s-await-election".to_owned(), gatekeeper),
            ("/elector".to_owned(), crate::tools::elector(progress)?),
        ]),
        entrypoint: vec!["/k8s-await-election".to_owned()],
        user: "65532:65532".to_owned(),
        ..Image::default()
    };
    let path = images_folder().join("gatekeeper.tar");
    write_archive(&path, &[image])?;
    Ok(path)
}

/// The archive with the gatekeeper below clocks that can be set: linked dynamically, and with all libraries that takes, at the
/// paths they have here.
pub fn clocked_archive(progress: &Progress) -> Result<PathBuf> {
    let program = "hotstandby-await";
    progress.say(format!("building {program} linked dynamically"));
    let folder = target_folder();
    // Unoptimised, and of the whole workspace's choice of features: `cargo test` has built it already.
    cargo_build(program, &[], &folder, "")?;
    let gatekeeper = folder.join("debug").join(program);
    let mut files = libraries_of(&gatekeeper)?;
    files.extend([
        ("/testbed-app".to_owned(), sample_app(progress)?),
        (format!("/{program}"), gatekeeper),
        (CLOCKS.to_owned(), crate::tools::clocks()?),
    ]);
    let image = Image {
        names: vec![CLOCKED_IMAGE.to_owned()],
        files,
        entrypoint: vec![format!("/{program}")],
        user: "65532:65532".to_owned(),
        ..Image::default()
    };
    let path = images_folder().join("clocked.tar");
    write_archive(&path, &[image])?;
    Ok(path)
}

/// What a program is linked with, by path.
fn libraries_of(program: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("starting ldd")?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = libraries_in(&listed);
    if !output.status.success() || found.is_empty() {
        bail!("ldd finds no libraries of {}, so that its clocks cannot be set: {listed}", program.display());
    }
    Ok(found)
}

/// `NAME => PATH (ADDRESS)`, or the path alone; the kernel's own has none.
fn libraries_in(listed: &str) -> BTreeMap<String, PathBuf> {
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(|path| (path.to_owned(), PathBuf::from(path)))
        .collect()
}

/// The gatekeeper as users' images get it: static, stripped, small.
pub fn hotstandby_await(progress: &Progress) -> Result<PathBuf> {
    build_static_with(progress, "hotstandby-await", "hotstandby-await", &["--profile", "small"], None)
}

/// The archive with hotstandby's own image, of the content `deploy/Dockerfile` says.
pub fn hotstandby_archive(progress: &Progress) -> Result<PathBuf> {
    let binary = build_static(progress, "hotstandby", "hotstandby")?;
    let mut image = Image::from_dockerfile(DOCKERFILE, &BTreeMap::from([("hotstandby".to_owned(), binary)]))?;
    image.names = vec![HOTSTANDBY_IMAGE.to_owned()];
    let path = images_folder().join("hotstandby.tar");
    write_archive(&path, &[image])?;
    Ok(path)
}

fn images_folder() -> PathBuf {
    tools_cache().join("images")
}

/// Builds a binary of the workspace statically linked, for images without any library.
pub fn build_static(progress: &Progress, package: &str, bin: &str) -> Result<PathBuf> {
    build_static_with(progress, package, bin, &["--release"], None)
}

fn build_static_with(
    progress: &Progress,
    package: &str,
    bin: &str,
    more: &[&str],
    target: Option<PathBuf>,
) -> Result<PathBuf> {
    let target = target.unwrap_or_else(target_folder);
    progress.say(format!("building {bin} statically linked"));
    let arguments: Vec<&str> =
        ["--package", package, "--target", TARGET].into_iter().chain(more.iter().copied()).collect();
    cargo_build(bin, &arguments, &target, "-C target-feature=+crt-static")?;
    let profile = if more.contains(&"small") { "small" } else { "release" };
    Ok(target.join(TARGET).join(profile).join(bin))
}

fn target_folder() -> PathBuf {
    let root = workspace_root();
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

fn cargo_build(bin: &str, more: &[&str], target: &Path, rustflags: &str) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(&cargo)
        .args(["build", "--quiet", "--bin", bin])
        .args(more)
        .arg("--target-dir")
        .arg(target)
        .current_dir(workspace_root())
        // Not in .cargo/config.toml, where it would hold for every build of this target.
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", rustflags)
        // These would take precedence over the line above.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .status()
        .map_err(|error| {
            Prerequisite(format!("{bin} is to be built and this needs cargo in PATH ({error})"))
        })?;
    if !status.success() {
        bail!("building {bin} failed ({status}): see cargo's output above");
    }
    Ok(())
}

/// `ctr … images import`, on the containerd of this socket or on the usual one.
pub(crate) fn import_command(socket: Option<&Path>, archive: &Path) -> Command {
    let mut command = Command::new("ctr");
    if let Some(socket) = socket {
        command.arg("--address").arg(socket);
    }
    // The snapshotter the kubelet's containers will use, so that the first of them starts at once.
    command.args(["--namespace", "k8s.io", "images", "import", "--snapshotter", "native"]).arg(archive);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::io::Read as _;

    fn temporary(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("hstb-image-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn entries(archive: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut tar = tar::Archive::new(File::open(archive).unwrap());
        tar.entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (name, content)
            })
            .collect()
    }

    #[test]
    fn hotstandbys_image_is_what_the_dockerfile_says() {
        let context = BTreeMap::from([("hotstandby".to_owned(), PathBuf::from("/built/hotstandby"))]);
        let image = Image::from_dockerfile(DOCKERFILE, &context).unwrap();
        assert_eq!(image.entrypoint, ["/hotstandby"]);
        assert_eq!(image.user, "65532:65532");
        assert_eq!(image.files["/hotstandby"], Path::new("/built/hotstandby"));
        assert_eq!(HOTSTANDBY_IMAGE, "docker.io/hotstandby/hotstandby:0.1.0");
    }

    #[test]
    fn a_dockerfile_with_more_than_static_files_is_refused() {
        let context = BTreeMap::from([("a".to_owned(), PathBuf::from("/a"))]);
        for bad in [
            "FROM debian\nCOPY a /a\nENTRYPOINT [\"/a\"]",
            "FROM scratch\nRUN true\nCOPY a /a\nENTRYPOINT [\"/a\"]",
            "FROM scratch\nCOPY b /b\nENTRYPOINT [\"/b\"]",
            "FROM scratch\nCOPY a /a\nENTRYPOINT /a",
            "FROM scratch\nCOPY a /a",
        ] {
            assert!(Image::from_dockerfile(bad, &context).is_err(), "{bad}");
        }
    }

    #[test]
    fn libraries_are_found_in_what_ldd_says() {
        let said = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1)\n\t\
                    /lib64/ld-linux-x86-64.so.2 (0x00007f2)\n";
        let paths: Vec<String> = libraries_in(said).into_keys().collect();
        assert_eq!(paths, ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert!(libraries_in("\tstatically linked\n").is_empty());
    }

    #[test]
    fn an_archive_has_matching_digests_and_stores_a_shared_layer_once() {
        let dir = temporary("archive");
        fs::write(dir.join("app"), b"#!static").unwrap();
        let image = |name: &str, argument: &str| Image {
            names: vec![name.to_owned()],
            files: BTreeMap::from([("/app".to_owned(), dir.join("app"))]),
            entrypoint: vec!["/app".to_owned(), argument.to_owned()],
            user: "1:2".to_owned(),
            ..Image::default()
        };
        let images = [image("docker.io/a/a:1", "x"), image("docker.io/a/b:1", "y")];
        write_archive(&dir.join("one.tar"), &images).unwrap();
        let found = entries(&dir.join("one.tar"));
        let manifest: serde_json::Value = serde_json::from_slice(&found["manifest.json"]).unwrap();
        let layers: BTreeSet<&str> =
            manifest.as_array().unwrap().iter().map(|m| m["Layers"][0].as_str().unwrap()).collect();
        assert_eq!(layers.len(), 1, "one shared layer");
        let layer = &found[*layers.first().unwrap()];
        for entry in manifest.as_array().unwrap() {
            let name = entry["Config"].as_str().unwrap();
            let config = &found[name];
            assert_eq!(name, format!("{}.json", hex_digest(config)));
            let config: serde_json::Value = serde_json::from_slice(config).unwrap();
            assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", hex_digest(layer)));
            assert_eq!(config["config"]["User"], "1:2");
        }
        fs::write(dir.join("layer.tar"), layer).unwrap();
        assert_eq!(entries(&dir.join("layer.tar"))["app"], b"#!static");

        write_archive(&dir.join("two.tar"), &images).unwrap();
        assert_eq!(fs::read(dir.join("one.tar")).unwrap(), fs::read(dir.join("two.tar")).unwrap());
        fs::remove_dir_all(&dir).unwrap();
    }
}
