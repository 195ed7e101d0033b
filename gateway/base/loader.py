"""Reads configuration files into settings, or says everything that is wrong with them in one run.

Rule: each mistake comes with its file, its line, its key and what would be right; no message holds a secret.

    files (later ones win) -> values with places -> ${ENV} and *_file filled in -> models
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from gateway.base import findings
from gateway.base.clashes import Place, clashes
from gateway.base.cluster import Cluster
from gateway.base.config import Listen, Settings
from gateway.base.errors import ConfigError, Problem
from gateway.base.exposure import LOOPBACK, about_admin
from gateway.base.findings import found, join, model_at
from gateway.base.section import SECRETS, FromEnvironment
from gateway.base.yaml_nodes import ON_FILE, Located, NodeReader, merge, plain

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}")

PEM_FILES = frozenset(
    {
        ("listen", "tls", "certificate"), ("listen", "tls", "key"), ("admin", "tls", "certificate"),
        ("admin", "tls", "key"), ("cluster", "ca_file"), ("ledger", "tls", "ca_file"),
    }
)  # fmt: skip
"""Places that name files; the `tls.ca_file` of each backend is another."""

LASTING_FILES = frozenset({("ledger", "path"), ("ledger", "key_file")})
"""The same for files that need not be there yet; the `wallet_file` of each backend is another."""


def load(paths: Sequence[Path], environ: Mapping[str, str], bearable: list[Problem] | None = None) -> Settings:
    """Read files, merge them and check them.

    Args:
        paths, environ: what to read, and what ${NAME} means.
        bearable: takes the mistakes that a gateway can run with; without it they count like all others.

    Raises:
        ConfigError: with every problem that was found.
    """
    reader = NodeReader()
    trees = [tree for path in paths if (tree := reader.read(Path(path))) is not None]
    problems = reader.problems
    if not paths:
        problems.append(Problem("(no file)", 0, "", "no configuration was named", "name one by -c FILE"))
    if not trees or len(trees) < len(paths):
        raise ConfigError(problems)
    tree = trees[0]
    for later in trees[1:]:
        tree = merge(tree, later)
    _substitute(tree, environ, problems)
    _read_secrets(tree, problems)
    _find_profiles(tree)
    _find_pem_files(tree, problems)
    _find_lasting_files(tree)
    _try_log(tree, problems if bearable is None else bearable)
    values = plain(tree)
    for clash in clashes(values):
        at = found(tree, clash.place)
        if not at.is_lost:
            problems.append(Problem(at.file, at.line, join(clash.place), clash.message, clash.remedy))
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += findings.problems(tree, error)
        raise ConfigError(_sorted(problems)) from None
    if problems:
        raise ConfigError(_sorted(problems))
    return settings


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.file, problem.line, problem.key))


# -- what is written elsewhere: environment, secret files, profiles -------------------------------------------


def _substitute(tree: Located, environ: Mapping[str, str], problems: list[Problem]) -> None:
    """Fill in ${NAME} and ${NAME:-default} wherever a text holds them."""
    for place, located in _everything(tree, ()):
        if isinstance(located.value, str) and "${" in located.value:
            located.value = _filled(located, environ, problems, join(place))


def _filled(located: Located, environ: Mapping[str, str], problems: list[Problem], key: str) -> str:
    def complain(message: str, remedy: str) -> str:
        located.is_lost = True
        problems.append(Problem(located.file, located.line, key, message, remedy))
        return ""

    def value(match: re.Match[str]) -> str:
        name, _, default = match.groups()
        if environ.get(name):
            return environ[name]
        if default is not None:
            return str(default)
        return complain(f"the variable {name} is not set", f"set {name}, or write ${{{name}:-default}}")

    written = str(located.value)
    if "${" in _VARIABLE.sub("", written):
        complain("holds a ${ that names no variable", "write ${NAME} or ${NAME:-default}; odd secrets go in a file")
    return FromEnvironment(_VARIABLE.sub(value, written))


def _read_secrets(tree: Located, problems: list[Problem]) -> None:
    """Replace `password_file: PATH` by the password in that file."""
    for place, located in list(_everything(tree, ())):
        for name, named in _secret_files(located, place):
            key = join((*place, f"{name}{ON_FILE}"))
            assert isinstance(located.value, dict)  # noqa: S101 - only a mapping names files
            del located.value[f"{name}{ON_FILE}"]
            if name in located.value:
                remedy = f"keep {name} or {name}{ON_FILE}"
                problems.append(Problem(named.file, named.line, key, f"stands beside {name}", remedy))
                continue
            text, trouble = _secret(named)
            if trouble and not named.is_lost:
                remedy = "name a readable file that holds the secret"
                problems.append(Problem(named.file, named.line, key, trouble, remedy))
            located.value[name] = Located(text, named.file, named.line, is_lost=bool(trouble))


def _secret_files(located: Located, place: Place) -> list[tuple[str, Located]]:
    """Return which secrets a mapping wants from which files; only where its model has such a secret."""
    model = model_at(place)
    if model is None or not isinstance(located.value, dict):
        return []
    pairs = [(name, located.value.get(f"{name}{ON_FILE}")) for name in sorted(SECRETS & set(model.model_fields))]
    return [(name, named) for name, named in pairs if named is not None]


def _secret(named: Located) -> tuple[str, str]:
    """Return the secret in a file, and what is wrong with it."""
    if not isinstance(named.value, str) or not named.value:
        return "", "must be the path of a file"
    try:
        text = _beside(named).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        return "", f"{named.value} cannot be read ({getattr(error, 'strerror', None) or 'it is no text'})"
    return text, "" if text else f"{named.value} is empty"


def _beside(named: Located) -> Path:
    """Return a path that a file names; one that is not absolute starts where that file is."""
    return Path(named.file).parent / str(named.value)


def secret_files(paths: Sequence[Path]) -> list[Path]:
    """Return the secret files that configuration files name, so that a change of one is noticed."""
    reader = NodeReader()
    trees = [tree for path in paths if (tree := reader.read(Path(path))) is not None]
    named = [
        one for tree in trees for place, holder in _everything(tree, ()) for _, one in _secret_files(holder, place)
    ]
    return [_beside(one) for one in named if isinstance(one.value, str)]


def _find_profiles(tree: Located) -> None:
    """Let the path of a profile start where the file is that names it."""
    for place, located in _everything(tree, ()):
        is_profile = place[0:1] == ("wallets",) and place[2:] == ("profile",)
        if is_profile and isinstance(located.value, str) and located.value.endswith(".yaml"):
            located.value = str(_beside(located))


def _find_pem_files(tree: Located, problems: list[Problem]) -> None:
    """Let the paths of certificates and keys start where the file is that names them, and see that they can be read."""
    for place, located in _everything(tree, ()):
        is_authority = place[0:1] == ("wallets",) and place[2:3] == ("backends",) and place[4:] == ("tls", "ca_file")
        if not (is_authority or place in PEM_FILES) or located.is_lost or not isinstance(located.value, str):
            continue
        path = _beside(located).absolute()
        trouble = _unreadable(path) if located.value else "must be the path of a file"
        if trouble:
            remedy = "name a PEM file that this user can read, from the folder of this file or from /"
            problems.append(Problem(located.file, located.line, join(place), trouble, remedy))
        located.value = str(path)


def _find_lasting_files(tree: Located) -> None:
    """Let the paths of the ledger, its key and wallet files start where the file is that names them."""
    for place, located in _everything(tree, ()):
        is_wallet = place[0:1] == ("wallets",) and place[2:3] == ("backends",) and place[4:] == ("wallet_file",)
        if (is_wallet or place in LASTING_FILES) and isinstance(located.value, str) and located.value:
            located.value = str(_beside(located).absolute())


def _unreadable(path: Path) -> str:
    """Return why a file cannot be read, nothing when it can."""
    try:
        with path.open("rb") as stream:
            stream.read(1)
    except (OSError, ValueError) as error:
        return f"{path} cannot be read ({getattr(error, 'strerror', None) or 'it is no path'})"
    return ""


def _try_log(tree: Located, problems: list[Problem]) -> None:
    """See whether the log's file can be opened."""
    at = found(tree, ("log", "file", "path"))
    if at.is_lost or not isinstance(at.value, str) or not at.value:
        return
    try:
        _try_to_append(Path(at.value))
    except (OSError, ValueError) as error:
        message = f"{at.value} cannot be written ({getattr(error, 'strerror', None) or 'it is no path'})"
        remedy = "name a file in a folder where this user may write"
        problems.append(Problem(at.file, at.line, "log.file.path", message, remedy))


