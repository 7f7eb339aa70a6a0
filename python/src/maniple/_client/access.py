"""Access files: whoever holds one can join its cluster, in one role. After `shared/src/security/access.rs`.

An error names the path and the next step, and never shows what the file holds.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import EngineError

LONGEST = 64 << 10
"""Bytes of the longest file that is read; an access file has about 3 KiB."""
VERSION = 1
ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


@dataclass(frozen=True)
class Access:
    """What an access file of a client says, and what TLS makes of it."""

    path: str
    cluster: str
    addresses: list[tuple[str, int]]
    """Tried in order."""
    context: ssl.SSLContext

    @property
    def server(self) -> str:
        """The name that the coordinator has to prove, wherever it is."""
        return f"coordinator.{self.cluster}.maniple"


def read_access(path: str | os.PathLike[str]) -> Access:
    """The access file of a client.

    Raises
    ------
    EngineError
        It is of no use, and why.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{path!r} is no path of an access file; give a text or a Path")
    name = os.path.abspath(os.fspath(path))
    told = _parsed(name, _private(name))
    role = told["role"]
    if role != "client":
        raise EngineError(f"{name} is for a {role}, but a client needs client.access; give that file")
    return Access(name, told["cluster"], [_address(name, each) for each in told["addresses"]], _context(name, told))


def _private(path: str) -> str:
    """The text of a file that is ours alone; opening it never waits."""
    try:
        with open(path, "rb", opener=lambda at, flags: os.open(at, flags | os.O_NONBLOCK)) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise EngineError(f"{path} is not a file; give the path of one")
            if about.st_uid != os.geteuid():
                mine = os.geteuid()
                raise EngineError(
                    f"{path} belongs to user {about.st_uid}, not to you (user {mine}); make a copy of your own"
                )
            if about.st_mode & 0o077:
                mode = stat.S_IMODE(about.st_mode)
                raise EngineError(f"{path} is open to other users (mode {mode:04o}); run: chmod 600 {path}")
            data = file.read(LONGEST + 1)
    except IsADirectoryError:
        raise EngineError(f"{path} is not a file; give the path of one") from None
    except OSError as error:
        raise EngineError(f"cannot open {path}: {error.strerror}") from error
    if len(data) > LONGEST:
        raise EngineError(f"{path} is longer than {LONGEST} bytes and so no access file; check the path")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise EngineError(f"{path} is not text; check the path, or copy the file again") from None


def _malformed(path: str, what: str) -> EngineError:
    return EngineError(
        f"{path} is not a maniple access file or is damaged ({what}); copy it again from the coordinator"
    )


def _parsed(path: str, text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except ValueError as error:
        place = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "no JSON"
        raise _malformed(path, place) from None
    if not isinstance(told, dict) or type(told.get("version")) is not int:
        raise _malformed(path, "no version")
    if told["version"] != VERSION:
        raise EngineError(
            f"{path} has format version {told['version']}, this maniple reads version {VERSION}; "
            "install the other maniple"
        )
    for name in ("cluster", "role", "authority", "certificate", "key"):
        if not isinstance(told.get(name), str):
            raise _malformed(path, f'no "{name}"')
    if not re.fullmatch("[0-9a-f]{16}", told["cluster"]):
        raise _malformed(path, "no cluster id")
    if not isinstance(told.get("addresses"), list) or not told["addresses"]:
        raise _malformed(path, "no address")
    return told


def _address(path: str, address: Any) -> tuple[str, int]:
    found = ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if found is None or not 0 < int(found[1]) < 1 << 16:
        raise _malformed(path, f"address {address!r} is not host:port")
    return address[: found.start(1) - 1].strip("[]"), int(found[1])


def _context(path: str, told: dict[str, Any]) -> ssl.SSLContext:
    """TLS 1.3 with both certificates, checked against the cluster's authority alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cadata=told["authority"])
    except (ssl.SSLError, ValueError):
        raise _malformed(path, 'no PEM in "authority"') from None
    # The library takes a certificate and its key from a file only; this one never is on a disk.
    secret = os.memfd_create("access", os.MFD_CLOEXEC)
    try:
        Path(f"/proc/self/fd/{secret}").write_text(told["certificate"] + told["key"])
        # Without a password an encrypted key would make OpenSSL ask for one on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{secret}", password=lambda: "")
    except (ssl.SSLError, ValueError):
        raise _malformed(path, 'no PEM in "certificate" or "key"') from None
    finally:
        os.close(secret)
    return context
