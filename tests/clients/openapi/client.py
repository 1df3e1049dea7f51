"""Logs in and verifies with the client that openapi-python-client generates, the module
`generated`."""

import sys

from generated import AuthenticatedClient, Client
from generated.api.default import list_sessions, login, register, revoke, verify_token
from generated.models import (
    ListSessionsBody,
    LoginBody,
    RegisterBody,
    RevokeBody,
    VerifyTokenBody,
)

url = sys.argv[1]
client = Client(base_url=url)
name, password = "bob", "correct horse battery staple"

registered = register.sync(client=client, body=RegisterBody(username=name, password=password))
assert registered.username == name, registered

tokens = login.sync(client=client, body=LoginBody(username=name, password=password))
token = tokens.access_token

verified = verify_token.sync(client=client, body=VerifyTokenBody(token=token))
assert verified.active and verified.username == name, verified

known = AuthenticatedClient(base_url=url, token=token)
sessions = list_sessions.sync(client=known, body=ListSessionsBody())
assert len(sessions.sessions) == 1, sessions

refused = login.sync_detailed(client=client, body=LoginBody(username=name, password="open sesame"))
assert refused.status_code == 401, refused

assert revoke.sync_detailed(client=client, body=RevokeBody(token=token)).status_code == 200
ended = verify_token.sync(client=client, body=VerifyTokenBody(token=token))
assert not ended.active, ended