def _try_to_append(path: Path) -> None:
    """Open a file for lines to come; nothing is made, for whoever checks may be another user than the gateway's.

    Raises:
        OSError: it cannot be opened, or made.
        ValueError: it is no path.
    """
    try:
        # without waiting: a pipe that nobody reads would hold up whoever opens it
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK))
    except FileNotFoundError:
        if path.is_symlink():
            path = path.resolve()
        folder = next(one for one in path.absolute().parents if one.exists())
        # a file without a name, or with one for a moment
        tempfile.TemporaryFile(dir=folder).close()


def _everything(located: Located, place: Place) -> Iterator[tuple[Place, Located]]:
    """Yield a value and all within it."""
    yield place, located
    if isinstance(located.value, dict):
        for name, child in located.value.items():
            yield from _everything(child, (*place, name))
    if isinstance(located.value, list):
        for index, child in enumerate(located.value):
            yield from _everything(child, (*place, index))


# -- legal, but risky -----------------------------------------------------------------------------------------


def warnings(settings: Settings) -> list[str]:
    """Return what is allowed and should be known: one sentence each."""
    found: list[str] = []
    listen = settings.listen
    if listen.host not in LOOPBACK and listen.tls is None:
        found.append(f"listen.host {listen.host} takes passwords without TLS; keep that network private")
    if listen.host not in LOOPBACK and settings.anonymous:
        found.append(f"listen.host {listen.host} lets anybody call without credentials (anonymous: true)")
    found += about_admin(settings.admin)
    if settings.cluster is not None:
        found += _about_cluster(settings.cluster, listen)
    elif settings.ledger is not None and settings.ledger.url:
        found.append(
            "ledger.url names a database, and without `cluster:` nothing keeps a second gateway from the same daemons; "
            "each would withhold what the other one answers"
        )
    found += [
        f"client {client.name} may do whatever {effect} does"
        for client in settings.clients
        for effect in ("sign", "publish")
        if effect in client.effects
    ]
    found += [
        f"client {client.name} has an empty password"
        for client in settings.clients
        if not client.password.get_secret_value()
    ]
    for name, wallet in settings.wallets.items():
        found += [
            f"backend {backend.name} of {name} is called without a password"
            for backend in wallet.backends
            if _is_empty(backend.password)
        ]
    return found


def _about_cluster(cluster: Cluster, listen: Listen) -> list[str]:
    """Return what is odd about the way that other gateways are told to take."""
    host = urlsplit(cluster.address).hostname
    if host in LOOPBACK:
        return [f"cluster.address {cluster.address} is reached by gateways on this machine alone"]
    if listen.host in LOOPBACK:
        return [f"listen.host {listen.host} is not reached by cluster.address unless a proxy here leads to it"]
    return []


def _is_empty(secret: SecretStr) -> bool:
    return not secret.get_secret_value()
