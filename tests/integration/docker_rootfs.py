"""What stands in for `python:3.12-slim` where no image registry is reached: Debian's minbase and the Python that runs.

The rule: it is built from Debian's packages and from this machine's own CPython, once for each state of both, and kept
beside other caches; as a program it is the hook that puts that Python into a fresh root folder.
"""

import hashlib
import importlib.util
import os
import platform
import shutil
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

PIP_SETTINGS = Path("/etc/pip.conf")

LEFT_OUT = ("*.opt-?.pyc", "test", "tests", "idlelib", "tkinter", "turtledemo", "site-packages", "dist-packages")
"""Of the standard library.  Its compiled files stay: a read-only container would compile them at each start."""

PIP_SCRIPT = "#!/usr/local/bin/python3\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"


def tarball() -> Path:
    """Return the tar file of the root folder, built now where it is not in the cache: a minute."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ec-gateway-tests"
    wanted = cache / f"python-{_key()}.tar"
    if not wanted.exists():
        cache.mkdir(parents=True, exist_ok=True)
        for old in cache.glob("python-*.tar"):
            old.unlink()
        fresh = cache / "fresh.tar"
        done = subprocess.run(_command(fresh), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"mmdebstrap failed, code {done.returncode}: {done.stderr[-2000:]}")
        fresh.replace(wanted)
    return wanted


def _command(target: Path) -> list[str]:
    unread = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
    hook = f'"{sys.executable}" "{Path(__file__).resolve()}" "$1" && chroot "$1" ldconfig'
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--include=ca-certificates",
        '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt=path-exclude={path}" for path in unread),
        f"--customize-hook={hook}",
        platform.freedesktop_os_release()["VERSION_CODENAME"],
        str(target),
    ]


def _key() -> str:
    """Name the state of all that goes into it."""
    parts = [Path(__file__).read_bytes(), sys.version.encode(), str(platform.freedesktop_os_release()).encode()]
    parts += [path.read_bytes() for path in (_certificates(), PIP_SETTINGS) if path is not None and path.exists()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _certificates() -> Path | None:
    """Whom this machine trusts: where a company's proxy reads along, Debian's own list does not know it."""
    found = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return Path(found) if found else None


def fill(root: Path) -> None:
    """Put the Python that runs this into a root folder, below /usr/local."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    local = root / "usr/local"
    library = local / "lib" / version
    # config-* holds what only a compiler wants
    ignored = shutil.ignore_patterns(*LEFT_OUT, "config-*", "*.a")
    shutil.copytree(sysconfig.get_path("stdlib"), library, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    # what the real one has for who compiles against it, as the Dockerfile does with ECGW_COMPILED=1
    shutil.copytree(sysconfig.get_path("include"), local / "include" / version, dirs_exist_ok=True)
    binary = local / "bin" / version
    shutil.copy2(Path(sys._base_executable).resolve(), binary)  # type: ignore[attr-defined]  # there since 3.3
    for name in ("python", "python3"):
        (local / "bin" / name).symlink_to(version)
    for shared in sorted(_shared({binary, *library.rglob("*.so")})):
        # a folder that the loader searches by itself
        shutil.copy2(shared.resolve(), root / "usr/lib" / shared.name)
    _pip(local / "bin", library / "site-packages")
    certificates = _certificates()
    if certificates is not None and certificates.exists():
        shutil.copy2(certificates, root / "etc/ssl/certs/ca-certificates.crt")
    if PIP_SETTINGS.exists():
        shutil.copy2(PIP_SETTINGS, root / "etc/pip.conf")


def _pip(programs: Path, packages: Path) -> None:
    packages.mkdir(exist_ok=True)
    spec = importlib.util.find_spec("pip")
    if spec is None or spec.origin is None:
        return
    source = Path(spec.origin).parent
    for folder in (source, *source.parent.glob("pip-*.dist-info")):
        shutil.copytree(folder, packages / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pip", "pip3"):
        (programs / name).write_text(PIP_SCRIPT)
        (programs / name).chmod(0o755)


def _shared(files: set[Path]) -> Iterator[Path]:
    """Yield the shared libraries that these files load, without those of the C library, which Debian brings."""
    # in one go: a process for each of eighty files takes longer than all the copying
    told = subprocess.run(["ldd", *map(str, sorted(files))], capture_output=True, text=True, check=False).stdout
    found = {line.split()[2] for line in told.splitlines() if " => /" in line}
    own = ("libc.", "libm.", "libdl.", "libpthread.", "librt.", "libutil.", "ld-linux")
    yield from (Path(path) for path in found if not Path(path).name.startswith(own))


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
