//! A seccomp filter that refuses io_uring, as the default profiles of container hosts do.
//!
//! Shared by the test of the refusal and by the example that runs any command under it.

use std::io;

/// Refuses the calls of io_uring with `errno` from now on, for this thread and what it starts.
///
/// Between fork and exec it may be called too: it allocates nothing.
pub fn refuse_io_uring(errno: libc::c_int) -> io::Result<()> {
    let refuse = libc::SECCOMP_RET_ERRNO | errno.unsigned_abs();
    // Numbers above 424 mean the same on every architecture, so the architecture is not checked.
    let filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        jump(libc::BPF_JGE, libc::SYS_io_uring_setup, 0, 2),
        jump(libc::BPF_JGT, libc::SYS_io_uring_register, 1, 0),
        statement(libc::BPF_RET | libc::BPF_K, refuse),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: PR_SET_NO_NEW_PRIVS takes numbers; PR_SET_SECCOMP reads a live program, whose length
    // is its array's, and does not write it.
    let results = unsafe {
        [
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program),
        ]
    };
    if results == [0, 0] { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A statement without a jump; what is loaded is the call's number, which stands first.
fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Compares the number with `call`, and skips `jt` statements if it holds, else `jf`.
fn jump(comparison: u32, call: libc::c_long, jt: u8, jf: u8) -> libc::sock_filter {
    let code = (libc::BPF_JMP | comparison | libc::BPF_K) as u16;
    libc::sock_filter { code, jt, jf, k: call as u32 }
}
