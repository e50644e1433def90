"""Documents inside records: into files named by what they hold, local or wherever fsspec leads."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import stat
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendortap.errors import ConfigError, RecordError
from vendortap.support import files
from vendortap.sync.documents import Documents, companion_names, media_type

PDF = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"


def record(data: bytes | None) -> dict[str, Any]:
    return {"id": "1", "content": None if data is None else base64.b64encode(data).decode()}


def kept(documents: Documents, data: bytes) -> dict[str, Any]:
    row = record(data)
    documents.keep(row, "content")
    return row


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "a")
    return stream.getvalue()


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    return Documents(str(tmp_path / "made" / "for it"))


def test_the_text_becomes_a_file_and_the_record_says_where_and_what(documents: Documents, tmp_path: Path) -> None:
    digest = hashlib.sha256(PDF).hexdigest()
    path = tmp_path / "made" / "for it" / f"{digest}.pdf"
    assert kept(documents, PDF) == {
        "id": "1",
        "content": None,
        "content_path": str(path),
        "content_size": len(PDF),
        "content_sha256": digest,
        "content_media_type": "application/pdf",
    }
    assert companion_names("content") == tuple(name for name in kept(documents, PDF) if name.startswith("content_"))
    assert path.read_bytes() == PDF
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_null_stays_one_and_makes_no_file(documents: Documents, tmp_path: Path) -> None:
    row = record(None)
    documents.keep(row, "content")
    assert row == record(None)
    assert list((tmp_path / "made" / "for it").iterdir()) == []


def test_the_same_document_twice_is_one_file_that_is_not_touched_again(documents: Documents) -> None:
    path = Path(kept(documents, PDF)["content_path"])
    before = path.stat()
    assert kept(documents, PDF)["content_path"] == str(path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_blanks_and_line_breaks_inside_the_text_are_passed_over(documents: Documents) -> None:
    text = base64.encodebytes(PDF * 5).decode()
    row: dict[str, Any] = {"content": f"  {text}\r\n"}
    documents.keep(row, "content")
    assert Path(row["content_path"]).read_bytes() == PDF * 5


@pytest.mark.promise("A body that cannot be read is refused without being quoted")
@pytest.mark.parametrize("text", ["not Base64!", "QUJ", "QUJD=QUJD", "Q-J_", "ÄÖÜ=", "data:;base64,QUJD"])
def test_what_is_not_base64_is_a_bad_record_that_is_not_shown(documents: Documents, text: str, tmp_path: Path) -> None:
    row = {"content": text}
    with pytest.raises(RecordError, match="the document in content is not Base64") as caught:
        documents.keep(row, "content")
    assert text not in str(caught.value)
    assert row == {"content": text}
    assert list((tmp_path / "made" / "for it").iterdir()) == []


@given(st.binary(max_size=200))
def test_any_bytes_arrive_as_they_are(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    row = kept(Documents(str(tmp_path_factory.getbasetemp() / "any")), data)
    path = Path(row["content_path"])
    assert path.read_bytes() == data
    assert path.stem == row["content_sha256"] == hashlib.sha256(data).hexdigest()
    assert row["content_size"] == len(data)


def test_many_threads_may_keep_the_same_documents_at_once(tmp_path: Path) -> None:
    documents = Documents(str(tmp_path))
    together = threading.Barrier(16)
    data = [bytes([number]) * 100_000 for number in range(6)]

    def keep_all(_: int) -> list[str]:
        together.wait(20)
        return [kept(documents, content)["content_path"] for content in data]

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(keep_all, range(16)))
    assert all(paths == results[0] for paths in results)
    assert [Path(path).read_bytes() for path in results[0]] == data
    assert len(list(tmp_path.iterdir())) == len(data), "nothing temporary is left"


@pytest.mark.parametrize(
    ("data", "kind", "suffix"),
    [
        (PDF, "application/pdf", ".pdf"),
        (PNG, "image/png", ".png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", "image/jpeg", ".jpg"),
        (b"<?xml version='1.0'?><a/>", "application/xml", ".xml"),
        (b"<!DOCTYPE html><html></html>", "text/html", ".html"),
        (zipped(), "application/zip", ".zip"),
        (b"Invoice 1\nTotal 5.00\n", "text/plain", ".txt"),
        ("Größe: groß\n".encode(), "text/plain", ".txt"),
        (b"BMW parts\n", "text/plain", ".txt"),
        (b"\xef\xbb\xbfInvoice 1\n", "text/plain", ".txt"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "application/x-gzip", ""),
        (b"\x00\x01\x02\xfe\xff\xfd", "application/octet-stream", ""),
        (b"", "application/octet-stream", ""),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
def test_the_media_type_is_told_from_the_bytes(documents: Documents, data: bytes, kind: str, suffix: str) -> None:
    assert media_type(data) == kind
    assert Path(kept(documents, data)["content_path"]).suffix == suffix


# --- fsspec ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["memory://invoices", "memory://invoices/of/acme/"])
def test_a_url_leads_through_fsspec(url: str) -> None:
    row = kept(Documents(url), PDF)
    assert row["content_path"].startswith("memory://")
    assert row["content_path"].endswith(f"/{hashlib.sha256(PDF).hexdigest()}.pdf")
    with fsspec.open(row["content_path"]) as file:
        assert file.read() == PDF


def test_a_file_url_is_a_folder_too_and_a_file_that_was_cut_short_is_written_anew(tmp_path: Path) -> None:
    documents = Documents((tmp_path / "made").as_uri())
    path = tmp_path / "made" / f"{hashlib.sha256(PDF).hexdigest()}.pdf"
    path.write_bytes(PDF[:10])
    row = kept(documents, PDF)
    assert path.read_bytes() == PDF
    assert row["content_path"] == path.as_uri()


# --- folders that cannot be used ---------------------------------------------------------------------


@pytest.mark.parametrize("url", ["{}/file", "{}/file/below", "file://{}/file/below"])
def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path, url: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="the folder 'documents_dir' cannot be used: ") as caught:
        Documents(url.format(tmp_path))
    assert str(tmp_path) not in str(caught.value)


def test_a_storage_that_fsspec_does_not_know_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'documents_dir' cannot be used: .*nosuch"):
        Documents("nosuch://bucket/folder")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://user:s3cr3t/x@127.0.0.1/folder",
        "ftp://user:s3cr3t#x@127.0.0.1:21/folder",
        "ftp://[user:s3cr3t@host/folder",
        "nosuch://user:s3cr3t@host/folder",
        "user:s3cr3t@host://folder",
        "simplecache::nosuch://user:s3cr3t@host",
    ],
)
def test_no_part_of_a_url_that_cannot_be_read_is_quoted(url: str) -> None:
    """What urllib and fsspec say of one has parts of it, such as a password that was taken for a port."""
    with pytest.raises(ConfigError, match="the folder 'documents_dir' cannot be used: ") as caught:
        Documents(url)
    assert "s3cr3t" not in str(caught.value)


def test_a_storage_that_fails_in_its_own_way_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    class StorageError(Exception):
        pass

    def fail(url: str, *_: Any) -> Any:
        raise StorageError(url)

    documents = Documents("memory://invoices")
    monkeypatch.setattr(fsspec.core, "url_to_fs", fail)
    with pytest.raises(ConfigError, match=r"cannot be used: StorageError$"):
        Documents("ftp://user:s3cr3t@host/folder")
    storage = documents._storage
    monkeypatch.setattr(storage, "pipe_file", fail)
    with pytest.raises(ConfigError, match=r"cannot be written to 'documents_dir': StorageError$"):
        kept(documents, b"something new")


def test_a_folder_that_is_gone_meanwhile_is_a_sentence(tmp_path: Path) -> None:
    documents = Documents(str(tmp_path / "folder"))
    (tmp_path / "folder").rmdir()
    with pytest.raises(ConfigError, match="cannot be written to 'documents_dir': No such file or directory"):
        kept(documents, PDF)


def test_what_a_killed_process_left_half_written_is_removed_after_a_while(tmp_path: Path) -> None:
    """Only vendortap's own temporary files, and only those that nobody writes any more."""
    digest = hashlib.sha256(PDF).hexdigest()
    names = [
        f".{digest}.pdf.abcd1234.new",
        f".{digest}.abcd1234.new",
        f".{digest}.pdf.abcd1235.new",
        ".mine.abcd1234.new",
    ]
    for name in names:
        (tmp_path / name).touch()
    for name in (*names[:2], names[3]):
        os.utime(tmp_path / name, (time.time() - 2 * 3600,) * 2)
    kept(Documents(str(tmp_path)), PDF)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*names[2:], f"{digest}.pdf"])


