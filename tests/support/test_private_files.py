"""Files of our own in folders that others can write to: no link, no other user's file, nothing that is truncated."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vendortap.support import files, lock
from vendortap.support.files import (
    check_own,
    open_private,
    private_umask,
    read_private,
    real_path,
    write_atomically,
    write_new,
)

PLANTED = "What another user plants in a shared folder is neither followed, truncated nor believed"
SOMEBODY = 54321
VICTIM = b"what the link would destroy"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder such as /tmp."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    file = tmp_path / "victim"
    file.write_bytes(VICTIM)
    return file


@pytest.fixture
def as_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there by now belongs to another user, as chown would have it, which only root may."""
    monkeypatch.setattr(files, "trusted_owners", lambda: {SOMEBODY})


@pytest.fixture
def without_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def lock_it(path: Path) -> None:
    with lock.held(path, "it"):
        pass


def append(path: Path) -> None:
    with open(path, "ab", opener=open_private) as file:
        file.write(b"more")


def overwrite(path: Path) -> None:
    with open(path, "wb", opener=open_private) as file:
        file.write(b"new")


USES: list[Callable[[Path], object]] = [lock_it, append, overwrite, read_private, check_own]


@pytest.mark.promise(PLANTED)
@pytest.mark.parametrize("use", USES)
def test_no_link_is_followed_whosever_it_is(use: Callable[[Path], object], shared: Path, victim: Path) -> None:
    planted = shared / "state.json.lock"
    planted.symlink_to(victim)
    with pytest.raises(PermissionError, match=r"state\.json\.lock is a symbolic link, which is not followed here"):
        use(planted)
    assert victim.read_bytes() == VICTIM
    planted.unlink()
    planted.symlink_to(shared / "none")
    with pytest.raises(PermissionError, match="is a symbolic link"):
        use(planted)
    assert not (shared / "none").exists()


@pytest.mark.promise(PLANTED)
@pytest.mark.parametrize("use", USES)
def test_a_hard_link_in_a_shared_folder_is_refused(use: Callable[[Path], object], shared: Path, victim: Path) -> None:
    planted = shared / "planted"
    planted.hardlink_to(victim)
    with pytest.raises(PermissionError, match=r"has another name elsewhere \(a hard link\)"):
        use(planted)
    assert victim.read_bytes() == VICTIM
    shared.chmod(0o755)
    use(planted)  # nobody but the owner can have made it


@pytest.mark.promise(PLANTED)
@pytest.mark.usefixtures("as_somebody_else")
@pytest.mark.parametrize("mode", [0o1777, 0o777, 0o775])
@pytest.mark.parametrize("use", USES)
def test_another_users_file_in_a_shared_folder_is_refused(
    use: Callable[[Path], object], mode: int, shared: Path
) -> None:
    planted = shared / "planted"
    planted.write_bytes(VICTIM)
    shared.chmod(mode)
    with pytest.raises(PermissionError, match=rf"another user's \(uid {os.geteuid()}\)"):
        use(planted)
    assert planted.read_bytes() == VICTIM
    shared.chmod(0o755)
    assert read_private(planted) == VICTIM  # the folder is that user's alone: root looks after a service's files


@pytest.mark.promise(PLANTED)
@pytest.mark.parametrize("use", USES)
def test_a_pipe_is_not_waited_for(use: Callable[[Path], object], shared: Path) -> None:
    os.mkfifo(shared / "pipe")
    with pytest.raises(OSError, match=r"pipe is not a regular file; remove it"):
        use(shared / "pipe")


@pytest.mark.promise(PLANTED)
@pytest.mark.usefixtures("as_somebody_else")
def test_a_link_of_another_user_leads_nowhere(shared: Path, victim: Path) -> None:
    """Neither the file itself nor a folder on the way to it, and in no folder: not only where others can write."""
    (shared / "state.json").symlink_to(victim)
    (shared / "folder").symlink_to(victim.parent)
    for path in (shared / "state.json", shared / "folder" / "victim"):
        for folder_mode in (0o1777, 0o700):
            shared.chmod(folder_mode)
            with pytest.raises(PermissionError, match=r"is a symbolic link of another user \(uid \d+\); name the file"):
                write_atomically(path, b"new")
    assert victim.read_bytes() == VICTIM


def test_ones_own_links_are_followed_to_the_end(tmp_path: Path) -> None:
    real = tmp_path / "mnt" / "data"
    real.mkdir(parents=True)
    (tmp_path / "first").symlink_to("mnt")
    (tmp_path / "second").symlink_to(tmp_path / "first" / "data")
    (tmp_path / "state.json").symlink_to("second/../data/state.json")
    write_atomically(tmp_path / "state.json", b"{}")
    assert (real / "state.json").read_bytes() == b"{}"
    assert real_path(tmp_path / "state.json") == Path(os.path.realpath(tmp_path / "state.json"))
    assert real_path(tmp_path / "none" / "at" / "all") == tmp_path / "none" / "at" / "all"
    (tmp_path / "round").symlink_to("about")
    (tmp_path / "about").symlink_to("round")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        real_path(tmp_path / "round")


@pytest.mark.promise("What vendortap keeps can be read by its owner only, whatever the umask is")
@pytest.mark.usefixtures("without_umask")
def test_what_is_made_is_private_whatever_the_umask_is(tmp_path: Path) -> None:
    append(tmp_path / "appended")
    overwrite(tmp_path / "overwritten")
    write_new(tmp_path / "new", b"x")
    write_atomically(tmp_path / "replaced", b"x")
    with private_umask():
        (tmp_path / "by a library").touch()
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_a_new_file_replaces_nothing(tmp_path: Path, victim: Path) -> None:
    with pytest.raises(FileExistsError):
        write_new(victim, b"new")
    (tmp_path / "link").symlink_to(tmp_path / "none")
    with pytest.raises(OSError, match="is a symbolic link"):
        write_new(tmp_path / "link", b"new")
    assert victim.read_bytes() == VICTIM
    assert not (tmp_path / "none").exists()


def test_a_link_is_replaced_where_none_is_to_be_followed(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "link").symlink_to(victim)
    write_atomically(tmp_path / "link", b"new", mode=0o644, follow=False, durable=False)
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "link").stat().st_mode) == 0o644
    assert victim.read_bytes() == VICTIM
