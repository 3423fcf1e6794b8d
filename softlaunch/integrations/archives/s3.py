"""An archive in Amazon S3, or a store that speaks its protocol, with a storage class."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from softlaunch.integrations.archives.interface import Archive, ArchiveError, ThawingError

USD_PER_GB_MONTH = {  # list prices of us-east-1, aws.amazon.com/s3/pricing, as of 2026
    "STANDARD": 0.023,
    "STANDARD_IA": 0.0125,
    "GLACIER_IR": 0.004,
    "GLACIER": 0.0036,
    "DEEP_ARCHIVE": 0.00099,
}
_COLD = {"GLACIER": "3 to 5 hours", "DEEP_ARCHIVE": "12 hours"}
_RESTORED_DAYS = 3


class S3Archive(Archive):
    """Objects below `s3://bucket/prefix`; `?storage_class=` GLACIER_IR (instant), GLACIER (flexible), DEEP_ARCHIVE.

    `&endpoint_url=` names another store than Amazon's. Credentials are found as every AWS program finds them. A cold
    class can't be read back, so an object is written as STANDARD, compared, and then moved to its class.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        parts, options = urlsplit(address), dict(parse_qsl(urlsplit(address).query))
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._class = options.pop("storage_class", "GLACIER_IR")
        endpoint = options.pop("endpoint_url", None)
        if options or not self._bucket or self._class not in USD_PER_GB_MONTH:
            raise ArchiveError(
                f"{address!r} is no archive; expected s3://bucket/prefix?storage_class=<one of "
                f"{', '.join(USD_PER_GB_MONTH)}>&endpoint_url=<where it isn't Amazon's>"
            )
        self._s3 = _client(endpoint)

    @property
    def address(self) -> str:
        """The address that it was opened with."""
        return self._address

    @property
    def usd_per_gb_month(self) -> float:
        """Amazon's list price of the storage class."""
        return USD_PER_GB_MONTH[self._class]

    def put(self, key: str, content: bytes) -> None:
        """Write with a checksum that the store verifies."""
        with self._errors(key):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=self._key(key),
                Body=content,
                ChecksumAlgorithm="SHA256",
                StorageClass="STANDARD",
            )

    def get(self, key: str) -> bytes:
        """Read; what is in cold storage is asked for, and can be read hours later."""
        with self._errors(key):
            content: bytes = self._s3.get_object(Bucket=self._bucket, Key=self._key(key))["Body"].read()
            return content

    def settle(self, key: str) -> None:
        """Move to the storage class by copying the object onto itself."""
        if self._class == "STANDARD":
            return
        here = {"Bucket": self._bucket, "Key": self._key(key)}
        with self._errors(key):
            self._s3.copy_object(**here, CopySource=here, StorageClass=self._class, MetadataDirective="COPY")

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == "InvalidObjectState":
                raise self._thaw(key) from error
            raise self._failed(key, f"{code} {error.response.get('Error', {}).get('Message', '')}") from error
        except BotoCoreError as error:
            raise self._failed(key, str(error)) from error

    def _thaw(self, key: str) -> ThawingError:
        from botocore.exceptions import ClientError

        try:
            self._s3.restore_object(
                Bucket=self._bucket,
                Key=self._key(key),
                RestoreRequest={"Days": _RESTORED_DAYS, "GlacierJobParameters": {"Tier": "Standard"}},
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "RestoreAlreadyInProgress":
                raise
        hours = _COLD.get(self._class, "hours")
        return ThawingError(f"{key} is in cold storage and was asked for; restore again in {hours}, within 3 days")

    def _failed(self, key: str, message: str) -> ArchiveError:
        return ArchiveError(
            f"s3://{self._bucket}/{self._key(key)}: {message.strip()}; check the bucket and its credentials, then run "
            "the cleanup again"
        )


def _client(endpoint: str | None) -> Any:
    try:
        import boto3
    except ModuleNotFoundError as error:
        raise ArchiveError("archives in S3 need boto3; install softlaunch[s3]") from error
    return boto3.client("s3", endpoint_url=endpoint)