# --- what lies there already -------------------------------------------------------------------------

ELSE = b"%PDF-1.4 another invoice, as long as the other".ljust(len(PDF))[: len(PDF)]


@pytest.mark.promise("A file under a document's hash is believed only if it holds that document")
@pytest.mark.parametrize("where", ["{}", "file://{}", "memory:/{}"])
@pytest.mark.parametrize("content", [ELSE, ELSE + b"more", b""])
def test_a_file_of_the_same_name_that_holds_something_else_is_replaced(
    where: str, content: bytes, tmp_path: Path
) -> None:
    assert content != PDF
    documents = Documents(where.format(tmp_path))
    path = kept(documents, PDF)["content_path"]
    with fsspec.open(path, "wb") as file:
        file.write(content)
    assert kept(documents, PDF)["content_path"] == path
    with fsspec.open(path) as file:
        assert file.read() == PDF


@pytest.mark.promise("What another user plants in a shared folder is neither followed, truncated nor believed")
@pytest.mark.parametrize("where", ["{}", "file://{}"])
@pytest.mark.parametrize("plant", ["symlink_to", "hardlink_to"])
def test_a_link_under_a_documents_hash_is_replaced_and_not_followed(plant: str, where: str, tmp_path: Path) -> None:
    folder, victim = tmp_path / "shared", tmp_path / "victim"
    folder.mkdir()
    folder.chmod(0o1777)
    victim.write_bytes(PDF)  # what it holds now need not be what it holds later
    path = folder / f"{hashlib.sha256(PDF).hexdigest()}.pdf"
    getattr(path, plant)(victim)
    kept(Documents(where.format(folder)), PDF)
    victim.write_bytes(ELSE)
    assert path.read_bytes() == PDF
    assert not path.is_symlink()


@pytest.mark.promise("What vendortap keeps can be read by its owner only, whatever the umask is")
@pytest.mark.parametrize("where", ["{}/made", "file://{}/made"])
def test_only_the_owner_can_read_documents(where: str, tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        kept(Documents(where.format(tmp_path)), PDF)
    finally:
        os.umask(umask)
    [file] = (tmp_path / "made").iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file.parent, file)] == [0o700, 0o600]


def test_a_folder_that_another_users_link_leads_to_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setattr(files, "trusted_owners", lambda: {54321})
    with pytest.raises(ConfigError, match=r"'documents_dir' cannot be used: .*link is a symbolic link of another user"):
        Documents(str(tmp_path / "link"))
