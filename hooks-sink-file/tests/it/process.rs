//! Several processes, some of which die. The helpers are tests of this very binary, run as children.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use hooks_core::sink::FailureClass;
use hooks_sink_file::FileConfig;

use crate::support::{Folder, deliver, ids, lock, padded, read, sink, text};

const FILE: &str = "HOOKS_TEST_FILE";
const FIRST: &str = "HOOKS_TEST_FIRST";
/// All ids have as many digits, and so all batches the same length.
const FIRST_ID: usize = 1_000_000;
const PER_BATCH: usize = 50;
const PADDING: usize = 40_000;

fn helper(name: &str, path: &Path, first: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command.env(FILE, path).env(FIRST, first.to_string()).stdout(Stdio::piped());
    command
}

fn task() -> (PathBuf, usize) {
    (std::env::var_os(FILE).unwrap().into(), std::env::var(FIRST).unwrap().parse().unwrap())
}

/// Delivers batches until it is killed, and says after each how far it got.
#[tokio::test]
#[ignore = "a helper process of other tests"]
async fn writes_until_killed() {
    let (path, mut first) = task();
    let mut sink = sink(&FileConfig::new(path));
    loop {
        deliver(&mut sink, &padded(first..first + PER_BATCH, PADDING)).await.unwrap();
        first += PER_BATCH;
        println!("\nwrote {first}");
    }
}

/// Delivers a fixed number of batches, each as often as it takes.
#[tokio::test]
#[ignore = "a helper process of other tests"]
async fn writes_its_share() {
    let (path, first) = task();
    let mut sink = sink(&FileConfig::new(path));
    println!("\nready");
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).unwrap();
    for n in (first..first + 1_000).step_by(10) {
        let batch = padded(n..n + 10, PADDING);
        while let Err(error) = deliver(&mut sink, &batch).await {
            assert_eq!(error.class, FailureClass::Retry, "{}", error.chain());
        }
    }
}

/// Delivers one batch and says what came of it.
#[tokio::test]
#[ignore = "a helper process of other tests"]
async fn writes_once() {
    let (path, first) = task();
    let result = deliver(&mut sink(&FileConfig::new(path)), &padded(first..first + PER_BATCH, PADDING)).await;
    println!("\nclass {:?}", result.map_err(|error| error.class));
}

/// Reads what a helper says until it says `wanted`; returns the rest.
fn hear(child: &mut Child, wanted: &str) -> BufReader<ChildStdout> {
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the helper ended before it said `{wanted}`");
        if line.starts_with(wanted) {
            return reader;
        }
    }
}

/// The result of the one batch of `writes_once`.
fn class(mut helper: Command) -> String {
    let output = helper.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().find_map(|line| line.strip_prefix("class ")).unwrap().to_owned()
}

/// Kill -9 in the middle of a write, over and over: what was acknowledged is there, at most the end is
/// torn, and redelivery makes it whole.
#[tokio::test]
async fn kill_9_tears_at_most_the_last_line_and_redelivery_heals_it() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut next = FIRST_ID;
    let mut torn = 0;
    for _ in 0..8 {
        let mut child = helper("process::writes_until_killed", &path, next).spawn().unwrap();
        wait_for_a_write_under_way(&path);
        child.kill().unwrap();
        next = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .filter_map(|line| line.unwrap().strip_prefix("wrote ")?.parse().ok())
            .fold(next, usize::max);
        child.wait().unwrap();

        let found = read(&path);
        let whole = found.rfind('\n').map_or(0, |end| end + 1);
        torn += usize::from(whole < found.len());
        let there = ids(&found[..whole]);
        assert!(next == FIRST_ID || there.contains(&(next - 1)), "event {} was acknowledged", next - 1);

        // What comes again in the process that is started next.
        let mut sink = sink(&FileConfig::new(&path));
        let again = padded(next..next + PER_BATCH, PADDING);
        deliver(&mut sink, &again).await.unwrap();
        assert!(read(&path).ends_with(&text(&again)));
        assert_eq!(sink.repairs().ended, 0);
        next += PER_BATCH;
    }
    eprintln!("{torn} of 8 kills tore a line");
    let mut want = FIRST_ID;
    for id in ids(&read(&path)) {
        assert!(id <= want, "event {want} is missing before {id}");
        want = want.max(id + 1);
    }
    assert_eq!(want, next);
}

/// Watches a file until it ends in the middle of a batch, or has grown by many.
fn wait_for_a_write_under_way(path: &Path) {
    let size = || std::fs::metadata(path).map_or(0, |found| found.len());
    let before = size();
    let batch = text(&padded(FIRST_ID..FIRST_ID + PER_BATCH, PADDING)).len() as u64;
    while (size() - before).is_multiple_of(batch) && size() - before < 20 * batch {
        std::thread::yield_now();
    }
}

#[test]
fn processes_that_share_a_file_never_cut_into_a_line() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut children: Vec<_> = (0..3)
        .map(|n| helper("process::writes_its_share", &path, n * 1_000).stdin(Stdio::piped()).spawn().unwrap())
        .collect();
    let outputs: Vec<_> = children.iter_mut().map(|child| hear(child, "ready")).collect();
    // All at once.
    children.iter_mut().for_each(|child| drop(child.stdin.take()));
    for (mut child, mut output) in children.into_iter().zip(outputs) {
        std::io::copy(&mut output, &mut std::io::sink()).unwrap();
        assert!(child.wait().unwrap().success());
    }
    let ids = ids(&read(&path));
    for n in 0..3 {
        let own: Vec<_> = ids.iter().copied().filter(|id| id / 1_000 == n).collect();
        assert_eq!(own, (n * 1_000..n * 1_000 + 1_000).collect::<Vec<_>>());
    }
}

/// A process that was stopped while it held the lock: the attempt ends, and is to be tried again.
#[tokio::test]
async fn a_lock_that_another_process_keeps_does_not_hang_the_hook() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let held = lock(&path);
    assert_eq!(class(helper("process::writes_once", &path, 0)), "Err(Retry)");
    assert_eq!(read(&path), "");
    drop(held);
    assert_eq!(class(helper("process::writes_once", &path, 0)), "Ok(())");
    assert_eq!(read(&path), text(&padded(0..PER_BATCH, PADDING)));
}

/// A write that the system cuts short without any mounting: the file may not grow beyond 100 KiB.
#[tokio::test]
async fn a_limit_of_file_size_is_a_fault_of_the_endpoint_and_the_torn_line_heals() {
    let folder = Folder::new();
    let path = folder.join("out.jsonl");
    let mut limited = Command::new("sh");
    // 200 blocks of 512 bytes in any POSIX shell.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$@\"", "sh"]);
    let inner = helper("process::writes_once", &path, 0);
    limited.arg(inner.get_program()).args(inner.get_args()).envs(inner.get_envs().filter_map(|(k, v)| Some((k, v?))));
    assert_eq!(class(limited), "Err(Endpoint)");
    let batch = padded(0..PER_BATCH, PADDING);
    let cut = read(&path);
    assert!(text(&batch).starts_with(&cut) && !cut.is_empty() && !cut.ends_with('\n'), "{} bytes", cut.len());

    let mut sink = sink(&FileConfig::new(&path));
    deliver(&mut sink, &batch).await.unwrap();
    assert_eq!(read(&path), text(&batch));
    assert_eq!(sink.repairs().completed, 1);
}
