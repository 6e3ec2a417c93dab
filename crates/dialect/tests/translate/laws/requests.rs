//! Requests of what all formats can say, between any two.

use proptest::prelude::*;
use serde_json::Value;

use super::{any_arrow, asked::asked, read::read, translated};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn t07_to_t22_what_is_asked_arrives_and_comes_back(asked in asked(), arrow in any_arrow()) {
        let (caller, provider) = arrow;
        let body = asked.written(caller);
        prop_assert_eq!(read(caller, &body), asked.clone(), "the reader reads the writer");
        let there = translated(caller, provider, &body);
        let sent: Value = serde_json::from_slice(&there.body.concat()).unwrap();
        prop_assert_eq!(&there.dropped, &Vec::<String>::new());
        prop_assert_eq!(read(provider, &sent), asked.clone());
        let back = translated(provider, caller, &sent);
        let again: Value = serde_json::from_slice(&back.body.concat()).unwrap();
        prop_assert_eq!(&back.dropped, &Vec::<String>::new());
        prop_assert_eq!(read(caller, &again), asked);
        // From here on nothing changes any more.
        prop_assert_eq!(translated(caller, provider, &again).body.concat(), there.body.concat());
    }
}
