"""Verifies access tokens with Authlib, as another service does: by the keys at a URL alone.

Reads lines with an object of `token` and `audience`, and writes one of `claims` or `refused`
each.
"""

import json
import sys
import urllib.request

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6750 import InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

url, issuer = sys.argv[1:]
# Authlib takes only the algorithms of this list. It has Ed25519 under that name alone, which
# RFC 9864 recommends.
JWSRegistry.recommended.append("EdDSA")


class Validator(JWTBearerTokenValidator):
    def get_jwks(self):
        # The library leaves it to its callers how long to keep the keys.
        with urllib.request.urlopen(url, timeout=30) as response:
            return KeySet.import_key_set(json.load(response))


def verify(token: str, audience: str) -> dict:
    validator = Validator(issuer, audience)
    claims = validator.authenticate_token(token)
    # The library takes a token without a type as an access token.
    if claims.header.get("typ") != "at+jwt":
        raise InvalidTokenError("the typ is not at+jwt")
    validator.validate_token(claims, scopes=None, request=None)
    return dict(claims)


for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"claims": verify(asked["token"], asked["audience"])}
    except (OAuth2Error, JoseError) as error:
        answer = {"refused": repr(error)}
    print(json.dumps(answer), flush=True)
