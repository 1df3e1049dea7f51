use schemars::JsonSchema;
use serde::Deserialize;

use super::list_signing_keys::SigningKeyList;
use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::SIGNING_KEYS_WRITE;
use crate::domain::audit::{Chain, Event};
use crate::domain::sessions::signing_key::SigningKeys;
use crate::error::Result;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;

/// Creates new keys that sign access tokens. Existing tokens remain valid until they
/// expire; with `end_previous`, such as after a leak, they become invalid.
///
/// One key is for this service itself, and signs from now on. One is for other services;
/// it is published at `/jwks` and signs after an hour, when all of them know it; while
/// such a key waits, it is not replaced. With `end_previous` both keys sign at once;
/// services that verify tokens themselves notice when they fetch the keys again, after an
/// hour at most. Sessions continue in either case: `refresh_token` returns a new access
/// token. Fails while 20 keys of one kind are still valid, unless `end_previous` is set.
/// Requires `user-auth:signing-keys:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSigningKey {
    /// Whether to end all previous keys at once, and with them all access tokens.
    #[serde(default)]
    pub end_previous: bool,
}

impl Operation for RotateSigningKey {
    const NAME: &'static str = "rotate_signing_key";
    const TITLE: &'static str = "Rotate the signing key";
    const TOOLSET: Option<Toolset> = Some(Toolset::Service);
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::Permission(SIGNING_KEYS_WRITE);
    type Output = SigningKeyList;

    fn run(self, call: &ActorCall) -> Result<SigningKeyList> {
        let keys = authority::retry_on_conflict(call, |call| {
            SigningKeys::load_published(call)?;
            let (Some(found), head) = SigningKeys::read(&call.ports)? else {
                return Ok(Race::Lost);
            };
            let keys = found.value.rotated(self.end_previous, call)?;
            let event = Event::success(Self::NAME)
                .detail("end_previous", self.end_previous)
                .detail("kid", keys.current().map(|key| key.kid.to_string()));
            let mut batch = Batch::new();
            batch.replace(SigningKeys::KEY.to_owned(), &found.version, &keys);
            if self.end_previous {
                found.value.end_all(&mut batch);
            }
            Chain::at(Chain::shared(), head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(keys))
        })?;
        Ok(SigningKeyList::new(&keys, call))
    }
}
