"""Verifies access tokens with PyJWT, as another service does: by the keys at a URL alone.

Reads lines with an object of `token` and `audience`, and writes one of `claims` or `refused`
each.
"""

import json
import sys

import jwt

url, issuer = sys.argv[1:]
# By default it does not fetch the keys again for a token with an unknown key within 30 seconds.
keys = jwt.PyJWKClient(url, cooldown_duration=0)


def verify(token: str, audience: str) -> dict:
    key = keys.get_signing_key_from_jwt(token)
    options = {"require": ["iss", "aud", "exp", "iat", "sub"]}
    found = jwt.decode_complete(
        token,
        key,
        algorithms=[key.algorithm_name],
        audience=audience,
        issuer=issuer,
        options=options,
    )
    # The library leaves the kind of a token to its callers (RFC 9068 section 4).
    if found["header"].get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("the typ is not at+jwt")
    return found["payload"]


for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"claims": verify(asked["token"], asked["audience"])}
    except jwt.PyJWKClientConnectionError:
        raise
    except jwt.PyJWTError as error:
        answer = {"refused": repr(error)}
    print(json.dumps(answer), flush=True)
