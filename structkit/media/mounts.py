"""Mounts: the file system that a folder is on, and whether its locks hold between machines.

A lock that one machine alone knows of looks like any other: nobody is refused.  So the kind of the file system and its
options must say it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")  # of Linux; elsewhere nothing is known

# File systems on which machines see each other's locks, each with the options that end that.
LOCKING = {
    "nfs": ("nolock", "local_lock=all", "local_lock=flock"),
    "nfs4": ("nolock", "local_lock=all", "local_lock=flock"),
    "cifs": ("nobrl", "nolock"),
    "smb3": ("nobrl", "nolock"),
    "ceph": (),
    "gpfs": (),
    "gfs2": (),
    "ocfs2": (),
    "fuse.glusterfs": (),
}
# Others that machines share, each with the option by which machines see each other's locks, if there is one.
SHARED = {"lustre": "flock", "beegfs": None, "9p": None, "virtiofs": None, "afs": None}


@dataclass(frozen=True)
class Mount:
    """A file system as it is mounted.

    place: the folder where it is.
    kind: such as ext4 or nfs4.
    options: those of the mount and of the file system, such as rw or local_lock=none.
    """

    place: str
    kind: str
    options: frozenset[str]

    @property
    def locks_hold(self) -> bool:
        """True if a lock holds for all machines that see the file system."""
        if self.kind in LOCKING:
            return self.options.isdisjoint(LOCKING[self.kind])
        if self.kind in SHARED:
            return SHARED[self.kind] in self.options
        return self.kind.partition(".")[0] != "fuse"  # what is left is of one machine, fuseblk too


def mount_of(folder: str | Path, table: Path = TABLE) -> Mount | None:
    """The mount that a folder is on, or will be; None where the system does not tell.

    table: in the form of /proc/self/mountinfo.
    """
    try:
        lines = table.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    real = os.path.realpath(folder)
    found = None
    for line in lines:
        own, dash, rest = line.partition(" - ")
        fields, (kind, _, more) = own.split(" "), [*rest.split(" "), "", "", ""][:3]
        if not dash or len(fields) < 6:
            continue
        place = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        is_above = real == place or real.startswith(place.rstrip("/") + "/")
        if is_above and (found is None or len(place) >= len(found.place)):  # of two in one place the last is seen
            found = Mount(place, kind, frozenset(fields[5].split(",")) | frozenset(more.split(",")))
    return found


def locks_hold(folder: str | Path) -> bool:
    """True unless the file system of the folder is known for locks that other machines do not see."""
    mount = mount_of(folder)
    return mount is None or mount.locks_hold
