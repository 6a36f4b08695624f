//! What a run was measured on: the machine, the versions of everything that took part, and the date.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The machine, versions and date, as they are written below results.
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_gib: f64,
    /// Names with their versions.
    pub versions: Vec<String>,
    pub date: String,
}

impl Machine {
    pub fn read(python: &Path) -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let line = |text: &str, name: &str| {
            let value = text.lines().find(|l| l.starts_with(name))?.split_once(':')?.1.trim().to_owned();
            Some(value)
        };
        let memory = line(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal");
        let kib = memory.and_then(|m| m.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0);
        let said = |command: &mut Command| {
            let out = command.output().ok()?;
            Some(String::from_utf8_lossy(&out.stdout).trim().to_owned())
        };
        let words = |text: String, n: usize| text.split_whitespace().take(n).collect::<Vec<_>>().join(" ");
        let mut versions: Vec<String> = Vec::new();
        versions.extend(said(Command::new("rustc").arg("--version")).map(|v| words(v, 2)));
        versions.push(format!("librdkafka {}", rdkafka::util::get_rdkafka_version().1));
        versions.extend(std::env::var("DRIFTGATE_BENCH_KAFKA_VERSION").ok().map(|v| format!("Apache Kafka {v}")));
        versions.extend(said(Command::new(python).arg("--version")));
        let requirements = fs::read_to_string(crate::settings::Settings::peer("requirements.txt")).unwrap_or_default();
        let pins = requirements.lines().filter_map(|l| l.split_once("=="));
        versions.extend(pins.map(|(name, version)| format!("{name} {version}")));
        Self {
            cpu: line(&cpu, "model name").unwrap_or_else(|| "an unknown processor".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kib / 1024.0 / 1024.0,
            versions,
            #[allow(clippy::disallowed_methods, reason = "the day of the measurement")]
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        }
    }

    /// `2 cores of AMD EPYC, 24 GiB`
    pub fn hardware(&self) -> String {
        let cores = if self.cores == 1 { "1 core".to_owned() } else { format!("{} cores", self.cores) };
        format!("{cores} of {}, {:.0} GiB", self.cpu, self.memory_gib)
    }
}
