//! The programs a cluster is made of: Debian packages, and Kubernetes, etcd and `CoreDNS` built from pinned sources.
//!
//! Versions are pinned by the `go.mod` and `go.sum` files in `crates/testbed/tools/`; builds are kept by
//! version under [`crate::paths::tools_cache`].

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::image::hex_digest;
use crate::paths;
use crate::progress::{Prerequisite, Progress, require_root};

/// The Kubernetes release the testbed runs.
pub const KUBERNETES_VERSION: &str = "1.35.4";
/// The etcd release the testbed runs.
pub const ETCD_VERSION: &str = "3.6.5";
/// The `CoreDNS` release the testbed runs.
pub const COREDNS_VERSION: &str = "1.12.4";

const KUBERNETES_PROGRAMS: [&str; 6] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"];

/// A file that shows a package is there, and the package.
const PACKAGES: [(&[&str], &str); 6] = [
    (&["containerd", "ctr"], "containerd"),
    (&["runc"], "runc"),
    (&["nft"], "nftables"),
    (&["ip"], "iproute2"),
    (&["conntrack"], "conntrack"),
    (
        &["/usr/lib/cni/ptp", "/usr/lib/cni/host-local", "/usr/lib/cni/loopback"],
        "containernetworking-plugins",
    ),
];

/// Where the built programs are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    kubernetes: PathBuf,
    etcd: PathBuf,
    coredns: PathBuf,
}

impl Tools {
    /// Where they are kept, whether built yet or not.
    pub fn cached() -> Self {
        let cache = paths::tools_cache();
        Self {
            kubernetes: cache.join(format!("kubernetes-{KUBERNETES_VERSION}")),
            etcd: cache.join(format!("etcd-{ETCD_VERSION}")),
            coredns: cache.join(format!("coredns-{}", coredns_version())),
        }
    }

    /// One of the Kubernetes programs.
    pub fn kubernetes(&self, program: &str) -> PathBuf {
        self.kubernetes.join(program)
    }

    /// etcd.
    pub fn etcd(&self) -> PathBuf {
        self.etcd.join("etcd")
    }

    /// `CoreDNS`.
    pub fn coredns(&self) -> PathBuf {
        self.coredns.join("coredns")
    }

    /// A `PATH` for programs in the cluster: `sbin` is missing from some users' own.
    pub(crate) fn search_path(&self) -> String {
        let own = std::env::var("PATH").unwrap_or_default();
        format!(
            "{}:{}:{own}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin",
            self.kubernetes.display(),
            self.etcd.display()
        )
    }
}

/// Makes sure that everything a cluster needs is there: installs missing packages, builds missing programs.
/// Takes a few milliseconds when nothing is missing, and some minutes the first time.
pub fn ensure(progress: &Progress) -> Result<Tools> {
    require_root()?;
    ensure_packages(progress)?;
    let tools = Tools::cached();
    let missing_kubernetes: Vec<&str> =
        KUBERNETES_PROGRAMS.into_iter().filter(|p| !tools.kubernetes(p).is_file()).collect();
    let (missing_etcd, missing_coredns) = (!tools.etcd().is_file(), !tools.coredns().is_file());
    if missing_kubernetes.is_empty() && !missing_etcd && !missing_coredns {
        return Ok(tools);
    }
    require_go()?;
    // Two runs at once wait for each other and do not build twice.
    let _lock = lock_cache(progress)?;
    if missing_etcd && !tools.etcd().is_file() {
        let flags = "-s -w";
        build(progress, "etcd", ETCD_VERSION, flags, &[("go.etcd.io/etcd/server/v3", "etcd")], &tools.etcd)?;
    }
    if missing_kubernetes.iter().any(|p| !tools.kubernetes(p).is_file()) {
        let packages: Vec<(String, &str)> =
            KUBERNETES_PROGRAMS.iter().map(|p| (format!("k8s.io/kubernetes/cmd/{p}"), *p)).collect();
        let packages: Vec<(&str, &str)> =
            packages.iter().map(|(package, p)| (package.as_str(), *p)).collect();
        build(
            progress,
            "kubernetes",
            KUBERNETES_VERSION,
            &kubernetes_ldflags(),
            &packages,
            &tools.kubernetes,
        )?;
    }
    // After Kubernetes, with which it shares much of what Go has then compiled already.
    if missing_coredns && !tools.coredns().is_file() {
        let version = coredns_version();
        build(progress, "coredns", &version, "-s -w", &[(".", "coredns")], &tools.coredns)?;
    }
    Ok(tools)
}

