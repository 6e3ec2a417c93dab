//! Whole answers between any two formats.

use dialect::{Dialect, translate_answer};
use proptest::prelude::*;
use serde_json::Value;

use super::{any_arrow, context, heard, said::sayings};

/// An answer of the provider as the caller gets it.
pub fn answered(arrow: (Dialect, Dialect), answer: &Value) -> Value {
    let body = translate_answer(&context(arrow), answer.to_string().as_bytes()).unwrap().body;
    serde_json::from_slice(&body).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn t19_t20_t22_t36_t37_t46_what_is_said_arrives(saying in sayings(), arrow in any_arrow()) {
        let got = heard::plain(arrow.0, &answered(arrow, &saying.plain(arrow.1)));
        prop_assert_eq!(got, saying.said(arrow.0));
    }

    #[test]
    fn t37_there_and_back_is_the_same(mut saying in sayings(), (a, b) in any_arrow()) {
        // A count that is missing is zero to a Messages caller, who would send it on as one.
        saying.counts.get_or_insert_default();
        // What a wrote comes to b, and from b to a again: as often as one likes.
        let once = answered((b, a), &saying.plain(a));
        let twice = answered((b, a), &answered((a, b), &once));
        let said = |v: &Value| {
            let mut said = heard::plain(b, v);
            if a == Dialect::Chat {
                // It takes no thoughts.
                said.thought.clear();
            }
            said
        };
        prop_assert_eq!(said(&once), said(&twice));
    }
}
