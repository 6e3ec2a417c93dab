//! A deterministic mutator: most inputs stay well-formed and change in meaning, the others change in their bytes. And the
//! run of a parser over its inputs, which other crates share.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use serde_json::{Value, json};

/// Pieces that parsers stumble over.
const BITS: [&[u8]; 20] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n\n",
    b"\r",
    b"\xff",
    b"\x00",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"\\u0041",
    b"null",
    b"-0.5e9",
    b"data: ",
    b"event: error\n",
    b"[DONE]",
];

/// Few enough for every save; `make fuzz` asks for a million.
const FEW: u64 = 500;

/// Runs `judge` over mutations of `seeds`, documents and streams; it tells whether an input came past the first stage.
pub fn run(parser: &str, seeds: &[&str], judge: impl FnMut(&[u8], &mut Mutator) -> bool) {
    run_over(parser, |mutator| mutator.input(seeds), judge);
}

/// The same over inputs of any kind.
pub fn run_over(
    parser: &str,
    mut make: impl FnMut(&mut Mutator) -> Vec<u8>,
    mut judge: impl FnMut(&[u8], &mut Mutator) -> bool,
) {
    let count = std::env::var("LLMROUTE_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(FEW);
    let mut mutator = Mutator::new(parser);
    let mut past = 0u64;
    for i in 0..count {
        let input = make(&mut mutator);
        match catch_unwind(AssertUnwindSafe(|| judge(&input, &mut mutator))) {
            Ok(is_past) => past += u64::from(is_past),
            Err(panic) => {
                eprintln!("{parser}, input {i}: {}", String::from_utf8_lossy(&input).escape_debug());
                resume_unwind(panic);
            }
        }
    }
    println!("{parser}: {count} inputs, {past} past the first stage");
    assert!(past * 2 >= count, "{parser}: only {past} of {count} past the first stage");
}

pub struct Mutator {
    state: u64,
}

impl Mutator {
    pub fn new(name: &str) -> Mutator {
        Mutator {
            state: name.bytes().fold(0x9e37_79b9_7f4a_7c15, |s, b| (s ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
                | 1,
        }
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % n
    }

    /// A mutation of one of `seeds`.
    pub fn input(&mut self, seeds: &[&str]) -> Vec<u8> {
        let seed = seeds[self.below(seeds.len())];
        match self.below(8) {
            0..3 => self.raw(seeds),
            _ if seed.contains("data:") => self.stream(seed, seeds),
            _ => self.document(seed, seeds),
        }
    }

    /// One of `seeds` as it is, or changed in its bytes.
    pub fn raw<S: AsRef<[u8]>>(&mut self, seeds: &[S]) -> Vec<u8> {
        let seed = seeds[self.below(seeds.len())].as_ref();
        if self.below(3) == 0 { seed.to_vec() } else { self.bytes(seed, seeds) }
    }

    fn bytes<S: AsRef<[u8]>>(&mut self, seed: &[u8], seeds: &[S]) -> Vec<u8> {
        let mut v = seed.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(v.len() + 1);
            let to = (at + self.below(24)).min(v.len());
            match self.below(6) {
                0 if at < v.len() => v[at] ^= 1 << self.below(8),
                1 => drop(v.drain(at..to)),
                2 => v.truncate(at),
                3 => {
                    let bit = BITS[self.below(BITS.len())];
                    v.splice(at..at, bit.iter().copied());
                }
                4 => {
                    let again = v[at..to].to_vec();
                    v.splice(at..at, again);
                }
                _ => {
                    let other = seeds[self.below(seeds.len())].as_ref();
                    let from = self.below(other.len());
                    v.splice(at..to, other[from..].iter().copied());
                }
            }
        }
        v
    }

    fn document(&mut self, seed: &str, seeds: &[&str]) -> Vec<u8> {
        let Ok(mut v) = serde_json::from_str::<Value>(seed) else { return seed.as_bytes().to_vec() };
        for _ in 0..=self.below(3) {
            let other = seeds[self.below(seeds.len())];
            self.change(&mut v, other);
        }
        v.to_string().into_bytes()
    }

    /// Events change inside, leave, come twice, swap places.
    fn stream(&mut self, seed: &str, seeds: &[&str]) -> Vec<u8> {
        let mut events: Vec<String> = seed.split_inclusive("\n\n").map(str::to_owned).collect();
        for _ in 0..=self.below(3) {
            let (i, j) = (self.below(events.len()), self.below(events.len()));
            match self.below(6) {
                0 if events.len() > 1 => drop(events.remove(i)),
                1 => events.insert(i, events[j].clone()),
                2 => events.swap(i, j),
                3 => {
                    let other = seeds[self.below(seeds.len())];
                    let theirs: Vec<&str> = other.split_inclusive("\n\n").collect();
                    events.insert(i, theirs[self.below(theirs.len())].to_owned());
                }
                _ => {
                    if let Some((head, data)) =
                        events[i].split_once("data: ").map(|(h, d)| (h.to_owned(), d.to_owned()))
                        && let Ok(mut v) = serde_json::from_str::<Value>(&data)
                    {
                        self.change(&mut v, &data);
                        events[i] = format!("{head}data: {v}\n\n");
                    }
                }
            }
        }
        events.concat().into_bytes()
    }

    /// Changes one value somewhere inside, never the whole.
    fn change(&mut self, v: &mut Value, other: &str) {
        let mut at = v;
        loop {
            let len = match &*at {
                Value::Object(map) => map.len(),
                Value::Array(list) => list.len(),
                _ => 0,
            };
            if len == 0 {
                return;
            }
            let i = self.below(len);
            let deeper = self.below(4) > 0;
            match at {
                Value::Object(map) => {
                    let Some(key) = map.keys().nth(i).cloned() else { return };
                    let holds = match &map[&key] {
                        Value::Object(map) => !map.is_empty(),
                        Value::Array(list) => !list.is_empty(),
                        _ => false,
                    };
                    if deeper && holds {
                        at = &mut map[&key];
                        continue;
                    }
                    match self.below(5) {
                        0 => drop(map.remove(&key)),
                        1 => {
                            let value = self.value(other);
                            map.insert(
                                ["type", "content", "text", "index", "error", "usage", "\u{e9}"][self.below(7)]
                                    .to_owned(),
                                value,
                            );
                        }
                        _ => map[&key] = self.value(other),
                    }
                }
                Value::Array(list) => {
                    if deeper && (list[i].is_object() || list[i].is_array()) {
                        at = &mut list[i];
                        continue;
                    }
                    match self.below(4) {
                        0 => drop(list.remove(i)),
                        1 => list.insert(i, list[i].clone()),
                        2 => list.reverse(),
                        _ => list[i] = self.value(other),
                    }
                }
                _ => {}
            }
            return;
        }
    }

    /// A value of some kind, or a part of another document.
    fn value(&mut self, other: &str) -> Value {
        match self.below(12) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!([]),
            3 => json!({}),
            4 => json!(""),
            5 => json!(" \n"),
            6 => json!(-1),
            7 => json!(u64::MAX),
            8 => json!(1.5e300),
            9 => json!("x\u{1f600}\"\\".repeat(1 + self.below(40))),
            10 => json!([["text"], {"type": "text", "text": "t"}]),
            _ => {
                let mut v = serde_json::from_str::<Value>(other).unwrap_or_default();
                for _ in 0..1 + self.below(4) {
                    v = match v {
                        Value::Object(map) if !map.is_empty() => {
                            let i = self.below(map.len());
                            map.into_iter().nth(i).map(|(_, v)| v).unwrap_or_default()
                        }
                        Value::Array(mut list) if !list.is_empty() => {
                            let i = self.below(list.len());
                            list.swap_remove(i)
                        }
                        whole => whole,
                    };
                }
                v
            }
        }
    }
}
