//! What `replay --fail-on` exits with: 1 where an enforced group blocks, 3 where nothing conclusive was judged, 0 otherwise;
//! and a sentence that says which.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::cli::display;
use crate::cli::exit;
use driftgate_core::codec::time::utc;
use driftgate_core::judge::verdict::{RuleResult, Status, Verdict};

/// What `--fail-on` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    /// A verdict that warns or blocks
    Warn,
    /// A verdict that blocks
    Block,
}

impl FailOn {
    fn least(self) -> Status {
        match self {
            Self::Warn => Status::Warn,
            Self::Block => Status::Block,
        }
    }

    fn fails(self, status: Status) -> bool {
        status != Status::Insufficient && status >= self.least()
    }
}

/// The verdicts of the groups that enforce, by what decisions see of them: mutes and `for` count.
#[derive(Debug, Default)]
pub struct Tried {
    /// Groups with `enforce: block`: only these can fail a run.
    enforced: BTreeSet<String>,
    judged: u64,
    insufficient: u64,
    warned: Failing,
    blocked: Failing,
}

/// Verdicts of one status.
#[derive(Debug, Default)]
struct Failing {
    count: u64,
    incomplete: u64,
    /// The first of them, in a sentence.
    first: Option<String>,
}

impl Failing {
    fn note(&mut self, verdict: &Verdict) {
        self.count += 1;
        self.incomplete += u64::from(!verdict.window.complete);
        let Verdict { version, group, window, results, .. } = verdict;
        let worst = verdict.decides();
        let why = || results.iter().find(|r| r.decides() == worst).map_or_else(String::new, RuleResult::sentence);
        self.first.get_or_insert_with(|| {
            format!("version {version}, group {group}, window ending {}: {}", utc(window.end), why())
        });
    }
}

/// A file's events: how many were read, and how many of these were rejected.
#[derive(Debug)]
pub struct FileEvents {
    pub file: PathBuf,
    pub read: u64,
    pub rejected: u64,
    /// The first rejected one: its reason and place.
    pub first: Option<String>,
}

impl FileEvents {
    fn mostly_rejected(&self) -> Option<String> {
        let Self { file, read, rejected, first } = self;
        (rejected.saturating_mul(2) > *read).then(|| {
            let (rejected, read) = (display::count(*rejected), display::count(*read));
            let first = first.as_ref().map_or_else(String::new, |f| format!(", the first at {f}"));
            format!("{rejected} of {read} events of {} were rejected{first}", display(file))
        })
    }
}

fn display(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

impl Tried {
    pub fn new(enforced: BTreeSet<String>) -> Self {
        Self { enforced, ..Self::default() }
    }

    pub fn note(&mut self, verdict: &Verdict) {
        if !self.enforced.contains(&verdict.group) {
            return;
        }
        self.judged += 1;
        match verdict.decides() {
            Status::Pass => {}
            Status::Insufficient => self.insufficient += 1,
            Status::Warn => self.warned.note(verdict),
            Status::Block => self.blocked.note(verdict),
        }
    }

    /// The exit code and why.
    pub fn decide(&self, fail_on: FailOn, files: &[FileEvents]) -> (u8, String) {
        let failing = [(Status::Block, &self.blocked, "block"), (Status::Warn, &self.warned, "warn")];
        for (status, failing, word) in failing {
            if let Some(first) = failing.first.as_ref().filter(|_| fail_on.fails(status)) {
                let (count, judged) = (display::count(failing.count), display::count(self.judged));
                let incomplete = display::count(failing.incomplete);
                let why =
                    format!("{count} of {judged} windows {word} ({incomplete} of them incomplete), the first: {first}");
                return (exit::BLOCK, why);
            }
        }
        if let Some(rejected) = files.iter().find_map(FileEvents::mostly_rejected) {
            return (exit::INCONCLUSIVE, rejected);
        }
        if self.enforced.is_empty() {
            return (exit::INCONCLUSIVE, "no group of the policy has `enforce: block`".to_owned());
        }
        if self.judged == 0 {
            return (exit::INCONCLUSIVE, "no window of an enforced group was judged".to_owned());
        }
        if self.insufficient == self.judged {
            let why = format!("all {} windows of enforced groups are insufficient", display::count(self.judged));
            return (exit::INCONCLUSIVE, why);
        }
        let conclusive = self.judged - self.insufficient;
        let why = format!(
            "none of {} conclusive windows of enforced groups {}; {} are insufficient",
            display::count(conclusive),
            if fail_on == FailOn::Block { "blocks" } else { "warns or blocks" },
            display::count(self.insufficient)
        );
        (exit::PASS, why)
    }
}
