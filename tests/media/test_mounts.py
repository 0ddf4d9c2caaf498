"""Mounts: the file system of a folder, by the system's table, and whether machines see each other's locks on it."""

from __future__ import annotations

import os
import sys

import pytest

from structkit.media.mounts import TABLE, Mount, locks_hold, mount_of

ROWS = r"""
22 27 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:40 / /net rw,relatime shared:2 master:1 - nfs4 server:/export rw,vers=4.2,local_lock=none
32 31 0:41 / /net/old rw - nfs server:/old rw,vers=3,nolock
33 22 0:42 / /net/with\040space rw - fuse.sshfs host:/ rw,user_id=0
34 22 0:43 / /twice rw - ext4 /dev/vdb rw
35 34 0:44 / /twice rw - lustre server:/fs rw,flock
a line that says nothing
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "mountinfo").write_text(ROWS.lstrip())
    return tmp_path / "mountinfo"


@pytest.mark.parametrize(
    ("folder", "kind", "place"),
    [
        ("/home/me", "ext4", "/"),
        ("/", "ext4", "/"),
        ("/net", "nfs4", "/net"),
        ("/net/a/b", "nfs4", "/net"),
        ("/network", "ext4", "/"),
        ("/net/old/x", "nfs", "/net/old"),
        ("/net/with space/x", "fuse.sshfs", "/net/with space"),
        ("/twice/x", "lustre", "/twice"),
    ],
)
def test_a_folder_is_on_the_innermost_and_last_mount_above_it(table, folder, kind, place):
    found = mount_of(folder, table)
    assert (found.kind, found.place) == (kind, place)


def test_links_are_seen_through(table, tmp_path):
    os.symlink("/net/old", tmp_path / "link")
    assert mount_of(tmp_path / "link" / "later", table).kind == "nfs"


@pytest.mark.parametrize(
    ("kind", "options", "hold"),
    [
        ("ext4", "rw", True),
        ("tmpfs", "rw", True),
        ("nfs4", "rw,local_lock=none", True),
        ("nfs", "rw", True),
        ("nfs", "rw,nolock", False),
        ("nfs", "rw,local_lock=all", False),
        ("nfs4", "rw,local_lock=flock", False),
        ("nfs", "rw,local_lock=posix", True),
        ("cifs", "rw", True),
        ("cifs", "rw,nobrl", False),
        ("lustre", "rw,flock", True),
        ("lustre", "rw", False),
        ("lustre", "rw,localflock", False),
        ("beegfs", "rw", False),
        ("fuse.sshfs", "rw", False),
        ("fuse.glusterfs", "rw", True),
        ("fuse", "rw", False),
        ("fuseblk", "rw", True),
        ("9p", "rw", False),
    ],
)
def test_locks_hold_where_all_machines_see_them(kind, options, hold):
    assert Mount("/x", kind, frozenset(options.split(","))).locks_hold is hold


def test_where_the_system_does_not_tell_locks_are_trusted(tmp_path):
    assert mount_of("/", tmp_path / "none") is None


@pytest.mark.skipif(sys.platform != "linux", reason="the table of Linux")
def test_the_systems_own_table_is_read(tmp_path):
    assert TABLE.exists() and mount_of(tmp_path).place and isinstance(locks_hold(tmp_path), bool)
