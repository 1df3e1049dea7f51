//! The refresh tokens of a session that were replaced recently and are still answered.
//!
//! The processes of one client refresh the same token within seconds of each other, and a
//! client that does not receive its answer has nothing but the old token. So a token that
//! was replaced leads to the current one for a grace after its first use. A thief with such
//! a token comes to hold what the owner holds, as with any current token, and is noticed
//! as soon as one of the two uses a token after its grace.

use serde::{Deserialize, Serialize};

use crate::domain::env::Env;
use crate::types::time::{CLOCK_TOLERANCE, Timestamp};

/// The number of times that a replaced token is answered: enough for all processes of a
/// client, and an end for one that never stops.
pub const MAX_REPLAYS: u32 = 100;
/// The most generations between a token and the current one that it leads to, which limits
/// the work for an old token.
pub const MAX_GENERATIONS: u32 = 32;

/// The rotations of a session whose grace may not be over, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rotations(Vec<Rotation>);

/// The replacement of a refresh token by its first use.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rotation {
    /// The generation of the token that was replaced.
    generation: u32,
    /// When it was replaced. No later use changes this, so a grace is never extended.
    at: Timestamp,
    /// The number of times that it was used since.
    replays: u32,
}

impl Rotations {
    /// Reports whether no replaced token is remembered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the rotations after the first use of the token of this generation. Those
    /// that are over are left out, and all of them if there is no grace.
    pub fn with(&self, generation: u32, env: &Env) -> Rotations {
        let new = Rotation {
            generation,
            at: env.now(),
            replays: 0,
        };
        let rotations = self.0.iter().cloned().chain([new]);
        let open = rotations.filter(|rotation| {
            let is_near = generation.saturating_sub(rotation.generation) < MAX_GENERATIONS;
            is_near && rotation.is_open(env)
        });
        Rotations(open.collect())
    }

    /// Returns the rotations after another use of the token of this generation, or `None`
    /// if the token is not answered any more.
    pub fn replayed(&self, generation: u32, env: &Env) -> Option<Rotations> {
        let mut rotations = self.clone();
        let mut replaced = rotations.0.iter_mut();
        let rotation = replaced.find(|rotation| rotation.generation == generation)?;
        if !rotation.is_open(env) || rotation.replays >= MAX_REPLAYS {
            return None;
        }
        rotation.replays += 1;
        Some(rotations)
    }
}

impl Rotation {
    /// Reports whether the grace has begun and is not over. A clock that was set back must
    /// not prolong it, but hosts may differ by the tolerance.
    fn is_open(&self, env: &Env) -> bool {
        let now = env.now();
        now + CLOCK_TOLERANCE >= self.at && now.since(self.at) < env.settings.refresh_grace
    }
}
