//! `driftgate tune`: replays a history under a policy and says of each rule how often it would have blocked, which limit keeps to a budget of blocks,
//! and the smallest shift that it finds then; with the policy's change as a diff. `seen` counts blocks, `limit` moves a limit, `resample` draws the
//! history's rows again, `answer` is what comes of it and `shown` its text.

mod answer;
mod left_out;
mod limit;
mod resample;
mod rows;
mod seen;
mod shown;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use similar::TextDiff;

use super::display;
use super::exit::{self, Failure};
use super::output::Output;
use super::replay::{self, EventFiles, Replayed};
use crate::policies;
use crate::replay::{Input, InputFile};
use answer::{Tuned, TunedRule};

use driftgate_core::judge::verdict::Verdict;
use driftgate_core::policy::{Enforce, Group, Policy, Rule};
use driftgate_core::rule::budget::Budget;
use driftgate_core::rule::definition::Bounds;
use driftgate_core::stats::limit::Limit;
use driftgate_core::yaml;
use left_out::LeftOut;
use limit::Movable;
use seen::{Blocks, History, Seen, Written};

const DAY_MS: i64 = 86_400_000;

/// Finds limits that keep to a budget of blocks, by replaying history
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The files are those of driftgate replay, of a time in which the model was fine: every block in them counts against the budget. Limits are those of the history and hold for the future only as far as it is like the past. Nothing is written: the edited policy is printed as a diff, which patch(1) applies.\n\nExample:\n  driftgate tune --policy policy.yaml --predictions predictions.parquet --labels labels.parquet --budget 1/month"
)]
pub struct Args {
    /// Policy of the model
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    files: EventFiles,
    /// Blocks that each rule may have, per day, week, month (30 days) or year
    #[arg(long, value_name = "N/SPAN", default_value = "1/month")]
    budget: Budget,
    /// Daemon configuration whose field mappings apply to the files
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Number of threads; default: one per core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    output: Output,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let text = std::fs::read_to_string(&args.policy)
        .with_context(|| format!("the policy {} cannot be read", args.policy.display()))?;
    let merged = policies::merged(&text, &args.policy).map_err(anyhow::Error::from)?;
    let policy = Arc::new(policies::parse(&merged, &args.policy).map_err(anyhow::Error::from)?);
    let input = replay::input_of(Arc::clone(&policy), &args.files, args.config.as_deref(), args.threads)?;
    let mut paths = input.predictions.paths().chain(input.others.values().flat_map(InputFile::paths));
    if paths.any(|path| path == Path::new("-")) {
        return Err(anyhow!("tune reads its files more than once: write standard input into a file first").into());
    }
    let replayed = replay::replayed(&input)?;
    if !replayed.verdicts.iter().any(|v| v.window.complete) {
        let read = replayed.read.trim_end();
        return Err(anyhow!(
            "the files have no complete window: give a history that is longer than the windows. Of the files was read:\n{read}"
        )
        .into());
    }
    let tuned = tune(&input, &args.policy, &merged, &replayed, args.budget)?;
    args.output.print(&tuned, || Ok(shown::as_text(&tuned, &replayed.read, text == merged)))?;
    Ok(exit::PASS)
}

