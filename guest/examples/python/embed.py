"""Runs user-auth inside a Python program, with wasmtime and a store in Python.

    python embed.py target/release/user-auth.wasm

This file implements all imports of the component (`wit/world.wit`, world `plugin`)
except the store, which is in store.py.
"""

import hmac
import json
import secrets
import sys
import time

from argon2.low_level import Type, core, error_to_str, ffi
from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, Linker, Record, Variant

from store import Conflict, Refused
from store import Store as Records

ARGON2_VERSION = 0x13
MAX_HASH_MEMORY_KIB = 128 * 1024
INSTANCE_MEMORY_BYTES = 64 * 1024 * 1024

hash_times_ms = []


def record(**fields):
    """Creates a record of the contract, whose names have hyphens instead of underscores."""
    made = Record()
    for name, value in fields.items():
        setattr(made, name.replace("_", "-"), value)
    return made


def unavailable(reason):
    return record(reason=reason, retry_after_ms=1000)


def derive(master_key, label):
    """Returns the key with a label. The component sees neither this nor the master key."""
    return hmac.digest(master_key, label.encode(), "sha256")


def keys(master_key):
    """Computes codes of messages under the keys with their labels."""

    def mac(label, message):
        return hmac.digest(derive(master_key, label), message, "sha256")

    return {"mac": mac}


def signing():
    """Signs no tokens for other services, which `issue_token` would issue."""

    def refuse(*_):
        return unavailable("this host signs no tokens for other services")

    return {"public-keys": refuse, "sign": refuse, "verify": refuse}


def password_hash(master_key):
    def hash(function, password, salt):
        # The other functions only verify passwords imported from other systems.
        if function.tag != "argon2id":
            return unavailable("this host supports only Argon2id")
        pepper = function.payload.pepper
        secret = b"" if pepper is None else derive(master_key, pepper)
        return argon2id(password, salt, secret, function.payload)

    return {"hash": hash}


def argon2id(password, salt, secret, parameters):
    """Computes Argon2id with a secret value, for which argon2-cffi has only low-level calls."""
    memory_kib = getattr(parameters, "memory-kib")
    length = getattr(parameters, "output-length")
    if memory_kib > MAX_HASH_MEMORY_KIB:
        return unavailable("a password hash would take too much memory")
    out = ffi.new("uint8_t[]", length)
    context = ffi.new("argon2_context *")
    context.version = ARGON2_VERSION
    context.out, context.outlen = out, length
    # These names keep the buffers alive until the hash has been computed.
    context.pwd = password_buffer = ffi.from_buffer("uint8_t[]", password)
    context.salt = salt_buffer = ffi.from_buffer("uint8_t[]", salt)
    context.secret = secret_buffer = ffi.from_buffer("uint8_t[]", secret)
    context.pwdlen, context.saltlen = len(password_buffer), len(salt_buffer)
    context.secretlen = len(secret_buffer)
    context.m_cost, context.t_cost = memory_kib, parameters.iterations
    context.lanes = context.threads = parameters.parallelism
    began = time.perf_counter()
    failure = core(context, Type.ID.value)
    hash_times_ms.append((time.perf_counter() - began) * 1000)
    return unavailable(error_to_str(failure)) if failure else bytes(ffi.buffer(out))


def store(records):
    def get(keys):
        try:
            entries = records.get(keys)
        except Refused as refused:
            # Retrying will not help.
            return record(reason=str(refused), retry_after_ms=None)
        return [entry and record(**vars(entry)) for entry in entries]

    def commit(batch):
        for mutation in batch:
            mutation.ttl_ms = getattr(mutation, "ttl-ms")
        try:
            records.commit(batch)
        except Conflict as conflict:
            return conflict.index
        # The case `committed` has no payload. A store that fails must raise, because the
        # binding cannot distinguish `unavailable` from `committed` here.
        return None

    # If both cases of a result are records, the case must be stated.
    def scan(prefix, after, limit):
        return Variant("ok", records.scan(prefix, after, limit))

    return {"get": get, "commit": commit, "add": records.add, "scan": scan}


def telemetry():
    def log(severity, message, fields):
        print(f"{severity}: {message} {fields}", file=sys.stderr)

    # This host keeps no counters.
    none = dict.fromkeys(["waiting", "capacity", "refused"], 0)
    metrics = record(
        uptime_ms=int(time.monotonic() * 1000),
        operations=[],
        password_hash=record(workers=1, running=0, completed=0, **none),
        store=record(kind="python", reads=0, commits=0, conflicts=0, failures=0),
        delivery=record(kind="none", delivered=0, failed=0, **none),
        instances=record(live=1, created=1, trapped=0, peak_memory_bytes=0),
    )
    return {
        "log": log,
        # This host keeps no audit log of calls.
        "operation-began": lambda operation: False,
        "operation-ended": lambda event: None,
        "audited": lambda record: None,
        "snapshot": lambda: metrics,
    }


