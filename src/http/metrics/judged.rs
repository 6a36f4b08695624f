//! Verdicts as Prometheus series: the latest one of each version and group, and what the gate says. Together they have at most so many
//! series, whatever the number of segments and features (`chosen`); those left out are counted.

use std::collections::HashSet;

use prometheus::GaugeVec;
use serde_json::Value;

use super::chosen::{Chosen, MAX_SEGMENTS, Options};
use super::page::{Page, Result, flag, real, seconds, set};
use crate::telemetry::metrics;
use crate::view::{VersionView, View};
use driftgate_core::judge::verdict::{RuleResult, Status, Verdict};

/// The families a verdict is spread over.
struct Families {
    psi: GaugeVec,
    ks_statistic: GaugeVec,
    drift_pvalue: GaugeVec,
    tpr: GaugeVec,
    tpr_gap: GaugeVec,
    latency_p95: GaugeVec,
    error_ratio: GaugeVec,
    check_status: GaugeVec,
    verdict: GaugeVec,
    last: GaugeVec,
    dropped: GaugeVec,
}

impl Families {
    fn new(page: &Page) -> Result<Self> {
        Ok(Self {
            psi: page.gauges(&metrics::PSI)?,
            ks_statistic: page.gauges(&metrics::KS_STATISTIC)?,
            drift_pvalue: page.gauges(&metrics::DRIFT_PVALUE)?,
            tpr: page.gauges(&metrics::TPR)?,
            tpr_gap: page.gauges(&metrics::TPR_GAP)?,
            latency_p95: page.gauges(&metrics::LATENCY_P95)?,
            error_ratio: page.gauges(&metrics::ERROR_RATIO)?,
            check_status: page.gauges(&metrics::CHECK_STATUS)?,
            verdict: page.gauges(&metrics::VERDICT)?,
            last: page.gauges(&metrics::LAST_VERDICT)?,
            dropped: page.gauges(&metrics::SERIES_DROPPED)?,
        })
    }
}

/// The latest verdict of each version and group.
pub(super) fn verdicts(page: &Page, view: &View, options: Options) -> Result<()> {
    let families = Families::new(page)?;
    let latest = view.models.values().flat_map(|m| m.versions.values()).flat_map(VersionView::latest);
    let verdicts: Vec<&Verdict> = latest.map(AsRef::as_ref).collect();
    let chosen = Chosen::new(&verdicts, options);
    for (place, verdict) in verdicts.into_iter().enumerate() {
        Spread {
            chosen: (&chosen, place),
            families: &families,
            at: [&verdict.model, &verdict.version, &verdict.group],
            seen: HashSet::new(),
            segments: 0,
        }
        .verdict(verdict)?;
    }
    Ok(())
}

/// One verdict on its way into the families.
struct Spread<'a> {
    families: &'a Families,
    chosen: (&'a Chosen<'a>, usize),
    at: [&'a str; 3],
    /// Families and subjects that have a value: of two rules alike the first one counts.
    seen: HashSet<(&'static str, &'a str)>,
    segments: usize,
}

impl<'a> Spread<'a> {
    fn verdict(mut self, verdict: &'a Verdict) -> Result<()> {
        let Families { verdict: status, last, dropped, .. } = self.families;
        for each in Status::ALL {
            self.set(status, &[each.name()], Some(flag(each == verdict.status)))?;
        }
        self.set(last, &[], Some(seconds(verdict.window.end)))?;
        let (chosen, place) = self.chosen;
        let mut left_out = chosen.left_out(place);
        for result in verdict.results.iter().filter(|result| chosen.shows(place, &result.subject)) {
            self.result(result)?;
            left_out += self.segments(result)?;
        }
        match left_out {
            0 => Ok(()),
            n => self.set(dropped, &[], Some(real(n as u64))),
        }
    }

    /// Sets a series; what has no value has no series.
    fn set(&self, family: &GaugeVec, more: &[&str], value: Option<f64>) -> Result<()> {
        match value.filter(|v| v.is_finite()) {
            Some(value) => set(family, &[&self.at, more].concat(), value),
            None => Ok(()),
        }
    }

    /// Sets a series unless an earlier rule gave it a value.
    fn first(
        &mut self,
        name: &'static str,
        family: &GaugeVec,
        subject: &'a str,
        more: &[&str],
        value: Option<f64>,
    ) -> Result<()> {
        if value.is_some() && self.seen.insert((name, subject)) { self.set(family, more, value) } else { Ok(()) }
    }

    fn result(&mut self, result: &'a RuleResult) -> Result<()> {
        let f = self.families;
        let subject = result.subject.as_str();
        self.set(&f.check_status, &[&result.rule, subject], Some(f64::from(result.status.rank())))?;
        let distance = || result.get("d").as_ref().and_then(Value::as_f64);
        match &*result.metric {
            "psi" => self.first("psi", &f.psi, subject, &[subject], result.value),
            "ks_p" => {
                let test = result.get("test");
                let test = test.as_ref().and_then(Value::as_str).unwrap_or("ks");
                self.first("p", &f.drift_pvalue, subject, &[subject, test], result.value)?;
                self.first("d", &f.ks_statistic, subject, &[subject], distance())
            }
            "ks_lcb" => self.first("d", &f.ks_statistic, subject, &[subject], distance()),
            "tpr_gap" => self.first("gap", &f.tpr_gap, subject, &[subject], result.value),
            "latency_p95_ms" => self.first("p95", &f.latency_p95, "", &[], result.value.map(|ms| ms / 1000.0)),
            "error_rate" => self.first("error", &f.error_ratio, "", &[], result.value),
            _ => Ok(()),
        }
    }

    /// The segments a result lists; how many there was no room for.
    fn segments(&mut self, result: &'a RuleResult) -> Result<usize> {
        let Some(Value::Array(listed)) = result.get("segments") else { return Ok(0) };
        let subject = result.subject.as_str();
        if listed.iter().all(|s| s.get("tpr").is_none()) {
            return Ok(0);
        }
        if !self.seen.insert(("tpr", subject)) {
            return Ok(0);
        }
        let rates = listed.iter().filter_map(|s| Some((s.get("segment")?.as_str()?, s.get("tpr")?.as_f64()?)));
        let not_listed = result.get("segments_left_out").and_then(|of| of.get("segments")?.as_u64()).unwrap_or(0);
        let mut left_out = usize::try_from(not_listed).unwrap_or(usize::MAX);
        for (segment, tpr) in rates {
            if self.segments == MAX_SEGMENTS {
                left_out += 1;
                continue;
            }
            self.segments += 1;
            self.set(&self.families.tpr, &[subject, segment], Some(tpr))?;
        }
        Ok(left_out)
    }
}
