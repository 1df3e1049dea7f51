//! The identity of an actor, without the records that prove it.

use crate::types::id::Id;

/// The identity of an actor in records and logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActorId {
    /// A caller that is unknown, or that the operation did not verify.
    #[default]
    Anonymous,
    /// The owner of a session.
    User {
        /// The account.
        user_id: Id,
        /// The session.
        session_id: Id,
    },
    /// The API key with this id.
    ApiKey(Id),
    /// The operator who runs the host.
    Operator,
}

impl ActorId {
    /// Returns the name of the actor in audit records.
    pub fn name(self) -> String {
        match self {
            ActorId::Anonymous => "anonymous".to_owned(),
            ActorId::User { user_id, .. } => user_id.to_string(),
            ActorId::ApiKey(key_id) => format!("api-key/{key_id}"),
            ActorId::Operator => "operator".to_owned(),
        }
    }
}
