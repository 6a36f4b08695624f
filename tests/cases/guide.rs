//! The guides as a reader follows them: every `sh` and `console` block of a page is run in order by one shell, in a copy of the
//! repository's layout, and what a `console` block shows is compared with what the commands print.
//!
//! In what is shown `…` stands for anything within a line, and a line of `…` alone for any lines. A command may fail only where the
//! next one is `echo $?`. A block behind `<!-- test: skip -->` is not run; one behind `<!-- file: PATH -->` is part of that file.
//! Addresses, ports, topics and groups are replaced by ones of the test's own.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::broker::brokers;
use super::cluster::free_port;
use super::support::Folder;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// No guide takes longer.
const DEADLINE: Duration = Duration::from_secs(400);
/// Behind the signal to stop, before what still runs is killed.
const GRACE: Duration = Duration::from_secs(15);

/// A fenced block of a page.
struct Block {
    /// What stands behind the fence: `sh`, `console`, `yaml`, ….
    kind: String,
    /// The comment in the line before it.
    mark: Option<String>,
    lines: Vec<String>,
    /// The number of its first line.
    at: usize,
}

/// Commands, and what they print where the page shows it.
struct Step {
    place: String,
    command: String,
    shown: Option<Vec<String>>,
}

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    let mut mark = None;
    for (at, line) in text.lines().enumerate() {
        if let Some(mut block) = open.take() {
            if line == "```" {
                found.push(block);
            } else {
                block.lines.push(line.to_owned());
                open = Some(block);
            }
        } else if let Some(kind) = line.strip_prefix("```") {
            open = Some(Block { kind: kind.to_owned(), mark: mark.take(), lines: Vec::new(), at: at + 2 });
        } else {
            let comment = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
            mark = comment.map(str::to_owned);
        }
    }
    assert!(open.is_none(), "a block that does not end");
    found
}

fn steps(name: &str) -> Vec<Step> {
    let mut found = Vec::new();
    for block in blocks(&page(name)).into_iter().filter(|b| b.mark.as_deref() != Some("test: skip")) {
        let place = format!("{name}:{}", block.at);
        match block.kind.as_str() {
            "sh" => found.push(Step { place, command: block.lines.join("\n"), shown: None }),
            "console" => {
                let mut lines = block.lines.into_iter().peekable();
                while let Some(line) = lines.next() {
                    let mut command =
                        line.strip_prefix("$ ").unwrap_or_else(|| panic!("{place}: no command")).to_owned();
                    while command.ends_with('\\') {
                        command.push('\n');
                        command.push_str(&lines.next().unwrap_or_default());
                    }
                    let mut shown = Vec::new();
                    while let Some(line) = lines.next_if(|l| !l.starts_with("$ ")) {
                        shown.push(line);
                    }
                    found.push(Step { place: place.clone(), command, shown: Some(shown) });
                }
            }
            _ => {}
        }
    }
    assert!(!found.is_empty(), "{name} has no commands");
    found
}

