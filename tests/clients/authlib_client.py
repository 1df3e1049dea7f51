"""Signs a user in with Authlib, and calls tools, as a plain OAuth client that an administrator
has registered as CLIENT_ID, with CLIENT_SECRET if it has one, or that has a document at
CLIENT_METADATA_URL. It signs with CLIENT_KEY if there is one.

Prints the address that the user has to visit, and reads from standard input the address to
which the user was sent back, and the steps.

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
        os.environ.get("CLIENT_ID") or os.environ["CLIENT_METADATA_URL"],
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

    def use(tool: str) -> int:
        params = {"name": tool, "arguments": {}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2025-11-25",
        }
        return client.post(resource, json=message, headers=headers).status_code

    def call(tool: str) -> None:
        try:
            # Authlib refreshes a token that has expired before it sends it.
            if client.token:
                if use(tool) == 200:
                    return
                client.refresh_token()
                raise AssertionError("its access was taken away")
        except OAuthError as error:
            assert error.error == "invalid_grant", error
        sign_in()
        assert use(tool) == 200

    while step := sys.stdin.readline().strip():
        if step == "expire":
            client.token = {**client.token, "expires_at": 1}
            continue
        before = client.token and client.token["refresh_token"]
        call(step.removeprefix("call "))
        is_new = before and before != client.token["refresh_token"]
        print("called, refreshed" if is_new else "called", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
