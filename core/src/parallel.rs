//! The same work on many things, on all cores: for cryptography in bulk, never on a packet's way.

use std::{num::NonZero, panic, thread};

/// Does `work` for each item and returns the results in order, or one of the errors.
pub(crate) fn on_all_cores<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = items.len().div_ceil(cores).max(1);
    let mut results = Vec::with_capacity(items.len());
    let run = |items: &[T]| items.iter().map(&work).collect::<Result<Vec<R>, E>>();
    let run = &run;
    thread::scope(|scope| {
        let threads: Vec<_> =
            items.chunks(share).map(|items| scope.spawn(move || run(items))).collect();
        for thread in threads {
            results.extend(thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))?);
        }
        Ok(results)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        let items: Vec<u32> = (0..1_001).collect();
        let doubled = on_all_cores(&items, |item| Ok::<_, ()>(item * 2)).unwrap();
        assert!(doubled.iter().zip(&items).all(|(doubled, item)| *doubled == item * 2));
        assert_eq!(doubled.len(), items.len());
        assert_eq!(on_all_cores(&[], |item: &u32| Ok::<_, ()>(*item)), Ok(vec![]));
    }

    #[test]
    fn one_error_is_the_outcome() {
        let work = |item: &u32| if *item == 70 { Err(*item) } else { Ok(*item) };
        assert_eq!(on_all_cores(&(0..100).collect::<Vec<_>>(), work), Err(70));
    }
}
