"""Runs user-auth inside a Python program, with wasmtime, on a store of our own.

    python embed.py target/release/user-auth.wasm

Everything that the component asks of its host (`wit/world.wit`, world `plugin`) is in
this file, but for the store, which is in store.py.
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
    """A record of the contract, whose names have hyphens where Python has underscores."""
    made = Record()
    for name, value in fields.items():
        setattr(made, name.replace("_", "-"), value)
    return made


def unavailable(reason):
    return record(reason=reason, retry_after_ms=1000)


def argon2id(password, salt, secret, parameters):
    """Argon2id with a secret value, which argon2-cffi has in its low level only."""
    memory_kib = getattr(parameters, "memory-kib")
    length = getattr(parameters, "output-length")
    if memory_kib > MAX_HASH_MEMORY_KIB:
        return unavailable("a password hash would take too much memory")
    out = ffi.new("uint8_t[]", length)
    context = ffi.new("argon2_context *")
    context.version = ARGON2_VERSION
    context.out, context.outlen = out, length
    # These names keep the buffers alive until the hash is done.
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


def other_hash(*_):
    """These verify what was imported from elsewhere."""
    return unavailable("this host has Argon2id only")


def password_hash():
    names = ["bcrypt", "scrypt", "pbkdf2-sha256", "pbkdf2-sha512", "pbkdf2-sha1", "argon2i"]
    others = dict.fromkeys(names, other_hash)
    return {"argon2id": argon2id, **others}


def keys(master_key):
    """Keys derived from one that the component never sees."""
    return {"derive": lambda label: hmac.digest(master_key, label.encode(), "sha256")}


def store(records):
    def get(keys):
        try:
            entries = records.get(keys)
        except Refused as refused:
            # No other try will help.
            return record(reason=str(refused), retry_after_ms=0)
        return [entry and record(**vars(entry)) for entry in entries]

    def commit(batch):
        for mutation in batch:
            mutation.ttl_ms = getattr(mutation, "ttl-ms")
        try:
            records.commit(batch)
        except Conflict as conflict:
            return conflict.index
        # The case `committed` has no payload. A store that fails raises: the binding
        # cannot tell `unavailable` from it here.
        return None

    # Where both cases of a result are records, it says which one it is.
    def scan(prefix, after, limit):
        return Variant("ok", records.scan(prefix, after, limit))

    return {"get": get, "commit": commit, "add": records.add, "scan": scan}


def telemetry():
    def log(severity, message, fields):
        print(f"{severity}: {message} {fields}", file=sys.stderr)

    # This host counts nothing.
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
        # Nobody wants to be told who called.
        "operation-began": lambda operation: False,
        "operation-ended": lambda event: None,
        "audited": lambda record: None,
        "snapshot": lambda: metrics,
    }


def client():
    """There is no MCP client that listens while it waits."""
    nothing = dict.fromkeys(["notify", "started", "cancel", "set-log-level"], lambda _: None)
    return {"get-log-level": lambda: None, **nothing}


def delivery():
    def deliver(message):
        return record(reason="this host sends no messages", retry_after_ms=0)

    return {"deliver": deliver}


class AuthError(Exception):
    """An operation that failed, as its caller may see it."""

    def __init__(self, error):
        super().__init__(f"{error.code} {error.message}")
        self.code = error.code


class Plugin:
    """The component. Each call gets an instance of its own, which knows of no other."""

    def __init__(self, path, imports, settings):
        self._engine = Engine()
        self._component = Component.from_file(self._engine, path)
        self._settings = settings
        self._linker = Linker(self._engine)
        self._linker.add_wasip2()
        with self._linker.root() as root:
            for interface, functions in imports.items():
                with root.add_instance(f"user-auth:plugin/{interface}@0.1.0") as instance:
                    for name, function in functions.items():
                        instance.add_func(name, lambda _, *all, function=function: function(*all))

    def call(self, name, *arguments):
        """Calls a function of the interface `auth`; an `AuthError` if it fails."""
        wasi = WasiConfig()
        wasi.env = self._settings.items()
        wasm_store = Store(self._engine)
        wasm_store.set_wasi(wasi)
        wasm_store.set_limits(memory_size=INSTANCE_MEMORY_BYTES)
        instance = self._linker.instantiate(wasm_store, self._component)
        auth = instance.get_export_index(wasm_store, "user-auth:plugin/auth@0.1.0")
        index = instance.get_export_index(wasm_store, name, auth)
        return unwrapped(instance.get_func(wasm_store, index)(wasm_store, *arguments))


def unwrapped(result):
    """What an operation gave, of a result that says its case only where it has to."""
    is_named = isinstance(result, Variant) and result.tag in ("ok", "err")
    payload = result.payload if is_named else result
    if is_named and result.tag == "err" or hasattr(payload, "code"):
        raise AuthError(payload)
    return payload


def caller(principal, token=None):
    """Who calls, and from where: failed logins are throttled by that."""
    return record(principal=Variant(principal, token), source="203.0.113.7")


def yes_or_no(answer):
    return "yes" if answer else "no"


def main(path):
    records = Records()
    # To be kept as long as the records are, and apart from them.
    master_key = secrets.token_bytes(32)
    imports = {
        "store": store(records),
        "password-hash": password_hash(),
        "keys": keys(master_key),
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
    # Every operation can be called by its name, with JSON.
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
