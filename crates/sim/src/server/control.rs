//! The simulator's own pages under `/sim/`.

use serde_json::{Value, json};

use crate::fault::{self, Fault, Head, Step};
use crate::script;
use crate::state::{Dark, State};
use crate::vendor::Vendor;

/// Answers one of them.
pub(super) fn answer(state: &State, method: &str, path: &str, body: &[u8]) -> (Head, Vec<Step>) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let param =
        |name: &str| query.split('&').find_map(|pair| pair.split_once('=').filter(|(n, _)| *n == name)).map(|(_, v)| v);
    let done = |what: Result<Value, String>| match what {
        Ok(value) => fault::plain(200, value.to_string()),
        Err(why) => fault::plain(400, json!({"error": why}).to_string()),
    };
    match (method, path) {
        ("POST", "/sim/script") => done(set_script(state, body)),
        ("POST", "/sim/dark") => done(which(param("vendor")).and_then(|vendor| {
            let how = match param("mode") {
                None | Some("silent") => Dark::Silent,
                Some("refuse") => Dark::Refuses,
                Some(other) => return Err(format!("mode is `silent` or `refuse`, not `{other}`")),
            };
            state.set_dark(vendor, Some(how));
            Ok(json!({"dark": vendor.map_or("all", Vendor::name)}))
        })),
        ("POST", "/sim/light") => done(which(param("vendor")).map(|vendor| {
            state.set_dark(vendor, None);
            json!({"light": vendor.map_or("all", Vendor::name)})
        })),
        ("POST", "/sim/reset") => {
            state.reset();
            done(Ok(json!({"reset": true})))
        }
        ("GET", "/sim/log") => {
            let since = param("since").and_then(|seq| seq.parse().ok()).unwrap_or(0);
            let entries: Vec<_> = state.log.lock().entries().into_iter().filter(|entry| entry.seq > since).collect();
            done(serde_json::to_value(entries).map_err(|e| e.to_string()))
        }
        ("GET", "/sim/bill") => {
            let mut bill = serde_json::to_value(&*state.bill.lock()).map_err(|e| e.to_string());
            if let Ok(bill) = &mut bill {
                bill["now_us"] = state.now().us.into();
            }
            done(bill)
        }
        ("GET", "/sim/faults") => {
            done(Ok(Fault::ALL.iter().map(|fault| json!({"name": fault.name(), "help": fault.help()})).collect()))
        }
        _ => fault::plain(404, json!({"error": format!("no {method} {path}; see --help")}).to_string()),
    }
}

fn which(vendor: Option<&str>) -> Result<Option<Vendor>, String> {
    match vendor {
        None | Some("" | "all") => Ok(None),
        Some(name) => Vendor::by_name(name).map(Some).ok_or_else(|| format!("no vendor is called `{name}`")),
    }
}

fn set_script(state: &State, body: &[u8]) -> Result<Value, String> {
    let value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let (rules, seed) = script::parse(&value)?;
    let count = rules.len();
    state.set_script(rules, seed);
    Ok(json!({"rules": count}))
}