/// Whether a line is what is shown of it.
fn line_is(shown: &str, line: &str) -> bool {
    let (shown, mut rest) = (shown.trim_end(), line.trim_end());
    let Some((first, others)) = shown.split_once('…') else { return shown == rest };
    let Some(behind) = rest.strip_prefix(first) else { return false };
    rest = behind;
    let (middle, last) = others.rsplit_once('…').map_or((None, others), |(middle, last)| (Some(middle), last));
    for part in middle.into_iter().flat_map(|middle| middle.split('…')) {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn lines_are(shown: &[String], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((any, more)) if any.trim() == "…" => (0..=lines.len()).any(|n| lines_are(more, &lines[n..])),
        Some((first, more)) => {
            lines.split_first().is_some_and(|(line, rest)| line_is(first, line) && lines_are(more, rest))
        }
    }
}

/// Somebody who follows guides: a folder like the repository, and what the guides' names are in it.
struct Reader {
    folder: Folder,
    /// A name in the guides, and what stands for it here.
    names: Vec<(String, String)>,
    environment: Vec<(&'static str, String)>,
}

impl Reader {
    fn new() -> Self {
        let port = free_port();
        let folder = Folder::new();
        let root = Path::new(ROOT);
        std::fs::create_dir_all(folder.path("target/release")).unwrap();
        symlink(env!("CARGO_BIN_EXE_driftgate"), folder.path("target/release/driftgate")).unwrap();
        for data in ["tests/data/flights", "tests/data/flight_delays"] {
            std::fs::create_dir_all(folder.path(data)).unwrap();
            for file in std::fs::read_dir(root.join(data)).unwrap().map(Result::unwrap) {
                symlink(file.path(), folder.path(data).join(file.file_name())).unwrap();
            }
        }
        symlink(root.join("tests/support"), folder.path("tests/support")).unwrap();
        std::fs::create_dir_all(folder.path("config")).unwrap();
        symlink(root.join("config/policies"), folder.path("config/policies")).unwrap();
        let environment = vec![("DRIFTGATE_SERVER", format!("http://127.0.0.1:{port}"))];
        Self { folder, names: vec![("127.0.0.1:9464".to_owned(), format!("127.0.0.1:{port}"))], environment }
    }

    /// With the broker of the tests. Topics and groups that begin with `prefix` get a prefix of the test's own.
    fn with_broker(mut self, prefix: &str) -> Self {
        let folder = std::env::var("DRIFTGATE_TEST_KAFKA_DIR").expect(
            "this test needs a Kafka: run `make test`, or set DRIFTGATE_TEST_KAFKA and DRIFTGATE_TEST_KAFKA_DIR",
        );
        self.names.push(("127.0.0.1:19592".to_owned(), brokers()));
        self.names.push((".cache/kafka".to_owned(), folder));
        self.names.push((prefix.to_owned(), format!("{prefix}{:x}-", std::process::id())));
        self
    }

    fn replacing(mut self, name: &str, by: String) -> Self {
        self.names.push((name.to_owned(), by));
        self
    }

    fn with_variable(mut self, name: &'static str, value: String) -> Self {
        self.environment.push((name, value));
        self
    }

    fn named(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, by)| text.replace(name, by))
    }

    /// Copies the files of the guides.
    fn take_files(&self, from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let copy = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                self.take_files(&entry.path(), &copy);
                continue;
            }
            std::fs::copy(entry.path(), &copy).unwrap();
            std::fs::write(&copy, self.named(&std::fs::read_to_string(entry.path()).unwrap())).unwrap();
        }
    }

    /// Follows pages, one after the other in one shell.
    #[track_caller]
    fn follows(&self, pages: &[&str]) {
        self.take_files(&Path::new(ROOT).join("docs/guide"), &self.folder.path("docs/guide"));
        std::fs::create_dir_all(self.folder.path("printed")).unwrap();
        let steps: Vec<Step> = pages.iter().flat_map(|name| steps(name)).collect();
        self.folder.write("script", self.script(&steps));
        let mut shell = Command::new("bash")
            .arg("script")
            .current_dir(self.folder.path(""))
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let until = Instant::now() + DEADLINE;
        while shell.try_wait().unwrap().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
        }
        end_group(shell.id());
        shell.wait().unwrap();
        self.compare(&steps);
    }

    /// Runs each step in the same shell, and keeps what it prints and its exit code.
    fn script(&self, steps: &[Step]) -> String {
        let mut script = "set -u\ncode=0\n".to_owned();
        for (at, step) in steps.iter().enumerate() {
            let (printed, command) = (self.folder.path(&format!("printed/{at}")), self.named(&step.command));
            let printed = printed.display();
            // What is looked at again and again is kept, to be shown where it never becomes what is waited for.
            let command = match command.strip_prefix("until ").and_then(|looks| looks.split_once(" | grep")) {
                Some((looks, rest)) => format!("until {looks} | tee {printed}.last | grep{rest}"),
                None => command,
            };
            // `$?` is that of the command before.
            let _ = write!(
                script,
                "(exit $code)\n{{\n{command}\n}} >{printed} 2>&1\ncode=$?\necho $code >{printed}.code\n"
            );
            if steps.get(at + 1).is_none_or(|next| next.command != "echo $?") {
                script += "[ $code = 0 ] || exit 1\n";
            }
        }
        script
    }

    #[track_caller]
    fn compare(&self, steps: &[Step]) {
        let mut said = String::new();
        for (at, step) in steps.iter().enumerate() {
            let Step { place, command, shown } = step;
            let read = |name: String| std::fs::read_to_string(self.folder.path(&name)).ok();
            let printed =
                read(format!("printed/{at}")).unwrap_or_else(|| panic!("{place}: not reached:\n{command}\n{said}"));
            let _ = write!(said, "$ {command}\n{printed}");
            let code = read(format!("printed/{at}.code"));
            let fails_as_shown = steps.get(at + 1).is_some_and(|next| next.command == "echo $?");
            assert!(
                code.is_some(),
                "{place}: not done after {} s: {command}\nlast seen: {}\n{said}\n{}",
                DEADLINE.as_secs(),
                read(format!("printed/{at}.last")).unwrap_or_default(),
                self.log()
            );
            assert!(fails_as_shown || code.as_deref() == Some("0\n"), "{place}: {command} exits with {code:?}\n{said}");
            let Some(shown) = shown else { continue };
            let shown: Vec<String> = shown.iter().map(|line| self.named(line)).collect();
            let lines: Vec<&str> = printed.lines().collect();
            assert!(
                lines_are(&shown, &lines),
                "{place}: the guide shows\n{}\nand not\n$ {command}\n{printed}",
                shown.join("\n")
            );
        }
    }

    /// What daemons of the guides logged at last.
    fn log(&self) -> String {
        let logs =
            ["promotion", "kafka", "mlflow"].map(|guide| self.folder.path(&format!("target/{guide}/daemon.log")));
        let texts = logs.iter().filter_map(|path: &PathBuf| std::fs::read_to_string(path).ok());
        texts.map(|text| text.lines().rev().take(20).collect::<Vec<_>>().join("\n")).collect()
    }
}

