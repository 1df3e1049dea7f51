//! What no history may show, whatever the order in which the server took what
//! overlapped.
//!
//! Of two calls the first is the one that was answered before the other was made,
//! by a counter that all clients share; all others count as simultaneous.

/// One call and its answer.
#[derive(Clone, Debug)]
pub struct Event {
    pub invoked: u64,
    pub answered: u64,
    pub what: What,
    pub answer: Answer,
}

/// Tokens and users are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Of a user; gives the token that begins a session.
    Login(usize),
    Refresh(usize),
    Logout(usize),
    RevokeOthers(usize),
    ChangePassword(usize),
    Verify(usize),
    /// Whether the owner of the token has what the role grants.
    Check(usize),
    Disable(usize),
    Enable(usize),
    Assign(usize),
    Revoke(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done, or active, or allowed.
    Yes,
    No,
    /// Throttled, or the server was too busy.
    Unknown,
}

/// Whose token it is, and which token its session began with.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    pub user: usize,
    pub session: usize,
    /// When the answer came that brought it.
    pub answered: u64,
}

pub struct History {
    pub events: Vec<Event>,
    pub tokens: Vec<Owner>,
}

use Answer::{No, Yes};
use What::*;

impl History {
    /// The first thing that cannot have been.
    pub fn check(&self) -> Result<(), String> {
        for event in &self.events {
            let wrong = match (event.what, event.answer) {
                (Refresh(token), Yes) => self.used_twice(event, token).or(self.ended(event, token)),
                (Verify(token) | RevokeOthers(token) | ChangePassword(token), Yes) => {
                    self.ended(event, token).or(self.disabled(event, token))
                }
                (Refresh(token) | Verify(token) | RevokeOthers(token), No) => {
                    self.without_a_reason(event, token)
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

    /// Those of which the check says something.
    pub fn count(&self, what: impl Fn(&What) -> bool, answer: Answer) -> usize {
        let events = self.events.iter();
        events
            .filter(|event| what(&event.what) && event.answer == answer)
            .count()
    }

    fn used_twice(&self, event: &Event, token: usize) -> Option<String> {
        let uses = self.events.iter().filter(|other| {
            other.what == Refresh(token) && other.answer == Yes && !std::ptr::eq(*other, event)
        });
        let other = uses.into_iter().next()?;
        Some(format!(
            "a refresh token was accepted twice, also by {other:?}"
        ))
    }

    /// It was told before that the session is over, which is for good.
    fn ended(&self, event: &Event, token: usize) -> Option<String> {
        let owner = self.tokens[token];
        let ender = self
            .events
            .iter()
            .find(|other| other.answered < event.invoked && self.shows_ended(other, owner))?;
        Some(format!("a session went on that was ended, by {ender:?}"))
    }

    /// Whether the session is over once this was answered.
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

    /// The account was disabled before, and nobody can have enabled it since.
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
        (!granted).then(|| "a permission that nobody had granted".to_owned())
    }

    /// A session is not over just so.
    fn without_a_reason(&self, event: &Event, token: usize) -> Option<String> {
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
                Refresh(token) => own(token) && uses(token) > 1,
                RevokeOthers(token) | ChangePassword(token) => {
                    self.tokens[token].user == owner.user && !own(token)
                }
                Disable(user) => user == owner.user,
                _ => false,
            };
            // A replay is refused, and ends the session just so.
            let happened = other.answer != No || matches!(other.what, Refresh(_));
            may_end && happened && other.invoked < event.answered
        });
        (!has_reason).then(|| "a session was over that nothing had ended".to_owned())
    }
}

/// The check has to find what it is there to find.
#[cfg(test)]
mod tests {
    use super::*;

    /// One after the other, of one user with two sessions: tokens 0 and 1; token 2
    /// is what a refresh of token 0 gives.
    fn check(steps: &[(What, Answer)]) -> Result<(), String> {
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
            events: events.collect(),
            tokens: tokens.into(),
        };
        history.check()
    }

    #[test]
    fn what_may_be_is_not_complained_of() {
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
            assert_eq!(check(steps), Ok(()));
        }
    }

    #[test]
    fn what_must_not_be_is_found() {
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
            assert!(check(steps).is_err(), "{steps:?}");
        }
    }
}
