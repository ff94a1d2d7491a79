//! A line takes a small multiple of its length in memory, whatever it holds. This is the only test
//! of its file, because what it reads is the peak of the whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

use guildhall_core::jsonl::{self, ImportOptions};
use guildhall_core::memory::MemoryChronicle;
use guildhall_core::{MAX_PAYLOAD_BYTES, Position};

/// A figure of `/proc/self/status`, in bytes.
fn bytes_of(figure: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

/// A payload as long as it may be. Its first key is out of order, so that it has to be rewritten.
fn payload(limit_bytes: usize, element: impl Fn(usize) -> String) -> String {
    let mut text = "{\"z\":1,\"a\":[".to_owned();
    for nth in 0.. {
        let next = element(nth);
        if text.len() + next.len() + 3 > limit_bytes {
            break;
        }
        text.push_str(&next);
        text.push(',');
    }
    text.push_str("1]}");
    text
}

#[test]
fn a_line_of_many_small_values_takes_a_small_multiple_of_its_length() {
    // Small objects, and one object of many keys that all have to be put in order.
    let members = |nth: usize| format!("{{\"{:05}\":1,\"a\":2}}", (nth * 7919) % 100_000);
    let mut many = "{".to_owned();
    for nth in 0..300_000_u64 {
        many.push_str(&format!("\"{:07}\":1,", (nth * 7_654_321) % 10_000_019));
    }
    many.push_str("\"a\":1}");
    for data in
        [payload(MAX_PAYLOAD_BYTES, |_| "{\"a\":1}".to_owned()), payload(4 << 20, members), many]
    {
        let line = format!(
            concat!(
                r#"{{"specversion":"1.0","id":"0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b","#,
                r#""source":"guildhall/demo","type":"com.example.note.v1","#,
                r#""subject":"0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c","time":"2026-11-23T10:05:00Z","#,
                r#""data":{}}}"#
            ),
            data
        );
        drop(data);
        // Begins the peak anew (proc(5)). Where that is not allowed, the making of the line counts.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let before = bytes_of("VmRSS:");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let chronicle = MemoryChronicle::new();
        let options = ImportOptions::default();
        let import = jsonl::import(&chronicle, line.as_bytes(), &options, |_| {});
        let imported = runtime.block_on(import).unwrap();
        assert_eq!((imported.appended, imported.position), (1, Position::FIRST));
        let taken = bytes_of("VmHWM:") - before;
        let times = taken as f64 / line.len() as f64;
        assert!(times <= 8.0, "{taken} bytes, {times:.1} times the line");
    }
}
