"""Signs a user in with Authlib, as a plain OAuth client that an administrator has registered as
CLIENT_ID, with CLIENT_SECRET if it has one, or that has a metadata document at CLIENT_ID and
signs with CLIENT_KEY.

Prints the address that the user has to visit, and reads from standard input the address to
which the user was sent back. After a refresh it prints "refreshed" and waits for a line;
its access was taken away meanwhile, so it asks the user again.

Usage: authlib_client.py URL
"""

import json
import os
import sys
import time

import httpx2
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from joserfc.jwk import RSAKey


class ShortAssertion(PrivateKeyJWT):
    """An assertion that lives for a minute; by default it is an hour."""

    def sign(self, auth, token_endpoint):
        self.claims = {"exp": int(time.time()) + 60}
        return super().sign(auth, token_endpoint)


def main(resource: str) -> None:
    issuer = resource.removesuffix("/mcp")
    found = httpx2.get(get_well_known_url(issuer, external=True)).json()
    metadata = AuthorizationServerMetadata(found)
    assert metadata["issuer"] == issuer
    secret = os.environ.get("CLIENT_SECRET")
    method = "client_secret_basic" if secret else "none"
    if key := os.environ.get("CLIENT_KEY"):
        secret, method = RSAKey.import_key(json.loads(key)), "private_key_jwt"
    client = OAuth2Client(
        os.environ["CLIENT_ID"],
        secret,
        token_endpoint_auth_method=method,
        redirect_uri="http://127.0.0.1:33418/callback",
        code_challenge_method="S256",
        token_endpoint=metadata["token_endpoint"],
    )
    client.register_client_auth_method(ShortAssertion(issuer))

    def sign_in() -> None:
        verifier = generate_token(48)
        endpoint = metadata["authorization_endpoint"]
        address, state = client.create_authorization_url(
            endpoint, code_verifier=verifier, resource=resource
        )
        print(address, flush=True)
        answer = sys.stdin.readline().strip()
        client.fetch_token(authorization_response=answer, state=state, code_verifier=verifier)

    def use(expected: int = 200) -> None:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        headers = {"accept": "application/json, text/event-stream"}
        answer = client.post(resource, json=message, headers=headers)
        assert answer.status_code == expected, answer.text

    sign_in()
    use()
    first = client.token
    # Authlib refreshes a token that has expired before it sends it.
    client.token = {**first, "expires_at": 1}
    use()
    assert client.token["access_token"] != first["access_token"]
    assert client.token["refresh_token"] != first["refresh_token"]
    print("refreshed", flush=True)
    sys.stdin.readline()
    use(401)
    try:
        client.refresh_token()
    except OAuthError as error:
        assert error.error == "invalid_grant", error
    else:
        raise AssertionError("the access was taken away")
    sign_in()
    use()
    print("ok", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
