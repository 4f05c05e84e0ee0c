"""The store's own promises; that it keeps what it is given, the contract tests see."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from apps.core import storage
from apps.core.storage import ResultStore, StoreAwayError

LARGE = bytes(2_000_000)


class Bucket:
    """Counts the uploads that are under way; each waits for `opened`."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.under_way = threading.Semaphore(0)
        self.most = self.now = 0
        self._lock = threading.Lock()

    def put_object(self, **_: Any) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.under_way.release()
        self.opened.wait(10)
        with self._lock:
            self.now -= 1


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> ResultStore:
    made = ResultStore(
        bucket="b",
        endpoint_url="http://127.0.0.1:1",
        public_endpoint_url="http://127.0.0.1:1",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    monkeypatch.setattr(made, "_client", Bucket())
    return made


def test_large_objects_go_up_a_few_at_a_time_and_small_ones_pass_them(store: ResultStore) -> None:
    with ThreadPoolExecutor(13) as pool:
        puts = [pool.submit(store.put, str(n), io.BytesIO(LARGE), content_type="image/png") for n in range(12)]
        for _ in range(4):
            assert store._client.under_way.acquire(timeout=60)
        puts.append(pool.submit(store.put, "small", b"small", content_type="image/png"))
        assert store._client.under_way.acquire(timeout=60)
        assert store._client.most == 5
        store._client.opened.set()

    assert [put.result() for put in puts] == [None] * 13
    assert store._client.most <= 5


def test_turn_that_never_comes_is_a_503(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_LONGEST_QUEUE_S", 0.01)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(store.put, "large", LARGE, content_type="image/png")
        for _ in range(4):
            assert store._client.under_way.acquire(timeout=60)

        with pytest.raises(StoreAwayError) as caught:
            store.put("one more", LARGE, content_type="image/png")
        store._client.opened.set()

    assert caught.value.retry_after_s
