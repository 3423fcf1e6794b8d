"""Archives: a folder, and S3 played by moto's server."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from softlaunch.integrations.archives.interface import Archive, ArchiveError, ThawingError
from softlaunch.integrations.archives.opening import open_archive
from softlaunch.retention.archive_objects import check, find, pack, store_object

CLASSES = ["STANDARD", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"]


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """The address of an S3 of this module's own, with an empty bucket `attic`."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket="attic")
        yield url
        server.stop()


def _s3(url: str, storage_class: str, bucket: str = "attic") -> Archive:
    return open_archive(f"s3://{bucket}/{storage_class}?storage_class={storage_class}&endpoint_url={url}")


def test_a_folder_keeps_and_gives_back(tmp_path: Path) -> None:
    """Putting twice changes nothing; what isn't there is an error."""
    archive = open_archive(str(tmp_path / "attic"))
    packed = pack("prompts", [b"one", b"two"])
    store_object(archive, packed, lambda step: None)
    store_object(archive, packed, lambda step: None)
    content = open_archive(archive.address).get(packed.key)
    assert find(content, "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3") == b"two"
    with pytest.raises(ArchiveError, match="can't be read"):
        archive.get("prompts/nothing")
    with pytest.raises(ArchiveError, match="no entry"):
        find(content, "0" * 64)


@pytest.mark.parametrize("storage_class", CLASSES)
def test_s3_keeps_in_a_storage_class(s3_url: str, storage_class: str) -> None:
    """Written, read back, and moved to its class; a cold one is thawed before it is read."""
    archive = _s3(s3_url, storage_class)
    packed = pack("prompts", [storage_class.encode()])
    store_object(archive, packed, lambda step: None)
    held = boto3.client("s3", endpoint_url=s3_url).head_object(Bucket="attic", Key=f"{storage_class}/{packed.key}")
    assert held.get("StorageClass", "STANDARD") == storage_class
    if storage_class in {"GLACIER", "DEEP_ARCHIVE"}:
        with pytest.raises(ThawingError, match="restore again in"):
            archive.get(packed.key)
    check(packed.key, archive.get(packed.key), packed.sha256)


def test_cold_storage_is_cheaper(s3_url: str) -> None:
    """The colder the class, the less a gigabyte costs a month."""
    prices = [_s3(s3_url, storage_class).usd_per_gb_month for storage_class in CLASSES]
    assert prices == sorted(prices, reverse=True)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        pytest.param("s3://attic/x?storage_class=WARM", "expected s3://bucket", id="an unknown class"),
        pytest.param("s3://attic/x?colour=red", "expected s3://bucket", id="an unknown option"),
        pytest.param("s3:///x", "expected s3://bucket", id="no bucket"),
    ],
)
def test_an_address_that_is_none(address: str, said: str) -> None:
    """The error says what an address looks like."""
    with pytest.raises(ArchiveError, match=said):
        open_archive(address)


def test_s3_errors_name_the_object(s3_url: str) -> None:
    """A bucket that isn't there, and an object that isn't."""
    with pytest.raises(ArchiveError, match=r"s3://gone/STANDARD/k: NoSuchBucket"):
        _s3(s3_url, "STANDARD", "gone").put("k", b"")
    with pytest.raises(ArchiveError, match="NoSuchKey"):
        _s3(s3_url, "STANDARD").get("nothing")
