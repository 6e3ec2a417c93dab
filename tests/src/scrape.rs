//! The metrics page, parsed.

use std::collections::BTreeMap;

/// Every sample of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Vec<Sample>);

/// One line of the page.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Metrics {
    /// Parses a page; a line that is no sample panics.
    pub fn parse(page: &str) -> Metrics {
        let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Metrics(lines.map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line}"))).collect())
    }

    /// The one sample of that name whose labels contain these.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.0.iter().find(|s| s.name == name && s.has(labels)).map(|s| s.value)
    }

    /// The sum of all samples of that name whose labels contain these.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.0.iter().filter(|s| s.name == name && s.has(labels)).map(|s| s.value).sum()
    }

    /// All samples of that name.
    pub fn all(&self, name: &str) -> Vec<&Sample> {
        self.0.iter().filter(|s| s.name == name).collect()
    }

    /// All names, each once.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.iter().map(|s| s.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Sample {
    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(*name).is_some_and(|v| v == value))
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (name, rest) = match line.find('{') {
        Some(open) => (&line[..open], &line[open + 1..]),
        None => {
            let (name, value) = line.split_once(' ')?;
            return Some(Sample { name: name.to_owned(), labels: BTreeMap::new(), value: number(value)? });
        }
    };
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(value) = rest.strip_prefix('}') {
            return Some(Sample { name: name.to_owned(), labels, value: number(value)? });
        }
        let (label, after) = rest.split_once("=\"")?;
        let end = (0..after.len()).find(|i| after.as_bytes()[*i] == b'"' && !after[..*i].ends_with('\\'))?;
        labels.insert(label.to_owned(), after[..end].to_owned());
        rest = &after[end + 1..];
    }
}

/// The value, without a timestamp or an exemplar behind it.
fn number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples() {
        let page =
            "# HELP a b\n# TYPE a gauge\na{x=\"1\",y=\"two, 2\"} 3.5\nb 1\nb_bucket{le=\"+Inf\"} 7 # {t=\"x\"} 1\n";
        let metrics = Metrics::parse(page);
        assert_eq!(metrics.get("a", &[("y", "two, 2")]), Some(3.5));
        assert_eq!(metrics.get("b", &[]), Some(1.0));
        assert_eq!(metrics.get("b_bucket", &[("le", "+Inf")]), Some(7.0));
        assert_eq!(metrics.names(), ["a", "b", "b_bucket"]);
    }
}
