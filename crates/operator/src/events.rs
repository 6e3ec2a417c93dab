//! Events, told once: the same one soon again is counted, and of one object no more are told than a person reads.

use std::{collections::HashMap, time::Duration};

use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use parking_lot::Mutex;

use crate::{
    clock,
    fleet::cut,
    reconcile::{Failed, call},
    status::News,
};

/// The API server takes no longer note.
const MAX_NOTE: usize = 1024;
/// So long the same event is counted rather than told anew.
const SAME: Duration = Duration::from_secs(600);
/// Events that are remembered; the oldest is forgotten first.
const MOST: usize = 4096;
/// So many events of one reason an object may have at once, and one more each time that passes: as client-go's recorders
/// (`EventSourceObjectSpamFilter`) have it, but by reason, so that what is frequent hides nothing that is rare.
const BURST: (f64, Duration) = (25.0, Duration::from_secs(60));
/// Who tells.
const CONTROLLER: &str = "llmroute.dev/operator";

/// Tells events.
pub struct Events {
    client: Client,
    /// This replica.
    instance: String,
    recent: Mutex<Recent>,
    allowed: Mutex<Allowed>,
}

/// What an object may still tell, by its uid and a reason.
#[derive(Debug, Default)]
struct Allowed(HashMap<(String, String), (f64, Duration)>);

impl Allowed {
    /// Whether one more may be told at `now`.
    fn one(&mut self, object: &str, reason: &str, now: Duration) -> bool {
        let (most, refill) = BURST;
        let left = |(left, at): (f64, Duration)| {
            (left + now.saturating_sub(at).as_secs_f64() / refill.as_secs_f64()).min(most)
        };
        if self.0.len() >= MOST {
            self.0.retain(|_, then| left(*then) < most);
        }
        // Too many even so: all may tell again.
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let place = self.0.entry((object.to_owned(), reason.to_owned())).or_insert((most, now));
        let now_left = left(*place);
        let may = now_left >= 1.0;
        *place = (if may { now_left - 1.0 } else { now_left }, now);
        may
    }
}

/// What was told lately.
#[derive(Debug, Default)]
struct Recent(HashMap<Key, Told>);

type Key = (String, String, String);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    name: String,
    count: i32,
    last: Duration,
}

impl Recent {
    /// The event that is to be counted once more, if it was told lately.
    fn again(&mut self, key: &Key, now: Duration) -> Option<Told> {
        let told = self.0.get_mut(key).filter(|told| now.saturating_sub(told.last) < SAME)?;
        (told.count, told.last) = (told.count.saturating_add(1), now);
        Some(told.clone())
    }

    fn remember(&mut self, key: Key, name: String, now: Duration) {
        self.0.retain(|_, told| now.saturating_sub(told.last) < SAME);
        if self.0.len() >= MOST
            && let Some(oldest) = self.0.iter().min_by_key(|(_, told)| told.last).map(|(key, _)| key.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert(key, Told { name, count: 1, last: now });
    }
}

impl Events {
    /// In the name of this replica.
    #[must_use]
    pub fn new(client: Client, instance: String) -> Events {
        Events { client, instance, recent: Mutex::default(), allowed: Mutex::default() }
    }

    /// Tells what happened to an object.
    ///
    /// # Errors
    /// The API server refuses it, or does not answer.
    pub async fn tell(&self, about: &ObjectReference, news: &News) -> Result<(), Failed> {
        let News { warning, reason, message } = news;
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let key = (about.uid.clone().unwrap_or_default(), reason.clone(), message.clone());
        let (now, at) = (clock::now(), clock::timestamp());
        if !self.allowed.lock().one(&key.0, reason, now) {
            return Ok(());
        }
        let again = self.recent.lock().again(&key, now);
        if let Some(Told { name, count, .. }) = again {
            let series = EventSeries { count, last_observed_time: MicroTime(at) };
            let patch = serde_json::json!({"series": series});
            let counted =
                call("count an event", events.patch(&name, &PatchParams::default(), &Patch::Merge(patch))).await;
            // One that is gone by now is told anew.
            if !matches!(&counted, Err(Failed::Api { error: kube::Error::Api(status), .. }) if status.code == 404) {
                return counted.map(|_| ());
            }
        }
        let event = self.event(about, namespace, *warning, reason, message, at);
        let name = event.metadata.name.clone().unwrap_or_default();
        call("write an event", events.create(&PostParams::default(), &event)).await?;
        self.recent.lock().remember(key, name, now);
        Ok(())
    }

    fn event(
        &self,
        about: &ObjectReference,
        namespace: &str,
        warning: bool,
        reason: &str,
        message: &str,
        at: Timestamp,
    ) -> Event {
        let object = about.name.as_deref().unwrap_or_default();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{:x}", cut(object.to_owned(), 200), at.as_nanosecond())),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            action: Some("Reconcile".to_owned()),
            event_time: Some(MicroTime(at)),
            note: Some(cut(message.to_owned(), MAX_NOTE)),
            reason: Some(reason.to_owned()),
            regarding: Some(about.clone()),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(cut(self.instance.clone(), 128)),
            type_: Some(if warning { "Warning" } else { "Normal" }.to_owned()),
            ..Event::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Key {
        (format!("uid-{n}"), "Invalid".to_owned(), "no".to_owned())
    }

    #[test]
    fn the_same_event_soon_again_is_counted() {
        let mut recent = Recent::default();
        let at = Duration::from_secs;
        assert_eq!(recent.again(&key(1), at(0)), None);
        recent.remember(key(1), "first".into(), at(0));
        let told = |count, last| Some(Told { name: "first".into(), count, last: at(last) });
        assert_eq!(recent.again(&key(1), at(500)), told(2, 500));
        assert_eq!(recent.again(&key(1), at(1000)), told(3, 1000), "a series goes on as long as it is told");
        assert_eq!(recent.again(&key(2), at(1000)), None, "another object");
        assert_eq!(recent.again(&key(1), at(1600)), None, "long after");
    }

    #[test]
    fn an_object_tells_no_more_than_a_person_reads() {
        let mut allowed = Allowed::default();
        let mut told = |object: &str, reason: &str, n: usize, second: u64| {
            (0..n).filter(|_| allowed.one(object, reason, Duration::from_secs(second))).count()
        };
        assert_eq!(told("a", "Programmed", 1000, 0), 25);
        assert_eq!((told("a", "Invalid", 3, 0), told("b", "Programmed", 3, 0)), (3, 3), "others are not held back");
        assert_eq!(told("a", "Programmed", 10, 59), 0);
        assert_eq!(told("a", "Programmed", 10, 60), 1);
        assert_eq!(told("a", "Programmed", 1000, 1_000_000), 25);
        for n in 0..MOST * 2 {
            allowed.one(&n.to_string(), "x", Duration::from_secs(2_000_000 + n as u64));
        }
        assert!(allowed.0.len() <= MOST);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut recent = Recent::default();
        for n in 0..MOST + 10 {
            recent.remember(key(n), String::new(), Duration::from_millis(n as u64));
        }
        assert_eq!(recent.0.len(), MOST);
        assert!(!recent.0.contains_key(&key(0)) && recent.0.contains_key(&key(MOST + 9)));
    }
}