/// Stops all that a shell started, by the group it leads.
fn end_group(leader: u32) {
    let signal = |name: &str| {
        let kill = Command::new("kill").args([name, "--", &format!("-{leader}")]).stderr(Stdio::null()).status();
        kill.unwrap().success()
    };
    let until = Instant::now() + GRACE;
    if signal("-TERM") {
        // Zombies of this process keep a group alive, so it may look alive to the end.
        while signal("-0") && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
        }
        signal("-KILL");
    }
}

#[test]
fn a_version_is_promoted_rolled_out_and_rolled_back_as_the_guides_say() {
    Reader::new().with_broker("fraud-").follows(&["docs/guide/promotion.md", "docs/guide/rollout.md"]);
}

#[test]
fn flights_on_kafka_are_judged_and_the_gate_asked_as_the_guides_say() {
    Reader::new().with_broker("flights-").follows(&["docs/guide/kafka.md", "docs/guide/gate-in-ci.md"]);
}

#[test]
fn mlflow_hears_of_stages_and_decides_nothing_as_the_guide_says() {
    let environment = std::env::var("MLFLOW_VENV").unwrap_or_else(|_| format!("{ROOT}/.cache/mlflow"));
    Reader::new()
        .with_broker("churn-")
        .replacing("15500", free_port().to_string())
        .with_variable("MLFLOW_VENV", environment)
        .follows(&["docs/guide/mlflow.md"]);
}

#[test]
fn files_are_judged_as_the_readme_and_the_guide_say() {
    let reader = Reader::new();
    let demo = reader.named("target/release/driftgate demo --speed 0 --listen 127.0.0.1:9464");
    reader.replacing("make demo", demo).follows(&["README.md", "docs/guide/files.md"]);
}

#[test]
fn limits_are_tuned_as_the_guide_says() {
    Reader::new().follows(&["docs/guide/tune.md"]);
}

#[test]
fn the_readmes_policy_runs_as_it_is() {
    let text = page("README.md");
    let policy = blocks(&text).into_iter().find(|b| b.kind == "yaml").unwrap().lines.join("\n");
    let reader = Reader::new();
    reader.folder.write("tests/data/flights/of-readme.yaml", policy);
    reader
        .folder
        .driftgate(
            "replay --policy tests/data/flights/of-readme.yaml --predictions tests/data/flights/predictions.parquet \
             --labels tests/data/flights/labels.parquet",
        )
        .exits(0)
        .prints("drift/psi_score");
}

#[test]
fn what_guides_show_of_a_file_is_in_it() {
    let folder = Path::new(ROOT).join("docs/guide");
    let mut compared = 0;
    for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap).filter(|e| e.path().is_file()) {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        for block in blocks(&text) {
            let Some(file) = block.mark.as_deref().and_then(|mark| mark.strip_prefix("file: ")) else { continue };
            let whole = std::fs::read_to_string(folder.join(file)).unwrap();
            let lines: Vec<&str> = whole.lines().collect();
            let there = lines.windows(block.lines.len()).any(|part| part == block.lines.as_slice());
            assert!(there, "{}:{}: {file} does not hold what is shown of it", entry.path().display(), block.at);
            compared += 1;
        }
    }
    assert!(compared > 0, "no guide shows a file");
}

#[test]
fn marks_stand_for_what_varies() {
    let is = |shown: &[&str], printed: &str| {
        let shown: Vec<String> = shown.iter().map(|line| (*line).to_owned()).collect();
        lines_are(&shown, &printed.lines().collect::<Vec<_>>())
    };
    assert!(is(&["a … c …", "…", "end"], "a b c d\nx\ny\nend\n"));
    assert!(is(&["…", "end"], "end\n"));
    assert!(!is(&["a … c"], "a b c d\n"));
    assert!(!is(&["a … b … b"], "a b\n"));
    assert!(!is(&["end"], "end\nmore\n"));
    assert!(!is(&[], "anything\n"));
}
