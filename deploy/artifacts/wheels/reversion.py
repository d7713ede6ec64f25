"""Give a wheel another version: that of the release, which says more than the one its source does."""

import base64
import csv
import hashlib
import io
import re
import zipfile
from pathlib import Path

_TIME = (1980, 1, 1, 0, 0, 0)


def reversion(wheel: Path, version: str) -> Path:
    """Write the wheel anew, beside it, with `version` in its name and metadata; the old one goes away."""
    distribution, old, *tags = wheel.stem.split("-")
    start, now = f"{distribution}-{old}.", f"{distribution}-{version}."
    with zipfile.ZipFile(wheel) as archive:
        members = [
            (now + info.filename.removeprefix(start) if info.filename.startswith(start) else info.filename,
             archive.read(info), info.external_attr >> 16)
            for info in archive.infolist() if not info.is_dir()
        ]  # fmt: skip
    metadata = f"{now}dist-info/METADATA"
    members = [
        (name, re.sub(rb"(?m)^Version: .*$", f"Version: {version}".encode(), data, count=1), mode)
        if name == metadata else (name, data, mode)
        for name, data, mode in members if name != f"{now}dist-info/RECORD"
    ]  # fmt: skip
    made = wheel.with_name("-".join([distribution, version, *tags]) + ".whl")
    data = pack(members, f"{now}dist-info/RECORD")
    wheel.unlink()
    made.write_bytes(data)
    return made


def pack(members: list[tuple[str, bytes, int]], record: str) -> bytes:
    """Write a wheel of files (name, content, mode), with its RECORD: the same bytes for the same files."""
    rows = io.StringIO()
    table = csv.writer(rows, lineterminator="\n")
    for name, data, _ in members:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        table.writerow([name, f"sha256={digest}", len(data)])
    table.writerow([record, "", ""])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data, mode in [*members, (record, rows.getvalue().encode(), 0o644)]:
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system, info.external_attr = 3, (0o100755 if mode & 0o100 else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return buffer.getvalue()
