//! Work on many items spread over threads, with the results in the items' order.

use std::panic::resume_unwind;
use std::sync::Mutex;
use std::thread;

/// Does `work` on each item, on at most so many threads; with one, on this thread.
pub fn each<T: Send, R: Send>(threads: usize, items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let threads = threads.min(items.len());
    if threads <= 1 {
        return items.into_iter().map(work).collect();
    }
    let left = Mutex::new(items.into_iter().enumerate());
    let next = || left.lock().ok()?.next();
    let part = || std::iter::from_fn(next).map(|(at, item)| (at, work(item))).collect::<Vec<_>>();
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(part)).collect();
        let mut done = part();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_items_order_on_any_number_of_threads() {
        for threads in [0, 1, 2, 3, 64] {
            let squares = each(threads, (0..40_u64).collect(), |i| i * i);
            assert_eq!(squares, (0..40).map(|i| i * i).collect::<Vec<_>>());
            assert!(each(threads, Vec::<u64>::new(), |i| i).is_empty());
        }
    }
}
