"""The image of a container with one sandbox wallet daemon: what is in it, and how it is told what to do.

The rule: the daemon is the sandbox's own, unchanged.
"""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import jsonrpclib

import gateway

MAIN = '''"""One sandbox wallet daemon on all addresses; its chain is its own unless --chain HOST:PORT names one.

Ports: 7777 RPC, 7778 switches, from inside alone; user "user", password from SANDBOX_PASSWORD; folder /data.  Further
options win.
"""
import os, subprocess, sys
from gateway.sandbox.daemon import main
from gateway.sandbox.processes import read_ready

given = sys.argv[1:]
chain = ""
if not any(word.startswith("--chain") for word in given):
    command = [sys.executable, "-m", "gateway.sandbox.chain", f"--die-with-parent={os.getpid()}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    chain = f"127.0.0.1:{read_ready(process.stdout.readline())['port']}"
main(["--host=0.0.0.0", "--port=7777", "--control=7778", *([f"--chain={chain}"] if chain else []),
      "--data=/data/wallet", "--seed=sandbox", "--user=user", "--password-env=SANDBOX_PASSWORD",
      "--journal=/data/journal.jsonl", *given])
'''

DOCKERFILE = """FROM {base}
COPY . /app
ENV PYTHONPATH=/app SANDBOX_PASSWORD=sandbox PYTHONDONTWRITEBYTECODE=1
RUN mkdir /data
WORKDIR /data
ENTRYPOINT ["python3", "/app/wallet.py"]
"""


def context(base: str) -> bytes:
    """Return all that `docker build -` needs: the sandbox and the one package that it needs, on a base image."""
    here, library = Path(gateway.__file__).parent, Path(jsonrpclib.__file__).parent
    files = {"Dockerfile": DOCKERFILE.format(base=base).encode(), "wallet.py": MAIN.encode()}
    files |= {"gateway/__init__.py": (here / "__init__.py").read_bytes()}
    files |= _sources("gateway/sandbox", sorted((here / "sandbox").glob("*.py")))
    files |= _sources("jsonrpclib", sorted(library.glob("*.py")))
    return tar(files)


def _sources(folder: str, paths: Sequence[Path]) -> dict[str, bytes]:
    return {f"{folder}/{path.name}": path.read_bytes() for path in paths}


def tar(files: dict[str, bytes], *, mode: int = 0o644) -> bytes:
    """Return files, by their paths, as a tar archive: what `docker build -` takes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()
