//! Panics in tasks of the sidecar or a simulator, which no test would see by itself.

use std::{panic, sync::Once};

use parking_lot::Mutex;

static SEEN: Mutex<Vec<String>> = Mutex::new(vec![]);
static HOOK: Once = Once::new();

/// Remembers from now on every panic that is not a test's own.
pub fn watch() {
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let own =
                info.location().is_some_and(|at| at.file().starts_with("tests/") || at.file().contains("/tests/"));
            if !own {
                SEEN.lock().push(info.to_string());
            }
            usual(info);
        }));
    });
}

/// Panics here if anything panicked elsewhere.
pub fn surface() {
    if std::thread::panicking() {
        return;
    }
    let seen = SEEN.lock();
    assert!(seen.is_empty(), "hidden panics: {seen:#?}");
}
