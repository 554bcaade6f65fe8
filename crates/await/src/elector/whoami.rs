//! Pod UID and container name, from what the kubelet mounts: `/etc/hosts` and the termination log lie under the pod's folder.

use hotstandby_core::gatekeeper::Identity;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// Where this process lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Home {
    /// The pod's UID.
    pub(super) pod_uid: Option<String>,
    /// The container's name.
    pub(super) container: Option<String>,
}

impl Home {
    /// From this process's mounts; outside a pod nothing is known.
    pub(super) fn look() -> Self {
        fs::read_to_string("/proc/self/mountinfo").map_or_else(|_| Self::default(), |text| Self::of(&text))
    }

    fn of(mountinfo: &str) -> Self {
        let (mut pod_uid, mut logs) = (None, Vec::new());
        for line in mountinfo.lines() {
            // The fourth field is what is mounted, as a path on its own file system; the fifth is where.
            let mut fields = line.split(' ').skip(3);
            let (Some(root), Some(target)) = (fields.next(), fields.next()) else { continue };
            let Some((_, rest)) = root.rsplit_once("/pods/") else { continue };
            match rest.split('/').collect::<Vec<_>>().as_slice() {
                [uid, "etc-hosts"] if target == "/etc/hosts" => pod_uid = Some(*uid),
                // A file of a random name: the termination log.
                [uid, "containers", name, _] => logs.push((*uid, *name)),
                _ => {}
            }
        }
        // What lies in another folder is some volume of the user's.
        let container =
            logs.iter().find(|(uid, _)| Some(*uid) == pod_uid).map(|(_, name)| (*name).to_owned());
        Self { pod_uid: pod_uid.map(str::to_owned), container }
    }
}

/// Who this process is, what was given going before what was found.
///
/// A container's name lets a restarted container take its own lease back at once. That needs the proof that everything of the one before
/// is dead, and only the first process of a PID namespace has it: the kernel ends such a namespace as a whole. Below a
/// shell, an init or in a shared namespace another gatekeeper of the same container could still run.
pub(super) fn identity(
    name: &str,
    pod_uid: Option<String>,
    container: Option<String>,
    keeper_is_first: bool,
) -> Identity {
    let home = Home::look();
    Identity {
        name: name.into(),
        pod_uid: pod_uid.or(home.pod_uid).map(Into::into),
        container: container.or(home.container).filter(|_| keeper_is_first).map(Into::into),
        instance: instance().into(),
    }
}

/// A text no other process has.
fn instance() -> String {
    let random = || format!("{:016x}{:016x}", RandomState::new().build_hasher().finish(), std::process::id());
    fs::read_to_string("/proc/sys/kernel/random/uuid")
        .map_or_else(|_| random(), |uuid| uuid.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "\
700 600 0:50 / / rw,relatime - overlay overlay rw
701 700 8:1 /var/lib/kubelet/pods/0b6f8f6e-1111-2222-3333-444455556666/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw
702 700 8:1 /var/lib/kubelet/pods/0b6f8f6e-1111-2222-3333-444455556666/containers/db/3c1d2e4f /dev/termination-log rw - ext4 /dev/sda1 rw
703 700 8:1 /var/lib/kubelet/pods/0b6f8f6e-1111-2222-3333-444455556666/volumes/kubernetes.io~empty-dir/x /x rw - ext4 /dev/sda1 rw
";

    #[test]
    fn restarted_container_finds_its_pod_and_its_name() {
        let home = Home::of(POD);
        assert_eq!(home.pod_uid.as_deref(), Some("0b6f8f6e-1111-2222-3333-444455556666"));
        assert_eq!(home.container.as_deref(), Some("db"));
    }

    #[test]
    fn kubelet_on_a_disk_of_its_own_is_understood() {
        let text = POD.replace("/var/lib/kubelet/pods", "/pods");
        assert_eq!(Home::of(&text), Home::of(POD));
    }

    #[test]
    fn outside_a_pod_nothing_is_invented() {
        let text = "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n26 25 8:1 /srv/pods/x/etc-hosts /data rw - ext4 /dev/sda1 rw\n\
                    27 25 8:1 /srv/pods/x/containers/y/z /data/z rw - ext4 /dev/sda1 rw\nshort\n";
        assert_eq!(Home::of(text), Home::default());
    }

    #[test]
    fn two_processes_are_never_taken_for_one() {
        assert_ne!(identity("a", None, None, true).instance, identity("a", None, None, true).instance);
    }

    #[test]
    fn second_gatekeeper_in_a_living_container_takes_nothing_back() {
        let who = |first| identity("a", Some("u".to_owned()), Some("db".to_owned()), first).container;
        assert_eq!(who(true).as_deref(), Some("db"));
        assert_eq!(who(false), None);
    }
}