/// Its release, and what of it is built: a choice of plugins of our own.
fn coredns_version() -> String {
    let source: [&[u8]; 3] = [
        include_bytes!("../tools/coredns/main.go"),
        include_bytes!("../tools/coredns/go.mod"),
        include_bytes!("../tools/coredns/go.sum"),
    ];
    let digest: String = hex_digest(&source.concat()).chars().take(8).collect();
    format!("{COREDNS_VERSION}-{digest}")
}

/// A gatekeeper made of client-go's leader election alone, built when its source changed: what `hotstandby-await` shares
/// elections with and is measured beside.
pub fn elector(progress: &Progress) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/elector");
    let mut content = Vec::new();
    for file in ["main.go", "go.mod", "go.sum"] {
        let path = source.join(file);
        content.extend(fs::read(&path).with_context(|| format!("reading {}", path.display()))?);
    }
    let version: String = hex_digest(&content).chars().take(12).collect();
    let folder = paths::tools_cache().join(format!("elector-{version}"));
    let program = folder.join("elector");
    if !program.is_file() {
        require_go()?;
        let _lock = lock_cache(progress)?;
        if !program.is_file() {
            build(progress, "elector", &version, "-s -w", &[(".", "elector")], &folder)?;
        }
    }
    Ok(program)
}

/// A library that gives processes clocks of their own, built when its source changed. `cc` is there: cargo links with it.
pub fn clocks() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/clocks/clocks.c");
    let content = fs::read(&source).with_context(|| format!("reading {}", source.display()))?;
    let version: String = hex_digest(&content).chars().take(12).collect();
    let library = paths::tools_cache().join(format!("clocks-{version}.so"));
    if !library.is_file() {
        let partial = library.with_extension(format!("{}.partial", std::process::id()));
        let status = Command::new("cc")
            .args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .args([&partial, &source])
            .status()
            .map_err(|error| {
                Prerequisite(format!("{} is to be built with cc ({error})", source.display()))
            })?;
        if !status.success() {
            bail!("'cc' of {} failed ({status}): see its output above", source.display());
        }
        fs::rename(&partial, &library).with_context(|| format!("moving to {}", library.display()))?;
    }
    Ok(library)
}

/// Programs built from the module proxy know no version unless told.
fn kubernetes_ldflags() -> String {
    let mut parts = KUBERNETES_VERSION.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitVersion=v{KUBERNETES_VERSION} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    )
}

fn require_go() -> Result<(), Prerequisite> {
    match Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Prerequisite(format!(
            "Kubernetes {KUBERNETES_VERSION}, etcd {ETCD_VERSION} and CoreDNS {COREDNS_VERSION} are to be built once and this needs Go (1.26 or newer) in PATH: install it from https://go.dev/dl"
        ))),
    }
}

fn lock_cache(progress: &Progress) -> Result<Flock<File>> {
    let cache = paths::tools_cache();
    fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    let path = cache.join(".lock");
    let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(lock),
        Err((file, _busy)) => file,
    };
    progress.say("another run is building the cluster's programs, waiting for it");
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| errno)
        .with_context(|| format!("locking {}", path.display()))
}

