//! Settings of glibc's malloc.

/// Blocks of this size and smaller come back from the allocator as they were freed, in bytes; it keeps up to
/// twice as many free.
const KEPT: usize = 2 << 20;

/// Makes glibc keep what is freed, rather than give it to the system and fault it in again for the next events: a
/// tenth of what `pipe` costs.
///
/// Freeing a block that was mapped raises its thresholds to the block's size and twice that (mallopt(3), on
/// `M_MMAP_THRESHOLD`). Other allocators don't notice.
pub(crate) fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT)));
}
