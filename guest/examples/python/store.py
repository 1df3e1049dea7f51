"""A store in memory that fulfils the contract of `wit/store.wit`."""

import threading
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

MAX_PAGE = 1000
# The limits of one call, which bound the memory that a call can take from the host.
MAX_KEYS = 1000
MAX_BATCH = 10_000
MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """A record as it was read. Every write changes `version`."""

    key: str
    value: bytes
    version: str

    def size(self) -> int:
        """Returns the size that counts towards the limit of a response."""
        return len(self.key) + len(self.value) + len(self.version)


@dataclass(frozen=True)
class Page:
    """One page of a scan; the next page begins after the key `next`."""

    entries: list[Entry]
    next: str | None


class Conflict(Exception):
    """A batch was not applied: the expectation of the mutation at `index` failed."""

    def __init__(self, index: int):
        super().__init__(f"the expectation of mutation {index} failed")
        self.index = index


class Refused(Exception):
    """A call exceeds the limits of one call."""


class Store:
    """Records by key, with the times at which they expire on the given clock (in ms)."""

    def __init__(self, now_ms=lambda: time.time_ns() // 1_000_000):
        self._now_ms = now_ms
        self._records: dict[str, tuple[Entry, int | None]] = {}
        self._versions = 0
        # Held for the whole of each operation, because instances may run in many threads.
        self._lock = threading.Lock()

    def get(self, keys: list[str]) -> list[Entry | None]:
        """Returns the records under the keys, as one snapshot."""
        require(len(keys) <= MAX_KEYS, "a call names too many records")
        with self._lock:
            entries = [self._live(key) for key in keys]
        size = sum(entry.size() for entry in entries if entry)
        require(size <= MAX_BYTES, "an answer would have too many bytes")
        return entries

    def commit(self, batch: list) -> None:
        """Applies the whole batch, or raises `Conflict` and applies nothing.

        A key occurs only once in a batch, so all expectations are checked before
        anything is written.
        """
        require(len(batch) <= MAX_BATCH, "a batch has too many mutations")
        size = sum(len(mutation.key) + len(mutation.put or b"") for mutation in batch)
        require(size <= MAX_BYTES, "a batch has too many bytes")
        with self._lock:
            for index, mutation in enumerate(batch):
                if not self._holds(mutation.expect, self._live(mutation.key)):
                    raise Conflict(index)
            for mutation in batch:
                if mutation.put is None:
                    self._records.pop(mutation.key, None)
                else:
                    ends = self._end(mutation.ttl_ms)
                    self._write(mutation.key, mutation.put, ends)

    def add(self, key: str, delta: int, ttl_ms: int | None) -> int:
        """Returns the new value of the counter. Only the first addition sets its lifetime."""
        with self._lock:
            entry = self._live(key)
            old = int(entry.value) if entry else 0
            ends = self._records[key][1] if entry else self._end(ttl_ms)
            self._write(key, str(old + delta).encode(), ends)
            return old + delta

    def scan(self, prefix: str, after: str | None, limit: int) -> Page:
        """Returns records in the byte order of their keys."""
        with self._lock:
            # Sorts all keys on each call, which is fast enough for a few thousand records.
            keys = sorted(key for key in self._records if self._live(key))
            begin = bisect_left(keys, prefix)
            if after is not None:
                begin = max(begin, bisect_right(keys, after))
            keys = [key for key in keys[begin:] if key.startswith(prefix)]
            entries, room = [], MAX_BYTES
            for key in keys[: max(1, min(limit, MAX_PAGE))]:
                entry = self._records[key][0]
                room -= entry.size()
                if room < 0:
                    break
                entries.append(entry)
            has_more = len(keys) > len(entries)
            return Page(entries, entries[-1].key if has_more else None)

    def _live(self, key: str) -> Entry | None:
        entry, ends = self._records.get(key, (None, None))
        if ends is None or self._now_ms() < ends:
            return entry
        # An expired record is no longer visible, so it can be removed.
        del self._records[key]
        return None

    @staticmethod
    def _holds(expect, entry: Entry | None) -> bool:
        match expect.tag:
            case "any":
                return True
            case "absent":
                return entry is None
            case "at":
                return entry is not None and entry.version == expect.payload
        raise ValueError(expect.tag)

    def _end(self, ttl_ms: int | None) -> int | None:
        return None if ttl_ms is None else self._now_ms() + ttl_ms

    def _write(self, key: str, value: bytes, ends: int | None) -> None:
        # One counter for all keys, which a deletion does not reset, so no two writes
        # ever have the same version.
        self._versions += 1
        self._records[key] = (Entry(key, value, str(self._versions)), ends)


def require(holds: bool, reason: str) -> None:
    if not holds:
        raise Refused(reason)
