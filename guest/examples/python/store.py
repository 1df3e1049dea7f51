"""A store in memory, with what `wit/store.wit` asks of every store."""

import threading
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

MAX_PAGE = 1000
# What one call may ask for, so that no call makes the host hold more.
MAX_KEYS = 1000
MAX_BATCH = 10_000
MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """A record as it was read. `version` is another one after each writing."""

    key: str
    value: bytes
    version: str

    def size(self) -> int:
        """What it counts for in an answer."""
        return len(self.key) + len(self.value) + len(self.version)


@dataclass(frozen=True)
class Page:
    """One page of a scan; `next` is where the next one begins."""

    entries: list[Entry]
    next: str | None


class Conflict(Exception):
    """None of a batch happened: what the mutation at `index` expected was not so."""

    def __init__(self, index: int):
        super().__init__(f"the expectation of mutation {index} failed")
        self.index = index


class Refused(Exception):
    """The call asks for more than one call may."""


class Store:
    """Records by their keys, and when they end, by the clock that is given (in ms)."""

    def __init__(self, now_ms=lambda: time.time_ns() // 1_000_000):
        self._now_ms = now_ms
        self._records: dict[str, tuple[Entry, int | None]] = {}
        self._versions = 0
        # Held over each operation as a whole: instances may run in many threads.
        self._lock = threading.Lock()

    def get(self, keys: list[str]) -> list[Entry | None]:
        """All of them as they are at one moment."""
        require(len(keys) <= MAX_KEYS, "a call names too many records")
        with self._lock:
            entries = [self._live(key) for key in keys]
        size = sum(entry.size() for entry in entries if entry)
        require(size <= MAX_BYTES, "an answer would have too many bytes")
        return entries

    def commit(self, batch: list) -> None:
        """All of the batch, or none of it, with a `Conflict`.

        A key stands in a batch once, so all expectations are looked at before
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
        """The counter's new value. Only the first addition says when it ends."""
        with self._lock:
            entry = self._live(key)
            old = int(entry.value) if entry else 0
            ends = self._records[key][1] if entry else self._end(ttl_ms)
            self._write(key, str(old + delta).encode(), ends)
            return old + delta

    def scan(self, prefix: str, after: str | None, limit: int) -> Page:
        """Records in the order of their keys, which is that of their bytes."""
        with self._lock:
            # Sorted anew each time, which is good enough for some thousand records.
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
        # Nobody sees it any more, so its place can go.
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
        # One count for all keys, which a deletion does not set back: no two
        # writings ever share a version.
        self._versions += 1
        self._records[key] = (Entry(key, value, str(self._versions)), ends)


def require(holds: bool, reason: str) -> None:
    if not holds:
        raise Refused(reason)
