//! Finds contradictions in a history, whatever the order in which the server took
//! overlapping calls.
//!
//! A call precedes another if it was answered before the other was made, by a counter that
//! all clients share; all other calls count as simultaneous.

/// One call and its answer.
#[derive(Clone, Debug)]
pub struct Event {
    pub invoked: u64,
    pub answered: u64,
    pub what: Action,
    pub answer: Answer,
}

/// A call; tokens and users are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The login of a user, which returns the token that begins a session.
    Login(usize),
    Refresh(usize),
    Logout(usize),
    RevokeOthers(usize),
    ChangePassword(usize),
    Verify(usize),
    /// Asks whether the owner of the token has the permission that the role grants.
    Check(usize),
    Disable(usize),
    Enable(usize),
    Assign(usize),
    Revoke(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The call succeeded: done, active, or allowed.
    Yes,
    No,
    /// The call was throttled, or the server was too busy.
    Unknown,
}

/// The owner of a token, and the token that its session began with.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    pub user: usize,
    pub session: usize,
    /// The time of the answer that contained the token.
    pub answered: u64,
}

pub struct History {
    /// Whether a second use of a refresh token ends its session, because there is no grace.
    pub is_strict: bool,
    pub events: Vec<Event>,
    pub tokens: Vec<Owner>,
}

use Action::*;
use Answer::{No, Yes};

impl History {
    /// Returns the first contradiction, if any.
    pub fn check(&self) -> Result<(), String> {
        for event in &self.events {
            let wrong = match (event.what, event.answer) {
                (Refresh(token), Yes) => self.used_twice(event, token).or(self.ended(event, token)),
                (Verify(token) | RevokeOthers(token) | ChangePassword(token), Yes) => {
                    self.ended(event, token).or(self.disabled(event, token))
                }
                (Refresh(token) | Verify(token) | RevokeOthers(token), No) => {
                    self.ended_without_cause(event, token)
                }
                (Check(token), Yes) => self.ended(event, token).or(self.not_granted(event, token)),
                (Login(user), Yes) => self.stays_disabled(event, user),
                _ => None,
            };
            if let Some(wrong) = wrong {
                return Err(format!("{wrong}: {event:?}"));
            }
        }
        Ok(())
    }

    /// Counts the events of a kind with this answer.
    pub fn count(&self, what: impl Fn(&Action) -> bool, answer: Answer) -> usize {
        let events = self.events.iter();
        events
            .filter(|event| what(&event.what) && event.answer == answer)
            .count()
    }

    fn used_twice(&self, event: &Event, token: usize) -> Option<String> {
        if !self.is_strict {
            return None;
        }
        let uses = self.events.iter().filter(|other| {
            other.what == Refresh(token) && other.answer == Yes && !std::ptr::eq(*other, event)
        });
        let other = uses.into_iter().next()?;
        Some(format!(
            "a refresh token was accepted twice, also by {other:?}"
        ))
    }

    /// An earlier answer showed that the session is over, which is final.
    fn ended(&self, event: &Event, token: usize) -> Option<String> {
        let owner = self.tokens[token];
        let ender = self
            .events
            .iter()
            .find(|other| other.answered < event.invoked && self.shows_ended(other, owner))?;
        Some(format!("a session went on that was ended, by {ender:?}"))
    }

    /// Returns whether this answer shows that the session is over.
    fn shows_ended(&self, event: &Event, owner: Owner) -> bool {
        let own = |token: usize| self.tokens[token].session == owner.session;
        let had_begun = || self.tokens[owner.session].answered < event.invoked;
        match (event.what, event.answer) {
            (Logout(token), Yes) => own(token),
            (Refresh(token) | Verify(token) | RevokeOthers(token) | ChangePassword(token), No) => {
                own(token)
            }
            (RevokeOthers(token) | ChangePassword(token), Yes) => {
                self.tokens[token].user == owner.user && !own(token) && had_begun()
            }
            (Disable(user), Yes) => user == owner.user && had_begun(),
            _ => false,
        }
    }

    fn disabled(&self, event: &Event, token: usize) -> Option<String> {
        self.stays_disabled(event, self.tokens[token].user)
    }

    /// The account was disabled before, and no call can have enabled it since.
    fn stays_disabled(&self, event: &Event, user: usize) -> Option<String> {
        let disabled = self.events.iter().find(|disable| {
            let enabled_since = || {
                self.events.iter().any(|enable| {
                    enable.what == Enable(user)
                        && enable.answered > disable.invoked
                        && enable.invoked < event.answered
                })
            };
            disable.what == Disable(user)
                && disable.answer == Yes
                && disable.answered < event.invoked
                && !enabled_since()
        })?;
        Some(format!("a disabled account was of use after {disabled:?}"))
    }