fn tune(input: &Input, path: &Path, text: &str, replayed: &Replayed, budget: Budget) -> anyhow::Result<Tuned> {
    let (policy, verdicts) = (&input.policy, replayed.verdicts.as_slice());
    let (mut rules, mut edits) = (Vec::new(), Vec::new());
    for group in &policy.groups {
        for (at, rule) in group.rules.iter().enumerate() {
            let place = format!("checks.{}.rules[{at}].{}", group.name, rule.kind.metric());
            rules.push(of_rule(text, &place, (group, rule), verdicts, budget, &mut edits));
        }
    }
    let edited = yaml::replaced(text, &edits).map_err(|at| anyhow!("the limit at {at} cannot be replaced"))?;
    let after = policies::parse(&edited, path).context("the policy with these limits would not be valid")?;
    let input = Input { policy: Arc::new(after), ..input.clone() };
    let again = if edits.is_empty() { verdicts.to_vec() } else { replay::replayed(&input)?.verdicts };
    let is_from_below = |of: &&TunedRule| of.key.as_deref().is_some_and(limit::is_from_below);
    let from_below = rules.iter().filter(is_from_below).map(|of| of.rule.clone()).collect();
    let (mut shifts, resampled_version) = resample::shifts(&input, verdicts, &from_below)?;
    let histories = policy.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)));
    for (of, (group, rule)) in rules.iter_mut().zip(histories) {
        of.blocks_after = History::of(&again, group, rule).blocks(&Seen::broke).blocks;
        match shifts.remove(&of.rule) {
            Some(Ok(found)) => of.finds = found,
            Some(Err(why)) => of.not_tried = Some(why),
            None => {}
        }
    }
    let name = path.file_name().map_or_else(|| "policy.yaml".to_owned(), |name| name.to_string_lossy().into_owned());
    let diff = TextDiff::from_lines(text, edited.as_str());
    let diff = if edits.is_empty() { String::new() } else { diff.unified_diff().header(&name, &name).to_string() };
    let (history, is_long_enough) = history(policy, &rules, budget);
    let left_out = LeftOut::of(&replayed.outcome);
    let (model, budget) = (policy.model.clone(), budget.to_string());
    Ok(Tuned { model, budget, history, is_long_enough, left_out, rules, resampled_version, diff })
}

/// What a rule did, and its limit within the budget; its edits are added.
fn of_rule(
    text: &str,
    place: &str,
    (group, rule): (&Group, &Rule),
    verdicts: &[Verdict],
    budget: Budget,
    edits: &mut Vec<(String, String)>,
) -> TunedRule {
    let history = History::of(verdicts, group, rule);
    let Blocks { blocks, windows, measured } = history.blocks(&Seen::broke);
    let allowed = budget.allowed(history.judged_ms);
    let found = movable(text, place, rule, &history).and_then(|(movable, path)| {
        let written = movable.written.clone();
        let tuned = within(&movable, &history, rule.kind.definition().bounds, allowed)
            .map_err(|why| (Some(written.clone()), why))?;
        edits.extend(edit(text, place, &path, &written, tuned));
        Ok((written, tuned))
    });
    let (written, tuned, reason) = match found {
        Ok((written, tuned)) => (Some(written), Some(tuned), None),
        Err((written, why)) => (written, None, Some(why)),
    };
    #[expect(clippy::cast_precision_loss, reason = "days")]
    let days = history.judged_ms as f64 / DAY_MS as f64;
    TunedRule {
        rule: format!("{}/{}", group.name, rule.id),
        enforced: group.enforce == Enforce::Block,
        days,
        allowed,
        windows: measured,
        blocking_windows: windows,
        blocks,
        key: written.as_ref().map(|w| w.key.clone()),
        limit: written.map(|w| w.limit),
        tuned,
        reason,
        blocks_after: blocks,
        finds: Vec::new(),
        not_tried: None,
    }
}

/// Why a limit stays, and the limit where it is known.
type Stays = (Option<Written>, String);

/// The limit of a rule that can be moved, and its path in the policy.
fn movable(text: &str, place: &str, rule: &Rule, history: &History) -> Result<(Movable, String), Stays> {
    let stays = |why: &str| (None, why.to_owned());
    if rule.kind.is_by_chance() {
        return Err(stays("`alpha` gives each window a limit of its own: lower `alpha`, or raise `floor`"));
    }
    if rule.kind.of_rule().is_some() {
        return Err(stays("it counts what another rule blocks: tune it once that rule's limit stands"));
    }
    let mut limits: Vec<&Written> = Vec::new();
    for limit in history.all().filter_map(|seen| seen.limit.as_ref()) {
        if !limits.contains(&limit) {
            limits.push(limit);
        }
    }
    let number = |path: &String| yaml::plain_at(text, path)?.parse::<f64>().ok();
    let own = limits.into_iter().find_map(|limit| {
        let key = format!("{place}.{}", limit.key);
        let paths = match &limit.of {
            Some(of) => vec![format!("{key}.{of}")],
            None => vec![format!("{key}.absolute"), key],
        };
        paths.into_iter().find(|path| number(path) == Some(limit.limit)).map(|path| (limit.clone(), path))
    });
    let Some((written, path)) = own else {
        let none = history.all().next().is_none();
        return Err(stays(if none {
            "no window was judged by it"
        } else {
            "its limit is no number that can be moved: a pair, or written in another unit"
        }));
    };
    let movable = Movable::of(history, written.clone()).map_err(|why| (Some(written), why.to_owned()))?;
    Ok((movable, path))
}

