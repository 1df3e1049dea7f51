//! Who acts, without the records that say so.

use crate::types::id::Id;

/// Who acts, as records and logs call them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActorId {
    /// Not known, or not asked for.
    #[default]
    Anonymous,
    /// The owner of this session.
    User {
        /// The account.
        user_id: Id,
        /// The session.
        session_id: Id,
    },
    /// The API key with this id.
    ApiKey(Id),
    /// Who runs the host.
    Operator,
}

impl ActorId {
    /// How audit records call them.
    pub fn name(self) -> String {
        match self {
            ActorId::Anonymous => "anonymous".to_owned(),
            ActorId::User { user_id, .. } => user_id.to_string(),
            ActorId::ApiKey(key_id) => format!("api-key/{key_id}"),
            ActorId::Operator => "operator".to_owned(),
        }
    }
}
