//! An allocator that counts what each thread asks for, so that others beside it do not matter.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, counted by thread.
pub struct Counting;

// Safety: every call goes to the system's allocator as it came; beside it only a number of this thread changes.
#[allow(unsafe_code, reason = "an allocator has no safe interface")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        hold(0, layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn note(taken: usize, given: usize) {
    // A thread that is ending counts no more.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
    hold(taken, given);
}

fn hold(taken: usize, given: usize) {
    let change = i64::try_from(taken).unwrap_or(i64::MAX) - i64::try_from(given).unwrap_or(i64::MAX);
    let _ = BYTES.try_with(|n| n.set(n.get() + change));
}

/// How often this thread asked for memory while it ran this.
pub fn allocations(run: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    run();
    ALLOCATIONS.with(Cell::get) - before
}

/// How many bytes more this thread holds after it ran this.
pub fn live_bytes(run: impl FnOnce()) -> i64 {
    let before = BYTES.with(Cell::get);
    run();
    BYTES.with(Cell::get) - before
}
