//! A report as a web page: no script, no font, nothing that is loaded.

use std::fmt::Write;

use crate::quality::report::{CheckOutcome, QualityReport, Verdict};
use crate::text::escaped;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222;background:#fff}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4em .8em;border-bottom:1px solid #ddd;vertical-align:top}\
td.figure{text-align:right;font-variant-numeric:tabular-nums}.pass{color:#17692f}.warn{color:#8a5a00}.fail{color:#b00020}\
pre{margin:.3em 0;white-space:pre-wrap;overflow-wrap:anywhere;font-size:13px}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td{border-color:#444}.pass{color:#6fcf8a}.warn{color:#e0b050}.fail{color:#ff7b88}}";

pub(crate) fn page(report: &QualityReport) -> String {
    let name = escaped(&report.name);
    let verdict = if report.passed() { "passed" } else { "failed" };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Quality of {name}</title><style>{STYLE}</style></head>\n<body>\n<h1>Quality of {name}</h1>\n\
         <p>{} rows, {} checks: {verdict}.</p>\n<table>\n<thead><tr><th>Verdict</th><th>Check</th><th>Measured</th><th>Threshold</th><th>Bad rows</th></tr></thead>\n<tbody>\n",
        report.rows,
        report.checks.len()
    );
    for check in &report.checks {
        row(&mut page, check);
    }
    page.push_str("</tbody>\n</table>\n</body>\n</html>\n");
    page
}

fn row(page: &mut String, check: &CheckOutcome) {
    let (class, word) = match check.verdict {
        Verdict::Pass => ("pass", "pass"),
        Verdict::Warn => ("warn", "warning"),
        Verdict::Fail => ("fail", "failure"),
    };
    let figure = check.measured.map_or("–".to_owned(), |figure| figure.to_string());
    let bad = match check.bad {
        0 => String::new(),
        bad => format!("{bad} of {}", check.counted),
    };
    let mut examples = String::new();
    if !check.examples.is_empty() {
        examples.push_str("<details><summary>examples</summary>");
        for example in &check.examples {
            // Writing into a string does not fail.
            let _ = write!(
                examples,
                "<pre>row {}: {}</pre>",
                example.row,
                escaped(&example.record)
            );
        }
        examples.push_str("</details>");
    }
    let _ = writeln!(
        page,
        "<tr><td class=\"{class}\">{word}</td><td>{}{examples}</td><td class=\"figure\">{figure}</td><td>{}</td><td>{bad}</td></tr>",
        escaped(&check.check),
        check.threshold
    );
}