    fn not_granted(&self, event: &Event, token: usize) -> Option<String> {
        let user = self.tokens[token].user;
        let granted = self.events.iter().any(|assign| {
            let revoked_since = || {
                self.events.iter().any(|revoke| {
                    revoke.what == Revoke(user)
                        && revoke.answer == Yes
                        && assign.answered < revoke.invoked
                        && revoke.answered < event.invoked
                })
            };
            assign.what == Assign(user)
                && assign.answer != No
                && assign.invoked < event.answered
                && !revoked_since()
        });
        (!granted).then(|| "a permission was allowed that was never granted".to_owned())
    }

    /// A session does not end without a cause.
    fn ended_without_cause(&self, event: &Event, token: usize) -> Option<String> {
        let owner = self.tokens[token];
        let own = |token: usize| self.tokens[token].session == owner.session;
        let uses = |token: usize| {
            let before = self.events.iter();
            before
                .filter(|other| other.what == Refresh(token) && other.invoked < event.answered)
                .count()
        };
        let has_reason = self.events.iter().any(|other| {
            let may_end = match other.what {
                Logout(token) => own(token),
                Refresh(token) => self.is_strict && own(token) && uses(token) > 1,
                RevokeOthers(token) | ChangePassword(token) => {
                    self.tokens[token].user == owner.user && !own(token)
                }
                Disable(user) => user == owner.user,
                _ => false,
            };
            // A replay is refused and ends the session.
            let happened = other.answer != No || matches!(other.what, Refresh(_));
            may_end && happened && other.invoked < event.answered
        });
        (!has_reason).then(|| "a session was over although no call had ended it".to_owned())
    }
}

/// Tests that the check finds contradictions, and nothing else.
#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the steps one after the other for one user with two sessions: tokens 0 and 1;
    /// token 2 is the result of refreshing token 0.
    fn check(is_strict: bool, steps: &[(Action, Answer)]) -> Result<(), String> {
        let events = steps.iter().enumerate().map(|(number, (what, answer))| {
            let invoked = 10 + 2 * number as u64;
            Event {
                invoked,
                answered: invoked + 1,
                what: *what,
                answer: *answer,
            }
        });
        let tokens = [(0, 1), (1, 2), (0, 3)].map(|(session, answered)| Owner {
            user: 0,
            session,
            answered,
        });
        let history = History {
            is_strict,
            events: events.collect(),
            tokens: tokens.into(),
        };
        history.check()
    }

    #[test]
    fn possible_histories_pass() {
        for steps in [
            &[
                (Refresh(0), Yes),
                (Verify(2), Yes),
                (Refresh(0), No),
                (Verify(2), No),
            ][..],
            &[
                (Disable(0), Yes),
                (Verify(0), No),
                (Enable(0), Yes),
                (Login(0), Yes),
            ],
            &[
                (Assign(0), Yes),
                (Check(0), Yes),
                (Revoke(0), Yes),
                (Check(0), No),
            ],
            &[(RevokeOthers(0), Yes), (Verify(0), Yes), (Verify(1), No)],
            &[(Logout(0), Answer::Unknown), (Verify(0), No)],
        ] {
            assert_eq!(check(true, steps), Ok(()));
        }
    }

    #[test]
    fn impossible_histories_are_found() {
        for steps in [
            &[(Refresh(0), Yes), (Refresh(0), Yes)][..],
            &[(Logout(0), Yes), (Verify(2), Yes)],
            &[(Logout(0), Yes), (Refresh(0), Yes)],
            &[(Verify(0), No)],
            &[(Refresh(0), No)],
            &[(Refresh(0), Yes), (Refresh(0), No), (Verify(2), Yes)],
            &[(RevokeOthers(0), Yes), (Verify(1), Yes)],
            &[(ChangePassword(0), Yes), (Refresh(1), Yes)],
            &[(Disable(0), Yes), (Verify(0), Yes)],
            &[(Disable(0), Yes), (Login(0), Yes)],
            &[(Disable(0), Yes), (Enable(0), Yes), (Verify(0), Yes)],
            &[(Enable(0), Yes), (Disable(0), Yes), (Login(0), Yes)],
            &[(Check(0), Yes)],
            &[(Assign(0), Yes), (Revoke(0), Yes), (Check(0), Yes)],
        ] {
            assert!(check(true, steps).is_err(), "{steps:?}");
        }
    }

    #[test]
    fn within_a_grace_a_second_refresh_ends_nothing() {
        let twice = [(Refresh(0), Yes), (Refresh(0), Yes), (Verify(2), Yes)];
        assert_eq!(check(false, &twice), Ok(()));
        for ended in [
            &[(Refresh(0), Yes), (Refresh(0), No)][..],
            &[(Refresh(0), Yes), (Refresh(0), Yes), (Verify(2), No)],
            &[(Refresh(0), Yes), (Logout(0), Yes), (Refresh(0), Yes)],
        ] {
            assert!(check(false, ended).is_err(), "{ended:?}");
        }
    }
}
