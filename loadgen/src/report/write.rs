//! Records into a folder and out of folders.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::check::{Bound, Check};
use super::model::Record;
use super::page;

/// Writes `report.json` and `report.html` of one run into `dir`, which is made if need be.
///
/// # Errors
/// `ReportError` with the file that could not be written.
pub fn write(record: &Record, dir: &Path) -> Result<(), ReportError> {
    let json = record.to_json().map_err(ReportError::Json)?;
    write_both(dir, &json, &page::run_page(record))
}

/// Writes `report.json` and `report.html` of several runs beside each other.
///
/// # Errors
/// As [`write()`].
pub fn write_comparison(records: &[Record], dir: &Path) -> Result<(), ReportError> {
    let ratios = ratios(records);
    let held = !records.is_empty() && records.iter().all(|record| record.held);
    let runs: Vec<_> = records.iter().map(summary).collect::<Result<_, _>>()?;
    let all = serde_json::json!({ "held": held, "runs": runs, "ratios": ratios });
    let json = serde_json::to_string_pretty(&all).map_err(ReportError::Json)? + "\n";
    write_both(dir, &json, &page::comparison_page(records, &ratios))
}

/// Reads the record of the run in `dir`.
///
/// # Errors
/// `ReportError` naming the file, if it is missing or no record.
pub fn read(dir: &Path) -> Result<Record, ReportError> {
    let file = dir.join(JSON);
    let text =
        fs::read(&file).map_err(|source| ReportError::Read { file: file.clone(), source })?;
    serde_json::from_slice(&text).map_err(|source| ReportError::NoRecord { file, source })
}

fn write_both(dir: &Path, json: &str, html: &str) -> Result<(), ReportError> {
    let failed = |file: PathBuf| move |source| ReportError::Write { file, source };
    fs::create_dir_all(dir).map_err(failed(dir.to_owned()))?;
    for (name, text) in [(JSON, json), (HTML, html)] {
        let file = dir.join(name);
        fs::write(&file, text).map_err(failed(file))?;
    }
    Ok(())
}

/// A record without what only its own page draws, and with its name.
fn summary(record: &Record) -> Result<serde_json::Value, ReportError> {
    let mut value = serde_json::to_value(record).map_err(ReportError::Json)?;
    if let Some(fields) = value.as_object_mut() {
        for only_drawn in ["series", "lateness", "added_delay", "worst_members"] {
            fields.remove(only_drawn);
        }
        fields.insert("name".into(), record.name().into());
    }
    Ok(value)
}

/// CPU with packets of 60 ms against 20 ms, for each pair of runs that are alike otherwise and so
/// large that encodes are a small part.
fn ratios(records: &[Record]) -> Vec<Check> {
    let with = |ms: &'static str| {
        records.iter().filter(move |record| record.parameters.listener_packet == ms)
    };
    let pairs = with("60").flat_map(|long| with("20").map(move |short| (long, short)));
    pairs
        .filter(|(long, short)| size(long) == size(short) && long.members >= MEMBERS_60_MS)
        .map(|(long, short)| {
            let cpu = |record: &Record| record.node_cpu_ms_per_member_second;
            let ratio = cpu(long).zip(cpu(short)).map(|(long, short)| long / short);
            let name = format!("{}: node CPU against packets of 20 ms", long.name());
            Check::new(&name, ratio, CPU_60_MS, "times")
        })
        .collect()
}

fn size(record: &Record) -> (u32, u32, u32, Option<u32>) {
    (record.conferences, record.members, record.talkers, record.parameters.complexity)
}

/// A third of the packets, and the same encodes.
const CPU_60_MS: Bound = Bound::AtMost(0.45);
const MEMBERS_60_MS: u32 = 3_000;

const JSON: &str = "report.json";
const HTML: &str = "report.html";

/// Why a report was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file is not there, or may not be read.
    #[error("cannot read {}: {source}; give the folder that a run wrote with --out", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is there and holds something else.
    #[error("{} is not the report of a run ({source}); repeat that run", file.display())]
    NoRecord {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {source}; choose another folder with --out", file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A record has no JSON.
    #[error("a record cannot be written as JSON: {0}")]
    Json(#[source] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn written_run_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let record = sample::judged(|_| {});
        let out = dir.path().join("deep/run");
        write(&record, &out).unwrap();
        assert_eq!(read(&out).unwrap(), record);
        let page = fs::read_to_string(out.join(HTML)).unwrap();
        assert!(page.contains("Held: 1,000 members"));
    }

    #[test]
    fn missing_and_broken_reports_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = read(dir.path()).unwrap_err().to_string();
        assert!(missing.contains("report.json") && missing.contains("--out"), "{missing}");
        fs::write(dir.path().join(JSON), "{\"held\": true}").unwrap();
        let broken = read(dir.path()).unwrap_err().to_string();
        assert!(broken.contains("report.json") && broken.contains("missing field"), "{broken}");
        fs::write(dir.path().join(JSON), "<html>").unwrap();
        assert!(matches!(read(dir.path()), Err(ReportError::NoRecord { .. })));
    }

    #[test]
    fn folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write(&sample::judged(|_| {}), &file).unwrap_err().to_string();
        assert!(error.contains(&*file.to_string_lossy()), "{error}");
    }

    #[test]
    fn comparison_holds_if_every_run_does() {
        let dir = tempfile::tempdir().unwrap();
        let held = |records: &[Record]| -> bool {
            write_comparison(records, dir.path()).unwrap();
            let text = fs::read_to_string(dir.path().join(JSON)).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["runs"].as_array().unwrap().len(), records.len());
            value["held"].as_bool().unwrap()
        };
        let (good, bad) = (sample::judged(|_| {}), sample::judged(|record| record.lost = Some(1)));
        assert!(held(&[good.clone(), good.clone()]));
        assert!(!held(&[good, bad]));
        assert!(!held(&[]));
    }

    #[test]
    fn long_packets_are_held_against_short_ones_of_the_same_size() {
        let run = |ms: &str, members: u32, cpu: f64| {
            sample::judged(|record| {
                record.parameters.listener_packet = ms.into();
                record.members = members;
                record.node_cpu_ms_per_member_second = Some(cpu);
            })
        };
        let runs = [run("20", 3_000, 0.2), run("60", 3_000, 0.08), run("60", 4_000, 0.1)];
        let checks = ratios(&runs);
        assert_eq!(checks.len(), 1);
        assert!(checks[0].ok && (checks[0].value.unwrap() - 0.4).abs() < 1e-9);
        assert!(!ratios(&[run("20", 3_000, 0.2), run("60", 3_000, 0.1)])[0].ok);
        assert!(ratios(&[run("20", 100, 0.2), run("60", 100, 0.1)]).is_empty());
    }
}
