"""Small files that are written whole or not at all, and the difference between a file that is absent and one that is unknown."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from zkboot.errors import UnknownFact

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


@contextmanager
def unknown_on_error() -> Iterator[None]:
    """An error of the operating system says nothing of what is there: it becomes UnknownFact, naming the file."""
    try:
        yield
    except OSError as error:
        raise UnknownFact(f"{error.filename or 'a file'}: {error.strerror or error}; zkboot tries again") from error


def read_text(path: str) -> str | None:
    """A small file's text, None when there is no such file. A link is not followed: the server's user may write in its folders,
    and root reads them. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        return file.read()


def exists(path: str) -> bool:
    """Whether something of that name is there. Raises OSError where that cannot be known (os.path.exists says no then)."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def listing(folder: str) -> list[str]:
    """The names in a folder, sorted; none when there is no such folder. Raises OSError."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def write(path: str, text: str) -> None:
    """Write a file so that even a power cut leaves the old or the new one; 0600, its folder's owner. Raises OSError."""
    folder = os.path.dirname(path)
    new = f"{path}.zkboot-new"
    remove(new)
    descriptor = create(new)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.rename(new, path)
    except BaseException:
        remove(new)
        raise
    sync_folder(folder)


def create(path: str) -> int:
    """A new file's descriptor, for writing; 0600, its folder's owner. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
    _give_to_owner_of(os.path.dirname(path), descriptor)
    return descriptor


def make_folder(path: str) -> None:
    """A folder and those above it, 0700, the owner that of the folder above. Raises OSError."""
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    make_folder(above)
    os.mkdir(path, PRIVATE_FOLDER)
    _give_to_owner_of(above, path)
    sync_folder(above)


def remove(path: str) -> None:
    """Remove a file, if it is there. Raises OSError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def rename(old: str, new: str) -> None:
    """Rename, and make it last. Raises OSError."""
    os.rename(old, new)
    sync_folder(os.path.dirname(new))
    sync_folder(os.path.dirname(old))


def sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_to_owner_of(folder: str, file: int | str) -> None:
    """The server runs as a user of its own and must be able to rewrite what zkboot, as root, puts into its folders."""
    if os.geteuid() == 0:
        owner = os.stat(folder)
        if isinstance(file, int):
            os.chown(file, owner.st_uid, owner.st_gid)
        else:
            os.chown(file, owner.st_uid, owner.st_gid, follow_symlinks=False)
