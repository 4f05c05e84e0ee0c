"""Objects in S3: inputs until their job ends, results until they expire, an account's own files until it deletes them."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import IO, Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from apps.core.errors import AppError, ErrorCode

LARGE_BYTES = 1_048_576
_PASSING_PREFIXES = ("inputs/", "results/")
_LARGE_AT_ONCE = 4
_PIECE_BYTES = 256 * 1024
_MOST_TRIES = 4
_LONGEST_QUEUE_S = 15.0


class StoreAwayError(AppError):
    """The object store does not answer, or refuses us."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.OVERLOADED, "The object store does not answer; try again shortly.", retry_after_s=5)


class ObjectGoneError(AppError):
    """There is no such object any more."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.GONE, "The result was kept for its time and has been deleted.")


class ResultStore:
    """
    The bucket.

    Every method raises StoreAwayError when S3 cannot be reached or answers with an error.
    """

    def __init__(self, *, bucket: str, endpoint_url: str, public_endpoint_url: str, **credentials: Any) -> None:
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            max_pool_connections=64,
            # A client waits, and a store that hangs must cost it less than its patience: twice 5 s, then 503.
            connect_timeout=2,
            read_timeout=5,
            retries={"total_max_attempts": 2, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        session = boto3.session.Session()
        self.bucket = bucket
        self._large = threading.BoundedSemaphore(_LARGE_AT_ONCE)
        self._client = session.client("s3", endpoint_url=endpoint_url or None, config=config, **credentials)
        self._signer = (
            self._client
            if public_endpoint_url == endpoint_url
            else session.client("s3", endpoint_url=public_endpoint_url or None, config=config, **credentials)
        )

    def put(self, key: str, body: bytes | IO[bytes], *, content_type: str) -> None:
        """
        Store one object. Large ones go up a few at a time: side by side, 64 of 10 MB share a store's bandwidth until every
        one of them is over the time limit; in turn, nearly all arrive.
        """
        with self._turn() if _size_bytes(body) > LARGE_BYTES else contextlib.nullcontext():
            self._call("put_object", Key=key, Body=body, ContentType=content_type)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._large.acquire(timeout=_LONGEST_QUEUE_S):
            raise StoreAwayError
        try:
            yield
        finally:
            self._large.release()

    def get(self, key: str) -> bytes:
        """Raises ObjectGoneError where there is no such object."""
        body = self._opened(key)
        try:
            return cast(bytes, body.read())
        except (BotoCoreError, OSError) as error:
            raise StoreAwayError from error

    def stream(self, key: str) -> Iterator[bytes]:
        """
        The object in pieces, of which one is in memory at a time; a connection that breaks midway is taken up again.

        Raises:
            ObjectGoneError: there is no such object.
        """
        sent, tries = 0, 0
        while True:
            try:
                body = self._opened(key, start=sent)
                try:
                    while piece := body.read(_PIECE_BYTES):
                        sent, tries = sent + len(piece), 0
                        yield piece
                    return
                finally:
                    body.close()
            except ObjectGoneError:
                raise
            except (
                StoreAwayError,
                BotoCoreError,
                OSError,
            ) as error:  # a reader who pauses long loses the connection, too
                tries += 1
                if tries == _MOST_TRIES:
                    raise StoreAwayError from error
                time.sleep(tries)

    def _opened(self, key: str, *, start: int = 0) -> Any:
        """The object's body, from that byte on."""
        try:
            return self._call("get_object", Key=key, **({"Range": f"bytes={start}-"} if start else {}))["Body"]
        except StoreAwayError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and cause.response["Error"]["Code"] == "NoSuchKey":
                raise ObjectGoneError from error
            raise

    def delete(self, key: str) -> None:
        """Delete one object; no error when there is none."""
        self._call("delete_object", Key=key)

    def delete_prefix(self, prefix: str) -> None:
        """Delete every object below `prefix`; no error when there is none."""
        listing = self._call("list_objects_v2", Prefix=prefix)
        for item in listing.get("Contents", []):
            self.delete(item["Key"])

    def keys_below(self, prefix: str) -> list[str]:
        """
        The key of every object below `prefix`, older versions of a bucket that keeps them too, once for each version; at most
        1,000 are told.
        """
        listing = self._call("list_object_versions", Prefix=prefix)
        return [item["Key"] for item in listing.get("Versions", [])]

    def presign(self, key: str, *, expires_s: int) -> str:
        """A Signature Version 4 GET URL that lives `expires_s` seconds."""
        url: str = self._signer.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=expires_s
        )
        return url

    def ping(self) -> None:
        self._call("head_bucket")

    def ensure_bucket(self) -> None:
        """Make the bucket, and lifecycle rules that delete what a crash may have left of jobs; other objects stay."""
        try:
            self._client.head_bucket(Bucket=self.bucket)
        except ClientError:
            self._call("create_bucket")
        rules = [
            {
                "ID": f"keyline-{prefix.rstrip('/')}",
                "Status": "Enabled",
                "Filter": {"Prefix": prefix},
                "Expiration": {"Days": 2},
            }
            for prefix in _PASSING_PREFIXES
        ]
        self._call("delete_bucket_lifecycle")  # some stores keep an older rule beside the new ones
        self._call("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": rules})

    def _call(self, method: str, **arguments: Any) -> Any:
        try:
            return getattr(self._client, method)(Bucket=self.bucket, **arguments)
        except (BotoCoreError, ClientError) as error:
            raise StoreAwayError from error


def _size_bytes(body: bytes | IO[bytes]) -> int:
    if isinstance(body, bytes):
        return len(body)
    body.seek(0, os.SEEK_END)
    size = body.tell()
    body.seek(0)
    return size


@lru_cache(maxsize=1)
def result_store() -> ResultStore:
    """The store that the settings name; one client for the process (boto3 clients are thread-safe)."""
    credentials = {"region_name": settings.S3_REGION}
    if settings.S3_ACCESS_KEY_ID:
        credentials["aws_access_key_id"] = settings.S3_ACCESS_KEY_ID
        credentials["aws_secret_access_key"] = settings.S3_SECRET_ACCESS_KEY
    return ResultStore(
        bucket=settings.S3_BUCKET,
        endpoint_url=settings.S3_ENDPOINT_URL,
        public_endpoint_url=settings.S3_PUBLIC_ENDPOINT_URL,
        **credentials,
    )
