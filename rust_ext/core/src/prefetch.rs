//! Asking for memory ahead of its use.

/// Begins to fetch `value` into the cache. A processor waits for a load that it needs, not for this: random places in a
/// table larger than the cache, asked for some steps ahead, are fetched side by side. Nothing on other machines.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which fails at no address.
    unsafe {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
