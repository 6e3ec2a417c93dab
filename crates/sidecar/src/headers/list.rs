//! The headers of one message: few, so a list costs less than a map.

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};

/// Headers in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List(Vec<(HeaderName, HeaderValue)>);

impl List {
    /// With room for so many.
    #[must_use]
    pub fn with_capacity(count: usize) -> List {
        List(Vec::with_capacity(count))
    }

    /// The first of its name.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// All of its name.
    pub fn get_all<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> + use<'a> {
        let name = name.clone();
        self.0.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Whether there is one of its name.
    #[must_use]
    pub fn has(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// Adds one that is not there yet, or one more of its name.
    pub fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// Sets one, in place of all of its name.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.retain(|(n, _)| *n != name);
        self.add(name, value);
    }

    /// Leaves those out that are not to stay.
    pub fn retain(&mut self, stays: impl Fn(&HeaderName, &HeaderValue) -> bool) {
        self.0.retain(|(name, value)| stays(name, value));
    }

    /// None is left.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// One after another.
    pub fn iter(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.0.iter()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As HTTP libraries have them.
    #[must_use]
    pub fn map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.0.len());
        self.0.iter().for_each(|(name, value)| _ = map.append(name.clone(), value.clone()));
        map
    }
}

impl From<&HeaderMap> for List {
    fn from(map: &HeaderMap) -> List {
        map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for List {
    fn from_iter<T: IntoIterator<Item = (HeaderName, HeaderValue)>>(headers: T) -> List {
        List(headers.into_iter().collect())
    }
}