/// The limit within the budget, where it differs from the one that is written.
fn within(movable: &Movable, history: &History, bounds: Bounds, allowed: u64) -> Result<f64, String> {
    let now = movable.written.limit;
    let tuned = movable.within(history, allowed)?;
    if tuned.total_cmp(&now).is_eq() {
        return Err("it keeps to the budget, and no tighter one does".to_owned());
    }
    if movable.is_tighter(tuned, now) && allowed == 0 {
        return Err("it keeps to the budget; the history is too short to tighten it".to_owned());
    }
    let Some(limit) = Limit::of(tuned) else {
        let tuned = display::number(Some(tuned));
        return Err(format!("only {tuned} would keep to the budget, which no policy can have as a limit"));
    };
    if !bounds.allow(limit) {
        let (tuned, wanted) = (display::number(Some(tuned)), bounds.wanted());
        return Err(format!("only {tuned} would keep to the budget, and a limit has to be {wanted}"));
    }
    Ok(tuned)
}

/// The edits for a limit, and for its warning, which keeps its distance in proportion.
fn edit(text: &str, place: &str, path: &str, written: &Written, tuned: f64) -> Vec<(String, String)> {
    let mut edits = vec![(path.to_owned(), tuned.to_string())];
    let warn = path.replacen(&format!("{place}.{}", written.key), &format!("{place}.warn"), 1);
    let now = yaml::plain_at(text, &warn).and_then(|warn| warn.parse::<f64>().ok());
    if let Some(now) = now.filter(|_| written.limit != 0.0) {
        let scaled = now * (tuned / written.limit);
        // Of three digits, as limits are.
        let scaled: f64 = format!("{scaled:.2e}").parse().unwrap_or(scaled);
        edits.push((warn, scaled.to_string()));
    }
    edits
}

/// `3 days`, or `2 to 3 days` where rules differ; `None` without a number.
fn ends(numbers: impl Iterator<Item = f64> + Clone, what: &str) -> Option<String> {
    let (least, most) = (numbers.clone().reduce(f64::min)?, numbers.reduce(f64::max)?);
    let more = if most.total_cmp(&1.0).is_eq() { "" } else { "s" };
    Some(if least < most { format!("{least:.0} to {most:.0} {what}{more}") } else { format!("{most:.0} {what}{more}") })
}

/// What the history suffices for, in a sentence.
fn history(policy: &Policy, rules: &[TunedRule], budget: Budget) -> (String, bool) {
    let groups: Vec<String> = policy
        .groups
        .iter()
        .filter_map(|group| {
            let is_of = |of: &&TunedRule| of.rule.split_once('/').is_some_and(|(name, _)| name == group.name);
            let of = || rules.iter().filter(is_of);
            let days = ends(of().map(|of| of.days.round()), "day")?;
            #[expect(clippy::cast_precision_loss, reason = "blocks for people")]
            let allowed = ends(of().map(|of| of.allowed as f64), "block")?;
            Some(format!("{} was judged for {days} ({allowed} allowed)", group.name))
        })
        .collect();
    let told = groups.join(", ");
    if rules.iter().all(|of| of.allowed > 0) {
        return (format!("{told} under a budget of {budget}"), true);
    }
    let least = budget.least_days();
    let why = format!(
        "too little history for {budget}: {told}, and a block is within the budget from {least} {} on. Limits that moved passed everything that was seen, which says little of the future",
        if least == 1 { "day" } else { "days" }
    );
    (why, false)
}
