use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread runs a decoder whose panic becomes an error.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder of image files, and makes an error of its panic. The panic is not printed:
/// the error says what it said.
pub(super) fn catch_panic<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |panic| {
            if !CATCHING.get() {
                print(panic);
            }
        }));
    });
    CATCHING.set(true);
    let result = catch_unwind(AssertUnwindSafe(decode));
    CATCHING.set(false);
    result.unwrap_or_else(|panic| Err(format!("the decoder failed: {}", panic_message(&*panic))))
}

/// What a caught panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".into())
}

#[cfg(test)]
mod tests {
    use super::catch_panic;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(catch_panic(|| Ok(7)), Ok(7));
        let failed = catch_panic::<u8>(|| {
            let rows = [1, 2].len();
            panic!("row 3 of {rows}")
        });
        assert_eq!(failed, Err("the decoder failed: row 3 of 2".into()));
    }
}
