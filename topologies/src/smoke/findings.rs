//! What was checked, and what did not hold.

use serde::{Deserialize, Serialize};

use super::documents::COUNT;

/// A check that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub check: String,
    /// Path of the document; empty where it is about all of them.
    pub document: String,
    pub detail: String,
}

#[derive(Debug, Default)]
pub struct Findings {
    pub checks: u64,
    pub failures: Vec<Failed>,
}

impl Findings {
    pub fn check(
        &mut self,
        check: &str,
        document: &str,
        holds: bool,
        detail: impl FnOnce() -> String,
    ) {
        self.checks += 1;
        if !holds {
            self.failures.push(Failed {
                check: check.to_owned(),
                document: document.to_owned(),
                detail: detail(),
            });
        }
    }

    pub fn fail(&mut self, check: &str, document: &str, detail: impl Into<String>) {
        let detail = detail.into();
        self.check(check, document, false, || detail);
    }
}

/// Scripts rely on these fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub passed: bool,
    /// Of the test's own.
    pub group: String,
    pub documents: usize,
    pub chunks: usize,
    pub checks: u64,
    pub failures: Vec<Failed>,
    /// Documents that could not be removed again.
    pub left: usize,
    pub seconds: f64,
}

impl Verdict {
    pub fn exit_code(&self) -> u8 {
        if self.passed { 0 } else { 2 }
    }

    /// The verdict is the first line.
    pub fn print(&self) -> String {
        const MOST: usize = 20;
        let (failed, checks) = (self.failures.len(), self.checks);
        let mut out = match self.passed {
            true => format!(
                "smoke passed: {COUNT} documents, {} chunks, {checks} checks in both stores, all forgotten again, {:.1} s\n",
                self.chunks, self.seconds
            ),
            false => format!(
                "smoke FAILED: {failed} of {checks} checks, {:.1} s\n",
                self.seconds
            ),
        };
        for it in self.failures.iter().take(MOST) {
            let document = match it.document.as_str() {
                "" => String::new(),
                path => format!(" {path}"),
            };
            out.push_str(&format!("  {}{document}: {}\n", it.check, it.detail));
        }
        if failed > MOST {
            out.push_str(&format!("  and {} more: --json tells all\n", failed - MOST));
        }
        if self.left > 0 {
            out.push_str(&format!(
                "  {} documents are left: penstock forget --group {} removes them\n",
                self.left, self.group
            ));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_names_what_did_not_hold() {
        let mut findings = Findings::default();
        findings.check("points", "a.md", true, || unreachable!());
        findings.check("points", "b.md", false, || "0, expected 2".to_owned());
        let verdict = |findings: &Findings, left| Verdict {
            passed: findings.failures.is_empty() && left == 0,
            group: "smoke-1".to_owned(),
            documents: COUNT,
            chunks: 30,
            checks: findings.checks,
            failures: findings.failures.clone(),
            left,
            seconds: 1.25,
        };
        let failed = verdict(&findings, 3);
        assert_eq!(failed.exit_code(), 2);
        assert_eq!(
            failed.print(),
            "smoke FAILED: 1 of 2 checks, 1.2 s\n  points b.md: 0, expected 2\n  \
             3 documents are left: penstock forget --group smoke-1 removes them\n"
        );
        let passed = verdict(&Findings::default(), 0);
        assert_eq!((passed.exit_code(), passed.print().lines().count()), (0, 1));
    }
}
