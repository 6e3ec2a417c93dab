//! Strings with a form: each a newtype whose schema and whose judgement come from one [`Form`].

mod forms;
mod quantity;
mod url;

use std::{borrow::Cow, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub(crate) use forms::{FORMS, is_header_name, is_label_key, reserved_header};
pub(crate) use quantity::{duration, factor_percent, percent, ratio, temperature_milli};
pub(crate) use url::base_url;

/// A form that a string must have: how the API server checks it, and how we do.
pub(crate) struct Form {
    /// For the schema; also tells the walker which form a field has.
    pub(crate) pattern: &'static str,
    /// Longest, in characters.
    pub(crate) max_length: usize,
    /// What the pattern cannot say, for the API server.
    pub(crate) extra: Option<Extra>,
    /// What is wrong with a string, such as `is not a duration`.
    pub(crate) judge: fn(&str) -> Result<(), &'static str>,
    /// What to write instead.
    pub(crate) remedy: &'static str,
}

/// What a pattern cannot say, for the API server.
pub(crate) struct Extra {
    /// `format` of the schema, where the rule needs the string typed.
    pub(crate) format: Option<&'static str>,
    /// CEL over `self`.
    pub(crate) rule: &'static str,
    /// Shown when the rule fails.
    pub(crate) message: &'static str,
}

impl Form {
    fn schema(&self) -> Schema {
        let mut schema =
            schemars::json_schema!({"type": "string", "pattern": self.pattern, "maxLength": self.max_length});
        if let Some(Extra { format, rule, message }) = &self.extra {
            if let Some(format) = format {
                schema.insert("format".into(), (*format).into());
            }
            let rules = serde_json::json!([{"rule": rule, "message": message}]);
            schema.insert("x-kubernetes-validations".into(), rules);
        }
        schema
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $form:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                forms::$form.schema()
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

texts! {
    /// A path under `/v1`.
    ApiPath = API_PATH;
    /// A factor such as `1.5`.
    Factor = FACTOR;
    /// Name of an HTTP header.
    HeaderName = HEADER_NAME;
    /// Value of an HTTP header.
    HeaderValue = HEADER_VALUE;
    /// A point in time, such as `2027-01-31T18:00:00Z`.
    Instant = INSTANT;
    /// Key of a Secret: a file name.
    KeyName = KEY_NAME;
    /// Key of a label.
    LabelKey = LABEL_KEY;
    /// Value of a label.
    LabelValue = LABEL_VALUE;
    /// A model as on the wire.
    ModelName = MODEL_NAME;
    /// Name of a thing of the policy.
    Name = NAME;
    /// Name of a Kubernetes object.
    ObjectName = OBJECT_NAME;
    /// USD per million tokens.
    PerMTok = PER_MTOK;
    /// A percentage such as `99.5`.
    Percent = PERCENT;
    /// A share from `0` to `1`.
    Ratio = RATIO;
    /// A sentence by a human.
    Reason = REASON;
    /// A share above `0`, up to `1`.
    Share = SHARE;
    /// A duration from 1ms to 31d.
    Span = SPAN;
    /// Sampling temperature, `0` to `2`.
    Temperature = TEMPERATURE;
    /// A base URL.
    Url = URL;
    /// An amount of USD.
    Usd = USD;
    /// A CEL condition over the facts of a request.
    When = WHEN;
    /// A duration from 5s to 31d.
    Window = WINDOW;
}

#[cfg(test)]
mod tests;
