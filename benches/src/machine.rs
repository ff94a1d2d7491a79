//! What a run was made on.

use std::fs;

/// The highest resident memory of this process so far, in bytes, as Linux counts it (`VmHWM`);
/// none on another system.
pub fn peak_bytes() -> Option<u64> {
    let kib: u64 = field("/proc/self/status", "VmHWM")?.strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// One line: processor, cores, memory, system.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|total| total.strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or_else(|| "?".to_owned(), |kib| (kib >> 20).to_string());
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (system, release) = (std::env::consts::OS, release.trim());
    format!("{processor}, {cores} cores, {memory} GiB, {system} {release}")
}

/// The value of a `name: value` line.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'))?.1;
    Some(value.trim().to_owned())
}
