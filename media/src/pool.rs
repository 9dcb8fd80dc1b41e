//! Things that wait for use, shared by all conferences of a shard.

/// A bounded stock of things that are costly to make.
pub struct Pool<T> {
    idle: Vec<T>,
    made: usize,
    made_max: usize,
}

impl<T> Pool<T> {
    /// Makes an empty stock of at most `made_max` things.
    pub fn new(made_max: usize) -> Self {
        Self { idle: Vec::new(), made: 0, made_max }
    }

    /// Takes one, made if none is idle; `None` if all that there may be are in use.
    pub fn take(&mut self, make: impl FnOnce() -> T) -> Option<T> {
        if let Some(idle) = self.idle.pop() {
            return Some(idle);
        }
        if self.made == self.made_max {
            return None;
        }
        self.made += 1;
        self.idle.reserve(self.made);
        Some(make())
    }

    /// Gives one back.
    pub fn put_back(&mut self, value: T) {
        self.idle.push(value);
    }
}