/// Builds into a folder beside the target and renames it, so that a killed build leaves no half behind.
fn build(
    progress: &Progress,
    module: &str,
    version: &str,
    ldflags: &str,
    packages: &[(&str, &str)],
    target: &Path,
) -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(module);
    let partial = target.with_file_name(format!(".partial-{module}-{version}"));
    remove_dir(&partial)?;
    fs::create_dir_all(&partial).with_context(|| format!("making {}", partial.display()))?;
    progress.say(format!("building {module} {version} with Go: once, some minutes, 4 GB of Go's caches"));
    for (package, program) in packages {
        progress.say(format!("  {program}"));
        let status = Command::new("go")
            .args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", ldflags, "-o"])
            .arg(partial.join(program))
            .arg(package)
            .current_dir(&source)
            .env("CGO_ENABLED", "0")
            // A go.work above the workspace or flags of the user's own must not change what is built.
            .env("GOWORK", "off")
            .env_remove("GOFLAGS")
            .status()
            .with_context(|| format!("starting 'go build {package}'"))?;
        if !status.success() {
            bail!("'go build {package}' in {} failed ({status}): see its output above", source.display());
        }
    }
    remove_dir(target)?;
    fs::rename(&partial, target)
        .with_context(|| format!("moving {} to {}", partial.display(), target.display()))?;
    progress.say(format!("{module} {version} built"));
    Ok(())
}

fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn ensure_packages(progress: &Progress) -> Result<()> {
    let missing = missing_packages();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if find_program("apt-get").is_none() {
        return Err(Prerequisite(format!(
            "these Debian packages, or your distribution's own of the same content, are missing: {list}"
        ))
        .into());
    }
    progress.say(format!("installing Debian packages: {list}"));
    let log = File::create(std::env::temp_dir().join("hotstandby-testbed-apt.log")).ok();
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(missing.iter().copied());
    for arguments in [vec!["update"], arguments] {
        let (out, err) = match &log {
            Some(file) => (file.try_clone()?.into(), file.try_clone()?.into()),
            None => (Stdio::null(), Stdio::null()),
        };
        let status = Command::new("apt-get")
            .args(&arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .status()
            .context("starting apt-get")?;
        if !status.success() {
            return Err(Prerequisite(format!(
                "'apt-get {}' failed ({status}, output in {}): install these packages yourself: {list}",
                arguments.join(" "),
                std::env::temp_dir().join("hotstandby-testbed-apt.log").display()
            ))
            .into());
        }
    }
    let still = missing_packages();
    if still.is_empty() {
        return Ok(());
    }
    Err(Prerequisite(format!(
        "apt-get installed {list}, but the programs of {} are not found",
        still.join(" ")
    ))
    .into())
}

fn missing_packages() -> Vec<&'static str> {
    PACKAGES
        .iter()
        .filter(|(programs, _)| programs.iter().any(|p| find_program(p).is_none()))
        .map(|(_, package)| *package)
        .collect()
}

fn find_program(name: &str) -> Option<PathBuf> {
    if name.starts_with('/') {
        return Some(PathBuf::from(name)).filter(|p| p.is_file());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_module_files_are_of_the_versions_named_here() {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
        let kubernetes = fs::read_to_string(tools.join("kubernetes/go.mod")).unwrap();
        assert!(kubernetes.contains(&format!("k8s.io/kubernetes v{KUBERNETES_VERSION}")));
        let etcd = fs::read_to_string(tools.join("etcd/go.mod")).unwrap();
        assert!(etcd.contains(&format!("go.etcd.io/etcd/server/v3 v{ETCD_VERSION}")));
        let coredns = fs::read_to_string(tools.join("coredns/go.mod")).unwrap();
        assert!(coredns.contains(&format!("github.com/coredns/coredns v{COREDNS_VERSION}")));
    }

    #[test]
    fn kubernetes_is_told_its_version() {
        let flags = kubernetes_ldflags();
        assert!(flags.contains("gitVersion=v1.35.4") && flags.contains("gitMinor=35"), "{flags}");
    }
}
