//! A page printed as PDF by Chromium or Chrome, where there is one.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow, bail};

use crate::private;

/// How Chromium and Chrome are called on Linux and macOS.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
const MAC: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// The program that prints: what `CHROMIUM` names, or else the first in `PATH`.
///
/// # Errors
/// Where there is none.
pub fn find() -> anyhow::Result<PathBuf> {
    if let Some(named) = env::var_os("CHROMIUM").map(PathBuf::from) {
        if named.is_file() {
            return Ok(named);
        }
        bail!("CHROMIUM is {}, which is no file: name the program of Chromium or Chrome", named.display());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let all = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.chain([PathBuf::from(MAC)]).find(|program| program.is_file()).ok_or_else(|| {
        anyhow!(
            "--pdf needs Chromium or Chrome, and there is none in PATH: install one, name its program as CHROMIUM, or write --out and print the page \
             from a browser"
        )
    })
}

/// Prints a page into a file.
///
/// # Errors
/// A file that cannot be written, or a Chromium that fails.
pub fn print(program: &Path, page: &str, to: &Path) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be written", to.display());
    let to = std::path::absolute(to).with_context(cannot)?;
    let folder = scratch(&to).with_context(cannot)?;
    let printed = print_in(program, page, &to, &folder);
    // What is left behind where this fails is a page that the user has asked for.
    let _ = std::fs::remove_dir_all(&folder);
    printed
}

/// A folder for the page and for Chromium's profile, beside the result.
fn scratch(to: &Path) -> std::io::Result<PathBuf> {
    let name = to.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = to.with_file_name(format!(".{name}.{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    Ok(folder)
}

fn print_in(program: &Path, page: &str, to: &Path, folder: &Path) -> anyhow::Result<()> {
    let source = folder.join("page.html");
    private::write(&source, page.as_bytes()).with_context(|| format!("{} cannot be written", source.display()))?;
    let url =
        reqwest::Url::from_file_path(&source).map_err(|()| anyhow!("{} is no path of a file", source.display()))?;
    let printed = folder.join("page.pdf");
    let run = |more: &[&str]| {
        let flag = |name: &str, path: &Path| {
            let mut flag = std::ffi::OsString::from(name);
            flag.push(path);
            flag
        };
        Command::new(program)
            .args(["--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer"])
            .args(more)
            .arg(flag("--user-data-dir=", &folder.join("profile")))
            .arg(flag("--print-to-pdf=", &printed))
            .arg(url.as_str())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("{} cannot be started", program.display()))
    };
    let mut said = run(&[])?;
    if !printed.is_file() {
        // In a container, or as root, Chromium has no sandbox; the page is ours and has no script.
        said = run(&["--no-sandbox"])?;
    }
    if !printed.is_file() {
        let why = String::from_utf8_lossy(&said.stderr).lines().last().unwrap_or("it said nothing").trim().to_owned();
        bail!("{} did not print the page: {why}", program.display());
    }
    std::fs::rename(&printed, to).with_context(|| format!("{} cannot be written", to.display()))
}
