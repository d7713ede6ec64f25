"""The version of an rpm: PEP 440's order in rpm's own words, so that dnf's "newest" is ours.

rpm sorts letters below digits, `~` below nothing at all and `^` directly above nothing (rpm-version(7)). So 1.4.0rc1 is
1.4.0~rc1 and 1.4.0+g12ab34c is 1.4.0^g12ab34c. A .dev release comes before its alphas, so it gets two tildes: with one,
"dev" would come after "a".
"""

from packaging.version import InvalidVersion, Version

from deploy.errors import SlipwayError


class RpmVersionError(SlipwayError):
    """The version can't be that of an rpm."""


def of(text: str) -> str:
    """Write a version as rpm has it."""
    try:
        version = Version(text)
    except InvalidVersion:
        raise RpmVersionError(f"{text!r} is not allowed in rpm: expected a version, as in 1.4.0") from None
    if version.epoch:
        raise RpmVersionError(
            f"{text} is not allowed in rpm: expected a version without the epoch {version.epoch}!, "
            f"since it also names a package and a directory",
            hint=f"git tag v{text.split('!')[1].split('+')[0]}   (and delete the tag with the epoch)",
        )
    parts = [".".join(map(str, version.release))]
    if version.pre:
        parts.append("~{}{}".format(*version.pre))
    if version.post is not None:
        parts.append(f".post{version.post}")
    if version.dev is not None:
        parts.append(f"{'~' if version.pre or version.post is not None else '~~'}dev{version.dev}")
    if version.local:
        parts.append(f"^{version.local}")
    return "".join(parts)
