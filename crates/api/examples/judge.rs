//! scratch
use std::io::BufRead;
fn main() {
    for line in std::io::stdin().lock().lines() {
        let v: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        match api::accept(&v) {
            Ok(_) => println!("OK"),
            Err(f) => println!("BAD {}", f.iter().map(|f| f.to_string()).collect::<Vec<_>>().join(" | ")),
        }
    }
}