def client():
    """Implements the client interface: no MCP client is waiting for notifications."""
    nothing = dict.fromkeys(["notify", "started", "cancel", "set-log-level"], lambda _: None)
    return {"get-log-level": lambda: None, **nothing}


def documents():
    """Implements the documents interface: clients with metadata documents stay unknown."""

    def get(url, max_bytes):
        reason = record(reason="this host fetches no documents", retry_after_ms=None)
        return Variant("err", Variant("unavailable", reason))

    return {"get": get}


def delivery():
    def deliver(message):
        return record(reason="this host sends no messages", retry_after_ms=None)

    return {"deliver": deliver}


class AuthError(Exception):
    """The error of a failed operation, as its caller may see it."""

    def __init__(self, error):
        super().__init__(f"{error.code} {error.message}")
        self.code = error.code


class Plugin:
    """The component. Each call runs in its own instance, isolated from all others."""

    def __init__(self, path, imports, settings):
        self._engine = Engine()
        self._component = Component.from_file(self._engine, path)
        self._settings = settings
        self._linker = Linker(self._engine)
        self._linker.add_wasip2()
        with self._linker.root() as root:
            for interface, functions in imports.items():
                with root.add_instance(f"user-auth:plugin/{interface}@0.2.0") as instance:
                    for name, function in functions.items():
                        instance.add_func(name, lambda _, *all, function=function: function(*all))

    def call(self, name, *arguments):
        """Calls a function of the interface `auth`, and raises `AuthError` if it fails."""
        wasi = WasiConfig()
        wasi.env = self._settings.items()
        wasm_store = Store(self._engine)
        wasm_store.set_wasi(wasi)
        wasm_store.set_limits(memory_size=INSTANCE_MEMORY_BYTES)
        instance = self._linker.instantiate(wasm_store, self._component)
        auth = instance.get_export_index(wasm_store, "user-auth:plugin/auth@0.2.0")
        index = instance.get_export_index(wasm_store, name, auth)
        return unwrapped(instance.get_func(wasm_store, index)(wasm_store, *arguments))


def unwrapped(result):
    """Returns the payload of a result, which states its case only if it is ambiguous."""
    is_named = isinstance(result, Variant) and result.tag in ("ok", "err")
    payload = result.payload if is_named else result
    if is_named and result.tag == "err" or hasattr(payload, "code"):
        raise AuthError(payload)
    return payload


def caller(principal, token=None):
    """Returns a caller with its source; failed logins are throttled by source."""
    return record(principal=Variant(principal, token), source="203.0.113.7")


def yes_or_no(answer):
    return "yes" if answer else "no"


def main(path):
    records = Records()
    # Keep the master key as long as the records, and in a separate place.
    master_key = secrets.token_bytes(32)
    imports = {
        "store": store(records),
        "password-hash": password_hash(master_key),
        "keys": keys(master_key),
        "signing": signing(),
        "documents": documents(),
        "telemetry": telemetry(),
        "client": client(),
        "delivery": delivery(),
    }
    plugin = Plugin(path, imports, {"USER_AUTH_ISSUER": "https://auth.example.com"})
    anyone, operator = caller("anonymous"), caller("operator")

    password = "correct horse battery staple"
    alice = record(username="alice", password=password, email=None)
    account = plugin.call("register", anyone, alice)
    print(f"registered {account.username}")

    tokens = plugin.call("login", anyone, "alice", password).payload
    access_token = getattr(tokens, "access-token")
    print(f"logged in, with a {getattr(tokens, 'token-type')} token")

    claims = plugin.call("verify-token", anyone, access_token)
    assert claims.sub == getattr(account, "user-id")
    print(f"the token is {claims.username}'s, from {claims.iss}")

    holder = caller("access-token", access_token)
    may_read = plugin.call("check-permission", holder, "billing:read")
    print(f"may read invoices: {yes_or_no(may_read)}")
    # Every operation can be called by name, with JSON.
    role = {"role": "clerk", "permissions": ["billing:*"]}
    plugin.call("invoke", operator, "define_role", json.dumps(role))
    assignment = {"username": "alice", "role": "clerk"}
    plugin.call("invoke", operator, "assign_role", json.dumps(assignment))
    may_read = plugin.call("check-permission", holder, "billing:read")
    print(f"may as a clerk: {yes_or_no(may_read)}")

    try:
        plugin.call("login", anyone, "alice", "open sesame")
    except AuthError as error:
        print(f"a wrong password: {error}")

    plugin.call("logout", anyone, access_token)
    claims = plugin.call("verify-token", anyone, access_token)
    print(f"valid after the logout: {yes_or_no(claims is not None)}")
    print(f"a password hash takes {min(hash_times_ms):.0f} ms", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
