//! How much memory a process can have, as Linux tells it in `/proc` and `/sys/fs/cgroup`.

use std::fs;
use std::path::{Path, PathBuf};

/// The bytes that this process has or may still have: what it holds already, and what is
/// available on the machine (unused swap included) and within the limits of its control groups,
/// whichever is less. `None` where the system does not tell.
pub(crate) fn available_memory() -> Option<u64> {
    available_below(Path::new("/"))
}

fn available_below(root: &Path) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let machine = read("proc/meminfo")?;
    let swap = field(&machine, "SwapFree:").unwrap_or(0);
    let machine = field(&machine, "MemAvailable:")?.saturating_add(swap);
    let resident = field(&read("proc/self/status")?, "VmRSS:")?;
    let groups = read("proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().flat_map(|line| group_limits(root, line));
    let least = limits
        .filter_map(|group| group.left())
        .fold(machine * KIB, u64::min);
    Some(least.saturating_add(resident * KIB))
}

const KIB: u64 = 1024;

/// The number behind a name in a list of names and numbers.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Where a control group says what its processes may have and what they have.
struct Group {
    dir: PathBuf,
    limit: &'static str,
    usage: &'static str,
    /// The entry of `memory.stat` for files' content that is given up when memory is short.
    inactive: &'static str,
}

impl Group {
    /// What the group's processes may still have; `None` where there is no limit.
    fn left(&self) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(self.dir.join(name)).ok();
        let limit: u64 = read(self.limit)?.trim().parse().ok()?;
        let usage: u64 = read(self.usage)?.trim().parse().ok()?;
        let inactive = read("memory.stat").and_then(|stat| field(&stat, self.inactive));
        Some(limit.saturating_sub(usage.saturating_sub(inactive.unwrap_or(0))))
    }
}

/// The control groups that a line of `/proc/self/cgroup` is about: the process's own and those
/// above it. Within a container its path may be that outside, where only the topmost exists.
fn group_limits(root: &Path, line: &str) -> Vec<Group> {
    let mut parts = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
    else {
        return Vec::new();
    };
    let (top, limit, usage, inactive) = if controllers.is_empty() {
        (
            "sys/fs/cgroup",
            "memory.max",
            "memory.current",
            "inactive_file ",
        )
    } else if controllers.split(',').any(|name| name == "memory") {
        (
            "sys/fs/cgroup/memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file ",
        )
    } else {
        return Vec::new();
    };
    let path = Path::new(path.trim_start_matches('/'));
    path.ancestors()
        .map(|path| Group {
            dir: root.join(top).join(path),
            limit,
            usage,
            inactive,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with 8 GiB available, a process that holds 1 GiB, and these other files.
    fn available(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        let machine = [
            (
                "proc/meminfo",
                "MemTotal: 9 kB\nMemAvailable:    8388608 kB\n",
            ),
            ("proc/self/status", "VmHWM: 7 kB\nVmRSS:\t 1048576 kB\n"),
        ];
        for (path, text) in machine.iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        available_below(root.path())
    }

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_least_of_the_machine_and_of_all_control_groups_counts() {
        assert_eq!(available(&[]), Some(9 * GIB));
        let swap = (
            "proc/meminfo",
            "MemAvailable: 8388608 kB\nSwapFree: 1048576 kB\n",
        );
        assert_eq!(available(&[swap]), Some(10 * GIB));

        let own = ("proc/self/cgroup", "1:cpu:/\n0::/user/run\n");
        let unlimited = [
            ("sys/fs/cgroup/user/run/memory.max", "max\n"),
            ("sys/fs/cgroup/user/run/memory.current", "1073741824\n"),
        ];
        assert_eq!(available(&[own, unlimited[0], unlimited[1]]), Some(9 * GIB));
        // 4 GiB, of which 2 GiB are taken, 1 GiB of them by files' content.
        let above = [
            ("sys/fs/cgroup/user/memory.max", "4294967296\n"),
            ("sys/fs/cgroup/user/memory.current", "2147483648\n"),
            (
                "sys/fs/cgroup/user/memory.stat",
                "anon 1\ninactive_file 1073741824\n",
            ),
        ];
        let [max, current, stat] = above;
        assert_eq!(available(&[own, max, current, stat]), Some(4 * GIB));
        assert_eq!(available(&[own, max, current]), Some(3 * GIB));
    }

    #[test]
    fn the_first_version_of_control_groups_is_read_too() {
        // A container sees the path outside of it, and itself as the topmost group.
        let files = [
            ("proc/self/cgroup", "4:cpu,memory:/docker/0123\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1610612736\n"),
            (
                "sys/fs/cgroup/memory/memory.stat",
                "total_inactive_file 0\n",
            ),
        ];
        assert_eq!(available(&files), Some(3 * GIB / 2));
    }

    #[test]
    fn nothing_is_said_where_the_system_does_not_tell() {
        assert_eq!(available(&[("proc/meminfo", "")]), None);
        assert_eq!(available(&[("proc/self/status", "")]), None);
        let odd = ("proc/self/cgroup", "0:\n:::\nmemory\n");
        assert_eq!(available(&[odd]), Some(9 * GIB));
    }
}
