//! Lets newcomers in as long as the load allows.
//!
//! The load is read four times a second, and a thousand may ask between two readings: so those who
//! were just let in are reckoned with what a leg is likely to cost.

use super::board::LoadBoard;

/// A shard is at its limit.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "this node is at its limit (its media thread is busy {} % of the time); ask the host for another node, or try again in a minute",
    percent(.busy_share)
)]
pub(crate) struct Overload {
    /// The share of its time that its thread is busy, or will be once all who were let in send.
    pub(crate) busy_share: f64,
    /// Whether there may be room in a moment: the shard can still give up effort, or only waits for
    /// a core that others use.
    pub(crate) may_pass: bool,
}

/// Lets one newcomer in, or says why not.
///
/// # Errors
/// `Overload` if the shard is at its limit, or would be.
pub(crate) fn admit(board: &LoadBoard, load_max: f64) -> Result<(), Overload> {
    check(board, load_max)?;
    board.admit();
    Ok(())
}

/// Says whether a newcomer would be let in; counts nobody.
///
/// # Errors
/// As `admit`.
pub(crate) fn check(board: &LoadBoard, load_max: f64) -> Result<(), Overload> {
    if load_max >= 1.0 {
        return Ok(());
    }
    let load = board.peak_share();
    let expected = with_newcomers(board, load);
    if board.is_full() || expected > load_max {
        let busy_share = load.max(expected.min(1.0));
        let is_held_up = with_newcomers(board, board.used_share()) <= load_max;
        return Err(Overload { busy_share, may_pass: is_held_up || !board.is_at_end() });
    }
    Ok(())
}

/// Returns what becomes of a load when those who were just let in, and one more, are part of it.
fn with_newcomers(board: &LoadBoard, load: f64) -> f64 {
    load + (board.unsettled() + 1) as f64 * leg_cost(load, board.legs())
}

/// Returns what one more leg is likely to add to the load: as much as each has cost so far.
fn leg_cost(load: f64, legs: u32) -> f64 {
    (load / f64::from(legs.max(1))).clamp(LEG_COST_MIN, LEG_COST_MAX)
}

fn percent(share: &f64) -> u32 {
    (share * 100.0).round() as u32
}

/// The least that a leg costs, as a share of a core: a listener who is sent packets of 60 ms, 17 a
/// second at 3.0 µs.
const LEG_COST_MIN: f64 = 50e-6;

/// The most: a listener who is sent 50 packets a second and sends as many, on a machine five times
/// slower than ours. What a few talkers cost each is more, but is not what the next ones will.
const LEG_COST_MAX: f64 = 1e-3;

#[cfg(test)]
mod tests {
    use super::super::board::LoadFigures;
    use super::*;

    fn board(busy_share: f64, legs: usize, settled: u64) -> LoadBoard {
        let board = LoadBoard::default();
        read(&board, busy_share, legs, settled);
        board
    }

    fn read(board: &LoadBoard, busy_share: f64, legs: usize, settled: u64) {
        let figures = LoadFigures {
            busy_share,
            peak_share: busy_share,
            used_share: busy_share,
            ..LoadFigures::default()
        };
        board.publish(&figures, legs, settled);
    }

    fn admitted(board: &LoadBoard) -> usize {
        (0..100_000).take_while(|_| admit(board, 0.85).is_ok()).count()
    }

    #[test]
    fn burst_between_two_readings_stops_where_the_limit_would_be() {
        let board = board(0.425, 4_000, 0);
        let let_in = admitted(&board);
        assert!((3_995..=4_000).contains(&let_in), "{let_in}");
        read(&board, 0.84, 8_000, let_in as u64);
        assert!(admitted(&board) < 100);
    }

    #[test]
    fn empty_node_takes_a_burst_but_no_flood() {
        let let_in = admitted(&board(0.0, 0, 0));
        assert!((10_000..20_000).contains(&let_in), "{let_in}");
    }

    #[test]
    fn few_costly_talkers_do_not_speak_for_all_who_follow() {
        let let_in = admitted(&board(0.05, 4, 0));
        assert!((700..=800).contains(&let_in), "{let_in}");
    }

    #[test]
    fn refusal_says_how_busy_and_what_to_do() {
        let overload = check(&board(0.907, 5_000, 0), 0.85).unwrap_err();
        let text = overload.to_string();
        assert!(text.contains("busy 91 % of the time"), "{text}");
        assert!(text.contains("another node, or try again in a minute"), "{text}");
    }

    #[test]
    fn full_shard_refuses_until_it_says_otherwise() {
        let board = LoadBoard::default();
        let full = LoadFigures {
            is_full: true,
            busy_share: 0.9,
            peak_share: 0.9,
            used_share: 0.9,
            ..LoadFigures::default()
        };
        board.publish(&full, 10, 0);
        assert!(!admit(&board, 0.85).unwrap_err().may_pass);
        let climbing = LoadFigures { step_max: 9, ..full };
        board.publish(&climbing, 10, 0);
        assert!(admit(&board, 0.85).unwrap_err().may_pass);
        board.publish(&LoadFigures { used_share: 0.5, ..full }, 10, 0);
        let overload = admit(&board, 0.85).unwrap_err();
        assert!(overload.may_pass, "others do not use its core for ever");
        assert!(admit(&board, 1.0).is_ok(), "who sets 100 % wants nobody refused");
        read(&board, 0.5, 1_000, 1);
        assert!(admit(&board, 0.85).is_ok());
    }
}
